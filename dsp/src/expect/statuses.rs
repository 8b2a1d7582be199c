//! Types and flags that a meter may have of which only id and counter are known.

use super::fields::{fields, set_bits};
use crate::Protocol;
use std::ops::Range;

/// Probability that all tamper flags of an SCM are clear. Of 26 meters in published logs and one recording, they were in eleven.
const SCM_CLEAR: f32 = 0.4;
/// Endpoint types of SCM+ that were seen (`meters.csv` and issues of rtlamr), and the probability that it is one of them.
const SEEN_TYPES: [u64; 9] = [0x04, 0x07, 0x08, 0x1B, 0x6E, 0x9C, 0xAB, 0xBC, 0xDC];
const SEEN: f32 = 0.8;
/// First byte after the id of R900 without flags, which send all of `leak` and `leak_now` set, and of those with flags (rtlamr issues 99, 251 and
/// 295).
const WITHOUT_FLAGS: u64 = 0xA1;
const WITH_FLAGS: [u64; 2] = [0xA3, 0x83];
/// Probability of the one, of each of the others, and of all other bytes together.
const MODELS: [f32; 3] = [0.35, 0.3, 0.05];
/// Probabilities that an R900 has a flag of 0.
const NO_DAYS: f32 = 0.6;
const NO_BACKFLOW: f32 = 0.8;
const NO_LEAK: f32 = 0.7;

/// `leak` of an R900 without its top bit, which belongs to the counter, and `leak_now`.
const LEAK: Range<usize> = 75..80;
/// All of `leak`, and `leak_now`.
const LEAK_AND_TOP: Range<usize> = 74..80;

/// Type and flags of a frame.
#[derive(Clone, Debug)]
pub(super) struct Status {
    /// Fields and their values.
    values: [(Range<usize>, u64); 2],
    /// Probability.
    pub share: f32,
}

impl Status {
    /// Sets the fields in a frame.
    pub fn set(&self, frame: &mut [u8]) {
        for (field, value) in &self.values {
            if !field.is_empty() {
                set_bits(frame, field.clone(), *value);
            }
        }
    }
}

/// Returns what type and flags may be.
pub(super) fn statuses(protocol: Protocol) -> Vec<Status> {
    let only = |value: u64, share: f32| Status {
        values: [(fields(protocol).status, value), (0..0, 0)],
        share,
    };
    match protocol {
        // A bit without a known meaning, which many meters send as 1, two flags, four bits of type, two flags.
        Protocol::Scm => (0..512)
            .map(|value| {
                let is_clear = value & 0xC3 == 0;
                let share = if is_clear {
                    SCM_CLEAR
                } else {
                    (1.0 - SCM_CLEAR) / 15.0
                };
                only(value, share / 32.0)
            })
            .collect(),
        Protocol::ScmPlus => (0..256)
            .map(|value| {
                let seen = SEEN_TYPES.len() as f32;
                let share = if SEEN_TYPES.contains(&value) {
                    SEEN / seen
                } else {
                    (1.0 - SEEN) / (256.0 - seen)
                };
                only(value, share)
            })
            .collect(),
        Protocol::R900 => r900_statuses(),
        Protocol::Idm => Vec::new(),
    }
}

fn r900_statuses() -> Vec<Status> {
    let status = |model: u64, flags: u64, leak: (Range<usize>, u64), share: f32| Status {
        values: [(fields(Protocol::R900).status, model << 8 | flags), leak],
        share,
    };
    let [without, with, other] = MODELS;
    let mut all = vec![status(WITHOUT_FLAGS, 0, (LEAK_AND_TOP, 0x3F), without)];
    let others = (0..256).filter(|model| *model != WITHOUT_FLAGS && !WITH_FLAGS.contains(model));
    all.extend(others.map(|model| status(model, 0, (LEAK, 0), other / 253.0)));
    // Probability of 0, and of each of the other values.
    let shares = |value: u64, zero: f32, others: f32| {
        if value == 0 { zero } else { (1.0 - zero) / others }
    };
    // A bit without a known meaning and the days without use, in seven ranges; two bits of backflow; days with a leak, and the leak now.
    for (no_use, backflow) in (0..14).flat_map(|no_use| (0..3).map(move |backflow| (no_use, backflow))) {
        let flags = (no_use / 7 * 32 + no_use % 7) << 2 | backflow;
        for (leak, now) in (0..7).flat_map(|leak| (0..3).map(move |now| (leak, now))) {
            let leaks = leak << 2 | now;
            let share = shares(no_use, NO_DAYS, 13.0)
                * shares(backflow, NO_BACKFLOW, 2.0)
                * shares(leaks, NO_LEAK, 20.0);
            all.extend(WITH_FLAGS.map(|model| status(model, flags, (LEAK, leaks), with * share)));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_type_and_flags_may_be_adds_up_to_one() {
        for protocol in [Protocol::Scm, Protocol::ScmPlus, Protocol::R900] {
            let total: f32 = statuses(protocol).iter().map(|status| status.share).sum();
            assert!((total - 1.0).abs() < 1e-3, "{protocol:?}: {total}");
        }
    }

    #[test]
    fn given_r900_of_published_logs_then_their_flags_are_among_those_expected() {
        // Byte after the id, days without use, backflow, leak, leak now (rtlamr issues 129, 251 and 295, rtlamr2mqtt issue 254).
        for (model, no_use, backflow, leak, now) in [
            (0xA3, 32, 0, 5, 2),
            (0xA3, 2, 1, 0, 0),
            (0xA3, 33, 1, 1, 0),
            (0xA1, 0, 0, 15, 3),
        ] {
            let mut frame = [0; 14];
            set_bits(&mut frame, 32..40, model);
            set_bits(&mut frame, 40..46, no_use);
            set_bits(&mut frame, 46..48, backflow);
            set_bits(&mut frame, 74..78, leak);
            set_bits(&mut frame, 78..80, now);
            let is_same = |status: &Status| {
                let mut other = [0; 14];
                status.set(&mut other);
                other == frame
            };
            assert!(statuses(Protocol::R900).iter().any(is_same), "{frame:x?}");
        }
    }
}
