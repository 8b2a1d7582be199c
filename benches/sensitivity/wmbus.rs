//! Sensitivity of the receiver for wireless M-Bus: every mode on, carriers anywhere within 60 kHz of the channel.

use crate::theory;
use crate::trial::{Outcome, WINDOW_HZ};
use crate::{interpolate, parallel, print_loss, quantize};
use metertap_dsp::synth::Random;
use metertap_dsp::wmbus::synth::{Transmission, framed, transmission};
use metertap_dsp::wmbus::{Config, Format, Frame, Mode, Modes, Receiver};
use metertap_dsp::{Complex32, iq};
use std::fmt::Write as _;
use std::time::Instant;

const CENTER_HZ: f64 = 868.625e6;
/// Frames per recording.
const BATCH: usize = 20;

/// Frame of a row: mode, format, bytes on the air, and the SNR of the 50 % and of the 90 % target.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    mode: Mode,
    format: Format,
    air_bytes: usize,
    target: [f64; 2],
    /// SNR of the first point.
    from: f64,
}

const ROWS: [Row; 6] = [
    Row::new("T1 50", Mode::T1, Format::A, 50, [-5.8, -4.8], -10.75),
    Row::new("T1 250", Mode::T1, Format::A, 250, [-4.8, -4.0], -10.0),
    Row::new("C1A 50", Mode::C1, Format::A, 50, [-4.6, -3.7], -9.5),
    Row::new("C1B 50", Mode::C1, Format::B, 50, [-4.6, -3.7], -8.5),
    Row::new("S1 50", Mode::S1, Format::A, 50, [-10.8, -9.8], -16.0),
    Row::new("C2A 50", Mode::C2, Format::A, 50, [f64::NAN; 2], -11.5),
];

/// Impairments between a meter and the receiver.
#[derive(Clone, Copy, Default)]
struct Channel {
    deviation_hz: Option<f64>,
    gaussian: bool,
    /// Greatest error of the chip rate; errors are uniformly distributed.
    rate_error: f64,
    rate_drift: f64,
    drift_hz_per_s: f64,
    sample_rate_hz: Option<f64>,
}

impl Row {
    const fn new(
        name: &'static str,
        mode: Mode,
        format: Format,
        air_bytes: usize,
        target: [f64; 2],
        from: f64,
    ) -> Self {
        Row {
            name,
            mode,
            format,
            air_bytes,
            target,
            from,
        }
    }

    fn channel_hz(&self) -> f64 {
        match self.mode {
            Mode::S1 => 868.3e6,
            Mode::C2 => 869.525e6,
            _ => 868.95e6,
        }
    }

    /// Length of a telegram that fills the air bytes, with CRCs, most nearly.
    fn telegram_len(&self) -> usize {
        let air = |len: &usize| framed(self.format, &vec![0; *len]).len().abs_diff(self.air_bytes);
        (12..=252).min_by_key(air).unwrap_or(12)
    }
}

/// Prints all tables; writes the curves to `tsv`.
pub fn run(frames: usize, tsv: Option<&str>) {
    reach(frames, tsv);
    channels(frames / 3);
    wrong(frames * 16);
}

