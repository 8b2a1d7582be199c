//! A made-up street: meters that send, rendered to samples by the project's own modulator.

use crate::source::{Info, Source};
use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use metertap_decode::ert::{Idm, Kind, Message, NetIdm, R900, Scm, ScmPlus};
use metertap_dsp::iq::Format;
use metertap_dsp::synth::{self, Keying, Random, Scene, Transmission};
use serde::{Deserialize, Serialize};

/// Samples rendered at a time.
const PART: usize = 1 << 18;

/// A scenario, as its TOML says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The same seed gives the same recording.
    #[serde(default)]
    pub seed: u64,
    /// Length.
    pub seconds: f64,
    /// Samples per second.
    #[serde(default = "customary_rate")]
    pub sample_rate: f64,
    /// Centre of the window, Hz.
    #[serde(default = "customary_center")]
    pub center_freq: f64,
    /// Sample format.
    #[serde(default = "cu8")]
    pub sample_format: String,
    /// Noise power; full scale is 0 dB.
    #[serde(default = "customary_noise")]
    pub noise_dbfs: f64,
    /// DC offset of both components, in steps of 8 bits.
    #[serde(default)]
    pub dc_lsb: f32,
    /// When it begins.
    #[serde(default)]
    pub start: Timestamp,
    /// Who sends.
    #[serde(default)]
    pub meter: Vec<Meter>,
}

fn customary_rate() -> f64 {
    2_359_296.0
}

fn customary_center() -> f64 {
    912_600_155.0
}

fn cu8() -> String {
    "cu8".into()
}

fn customary_noise() -> f64 {
    -26.0
}

/// One meter of a scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meter {
    /// scm, scmplus, idm, netidm, r900 or r900bcd.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: u32,
    /// ERT type; SCM+: the whole byte; R900: the first unknown byte.
    #[serde(default = "electric")]
    pub ert_type: u8,
    /// Its counter in the first transmission. NetIDM: what was taken.
    #[serde(default)]
    pub consumption: u32,
    /// NetIDM: what was fed in.
    #[serde(default)]
    pub generation: u32,
    /// What the counter grows by from transmission to transmission.
    #[serde(default = "one")]
    pub step: u32,
    /// First transmission, s.
    pub at: f64,
    /// Time between transmissions, s; none: it sends once.
    pub every: Option<f64>,
    /// Carrier against the centre.
    #[serde(default)]
    pub offset_hz: f64,
    /// Another carrier for every transmission.
    #[serde(default)]
    pub hop: bool,
    /// ON carrier over all noise in the window.
    #[serde(default = "customary_snr")]
    pub snr_db: f64,
    /// Chip clock error.
    #[serde(default)]
    pub clock_ppm: f64,
    /// Training bits before the frame.
    #[serde(default)]
    pub training: usize,
    /// Shortening of pulses, µs.
    #[serde(default)]
    pub short_us: f64,
    /// Length of edges, µs.
    #[serde(default)]
    pub edge_us: f64,
    /// Drift of the carrier.
    #[serde(default)]
    pub drift_hz_per_s: f64,
}

fn electric() -> u8 {
    7
}

fn one() -> u32 {
    1
}

fn customary_snr() -> f64 {
    10.0
}

/// What was sent: a line of the truth file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Truth {
    /// Start of the frame (its training not counted), s.
    pub start_s: f64,
    /// As in topics.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Meter.
    pub id: u32,
    /// Its counter.
    pub consumption: i64,
    /// Carrier against the centre.
    pub offset_hz: f64,
    /// As in the scenario.
    pub snr_db: f64,
    /// The message as rtlamr would write it.
    pub message: Message,
}

