//! A reading: what a meter said, when, and how well it was heard.

use jiff::Timestamp;
use metertap_decode::ert::Message;
use metertap_decode::report::Report;
use metertap_decode::time::MeterTime;
use serde::Serialize;
use std::sync::Arc;

/// How well a reading was heard.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Signal {
    /// Carrier against the centre of the receiver's window.
    pub offset_hz: i64,
    /// ON carrier over all noise in the window.
    pub snr_db: f64,
    /// ON carrier against full scale.
    pub level_dbfs: f64,
    /// Bits (R900: symbols) that were corrected.
    pub corrected: u8,
}

impl Signal {
    /// Rounded to what was really measured: 1 Hz and 0.1 dB.
    pub fn new(signal: &metertap_dsp::Signal) -> Self {
        let tenths = |db: f32| (f64::from(db) * 10.0).round() / 10.0;
        Signal {
            offset_hz: signal.offset_hz.round() as i64,
            snr_db: tenths(signal.snr_db),
            level_dbfs: tenths(signal.level_dbfs),
            corrected: signal.corrected,
        }
    }
}

/// One reading of one meter.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Start of the recording or stream + sample offset.
    pub time: Timestamp,
    /// Where the frame begins in a recording, in bytes; 0 for a live stream.
    pub offset: u64,
    /// Length of the frame in a recording, in bytes; 0 for a live stream.
    pub length: u64,
    /// Which receiver heard it.
    pub receiver: Arc<str>,
    /// All receivers that heard it; the one above heard it best.
    pub heard_by: Vec<Arc<str>>,
    /// Where in the spectrum, if the centre frequency is known.
    pub frequency_hz: Option<f64>,
    /// What was said.
    pub message: Message,
    /// How well it was heard.
    pub signal: Signal,
}

/// One reading of one meter on a wire.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WireReading {
    /// By the meter's clock; by ours where it has none.
    pub time: MeterTime,
    /// By our clock.
    pub received: Timestamp,
    /// Name of the port.
    pub port: Arc<str>,
    /// What people call the meter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What was said.
    #[serde(flatten)]
    pub report: Report,
    /// The telegram as it came, decrypted, with the first of its readings.
    #[serde(skip)]
    pub telegram: Option<Arc<[u8]>>,
}

impl WireReading {
    /// What `port` has just heard.
    pub fn now(port: Arc<str>, mut report: Report) -> Self {
        let received = Timestamp::now();
        if report.id.is_empty() {
            report.id = (&*port).into();
        }
        report.message = None;
        let time = report.time.take().unwrap_or(MeterTime::Utc(received));
        WireReading {
            time,
            received,
            port,
            name: None,
            report,
            telegram: None,
        }
    }
}
