//! In place of the page, in a program that was built without it.

use crate::status::Status;
use crate::status::add_meter::AddMeter;
use anyhow::{Result, bail};
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;

const MISSING: &str = "web: this program was built without its page (feature `web`)";

/// The `[web]` section, which says nothing here.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct WebConfig(toml::Table);

impl WebConfig {
    /// That there is no page.
    pub fn problem(&self) -> Option<String> {
        Some(MISSING.into())
    }

    /// Nowhere.
    pub fn listen(&self) -> SocketAddr {
        SocketAddr::from(([0, 0, 0, 0], 0))
    }

    /// Nothing is kept of it.
    pub fn holds_secret(&self) -> bool {
        false
    }
}

/// There is none.
pub struct Web;

impl Web {
    /// Never starts.
    ///
    /// # Errors
    /// Always.
    pub fn start(_: &WebConfig, _: &mut Status, _: Arc<dyn AddMeter>) -> Result<Self> {
        bail!(MISSING)
    }
}
