//! Wall-clock time of samples, computed from their numbers.

use crate::runtime::Moment;
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Span of the delays of which one minimum is kept, in seconds.
const SPAN_S: f64 = 2.0;
/// Spans remembered: half a minute, in which a crystal that is wrong by 100 ppm drifts by 3 ms.
const SPANS: usize = 15;
/// Rise of the smallest delay from those before to that of a span, in seconds, that is no drift: samples were lost without
/// notice, or the path from the source became longer.
const STEP_S: f64 = 0.010;
/// Observations of a span that are needed to believe its smallest delay: a few blocks may all be late.
const MIN_OBSERVATIONS: u32 = 16;

/// Maps sample numbers to wall-clock time.
///
/// Sample numbers are free of jitter but drift with the crystal of the source. The moment at which a block of samples was
/// read does not drift but follows the samples by a delay that varies with USB, network and scheduling, and is never
/// negative. The smallest difference of the two over the last half minute is therefore the best estimate of what relates
/// them: it follows the drift, and ignores blocks that are late.
///
/// All of this is measured in monotonic time. The wall clock is applied last, as it stood when the newest block was read,
/// so that a clock that is set, or goes on while the machine is suspended, changes the times of the samples at once.
#[derive(Clone, Debug)]
pub struct SampleClock {
    sample_rate_hz: f64,
    reference: Reference,
}

#[derive(Clone, Debug)]
enum Reference {
    /// A recording has a start and no observations: time of a sample, and its number.
    Recording(Timestamp, u64),
    /// A live source that was not observed since its start or the last gap.
    Unknown,
    Live(Observed),
}

/// Observations of a live source since its last gap.
#[derive(Clone, Debug)]
struct Observed {
    /// Origin of all durations: the first observation.
    epoch: Instant,
    /// Both clocks at the newest observation.
    newest: Moment,
    /// Smallest offset of each span, oldest first; never empty, and at most [`SPANS`].
    spans: VecDeque<Span>,
}

/// The smallest offset among the observations of one span of time.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// Number of the span since the epoch.
    number: u64,
    /// Seconds from the epoch to sample 0, as counted back from an observation.
    offset_s: f64,
    observations: u32,
}

impl Span {
    fn new(number: u64, offset_s: f64) -> Self {
        Span {
            number,
            offset_s,
            observations: 1,
        }
    }
}

impl SampleClock {
    /// Returns the clock of a recording, or of a part of one, whose sample number `first` was taken at `start`.
    pub fn for_recording(sample_rate_hz: f64, start: Timestamp, first: u64) -> Self {
        SampleClock {
            sample_rate_hz,
            reference: Reference::Recording(start, first),
        }
    }

    /// Returns the clock of a live source, which shows no time before its first observation.
    pub fn for_live(sample_rate_hz: f64) -> Self {
        SampleClock {
            sample_rate_hz,
            reference: Reference::Unknown,
        }
    }

    /// Observes that a block of `samples`, the first of which is number `first`, was complete at `read_at`.
    pub fn observe(&mut self, first: u64, samples: u64, read_at: Moment) {
        let end_s = (first + samples) as f64 / self.sample_rate_hz;
        match &mut self.reference {
            Reference::Recording(..) => {}
            Reference::Unknown => {
                self.reference = Reference::Live(Observed {
                    epoch: read_at.instant,
                    newest: read_at,
                    spans: VecDeque::from([Span::new(0, -end_s)]),
                });
            }
            Reference::Live(observed) => observed.add(end_s, read_at),
        }
    }

    /// Forgets the observations of a live source: after a gap, sample numbers do not measure time.
    pub fn reset(&mut self) {
        if matches!(self.reference, Reference::Live(_)) {
            self.reference = Reference::Unknown;
        }
    }

    /// Returns when sample number `sample` was taken, to the microsecond; nothing before the first observation.
    pub fn time_of(&self, sample: u64) -> Option<Timestamp> {
        let sample_s = sample as f64 / self.sample_rate_hz;
        match &self.reference {
            Reference::Unknown => None,
            // Frames begun before the part reach back beyond its start.
            Reference::Recording(start, first) => {
                Some(after(*start, sample_s - *first as f64 / self.sample_rate_hz))
            }
            Reference::Live(observed) => {
                let since_newest_s = sample_s + observed.offset_s() - observed.newest_s();
                Some(after(observed.newest.timestamp, since_newest_s))
            }
        }
    }
}

