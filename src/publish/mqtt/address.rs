//! Where a broker is, and by which road.

use serde::{Deserialize, Deserializer, de::Error};
use std::fmt;
use std::str::FromStr;
use url::Url;

/// How bytes get there.
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

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAddress {
    /// How.
    pub road: Transport,
    /// Name or address, without brackets.
    pub host: String,
    /// If one is said.
    pub port: Option<u16>,
    /// Of a WebSocket: `/mqtt` if nothing is said.
    pub path: String,
}

impl Transport {
    const ALL: [(Transport, &str, u16); 4] = [
        (Transport::Tcp, "mqtt", 1883),
        (Transport::Tls, "mqtts", 8883),
        (Transport::WebSocket, "ws", 80),
        (Transport::SecureWebSocket, "wss", 443),
    ];

    /// As URLs begin, and the usual port.
    fn usual(self) -> (&'static str, u16) {
        let found = Self::ALL.iter().find(|(road, ..)| *road == self);
        found.map_or(("mqtt", 1883), |(_, scheme, port)| (*scheme, *port))
    }

    /// Whether certificates are looked at.
    pub fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::SecureWebSocket)
    }

    /// Whether it is a WebSocket.
    pub fn is_web(self) -> bool {
        matches!(self, Transport::WebSocket | Transport::SecureWebSocket)
    }
}

impl BrokerAddress {
    /// The port to use where the address names none: `default`, or the usual one of its road.
    pub fn port_or(&self, default: Option<u16>) -> u16 {
        self.port.or(default).unwrap_or_else(|| self.road.usual().1)
    }

    /// As a WebSocket client wants it.
    pub fn url(&self, default: Option<u16>) -> String {
        let host = bracketed(&self.host);
        format!(
            "{}://{host}:{}{}",
            self.road.usual().0,
            self.port_or(default),
            self.path
        )
    }
}

/// An IPv6 address in brackets.
fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.into()
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.road != Transport::Tcp {
            write!(f, "{}://", self.road.usual().0)?;
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

    /// `host`, `host:1883`, `mqtts://host:8883`, `ws://host:8083/mqtt`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("mqtt", text));
        let road = Transport::ALL.iter().find(|(_, name, _)| *name == scheme);
        let Some(&(road, ..)) = road else {
            return Err(format!("{scheme}://…: use mqtt://, mqtts://, ws:// or wss://"));
        };
        if rest.is_empty() {
            return Err("names no host".into());
        }
        if rest.contains('@') {
            return Err("a host has no user name in it: use username and password".into());
        }
        // A scheme that the URL library leaves alone: it knows the ports of ws and wss.
        let is_bare_v6 = rest.parse::<std::net::Ipv6Addr>().is_ok();
        let url = format!(
            "mqtt://{}",
            if is_bare_v6 { bracketed(rest) } else { rest.into() }
        );
        let url = Url::parse(&url).map_err(|error| format!("\"{text}\" is no host: {error}"))?;
        let host = url.host_str().ok_or("names no host")?.trim_matches(['[', ']']);
        let has_path = !matches!(url.path(), "" | "/");
        if url.query().is_some() || (has_path && !road.is_web()) {
            return Err(format!("\"{text}\" has more than a host and a port"));
        }
        if url.port() == Some(0) {
            return Err("port cannot be 0".into());
        }
        Ok(BrokerAddress {
            road,
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

/// One broker, or several of a cluster.
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
    fn a_host_may_say_how_to_get_there() {
        for (text, road, host, port) in [
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
                (address.road, address.host.as_str(), address.port_or(None)),
                (road, host, port),
                "{text}"
            );
        }
        let address: BrokerAddress = "wss://[::1]/x".parse().unwrap();
        assert_eq!(address.url(Some(9001)), "wss://[::1]:9001/x");
    }

    #[test]
    fn what_is_no_host_is_refused_in_words() {
        for (text, says) in [
            ("", "no host"),
            ("http://broker", "use mqtt://"),
            ("mqtt://broker/readings", "more than a host"),
            ("mqtt://pi:secret@broker", "use username"),
            ("broker:99999", "port"),
            ("broker:0", "port"),
        ] {
            let error = text.parse::<BrokerAddress>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("secret"));
        }
    }
}
