//! rtlamr's filters: which messages are passed on. All that are given must agree.

use metertap_decode::ert::Message;
use std::collections::{HashMap, HashSet};

/// Ids remembered by `unique`: a street has some hundreds, and a forged one must not fill the memory.
const MAX_REMEMBERED: usize = 100_000;

/// What is passed on, and when to stop.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only these ids; empty = all.
    pub ids: HashSet<u32>,
    /// Only these types (see [`Message::meter_type`]); empty = all.
    pub types: HashSet<u8>,
    /// Drop a message whose check equals that of the meter's last one.
    pub unique: bool,
    /// Stop after one message, or after one of each id where ids are given.
    pub single: bool,
    last_check: HashMap<u32, u32>,
    done: bool,
}

impl Filter {
    /// Whether `message` is to be passed on; remembers it for `unique` and `single`.
    pub fn pass(&mut self, message: &Message) -> bool {
        let id = message.id();
        let wanted = !self.done
            && (self.ids.is_empty() || self.ids.contains(&id))
            && (self.types.is_empty() || self.types.contains(&message.meter_type()));
        if !wanted || self.unique && !self.is_new(message) {
            return false;
        }
        if self.single {
            self.done = self.ids.len() <= 1;
            self.ids.remove(&id);
        }
        true
    }

    /// Whether `single` has had all that it wanted.
    pub fn done(&self) -> bool {
        self.done
    }

    fn is_new(&mut self, message: &Message) -> bool {
        let check = check(message);
        if self.last_check.len() >= MAX_REMEMBERED {
            self.last_check.clear();
        }
        self.last_check.insert(message.id(), check) != Some(check)
    }
}

/// What rtlamr takes for the identity of a message: its check, or R900's parity.
fn check(message: &Message) -> u32 {
    match message {
        Message::Scm(m) => m.checksum.into(),
        Message::ScmPlus(m) => m.packet_crc.into(),
        Message::Idm(m) => m.packet_crc.into(),
        Message::NetIdm(m) => m.packet_crc.into(),
        Message::R900(m) | Message::R900Bcd(m) => m.parity,
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
        let mut filter = Filter {
            unique: true,
            ..Filter::default()
        };
        let passed = [5, 5, 6, 5, 5].map(|counter| filter.pass(&scm(1, 7, counter)));
        assert_eq!(passed, [true, false, true, true, false]);
        assert!(filter.pass(&scm(2, 7, 5)), "another meter has its own memory");
    }

    #[test]
    fn given_ids_and_types_then_both_must_agree() {
        let mut filter = Filter {
            ids: [1, 2].into(),
            types: [7].into(),
            ..Filter::default()
        };
        assert!(filter.pass(&scm(1, 7, 5)));
        assert!(!filter.pass(&scm(1, 8, 5)));
        assert!(!filter.pass(&scm(3, 7, 5)));
    }

    #[test]
    fn given_single_without_ids_then_one_message_ends_it() {
        let mut filter = Filter {
            single: true,
            ..Filter::default()
        };
        assert!(filter.pass(&scm(1, 7, 5)) && filter.done());
        assert!(!filter.pass(&scm(2, 7, 5)));
    }

    #[test]
    fn given_single_with_ids_then_one_of_each_ends_it() {
        let mut filter = Filter {
            single: true,
            ids: [1, 2].into(),
            ..Filter::default()
        };
        assert!(filter.pass(&scm(1, 7, 5)) && !filter.done());
        assert!(!filter.pass(&scm(1, 7, 6)));
        assert!(filter.pass(&scm(2, 7, 5)) && filter.done());
    }
}
