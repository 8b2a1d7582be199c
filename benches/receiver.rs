//! Throughput of the receiver and of its two stages, on quiet and on busy bands.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use metertap_dsp::synth::{Keying, Random, Scene, Transmission, chips, random_frame};
use metertap_dsp::{
    Bandwidth, Complex32, Config, Detection, Locker, Outcome, Protocol, Receiver, Searcher, Segment, Trust,
    iq,
};
use std::hint::black_box;

const RATE_HZ: f64 = 2_359_296.0;

const CONFIG: Config = Config {
    sample_rate_hz: RATE_HZ,
    trust: Trust::Normal,
    tentative: true,
};
const NOISE: f32 = 0.08;

/// Renders half a second with a frame of `protocols` in turn every 20 ms (IDM: 60 ms).
fn band(protocols: &[Protocol], snr_db: f64) -> Vec<Complex32> {
    let mut random = Random::new(1);
    let mut transmissions = Vec::new();
    let mut at = 0.01;
    for protocol in protocols.iter().cycle() {
        if at > 0.45 {
            break;
        }
        let frame = random_frame(*protocol, &mut random);
        transmissions.push(Transmission {
            chips: chips(*protocol, &frame, 0),
            start_s: at,
            offset_hz: random.uniform(-1e6, 1e6),
            phase_rad: 0.0,
            snr_db,
            clock_ppm: 0.0,
            keying: Keying::default(),
        });
        at += if *protocol == Protocol::Idm { 0.06 } else { 0.02 };
    }
    let samples = (0.5 * RATE_HZ) as usize;
    let scene = Scene {
        sample_rate_hz: RATE_HZ,
        samples,
        noise: 1.0,
        transmissions,
    };
    let mut samples = scene.render(&mut random);
    samples.iter_mut().for_each(|sample| *sample *= NOISE);
    samples
}

fn stages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receiver");
    let quiet = band(&[], 0.0);
    group.throughput(Throughput::Elements(quiet.len() as u64));

    let mut bytes = Vec::new();
    iq::Format::Cu8.encode(&quiet, &mut bytes);
    let mut samples = Vec::with_capacity(quiet.len());
    group.bench_function("convert cu8", |bench| {
        bench.iter(|| {
            samples.clear();
            iq::Format::Cu8.decode(black_box(&bytes), &mut samples);
        });
    });
    let mut search = Searcher::new(CONFIG).expect("a rate that works");
    group.bench_function("search", |bench| {
        bench.iter(|| {
            let mut left = black_box(&quiet[..]);
            while !left.is_empty() {
                search.push(&mut left, |segment| {
                    black_box(segment);
                });
            }
        });
    });

    for (name, samples) in [
        ("quiet band", quiet),
        ("street, all types, +6 dB", band(&Protocol::ALL, 6.0)),
        ("street, all types, +20 dB", band(&Protocol::ALL, 20.0)),
        ("street, all types, -10 dB", band(&Protocol::ALL, -10.0)),
    ] {
        let mut receiver = Receiver::new(CONFIG).expect("a rate that works");
        group.bench_function(format!("whole receiver, {name}"), |bench| {
            bench.iter(|| {
                receiver.push(black_box(&samples), |packet| {
                    black_box(packet);
                });
            });
        });
    }
    group.finish();
}

/// Measures the lock alone, on one burst with one frame in it.
fn lock(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lock");
    for protocol in Protocol::ALL {
        for snr_db in [0.0, -9.0] {
            let mut random = Random::new(2);
            let frame = random_frame(protocol, &mut random);
            let transmission = Transmission {
                chips: chips(protocol, &frame, 0),
                start_s: 0.002,
                offset_hz: 123e3,
                phase_rad: 0.0,
                snr_db,
                clock_ppm: 20.0,
                keying: Keying::default(),
            };
            let scene = Scene {
                sample_rate_hz: RATE_HZ,
                samples: ((transmission.end_s() + 0.003) * RATE_HZ) as usize,
                noise: 1.0,
                transmissions: vec![transmission],
            };
            let mut samples = scene.render(&mut random);
            samples.iter_mut().for_each(|sample| *sample *= NOISE);
            let mut locker = Locker::new(CONFIG).expect("a rate that works");
            let mut outcome = Outcome::new();
            group.throughput(Throughput::Elements(samples.len() as u64));
            group.bench_function(format!("{protocol:?}, {snr_db} dB"), |bench| {
                let segment = Segment {
                    samples: &samples,
                    detection: Detection {
                        first_sample: 0,
                        lead: 0,
                        frequency: 123e3 / RATE_HZ,
                        bandwidth: Bandwidth::Narrow,
                        noise: NOISE * NOISE,
                        noise_around: NOISE * NOISE,
                        spur: None,
                        window_noise: NOISE * NOISE,
                    },
                    expected: None,
                };
                bench.iter(|| {
                    locker.run(black_box(&segment), &mut outcome);
                    black_box(outcome.packets());
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, stages, lock);
criterion_main!(benches);
