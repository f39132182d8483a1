//! The log: a header and the fixes, each at its instant.

use igc::records::{BRecord, FixValid};
use jiff::civil::{Date, date};

use super::header::{Entry, Header};
use super::lines::{lines, text};

const DAY: i64 = 86_400;

/// A parsed log: at least one fix, and a date.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) header: Header,
    /// The day of the first fix by the recorder's date record, UTC.
    pub(super) date: Date,
    pub(super) fixes: Vec<Fix>,
}

/// One B record: a position at an instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fix {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub(super) time: i64,
    /// Degrees, north positive.
    pub(super) latitude: f64,
    /// Degrees, east positive.
    pub(super) longitude: f64,
    pub(super) quality: Quality,
    /// Metres above the WGS84 ellipsoid or the geoid, as the recorder has it.
    pub(super) gps_altitude: i16,
    /// Metres in the ICAO standard atmosphere above 1013.25 hPa; 0 without a sensor.
    pub(super) pressure_altitude: i16,
}

/// The validity of a fix, by the letter in the B record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quality {
    /// `A`: three-dimensional.
    ThreeD,
    /// `V`: two-dimensional or no GNSS data at all. Its GNSS altitude means
    /// nothing, and its position may be the last one known.
    Doubtful,
}

/// Why a file cannot be read as a flight. The message says which line, and what
/// was expected.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAFlight {
    /// No line is an IGC record.
    #[error(
        "line {line}: expected an IGC record such as `HFDTE050822` or `B1035324830895N00138319EA0009200191`, found `{found}`"
    )]
    NotIgc {
        /// The number of the line, from 1.
        line: usize,
        /// The beginning of that line.
        found: String,
    },
    /// There is nothing in the file but white space.
    #[error("line 1: expected an IGC record, found an empty file")]
    Empty,
    /// A date record, but none that can be read.
    #[error(
        "line {line}: expected a date such as `HFDTE050822` or `HFDTEDATE:050822,01` (day, month, year), found `{found}`"
    )]
    BadDate {
        /// The number of the line, from 1.
        line: usize,
        /// The beginning of that line.
        found: String,
    },
    /// No date record.
    #[error(
        "line {last_line} is the last: expected a date record such as `HFDTE050822` before it, found none"
    )]
    NoDate {
        /// The number of the last line.
        last_line: usize,
    },
    /// B records, but none that can be read.
    #[error(
        "line {line}: expected a fix such as `B1035324830895N00138319EA0009200191` (time, latitude, longitude, A or V, two altitudes), found `{found}`"
    )]
    BadFix {
        /// The number of the line, from 1.
        line: usize,
        /// The beginning of that line.
        found: String,
    },
    /// No B record.
    #[error(
        "line {last_line} is the last: expected at least one fix (a B record) before it, found none"
    )]
    NoFixes {
        /// The number of the last line.
        last_line: usize,
    },
}

impl Log {
    /// Reads the records of a file. A record that cannot be read is skipped, as
    /// every other reader of IGC files does: recorders and downloads garble lines.
    pub(super) fn parse(bytes: &[u8]) -> Result<Log, NotAFlight> {
        let mut header = Header::default();
        let mut calendar = Calendar::default();
        let mut fixes: Vec<Fix> = Vec::new();
        let mut complaints = Complaints::default();

        for (number, line) in lines(bytes) {
            complaints.last_line = number;
            match line[0].to_ascii_uppercase() {
                b'B' => match RawFix::parse(line) {
                    Some(raw) => fixes.push(raw.at(calendar.place(raw.second))),
                    None => complaints.bad_fix(number, line),
                },
                b'H' => match header.read_h(line) {
                    Entry::Date(date) => {
                        if let Some(days) = calendar.set(date) {
                            // Fixes stood before the first date: they are of that day.
                            for fix in &mut fixes {
                                fix.time += days * DAY;
                            }
                        }
                    }
                    Entry::BadDate => complaints.bad_date(number, line),
                    Entry::Other => complaints.seen_a_header(line),
                },
                b'A' => header.read_a(line),
                _ => {}
            }
            complaints.first_line(number, line);
        }

        match calendar.first {
            Some(date) if !fixes.is_empty() => Ok(Log {
                header,
                date,
                fixes,
            }),
            date => Err(complaints.why(date.is_some(), !fixes.is_empty())),
        }
    }
}

/// A B record before its day is known.
#[derive(Clone, Copy)]
struct RawFix {
    /// Second of the day, 0..86400.
    second: i64,
    fix: Fix,
}

