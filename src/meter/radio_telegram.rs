//! Telegram of wireless M-Bus that was received by radio, with the time and quality of its reception.

use jiff::Timestamp;
use metertap_dsp::wmbus::{Format, Frame, Mode};
use serde::Serialize;
use std::sync::Arc;

/// Reception quality of a telegram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TelegramSignal {
    /// Carrier relative to the center of the receiver's window, in Hz.
    pub offset_hz: i64,
    /// Carrier relative to the channel of its mode, in Hz: the errors of both crystals together.
    pub channel_offset_hz: i64,
    /// Power of the carrier over the noise of the whole window, in dB.
    pub snr_db: f64,
    /// Power of the carrier relative to full scale, in dB.
    pub level_dbfs: f64,
    /// Corrected decisions: bits, in mode T half bytes.
    pub corrected: u8,
    /// Distance of either tone from the carrier, in Hz.
    pub deviation_hz: i64,
    /// Chips a second.
    pub chip_rate_hz: i64,
}

impl TelegramSignal {
    /// Rounds the receiver's estimates to the precision they have; `offset_hz` and the correction of the signal-to-noise ratio are those of the
    /// window.
    pub fn new(frame: &Frame, offset_hz: f64, snr_correction_db: f32) -> Self {
        let tenths = |db: f32| (f64::from(db) * 10.0).round() / 10.0;
        let signal = &frame.signal;
        TelegramSignal {
            offset_hz: offset_hz.round() as i64,
            channel_offset_hz: signal.offset_hz.round() as i64,
            snr_db: tenths(signal.snr_db + snr_correction_db),
            level_dbfs: tenths(signal.level_dbfs),
            corrected: frame.corrected,
            deviation_hz: signal.deviation_hz.round() as i64,
            chip_rate_hz: signal.chip_rate_hz.round() as i64,
        }
    }
}

/// One telegram, not decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct RadioTelegram {
    /// Start of its first byte, computed from its sample number.
    pub time: Timestamp,
    /// Start in a recording, in bytes; 0 for a live source.
    pub offset: u64,
    /// Name of the receiver.
    pub receiver: Arc<str>,
    /// Carrier frequency, if the center of the window is known.
    pub frequency_hz: Option<f64>,
    /// Mode in which it was sent.
    pub mode: Mode,
    /// Frame format in which it was sent, if the mode has any.
    pub format: Option<Format>,
    /// Bytes without link CRCs, whose length field counts as in format A; of other meters than those of wireless M-Bus, bytes without
    /// the check.
    pub bytes: Vec<u8>,
    /// Quality of reception.
    pub signal: TelegramSignal,
}
