//! Classes and unit of a sensor, as in Home Assistant's developer documentation, "Sensor entity".

use crate::meter::counter_sample::is_cumulative;
use metertap_decode::ert::Commodity;
use metertap_decode::report::ReadingType;
use metertap_decode::unit::Unit;
use serde_json::{Map, Value, json};

/// Parts of the names of fields that few people look at: their sensors are disabled at first.
const RARE: [&str; 21] = [
    "reactive",
    "apparent",
    "threshold",
    "phase_angle",
    "power_failures",
    "voltage_s",
    "voltage_avg",
    "_storage_",
    "_last_year",
    "_error",
    "_avg",
    "_max",
    "_min",
    "_day",
    "_month",
    "_year",
    "_unit_",
    "combined",
    "current_n",
    "current_sum",
    "battery_time",
];
/// Fields that are none the less of interest: in Belgium the highest demand of the month is paid for.
const DEMAND: &str = "demand_import";
/// Beginnings of names of fields by phase whose sensors are disabled at first, unlike those of voltage and current.
const RARE_BY_PHASE: [&str; 3] = ["power", "energy", "demand"];
/// Endings of fields by phase.
const PHASES: [&str; 3] = ["_l1", "_l2", "_l3"];
/// Parts of the names of fields that are differences, and may be negative.
const NET: [&str; 2] = ["net", "balance"];
/// Parts of the names of counters that start again with each period.
const PERIODS: [&str; 3] = ["_day", "_month", "_year"];
/// Parts of the names of values of the past.
const PAST: [&str; 3] = ["_storage_", "_last_year", "_error"];

/// Lifetime of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Register that only rises; its total goes on when the register does not.
    Counter,
    /// Valid until it is replaced.
    Lasting,
    /// Valid for a moment only.
    Momentary,
}

/// Attributes of a sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Measured quantity; `None` if Home Assistant has no class for it.
    device_class: Option<&'static str>,
    state_class: Option<&'static str>,
    unit: Option<String>,
    is_diagnostic: bool,
    is_enabled: bool,
    /// Lifetime of its values.
    pub lifetime: Lifetime,
}

impl Class {
    fn new(lifetime: Lifetime) -> Self {
        Class {
            device_class: None,
            state_class: None,
            unit: None,
            is_diagnostic: false,
            is_enabled: true,
            lifetime,
        }
    }

    /// Counter. Home Assistant adds up the differences of a `total`, also when it falls, and is not told of exchanged meters: their
    /// totals go on. With `total_increasing` any fall by 10 % would add the meter's lifetime.
    pub fn counter(device_class: Option<&'static str>, unit: Option<&str>) -> Self {
        Class {
            device_class,
            state_class: Some("total"),
            unit: unit.map(str::to_owned),
            ..Class::new(Lifetime::Counter)
        }
    }

    /// Net register (import minus export). Home Assistant's energy dashboard refuses negative totals, so it is none.
    pub fn net(unit: Option<&str>) -> Self {
        Class {
            state_class: Some("measurement"),
            unit: unit.map(str::to_owned),
            ..Class::new(Lifetime::Lasting)
        }
    }

    /// Momentary value.
    pub fn measurement(device_class: &'static str, unit: &str) -> Self {
        Class {
            device_class: Some(device_class),
            ..Class::plain(unit)
        }
    }

    /// Momentary value for which Home Assistant has no class.
    fn plain(unit: &str) -> Self {
        Class {
            state_class: Some("measurement"),
            unit: Some(unit.to_owned()).filter(|unit| !unit.is_empty()),
            ..Class::new(Lifetime::Momentary)
        }
    }

    /// Momentary number without a unit.
    pub fn number() -> Self {
        Class::plain("")
    }

    /// Number of events since the meter was made.
    pub fn events() -> Self {
        Class {
            state_class: Some("total"),
            ..Class::new(Lifetime::Lasting)
        }
    }

