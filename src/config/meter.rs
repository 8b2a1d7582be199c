//! `[[meter]]`: a meter of this home, by radio or by wire.

use crate::config::encryption_key;
use crate::meter::expectations::highest_id_and_counter;
use crate::meter::throttle::PublishRate;
use crate::meter::{Factor, Meter};
use crate::publish::homeassistant;
use crate::secret::{Secret, SecretSource};
use metertap_decode::cipher::Key;
use metertap_decode::ert::{Commodity, Kind};
use metertap_decode::report::ReadingType;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::path::PathBuf;
use std::time::Duration;

fn yes() -> bool {
    true
}

/// Units of a counter by commodity; Home Assistant accepts all of them.
const UNITS: [(Commodity, &[&str]); 3] = [
    (Commodity::Electric, &["Wh", "kWh", "MWh", "MJ", "GJ"]),
    (
        Commodity::Gas,
        &["m³", "ft³", "CCF", "MCF", "L", "kWh", "MJ", "GJ"],
    ),
    (Commodity::Water, &["L", "m³", "gal", "ft³", "CCF", "MCF"]),
];

/// Section as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterSection {
    /// Id as printed on the meter: a number, or text.
    id: Id,
    /// Types of readings that are published, one or a list; for radio meters also how an ambiguous frame is read: `idm` or `netidm`, `r900` or `r900bcd`. Default: all.
    #[serde(default, alias = "type")]
    protocol: Option<Several>,
    /// Name for people. Default: the id.
    name: Option<String>,
    /// `electric`, `gas` or `water`. Default: from the type in its messages.
    #[serde(default, deserialize_with = "crate::config::parsed")]
    commodity: Option<Commodity>,
    /// Unit of the counter after scaling, such as `kWh`, `m³` or `gal`. Default: none, counts.
    unit: Option<String>,
    /// Value of one count in that unit. Default: 1.
    scale: Option<f64>,
    /// Added after scaling, so that a replaced meter continues the old one. Default: 0.
    offset: Option<f64>,
    /// Digits of the counter, after which it starts again at 0; 1 to 12. Default: unknown.
    digits: Option<u8>,
    /// Radio: the counter is a signed number that may fall, as that of net consumption behind a solar roof. `net` is the same. Default: false.
    #[serde(default, alias = "net")]
    signed: bool,
    /// Radio: the counter as last known, in counts, with one `protocol`, so that a meter too weak to be received at first is recognized (`scm`, `scm+`, `r900`, `r900bcd`; an `idm` has to be received once). Default: none.
    #[serde(default, deserialize_with = "dial")]
    reading: Option<u32>,
    /// Radio: expect its next message from the last one, so that it is received several dB deeper. Default: true.
    #[serde(default = "yes")]
    lock: bool,
    /// Wireless M-Bus: key, 32 hexadecimal digits. Default: the known one of the manufacturer. With a key, plain text is refused.
    #[serde(default, deserialize_with = "encryption_key")]
    key: Option<Secret>,
    /// File that holds the key.
    key_file: Option<PathBuf>,
    /// Environment variable that holds the key.
    key_env: Option<String>,
    /// Highest plausible use per hour, in its unit. Default: by commodity.
    max_rate: Option<f64>,
    /// Publishing rate: `"every"` reading, on `"change"`, or once in this many seconds. Default: the `rate` of the first level.
    rate: Option<PublishRate>,
    /// Seconds without a reading after which the meter is offline. Default: learned from its intervals.
    expire: Option<f64>,
    /// IDM only: publish each five-minute interval as a reading of its own. Default: false.
    #[serde(default)]
    intervals: bool,
    /// Device class in Home Assistant: `energy`, `gas`, `water` or `volume`. Default: from unit and commodity.
    device_class: Option<String>,
    /// Suggested area in Home Assistant. Default: none.
    area: Option<String>,
}

/// One word or a list of words.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a word in quotes, or several in brackets")]
enum Several {
    One(String),
    Several(Vec<String>),
}

