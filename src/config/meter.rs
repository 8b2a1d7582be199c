//! `[[meter]]`: one of our meters, of the radio or of a wire.

use crate::decode::ert::{Commodity, Kind};
use crate::meter::{Factor, Meter};
use serde::Deserialize;

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
pub struct Section {
    /// As printed on it: a number, or text.
    id: Id,
    /// What its frames are, where the air leaves it open: `idm` or `netidm`, `r900` or `r900bcd`.
    #[serde(rename = "type", default, deserialize_with = "super::parsed")]
    kind: Option<Kind>,
    name: Option<String>,
    #[serde(default, deserialize_with = "super::parsed")]
    commodity: Option<Commodity>,
    unit: Option<String>,
    scale: Option<f64>,
    offset: Option<f64>,
    area: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

impl Section {
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
        if !problems.is_empty() {
            let numbered = |problem| format!("[[meter]] {} ({}): {problem}", i + 1, self.id());
            return Err(problems.into_iter().map(numbered).collect());
        }
        Ok(Meter {
            kind: self.kind,
            name: self.name.clone(),
            commodity: self.commodity,
            unit,
            scale,
            offset,
            area: self.area.clone(),
        })
    }
}
