//! Confidence filter: decides which frames are accepted, and on what evidence.
//!
//! The receiver estimates for every frame its *error probability*, that it differs from what was sent, from the
//! reliability of the corrected bits, the quality of preamble and eye, and competing explanations of the bits
//! (`metertap_dsp::fec::correct`). A *tentative* frame has a higher error probability than [`Trust`](metertap_dsp::Trust)
//! allows, but at most 0.3. The rule:
//!
//! 1. A frame whose error probability is within the limit is accepted.
//! 2. A tentative frame is accepted if the same bytes arrived tentatively before: noise does not err twice in the same
//!    way, and meters send a counter many times.
//! 3. A tentative frame is accepted if its meter is known and its counter moved plausibly, and if its error
//!    probability times the share of wrong frames that would pass this test is within the limit.
//!
//! That share: a wrong frame differs from the sent one by a code word. If at least `d` of the frame's `n` bits differ,
//! and only `free` of the bits can differ without being noticed (the check, the low bits of the counter, and fields
//! that this test ignores), the share is about (free / n)^d.
//!
//! With `strict`, the receiver delivers neither corrected nor tentative frames.

use jiff::{SignedDuration, Timestamp};
use metertap_decode::ert::{Kind, Message};
use metertap_dsp::{Config, Packet, Protocol};
use std::collections::{HashMap, VecDeque};

/// Meters remembered; frames of further ones are accepted by rules 1 and 2 only.
const MAX_METERS: usize = 10_000;
/// Tentative frames remembered.
const MAX_TENTATIVE: usize = 256;
/// Longest time between a tentative frame and its repetition; SCM counters are sent about once a minute.
const REPEAT: SignedDuration = SignedDuration::from_mins(15);
/// A plausible counter has risen by less than 2^12 = 4096 counts.
const COUNTER_BITS: u32 = 12;

/// Accepts or drops frames by their error probability and by what was received before.
pub struct ConfidenceFilter {
    config: Config,
    /// Newest accepted counter by meter id, message type and meter type.
    counters: HashMap<(u32, Kind, Option<u8>), i64>,
    /// Tentative frames that were not accepted, oldest first.
    tentative: VecDeque<Tentative>,
}

struct Tentative {
    time: Timestamp,
    packet: Packet,
}

impl ConfidenceFilter {
    /// Uses the trust limit of the receiver's configuration.
    pub fn new(config: Config) -> Self {
        ConfidenceFilter {
            config,
            counters: HashMap::new(),
            tentative: VecDeque::with_capacity(MAX_TENTATIVE),
        }
    }

    /// Returns whether `packet`, decoded as `message` and received at `time`, is accepted.
    pub fn accepts(&mut self, packet: &Packet, message: &Message, time: Timestamp) -> bool {
        let accepted = !self.config.is_tentative(packet.signal.error_probability)
            || self.continues_counter(packet, message)
            || self.is_repeated(packet, time);
        // Only accepted counters are remembered: a wrong one would let the next wrong one pass rule 3.
        if accepted {
            self.remember(message);
        }
        accepted
    }

    /// Rule 3.
    fn continues_counter(&self, packet: &Packet, message: &Message) -> bool {
        let Some(last) = self.counters.get(&key(message)) else {
            return false;
        };
        let rise = message.consumption() - last;
        let error_probability = packet.signal.error_probability * unnoticed_share(packet.protocol);
        (0..1 << COUNTER_BITS).contains(&rise) && !self.config.is_tentative(error_probability)
    }

    /// Rule 2; remembers the frame for its repetition.
    fn is_repeated(&mut self, packet: &Packet, time: Timestamp) -> bool {
        self.tentative
            .retain(|earlier| time.duration_since(earlier.time).abs() < REPEAT);
        let repeats = |earlier: &Tentative| {
            let earlier = &earlier.packet;
            // Two detections of one transmission share their noise and prove nothing: a repetition begins after the
            // end of the first.
            let distance = earlier.start_sample.abs_diff(packet.start_sample);
            earlier.protocol == packet.protocol
                && earlier.bytes() == packet.bytes()
                && distance > packet.len_samples
        };
        if self.tentative.iter().any(repeats) {
            return true;
        }
        if self.tentative.len() == MAX_TENTATIVE {
            self.tentative.pop_front();
        }
        self.tentative.push_back(Tentative {
            time,
            packet: *packet,
        });
        false
    }

