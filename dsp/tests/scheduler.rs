//! One composition for all drivers: packets depend on the samples alone, and the weak frame under a strong one
//! is found whether or not tentative packets are asked for.

mod common;

use common::{quantized, scene, transmission};
use metertap_dsp::synth::{Random, Transmission, random_frame};
use metertap_dsp::{
    CHIP_RATE_HZ, Complex32, Config, Detection, LockExecutor, Locker, MAX_JOBS, Outcome, Packet, Protocol,
    Receiver, Scheduler, Segment, Tally, Trust,
};
use std::convert::Infallible;

const RATE_HZ: f64 = 2_359_296.0;

const CONFIG: Config = Config {
    sample_rate_hz: RATE_HZ,
    trust: Trust::Normal,
    tentative: true,
};

/// Runs jobs as threads would: some at once, some late, in any order.
struct Shuffled {
    locker: Locker,
    waiting: Vec<(u64, Vec<Complex32>, Detection)>,
    finished: Vec<Outcome>,
    random: Random,
    workers: u64,
}

impl Shuffled {
    fn new(workers: u64, seed: u64) -> Self {
        Shuffled {
            locker: Locker::new(CONFIG).unwrap(),
            waiting: Vec::new(),
            finished: Vec::new(),
            random: Random::new(seed),
            workers,
        }
    }

    fn below(&mut self, n: usize) -> usize {
        (self.random.bits() % n.max(1) as u64) as usize
    }

    /// Lets some of the workers finish one job each.
    fn work(&mut self) {
        for _ in 0..=self.random.bits() % self.workers {
            if self.waiting.is_empty() {
                break;
            }
            let at = self.below(self.waiting.len());
            let (job, samples, detection) = self.waiting.swap_remove(at);
            let mut outcome = Outcome::new();
            outcome.job = job;
            let samples = &samples[..];
            self.locker.run(
                &Segment {
                    samples,
                    detection,
                    expected: None,
                },
                &mut outcome,
            );
            self.finished.push(outcome);
        }
    }
}

impl LockExecutor for Shuffled {
    type Error = Infallible;

    fn submit(&mut self, job: u64, segment: &Segment) {
        self.waiting
            .push((job, segment.samples.to_vec(), segment.detection));
        assert!(self.waiting.len() + self.finished.len() <= MAX_JOBS);
        if self.random.bits() % 3 == 0 {
            self.work();
        }
    }

    fn wait(&mut self) -> Result<Option<Outcome>, Infallible> {
        self.work();
        let at = self.below(self.finished.len());
        Ok((!self.finished.is_empty()).then(|| self.finished.swap_remove(at)))
    }

    fn recycle(&mut self, _: Outcome) {}
}

fn receive(samples: &[Complex32]) -> (Vec<Packet>, Tally) {
    let mut receiver = Receiver::new(CONFIG).unwrap();
    let mut packets = Vec::new();
    receiver.push(samples, |packet| packets.push(*packet));
    receiver.flush(|packet| packets.push(*packet));
    (packets, receiver.tally())
}

fn receive_shuffled(samples: &[Complex32], workers: u64, seed: u64) -> (Vec<Packet>, Tally) {
    let mut scheduler = Scheduler::new(CONFIG, Shuffled::new(workers, seed)).unwrap();
    let mut packets = Vec::new();
    let mut random = Random::new(seed);
    let mut rest = samples;
    while !rest.is_empty() {
        let (part, more) = rest.split_at((1 + random.bits() as usize % 30_000).min(rest.len()));
        let Ok(()) = scheduler.push(part, |packet| packets.push(*packet));
        rest = more;
    }
    let Ok(()) = scheduler.flush(|packet| packets.push(*packet));
    (packets, scheduler.tally())
}

