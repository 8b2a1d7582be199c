//! M-Bus answers against those of another project, read where they stand, record by record.

use crate::support::*;
use serde_json::Value;

/// Quantities: libmbus's name, ours.
const QUANTITIES: &[(&str, &str)] = &[
    ("Energy", "energy"),
    ("Volume", "volume"),
    ("Volume flow", "volume_flow"),
    ("Power", "power"),
    ("Flow temperature", "flow_temperature"),
    ("Return temperature", "return_temperature"),
    ("Temperature difference", "temperature_difference"),
    ("Fabrication No", "fabrication_number"),
    ("Time point (date & time)", "datetime"),
    ("Time point (date)", "date"),
    ("On time", "on_time"),
    ("Operating time", "operating_time"),
    ("Error flags", "error_flags"),
    ("Firmware version", "firmware_version"),
    ("Software version", "software_version"),
    ("Model / Version", "model_version"),
    ("Parameter set identification", "parameter_set"),
    ("Customer location", "customer_location"),
    ("(Enhanced) Identification", "identification"),
    ("Medium", "medium"),
    ("H.C.A.", "heat_cost_units"),
    ("Averaging Duration", "averaging_duration"),
    ("Actuality Duration", "actuality_duration"),
    ("Voltage", "voltage"),
    ("Current", "current"),
    ("Reserved", "reserved"),
    ("Manufacturer specific", "manufacturer_specific"),
];

const FUNCTIONS: &[(&str, &str)] = &[
    ("Instantaneous value", "instantaneous"),
    ("Actual value", "instantaneous"),
    ("Maximum value", "maximum"),
    ("Minimum value", "minimum"),
    ("Value during error state", "error"),
    ("Manufacturer specific", "manufacturer_specific"),
    ("More records follow", "manufacturer_specific"),
];

fn ours<'a>(table: &[(&str, &'a str)], theirs: &str) -> Option<&'a str> {
    table
        .iter()
        .find(|(name, _)| *name == theirs)
        .map(|(_, ours)| *ours)
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// Their units are the same, but for Latin-1 in UTF-8, and three old meters that they do not normalise.
fn compare(name: &str, i: usize, is: &Value, due: &Value) -> bool {
    let place = format!("{name}, record {i}: {is} and {due}");
    if let Some(function) = due["Function"].as_str() {
        assert_eq!(is["function"].as_str(), ours(FUNCTIONS, function), "{place}");
    }
    for (key, theirs) in [
        ("storage", "StorageNumber"),
        ("tariff", "Tariff"),
        ("subunit", "Device"),
    ] {
        if let Some(due) = due[theirs].as_str() {
            assert_eq!(is[key].to_string(), due, "{place}");
        }
    }
    if let Some(quantity) = due["Quantity"]
        .as_str()
        .and_then(|quantity| ours(QUANTITIES, quantity))
    {
        assert_eq!(is["quantity"], quantity, "{place}");
    }
    if is["quantity"] == "manufacturer_specific" || is["quantity"] == "user_defined" {
        return false;
    }
    // They take the date of a maximum, or the time beyond a limit, for its value.
    let is_of_time = |qualifier: &Value| {
        let name = qualifier.as_str().unwrap_or_default();
        name == "date" || name.ends_with("duration")
    };
    if is["qualifiers"]
        .as_array()
        .is_some_and(|qualifiers| qualifiers.iter().any(is_of_time))
    {
        return false;
    }
    let unit = is["unit"].as_str().unwrap_or_default();
    let factor = match (due["Unit"].as_str().unwrap_or_default(), unit) {
        ("m^3", "m3") | ("m^3/h", "m3/h") | ("\u{c2}\u{b0}C", "°C") | ("-", "") | ("", _) => 1.0,
        ("Units for H.C.A." | "Reserved", _) => 1.0,
        ("kWh", "Wh") => 1000.0,
        ("l", "m3") => 0.001,
        (theirs, ours) => {
            assert_eq!(theirs, ours, "{place}");
            1.0
        }
    };
    match (number(&is["value"]), number(&due["Value"])) {
        (Some(is), Some(due)) => {
            let due = due * factor;
            assert!((is - due).abs() <= 1e-6 * due.abs().max(1.0), "{place}");
            true
        }
        (None, Some(_)) => {
            // Where no value stands they say zero or read hexadecimal digits as a number.
            assert_eq!(is["value"], Value::Null, "{place}");
            false
        }
        _ => {
            if let (Some(is), Some(due)) = (is["value"].as_str(), due["Value"].as_str()) {
                let due = due.trim_end_matches('Z').trim();
                assert!(is == due || due.contains(is) || due.is_empty(), "{place}");
            }
            false
        }
    }
}

#[needs(shared)]
#[test]
fn records_are_those_of_libmbus() {
    let folder = shared("vectors/mbus/test-frames");
    let (mut files, mut numbers) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let (name, json) = (path.display().to_string(), path.with_extension("json"));
        if path.extension().is_none_or(|extension| extension != "hex") || !json.exists() {
            continue;
        }
        let expected: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
        let lines = json_lines(&stdout_of(&["decode", "mbus", path.to_str().unwrap()]));
        let [line] = &lines[..] else {
            panic!("{name}: {lines:?}");
        };
        if let Some(id) = expected["slave"]["Id"].as_str() {
            assert!(line["number"].as_str().unwrap().ends_with(id), "{name}");
        }
        if let Some(manufacturer) = expected["slave"]["Manufacturer"].as_str() {
            assert_eq!(line["manufacturer"], manufacturer, "{name}");
        }
        let (is, due) = (
            line["records"].as_array().unwrap(),
            expected["records"].as_array().unwrap(),
        );
        // They count a mark at the end as a record.
        let real: Vec<&Value> = due
            .iter()
            .filter(|record| {
                let is_mark = record["Function"] == "More records follow"
                    || record["Function"] == "Manufacturer specific";
                !is_mark || !record["Value"].is_null()
            })
            .collect();
        assert_eq!(is.len(), real.len(), "{name}: {line}");
        for (i, (is, due)) in is.iter().zip(real).enumerate() {
            numbers += usize::from(compare(&name, i, is, due));
        }
        files += 1;
    }
    assert!(files >= 30 && numbers > 200, "{files} files, {numbers} numbers");
}
