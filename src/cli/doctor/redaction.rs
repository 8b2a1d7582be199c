//! What a report for others must not tell: secrets, names and addresses of a home, numbers of meters.

use std::fmt::Write;
use toml::{Table, Value};

/// Keys whose values are secret, private, or may hold either.
const PRIVATE: [&str; 22] = [
    "password",
    "key",
    "auth_key",
    "token",
    "headers",
    "url",
    "username",
    "user",
    "client_id",
    "instance",
    "host",
    "hosts",
    "proxies",
    "configuration_url",
    "id",
    "addresses",
    "name",
    "area",
    "devices",
    "config_topics",
    "topic",
    "readings",
];
/// Shortest value that is replaced wherever it stands; shorter ones stand in other words as well.
const MIN_LENGTH: usize = 4;

/// Replacements for private values of a configuration.
#[derive(Debug, Default)]
pub struct Redaction {
    replacements: Vec<(String, String)>,
    hides_all: bool,
}

impl Redaction {
    /// Replaces every line: nothing is known of what is private in it.
    pub fn all() -> Self {
        Redaction {
            hides_all: true,
            ..Redaction::default()
        }
    }

    /// Collects what must be replaced, and returns the configuration without it.
    pub fn of(config: &Table) -> (Self, Table) {
        let mut redaction = Redaction::default();
        let mut shown = config.clone();
        for (section, value) in &mut shown {
            redaction.visit(section, "", value);
        }
        // A host within an address before a part of it.
        redaction
            .replacements
            .sort_by_key(|(private, _)| std::cmp::Reverse(private.len()));
        (redaction, shown)
    }

    /// Replaces private values in `text`.
    pub fn apply(&self, text: &str) -> String {
        if self.hides_all {
            return "(not shown)".to_owned();
        }
        let mut text = text.to_owned();
        for (private, replacement) in &self.replacements {
            text = text.replace(private.as_str(), replacement);
        }
        text
    }

    fn visit(&mut self, key: &str, section: &str, value: &mut Value) {
        // Names of radios, wires and outputs are needed to understand the report; those of meters are of people and rooms.
        let is_private = PRIVATE.contains(&key) && (key != "name" || section == "meter");
        match value {
            Value::Table(table) if !is_private => {
                let section = key.to_owned();
                for (key, value) in table {
                    self.visit(key, &section, value);
                }
            }
            Value::Array(values) if !is_private => {
                for value in values {
                    self.visit(key, section, value);
                }
            }
            Value::String(text) if key == "source" => {
                if let Some(host) = host_of(text) {
                    let replacement = self.hide("host", host.to_owned());
                    *text = text.replace(host, &replacement);
                }
            }
            value if is_private => {
                let private = match &*value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                if let (true, Some(host)) = (key == "host", host_of(&private)) {
                    self.hide(key, host.to_owned());
                }
                *value = Value::String(self.hide(key, private));
            }
            _ => {}
        }
    }

    fn hide(&mut self, key: &str, private: String) -> String {
        if let Some((_, replacement)) = self.replacements.iter().find(|(known, _)| *known == private) {
            return replacement.clone();
        }
        let mut replacement = String::new();
        let _ = write!(replacement, "<{key} {}>", self.replacements.len() + 1);
        if private.len() >= MIN_LENGTH {
            self.replacements.push((private, replacement.clone()));
        }
        replacement
    }
}

/// Host of an address such as `mqtts://broker.lan:8883` or `broker.lan:1883`.
fn host_of(address: &str) -> Option<&str> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    if scheme.is_empty() && (address.starts_with('/') || address.starts_with("rtlsdr")) {
        return None;
    }
    let end = rest
        .rfind(':')
        .filter(|colon| !rest[*colon..].contains(']'))
        .unwrap_or(rest.len());
    let host = rest[..end].split('/').next()?;
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
        [mqtt]
        host = "mqtts://broker.example.org:8883"
        username = "anna"
        password = "correct horse"
        [[radio]]
        name = "roof"
        source = "rtl_tcp://192.168.1.77:1234"
        [[wire]]
        source = "/dev/ttyUSB0"
        protocol = "dlms"
        key = "000102030405060708090A0B0C0D0E0F"
        [[output]]
        kind = "http"
        url = "https://example.org/?token=abcdef"
        headers = { authorization = "Bearer xyz" }
        [[meter]]
        id = 12345678
        name = "Flat of Mr. Smith"
    "#;

    #[test]
    fn given_a_configuration_then_nothing_private_is_left_and_the_rest_is() {
        let (redaction, shown) = Redaction::of(&CONFIG.parse().unwrap());
        let shown = toml::to_string(&shown).unwrap();
        let line = redaction
            .apply("mqtts://broker.example.org:8883: anna is refused; meter 12345678 at 192.168.1.77:1234");
        for private in [
            "broker.example.org",
            "anna",
            "correct",
            "192.168",
            "00010203",
            "abcdef",
            "Bearer",
            "12345678",
            "Smith",
        ] {
            assert!(!shown.contains(private), "{private}: {shown}");
            assert!(!line.contains(private), "{private}: {line}");
        }
        for needed in ["roof", "/dev/ttyUSB0", "dlms", "kind", "rtl_tcp://"] {
            assert!(shown.contains(needed), "{needed}: {shown}");
        }
    }
}
