//! Recorded meters: frames of real transmitters, attenuated until they are near threshold, beside the same frames of the modulator.
//!
//! A recording of clear packets is received as it is. Each packet is then cut out, scaled down, moved to other carriers and added to
//! noise, many times, and received with its meter expected: what real keying, clocks and carriers cost known meters.

use crate::known::{ABSENT, GAP_S, RISE, absent};
use crate::trial::{BATCH, Outcome, SPREAD, WINDOW_HZ, config, quantize};
use crate::{interpolate, parallel};
use metertap_dsp::synth::{Keying, Random, Scene, Transmission, chips};
use metertap_dsp::{CHIP_RATE_HZ, Complex32, Expectation, Packet, Protocol, Receiver, Trust, iq};
use std::f64::consts::TAU;
use std::path::Path;

/// Recording that is not part of the repository; tests use it, too.
const RECORDING: &str = "../shared/recordings/ert_scm_2555.904k.cu8";
/// Chips kept on either side of a packet, where a transmitter rises and falls.
const AROUND_CHIPS: f64 = 8.0;
/// Least SNR in the recording: 11 dB above the point of interest, so that each repetition has noise of its own.
const CLEAR_DB: f64 = -4.0;
/// Filter that keeps one carrier of a recording: -6 dB at ±300 kHz, where a keyed carrier has 1 % of its power left.
const FILTER_HZ: f64 = 300e3;
const FILTER_TAPS: usize = 41;
/// Noise in a scene, full scale = 1: 10 LSB.
const NOISE: f32 = 0.08;

/// What is known of a meter.
#[derive(Clone, Copy)]
enum Known {
    /// Its last message.
    Frame,
    /// Its id and its dial.
    Counter,
}

/// What sends.
#[derive(Clone, Copy)]
enum Sender {
    /// The transmitter of the recording.
    Recorded,
    /// The modulator of the bench.
    Modulator,
}

/// Packet cut out of a recording.
struct Cut {
    packet: Packet,
    /// Moved to 0 Hz, without what is on other carriers.
    samples: Vec<Complex32>,
    /// Samples before the packet.
    lead: usize,
    /// Power of the carrier in the middle of ON chips, full scale = 1.
    carrier: f64,
    /// Power of the noise that the recording has in the whole window.
    noise: f64,
}

impl Cut {
    fn new(packet: Packet, recording: &[Complex32], rate_hz: f64) -> Self {
        let around = (AROUND_CHIPS * rate_hz / CHIP_RATE_HZ) as usize;
        let start = packet.start_sample as usize;
        let from = start.saturating_sub(around);
        let end = start + packet.len_samples as usize;
        let signal = packet.signal;
        let cut = &recording[from..(end + around).min(recording.len())];
        let shift = -signal.offset_hz / rate_hz;
        let shifted: Vec<Complex32> = (0..).zip(cut).map(|(n, x)| x * turn(shift, n)).collect();
        let samples = low_pass(&shifted, FILTER_HZ / rate_hz);
        let noise = power(f64::from(signal.level_dbfs - signal.snr_db));
        let carrier = carrier_power(&samples, start - from, &packet, noise);
        Cut {
            packet,
            samples,
            lead: start - from,
            carrier,
            noise,
        }
    }

    /// SNR that the receiver measures, in the window of all SNRs: short pulses lower it.
    fn by_chips_db(&self, rate_hz: f64) -> f64 {
        f64::from(self.packet.signal.snr_db) + decibels(rate_hz / WINDOW_HZ)
    }

    /// SNR of the carrier, as the modulator has it.
    fn snr_db(&self, rate_hz: f64) -> f64 {
        decibels(self.carrier / self.noise * rate_hz / WINDOW_HZ)
    }
}

/// Returns the power of the carrier in the middle halves of ON chips: whatever their edges are, as the modulator has it.
fn carrier_power(samples: &[Complex32], lead: usize, packet: &Packet, noise: f64) -> f64 {
    let sent = chips(packet.protocol, packet.bytes(), 0);
    let chip = packet.len_samples as f64 / sent.len() as f64;
    let on = (0..sent.len()).filter(|&i| sent[i]);
    let powers: Vec<f64> = on
        .filter_map(|i| {
            let from = lead as f64 + (i as f64 + 0.25) * chip;
            let range = from as usize..(from + chip / 2.0) as usize;
            let sum: Complex32 = samples.get(range.clone())?.iter().sum();
            let count = range.len() as f64;
            Some((f64::from(sum.norm_sqr()) / count - noise) / count)
        })
        .collect();
    powers.iter().sum::<f64>() / powers.len() as f64
}

