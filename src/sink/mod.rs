//! Who is told: lines, a table on the terminal, an MQTT broker, files, sockets. A sink knows readings and nothing
//! below them.

pub mod archive;
pub mod board;
#[cfg(feature = "demo")]
pub mod broker;
pub mod claim;
pub mod counter;
pub mod homeassistant;
pub mod journal;
pub mod lines;
pub mod mqtt;
pub mod outlet;
pub mod profile;
pub mod publisher;
pub mod rtl_tcp;
pub mod table;
pub mod told;
#[cfg(feature = "web")]
pub mod web;
#[cfg(not(feature = "web"))]
#[path = "no_web.rs"]
pub mod web;
