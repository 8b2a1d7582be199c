//! Report of a readout, by the profile of its identification.

use super::data_set::{DataSet, data_sets};
use super::{electricity, heat};
use crate::framing::iec::{Identification, Readout};
use crate::report::{ReadingType, Report, Value};
use crate::time::Zone;

/// Returns true for heat meters, which run on a battery: each readout shortens its life.
pub fn is_battery_powered(identification: &Identification) -> bool {
    matches!(identification.manufacturer.as_str(), "LUG" | "SVM")
}

/// Returns true for the readout of a heat meter: by its maker, or by the code of its energy.
pub fn is_heat_meter(readout: &Readout) -> bool {
    is_battery_powered(&readout.identification)
        || data_sets(&readout.data).iter().any(|set| set.code == "6.8")
}

/// Returns the report of a readout. `zone` is where the meter stands.
pub fn report(readout: &Readout, zone: &Zone) -> Report {
    let sets = data_sets(&readout.data);
    let is_heat = is_heat_meter(readout);
    let ids: &[&str] = if is_heat { &heat::IDS } else { &electricity::IDS };
    let mut report = Report::new(ReadingType::Iec, id(&sets, ids).unwrap_or_default());
    let medium = if is_heat { "heat" } else { "electricity" };
    let Identification {
        manufacturer, model, ..
    } = &readout.identification;
    report
        .reading
        .put("manufacturer", Value::Text(manufacturer.clone()));
    report.reading.put("medium", Value::Text(medium.into()));
    report.reading.put("meter_type", Value::Text(model.clone()));
    if !report.id.is_empty() {
        report
            .reading
            .put("equipment_id", Value::Text(report.id.to_string()));
    }
    for set in &sets {
        let is_written = match is_heat {
            true => heat::write(set, &mut report.reading),
            false => electricity::write(set, zone, &mut report.reading),
        };
        let is_id = ids.contains(&set.short_code()) && set.value() == Some(report.id.as_str());
        if !is_written && !is_id {
            report
                .unknown
                .put(set.code.to_owned(), Value::Text(set.values.join(")(")));
        }
    }
    report.time = electricity::time(&sets, zone);
    report
}

/// Returns the number of the meter: that of the best code which has one.
fn id(sets: &[DataSet], codes: &[&str]) -> Option<String> {
    codes.iter().find_map(|code| {
        let set = sets.iter().find(|set| set.short_code() == *code)?;
        let id = set.value()?.trim();
        // A number of zeros alone was never set.
        (!id.is_empty() && id.bytes().any(|byte| byte != b'0')).then(|| id.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::iec::seal;
    use proptest::prelude::*;

    fn json(identification: &str, lines: &str) -> String {
        let bytes = seal(identification, lines).concat();
        let readout = Readout::find(&bytes).unwrap().0.unwrap();
        serde_json::to_string(&report(&readout, &Zone::default())).unwrap()
    }

    #[test]
    fn given_an_electricity_meter_then_short_codes_have_the_names_of_the_house() {
        let read = json(
            "MTP4ZMD310",
            "F.F(00000000)\nC.1.0(12345678)\n0.9.1(12:30:00)\n0.9.2(26-01-15)\n1.8.0(001234.567*kWh)\n2.8.0(000000.010*kWh)\n\
             1.8.0*01(001200.000*kWh)\n1.6.0(03.456*kW)(2601150930)\n32.7(231.4*V)\n16.7(-0.25*kW)\nC.7.0(0003)\n3.8.1()\n",
        );
        assert_eq!(
            read,
            concat!(
                r#"{"time":"2026-01-15T12:30:00+01:00","id":"12345678","type":"iec","reading":{"manufacturer":"MTP","#,
                r#""medium":"electricity","meter_type":"ZMD310","equipment_id":"12345678","error_code":"00000000","#,
                r#""energy_import_total":{"value":1234.567,"unit":"kWh"},"energy_export_total":{"value":0.010,"unit":"kWh"},"#,
                r#""demand_import_max_month":{"timestamp":"2026-01-15T09:30:00+01:00","value":3.456,"unit":"kW"},"#,
                r#""voltage_l1":{"value":231.4,"unit":"V"},"power_net":{"value":-0.25,"unit":"kW"}},"#,
                r#""unknown":{"1.8.0*01":"001200.000*kWh","C.7.0":"0003"}}"#
            )
        );
    }

    #[test]
    fn given_a_heat_meter_then_its_profile_is_that_of_its_maker() {
        let read = json(
            "LUGCUH50",
            "6.8(0012.345*MWh)6.26(00678.90*m3)9.21(00000042)\n6.26*01(00600.00*m3)6.8*01(0011.000*MWh)\nF(0)9.20(87654321)6.35(60*m)\n\
             6.6(0016.2*kW)6.33(000.840*m3ph)9.4(094.5*C&062.1*C)\n6.31(0046124*h)6.32(0000000*h)6.8.1()9.31(0041000*h)0.0(00000042)\n",
        );
        assert_eq!(
            read,
            concat!(
                r#"{"id":"87654321","type":"iec","reading":{"manufacturer":"LUG","medium":"heat","meter_type":"UH50","#,
                r#""equipment_id":"87654321","heat_energy":{"value":12.345,"unit":"MWh"},"volume":{"value":678.90,"unit":"m3"},"#,
                r#""volume_last_year":{"value":600.00,"unit":"m3"},"heat_energy_last_year":{"value":11.000,"unit":"MWh"},"#,
                r#""error_code":"0","power_max":{"value":16.2,"unit":"kW"},"flow_max":{"value":0.840,"unit":"m3/h"},"#,
                r#""flow_temperature_max":{"value":94.5,"unit":"°C"},"return_temperature_max":{"value":62.1,"unit":"°C"},"#,
                r#""operating_hours":{"value":46124,"unit":"h"},"fault_hours":{"value":0,"unit":"h"},"#,
                r#""flow_hours":{"value":41000,"unit":"h"}},"unknown":{"9.21":"00000042","6.35":"60*m","0.0":"00000042"}}"#
            )
        );
    }

    proptest! {
        #[test]
        fn no_data_panic(lines in "([0-9A-F.:*-]{1,12}\\([0-9a-zA-Z.*&:-]{0,14}\\)\r?\n?){0,12}", heat in any::<bool>()) {
            let _ = json(if heat { "LUGCUH50" } else { "MTP4ZMD" }, &lines);
        }
    }
}