/// Prints the SNR at which packets of `recording` are received with their meters expected, beside that of the modulator. Each packet is
/// sent so often that a point has `packets` at least.
pub fn run(recording: Option<&str>, packets: usize) {
    let path = Path::new(recording.unwrap_or(RECORDING));
    let Ok(bytes) = std::fs::read(path) else {
        println!("Recorded meters: skipped, {} is absent", path.display());
        return;
    };
    let rate_hz = rate_of(path).expect("a name that ends in _RATEk.cu8");
    let mut samples = Vec::new();
    iq::Format::Cu8.decode(&bytes, &mut samples);
    let received = receive(rate_hz, &samples, &[], &[]);
    let scm = received.iter().filter(|packet| packet.protocol == Protocol::Scm);
    let mut cuts: Vec<Cut> = scm.map(|packet| Cut::new(*packet, &samples, rate_hz)).collect();
    let all = cuts.len();
    cuts.retain(|cut| cut.by_chips_db(rate_hz) > CLEAR_DB);
    if cuts.is_empty() {
        println!("Recorded meters: no clear SCM in {}", path.display());
        return;
    }
    let repeats = packets.div_ceil(cuts.len()).next_multiple_of(BATCH);
    println!(
        "Recorded meters: the {} clear ones of {all} SCM in {}, each attenuated and sent {repeats} times at every SNR;\n\
         counter risen by up to {RISE}, ten meters expected\n",
        cuts.len(),
        path.display()
    );
    println!("                           50 % at      90 % at     wrong / received");
    let points: Vec<f64> = (0..=14).map(|i| -19.0 + f64::from(i) * 0.5).collect();
    let mut of_cuts = Vec::new();
    for (known, name) in [(Known::Frame, "last message"), (Known::Counter, "id and counter")] {
        for (sender, by) in [(Sender::Recorded, "recorded"), (Sender::Modulator, "modulator")] {
            let curves = parallel(&points, |&snr_db| {
                let of_cut = |cut| send(cut, snr_db, repeats, known, sender, rate_hz);
                cuts.iter().map(of_cut).collect::<Vec<_>>()
            });
            let curve: Vec<Outcome> = curves.iter().map(|point| sum(point)).collect();
            let whole = sum(&curve);
            println!(
                "{:26} {:6.2} dB    {:6.2} dB    {} / {}",
                format!("{name}, {by}"),
                interpolate(&points, &curve, 0.5),
                interpolate(&points, &curve, 0.9),
                whole.wrong,
                whole.received
            );
            of_cuts.push(curves);
        }
    }
    println!(
        "\nPackets: clock; SNR in the recording, of the carrier and as the receiver measures it, over whole chips;\n\
         SNR at which half are received, by what is known: recorded and modulator\n"
    );
    for (i, cut) in cuts.iter().enumerate() {
        let signal = cut.packet.signal;
        print!(
            "{:>9} Hz {:+5.0} ppm {:6.1} dB {:6.1} dB ",
            signal.offset_hz.round(),
            signal.clock_ppm,
            cut.snr_db(rate_hz),
            cut.by_chips_db(rate_hz)
        );
        for curves in &of_cuts {
            let curve: Vec<Outcome> = curves.iter().map(|point| point[i]).collect();
            print!(" {:6.2}", interpolate(&points, &curve, 0.5));
        }
        println!();
    }
    println!();
}

/// Sends the packet `repeats` times at `snr_db`, on random carriers.
fn send(cut: &Cut, snr_db: f64, repeats: usize, known: Known, sender: Sender, rate_hz: f64) -> Outcome {
    let mut random = Random::new((snr_db * 16.0) as i64 as u64 ^ cut.packet.start_sample);
    let mut outcome = Outcome::default();
    for _ in 0..repeats / BATCH {
        let mut expectations = absent(ABSENT, &mut random);
        expectations.extend(expect(&cut.packet, known, &mut random));
        let mut at = 0.02;
        let starts: Vec<usize> = (0..BATCH)
            .map(|_| {
                let start_s = at;
                at += cut.packet.len_samples as f64 / rate_hz + GAP_S + random.uniform(0.0, 0.004);
                (start_s * rate_hz) as usize
            })
            .collect();
        let mut scene = Scene {
            sample_rate_hz: rate_hz,
            samples: ((at + 0.02) * rate_hz) as usize,
            noise: 1.0,
            transmissions: vec![],
        };
        let mut samples = match sender {
            Sender::Recorded => {
                let mut samples = scene.render(&mut random);
                for start in &starts {
                    add(
                        cut,
                        snr_db,
                        &mut samples[start - cut.lead..],
                        &mut random,
                        rate_hz,
                    );
                }
                samples
            }
            Sender::Modulator => {
                let transmissions = starts.iter().map(|&start| Transmission {
                    chips: chips(cut.packet.protocol, cut.packet.bytes(), 0),
                    start_s: start as f64 / rate_hz,
                    offset_hz: random.uniform(-SPREAD, SPREAD) * rate_hz,
                    phase_rad: random.uniform(0.0, TAU),
                    snr_db: decibels(power(snr_db) * WINDOW_HZ / rate_hz),
                    clock_ppm: 0.0,
                    keying: Keying::default(),
                });
                scene.transmissions = transmissions.collect();
                scene.render(&mut random)
            }
        };
        samples.iter_mut().for_each(|sample| *sample *= NOISE);
        quantize(&mut samples, &mut Vec::new());
        let received = receive(rate_hz, &samples, &starts, &expectations);
        let is_at = |packet: &Packet, start: usize| {
            packet.start_sample.abs_diff(start as u64) < cut.packet.len_samples / 2
                && packet.bytes() == cut.packet.bytes()
        };
        let is_received = |start: &&usize| received.iter().any(|packet| is_at(packet, **start));
        let is_wrong = |packet: &&Packet| !starts.iter().any(|&start| is_at(packet, start));
        outcome.add(Outcome {
            sent: BATCH,
            received: starts.iter().filter(is_received).count(),
            wrong: received.iter().filter(is_wrong).count(),
        });
    }
    outcome
}