    /// Text.
    pub fn text() -> Self {
        Class::new(Lifetime::Lasting)
    }

    /// Point in time.
    pub fn time() -> Self {
        Class {
            device_class: Some("timestamp"),
            ..Class::new(Lifetime::Lasting)
        }
    }

    /// Marks the sensor as diagnostic.
    pub fn diagnostic(self) -> Self {
        Class {
            is_diagnostic: true,
            ..self
        }
    }

    /// Disables the sensor until the user wants it.
    pub fn disabled(self) -> Self {
        Class {
            is_enabled: false,
            ..self
        }
    }

    /// Returns the component of a device, without its name and template. `places`: decimal places of its value.
    pub fn component(&self, places: Option<u32>) -> Map<String, Value> {
        let mut component = Map::new();
        let mut add = |key: &str, value: Option<Value>| {
            component.extend(value.map(|value| (key.to_owned(), value)));
        };
        add("platform", Some(json!("sensor")));
        add("device_class", self.device_class.map(Value::from));
        add("state_class", self.state_class.map(Value::from));
        add("unit_of_measurement", self.unit.clone().map(Value::from));
        let places = places.filter(|_| self.state_class.is_some() || self.unit.is_some());
        add("suggested_display_precision", places.map(Value::from));
        add("entity_category", self.is_diagnostic.then(|| json!("diagnostic")));
        add("enabled_by_default", (!self.is_enabled).then(|| json!(false)));
        component
    }
}

/// Device class of a radio meter's counter with this unit. `chosen`: device class of the configuration.
pub fn of_counter(commodity: Commodity, unit: &str, chosen: Option<&str>) -> Option<&'static str> {
    let is_energy = matches!(unit, "Wh" | "kWh" | "MWh" | "MJ" | "GJ");
    let chosen = ["energy", "gas", "water", "volume"]
        .into_iter()
        .find(|class| chosen == Some(class));
    match commodity {
        _ if chosen.is_some() => chosen,
        // Gas billed by energy is energy.
        _ if is_energy => Some("energy"),
        Commodity::Gas if is_refused("gas", unit) => Some("volume"),
        Commodity::Gas => Some("gas"),
        Commodity::Water => Some("water"),
        _ => None,
    }
}

/// Class of a wired meter's number with a unit; `None` if the unit is unknown. `medium`: medium of an M-Bus meter.
pub fn of_number(name: &str, unit: &Unit, reading_type: ReadingType, medium: Option<&str>) -> Option<Class> {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let mut class = of_unit(name, unit.as_str(), reading_type, medium)?;
    if class.lifetime == Lifetime::Counter && !is_cumulative(name, unit) {
        class.lifetime = Lifetime::Lasting;
        if has(&NET) {
            class = Class::net(class.unit.as_deref());
        } else if has(&PERIODS) {
            class.state_class = Some("total_increasing");
        }
    }
    if has(&PAST) {
        // A value of the past neither counts nor changes.
        (class.state_class, class.lifetime) = (None, Lifetime::Lasting);
    }
    if name.contains("threshold") {
        class.is_diagnostic = true;
        (class.state_class, class.lifetime) = (None, Lifetime::Lasting);
    }
    if name.starts_with("demand") && has(&["_max"]) {
        class.lifetime = Lifetime::Lasting;
    }
    let by_phase = PHASES.iter().any(|phase| name.ends_with(phase));
    let is_rare = (has(&RARE) && !name.starts_with(DEMAND))
        || (by_phase && RARE_BY_PHASE.iter().any(|start| name.starts_with(start)))
        || class.is_diagnostic;
    Some(Class {
        is_enabled: !is_rare,
        ..class
    })
}

