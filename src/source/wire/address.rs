//! Addresses of wires, as in `source =` of a `[[wire]]`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Address of a wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireAddress {
    /// Serial port: `/dev/ttyUSB0`, or better `/dev/serial/by-id/…`, which stays the same when the adapter is plugged in
    /// again. A recording of a wire, if the path is a file.
    Path(PathBuf),
    /// TCP server such as ser2net or a P1 bridge: `tcp://host:port`.
    Tcp {
        /// Host name or IP address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// Standard input: `-`.
    Stdin,
}

impl WireAddress {
    /// Returns true for a TCP server.
    pub fn is_network(&self) -> bool {
        matches!(self, WireAddress::Tcp { .. })
    }
}

/// Text that is not a [`WireAddress`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid wire `{0}`: expected /dev/serial/by-id/…, tcp://HOST:PORT, a file, or - for standard input")]
pub struct WireAddressError(String);

impl FromStr for WireAddress {
    type Err = WireAddressError;

    fn from_str(text: &str) -> Result<Self, WireAddressError> {
        let wrong = || WireAddressError(text.into());
        if let Some(server) = text.strip_prefix("tcp://") {
            let (host, port) = server.trim_end_matches('/').rsplit_once(':').ok_or_else(wrong)?;
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            // Without brackets it is ambiguous which colon of an IPv6 address begins the port.
            if host.is_empty() || bare.is_none() && host.contains(':') {
                return Err(wrong());
            }
            return Ok(WireAddress::Tcp {
                host: bare.unwrap_or(host).into(),
                port: port.parse().map_err(|_| wrong())?,
            });
        }
        match text.strip_prefix("file:").unwrap_or(text) {
            "" => Err(wrong()),
            "-" => Ok(WireAddress::Stdin),
            path if path.contains("://") => Err(wrong()),
            path => Ok(WireAddress::Path(path.into())),
        }
    }
}

impl fmt::Display for WireAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireAddress::Path(path) => write!(f, "{}", path.display()),
            WireAddress::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            WireAddress::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            WireAddress::Stdin => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_an_address_then_it_is_displayed_as_it_was_parsed() {
        for text in [
            "/dev/ttyUSB0",
            "tcp://p1-bridge.lan:2001",
            "tcp://[::1]:2001",
            "-",
            "telegrams.txt",
        ] {
            assert_eq!(text.parse::<WireAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn given_text_that_is_not_an_address_then_the_error_quotes_it() {
        for text in [
            "",
            "tcp://",
            "tcp://host",
            "tcp://:1",
            "tcp://h:99999",
            "tcp://::1:5",
            "http://host:80",
        ] {
            let error = text.parse::<WireAddress>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
