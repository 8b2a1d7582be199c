//! Records of M-Bus that only their manufacturers understand (VIF FF, subunits), by their data sheets.

use crate::mbus::{Record, Value};
use crate::quantity::shifted;
use crate::unit::Unit;
use std::borrow::Cow;

/// Gives a record of `manufacturer` the quantity and unit that it stands for; leaves any other as it is.
pub(crate) fn name(manufacturer: &str, record: &mut Record) {
    let codes: Vec<&str> = record.modifiers.iter().map(String::as_str).collect();
    let is_own = record.quantity == "manufacturer_specific";
    let (codes, phase) = phase(&codes);
    let named = match (manufacturer, codes) {
        _ if !is_own => None,
        // Volume times temperature, of flow and return.
        ("KAM" | "KAW", ["07"]) => Some(("volume_temperature_1", Unit::CubicMeterCelsius, 0)),
        ("KAM" | "KAW", ["08"]) => Some(("volume_temperature_2", Unit::CubicMeterCelsius, 0)),
        // Coefficients of a pressure sensor.
        ("KAM", ["09"]) => Some(("alpha", Unit::None, 0)),
        ("KAM", ["0A"]) => Some(("beta", Unit::None, 0)),
        ("KAM" | "KAW", ["20" | "22"]) => Some(("info_code", Unit::None, 0)),
        ("KAM" | "KAW", ["23"]) => Some(("error_flags", Unit::None, 0)),
        // Schneider Electric iEM3000.
        ("SEC", ["0A"]) => Some(("power_factor", Unit::None, 0)),
        ("SEC", ["0B"]) => Some(("frequency", Unit::Hz, 0)),
        // IME Nemo.
        ("IME", ["5A"]) => Some(("frequency", Unit::Hz, -1)),
        ("ABB" | "SEC", codes) => abb(codes),
        _ => None,
    };
    let Some((quantity, unit, exponent)) = named else {
        return subunits(manufacturer, record);
    };
    (record.quantity, record.unit) = (quantity, unit);
    record.qualifiers.extend(phase.map(Cow::Borrowed));
    record.modifiers.clear();
    if let Some(Value::Number(number)) = &record.value {
        record.value = shifted(*number, exponent).map(Value::Number);
    }
}

/// Returns the codes without the phase behind another FF, and without the 00 that ends some of them.
fn phase<'a, 'b>(codes: &'a [&'b str]) -> (&'a [&'b str], Option<&'static str>) {
    match codes {
        [rest @ .., "FF", "81", "00"] => (rest, Some("l1")),
        [rest @ .., "FF", "82", "00"] => (rest, Some("l2")),
        [rest @ .., "FF", "83", "00"] => (rest, Some("l3")),
        [rest @ .., "00"] if !rest.is_empty() => (rest, None),
        _ => (codes, None),
    }
}

/// ABB B23 and B24, and those that Schneider Electric sells: quantity, unit, power of ten.
fn abb(codes: &[&str]) -> Option<(&'static str, Unit, i32)> {
    Some(match codes {
        ["93"] => ("active_tariff", Unit::None, 0),
        ["97"] => ("quadrant", Unit::None, 0),
        ["98"] => ("power_failures", Unit::None, 0),
        ["A0", "15"] => ("current_transformer_numerator", Unit::None, 0),
        ["A1", "15"] => ("voltage_transformer_numerator", Unit::None, 0),
        ["A2", "15"] => ("current_transformer_denominator", Unit::None, 0),
        ["A3", "15"] => ("voltage_transformer_denominator", Unit::None, 0),
        ["A4"] => ("carbon_dioxide_factor", Unit::None, 0),
        ["A5"] => ("currency_factor", Unit::None, 0),
        ["A6"] => ("error_flags", Unit::None, 0),
        ["A7"] => ("warning_flags", Unit::None, 0),
        ["A8"] => ("information_flags", Unit::None, 0),
        ["A9"] => ("alarm_flags", Unit::None, 0),
        ["AA"] => ("product_number", Unit::None, 0),
        ["D2"] => ("phase_angle", Unit::Degree, -1),
        ["D9"] => ("frequency", Unit::Hz, -2),
        ["E0"] => ("power_factor", Unit::None, -3),
        ["F9", "C4"] => ("carbon_dioxide", Unit::Kilogram, -2),
        ["F9", "C9"] => ("energy_cost", Unit::None, 0),
        _ => return None,
    })
}

/// Powers of electricity meters that tell their kinds apart by the subunit.
fn subunits(manufacturer: &str, record: &mut Record) {
    if record.unit != Unit::W || record.quantity != "power" {
        return;
    }
    let named = match (manufacturer, record.subunit) {
        ("SEC", 1) | ("IME", 2) => ("reactive_power", Unit::Var),
        ("SEC", 2) => ("apparent_power", Unit::VA),
        _ => return,
    };
    (record.quantity, record.unit) = named;
    record.subunit = 0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mbus::records;

    fn named(manufacturer: &str, bytes: &[u8]) -> (&'static str, String, u32) {
        let mut found = Vec::new();
        records(bytes, &mut found).unwrap();
        let mut record = found.remove(0);
        name(manufacturer, &mut record);
        (record.quantity, record.unit.to_string(), record.subunit)
    }

    #[test]
    fn values_of_abb_have_a_power_of_ten_and_phases_of_their_own() {
        let mut found = Vec::new();
        records(&[0x02, 0xFF, 0xE0, 0xFF, 0x82, 0x00, 0xE7, 0x03], &mut found).unwrap();
        let mut record = found.remove(0);
        name("ABB", &mut record);
        assert_eq!(record.qualifiers, ["l2"]);
        assert_eq!(serde_json::to_string(&record.value).unwrap(), "0.999");
    }

    #[test]
    fn records_are_named_for_their_manufacturer_alone() {
        let frequency = [0x02, 0xFF, 0x0B, 50, 0];
        assert_eq!(named("SEC", &frequency), ("frequency", "Hz".into(), 0));
        assert_eq!(named("ABC", &frequency).0, "manufacturer_specific");
        let reactive = [0x82, 0x40, 0x2B, 5, 0];
        assert_eq!(named("SEC", &reactive), ("reactive_power", "var".into(), 0));
        assert_eq!(named("ABC", &reactive), ("power", "W".into(), 1));
        assert_eq!(
            named("ABB", &[0x02, 0xFF, 0xE0, 0xFF, 0x82, 0x00, 0xE7, 0x03]),
            ("power_factor", String::new(), 0)
        );
        assert_eq!(
            named("KAM", &[0x02, 0xFF, 0x07, 5, 0]),
            ("volume_temperature_1", "m3·°C".into(), 0)
        );
    }
}
