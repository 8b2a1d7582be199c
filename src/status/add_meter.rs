//! "This is mine": a meter that becomes a section of the configuration.

use serde::{Deserialize, Serialize};

/// A meter that somebody calls his; what is not said is left to what it sends.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddMeterRequest {
    /// As it is heard.
    pub id: String,
    /// Which of its types is wanted.
    pub protocol: Option<String>,
    /// What it shall be called.
    pub name: Option<String>,
    /// What it measures.
    pub commodity: Option<String>,
    /// Unit of its counter.
    pub unit: Option<String>,
    /// One count is so much of that.
    pub scale: Option<f64>,
    /// Whether it is to be written; without, what would be is only shown.
    #[serde(default)]
    pub write: bool,
}

/// What was written, or would be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AddedMeter {
    /// The section, as it stands in the file.
    pub section: String,
    /// The file.
    pub file: String,
    /// Whether it stands there now.
    pub written: bool,
    /// From now on the neighbours' meters are not published any more.
    pub ends_publishing_all: bool,
}

/// Why not.
#[derive(Debug)]
pub enum Refusal {
    /// Something about it is wrong.
    Wrong(String),
    /// It is there already.
    Known(String),
    /// The file cannot be written.
    Failed(String),
}

/// Who can do it.
pub trait AddMeter: Send + Sync {
    /// Writes a section for a meter, or shows what it would be.
    ///
    /// # Errors
    /// Why not; the file is as it was then.
    fn adopt(&self, meter: &AddMeterRequest) -> Result<AddedMeter, Refusal>;
}
