//! Flags of a live radio source.

use crate::cli::band_args::BandArgs;
use crate::cli::hertz::parse_hertz;
use crate::receiver::{Radio, RadioOptions};
use crate::source::{Address, Center, Chosen, DongleSelector, Family, Gain, Live, Tuning};
use clap::Args;
use std::time::Duration;

/// Shortest stay at a center frequency when hopping.
const MIN_HOP_S: f64 = 0.1;

/// Source and tuning.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Radio")]
pub struct TunerArgs {
    /// rtlsdr, rtlsdr:SERIAL, rtlsdr:index=N or rtl_tcp://host:port. Use several at once; a packet received by two of
    /// them is reported once. Default: rtlsdr, the first dongle.
    #[arg(long, value_name = "SOURCE")]
    source: Vec<Address>,
    #[command(flatten)]
    band: BandArgs,
    /// Center frequency, or `hop` to visit all frequencies of ERT meters in turn. Default: that of the band, 912600155 or 868625000.
    #[arg(long, value_name = "HZ")]
    center_freq: Option<Center>,
    /// Seconds at each center frequency when hopping.
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    hop_seconds: f64,
    /// Samples per second.
    #[arg(long, value_name = "HZ", value_parser = parse_hertz, default_value = "2359296")]
    sample_rate: f64,
    /// Tuner gain: auto, best, or a number in dB. Default: auto; an rtl_tcp server keeps its own.
    #[arg(long, value_name = "GAIN")]
    gain: Option<Gain>,
    /// Frequency error of the crystal in parts per million; positive if it is too fast. Default: 0; an rtl_tcp server
    /// keeps its own.
    #[arg(long, allow_hyphen_values = true)]
    ppm: Option<i32>,
    /// Power an antenna amplifier through the cable.
    #[arg(long)]
    bias_tee: bool,
    /// Use the gain control of the RTL2832.
    #[arg(long)]
    digital_agc: bool,
}

impl TunerArgs {
    fn tuning(&self) -> Tuning {
        Tuning {
            center_hz: match self.center_freq {
                Some(Center::At(hz)) => hz,
                Some(Center::Hop) | None => self.family().center_hz(),
            },
            sample_rate_hz: self.sample_rate as u32,
            gain: self.gain.unwrap_or(Gain::Auto),
            ppm: self.ppm.unwrap_or_default(),
            digital_agc: self.digital_agc,
            bias_tee: self.bias_tee,
            chosen: Chosen {
                gain: self.gain.is_some(),
                ppm: self.ppm.is_some(),
                digital_agc: self.digital_agc,
                bias_tee: self.bias_tee,
            },
            ..Tuning::default()
        }
    }

    /// Starts a receiver for each source.
    ///
    /// # Errors
    /// If a source is a recording, or a sample rate is not supported.
    pub fn radios(&self, options: &RadioOptions) -> anyhow::Result<Vec<Radio>> {
        let sources = self.sources()?.into_iter();
        let options = RadioOptions {
            family: self.family(),
            ..options.clone()
        };
        sources
            .map(|(name, source)| Radio::live(&name, source, None, &options))
            .collect()
    }

    /// Returns the family of meters to receive.
    pub fn family(&self) -> Family {
        self.band.family()
    }

    /// Returns the band and the modes.
    pub fn band(&self) -> &BandArgs {
        &self.band
    }

    /// Returns true if the command line names a source.
    pub fn is_source_given(&self) -> bool {
        !self.source.is_empty()
    }

    /// Returns the only source and its name.
    ///
    /// # Errors
    /// `complaint` if there are several; if the source is a recording.
    pub fn single_source(&self, complaint: &str) -> anyhow::Result<(String, Live)> {
        match <[_; 1]>::try_from(self.sources()?) {
            Ok([only]) => Ok(only),
            Err(_) => anyhow::bail!("{complaint}: use --source once"),
        }
    }

    /// Returns the sources and their names.
    ///
    /// # Errors
    /// If a source is a recording.
    pub fn sources(&self) -> anyhow::Result<Vec<(String, Live)>> {
        let first = [Address::Rtlsdr(DongleSelector::First)];
        let addresses = if self.is_source_given() {
            &self.source[..]
        } else {
            &first
        };
        if self.family().is_wmbus() && self.center_freq == Some(Center::Hop) {
            anyhow::bail!(
                "--center-freq hop is for --band 915 and 915-fsk: one window holds all channels of wireless M-Bus"
            );
        }
        addresses
            .iter()
            .map(|address| match Live::new(address, self.tuning()) {
                Some(source) => {
                    let hops = self.center_freq == Some(Center::Hop);
                    let stay = hops.then(|| Duration::from_secs_f64(self.hop_seconds.max(MIN_HOP_S)));
                    Ok((address.to_string(), source.hopping(stay)))
                }
                None => anyhow::bail!("{address} is a recording: `metertap replay {address}` plays it"),
            })
            .collect()
    }
}
