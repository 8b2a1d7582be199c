//! Flags of a message, which become binary sensors: leak, backflow, burst, no use, tamper, low battery, faults.

use metertap_decode::ert::Message;
use metertap_decode::quantity::to_f64;
use metertap_decode::report::{ReadingType, Report, Value};

/// One flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Name among those of the meter.
    pub key: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// Device class of the binary sensor.
    pub class: Option<&'static str>,
    /// Most people want to see it.
    pub is_enabled: bool,
    /// The meter reports it now.
    pub is_on: bool,
}

impl Flag {
    const fn new(key: &'static str, name: &'static str, class: Option<&'static str>) -> Self {
        Flag {
            key,
            name,
            class,
            is_enabled: true,
            is_on: false,
        }
    }

    const fn problem(key: &'static str, name: &'static str) -> Self {
        Flag::new(key, name, Some("problem"))
    }

    fn set(self, is_on: bool) -> Self {
        Flag { is_on, ..self }
    }
}

const LEAK: Flag = Flag::problem("leak", "Leak");
const BACKFLOW: Flag = Flag::problem("backflow", "Backflow");
/// That of an R900, whose strength is a sensor called `backflow`.
const BACKFLOW_DETECTED: Flag = Flag::problem("backflow_detected", "Backflow detected");
const BURST: Flag = Flag::problem("burst", "Burst");
const FAULT: Flag = Flag::problem("fault", "Fault");
const ALARM: Flag = Flag::problem("alarm", "Alarm");
const BATTERY: Flag = Flag::new("battery_low", "Battery", Some("battery"));
const TAMPER: Flag = Flag::new("tamper", "Tamper", Some("tamper"));
/// A meter that nobody uses is no problem in itself.
const NO_USE: Flag = Flag::new("no_use", "No use", None);

/// Words of the status of a meter by M-Bus, wired or wireless (EN 13757-3, 5.6).
const LOW_POWER: &[&str] = &["low_power"];
const ERRORS: &[&str] = &["permanent_error", "temporary_error"];
/// Words of the field `alarms`, by what they are about.
const ALARMS: [(Flag, &[&str]); 4] = [
    (LEAK, &["leak"]),
    (BACKFLOW, &["backflow", "reverse_flow"]),
    (
        TAMPER,
        &[
            "sensor_fraud",
            "mechanical_fraud",
            "magnetic_field",
            "device_disconnected",
        ],
    ),
    (NO_USE, &["measurement_unchanged"]),
];
/// Bits of the information code of Kamstrup's water meters (data sheet of MULTICAL 21). Above them are the times for which each was
/// set in the last month.
const KAMSTRUP_WATER: [(Flag, u32); 4] = [(NO_USE, 1), (BACKFLOW, 2), (LEAK, 4), (BURST, 8)];
/// Bit of the status word of a Linky meter: the cover of its terminals is open (Enedis-NOI-CPT_54E, STGE).
const LINKY_COVER: u32 = 1 << 4;

/// Returns the flags of a radio message.
pub fn of_radio(message: &Message) -> Vec<Flag> {
    let mut flags = Vec::new();
    if let Some(known) = message.flags() {
        let days = |flag: Option<&str>| flag.map(|days| days != "0");
        let present = |flag: Option<&str>| flag.map(|flag| flag != "none");
        let found = [
            (LEAK, present(known.leak_now)),
            (BACKFLOW_DETECTED, present(known.backflow)),
            (NO_USE, days(known.no_use_days)),
        ];
        flags.extend(
            found
                .into_iter()
                .filter_map(|(flag, is_on)| Some(flag.set(is_on?))),
        );
    }
    let tamper = match message {
        Message::Scm(m) => Some(m.tamper_phy != 0 || m.tamper_enc != 0),
        Message::ScmPlus(m) => Some(m.tamper != 0),
        Message::Idm(m) => Some(m.tamper_counters.iter().any(|count| *count > 0)),
        _ => None,
    };
    // Counters of a few bits, which many meters have above zero since they were installed.
    flags.extend(tamper.map(|is_on| Flag {
        is_enabled: false,
        ..TAMPER.set(is_on)
    }));
    flags
}

