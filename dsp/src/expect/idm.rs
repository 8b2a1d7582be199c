//! What is known of the next IDM of a meter of which one was received.
//!
//! ```text
//!  bit 0      104     112           232     264                688    704         720   736
//!  ├ preamble ┼ count ┼ status, ... ┼ total ┼ 47 words of 9 bits ┼ time ┼ check of id ┼ check ┤
//!  │ and id   │       │             │       │ newest first    │      │             │       │
//! ```
//!
//! Every five minutes `count` rises by one and the words move on by one. The consumption of the new interval is their first one, and
//! `total` rises by it. `time` is what has passed since, in 1/16 s: 4 800 in an interval.

use super::expectation::Heard;
use super::fields::{bits, set_bits};
use super::idm_fields::{COUNT, ID_CHECK, INTERVAL, INTERVALS, TIME, TOTAL, VALUES, WORDS, interval};
use super::template::Template;
use super::{Expectation, MAX_RISE};
use crate::Protocol;
use crate::fec::encode;

/// Probability that consumption is like that of the intervals before; otherwise any value up to the greatest rise is as likely.
const USUAL: f64 = 0.9;
/// Probability that the time since the interval began is what the clocks say, if the time of the last frame is known. Not all
/// meters may count it alike.
const PUNCTUAL: f64 = 0.5;
/// Probability that the time is less than an interval, otherwise.
const WITHIN_INTERVAL: f64 = 0.999;
/// Clock errors of meter and receiver together.
const CLOCK_ERROR: f64 = 200e-6;

/// Frames of one meter that are expected.
#[derive(Debug)]
pub(crate) struct IdmWords {
    /// As that of [`super::Words`].
    pub revision: u64,
    /// Mean over all that may come.
    pub template: Template,
    /// By the number of intervals completed since the last frame.
    pub shifts: Vec<Shift>,
    pub total: u32,
    pub most_rise: u32,
    /// Prior of the consumption in an interval.
    pub values: Vec<f64>,
    /// When a frame of this meter began, and its time, which the clocks carry on.
    heard: Heard,
}

/// Frame after a number of intervals: total as before, new intervals and time zero, checks to match.
#[derive(Debug)]
pub(crate) struct Shift {
    pub intervals: u32,
    pub frame: [u8; 92],
    pub template: Template,
}

impl IdmWords {
    /// Prepares the frames that may follow the one in `expectation`.
    pub fn new(expectation: &Expectation, revision: u64) -> Self {
        let last = &expectation.frame;
        let total = bits(last, TOTAL) as u32;
        let most_rise = expectation.most_rise.min(MAX_RISE);
        let shifts: Vec<Shift> = expectation
            .intervals
            .clone()
            .map(|intervals| Shift::new(last, intervals, total, most_rise))
            .collect();
        let mut mean = vec![0.0; Protocol::Idm.chips()];
        for shift in &shifts {
            let weights = mean.iter_mut().zip(&shift.template.weights);
            weights.for_each(|(mean, w)| *mean += w / shifts.len() as f32);
        }
        let manchester = mean.len();
        IdmWords {
            revision,
            template: Template::new(mean, manchester),
            shifts,
            total,
            most_rise,
            values: values(last, most_rise),
            heard: expectation.heard,
        }
    }

    /// Fills `prior` with the probability of each time in a frame after `intervals` since the last one, as far as the frame alone tells: the
    /// same for all times within an interval.
    pub fn time_prior(&self, prior: &mut [f64]) {
        let within = WITHIN_INTERVAL / INTERVAL as f64;
        let all = (1.0 - WITHIN_INTERVAL) / prior.len() as f64;
        let share = 1.0 / self.shifts.len() as f64;
        for (time, prior) in prior.iter_mut().enumerate() {
            *prior = share * (all + if (time as i64) < INTERVAL { within } else { 0.0 });
        }
    }

    /// The same for a frame that begins at sample `start`, as far as the clocks tell.
    pub fn time_prior_at(&self, intervals: u32, start: u64, sample_rate_hz: f64, prior: &mut [f64]) {
        self.time_prior(prior);
        let Heard::At { sample, time } = self.heard else {
            return;
        };
        prior.iter_mut().for_each(|prior| *prior *= 1.0 - PUNCTUAL);
        let passed = 16.0 * (start as i64 - sample) as f64 / sample_rate_hz;
        let reach = (1.0 + CLOCK_ERROR * passed.abs()).ceil().min(INTERVAL as f64) as i64;
        let now = time + passed.round() as i64;
        for time in now - reach..=now + reach {
            let is_this = time.div_euclid(INTERVAL) == i64::from(intervals);
            if let Some(prior) = prior
                .get_mut(time.rem_euclid(INTERVAL) as usize)
                .filter(|_| is_this)
            {
                *prior += PUNCTUAL / (2 * reach + 1) as f64;
            }
        }
    }
}

