//! Wall-clock time of samples, computed from their numbers.

use jiff::{SignedDuration, Timestamp};

/// Difference between the computed and the observed time beyond which the clock is set anew.
const MAX_ERROR: SignedDuration = SignedDuration::from_secs(1);

/// Maps sample numbers to wall-clock time.
///
/// Sample numbers are exact and free of jitter, the moment at which a block of samples was read is neither: it follows
/// the samples by a delay that varies with USB, network and scheduling. So the clock keeps one pair of sample and time,
/// its anchor, and counts from there at the nominal rate; observations only correct it.
#[derive(Clone, Debug)]
pub struct SampleClock {
    sample_rate_hz: f64,
    anchor: Option<Anchor>,
    /// A recording has a start and no observations.
    is_fixed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    sample: u64,
    time: Timestamp,
}

impl SampleClock {
    /// Returns the clock of a recording whose sample 0 was taken at `start`.
    pub fn for_recording(sample_rate_hz: f64, start: Timestamp) -> Self {
        SampleClock {
            sample_rate_hz,
            anchor: Some(Anchor {
                sample: 0,
                time: start,
            }),
            is_fixed: true,
        }
    }

    /// Returns the clock of a live source, which shows no time before its first observation.
    pub fn for_live(sample_rate_hz: f64) -> Self {
        SampleClock {
            sample_rate_hz,
            anchor: None,
            is_fixed: false,
        }
    }

    /// Observes that a block of `samples`, the first of which is number `first`, was complete at `read_at`.
    pub fn observe(&mut self, first: u64, samples: u64, read_at: Timestamp) {
        if self.is_fixed {
            return;
        }
        let observed = Anchor {
            sample: first,
            time: self.after(read_at, -(samples as f64)),
        };
        let is_wrong = |time: Timestamp| time.duration_since(observed.time).abs() > MAX_ERROR;
        if self.time_of(first).is_none_or(is_wrong) {
            self.anchor = Some(observed);
        }
    }

    /// Forgets the observations of a live source: after a gap, sample numbers do not measure time.
    pub fn reset(&mut self) {
        if !self.is_fixed {
            self.anchor = None;
        }
    }

    /// Returns when sample number `sample` was taken, to the microsecond; nothing before the first observation.
    pub fn time_of(&self, sample: u64) -> Option<Timestamp> {
        let anchor = self.anchor?;
        Some(self.after(anchor.time, sample as f64 - anchor.sample as f64))
    }

    /// Returns `time` plus the duration of `samples`; a sample of 2.36 MS/s takes 0.4 µs.
    fn after(&self, time: Timestamp, samples: f64) -> Timestamp {
        let micros = (samples / self.sample_rate_hz * 1e6).round() as i64;
        time.checked_add(SignedDuration::from_micros(micros))
            .unwrap_or(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE_HZ: f64 = 1e6;
    /// Samples of a block: 50 ms.
    const BLOCK: u64 = 50_000;

    fn at(seconds: f64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs_f64(seconds)
    }

    /// Error of `clock` for `sample`, which was taken at `seconds`.
    fn error_s(clock: &SampleClock, sample: u64, seconds: f64) -> f64 {
        let shown = clock.time_of(sample).unwrap();
        shown.duration_since(at(seconds)).as_secs_f64().abs()
    }

    #[test]
    fn given_a_recording_then_time_counts_from_its_start_and_nothing_moves_it() {
        let mut clock = SampleClock::for_recording(RATE_HZ, at(1000.0));
        clock.observe(0, BLOCK, at(5.0));
        clock.reset();
        assert_eq!(clock.time_of(2_500_000), Some(at(1002.5)));
    }

    #[test]
    fn given_a_live_source_then_a_block_ends_when_it_was_read() {
        let mut clock = SampleClock::for_live(RATE_HZ);
        assert_eq!(clock.time_of(0), None);
        clock.observe(0, BLOCK, at(10.05));
        assert_eq!(clock.time_of(0), Some(at(10.0)));
        assert_eq!(clock.time_of(BLOCK), Some(at(10.05)));
    }

    #[test]
    fn given_blocks_that_are_read_late_then_time_does_not_follow_the_delay() {
        let mut clock = SampleClock::for_live(RATE_HZ);
        clock.observe(0, BLOCK, at(0.05));
        for block in 1..1000 {
            let read_at = 0.05 * (block + 1) as f64 + 0.1 * ((block % 7) as f64);
            clock.observe(block * BLOCK, BLOCK, at(read_at));
            assert!(error_s(&clock, block * BLOCK, 0.05 * block as f64) < 1e-6);
        }
    }

    #[test]
    fn given_a_crystal_that_drifts_for_days_then_the_error_stays_below_its_limit() {
        for ppm in [-100.0, -40.0, 40.0, 100.0] {
            let mut clock = SampleClock::for_live(RATE_HZ);
            let true_rate_hz = RATE_HZ * (1.0 + ppm * 1e-6);
            let mut worst = 0f64;
            // One block of each 10 s is enough to see three days of drift.
            for step in 0..3 * 8640 {
                let first = step * 10_000_000;
                let taken = first as f64 / true_rate_hz;
                clock.observe(first, BLOCK, at(taken + BLOCK as f64 / true_rate_hz));
                worst = worst.max(error_s(&clock, first, taken));
            }
            assert!(worst > 0.5, "{ppm} ppm: {worst} s is no drift");
            assert!(worst <= MAX_ERROR.as_secs_f64() + 1e-3, "{ppm} ppm: {worst} s");
        }
    }

    #[test]
    fn given_a_gap_then_the_next_block_sets_the_time() {
        let mut clock = SampleClock::for_live(RATE_HZ);
        clock.observe(0, BLOCK, at(0.05));
        clock.reset();
        assert_eq!(clock.time_of(BLOCK), None);
        clock.observe(BLOCK, BLOCK, at(0.9));
        assert_eq!(clock.time_of(BLOCK), Some(at(0.85)));
    }

    #[test]
    fn given_a_wall_clock_that_is_set_then_time_follows_it() {
        let mut clock = SampleClock::for_live(RATE_HZ);
        clock.observe(0, BLOCK, at(0.05));
        clock.observe(BLOCK, BLOCK, at(86_400.1));
        assert_eq!(clock.time_of(BLOCK), Some(at(86_400.05)));
    }
}
