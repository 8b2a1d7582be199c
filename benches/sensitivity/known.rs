//! Known meters: frames of meters that are expected, and of their neighbors.

use crate::trial::{
    Channel, Outcome, SPREAD, Sent, WINDOW_HZ, config, length_s, quantize, run, run_expecting,
};
use metertap_dsp::synth::{Keying, Random, Scene, Transmission, chips, random_frame};
use metertap_dsp::{Expectation, MAX_RISE, Protocol, Receiver, Trust, fec};
use std::time::Instant;

/// Greatest rise of a counter.
pub const RISE: u32 = 1000;
/// Greatest consumption in an interval of an IDM; the total of an IDM may rise by [`RISE`], too.
const CONSUMPTION: f64 = 100.0;
/// Meters expected besides the one that sends.
pub const ABSENT: usize = 9;
/// Meters that one receiver hears one after another, each expected in its turn.
const METERS: usize = 10;
/// Time between two transmissions, in which the receiver is done with the first one.
pub const GAP_S: f64 = 0.04;
/// Sixteenths of a second in an interval of an IDM.
const INTERVAL: f64 = 4800.0;

/// What is known of a meter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Known {
    /// Its last SCM, SCM+ or R900.
    Frame(Protocol),
    /// Its id, and its counter as read from the dial.
    Dial(Protocol),
    /// Its last IDM, of the same interval: all but the time is the same. The time cannot be predicted.
    IdmSame,
    /// The same, and when it was received, so that the time can be predicted.
    IdmSameAndTime,
    /// Its last IDM, of one interval ago.
    Idm,
    /// The same, and when it was received.
    IdmAndTime,
    /// Only the id of an IDM: nothing is expected before a first one was received.
    IdmFirst,
}

impl Known {
    pub fn protocol(self) -> Protocol {
        match self {
            Known::Frame(protocol) | Known::Dial(protocol) => protocol,
            _ => Protocol::Idm,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Known::Frame(Protocol::Scm) => "Scm",
            Known::Frame(Protocol::ScmPlus) => "ScmPlus",
            Known::Frame(_) => "R900",
            Known::Dial(Protocol::Scm) => "Scm, dial",
            Known::Dial(Protocol::ScmPlus) => "ScmPlus, dial",
            Known::Dial(_) => "R900, dial",
            Known::IdmSame => "Idm, same",
            Known::IdmSameAndTime => "Idm, same, time",
            Known::Idm => "Idm, next",
            Known::IdmAndTime => "Idm, next, time",
            Known::IdmFirst => "Idm, first",
        }
    }

    /// Returns true if frames of the same counter tell more together than each alone.
    pub fn has_repeats(self) -> bool {
        matches!(self, Known::Frame(_) | Known::Idm | Known::IdmAndTime)
    }

    /// Returns the divisor of the number of frames: a million words are weighed in each frame of a meter known by its dial.
    pub fn rarer(self) -> usize {
        match self {
            Known::Dial(_) | Known::IdmFirst => 4,
            _ => 1,
        }
    }

    fn is_same_interval(self) -> bool {
        matches!(self, Known::IdmSame | Known::IdmSameAndTime)
    }

    fn has_time(self) -> bool {
        matches!(self, Known::IdmSameAndTime | Known::IdmAndTime)
    }

    /// Returns how many words are equally likely, in how many bits they may differ, and in how many they do at least.
    pub fn words(self) -> (f64, u32, u32) {
        match self {
            // Ten bits of the counter and the check.
            Known::Frame(Protocol::ScmPlus) => (1001.0, 26, 4),
            Known::Frame(_) => (1001.0, 26, 5),
            // Besides, what type and flags may be.
            Known::Dial(Protocol::Scm) => (1001.0 * 16.0, 30, 5),
            Known::Dial(Protocol::ScmPlus) => (1001.0 * 256.0, 34, 4),
            Known::Dial(_) => (1001.0 * 512.0, 35, 5),
            // A few times, and the check.
            Known::IdmSameAndTime => (5.0, 18, 4),
            // The time, and the check.
            Known::IdmSame => (INTERVAL, 29, 4),
            // Seven bits of the total and of the new interval, the time, and the check.
            Known::Idm => (101.0 * INTERVAL, 43, 4),
            Known::IdmAndTime => (101.0 * 5.0, 32, 4),
            Known::IdmFirst => (f64::INFINITY, 736, 4),
        }
    }
}

