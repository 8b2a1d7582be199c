//! Homie 4: each meter a device with nodes and properties, retained, and a connection of its own, since its last will
//! is that it is lost.

use crate::decode::quantity::Quantity;
use crate::decode::report::{Sort as Type, Value as Field};
use crate::sink::mqtt::{self, Message, Mqtt, Outcome, Presence, Sort};
use crate::sink::outlet::Counts;
use crate::sink::told::{Told, What};
use anyhow::Result;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Devices, each a connection.
const MAX_DEVICES: usize = 64;

/// Its settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// First part of every topic.
    #[serde(default = "topic")]
    pub topic: String,
    /// What the device of a meter is called in topics, by the meter's id; by default made of its name or id.
    #[serde(default)]
    devices: BTreeMap<String, String>,
}

fn topic() -> String {
    "homie".into()
}

/// What a device is made of: node, property, its name, datatype and unit, our field, and how many of its units are
/// one of ours.
struct Row {
    node: &'static str,
    property: &'static str,
    name: &'static str,
    datatype: &'static str,
    unit: &'static str,
    field: &'static str,
    factor: f64,
}

const fn row(
    (node, property): (&'static str, &'static str),
    name: &'static str,
    (datatype, unit): (&'static str, &'static str),
    (field, factor): (&'static str, f64),
) -> Row {
    Row {
        node,
        property,
        name,
        datatype,
        unit,
        field,
        factor,
    }
}

const WH: (&str, &str) = ("integer", "Wh");
const WATT: (&str, &str) = ("integer", "W");

const ELECTRICITY: [Row; 7] = [
    row(
        ("energy", "imported-total"),
        "Imported total",
        WH,
        ("energy_import_total", 1000.0),
    ),
    row(
        ("energy", "used-tariff-1"),
        "Used tariff 1",
        WH,
        ("energy_import_t1", 1000.0),
    ),
    row(
        ("energy", "used-tariff-2"),
        "Used tariff 2",
        WH,
        ("energy_import_t2", 1000.0),
    ),
    row(
        ("energy", "delivered-tariff-1"),
        "Delivered tariff 1",
        WH,
        ("energy_export_t1", 1000.0),
    ),
    row(
        ("energy", "delivered-tariff-2"),
        "Delivered tariff 2",
        WH,
        ("energy_export_t2", 1000.0),
    ),
    row(
        ("power", "current-usage"),
        "Current usage",
        WATT,
        ("power_import", 1000.0),
    ),
    row(
        ("power", "current-delivery"),
        "Current delivery",
        WATT,
        ("power_export", 1000.0),
    ),
];

const HEAT: [Row; 8] = [
    row(
        ("energy", "imported-total"),
        "Imported total",
        ("float", ""),
        ("heat_energy", 1.0),
    ),
    row(
        ("power", "current-usage"),
        "Current usage",
        ("float", ""),
        ("power", 1.0),
    ),
    row(
        ("temperatures", "temp1"),
        "Flow temperature",
        ("float", "°C"),
        ("flow_temperature", 1.0),
    ),
    row(
        ("temperatures", "temp2"),
        "Return temperature",
        ("float", "°C"),
        ("return_temperature", 1.0),
    ),
    row(
        ("temperatures", "temp-diff"),
        "Difference",
        ("float", "K"),
        ("temperature_difference", 1.0),
    ),
    row(("flow", "flow"), "Flow", ("float", ""), ("flow", 1.0)),
    row(("flow", "volume"), "Volume", ("float", ""), ("volume", 1.0)),
    row(
        ("ops", "hour-counter"),
        "Hour counter",
        ("float", "h"),
        ("operating_hours", 1.0),
    ),
];

/// Names of the nodes, as the asyncio reader gave them.
const NODES: [(&str, &str); 6] = [
    ("energy", "Energy consumption meters"),
    ("power", "Actual power meters"),
    ("temperatures", "Temperatures"),
    ("flow", "Flow and volume"),
    ("ops", "Operation"),
    ("meter", "Meter"),
];

/// A value and what is to be known of it.
#[derive(Clone, Debug, PartialEq)]
struct Property {
    node: &'static str,
    id: &'static str,
    name: &'static str,
    datatype: &'static str,
    unit: String,
    value: String,
}

/// All devices.
pub struct Homie {
    settings: Settings,
    mqtt: mqtt::Settings,
    devices: BTreeMap<String, Device>,
    crowded_out: bool,
    /// Of all connections together.
    counts: Arc<Counts>,
}

/// One meter.
struct Device {
    link: Mqtt,
    /// `homie/<device>`
    base: String,
    /// Node and property, in the order in which they came.
    known: Vec<(&'static str, &'static str)>,
}

impl Homie {
    /// As the settings say; connections are made as meters are heard.
    pub fn new(settings: Settings, mqtt: &mqtt::Settings, counts: Arc<Counts>) -> Self {
        Homie {
            counts,
            settings,
            mqtt: mqtt.for_states(),
            devices: BTreeMap::new(),
            crowded_out: false,
        }
    }

    /// Says what is new of a meter of ours.
    ///
    /// # Errors
    /// Where no thread can be had for a new connection.
    pub fn tell(&mut self, told: &Told) -> Result<()> {
        let properties = properties(told);
        if properties.is_empty() || !told.is_ours() {
            return Ok(());
        }
        let id = self.device_id(told);
        if !self.devices.contains_key(&id) {
            if self.devices.len() >= MAX_DEVICES {
                if !std::mem::replace(&mut self.crowded_out, true) {
                    tracing::warn!("More than {MAX_DEVICES} meters: the rest are no Homie devices.");
                }
                return Ok(());
            }
            let device = Device::start(
                format!("{}/{id}", self.settings.topic),
                &self.mqtt,
                told.name(),
                &self.counts,
            )?;
            self.devices.insert(id.clone(), device);
        }
        if let Some(device) = self.devices.get_mut(&id) {
            device.tell(&properties);
        }
        Ok(())
    }

    fn device_id(&self, told: &Told) -> String {
        let chosen = self.settings.devices.get(&told.id).cloned();
        // A sub-meter is a device of its own, even where it has the meter's id.
        slug(&chosen.unwrap_or_else(|| told.name().to_owned()))
    }

    /// Says goodbye for all devices.
    pub fn finish(self, patience: Duration) -> Outcome {
        let mut sum = Outcome::default();
        let ends: Vec<_> = self
            .devices
            .into_values()
            .map(|device| std::thread::spawn(move || device.link.finish(patience, || false)))
            .collect();
        for end in ends {
            let outcome = end.join().unwrap_or_default();
            sum.delivered += outcome.delivered;
            sum.undelivered += outcome.undelivered;
        }
        sum
    }
}

impl Device {
    fn start(base: String, mqtt: &mqtt::Settings, name: &str, counts: &Arc<Counts>) -> Result<Self> {
        let state = |state: &str| Some(Message::retained(format!("{base}/$state"), state, Sort::State));
        let presence = Presence {
            will: state("lost"),
            hello: state("init"),
            ready: state("ready"),
            goodbye: state("disconnected"),
        };
        let device = Device {
            link: Mqtt::start(mqtt.clone(), presence, None, counts.clone())?,
            base,
            known: Vec::new(),
        };
        device.say("$homie", "4.0.0");
        device.say("$name", name);
        device.say("$implementation", "metertap");
        device.say("$extensions", "");
        Ok(device)
    }

    /// Retained, and said again over every new connection.
    fn say(&self, topic: &str, payload: &str) {
        let topic = format!("{}/{topic}", self.base);
        self.link
            .try_publish(Message::retained(topic, payload, Sort::Announcement));
    }

    fn state(&self, state: &str) {
        let topic = format!("{}/$state", self.base);
        self.link
            .try_publish(Message::retained(topic, state, Sort::State));
    }

    fn tell(&mut self, properties: &[Property]) {
        let is_new = |property: &&Property| !self.known.contains(&(property.node, property.id));
        let new: Vec<Property> = properties.iter().filter(is_new).cloned().collect();
        if !new.is_empty() {
            // Its structure may only change before it is ready.
            self.state("init");
            self.known
                .extend(new.iter().map(|property| (property.node, property.id)));
            self.describe(&new);
        }
        for property in properties {
            self.say(&format!("{}/{}", property.node, property.id), &property.value);
        }
        if !new.is_empty() {
            self.state("ready");
        }
    }

    fn describe(&self, new: &[Property]) {
        let mut nodes: Vec<&str> = self.known.iter().map(|(node, _)| *node).collect();
        let mut seen = BTreeSet::new();
        nodes.retain(|node| seen.insert(*node));
        self.say("$nodes", &nodes.join(","));
        for node in nodes {
            let name = NODES
                .iter()
                .find(|(id, _)| *id == node)
                .map_or(node, |(_, name)| name);
            self.say(&format!("{node}/$name"), name);
            self.say(&format!("{node}/$type"), "meter");
            let ids = self.known.iter().filter(|(of, _)| *of == node);
            let ids: Vec<&str> = ids.map(|(_, id)| *id).collect();
            self.say(&format!("{node}/$properties"), &ids.join(","));
        }
        for property in new {
            let base = format!("{}/{}", property.node, property.id);
            self.say(&format!("{base}/$name"), property.name);
            self.say(&format!("{base}/$datatype"), property.datatype);
            self.say(&format!("{base}/$settable"), "false");
            self.say(&format!("{base}/$retained"), "true");
            if !property.unit.is_empty() {
                self.say(&format!("{base}/$unit"), &property.unit);
            }
        }
    }
}

/// What a reading says, as properties.
fn properties(told: &Told) -> Vec<Property> {
    match &told.what {
        What::Radio(reading) => {
            let unknown = crate::meter::Meter::default();
            let meter = told.meter.as_deref().unwrap_or(&unknown);
            vec![total(&meter.total(&reading.message))]
        }
        What::Wire(reading) => {
            let fields = &reading.report.reading;
            let rows: &[Row] = match reading.report.sort {
                Type::P1 | Type::Dlms => &ELECTRICITY,
                Type::Kmp => &HEAT,
                _ => {
                    let first = fields.0.iter().find_map(|(_, field)| quantity(field));
                    return first.map(total).into_iter().collect();
                }
            };
            let of_row = |row: &Row| Some(property(row, quantity(fields.get(row.field)?)?));
            rows.iter().filter_map(of_row).collect()
        }
        What::Interval(_) => Vec::new(),
    }
}

fn quantity(field: &Field) -> Option<&Quantity> {
    match field {
        Field::Quantity(quantity) | Field::Demand { quantity, .. } => Some(quantity),
        _ => None,
    }
}

/// Of a meter with one counter.
fn total(quantity: &Quantity) -> Property {
    Property {
        node: "meter",
        id: "total",
        name: "Total",
        datatype: "float",
        unit: quantity.unit.replace("m3", "m³"),
        value: written(quantity.value.to_f64()),
    }
}

fn property(row: &Row, quantity: &Quantity) -> Property {
    let value = quantity.value.to_f64() * row.factor;
    let is_whole = row.datatype == "integer";
    Property {
        node: row.node,
        id: row.property,
        name: row.name,
        datatype: row.datatype,
        // The meter knows it better than the table, where that says nothing.
        unit: match row.unit {
            "" => quantity.unit.replace("m3", "m³"),
            unit => unit.into(),
        },
        value: if is_whole {
            format!("{:.0}", value.round())
        } else {
            written(value)
        },
    }
}

/// As Homie writes a float: digits and a point.
fn written(value: f64) -> String {
    format!("{value}")
}

/// Small letters, digits and hyphens, none at either end.
fn slug(text: &str) -> String {
    let letters = text.chars().map(|c| c.to_ascii_lowercase());
    let mut slug = String::new();
    for c in letters {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        "meter".into()
    } else {
        slug.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::report::{Fields, Report};
    use crate::meter::WireReading;

    #[test]
    fn a_heat_meter_has_the_nodes_of_the_asyncio_reader_and_the_units_that_it_tells() {
        let mut reading = Fields::default();
        for (name, value, unit) in [
            ("heat_energy", "57.318", "GJ"),
            ("power", "3.2", "kW"),
            ("flow_temperature", "68.12", "°C"),
            ("return_temperature", "41.02", "°C"),
            ("temperature_difference", "27.10", "K"),
            ("flow", "84", "l/h"),
            ("volume", "1422.61", "m3"),
            ("operating_hours", "20511", "h"),
            ("mass", "1", "t"),
        ] {
            let quantity = Quantity::parse(&format!("{value}*{unit}"), "").unwrap();
            reading.put(name, Field::Quantity(quantity));
        }
        let report = Report {
            time: None,
            id: "65432109".into(),
            sort: Type::Kmp,
            channel: None,
            reading,
            unknown: Fields::default(),
            message: None,
        };
        let told = Told::wire(Box::new(WireReading::now("heat".into(), report)), None);
        let told: Vec<String> = properties(&told)
            .iter()
            .map(|one| {
                format!(
                    "{}/{}={} {} {}",
                    one.node, one.id, one.value, one.unit, one.datatype
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "energy/imported-total=57.318 GJ float",
                "power/current-usage=3.2 kW float",
                "temperatures/temp1=68.12 °C float",
                "temperatures/temp2=41.02 °C float",
                "temperatures/temp-diff=27.1 K float",
                "flow/flow=84 l/h float",
                "flow/volume=1422.61 m³ float",
                "ops/hour-counter=20511 h float",
            ]
        );
    }

    #[test]
    fn ids_are_what_homie_allows() {
        for (text, id) in [
            ("Grid import", "grid-import"),
            ("--É 7_", "7"),
            ("MTPBE0001", "mtpbe0001"),
            ("ß", "meter"),
        ] {
            assert_eq!(slug(text), id);
        }
    }
}
