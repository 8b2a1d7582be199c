//! A list of prices from a server or a file.

use crate::meter::price_source::{PriceAddress, PriceSource};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// Time for a server to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Redirects that are followed. Headers of the configuration are sent to the first server only.
const MAX_REDIRECTS: u32 = 5;
/// Limit of a list: two days take ten kilobytes, a year of quarters of an hour two megabytes.
const MAX_BYTES: u64 = 4 << 20;

/// Reader of one list.
pub struct Fetcher {
    source: PriceSource,
    agent: ureq::Agent,
}

impl Fetcher {
    /// Opens nothing yet.
    pub fn new(source: PriceSource) -> Self {
        // A header such as a token is a secret of one server: with one, no redirect is followed.
        let redirects = if source.headers.is_empty() {
            MAX_REDIRECTS
        } else {
            0
        };
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .max_redirects(redirects)
            .user_agent(concat!("metertap/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Fetcher { source, agent }
    }

    /// Reads the list.
    ///
    /// # Errors
    /// Returns the reason in words, without the address.
    pub fn fetch(&self) -> Result<Vec<u8>, String> {
        match &self.source.address {
            PriceAddress::Http(url) => self.request(url.as_str()),
            PriceAddress::File(path) => read(path),
            PriceAddress::Mqtt(_) => Err("a topic is not read like a file".into()),
        }
    }

    fn request(&self, url: &str) -> Result<Vec<u8>, String> {
        let mut request = self.agent.get(url).header("accept", "application/json");
        for (name, value) in &self.source.headers {
            request = request.header(name, value.reveal());
        }
        let mut response = request.call().map_err(|error| match error {
            ureq::Error::StatusCode(code) => format!("the server answers {code}"),
            error => error.to_string(),
        })?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("the server answers {}", status.as_u16()));
        }
        let body = response.body_mut().with_config().limit(MAX_BYTES).read_to_vec();
        body.map_err(|error| error.to_string())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text))
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("the file has more than {} MiB", MAX_BYTES >> 20));
    }
    Ok(text)
}
