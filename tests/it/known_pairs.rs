//! Known meters 30 dB below a stranger on another carrier, through the program: threads, cancellation and expectations together.

use crate::support::*;
use metertap_dsp::synth::{Keying, Random, Scene, Transmission, chips, random_frame};
use metertap_dsp::{Protocol, fec};
use std::collections::BTreeSet;
use std::path::Path;

const RATE_HZ: f64 = 2_359_296.0;
/// Pairs of a recording.
const PAIRS: u32 = 40;
/// The known meter, its counter, and what its owner read from the dial before.
const METER: u32 = 40_111_117;
const COUNTER: u32 = 1000;
const DIAL: u32 = 990;
/// Meters at home that are not on the air.
const ABSENT: u32 = 3;
/// Strangers are so much stronger, and so far away.
const STRONGER_DB: f64 = 30.0;
const APART_HZ: f64 = 500e3;
/// Length of an SCM.
const LENGTH_S: f64 = 192.0 / metertap_dsp::CHIP_RATE_HZ;

/// Id and counter of an SCM.
type Sent = (u64, u64);

/// Returns the SCM of [`METER`] with this counter.
fn scm(counter: u32) -> Vec<u8> {
    let mut frame = vec![0; 12];
    let type_7 = 7 << 2;
    frame[2..4].copy_from_slice(&[(METER >> 24 << 1) as u8, type_7]);
    frame[4..7].copy_from_slice(&counter.to_be_bytes()[1..]);
    frame[7..10].copy_from_slice(&METER.to_be_bytes()[1..]);
    fec::encode(Protocol::Scm, &mut frame);
    frame
}

fn sent(frame: &[u8]) -> Sent {
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |number, &byte| number << 8 | u64::from(byte))
    };
    let high_id = u64::from(frame[2] >> 1 & 3);
    (high_id << 24 | number(&frame[7..10]), number(&frame[4..7]))
}

/// Writes a recording of pairs that overlap in time, the known meter's at `snr_db`. Returns its messages and those of the strangers.
fn record(to: &Path, seed: u64, snr_db: f64) -> [BTreeSet<Sent>; 2] {
    let mut random = Random::new(seed);
    let (mut transmissions, mut all) = (Vec::new(), [BTreeSet::new(), BTreeSet::new()]);
    let mut at_s = 0.1;
    for i in 0..PAIRS {
        let center_hz = random.uniform(-700e3, 700e3);
        let stranger = random_frame(Protocol::Scm, &mut random);
        let pair = [
            (scm(COUNTER + i), -APART_HZ / 2.0, snr_db),
            (stranger, APART_HZ / 2.0, snr_db + STRONGER_DB),
        ];
        for ((frame, aside_hz, snr_db), all) in pair.into_iter().zip(&mut all) {
            all.insert(sent(&frame));
            transmissions.push(Transmission {
                chips: chips(Protocol::Scm, &frame, 0),
                start_s: at_s + random.uniform(0.0, 0.95) * LENGTH_S,
                offset_hz: center_hz + aside_hz,
                phase_rad: random.uniform(0.0, std::f64::consts::TAU),
                snr_db,
                clock_ppm: random.uniform(-50.0, 50.0),
                keying: Keying::default(),
            });
        }
        at_s += 2.0 * LENGTH_S + random.uniform(0.012, 0.016);
    }
    let scene = Scene {
        sample_rate_hz: RATE_HZ,
        samples: ((at_s + 0.1) * RATE_HZ) as usize,
        noise: 1.0,
        transmissions,
    };
    let samples = scene.render(&mut random);
    // The stranger at three quarters of full scale, noise of 10 LSB at most.
    let scale = (0.7 / 10f64.powf((snr_db + STRONGER_DB) / 20.0)).min(0.08) as f32;
    write_cu8(to, samples, scale);
    all
}

/// Returns the messages that a daemon publishes of a recording.
fn receive(recording: &Path) -> Vec<Sent> {
    let meter = |id: u32, dial: u32| format!("[[meter]]\nid = {id}\nprotocol = \"scm\"\nreading = {dial}\n");
    let absent: String = (1..=ABSENT)
        .map(|i| meter(METER + 1_001 * i, 5_000 * i))
        .collect();
    let config = format!(
        "publish = \"all\"\n{}{absent}[[radio]]\nsample_rate = {RATE_HZ}\nstart = \"2026-11-21T04:12:30Z\"\nsource = \"{}\"\n",
        meter(METER, DIAL),
        recording.display()
    );
    let mut daemon = Daemon::start(&config);
    daemon.wait_for_success();
    let message = |line: &serde_json::Value| {
        let message = &line["Message"];
        (
            message["ID"].as_u64().unwrap(),
            message["Consumption"].as_u64().unwrap(),
        )
    };
    daemon.lines().iter().map(message).collect()
}

/// Pairs of which a message was received, and what was not sent.
#[derive(Default)]
struct Counts {
    sent: usize,
    known: usize,
    strangers: usize,
    wrong: usize,
}

fn count(snr_db: f64, recordings: u64) -> Counts {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pairs.cu8");
    let mut counts = Counts::default();
    for seed in 0..recordings {
        let [known, strangers] = record(&file, seed, snr_db);
        let received = receive(&file);
        let is_sent = |message: &&Sent| known.contains(message) || strangers.contains(message);
        counts.wrong += received.len() - received.iter().filter(is_sent).count();
        let received: BTreeSet<Sent> = received.into_iter().collect();
        counts.sent += known.len();
        counts.known += known.intersection(&received).count();
        counts.strangers += strangers.intersection(&received).count();
    }
    counts
}

/// `KNOWN_PAIRS=7` measures so many recordings.
#[test]
fn given_a_known_meter_30_db_below_a_stranger_then_the_program_receives_both() {
    let recordings = std::env::var("KNOWN_PAIRS").map_or(1, |count| count.parse().unwrap());
    for (snr_db, least_percent) in [(-13.0, 90), (-10.0, 95)] {
        let counts = count(snr_db, recordings);
        println!(
            "{snr_db} dB, {} pairs: {} of the known meter, {} of strangers, {} wrong",
            counts.sent, counts.known, counts.strangers, counts.wrong
        );
        assert_eq!(counts.wrong, 0, "{snr_db} dB");
        assert_eq!(counts.strangers, counts.sent, "{snr_db} dB");
        assert!(
            100 * counts.known >= least_percent * counts.sent,
            "{snr_db} dB: {}",
            counts.known
        );
    }
}
