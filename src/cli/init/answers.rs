//! Contents of the configuration that `metertap init` writes.

use crate::config::{Config, Draft};
use crate::port::PortConfig;
use crate::publish::MqttConfig;
use crate::source::wire::WireAddress;
use crate::source::{Address, Family};
use std::net::SocketAddr;

/// Answers so far, from flags and from the conversation.
#[derive(Default)]
pub struct Answers {
    /// The broker; none: lines on standard output.
    pub mqtt: Option<MqttConfig>,
    /// Receivers.
    pub radios: Vec<RadioAnswer>,
    /// Wires.
    pub wires: Vec<WireAnswer>,
    /// Meters of this home, by radio.
    pub meters: Vec<MeterAnswer>,
    /// Meters are announced to Home Assistant.
    pub homeassistant: bool,
    /// Address of the page.
    pub web: Option<SocketAddr>,
}

/// A receiver.
pub struct RadioAnswer {
    /// Its source.
    pub source: Address,
    /// Meters that it receives.
    pub family: Family,
}

/// A wire.
pub struct WireAnswer {
    /// Its protocol, as in the configuration.
    pub protocol: &'static str,
    /// Its port.
    pub source: WireAddress,
    /// Encryption key, as it was typed.
    pub key: Option<String>,
    /// Authentication key, as it was typed.
    pub auth_key: Option<String>,
    /// Addresses of meters on an M-Bus.
    pub addresses: Vec<String>,
    /// Model of a Kamstrup meter.
    pub model: Option<String>,
}

/// A radio meter of this home.
pub enum MeterAnswer {
    /// ERT meter, found by its dial.
    Ert {
        /// Its number.
        id: u32,
        /// Value of one count, so that the reading is that of the dial.
        scale: Option<f64>,
    },
    /// Wireless M-Bus meter.
    Wmbus {
        /// Its number, eight digits.
        id: String,
        /// Its key, as it was typed.
        key: Option<String>,
    },
}

impl RadioAnswer {
    fn write(&self, draft: &mut Draft) {
        let is_default = self.family == Family::default();
        let section = draft
            .section("[[radio]]")
            .key("source", self.source.to_string())
            .optional("band", (!is_default).then_some(self.family.band()));
        if !matches!(self.source, Address::File(_)) {
            section.comment("gain = \"best\"          # measured at start; or a number in dB, or \"auto\"");
        }
    }

    /// Says how one's own meters are named, when none is.
    fn write_hint(&self, draft: &mut Draft) {
        let (find, id, further) = match self.family {
            Family::Ert | Family::Fsk(_) => (
                "--reading 48213".to_owned(),
                "12345678",
                "unit = \"gal\"\nscale = 0.1",
            ),
            Family::Wmbus(_) => (
                format!("--band {}", self.family.band()),
                "\"12345678\"",
                "key = \"…\"             # if it encrypts",
            ),
        };
        draft.comment(&format!(
            "\nOur meters. Without any, all radio meters are published.\n`metertap find {find}` finds yours.\n\
             [[meter]]\nid = {id}\nname = \"Water\"\n{further}"
        ));
    }
}

impl MeterAnswer {
    fn write(&self, draft: &mut Draft) {
        let section = draft.section("[[meter]]");
        match self {
            MeterAnswer::Ert { id, scale } => section
                .key("id", i64::from(*id))
                .optional("scale", *scale)
                .comment("name = \"Water\"")
                .comment("unit = \"gal\"           # or ft³, CCF, m³, kWh: Home Assistant needs it"),
            MeterAnswer::Wmbus { id, key } => section
                .key("id", id.as_str())
                .optional("key", key.as_deref())
                .comment("name = \"Water\""),
        };
    }
}

impl WireAnswer {
    /// A wire of which nothing more is known.
    pub fn new(protocol: &'static str, source: WireAddress) -> Self {
        WireAnswer {
            protocol,
            source,
            key: None,
            auth_key: None,
            addresses: Vec::new(),
            model: None,
        }
    }

    /// The port as the daemon would have it.
    pub fn port(&self) -> Option<PortConfig> {
        let mut draft = Draft::new("");
        self.write(&mut draft);
        let (config, _) = Config::parse(draft.text(), &[]).ok()?;
        config.ports.into_iter().next()
    }
}

impl Answers {
    /// Returns true if nothing would be received.
    pub fn is_deaf(&self) -> bool {
        self.radios.is_empty() && self.wires.is_empty()
    }

    /// Text of the configuration, with comments on keys that are often wanted.
    pub fn text(&self) -> String {
        let mut draft = Draft::new(
            "metertap. `metertap check` lists mistakes; keys that are not written here have defaults.",
        );
        self.write_broker(&mut draft);
        for radio in &self.radios {
            radio.write(&mut draft);
        }
        for wire in &self.wires {
            wire.write(&mut draft);
        }
        for meter in &self.meters {
            meter.write(&mut draft);
        }
        if let Some(radio) = self.radios.first().filter(|_| self.meters.is_empty()) {
            radio.write_hint(&mut draft);
        }
        if let Some(address) = self.web {
            draft
                .section("[web]")
                .key("listen", address.to_string())
                .comment("token = \"…\"            # without one, whoever reaches the port sees the page");
        }
        draft.text().to_owned()
    }

    fn write_broker(&self, draft: &mut Draft) {
        let Some(mqtt) = &self.mqtt else {
            draft.comment(
                "\n[mqtt]                 # without it: JSON lines on standard output\nhost = \"broker.lan\"",
            );
            return;
        };
        let host = mqtt.host.first().map(ToString::to_string).unwrap_or_default();
        let password = mqtt
            .password
            .as_ref()
            .map(|password| password.reveal().to_owned());
        draft
            .section("[mqtt]")
            .key("host", host)
            .optional("username", mqtt.username.as_deref())
            .optional("password", password.filter(|_| mqtt.username.is_some()))
            .comment("retain = \"auto\"        # the broker keeps the last reading of meters that transmit rarely; or true, false")
            .comment("spool = \"/var/lib/metertap/spool.redb\"   # readings wait here while the broker is away");
        if self.homeassistant {
            draft
                .section("[homeassistant]")
                .comment("our meters are announced to it");
        }
    }
}

impl WireAnswer {
    fn write(&self, draft: &mut Draft) {
        let addresses = (!self.addresses.is_empty()).then(|| self.addresses.clone());
        let section = draft
            .section("[[wire]]")
            .key("protocol", self.protocol)
            .key("source", self.source.to_string())
            .optional("key", self.key.as_deref())
            .optional("auth_key", self.auth_key.as_deref())
            .optional("addresses", addresses)
            .optional("model", self.model.as_deref());
        if ["p1", "dlms"].contains(&self.protocol) && self.key.is_none() {
            section.comment("key_file = \"meter.key\" # where the grid operator encrypts");
        }
    }
}