/// Prints the SNR at which 50 % and 90 % are decoded.
fn reach(frames: usize, tsv: Option<&str>) {
    println!(
        "Wireless M-Bus: modes T, C, S, C2 on, carriers within ±60 kHz of the channel, {frames} frames a point\n"
    );
    println!("           50 % at (target)      90 % at (target)      wrong / received");
    let mut table = String::new();
    for row in ROWS {
        let points: Vec<f64> = (0..=14).map(|i| row.from + f64::from(i) * 0.25).collect();
        let curve = parallel(&points, |&snr| point(row, snr, frames, Channel::default()));
        let mut sum = Outcome::default();
        curve.iter().for_each(|&point| sum.add(point));
        let at = [0.5, 0.9].map(|share| interpolate(&points, &curve, share));
        println!(
            "{:8} {:6.2} dB ({:5.1})     {:6.2} dB ({:5.1})     {} / {}",
            row.name, at[0], row.target[0], at[1], row.target[1], sum.wrong, sum.received
        );
        let _ = writeln!(table, "# {}: snr_db decoded", row.name);
        for (&snr, point) in points.iter().zip(&curve) {
            let _ = writeln!(table, "{snr} {:.4}", point.share());
        }
        table.push_str("\n\n");
    }
    for row in ROWS {
        let _ = writeln!(
            table,
            "# limits of {}: snr_db chip_by_chip coherent_words_3_corrected",
            row.name
        );
        for snr in (0..=72).map(|i| -16.0 + f64::from(i) * 0.25) {
            let [chips, words] = limits(row, snr);
            let _ = writeln!(table, "{snr} {chips:.4} {words:.4}");
        }
        table.push_str("\n\n");
    }
    if let Some(path) = tsv {
        std::fs::write(path, table).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
    println!();
}

/// Prints the loss by impaired channels, in dB at the 50 % and 90 % points.
fn channels(frames: usize) {
    let plain = Channel::default();
    let list = [
        ("plain", plain),
        (
            "deviation 40 kHz",
            Channel {
                deviation_hz: Some(40e3),
                ..plain
            },
        ),
        (
            "deviation 80 kHz",
            Channel {
                deviation_hz: Some(80e3),
                ..plain
            },
        ),
        (
            "GFSK, BT 0.5",
            Channel {
                gaussian: true,
                ..plain
            },
        ),
        (
            "rate ±10 % (S: ±2 %)",
            Channel {
                rate_error: 1.0,
                ..plain
            },
        ),
        (
            "rate drifts 1 %",
            Channel {
                rate_drift: 0.01,
                ..plain
            },
        ),
        (
            "carrier 100 kHz/s",
            Channel {
                drift_hz_per_s: 100e3,
                ..plain
            },
        ),
        (
            "1.6 MS/s",
            Channel {
                sample_rate_hz: Some(1.6e6),
                ..plain
            },
        ),
        (
            "3.2 MS/s",
            Channel {
                sample_rate_hz: Some(3.2e6),
                ..plain
            },
        ),
    ];
    println!("Channels: dB lost against the plain one at 50 % / 90 % decoded\n");
    let rows = [ROWS[0], ROWS[2], ROWS[4]];
    print!("{:22}", "");
    rows.iter().for_each(|row| print!("{:>16}", row.name));
    println!();
    let mut of_plain = Vec::new();
    for (name, channel) in list {
        print!("{name:22}");
        for (i, row) in rows.into_iter().enumerate() {
            let points: Vec<f64> = (0..=10).map(|i| row.from + f64::from(i) * 0.5).collect();
            let curve = parallel(&points, |&snr| point(row, snr, frames, channel));
            let here = [0.5, 0.9].map(|share| interpolate(&points, &curve, share));
            print_loss(here, i, &mut of_plain);
        }
        println!();
    }
    println!();
}

/// Counts frames that were not sent, near the threshold, where they are likeliest.
fn wrong(frames: usize) {
    println!("Wrong frames of wireless M-Bus near threshold (the 1 dB below the 90 % points)\n");
    for (row, from) in ROWS.into_iter().zip([-9.0, -8.5, -8.0, -6.8, -13.6, -10.0]) {
        let points: Vec<f64> = (0..4).map(|i| from + f64::from(i) * 0.33).collect();
        let mut sum = Outcome::default();
        let results = parallel(&points, |&snr| point(row, snr, frames / 4, Channel::default()));
        results.into_iter().for_each(|point| sum.add(point));
        println!(
            "{:8} sent {}, received {}, wrong {}",
            row.name, sum.sent, sum.received, sum.wrong
        );
    }
    println!();
}

/// Counts the frames received in `minutes` of noise.
pub fn noise(minutes: f64) -> usize {
    noise_in(|| receiver(WINDOW_HZ), minutes)
}

/// Counts the frames in `minutes` of noise, each heard by a receiver of its own.
pub fn noise_in(receiver: impl Fn() -> Receiver + Sync, minutes: f64) -> usize {
    let minutes: Vec<u64> = (0..minutes.ceil() as u64).collect();
    let counts = parallel(&minutes, |&minute| {
        let mut random = Random::new(98 + minute);
        let mut receiver = receiver();
        let (mut samples, mut frames) = (Vec::new(), 0);
        for _ in 0..60 {
            samples.clear();
            samples.extend((0..WINDOW_HZ as usize).map(|_| random.gaussian() * 0.08));
            quantize(&mut samples, &mut Vec::new());
            receiver.push(&samples, |_| frames += 1);
        }
        receiver.flush(|_| frames += 1);
        frames
    });
    counts.into_iter().sum()
}

/// Prints the cost of receiving: bytes of a dongle to frames of the modes T, C and S, from weak to strong.
pub fn cost() {
    const SECONDS: f64 = 10.0;
    const ROUNDS: usize = 5;
    for frames_per_s in [0.0, 1.0, 20.0] {
        let mut random = Random::new(5);
        let count = (SECONDS * frames_per_s) as usize;
        let mut samples: Vec<Complex32> = (0..(SECONDS * WINDOW_HZ) as usize)
            .map(|_| random.gaussian())
            .collect();
        for i in 0..count {
            let row = [ROWS[0], ROWS[2], ROWS[4]][i % 3];
            let telegram: Vec<u8> = (0..row.telegram_len()).map(|_| random.bits() as u8).collect();
            let start_s = random.uniform(0.0, SECONDS - 0.05);
            let snr_db = random.uniform(-10.0, 20.0);
            let mut one = transmission(row.mode, row.format, &telegram, start_s, snr_db);
            one.offset_hz = row.channel_hz() - CENTER_HZ + random.uniform(-60e3, 60e3);
            one.add(WINDOW_HZ, &mut samples);
        }
        samples.iter_mut().for_each(|sample| *sample *= 0.04);
        let mut bytes = Vec::new();
        quantize(&mut samples, &mut bytes);
        let mut receiver = receiver(WINDOW_HZ);
        // The least of several rounds: another process may run in any of them.
        let (mut least_s, mut frames) = (f64::INFINITY, 0);
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            frames = 0;
            for block in bytes.chunks(1 << 16) {
                samples.clear();
                iq::Format::Cu8.decode(block, &mut samples);
                receiver.push(&samples, |_| frames += 1);
            }
            least_s = least_s.min(begin.elapsed().as_secs_f64());
        }
        println!(
            "wireless M-Bus, {count} frames in {SECONDS} s, {frames} received: {:.4} s per s of IQ",
            least_s / SECONDS
        );
    }
}

