//! A live source and how it is opened, as often as it takes.

#[cfg(not(feature = "rtlsdr"))]
use crate::source::no_rtlsdr::Rtlsdr;
use crate::source::rtl_tcp::RtlTcp;
#[cfg(feature = "rtlsdr")]
use crate::source::rtlsdr::Rtlsdr;
use crate::source::{Address, CUSTOMARY_TENTHS, Gain, Info, Pick, Source, Tuning, find_best};
use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use metertap_dsp::iq::Format;
use std::time::Duration;

/// A dongle or a server of one, and its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    place: Place,
    /// What it is told on opening.
    pub tuning: Tuning,
    /// Hop between centres, staying this long at each.
    pub hop: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
enum Place {
    Dongle(Pick),
    Server { host: String, port: u16 },
}

impl Live {
    /// Nothing if `address` is a recording.
    pub fn new(address: &Address, tuning: Tuning) -> Option<Self> {
        let place = match address {
            Address::Rtlsdr(pick) => Place::Dongle(pick.clone()),
            Address::RtlTcp { host, port } => Place::Server {
                host: host.clone(),
                port: *port,
            },
            Address::File(_) => return None,
        };
        Some(Live {
            place,
            tuning,
            hop: None,
        })
    }

    /// The same, hopping or not.
    pub fn hopping(self, hop: Option<Duration>) -> Self {
        Live { hop, ..self }
    }

    /// Opens it; may take seconds.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn open(&self) -> Result<Box<dyn Source>> {
        let mut gains_tenths = CUSTOMARY_TENTHS.to_vec();
        let mut source: Box<dyn Source> = match &self.place {
            Place::Dongle(pick) => {
                let dongle = Rtlsdr::open(pick, &self.tuning)?;
                if dongle.opened().sample_rate_hz != self.tuning.sample_rate_hz {
                    // librtlsdr rounds to what the resampler can do; a chip clock of 1 000 ppm is followed.
                    let (is, due) = (
                        f64::from(dongle.opened().sample_rate_hz),
                        f64::from(self.tuning.sample_rate_hz),
                    );
                    if (is / due - 1.0).abs() > 1e-3 {
                        bail!("the dongle can do {is} S/s, not {due}");
                    }
                }
                if self.tuning.bias_tee && !dongle.opened().bias_tee {
                    tracing::warn!("This librtlsdr knows no bias tee: the antenna has no power.");
                }
                gains_tenths.clone_from(&dongle.opened().gains_tenths);
                Box::new(dongle)
            }
            Place::Server { host, port } => Box::new(RtlTcp::connect(host, *port, &self.tuning)?),
        };
        if self.tuning.gain == Gain::Best {
            let tenths = find_best(source.as_mut(), &gains_tenths).context("no best gain was found")?;
            tracing::info!(gain = %Gain::Tenths(tenths), "The best gain.");
        }
        Ok(source)
    }

    /// The longest pause between attempts: a look for a dongle is cheap, a network is not ours alone.
    pub fn longest_pause(&self) -> Duration {
        match self.place {
            Place::Dongle(_) => Duration::from_secs(2),
            Place::Server { .. } => Duration::from_secs(30),
        }
    }

    /// What its bytes will be.
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