/// Sends `packets` frames of known meters at `snr_db`, on random carriers, each of another meter.
pub fn alone(known: Known, snr_db: f64, packets: usize, channel: Channel) -> Outcome {
    send(known, snr_db, packets, channel, 1, 0)
}

/// Sends each frame `times` times: the counter stays the same.
pub fn repeated(known: Known, snr_db: f64, packets: usize, times: usize) -> Outcome {
    send(known, snr_db, packets, Channel::default(), times, 0)
}

/// Sends frames of meters whose ids differ in one bit from those that are expected: none of them may be taken for one of those.
pub fn relatives(known: Known, snr_db: f64, packets: usize, times: usize) -> Outcome {
    send(known, snr_db, packets, Channel::default(), times, 1)
}

fn send(known: Known, snr_db: f64, packets: usize, channel: Channel, times: usize, id_change: u8) -> Outcome {
    let mut random = Random::new((snr_db * 16.0) as i64 as u64 ^ 0x5EED ^ known.protocol() as u64);
    let mut outcome = Outcome::default();
    for _ in 0..packets.div_ceil(METERS * times) {
        let (mut sent, mut expectations) = (Vec::new(), Vec::new());
        let mut at = GAP_S;
        for _ in 0..METERS {
            let (frames, expectation) = transmissions(known, times, id_change, &mut random);
            let mut expected = absent(ABSENT, &mut random);
            expected.extend(expectation);
            expectations.push((at - 0.002, expected));
            for frame in frames {
                sent.push(Sent {
                    protocol: known.protocol(),
                    frame,
                    start_s: at,
                    offset_hz: random.uniform(-SPREAD, SPREAD) * WINDOW_HZ,
                    snr_db,
                });
                at += length_s(known.protocol()) + GAP_S + random.uniform(0.0, 0.004);
            }
        }
        outcome.add(run_expecting(
            &sent,
            channel,
            Trust::Normal,
            &expectations,
            &mut random,
        ));
    }
    outcome
}

/// Returns `times` transmissions of one meter with the same counter, and what is known of it 2 ms before the first of them.
fn transmissions(
    known: Known,
    times: usize,
    id_change: u8,
    random: &mut Random,
) -> (Vec<Vec<u8>>, Option<Expectation>) {
    let protocol = known.protocol();
    let mut last = last_frame(protocol, random);
    if matches!(known, Known::Dial(_)) {
        set_usual_status(protocol, &mut last, random);
    }
    let new_time = random.uniform(time(&last), INTERVAL - 100.0);
    let next = if known.is_same_interval() { 0.0 } else { INTERVAL };
    // A neighbor has a history of its own, and a counter like that of the known meter.
    let mut before = if id_change == 0 || protocol != Protocol::Idm {
        last.clone()
    } else {
        with_id_and_total(&last_frame(protocol, random), &last)
    };
    before[lowest_id_byte(protocol)] ^= id_change;
    let mut frame = match known {
        Known::Frame(_) | Known::Dial(_) => risen(
            protocol,
            &before,
            random.uniform(0.0, f64::from(RISE) + 1.0) as u32,
        ),
        Known::IdmSame | Known::IdmSameAndTime => before,
        Known::Idm | Known::IdmAndTime | Known::IdmFirst => next_idm(&before, random),
    };
    let frames = (0..times).map(|i| {
        if protocol == Protocol::Idm {
            let passed = 16.0 * i as f64 * (length_s(protocol) + GAP_S);
            let unpredictable = random.uniform(0.0, INTERVAL);
            set_time(
                &mut frame,
                if known.has_time() {
                    new_time + passed
                } else {
                    unpredictable
                },
            );
        }
        fec::encode(protocol, &mut frame);
        frame.clone()
    });
    let frames = frames.collect();
    let expectation = match known {
        Known::IdmFirst => Expectation::for_id(protocol, number(&last[9..13]), RISE),
        Known::Dial(_) => {
            let (id, counter) = id_and_counter(protocol, &last);
            Expectation::for_counter(protocol, id, counter, MAX_RISE)
        }
        _ => Expectation::after(protocol, &last, RISE),
    };
    let passed_s = (next + new_time - time(&last)) / 16.0;
    let dated = expectation.map(|expectation| {
        if known.has_time() {
            expectation.heard_ago(passed_s)
        } else {
            expectation
        }
    });
    (frames, dated)
}

