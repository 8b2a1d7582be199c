//! Host names and peers: protection against DNS rebinding, and against everybody but the proxy.

use axum::http::{HeaderMap, HeaderName, header};
use std::net::IpAddr;

/// Endings of names that exist only in local networks.
const LOCAL: [&str; 6] = [".local", ".lan", ".home", ".home.arpa", ".internal", ".localhost"];

/// Names that the page may be requested by.
pub struct Hosts {
    /// Further names, besides local ones and addresses.
    names: Vec<String>,
    /// Proxies that alone may connect; empty: everybody may.
    proxies: Vec<IpAddr>,
}

impl Hosts {
    /// Accepts the names in `names`, and peers in `proxies` or, if that is empty, all peers.
    pub fn new(names: Vec<String>, proxies: Vec<IpAddr>) -> Self {
        Hosts { names, proxies }
    }

    /// Returns true if only proxies may connect.
    pub fn are_behind_proxy(&self) -> bool {
        !self.proxies.is_empty()
    }

    /// Returns true if a peer may connect.
    pub fn allows_peer(&self, peer: IpAddr) -> bool {
        self.proxies.is_empty() || self.proxies.contains(&peer.to_canonical())
    }

    /// Returns the host that a request is for, with its port: that of the browser's request if a proxy passes it on.
    pub fn requested<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let text = |name: HeaderName| headers.get(name)?.to_str().ok();
        let forwarded = HeaderName::from_static("x-forwarded-host");
        let forwarded = text(forwarded).filter(|_| self.are_behind_proxy());
        forwarded.or_else(|| text(header::HOST))
    }

    /// Returns true if a request is for a name of this machine. The page of another site can make its own name resolve to
    /// this machine's address, and would then be of the same origin.
    pub fn accepts(&self, headers: &HeaderMap) -> bool {
        if self.are_behind_proxy() {
            return true;
        }
        let Some(host) = self.requested(headers) else {
            return false;
        };
        let name = without_port(host).to_ascii_lowercase();
        name.parse::<IpAddr>().is_ok()
            || !name.contains('.')
            || LOCAL.iter().any(|ending| name.ends_with(ending))
            || self.names.iter().any(|host| host.eq_ignore_ascii_case(&name))
    }
}

/// Returns the name, or an IPv6 address without its brackets.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(headers: &[(&'static str, &str)]) -> HeaderMap {
        let header =
            |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
        headers.iter().map(header).collect()
    }

    #[test]
    fn given_no_proxy_then_only_local_and_configured_names_are_accepted() {
        let hosts = Hosts::new(vec!["meters.example.org".into()], Vec::new());
        for (host, is_accepted) in [
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("192.168.1.7", true),
            ("pi:8080", true),
            ("pi.local", true),
            ("pi.LAN:8080", true),
            ("Meters.example.org", true),
            ("evil.example.com:8080", false),
            ("", true),
        ] {
            assert_eq!(hosts.accepts(&headers(&[("host", host)])), is_accepted, "{host}");
        }
        assert!(!hosts.accepts(&HeaderMap::new()));
    }

    #[test]
    fn given_a_proxy_then_only_it_may_connect_and_the_host_it_passes_on_is_trusted() {
        let proxy: IpAddr = "172.30.32.2".parse().unwrap();
        let hosts = Hosts::new(Vec::new(), vec![proxy]);
        assert!(hosts.allows_peer("::ffff:172.30.32.2".parse().unwrap()));
        assert!(!hosts.allows_peer("192.168.1.7".parse().unwrap()));
        let request = headers(&[
            ("host", "local-metertap:8099"),
            ("x-forwarded-host", "home.example.org"),
        ]);
        assert_eq!(hosts.requested(&request), Some("home.example.org"));
        let open = Hosts::new(Vec::new(), Vec::new());
        assert_eq!(open.requested(&request), Some("local-metertap:8099"));
    }
}
