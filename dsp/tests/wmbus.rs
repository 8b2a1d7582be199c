//! Wireless M-Bus: receiver against modulator.

use metertap_dsp::synth::Random;
use metertap_dsp::wmbus::synth::{Transmission, transmission};
use metertap_dsp::wmbus::{Config, Format, Frame, Mode, Modes, Receiver};
use metertap_dsp::{Complex32, iq};
use proptest::prelude::*;

const RATE_HZ: f64 = 2_359_296.0;

fn receiver(sample_rate_hz: f64) -> Receiver {
    Receiver::new(Config {
        sample_rate_hz,
        center_hz: 868.625e6,
        modes: Modes::BAND_868,
    })
    .unwrap()
}

fn listen(sample_rate_hz: f64, samples: &[Complex32]) -> Vec<Frame> {
    let mut receiver = receiver(sample_rate_hz);
    let mut frames = Vec::new();
    receiver.push(samples, |frame| frames.push(*frame));
    receiver.flush(|frame| frames.push(*frame));
    frames
}

/// Telegram of `len` bytes with a length field that fits.
fn telegram(random: &mut Random, len: usize) -> Vec<u8> {
    let mut telegram: Vec<u8> = (0..len).map(|_| random.bits() as u8).collect();
    telegram[0] = (len - 1) as u8;
    telegram
}

/// Renders transmissions in noise as a dongle would give them, in eight bits.
fn render(rate: f64, seconds: f64, sent: &[Transmission], random: &mut Random) -> Vec<Complex32> {
    let mut samples: Vec<Complex32> = (0..(seconds * rate) as usize)
        .map(|_| random.gaussian())
        .collect();
    for transmission in sent {
        transmission.add(rate, &mut samples);
    }
    let strongest_db = sent.iter().map(|sent| sent.snr_db).fold(0.0, f64::max);
    let scale = (0.7 / 10f64.powf(strongest_db / 20.0)).min(0.08) as f32;
    samples.iter_mut().for_each(|sample| *sample *= scale);
    let mut bytes = Vec::new();
    iq::Format::Cu8.encode(&samples, &mut bytes);
    samples.clear();
    iq::Format::Cu8.decode(&bytes, &mut samples);
    samples
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_frame_of_mode_t_is_received_once(len in 11usize..256, offset in -60e3f64..60e3, error in -0.1f64..0.1, seed: u64) {
        let mut random = Random::new(seed);
        let telegram = telegram(&mut random, len);
        let sent = Transmission {
            offset_hz: 325e3 + offset,
            chip_rate_hz: 100e3 * (1.0 + error),
            ..transmission(Mode::T1, Format::A, &telegram, 0.008, 6.0)
        };
        let received = listen(RATE_HZ, &render(RATE_HZ, 0.07, &[sent], &mut random));
        prop_assert_eq!(received.len(), 1);
        let frame = received[0];
        prop_assert_eq!((frame.mode, frame.format, frame.bytes()), (Mode::T1, Format::A, &telegram[..]));
        prop_assert!((frame.signal.offset_hz - offset).abs() < 200.0, "{}", frame.signal.offset_hz);
        prop_assert!((f64::from(frame.signal.snr_db) - 6.0).abs() < 1.0, "{}", frame.signal.snr_db);
        prop_assert!((f64::from(frame.signal.deviation_hz) - 50e3).abs() < 3e3, "{}", frame.signal.deviation_hz);
    }
}
