//! Scenes that several test files render.

use metertap_dsp::synth::{Keying, Random, Scene, Transmission, chips};
use metertap_dsp::{Complex32, Protocol, iq};

pub fn transmission(
    protocol: Protocol,
    frame: &[u8],
    start_s: f64,
    offset_hz: f64,
    snr_db: f64,
) -> Transmission {
    Transmission {
        chips: chips(protocol, frame, 0),
        start_s,
        offset_hz,
        phase_rad: 1.0,
        snr_db,
        clock_ppm: 0.0,
        keying: Keying::default(),
    }
}

/// Renders a scene as a dongle would give it: eight bits, noise at -22 dBFS or lower where a strong transmission needs the room.
pub fn quantized(scene: &Scene, random: &mut Random) -> Vec<Complex32> {
    let mut samples = scene.render(random);
    let strongest_db = scene
        .transmissions
        .iter()
        .map(|sent| sent.snr_db)
        .fold(0.0, f64::max);
    let scale = (0.7 / 10f64.powf(strongest_db / 20.0)).min(0.08) as f32;
    samples.iter_mut().for_each(|sample| *sample *= scale);
    let mut bytes = Vec::new();
    iq::Format::Cu8.encode(&samples, &mut bytes);
    samples.clear();
    iq::Format::Cu8.decode(&bytes, &mut samples);
    samples
}

pub fn scene(sample_rate_hz: f64, seconds: f64, transmissions: Vec<Transmission>) -> Scene {
    Scene {
        sample_rate_hz,
        samples: (seconds * sample_rate_hz) as usize,
        noise: 1.0,
        transmissions,
    }
}
