//! `[[meter]]`: one of our meters, of the radio or of a wire.

use crate::meter::throttle::PublishRate;
use crate::meter::{Factor, Meter};
use metertap_decode::ert::{Commodity, Kind};
use metertap_decode::report::ReadingType;
use serde::Deserialize;
use std::time::Duration;

/// Units of a counter, by what it measures; Home Assistant knows them all.
const UNITS: [(Commodity, &[&str]); 3] = [
    (Commodity::Electric, &["Wh", "kWh", "MWh", "MJ", "GJ"]),
    (
        Commodity::Gas,
        &["m³", "ft³", "CCF", "MCF", "L", "kWh", "MJ", "GJ"],
    ),
    (Commodity::Water, &["L", "m³", "gal", "ft³", "CCF", "MCF"]),
];

/// One of our meters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterSection {
    /// As printed on it: a number, or text.
    id: Id,
    /// Which of its readings are wanted, and what its frames are where the air leaves it open: `idm` or `netidm`,
    /// `r900` or `r900bcd`.
    #[serde(default, alias = "type")]
    protocol: Option<Several>,
    /// What people call it.
    name: Option<String>,
    /// `electric`, `gas`, `water`, where its type says nothing or something else.
    #[serde(default, deserialize_with = "crate::config::parsed")]
    commodity: Option<Commodity>,
    /// Of its counter, after scaling: kWh, m³, gal and so on.
    unit: Option<String>,
    /// One count is so much of that.
    scale: Option<f64>,
    /// Added after scaling, for a meter that was exchanged.
    offset: Option<f64>,
    /// Of its counter, which begins again at 0 behind the last.
    digits: Option<u8>,
    /// How much it can count in an hour at most, in its unit.
    max_rate: Option<f64>,
    /// How often its readings are passed on: `"every"`, `"change"`, or seconds.
    rate: Option<PublishRate>,
    /// Seconds without a word until it is offline; learned if nothing is said.
    expire: Option<f64>,
    /// Of an IDM: each five minutes as a reading of its own.
    #[serde(default)]
    intervals: bool,
    /// For Home Assistant, where unit and commodity do not tell: `energy`, `gas`, `water`, `volume`.
    device_class: Option<String>,
    /// For Home Assistant: where it is.
    area: Option<String>,
}

/// One word or several.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a word in quotes, or several in brackets")]
enum Several {
    One(String),
    Several(Vec<String>),
}

/// Device classes of Home Assistant for counters.
const DEVICE_CLASSES: [&str; 4] = ["energy", "gas", "water", "volume"];

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

impl MeterSection {
    /// The id as it stands in topics.
    pub fn id(&self) -> String {
        match &self.id {
            Id::Number(number) => number.to_string(),
            Id::Text(text) => text.trim().to_owned(),
        }
    }

    /// The meter that the section describes, being number `i`.
    ///
    /// # Errors
    /// All that is wrong with it.
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
                    "unit = \"{unit}\" is no unit{of}: use {}",
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
                "protocol = \"{name}\": use scm, scm+, idm, netidm, r900, r900bcd, or the last word of a wired meter's topic"
            ));
        }
        if self.digits.is_some_and(|digits| !(1..=12).contains(&digits)) {
            problems.push("digits must be between 1 and 12".into());
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
            }
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
            max_rate: self.max_rate,
            rate: self.rate,
            expire: self.expire.map(Duration::from_secs_f64),
            intervals: self.intervals,
            device_class: self.device_class.clone(),
            area: self.area.clone(),
        })
    }
}
