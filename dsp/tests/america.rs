//! America's FSK meters: receiver against modulator.

use metertap_dsp::synth::Random;
use metertap_dsp::wmbus::synth::{Transmission, transmission};
use metertap_dsp::wmbus::{Config, Format, Frame, Mode, Modes, Receiver};
use metertap_dsp::{Complex32, iq};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const RATE_HZ: f64 = 2_359_296.0;
const CENTER_HZ: f64 = 916.0e6;

fn listen_to(modes: Modes, samples: &[Complex32]) -> Vec<Frame> {
    let mut receiver = Receiver::new(Config {
        sample_rate_hz: RATE_HZ,
        center_hz: CENTER_HZ,
        modes,
    })
    .unwrap();
    let mut frames = Vec::new();
    receiver.push(samples, |frame| frames.push(*frame));
    receiver.flush(|frame| frames.push(*frame));
    frames
}

fn listen(samples: &[Complex32]) -> Vec<Frame> {
    listen_to(Modes::AMERICA, samples)
}

/// Renders transmissions in noise as a dongle would give them, in eight bits.
fn render(seconds: f64, sent: &[Transmission], random: &mut Random) -> Vec<Complex32> {
    let mut samples: Vec<Complex32> = (0..(seconds * RATE_HZ) as usize)
        .map(|_| random.gaussian())
        .collect();
    sent.iter().for_each(|sent| sent.add(RATE_HZ, &mut samples));
    samples.iter_mut().for_each(|sample| *sample *= 0.04);
    let mut bytes = Vec::new();
    iq::Format::Cu8.encode(&samples, &mut bytes);
    samples.clear();
    iq::Format::Cu8.decode(&bytes, &mut samples);
    samples
}

/// What is sent in a mode, and what is expected of its reception.
#[derive(Clone, Copy, Debug)]
struct Case {
    mode: Mode,
    /// Bytes between sync word and check.
    len: usize,
    /// Relative to that of the mode.
    chip_rate: f64,
    /// Some dB above the threshold.
    snr_db: f64,
    /// Least and greatest deviation.
    deviation_hz: [f64; 2],
}

const ENDPOINT: Case = Case {
    mode: Mode::OrionEndpoint,
    len: 21,
    chip_rate: 1.0,
    snr_db: 2.0,
    deviation_hz: [35e3, 75e3],
};
const CASES: [Case; 5] = [
    Case {
        mode: Mode::Orion,
        len: 8,
        chip_rate: 1.0,
        snr_db: 0.0,
        deviation_hz: [45e3, 105e3],
    },
    ENDPOINT,
    Case {
        chip_rate: 2.0,
        snr_db: 5.0,
        deviation_hz: [60e3, 115e3],
        ..ENDPOINT
    },
    Case {
        mode: Mode::HotRod,
        len: 8,
        chip_rate: 1.0,
        snr_db: -1.0,
        deviation_hz: [20e3, 45e3],
    },
    Case {
        mode: Mode::Dialog3g,
        len: 11,
        chip_rate: 1.0,
        snr_db: 0.0,
        deviation_hz: [40e3, 95e3],
    },
];

