//! One point of a curve: packets sent over a channel, and packets received.
//!
//! They are received as by the program: the same composition, with tentative packets on. Those are not counted as
//! received, since a frame sent once is further evidence for none of them.

use crate::other;
use metertap_dsp::synth::{Keying, Random, Scene, Transmission, chips, random_frame};
use metertap_dsp::{
    CHIP_RATE_HZ, Complex32, Config, Expectation, Method, Packet, Protocol, Receiver, Trust, iq,
};

/// Width of the window whose noise counts in an SNR.
pub const WINDOW_HZ: f64 = 2_359_296.0;
/// Carriers lie within this share of the window, ±1 MHz of 2.359 MHz.
pub const SPREAD: f64 = 0.424;
/// Time for which the receiver has listened to another dongle before the first frame.
const LISTENED_S: f64 = 1.0;
/// Frames per recording.
pub const BATCH: usize = 20;

/// Impairments between a meter and the receiver.
#[derive(Clone, Copy, Debug, Default)]
pub struct Channel {
    /// Samples per second; 0 = [`WINDOW_HZ`].
    pub sample_rate_hz: f64,
    /// Greatest error of a chip clock; errors are uniformly distributed.
    pub clock_ppm: f64,
    pub dc_lsb: f32,
    pub keying: Keying,
    /// Every frame begins where the one before ends.
    pub back_to_back: bool,
    /// Modulator and dongle of `other.rs`.
    pub is_other: bool,
}

/// Counts of one or more points.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub sent: usize,
    pub received: usize,
    /// Packets with bytes that were not sent.
    pub wrong: usize,
}

impl Outcome {
    pub fn share(&self) -> f64 {
        self.received as f64 / self.sent.max(1) as f64
    }

    pub fn add(&mut self, other: Outcome) {
        self.sent += other.sent;
        self.received += other.received;
        self.wrong += other.wrong;
    }
}

/// Frame to send.
pub struct Sent {
    pub protocol: Protocol,
    pub frame: Vec<u8>,
    pub start_s: f64,
    pub offset_hz: f64,
    pub snr_db: f64,
}

/// Sends `packets` frames of `protocol` at `snr_db`, one after another on random carriers.
pub fn alone(protocol: Protocol, snr_db: f64, packets: usize, channel: Channel, trust: Trust) -> Outcome {
    let mut random = Random::new((snr_db * 16.0) as i64 as u64 ^ protocol as u64);
    let mut outcome = Outcome::default();
    let rate = rate_of(channel);
    for _ in 0..packets.div_ceil(BATCH) {
        let mut at = 0.02;
        let sent: Vec<Sent> = (0..BATCH)
            .map(|_| {
                let start_s = at;
                at += length_s(protocol);
                if !channel.back_to_back {
                    at += random.uniform(0.012, 0.016);
                }
                Sent {
                    protocol,
                    frame: random_frame(protocol, &mut random),
                    start_s,
                    offset_hz: random.uniform(-SPREAD, SPREAD) * rate,
                    snr_db,
                }
            })
            .collect();
        outcome.add(run(&sent, channel, trust, &[], &mut random));
    }
    outcome
}

/// Sends pairs of SCM at `snr_db` and `weaker_db` below, `apart_hz` apart, overlapping in time. A pair counts as
/// received if both frames are.
pub fn pairs(snr_db: f64, weaker_db: f64, apart_hz: f64, packets: usize) -> Outcome {
    let mut random = Random::new((weaker_db + apart_hz) as u64);
    let mut outcome = Outcome::default();
    for _ in 0..packets {
        let length = length_s(Protocol::Scm);
        let room = (SPREAD * WINDOW_HZ * 2.0 - apart_hz) / 2.0;
        let center = random.uniform(-room, room);
        let sent = [-0.5, 0.5].map(|side| Sent {
            protocol: Protocol::Scm,
            frame: random_frame(Protocol::Scm, &mut random),
            start_s: 0.02 + random.uniform(0.0, 0.95) * length,
            offset_hz: center + side * apart_hz,
            snr_db: if side < 0.0 { snr_db } else { snr_db - weaker_db },
        });
        let both = run(&sent, Channel::default(), Trust::Normal, &[], &mut random);
        outcome.add(Outcome {
            sent: 1,
            received: usize::from(both.received == 2),
            wrong: both.wrong,
        });
    }
    outcome
}

/// Counts the packets received in a minute of noise with 20 meters expected, and the tentative ones.
pub fn noise(minute: u64) -> [usize; 2] {
    let mut random = Random::new(99 + minute);
    let config = config(WINDOW_HZ, Trust::Normal);
    let mut receiver = Receiver::new(config).expect("a rate that works");
    receiver.expect(&crate::known::absent(20, &mut random));
    let mut bytes = Vec::new();
    let mut samples = Vec::new();
    let mut counts = [0; 2];
    let mut count = |packet: &Packet| {
        counts[usize::from(config.is_tentative(packet.signal.error_probability))] += 1;
    };
    for _ in 0..60 {
        samples.clear();
        samples.extend((0..WINDOW_HZ as usize).map(|_| random.gaussian() * 0.08));
        quantize(&mut samples, &mut bytes);
        receiver.push(&samples, &mut count);
    }
    receiver.flush(&mut count);
    counts
}

pub fn length_s(protocol: Protocol) -> f64 {
    protocol.chips() as f64 / CHIP_RATE_HZ
}

