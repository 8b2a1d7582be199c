//! Frame: bytes of the link layer that passed their CRCs, and the quality of reception.

use super::mode::{Format, Mode};
use std::fmt;

/// Most bytes of a frame: a length field of 255 and what it counts.
pub const MAX_BYTES: usize = 256;

/// Quality of reception of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// Carrier relative to the nearest channel of the mode: errors of the meter's and of the receiver's crystal
    /// together. See [`Mode::offset_hz`].
    pub offset_hz: f64,
    /// Carrier: the middle between the two tones.
    pub carrier_hz: f64,
    /// Power of the carrier over all noise in the window (the whole sample rate).
    pub snr_db: f32,
    /// Power of the carrier; 0 = a full-scale complex tone.
    pub level_dbfs: f32,
    /// Distance of a tone from the carrier.
    pub deviation_hz: f32,
    /// Chips a second.
    pub chip_rate_hz: f32,
}

/// One frame.
#[derive(Clone, Copy, PartialEq)]
pub struct Frame {
    /// Mode in which it was sent.
    pub mode: Mode,
    /// Format in which it was sent; `None` where frames have a fixed length.
    pub format: Option<Format>,
    /// Sample, counted from the first ever pushed, at which the first chip after the sync word begins.
    pub sample: u64,
    /// Quality of reception.
    pub signal: Signal,
    /// Number of decisions (bits; in mode T half bytes) that were corrected.
    pub corrected: u8,
    /// Estimated probability that the bytes are not what was sent (see [`crate::fec::correct`]).
    pub doubt: f32,
    pub(super) bytes: [u8; MAX_BYTES],
    pub(super) len: usize,
}

impl Frame {
    /// Returns the frame from its length field, without the CRCs; the length field counts the bytes after itself, as if
    /// format A had been sent. Frames of fixed length begin behind the sync word, and end before the check.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Frame")
            .field("mode", &self.mode)
            .field("format", &self.format)
            .field("sample", &self.sample)
            .field("signal", &self.signal)
            .field("corrected", &self.corrected)
            .field("doubt", &self.doubt)
            .field("bytes", &format_args!("{:02X?}", self.bytes()))
            .finish()
    }
}
