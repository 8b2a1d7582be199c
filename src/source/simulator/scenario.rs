//! Scenarios: which meters send what, when, and how well they are received.

use crate::source::simulator::messages::message;
use crate::source::simulator::meter::SimulatedMeter;
use anyhow::{Context, Result};
use jiff::Timestamp;
use metertap_decode::ert::Message;
use metertap_dsp::Protocol;
use metertap_dsp::synth::{self, Keying, Random, Transmission};
use serde::{Deserialize, Serialize};

/// Shortest time between transmissions of one meter, s: a scenario stays finite.
const MIN_INTERVAL_S: f64 = 0.01;
/// Share of the window on either side of its center that hopping meters use.
const HOP_SHARE: f64 = 0.42;

/// A scenario, as written in TOML.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Seed of all random choices: the same seed gives the same recording.
    #[serde(default)]
    pub seed: u64,
    /// Length, s.
    pub seconds: f64,
    /// Samples a second.
    #[serde(default = "default_rate")]
    pub sample_rate: f64,
    /// Center of the window, Hz.
    #[serde(default = "default_center")]
    pub center_freq: f64,
    /// Sample format: cu8, cs8, cs16 or cf32.
    #[serde(default = "cu8")]
    pub sample_format: String,
    /// Noise power; full scale is 0 dB.
    #[serde(default = "default_noise")]
    pub noise_dbfs: f64,
    /// DC offset of both components, in steps of 8 bits.
    #[serde(default)]
    pub dc_lsb: f32,
    /// Time of the first sample.
    #[serde(default)]
    pub start: Timestamp,
    /// Meters.
    #[serde(default)]
    pub meter: Vec<SimulatedMeter>,
}

fn default_rate() -> f64 {
    2_359_296.0
}

fn default_center() -> f64 {
    912_600_155.0
}

fn cu8() -> String {
    "cu8".into()
}

fn default_noise() -> f64 {
    -26.0
}

/// Ground truth of one transmission: a line of the truth file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroundTruth {
    /// Start of the frame, after its training bits, s.
    pub start_s: f64,
    /// Message type, as in topics.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Id of the meter.
    pub id: u32,
    /// Counter.
    pub consumption: i64,
    /// Carrier relative to the center.
    pub offset_hz: f64,
    /// SNR, as in the scenario.
    pub snr_db: f64,
    /// Message, as rtlamr writes it.
    pub message: Message,
}

impl Scenario {
    /// Parses TOML; `name` of the file appears in errors.
    ///
    /// # Errors
    /// Returns an error with line and key if the text is not a scenario.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        toml::from_str(text).with_context(|| name.to_owned())
    }

    /// Returns all transmissions that end within the scenario, in the order of time.
    ///
    /// # Errors
    /// Returns an error that names the meter if a message cannot hold its values.
    pub fn transmissions(&self) -> Result<Vec<(GroundTruth, Transmission)>> {
        let mut random = Random::new(self.seed);
        let mut all = Vec::new();
        for meter in &self.meter {
            let (mut at, mut count) = (meter.at, 0);
            loop {
                let (message, bytes) =
                    message(meter, count).with_context(|| format!("meter {}", meter.id))?;
                let protocol = message.kind().protocol();
                let protocol = protocol.context("a scenario has no meters that send by FSK")?;
                let transmission = self.transmission(meter, at, protocol, &bytes, &mut random);
                if transmission.end_s() > self.seconds {
                    break;
                }
                let training_s = 2.0 * meter.training as f64 / metertap_dsp::CHIP_RATE_HZ;
                let truth = GroundTruth {
                    start_s: at + training_s,
                    kind: message.kind().topic_name(),
                    id: message.id(),
                    consumption: message.consumption(),
                    offset_hz: transmission.offset_hz,
                    snr_db: meter.snr_db,
                    message,
                };
                all.push((truth, transmission));
                match meter.every {
                    Some(every) if every > MIN_INTERVAL_S => at += every,
                    _ => break,
                }
                count += 1;
            }
        }
        all.sort_by(|a, b| a.0.start_s.total_cmp(&b.0.start_s));
        Ok(all)
    }

    fn transmission(
        &self,
        meter: &SimulatedMeter,
        at: f64,
        protocol: Protocol,
        bytes: &[u8],
        random: &mut Random,
    ) -> Transmission {
        let hop_hz = random.uniform(-HOP_SHARE, HOP_SHARE) * self.sample_rate;
        Transmission {
            chips: synth::chips(protocol, bytes, meter.training),
            start_s: at,
            offset_hz: if meter.hop {
                hop_hz.round()
            } else {
                meter.offset_hz
            },
            phase_rad: random.uniform(0.0, std::f64::consts::TAU),
            snr_db: meter.snr_db,
            clock_ppm: meter.clock_ppm,
            keying: Keying {
                short_s: meter.short_us * 1e-6,
                edge_s: meter.edge_us * 1e-6,
                drift_hz_per_s: meter.drift_hz_per_s,
                wander_rad_per_sqrt_s: 0.0,
            },
        }
    }
}
