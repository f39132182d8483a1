//! Latencies counted in buckets whose width grows with the value.
//!
//! The layout of an HDR histogram: 128 buckets for each power of two, so a
//! reported value is at most 0.8 % above the measured one.

use std::time::Duration;

/// 128 buckets for each power of two.
const PRECISION_BITS: u32 = 7;
const BUCKETS: usize = (64 - PRECISION_BITS as usize + 1) << PRECISION_BITS;

/// A count of durations.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The largest, in microseconds.
    pub fn max_us(&self) -> f64 {
        micros(self.max)
    }

    /// The duration, in microseconds, that `per_mille` of a thousand stay within.
    pub fn quantile_us(&self, per_mille: u64) -> f64 {
        let rank = (self.total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return micros(upper_bound(index).min(self.max));
            }
        }
        micros(self.max)
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            max: 0,
        }
    }
}

fn bucket(nanos: u64) -> usize {
    let bits = 64 - nanos.leading_zeros();
    let shift = bits.saturating_sub(PRECISION_BITS + 1);
    // `nanos >> shift` is below 256, and at least 128 unless `shift` is 0.
    (shift as usize * 128) + usize::try_from(nanos >> shift).unwrap_or(usize::MAX)
}

fn upper_bound(index: usize) -> u64 {
    let shift = (index / 128).saturating_sub(1);
    let mantissa = (index - shift * 128) as u64;
    ((mantissa + 1) << shift) - 1
}

#[allow(clippy::cast_precision_loss)] // Exact below 104 days.
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_one_percent_of_the_values_counted() {
        let mut histogram = Histogram::default();
        for micros in 1..=10_000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (per_mille, expected) in [(500, 5_000.0), (990, 9_900.0), (999, 9_990.0)] {
            let got = histogram.quantile_us(per_mille);
            assert!(
                (expected..expected * 1.01).contains(&got),
                "{per_mille}: {got}"
            );
        }
        assert!((histogram.max_us() - 10_000.0).abs() < f64::EPSILON);
    }

    #[test]
    fn every_duration_has_a_bucket_whose_bound_is_not_below_it() {
        for shift in 0..63 {
            for value in [1_u64 << shift, (1 << shift) + 1, (2 << shift) - 1] {
                let index = bucket(value);
                assert!(index < BUCKETS);
                assert!(upper_bound(index) >= value, "{value}");
                assert!(index == 0 || upper_bound(index - 1) < value, "{value}");
            }
        }
    }
}
