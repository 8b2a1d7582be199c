//! Where prices that change every hour come from.

use crate::secret::Secret;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use url::Url;

/// Place of a list of prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriceAddress {
    /// Server, asked now and then.
    Http(Url),
    /// Topic of the broker of `[mqtt]`.
    Mqtt(String),
    /// File that another program writes.
    File(PathBuf),
}

/// A list of prices, and how it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceSource {
    /// Place of the list.
    pub address: PriceAddress,
    /// Key of the price in each entry, where the usual ones are not meant.
    pub field: Option<String>,
    /// Additional headers of a request.
    pub headers: BTreeMap<String, Secret>,
}

/// Address that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid source = \"{0}\": expected https://…, http://…, mqtt:TOPIC without wildcards, or the path of a file with a / in it"
)]
pub struct PriceAddressError(String);

impl FromStr for PriceAddress {
    type Err = PriceAddressError;

    fn from_str(text: &str) -> Result<Self, PriceAddressError> {
        let wrong = || PriceAddressError(text.into());
        if let Some(topic) = text.strip_prefix("mqtt:") {
            let is_topic = !topic.is_empty() && !topic.starts_with("//") && !topic.contains(['+', '#']);
            return is_topic
                .then(|| PriceAddress::Mqtt(topic.into()))
                .ok_or_else(wrong);
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return text.parse().map(PriceAddress::Http).map_err(|_| wrong());
        }
        let path = text.strip_prefix("file:").unwrap_or(text);
        let is_path = path.contains('/') && !path.contains("://");
        is_path.then(|| PriceAddress::File(path.into())).ok_or_else(wrong)
    }
}

/// Without the parts of a URL that may hold secrets: login, query and fragment.
impl fmt::Display for PriceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PriceAddress::Http(url) => write!(f, "{}{}", url.origin().ascii_serialization(), url.path()),
            PriceAddress::Mqtt(topic) => write!(f, "mqtt:{topic}"),
            PriceAddress::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl PriceSource {
    /// Number by which a list is known again after a restart: by its whole address and its key.
    pub fn fingerprint(&self) -> u32 {
        let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
        let mut digest = crc.digest();
        let (kind, place) = match &self.address {
            PriceAddress::Http(url) => ("http", url.to_string()),
            PriceAddress::Mqtt(topic) => ("mqtt", topic.clone()),
            PriceAddress::File(path) => ("file", path.display().to_string()),
        };
        for part in [kind, &place, self.field.as_deref().unwrap_or_default()] {
            digest.update(part.as_bytes());
            digest.update(&[0]);
        }
        digest.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str, field: Option<&str>) -> PriceSource {
        PriceSource {
            address: address.parse().unwrap(),
            field: field.map(str::to_owned),
            headers: BTreeMap::new(),
        }
    }

    #[test]
    fn given_addresses_then_they_are_told_apart_and_shown_without_secrets() {
        for (text, shown) in [
            (
                "https://u:p@api.example.org/prices?token=1#x",
                "https://api.example.org/prices",
            ),
            (
                "http://ha.lan:8123/api/states/sensor.x",
                "http://ha.lan:8123/api/states/sensor.x",
            ),
            ("mqtt:home/prices", "mqtt:home/prices"),
            ("/var/lib/prices.json", "/var/lib/prices.json"),
            ("file:./prices.json", "./prices.json"),
        ] {
            assert_eq!(text.parse::<PriceAddress>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "prices",
            "ftp://a/b",
            "mqtt:",
            "mqtt:a/#",
            "mqtt://broker/prices",
            "http://",
        ] {
            assert!(text.parse::<PriceAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn given_another_query_or_key_then_it_is_another_list() {
        let first = source("http://a/?zone=1", None);
        assert_ne!(
            first.fingerprint(),
            source("http://a/?zone=2", None).fingerprint()
        );
        assert_ne!(
            first.fingerprint(),
            source("http://a/?zone=1", Some("SEK")).fingerprint()
        );
        assert_eq!(
            first.fingerprint(),
            source("http://a/?zone=1", None).fingerprint()
        );
    }
}
