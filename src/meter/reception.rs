//! Reception of one meter over the last two days: readings and mean signal in each hour.

use jiff::Timestamp;
use std::collections::VecDeque;

/// Hours kept, which bounds the memory of a meter to some kilobytes.
const HOURS: usize = 48;

/// Receptions in one hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HourOfReception {
    /// Begin of the hour in seconds since 1970.
    pub begin: i64,
    /// Number of readings.
    pub count: u32,
    /// Sum of their signal-to-noise ratios in dB, and the number of readings that have one.
    snr_sum: (f64, u32),
}

impl HourOfReception {
    /// Mean signal-to-noise ratio in dB; `None` on a wire.
    pub fn snr_db(&self) -> Option<f64> {
        let (sum, count) = self.snr_sum;
        (count > 0).then(|| sum / f64::from(count))
    }
}

/// Receptions by hour, oldest first; hours without any are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reception(VecDeque<HourOfReception>);

impl Reception {
    /// Counts a reading.
    pub fn add(&mut self, at: Timestamp, snr_db: Option<f64>) {
        let begin = at.as_second().div_euclid(3600) * 3600;
        // Of a late reading, or after the clock was set back, the newest hour is counted up.
        if self.0.back().is_none_or(|newest| newest.begin < begin) {
            self.0.push_back(HourOfReception {
                begin,
                count: 0,
                snr_sum: (0.0, 0),
            });
        }
        let oldest = begin - (HOURS as i64 - 1) * 3600;
        while self.0.len() > 1 && self.0.front().is_some_and(|hour| hour.begin < oldest) {
            self.0.pop_front();
        }
        if let Some(hour) = self.0.back_mut() {
            hour.count = hour.count.saturating_add(1);
            if let Some(snr_db) = snr_db {
                hour.snr_sum = (hour.snr_sum.0 + snr_db, hour.snr_sum.1.saturating_add(1));
            }
        }
    }

    /// Hours with a reading, oldest first.
    pub fn hours(&self) -> impl Iterator<Item = &HourOfReception> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reception(readings: &[(i64, Option<f64>)]) -> Vec<(i64, u32, Option<f64>)> {
        let mut reception = Reception::default();
        for (second, snr) in readings {
            reception.add(Timestamp::from_second(*second).unwrap(), *snr);
        }
        let hours = reception.hours();
        hours
            .map(|hour| (hour.begin, hour.count, hour.snr_db()))
            .collect()
    }

    #[test]
    fn given_readings_then_each_hour_has_their_number_and_their_mean_signal() {
        let readings = [
            (10, Some(10.0)),
            (3599, Some(20.0)),
            (3600, None),
            (100, Some(7.0)),
        ];
        // The last is late.
        assert_eq!(reception(&readings), [(0, 2, Some(15.0)), (3600, 2, Some(7.0))]);
    }

    #[test]
    fn given_more_than_two_days_then_the_oldest_hours_are_dropped() {
        let readings: Vec<_> = (0..100).map(|hour| (hour * 3600, None)).collect();
        let hours = reception(&readings);
        assert_eq!((hours.len(), hours[0].0), (48, 52 * 3600));
        assert_eq!(reception(&[(0, None), (1_000_000, None)]).len(), 1);
    }
}
