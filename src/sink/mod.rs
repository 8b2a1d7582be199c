//! Who is told: lines, a table on the terminal, an MQTT broker. A sink knows readings and nothing below them.

#[cfg(feature = "demo")]
pub mod broker;
pub mod homeassistant;
pub mod lines;
pub mod mqtt;
pub mod rtl_tcp;
pub mod table;
