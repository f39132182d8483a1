//! Our summary beside what four other readers make of the same files.
//!
//! `igc/oracle.json` holds, per file, what aerofiles, `igc_lib`, igc-parser say.
//! Where they contradict each other, or where we decided otherwise, the file stands
//! in one of the tables below with the reason.

use std::path::PathBuf;

use flights_api::igc::{self, Place, Summary};
use jiff::Timestamp;
use serde::Deserialize;

#[derive(Deserialize)]
struct Entry {
    file: String,
    aerofiles: Aerofiles,
    igc_lib: IgcLib,
    #[serde(default)]
    igc_parser: IgcParser,
}

#[derive(Deserialize)]
struct Aerofiles {
    error: Option<String>,
    fixes: Option<usize>,
    date: Option<String>,
    glider: Option<String>,
    first: Option<Fix>,
    last: Option<Fix>,
    max_gps_alt: Option<i16>,
}

#[derive(Deserialize)]
struct Fix {
    time: String,
    lat: f64,
    lon: f64,
}

#[derive(Deserialize)]
struct IgcLib {
    valid: bool,
    takeoff: Option<f64>,
    landing: Option<f64>,
}

#[derive(Default, Deserialize)]
struct IgcParser {
    date: Option<String>,
    fixes: Option<usize>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// Takeoff and landing: seconds by which we may differ from `igc_lib`. All files
/// but three agree to the second; in those (the goigc short flight, three times the
/// same log with a fix every four seconds) the first fix is a `V` fix, which
/// `igc_lib` takes for a position and we do not.
const TOLERANCE_S: i64 = 4;

/// Where aerofiles is not followed.
const NOT_AS_AEROFILES: &[(&str, &str)] = &[(
    "go-igc__testdata_PING.IGC",
    "fifteen logs in one file: aerofiles dates all of it by the last HFDTE (2014-07-02), we by the one in \
     force at each fix, so the file is of the day of its first fix",
)];

/// Where `igc_lib` is not followed in takeoff or landing.
const NOT_AS_IGC_LIB: &[(&str, &str)] = &[(
    "go-igc__testdata_PING.IGC",
    "fifteen logs in one file: igc_lib dates every fix by the last HFDTE, and so lands seven hours before it \
     takes off",
)];

/// Where igc-parser is not followed.
const NOT_AS_IGC_PARSER: &[(&str, &str)] = &[(
    "go-igc__testdata_PING.IGC",
    "fifteen logs in one file: igc-parser dates the first fix by the first HFDTE and the file by the last, and \
     counts a midnight where the log of 2014-07-02 follows the one of 2014-07-18, hence 07-19",
)];

#[test]
fn our_summary_is_what_the_other_readers_see() {
    let mut differences = Vec::new();
    let (mut flights, mut refused) = (0, 0);
    for entry in entries() {
        let file = &entry.file;
        let mut differ = |what: &str, ours: String, theirs: String| {
            if ours != theirs {
                differences.push(format!("{file}: {what}: ours {ours}, theirs {theirs}"));
            }
        };
        let Ok(summary) = igc::read(&bytes(file)) else {
            // Whoever refuses must not be alone in that.
            refused += 1;
            let has_fixes = entry.aerofiles.fixes.unwrap_or(0) > 0;
            let has_date = entry.aerofiles.date.is_some_and(|date| !date.is_empty());
            differ(
                "is a flight",
                "false".into(),
                (has_fixes && has_date).to_string(),
            );
            continue;
        };
        flights += 1;
        if !excepted(NOT_AS_AEROFILES, file) {
            as_aerofiles(&summary, &entry.aerofiles, &mut differ);
        }
        if !excepted(NOT_AS_IGC_PARSER, file) {
            as_igc_parser(&summary, &entry.igc_parser, &mut differ);
        }
        if !excepted(NOT_AS_IGC_LIB, file) {
            as_igc_lib(&summary, &entry.igc_lib, &mut differ);
        }
    }
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert_eq!((flights, refused), (41, 25));
}

fn as_aerofiles(ours: &Summary, theirs: &Aerofiles, differ: &mut impl FnMut(&str, String, String)) {
    assert_eq!(theirs.error, None);
    differ(
        "fixes",
        format!("{:?}", Some(ours.fixes)),
        format!("{:?}", theirs.fixes),
    );
    differ(
        "date",
        format!("{:?}", Some(ours.date.to_string())),
        format!("{:?}", theirs.date),
    );
    differ(
        "glider",
        format!("{:?}", ours.glider.kind),
        format!("{:?}", theirs.glider),
    );
    differ(
        "altitude",
        format!("{:?}", ours.max_gps_altitude_m),
        format!("{:?}", theirs.max_gps_alt),
    );
    for (what, ours, theirs) in [
        ("first fix", &ours.first_fix, &theirs.first),
        ("last fix", &ours.last_fix, &theirs.last),
    ] {
        let theirs = theirs.as_ref().unwrap();
        differ(what, time_of_day(ours), theirs.time.clone());
        differ(
            what,
            format!("{} {}", ours.latitude, ours.longitude),
            format!("{} {}", theirs.lat, theirs.lon),
        );
    }
}

fn as_igc_parser(
    ours: &Summary,
    theirs: &IgcParser,
    differ: &mut impl FnMut(&str, String, String),
) {
    // It gives up on a file with fewer fixes than it likes.
    if theirs.fixes.is_none() {
        return;
    }
    differ(
        "fixes",
        format!("{:?}", Some(ours.fixes)),
        format!("{:?}", theirs.fixes),
    );
    differ(
        "date",
        format!("{:?}", Some(ours.date.to_string())),
        format!("{:?}", theirs.date),
    );
    differ(
        "first",
        format!("{:?}", Some(ours.first_fix.time)),
        format!("{:?}", theirs.first),
    );
    differ(
        "last",
        format!("{:?}", Some(ours.last_fix.time)),
        format!("{:?}", theirs.last),
    );
}

fn as_igc_lib(ours: &Summary, theirs: &IgcLib, differ: &mut impl FnMut(&str, String, String)) {
    if !theirs.valid {
        return;
    }
    #[allow(clippy::cast_possible_truncation)]
    for (what, ours, theirs) in [
        ("takeoff", ours.takeoff, theirs.takeoff),
        ("landing", ours.landing, theirs.landing),
    ] {
        let (ours, theirs) = (
            ours.map(|place| place.time.as_second()),
            theirs.map(|time| time as i64),
        );
        let near = ours
            .zip(theirs)
            .is_some_and(|(ours, theirs)| (ours - theirs).abs() <= TOLERANCE_S);
        if !near {
            differ(what, format!("{ours:?}"), format!("{theirs:?}"));
        }
    }
    assert_eq!(
        ours.duration_s,
        ours.takeoff
            .zip(ours.landing)
            .map(|(up, down)| down.time.as_second() - up.time.as_second())
    );
}

#[test]
fn every_exception_is_about_a_file_that_exists_and_gives_its_reason() {
    let files: Vec<String> = entries().into_iter().map(|entry| entry.file).collect();
    for (file, reason) in [NOT_AS_AEROFILES, NOT_AS_IGC_LIB, NOT_AS_IGC_PARSER].concat() {
        assert!(files.iter().any(|known| known == file), "{file}");
        assert!(reason.len() > 20, "{file}");
    }
}

fn excepted(table: &[(&str, &str)], file: &str) -> bool {
    table.iter().any(|(name, _)| *name == file)
}

fn time_of_day(place: &Place) -> String {
    place.time.strftime("%H:%M:%S").to_string()
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/igc")
}

fn entries() -> Vec<Entry> {
    let text = std::fs::read(directory().join("oracle.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn bytes(file: &str) -> Vec<u8> {
    std::fs::read(directory().join(file)).unwrap()
}
