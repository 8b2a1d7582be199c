//! Known meters: frames of meters that are expected, and of their neighbors.

use crate::trial::{BATCH, Channel, Outcome, SPREAD, Sent, WINDOW_HZ, config, length_s, quantize, run};
use metertap_dsp::synth::{Keying, Random, Scene, Transmission, chips, random_frame};
use metertap_dsp::{Expectation, Protocol, Receiver, Trust, fec};
use std::time::Instant;

/// Greatest rise of a counter.
const RISE: u32 = 1000;
/// Greatest consumption in an interval of an IDM; the total of an IDM may rise by [`RISE`], too.
const CONSUMPTION: f64 = 100.0;
/// Meters expected besides the one that sends.
const ABSENT: usize = 9;
/// Sixteenths of a second in an interval of an IDM.
const INTERVAL: f64 = 4800.0;

/// What is known of a meter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Known {
    /// Its last SCM, SCM+ or R900.
    Frame(Protocol),
    /// Its last IDM, of the same interval, and when it was received: all but the time is the same, and that can be predicted.
    IdmSame,
    /// Its last IDM, of one interval ago.
    Idm,
    /// The same, and when it was received.
    IdmAndTime,
}

impl Known {
    pub fn protocol(self) -> Protocol {
        match self {
            Known::Frame(protocol) => protocol,
            Known::IdmSame | Known::Idm | Known::IdmAndTime => Protocol::Idm,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Known::Frame(Protocol::Scm) => "Scm",
            Known::Frame(Protocol::ScmPlus) => "ScmPlus",
            Known::Frame(_) => "R900",
            Known::IdmSame => "Idm, same",
            Known::Idm => "Idm, next",
            Known::IdmAndTime => "Idm, time",
        }
    }
}

impl Known {
    /// Returns how many words are equally likely, in how many bits they may differ, and in how many they do at least.
    pub fn words(self) -> (f64, u32, u32) {
        match self {
            // Ten bits of the counter and the check.
            Known::Frame(Protocol::ScmPlus) => (1001.0, 26, 4),
            Known::Frame(_) => (1001.0, 26, 5),
            // A few times, and the check.
            Known::IdmSame => (5.0, 18, 4),
            // Seven bits of the total and of the new interval, the time, and the check.
            Known::Idm => (101.0 * INTERVAL, 43, 4),
            Known::IdmAndTime => (101.0 * 5.0, 32, 4),
        }
    }
}

/// Sends `packets` frames of known meters at `snr_db`, on random carriers.
pub fn alone(known: Known, snr_db: f64, packets: usize, channel: Channel) -> Outcome {
    send(known, snr_db, packets, channel, 0)
}

/// Sends frames of meters whose ids differ in one bit from those that are expected: none of them may be taken for one of those.
pub fn relatives(known: Known, snr_db: f64, packets: usize) -> Outcome {
    send(known, snr_db, packets, Channel::default(), 1)
}

