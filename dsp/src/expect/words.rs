//! The words that a meter may send next, with their probabilities.
//!
//! A frame is a row of *groups*: bytes of Manchester bits, or five-bit symbols of R900. As all checks are linear, a word is
//! the base word XOR a change of the status XOR a change of the counter, check included.

use super::Expectation;
use super::expectation::{Knowledge, MAX_RISE};
use super::fields::{MAX_GROUPS, bits, fields, group_bits, set_bits};
use super::relatives::{Relatives, low_counter};
use super::statuses::statuses;
use super::template::Template;
use crate::Protocol;
use crate::fec::{encode, r900_symbol, reed_solomon};
use crate::frame::R900_DIGITS;

/// Groups that differ between the words of a meter, at most: 24 to 32 bits of counter, status and check.
const MAX_VARYING: usize = 16;
/// Counters that are weighed, at most: all rises, and as many below that of the last frame.
pub(super) const MAX_COUNTERS: usize = 2 * MAX_RISE as usize + 1;
/// Probability that a counter has not moved since the last frame; any other rise up to the highest one is as likely as the next.
const UNCHANGED: f32 = 0.1;
/// Probability that the counter is below that of the last frame, if that is weighed at all: the last frame was wrong.
const FALLEN: f32 = 0.01;
/// Rise above which a counter typed by the user becomes less likely, in proportion: nobody knows how long ago it was read.
const TYPED_RISE: f32 = 500.0;
/// Change of a word, by varying group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub groups: [u8; MAX_VARYING],
    pub ln_prior: f32,
}

/// All words that one meter may send next.
#[derive(Debug)]
pub(crate) struct Words {
    /// Number that no other words of the receiver have, but those that have the same numbers for the same counters.
    pub revision: u64,
    pub protocol: Protocol,
    /// Groups of the base word.
    pub base: [u8; MAX_GROUPS],
    pub groups: usize,
    /// Groups in which the words differ: first those that the status alone changes, then those that the counter alone changes, then those
    /// that both do.
    pub varying: Vec<usize>,
    /// Number of the first ones, and of the first and second ones.
    pub by_status: usize,
    pub by_one: usize,
    pub statuses: Vec<Change>,
    pub counters: Vec<Change>,
    /// Frames of another meter of the same delivery: its id differs in the lowest bits, and it has any counter.
    pub neighbors: Relatives,
    /// Changes of all groups by another low byte of the id; none but for R900, whose neighbors cannot be summed up as a whole.
    pub neighbor_ids: Vec<[u8; MAX_GROUPS]>,
    /// Frames of this meter that are not among the words: any type, flags and counter.
    pub strays: Relatives,
    /// Nothing is known of [`fields::Fields::flags`], which may have any value.
    pub has_free_flags: bool,
    /// Mean of the chips of all words; nothing is known of the check.
    pub template: Template,
    /// The base word as bytes.
    frame: [u8; 92],
}

/// Chips before the first group.
pub(crate) fn lead_chips(protocol: Protocol) -> usize {
    if protocol == Protocol::R900 {
        2 * protocol.preamble().len
    } else {
        0
    }
}

impl Words {
    pub fn new(expectation: &Expectation, revision: u64) -> Self {
        let protocol = expectation.protocol;
        let len = protocol.bytes();
        let frame = expectation.frame;
        let base = groups_of(protocol, &frame);
        let count = group_count(protocol);
        // Changes relative to the base, as whole rows of groups.
        let row = |change: &dyn Fn(&mut [u8])| {
            let mut bytes = frame;
            change(&mut bytes[..len]);
            encode(protocol, &mut bytes[..len]);
            let mut row = groups_of(protocol, &bytes);
            row.iter_mut().zip(&base).for_each(|(a, b)| *a ^= b);
            row
        };
        let counters: Vec<_> = counters(expectation)
            .map(|(counter, share)| {
                let row = row(&|bytes| set_bits(bytes, fields(protocol).counter, counter));
                (row, share.ln())
            })
            .collect();
        let statuses: Vec<_> = if expectation.knowledge == Knowledge::Frame {
            vec![([0; MAX_GROUPS], 0.0)]
        } else {
            statuses(protocol)
                .into_iter()
                .map(|status| (row(&|bytes| status.set(bytes)), status.share.ln()))
                .collect()
        };
        let varies = |rows: &[([u8; MAX_GROUPS], f32)], i: usize| rows.iter().any(|(row, _)| row[i] != 0);
        let by = |by_status: bool, by_counter: bool| {
            let (statuses, counters) = (&statuses, &counters);
            (0..count).filter(move |&i| varies(statuses, i) == by_status && varies(counters, i) == by_counter)
        };
        let mut varying: Vec<usize> = by(true, false).collect();
        let by_status = varying.len();
        varying.extend(by(false, true));
        let by_one = varying.len();
        varying.extend(by(true, true));
        varying.truncate(MAX_VARYING);
        // So are the tamper flags of SCM+; those of R900 are among the statuses.
        let has_free_flags = protocol == Protocol::ScmPlus && statuses.len() > 1;
        let mut template = template(protocol, &base, &[&counters, &statuses]);
        if has_free_flags {
            let flags = fields(protocol).flags;
            template[2 * flags.start..2 * flags.end].fill(0.0);
        }
        let is_r900 = protocol == Protocol::R900;
        let low_id = fields(protocol).low_id.start / 8;
        let neighbor_ids = (1..=u8::MAX).filter(|_| is_r900);
        let neighbor_ids = neighbor_ids
            .map(|change| row(&|bytes| bytes[low_id] ^= change))
            .collect();
        let packed = |rows: Vec<([u8; MAX_GROUPS], f32)>| {
            let pack = |(row, ln_prior): ([u8; MAX_GROUPS], f32)| {
                let mut groups = [0; MAX_VARYING];
                groups.iter_mut().zip(&varying).for_each(|(to, &i)| *to = row[i]);
                Change { groups, ln_prior }
            };
            rows.into_iter().map(pack).collect()
        };
        let manchester = if protocol == Protocol::R900 {
            lead_chips(protocol)
        } else {
            template.len()
        };
        Words {
            revision,
            protocol,
            base,
            groups: count,
            varying: varying.clone(),
            by_status,
            by_one,
            neighbor_ids,
            // All of a delivery have the same type and flags: those of this meter, whatever they are.
            neighbors: Relatives::new(
                protocol,
                [
                    low_counter(protocol),
                    fields(protocol).low_id,
                    if statuses.len() > 1 {
                        fields(protocol).status
                    } else {
                        0..0
                    },
                    if has_free_flags {
                        fields(protocol).flags
                    } else {
                        0..0
                    },
                ],
            ),
            strays: Relatives::new(
                protocol,
                [
                    fields(protocol).counter,
                    fields(protocol).status,
                    fields(protocol).flags,
                ],
            ),
            has_free_flags,
            template: Template::new(template, manchester),
            frame,
            statuses: packed(statuses),
            counters: packed(counters),
        }
    }

