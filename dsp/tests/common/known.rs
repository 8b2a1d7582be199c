//! Known meters and what they send.
#![allow(dead_code, reason = "each test file uses some of these")]

use crate::common::{quantized, scene, transmission};
use metertap_dsp::synth::{Keying, Random, Transmission, random_frame};
use metertap_dsp::{Complex32, Config, Expectation, Method, Packet, Protocol, Receiver, Trust, fec};

pub const RATE_HZ: f64 = 2_359_296.0;

pub fn listen(trust: Trust, expectations: &[Expectation], samples: &[Complex32]) -> Vec<Packet> {
    let mut receiver = Receiver::new(Config {
        sample_rate_hz: RATE_HZ,
        trust,
        tentative: false,
    })
    .unwrap();
    receiver.expect(expectations);
    let mut received = Vec::new();
    receiver.push(samples, |packet| received.push(*packet));
    receiver.flush(|packet| received.push(*packet));
    received
}

/// Returns the frame with its counter higher by `rise`, less than 256.
pub fn risen(protocol: Protocol, frame: &[u8], rise: u8) -> Vec<u8> {
    let last = match protocol {
        Protocol::Scm => 6,
        Protocol::ScmPlus => 11,
        _ => 8,
    };
    let mut frame = frame.to_vec();
    let (low, carry) = frame[last].overflowing_add(rise);
    frame[last] = low;
    frame[last - 1] = frame[last - 1].wrapping_add(u8::from(carry));
    // The third byte stays: the counters of these tests do not end in 0xFFFF.
    fec::encode(protocol, &mut frame);
    frame
}

/// A frame whose counter has room above it.
pub fn last_frame(protocol: Protocol, random: &mut Random) -> Vec<u8> {
    loop {
        let frame = random_frame(protocol, random);
        if [6, 11, 8]
            .iter()
            .all(|&i| frame.get(i - 1).is_none_or(|&byte| byte != 0xFF))
        {
            return frame;
        }
    }
}

/// `count` frames of `protocol` whose counters rise by 200 in all, one every 20 ms, and their samples.
pub fn sent(
    protocol: Protocol,
    last: &[u8],
    snr_db: f64,
    keying: Keying,
    count: usize,
    random: &mut Random,
) -> (Vec<Vec<u8>>, Vec<Complex32>) {
    let frames: Vec<_> = (0..count)
        .map(|i| {
            let least = 200.0 * i as f64 / count as f64;
            risen(
                protocol,
                last,
                random.uniform(least, least + 200.0 / count as f64) as u8,
            )
        })
        .collect();
    let transmissions = frames.iter().enumerate().map(|(i, frame)| Transmission {
        phase_rad: random.uniform(0.0, std::f64::consts::TAU),
        keying,
        ..transmission(
            protocol,
            frame,
            0.02 * (i + 1) as f64,
            random.uniform(-1e6, 1e6),
            snr_db,
        )
    });
    let scene = scene(RATE_HZ, 0.02 * (count + 2) as f64, transmissions.collect());
    (frames, quantized(&scene, random))
}

pub fn id(protocol: Protocol, frame: &[u8]) -> u32 {
    let number = |at: usize| u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
    match protocol {
        Protocol::Scm => u32::from(frame[2] >> 1 & 3) << 24 | number(6) & 0xFF_FFFF,
        Protocol::ScmPlus => number(4),
        Protocol::Idm => number(9),
        Protocol::R900 => number(0),
    }
}

pub fn is_expected(packet: &&Packet) -> bool {
    packet.signal.method != Method::Checked
}