fn of_unit(name: &str, unit: &str, reading_type: ReadingType, medium: Option<&str>) -> Option<Class> {
    Some(match unit {
        "Wh" | "kWh" | "MWh" | "GWh" | "MJ" | "GJ" | "kJ" => Class::counter(Some("energy"), Some(unit)),
        "W" | "kW" | "MW" => Class::measurement("power", unit),
        // Their classes are younger than 2024.11, or did not have these units then.
        "kvarh" | "varh" | "kVAh" => Class::counter(None, Some(unit)),
        "kvar" | "var" | "kVA" | "°" | "K" | "kg/h" => Class::plain(unit),
        "V" => Class::measurement("voltage", unit),
        "A" => Class::measurement("current", unit),
        "Hz" => Class::measurement("frequency", unit),
        "°C" | "°F" => Class::measurement("temperature", unit),
        "bar" => Class::measurement("pressure", unit),
        "m3" => Class::counter(Some(volume(reading_type, medium)), Some("m³")),
        "l" => Class::counter(Some(volume(reading_type, medium)), Some("L")),
        // L/h is unknown to 2024.11; such values are converted.
        "m3/h" | "l/h" => Class::measurement("volume_flow_rate", "m³/h"),
        "s" | "h" | "min" | "d" => Class {
            device_class: Some("duration"),
            unit: Some(unit.to_owned()),
            ..Class::events().diagnostic()
        },
        "" if name.starts_with("power_factor") => Class::measurement("power_factor", ""),
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

/// Returns the units in which Home Assistant accepts a counter of a device class of the configuration.
pub fn units_of(device_class: &str) -> &'static [&'static str] {
    match device_class {
        "energy" => &["Wh", "kWh", "MWh", "MJ", "GJ"],
        _ => &["L", "m³", "gal", "ft³", "CCF", "MCF"],
    }
}

/// Returns true if Home Assistant refuses a counter of this device class and unit.
pub fn is_refused(device_class: &str, unit: &str) -> bool {
    // Gas is not sold by the gallon.
    !units_of(device_class).contains(&unit) || (device_class == "gas" && unit == "gal")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, unit: &str) -> Class {
        of_number(name, &Unit::from(unit), ReadingType::Dlms, None).unwrap()
    }

    #[test]
    fn given_a_net_register_or_one_of_a_period_then_it_is_no_total() {
        for (name, state_class, lifetime) in [
            ("energy_import_total", "total", Lifetime::Counter),
            ("energy_combined_net_total", "measurement", Lifetime::Lasting),
            ("energy_import_day", "total_increasing", Lifetime::Lasting),
            ("power_net", "measurement", Lifetime::Momentary),
        ] {
            let unit = if name.starts_with("power") { "kW" } else { "kWh" };
            let class = class(name, unit);
            assert_eq!(
                (class.state_class, class.lifetime),
                (Some(state_class), lifetime),
                "{name}"
            );
        }
        assert_eq!(class("energy_combined_net_total", "kWh").device_class, None);
    }

    #[test]
    fn given_a_field_that_few_people_look_at_then_its_sensor_is_disabled() {
        for (name, unit, is_enabled) in [
            ("energy_import_t1", "kWh", true),
            ("voltage_l1", "V", true),
            ("demand_import_max_month", "kW", true),
            ("power_import_l1", "kW", false),
            ("energy_import_l3", "kWh", false),
            ("reactive_energy_import_total", "kvarh", false),
            ("volume_storage_7", "m3", false),
            ("threshold", "kW", false),
            ("operating_time", "h", false),
        ] {
            assert_eq!(class(name, unit).is_enabled, is_enabled, "{name}");
        }
    }

    #[test]
    fn given_a_class_and_a_unit_that_home_assistant_refuses_then_so_it_is_here() {
        for (class, unit, expected) in [
            ("gas", "kWh", true),
            ("gas", "gal", true),
            ("energy", "gal", true),
            ("water", "gal", false),
            ("energy", "GJ", false),
            ("volume", "MCF", false),
        ] {
            assert_eq!(is_refused(class, unit), expected, "{class} {unit}");
        }
    }
}