impl Observed {
    /// Adds the observation that the sample `end_s` seconds after sample 0 was taken before `read_at`.
    fn add(&mut self, end_s: f64, read_at: Moment) {
        self.newest = read_at;
        let (number, offset_s) = ((self.newest_s() / SPAN_S) as u64, self.newest_s() - end_s);
        match self.spans.back_mut() {
            Some(span) if span.number == number => {
                span.offset_s = span.offset_s.min(offset_s);
                span.observations += 1;
            }
            _ => {
                self.drop_before_step();
                if self.spans.len() == SPANS {
                    self.spans.pop_front();
                }
                self.spans.push_back(Span::new(number, offset_s));
            }
        }
        // Spans without observations do not count: the limit is one of age.
        let is_old = |span: &Span| span.number + (SPANS as u64) <= number;
        while self.spans.front().is_some_and(is_old) {
            self.spans.pop_front();
        }
    }

    /// Forgets all spans but the last one, which is complete, if it lies a step behind the others.
    fn drop_before_step(&mut self) {
        let Some(last) = self.spans.back().copied() else {
            return;
        };
        if last.observations >= MIN_OBSERVATIONS && last.offset_s - self.offset_s() > STEP_S {
            self.spans = VecDeque::from([last]);
        }
    }

    /// Smallest offset of all spans.
    fn offset_s(&self) -> f64 {
        self.spans
            .iter()
            .map(|span| span.offset_s)
            .fold(f64::INFINITY, f64::min)
    }

    /// Seconds from the epoch to the newest observation.
    fn newest_s(&self) -> f64 {
        let since_epoch: Duration = self.newest.instant.saturating_duration_since(self.epoch);
        since_epoch.as_secs_f64()
    }
}

