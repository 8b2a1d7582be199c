//! Simulator: a street of meters described in TOML, rendered to samples by the project's own modulator.

mod messages;
mod meter;
mod scenario;
mod source;

pub use meter::SimulatedMeter;
pub use scenario::{GroundTruth, Scenario};
pub use source::Simulator;
