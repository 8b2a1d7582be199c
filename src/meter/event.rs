//! A reading on its way to all sinks, with the configuration of its meter.

use crate::meter::intervals::Interval;
use crate::meter::registers::Registers;
use crate::meter::throttle::SameValues;
use crate::meter::{Meter, Reading, WireReading};
use jiff::Timestamp;
use metertap_decode::ert::Message;
use metertap_decode::report::{ReadingType, Report, Value};
use std::sync::{Arc, OnceLock};

/// Source of a [`ReadingEvent`].
#[derive(Clone, Debug)]
pub enum Origin {
    /// A packet received by radio.
    Radio(Box<Reading>),
    /// A telegram or an answer received by wire.
    Wire(Box<WireReading>),
    /// One interval taken from an IDM; published some time after its end.
    Interval(Interval),
}

/// Message type of interval events, the last level of their topic.
pub const INTERVAL: &str = "interval";

/// Fields of a wired meter that show its clock.
const CLOCK_FIELDS: [&str; 3] = ["timestamp", "date", "datetime"];

/// One reading, shared by all sinks.
#[derive(Clone, Debug)]
pub struct ReadingEvent {
    /// Meter id.
    pub id: String,
    /// Message type, the last level of the topic: `scm`, `p1`, [`INTERVAL`] …
    pub kind: &'static str,
    /// Source of the reading.
    pub origin: Origin,
    /// Configuration of the meter; `None` for meters without a `[[meter]]` section.
    pub meter: Option<Arc<Meter>>,
    /// Counts of a radio message; zero for other origins.
    pub registers: Registers,
    /// The native JSON object, once a sink has asked for it.
    native_json: OnceLock<String>,
}

impl ReadingEvent {
    /// Builds the event of a radio packet whose counters are not continued beyond their width.
    pub fn from_radio(reading: Box<Reading>, meter: Option<Arc<Meter>>) -> Self {
        let config = meter.as_deref().unwrap_or(Meter::unconfigured());
        let registers = config.registers(&reading.message);
        ReadingEvent::with_registers(reading, meter, registers)
    }

    /// Builds the event of a radio packet with these counts.
    pub fn with_registers(reading: Box<Reading>, meter: Option<Arc<Meter>>, registers: Registers) -> Self {
        ReadingEvent {
            registers,
            id: reading.message.id().to_string(),
            kind: reading.message.kind().topic_name(),
            origin: Origin::Radio(reading),
            meter,
            native_json: OnceLock::new(),
        }
    }

    /// Builds the event of a telegram; copies the configured name into the reading.
    pub fn from_wire(mut reading: Box<WireReading>, meter: Option<Arc<Meter>>) -> Self {
        reading.name = meter.as_ref().and_then(|meter| meter.name.clone());
        ReadingEvent {
            id: reading.report.id.to_string(),
            kind: reading.report.reading_type.topic_name(),
            origin: Origin::Wire(reading),
            meter,
            registers: Registers::default(),
            native_json: OnceLock::new(),
        }
    }

    /// Builds the event of one interval of a configured meter.
    pub fn from_interval(id: String, interval: Interval, meter: Arc<Meter>) -> Self {
        ReadingEvent {
            id,
            kind: INTERVAL,
            origin: Origin::Interval(interval),
            meter: Some(meter),
            registers: Registers::default(),
            native_json: OnceLock::new(),
        }
    }

    /// Returns the same reading with another configuration of its meter.
    pub fn configured_as(&self, meter: Option<Arc<Meter>>) -> Self {
        match &self.origin {
            Origin::Radio(reading) => ReadingEvent::with_registers(reading.clone(), meter, self.registers),
            Origin::Wire(reading) => ReadingEvent::from_wire(reading.clone(), meter),
            Origin::Interval(_) => self.clone(),
        }
    }

    /// Returns the native JSON object, built by `build` on the first call; see `format::native`.
    pub fn native_json(&self, build: impl FnOnce(&Self) -> String) -> &str {
        self.native_json.get_or_init(|| build(self))
    }

    /// Configuration of the meter, or the defaults where it has none.
    pub fn meter_or_default(&self) -> &Meter {
        self.meter.as_deref().unwrap_or(Meter::unconfigured())
    }

    /// Returns whether the meter belongs to this home: it is configured, or connected by wire.
    pub fn is_own_meter(&self) -> bool {
        let is_wired =
            matches!(&self.origin, Origin::Wire(reading) if !reading.report.reading_type.is_by_radio());
        self.meter.is_some() || is_wired
    }

