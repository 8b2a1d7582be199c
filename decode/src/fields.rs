//! What wired meters measure, by OBIS code: the one table of names, units and kinds.
//!
//! The B group of electricity is the channel and says nothing here (Swiss meters count under `1-1`). Names follow
//! `<quantity>_<direction>[_<phase or tariff>]`, in English and in small letters.

use super::obis::Obis;
use Kind::{Count, Demand, Events, History, Measured, Stamp, Text, Word};

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number with a unit.
    Measured,
    /// A time and a number with a unit.
    Demand,
    /// A whole number.
    Count,
    /// A time.
    Stamp,
    /// Text, in hex as a rule.
    Text,
    /// Text as it stands.
    Word,
    /// The log of power failures.
    Events,
    /// Belgium's peaks of the last months, or Hungary's registers at the end of the last one.
    History,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// In readings.
    pub name: &'static str,
    /// Where the telegram says nothing.
    pub unit: &'static str,
    /// How it is written.
    pub kind: Kind,
    /// Home Assistant's name for the quantity; empty where it has none.
    pub device_class: &'static str,
}

/// A, C, D, E; name; unit; kind; device class.
type Row = (u8, u8, u8, u8, &'static str, &'static str, Kind, &'static str);

/// The field of a code; nothing for codes of sub-meters and unknown ones.
pub fn field(obis: Obis) -> Option<Field> {
    if obis.a == 0 && obis.b != 0 {
        return None;
    }
    let key = (obis.a, obis.c, obis.d, obis.e);
    let row = TABLE.iter().find(|row| (row.0, row.1, row.2, row.3) == key)?;
    Some(Field {
        name: row.4,
        unit: row.5,
        kind: row.6,
        device_class: row.7,
    })
}

/// All rows, for documents.
pub fn table() -> impl Iterator<Item = (String, Field)> {
    TABLE.iter().map(|&(a, c, d, e, name, unit, kind, device_class)| {
        let code = format!("{a}-{}:{c}.{d}.{e}", if a == 1 { "x" } else { "0" });
        let field = Field {
            name,
            unit,
            kind,
            device_class,
        };
        (code, field)
    })
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    (1, 0, 2, 8, "p1_version", "", Word, ""),
    (0, 96, 1, 4, "p1_version_be", "", Word, ""),
    (0, 1, 0, 0, "timestamp", "", Stamp, "timestamp"),
    (0, 96, 1, 1, "equipment_id", "", Text, ""),
    (0, 96, 1, 0, "equipment_id", "", Text, ""),
    (1, 0, 0, 1, "equipment_id", "", Text, ""),
    (1, 0, 0, 5, "equipment_id", "", Text, ""),
    (1, 96, 1, 1, "meter_type", "", Text, ""),
    (0, 96, 1, 7, "meter_type", "", Text, ""),
    (1, 0, 2, 129, "list_version", "", Text, ""),
    (0, 96, 1, 2, "ean", "", Text, ""),
    (0, 42, 0, 0, "logical_device_name", "", Text, ""),
    (1, 1, 8, 0, "energy_import_total", "kWh", Measured, "energy"),
    (1, 1, 8, 1, "energy_import_t1", "kWh", Measured, "energy"),
    (1, 1, 8, 2, "energy_import_t2", "kWh", Measured, "energy"),
    (1, 1, 8, 3, "energy_import_t3", "kWh", Measured, "energy"),
    (1, 1, 8, 4, "energy_import_t4", "kWh", Measured, "energy"),
    (1, 2, 8, 0, "energy_export_total", "kWh", Measured, "energy"),
    (1, 2, 8, 1, "energy_export_t1", "kWh", Measured, "energy"),
    (1, 2, 8, 2, "energy_export_t2", "kWh", Measured, "energy"),
    (1, 2, 8, 3, "energy_export_t3", "kWh", Measured, "energy"),
    (1, 2, 8, 4, "energy_export_t4", "kWh", Measured, "energy"),
    (1, 3, 8, 0, "reactive_energy_import_total", "kvarh", Measured, "reactive_energy"),
    (1, 3, 8, 1, "reactive_energy_import_t1", "kvarh", Measured, "reactive_energy"),
    (1, 3, 8, 2, "reactive_energy_import_t2", "kvarh", Measured, "reactive_energy"),
    (1, 4, 8, 0, "reactive_energy_export_total", "kvarh", Measured, "reactive_energy"),
    (1, 4, 8, 1, "reactive_energy_export_t1", "kvarh", Measured, "reactive_energy"),
    (1, 4, 8, 2, "reactive_energy_export_t2", "kvarh", Measured, "reactive_energy"),
    (1, 5, 8, 0, "reactive_energy_q1_total", "kvarh", Measured, "reactive_energy"),
    (1, 6, 8, 0, "reactive_energy_q2_total", "kvarh", Measured, "reactive_energy"),
    (1, 7, 8, 0, "reactive_energy_q3_total", "kvarh", Measured, "reactive_energy"),
    (1, 8, 8, 0, "reactive_energy_q4_total", "kvarh", Measured, "reactive_energy"),
    (1, 3, 8, 3, "reactive_energy_import_t3", "kvarh", Measured, "reactive_energy"),
    (1, 3, 8, 4, "reactive_energy_import_t4", "kvarh", Measured, "reactive_energy"),
    (1, 4, 8, 3, "reactive_energy_export_t3", "kvarh", Measured, "reactive_energy"),
    (1, 4, 8, 4, "reactive_energy_export_t4", "kvarh", Measured, "reactive_energy"),
    (1, 5, 8, 1, "reactive_energy_q1_t1", "kvarh", Measured, "reactive_energy"),
    (1, 5, 8, 2, "reactive_energy_q1_t2", "kvarh", Measured, "reactive_energy"),
    (1, 5, 8, 3, "reactive_energy_q1_t3", "kvarh", Measured, "reactive_energy"),
    (1, 5, 8, 4, "reactive_energy_q1_t4", "kvarh", Measured, "reactive_energy"),
    (1, 6, 8, 1, "reactive_energy_q2_t1", "kvarh", Measured, "reactive_energy"),
    (1, 6, 8, 2, "reactive_energy_q2_t2", "kvarh", Measured, "reactive_energy"),
    (1, 6, 8, 3, "reactive_energy_q2_t3", "kvarh", Measured, "reactive_energy"),
    (1, 6, 8, 4, "reactive_energy_q2_t4", "kvarh", Measured, "reactive_energy"),
    (1, 7, 8, 1, "reactive_energy_q3_t1", "kvarh", Measured, "reactive_energy"),
    (1, 7, 8, 2, "reactive_energy_q3_t2", "kvarh", Measured, "reactive_energy"),
    (1, 7, 8, 3, "reactive_energy_q3_t3", "kvarh", Measured, "reactive_energy"),
    (1, 7, 8, 4, "reactive_energy_q3_t4", "kvarh", Measured, "reactive_energy"),
    (1, 8, 8, 1, "reactive_energy_q4_t1", "kvarh", Measured, "reactive_energy"),
    (1, 8, 8, 2, "reactive_energy_q4_t2", "kvarh", Measured, "reactive_energy"),
    (1, 8, 8, 3, "reactive_energy_q4_t3", "kvarh", Measured, "reactive_energy"),
    (1, 8, 8, 4, "reactive_energy_q4_t4", "kvarh", Measured, "reactive_energy"),
    (1, 1, 8, 11, "energy_import_t11", "kWh", Measured, "energy"),
    (1, 1, 8, 12, "energy_import_t12", "kWh", Measured, "energy"),
    (1, 1, 8, 13, "energy_import_t13", "kWh", Measured, "energy"),
    (1, 2, 8, 11, "energy_export_t11", "kWh", Measured, "energy"),
    (1, 2, 8, 12, "energy_export_t12", "kWh", Measured, "energy"),
    (1, 2, 8, 13, "energy_export_t13", "kWh", Measured, "energy"),
    (1, 9, 8, 0, "apparent_energy_import_total", "kVAh", Measured, ""),
    (1, 10, 8, 0, "apparent_energy_export_total", "kVAh", Measured, ""),
    (1, 15, 8, 0, "energy_combined_abs_total", "kWh", Measured, "energy"),
    (1, 16, 8, 0, "energy_combined_net_total", "kWh", Measured, "energy"),
    (1, 21, 8, 0, "energy_import_l1", "kWh", Measured, "energy"),
    (1, 22, 8, 0, "energy_export_l1", "kWh", Measured, "energy"),
    (1, 41, 8, 0, "energy_import_l2", "kWh", Measured, "energy"),
    (1, 42, 8, 0, "energy_export_l2", "kWh", Measured, "energy"),
    (1, 61, 8, 0, "energy_import_l3", "kWh", Measured, "energy"),
    (1, 62, 8, 0, "energy_export_l3", "kWh", Measured, "energy"),
    (1, 1, 7, 0, "power_import", "kW", Measured, "power"),
    (1, 2, 7, 0, "power_export", "kW", Measured, "power"),
    (1, 16, 7, 0, "power_net", "kW", Measured, "power"),
    (1, 21, 7, 0, "power_import_l1", "kW", Measured, "power"),
    (1, 41, 7, 0, "power_import_l2", "kW", Measured, "power"),
    (1, 61, 7, 0, "power_import_l3", "kW", Measured, "power"),
    (1, 22, 7, 0, "power_export_l1", "kW", Measured, "power"),
    (1, 42, 7, 0, "power_export_l2", "kW", Measured, "power"),
    (1, 62, 7, 0, "power_export_l3", "kW", Measured, "power"),
    (1, 3, 7, 0, "reactive_power_import", "kvar", Measured, "reactive_power"),
    (1, 4, 7, 0, "reactive_power_export", "kvar", Measured, "reactive_power"),
    (1, 23, 7, 0, "reactive_power_import_l1", "kvar", Measured, "reactive_power"),
    (1, 43, 7, 0, "reactive_power_import_l2", "kvar", Measured, "reactive_power"),
    (1, 63, 7, 0, "reactive_power_import_l3", "kvar", Measured, "reactive_power"),
    (1, 24, 7, 0, "reactive_power_export_l1", "kvar", Measured, "reactive_power"),
    (1, 44, 7, 0, "reactive_power_export_l2", "kvar", Measured, "reactive_power"),
    (1, 64, 7, 0, "reactive_power_export_l3", "kvar", Measured, "reactive_power"),
    (1, 5, 7, 0, "reactive_power_q1", "kvar", Measured, "reactive_power"),
    (1, 6, 7, 0, "reactive_power_q2", "kvar", Measured, "reactive_power"),
    (1, 7, 7, 0, "reactive_power_q3", "kvar", Measured, "reactive_power"),
    (1, 8, 7, 0, "reactive_power_q4", "kvar", Measured, "reactive_power"),
    (1, 9, 7, 0, "apparent_power_import", "kVA", Measured, "apparent_power"),
    (1, 10, 7, 0, "apparent_power_export", "kVA", Measured, "apparent_power"),
    (1, 29, 7, 0, "apparent_power_import_l1", "kVA", Measured, "apparent_power"),
    (1, 49, 7, 0, "apparent_power_import_l2", "kVA", Measured, "apparent_power"),
    (1, 69, 7, 0, "apparent_power_import_l3", "kVA", Measured, "apparent_power"),
    (1, 30, 7, 0, "apparent_power_export_l1", "kVA", Measured, "apparent_power"),
    (1, 50, 7, 0, "apparent_power_export_l2", "kVA", Measured, "apparent_power"),
    (1, 70, 7, 0, "apparent_power_export_l3", "kVA", Measured, "apparent_power"),
    (1, 12, 7, 0, "voltage", "V", Measured, "voltage"),
    (1, 32, 7, 0, "voltage_l1", "V", Measured, "voltage"),
    (1, 52, 7, 0, "voltage_l2", "V", Measured, "voltage"),
    (1, 72, 7, 0, "voltage_l3", "V", Measured, "voltage"),
    (1, 11, 7, 0, "current", "A", Measured, "current"),
    (1, 31, 7, 0, "current_l1", "A", Measured, "current"),
    (1, 51, 7, 0, "current_l2", "A", Measured, "current"),
    (1, 71, 7, 0, "current_l3", "A", Measured, "current"),
    (1, 90, 7, 0, "current_sum", "A", Measured, "current"),
    (1, 91, 7, 0, "current_n", "A", Measured, "current"),
    (1, 13, 7, 0, "power_factor", "", Measured, "power_factor"),
    (1, 33, 7, 0, "power_factor_l1", "", Measured, "power_factor"),
    (1, 53, 7, 0, "power_factor_l2", "", Measured, "power_factor"),
    (1, 73, 7, 0, "power_factor_l3", "", Measured, "power_factor"),
    (1, 14, 7, 0, "frequency", "Hz", Measured, "frequency"),
    (0, 96, 14, 0, "tariff", "", Count, ""),
    (0, 17, 0, 0, "threshold", "kW", Measured, "power"),
    (0, 96, 3, 10, "switch_electricity", "", Count, ""),
    (0, 96, 7, 21, "power_failures", "", Count, ""),
    (0, 96, 7, 9, "power_failures_long", "", Count, ""),
    (1, 99, 97, 0, "power_failure_log", "", Events, ""),
    (1, 32, 32, 0, "voltage_sags_l1", "", Count, ""),
    (1, 52, 32, 0, "voltage_sags_l2", "", Count, ""),
    (1, 72, 32, 0, "voltage_sags_l3", "", Count, ""),
    (1, 32, 36, 0, "voltage_swells_l1", "", Count, ""),
    (1, 52, 36, 0, "voltage_swells_l2", "", Count, ""),
    (1, 72, 36, 0, "voltage_swells_l3", "", Count, ""),
    (1, 32, 33, 0, "voltage_sag_duration_l1", "s", Measured, "duration"),
    (1, 32, 34, 0, "voltage_sag_depth_l1", "V", Measured, "voltage"),
    (1, 32, 37, 0, "voltage_swell_duration_l1", "s", Measured, "duration"),
    (1, 32, 38, 0, "voltage_swell_height_l1", "V", Measured, "voltage"),
    (1, 32, 24, 0, "voltage_avg_l1", "V", Measured, "voltage"),
    (1, 52, 33, 0, "voltage_sag_duration_l2", "s", Measured, "duration"),
    (1, 52, 34, 0, "voltage_sag_depth_l2", "V", Measured, "voltage"),
    (1, 52, 37, 0, "voltage_swell_duration_l2", "s", Measured, "duration"),
    (1, 52, 38, 0, "voltage_swell_height_l2", "V", Measured, "voltage"),
    (1, 52, 24, 0, "voltage_avg_l2", "V", Measured, "voltage"),
    (1, 72, 33, 0, "voltage_sag_duration_l3", "s", Measured, "duration"),
    (1, 72, 34, 0, "voltage_sag_depth_l3", "V", Measured, "voltage"),
    (1, 72, 37, 0, "voltage_swell_duration_l3", "s", Measured, "duration"),
    (1, 72, 38, 0, "voltage_swell_height_l3", "V", Measured, "voltage"),
    (1, 72, 24, 0, "voltage_avg_l3", "V", Measured, "voltage"),
    (1, 1, 24, 0, "power_import_avg", "kW", Measured, "power"),
    (1, 2, 24, 0, "power_export_avg", "kW", Measured, "power"),
    (1, 15, 24, 0, "power_combined_abs_avg", "kW", Measured, "power"),
    (1, 16, 24, 0, "power_net_avg", "kW", Measured, "power"),
    (1, 15, 7, 0, "power_combined_abs", "kW", Measured, "power"),
    (0, 96, 13, 0, "message_long", "", Text, ""),
    (0, 96, 13, 1, "message_short", "", Text, ""),
    (0, 96, 13, 2, "message_2", "", Text, ""),
    (0, 96, 13, 3, "message_3", "", Text, ""),
    (0, 96, 13, 4, "message_4", "", Text, ""),
    (0, 96, 13, 5, "message_5", "", Text, ""),
    (1, 31, 4, 0, "fuse_threshold", "A", Measured, "current"),
    (1, 51, 4, 0, "fuse_threshold_l2", "A", Measured, "current"),
    (1, 71, 4, 0, "fuse_threshold_l3", "A", Measured, "current"),
    (1, 1, 4, 0, "demand_import_avg", "kW", Measured, "power"),
    (1, 2, 4, 0, "demand_export_avg", "kW", Measured, "power"),
    (1, 1, 6, 0, "demand_import_max_month", "kW", Demand, "power"),
    (1, 2, 6, 0, "demand_export_max_month", "kW", Demand, "power"),
    (0, 98, 1, 0, "demand_import_max_history", "kW", History, ""),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_code_stands_twice_and_no_name_but_that_of_the_meter() {
        let codes: BTreeSet<_> = TABLE.iter().map(|row| (row.0, row.1, row.2, row.3)).collect();
        assert_eq!(codes.len(), TABLE.len());
        let names: BTreeSet<_> = TABLE.iter().map(|row| row.4).collect();
        assert_eq!(
            names.len(),
            TABLE.len() - 4,
            "equipment_id has four codes, meter_type two"
        );
    }

    /// `METERTAP_WRITE_DOCS=1 cargo test` writes the document again.
    #[test]
    fn the_document_shows_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fields.md");
        let mut text = String::from(
            "# Fields of wired meters\n\nMade from `decode/src/fields.rs`. `x`: any channel. Device class: Home Assistant's.\n\n\
             | OBIS | field | unit | kind | device class |\n| --- | --- | --- | --- | --- |\n",
        );
        for (code, field) in table() {
            let kind = format!("{:?}", field.kind).to_lowercase();
            text += &format!(
                "| {code} | `{}` | {} | {kind} | {} |\n",
                field.name, field.unit, field.device_class
            );
        }
        if std::env::var_os("METERTAP_WRITE_DOCS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
    }

    #[test]
    fn a_swiss_channel_is_the_same_and_a_sub_meter_is_not_ours() {
        let name = |text: &str| field(text.parse().unwrap()).map(|field| field.name);
        assert_eq!(name("1-1:1.8.1"), Some("energy_import_t1"));
        assert_eq!(name("0-1:96.1.0"), None);
        assert_eq!(name("1-0:42.1.0"), None);
    }
}
