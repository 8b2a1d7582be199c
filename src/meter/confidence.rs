//! Which frames are believed, and on what evidence.
//!
//! The receiver estimates for every frame the probability that it is not what was sent, its *doubt*: from how
//! unreliable the corrected bits were, how well preamble and eye agree, and what else would explain the bits
//! (`metertap_dsp::fec::correct`). The rule has three sentences:
//!
//! 1. A frame whose doubt is within the limit of [`Trust`] stands alone.
//! 2. A lead (a frame with more doubt than that, but at most 0.3) is believed if the same bytes were a lead
//!    before: noise does not err twice in the same way, and meters send a counter many times.
//! 3. A lead is believed if it comes from a meter that was believed before, and a wrong one would hardly have
//!    kept its id and type and moved its counter plausibly: if its doubt times the share of wrong words that
//!    do so is within the limit.
//!
//! That share: a wrong word differs from the sent one by a code word. Where at least `d` of the frame's `n`
//! bits differ and only `free` of them can without being noticed (the check, the counter's lowest bits, and
//! what else is not looked at), it is about (free / n)^d.
//!
//! `strict` hears neither corrections nor leads.

use jiff::{SignedDuration, Timestamp};
use metertap_decode::ert::{Kind, Message};
use metertap_dsp::{Config, Packet, Protocol};
use std::collections::{HashMap, VecDeque};

/// Meters remembered. Beyond that, new ones have to stand alone.
const MAX_METERS: usize = 10_000;
/// Leads remembered.
const MAX_LEADS: usize = 256;
/// A lead is too old to be repeated after this: SCM counters are sent about once a minute.
const REPEAT: SignedDuration = SignedDuration::from_mins(15);
/// A plausible counter has moved by at most this many of its lowest bits: 4 095 units.
const COUNTER_BITS: u32 = 12;

/// Weighs frames against what was heard before.
pub struct ConfidenceFilter {
    config: Config,
    counters: HashMap<(u32, Kind, u8), i64>,
    leads: VecDeque<Lead>,
}

struct Lead {
    time: Timestamp,
    packet: Packet,
}

impl ConfidenceFilter {
    /// `config`: what the receiver was told to believe.
    pub fn new(config: Config) -> Self {
        ConfidenceFilter {
            config,
            counters: HashMap::new(),
            leads: VecDeque::with_capacity(MAX_LEADS),
        }
    }

    /// Whether to believe that `packet`, heard at `time`, says `message`.
    pub fn believes(&mut self, packet: &Packet, message: &Message, time: Timestamp) -> bool {
        let believed = !self.config.is_tentative(packet.signal.error_probability)
            || self.is_known(packet, message)
            || self.is_repeated(packet, time);
        if believed {
            self.remember(message);
        }
        believed
    }

    fn is_known(&self, packet: &Packet, message: &Message) -> bool {
        let key = (message.id(), message.kind(), message.meter_type());
        let Some(last) = self.counters.get(&key) else {
            return false;
        };
        let moved = message.consumption() - last;
        (0..1 << COUNTER_BITS).contains(&moved)
            && !self
                .config
                .is_tentative(packet.signal.error_probability * unnoticed(packet.protocol))
    }

    fn is_repeated(&mut self, packet: &Packet, time: Timestamp) -> bool {
        self.leads
            .retain(|lead| time.duration_since(lead.time).abs() < REPEAT);
        let again = |lead: &Lead| {
            let other = &lead.packet;
            // Not the same transmission, heard twice.
            let apart = other.start_sample.abs_diff(packet.start_sample);
            other.protocol == packet.protocol && other.bytes() == packet.bytes() && apart > packet.len_samples
        };
        if self.leads.iter().any(again) {
            return true;
        }
        if self.leads.len() == MAX_LEADS {
            self.leads.pop_front();
        }
        self.leads.push_back(Lead {
            time,
            packet: *packet,
        });
        false
    }

    fn remember(&mut self, message: &Message) {
        let key = (message.id(), message.kind(), message.meter_type());
        if self.counters.len() < MAX_METERS || self.counters.contains_key(&key) {
            self.counters.insert(key, message.consumption());
        }
    }
}

