//! A length of time as people write it in manifests: `90d`, `1h`, `500ms`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The pattern that a [`Period`] matches, for schemas.
pub const PATTERN: &str = "^[1-9][0-9]{0,8}(ms|s|m|h|d|w)$";

/// A positive length of time: a whole number and one unit of `ms`, `s`, `m`,
/// `h`, `d` (24 hours) or `w` (7 days).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    count: u32,
    unit: Unit,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
}

/// What was written is not a [`Period`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a period: write a whole number and a unit, such as 500ms, 30s, 5m, 1h, 90d or 2w"
)]
pub struct PeriodError(String);

impl Period {
    /// `count` seconds.
    pub const fn seconds(count: u32) -> Self {
        Self {
            count,
            unit: Unit::Second,
        }
    }

    /// `count` minutes.
    pub const fn minutes(count: u32) -> Self {
        Self {
            count,
            unit: Unit::Minute,
        }
    }

    /// `count` hours.
    pub const fn hours(count: u32) -> Self {
        Self {
            count,
            unit: Unit::Hour,
        }
    }

    /// `count` days of 24 hours.
    pub const fn days(count: u32) -> Self {
        Self {
            count,
            unit: Unit::Day,
        }
    }

    /// The same length as a [`Duration`].
    pub fn duration(self) -> Duration {
        Duration::from_millis(u64::from(self.count) * self.unit.millis())
    }

    /// The whole seconds in it.
    pub fn as_secs(self) -> u64 {
        self.duration().as_secs()
    }
}

impl Unit {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Millisecond, "ms"),
        (Self::Second, "s"),
        (Self::Minute, "m"),
        (Self::Hour, "h"),
        (Self::Day, "d"),
        (Self::Week, "w"),
    ];

    const fn millis(self) -> u64 {
        match self {
            Self::Millisecond => 1,
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
            Self::Week => 604_800_000,
        }
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let refuse = || PeriodError(text.chars().take(40).collect());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, suffix) = text.split_at(digits);
        if digits == 0 || digits > 9 || count.starts_with('0') {
            return Err(refuse());
        }
        let (unit, _) = *Unit::ALL
            .iter()
            .find(|(_, name)| *name == suffix)
            .ok_or_else(refuse)?;
        Ok(Self {
            count: count.parse().map_err(|_| refuse())?,
            unit,
        })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = Unit::ALL
            .iter()
            .find(|(unit, _)| *unit == self.unit)
            .map_or("", |(_, s)| s);
        write!(f, "{}{suffix}", self.count)
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl schemars::JsonSchema for Period {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Period".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": PATTERN, "maxLength": 11})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_read_and_written_alike() {
        for (text, seconds) in [
            ("1s", 1),
            ("5m", 300),
            ("1h", 3_600),
            ("90d", 7_776_000),
            ("2w", 1_209_600),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!(period.as_secs(), seconds);
            assert_eq!(period.to_string(), text);
        }
        assert_eq!(
            "500ms".parse::<Period>().unwrap().duration(),
            Duration::from_millis(500)
        );
    }

    #[test]
    fn what_is_no_period_is_refused_with_examples() {
        for text in [
            "",
            "0s",
            "h",
            "1",
            "1 h",
            "-1h",
            "1h30m",
            "01s",
            "1y",
            "9999999999s",
            "1µs",
        ] {
            let error = text.parse::<Period>().unwrap_err().to_string();
            assert!(error.contains("such as 500ms"), "{error}");
        }
    }
}
