//! Where bytes come from.

mod address;
mod gain;
mod live;
#[cfg(not(feature = "rtlsdr"))]
mod no_rtlsdr;
pub mod recording;
pub mod rtl_tcp;
#[cfg(feature = "rtlsdr")]
pub mod rtlsdr;
pub mod simulator;
mod tuning;
pub mod wire;

pub use address::{Address, AddressError, Pick};
pub use gain::{CUSTOMARY_TENTHS, Levels, find_best};
pub use live::Live;
pub use recording::Paced;
pub use tuning::{Center, DEFAULT_CENTER_HZ, DEFAULT_SAMPLE_RATE_HZ, Gain, TuneCommand, Tuning, UnknownGain};

use jiff::Timestamp;
use metertap_dsp::iq::Format;

/// What the bytes of a source are.
#[derive(Clone, Debug, PartialEq)]
pub struct Info {
    /// For people: a file name, or where it comes from.
    pub name: String,
    /// How samples are stored.
    pub format: Format,
    /// Samples per second.
    pub sample_rate_hz: f64,
    /// Centre of the window, if known.
    pub center_hz: Option<f64>,
    /// When the first sample was taken.
    pub start: Timestamp,
    /// How many bytes there are, if it ends and that is known.
    pub bytes: Option<u64>,
    /// What had to be assumed, in words.
    pub assumed: Vec<String>,
}

/// Something that gives bytes.
pub trait Source: Send {
    /// What they are.
    fn info(&self) -> &Info;

    /// Fills a part of `buffer` and returns its length; 0 = the end.
    ///
    /// # Errors
    /// What the file or device says. A live source returns `TimedOut` when nothing came for a moment.
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize>;

    /// Pieces lost before they reached us, so far.
    fn lost(&self) -> u64 {
        0
    }

    /// How much its tuner amplifies, where it has one.
    fn gain(&self) -> Option<Gain> {
        None
    }

    /// Changes a setting while it runs.
    ///
    /// # Errors
    /// Where that is not possible.
    fn tune(&mut self, command: TuneCommand) -> std::io::Result<()> {
        let _ = command;
        Err(std::io::ErrorKind::Unsupported.into())
    }
}
