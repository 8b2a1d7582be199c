//! Objects of wired electricity meters by OBIS code: the one table of names, units and encodings.
//!
//! Names are `<quantity>_<direction>[_<phase or tariff>]` in English and lower case. Group B of an electricity code is the
//! channel and is ignored: Swiss meters count under `1-1`. The table is printed in `docs/fields.md`.

use crate::obis::Obis;
use crate::unit::Unit;
use FieldKind::{Count, Demand, FailureLog, HexText, History, Quantity, Text, Time};

/// Encoding of a value in a P1 telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Number with a unit.
    Quantity,
    /// Time, and a number with a unit.
    Demand,
    /// Whole number.
    Count,
    /// Time.
    Time,
    /// Text, as a rule in hexadecimal digits.
    HexText,
    /// Text as it stands.
    Text,
    /// Log of power failures.
    FailureLog,
    /// Peaks of the last months (Belgium), or registers at the end of the last month (Hungary).
    History,
}

/// Row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name in readings.
    pub name: &'static str,
    /// Unit where the telegram sends none.
    pub unit: Unit,
    /// Encoding of the value.
    pub kind: FieldKind,
    /// Home Assistant's device class; empty where it has none.
    pub device_class: &'static str,
}

/// Groups A, C, D and E of the code; name; unit; encoding; device class.
type Row = (u8, u8, u8, u8, &'static str, Unit, FieldKind, &'static str);

/// Returns the field of a code; `None` for codes of sub-meters and for unknown ones.
pub fn field(obis: Obis) -> Option<Field> {
    if obis.a == 0 && obis.b != 0 {
        return None;
    }
    let code = (obis.a, obis.c, obis.d, obis.e);
    TABLE
        .iter()
        .find(|row| (row.0, row.1, row.2, row.3) == code)
        .map(from_row)
}

/// Returns every row with its code, in which `x` stands for any channel.
pub fn table() -> impl Iterator<Item = (String, Field)> {
    TABLE.iter().map(|row| {
        let channel = if row.0 == 1 { "x" } else { "0" };
        let code = format!("{}-{channel}:{}.{}.{}", row.0, row.1, row.2, row.3);
        (code, from_row(row))
    })
}

fn from_row((.., name, unit, kind, device_class): &Row) -> Field {
    Field {
        name,
        unit: unit.clone(),
        kind: *kind,
        device_class,
    }
}

