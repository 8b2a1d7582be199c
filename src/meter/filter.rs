//! rtlamr's message filters: ids, types, unique, single. A message must pass all that are set.

use metertap_decode::ert::Message;
use std::collections::{HashMap, HashSet};

/// Meters remembered by `unique`; then all are forgotten. A street has some hundreds, but ids can be forged.
const MAX_REMEMBERED: usize = 100_000;

/// Filter with the meaning of rtlamr's `-filterid`, `-filtertype`, `-unique` and `-single`.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    /// Accepted meter ids; empty = all.
    pub ids: HashSet<u32>,
    /// Accepted meter types (see [`Message::meter_type`]); empty = all.
    pub types: HashSet<u8>,
    /// Drop a message whose check equals that of the meter's previous one.
    pub unique: bool,
    /// Finish after one message, or after one of each id in `ids`.
    pub single: bool,
    last_check: HashMap<u32, u32>,
    is_finished: bool,
}

impl MessageFilter {
    /// Returns whether `message` passes, and records it for `unique` and `single`.
    pub fn accepts(&mut self, message: &Message) -> bool {
        let id = message.id();
        let is_wanted = !self.is_finished
            && (self.ids.is_empty() || self.ids.contains(&id))
            && (self.types.is_empty() || self.types.contains(&message.meter_type()));
        if !is_wanted || self.unique && !self.is_new(message) {
            return false;
        }
        if self.single {
            // An empty set accepts all ids, so the filter must be finished before the last one is removed.
            self.is_finished = self.ids.len() <= 1;
            self.ids.remove(&id);
        }
        true
    }

    /// Returns whether a telegram of wireless M-Bus passes `ids`, by the number of its radio, and records it for `single`.
    pub fn accepts_telegram(&mut self, bytes: &[u8]) -> bool {
        let digits = bytes.get(4..8).unwrap_or_default().iter().rev();
        let id = digits.fold(0u32, |id, byte| {
            100 * (id % 1_000_000) + 10 * u32::from(byte >> 4) + u32::from(byte & 0x0F)
        });
        if self.is_finished || !(self.ids.is_empty() || self.ids.contains(&id)) {
            return false;
        }
        if self.single {
            self.is_finished = self.ids.len() <= 1;
            self.ids.remove(&id);
        }
        true
    }

    /// Returns whether `single` has received all that it wants.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    fn is_new(&mut self, message: &Message) -> bool {
        let check = check(message);
        if self.last_check.len() >= MAX_REMEMBERED {
            self.last_check.clear();
        }
        self.last_check.insert(message.id(), check) != Some(check)
    }
}

/// Check field by which rtlamr compares messages: the CRC or checksum; R900's parity.
fn check(message: &Message) -> u32 {
    match message {
        Message::Scm(m) => m.checksum.into(),
        Message::ScmPlus(m) => m.packet_crc.into(),
        Message::Idm(m) => m.packet_crc.into(),
        Message::NetIdm(m) => m.packet_crc.into(),
        Message::R900(m) | Message::R900Bcd(m) => m.parity,
        // Their checks are not kept; what changes is the counter and the flags.
        Message::Orion(m) => m.consumption ^ u32::from_be_bytes([m.flags, m.status, 0, 0]),
        Message::OrionEndpoint(m) => m.consumption ^ m.flags << 8,
        Message::HotRod(m) => m.consumption ^ u32::from(m.flags) << 28,
        Message::Dialog3g(m) => m.consumption ^ u32::from(m.flags) << 24,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metertap_decode::ert::{Kind, Scm};

    fn scm(id: u32, ert_type: u8, consumption: u32) -> Message {
        let message = Scm {
            id,
            ert_type,
            tamper_phy: 0,
            tamper_enc: 0,
            consumption,
            checksum: 0,
        };
        Message::parse(Kind::Scm, &message.encode()).unwrap()
    }

    #[test]
    fn given_unique_then_a_b_a_passes_three_times_and_a_a_once() {
        let mut filter = MessageFilter {
            unique: true,
            ..MessageFilter::default()
        };
        let passed = [5, 5, 6, 5, 5].map(|counter| filter.accepts(&scm(1, 7, counter)));
        assert_eq!(passed, [true, false, true, true, false]);
        assert!(filter.accepts(&scm(2, 7, 5)), "another meter has its own memory");
    }

    #[test]
    fn given_ids_and_types_then_both_must_agree() {
        let mut filter = MessageFilter {
            ids: [1, 2].into(),
            types: [7].into(),
            ..MessageFilter::default()
        };
        assert!(filter.accepts(&scm(1, 7, 5)));
        assert!(!filter.accepts(&scm(1, 8, 5)));
        assert!(!filter.accepts(&scm(3, 7, 5)));
    }

    #[test]
    fn given_single_without_ids_then_one_message_ends_it() {
        let mut filter = MessageFilter {
            single: true,
            ..MessageFilter::default()
        };
        assert!(filter.accepts(&scm(1, 7, 5)) && filter.is_finished());
        assert!(!filter.accepts(&scm(2, 7, 5)));
    }

    #[test]
    fn given_single_with_ids_then_one_of_each_ends_it() {
        let mut filter = MessageFilter {
            single: true,
            ids: [1, 2].into(),
            ..MessageFilter::default()
        };
        assert!(filter.accepts(&scm(1, 7, 5)) && !filter.is_finished());
        assert!(!filter.accepts(&scm(1, 7, 6)));
        assert!(filter.accepts(&scm(2, 7, 5)) && filter.is_finished());
    }
}
