//! Duplicate filter: each frame on the air becomes one packet, the best copy of it.
//!
//! A frame may be decoded several times: as an image, in a keying sideband, in both parts of a burst that was
//! cut, and once more after a strong packet over it was canceled. The first confident copy is passed on at
//! once, later ones are dropped. A tentative copy is held back until no better one can come.

use crate::CHIP_RATE_HZ;
use crate::packet::{Method, Packet};
use std::collections::VecDeque;

/// Packets remembered. A street of 34 packets per second has ten of them within [`HOLD_BLOCKS`].
const REMEMBERED: usize = 64;
/// Blocks for which a tentative packet waits for a better copy, 0.1 s: until the burst of a strong packet over
/// it has ended (at most 42 blocks), that packet was locked and canceled, and the residual was locked; twice,
/// in case two strong packets lie over it.
pub(crate) const HOLD_BLOCKS: u64 = 58;
/// Two frames of one protocol that overlap and whose carriers are closer than this are the same transmission:
/// with half a chip rate between them, neither could be decoded beside the other.
const SAME_CARRIER_HZ: f64 = CHIP_RATE_HZ / 4.0;

/// Fate of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// First confident copy: passed on.
    Passed,
    /// First tentative copy: held back.
    Held,
    /// Copy of a frame already known.
    Duplicate,
}

pub(crate) struct Deduplicator {
    /// In order of arrival; a held packet that is pushed out is passed on early.
    seen: VecDeque<Seen>,
    duplicates: u64,
}

#[derive(Clone, Copy)]
struct Seen {
    packet: Packet,
    is_tentative: bool,
    /// Block until which a tentative packet is held back; `None` once it was passed on.
    held_until: Option<u64>,
}

impl Deduplicator {
    pub fn new() -> Self {
        Deduplicator {
            seen: VecDeque::with_capacity(REMEMBERED),
            duplicates: 0,
        }
    }

    /// Copies dropped so far.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Takes a packet that is not tentative; passes it to `out` unless a confident copy was passed before.
    /// Tentative packets that it explains and that are still held back are dropped.
    pub fn offer(&mut self, packet: &Packet, mut out: impl FnMut(&Packet)) -> Verdict {
        // An expected frame is a choice among few: one that passed its check on the same carrier is the better explanation.
        let is_expected = packet.signal.method != Method::Checked;
        let is_copy = |seen: &Seen| {
            let is_same =
                is_same_frame(&seen.packet, packet) || is_expected && explains(&seen.packet, packet);
            !seen.is_tentative && is_same
        };
        if self.seen.iter().any(is_copy) {
            self.duplicates += 1;
            return Verdict::Duplicate;
        }
        let before = self.seen.len();
        self.seen
            .retain(|seen| seen.held_until.is_none() || !explains(packet, &seen.packet));
        self.duplicates += (before - self.seen.len()) as u64;
        self.remember(packet, None, &mut out);
        out(packet);
        Verdict::Passed
    }

    /// Takes a tentative packet at block `now` and holds it back, unless a copy is known already.
    pub fn offer_tentative(&mut self, packet: &Packet, now: u64, mut out: impl FnMut(&Packet)) -> Verdict {
        let is_copy = |seen: &Seen| {
            is_same_frame(&seen.packet, packet) || !seen.is_tentative && explains(&seen.packet, packet)
        };
        if let Some(seen) = self.seen.iter_mut().find(|seen| is_copy(seen)) {
            let is_better = packet.signal.error_probability < seen.packet.signal.error_probability;
            if seen.held_until.is_some() && is_better {
                seen.packet = *packet;
            }
            self.duplicates += 1;
            return Verdict::Duplicate;
        }
        self.remember(packet, Some(now + HOLD_BLOCKS), &mut out);
        Verdict::Held
    }

    /// Passes on the tentative packets for which no better copy has come until block `now`.
    pub fn release(&mut self, now: u64, mut out: impl FnMut(&Packet)) {
        for seen in &mut self.seen {
            if seen.held_until.is_some_and(|until| until <= now) {
                seen.held_until = None;
                out(&seen.packet);
            }
        }
    }

    fn remember(&mut self, packet: &Packet, held_until: Option<u64>, out: &mut impl FnMut(&Packet)) {
        // Bounded: the oldest is forgotten. If it is still held back it goes out now rather than never.
        if self.seen.len() == REMEMBERED {
            if let Some(oldest) = self.seen.pop_front() {
                if oldest.held_until.is_some() {
                    out(&oldest.packet);
                }
            }
        }
        self.seen.push_back(Seen {
            packet: *packet,
            is_tentative: held_until.is_some(),
            held_until,
        });
    }
}

/// Returns true if both are the same bytes at the same moment.
fn is_same_frame(a: &Packet, b: &Packet) -> bool {
    is_same_moment(a, b) && a.bytes() == b.bytes()
}

