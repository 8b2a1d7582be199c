//! Sources of IQ samples: the interface that dongles, servers, recordings and the simulator share.

use crate::source::tuning::{Gain, TuneCommand};
use jiff::Timestamp;
use metertap_dsp::iq::Format;
use std::io;

/// Description of the samples of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Info {
    /// Name for people: of the radio, the file, or the device.
    pub name: String,
    /// Encoding of a sample.
    pub format: Format,
    /// Nominal sample rate, samples a second.
    pub sample_rate_hz: f64,
    /// Center of the window, if known.
    pub center_hz: Option<f64>,
    /// Time of the first sample.
    pub start: Timestamp,
    /// Length of a recording in bytes, if known.
    pub bytes: Option<u64>,
    /// Assumptions made for lack of information, one sentence each, to be shown to the user.
    pub assumed: Vec<String>,
}

/// A source of IQ samples, read by one thread.
pub trait Source: Send {
    /// Describes the samples. The center of the window follows [`Source::tune`].
    fn info(&self) -> &Info;

    /// Reads samples into a part of `buffer` and returns its length in bytes; 0 at the end. Samples may be split between
    /// two reads.
    ///
    /// # Errors
    /// Returns the error of the file or device. A live source returns `TimedOut` if no samples arrive for a fraction of a
    /// second.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Bytes of samples lost before they could be read, since the source was opened.
    fn lost_bytes(&self) -> u64 {
        0
    }

    /// Gain that was set, if the source has a tuner.
    fn gain(&self) -> Option<Gain> {
        None
    }

    /// Changes a setting of the tuner; samples read afterwards may still be old ones.
    ///
    /// # Errors
    /// Returns `Unsupported` if the source has no tuner, or the error of the connection to it.
    fn tune(&mut self, command: TuneCommand) -> io::Result<()> {
        let _ = command;
        Err(io::ErrorKind::Unsupported.into())
    }
}