/// Returns the flags of a wired or wireless meter.
pub fn of_wire(report: &Report) -> Vec<Flag> {
    let text = |name: &str| match report.reading.get(name) {
        Some(Value::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let number = |name: &str| match report.reading.get(name) {
        Some(Value::Quantity(quantity)) => Some(to_f64(&quantity.value)),
        _ => None,
    };
    let has_word = |field: &str, words: &[&str]| field.split(' ').any(|word| words.contains(&word));
    let mut flags = Vec::new();
    let alarms = text("alarms");
    let is_mbus = matches!(report.reading_type, ReadingType::Mbus | ReadingType::Wmbus);
    if let Some(status) = text("status").filter(|_| is_mbus) {
        let is_low = alarms.is_some_and(|alarms| has_word(alarms, &["battery_low"]));
        flags.push(BATTERY.set(has_word(status, LOW_POWER) || is_low));
        let has_error_flags = number("error_flags").is_some_and(|bits| bits != 0.0);
        flags.push(FAULT.set(has_word(status, ERRORS) || has_error_flags));
        if report.reading_type == ReadingType::Wmbus {
            flags.push(ALARM.set(has_word(status, &["abnormal_condition"])));
        }
    }
    if let Some(alarms) = alarms {
        flags.extend(ALARMS.map(|(flag, words)| flag.set(has_word(alarms, words))));
    }
    if let Some(code) = number("info_code") {
        if text("medium").is_some_and(|medium| medium.contains("water")) {
            let bits = code as u32;
            flags.extend(KAMSTRUP_WATER.map(|(flag, bit)| flag.set(bits & bit != 0)));
        } else {
            flags.push(Flag::problem("info", "Info").set(code != 0.0));
        }
    }
    if report.reading_type == ReadingType::Tic {
        let word = text("status").and_then(|word| u32::from_str_radix(word, 16).ok());
        flags.extend(word.map(|word| TAMPER.set(word & LINKY_COVER != 0)));
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use metertap_decode::quantity::Quantity;
    use metertap_decode::unit::Unit;

    /// Keys of the flags that are on and off.
    fn keys(report: &Report) -> (Vec<&'static str>, Vec<&'static str>) {
        let (on, off): (Vec<Flag>, Vec<Flag>) = of_wire(report).into_iter().partition(|flag| flag.is_on);
        let keys = |flags: Vec<Flag>| flags.into_iter().map(|flag| flag.key).collect();
        (keys(on), keys(off))
    }

    fn mbus(reading_type: ReadingType, fields: &[(&str, Value)]) -> Report {
        let mut report = Report::new(reading_type, "12345678");
        for (name, value) in fields {
            report.reading.put((*name).to_owned(), value.clone());
        }
        report
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn number(number: i64) -> Value {
        Value::Quantity(Quantity::new(number.into(), Unit::None))
    }

    #[test]
    fn given_the_status_of_an_m_bus_meter_then_low_power_is_its_battery_and_errors_a_fault() {
        for (status, on, off) in [
            ("ok", vec![], vec!["battery_low", "fault"]),
            ("low_power", vec!["battery_low"], vec!["fault"]),
            ("permanent_error", vec!["fault"], vec!["battery_low"]),
            ("low_power temporary_error", vec!["battery_low", "fault"], vec![]),
            ("manufacturer_20", vec![], vec!["battery_low", "fault"]),
        ] {
            let report = mbus(ReadingType::Mbus, &[("status", text(status))]);
            assert_eq!(keys(&report), (on, off), "{status}");
        }
        let fields = [("status", text("ok")), ("error_flags", number(2))];
        let report = mbus(ReadingType::Mbus, &fields);
        assert_eq!(keys(&report).0, ["fault"]);
    }

    #[test]
    fn given_a_wireless_telegram_then_its_status_and_alarms_are_flags_and_without_a_header_there_are_none() {
        let report = mbus(
            ReadingType::Wmbus,
            &[("status", text("ok")), ("alarms", text("leak battery_low"))],
        );
        assert_eq!(
            keys(&report),
            (
                vec!["battery_low", "leak"],
                vec!["fault", "alarm", "backflow", "tamper", "no_use"]
            )
        );
        let report = mbus(ReadingType::Wmbus, &[("status", text("abnormal_condition"))]);
        assert_eq!(keys(&report).0, ["alarm"]);
        assert_eq!(keys(&mbus(ReadingType::Wmbus, &[])), (vec![], vec![]));
    }

    #[test]
    fn given_an_information_code_then_that_of_a_water_meter_is_read_bit_by_bit() {
        let water = |code| {
            let mut report = Report::new(ReadingType::Wmbus, "1");
            report.reading.put("medium", text("cold_water"));
            report.reading.put("info_code", number(code));
            keys(&report)
        };
        // The times above the bits are of the past.
        assert_eq!(water(0xF_FFF4).0, ["leak"]);
        assert_eq!(water(0xB).0, ["no_use", "backflow", "burst"]);
        let mut heat = Report::new(ReadingType::Kmp, "1");
        heat.reading.put("info_code", number(8));
        assert_eq!(keys(&heat).0, ["info"]);
    }

    #[test]
    fn given_the_status_word_of_a_linky_then_its_cover_is_known() {
        for (word, on) in [("003A0001", false), ("003A0011", true)] {
            let mut report = Report::new(ReadingType::Tic, "1");
            report.reading.put("status", text(word));
            assert_eq!(of_wire(&report), [TAMPER.set(on)], "{word}");
        }
    }
}