/// Expects the meter of `packet` with a counter that was up to [`RISE`] lower.
fn expect(packet: &Packet, known: Known, random: &mut Random) -> Option<Expectation> {
    let mut frame = packet.bytes().to_vec();
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |number, &byte| number << 8 | u32::from(byte))
    };
    let rise = random.uniform(0.0, f64::from(RISE) + 1.0) as u32;
    let counter = number(&frame[4..7]).saturating_sub(rise);
    let id = u32::from(frame[2] >> 1 & 3) << 24 | number(&frame[7..10]);
    match known {
        Known::Frame => {
            frame[4..7].copy_from_slice(&counter.to_be_bytes()[1..]);
            Expectation::after(packet.protocol, &frame, RISE)
        }
        Known::Counter => Expectation::for_counter(packet.protocol, id, counter, RISE),
    }
}

/// Adds the packet to noise of power 1 at `snr_db`, on a random carrier and with a random phase. The noise there is lowered by what the
/// packet brings along.
fn add(cut: &Cut, snr_db: f64, noise: &mut [Complex32], random: &mut Random, rate_hz: f64) {
    let gain = power(snr_db) * WINDOW_HZ / rate_hz / cut.carrier;
    let rest = (1.0 - gain * cut.noise).max(0.0).sqrt() as f32;
    let offset_hz = random.uniform(-SPREAD, SPREAD) * rate_hz;
    let shift = offset_hz / rate_hz;
    let first = Complex32::from_polar(gain.sqrt() as f32, random.uniform(0.0, TAU) as f32);
    for (n, (sum, sample)) in noise.iter_mut().zip(&cut.samples).enumerate() {
        *sum = *sum * rest + sample * first * turn(shift, n);
    }
}

/// Returns the packets that are believed. Those that begin at `starts` are expected alike: nothing is learned from one for the next.
fn receive(
    rate_hz: f64,
    samples: &[Complex32],
    starts: &[usize],
    expectations: &[Expectation],
) -> Vec<Packet> {
    let config = config(rate_hz, Trust::Normal);
    let mut receiver = Receiver::new(config).expect("a rate that works");
    let mut packets: Vec<Packet> = Vec::new();
    let mut position = 0;
    let before = |start: &usize| start - (0.002 * rate_hz) as usize;
    for end in starts.iter().map(before).chain([samples.len()]) {
        receiver.push(&samples[position..end], |packet| packets.push(*packet));
        receiver.expect(&[]);
        receiver.expect(expectations);
        position = end;
    }
    receiver.flush(|packet| packets.push(*packet));
    packets.retain(|packet| !config.is_tentative(packet.signal.error_probability));
    packets
}

/// Returns the sample rate in the name of a recording, as rtl_433 writes it: `…_2555.904k.cu8`.
fn rate_of(path: &Path) -> Option<f64> {
    let name = path.file_name()?.to_str()?.strip_suffix("k.cu8")?;
    let rate_khz: f64 = name.rsplit('_').next()?.parse().ok()?;
    Some(rate_khz * 1e3)
}

/// Returns `samples` without what is beyond ±`cutoff` cycles a sample: a sinc in a Hamming window.
fn low_pass(samples: &[Complex32], cutoff: f64) -> Vec<Complex32> {
    let middle = FILTER_TAPS / 2;
    let taps: Vec<f32> = (0..FILTER_TAPS)
        .map(|i| {
            let x = TAU * cutoff * (i as f64 - middle as f64);
            let sinc = if i == middle { 1.0 } else { x.sin() / x };
            let window = 0.54 - 0.46 * (TAU * i as f64 / (FILTER_TAPS - 1) as f64).cos();
            (2.0 * cutoff * sinc * window) as f32
        })
        .collect();
    let at = |i: usize| {
        i.checked_sub(middle)
            .and_then(|i| samples.get(i))
            .copied()
            .unwrap_or_default()
    };
    (0..samples.len())
        .map(|i| taps.iter().enumerate().map(|(k, tap)| at(i + k) * tap).sum())
        .collect()
}

fn sum(outcomes: &[Outcome]) -> Outcome {
    let mut sum = Outcome::default();
    outcomes.iter().for_each(|&outcome| sum.add(outcome));
    sum
}

/// e^(2πi · cycles · n).
fn turn(cycles: f64, n: usize) -> Complex32 {
    Complex32::from_polar(1.0, (TAU * (cycles * n as f64).fract()) as f32)
}

fn power(db: f64) -> f64 {
    10f64.powf(db / 10.0)
}

fn decibels(power: f64) -> f64 {
    10.0 * power.log10()
}
