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
    /// Messages on a topic of the broker, each of them a line: `mqtt:TOPIC`.
    Mqtt(String),
    /// Standard input: `-`.
    Stdin,
}

impl WireAddress {
    /// Returns true for a TCP server and for a topic.
    pub fn is_network(&self) -> bool {
        matches!(self, WireAddress::Tcp { .. } | WireAddress::Mqtt(_))
    }
}

/// Text that is not a [`WireAddress`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireAddressError {
    /// Neither an address nor a path.
    #[error(
        "invalid wire `{0}`: expected /dev/serial/by-id/…, tcp://HOST:PORT, mqtt:TOPIC, a file, or - for standard input"
    )]
    Invalid(String),
    /// Almost an address, which would be taken for the name of a file.
    #[error("invalid wire `{0}`: did you mean `{1}`? (a file of that name is `./{0}`)")]
    Meant(String, String),
    /// A port of Windows.
    #[error(
        "invalid wire `{0}`: that is a port of Windows; here they are called /dev/ttyUSB0, or better /dev/serial/by-id/…"
    )]
    Windows(String),
}

impl FromStr for WireAddress {
    type Err = WireAddressError;

    fn from_str(text: &str) -> Result<Self, WireAddressError> {
        let wrong = || WireAddressError::Invalid(text.into());
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
        if let Some(topic) = text.strip_prefix("mqtt:") {
            let is_topic = !topic.is_empty() && !topic.starts_with("//");
            return is_topic
                .then(|| WireAddress::Mqtt(topic.into()))
                .ok_or_else(wrong);
        }
        match text.strip_prefix("file:").unwrap_or(text) {
            "" => Err(wrong()),
            "-" => Ok(WireAddress::Stdin),
            path if path.contains("://") => Err(wrong()),
            _ if is_windows_port(text) => Err(WireAddressError::Windows(text.into())),
            _ if meant(text).is_some() => Err(WireAddressError::Meant(
                text.into(),
                meant(text).unwrap_or_default(),
            )),
            path => Ok(WireAddress::Path(path.into())),
        }
    }
}

/// The address that was meant by a text without a slash: `ttyUSB0`, or `bridge.lan:2001`.
fn meant(text: &str) -> Option<String> {
    if text.contains('/') || text.starts_with("file:") {
        return None;
    }
    if ["ttyUSB", "ttyACM", "ttyAMA", "ttyS"]
        .iter()
        .any(|kind| text.starts_with(kind))
    {
        return Some(format!("/dev/{text}"));
    }
    let (host, port) = text.rsplit_once(':')?;
    let is_port = port.parse::<u16>().is_ok();
    (is_port && !host.is_empty()).then(|| format!("tcp://{text}"))
}

fn is_windows_port(text: &str) -> bool {
    let number = text.strip_prefix("COM").or_else(|| text.strip_prefix("com"));
    number.is_some_and(|number| number.trim_end_matches(':').parse::<u8>().is_ok())
}

impl fmt::Display for WireAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireAddress::Path(path) => write!(f, "{}", path.display()),
            WireAddress::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            WireAddress::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            WireAddress::Mqtt(topic) => write!(f, "mqtt:{topic}"),
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
            "mqtt:wmbus-bridge/+/telegram",
            "-",
            "telegrams.txt",
        ] {
            assert_eq!(text.parse::<WireAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn given_an_address_as_people_type_it_then_the_right_form_is_named() {
        for (text, meant) in [
            ("ttyUSB0", "/dev/ttyUSB0"),
            ("192.168.1.10:2001", "tcp://192.168.1.10:2001"),
            ("p1-bridge:23", "tcp://p1-bridge:23"),
            ("COM3", "/dev/ttyUSB0"),
        ] {
            let error = text.parse::<WireAddress>().unwrap_err().to_string();
            assert!(error.contains(meant), "{error}");
        }
        assert!("./ttyUSB0".parse::<WireAddress>().is_ok());
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
            "mqtt:",
            "mqtt://broker/topic",
        ] {
            let error = text.parse::<WireAddress>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