    /// Returns whether the meter pushes telegrams every few seconds without being polled.
    pub fn is_pushed(&self) -> bool {
        matches!(&self.origin, Origin::Wire(reading) if reading.report.reading_type.pushes())
    }

    /// Time of reception by the clock of this machine; for an interval, its end.
    pub fn received_at(&self) -> Timestamp {
        match &self.origin {
            Origin::Radio(reading) => reading.time,
            Origin::Wire(reading) => reading.received,
            Origin::Interval(interval) => interval.end,
        }
    }

    /// Configured name of the meter, or its id.
    pub fn name(&self) -> &str {
        let name = self.meter.as_ref().and_then(|meter| meter.name.as_deref());
        name.unwrap_or(&self.id)
    }

    /// Commodity in one word, such as `gas`; `unknown` if neither configured nor known from the message.
    pub fn commodity(&self) -> String {
        match &self.origin {
            Origin::Radio(reading) => self
                .meter_or_default()
                .commodity(&reading.message)
                .to_string()
                .replace('?', "unknown"),
            Origin::Wire(reading) => wire_commodity(&reading.report).into(),
            Origin::Interval(_) => {
                let commodity = self.meter.as_ref().and_then(|meter| meter.commodity);
                commodity.map_or_else(|| "unknown".into(), |commodity| commodity.to_string())
            }
        }
    }

    /// The decrypted telegram, if this is the first of the readings made from it.
    pub fn telegram(&self) -> Option<&Arc<[u8]>> {
        match &self.origin {
            Origin::Wire(reading) => reading.telegram.as_ref(),
            Origin::Radio(_) | Origin::Interval(_) => None,
        }
    }
}

impl SameValues for ReadingEvent {
    /// Compares every value of the two messages, status and tamper bits included, but not their times, signal quality
    /// or receiver.
    fn same_values(&self, other: &Self) -> bool {
        match (&self.origin, &other.origin) {
            (Origin::Radio(a), Origin::Radio(b)) => without_time(&a.message) == without_time(&b.message),
            (Origin::Wire(a), Origin::Wire(b)) => values(&a.report).eq(values(&b.report)),
            (Origin::Interval(a), Origin::Interval(b)) => a == b,
            _ => false,
        }
    }
}

/// Copy of a message without the fields that change with time alone. In interval messages those are the transmission
/// time, the number of the interval, the list of intervals (it shifts every five minutes) and the CRC over them all.
fn without_time(message: &Message) -> Message {
    let mut message = message.clone();
    match &mut message {
        Message::Idm(m) => {
            (m.consumption_interval_count, m.transmit_time_offset, m.packet_crc) = (0, 0, 0);
            m.differential_consumption_intervals.fill(0);
            // One bit per interval: shifts with the list.
            m.power_outage_flags.fill(0);
        }
        Message::NetIdm(m) => {
            (m.consumption_interval_count, m.transmit_time_offset, m.packet_crc) = (0, 0, 0);
            m.differential_consumption_intervals.fill(0);
        }
        // The first unknown byte changes by itself.
        Message::R900(m) | Message::R900Bcd(m) => (m.unkn1, m.parity) = (0, 0),
        Message::Scm(_) | Message::ScmPlus(_) => {}
        Message::Orion(_) | Message::OrionEndpoint(_) | Message::HotRod(_) | Message::Dialog3g(_) => {}
    }
    message
}

/// Fields of a report except those that show the meter's clock.
fn values(report: &Report) -> impl Iterator<Item = (&str, &Value)> {
    let fields = report.reading.0.iter().chain(&report.unknown.0);
    fields
        .map(|(name, value)| (&**name, value))
        .filter(|(name, value)| !CLOCK_FIELDS.contains(name) && !matches!(value, Value::Time(_)))
}

