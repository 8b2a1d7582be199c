//! Facts that the user states about a recording.

use jiff::Timestamp;
use metertap_dsp::iq::Format;

/// Facts that the user states about a recording; they take precedence over its metadata and its file name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordingOverrides {
    /// Name of the receiver; by default the file name.
    pub name: Option<String>,
    /// Encoding of a sample.
    pub format: Option<Format>,
    /// Samples a second.
    pub sample_rate_hz: Option<f64>,
    /// Center of the window.
    pub center_hz: Option<f64>,
    /// Time of the first sample.
    pub start: Option<Timestamp>,
}
