//! `[[radio]]`: a receiver of radio meters.

use crate::config::{must_parse, parsed, topic_problem};
use crate::source::recording::RecordingOverrides;
use crate::source::rtl_tcp::server::{DEFAULT_BUFFER_MB, Sharing};
use crate::source::{Address, Center, Chosen, Family, Live, Tuning, UnknownGain};
use jiff::Timestamp;
use metertap_dsp::iq::Format;
use metertap_dsp::wmbus::Modes;
use serde::Deserialize;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// A receiver of the configuration; equal to another one if nothing of it has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct RadioConfig {
    /// Name in topics, logs and on the page.
    pub name: String,
    /// Family of meters that it receives.
    pub family: Family,
    /// Origin of the samples.
    pub source: RadioSource,
}

/// Origin of a receiver's samples.
#[derive(Clone, Debug, PartialEq)]
pub enum RadioSource {
    /// A dongle or an rtl_tcp server.
    Live {
        /// Device and tuning.
        live: Live,
        /// Offer of the samples to other programs.
        sharing: Option<Sharing>,
    },
    /// A recorded file.
    Recording {
        /// The file, or `-`.
        path: PathBuf,
        /// Properties that neither its name nor its metadata give.
        overrides: RecordingOverrides,
        /// Play at the pace of the recording.
        realtime: bool,
    },
}

/// Section as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RadioSection {
    /// Name in topics and logs. Default: `radio0`, `radio1`, …
    name: Option<String>,
    /// `rtlsdr`, `rtlsdr:SERIAL`, `rtlsdr:index=N`, `rtl_tcp://host:port`, or a recording.
    #[serde(deserialize_with = "must_parse")]
    source: Address,
    /// Band, and with it the meters: `"915"` (ERT), `"915-fsk"` (Orion, Hot Rod, Dialog 3G), `"868"`, `"433"` or `"169"` (wireless M-Bus). Default: `"915"`.
    #[serde(default, deserialize_with = "parsed")]
    band: Option<Family>,
    /// Modes of wireless M-Bus: `t1`, `c1`, `s1`, `c2`, `r2`, `n1`, `f2`; of `"915-fsk"`: `orion`, `hotrod`, `dialog3g`. Default: all of the band.
    #[serde(default)]
    modes: Vec<String>,
    /// Recordings only: play at the pace of the recording. Default: false, as fast as possible.
    #[serde(default)]
    realtime: bool,
    /// Dongles only: address on which the samples are offered to other programs, by the protocol of rtl_tcp. Default: none.
    serve_rtl_tcp: Option<SocketAddr>,
    /// Dongles only: megabytes that a slow client of `serve_rtl_tcp` may lag behind, 1 to 1024. Default: 128, which is 28 s.
    serve_rtl_tcp_buffer_mb: Option<u32>,
    /// Samples per second. Default: 2359296 for a dongle; for a recording, from its name or metadata.
    sample_rate: Option<f64>,
    /// Center frequency in Hz, or `"hop"` to survey the band and then take turns between its best three centers. Default: that of the band, 912600155, 915800000 or 868625000.
    center_freq: Option<Center>,
    /// Seconds at each center while hopping. Default: 60.
    hop_seconds: Option<f64>,
    /// Recordings only: `cu8`, `cs8`, `cs16` or `cf32`. Default: from the file's name or metadata.
    #[serde(default, deserialize_with = "parsed")]
    sample_format: Option<Format>,
    /// Recordings only: time of the first sample. Default: from the file's name, metadata or date.
    start: Option<Timestamp>,
    /// Dongles only: gain in dB, `"auto"` (the tuner's own control) or `"best"` (found by trying). Default: `"auto"`; an rtl_tcp server keeps its gain, ppm, AGC and bias tee unless set here.
    gain: Option<GainSetting>,
    /// Dongles only: frequency correction in parts per million. Default: 0.
    ppm: Option<i32>,
    /// Dongles only: gain control of the demodulator chip. Default: false.
    digital_agc: Option<bool>,
    /// Dongles only: supply voltage for an amplifier at the antenna. Default: false.
    bias_tee: Option<bool>,
    /// Dongles only: queued USB transfers, 2 to 64. Default: 30.
    usb_buffers: Option<u32>,
    /// Dongles only: bytes of a USB transfer, a multiple of 512 up to 262144. Default: 65536.
    usb_buffer_bytes: Option<u32>,
}

