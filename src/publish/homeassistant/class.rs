//! What a value is to Home Assistant: device class, state class, unit (its developer documentation, "Sensor entity").

use metertap_decode::ert::Commodity;
use metertap_decode::report::{ReadingType, Value as Field};
use serde_json::{Map, Value, json};

/// What a sensor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// What is measured; nothing where Home Assistant has no word for it.
    device_class: Option<&'static str>,
    /// `total`: a counter, whose fall is no new beginning. `measurement`: a value of the moment.
    state_class: Option<&'static str>,
    unit: Option<String>,
    is_diagnostic: bool,
    /// Seconds after which it is no longer true.
    expire_after: Option<u32>,
}

impl Class {
    fn total(device_class: Option<&'static str>, unit: &str) -> Self {
        Class {
            device_class,
            state_class: Some("total"),
            unit: Some(unit.into()),
            is_diagnostic: false,
            expire_after: None,
        }
    }

    /// A value of the moment.
    pub fn measurement(device_class: &'static str, unit: &str) -> Self {
        Class {
            device_class: Some(device_class),
            state_class: Some("measurement"),
            unit: Some(unit.into()),
            is_diagnostic: false,
            expire_after: None,
        }
    }

    /// A plain number of the moment.
    pub fn number() -> Self {
        Class {
            state_class: Some("measurement"),
            ..Class::time().without_class()
        }
    }

    /// A time.
    pub fn time() -> Self {
        Class {
            device_class: Some("timestamp"),
            state_class: None,
            unit: None,
            is_diagnostic: false,
            expire_after: None,
        }
    }

    /// Of interest when something is wrong.
    pub fn diagnostic(self) -> Self {
        Class {
            is_diagnostic: true,
            ..self
        }
    }

    fn without_class(self) -> Self {
        Class {
            device_class: None,
            ..self
        }
    }

    /// A value of the moment lies when it is old; a counter stays true.
    pub fn expiring(self, seconds: u32) -> Self {
        let is_of_the_moment = self.state_class == Some("measurement");
        Class {
            expire_after: is_of_the_moment.then_some(seconds),
            ..self
        }
    }

    /// As a component of a device, still without its name.
    pub fn component(&self) -> Map<String, Value> {
        let mut component = Map::new();
        component.insert("platform".into(), json!("sensor"));
        for (key, value) in [
            ("device_class", self.device_class),
            ("state_class", self.state_class),
        ] {
            component.extend(value.map(|value| (key.to_owned(), json!(value))));
        }
        component.extend(
            self.unit
                .as_ref()
                .map(|unit| ("unit_of_measurement".to_owned(), json!(unit))),
        );
        if self.is_diagnostic {
            component.insert("entity_category".into(), json!("diagnostic"));
        }
        component.extend(
            self.expire_after
                .map(|seconds| ("expire_after".to_owned(), json!(seconds))),
        );
        component
    }
}

/// The counter of a meter of the radio; without a unit it is only a number. `chosen`: a class that the user wants.
pub fn counter(commodity: Commodity, unit: Option<&str>, chosen: Option<&str>) -> Class {
    let Some(unit) = unit else {
        return Class {
            unit: None,
            ..Class::total(None, "")
        };
    };
    let is_energy = matches!(unit, "Wh" | "kWh" | "MWh" | "MJ" | "GJ");
    let chosen = ["energy", "gas", "water", "volume"]
        .into_iter()
        .find(|class| chosen == Some(class));
    let class = match commodity {
        _ if chosen.is_some() => chosen,
        // Gas by its energy is energy.
        _ if is_energy => Some("energy"),
        Commodity::Gas => Some("gas"),
        Commodity::Water => Some("water"),
        _ => None,
    };
    Class::total(class, unit)
}

/// A field of a meter on a wire, and what stands behind its name in a template; nothing for what is no number, or
/// belongs to the past. `medium`: what an M-Bus meter measures.
pub fn of_field(
    name: &str,
    field: &Field,
    sort: ReadingType,
    medium: Option<&str>,
) -> Option<(Class, &'static str)> {
    if name.contains("_storage_") || name.contains("_error") {
        return None;
    }
    let class = match field {
        Field::Quantity(quantity) | Field::Demand { quantity, .. } => {
            return Some((of_unit(name, quantity.unit.as_str(), sort, medium)?, ".value"));
        }
        Field::Count(_) if name.starts_with("power_failures") || name.starts_with("voltage_s") => Class {
            unit: None,
            ..Class::total(None, "").diagnostic()
        },
        Field::Count(_) | Field::Text(_) if name == "tariff" => Class {
            device_class: None,
            ..Class::time()
        },
        _ => return None,
    };
    Some((class, ""))
}

fn of_unit(name: &str, unit: &str, sort: ReadingType, medium: Option<&str>) -> Option<Class> {
    Some(match unit {
        "Wh" | "kWh" | "MWh" | "GWh" | "MJ" | "GJ" | "kJ" => Class::total(Some("energy"), unit),
        "W" | "kW" | "MW" => Class::measurement("power", unit),
        // Their classes are younger than 2024.11, or do not know these units there.
        "kvarh" | "varh" | "kVAh" => Class::total(None, unit),
        "kvar" | "var" | "kVA" => Class::measurement("power", unit).without_class(),
        "V" => Class::measurement("voltage", unit),
        "A" => Class::measurement("current", unit),
        "Hz" => Class::measurement("frequency", unit),
        "°C" | "°F" => Class::measurement("temperature", unit),
        "K" | "kg/h" => Class::measurement("temperature", unit).without_class(),
        "bar" => Class::measurement("pressure", unit),
        "m3" => Class::total(Some(volume(sort, medium)), "m³"),
        "l" => Class::total(Some(volume(sort, medium)), "L"),
        "m3/h" => Class::measurement("volume_flow_rate", "m³/h"),
        "l/h" => Class::measurement("volume_flow_rate", "L/h"),
        "s" | "h" | "min" | "d" => Class::total(Some("duration"), unit).diagnostic(),
        "" if name.starts_with("power_factor") => Class {
            unit: None,
            ..Class::measurement("power_factor", "")
        },
        _ => return None,
    })
}

/// Of what a volume is, as the energy dashboard asks.
fn volume(sort: ReadingType, medium: Option<&str>) -> &'static str {
    match (sort, medium) {
        (ReadingType::Gas, _) | (_, Some("gas")) => "gas",
        (ReadingType::Water | ReadingType::WarmWater, _) => "water",
        (_, Some("water" | "warm_water" | "hot_water" | "cold_water" | "dual_water")) => "water",
        _ => "volume",
    }
}
