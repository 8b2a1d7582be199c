//! MQTT discovery for Home Assistant: one retained message per device, as since version 2024.11, or one per sensor, as
//! before.
//!
//! There is a device per meter and type, `homeassistant/device/metertap_<id>_<type>/config`, and one for the daemon.
//! Meters that are not in the configuration are announced only on request. Device classes younger than 2024.11 are not
//! used: Home Assistant rejects the whole message for one that it does not know.

mod announcer;
mod class;
mod cleanup;
mod components;
mod config;

pub use announcer::{Announcement, Announcer};
pub use cleanup::DiscoveryCleanup;
pub use config::HomeAssistantConfig;
