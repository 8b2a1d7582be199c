//! Sensitivity of the receiver for America's FSK meters, carriers anywhere within 1 MHz of the center, and of rtl_433 beside it,
//! tuned to them.

use crate::trial::{Outcome, WINDOW_HZ};
use crate::{crossing, parallel, quantize};
use metertap_dsp::synth::Random;
use metertap_dsp::wmbus::synth::{Transmission, transmission};
use metertap_dsp::wmbus::{Config, Format, Frame, Mode, Modes, Receiver};
use metertap_dsp::{Complex32, iq};
use std::path::PathBuf;
use std::process::Command;

/// Frames per recording.
const BATCH: usize = 20;
/// Rate at which owners of these meters run rtl_433.
const THEIR_RATE_HZ: f64 = 1.6e6;

/// Mode, bytes of a frame without its check, rtl_433's decoder, SNR of the first point of either receiver.
struct Row {
    mode: Mode,
    len: usize,
    decoder: &'static str,
    from: [f64; 2],
}

const ROWS: [Row; 4] = [
    Row {
        mode: Mode::Orion,
        len: 8,
        decoder: "223",
        from: [-11.0, 0.0],
    },
    Row {
        mode: Mode::OrionEndpoint,
        len: 21,
        decoder: "282",
        from: [-9.0, 2.0],
    },
    Row {
        mode: Mode::HotRod,
        len: 8,
        decoder: "255",
        from: [-13.0, 6.0],
    },
    Row {
        mode: Mode::Dialog3g,
        len: 11,
        decoder: "260",
        from: [-11.0, 2.0],
    },
];

/// Prints the SNR at which 50 % and 90 % are decoded. rtl_433 is that in `PATH`, or `RTL_433`; those of its decoders that it has not are
/// shown as not measured.
pub fn run(frames: usize) {
    println!("America's FSK meters: all modes on, carriers anywhere in ±1 MHz, {frames} frames a point");
    println!(
        "rtl_433: its decoder alone, tuned, {} MS/s; SNR in {WINDOW_HZ} Hz\n",
        THEIR_RATE_HZ / 1e6
    );
    println!("                 50 %     90 %      wrong / received     rtl_433: 50 %     90 %");
    for row in &ROWS {
        let points = |from: f64, step: f64| (0..=12).map(|i| from + f64::from(i) * step).collect::<Vec<_>>();
        let ours = points(row.from[0], 0.5);
        let curve = parallel(&ours, |&snr_db| by_us(row, snr_db, frames));
        let mut sum = Outcome::default();
        curve.iter().for_each(|&point| sum.add(point));
        print!(
            "{:14} {} {}     {} / {}",
            row.mode.to_string(),
            crossing(&ours, &curve, 0.5),
            crossing(&ours, &curve, 0.9),
            sum.wrong,
            sum.received
        );
        let theirs = points(row.from[1], 1.5);
        let curve = parallel(&theirs, |&snr_db| by_rtl_433(row, snr_db, frames));
        match curve.into_iter().collect::<Option<Vec<_>>>() {
            Some(curve) => println!(
                "     {} {}",
                crossing(&theirs, &curve, 0.5),
                crossing(&theirs, &curve, 0.9)
            ),
            None => println!("     not measured"),
        }
    }
    println!();
}

