//! Requests to change the meters of the configuration, between the page that makes them and the daemon that fulfills them.

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

/// Changes of a meter; omitted fields stay as they are.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeMeterRequest {
    /// Name.
    pub name: Option<String>,
    /// Accepted message types.
    pub protocol: Option<Vec<String>>,
    /// Commodity.
    pub commodity: Option<String>,
    /// Unit of its counter.
    pub unit: Option<String>,
    /// Size of one count in that unit.
    pub scale: Option<f64>,
    /// Digits of its counter.
    pub digits: Option<u8>,
    /// Area in Home Assistant.
    pub area: Option<String>,
    /// Key of wireless M-Bus, 32 hexadecimal digits.
    pub key: Option<String>,
    /// Names of those of these fields that are removed from the section.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Writes the section; otherwise it is only shown.
    #[serde(default)]
    pub write: bool,
}

/// Removal of a meter from the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveMeterRequest {
    /// Removes the section; otherwise it is only shown.
    #[serde(default)]
    pub write: bool,
}

/// Section of a meter that was written or removed, or would be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EditedMeter {
    /// Text of the section; without the key in it.
    pub section: String,
    /// Path of the configuration file.
    pub file: String,
    /// The change is in the file now.
    pub written: bool,
    /// From this change on, meters of neighbors are no longer published.
    pub ends_publishing_all: bool,
}

/// Reason why the configuration cannot be changed.
#[derive(Debug)]
pub enum EditMeterError {
    /// The configuration would be wrong.
    Invalid(String),
    /// The meter to add is configured.
    AlreadyConfigured(String),
    /// The meter to change is not configured.
    NotConfigured(String),
    /// The file cannot be read or written, or is wrong already.
    Failed(String),
}

/// Writer of the configuration file. Each change is checked as a whole file is, and the file is unchanged after an error.
pub trait EditMeters: Send + Sync {
    /// Appends a section for a meter, or only returns it.
    ///
    /// # Errors
    /// Returns the reason why the meter cannot be added.
    fn add(&self, meter: &AddMeterRequest) -> Result<EditedMeter, EditMeterError>;

    /// Changes the section of the meter `id`, or only returns what it would be.
    ///
    /// # Errors
    /// Returns the reason why it cannot be changed so.
    fn change(&self, id: &str, changes: &ChangeMeterRequest) -> Result<EditedMeter, EditMeterError>;

    /// Removes the section of the meter `id`, or only returns it.
    ///
    /// # Errors
    /// Returns the reason why it cannot be removed.
    fn remove(&self, id: &str, request: RemoveMeterRequest) -> Result<EditedMeter, EditMeterError>;
}
