//! Receiver against modulator: what is sent is received, however the samples are cut.

mod common;

use common::{quantized, scene, transmission};
use metertap_dsp::synth::{Keying, Random, Transmission, chips, random_frame};
use metertap_dsp::{Complex32, Config, ConfigError, Packet, Protocol, Receiver, Trust, iq};
use proptest::prelude::*;

fn receiver(sample_rate_hz: f64) -> Receiver {
    let trust = Trust::Normal;
    Receiver::new(Config {
        sample_rate_hz,
        trust,
        tentative: false,
    })
    .unwrap()
}

fn listen(sample_rate_hz: f64, samples: &[Complex32]) -> Vec<Packet> {
    let mut receiver = receiver(sample_rate_hz);
    let mut received = Vec::new();
    receiver.push(samples, |packet| received.push(*packet));
    receiver.flush(|packet| received.push(*packet));
    received
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_frame_at_any_rate_carrier_phase_and_clock_is_received_once(
        protocol in prop::sample::select(Protocol::ALL.to_vec()),
        rate in 1.0e6f64..3.2e6, carrier in -0.45f64..0.45, phase in -3.0f64..3.0, clock_ppm in -200.0f64..200.0,
        start_s in 0.004f64..0.02, seed: u64,
    ) {
        let mut random = Random::new(seed);
        let frame = random_frame(protocol, &mut random);
        // 6 dB above what the protocol needs at this rate (docs/receiver.md has the figures for 2.36 MS/s).
        let snr_db = -3.0 - 10.0 * (rate / 2_359_296.0).log10();
        let sent = Transmission { phase_rad: phase, clock_ppm, ..transmission(protocol, &frame, start_s, carrier * rate, snr_db) };
        let samples = quantized(&scene(rate, 0.09, vec![sent]), &mut random);
        let received = listen(rate, &samples);
        prop_assert_eq!(received.len(), 1);
        prop_assert_eq!((received[0].protocol, received[0].bytes()), (protocol, &frame[..]));
        let signal = received[0].signal;
        prop_assert!((received[0].start_sample as f64 / rate - start_s).abs() < 5e-6, "start {}", received[0].start_sample);
        prop_assert!((signal.offset_hz - carrier * rate).abs() < 60.0, "carrier {}", signal.offset_hz);
        prop_assert!((f64::from(signal.snr_db) - snr_db).abs() < 2.0, "SNR {}", signal.snr_db);
    }

    #[test]
    fn any_split_into_blocks_gives_the_same_packets(cuts in prop::collection::vec(1usize..60_000, 1..12), seed: u64) {
        let rate = 2_359_296.0;
        let mut random = Random::new(seed);
        let mut sent = Vec::new();
        for (i, protocol) in Protocol::ALL.into_iter().enumerate() {
            let frame = random_frame(protocol, &mut random);
            sent.push(transmission(protocol, &frame, 0.01 * (i + 1) as f64, 300e3 * i as f64 - 450e3, 0.0));
        }
        let samples = quantized(&scene(rate, 0.1, sent), &mut random);
        let whole = listen(rate, &samples);
        let mut receiver = receiver(rate);
        let mut parts = Vec::new();
        let mut rest = &samples[..];
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() { break; }
            let (part, more) = rest.split_at(cut.min(rest.len()));
            receiver.push(part, |packet| parts.push(*packet));
            rest = more;
        }
        receiver.flush(|packet| parts.push(*packet));
        prop_assert_eq!(whole.len(), 4);
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..40_000), rate in 1.0e6f64..3.2e6) {
        for format in [iq::Format::Cu8, iq::Format::Cf32] {
            let mut samples = Vec::new();
            format.decode(&bytes, &mut samples);
            listen(rate, &samples);
        }
    }
}

#[test]
fn given_extremes_then_nothing_panics_and_nothing_is_received() {
    for value in [0.0, 1.0, -4.0, 1e-30] {
        let samples = vec![Complex32::new(value, -value); 300_000];
        assert!(listen(2_359_296.0, &samples).is_empty(), "{value}");
    }
    let square: Vec<_> = (0..300_000)
        .map(|i| Complex32::new(if i / 36 % 2 == 0 { 1.0 } else { -1.0 }, 0.0))
        .collect();
    assert!(listen(2_359_296.0, &square).is_empty());
}

#[test]
fn given_a_rate_that_cannot_work_then_it_is_refused() {
    for rate in [0.0, -1.0, 999_999.0, 3_200_001.0, f64::NAN, f64::INFINITY] {
        let config = Config {
            sample_rate_hz: rate,
            trust: Trust::Normal,
            tentative: false,
        };
        assert!(
            matches!(Receiver::new(config), Err(ConfigError::SampleRate(_))),
            "{rate}"
        );
    }
}