impl RawFix {
    /// Reads the 35 bytes that every B record has.
    ///
    /// `BRecord` of the `igc` crate does the reading. Before it: capitals, and
    /// only the fixed part, since it refuses a line for a Latin-1 byte in its
    /// extensions, and only digits where digits belong, since its `parse::<u8>`
    /// takes `+1` for a number. After it: 24:60:60 is no time for us, and
    /// 90° 59.999′ no latitude.
    fn parse(line: &[u8]) -> Option<RawFix> {
        const DIGITS: [std::ops::Range<usize>; 5] = [1..14, 15..23, 26..30, 31..35, 0..0];
        let mut fixed: [u8; 35] = line.get(..35)?.try_into().ok()?;
        fixed.make_ascii_uppercase();
        let digits_stand = DIGITS
            .into_iter()
            .all(|range| fixed[range].iter().all(u8::is_ascii_digit));
        let signs_stand = [25, 30]
            .into_iter()
            .all(|at| fixed[at] == b'-' || fixed[at].is_ascii_digit());
        if !(digits_stand && signs_stand) {
            return None;
        }
        let record = BRecord::parse(std::str::from_utf8(&fixed).ok()?).ok()?;
        let time = record.timestamp;
        let (latitude, longitude) = (f64::from(record.pos.lat), f64::from(record.pos.lon));
        let (north, east) = (
            record.pos.lat.0.minute_thousandths,
            record.pos.lon.0.minute_thousandths,
        );
        if time.hours > 23
            || time.minutes > 59
            || time.seconds > 59
            || north > 59_999
            || east > 59_999
        {
            return None;
        }
        if latitude.abs() > 90.0 || longitude.abs() > 180.0 {
            return None;
        }
        let fix = Fix {
            time: 0,
            latitude,
            longitude,
            quality: match record.fix_valid {
                FixValid::Valid => Quality::ThreeD,
                FixValid::NavWarning => Quality::Doubtful,
            },
            gps_altitude: record.gps_alt,
            pressure_altitude: record.pressure_alt,
        };
        Some(RawFix {
            second: i64::from(time.seconds_since_midnight()),
            fix,
        })
    }

    fn at(self, time: i64) -> Fix {
        Fix { time, ..self.fix }
    }
}

/// Turns times of day into instants.
#[derive(Default)]
struct Calendar {
    /// The first date that was read.
    first: Option<Date>,
    /// The last date that was read.
    stated: Option<Date>,
    /// The day of the next fix, days since 1970-01-01 (or, before the first date,
    /// days since the day of the first fix).
    day: i64,
    /// The second of the day of the fix before.
    second: Option<i64>,
}

impl Calendar {
    /// A date record. Returns the days by which the fixes before it are to be
    /// moved, where it is the first.
    ///
    /// Some recorders repeat the header during a flight, so the same date again
    /// says nothing (the flight may have passed midnight since). Another date is
    /// another day: several logs in one file, or a recorder that states the day
    /// when it passes midnight.
    fn set(&mut self, date: Date) -> Option<i64> {
        let day = days_since_1970(date);
        let is_first = self.first.is_none();
        if is_first {
            self.first = Some(date);
            self.day += day;
        } else if self.stated != Some(date) {
            self.day = day;
            self.second = None;
        }
        self.stated = Some(date);
        is_first.then_some(day)
    }

    /// The instant of a fix at this second of the day.
    ///
    /// A step back by more than half a day is midnight. A smaller one is a
    /// recorder's clock that was set, and the day stays.
    fn place(&mut self, second: i64) -> i64 {
        if self.second.is_some_and(|before| before - second > DAY / 2) {
            self.day += 1;
        }
        self.second = Some(second);
        self.day * DAY + second
    }
}

fn days_since_1970(day: Date) -> i64 {
    const EPOCH: Date = date(1970, 1, 1);
    // Both dates lie within jiff's years, so the difference exists.
    EPOCH
        .until(day)
        .map_or(0, |span| i64::from(span.get_days()))
}

/// What will be said if the file turns out not to be a flight.
#[derive(Default)]
struct Complaints {
    last_line: usize,
    first: Option<(usize, String)>,
    date: Option<(usize, String)>,
    fix: Option<(usize, String)>,
    header: bool,
}

impl Complaints {
    fn first_line(&mut self, number: usize, line: &[u8]) {
        self.first.get_or_insert_with(|| (number, quoted(line)));
    }

    fn bad_date(&mut self, number: usize, line: &[u8]) {
        self.date.get_or_insert_with(|| (number, quoted(line)));
    }

    fn bad_fix(&mut self, number: usize, line: &[u8]) {
        // Prose has lines that begin with B too; a fix goes on with digits.
        if line
            .get(1)
            .is_some_and(|byte| !byte.is_ascii_alphabetic() && *byte != b' ')
        {
            self.fix.get_or_insert_with(|| (number, quoted(line)));
        }
    }

    fn seen_a_header(&mut self, line: &[u8]) {
        // `HFPLT…`: a source letter and a three-letter code.
        let source = line
            .get(1)
            .is_some_and(|byte| b"FOPS".contains(&byte.to_ascii_uppercase()));
        let code = line
            .get(2..5)
            .is_some_and(|code| code.iter().all(u8::is_ascii_alphabetic));
        self.header |= source && code;
    }