/// Returns true if `tentative` is another copy of the confident `packet`, or was decoded from it before its bits
/// were clear: the same bytes, or the same carrier, which has room for one frame at a time.
fn explains(packet: &Packet, tentative: &Packet) -> bool {
    is_same_moment(packet, tentative)
        && (packet.bytes() == tentative.bytes()
            || (packet.signal.offset_hz - tentative.signal.offset_hz).abs() < SAME_CARRIER_HZ)
}

fn is_same_moment(a: &Packet, b: &Packet) -> bool {
    a.protocol == b.protocol && a.start_sample.abs_diff(b.start_sample) < a.len_samples.min(b.len_samples) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Protocol, Signal};

    /// An SCM at `start_sample`, its fourth byte and carrier as given.
    fn packet(start_sample: u64, byte: u8, offset_hz: f64, error_probability: f32) -> Packet {
        let mut bytes = [0; 92];
        bytes[3] = byte;
        Packet {
            protocol: Protocol::Scm,
            start_sample,
            len_samples: 13_824,
            signal: Signal {
                offset_hz,
                snr_db: 0.0,
                level_dbfs: -30.0,
                clock_ppm: 0.0,
                corrected: 0,
                method: crate::Method::Checked,
                error_probability,
            },
            bytes,
        }
    }

    #[test]
    fn given_a_tentative_packet_and_then_a_good_copy_then_only_the_good_one_comes_out() {
        let mut dedup = Deduplicator::new();
        let mut out = Vec::new();
        let tentative = packet(1000, 7, 5e5, 0.2);
        let good = packet(1003, 7, 5e5, 1e-5);
        assert_eq!(
            dedup.offer_tentative(&tentative, 10, |p| out.push(*p)),
            Verdict::Held
        );
        assert_eq!(dedup.offer(&good, |p| out.push(*p)), Verdict::Passed);
        assert_eq!(
            dedup.offer_tentative(&tentative, 20, |p| out.push(*p)),
            Verdict::Duplicate
        );
        assert_eq!(dedup.offer(&good, |p| out.push(*p)), Verdict::Duplicate);
        dedup.release(u64::MAX, |p| out.push(*p));
        assert_eq!(out, [good]);
        assert_eq!(dedup.duplicates(), 3);
    }

    #[test]
    fn given_no_better_copy_then_a_tentative_packet_comes_out_once_and_in_time() {
        let mut dedup = Deduplicator::new();
        let mut out = Vec::new();
        dedup.offer_tentative(&packet(1000, 7, 5e5, 0.2), 10, |p| out.push(*p));
        dedup.offer_tentative(&packet(1001, 7, 5e5, 0.1), 11, |p| out.push(*p));
        dedup.release(9 + HOLD_BLOCKS, |p| out.push(*p));
        assert_eq!(out, []);
        for now in [10, 11, 12] {
            dedup.release(now + HOLD_BLOCKS, |p| out.push(*p));
        }
        assert_eq!(
            out,
            [packet(1001, 7, 5e5, 0.1)],
            "the better of two tentative copies"
        );
    }

    #[test]
    fn given_a_wrong_tentative_packet_on_the_carrier_of_a_good_one_then_it_is_dropped() {
        for good_first in [true, false] {
            let mut dedup = Deduplicator::new();
            let mut out = Vec::new();
            let (wrong, good) = (packet(1000, 6, 5e5, 0.2), packet(1000, 7, 5e5, 1e-5));
            if good_first {
                dedup.offer(&good, |p| out.push(*p));
            }
            dedup.offer_tentative(&wrong, 10, |p| out.push(*p));
            dedup.offer(&good, |p| out.push(*p));
            dedup.release(u64::MAX, |p| out.push(*p));
            assert_eq!(out, [good]);
        }
    }

    #[test]
    fn given_another_carrier_or_another_moment_then_both_come_out() {
        for other in [packet(1000, 6, 4e5, 0.2), packet(9000, 6, 5e5, 0.2)] {
            let mut dedup = Deduplicator::new();
            let mut out = Vec::new();
            let good = packet(1000, 7, 5e5, 1e-5);
            dedup.offer_tentative(&other, 10, |p| out.push(*p));
            dedup.offer(&good, |p| out.push(*p));
            dedup.release(u64::MAX, |p| out.push(*p));
            assert_eq!(out, [good, other]);
        }
    }

    #[test]
    fn given_more_packets_than_are_remembered_then_each_comes_out_once() {
        let mut dedup = Deduplicator::new();
        let mut out = Vec::new();
        let all: Vec<Packet> = (0..3 * REMEMBERED as u64)
            .map(|i| packet(i * 20_000, 7, 5e5, 0.2))
            .collect();
        for packet in &all {
            dedup.offer_tentative(packet, 10, |p| out.push(*p));
        }
        assert_eq!(out.len(), 2 * REMEMBERED, "the oldest had to go early");
        dedup.release(u64::MAX, |p| out.push(*p));
        assert_eq!(out, all);
    }
}
