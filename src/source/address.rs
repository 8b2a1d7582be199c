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
    /// Device of another kind.
    #[error(
        "`{0}`: {1} devices are not supported: expected rtlsdr, rtlsdr:SERIAL or rtl_tcp://HOST:1234 (file:{0} is a file)"
    )]
    OtherDevice(String, &'static str),
    /// Empty text or path.
    #[error("the source is empty: expected rtlsdr, rtl_tcp://HOST:1234 or a file")]
    Empty,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(text) = respelled(text) {
            return text.parse();
        }
        // rtl_433 writes `rtl_tcp:host:port`, and `rtl_tcp` for a server on this machine.
        let server = text.strip_prefix("rtl_tcp").and_then(|rest| {
            rest.strip_prefix("://")
                .or_else(|| rest.strip_prefix(':'))
                .or(rest.is_empty().then_some(""))
        });
        if let Some(server) = server {
            let is_local = server.is_empty() && !text.ends_with("//");
            let server = if is_local {
                "127.0.0.1"
            } else {
                server.trim_end_matches('/')
            };
            return rtl_tcp(server).ok_or_else(|| AddressError::RtlTcp(text.into()));
        }
        if let Some(dongle) = dongle_of_others(text) {
            return Ok(Address::Rtlsdr(dongle));
        }
        if let Some(device) = OTHER_DEVICES
            .iter()
            .find(|device| text.to_ascii_lowercase().starts_with(**device))
        {
            return Err(AddressError::OtherDevice(text.into(), device));
        }
        if is_host_and_port(text) {
            return rtl_tcp(text).ok_or_else(|| AddressError::RtlTcp(text.into()));
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

/// Beginnings of addresses of devices that are not supported, as other programs write them.
const OTHER_DEVICES: [&str; 7] = [
    "soapy", "driver=", "hackrf", "airspy", "sdrplay", "plutosdr", "limesdr",
];

/// Returns the text with `RTLSDR`, `rtl-sdr` and the like spelled `rtlsdr`; nothing if there is nothing to change.
fn respelled(text: &str) -> Option<String> {
    let end = text.find([':', '=']).unwrap_or(text.len());
    let (device, rest) = text.split_at(end);
    let plain = device.to_ascii_lowercase().replace(['-', '_', ' '], "");
    (plain == "rtlsdr" && device != plain).then(|| plain + rest)
}

/// Parses the dongles of other programs: `0` (rtl_433, rtl_test), `rtlsdr=0` and `rtl=0` (gr-osmosdr),
/// `driver=rtlsdr,serial=1` (SoapySDR).
fn dongle_of_others(text: &str) -> Option<DongleSelector> {
    if let Some(arguments) = text.strip_prefix("driver=rtlsdr") {
        let serial = arguments
            .split(',')
            .find_map(|argument| argument.strip_prefix("serial="));
        return Some(serial.map_or(DongleSelector::First, |serial| {
            DongleSelector::Serial(serial.into())
        }));
    }
    let index = text
        .strip_prefix("rtlsdr=")
        .or_else(|| text.strip_prefix("rtl="))
        .unwrap_or(text);
    let is_index = (1..=2).contains(&index.len()) && index.bytes().all(|byte| byte.is_ascii_digit());
    is_index
        .then(|| index.parse().ok())
        .flatten()
        .map(DongleSelector::Index)
}

/// Returns true for `host:1234` and `[::1]:1234`, which no path looks like.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_name = |host: &str| {
        host.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    let is_ipv6 = host.starts_with('[') && host.ends_with(']');
    port.parse::<u16>().is_ok()
        && !host.is_empty()
        && host != "file"
        && host != "rtlsdr"
        && (is_name(host) || is_ipv6)
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
    fn given_the_habits_of_other_programs_then_they_are_understood() {
        for (text, address) in [
            ("rtl_tcp:pi:1234", "rtl_tcp://pi:1234"),
            ("rtl_tcp:10.0.0.7", "rtl_tcp://10.0.0.7:1234"),
            ("rtl_tcp", "rtl_tcp://127.0.0.1:1234"),
            ("rtl_tcp:", "rtl_tcp://127.0.0.1:1234"),
            ("10.0.0.7:7000", "rtl_tcp://10.0.0.7:7000"),
            ("localhost:1234", "rtl_tcp://localhost:1234"),
            ("[::1]:1234", "rtl_tcp://[::1]:1234"),
            ("0", "rtlsdr:index=0"),
            ("rtlsdr=1", "rtlsdr:index=1"),
            ("rtl=1", "rtlsdr:index=1"),
            ("RTL-SDR", "rtlsdr"),
            ("rtl_sdr:00000042", "rtlsdr:00000042"),
            ("driver=rtlsdr", "rtlsdr"),
            ("driver=rtlsdr,serial=7", "rtlsdr:7"),
            ("file:0", "0"),
            ("a/b:12", "a/b:12"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), address, "{text}");
        }
        let refusal = "soapy".parse::<Address>().unwrap_err().to_string();
        assert!(refusal.contains("rtl_tcp://HOST:1234"), "{refusal}");
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
