//! When the aircraft was in the air.
//!
//! A fix is *fast* if the aircraft came to it at more than 15 km/h over ground.
//! One fast fix is no flight (GPS jitter), nor is one slow fix a landing (a glider
//! in wind), so every fix is labelled standing or flying such that the whole costs
//! least: a label that contradicts its fix costs [`LIE`], a change of label costs
//! [`CHANGE`], and a log that begins in flight costs another [`LIE`]. That is the
//! most probable path of a hidden Markov model in which one fix in five lies about
//! the state and the state changes once in two thousand fixes, with every
//! probability as its negative logarithm: the model (and its numbers) with which
//! `igc_lib` finds takeoff and landing, so pilots see here what they see there.
//! As there, less than five minutes on the ground before a flown stretch belong to
//! the flight: between two stretches they are no landing, and at the beginning of
//! the log, where recorders wake up late, the flight begins with the log.

use super::log::{Fix, Quality};

/// Kilometres per hour over ground above which a fix is fast.
const FAST_KMH: f64 = 15.0;

/// What a label that contradicts its fix costs: ln(0.8 / 0.2), as the unit. Whole
/// numbers, so that ties are ties: of two landings that cost the same the later
/// one counts, of two takeoffs the earlier one.
const LIE: i64 = 1_000_000;

/// What a change of label costs: ln(0.9995 / 0.0005), in that unit.
const CHANGE: i64 = 5_482_531;

/// Seconds on the ground from which a stop is a landing.
const SHORTEST_STOP: i64 = 5 * 60;

const EARTH_RADIUS_KM: f64 = 6371.0;

/// The fix at which the flight began, and the fix at which it had ended (the
/// first on the ground, or the last of a log that ends in the air). None where
/// nothing flew.
pub(super) fn flight(fixes: &[Fix]) -> Option<(Fix, Fix)> {
    let track = usable(fixes);
    let flying = without_short_stops(&track, label(&fast(&track)));
    let takeoff = flying.iter().position(|flying| *flying)?;
    let last = flying.iter().rposition(|flying| *flying)?;
    let landing = track.get(last + 1).unwrap_or(&track[last]);
    Some((track[takeoff], *landing))
}

/// The fixes that say where the aircraft was, and that move the clock on.
fn usable(fixes: &[Fix]) -> Vec<Fix> {
    let mut track: Vec<Fix> = Vec::with_capacity(fixes.len());
    for fix in fixes {
        if fix.quality == Quality::ThreeD && track.last().is_none_or(|last| last.time < fix.time) {
            track.push(*fix);
        }
    }
    track
}

fn fast(track: &[Fix]) -> Vec<bool> {
    let came_fast = track
        .windows(2)
        .map(|pair| speed_kmh(&pair[0], &pair[1]) > FAST_KMH);
    std::iter::once(false)
        .chain(came_fast)
        .take(track.len())
        .collect()
}

fn speed_kmh(from: &Fix, to: &Fix) -> f64 {
    // A log spans years at most: seconds fit a double many times over.
    #[allow(clippy::cast_precision_loss)]
    let hours = (to.time - from.time) as f64 / 3600.0;
    distance_km(from, to) / hours
}

/// Great-circle distance on a sphere (haversine).
fn distance_km(from: &Fix, to: &Fix) -> f64 {
    let (lat1, lat2) = (from.latitude.to_radians(), to.latitude.to_radians());
    let half_north = (lat2 - lat1) / 2.0;
    let half_east = (to.longitude - from.longitude).to_radians() / 2.0;
    let a = half_north.sin().powi(2) + lat1.cos() * lat2.cos() * half_east.sin().powi(2);
    2.0 * EARTH_RADIUS_KM * a.sqrt().min(1.0).asin()
}

