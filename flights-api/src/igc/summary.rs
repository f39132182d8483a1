//! What is kept of a log beside its bytes.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::airborne;
use super::log::{Fix, Log, Quality};

/// A flight as its log tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The day on which the log begins, UTC (HFDTE).
    pub date: Date,
    /// The pilot's name (HFPLT), as the recorder has it.
    pub pilot: Option<String>,
    /// The aircraft.
    pub glider: Glider,
    /// The flight recorder.
    pub recorder: Recorder,
    /// The number of fixes (B records that can be read).
    pub fixes: usize,
    /// The first fix of the log.
    pub first_fix: Place,
    /// The last fix of the log.
    pub last_fix: Place,
    /// Where and when the flight began: the takeoff, or the first fix of a log that
    /// begins less than five minutes before it. None where the log holds no flight.
    pub takeoff: Option<Place>,
    /// Where and when it landed: the first fix on the ground, or the last fix of a
    /// log that ends in the air.
    pub landing: Option<Place>,
    /// Seconds from takeoff to landing.
    pub duration_s: Option<i64>,
    /// The greatest GNSS altitude in metres among the three-dimensional fixes.
    pub max_gps_altitude_m: Option<i16>,
    /// The greatest pressure altitude in metres (ICAO standard atmosphere); none
    /// where the recorder has no sensor, that is, where it is 0 in every fix.
    pub max_pressure_altitude_m: Option<i16>,
}

/// An aircraft, by the log's header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glider {
    /// The type (HFGTY), such as `ASG 29E 18m`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The registration (HFGID).
    pub id: Option<String>,
}

/// A flight recorder, by the log's header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorder {
    /// Maker and model (HFFTY), such as `LXNAV,LX9000F`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The maker's code and the serial number (A record), such as `LXV79M`.
    pub id: Option<String>,
}

/// A position at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The instant, to the second.
    pub time: Timestamp,
    /// Degrees WGS84, north positive, six decimals (an IGC file has 1.9 m).
    pub latitude: f64,
    /// Degrees WGS84, east positive, six decimals.
    pub longitude: f64,
}

pub(super) fn summarise(log: &Log) -> Summary {
    let Log {
        header,
        date,
        fixes,
    } = log;
    let flight = airborne::flight(fixes);
    let three_d = fixes.iter().filter(|fix| fix.quality == Quality::ThreeD);
    let pressure = fixes.iter().map(|fix| fix.pressure_altitude);
    let has_sensor = fixes.iter().any(|fix| fix.pressure_altitude != 0);
    Summary {
        date: *date,
        pilot: header.pilot.clone(),
        glider: Glider {
            kind: header.glider_type.clone(),
            id: header.glider_id.clone(),
        },
        recorder: Recorder {
            kind: header.recorder_type.clone(),
            id: header.recorder_id.clone(),
        },
        fixes: fixes.len(),
        // A log has at least one fix: `Log::parse` refuses the others.
        first_fix: place(&fixes[0]),
        last_fix: place(&fixes[fixes.len() - 1]),
        takeoff: flight.map(|(takeoff, _)| place(&takeoff)),
        landing: flight.map(|(_, landing)| place(&landing)),
        duration_s: flight.map(|(takeoff, landing)| landing.time - takeoff.time),
        max_gps_altitude_m: three_d.map(|fix| fix.gps_altitude).max(),
        max_pressure_altitude_m: pressure.max().filter(|_| has_sensor),
    }
}

fn place(fix: &Fix) -> Place {
    let six = |degrees: f64| (degrees * 1e6).round() / 1e6;
    Place {
        // Dates are of 1990 to 2089, and 10 MiB hold 300,000 midnights at most:
        // the instant is always within jiff's years.
        time: Timestamp::from_second(fix.time).unwrap_or(Timestamp::MAX),
        latitude: six(fix.latitude),
        longitude: six(fix.longitude),
    }
}
