//! Usual interval between the readings of one meter, learned from their times.

use jiff::Timestamp;

/// Readings closer than this belong to one transmission.
const SAME_TRANSMISSION_S: f64 = 0.5;
/// Number of intervals over which the mean is taken: few, so that another interval is learned soon.
const MEMORY: f64 = 16.0;
/// An interval counts as this many usual ones at most, so that one outage does not make a meter a rare one.
const LONGEST: f64 = 4.0;

/// Estimator of the mean interval between the receptions of a meter: lost transmissions lengthen it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UsualInterval {
    seconds: f64,
    /// Intervals learned from, up to [`MEMORY`].
    count: f64,
}

impl UsualInterval {
    /// Learns from two successive readings.
    pub fn learn(&mut self, before: Timestamp, at: Timestamp) {
        let gap = at.duration_since(before).as_secs_f64();
        // Or the clock was set back.
        if gap < SAME_TRANSMISSION_S {
            return;
        }
        let gap = match self.seconds() {
            Some(usual) => gap.min(LONGEST * usual),
            None => gap,
        };
        self.count = (self.count + 1.0).min(MEMORY);
        self.seconds += (gap - self.seconds) / self.count;
    }

    /// Mean interval in seconds, once there is one.
    pub fn seconds(&self) -> Option<f64> {
        (self.count > 0.0).then_some(self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(times: &[f64]) -> Option<f64> {
        let at = |seconds: f64| Timestamp::from_millisecond((seconds * 1e3) as i64).unwrap();
        let mut interval = UsualInterval::default();
        times
            .windows(2)
            .for_each(|pair| interval.learn(at(pair[0]), at(pair[1])));
        interval.seconds()
    }

    #[test]
    fn given_readings_then_their_mean_interval_is_learned_and_a_repeated_one_is_none() {
        assert_eq!(learned(&[0.0]), None);
        assert_eq!(learned(&[0.0, 0.1]), None);
        assert_eq!(learned(&[0.0, 60.0, 60.2, 120.2]), Some(60.0));
        assert_eq!(learned(&[0.0, 30.0, 90.0]), Some(45.0));
    }

    #[test]
    fn given_an_outage_then_the_interval_stays_of_the_same_order() {
        let mut times: Vec<f64> = (0..20).map(|i| f64::from(i) * 10.0).collect();
        times.push(100_000.0);
        let interval = learned(&times).unwrap();
        assert!((10.0..12.0).contains(&interval), "{interval}");
    }

    #[test]
    fn given_a_meter_that_transmits_more_often_than_before_then_that_is_learned() {
        let slow = (0..20).map(|i| f64::from(i) * 900.0);
        let fast = (1..60).map(|i| 19.0 * 900.0 + f64::from(i));
        let interval = learned(&slow.chain(fast).collect::<Vec<_>>()).unwrap();
        assert!(interval < 30.0, "{interval}");
    }
}
