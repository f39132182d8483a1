//! The header of a log: who flew, in what, with which recorder, on which day.

use igc::records::{ARecord, HRecord};
use jiff::civil::Date;

use super::lines::text;

/// What the A and H records say. The first record of a kind that has a value counts.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) pilot: Option<String>,
    pub(super) glider_type: Option<String>,
    pub(super) glider_id: Option<String>,
    pub(super) recorder_type: Option<String>,
    pub(super) recorder_id: Option<String>,
}

/// What one H record was about.
pub(super) enum Entry {
    /// A date (HFDTE) that can be read.
    Date(Date),
    /// A date record that cannot be read.
    BadDate,
    /// Anything else.
    Other,
}

impl Header {
    /// Takes in an A record: maker and serial number of the recorder.
    ///
    /// The `igc` crate knows the old and new spellings of the serial number. It
    /// slices by byte, so it is shown ASCII alone.
    pub(super) fn read_a(&mut self, line: &[u8]) {
        if self.recorder_id.is_some() || !line.is_ascii() {
            return;
        }
        let mut line = text(line);
        if let Some(first) = line.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        if let Ok(record) = ARecord::parse(&line) {
            let extension = record.id_extension.map_or(0, str::len);
            self.recorder_id = line.get(1..line.len() - extension).and_then(value);
        }
    }

    /// Takes in an H record.
    ///
    /// `HRecord` of the `igc` crate splits the line into source, three-letter code
    /// and value; it wants the code in capitals, so the first five bytes are put
    /// so. It has no notion of a date in its newer spelling; see [`date`].
    pub(super) fn read_h(&mut self, line: &[u8]) -> Entry {
        let mut line = text(line);
        match line.get_mut(..5) {
            Some(code) => code.make_ascii_uppercase(),
            None => return Entry::Other,
        }
        let Ok(record) = HRecord::parse(&line) else {
            return Entry::Other;
        };
        let slot = match record.mnemonic {
            "DTE" => return date(record.data).map_or(Entry::BadDate, Entry::Date),
            "PLT" => &mut self.pilot,
            "GTY" => &mut self.glider_type,
            "GID" => &mut self.glider_id,
            "FTY" => &mut self.recorder_type,
            _ => return Entry::Other,
        };
        // Without a colon the value cannot be told from its label.
        if slot.is_none() && record.friendly_name.is_some() {
            *slot = value(record.data);
        }
        Entry::Other
    }
}

/// A header value fit to be stored and shown: no control characters, one line,
/// at most 128 characters; none if nothing is left.
fn value(raw: &str) -> Option<String> {
    let printable: String = raw.chars().filter(|c| !c.is_control()).take(128).collect();
    let trimmed = printable.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// The date of a DTE record, from what stands behind its label: `050822`,
/// `050822,01` (with the number of the flight), `05.08.22`, `05-08-2022`.
///
/// Our own rather than the `igc` crate's `Date::parse`, which panics unless it is
/// given six bytes, and accepts day 0, month 0 and the 31st of February.
fn date(data: &str) -> Option<Date> {
    let day = data.split(',').next()?;
    let day = day.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let mut digits = Vec::with_capacity(8);
    for c in day.trim().chars() {
        match c {
            '0'..='9' if digits.len() < 8 => digits.push(i16::try_from(c.to_digit(10)?).ok()?),
            '.' | '-' | '/' | ' ' => {}
            _ => return None,
        }
    }
    let two = |at: usize| digits[at] * 10 + digits[at + 1];
    let year = match digits.len() {
        // The first IGC recorder was approved in 1996.
        6 if two(4) >= 90 => 1900 + two(4),
        6 => 2000 + two(4),
        8 => two(4) * 100 + two(6),
        _ => return None,
    };
    if !(1990..2090).contains(&year) {
        return None;
    }
    let month = i8::try_from(two(2)).ok()?;
    let day = i8::try_from(two(0)).ok()?;
    Date::new(year, month, day).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date as ymd;

    fn date_of(line: &str) -> Option<Date> {
        match Header::default().read_h(line.as_bytes()) {
            Entry::Date(date) => Some(date),
            _ => None,
        }
    }

    #[test]
    fn a_date_is_read_in_every_spelling_that_recorders_use() {
        for line in [
            "HFDTE050822",
            "HFDTEDATE:050822,01",
            "HFDTEDATE: 050822,01",
            "HFDTEDATE:050822",
            "HFDTE:050822",
            "HFDTEDATE050822",
            "HFDTE 050822",
            "HODTE050822",
            "HFDTE05.08.22",
            "HFDTEDATE:05-08-2022",
            "hfdtedate:050822,01",
        ] {
            assert_eq!(date_of(line), Some(ymd(2022, 8, 5)), "{line}");
        }
        assert_eq!(date_of("HFDTE280798"), Some(ymd(1998, 7, 28)));
    }

    #[test]
    fn a_day_that_the_calendar_does_not_have_is_no_date() {
        for line in [
            "HFDTE000000",
            "HFDTE310222",
            "HFDTE33",
            "HFDTE",
            "HFDTE0508221",
            "HFDTE-50822",
        ] {
            assert_eq!(date_of(line), None, "{line}");
        }
    }

    #[test]
    fn the_first_record_with_a_value_counts() {
        let mut header = Header::default();
        header.read_h(b"HFPLTPILOT: ");
        header.read_h(b"HOPLTPILOT:J\xF6rg \x07 Test ");
        header.read_h(b"HFPLTPILOT:Somebody");
        assert_eq!(header.pilot.as_deref(), Some("Jörg  Test"));
    }

    #[test]
    fn the_recorder_is_its_maker_and_serial_number() {
        for (line, id) in [
            ("ALXV79MFLIGHT:1", "LXV79M"),
            ("AFLAAC9", "FLAAC9"),
            ("AFIL01460FLIGHT:1", "FIL01460"),
        ] {
            let mut header = Header::default();
            header.read_a(line.as_bytes());
            assert_eq!(header.recorder_id.as_deref(), Some(id));
        }
    }
}