fn wire_commodity(report: &Report) -> &str {
    match (report.reading_type, report.reading.get("medium")) {
        (ReadingType::P1 | ReadingType::Dlms | ReadingType::Sml | ReadingType::Tic, _) => "electricity",
        (ReadingType::Kmp, _) => "heat",
        (ReadingType::Mbus | ReadingType::Wmbus | ReadingType::Iec, Some(Value::Text(medium))) => medium,
        (sort, _) => sort.topic_name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Signal;
    use metertap_decode::ert::{Kind, R900, Scm};
    use metertap_decode::p1::{Telegram, readings};
    use metertap_decode::time::Zone;

    fn radio(second: i64, message: Message) -> ReadingEvent {
        let reading = Reading {
            time: Timestamp::from_second(second).unwrap(),
            offset: 0,
            length: 0,
            receiver: "roof".into(),
            heard_by: Vec::new(),
            frequency_hz: None,
            frame: Default::default(),
            message,
            signal: Signal {
                offset_hz: second,
                snr_db: second as f64,
                level_dbfs: 0.0,
                corrected: 0,
                clock_ppm: Some(0),
                ..Signal::default()
            },
        };
        ReadingEvent::from_radio(Box::new(reading), None)
    }

    fn r900() -> R900 {
        R900 {
            id: 1,
            unkn1: 0,
            no_use: 0,
            back_flow: 0,
            consumption: 5,
            unkn3: 0,
            leak: 0,
            leak_now: 0,
            parity: 0,
        }
    }

    fn scm() -> Scm {
        Scm {
            id: 1,
            ert_type: 7,
            tamper_phy: 0,
            tamper_enc: 0,
            consumption: 5,
            checksum: 0,
        }
    }

    /// A documented IDM with consumption interval count 246.
    fn idm() -> metertap_decode::ert::Idm {
        const FRAME: &str = "555516A31C5CC6041700BC614EF6BC0102030405061234A1B2C3D4E5F6000EDEFC000040403020140C0704024140B060341C0F0804424130A0542C170C064341B0E0743C1F100844423120944C27140A4542B160B45C01DC61B0AB9A";
        match Message::parse(
            Kind::Idm,
            &data_encoding::HEXUPPER.decode(FRAME.as_bytes()).unwrap(),
        )
        .unwrap()
        {
            Message::Idm(idm) => idm,
            other => panic!("{other:?}"),
        }
    }

    fn p1(second: u8, power: &str, fault: &str) -> ReadingEvent {
        let text = format!(
            "/MTP5x\r\n\r\n0-0:96.1.1(4D31)\r\n0-0:1.0.0(2601011200{second:02}W)\r\n1-0:1.7.0({power}*kW)\r\n0-0:97.97.0({fault})\r\n!"
        );
        let zone = "Europe/Amsterdam".parse::<Zone>().unwrap();
        let report = readings(&Telegram::parse(&text).unwrap(), &zone).remove(0);
        let received = Timestamp::from_second(second.into()).unwrap();
        ReadingEvent::from_wire(Box::new(WireReading::new("hall".into(), report, received)), None)
    }

    #[test]
    fn given_another_time_and_signal_then_the_values_are_the_same() {
        assert!(radio(0, Message::R900(r900())).same_values(&radio(60, Message::R900(r900()))));
        assert!(p1(0, "00.5", "0").same_values(&p1(10, "00.5", "0")));
        let flipped = R900 {
            unkn1: 131,
            parity: 7,
            ..r900()
        };
        assert!(radio(0, Message::R900(r900())).same_values(&radio(60, Message::R900(flipped))));
    }

    #[test]
    fn given_another_counter_leak_backflow_or_tamper_bit_then_the_values_differ() {
        let before = radio(0, Message::R900(r900()));
        for changed in [
            R900 {
                consumption: 6,
                ..r900()
            },
            R900 {
                leak_now: 2,
                ..r900()
            },
            R900 { leak: 1, ..r900() },
            R900 {
                back_flow: 1,
                ..r900()
            },
            R900 { no_use: 3, ..r900() },
        ] {
            assert!(
                !before.same_values(&radio(60, Message::R900(changed.clone()))),
                "{changed:?}"
            );
        }
        let tampered = Scm {
            tamper_phy: 1,
            ..scm()
        };
        assert!(!radio(0, Message::Scm(scm())).same_values(&radio(60, Message::Scm(tampered))));
    }

    #[test]
    fn given_an_interval_message_then_only_counter_and_status_count() {
        let before = radio(0, Message::Idm(idm()));
        let mut later = idm();
        later.consumption_interval_count = 247;
        later.transmit_time_offset = 17;
        later.packet_crc = 1;
        later.differential_consumption_intervals[46] = 1;
        assert!(before.same_values(&radio(300, Message::Idm(later.clone()))));
        later.tamper_counters[0] += 1;
        assert!(!before.same_values(&radio(300, Message::Idm(later))));
        let mut counted = idm();
        counted.last_consumption_count += 1;
        assert!(!before.same_values(&radio(300, Message::Idm(counted))));
    }

    #[test]
    fn given_another_value_of_a_telegram_known_or_not_then_the_values_differ() {
        assert!(!p1(0, "00.5", "0").same_values(&p1(10, "00.6", "0")));
        assert!(!p1(0, "00.5", "0").same_values(&p1(10, "00.5", "1")));
    }
}
