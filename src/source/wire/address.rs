//! What follows `source =` of a wire.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where the bytes of a wire come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireAddress {
    /// `/dev/ttyUSB0`, better `/dev/serial/by-id/…`, which stays the same after a replug; or a recorded file.
    Path(PathBuf),
    /// `tcp://host:port`: ser2net, a P1 bridge.
    Tcp {
        /// Name or address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// `-`
    Stdin,
}

/// What cannot be an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no wire: use /dev/serial/by-id/…, tcp://host:port, a file, or - for standard input")]
pub struct WireAddressError(String);

impl FromStr for WireAddress {
    type Err = WireAddressError;

    fn from_str(text: &str) -> Result<Self, WireAddressError> {
        let wrong = || WireAddressError(text.into());
        if let Some(server) = text.strip_prefix("tcp://") {
            let (host, port) = server.trim_end_matches('/').rsplit_once(':').ok_or_else(wrong)?;
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            // An IPv6 address needs its brackets: who knows which colon begins the port?
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
    fn wires_are_read_and_written_alike() {
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
    fn what_is_no_wire_is_refused_by_name() {
        for text in [
            "",
            "tcp://",
            "tcp://host",
            "tcp://:1",
            "tcp://h:99999",
            "tcp://::1:5",
            "http://host:80",
        ] {
            let told = text.parse::<WireAddress>().unwrap_err().to_string();
            assert!(told.contains(&format!("`{text}`")), "{told}");
        }
    }
}
