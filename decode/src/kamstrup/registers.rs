//! Numbers and names of registers, units and models (Kamstrup 5512-447, chapter 5).

use crate::unit::Unit;

/// Models that [`model`] knows.
pub const MODELS: [&str; 7] = ["302", "402", "403", "601", "602", "603", "382"];

/// Returns the registers that are read of a model; `None` for a model that is not known.
pub fn model(name: &str) -> Option<&'static [u16]> {
    Some(match name {
        // Heat meters with energy, volume, flow, power and temperatures.
        "302" => &[60, 63, 68, 74, 80, 86, 87, 89, 99, 1004],
        "402" => &[60, 63, 68, 74, 80, 86, 87, 89, 97, 110, 99, 1004],
        "403" | "603" => &[60, 63, 68, 72, 74, 80, 86, 87, 89, 97, 110, 99, 1004],
        "601" | "602" => &[
            60, 61, 62, 63, 68, 69, 72, 74, 75, 80, 86, 87, 88, 89, 97, 110, 99, 1004,
        ],
        // Electricity meter.
        "382" => &[
            1, 2, 1023, 1024, 1054, 1055, 1056, 1076, 1077, 1078, 1080, 1081, 1082, 1004,
        ],
        _ => return None,
    })
}

/// Returns the number of a register by its name, or by the number itself in decimal digits.
pub fn register(name: &str) -> Option<u16> {
    let known = NAMES.iter().find(|(_, known)| *known == name);
    known.map(|(number, _)| *number).or_else(|| name.parse().ok())
}

/// Returns the name of a register.
pub(super) fn name(number: u16) -> Option<&'static str> {
    NAMES
        .iter()
        .find(|(known, _)| *known == number)
        .map(|(_, name)| *name)
}

/// Returns a unit by its number; [`Unit::None`] for plain numbers, dates, times, bit fields and numbers that are not
/// known. Section 5.1 lists the units of heat meters, from which the gaps (prefixes) follow.
pub(super) fn unit(number: u8) -> Unit {
    match number {
        1 => Unit::Wh,
        2 => Unit::KWh,
        3 => Unit::MWh,
        4 => Unit::GWh,
        5 => Unit::J,
        6 => Unit::KJ,
        7 => Unit::MJ,
        8 => Unit::GJ,
        9 => Unit::Cal,
        10 => Unit::Kcal,
        11 => Unit::Mcal,
        12 => Unit::Gcal,
        13 => Unit::Varh,
        14 => Unit::Kvarh,
        15 => Unit::Mvarh,
        16 => Unit::Gvarh,
        17 => Unit::VAh,
        18 => Unit::KVAh,
        19 => Unit::MVAh,
        20 => Unit::GVAh,
        21 => Unit::W,
        22 => Unit::KW,
        23 => Unit::MW,
        24 => Unit::GW,
        25 => Unit::Var,
        26 => Unit::Kvar,
        27 => Unit::Mvar,
        28 => Unit::Gvar,
        29 => Unit::VA,
        30 => Unit::KVA,
        31 => Unit::MVA,
        32 => Unit::GVA,
        33 => Unit::V,
        34 => Unit::A,
        35 => Unit::KV,
        36 => Unit::KA,
        37 => Unit::Celsius,
        38 => Unit::Kelvin,
        39 => Unit::Liter,
        40 => Unit::CubicMeter,
        41 => Unit::LiterPerHour,
        42 => Unit::CubicMeterPerHour,
        43 => Unit::CubicMeterCelsius,
        44 => Unit::Ton,
        45 => Unit::TonPerHour,
        46 => Unit::Hour,
        52 => Unit::Bar,
        58 => Unit::Minute,
        60 => Unit::Second,
        61 => Unit::Millisecond,
        62 => Unit::Day,
        _ => Unit::None,
    }
}

/// Names of registers (section 5.2). The numbers of the energies E1 to E9 are not in order: E2 is 94, E4 is 61.
#[rustfmt::skip]
const NAMES: &[(u16, &str)] = &[
    (1, "energy_import_total"), (2, "energy_export_total"),
    (60, "heat_energy"), (63, "cooling_energy"),
    // E2 control energy, E4 flow energy, E5 return flow energy, E6 tap water energy, E7 heat energy Y.
    (94, "energy_e2"), (61, "energy_e4"), (62, "energy_e5"), (95, "energy_e6"), (96, "energy_e7"),
    (97, "volume_temperature_1"), (110, "volume_temperature_2"),
    (64, "tariff_energy_2"), (65, "tariff_energy_3"),
    (68, "volume"), (69, "volume_2"), (72, "mass"), (73, "mass_2"), (74, "flow"), (75, "flow_2"),
    (80, "power"), (84, "input_a"), (85, "input_b"),
    (86, "flow_temperature"), (87, "return_temperature"), (88, "temperature_3"), (122, "temperature_4"),
    (89, "temperature_difference"), (91, "pressure"), (92, "pressure_2"),
    (98, "target_date"), (99, "info_code"), (113, "info_events"),
    (112, "customer_number_high"), (1010, "customer_number"),
    (123, "flow_max_year_date"), (124, "flow_max_year"), (125, "flow_min_year_date"), (126, "flow_min_year"),
    (127, "power_max_year_date"), (128, "power_max_year"), (129, "power_min_year_date"), (130, "power_min_year"),
    (138, "flow_max_month_date"), (139, "flow_max_month"), (140, "flow_min_month_date"), (141, "flow_min_month"),
    (142, "power_max_month_date"), (143, "power_max_month"), (144, "power_min_month_date"), (145, "power_min_month"),
    (146, "flow_temperature_avg_year"), (147, "return_temperature_avg_year"),
    (149, "flow_temperature_avg_month"), (150, "return_temperature_avg_month"),
    (152, "program_number"), (153, "configuration_1"), (168, "configuration_2"), (154, "checksum"),
    (175, "error_hours"), (239, "volume_high_resolution"), (266, "heat_energy_high_resolution"),
    (267, "cooling_energy_high_resolution"),
    (1001, "serial_number"), (1002, "clock"), (1003, "date"), (1004, "operating_hours"), (1005, "meter_type"),
    (1023, "power_import"), (1024, "power_export"),
    (1054, "voltage_l1"), (1055, "voltage_l2"), (1056, "voltage_l3"),
    (1076, "current_l1"), (1077, "current_l2"), (1078, "current_l3"),
    (1080, "power_import_l1"), (1081, "power_import_l2"), (1082, "power_import_l3"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_register_has_one_name_and_every_register_of_a_model_has_one() {
        let numbers: BTreeSet<u16> = NAMES.iter().map(|(number, _)| *number).collect();
        let names: BTreeSet<&str> = NAMES.iter().map(|(_, name)| *name).collect();
        assert_eq!((numbers.len(), names.len()), (NAMES.len(), NAMES.len()));
        for name in MODELS {
            assert!(
                model(name).unwrap().iter().all(|number| numbers.contains(number)),
                "{name}"
            );
        }
        assert_eq!(
            (register("power"), register("80"), register("pwoer")),
            (Some(80), Some(80), None)
        );
    }

    /// Kamstrup 5512-447, 5.2.
    #[test]
    fn energies_have_the_numbers_of_the_specification() {
        for (energy, number) in [("e2", 94), ("e4", 61), ("e5", 62), ("e6", 95), ("e7", 96)] {
            assert_eq!(register(&format!("energy_{energy}")), Some(number), "{energy}");
        }
    }
}
