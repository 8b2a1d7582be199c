//! Where bytes come from.

pub mod file;
mod name;
mod pace;
pub mod scenario;
mod sigmf;

pub use pace::Paced;

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
    /// What the file or device says.
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize>;
}