impl Shift {
    fn new(last: &[u8; 92], intervals: u32, total: u32, most_rise: u32) -> Self {
        let mut frame = *last;
        let count = bits(last, COUNT) + u64::from(intervals);
        set_bits(&mut frame, COUNT, count);
        let new = (intervals as usize).min(WORDS);
        for i in 0..WORDS {
            let value = i.checked_sub(new).map_or(0, |old| bits(last, interval(old)));
            set_bits(&mut frame, interval(i), value);
        }
        set_bits(&mut frame, TIME, 0);
        encode(Protocol::Idm, &mut frame);

        let mut weights = vec![0.0; Protocol::Idm.chips()];
        let mut know = |bit: usize, one: f32| {
            weights[2 * bit] = one - 0.5;
            weights[2 * bit + 1] = 0.5 - one;
        };
        let new_bits = INTERVALS.start..INTERVALS.start + 9 * new;
        let known = (0..TOTAL.start)
            .chain(INTERVALS)
            .chain(ID_CHECK)
            .filter(|bit| !new_bits.contains(bit));
        known.for_each(|bit| know(bit, bits(&frame, bit..bit + 1) as f32));
        let rises = if intervals == 0 { 0 } else { most_rise };
        for (i, bit) in TOTAL.enumerate() {
            let ones = (0..=rises).filter(|rise| total.wrapping_add(*rise) >> (31 - i) & 1 == 1);
            know(bit, ones.count() as f32 / (rises + 1) as f32);
        }
        let manchester = weights.len();
        Shift {
            intervals,
            frame,
            template: Template::new(weights, manchester),
        }
    }
}

/// Returns the prior of the consumption in an interval: around each of the last ones, or anything.
fn values(last: &[u8; 92], most_rise: u32) -> Vec<f64> {
    let highest = (most_rise as usize).min(VALUES - 1);
    let mut prior = vec![0.0; VALUES];
    prior[..=highest].fill((1.0 - USUAL) / (highest + 1) as f64);
    for word in 0..WORDS {
        let center = bits(last, interval(word)) as f64;
        // Two-sided exponential: a few counts, or a quarter of the consumption.
        let width = 2.0 + center / 4.0;
        let near = |value: usize| (-(value as f64 - center).abs() / width).exp();
        let sum: f64 = (0..VALUES).map(near).sum();
        for (value, prior) in prior.iter_mut().enumerate() {
            *prior += USUAL / WORDS as f64 * near(value) / sum;
        }
    }
    prior
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::{Random, random_frame};

    fn words(random: &mut Random) -> (Vec<u8>, IdmWords) {
        let mut last = random_frame(Protocol::Idm, random);
        set_bits(&mut last, TIME, 1000);
        let expected = Expectation::after(Protocol::Idm, &last, 100).unwrap();
        let mut expected = expected.heard_ago(100.0);
        expected.date(0, 16.0);
        (last, IdmWords::new(&expected, 0))
    }

    #[test]
    fn given_a_frame_then_intervals_move_on_and_the_count_rises() {
        let (last, words) = words(&mut Random::new(1));
        assert_eq!(words.shifts.len(), 4);
        for shift in &words.shifts {
            let new = shift.intervals as usize;
            assert_eq!(shift.frame[13], last[13].wrapping_add(new as u8));
            assert_eq!(shift.frame[14..33], last[14..33]);
            assert_eq!(bits(&shift.frame, interval(new)), bits(&last, interval(0)));
            assert_eq!(bits(&shift.frame, interval(46)), bits(&last, interval(46 - new)));
        }
    }

    #[test]
    fn given_the_time_of_the_last_frame_then_that_of_the_next_one_is_likely_what_has_passed() {
        let (_, words) = words(&mut Random::new(2));
        let mut prior = vec![0.0; 1 << 16];
        // 100 s later, at 16 samples a second: 1000 + 1600 sixteenths; and 300 s later the same in the next interval.
        for (start, intervals) in [(0, 0), (4800, 1)] {
            let mut sum = 0.0;
            for shift in &words.shifts {
                words.time_prior_at(shift.intervals, start, 16.0, &mut prior);
                sum += prior.iter().sum::<f64>();
                let near: f64 = prior[2597..2604].iter().sum();
                assert_eq!(near > 0.4, shift.intervals == intervals, "{near}");
            }
            assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        }
    }

    #[test]
    fn consumption_has_a_prior_that_adds_up_to_one() {
        let (_, words) = words(&mut Random::new(3));
        assert!((words.values.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
