//! Flags for a live source.

use crate::cli::number::hertz;
use crate::receiver::{Radio, RadioOptions};
use crate::source::{Address, Center, DEFAULT_CENTER_HZ, Gain, Live, Tuning};
use clap::Args;
use std::time::Duration;

/// Where to listen and how.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "The radio")]
pub struct Tuner {
    /// rtlsdr, rtlsdr:SERIAL, rtlsdr:index=N or rtl_tcp://host:port; several are heard together.
    #[arg(long, value_name = "SOURCE", default_value = "rtlsdr")]
    source: Vec<Address>,
    /// Centre of the window, or `hop`: wherever meters are heard, in turn.
    #[arg(long, value_name = "HZ", default_value = "912600155")]
    center_freq: Center,
    /// How long to stay at a centre when hopping.
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    hop_seconds: f64,
    /// Samples per second.
    #[arg(long, value_name = "HZ", value_parser = hertz, default_value = "2359296")]
    sample_rate: f64,
    /// Tuner gain: auto, or dB.
    #[arg(long, default_value = "auto", value_name = "GAIN")]
    gain: Gain,
    /// How much faster the dongle's crystal is than it should be.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    ppm: i32,
    /// Power for an antenna amplifier.
    #[arg(long)]
    bias_tee: bool,
    /// The RTL2832's own gain control.
    #[arg(long)]
    digital_agc: bool,
}

impl Tuner {
    /// The settings.
    pub fn tuning(&self) -> Tuning {
        Tuning {
            center_hz: match self.center_freq {
                Center::At(hz) => hz,
                Center::Hop => DEFAULT_CENTER_HZ,
            },
            sample_rate_hz: self.sample_rate as u32,
            gain: self.gain,
            ppm: self.ppm,
            digital_agc: self.digital_agc,
            bias_tee: self.bias_tee,
            ..Tuning::default()
        }
    }

    /// Receivers of all sources.
    ///
    /// # Errors
    /// Where a source is a recording, or its rate cannot be used.
    pub fn radios(&self, orders: &RadioOptions) -> anyhow::Result<Vec<Radio>> {
        let live = self.live()?.into_iter();
        live.map(|(name, live)| Radio::live(&name, live, None, orders))
            .collect()
    }

    /// The one source, and its name.
    ///
    /// # Errors
    /// With `complaint` where there are several.
    pub fn only(&self, complaint: &str) -> anyhow::Result<(String, Live)> {
        match <[_; 1]>::try_from(self.live()?) {
            Ok([only]) => Ok(only),
            Err(_) => anyhow::bail!("{complaint}: use --source once"),
        }
    }

    /// The live sources by name.
    ///
    /// # Errors
    /// Where one is a recording.
    pub fn live(&self) -> anyhow::Result<Vec<(String, Live)>> {
        self.source
            .iter()
            .map(|address| match Live::new(address, self.tuning()) {
                Some(live) => {
                    let hops = self.center_freq == Center::Hop;
                    let hop = hops.then(|| Duration::from_secs_f64(self.hop_seconds.max(0.1)));
                    Ok((address.to_string(), live.hopping(hop)))
                }
                None => anyhow::bail!("{address} is a recording: `metertap replay {address}` plays it"),
            })
            .collect()
    }
}
