//! What follows `--source` and `source =`: the same words everywhere.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::str::FromStr;

/// Where samples come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `rtlsdr`, `rtlsdr:<serial>`, `rtlsdr:index=<n>`: a dongle.
    Rtlsdr(Pick),
    /// `rtl_tcp://host:port`: a server.
    RtlTcp {
        /// Name or address.
        host: String,
        /// 1234 unless told otherwise.
        port: u16,
    },
    /// `file:<path>`, a path, or `-`: a recording.
    File(PathBuf),
}

/// Which dongle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// The first one.
    Only,
    /// By its place, which changes when others are plugged in.
    Index(u32),
    /// By its serial number.
    Serial(String),
}

/// What cannot be an address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AddressError {
    /// `rtl_tcp://` without host, or with a port that is none.
    #[error("`{0}` names no rtl_tcp server: use rtl_tcp://host:1234")]
    RtlTcp(String),
    /// `rtlsdr:index=` without a number.
    #[error("`{0}` names no dongle: use rtlsdr, rtlsdr:SERIAL or rtlsdr:index=0")]
    Rtlsdr(String),
    /// Nothing at all.
    #[error("a source is missing: use rtlsdr, rtl_tcp://host:1234 or a file")]
    Empty,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(server) = text.strip_prefix("rtl_tcp://") {
            return rtl_tcp(server.trim_end_matches('/')).ok_or_else(|| AddressError::RtlTcp(text.into()));
        }
        if text == "rtlsdr" {
            return Ok(Address::Rtlsdr(Pick::Only));
        }
        if let Some(which) = text.strip_prefix("rtlsdr:") {
            let which = which.strip_prefix("serial=").unwrap_or(which);
            return match which.strip_prefix("index=") {
                Some(index) => index.parse().map(Pick::Index).ok(),
                None if which.is_empty() => None,
                None => Some(Pick::Serial(which.into())),
            }
            .map(Address::Rtlsdr)
            .ok_or_else(|| AddressError::Rtlsdr(text.into()));
        }
        match text.strip_prefix("file:").unwrap_or(text) {
            "" => Err(AddressError::Empty),
            path => Ok(Address::File(path.into())),
        }
    }
}

/// `host`, `host:port`, `[::1]:port`.
fn rtl_tcp(server: &str) -> Option<Address> {
    let (host, port) = match server.rsplit_once(':') {
        // A colon within brackets belongs to the address.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (server, 1234),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| Address::RtlTcp {
        host: host.into(),
        port,
    })
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Rtlsdr(Pick::Only) => f.write_str("rtlsdr"),
            Address::Rtlsdr(Pick::Serial(serial)) => write!(f, "rtlsdr:{serial}"),
            Address::Rtlsdr(Pick::Index(index)) => write!(f, "rtlsdr:index={index}"),
            Address::RtlTcp { host, port } if host.contains(':') => write!(f, "rtl_tcp://[{host}]:{port}"),
            Address::RtlTcp { host, port } => write!(f, "rtl_tcp://{host}:{port}"),
            Address::File(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_written_alike() {
        for text in [
            "rtlsdr",
            "rtlsdr:00000042",
            "rtlsdr:index=1",
            "rtl_tcp://pi-roof:1234",
            "rtl_tcp://[::1]:7000",
            "night.cu8",
            "-",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!(
            "rtl_tcp://pi".parse::<Address>().unwrap().to_string(),
            "rtl_tcp://pi:1234"
        );
        assert_eq!("file:rtlsdr".parse(), Ok(Address::File("rtlsdr".into())));
    }

    #[test]
    fn what_cannot_be_a_source_is_refused() {
        for text in [
            "",
            "file:",
            "rtlsdr:",
            "rtlsdr:index=x",
            "rtl_tcp://",
            "rtl_tcp://pi:99999",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