fn payload(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len).map(|_| random.bits() as u8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::with_cases(64) })]

    #[test]
    fn what_is_sent_anywhere_in_the_window_is_received_once(
        case in prop::sample::select(&CASES), offset_hz in -1.0e6f64..1.0e6, error in -0.005f64..0.005, deviation in 0.0f64..1.0,
        gaussian: bool, phase in -3.0f64..3.0, seed: u64,
    ) {
        let mut random = Random::new(seed);
        let payload = payload(&mut random, case.len);
        let nominal = transmission(case.mode, Format::A, &payload, 0.01, case.snr_db);
        let [least, greatest] = case.deviation_hz;
        let sent = Transmission {
            offset_hz,
            chip_rate_hz: nominal.chip_rate_hz * case.chip_rate * (1.0 + error),
            deviation_hz: least + (greatest - least) * deviation,
            gaussian: if gaussian { Some(0.5) } else { nominal.gaussian },
            phase_rad: phase,
            ..nominal
        };
        let samples = render(sent.end_s() + 0.02, std::slice::from_ref(&sent), &mut random);
        let received = listen(&samples);
        prop_assert_eq!(received.len(), 1);
        let frame = received[0];
        prop_assert_eq!((frame.mode, frame.format, frame.bytes()), (case.mode, None, &payload[..]));
        prop_assert!(frame.doubt <= 3e-4);
        let signal = frame.signal;
        prop_assert!((signal.carrier_hz - CENTER_HZ - offset_hz).abs() < 0.05 * sent.deviation_hz, "{}", signal.carrier_hz);
        prop_assert!((f64::from(signal.snr_db) - case.snr_db).abs() < 3.0, "{}", signal.snr_db);
        let rate = f64::from(signal.chip_rate_hz) / sent.chip_rate_hz - 1.0;
        prop_assert!(rate.abs() < 5e-3, "{}", signal.chip_rate_hz);
    }

    /// One that only lacks some of its check may be received: what is left of it can suffice.
    #[test]
    fn a_frame_that_is_cut_off_within_its_data_is_not_received(case in prop::sample::select(&CASES), share in 0.2f64..0.65, seed: u64) {
        let mut random = Random::new(seed);
        let payload = payload(&mut random, case.len);
        let mut sent = transmission(case.mode, Format::A, &payload, 0.008, 10.0);
        sent.chip_rate_hz *= case.chip_rate;
        sent.offset_hz = 200e3;
        sent.chips.truncate((sent.chips.len() as f64 * share) as usize);
        prop_assert!(listen(&render(sent.end_s() + 0.02, &[sent], &mut random)).is_empty());
    }
}

#[test]
fn given_meters_on_several_channels_at_once_then_all_are_received() {
    let mut random = Random::new(3);
    let mut sent = Vec::new();
    let mut payloads = Vec::new();
    for (i, case) in CASES.iter().enumerate() {
        let payload = payload(&mut random, case.len);
        let one = transmission(case.mode, Format::A, &payload, 0.01, 8.0);
        sent.push(Transmission {
            offset_hz: -900e3 + 450e3 * i as f64,
            chip_rate_hz: one.chip_rate_hz * case.chip_rate,
            deviation_hz: one.deviation_hz * case.chip_rate.sqrt(),
            ..one
        });
        payloads.push((case.mode, payload));
    }
    let frames = listen(&render(0.03, &sent, &mut random));
    for (mode, payload) in payloads {
        let is = |frame: &&Frame| frame.mode == mode && frame.bytes() == payload;
        assert_eq!(frames.iter().filter(is).count(), 1, "{mode}: {frames:?}");
    }
}

#[test]
fn given_a_mode_that_is_not_selected_then_its_frames_are_not_received() {
    let mut random = Random::new(4);
    let sent = Transmission {
        offset_hz: 100e3,
        ..transmission(Mode::HotRod, Format::A, &payload(&mut random, 8), 0.01, 6.0)
    };
    let samples = render(0.03, &[sent], &mut random);
    assert_eq!(listen_to(Modes::HOT_ROD, &samples).len(), 1);
    assert!(listen_to(Modes::ORION | Modes::DIALOG_3G, &samples).is_empty());
    assert!(listen_to(Modes::BAND_868, &samples).is_empty());
}

#[test]
fn given_zeros_or_one_wrong_bit_more_than_is_corrected_then_nothing_is_received() {
    let mut random = Random::new(5);
    for case in CASES {
        let zeros = transmission(case.mode, Format::A, &vec![0; case.len], 0.01, 10.0);
        let mut spoilt = transmission(case.mode, Format::A, &payload(&mut random, case.len), 0.01, 10.0);
        // The first four bytes behind the sync word.
        let chips = spoilt.chips.len();
        spoilt.chips[chips - 62..chips - 30]
            .iter_mut()
            .for_each(|chip| *chip = !*chip);
        let sent = if case.mode == Mode::Dialog3g {
            vec![zeros]
        } else {
            vec![spoilt]
        };
        let received = listen(&render(0.03, &sent, &mut random));
        assert!(received.is_empty(), "{received:?}");
    }
}

#[test]
fn given_two_seconds_of_noise_then_nothing_is_received() {
    assert!(listen(&render(2.0, &[], &mut Random::new(6))).is_empty());
}
