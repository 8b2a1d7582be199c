//! Stand-in for the page in a program that was built without the feature `web`.

use crate::runtime::{Component, Context};
use crate::status::Status;
use crate::status::edit_meter::EditMeters;
use anyhow::{Result, bail};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const MISSING: &str = "web: this program was built without its page (feature `web`)";

/// The `[web]` section, which is always a mistake here.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct WebConfig(toml::Table);

impl WebConfig {
    /// Returns the reason why there is no page.
    pub fn problem(&self) -> Option<String> {
        Some(MISSING.into())
    }

    /// There is no history either.
    pub fn history(&self) -> Option<&Path> {
        None
    }

    /// There is no page that could be opened.
    pub fn address(&self, _: &str) -> Option<String> {
        None
    }

    /// Unspecified address.
    pub fn listen(&self) -> SocketAddr {
        SocketAddr::from(([0, 0, 0, 0], 0))
    }

    /// Returns nothing: there is nobody to ask.
    pub fn authorization(&self) -> Option<String> {
        None
    }

    /// Returns false: nothing of the section is read.
    pub fn holds_secret(&self) -> bool {
        false
    }
}

/// Page that is never started.
pub struct Web;

impl Web {
    /// Fails.
    ///
    /// # Errors
    /// Always returns the reason why there is no page.
    pub fn start(_: &WebConfig, _: &mut Status, _: Arc<dyn EditMeters>, _: &Context) -> Result<Self> {
        bail!(MISSING)
    }
}

impl Component for Web {
    fn name(&self) -> &str {
        "web"
    }

    fn stop(&self) {}

    fn join(self: Box<Self>, _: Duration) -> bool {
        true
    }
}