#[test]
fn given_the_clock_of_a_meter_then_it_is_measured_without_bias() {
    let mut random = Random::new(5);
    for protocol in Protocol::ALL {
        for clock_ppm in [-170.0, -40.0, 0.0, 25.0, 310.0] {
            let errors: Vec<f64> = (0..20)
                .map(|_| {
                    let frame = random_frame(protocol, &mut random);
                    let (start_s, offset_hz) = (random.uniform(0.005, 0.01), random.uniform(-1e6, 1e6));
                    let sent = Transmission {
                        clock_ppm,
                        ..transmission(protocol, &frame, start_s, offset_hz, 10.0)
                    };
                    let samples = quantized(&scene(2_359_296.0, 0.07, vec![sent]), &mut random);
                    let received = listen(2_359_296.0, &samples);
                    // A fast clock is sent, a slow one is positive in what is received.
                    f64::from(received[0].signal.clock_ppm) + clock_ppm
                })
                .collect();
            let mean = errors.iter().sum::<f64>() / 20.0;
            let square = errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>();
            let (deviation, limit) = (
                (square / 20.0).sqrt(),
                if protocol == Protocol::Idm { 5.0 } else { 60.0 },
            );
            assert!(
                deviation < limit,
                "{protocol:?} at {clock_ppm} ppm: ±{deviation:.1} ppm"
            );
            assert!(
                mean.abs() < limit / 2.0,
                "{protocol:?} at {clock_ppm} ppm: {mean:+.1} ppm"
            );
        }
    }
}

#[test]
fn given_two_meters_at_once_on_two_carriers_then_both_are_received() {
    let mut random = Random::new(3);
    let frames = [0, 1].map(|_| random_frame(Protocol::Scm, &mut random));
    let sent = vec![
        transmission(Protocol::Scm, &frames[0], 0.010, -250e3, 10.0),
        transmission(Protocol::Scm, &frames[1], 0.012, 250e3, 0.0),
    ];
    let samples = quantized(&scene(2_359_296.0, 0.04, sent), &mut random);
    let received = listen(2_359_296.0, &samples);
    for frame in &frames {
        assert!(received.iter().any(|packet| packet.bytes() == &frame[..]));
    }
    assert_eq!(received.len(), 2);
}

#[test]
fn given_frames_that_follow_one_another_then_all_are_received() {
    let mut random = Random::new(4);
    let frames: Vec<_> = (0..5).map(|_| random_frame(Protocol::Scm, &mut random)).collect();
    let all: Vec<u8> = frames.concat();
    let chips = frames
        .iter()
        .flat_map(|frame| chips(Protocol::Scm, frame, 0))
        .collect();
    let sent = Transmission {
        chips,
        ..transmission(Protocol::Scm, &all[..12], 0.01, 123e3, 0.0)
    };
    let samples = quantized(&scene(2_359_296.0, 0.06, vec![sent]), &mut random);
    let mut received = listen(2_359_296.0, &samples);
    received.sort_by_key(|packet| packet.start_sample);
    let received: Vec<u8> = received
        .iter()
        .flat_map(|packet| packet.bytes().to_vec())
        .collect();
    assert_eq!(received, all);
}

#[test]
fn given_two_seconds_of_noise_then_nothing_is_received() {
    let mut random = Random::new(5);
    let samples = quantized(&scene(2_359_296.0, 2.0, vec![]), &mut random);
    assert!(listen(2_359_296.0, &samples).is_empty());
}

#[test]
fn given_a_transmitter_whose_phase_wanders_then_energies_still_find_it() {
    let mut random = Random::new(6);
    let frame = random_frame(Protocol::Scm, &mut random);
    let keying = Keying {
        wander_rad_per_sqrt_s: 200.0,
        ..Keying::default()
    };
    let sent = Transmission {
        keying,
        ..transmission(Protocol::Scm, &frame, 0.01, -77e3, -4.0)
    };
    let samples = quantized(&scene(2_359_296.0, 0.04, vec![sent]), &mut random);
    let received = listen(2_359_296.0, &samples);
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].bytes(), &frame[..]);
}

#[test]
fn given_a_meter_30_db_below_its_neighbor_then_both_are_received() {
    let mut random = Random::new(7);
    let frames = [0, 1].map(|_| random_frame(Protocol::Scm, &mut random));
    // The weak one begins before, within and after the strong one.
    for lag_s in [-0.004, 0.001, 0.004] {
        let sent = vec![
            transmission(Protocol::Scm, &frames[0], 0.012, -250e3, 22.0),
            transmission(Protocol::Scm, &frames[1], 0.012 + lag_s, 250e3, -8.0),
        ];
        let samples = quantized(&scene(2_359_296.0, 0.04, sent), &mut random);
        let received = listen(2_359_296.0, &samples);
        let mut bytes: Vec<_> = received.iter().map(|packet| packet.bytes().to_vec()).collect();
        bytes.sort();
        let mut sent = frames.to_vec();
        sent.sort();
        assert_eq!(bytes, sent, "{lag_s} s");
    }
}
