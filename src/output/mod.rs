//! Outputs of readings besides MQTT: files, TCP and HTTP. Each has a queue and a thread or task of its own, so that none
//! delays another, or a receiver.
//!
//! An output is not cancelled with the process: the last readings come after that. It ends when it is stopped.

mod config;
mod file;
mod http;
mod payload;
mod queue;
mod rotating_file;
mod tcp;

pub use config::{Format, OutputConfig, OutputKind};
pub use payload::Payload;

use crate::meter::event::ReadingEvent;
use crate::runtime::{Component, Context, Limit};
use crate::status::sink::SinkMetrics;
use anyhow::Result;
use std::sync::Arc;

/// Running output. Stopping it closes its queue; joining it waits until what is left is delivered.
pub trait Output: Component {
    /// Takes a reading; returns at once.
    fn publish(&mut self, event: &Arc<ReadingEvent>);

    /// Stops the output and waits until what is left is delivered; what is not by `limit` is lost. Returns false if a thread
    /// or task does not end: it is left to itself.
    fn finish(self: Box<Self>, limit: &Limit) -> bool;

    /// Metrics of the output.
    fn metrics(&self) -> &Arc<SinkMetrics>;
}

/// Starts an output as the component of `context`; `name` is that of its metrics.
///
/// # Errors
/// Returns an error if its file cannot be opened, its address cannot be bound, or its thread cannot be created.
pub fn start(config: &OutputConfig, name: String, context: &Context) -> Result<Box<dyn Output>> {
    let metrics = Arc::new(SinkMetrics::new(name));
    Ok(match config.kind {
        OutputKind::File => Box::new(file::FileOutput::start(config, metrics, context)?),
        OutputKind::Tcp | OutputKind::P1 => Box::new(tcp::TcpOutput::start(config, metrics, context)?),
        OutputKind::Http => Box::new(http::HttpOutput::start(config, metrics, context)?),
    })
}