impl Scenario {
    /// Reads TOML; `name` is for errors.
    ///
    /// # Errors
    /// With line and key where it is not a scenario.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        toml::from_str(text).with_context(|| name.to_owned())
    }

    /// All that is sent, in the order of time.
    ///
    /// # Errors
    /// Where a meter cannot be.
    pub fn transmissions(&self) -> Result<Vec<(Truth, Transmission)>> {
        let mut random = Random::new(self.seed);
        let mut all = Vec::new();
        for meter in &self.meter {
            let frame = |count| {
                meter
                    .message(count)
                    .with_context(|| format!("meter {}", meter.id))
            };
            let (mut at, mut count) = (meter.at, 0);
            loop {
                let (message, bytes) = frame(count)?;
                let transmission = self.transmission(meter, at, &message, &bytes, &mut random);
                if transmission.end_s() > self.seconds {
                    break;
                }
                let training_s = 2.0 * meter.training as f64 / metertap_dsp::CHIP_RATE_HZ;
                let truth = Truth {
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
                    Some(every) if every > 0.01 => at += every,
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
        meter: &Meter,
        at: f64,
        message: &Message,
        bytes: &[u8],
        random: &mut Random,
    ) -> Transmission {
        let hop = random.uniform(-0.42, 0.42) * self.sample_rate;
        Transmission {
            chips: synth::chips(message.kind().protocol(), bytes, meter.training),
            start_s: at,
            offset_hz: if meter.hop { hop.round() } else { meter.offset_hz },
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

impl Meter {
    /// The `count`-th message and its frame.
    fn message(&self, count: u32) -> Result<(Message, Vec<u8>)> {
        let kind: Kind = self.kind.parse()?;
        let counter = self.consumption.wrapping_add(self.step.wrapping_mul(count));
        let limit = match kind {
            Kind::ScmPlus | Kind::Idm => u32::MAX,
            Kind::R900Bcd => 999_999,
            _ => 0xFF_FFFF,
        };
        if counter > limit {
            bail!("consumption {counter} does not fit into a {kind} message (at most {limit})");
        }
        if kind == Kind::Scm && self.id >> 26 != 0 {
            bail!("an SCM id has 26 bits");
        }
        let bytes = match kind {
            Kind::Scm => Scm {
                id: self.id,
                ert_type: self.ert_type,
                tamper_phy: 0,
                tamper_enc: 0,
                consumption: counter,
                checksum: 0,
            }
            .encode(),
            Kind::ScmPlus => ScmPlus {
                frame_sync: 0,
                protocol_id: 0,
                endpoint_type: self.ert_type,
                endpoint_id: self.id,
                consumption: counter,
                tamper: 0,
                packet_crc: 0,
            }
            .encode(),
            Kind::Idm => self.idm(counter, count).encode(),
            Kind::NetIdm => self.net_idm(counter, count).encode(),
            Kind::R900 | Kind::R900Bcd => R900 {
                id: self.id,
                unkn1: self.ert_type,
                no_use: 0,
                back_flow: 0,
                consumption: if kind == Kind::R900 {
                    counter
                } else {
                    to_bcd(counter)
                },
                unkn3: 0,
                leak: 0,
                leak_now: 0,
                parity: 0,
            }
            .encode(),
        };
        let message = Message::parse(kind, &bytes)?;
        Ok((message, bytes))
    }

    fn idm(&self, counter: u32, count: u32) -> Idm {
        Idm {
            preamble: 0,
            packet_type_id: 0,
            packet_length: 0,
            hamming_code: 0,
            application_version: 4,
            ert_type: self.ert_type & 0x0F,
            ert_serial_number: self.id,
            consumption_interval_count: count as u8,
            module_programming_state: 0xBC,
            tamper_counters: [1, 0, 0, 0, 2, 0],
            asynchronous_counters: 0,
            power_outage_flags: [0; 6],
            last_consumption_count: counter,
            differential_consumption_intervals: std::array::from_fn(|i| (i as u16 * 3 + 2) % 17),
            transmit_time_offset: 476,
            serial_number_crc: 0,
            packet_crc: 0,
        }
    }

    fn net_idm(&self, counter: u32, count: u32) -> NetIdm {
        NetIdm {
            preamble: 0,
            protocol_id: 0,
            packet_length: 0,
            hamming_code: 0,
            application_version: 4,
            ert_type: self.ert_type & 0x0F,
            ert_serial_number: self.id,
            consumption_interval_count: count as u8,
            programming_state: 0xB8,
            last_generation: self.generation & 0xFF_FFFF,
            last_consumption: counter,
            last_consumption_net: counter.wrapping_sub(self.generation),
            differential_consumption_intervals: std::array::from_fn(|i| 20 + i as u16 * 5),
            transmit_time_offset: 2145,
            serial_number_crc: 0,
            packet_crc: 0,
        }
    }
}

fn to_bcd(counter: u32) -> u32 {
    (0..6).fold(0, |bcd, i| bcd | (counter / 10u32.pow(i) % 10) << (4 * i))
}

/// The samples of a scenario, rendered part by part.
pub struct Synthetic {
    info: Info,
    transmissions: Vec<Transmission>,
    random: Random,
    samples: u64,
    rendered: u64,
    amplitude: f32,
    dc: f32,
    bytes: Vec<u8>,
    taken: usize,
}

impl Synthetic {
    /// # Errors
    /// Where the scenario cannot be rendered.
    pub fn new(scenario: &Scenario, name: &str) -> Result<Self> {
        let format: Format = scenario.sample_format.parse()?;
        let (rate, seconds) = (scenario.sample_rate, scenario.seconds);
        if !(1.0..=1e8).contains(&rate) {
            bail!("{name}: sample_rate {rate} is no rate that can be rendered");
        }
        if !(0.0..=86_400.0).contains(&seconds) {
            bail!("{name}: seconds {seconds} is not between 0 and a day");
        }
        let samples = (seconds * rate) as u64;
        let transmissions = scenario.transmissions()?.into_iter().map(|(_, t)| t).collect();
        Ok(Synthetic {
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
            taken: 0,
        })
    }

    fn render(&mut self) {
        let part = (self.samples - self.rendered).min(PART as u64) as usize;
        let rate = self.info.sample_rate_hz;
        let from_s = self.rendered as f64 / rate;
        let to_s = from_s + part as f64 / rate;
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
        self.taken = 0;
        self.info.format.encode(&samples, &mut self.bytes);
        self.rendered += part as u64;
    }
}

impl Source for Synthetic {
    fn info(&self) -> &Info {
        &self.info
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.taken == self.bytes.len() {
            self.render();
        }
        let ready = &self.bytes[self.taken..];
        let n = ready.len().min(buffer.len());
        buffer[..n].copy_from_slice(&ready[..n]);
        self.taken += n;
        Ok(n)
    }
}
