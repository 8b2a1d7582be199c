//! Names of fields as wmbusmeters prints them, by the driver of a meter.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Name of the driver of a meter that no line of the table describes.
const UNKNOWN: &str = "auto";

/// Names that most drivers have, for meters without one. `*` stands for the same number on both sides.
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
];

/// Driver: its name, and the names of its fields.
#[derive(Debug)]
pub struct Driver {
    /// Name, as it stands in the configuration of wmbusmeters and in its objects.
    pub name: &'static str,
    names: Vec<(&'static str, &'static str)>,
}

/// Drivers by `MAKER.VERSION.TYPE`, the last two in hexadecimal.
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

/// Returns the driver of a meter by its maker, version and device type. New versions of a maker's meters send what the old ones
/// do: if all of a type have one driver, it is theirs, too.
pub fn driver(maker: &str, version: u8, device_type: u8) -> &'static Driver {
    let key = format!("{maker}.{version:02X}.{device_type:02X}");
    if let Some(driver) = DRIVERS.get(key.as_str()) {
        return driver;
    }
    let device_type = format!("{device_type:02X}");
    let mut others = DRIVERS.iter().filter_map(|(key, driver)| {
        let (other, rest) = key.split_once('.')?;
        (other == maker && rest.split_once('.')?.1 == device_type).then_some(*driver)
    });
    let first = others.next().unwrap_or(&AUTO);
    if others.all(|other| other.name == first.name) {
        first
    } else {
        &AUTO
    }
}

impl Driver {
    /// Returns the names of a field: none if the driver does not know it, several if it prints it several times.
    pub fn names_of(&self, field: &str, medium: &str) -> Vec<String> {
        let exact = self.names.iter().filter(|(ours, _)| *ours == field);
        let mut names: Vec<String> = exact.map(|(_, theirs)| (*theirs).to_owned()).collect();
        if names.is_empty() {
            names.extend(
                self.names
                    .iter()
                    .filter_map(|(ours, theirs)| renamed(ours, theirs, field)),
            );
        }
        if names.is_empty() && self.name == UNKNOWN {
            let usual = usual_of(medium).iter().chain(USUAL);
            names.extend(
                usual
                    .filter_map(|(ours, theirs)| renamed(ours, theirs, field))
                    .take(1),
            );
        }
        names
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

/// Applies a row of the table to a field. `*` stands for a number, and `*-8` for the number less 8.
pub fn renamed(ours: &str, theirs: &str, field: &str) -> Option<String> {
    let Some((before, after)) = ours.split_once('*') else {
        return (ours == field).then(|| theirs.to_owned());
    };
    let number = number_at(field, before, after)?;
    let (before, after) = theirs.split_once('*')?;
    let digits = after
        .strip_prefix('-')
        .map(|after| after.trim_start_matches(|c: char| c.is_ascii_digit()));
    let Some(rest) = digits else {
        return Some(format!("{before}{number}{after}"));
    };
    let less: i64 = after[1..after.len() - rest.len()].parse().ok()?;
    // Numbers that are not above zero are of values with names of their own.
    let number = Some(number - less).filter(|number| *number > 0)?;
    Some(format!("{before}{number}{rest}"))
}

/// Returns the number between two parts of a name.
pub fn number_at(name: &str, before: &str, after: &str) -> Option<i64> {
    let number = name.strip_prefix(before)?.strip_suffix(after)?;
    let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_the_names_of_its_driver_and_of_meters_without_one_the_usual_ones() {
        let heat = driver("KAM", 0x30, 0x04);
        assert_eq!(heat.name, "kamheat");
        assert_eq!(driver("KAM", 0x30, 0x02).name, "omnipower");
        assert_eq!(heat.names_of("volume", "heat"), ["total_volume_m3"]);
        assert_eq!(
            driver("QDS", 0x99, 0x07).name,
            "qwaterv2",
            "all of its water meters"
        );
        assert_eq!(driver("DME", 0x99, 0x07).name, "auto", "several");
        let unknown = driver("XYZ", 1, 2);
        assert_eq!(unknown.name, "auto");
        assert_eq!(
            unknown.names_of("power", "electricity"),
            ["current_power_consumption_kw"]
        );
        assert_eq!(
            unknown.names_of("energy_t2", "electricity"),
            ["total_energy_consumption_tariff_2_kwh"]
        );
        assert!(unknown.names_of("volume_storage_77", "water").is_empty());
    }

    #[test]
    fn numbers_pass_into_the_name_and_may_be_reduced() {
        for (ours, theirs, field, expected) in [
            (
                "volume_storage_*",
                "target_*_m3",
                "volume_storage_12",
                Some("target_12_m3"),
            ),
            (
                "volume_storage_*",
                "history_*-7_m3",
                "volume_storage_12",
                Some("history_5_m3"),
            ),
            (
                "energy_t*_storage_2",
                "tariff_*_kwh",
                "energy_t3_storage_2",
                Some("tariff_3_kwh"),
            ),
            ("volume_storage_*", "target_*_m3", "volume_storage_x", None),
            ("volume_storage_*", "target_*_m3", "volume", None),
        ] {
            assert_eq!(renamed(ours, theirs, field).as_deref(), expected, "{field}");
        }
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
            let mut parts = key.split('.').skip(1);
            assert!(parts.all(|part| u8::from_str_radix(part, 16).is_ok()), "{key}");
            assert!(
                driver
                    .names
                    .iter()
                    .all(|(ours, theirs)| !ours.is_empty() && !theirs.is_empty())
            );
        }
    }
}