    /// Returns the check of the word that `status` and `counter` make of the base, if it is of 16 bits, and all else as in the base.
    pub fn check(&self, status: &Change, counter: &Change) -> u16 {
        // The last two groups, which both change.
        let byte = |k: usize| self.base[self.varying[k]] ^ status.groups[k] ^ counter.groups[k];
        let last = self.varying.len() - 1;
        u16::from_be_bytes([byte(last - 1), byte(last)])
    }

    /// Returns the bytes of the word that `status` and `counter` make of the base.
    pub fn bytes(&self, status: &Change, counter: &Change) -> [u8; 92] {
        let mut bytes = self.frame;
        for (i, &group) in self.varying.iter().enumerate() {
            let change = status.groups[i] ^ counter.groups[i];
            let width = group_bits(self.protocol);
            for bit in (0..width).filter(|bit| change >> (width - 1 - bit) & 1 == 1) {
                let at = group * width + bit;
                bytes[at / 8] ^= 0x80 >> (at % 8);
            }
        }
        bytes
    }
}

fn group_count(protocol: Protocol) -> usize {
    if protocol == Protocol::R900 {
        reed_solomon::SYMBOLS
    } else {
        protocol.bytes().min(MAX_GROUPS)
    }
}

pub(super) fn groups_of(protocol: Protocol, bytes: &[u8]) -> [u8; MAX_GROUPS] {
    let is_r900 = protocol == Protocol::R900;
    std::array::from_fn(|i| match i {
        i if i >= group_count(protocol) => 0,
        i if is_r900 => r900_symbol(bytes, i),
        i => bytes[i],
    })
}

/// Returns the counters that are expected, with their probabilities.
fn counters(expectation: &Expectation) -> impl Iterator<Item = (u64, f32)> {
    let range = fields(expectation.protocol).counter;
    let wrap = (1u64 << range.len()) - 1;
    let (since, most_rise) = (expectation.since, expectation.most_rise);
    let first = bits(&expectation.frame, range).wrapping_sub(since.into());
    let fallen = if since == 0 { 0.0 } else { FALLEN };
    let any_fall = fallen / since.max(1) as f32;
    let is_typed = expectation.knowledge == Knowledge::Counter;
    let weight = move |rise: u32| {
        if is_typed {
            1.0 / (TYPED_RISE + rise as f32)
        } else {
            1.0
        }
    };
    let weights: f32 = (0..=most_rise).map(weight).sum();
    (0..=since + most_rise).map(move |step| {
        let share = match step.checked_sub(since) {
            None => any_fall,
            Some(rise) => {
                let any_rise = (1.0 - UNCHANGED) * weight(rise) / weights;
                (1.0 - fallen) * if rise == 0 { UNCHANGED + any_rise } else { any_rise }
            }
        };
        (first.wrapping_add(step.into()) & wrap, share)
    })
}

