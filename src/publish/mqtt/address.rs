//! Address of a broker: transport, host, port, and the path of a WebSocket.

use serde::{Deserialize, Deserializer, de::Error};
use std::fmt;
use std::str::FromStr;
use url::Url;

/// Protocol below MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `mqtt://`
    Tcp,
    /// `mqtts://`
    Tls,
    /// `ws://`
    WebSocket,
    /// `wss://`
    SecureWebSocket,
}

/// Address of a broker as written in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Protocol below MQTT.
    pub transport: Transport,
    /// Host name or IP address, IPv6 without brackets.
    pub host: String,
    /// Port, if the address names one.
    pub port: Option<u16>,
    /// Path of a WebSocket; `/mqtt` if the address names none.
    pub path: String,
}

impl Transport {
    const ALL: [(Transport, &str, u16); 4] = [
        (Transport::Tcp, "mqtt", 1883),
        (Transport::Tls, "mqtts", 8883),
        (Transport::WebSocket, "ws", 80),
        (Transport::SecureWebSocket, "wss", 443),
    ];

    /// Scheme in URLs, and the default port.
    fn scheme_and_port(self) -> (&'static str, u16) {
        let found = Self::ALL.iter().find(|(transport, ..)| *transport == self);
        found.map_or(("mqtt", 1883), |(_, scheme, port)| (*scheme, *port))
    }

    /// Returns true for TLS, with or without a WebSocket.
    pub fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::SecureWebSocket)
    }

    /// Returns true for WebSockets, with or without TLS.
    pub fn is_websocket(self) -> bool {
        matches!(self, Transport::WebSocket | Transport::SecureWebSocket)
    }
}

impl BrokerAddress {
    /// Port of the address, else `default`, else the default port of the transport.
    pub fn port_or(&self, default: Option<u16>) -> u16 {
        self.port
            .or(default)
            .unwrap_or_else(|| self.transport.scheme_and_port().1)
    }

    /// URL for a WebSocket client.
    pub fn url(&self, default: Option<u16>) -> String {
        let host = bracketed(&self.host);
        format!(
            "{}://{host}:{}{}",
            self.transport.scheme_and_port().0,
            self.port_or(default),
            self.path
        )
    }
}

/// Puts brackets around an IPv6 address; leaves anything else as it is.
fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.into()
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.transport != Transport::Tcp {
            write!(f, "{}://", self.transport.scheme_and_port().0)?;
        }
        f.write_str(&bracketed(&self.host))?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl FromStr for BrokerAddress {
    type Err = String;

    /// Parses `host`, `host:1883`, `mqtts://host:8883` or `ws://host:8083/mqtt`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("mqtt", text));
        let found = Transport::ALL.iter().find(|(_, name, _)| *name == scheme);
        let Some(&(transport, ..)) = found else {
            return Err(format!(
                "unknown scheme `{scheme}://`: use mqtt://, mqtts://, ws:// or wss://"
            ));
        };
        if rest.is_empty() {
            return Err("names no host".into());
        }
        if rest.contains('@') {
            return Err("a broker address must not contain a user name: use username and password".into());
        }
        // Parsed as mqtt:// whatever the scheme: the URL library removes the default ports of ws and wss.
        let is_bare_v6 = rest.parse::<std::net::Ipv6Addr>().is_ok();
        let url = format!(
            "mqtt://{}",
            if is_bare_v6 { bracketed(rest) } else { rest.into() }
        );
        let url = Url::parse(&url).map_err(|error| format!("invalid broker address `{text}`: {error}"))?;
        let host = url.host_str().ok_or("names no host")?.trim_matches(['[', ']']);
        let has_path = !matches!(url.path(), "" | "/");
        if url.query().is_some() || (has_path && !transport.is_websocket()) {
            return Err(format!("`{text}` has more than a host and a port"));
        }
        if url.port() == Some(0) {
            return Err("port cannot be 0".into());
        }
        Ok(BrokerAddress {
            transport,
            host: host.into(),
            port: url.port(),
            path: if has_path {
                url.path().into()
            } else {
                "/mqtt".into()
            },
        })
    }
}

/// Deserializes one address or a list of them.
///
/// # Errors
/// Returns an error for an empty list and for the first address that is not one.
pub(crate) fn one_or_several<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<BrokerAddress>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a host in quotes, or several in brackets")]
    enum Hosts {
        One(String),
        Several(Vec<String>),
    }
    let hosts = match Hosts::deserialize(from)? {
        Hosts::One(host) => vec![host],
        Hosts::Several(hosts) => hosts,
    };
    let addresses: Result<Vec<BrokerAddress>, String> = hosts.iter().map(|host| host.parse()).collect();
    let addresses = addresses.map_err(D::Error::custom)?;
    if addresses.is_empty() {
        return Err(D::Error::custom("names no host"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_an_address_then_transport_host_and_port_are_read() {
        for (text, transport, host, port) in [
            ("broker.lan", Transport::Tcp, "broker.lan", 1883),
            ("broker.lan:1884", Transport::Tcp, "broker.lan", 1884),
            ("mqtts://broker.lan", Transport::Tls, "broker.lan", 8883),
            ("ws://10.0.0.2:8083/mqtt", Transport::WebSocket, "10.0.0.2", 8083),
            ("wss://broker.lan", Transport::SecureWebSocket, "broker.lan", 443),
            ("::1", Transport::Tcp, "::1", 1883),
            ("[::1]:1884", Transport::Tcp, "::1", 1884),
        ] {
            let address: BrokerAddress = text.parse().unwrap();
            assert_eq!(
                (address.transport, address.host.as_str(), address.port_or(None)),
                (transport, host, port),
                "{text}"
            );
        }
        let address: BrokerAddress = "wss://[::1]/x".parse().unwrap();
        assert_eq!(address.url(Some(9001)), "wss://[::1]:9001/x");
    }

    #[test]
    fn given_something_else_then_the_error_names_it_without_its_password() {
        for (text, expected) in [
            ("", "no host"),
            ("http://broker", "use mqtt://"),
            ("mqtt://broker/readings", "more than a host"),
            ("mqtt://pi:secret@broker", "use username"),
            ("broker:99999", "port"),
            ("broker:0", "port"),
        ] {
            let error = text.parse::<BrokerAddress>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("secret"));
        }
    }
}
