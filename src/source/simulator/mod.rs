//! Simulator: a street of meters described in TOML, rendered to samples by the project's own modulator.

mod messages;
mod scenario;
mod source;

pub use scenario::{GroundTruth, Scenario, SimulatedMeter};
pub use source::Simulator;
