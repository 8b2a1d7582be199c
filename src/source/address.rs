//! Addresses of sources of samples, as in `--source` and `source =`.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::str::FromStr;

/// Address of a source of samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Dongle: `rtlsdr`, `rtlsdr:<serial>`, `rtlsdr:index=<n>`.
    Rtlsdr(DongleSelector),
    /// Server: `rtl_tcp://host:port`.
    RtlTcp {
        /// Host name or IP address.
        host: String,
        /// TCP port, 1234 by default.
        port: u16,
    },
    /// Recording: `file:<path>`, a path, or `-` for standard input.
    File(PathBuf),
}

/// Selects one of the dongles that are plugged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DongleSelector {
    /// First one found.
    First,
    /// Index, which changes when others are plugged in.
    Index(u32),
    /// Serial number.
    Serial(String),
}

/// Text that is not an [`Address`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AddressError {
    /// `rtl_tcp://` without a host, or with an invalid port.
    #[error("invalid address `{0}` of an rtl_tcp server: expected rtl_tcp://HOST or rtl_tcp://HOST:PORT")]
    RtlTcp(String),
    /// `rtlsdr:` without a serial number, or `rtlsdr:index=` without a number.
    #[error("invalid dongle `{0}`: expected rtlsdr, rtlsdr:SERIAL or rtlsdr:index=0")]
    Rtlsdr(String),
    /// Empty text or path.
    #[error("the source is empty: expected rtlsdr, rtl_tcp://HOST:1234 or a file")]
    Empty,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(server) = text.strip_prefix("rtl_tcp://") {
            return rtl_tcp(server.trim_end_matches('/')).ok_or_else(|| AddressError::RtlTcp(text.into()));
        }
        if text == "rtlsdr" {
            return Ok(Address::Rtlsdr(DongleSelector::First));
        }
        if let Some(selector) = text.strip_prefix("rtlsdr:") {
            let serial = selector.strip_prefix("serial=").unwrap_or(selector);
            return match serial.strip_prefix("index=") {
                Some(index) => index.parse().map(DongleSelector::Index).ok(),
                None if serial.is_empty() => None,
                None => Some(DongleSelector::Serial(serial.into())),
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

/// Parses `host`, `host:port` and `[::1]:port`.
fn rtl_tcp(server: &str) -> Option<Address> {
    let (host, port) = match server.rsplit_once(':') {
        // A colon within brackets is part of an IPv6 address.
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
            Address::Rtlsdr(DongleSelector::First) => f.write_str("rtlsdr"),
            Address::Rtlsdr(DongleSelector::Serial(serial)) => write!(f, "rtlsdr:{serial}"),
            Address::Rtlsdr(DongleSelector::Index(index)) => write!(f, "rtlsdr:index={index}"),
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
    fn given_an_address_then_it_is_displayed_as_it_was_parsed() {
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
    fn given_text_that_is_not_an_address_then_it_is_refused() {
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