fn send(known: Known, snr_db: f64, packets: usize, channel: Channel, id_change: u8) -> Outcome {
    let protocol = known.protocol();
    let mut random = Random::new((snr_db * 16.0) as i64 as u64 ^ 0x5EED ^ protocol as u64);
    let mut outcome = Outcome::default();
    for _ in 0..packets.div_ceil(BATCH) {
        let last = last_frame(protocol, &mut random);
        // The last IDM was received so long ago that all frames fall into one interval: the next, or the same.
        let new_time = random.uniform(time(&last), INTERVAL - 100.0);
        let next = if known == Known::IdmSame { 0.0 } else { INTERVAL };
        let passed_s = (next + new_time - time(&last)) / 16.0;
        let mut at = 0.02;
        let sent: Vec<Sent> = (0..BATCH)
            .map(|_| {
                let start_s = at;
                at += length_s(protocol) + random.uniform(0.012, 0.016);
                let time = new_time + 16.0 * start_s;
                let frame = match known {
                    Known::Frame(_) => {
                        risen(protocol, &last, random.uniform(0.0, f64::from(RISE) + 1.0) as u32)
                    }
                    Known::IdmSame => {
                        let mut frame = last.clone();
                        set_time(&mut frame, time);
                        fec::encode(protocol, &mut frame);
                        frame
                    }
                    Known::Idm => next_idm(&last, random.uniform(0.0, INTERVAL), &mut random),
                    Known::IdmAndTime => next_idm(&last, time, &mut random),
                };
                Sent {
                    protocol,
                    frame,
                    start_s,
                    offset_hz: random.uniform(-SPREAD, SPREAD) * WINDOW_HZ,
                    snr_db,
                }
            })
            .collect();
        let mut expectations = absent(ABSENT, &mut random);
        let mut expected = last;
        expected[lowest_id_byte(protocol)] ^= id_change;
        let expectation = Expectation::after(protocol, &expected, RISE).map(|expectation| match known {
            Known::IdmAndTime | Known::IdmSame => expectation.heard_ago(passed_s),
            _ => expectation,
        });
        expectations.extend(expectation);
        outcome.add(run(&sent, channel, Trust::Normal, &expectations, &mut random));
    }
    outcome
}

/// A random frame; an IDM with a consumption of up to [`CONSUMPTION`] in each interval.
fn last_frame(protocol: Protocol, random: &mut Random) -> Vec<u8> {
    let mut frame = random_frame(protocol, random);
    if protocol == Protocol::Idm {
        for i in 0..47 {
            let value = random.uniform(0.0, CONSUMPTION + 1.0) as u16;
            set_interval(&mut frame, i, value);
        }
        set_time(&mut frame, random.uniform(0.0, INTERVAL - 200.0));
        frame[23..29].fill(0);
        fec::encode(protocol, &mut frame);
    }
    frame
}

/// Returns the IDM of the next interval.
fn next_idm(last: &[u8], time: f64, random: &mut Random) -> Vec<u8> {
    let consumption = random.uniform(0.0, CONSUMPTION + 1.0) as u16;
    let mut frame = risen(Protocol::Idm, last, consumption.into());
    frame[13] = frame[13].wrapping_add(1);
    for i in (1..47).rev() {
        let value = interval(last, i - 1);
        set_interval(&mut frame, i, value);
    }
    set_interval(&mut frame, 0, consumption);
    set_time(&mut frame, time);
    fec::encode(Protocol::Idm, &mut frame);
    frame
}

fn interval_bits(i: usize) -> impl Iterator<Item = (usize, u8)> {
    (0..9)
        .map(move |bit| 33 * 8 + 9 * i + bit)
        .map(|bit| (bit / 8, 0x80 >> (bit % 8)))
}

fn interval(frame: &[u8], i: usize) -> u16 {
    interval_bits(i).fold(0, |value, (byte, mask)| {
        value << 1 | u16::from(frame[byte] & mask != 0)
    })
}

fn set_interval(frame: &mut [u8], i: usize, value: u16) {
    for (k, (byte, mask)) in interval_bits(i).enumerate() {
        frame[byte] = frame[byte] & !mask | if value >> (8 - k) & 1 == 1 { mask } else { 0 };
    }
}

fn time(frame: &[u8]) -> f64 {
    frame
        .get(86..88)
        .map_or(0.0, |bytes| f64::from(bytes[0]) * 256.0 + f64::from(bytes[1]))
}

fn set_time(frame: &mut [u8], time: f64) {
    frame[86..88].copy_from_slice(&(time as u16).to_be_bytes());
}

/// Expects `count` meters that are not on the air.
pub fn absent(count: usize, random: &mut Random) -> Vec<Expectation> {
    let protocols = [Protocol::Scm, Protocol::ScmPlus, Protocol::R900, Protocol::Idm];
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
