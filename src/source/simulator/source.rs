//! Samples of a scenario, rendered while they are read.

use crate::source::iq::{Info, Source};
use crate::source::simulator::scenario::Scenario;
use anyhow::{Result, bail};
use metertap_dsp::iq::Format;
use metertap_dsp::synth::{Random, Scene, Transmission};
use std::io;

/// Samples rendered at a time.
const PART: usize = 1 << 18;

/// Source of the samples of a scenario.
pub struct Simulator {
    info: Info,
    transmissions: Vec<Transmission>,
    random: Random,
    /// Samples of the scenario, and how many of them were rendered.
    samples: u64,
    rendered: u64,
    /// Amplitude of the noise, full scale = 1.
    amplitude: f32,
    /// DC offset, full scale = 1.
    dc: f32,
    /// Last part that was rendered, and how many bytes of it were read.
    bytes: Vec<u8>,
    bytes_read: usize,
}

impl Simulator {
    /// Simulates `scenario`, which is called `name` in errors and in the info.
    ///
    /// # Errors
    /// Returns an error if the scenario has an unknown format, a rate or length out of range, or a message that cannot
    /// hold its values.
    pub fn new(scenario: &Scenario, name: &str) -> Result<Self> {
        let format: Format = scenario.sample_format.parse()?;
        let (rate, seconds) = (scenario.sample_rate, scenario.seconds);
        if !(1.0..=1e8).contains(&rate) {
            bail!("{name}: invalid sample_rate {rate}: expected 1 to 1e8");
        }
        if !(0.0..=86_400.0).contains(&seconds) {
            bail!("{name}: invalid seconds {seconds}: expected 0 to 86400");
        }
        let samples = (seconds * rate) as u64;
        let transmissions = scenario.transmissions()?.into_iter().map(|(_, t)| t).collect();
        Ok(Simulator {
            info: Info {
                name: name.into(),
                format,
                sample_rate_hz: rate,
                center_hz: Some(scenario.center_freq),
                start: scenario.start,
                bytes: Some(samples * format.sample_bytes() as u64),
                assumed: Vec::new(),
            },
            transmissions,
            random: Random::new(scenario.seed ^ 0x5EED),
            samples,
            rendered: 0,
            amplitude: 10f64.powf(scenario.noise_dbfs / 20.0) as f32,
            dc: scenario.dc_lsb / 127.5,
            bytes: Vec::new(),
            bytes_read: 0,
        })
    }

    /// Renders the next part; nothing at the end.
    fn render(&mut self) {
        let part = (self.samples - self.rendered).min(PART as u64) as usize;
        let rate = self.info.sample_rate_hz;
        let from_s = self.rendered as f64 / rate;
        let to_s = from_s + part as f64 / rate;
        // Noise has power 1, as the SNR of transmissions refers to it; the amplitude is applied to the sum.
        let shifted = self.transmissions.iter().filter_map(|t| {
            let audible = t.start_s < to_s && t.end_s() + t.keying.edge_s > from_s;
            let start_s = t.start_s - from_s;
            audible.then(|| Transmission { start_s, ..t.clone() })
        });
        let scene = Scene {
            sample_rate_hz: rate,
            samples: part,
            noise: 1.0,
            transmissions: shifted.collect(),
        };
        let mut samples = scene.render(&mut self.random);
        for sample in &mut samples {
            sample.re = sample.re * self.amplitude + self.dc;
            sample.im = sample.im * self.amplitude + self.dc;
        }
        self.bytes.clear();
        self.bytes_read = 0;
        self.info.format.encode(&samples, &mut self.bytes);
        self.rendered += part as u64;
    }
}

impl Source for Simulator {
    fn info(&self) -> &Info {
        &self.info
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes_read == self.bytes.len() {
            self.render();
        }
        let ready = &self.bytes[self.bytes_read..];
        let n = ready.len().min(buffer.len());
        buffer[..n].copy_from_slice(&ready[..n]);
        self.bytes_read += n;
        Ok(n)
    }
}