/// Returns the mean chips of all words, less ½.
fn template(
    protocol: Protocol,
    base: &[u8; MAX_GROUPS],
    lists: &[&Vec<([u8; MAX_GROUPS], f32)>],
) -> Vec<f32> {
    let lead = lead_chips(protocol);
    let mut chips = vec![0.0; protocol.chips()];
    let preamble = protocol.preamble();
    for (i, pair) in chips[..lead].chunks_exact_mut(2).enumerate() {
        pair.copy_from_slice(if preamble.bit(i) {
            &[0.5, -0.5]
        } else {
            &[-0.5, 0.5]
        });
    }
    let width = group_bits(protocol);
    let check = fields(protocol).check.start / width;
    let per_group = if protocol == Protocol::R900 { 8 } else { 16 };
    for (i, chips) in chips[lead..].chunks_exact_mut(per_group).enumerate().take(check) {
        // Each group depends on one of the lists at most.
        let list = lists.iter().find(|list| list.iter().any(|(row, _)| row[i] != 0));
        let mut add = |value: u8, share: f32| {
            for (chip, to) in chips.iter_mut().enumerate() {
                *to += share * if is_on(protocol, value, chip) { 0.5 } else { -0.5 };
            }
        };
        match list {
            Some(list) => list.iter().for_each(|(row, ln)| add(base[i] ^ row[i], ln.exp())),
            None => add(base[i], 1.0),
        }
    }
    chips
}

/// Returns true if `chip` of a group of this value is ON.
pub(crate) fn is_on(protocol: Protocol, value: u8, chip: usize) -> bool {
    if protocol == Protocol::R900 {
        let digit = if chip < 4 { value / 6 } else { value % 6 };
        return R900_DIGITS[usize::from(digit)][chip % 4];
    }
    let bit = value >> (7 - chip / 2) & 1 == 1;
    bit == (chip % 2 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::{Random, chips, random_frame};

    #[test]
    fn given_a_frame_then_its_words_are_the_code_words_of_the_counters_to_come() {
        let mut random = Random::new(1);
        for protocol in [Protocol::Scm, Protocol::ScmPlus, Protocol::R900] {
            let frame = random_frame(protocol, &mut random);
            let words = Words::new(&Expectation::after(protocol, &frame, 300).unwrap(), 0);
            assert_eq!(words.counters.len(), 301);
            let total: f32 = words.counters.iter().map(|c| c.ln_prior.exp()).sum();
            assert!((total - 1.0).abs() < 1e-3, "{total}");
            let range = fields(protocol).counter;
            for rise in [0, 1, 255, 300] {
                let mut next = [0; 92];
                next[..frame.len()].copy_from_slice(&frame);
                let counter = (bits(&frame, range.clone()) + rise as u64) & ((1 << range.len()) - 1);
                set_bits(&mut next, range.clone(), counter);
                encode(protocol, &mut next[..frame.len()]);
                assert_eq!(
                    words.bytes(&words.statuses[0], &words.counters[rise]),
                    next,
                    "{protocol:?} +{rise}"
                );
            }
        }
    }

    #[test]
    fn given_a_certain_frame_then_its_template_is_the_chips_before_its_check() {
        let mut random = Random::new(2);
        for protocol in [Protocol::Scm, Protocol::ScmPlus, Protocol::R900] {
            let frame = random_frame(protocol, &mut random);
            let words = Words::new(&Expectation::after(protocol, &frame, 0).unwrap(), 0);
            let sent = chips(protocol, &frame, 0);
            let weights = &words.template.weights;
            let known = weights.iter().filter(|w| **w != 0.0).count();
            let check = protocol.chips() - if protocol == Protocol::R900 { 40 } else { 32 };
            assert_eq!(known, check, "{protocol:?}");
            assert!(weights[..check].iter().zip(sent).all(|(w, on)| (*w > 0.0) == on));
        }
    }

    #[test]
    fn given_r900_then_the_neighbors_have_every_other_low_byte_of_the_id_and_its_check() {
        let frame = random_frame(Protocol::R900, &mut Random::new(3));
        let words = Words::new(&Expectation::after(Protocol::R900, &frame, 10).unwrap(), 0);
        assert_eq!(words.neighbor_ids.len(), 255);
        for (change, row) in (1..=255).zip(&words.neighbor_ids) {
            let mut other = frame.clone();
            other[3] ^= change;
            encode(Protocol::R900, &mut other);
            let sent = groups_of(Protocol::R900, &other);
            assert!((0..words.groups).all(|i| words.base[i] ^ row[i] == sent[i]));
        }
    }

    #[test]
    fn given_only_id_and_counter_then_every_type_is_among_the_words() {
        let words = Words::new(
            &Expectation::for_counter(Protocol::Scm, 0x3AB_CDEF, 1000, 10).unwrap(),
            0,
        );
        let total: f32 = words.statuses.iter().map(|s| s.ln_prior.exp()).sum();
        assert!((total - 1.0).abs() < 1e-3, "{total}");
        // ID 61591023, type 12, flags 0 and 3, counter 1003.
        let mut frame = vec![0, 0, 0x06, 0x33, 0x00, 0x03, 0xEB, 0xAB, 0xCD, 0xEF, 0, 0];
        encode(Protocol::Scm, &mut frame);
        let all = words
            .statuses
            .iter()
            .flat_map(|s| words.counters.iter().map(move |c| (s, c)));
        assert!(all.into_iter().any(|(s, c)| words.bytes(s, c)[..12] == frame));
    }
}