fn receiver(sample_rate_hz: f64) -> Receiver {
    let config = Config {
        sample_rate_hz,
        center_hz: CENTER_HZ,
        modes: Modes::BAND_868,
    };
    Receiver::new(config).expect("a configuration that works")
}

/// Sends `frames` frames at `snr_db`, one after another.
fn point(row: Row, snr_db: f64, frames: usize, channel: Channel) -> Outcome {
    let mut random = Random::new((snr_db * 16.0) as i64 as u64 ^ row.air_bytes as u64);
    let mut outcome = Outcome::default();
    let rate = channel.sample_rate_hz.unwrap_or(WINDOW_HZ);
    let rate_error = channel.rate_error * if row.mode == Mode::S1 { 0.02 } else { 0.1 };
    // The narrower windows are not centered between the channels.
    let shift_hz = if rate < 2e6 {
        row.channel_hz() - CENTER_HZ
    } else {
        0.0
    };
    for _ in 0..frames.div_ceil(BATCH) {
        let mut at = 0.02;
        let mut telegrams = Vec::new();
        let mut sent: Vec<Transmission> = Vec::new();
        for _ in 0..BATCH {
            let telegram: Vec<u8> = (0..row.telegram_len()).map(|_| random.bits() as u8).collect();
            let mut one = transmission(row.mode, row.format, &telegram, at, snr_db);
            one.snr_db += 10.0 * (WINDOW_HZ / rate).log10();
            one.offset_hz = row.channel_hz() - CENTER_HZ - shift_hz + random.uniform(-60e3, 60e3);
            one.chip_rate_hz *= 1.0 + random.uniform(-rate_error, rate_error);
            one.deviation_hz = channel.deviation_hz.unwrap_or(one.deviation_hz);
            one.gaussian = if channel.gaussian { Some(0.5) } else { one.gaussian };
            one.rate_drift = channel.rate_drift;
            one.drift_hz_per_s = channel.drift_hz_per_s;
            one.phase_rad = random.uniform(0.0, std::f64::consts::TAU);
            at = one.end_s() + random.uniform(0.02, 0.03);
            sent.push(one);
            telegrams.push(telegram);
        }
        outcome.add(run_batch(&sent, &telegrams, at, rate, &mut random));
    }
    outcome
}

