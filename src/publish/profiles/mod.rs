//! Profiles: topics and payloads of metertap itself, or of a program that it replaces.

mod amr2mqtt;
mod config;
pub mod homie;
mod native;
mod netz_noe;
mod profile;
mod smartmeter2mqtt;
mod smartmeter_reader;
mod wmbusmeters;

pub use config::{Connections, ProfileConfig};
pub use native::{Native, Retain, Topics, template_problem};
pub use profile::Profile;
