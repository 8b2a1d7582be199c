//! Readings: one message of one meter, with the time and quality of its reception.

use crate::meter::{RadioTelegram, TelegramSignal};
use jiff::Timestamp;
use metertap_decode::ert::Message;
use metertap_decode::report::Report;
use metertap_decode::time::MeterTime;
use metertap_decode::wmbus::Telegram;
use serde::Serialize;
use std::sync::Arc;

/// Reception quality of a radio packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Signal {
    /// Carrier frequency relative to the center of the receiver's window, in Hz.
    pub offset_hz: i64,
    /// Power of the carrier while on, over the noise of the whole window, in dB.
    pub snr_db: f64,
    /// Power of the carrier while on, relative to full scale, in dB.
    pub level_dbfs: f64,
    /// Corrected bits (R900: symbols of 5 bits).
    pub corrected: u8,
    /// Chip clock of the meter by that of the receiver, in parts per million; positive if the meter's is slow, or the
    /// receiver's is fast. `None` of a meter whose nominal clock is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_ppm: Option<i32>,
    /// Ground on which the packet is believed; absent if it passed its check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Of an expected packet, evidence over what is needed: about how much weaker it could be, in dB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin_db: Option<f64>,
    /// Of an expected IDM, probability that its transmit time offset is wrong by more than a second, which only dates its intervals;
    /// absent if that is certain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_doubt: Option<f64>,
}

/// Ground on which a packet is believed, other than its check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// It is one of the few that this meter may send next.
    Expected,
}

impl Signal {
    /// Rounds the receiver's estimates to the precision they have: 1 Hz, 0.1 dB and 1 ppm.
    pub fn new(signal: &metertap_dsp::Signal) -> Self {
        let (margin_db, time_doubt) = match signal.method {
            metertap_dsp::Method::Checked => (None, None),
            metertap_dsp::Method::Expected {
                margin_tenths_db,
                time_doubt_percent,
            } => (
                Some(f64::from(margin_tenths_db) / 10.0),
                (time_doubt_percent > 0).then(|| f64::from(time_doubt_percent) / 100.0),
            ),
        };
        let tenths = |db: f32| (f64::from(db) * 10.0).round() / 10.0;
        Signal {
            offset_hz: signal.offset_hz.round() as i64,
            snr_db: tenths(signal.snr_db),
            level_dbfs: tenths(signal.level_dbfs),
            corrected: signal.corrected,
            clock_ppm: Some(signal.clock_ppm.round() as i32),
            method: margin_db.map(|_| Method::Expected),
            margin_db,
            time_doubt,
        }
    }

    /// Returns the signal of a frame that was sent by FSK, `offset_hz` from the center of the window.
    pub fn of_fsk(signal: &TelegramSignal) -> Self {
        Signal {
            offset_hz: signal.offset_hz,
            snr_db: signal.snr_db,
            level_dbfs: signal.level_dbfs,
            corrected: signal.corrected,
            ..Signal::default()
        }
    }
}

/// One message of a radio meter.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Start of the packet, computed from its sample number.
    pub time: Timestamp,
    /// Start of the packet in a recording, in bytes; 0 for a live source.
    pub offset: u64,
    /// Length of the packet in a recording, in bytes; 0 for a live source, and for a frame that was sent by FSK.
    pub length: u64,
    /// Name of the receiver with the best signal.
    pub receiver: Arc<str>,
    /// Names of all receivers of this packet.
    pub heard_by: Vec<Arc<str>>,
    /// Carrier frequency in Hz, if the center frequency is known.
    pub frequency_hz: Option<f64>,
    /// Frame after correction, from its first sync bit; of a meter that sends by FSK, from the first byte behind it. 92 bytes at most.
    pub frame: Arc<[u8]>,
    /// Decoded message.
    pub message: Message,
    /// Reception quality at `receiver`.
    pub signal: Signal,
}

/// Reception of a telegram of wireless M-Bus.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RadioReception {
    /// Mode in which it was sent, such as `T1`.
    pub mode: String,
    /// Carrier frequency, if the center of the window is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_hz: Option<i64>,
    /// Quality.
    #[serde(flatten)]
    pub signal: TelegramSignal,
}

/// Telegram of wireless M-Bus as it was received, and as it was decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct WirelessFrame {
    /// Bytes without link CRCs, possibly encrypted: 256 at most.
    pub bytes: Vec<u8>,
    /// The same, decrypted, in its layers.
    pub decoded: Telegram,
}

/// One report of a wired meter, or of one that sends wireless M-Bus.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WireReading {
    /// Time by the meter's clock; time of reception if it has none.
    pub time: MeterTime,
    /// Time of reception by the clock of this machine.
    pub received: Timestamp,
    /// Name of the port.
    pub port: Arc<str>,
    /// Configured name of the meter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Decoded report.
    #[serde(flatten)]
    pub report: Report,
    /// Version and device type in the header of an M-Bus telegram, by which its manufacturer tells products apart.
    #[serde(skip)]
    pub product: Option<(u8, u8)>,
    /// Bytes of the records of an M-Bus telegram, by frame.
    #[serde(skip)]
    pub records: Arc<[Vec<u8>]>,
    /// Mode and quality of reception of a telegram that was received by radio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<RadioReception>,
    /// The telegram that was received by radio.
    #[serde(skip)]
    pub frame: Option<Arc<WirelessFrame>>,
    /// Decrypted telegram; only on the first of the readings made from it.
    #[serde(skip)]
    pub telegram: Option<Arc<[u8]>>,
}

impl WireReading {
    /// Attributes a report to its meter: the id is the port's name where the meter sends none.
    pub fn new(port: Arc<str>, mut report: Report, received: Timestamp) -> Self {
        if report.id.is_empty() {
            report.id = (&*port).into();
        }
        // The raw M-Bus message serves `metertap decode` and `metertap mbus`; it is not published.
        let message = report.message.take();
        let product = message
            .as_ref()
            .map(|message| (message.version, message.device_type));
        let records = message.map(|message| message.data).unwrap_or_default();
        let time = report.time.take().unwrap_or(MeterTime::Utc(received));
        WireReading {
            time,
            received,
            port,
            name: None,
            report,
            product,
            records: records.into(),
            signal: None,
            frame: None,
            telegram: None,
        }
    }

    /// Attributes a report to the telegram that it was made from, received by radio; `decoded` is that telegram.
    pub fn by_radio(telegram: &RadioTelegram, decoded: Option<Telegram>, report: Report) -> Self {
        WireReading {
            frame: decoded.map(|decoded| {
                let bytes = telegram.bytes.clone();
                Arc::new(WirelessFrame { bytes, decoded })
            }),
            signal: Some(RadioReception {
                mode: telegram.mode.to_string(),
                frequency_hz: telegram.frequency_hz.map(|hz| hz.round() as i64),
                signal: telegram.signal,
            }),
            ..Self::new(telegram.receiver.clone(), report, telegram.time)
        }
    }
}