/// Returns `time` plus `seconds`, to the microsecond.
fn after(time: Timestamp, seconds: f64) -> Timestamp {
    let micros = (seconds * 1e6).round() as i64;
    time.checked_add(SignedDuration::from_micros(micros))
        .unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Clock;

    const RATE_HZ: f64 = 1e6;
    /// Samples of a block: 50 ms.
    const BLOCK: u64 = 50_000;
    /// A live source with a crystal that is wrong, in a machine whose clock can be set.
    struct Machine {
        begun: Moment,
        /// Seconds by which the wall clock was set.
        clock_set_s: f64,
        ppm: f64,
        clock: SampleClock,
    }

    impl Machine {
        fn new(ppm: f64) -> Self {
            Machine {
                begun: Clock::simulated(at(0.0)).moment(),
                clock_set_s: 0.0,
                ppm,
                clock: SampleClock::for_live(RATE_HZ),
            }
        }

        /// True duration of `samples`.
        fn duration_s(&self, samples: u64) -> f64 {
            samples as f64 / (RATE_HZ * (1.0 + self.ppm * 1e-6))
        }

        /// Reads the block that begins with sample `first`, `late_s` after its end; returns the error of the clock.
        fn read(&mut self, first: u64, late_s: f64) -> f64 {
            let read_s = self.duration_s(first + BLOCK) + late_s;
            let read_at = Moment {
                instant: self.begun.instant + Duration::from_secs_f64(read_s),
                timestamp: at(read_s + self.clock_set_s),
            };
            self.clock.observe(first, BLOCK, read_at);
            let taken = at(self.duration_s(first) + self.clock_set_s);
            let shown = self.clock.time_of(first).unwrap();
            shown.duration_since(taken).as_secs_f64()
        }
    }

    fn at(seconds: f64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs_f64(1e9 + seconds)
    }

    /// Delay of a block: some milliseconds, and 300 ms at times, as over a network; from 0 to 1 by `random`.
    fn late_s(random: &mut fastrand::Rng) -> f64 {
        let is_stalled = random.u8(..) < 10;
        random.f64() * if is_stalled { 0.3 } else { 0.015 }
    }

    #[test]
    fn given_a_recording_then_time_counts_from_its_start_and_nothing_moves_it() {
        let mut clock = SampleClock::for_recording(RATE_HZ, at(1000.0), 0);
        clock.observe(0, BLOCK, Clock::simulated(at(5.0)).moment());
        clock.reset();
        assert_eq!(clock.time_of(2_500_000), Some(at(1002.5)));
    }

    #[test]
    fn given_a_live_source_then_a_block_ends_when_it_was_read() {
        let mut machine = Machine::new(0.0);
        assert_eq!(machine.clock.time_of(0), None);
        assert!(machine.read(0, 0.0).abs() < 2e-6);
        assert!(machine.read(BLOCK, 0.0).abs() < 2e-6);
    }

    #[test]
    fn given_a_crystal_that_drifts_and_blocks_that_are_late_then_times_stay_within_20_ms_for_days() {
        let mut random = fastrand::Rng::with_seed(7);
        for ppm in [-120.0, -40.0, 1.0, 40.0, 120.0] {
            let mut machine = Machine::new(ppm);
            let mut worst = 0f64;
            // A minute of each hour of three days; its first two seconds are for finding the smallest delay again.
            for block in (0..72).flat_map(|hour| (0..1200).map(move |block| (hour, block))) {
                let error = machine.read((block.0 * 72_000 + block.1) * BLOCK, late_s(&mut random));
                worst = if block.1 < 40 {
                    worst
                } else {
                    worst.max(error.abs())
                };
            }
            assert!(worst < 0.020, "{ppm} ppm: {worst} s");
        }
    }

    #[test]
    fn given_a_wall_clock_that_is_set_or_a_suspended_machine_then_time_follows_at_once() {
        let mut machine = Machine::new(40.0);
        let mut random = fastrand::Rng::with_seed(8);
        for block in 0..4000 {
            machine.clock_set_s = match block {
                0..1000 => 0.0,
                1000..2000 => 86_400.0,
                2000..3000 => -3600.0,
                // Monotonic time does not go on in suspend.
                _ => 28_800.0,
            };
            let error = machine.read(block * BLOCK, late_s(&mut random));
            assert!(block < 40 || error.abs() < 0.020, "{block}: {error} s");
        }
    }

    #[test]
    fn given_samples_that_were_lost_without_notice_then_time_is_right_again_within_seconds() {
        let mut machine = Machine::new(-40.0);
        let mut random = fastrand::Rng::with_seed(9);
        for block in 0..2000 {
            // From block 1000 on, each sample was taken 170 ms later than its number says.
            let lost_s = if block < 1000 { 0.0 } else { 0.170 };
            let error = machine.read(block * BLOCK, lost_s + late_s(&mut random)) - lost_s;
            let is_known = (40..1000).contains(&block) || block >= 1100;
            assert!(!is_known || error.abs() < 0.020, "{block}: {error} s");
        }
    }

    #[test]
    fn given_a_gap_then_the_next_block_sets_the_time() {
        let mut machine = Machine::new(0.0);
        machine.read(0, 0.0);
        machine.clock.reset();
        assert_eq!(machine.clock.time_of(BLOCK), None);
        assert!((machine.read(BLOCK, 0.8) - 0.8).abs() < 2e-6);
    }

    #[test]
    fn given_two_dongles_80_ppm_apart_then_the_times_of_one_packet_agree_after_days() {
        let mut random = fastrand::Rng::with_seed(10);
        let mut machines = [Machine::new(-40.0), Machine::new(40.0)];
        for hour in [1, 4, 12, 48, 100] {
            let sent_s = f64::from(hour) * 3600.0;
            let times = machines.each_mut().map(|machine| {
                let sample = (sent_s * RATE_HZ * (1.0 + machine.ppm * 1e-6)) as u64;
                for block in (0..200).rev() {
                    machine.read(sample - block * BLOCK, late_s(&mut random));
                }
                machine.clock.time_of(sample).unwrap()
            });
            let apart = times[0].duration_since(times[1]).abs();
            assert!(
                apart < SignedDuration::from_millis(20),
                "{apart:?} after {hour} h"
            );
        }
    }
}
