//! Registers of a radio message as they are published: signed where the meter is, and continued beyond their width.

use metertap_decode::ert::{Kind, Message};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Registers continued; those of further meters start again at 0.
const MAX_REGISTERS: usize = 20_000;
/// Names of the registers of a message: the main counter has none.
const NAMES: [&str; 3] = ["", "import", "export"];
/// Number of values of the import and export registers of a NetIDM.
pub const NET_IDM_RANGE: i64 = 1 << 24;

/// Counts of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// Main counter; net consumption for a NetIDM.
    pub main: i64,
    /// Energy taken from the grid, of a NetIDM.
    pub import: Option<i64>,
    /// Energy fed into the grid, of a NetIDM.
    pub export: Option<i64>,
}

impl Registers {
    /// Takes the counts of a message. `is_signed`: its main counter is a number in two's complement.
    pub fn new(message: &Message, is_signed: bool) -> Self {
        let range = message.counter_range();
        let counts = message.consumption();
        let is_negative = is_signed && !matches!(message, Message::NetIdm(_)) && counts >= range / 2;
        let (import, export) = match message {
            Message::NetIdm(m) => (Some(m.last_consumption.into()), Some(m.last_generation.into())),
            _ => (None, None),
        };
        Registers {
            main: if is_negative { counts - range } else { counts },
            import,
            export,
        }
    }

    /// Returns import and export by name, of a meter that sends them.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, i64)> + use<> {
        let parts = [("import", self.import), ("export", self.export)];
        parts
            .into_iter()
            .filter_map(|(name, counts)| Some((name, counts?)))
    }
}

/// Returns the highest rise of a register of `range` values that counts as a rollover. A fall by less than the rest is
/// a meter that was exchanged or reset.
pub fn most_over_rollover(range: i64) -> i64 {
    range / 8
}

/// Continues registers beyond their width: after 2^24 - 1 comes 2^24, though the meter sends 0.
#[derive(Debug, Default)]
pub struct Rollovers {
    /// By meter id, message type and register.
    registers: HashMap<(String, &'static str, &'static str), Continued>,
    /// A register has rolled over since [`Rollovers::take_rolled_over`].
    has_rolled_over: bool,
}

/// What was learned of a register, for the next start of the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearnedRegister {
    /// Meter id.
    pub meter: String,
    /// Message type, as in topics.
    pub kind: String,
    /// `import` or `export` of a NetIDM; empty for the main counter.
    pub register: String,
    /// Newest count as sent.
    pub last: i64,
    /// Sum of the rollovers.
    pub base: i64,
    /// Configured offset of the meter, which the sum adds to.
    pub offset: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Continued {
    /// Newest count as sent.
    last: i64,
    /// Sum of the rollovers since the first reading.
    base: i64,
}

impl Rollovers {
    /// Returns the registers of an accepted message, continued. `rolls` is false for a main counter that may fall or
    /// that rolls over at its digits, as the dial does.
    pub fn continued(&mut self, id: &str, message: &Message, rolls: bool, counts: Registers) -> Registers {
        let kind = message.kind().topic_name();
        let mut next = |register, count, range| self.next((id.to_owned(), kind, register), count, range);
        Registers {
            main: if rolls {
                next("", counts.main, message.counter_range())
            } else {
                counts.main
            },
            import: counts.import.map(|count| next("import", count, NET_IDM_RANGE)),
            export: counts.export.map(|count| next("export", count, NET_IDM_RANGE)),
        }
    }

    /// Returns whether a register has rolled over since the last call.
    pub fn take_rolled_over(&mut self) -> bool {
        std::mem::take(&mut self.has_rolled_over)
    }

    /// Returns the registers worth keeping: those of meters that `is_kept`, and those that have rolled over.
    pub fn learned(&self, is_kept: impl Fn(&str) -> bool) -> Vec<LearnedRegister> {
        let kept = self
            .registers
            .iter()
            .filter(|((meter, ..), register)| register.base != 0 || is_kept(meter));
        let mut learned: Vec<_> = kept
            .map(|((meter, kind, name), register)| LearnedRegister {
                meter: meter.clone(),
                kind: (*kind).to_owned(),
                register: (*name).to_owned(),
                last: register.last,
                base: register.base,
                offset: None,
            })
            .collect();
        learned.sort_by(|a, b| (&a.meter, &a.kind, &a.register).cmp(&(&b.meter, &b.kind, &b.register)));
        learned
    }

    /// Takes over what an earlier process has learned; ignores registers that do not exist.
    pub fn restore(&mut self, learned: impl IntoIterator<Item = LearnedRegister>) {
        for register in learned.into_iter().take(MAX_REGISTERS) {
            let name = NAMES.into_iter().find(|name| *name == register.register);
            let (Ok(kind), Some(name)) = (register.kind.parse::<Kind>(), name) else {
                continue;
            };
            let (last, base) = (register.last, register.base);
            let key = (register.meter, kind.topic_name(), name);
            self.registers.insert(key, Continued { last, base });
        }
    }

