//! Records of M-Bus that only their manufacturers understand (VIF FF, subunits), by their data sheets.

use crate::mbus::Record;
use crate::unit::Unit;

/// Gives a record of `manufacturer` the quantity and unit that it stands for; leaves any other as it is.
pub(crate) fn name(manufacturer: &str, record: &mut Record) {
    let codes: Vec<&str> = record.modifiers.iter().map(String::as_str).collect();
    let is_own = record.quantity == "manufacturer_specific";
    let named = match (manufacturer, &codes[..]) {
        // Volume times temperature, of flow and return.
        ("KAM" | "KAW", ["07"]) if is_own => ("volume_temperature_1", Unit::CubicMeterCelsius),
        ("KAM" | "KAW", ["08"]) if is_own => ("volume_temperature_2", Unit::CubicMeterCelsius),
        ("KAM" | "KAW", ["20" | "22"]) if is_own => ("info_code", Unit::None),
        // Schneider Electric iEM3000.
        ("SEC", ["0A"]) if is_own => ("power_factor", Unit::None),
        ("SEC", ["0B"]) if is_own => ("frequency", Unit::Hz),
        _ => return subunits(manufacturer, record),
    };
    (record.quantity, record.unit) = named;
    record.modifiers.clear();
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
    fn records_are_named_for_their_manufacturer_alone() {
        let frequency = [0x02, 0xFF, 0x0B, 50, 0];
        assert_eq!(named("SEC", &frequency), ("frequency", "Hz".into(), 0));
        assert_eq!(named("ABC", &frequency).0, "manufacturer_specific");
        let reactive = [0x82, 0x40, 0x2B, 5, 0];
        assert_eq!(named("SEC", &reactive), ("reactive_power", "var".into(), 0));
        assert_eq!(named("ABC", &reactive), ("power", "W".into(), 1));
        assert_eq!(
            named("KAM", &[0x02, 0xFF, 0x07, 5, 0]),
            ("volume_temperature_1", "m3·°C".into(), 0)
        );
    }
}