/// Sends pairs of an SCM of a known meter at `snr_db` and a stranger's that is 30 dB stronger and 500 kHz away, overlapping in time. A pair
/// counts as received if both are.
pub fn pairs(snr_db: f64, packets: usize, seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let mut outcome = Outcome::default();
    for _ in 0..packets {
        let last = random_frame(Protocol::Scm, &mut random);
        let weak = risen(
            Protocol::Scm,
            &last,
            random.uniform(0.0, f64::from(RISE) + 1.0) as u32,
        );
        let mut expectations = absent(ABSENT, &mut random);
        expectations.extend(Expectation::after(Protocol::Scm, &last, RISE));
        let center_hz = random.uniform(-700e3, 700e3);
        let strong = random_frame(Protocol::Scm, &mut random);
        let sent =
            [(weak, -250e3, snr_db), (strong, 250e3, snr_db + 30.0)].map(|(frame, aside_hz, snr_db)| Sent {
                protocol: Protocol::Scm,
                frame,
                start_s: 0.02 + random.uniform(0.0, 0.95) * length_s(Protocol::Scm),
                offset_hz: center_hz + aside_hz,
                snr_db,
            });
        let both = run(
            &sent,
            Channel::default(),
            Trust::Normal,
            &expectations,
            &mut random,
        );
        outcome.add(Outcome {
            sent: 1,
            received: usize::from(both.received == 2),
            wrong: both.wrong,
        });
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
    }
    fec::encode(protocol, &mut frame);
    frame
}

/// Sets type and flags to what meters send, as far as published logs tell.
fn set_usual_status(protocol: Protocol, frame: &mut [u8], random: &mut Random) {
    let mut one_of = |count: usize| random.uniform(0.0, count as f64) as usize;
    match protocol {
        // Two in five without tamper flags.
        Protocol::Scm => {
            if one_of(5) < 2 {
                frame[3] &= 0x3C;
            }
        }
        // One in five without tamper flags.
        Protocol::ScmPlus => {
            frame[3] = [0x07, 0x9C, 0xBC, 0xAB][one_of(4)];
            if one_of(5) == 0 {
                frame[12..14].fill(0);
            }
        }
        // One in three without flags; the others with few.
        Protocol::R900 => {
            let has_flags = one_of(3) > 0;
            frame[4] = if has_flags { 0xA3 } else { 0xA1 };
            frame[5] = if has_flags && one_of(3) == 0 {
                [0x80, 0x84, 0x08, 0x01][one_of(4)]
            } else {
                0
            };
            frame[9] = match (has_flags, one_of(3)) {
                (false, _) => 0x3F,
                (true, 0) => [0x04, 0x09, 0x12][one_of(3)],
                (true, _) => 0,
            };
        }
        Protocol::Idm => {}
    }
    fec::encode(protocol, frame);
}

/// Returns the IDM of the next interval.
fn next_idm(last: &[u8], random: &mut Random) -> Vec<u8> {
    let consumption = random.uniform(0.0, CONSUMPTION + 1.0) as u16;
    let mut frame = risen(Protocol::Idm, last, consumption.into());
    frame[13] = frame[13].wrapping_add(1);
    for i in (1..47).rev() {
        let value = interval(last, i - 1);
        set_interval(&mut frame, i, value);
    }
    set_interval(&mut frame, 0, consumption);
    frame
}

/// Returns an IDM with the id and the total of `other`; any other frame as it is.
fn with_id_and_total(frame: &[u8], other: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if frame.len() == Protocol::Idm.bytes() {
        frame[9..13].copy_from_slice(&other[9..13]);
        frame[29..33].copy_from_slice(&other[29..33]);
    }
    frame
}

/// Returns id and counter of an SCM, SCM+ or R900.
fn id_and_counter(protocol: Protocol, frame: &[u8]) -> (u32, u32) {
    match protocol {
        Protocol::Scm => (
            u32::from(frame[2] >> 1 & 3) << 24 | number(&frame[7..10]),
            number(&frame[4..7]),
        ),
        Protocol::ScmPlus => (number(&frame[4..8]), number(&frame[8..12])),
        Protocol::R900 | Protocol::Idm => (number(&frame[..4]), number(&frame[6..9])),
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |number, &byte| number << 8 | u32::from(byte))
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
