//! Names of fields as wmbusmeters prints them, by the driver of a meter.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Name of the driver of a meter that no line of the table describes.
const UNKNOWN: &str = "auto";

/// Names that most drivers have. `*` stands for the same number on both sides.
const USUAL: &[(&str, &str)] = &[
    ("volume", "total_m3"),
    ("volume_storage_1", "target_m3"),
    ("volume_backward", "total_backward_m3"),
    ("volume_flow", "volume_flow_m3h"),
    ("volume_flow_max", "max_flow_m3h"),
    ("date", "meter_date"),
    ("date_storage_1", "target_date"),
    ("datetime", "meter_datetime"),
    ("energy", "total_energy_consumption_kwh"),
    ("energy_t*", "total_energy_consumption_tariff_*_kwh"),
    ("energy_storage_1", "target_energy_kwh"),
    ("energy_export", "total_energy_production_kwh"),
    ("energy_export_t*", "total_energy_production_tariff_*_kwh"),
    ("energy_backward", "total_energy_backward_kwh"),
    ("power", "power_kw"),
    ("power_max", "max_power_kw"),
    ("power_export", "current_power_production_kw"),
    ("flow_temperature", "flow_temperature_c"),
    ("return_temperature", "return_temperature_c"),
    ("external_temperature", "external_temperature_c"),
    ("temperature_difference", "temperature_difference_c"),
    ("humidity", "current_relative_humidity_rh"),
    ("heat_cost_units", "current_consumption_hca"),
    ("heat_cost_units_storage_1", "consumption_at_set_date_hca"),
    ("voltage_l*", "voltage_at_phase_*_v"),
    ("current_l*", "current_at_phase_*_a"),
    ("battery_remaining", "remaining_battery_life_y"),
    ("fabrication_number", "fabrication_no"),
    ("actuality_duration", "actuality_duration_s"),
    ("operating_time", "operating_time_h"),
    ("on_time", "on_time_h"),
    ("software_version", "software_version"),
    ("customer", "customer"),
    ("leak_date", "leak_date"),
];

/// Driver: its name, and names of fields that differ from the usual ones.
#[derive(Debug)]
pub struct Driver {
    /// Name, as it stands in the configuration of wmbusmeters and in its objects.
    pub name: &'static str,
    names: Vec<(&'static str, &'static str)>,
}

/// Drivers by `MAKER.VERSION`, or `MAKER.VERSION.medium` where meters of several media have the same version.
static DRIVERS: LazyLock<HashMap<&'static str, &'static Driver>> = LazyLock::new(|| {
    let lines = include_str!("drivers.txt").lines();
    let mut drivers = HashMap::new();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let Some((head, names)) = line.split_once(':') else {
            continue;
        };
        let mut head = head.split_whitespace();
        let driver: &Driver = Box::leak(Box::new(Driver {
            name: head.next().unwrap_or(UNKNOWN),
            names: names
                .split_whitespace()
                .filter_map(|pair| pair.split_once('='))
                .collect(),
        }));
        drivers.extend(head.map(|key| (key, driver)));
    }
    drivers
});

/// Driver of meters that no line describes.
static AUTO: Driver = Driver {
    name: UNKNOWN,
    names: Vec::new(),
};

/// Returns the driver of a meter by its maker, version and medium.
pub fn driver(maker: &str, version: u8, medium: &str) -> &'static Driver {
    let key = format!("{maker}.{version:02X}");
    let medium = match medium {
        "cold_water" | "warm_water" | "hot_water" => "water",
        "cooling" | "heat_and_cooling" => "heat",
        other => other,
    };
    let exact = DRIVERS.get(format!("{key}.{medium}").as_str());
    exact
        .or_else(|| DRIVERS.get(key.as_str()))
        .copied()
        .unwrap_or(&AUTO)
}

impl Driver {
    /// Returns the name of a field; `None` if the driver has none for it.
    pub fn name_of(&self, field: &str, medium: &str) -> Option<String> {
        let named = |names: &[(&'static str, &'static str)]| {
            let exact = names.iter().find(|(ours, _)| *ours == field);
            let exact = exact.map(|(_, theirs)| (*theirs).to_owned());
            exact.or_else(|| {
                names
                    .iter()
                    .find_map(|(ours, theirs)| numbered(ours, theirs, field))
            })
        };
        named(&self.names)
            .or_else(|| named(usual_of(medium)))
            .or_else(|| named(USUAL))
    }
}

/// Names that most drivers of a medium have.
fn usual_of(medium: &str) -> &'static [(&'static str, &'static str)] {
    match medium {
        "electricity" => &[
            ("power", "current_power_consumption_kw"),
            ("power_max", "max_power_consumption_kw"),
            ("datetime", "device_datetime"),
        ],
        _ => &[],
    }
}

/// Applies a rule with `*` to a field.
fn numbered(ours: &str, theirs: &str, field: &str) -> Option<String> {
    let number = field.strip_prefix(ours.strip_suffix('*')?)?;
    let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| theirs.replace('*', number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_the_name_of_its_driver_or_else_the_usual_one() {
        let heat = driver("KAM", 0x30, "heat");
        assert_eq!(heat.name, "kamheat");
        assert_eq!(driver("KAM", 0x30, "electricity").name, "omnipower");
        assert_eq!(heat.name_of("volume", "heat").as_deref(), Some("total_volume_m3"));
        assert_eq!(
            heat.name_of("energy_t2", "heat").as_deref(),
            Some("total_energy_consumption_tariff_2_kwh")
        );
        let unknown = driver("XYZ", 1, "electricity");
        assert_eq!(unknown.name, "auto");
        assert_eq!(
            unknown.name_of("power", "electricity").as_deref(),
            Some("current_power_consumption_kw")
        );
        assert_eq!(unknown.name_of("volume_storage_77", "water"), None);
    }

    #[test]
    fn every_line_of_the_table_names_a_driver_and_its_meters() {
        let lines = include_str!("drivers.txt")
            .lines()
            .filter(|line| !line.starts_with('#'));
        let keys: usize = lines
            .map(|line| line.split_once(':').unwrap().0.split_whitespace().count() - 1)
            .sum();
        assert_eq!(DRIVERS.len(), keys, "a meter has one driver");
        for (key, driver) in DRIVERS.iter() {
            let version = key.split('.').nth(1).unwrap();
            assert!(u8::from_str_radix(version, 16).is_ok(), "{key}");
            assert!(
                driver
                    .names
                    .iter()
                    .all(|(ours, theirs)| !ours.is_empty() && !theirs.is_empty())
            );
        }
    }
}
