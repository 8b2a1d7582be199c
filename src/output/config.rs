//! The `[[output]]` section.

use crate::output::Payload;
use crate::secret::{Secret, headers};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use url::Url;

/// An `[[output]]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// Name in logs and metrics. Default: `kind` and its number among all outputs, counted from 0, such as `file0`.
    pub(super) name: Option<String>,
    /// Kind of output: JSON lines to a file, JSON lines to every TCP client, P1 telegrams as received to every TCP client,
    /// or HTTP posts.
    pub(super) kind: OutputKind,
    /// Format of the objects; `"rtlamr"` is for radio meters only, `"smartmeter2mqtt"` makes one object of a P1 telegram. Not for
    /// `p1`, which has none. Default: `"metertap"`.
    #[serde(default)]
    pub(super) payload: Payload,
    /// `file`: path of the file; `-` is standard output. Default: none, required.
    pub(super) path: Option<PathBuf>,
    /// `file`: size in MiB at which a new file is begun; the old one becomes `PATH.1`. Default: 10.
    pub(super) rotate_mb: Option<u32>,
    /// `file`: number of old files that are kept, 0 to 255. Default: 5.
    pub(super) keep: Option<u8>,
    /// `tcp` and `p1`: address and port that clients connect to. Default: none, required.
    pub(super) listen: Option<SocketAddr>,
    /// `tcp` and `p1`: number of clients at a time; further ones are rejected. Default: 16.
    pub(super) max_clients: Option<u16>,
    /// `http`: URL that objects are posted to, `http://` or `https://`. Default: none, required.
    pub(super) url: Option<Url>,
    /// `http`: format of a post: the JSON object, or a form with its fields. Default: `"json"`.
    pub(super) format: Option<Format>,
    /// `http`: seconds between two posts of one meter; readings in between are not posted. Default: 0, every reading.
    pub(super) interval: Option<u32>,
    /// `http`: fields of the object that are posted, nested ones with underscores as in `reading_gas_value`. Default: all.
    pub(super) fields: Option<Vec<String>>,
    /// `http`: additional headers, for example `{ authorization = "Bearer …" }`.
    #[serde(default, deserialize_with = "headers")]
    pub(super) headers: BTreeMap<String, Secret>,
    /// `http`: number of attempts for a post, 1 to 20, with growing pauses; then it is lost. Default: 5.
    pub(super) tries: Option<u8>,
}

/// Kind of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// JSON lines to a file.
    #[default]
    File,
    /// JSON lines to every TCP client.
    Tcp,
    /// P1 telegrams as received, to every TCP client.
    P1,
    /// HTTP posts.
    Http,
}

/// Format of an HTTP post.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The JSON object.
    #[default]
    Json,
    /// Its fields as a form: `a=1&b_c=2`.
    Form,
}

impl OutputConfig {
    /// Lines to standard output: the output of a configuration that names none.
    pub fn stdout() -> Self {
        OutputConfig {
            name: Some("stdout".into()),
            path: Some("-".into()),
            ..OutputConfig::default()
        }
    }

    /// Name of the output, which is number `i` of all.
    pub fn name(&self, i: usize) -> String {
        let kind = match self.kind {
            OutputKind::File => "file",
            OutputKind::Tcp => "tcp",
            OutputKind::P1 => "p1",
            OutputKind::Http => "http",
        };
        self.name.clone().unwrap_or_else(|| format!("{kind}{i}"))
    }

    /// Address on which clients are served.
    pub fn listen(&self) -> Option<SocketAddr> {
        self.listen
    }

    /// File that is written, unless it is standard output.
    pub fn file(&self) -> Option<&Path> {
        self.path.as_deref().filter(|path| path.as_os_str() != "-")
    }

    /// Returns true if the section may hold a secret.
    pub fn holds_secret(&self) -> bool {
        !self.headers.is_empty() || self.url.as_ref().is_some_and(|url| url.password().is_some())
    }

    /// Returns all mistakes of the section, which is number `i` of all.
    pub fn problems(&self, i: usize) -> Vec<String> {
        let mut problems = self.misplaced_keys();
        problems.extend(self.missing_keys());
        problems.extend(self.wrong_values());
        problems
            .into_iter()
            .map(|problem| format!("[[output]] {} ({}): {problem}", i + 1, self.name(i)))
            .collect()
    }

    fn misplaced_keys(&self) -> Vec<String> {
        let is_file = self.kind == OutputKind::File;
        let is_server = matches!(self.kind, OutputKind::Tcp | OutputKind::P1);
        let is_http = self.kind == OutputKind::Http;
        let keys = [
            ("path", self.path.is_some(), is_file, "file"),
            ("rotate_mb", self.rotate_mb.is_some(), is_file, "file"),
            ("keep", self.keep.is_some(), is_file, "file"),
            ("listen", self.listen.is_some(), is_server, "tcp or p1"),
            ("max_clients", self.max_clients.is_some(), is_server, "tcp or p1"),
            ("url", self.url.is_some(), is_http, "http"),
            ("format", self.format.is_some(), is_http, "http"),
            ("interval", self.interval.is_some(), is_http, "http"),
            ("fields", self.fields.is_some(), is_http, "http"),
            ("headers", !self.headers.is_empty(), is_http, "http"),
            ("tries", self.tries.is_some(), is_http, "http"),
        ];
        keys.into_iter()
            .filter(|(_, is_set, is_allowed, _)| *is_set && !is_allowed)
            .map(|(key, _, _, kind)| format!("{key} is for kind = \"{kind}\""))
            .collect()
    }

    fn missing_keys(&self) -> Option<String> {
        let (key, is_set) = match self.kind {
            OutputKind::File => ("path", self.path.is_some()),
            OutputKind::Tcp | OutputKind::P1 => ("listen", self.listen.is_some()),
            OutputKind::Http => ("url", self.url.is_some()),
        };
        (!is_set).then(|| format!("{key} is missing"))
    }

    fn wrong_values(&self) -> Vec<String> {
        let is_other_scheme = |url: &Url| !matches!(url.scheme(), "http" | "https");
        let checks = [
            (self.rotate_mb == Some(0), "rotate_mb cannot be 0"),
            (self.max_clients == Some(0), "max_clients cannot be 0"),
            (
                self.url.as_ref().is_some_and(is_other_scheme),
                "url must begin with http:// or https://",
            ),
            (
                self.tries.is_some_and(|tries| !(1..=20).contains(&tries)),
                "tries must be between 1 and 20",
            ),
            (
                self.kind == OutputKind::P1 && self.payload != Payload::default(),
                "payload: telegrams are sent as they came",
            ),
        ];
        let wrong = checks.into_iter().filter(|(is_wrong, _)| *is_wrong);
        wrong.map(|(_, problem)| problem.to_owned()).collect()
    }
}
