//! Known meters: frames whose id, type and flags are expected, and whose counter has risen by up to [`RISE`].

use crate::trial::{BATCH, Channel, Outcome, SPREAD, Sent, WINDOW_HZ, config, length_s, quantize, run};
use metertap_dsp::synth::{Keying, Random, Scene, Transmission, chips, random_frame};
use metertap_dsp::{Expectation, Protocol, Receiver, Trust, fec};
use std::time::Instant;

/// Greatest rise of a counter.
const RISE: u32 = 1000;
/// Meters expected besides the one that sends.
const ABSENT: usize = 9;

/// Sends `packets` frames of known meters of `protocol` at `snr_db`, on random carriers.
pub fn alone(protocol: Protocol, snr_db: f64, packets: usize, channel: Channel) -> Outcome {
    send(protocol, snr_db, packets, channel, 0)
}

/// Sends frames of meters whose ids differ in one bit from those that are expected: none of them may be taken for one of those.
pub fn relatives(protocol: Protocol, snr_db: f64, packets: usize) -> Outcome {
    send(protocol, snr_db, packets, Channel::default(), 1)
}

fn send(protocol: Protocol, snr_db: f64, packets: usize, channel: Channel, id_change: u8) -> Outcome {
    let mut random = Random::new((snr_db * 16.0) as i64 as u64 ^ 0x5EED ^ protocol as u64);
    let mut outcome = Outcome::default();
    for _ in 0..packets.div_ceil(BATCH) {
        let last = random_frame(protocol, &mut random);
        let mut at = 0.02;
        let sent: Vec<Sent> = (0..BATCH)
            .map(|_| {
                let start_s = at;
                at += length_s(protocol) + random.uniform(0.012, 0.016);
                Sent {
                    protocol,
                    frame: risen(protocol, &last, random.uniform(0.0, f64::from(RISE) + 1.0) as u32),
                    start_s,
                    offset_hz: random.uniform(-SPREAD, SPREAD) * WINDOW_HZ,
                    snr_db,
                }
            })
            .collect();
        let mut expectations = absent(ABSENT, &mut random);
        let mut expected = last;
        expected[lowest_id_byte(protocol)] ^= id_change;
        expectations.extend(Expectation::after(protocol, &expected, RISE));
        outcome.add(run(&sent, channel, Trust::Normal, &expectations, &mut random));
    }
    outcome
}

/// Expects `count` meters that are not on the air.
pub fn absent(count: usize, random: &mut Random) -> Vec<Expectation> {
    let protocols = [Protocol::Scm, Protocol::ScmPlus, Protocol::R900];
    let frames = protocols.into_iter().cycle().take(count);
    frames
        .filter_map(|protocol| Expectation::after(protocol, &random_frame(protocol, random), RISE))
        .collect()
}

fn lowest_id_byte(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Scm => 9,
        Protocol::ScmPlus => 7,
        Protocol::R900 => 3,
        Protocol::Idm => 12,
    }
}

/// Returns the frame with its counter `rise` counts higher.
fn risen(protocol: Protocol, frame: &[u8], rise: u32) -> Vec<u8> {
    // Bytes of the counter; R900 packs its symbols, so that it is the same there.
    let counter = match protocol {
        Protocol::Scm => 4..7,
        Protocol::ScmPlus => 8..12,
        Protocol::R900 => 6..9,
        Protocol::Idm => 29..33,
    };
    let mut frame = frame.to_vec();
    let mut rest = rise;
    for byte in frame[counter].iter_mut().rev() {
        rest += u32::from(*byte);
        *byte = rest as u8;
        rest >>= 8;
    }
    fec::encode(protocol, &mut frame);
    frame
}

/// Prints the cost of `count` absent meters against none, in turn, on a quiet band and in a street of 34 packets a second.
pub fn cost(count: usize) {
    const SECONDS: f64 = 4.0;
    const ROUNDS: usize = 6;
    let mut random = Random::new(3);
    for packets_per_s in [0.0, 34.0] {
        let transmissions = (0..(SECONDS * packets_per_s) as usize).map(|i| {
            let protocol = Protocol::ALL[i % 4];
            Transmission {
                chips: chips(protocol, &random_frame(protocol, &mut random), 0),
                start_s: random.uniform(0.0, SECONDS),
                offset_hz: random.uniform(-SPREAD, SPREAD) * WINDOW_HZ,
                phase_rad: 1.0,
                snr_db: random.uniform(-15.0, 25.0),
                clock_ppm: 0.0,
                keying: Keying::default(),
            }
        });
        let scene = Scene {
            sample_rate_hz: WINDOW_HZ,
            samples: (SECONDS * WINDOW_HZ) as usize,
            noise: 1.0,
            transmissions: transmissions.collect(),
        };
        let mut samples = scene.render(&mut random);
        samples.iter_mut().for_each(|sample| *sample *= 0.04);
        quantize(&mut samples, &mut Vec::new());
        let mut receivers = [0, count].map(|count| {
            let mut receiver = Receiver::new(config(WINDOW_HZ, Trust::Normal)).expect("a rate that works");
            receiver.expect(&absent(count, &mut random));
            receiver
        });
        // The least of several rounds: another process may run in any of them.
        let mut least_s = [f64::INFINITY; 2];
        for _ in 0..ROUNDS {
            for (receiver, least_s) in receivers.iter_mut().zip(&mut least_s) {
                let begin = Instant::now();
                receiver.push(&samples, |_| ());
                *least_s = least_s.min(begin.elapsed().as_secs_f64());
            }
        }
        let [without, with] = least_s.map(|s| s / SECONDS);
        println!(
            "{packets_per_s} packets/s: {without:.4} s per s of IQ, with {count} meters expected {with:.4}: {:.2} times",
            with / without
        );
    }
}