    /// Forgets what was continued of a meter, whose offset has changed.
    pub fn forget(&mut self, id: &str) {
        self.registers.retain(|(meter, _, _), _| meter != id);
    }

    fn next(&mut self, key: (String, &'static str, &'static str), count: i64, range: i64) -> i64 {
        let most = most_over_rollover(range);
        let Some(register) = self.registers.get_mut(&key) else {
            if self.registers.len() < MAX_REGISTERS {
                self.registers.insert(key, Continued { last: count, base: 0 });
            }
            return count;
        };
        let rise = count - register.last;
        if rise < 0 && rise + range <= most {
            register.base += range;
            self.has_rolled_over = true;
            tracing::info!(
                meter = key.0,
                register = key.2,
                range,
                "Counter rolled over and is continued"
            );
        } else if rise > 0 && range - rise <= most && register.base > 0 {
            // A reading from before the rollover, late.
            register.base -= range;
        } else if rise < 0 && -rise > most {
            // Exchanged or reset: the new register starts afresh.
            register.base = 0;
        }
        register.last = count;
        register.base + count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metertap_decode::ert::{NetIdm, R900, Scm};

    fn scm(consumption: i64) -> Message {
        Message::Scm(Scm {
            id: 1,
            ert_type: 7,
            tamper_phy: 0,
            tamper_enc: 0,
            consumption: consumption as u32,
            checksum: 0,
        })
    }

    fn continued(messages: impl IntoIterator<Item = Message>) -> Vec<i64> {
        let mut rollovers = Rollovers::default();
        let next = |message: Message| {
            let counts = Registers::new(&message, false);
            rollovers.continued("1", &message, true, counts).main
        };
        messages.into_iter().map(next).collect()
    }

    #[test]
    fn given_a_rollover_then_the_counter_goes_on_and_a_late_reading_from_before_it_fits() {
        const RANGE: i64 = 1 << 24;
        let sent = [RANGE - 2, 5, 9, RANGE - 1, 10];
        let expected = [RANGE - 2, RANGE + 5, RANGE + 9, RANGE - 1, RANGE + 10];
        assert_eq!(continued(sent.map(scm)), expected);
    }

    #[test]
    fn given_an_exchanged_meter_then_its_counter_starts_afresh() {
        const RANGE: i64 = 1 << 24;
        assert_eq!(continued([8_000_000, 3].map(scm)), [8_000_000, 3]);
        let sent = [RANGE - 2, 5, 4_000_000, 3];
        assert_eq!(
            continued(sent.map(scm)),
            [RANGE - 2, RANGE + 5, RANGE + 4_000_000, 3]
        );
    }

    #[test]
    fn given_an_r900_then_it_rolls_over_at_27_bits() {
        let r900 = |counter: u32| {
            Message::R900(R900 {
                id: 1,
                unkn1: 163,
                no_use: 0,
                back_flow: 0,
                consumption: counter & 0xFF_FFFF,
                unkn3: (counter >> 25) as u8,
                leak: (counter >> 24 & 1) as u8 * 8,
                leak_now: 0,
                parity: 0,
            })
        };
        let sent = [(1 << 24) - 1, 1 << 24, (1 << 27) - 1, 0];
        assert_eq!(
            continued(sent.map(r900)),
            [(1 << 24) - 1, 1 << 24, (1 << 27) - 1, 1 << 27]
        );
    }

    #[test]
    fn given_a_restart_then_the_counter_goes_on_also_if_it_rolled_over_in_between() {
        const RANGE: i64 = 1 << 24;
        let next = |rollovers: &mut Rollovers, count| {
            let message = scm(count);
            let counts = Registers::new(&message, false);
            rollovers.continued("1", &message, true, counts).main
        };
        let mut before = Rollovers::default();
        assert_eq!(next(&mut before, RANGE - 2), RANGE - 2);
        assert_eq!(
            (before.learned(|_| false), before.take_rolled_over()),
            (vec![], false)
        );
        let mut after = Rollovers::default();
        after.restore(before.learned(|meter| meter == "1"));
        assert_eq!(next(&mut after, 5), RANGE + 5);
        assert!(after.take_rolled_over() && !after.take_rolled_over());
        let mut later = Rollovers::default();
        later.restore(after.learned(|_| false));
        assert_eq!(next(&mut later, 9), RANGE + 9);
    }

    #[test]
    fn given_a_signed_register_then_it_is_twos_complement_at_its_width() {
        for (counts, expected) in [(40, 40), (0xFF_FFFD, -3), (0x80_0000, -0x80_0000)] {
            assert_eq!(Registers::new(&scm(counts), true).main, expected);
        }
    }

    #[test]
    fn given_a_net_idm_then_import_and_export_are_registers_too() {
        let mut message = NetIdm::parse(&[1; 92]).unwrap();
        (message.last_consumption, message.last_generation) = (500, 22_345);
        message.last_consumption_net = 500u32.wrapping_sub(22_345);
        let expected = Registers {
            main: -21_845,
            import: Some(500),
            export: Some(22_345),
        };
        assert_eq!(Registers::new(&Message::NetIdm(message), false), expected);
    }
}