    fn remember(&mut self, message: &Message) {
        let key = key(message);
        if self.counters.len() < MAX_METERS || self.counters.contains_key(&key) {
            self.counters.insert(key, message.consumption());
        }
    }
}

fn key(message: &Message) -> (u32, Kind, Option<u8>) {
    (message.id(), message.kind(), message.constant_type())
}

/// Share of wrong frames that look like the next frame of a known meter.
fn unnoticed_share(protocol: Protocol) -> f32 {
    let share = |free: u32, bits: u32, distance: i32| (free as f32 / bits as f32).powi(distance);
    match protocol {
        // BCH of distance 5; free: counter and 16 check bits of 80.
        Protocol::Scm => share(COUNTER_BITS + 16, 80, 5),
        // CRC of distance 4; free: counter, 16 tamper bits and 16 CRC bits of 112.
        Protocol::ScmPlus => share(COUNTER_BITS + 32, 112, 4),
        // CRC of distance 4; free: counter, 47 intervals of 9 bits, transmit time, power outage and module flags, about
        // 600 of 680.
        Protocol::Idm => share(COUNTER_BITS + 588, 680, 4),
        // Reed-Solomon of distance 6 over symbols; free: some of 16 data symbols, and 5 parity symbols.
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

    /// An SCM of meter `id`, type 7, synthesized and received, then given an error probability.
    fn received(id: u32, counter: u32, error_probability: f32) -> (Packet, Message) {
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
        let mut packet: Packet = packet.expect("received");
        packet.signal.error_probability = error_probability;
        let message = Message::parse(Kind::Scm, packet.bytes()).unwrap();
        assert_eq!((message.id(), message.consumption()), (id, counter.into()));
        (packet, message)
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    #[test]
    fn given_a_low_error_probability_then_a_frame_is_accepted() {
        let mut filter = ConfidenceFilter::new(config(Trust::Normal));
        let (packet, message) = received(1234, 100, 1e-5);
        assert!(filter.accepts(&packet, &message, at(0)));
    }

    #[test]
    fn given_an_unknown_meter_then_a_tentative_frame_is_dropped() {
        let mut filter = ConfidenceFilter::new(config(Trust::Normal));
        let (packet, message) = received(1234, 100, 0.05);
        assert!(!filter.accepts(&packet, &message, at(0)));
    }

    #[test]
    fn given_a_known_meter_then_a_tentative_frame_is_accepted_if_its_counter_moved_plausibly() {
        let mut filter = ConfidenceFilter::new(config(Trust::Normal));
        let (packet, message) = received(1234, 100, 1e-5);
        filter.accepts(&packet, &message, at(0));
        for (counter, accepted) in [(101, true), (4000, true), (99, false), (9000, false)] {
            let (packet, message) = received(1234, counter, 0.05);
            let mut filter = ConfidenceFilter {
                counters: filter.counters.clone(),
                ..ConfidenceFilter::new(config(Trust::Normal))
            };
            assert_eq!(filter.accepts(&packet, &message, at(1)), accepted, "{counter}");
        }
        let (packet, message) = received(1235, 101, 0.05);
        assert!(!filter.accepts(&packet, &message, at(1)), "another meter");
    }

    #[test]
    fn given_a_repeated_tentative_frame_then_it_is_accepted() {
        let mut filter = ConfidenceFilter::new(config(Trust::Normal));
        let (mut packet, message) = received(1234, 100, 0.2);
        assert!(!filter.accepts(&packet, &message, at(0)));
        assert!(!filter.accepts(&packet, &message, at(0)), "the same transmission");
        packet.start_sample += 60_000_000;
        assert!(filter.accepts(&packet, &message, at(1)));
    }

    #[test]
    fn given_a_tentative_frame_that_is_repeated_too_late_then_it_is_dropped() {
        let mut filter = ConfidenceFilter::new(config(Trust::Normal));
        let (mut packet, message) = received(1234, 100, 0.2);
        assert!(!filter.accepts(&packet, &message, at(0)));
        packet.start_sample += 960_000_000;
        assert!(!filter.accepts(&packet, &message, at(16)));
    }
}