/// The share of wrong words that pass for the next word of a known meter.
fn unnoticed(protocol: Protocol) -> f32 {
    let share = |free: u32, bits: u32, differ: i32| (free as f32 / bits as f32).powi(differ);
    match protocol {
        // BCH with distance 5: counter and 16 check bits of 80.
        Protocol::Scm => share(COUNTER_BITS + 16, 80, 5),
        // CRC with distance 4: counter, 16 tamper bits and the CRC of 112.
        Protocol::ScmPlus => share(COUNTER_BITS + 32, 112, 4),
        // CRC with distance 4, and 47 intervals of 9 bits, transmit time, power outage and modules' flags
        // that nothing is known of: some 600 of 680 bits.
        Protocol::Idm => share(COUNTER_BITS + 588, 680, 4),
        // Reed-Solomon with distance 6: a few of 16 data symbols and 5 parity symbols.
        Protocol::R900 => share(COUNTER_BITS / 5 + 3 + 5, 21, 6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metertap_dsp::synth::{Keying, Random, Scene, Transmission, chips};
    use metertap_dsp::{Receiver, Trust, fec};

    fn config(trust: Trust) -> Config {
        Config {
            sample_rate_hz: 1e6,
            trust,
            tentative: true,
        }
    }

    /// An SCM of meter `id`, type 7, really sent and heard, then doubted.
    fn heard(id: u32, counter: u32, doubt: f32) -> (Packet, Message) {
        let mut frame = vec![0xF9, 0x53, (id >> 24 & 3) as u8 * 2, 7 << 2];
        frame.extend(&counter.to_be_bytes()[1..]);
        frame.extend(&id.to_be_bytes()[1..]);
        frame.extend([0, 0]);
        fec::encode(Protocol::Scm, &mut frame);
        let transmission = Transmission {
            chips: chips(Protocol::Scm, &frame, 0),
            start_s: 0.01,
            offset_hz: 1e5,
            phase_rad: 0.0,
            snr_db: 20.0,
            clock_ppm: 0.0,
            keying: Keying::default(),
        };
        let scene = Scene {
            sample_rate_hz: 1e6,
            samples: 30_000,
            noise: 0.1,
            transmissions: vec![transmission],
        };
        let mut receiver = Receiver::new(config(Trust::Normal)).unwrap();
        let mut packet = None;
        receiver.push(&scene.render(&mut Random::new(1)), |p| packet = Some(*p));
        receiver.flush(|p| packet = Some(*p));
        let mut packet: Packet = packet.expect("heard");
        packet.signal.error_probability = doubt;
        let message = Message::parse(Kind::Scm, packet.bytes()).unwrap();
        assert_eq!((message.id(), message.consumption()), (id, counter.into()));
        (packet, message)
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    #[test]
    fn given_little_doubt_then_a_frame_stands_alone() {
        let mut witness = ConfidenceFilter::new(config(Trust::Normal));
        let (packet, message) = heard(1234, 100, 1e-5);
        assert!(witness.believes(&packet, &message, at(0)));
    }

    #[test]
    fn given_an_unknown_meter_then_a_lead_is_not_believed() {
        let mut witness = ConfidenceFilter::new(config(Trust::Normal));
        let (packet, message) = heard(1234, 100, 0.05);
        assert!(!witness.believes(&packet, &message, at(0)));
    }

    #[test]
    fn given_a_known_meter_then_a_lead_is_believed_if_its_counter_moved_plausibly() {
        let mut witness = ConfidenceFilter::new(config(Trust::Normal));
        let (packet, message) = heard(1234, 100, 1e-5);
        witness.believes(&packet, &message, at(0));
        for (counter, believed) in [(101, true), (4000, true), (99, false), (9000, false)] {
            let (packet, message) = heard(1234, counter, 0.05);
            let mut witness = ConfidenceFilter {
                counters: witness.counters.clone(),
                ..ConfidenceFilter::new(config(Trust::Normal))
            };
            assert_eq!(witness.believes(&packet, &message, at(1)), believed, "{counter}");
        }
        let (packet, message) = heard(1235, 101, 0.05);
        assert!(!witness.believes(&packet, &message, at(1)), "another meter");
    }

    #[test]
    fn given_a_lead_that_repeats_itself_then_it_is_believed() {
        let mut witness = ConfidenceFilter::new(config(Trust::Normal));
        let (mut packet, message) = heard(1234, 100, 0.2);
        assert!(!witness.believes(&packet, &message, at(0)));
        assert!(
            !witness.believes(&packet, &message, at(0)),
            "the same transmission"
        );
        packet.start_sample += 60_000_000;
        assert!(witness.believes(&packet, &message, at(1)));
    }

    #[test]
    fn given_a_lead_that_repeats_itself_too_late_then_it_is_not_believed() {
        let mut witness = ConfidenceFilter::new(config(Trust::Normal));
        let (mut packet, message) = heard(1234, 100, 0.2);
        assert!(!witness.believes(&packet, &message, at(0)));
        packet.start_sample += 960_000_000;
        assert!(!witness.believes(&packet, &message, at(16)));
    }
}
