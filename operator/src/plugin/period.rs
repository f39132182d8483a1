//! Lengths of time, as kubectl prints them.

use jiff::Timestamp;

/// How long ago something was.
pub(super) fn age(then: Timestamp, now: Timestamp) -> String {
    length(now.as_second() - then.as_second())
}

/// How long it is until something.
pub(super) fn until(then: Timestamp, now: Timestamp) -> String {
    length(then.as_second() - now.as_second())
}

/// A point in time with how far away it is.
pub(super) fn point(then: Timestamp, now: Timestamp) -> String {
    let second = Timestamp::from_second(then.as_second()).unwrap_or(then);
    format!("{second} (in {})", until(then, now))
}

fn length(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let two = |(large, sign): (i64, &str), (small, other): (i64, &str)| match small {
        0 => format!("{large}{sign}"),
        _ => format!("{large}{sign}{small}{other}"),
    };
    match seconds.max(0) {
        s if s < 2 * MINUTE => format!("{s}s"),
        s if s < 10 * MINUTE => two((s / MINUTE, "m"), (s % MINUTE, "s")),
        s if s < 3 * HOUR => format!("{}m", s / MINUTE),
        s if s < 8 * HOUR => two((s / HOUR, "h"), (s % HOUR / MINUTE, "m")),
        s if s < 2 * DAY => format!("{}h", s / HOUR),
        s if s < 8 * DAY => two((s / DAY, "d"), (s % DAY / HOUR, "h")),
        s => format!("{}d", s / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_one_or_two_units() {
        for (seconds, text) in [
            (-5, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (3_600, "60m"),
            (4 * 3_600 + 120, "4h2m"),
            (30 * 3_600, "30h"),
            (3 * 86_400 + 7_200, "3d2h"),
            (90 * 86_400, "90d"),
        ] {
            assert_eq!(length(seconds), text);
        }
    }
}