/// A street that keeps every part busy: strong frames over weak ones, all protocols, several at once.
fn street(seed: u64) -> Vec<Complex32> {
    let mut random = Random::new(seed);
    let mut sent = Vec::new();
    for i in 0..30 {
        let protocol = Protocol::ALL[i % 4];
        let frame = random_frame(protocol, &mut random);
        let snr_db = [25.0, -9.0, 5.0, -11.5, 20.0][i % 5];
        let offset_hz = random.uniform(-1e6, 1e6);
        sent.push(transmission(
            protocol,
            &frame,
            random.uniform(0.01, 0.4),
            offset_hz,
            snr_db,
        ));
    }
    quantized(&scene(RATE_HZ, 0.45, sent), &mut random)
}

#[test]
fn given_any_number_of_workers_of_any_speed_then_the_packets_are_the_same() {
    for seed in 0..4 {
        let samples = street(seed);
        let (packets, tally) = receive(&samples);
        assert!(packets.len() > 15, "{}", packets.len());
        assert!(tally.canceled > 3, "{tally:?}");
        for workers in [1, 2, 4] {
            let shuffled = receive_shuffled(&samples, workers, 100 * seed + workers);
            assert_eq!(
                (&packets, tally),
                (&shuffled.0, shuffled.1),
                "{workers} workers, seed {seed}"
            );
        }
    }
}

#[test]
fn given_100_pairs_of_which_one_is_30_db_weaker_then_both_are_received() {
    for weak_db in [0.0, -5.0] {
        let mut random = Random::new(11);
        let (mut both, mut good) = (0, 0);
        for _ in 0..50 {
            let frames = [0, 1].map(|_| random_frame(Protocol::Scm, &mut random));
            let mut start_s = || 0.012 + random.uniform(0.0, 0.95) * 192.0 / 32_768.0;
            let sent = vec![
                transmission(Protocol::Scm, &frames[0], start_s(), -250e3, weak_db + 30.0),
                transmission(Protocol::Scm, &frames[1], start_s(), 250e3, weak_db),
            ];
            let samples = quantized(&scene(RATE_HZ, 0.04, sent), &mut random);
            let (packets, _) = receive(&samples);
            let shuffled = receive_shuffled(&samples, 2, random.bits());
            assert_eq!(packets, shuffled.0);
            let is_received = |frame: &Vec<u8>| {
                let mut copies = packets.iter().filter(|packet| packet.bytes() == &frame[..]);
                let first = copies.next();
                assert!(copies.next().is_none(), "each frame is one packet");
                first.is_some_and(|packet| !CONFIG.is_tentative(packet.signal.error_probability))
            };
            let received = frames.iter().filter(|frame| is_received(frame)).count();
            good += received;
            both += usize::from(received == 2);
        }
        println!("weak at {weak_db} dB: {good} of 100 frames, {both} of 50 pairs");
        assert!(good >= 99, "weak at {weak_db} dB: {good} of 100 frames");
    }
}

#[test]
fn given_more_carriers_at_once_than_jobs_then_what_is_dropped_is_counted() {
    // Two chords of 45 weak carriers, each a segment of its own; the second ends 5 ms after the first.
    let mut random = Random::new(3);
    let mut sent = Vec::new();
    for (start_s, chips) in [(0.01, 300), (0.01 + 300.0 / CHIP_RATE_HZ, 160)] {
        for i in 0..45 {
            let offset_hz = -1e6 + 45e3 * f64::from(i) + start_s * 1e6;
            sent.push(Transmission {
                chips: vec![true; chips],
                ..transmission(Protocol::Scm, &[0; 12], start_s, offset_hz, -6.0)
            });
        }
    }
    let samples = quantized(&scene(RATE_HZ, 0.05, sent), &mut random);
    let (_, tally) = receive(&samples);
    assert!(tally.dropped_segments > 0, "{tally:?}");
    assert!(tally.segments >= MAX_JOBS as u64, "{tally:?}");
    assert_eq!(receive_shuffled(&samples, 4, 1).1, tally);
}