/// Device classes of Home Assistant for counters.
const DEVICE_CLASSES: [&str; 4] = ["energy", "gas", "water", "volume"];

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected the number of the meter, or text in quotes")]
enum Id {
    Number(u64),
    Text(String),
}

/// Deserializes a counter as it was read from a dial.
fn dial<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "expected the counter in counts: all digits of the dial, without unit or decimal point"
    )]
    enum Dial {
        Whole(u32),
        Below(i64),
        Parts(f64),
        Text(String),
    }
    let found = match Dial::deserialize(from)? {
        Dial::Whole(counter) => return Ok(Some(counter)),
        Dial::Below(number) => number.to_string(),
        Dial::Parts(number) => number.to_string(),
        Dial::Text(text) => format!("\"{text}\""),
    };
    Err(Error::custom(format!(
        "found {found}, expected the counter in counts, from 0 to 4294967295: all digits of the dial, without quotes, unit or decimal point"
    )))
}

impl MeterSection {
    /// Returns the id as it stands in topics.
    pub fn id(&self) -> String {
        match &self.id {
            Id::Number(number) => number.to_string(),
            Id::Text(text) => text.trim().to_owned(),
        }
    }

    /// Returns true if a secret stands in the section itself.
    pub(super) fn holds_secret(&self) -> bool {
        self.key.is_some()
    }

    /// Checks that meters of its protocol can have this id, and an expectation be made of `reading`.
    fn check_id_and_reading(&self) -> Option<String> {
        let word = match &self.protocol {
            Some(Several::One(word)) => word.as_str(),
            Some(Several::Several(words)) if words.len() == 1 => words[0].as_str(),
            _ => "",
        };
        let highest = word.parse::<Kind>().ok().and_then(highest_id_and_counter);
        let Some((highest_id, highest_counter)) = highest else {
            return self.reading.map(|reading| {
                format!("reading = {reading} needs one protocol of radio meters: expected protocol = \"scm\", \"scm+\", \"r900\", \"r900bcd\", \"idm\" or \"netidm\"")
            });
        };
        let id = self.id().parse::<u64>();
        if id
            .as_ref()
            .map_or(self.reading.is_some(), |id| *id > highest_id.into())
        {
            return Some(format!(
                "id does not fit protocol = \"{word}\": expected a number up to {highest_id}"
            ));
        }
        let reading = self.reading.filter(|reading| *reading > highest_counter)?;
        Some(format!(
            "reading = {reading}: expected at most {highest_counter}, the highest counter of {word} meters; type all digits of the dial, without unit or decimal point"
        ))
    }

    /// Reads the key.
    ///
    /// # Errors
    /// Returns why it cannot be read.
    pub(super) fn key(&self) -> Result<Option<Key>, String> {
        let source = SecretSource {
            key: "key",
            inline: self.key.as_ref(),
            file: self.key_file.as_deref(),
            env: self.key_env.as_deref(),
        };
        let key = source.resolve()?.map(|secret| secret.reveal().parse::<Key>());
        key.transpose().map_err(|error| format!("key: {error}"))
    }

