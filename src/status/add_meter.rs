//! Request to add a meter to the configuration, between the page that makes it and the daemon that fulfills it.

use serde::{Deserialize, Serialize};

/// Meter to add; omitted fields are taken from its messages.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddMeterRequest {
    /// Id as received.
    pub id: String,
    /// Type that is wanted of those that it sends.
    pub protocol: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// Commodity.
    pub commodity: Option<String>,
    /// Unit of its counter.
    pub unit: Option<String>,
    /// Size of one count in that unit.
    pub scale: Option<f64>,
    /// Writes the section; otherwise it is only shown.
    #[serde(default)]
    pub write: bool,
}

/// Section that was written, or would be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AddedMeter {
    /// Text of the section.
    pub section: String,
    /// Path of the configuration file.
    pub file: String,
    /// The section is in the file now.
    pub written: bool,
    /// With this meter in the configuration, those of neighbors are no longer published.
    pub ends_publishing_all: bool,
}

/// Reason why a meter cannot be added.
#[derive(Debug)]
pub enum AddMeterError {
    /// The configuration would be wrong.
    Invalid(String),
    /// The meter is configured.
    AlreadyConfigured(String),
    /// The file cannot be read or written, or is wrong already.
    Failed(String),
}

/// Writer of the configuration file.
pub trait AddMeter: Send + Sync {
    /// Appends a section for a meter, or only returns it.
    ///
    /// # Errors
    /// Returns the reason why the meter cannot be added; the file is unchanged then.
    fn add(&self, meter: &AddMeterRequest) -> Result<AddedMeter, AddMeterError>;
}
