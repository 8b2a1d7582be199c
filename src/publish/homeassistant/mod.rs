//! MQTT discovery for Home Assistant: one retained message per device, as since version 2024.11, or one per sensor, as
//! before; and one retained message per meter with its latest values, for the sensors.
//!
//! There is a device per meter, whatever types of messages it sends, and one for the daemon. The topic of a meter's announcement is
//! `homeassistant/device/metertap_<id>_<type>/config`, with the type that was received first. Meters that are not in the
//! configuration are announced only on request. Device classes younger than 2024.11 are not used: Home Assistant rejects the
//! whole message for one that it does not know.
//!
//! | module | subject |
//! | --- | --- |
//! | `announcer` | which devices are announced, changed and removed, and when |
//! | `announcer::takeover` | what earlier processes have left at the broker |
//! | `home` | what belongs to this installation |
//! | `daemon_device` | the device of metertap itself |
//! | `device` | one device: its announcement and its state |
//! | `found` | announcements of earlier processes and of other installations |
//! | `state` | latest values of a meter |
//! | `entities`, `class` | the values of a reading, and how they are shown |
//! | `flags` | leak, battery and the like: the binary sensors |
//! | `description` | name, model and maker of a meter |

mod announcer;
mod class;
mod config;
mod daemon_device;
mod description;
mod device;
mod entities;
mod flags;
mod found;
mod home;
mod state;

pub use announcer::{Announcer, Changes, UNKNOWN_SILENCE};
pub use class::{is_refused, units_of};
pub use config::HomeAssistantConfig;
pub use home::Home;