    /// Converts the section, which is number `i` of the file.
    ///
    /// # Errors
    /// Returns all mistakes in it.
    pub fn meter(&self, i: usize) -> Result<Meter, Vec<String>> {
        let mut problems = Vec::new();
        if self.id().is_empty() {
            problems.push("id is empty".into());
        }
        let mut factor = |key: &str, number: Option<f64>| {
            let factor = number.map(|number| Factor::new(number).ok_or(number));
            factor.transpose().unwrap_or_else(|number| {
                problems.push(format!("{key} = {number} has too many digits"));
                None
            })
        };
        let (scale, offset) = (factor("scale", self.scale), factor("offset", self.offset));
        if self.scale == Some(0.0) {
            problems.push("scale = 0 makes every reading the same".into());
        }
        let unit = self
            .unit
            .as_deref()
            .map(|unit| unit.replace("m3", "m³").replace("ft3", "ft³"));
        if let Some(unit) = &unit {
            let known = UNITS
                .iter()
                .filter(|(commodity, _)| self.commodity.is_none_or(|ours| ours == *commodity));
            let mut known: Vec<&str> = known.flat_map(|(_, units)| units.iter().copied()).collect();
            known.sort_unstable();
            known.dedup();
            if !known.contains(&unit.as_str()) {
                let of = self
                    .commodity
                    .map_or_else(String::new, |commodity| format!(" of {commodity}"));
                problems.push(format!(
                    "invalid unit = \"{unit}\"{of}: expected {}",
                    known.join(", ")
                ));
            }
        }
        let protocols = match &self.protocol {
            None => Vec::new(),
            Some(Several::One(word)) => vec![word.clone()],
            Some(Several::Several(words)) => words.clone(),
        };
        let protocols = protocols.iter().map(|name| {
            let name = name.to_ascii_lowercase();
            let of_radio = name.parse::<Kind>().map(Kind::topic_name).ok();
            of_radio
                .or_else(|| {
                    ReadingType::ALL
                        .into_iter()
                        .map(ReadingType::topic_name)
                        .find(|sort| *sort == name)
                })
                .ok_or(name)
        });
        let (protocols, unknown): (Vec<_>, Vec<_>) = protocols.partition(Result::is_ok);
        for name in unknown.into_iter().filter_map(Result::err) {
            problems.push(format!(
                "protocol = \"{name}\": use scm, scm+, idm, netidm, r900, r900bcd, orion, orionendpoint, hotrod, dialog3g, or the last word of a wired meter's topic"
            ));
        }
        if self.digits.is_some_and(|digits| !(1..=12).contains(&digits)) {
            problems.push("digits must be between 1 and 12".into());
        }
        if self.signed && self.digits.is_some() {
            problems.push(
                "signed and digits exclude each other: a signed counter has the width of its message".into(),
            );
        }
        if self
            .max_rate
            .is_some_and(|rate| !(rate > 0.0 && rate.is_finite()))
        {
            problems.push("max_rate must be more than 0".into());
        }
        if self.expire.is_some_and(|s| !(1.0..=31e6).contains(&s)) {
            problems.push("expire must be between 1 and 31000000 seconds".into());
        }
        if let Some(class) = &self.device_class {
            if !DEVICE_CLASSES.contains(&class.as_str()) {
                problems.push(format!(
                    "device_class = \"{class}\": use {}",
                    DEVICE_CLASSES.join(", ")
                ));
            } else if let Some(unit) = unit
                .as_deref()
                .filter(|unit| homeassistant::is_refused(class, unit))
            {
                let known = homeassistant::units_of(class).iter().copied();
                let known: Vec<&str> = known
                    .filter(|unit| !homeassistant::is_refused(class, unit))
                    .collect();
                problems.push(format!(
                    "Home Assistant refuses device_class = \"{class}\" with unit = \"{unit}\": expected {}",
                    known.join(", ")
                ));
            }
        }
        if self
            .name
            .as_ref()
            .is_some_and(|name| name.contains(char::is_control))
        {
            problems.push("name has a control character, which no topic may have".into());
        }
        if !problems.iter().any(|problem| problem.starts_with("protocol = ")) {
            problems.extend(self.check_id_and_reading());
        }
        if !problems.is_empty() {
            let numbered = |problem| format!("[[meter]] {} ({}): {problem}", i + 1, self.id());
            return Err(problems.into_iter().map(numbered).collect());
        }
        Ok(Meter {
            protocols: protocols.into_iter().flatten().map(str::to_owned).collect(),
            name: self.name.clone(),
            commodity: self.commodity,
            unit,
            scale,
            offset,
            digits: self.digits,
            signed: self.signed,
            max_rate: self.max_rate,
            rate: self.rate,
            expire: self.expire.map(Duration::from_secs_f64),
            is_expected: self.lock,
            reading: self.reading,
            intervals: self.intervals,
            device_class: self.device_class.clone(),
            area: self.area.clone(),
        })
    }
}