fn rate_of(channel: Channel) -> f64 {
    if channel.sample_rate_hz > 0.0 {
        channel.sample_rate_hz
    } else {
        WINDOW_HZ
    }
}

/// The configuration of the program.
pub fn config(sample_rate_hz: f64, trust: Trust) -> Config {
    Config {
        sample_rate_hz,
        trust,
        tentative: true,
    }
}

/// Renders `sent`, quantizes it to eight bits and receives it, with `expectations`.
pub fn run(
    sent: &[Sent],
    channel: Channel,
    trust: Trust,
    expectations: &[Expectation],
    random: &mut Random,
) -> Outcome {
    run_expecting(sent, channel, trust, &[(0.0, expectations.to_vec())], random)
}

/// The same, with other expectations from each of these seconds on.
pub fn run_expecting(
    sent: &[Sent],
    channel: Channel,
    trust: Trust,
    expectations: &[(f64, Vec<Expectation>)],
    random: &mut Random,
) -> Outcome {
    let rate = rate_of(channel);
    let transmissions: Vec<Transmission> = sent
        .iter()
        .map(|sent| Transmission {
            chips: chips(sent.protocol, &sent.frame, 0),
            start_s: sent.start_s,
            offset_hz: sent.offset_hz,
            phase_rad: random.uniform(0.0, std::f64::consts::TAU),
            snr_db: sent.snr_db + 10.0 * (WINDOW_HZ / rate).log10(),
            clock_ppm: random.uniform(-channel.clock_ppm, channel.clock_ppm),
            keying: channel.keying,
        })
        .collect();
    let end_s = transmissions.iter().map(Transmission::end_s).fold(0.0, f64::max);
    let scene = Scene {
        sample_rate_hz: rate,
        samples: ((end_s + 0.02) * rate) as usize,
        noise: 1.0,
        transmissions,
    };
    let mut samples = if channel.is_other {
        other::render(&scene.transmissions, rate, scene.samples, random)
    } else {
        scene.render(random)
    };
    // Noise of 7 LSB, or less where the strongest needs the room.
    let strongest_db = sent.iter().map(|sent| sent.snr_db).fold(0.0, f64::max);
    let scale = (0.7 / 10f64.powf(strongest_db / 20.0)).min(0.08) as f32;
    let dc = Complex32::new(channel.dc_lsb, channel.dc_lsb) / 127.5;
    samples
        .iter_mut()
        .for_each(|sample| *sample = *sample * scale + dc);
    quantize(&mut samples, &mut Vec::new());

    let config = config(rate, trust);
    let mut receiver = Receiver::new(config).expect("a rate that works");
    // A spur takes 0.8 s to raise the floor of its bin.
    let mut lead = if channel.is_other {
        other::render(&[], rate, (LISTENED_S * rate) as usize, random)
    } else {
        Vec::new()
    };
    lead.iter_mut().for_each(|sample| *sample *= scale);
    quantize(&mut lead, &mut Vec::new());
    receiver.push(&lead, |_| ());
    let mut packets: Vec<Packet> = Vec::new();
    let ends = expectations
        .iter()
        .skip(1)
        .map(|(from_s, _)| (from_s * rate) as usize);
    let mut position = 0;
    for ((_, expectations), end) in expectations.iter().zip(ends.chain([samples.len()])) {
        // Nothing is remembered of those before.
        receiver.expect(&[]);
        receiver.expect(expectations);
        receiver.push(&samples[position..end], |packet| packets.push(*packet));
        position = end;
    }
    receiver.flush(|packet| packets.push(*packet));
    packets.retain(|packet| !config.is_tentative(packet.signal.error_probability));
    let is_sent = |packet: &Packet, sent: &Sent| {
        let late_s = (packet.start_sample as f64 - lead.len() as f64) / rate - sent.start_s;
        let time_doubt_percent = match packet.signal.method {
            Method::Checked => None,
            Method::Expected {
                time_doubt_percent, ..
            } => Some(time_doubt_percent),
        };
        let time_doubt_percent = time_doubt_percent.filter(|_| sent.protocol == Protocol::Idm);
        packet.protocol == sent.protocol
            && late_s.abs() < length_s(sent.protocol) / 2.0
            && match time_doubt_percent {
                Some(doubt) => is_idm_but_for_time(packet.bytes(), &sent.frame, doubt > 0),
                None => packet.bytes() == sent.frame,
            }
    };
    Outcome {
        sent: sent.len(),
        received: sent
            .iter()
            .filter(|sent| packets.iter().any(|packet| is_sent(packet, sent)))
            .count(),
        wrong: packets
            .iter()
            .filter(|packet| !sent.iter().any(|sent| is_sent(packet, sent)))
            .count(),
    }
}

/// Compares an expected IDM with the one sent. Its time may be a second wrong, or anything if there is doubt about it, and its check with it.
fn is_idm_but_for_time(received: &[u8], sent: &[u8], is_doubtful: bool) -> bool {
    let time = |frame: &[u8]| u16::from_be_bytes([frame[86], frame[87]]);
    received[..86] == sent[..86]
        && received[88..90] == sent[88..90]
        && (is_doubtful || time(received).abs_diff(time(sent)) <= 16)
}

/// Rounds samples to the eight bits of a dongle.
pub fn quantize(samples: &mut Vec<Complex32>, bytes: &mut Vec<u8>) {
    bytes.clear();
    iq::Format::Cu8.encode(samples, bytes);
    samples.clear();
    iq::Format::Cu8.decode(bytes, samples);
}
