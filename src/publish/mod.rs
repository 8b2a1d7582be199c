//! Publishing over MQTT. Imports point down this list:
//!
//! | module | subject |
//! | --- | --- |
//! | `publisher` | one broker with its profile and Home Assistant, as the daemon sees it |
//! | `config` | the `[mqtt]` section |
//! | `homeassistant` | discovery messages |
//! | `profiles` | topics and payloads: metertap's own, and those of the programs that it replaces |
//! | `mqtt` | delivery: queues, spool, connection |
//! | `own_topics` | metertap's topics about itself, and what earlier processes have left there |
//! | `retained` | what the broker has kept of this installation |
//! | `instance` | names and topics of an installation |
//! | `message` | a message before it is sent |

pub mod config;
pub mod homeassistant;
pub mod instance;
pub mod message;
pub mod mqtt;
mod own_topics;
pub mod profiles;
pub mod publisher;
mod retained;

pub use config::MqttConfig;
