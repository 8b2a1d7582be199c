//! Publishing over MQTT: delivery, discovery for Home Assistant, and the profiles of the programs replaced.

pub mod homeassistant;
pub mod mqtt;
pub mod profiles;
pub mod publisher;
