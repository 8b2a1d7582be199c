//! Device class, state class and unit of a sensor, as in Home Assistant's developer documentation, "Sensor entity".

use metertap_decode::ert::Commodity;
use metertap_decode::report::{ReadingType, Value as Field};
use serde_json::{Map, Value, json};

/// Attributes of a sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Measured quantity; `None` if Home Assistant has no class for it.
    device_class: Option<&'static str>,
    /// `total` for a counter: unlike `total_increasing`, a lower value is not taken for a new meter. `measurement` for a
    /// momentary value.
    state_class: Option<&'static str>,
    unit: Option<String>,
    is_diagnostic: bool,
    /// Seconds after which a value is no longer valid.
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

    /// Momentary value.
    pub fn measurement(device_class: &'static str, unit: &str) -> Self {
        Class {
            device_class: Some(device_class),
            state_class: Some("measurement"),
            unit: Some(unit.into()),
            is_diagnostic: false,
            expire_after: None,
        }
    }

    /// Momentary number without a class or unit.
    pub fn number() -> Self {
        Class {
            state_class: Some("measurement"),
            ..Class::time().without_class()
        }
    }

    /// Text.
    pub fn text() -> Self {
        Class::time().without_class()
    }

    /// Point in time.
    pub fn time() -> Self {
        Class {
            device_class: Some("timestamp"),
            state_class: None,
            unit: None,
            is_diagnostic: false,
            expire_after: None,
        }
    }

    /// Marks the sensor as diagnostic.
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

    /// Lets a momentary value expire after `seconds`; a counter stays valid.
    pub fn expiring(self, seconds: u32) -> Self {
        let is_momentary = self.state_class == Some("measurement");
        Class {
            expire_after: is_momentary.then_some(seconds),
            ..self
        }
    }

    /// Returns the component of a device, without its name and template.
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

/// Class of a radio meter's counter; without a unit it is a plain number. `chosen`: device class of the configuration.
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
        // Gas billed by energy is energy.
        _ if is_energy => Some("energy"),
        Commodity::Gas => Some("gas"),
        Commodity::Water => Some("water"),
        _ => None,
    };
    Class::total(class, unit)
}

/// Class of a wired meter's field, and the path below the field in a template. `None` for text and for stored values of
/// the past. `medium`: medium of an M-Bus meter.
pub fn of_field(
    name: &str,
    field: &Field,
    reading_type: ReadingType,
    medium: Option<&str>,
) -> Option<(Class, &'static str)> {
    if name.contains("_storage_") || name.contains("_last_year") || name.contains("_error") {
        return None;
    }
    let class = match field {
        Field::Quantity(quantity) | Field::Demand { quantity, .. } => {
            return Some((
                of_unit(name, quantity.unit.as_str(), reading_type, medium)?,
                ".value",
            ));
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

fn of_unit(name: &str, unit: &str, reading_type: ReadingType, medium: Option<&str>) -> Option<Class> {
    Some(match unit {
        "Wh" | "kWh" | "MWh" | "GWh" | "MJ" | "GJ" | "kJ" => Class::total(Some("energy"), unit),
        "W" | "kW" | "MW" => Class::measurement("power", unit),
        // Their classes are younger than 2024.11, or did not have these units then.
        "kvarh" | "varh" | "kVAh" => Class::total(None, unit),
        "kvar" | "var" | "kVA" => Class::measurement("power", unit).without_class(),
        "V" => Class::measurement("voltage", unit),
        "A" => Class::measurement("current", unit),
        "Hz" => Class::measurement("frequency", unit),
        "°C" | "°F" => Class::measurement("temperature", unit),
        "°" => Class::measurement("", unit).without_class(),
        "K" | "kg/h" => Class::measurement("temperature", unit).without_class(),
        "bar" => Class::measurement("pressure", unit),
        "m3" => Class::total(Some(volume(reading_type, medium)), "m³"),
        "l" => Class::total(Some(volume(reading_type, medium)), "L"),
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

/// Device class of a volume: the energy dashboard accepts `gas` and `water`.
fn volume(reading_type: ReadingType, medium: Option<&str>) -> &'static str {
    match (reading_type, medium) {
        (ReadingType::Gas, _) | (_, Some("gas")) => "gas",
        (ReadingType::Water | ReadingType::WarmWater, _) => "water",
        (_, Some("water" | "warm_water" | "hot_water" | "cold_water" | "dual_water")) => "water",
        _ => "volume",
    }
}
