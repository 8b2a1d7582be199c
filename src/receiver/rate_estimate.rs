//! Estimate of the sample rate that a source really has, over minutes.
//!
//! A source whose rate is off by half a percent looks healthy and delivers nothing that can be decoded: the chips of a
//! frame slip. A server that was started at 2.4 MS/s and ignores commands is such a source. A network delivers in bursts, so that
//! only long measurements tell, and only two that agree: a server that caught up in one of them has the right rate.

use std::time::{Duration, Instant};

/// Time after the start that does not count: a server sends what it has kept.
const SETTLE: Duration = Duration::from_secs(5);
/// Length of a measurement.
const SPAN: Duration = Duration::from_secs(30);
/// Relative error that makes frames undecodable, and what bursts may add to it in one measurement.
const TOLERANCE: f64 = 0.004 + 0.3 / 30.0;
/// Largest relative difference of two measurements that agree.
const AGREEMENT: f64 = 0.01;
/// Rates that programs use, in samples a second.
const CUSTOMARY_HZ: [f64; 14] = [
    250e3,
    1e6,
    1.024e6,
    1.2e6,
    1.4e6,
    1.8e6,
    1.92e6,
    2e6,
    2.048e6,
    2.16e6,
    2_359_296.0,
    2.4e6,
    2.56e6,
    3.2e6,
];

/// Measures one connection to a source.
pub struct RateEstimate {
    nominal_hz: f64,
    sample_bytes: f64,
    span_began: Instant,
    bytes: u64,
    is_settled: bool,
    /// Measurement before this one, if it was off.
    before_hz: Option<f64>,
    is_reported: bool,
}

impl RateEstimate {
    /// Starts to measure a source of this rate and sample size, opened at `now`.
    pub fn new(nominal_hz: f64, sample_bytes: usize, now: Instant) -> Self {
        RateEstimate {
            nominal_hz,
            sample_bytes: sample_bytes as f64,
            span_began: now,
            bytes: 0,
            is_settled: false,
            before_hz: None,
            is_reported: false,
        }
    }

    /// Takes so many bytes at `now`; returns the true rate, in samples a second, once it is certain that it is not the nominal one.
    pub fn add(&mut self, bytes: usize, now: Instant) -> Option<f64> {
        let span = now - self.span_began;
        self.bytes += bytes as u64;
        if !self.is_settled {
            if span >= SETTLE {
                (self.is_settled, self.span_began, self.bytes) = (true, now, 0);
            }
            return None;
        }
        if span < SPAN {
            return None;
        }
        let measured_hz = self.bytes as f64 / self.sample_bytes / span.as_secs_f64();
        (self.span_began, self.bytes) = (now, 0);
        let is_off = (measured_hz / self.nominal_hz - 1.0).abs() > TOLERANCE;
        let before_hz = std::mem::replace(&mut self.before_hz, is_off.then_some(measured_hz));
        let mean_hz = (measured_hz + before_hz?) / 2.0;
        let agrees = (measured_hz / before_hz? - 1.0).abs() < AGREEMENT;
        if !is_off || !agrees || std::mem::replace(&mut self.is_reported, true) {
            return None;
        }
        let customary = CUSTOMARY_HZ
            .into_iter()
            .find(|hz| (mean_hz / hz - 1.0).abs() < AGREEMENT / 2.0);
        Some(customary.unwrap_or((mean_hz / 1000.0).round() * 1000.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports of three minutes of a source that delivers `seconds(i)` worth of 2.4 MS/s in each second.
    fn reports(nominal_hz: f64, seconds: impl Fn(u64) -> f64) -> Vec<f64> {
        let mut now = Instant::now();
        let mut estimate = RateEstimate::new(nominal_hz, 2, now);
        let report = |i| {
            now += Duration::from_secs(1);
            estimate.add((4.8e6 * seconds(i)) as usize, now)
        };
        (0..180).filter_map(report).collect()
    }

    #[test]
    fn given_another_rate_then_it_is_reported_once_as_people_write_it() {
        assert_eq!(reports(2_359_296.0, |_| 1.0), [2.4e6]);
        assert_eq!(reports(2.4e6, |_| 1.0), [0.0; 0]);
        assert_eq!(reports(2.4e6, |_| 1.001), [0.0; 0], "frames survive that");
    }

    #[test]
    fn given_bursts_or_a_server_that_catches_up_then_nothing_is_reported() {
        let bursts = |i| if i % 2 == 0 { 1.25 } else { 0.75 };
        assert_eq!(reports(2.4e6, bursts), [0.0; 0]);
        let catches_up = |i| if i == 50 { 4.0 } else { 1.0 };
        assert_eq!(reports(2.4e6, catches_up), [0.0; 0]);
    }
}