/// The cheapest labelling: true where flying. The costs of the cheapest way to
/// each state are carried forward, with a note of where each came from; the notes
/// are then followed back.
fn label(fast: &[bool]) -> Vec<bool> {
    let mut came_from_other = Vec::with_capacity(fast.len());
    let (mut standing, mut flying) = (0, LIE);
    for (index, fast) in fast.iter().enumerate() {
        let took_off = index > 0 && standing + CHANGE < flying;
        let landed = index > 0 && flying + CHANGE <= standing;
        came_from_other.push((landed, took_off));
        let (stood, flew) = (standing, flying);
        standing = if landed { flew + CHANGE } else { stood } + if *fast { LIE } else { 0 };
        flying = if took_off { stood + CHANGE } else { flew } + if *fast { 0 } else { LIE };
    }
    let mut labels = vec![false; fast.len()];
    let mut state = flying <= standing;
    for (label, (landed, took_off)) in labels.iter_mut().zip(came_from_other).rev() {
        *label = state;
        if if state { took_off } else { landed } {
            state = !state;
        }
    }
    labels
}

/// Fills every stop before a flown stretch that was shorter than a landing.
fn without_short_stops(track: &[Fix], mut flying: Vec<bool>) -> Vec<bool> {
    let mut stop_began: Option<usize> = None;
    for index in 0..flying.len() {
        if flying[index] {
            if let Some(begin) = stop_began.take()
                && track[index].time - track[begin].time < SHORTEST_STOP
            {
                flying[begin..index].fill(true);
            }
        } else if stop_began.is_none() {
            stop_began = Some(index);
        }
    }
    flying
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of one fix per second that moves by 10 m or not at all.
    fn log(seconds: &[(bool, usize)]) -> Vec<Fix> {
        let (mut time, mut latitude) = (0, 47.0);
        let mut fixes = Vec::new();
        for (moves, count) in seconds {
            for _ in 0..*count {
                time += 1;
                latitude += if *moves { 0.000_09 } else { 0.0 };
                fixes.push(Fix {
                    time,
                    latitude,
                    longitude: 8.0,
                    quality: Quality::ThreeD,
                    gps_altitude: 500,
                    pressure_altitude: 500,
                });
            }
        }
        fixes
    }

    fn times(fixes: &[Fix]) -> Option<(i64, i64)> {
        flight(fixes).map(|(takeoff, landing)| (takeoff.time, landing.time))
    }

    #[test]
    fn a_flight_is_what_moves_between_standing() {
        assert_eq!(
            times(&log(&[(false, 400), (true, 600), (false, 60)])),
            Some((401, 1001))
        );
    }

    #[test]
    fn jitter_is_no_flight_and_a_gust_no_landing() {
        assert_eq!(times(&log(&[(false, 400), (true, 3), (false, 60)])), None);
        assert_eq!(
            times(&log(&[(false, 400), (true, 300), (false, 5), (true, 300)])),
            Some((401, 1005))
        );
    }

    #[test]
    fn less_than_five_minutes_on_the_ground_belong_to_the_flight() {
        assert_eq!(
            times(&log(&[(false, 290), (true, 600), (false, 60)])),
            Some((1, 891))
        );
        let flying = |pause| {
            let track = log(&[
                (false, 400),
                (true, 200),
                (false, pause),
                (true, 200),
                (false, 30),
            ]);
            let flying = without_short_stops(&track, label(&fast(&track)));
            flying.iter().filter(|flying| **flying).count()
        };
        assert_eq!(flying(298), 698);
        assert_eq!(flying(301), 400);
    }

    #[test]
    fn the_flight_is_from_the_first_takeoff_to_the_last_landing() {
        let two = log(&[
            (false, 400),
            (true, 200),
            (false, 900),
            (true, 200),
            (false, 30),
        ]);
        assert_eq!(times(&two), Some((401, 1701)));
    }

    #[test]
    fn doubtful_fixes_and_fixes_that_turn_the_clock_back_do_not_move_the_aircraft() {
        let mut fixes = log(&[(false, 120)]);
        for index in (1..120).step_by(2) {
            fixes[index].quality = Quality::Doubtful;
            fixes[index].latitude = 0.0;
        }
        for index in (0..120).step_by(10) {
            fixes.push(Fix {
                latitude: 10.0,
                ..fixes[index]
            });
        }
        assert_eq!(times(&fixes), None);
        assert_eq!(times(&[]), None);
    }

    #[test]
    fn a_change_costs_what_the_probabilities_say() {
        let in_lies = (0.9995f64 / 0.0005).ln() / (0.8f64 / 0.2).ln();
        assert_eq!(format!("{in_lies:.6}"), "5.482531");
        assert_eq!((LIE, CHANGE), (1_000_000, 5_482_531));
    }
}
