//! Packet: the bytes of a frame that passed its check, and the quality of its reception.

use crate::Protocol;

/// Ground on which the bytes of a packet are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Method {
    /// The frame passed its check, corrected if need be.
    #[default]
    Checked,
    /// The frame is one of those that a known meter may send (see [`crate::Expectation`]).
    Expected {
        /// Evidence over what is needed, in tenths of a dB: about by how much the packet could be weaker.
        margin_tenths_db: u8,
        /// IDM: probability, in percent and rounded up, that its time since the interval began is wrong by more than a second; 0 below 1e-4.
        /// Nothing else in the frame tells that time, and it only dates consumption within five minutes.
        time_doubt_percent: u8,
    },
}

impl Method {
    pub(crate) fn time_doubt_percent(self) -> u8 {
        match self {
            Method::Checked => 0,
            Method::Expected {
                time_doubt_percent, ..
            } => time_doubt_percent,
        }
    }
}

/// Quality of reception of a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// Carrier relative to the center of the window.
    pub offset_hz: f64,
    /// Power of the ON carrier over all noise in the window (the whole sample rate).
    pub snr_db: f32,
    /// Power of the ON carrier; 0 = a full-scale complex tone.
    pub level_dbfs: f32,
    /// Chip clock of the transmitter relative to that of the samples; positive = slow.
    pub clock_ppm: f32,
    /// Number of bits (R900: five-bit symbols) that were corrected.
    pub corrected: u8,
    /// Ground on which the bytes are believed.
    pub method: Method,
    /// Estimated probability that the bytes are not what was sent (see [`crate::fec::correct`]).
    pub error_probability: f32,
}

/// Bytes of one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Packet {
    /// Frame family.
    pub protocol: Protocol,
    /// Sample (counted from the first ever pushed) at which the frame begins.
    pub start_sample: u64,
    /// Length of the frame on the air, in samples.
    pub len_samples: u64,
    /// Quality of reception.
    pub signal: Signal,
    pub(crate) bytes: [u8; 92],
}

impl Packet {
    /// Returns the frame from its first sync bit: 12 bytes (SCM), 16 (SCM+), 92 (IDM) or 14 (R900: 16 data and
    /// 5 parity symbols of five bits).
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.protocol.bytes()]
    }
}