/// Sends frames one after another, and returns the samples and the frames.
fn air(
    row: &Row,
    snr_db: f64,
    rate_hz: f64,
    reach_hz: f64,
    random: &mut Random,
) -> (Vec<Complex32>, Vec<Vec<u8>>) {
    let mut at = 0.03;
    let (mut sent, mut frames): (Vec<Transmission>, Vec<Vec<u8>>) = Default::default();
    for _ in 0..BATCH {
        let mut frame: Vec<u8> = (0..row.len).map(|_| random.bits() as u8).collect();
        if row.mode == Mode::HotRod {
            let digits = |byte: u8| ((byte % 10) << 4) | (byte / 10 % 10);
            frame.iter_mut().for_each(|byte| *byte = digits(*byte));
        }
        let mut one = transmission(row.mode, Format::A, &frame, at, snr_db);
        one.snr_db += 10.0 * (WINDOW_HZ / rate_hz).log10();
        one.offset_hz = random.uniform(-reach_hz, reach_hz);
        one.phase_rad = random.uniform(0.0, std::f64::consts::TAU);
        at = one.end_s() + random.uniform(0.02, 0.03);
        sent.push(one);
        frames.push(frame);
    }
    let mut samples: Vec<Complex32> = (0..(at * rate_hz) as usize).map(|_| random.gaussian()).collect();
    sent.iter().for_each(|one| one.add(rate_hz, &mut samples));
    let scale = (0.7 / 10f64.powf((snr_db + 2.0) / 20.0)).min(0.08) as f32;
    samples.iter_mut().for_each(|sample| *sample *= scale);
    (samples, frames)
}

fn by_us(row: &Row, snr_db: f64, frames: usize) -> Outcome {
    let mut random = Random::new((snr_db * 16.0) as i64 as u64 ^ row.len as u64);
    let mut outcome = Outcome::default();
    for _ in 0..frames.div_ceil(BATCH) {
        let (mut samples, sent) = air(row, snr_db, WINDOW_HZ, 1e6, &mut random);
        quantize(&mut samples, &mut Vec::new());
        let mut receiver = receiver();
        let mut received: Vec<Frame> = Vec::new();
        receiver.push(&samples, |frame| received.push(*frame));
        receiver.flush(|frame| received.push(*frame));
        let is = |frame: &Frame, sent: &[u8]| frame.bytes() == sent;
        let has = |sent: &&Vec<u8>| received.iter().any(|frame| is(frame, sent));
        let is_wrong = |frame: &&Frame| !sent.iter().any(|sent| is(frame, sent));
        outcome.add(Outcome {
            sent: sent.len(),
            received: sent.iter().filter(has).count(),
            wrong: received.iter().filter(is_wrong).count(),
        });
    }
    outcome
}

/// Counts the lines of rtl_433; `None` if it cannot be run, or does not have the decoder.
fn by_rtl_433(row: &Row, snr_db: f64, frames: usize) -> Option<Outcome> {
    let mut random = Random::new((snr_db * 16.0) as i64 as u64 ^ row.len as u64);
    let mut outcome = Outcome::default();
    for _ in 0..frames.div_ceil(BATCH) {
        let (samples, sent) = air(row, snr_db, THEIR_RATE_HZ, 0.0, &mut random);
        let mut bytes = Vec::new();
        iq::Format::Cu8.encode(&samples, &mut bytes);
        let name = format!(
            "metertap-sensitivity-{}-{}-{snr_db}.cu8",
            std::process::id(),
            row.decoder
        );
        let file: PathBuf = std::env::temp_dir().join(name);
        std::fs::write(&file, bytes).ok()?;
        let program = std::env::var_os("RTL_433").unwrap_or_else(|| "rtl_433".into());
        let rate = THEIR_RATE_HZ.to_string();
        let output = Command::new(program)
            .args(["-c", "0", "-R", row.decoder, "-F", "json", "-s", &rate, "-r"])
            .arg(&file)
            .output();
        let _ = std::fs::remove_file(&file);
        let output = output.ok().filter(|output| output.status.success())?;
        let lines = output.stdout.split(|byte| *byte == b'\n');
        outcome.add(Outcome {
            sent: sent.len(),
            received: lines.filter(|line| !line.is_empty()).count().min(sent.len()),
            wrong: 0,
        });
    }
    Some(outcome)
}

/// Counts the frames received in `minutes` of noise.
pub fn noise(minutes: f64) -> usize {
    crate::wmbus::noise_in(receiver, minutes)
}

fn receiver() -> Receiver {
    let config = Config {
        sample_rate_hz: WINDOW_HZ,
        center_hz: 915.8e6,
        modes: Modes::AMERICA,
    };
    Receiver::new(config).expect("a configuration that works")
}
