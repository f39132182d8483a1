//! Spans and points of time in words.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::UnixSeconds;

/// A span in its largest unit, rounded up so that nobody comes back too early.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    let (count, unit) = match seconds.max(1) {
        s @ 0..=59 => (s, "second"),
        s @ 60..=3_600 if s <= 59 * 60 => (s.div_ceil(60), "minute"),
        s @ 0..=82_800 => (s.div_ceil(3_600), "hour"),
        s => (s.div_ceil(86_400), "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// A day, such as 5 September 2026, in UTC.
pub(super) fn day(at: UnixSeconds) -> String {
    format(at, "%-d %B %Y")
}

/// A minute of a day, such as 5 September 2026, 14:05 UTC.
pub(super) fn minute(at: UnixSeconds) -> String {
    format(at, "%-d %B %Y, %H:%M UTC")
}

/// For the `datetime` attribute.
pub(super) fn machine(at: UnixSeconds) -> String {
    format(at, "%Y-%m-%dT%H:%M:%SZ")
}

fn format(at: UnixSeconds, format: &str) -> String {
    let seconds = i64::try_from(at).unwrap_or(i64::MAX);
    let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    at.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_rounded_up() {
        let words = |millis| span(Duration::from_millis(millis));
        assert_eq!(words(0), "1 second");
        assert_eq!(words(1_200), "2 seconds");
        assert_eq!(words(59_000), "59 seconds");
        assert_eq!(words(60_000), "1 minute");
        assert_eq!(words(61_000), "2 minutes");
        assert_eq!(words(59 * 60_000), "59 minutes");
        assert_eq!(words(59 * 60_000 + 1), "1 hour");
        assert_eq!(words(3_600_000), "1 hour");
        assert_eq!(words(23 * 3_600_000), "23 hours");
        assert_eq!(words(24 * 3_600_000), "1 day");
        assert_eq!(words(25 * 3_600_000), "2 days");
    }

    #[test]
    fn a_time_is_told_in_utc_whatever_it_is() {
        assert_eq!(day(1_788_617_100), "5 September 2026");
        assert_eq!(minute(1_788_617_100), "5 September 2026, 14:05 UTC");
        assert_eq!(machine(1_788_617_100), "2026-09-05T14:05:00Z");
        assert_eq!(day(UnixSeconds::MAX), "30 December 9999");
    }
}