fn run_batch(
    sent: &[Transmission],
    telegrams: &[Vec<u8>],
    end_s: f64,
    rate: f64,
    random: &mut Random,
) -> Outcome {
    let mut samples: Vec<Complex32> = (0..(end_s * rate) as usize).map(|_| random.gaussian()).collect();
    sent.iter().for_each(|one| one.add(rate, &mut samples));
    samples.iter_mut().for_each(|sample| *sample *= 0.08);
    quantize(&mut samples, &mut Vec::new());
    let mut receiver = receiver(rate);
    let mut frames: Vec<Frame> = Vec::new();
    receiver.push(&samples, |frame| frames.push(*frame));
    receiver.flush(|frame| frames.push(*frame));
    // The length field is computed by the encoder.
    let is = |frame: &Frame, telegram: &[u8]| frame.bytes()[1..] == telegram[1..];
    Outcome {
        sent: sent.len(),
        received: telegrams
            .iter()
            .filter(|telegram| frames.iter().any(|frame| is(frame, telegram)))
            .count(),
        wrong: frames
            .iter()
            .filter(|frame| !telegrams.iter().any(|telegram| is(frame, telegram)))
            .count(),
    }
}

/// Words of three of six that differ from a word in two chips, on average.
const NEIGHBORS: f64 = 7.0;

/// Returns the share of frames decoded at best in noise alone, with known timing, chip by chip without the phase, and with soft
/// words, the phase known and three words corrected in each block.
///
/// Words of three of six and Manchester that differ in two chips are wrong for one another with the probability `Q(√2E)`. In modes without
/// a code a wrong chip must be followed by another one for the phase to agree again: `Q(√d²E)` with
/// `d² = 2 - 2 sin 2πh / 2πh` (Anderson, Aulin, Sundberg, Digital Phase Modulation, 1986), two of the three corrections each.
fn limits(row: Row, snr_db: f64) -> [f64; 2] {
    let rate = match row.mode {
        Mode::S1 => 32_768.0,
        Mode::C2 => 50e3,
        _ => 100e3,
    };
    let energy = 10f64.powf(snr_db / 10.0) * WINDOW_HZ / rate;
    let chip = (-energy / 2.0).exp() / 2.0;
    let bytes = row.air_bytes as u32;
    let block = if row.format == Format::B { bytes } else { 18 };
    let (chips, words, word, corrected) = match row.mode {
        Mode::T1 => (12, 2, NEIGHBORS * theory::q((2.0 * energy).sqrt()), 3),
        Mode::S1 => (16, 8, theory::q((2.0 * energy).sqrt()), 3),
        _ => {
            let h = if row.mode == Mode::C1 { 0.9 } else { 1.0 };
            let turn = std::f64::consts::TAU * h;
            let distance = 2.0 - 2.0 * turn.sin() / turn;
            (8, 8, theory::q((distance * energy).sqrt()), 1)
        }
    };
    let soft =
        theory::frames(word.min(1.0), block * words, corrected).powf(f64::from(bytes) / f64::from(block));
    [theory::frames(chip, bytes * chips, 0), soft]
}