    fn why(self, has_date: bool, has_fixes: bool) -> NotAFlight {
        let last_line = self.last_line;
        let is_igc =
            self.header || self.date.is_some() || self.fix.is_some() || has_date || has_fixes;
        match (self.first, self.date, self.fix) {
            (None, ..) => NotAFlight::Empty,
            (Some((line, found)), ..) if !is_igc => NotAFlight::NotIgc { line, found },
            (_, Some((line, found)), _) if !has_date => NotAFlight::BadDate { line, found },
            _ if !has_date => NotAFlight::NoDate { last_line },
            (_, _, Some((line, found))) => NotAFlight::BadFix { line, found },
            _ => NotAFlight::NoFixes { last_line },
        }
    }
}

/// The beginning of a line, fit to be quoted in an answer.
fn quoted(line: &[u8]) -> String {
    text(line)
        .chars()
        .take(48)
        .map(|c| if c.is_control() || c == '`' { '·' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &str = "B1200004700000N00800000EA0100001100";

    fn times(file: &str) -> Vec<i64> {
        Log::parse(file.as_bytes())
            .unwrap()
            .fixes
            .iter()
            .map(|fix| fix.time)
            .collect()
    }

    fn fix(clock: &str) -> String {
        format!("B{clock}4700000N00800000EA0100001100")
    }

    #[test]
    fn a_flight_over_midnight_goes_on_the_next_day() {
        let file = [
            "HFDTE311222".into(),
            fix("235958"),
            fix("000003"),
            "HFDTE311222".into(),
            fix("000004"),
        ];
        let start = days_since_1970(date(2022, 12, 31)) * DAY;
        assert_eq!(
            times(&file.join("\n")),
            [start + DAY - 2, start + DAY + 3, start + DAY + 4]
        );
    }

    #[test]
    fn a_recorder_that_states_the_new_day_is_not_counted_twice() {
        let file = [
            "HFDTE311222".into(),
            fix("235958"),
            "HFDTE010123".into(),
            fix("000003"),
        ];
        let start = days_since_1970(date(2022, 12, 31)) * DAY;
        assert_eq!(times(&file.join("\n")), [start + DAY - 2, start + DAY + 3]);
    }

    #[test]
    fn a_clock_that_is_set_back_by_a_little_stays_on_its_day() {
        let file = ["HFDTE311222".into(), fix("120010"), fix("120005")];
        let start = days_since_1970(date(2022, 12, 31)) * DAY;
        assert_eq!(times(&file.join("\n")), [start + 43_210, start + 43_205]);
    }

    #[test]
    fn fixes_before_the_date_are_of_that_date() {
        let file = [
            fix("235958"),
            fix("000003"),
            "HFDTE311222".into(),
            fix("000004"),
        ];
        let start = days_since_1970(date(2022, 12, 31)) * DAY;
        assert_eq!(
            times(&file.join("\n")),
            [start + DAY - 2, start + DAY + 3, start + DAY + 4]
        );
    }

    #[test]
    fn a_fix_is_read_in_lower_case_and_with_latin1_behind_it() {
        let mut file = b"hfdte311222\nb1200004700000n00800000ea01000-0100".to_vec();
        file.extend_from_slice(b"\xF6\xE4");
        let log = Log::parse(&file).unwrap();
        assert_eq!(
            (log.fixes[0].pressure_altitude, log.fixes[0].gps_altitude),
            (1000, -100)
        );
    }

    #[test]
    fn what_is_not_a_position_or_a_time_is_no_fix() {
        for line in [
            "B2400004700000N00800000EA0100001100",
            "B1260004700000N00800000EA0100001100",
            "B1200009000001N00800000EA0100001100",
            "B1200004760000N00800000EA0100001100",
            "B1200004700000N18000001EA0100001100",
            "B1200004700000X00800000EA0100001100",
            "B1200004700000N00800000EX0100001100",
            "B+200004700000N00800000EA0100001100",
            "B1200004700000N00800000EA+100001100",
            "B120000",
        ] {
            let why = Log::parse(format!("HFDTE311222\n{line}").as_bytes()).unwrap_err();
            assert_eq!(
                why,
                NotAFlight::BadFix {
                    line: 2,
                    found: line.into()
                }
            );
        }
    }

    #[test]
    fn the_reason_names_the_line_and_what_was_expected() {
        for (file, expected) in [
            ("", "line 1: expected an IGC record, found an empty file"),
            (
                "\n\nBrave new world\nHello",
                "line 3: expected an IGC record such as",
            ),
            (
                "AXXX\nHFPLTPILOT:x\n",
                "line 2 is the last: expected a date record",
            ),
            ("AXXX\nHFDTE000000\n", "line 2: expected a date such as"),
            (
                "AXXX\nHFDTE311222\n",
                "line 2 is the last: expected at least one fix",
            ),
            (NOON, "line 1 is the last: expected a date record"),
        ] {
            let why = Log::parse(file.as_bytes()).unwrap_err().to_string();
            assert!(why.starts_with(expected), "{file:?}: {why}");
        }
    }
}
