//! Judgement of IDMs whose chips are given.

use super::fields::set_bits;
use super::idm::IdmWords;
use super::idm_fields::{TIME, TOTAL, interval};
use super::{Expectation, IdmJudge};
use crate::Protocol;
use crate::fec::encode;
use crate::synth::{Random, chips, random_frame};

/// Soft chips of a frame, wrong by as much as noise of -8 dB makes them.
fn soft(frame: &[u8], random: &mut Random) -> Vec<f32> {
    let amplitude = 3.4f32;
    let chip = |on: bool| if on { amplitude } else { 0.0 } + random.gaussian().re;
    let chips: Vec<f32> = chips(Protocol::Idm, frame, 0).into_iter().map(chip).collect();
    chips.iter().map(|y| amplitude * (2.0 * y - amplitude)).collect()
}

#[test]
fn given_up_to_two_new_intervals_then_their_words_total_and_time_come_out() {
    let mut random = Random::new(1);
    let mut judge = IdmJudge::new();
    let last = random_frame(Protocol::Idm, &mut random);
    let words = IdmWords::new(&Expectation::after(Protocol::Idm, &last, 600).unwrap(), 0);
    for (intervals, values) in [(0, [0, 0]), (1, [200, 0]), (2, [77, 250])] {
        let mut frame = words.shifts[intervals].frame;
        let rise = values[0] + values[1];
        set_bits(
            &mut frame,
            TOTAL,
            u64::from(words.total.wrapping_add(rise as u32)),
        );
        (0..intervals).for_each(|i| set_bits(&mut frame, interval(i), values[i]));
        set_bits(&mut frame, TIME, 1234);
        encode(Protocol::Idm, &mut frame);
        let judged = judge
            .judge(&soft(&frame, &mut random), [1.0; 2], &words, 0, 1.0)
            .unwrap();
        assert_eq!(judged.bytes, frame, "{intervals} intervals");
        assert!(judged.is_accepted(), "{judged:?}");
    }
}

#[test]
fn given_three_new_intervals_or_another_total_then_nothing_is_accepted() {
    let mut random = Random::new(2);
    let mut judge = IdmJudge::new();
    let last = random_frame(Protocol::Idm, &mut random);
    let words = IdmWords::new(&Expectation::after(Protocol::Idm, &last, 600).unwrap(), 0);
    for (intervals, rise) in [(3, 90), (1, 5000)] {
        let mut frame = words.shifts[intervals].frame;
        set_bits(&mut frame, TOTAL, u64::from(words.total.wrapping_add(rise)));
        (0..intervals).for_each(|i| set_bits(&mut frame, interval(i), 30));
        encode(Protocol::Idm, &mut frame);
        let judged = judge.judge(&soft(&frame, &mut random), [1.0; 2], &words, 0, 1.0);
        assert!(
            !judged.is_some_and(|judged| judged.is_accepted()),
            "{intervals} intervals"
        );
    }
}