/// `"auto"`, `"best"` or a number of dB.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum GainSetting {
    Db(f64),
    Word(String),
}

impl RadioSection {
    /// Name of the receiver, which is number `i` of the file.
    pub(super) fn name(&self, i: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("radio{i}"))
    }

    /// Address on which the samples are offered to other programs.
    pub(super) fn serve_rtl_tcp(&self) -> Option<SocketAddr> {
        self.serve_rtl_tcp
    }

    /// The dongle, which only one section can have.
    pub(super) fn device(&self) -> Option<&Address> {
        matches!(self.source, Address::Rtlsdr(_)).then_some(&self.source)
    }

    /// Converts the section, which is number `i` of the file.
    ///
    /// # Errors
    /// Returns all mistakes in it.
    pub(super) fn config(&self, i: usize) -> Result<RadioConfig, Vec<String>> {
        let mut problems = self.problems(i);
        let family = self.family().unwrap_or_else(|problem| {
            problems.insert(0, problem);
            Family::Ert
        });
        if family.is_wmbus() && self.hop().is_some() {
            problems.push("center_freq = \"hop\" is for band = \"915\" and \"915-fsk\": one window holds all channels of wireless M-Bus".into());
        }
        let tuning = self.tuning(family).map_err(|problem| problems.insert(0, problem));
        let (Ok(tuning), true) = (tuning, problems.is_empty()) else {
            let numbered = |problem| format!("[[radio]] {}: {problem}", i + 1);
            return Err(problems.into_iter().map(numbered).collect());
        };
        let source = match (Live::new(&self.source, tuning), &self.source) {
            (Some(live), _) => RadioSource::Live {
                live: live.hopping(self.hop()),
                sharing: self.sharing(),
            },
            (None, Address::File(path)) => RadioSource::Recording {
                path: path.clone(),
                overrides: self.overrides(),
                realtime: self.realtime,
            },
            (None, source) => {
                return Err(vec![format!(
                    "[[radio]] {}: source = \"{source}\" cannot be received",
                    i + 1
                )]);
            }
        };
        Ok(RadioConfig {
            name: self.name(i),
            family,
            source,
        })
    }

    /// Family of meters, by band and modes.
    fn family(&self) -> Result<Family, String> {
        if self.modes.is_empty() {
            return Ok(self.band.unwrap_or_default());
        }
        let modes: Result<Modes, _> = self.modes.iter().map(|name| name.parse::<Modes>()).collect();
        let modes = modes.map_err(|error| format!("modes: {error}"))?;
        let family = Family::of_modes(modes).map_err(|error| format!("modes: {error}"))?;
        match (self.band, family) {
            (Some(Family::Ert), Family::Wmbus(_)) => {
                Err("modes are those of wireless M-Bus: band = \"868\"".into())
            }
            (Some(Family::Fsk(_)), Family::Wmbus(_)) => {
                Err("band = \"915-fsk\" has the modes orion, hotrod and dialog3g".into())
            }
            (Some(Family::Wmbus(_)), Family::Fsk(_)) => {
                Err("orion, hotrod and dialog3g are modes of band = \"915-fsk\"".into())
            }
            _ => Ok(family),
        }
    }

    fn sharing(&self) -> Option<Sharing> {
        let megabytes = self.serve_rtl_tcp_buffer_mb.unwrap_or(DEFAULT_BUFFER_MB);
        self.serve_rtl_tcp.map(|address| Sharing::new(address, megabytes))
    }

    fn overrides(&self) -> RecordingOverrides {
        RecordingOverrides {
            name: self.name.clone(),
            format: self.sample_format,
            sample_rate_hz: self.sample_rate,
            center_hz: match self.center_freq {
                Some(Center::At(hz)) => Some(hz.into()),
                _ => None,
            },
            start: self.start,
        }
    }

    /// Tuning of a dongle.
    fn tuning(&self, family: Family) -> Result<Tuning, String> {
        let default = Tuning {
            center_hz: family.center_hz(),
            ..Tuning::default()
        };
        let whole = |key: &str, value: Option<f64>, default: u32| match value {
            None => Ok(default),
            Some(hz) if hz.fract() == 0.0 && (1.0..=4e9).contains(&hz) => Ok(hz as u32),
            Some(hz) => Err(format!(
                "{key} = {hz} must be a whole number of Hz from 1 to 4000000000"
            )),
        };
        let within =
            |key: &str, value: Option<u32>, default, range: RangeInclusive<u32>, step: u32| match value {
                None => Ok(default),
                Some(value) if range.contains(&value) && value % step == 0 => Ok(value),
                Some(value) => Err(format!(
                    "{key} = {value} must be a multiple of {step} from {} to {}",
                    range.start(),
                    range.end()
                )),
            };
        let gain = match &self.gain {
            None => default.gain,
            Some(GainSetting::Db(db)) => db.to_string().parse().map_err(|e: UnknownGain| e.to_string())?,
            Some(GainSetting::Word(word)) => word.parse().map_err(|e: UnknownGain| e.to_string())?,
        };
        Ok(Tuning {
            center_hz: match self.center_freq {
                Some(Center::At(hz)) => hz,
                _ => default.center_hz,
            },
            sample_rate_hz: whole("sample_rate", self.sample_rate, default.sample_rate_hz)?,
            gain,
            ppm: self.ppm.unwrap_or_default(),
            digital_agc: self.digital_agc.unwrap_or_default(),
            bias_tee: self.bias_tee.unwrap_or_default(),
            usb_buffers: within("usb_buffers", self.usb_buffers, default.usb_buffers, 2..=64, 1)?,
            usb_buffer_bytes: within(
                "usb_buffer_bytes",
                self.usb_buffer_bytes,
                default.usb_buffer_bytes,
                512..=1 << 18,
                512,
            )?,
            chosen: Chosen {
                gain: self.gain.is_some(),
                ppm: self.ppm.is_some(),
                digital_agc: self.digital_agc.is_some(),
                bias_tee: self.bias_tee.is_some(),
            },
        })
    }

    /// Time at each center, if the receiver hops.
    fn hop(&self) -> Option<Duration> {
        let hops = self.center_freq == Some(Center::Hop);
        hops.then(|| Duration::from_secs_f64(self.hop_seconds.unwrap_or(60.0)))
    }

    /// Keys that do not fit the source or each other, of the section that is number `i`.
    fn problems(&self, i: usize) -> Vec<String> {
        let name = self.name(i);
        let mut problems = Vec::new();
        let is_live = !matches!(self.source, Address::File(_));
        let wrong: &[(&str, bool)] = if is_live {
            &[
                ("realtime", self.realtime),
                ("sample_format", self.sample_format.is_some()),
                ("start", self.start.is_some()),
            ]
        } else {
            &[
                ("gain", self.gain.is_some()),
                ("ppm", self.ppm.is_some()),
                ("digital_agc", self.digital_agc.is_some()),
                ("bias_tee", self.bias_tee.is_some()),
                ("serve_rtl_tcp", self.serve_rtl_tcp.is_some()),
            ]
        };
        if self
            .serve_rtl_tcp_buffer_mb
            .is_some_and(|mb| !(1..=1024).contains(&mb))
        {
            problems.push("serve_rtl_tcp_buffer_mb must be between 1 and 1024".into());
        }
        if self.hop_seconds.is_some_and(|s| !(0.1..=86_400.0).contains(&s)) {
            problems.push("hop_seconds must be between 0.1 and 86400".into());
        }
        if self.hop_seconds.is_some() && self.hop().is_none() {
            problems.push("hop_seconds is for center_freq = \"hop\"".into());
        }
        if !is_live && self.hop().is_some() {
            problems.push("a recording cannot hop".into());
        }
        let of = if is_live { "a recording" } else { "a dongle" };
        problems.extend(
            wrong
                .iter()
                .filter(|(_, set)| *set)
                .map(|(key, _)| format!("{key} is for {of}, which {} is not", self.source)),
        );
        problems.extend(topic_problem(&name));
        problems
    }
}
