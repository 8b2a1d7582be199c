//! Live sources: dongles and rtl_tcp servers, opened again as often as necessary.

use crate::source::address::{Address, DongleSelector};
use crate::source::gain::{R820T_GAINS_TENTHS, find_best};
use crate::source::iq::{Info, Source};
#[cfg(not(feature = "rtlsdr"))]
use crate::source::no_rtlsdr::Rtlsdr;
use crate::source::rtl_tcp::RtlTcp;
#[cfg(feature = "rtlsdr")]
use crate::source::rtlsdr::Rtlsdr;
use crate::source::tuning::{Gain, Tuning};
use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use metertap_dsp::iq::Format;
use std::time::Duration;

/// Relative difference between the requested and the actual sample rate that is tolerated. librtlsdr rounds to what its
/// resampler can do, and a chip clock that is off by 1 000 ppm is followed.
const RATE_TOLERANCE: f64 = 1e-3;

/// A live source and its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    device: Device,
    /// Settings applied on opening.
    pub tuning: Tuning,
    /// Time at each center, if the source hops.
    pub hop: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
enum Device {
    Dongle(DongleSelector),
    Server { host: String, port: u16 },
}

impl Live {
    /// Creates a source that does not hop; nothing if `address` is a recording.
    pub fn new(address: &Address, tuning: Tuning) -> Option<Self> {
        let device = match address {
            Address::Rtlsdr(selector) => Device::Dongle(selector.clone()),
            Address::RtlTcp { host, port } => Device::Server {
                host: host.clone(),
                port: *port,
            },
            Address::File(_) => return None,
        };
        Some(Live {
            device,
            tuning,
            hop: None,
        })
    }

    /// Sets the time at each center; without one the source does not hop.
    pub fn hopping(self, hop: Option<Duration>) -> Self {
        Live { hop, ..self }
    }

    /// Opens the source; may take seconds, or as long as the resolver of host names does.
    ///
    /// # Errors
    /// Returns the reason if the device or server is absent, busy, forbidden or silent, or cannot do the sample rate.
    pub fn open(&self) -> Result<Box<dyn Source>> {
        let mut gains_tenths = R820T_GAINS_TENTHS.to_vec();
        let mut source: Box<dyn Source> = match &self.device {
            Device::Dongle(selector) => {
                let dongle = Rtlsdr::open(selector, &self.tuning)?;
                let opened = dongle.opened();
                let (actual, wanted) = (opened.sample_rate_hz, self.tuning.sample_rate_hz);
                if (f64::from(actual) / f64::from(wanted) - 1.0).abs() > RATE_TOLERANCE {
                    bail!(
                        "the dongle samples at {actual} S/s, expected {wanted}: set sample_rate to {actual}"
                    );
                }
                if self.tuning.bias_tee && !opened.bias_tee {
                    tracing::warn!(
                        device = opened.name,
                        "This librtlsdr does not support bias tees; the antenna amplifier has no power"
                    );
                }
                gains_tenths.clone_from(&opened.gains_tenths);
                Box::new(dongle)
            }
            Device::Server { host, port } => Box::new(RtlTcp::connect(host, *port, &self.tuning)?),
        };
        if self.tuning.gain == Gain::Best {
            let tenths =
                find_best(source.as_mut(), &gains_tenths).context("the best gain could not be found")?;
            tracing::info!(device = source.info().name, gain = %Gain::Tenths(tenths), "Best gain found");
        }
        Ok(source)
    }

    /// Longest pause between attempts to open the source: looking for a dongle costs little, a network is shared.
    pub fn longest_pause(&self) -> Duration {
        match self.device {
            Device::Dongle(_) => Duration::from_secs(2),
            Device::Server { .. } => Duration::from_secs(30),
        }
    }

    /// Describes the samples of radio `name` before the source is opened.
    pub fn info(&self, name: &str, start: Timestamp) -> Info {
        Info {
            name: name.into(),
            format: Format::Cu8,
            sample_rate_hz: self.tuning.sample_rate_hz.into(),
            center_hz: Some(self.tuning.center_hz.into()),
            start,
            bytes: None,
            assumed: Vec::new(),
        }
    }
}
