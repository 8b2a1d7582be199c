//! Where readings go besides MQTT: files, TCP, HTTP. Each has a queue and a thread of its own, so that none can hold
//! up another, or a reader.

mod file;
mod http;
mod payload;
mod queue;
mod tcp;

pub use payload::Payload;

use crate::meter::event::ReadingEvent;
use crate::status::sink::SinkMetrics;
use anyhow::Result;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// An `[[output]]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// What it is called in logs and metrics; by default what it is, and where.
    name: Option<String>,
    /// What it is.
    kind: Kind,
    /// Whose objects.
    #[serde(default)]
    payload: Payload,
    /// `file`: where; `-` is standard output.
    path: Option<PathBuf>,
    /// `file`: when a new one is begun.
    rotate_mb: Option<u32>,
    /// `file`: old ones that are kept.
    keep: Option<u8>,
    /// `tcp` and `p1`: where others connect to.
    listen: Option<SocketAddr>,
    /// `tcp` and `p1`: others at a time.
    max_clients: Option<u16>,
    /// `http`: where to post.
    url: Option<Url>,
    /// `http`: how.
    format: Option<Format>,
    /// `http`: seconds between two posts of one meter; 0: every reading.
    interval: Option<u32>,
    /// `http`: fields of the object that are sent, nested ones as `reading_gas_value`; all if nothing is said.
    fields: Option<Vec<String>>,
    /// `http`: what stands in front of the body, a token for example.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// `http`: how often a post is tried.
    tries: Option<u8>,
}

/// What an output is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// JSON lines to a file.
    #[default]
    File,
    /// JSON lines to whoever connects.
    Tcp,
    /// P1 telegrams as they came, to whoever connects.
    P1,
    /// A post to somebody else.
    Http,
}

/// How a post is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The object.
    #[default]
    Json,
    /// `a=1&b_c=2`
    Form,
}

/// An output at work.
pub trait Output: Send {
    /// Takes a reading, at once.
    fn tell(&mut self, told: &Arc<ReadingEvent>);

    /// Delivers what is left.
    fn finish(self: Box<Self>, patience: Duration);
}

/// An output at work, and what becomes of its readings.
pub struct RunningOutput {
    /// Takes them.
    pub outlet: Box<dyn Output>,
    /// Counts them.
    pub counts: Arc<SinkMetrics>,
}

impl OutputConfig {
    /// What it is called, being number `i`.
    pub fn name(&self, i: usize) -> String {
        let kind = match self.kind {
            Kind::File => "file",
            Kind::Tcp => "tcp",
            Kind::P1 => "p1",
            Kind::Http => "http",
        };
        self.name.clone().unwrap_or_else(|| format!("{kind}{i}"))
    }

    /// What is wrong with it, being number `i`.
    pub fn problems(&self, i: usize) -> Vec<String> {
        let (file, server, http) = match self.kind {
            Kind::File => (true, false, false),
            Kind::Tcp | Kind::P1 => (false, true, false),
            Kind::Http => (false, false, true),
        };
        let mut problems = Vec::new();
        for (key, is_set, fits, of) in [
            ("path", self.path.is_some(), file, "file"),
            ("rotate_mb", self.rotate_mb.is_some(), file, "file"),
            ("keep", self.keep.is_some(), file, "file"),
            ("listen", self.listen.is_some(), server, "tcp or p1"),
            ("max_clients", self.max_clients.is_some(), server, "tcp or p1"),
            ("url", self.url.is_some(), http, "http"),
            ("format", self.format.is_some(), http, "http"),
            ("interval", self.interval.is_some(), http, "http"),
            ("fields", self.fields.is_some(), http, "http"),
            ("headers", !self.headers.is_empty(), http, "http"),
            ("tries", self.tries.is_some(), http, "http"),
        ] {
            if is_set && !fits {
                problems.push(format!("{key} is for kind = \"{of}\""));
            }
        }
        for (key, is_set, fits) in [
            ("path", self.path.is_some(), file),
            ("listen", self.listen.is_some(), server),
            ("url", self.url.is_some(), http),
        ] {
            if fits && !is_set {
                problems.push(format!("{key} is missing"));
            }
        }
        if self.rotate_mb == Some(0) {
            problems.push("rotate_mb cannot be 0".into());
        }
        if self.max_clients == Some(0) {
            problems.push("max_clients cannot be 0".into());
        }
        if self
            .url
            .as_ref()
            .is_some_and(|url| !matches!(url.scheme(), "http" | "https"))
        {
            problems.push("url must begin with http:// or https://".into());
        }
        if self.tries.is_some_and(|tries| !(1..=20).contains(&tries)) {
            problems.push("tries must be between 1 and 20".into());
        }
        if self.kind == Kind::P1 && self.payload != Payload::default() {
            problems.push("payload: telegrams are sent as they came".into());
        }
        problems
            .into_iter()
            .map(|problem| format!("[[output]] {} ({}): {problem}", i + 1, self.name(i)))
            .collect()
    }

    /// Whether a secret may stand in it.
    pub fn holds_secret(&self) -> bool {
        !self.headers.is_empty() || self.url.as_ref().is_some_and(|url| url.password().is_some())
    }

    /// Starts it, being number `i`.
    ///
    /// # Errors
    /// Where its file or its port cannot be had.
    pub fn start(&self, i: usize) -> Result<RunningOutput> {
        let counts = Arc::new(SinkMetrics::new(self.name(i)));
        let outlet: Box<dyn Output> = match self.kind {
            Kind::File => Box::new(file::start(self, counts.clone())?),
            Kind::Tcp | Kind::P1 => Box::new(tcp::Server::start(self, counts.clone())?),
            Kind::Http => Box::new(http::start(self, counts.clone())?),
        };
        Ok(RunningOutput { outlet, counts })
    }

    /// Lines to standard output: what there is where nothing else is said.
    pub fn stdout() -> Self {
        OutputConfig {
            name: Some("stdout".into()),
            path: Some("-".into()),
            ..OutputConfig::default()
        }
    }
}
