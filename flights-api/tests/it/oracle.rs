//! Our summary beside what four other readers make of the same files.
//!
//! `igc/oracle.json` holds, per file, what aerofiles, `igc_lib`, igc-parser say.
//! Where they contradict each other, or where we decided otherwise, the file stands
//! in one of the tables below with the reason.

use std::fmt::Debug;
use std::path::PathBuf;

use flights_api::igc::{self, Place, Summary};
use jiff::Timestamp;
use jiff::civil::Date;
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
    takeoff: Option<i64>,
    landing: Option<i64>,
}

#[derive(Default, Deserialize)]
struct IgcParser {
    date: Option<Date>,
    fixes: Option<usize>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// Takeoff and landing are `igc_lib`'s to the second, but for these: by up to so
/// many seconds. All three hold the same log, with a fix every four seconds.
const NOT_TO_THE_SECOND: &[(&str, i64, &str)] = &[
    (
        "goigc__testdata_optimize_optimize-short-flight-1.igc",
        4,
        V_FIX_FIRST,
    ),
    (
        "goigc__testdata_phases_phases-short-flight-1.igc",
        4,
        V_FIX_FIRST,
    ),
    (
        "goigc__testdata_simplify_simplify-short-flight-1.igc",
        4,
        V_FIX_FIRST,
    ),
];

const V_FIX_FIRST: &str = "the log begins with a V fix, which igc_lib takes for a position and we do not, \
                           so our flight begins one fix later";

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
        let Ok(summary) = igc::read(&bytes(file)) else {
            // Whoever refuses must not be alone in that.
            refused += 1;
            let has_fixes = entry.aerofiles.fixes.unwrap_or(0) > 0;
            let has_date = entry.aerofiles.date.is_some_and(|date| !date.is_empty());
            assert!(!(has_fixes && has_date), "{file}: a flight to aerofiles");
            assert!(!entry.igc_lib.valid, "{file}: a flight to igc_lib");
            continue;
        };
        flights += 1;
        for (exceptions, found) in [
            (NOT_AS_AEROFILES, as_aerofiles(&summary, &entry.aerofiles)),
            (
                NOT_AS_IGC_PARSER,
                as_igc_parser(&summary, &entry.igc_parser),
            ),
            (
                NOT_AS_IGC_LIB,
                as_igc_lib(&summary, &entry.igc_lib, tolerance(file)),
            ),
        ] {
            if exceptions.iter().any(|(name, _)| name == file) {
                assert!(!found.is_empty(), "{file} is no exception any more");
            } else {
                differences.extend(found.into_iter().map(|found| format!("{file}: {found}")));
            }
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

fn as_aerofiles(ours: &Summary, theirs: &Aerofiles) -> Vec<String> {
    assert_eq!(theirs.error, None);
    let place = |place: &Place| {
        let time = place.time.strftime("%H:%M:%S");
        Some(format!("{time} {} {}", place.latitude, place.longitude))
    };
    let fix = |fix: &Option<Fix>| {
        fix.as_ref()
            .map(|fix| format!("{} {} {}", fix.time, fix.lat, fix.lon))
    };
    [
        differ("fixes", Some(&ours.fixes), theirs.fixes.as_ref()),
        differ(
            "date",
            Some(&ours.date),
            theirs
                .date
                .as_ref()
                .map(|date| date.parse().unwrap())
                .as_ref(),
        ),
        differ("glider", ours.glider.kind.as_ref(), theirs.glider.as_ref()),
        differ(
            "altitude",
            ours.max_gps_altitude_m.as_ref(),
            theirs.max_gps_alt.as_ref(),
        ),
        differ(
            "first fix",
            place(&ours.first_fix).as_ref(),
            fix(&theirs.first).as_ref(),
        ),
        differ(
            "last fix",
            place(&ours.last_fix).as_ref(),
            fix(&theirs.last).as_ref(),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn as_igc_parser(ours: &Summary, theirs: &IgcParser) -> Vec<String> {
    // It gives up on a file with fewer fixes than it likes.
    if theirs.fixes.is_none() {
        return Vec::new();
    }
    [
        differ("fixes", Some(&ours.fixes), theirs.fixes.as_ref()),
        differ("date", Some(&ours.date), theirs.date.as_ref()),
        differ(
            "first fix",
            Some(&ours.first_fix.time),
            theirs.first.as_ref(),
        ),
        differ("last fix", Some(&ours.last_fix.time), theirs.last.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn as_igc_lib(ours: &Summary, theirs: &IgcLib, tolerance: i64) -> Vec<String> {
    if !theirs.valid {
        return Vec::new();
    }
    let seconds = |place: Option<Place>| place.map(|place| place.time.as_second());
    let (takeoff, landing) = (seconds(ours.takeoff), seconds(ours.landing));
    assert_eq!(
        ours.duration_s,
        landing
            .zip(takeoff)
            .map(|(landing, takeoff)| landing - takeoff)
    );
    [
        ("takeoff", takeoff, theirs.takeoff),
        ("landing", landing, theirs.landing),
    ]
    .into_iter()
    .filter(|(_, ours, theirs)| {
        ours.zip(*theirs)
            .is_none_or(|(ours, theirs)| (ours - theirs).abs() > tolerance)
    })
    .map(|(what, ours, theirs)| format!("{what}: ours {ours:?}, theirs {theirs:?}"))
    .collect()
}

fn differ<T: PartialEq + Debug>(
    what: &str,
    ours: Option<&T>,
    theirs: Option<&T>,
) -> Option<String> {
    (ours != theirs).then(|| format!("{what}: ours {ours:?}, theirs {theirs:?}"))
}

#[test]
fn every_exception_is_about_a_file_that_exists_and_gives_its_reason() {
    let files: Vec<String> = entries().into_iter().map(|entry| entry.file).collect();
    let to_the_second = NOT_TO_THE_SECOND
        .iter()
        .map(|(file, _, reason)| (*file, *reason));
    let others = [NOT_AS_AEROFILES, NOT_AS_IGC_LIB, NOT_AS_IGC_PARSER].concat();
    for (file, reason) in others.into_iter().chain(to_the_second) {
        assert!(files.iter().any(|known| known == file), "{file}");
        assert!(reason.len() > 20, "{file}");
    }
}

fn tolerance(file: &str) -> i64 {
    let entry = NOT_TO_THE_SECOND.iter().find(|(name, ..)| *name == file);
    entry.map_or(0, |(_, seconds, _)| *seconds)
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