#[rustfmt::skip]
static TABLE: &[Row] = &[
    (1, 0, 2, 8, "p1_version", Unit::None, Text, ""),
    (0, 96, 1, 4, "p1_version_be", Unit::None, Text, ""),
    (0, 1, 0, 0, "timestamp", Unit::None, Time, "timestamp"),
    (0, 96, 1, 1, "equipment_id", Unit::None, HexText, ""),
    (0, 96, 1, 0, "equipment_id", Unit::None, HexText, ""),
    (1, 0, 0, 1, "equipment_id", Unit::None, HexText, ""),
    (1, 0, 0, 5, "equipment_id", Unit::None, HexText, ""),
    (0, 96, 1, 255, "equipment_id", Unit::None, HexText, ""),
    (1, 96, 1, 0, "equipment_id", Unit::None, HexText, ""),
    (1, 0, 0, 0, "equipment_id", Unit::None, HexText, ""),
    (0, 0, 0, 0, "equipment_id", Unit::None, HexText, ""),
    (1, 96, 1, 1, "meter_type", Unit::None, HexText, ""),
    (0, 96, 1, 7, "meter_type", Unit::None, HexText, ""),
    (1, 0, 2, 129, "list_version", Unit::None, HexText, ""),
    (0, 96, 1, 2, "ean", Unit::None, HexText, ""),
    (0, 42, 0, 0, "logical_device_name", Unit::None, HexText, ""),
    (1, 1, 8, 0, "energy_import_total", Unit::KWh, Quantity, "energy"),
    (1, 1, 8, 1, "energy_import_t1", Unit::KWh, Quantity, "energy"),
    (1, 1, 8, 2, "energy_import_t2", Unit::KWh, Quantity, "energy"),
    (1, 1, 8, 3, "energy_import_t3", Unit::KWh, Quantity, "energy"),
    (1, 1, 8, 4, "energy_import_t4", Unit::KWh, Quantity, "energy"),
    (1, 2, 8, 0, "energy_export_total", Unit::KWh, Quantity, "energy"),
    (1, 2, 8, 1, "energy_export_t1", Unit::KWh, Quantity, "energy"),
    (1, 2, 8, 2, "energy_export_t2", Unit::KWh, Quantity, "energy"),
    (1, 2, 8, 3, "energy_export_t3", Unit::KWh, Quantity, "energy"),
    (1, 2, 8, 4, "energy_export_t4", Unit::KWh, Quantity, "energy"),
    (1, 3, 8, 0, "reactive_energy_import_total", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 3, 8, 1, "reactive_energy_import_t1", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 3, 8, 2, "reactive_energy_import_t2", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 4, 8, 0, "reactive_energy_export_total", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 4, 8, 1, "reactive_energy_export_t1", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 4, 8, 2, "reactive_energy_export_t2", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 5, 8, 0, "reactive_energy_q1_total", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 6, 8, 0, "reactive_energy_q2_total", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 7, 8, 0, "reactive_energy_q3_total", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 8, 8, 0, "reactive_energy_q4_total", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 3, 8, 3, "reactive_energy_import_t3", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 3, 8, 4, "reactive_energy_import_t4", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 4, 8, 3, "reactive_energy_export_t3", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 4, 8, 4, "reactive_energy_export_t4", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 5, 8, 1, "reactive_energy_q1_t1", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 5, 8, 2, "reactive_energy_q1_t2", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 5, 8, 3, "reactive_energy_q1_t3", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 5, 8, 4, "reactive_energy_q1_t4", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 6, 8, 1, "reactive_energy_q2_t1", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 6, 8, 2, "reactive_energy_q2_t2", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 6, 8, 3, "reactive_energy_q2_t3", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 6, 8, 4, "reactive_energy_q2_t4", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 7, 8, 1, "reactive_energy_q3_t1", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 7, 8, 2, "reactive_energy_q3_t2", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 7, 8, 3, "reactive_energy_q3_t3", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 7, 8, 4, "reactive_energy_q3_t4", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 8, 8, 1, "reactive_energy_q4_t1", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 8, 8, 2, "reactive_energy_q4_t2", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 8, 8, 3, "reactive_energy_q4_t3", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 8, 8, 4, "reactive_energy_q4_t4", Unit::Kvarh, Quantity, "reactive_energy"),
    (1, 1, 8, 11, "energy_import_t11", Unit::KWh, Quantity, "energy"),
    (1, 1, 8, 12, "energy_import_t12", Unit::KWh, Quantity, "energy"),
    (1, 1, 8, 13, "energy_import_t13", Unit::KWh, Quantity, "energy"),
    (1, 2, 8, 11, "energy_export_t11", Unit::KWh, Quantity, "energy"),
    (1, 2, 8, 12, "energy_export_t12", Unit::KWh, Quantity, "energy"),
    (1, 2, 8, 13, "energy_export_t13", Unit::KWh, Quantity, "energy"),
    (1, 9, 8, 0, "apparent_energy_import_total", Unit::KVAh, Quantity, ""),
    (1, 10, 8, 0, "apparent_energy_export_total", Unit::KVAh, Quantity, ""),
    (1, 15, 8, 0, "energy_combined_abs_total", Unit::KWh, Quantity, "energy"),
    (1, 16, 8, 0, "energy_combined_net_total", Unit::KWh, Quantity, "energy"),
    (1, 21, 8, 0, "energy_import_l1", Unit::KWh, Quantity, "energy"),
    (1, 22, 8, 0, "energy_export_l1", Unit::KWh, Quantity, "energy"),
    (1, 41, 8, 0, "energy_import_l2", Unit::KWh, Quantity, "energy"),
    (1, 42, 8, 0, "energy_export_l2", Unit::KWh, Quantity, "energy"),
    (1, 61, 8, 0, "energy_import_l3", Unit::KWh, Quantity, "energy"),
    (1, 62, 8, 0, "energy_export_l3", Unit::KWh, Quantity, "energy"),
    (1, 1, 7, 0, "power_import", Unit::KW, Quantity, "power"),
    (1, 2, 7, 0, "power_export", Unit::KW, Quantity, "power"),
    (1, 16, 7, 0, "power_net", Unit::KW, Quantity, "power"),
    (1, 21, 7, 0, "power_import_l1", Unit::KW, Quantity, "power"),
    (1, 41, 7, 0, "power_import_l2", Unit::KW, Quantity, "power"),
    (1, 61, 7, 0, "power_import_l3", Unit::KW, Quantity, "power"),
    (1, 22, 7, 0, "power_export_l1", Unit::KW, Quantity, "power"),
    (1, 42, 7, 0, "power_export_l2", Unit::KW, Quantity, "power"),
    (1, 62, 7, 0, "power_export_l3", Unit::KW, Quantity, "power"),
    (1, 36, 7, 0, "power_net_l1", Unit::KW, Quantity, "power"),
    (1, 56, 7, 0, "power_net_l2", Unit::KW, Quantity, "power"),
    (1, 76, 7, 0, "power_net_l3", Unit::KW, Quantity, "power"),
    (1, 81, 7, 1, "phase_angle_u_l2_l1", Unit::Degree, Quantity, ""),
    (1, 81, 7, 2, "phase_angle_u_l3_l1", Unit::Degree, Quantity, ""),
    (1, 81, 7, 4, "phase_angle_i_u_l1", Unit::Degree, Quantity, ""),
    (1, 81, 7, 15, "phase_angle_i_u_l2", Unit::Degree, Quantity, ""),
    (1, 81, 7, 26, "phase_angle_i_u_l3", Unit::Degree, Quantity, ""),
    (1, 3, 7, 0, "reactive_power_import", Unit::Kvar, Quantity, "reactive_power"),
    (1, 4, 7, 0, "reactive_power_export", Unit::Kvar, Quantity, "reactive_power"),
    (1, 23, 7, 0, "reactive_power_import_l1", Unit::Kvar, Quantity, "reactive_power"),
    (1, 43, 7, 0, "reactive_power_import_l2", Unit::Kvar, Quantity, "reactive_power"),
    (1, 63, 7, 0, "reactive_power_import_l3", Unit::Kvar, Quantity, "reactive_power"),
    (1, 24, 7, 0, "reactive_power_export_l1", Unit::Kvar, Quantity, "reactive_power"),
    (1, 44, 7, 0, "reactive_power_export_l2", Unit::Kvar, Quantity, "reactive_power"),
    (1, 64, 7, 0, "reactive_power_export_l3", Unit::Kvar, Quantity, "reactive_power"),
    (1, 5, 7, 0, "reactive_power_q1", Unit::Kvar, Quantity, "reactive_power"),
    (1, 6, 7, 0, "reactive_power_q2", Unit::Kvar, Quantity, "reactive_power"),
    (1, 7, 7, 0, "reactive_power_q3", Unit::Kvar, Quantity, "reactive_power"),
    (1, 8, 7, 0, "reactive_power_q4", Unit::Kvar, Quantity, "reactive_power"),
    (1, 9, 7, 0, "apparent_power_import", Unit::KVA, Quantity, "apparent_power"),
    (1, 10, 7, 0, "apparent_power_export", Unit::KVA, Quantity, "apparent_power"),
    (1, 29, 7, 0, "apparent_power_import_l1", Unit::KVA, Quantity, "apparent_power"),
    (1, 49, 7, 0, "apparent_power_import_l2", Unit::KVA, Quantity, "apparent_power"),
    (1, 69, 7, 0, "apparent_power_import_l3", Unit::KVA, Quantity, "apparent_power"),
    (1, 30, 7, 0, "apparent_power_export_l1", Unit::KVA, Quantity, "apparent_power"),
    (1, 50, 7, 0, "apparent_power_export_l2", Unit::KVA, Quantity, "apparent_power"),
    (1, 70, 7, 0, "apparent_power_export_l3", Unit::KVA, Quantity, "apparent_power"),
    (1, 12, 7, 0, "voltage", Unit::V, Quantity, "voltage"),
    (1, 32, 7, 0, "voltage_l1", Unit::V, Quantity, "voltage"),
    (1, 52, 7, 0, "voltage_l2", Unit::V, Quantity, "voltage"),
    (1, 72, 7, 0, "voltage_l3", Unit::V, Quantity, "voltage"),
    (1, 11, 7, 0, "current", Unit::A, Quantity, "current"),
    (1, 31, 7, 0, "current_l1", Unit::A, Quantity, "current"),
    (1, 51, 7, 0, "current_l2", Unit::A, Quantity, "current"),
    (1, 71, 7, 0, "current_l3", Unit::A, Quantity, "current"),
    (1, 90, 7, 0, "current_sum", Unit::A, Quantity, "current"),
    (1, 91, 7, 0, "current_n", Unit::A, Quantity, "current"),
    (1, 13, 7, 0, "power_factor", Unit::None, Quantity, "power_factor"),
    (1, 33, 7, 0, "power_factor_l1", Unit::None, Quantity, "power_factor"),
    (1, 53, 7, 0, "power_factor_l2", Unit::None, Quantity, "power_factor"),
    (1, 73, 7, 0, "power_factor_l3", Unit::None, Quantity, "power_factor"),
    (1, 14, 7, 0, "frequency", Unit::Hz, Quantity, "frequency"),
    (0, 96, 14, 0, "tariff", Unit::None, Count, ""),
    (0, 17, 0, 0, "threshold", Unit::KW, Quantity, "power"),
    (0, 96, 3, 10, "switch_electricity", Unit::None, Count, ""),
    (0, 96, 7, 21, "power_failures", Unit::None, Count, ""),
    (0, 96, 7, 9, "power_failures_long", Unit::None, Count, ""),
    (1, 99, 97, 0, "power_failure_log", Unit::None, FailureLog, ""),
    (1, 32, 32, 0, "voltage_sags_l1", Unit::None, Count, ""),
    (1, 52, 32, 0, "voltage_sags_l2", Unit::None, Count, ""),
    (1, 72, 32, 0, "voltage_sags_l3", Unit::None, Count, ""),
    (1, 32, 36, 0, "voltage_swells_l1", Unit::None, Count, ""),
    (1, 52, 36, 0, "voltage_swells_l2", Unit::None, Count, ""),
    (1, 72, 36, 0, "voltage_swells_l3", Unit::None, Count, ""),
    (1, 32, 33, 0, "voltage_sag_duration_l1", Unit::Second, Quantity, "duration"),
    (1, 32, 34, 0, "voltage_sag_depth_l1", Unit::V, Quantity, "voltage"),
    (1, 32, 37, 0, "voltage_swell_duration_l1", Unit::Second, Quantity, "duration"),
    (1, 32, 38, 0, "voltage_swell_height_l1", Unit::V, Quantity, "voltage"),
    (1, 32, 24, 0, "voltage_avg_l1", Unit::V, Quantity, "voltage"),
    (1, 52, 33, 0, "voltage_sag_duration_l2", Unit::Second, Quantity, "duration"),
    (1, 52, 34, 0, "voltage_sag_depth_l2", Unit::V, Quantity, "voltage"),
    (1, 52, 37, 0, "voltage_swell_duration_l2", Unit::Second, Quantity, "duration"),
    (1, 52, 38, 0, "voltage_swell_height_l2", Unit::V, Quantity, "voltage"),
    (1, 52, 24, 0, "voltage_avg_l2", Unit::V, Quantity, "voltage"),
    (1, 72, 33, 0, "voltage_sag_duration_l3", Unit::Second, Quantity, "duration"),
    (1, 72, 34, 0, "voltage_sag_depth_l3", Unit::V, Quantity, "voltage"),
    (1, 72, 37, 0, "voltage_swell_duration_l3", Unit::Second, Quantity, "duration"),
    (1, 72, 38, 0, "voltage_swell_height_l3", Unit::V, Quantity, "voltage"),
    (1, 72, 24, 0, "voltage_avg_l3", Unit::V, Quantity, "voltage"),
    (1, 1, 24, 0, "power_import_avg", Unit::KW, Quantity, "power"),
    (1, 2, 24, 0, "power_export_avg", Unit::KW, Quantity, "power"),
    (1, 15, 24, 0, "power_combined_abs_avg", Unit::KW, Quantity, "power"),
    (1, 16, 24, 0, "power_net_avg", Unit::KW, Quantity, "power"),
    (1, 15, 7, 0, "power_combined_abs", Unit::KW, Quantity, "power"),
    (0, 96, 13, 0, "message_long", Unit::None, HexText, ""),
    (0, 96, 13, 1, "message_short", Unit::None, HexText, ""),
    (0, 96, 13, 2, "message_2", Unit::None, HexText, ""),
    (0, 96, 13, 3, "message_3", Unit::None, HexText, ""),
    (0, 96, 13, 4, "message_4", Unit::None, HexText, ""),
    (0, 96, 13, 5, "message_5", Unit::None, HexText, ""),
    (1, 31, 4, 0, "fuse_threshold", Unit::A, Quantity, "current"),
    (1, 51, 4, 0, "fuse_threshold_l2", Unit::A, Quantity, "current"),
    (1, 71, 4, 0, "fuse_threshold_l3", Unit::A, Quantity, "current"),
    (1, 1, 4, 0, "demand_import_avg", Unit::KW, Quantity, "power"),
    (1, 2, 4, 0, "demand_export_avg", Unit::KW, Quantity, "power"),
    (1, 1, 6, 0, "demand_import_max_month", Unit::KW, Demand, "power"),
    (1, 2, 6, 0, "demand_export_max_month", Unit::KW, Demand, "power"),
    (0, 98, 1, 0, "demand_import_max_history", Unit::KW, History, ""),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_occurs_once_and_so_does_every_name_except_those_of_the_meter() {
        let codes: BTreeSet<_> = TABLE.iter().map(|row| (row.0, row.1, row.2, row.3)).collect();
        assert_eq!(codes.len(), TABLE.len());
        let names: BTreeSet<_> = TABLE.iter().map(|row| row.4).collect();
        assert_eq!(
            names.len(),
            TABLE.len() - 8,
            "equipment_id has eight codes, meter_type two"
        );
    }

    /// `METERTAP_WRITE_DOCS=1 cargo test -p metertap-decode` writes the document again.
    #[test]
    fn the_document_shows_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fields.md");
        let mut text = String::from(
            "# Fields of wired meters\n\nMade from `decode/src/fields.rs`. `x`: any channel. Device class: Home Assistant's.\n\n\
             | OBIS | field | unit | kind | device class |\n| --- | --- | --- | --- | --- |\n",
        );
        for (code, field) in table() {
            let kind = match field.kind {
                Quantity => "quantity",
                Demand => "demand",
                Count => "count",
                Time => "time",
                HexText => "hex text",
                Text => "text",
                FailureLog => "failure log",
                History => "history",
            };
            text += &format!(
                "| {code} | `{}` | {} | {kind} | {} |\n",
                field.name, field.unit, field.device_class
            );
        }
        if std::env::var_os("METERTAP_WRITE_DOCS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let is_current = std::fs::read_to_string(path).unwrap() == text;
        assert!(
            is_current,
            "docs/fields.md is out of date; METERTAP_WRITE_DOCS=1 writes it"
        );
    }

    #[test]
    fn a_swiss_channel_is_the_same_and_a_sub_meter_is_none_of_them() {
        let name = |text: &str| field(text.parse().unwrap()).map(|field| field.name);
        assert_eq!(name("1-1:1.8.1"), Some("energy_import_t1"));
        assert_eq!(name("0-1:96.1.0"), None);
        assert_eq!(name("1-0:42.1.0"), None);
    }
}
