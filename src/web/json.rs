//! Objects of the API. `openapi.json` is generated from these types, and their comments are its descriptions.

use crate::format::native;
use crate::meter::consumption::Consumption;
use crate::meter::event::{Origin, ReadingEvent};
use crate::meter::{Factor, Meter};
use crate::status::MeterStatus;
use crate::status::log_buffer::LogEvent;
use crate::status::prices::PriceFeedJson;
use crate::status::reading_counters::ReadingCounters;
use crate::status::receiver::ReceiverState;
use crate::status::sink::SinkStatus;
use crate::web::telegram_json::LastTelegramJson;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A meter with its last reading.
#[derive(Serialize)]
pub struct MeterJson<'a> {
    /// Id as received.
    id: &'a str,
    /// Type of the message: the last level of the topic.
    #[serde(rename = "type")]
    kind: &'a str,
    /// Configured name, or the id.
    name: &'a str,
    /// The meter is configured, or wired.
    mine: bool,
    /// The meter has a section in the configuration.
    configured: bool,
    /// Commodity: `electricity`, `gas`, `water`, `heat` and so on.
    commodity: String,
    /// Value of the primary counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// Unit of `value` and `change`.
    unit: &'a str,
    /// Change of `value` since the meter was first received.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<f64>,
    /// Usage per hour at present, of a configured or wired meter.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    /// Unit of `rate`.
    rate_unit: String,
    /// Number of readings.
    times: u64,
    /// Time of the last reading.
    last_seen: Timestamp,
    /// Usual time between two readings in seconds, learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_s: Option<f64>,
    /// Time without a reading in seconds after which the meter counts as silent: configured, or learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_after_s: Option<f64>,
    /// Receiver or port of the last reading.
    heard_by: &'a str,
    /// Further receivers of the same packet, with weaker signals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also_heard_by: Vec<&'a str>,
    /// Signal-to-noise ratio of the last reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    snr_db: Option<f64>,
    /// Margin in dB of the last reading, if it was received because it was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    margin_db: Option<f64>,
    /// Frequency of the last reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_hz: Option<i64>,
    /// Last reading as published.
    last: Option<&'a RawValue>,
}

impl<'a> MeterJson<'a> {
    /// Creates the object of a meter.
    pub fn new(meter: &'a MeterStatus, consumption: &Consumption) -> Self {
        let (event, count) = (&*meter.last, meter.count.as_ref());
        let unit = count.map_or("", |count| &count.unit);
        // A meter that was once configured has a series that no longer grows.
        let ours = count.filter(|_| event.is_own_meter());
        let rate = ours.and_then(|count| consumption.get(&count.key)?.rate());
        let (heard_by, (snr_db, margin_db), frequency_hz) = match &event.origin {
            Origin::Radio(reading) => (
                &*reading.receiver,
                (Some(reading.signal.snr_db), reading.signal.margin_db),
                reading.frequency_hz.map(|hz| hz.round() as i64),
            ),
            Origin::Wire(reading) => {
                let signal = reading.signal.as_ref();
                (
                    &*reading.port,
                    (signal.map(|signal| signal.signal.snr_db), None),
                    signal.and_then(|signal| signal.frequency_hz),
                )
            }
            Origin::Interval(_) => ("", (None, None), None),
        };
        let also_heard_by = match &event.origin {
            Origin::Radio(reading) => {
                let others = reading.heard_by.iter().map(|name| &**name);
                others.filter(|name| *name != heard_by).collect()
            }
            Origin::Wire(_) | Origin::Interval(_) => Vec::new(),
        };
        MeterJson {
            id: &event.id,
            kind: event.kind,
            name: event.name(),
            mine: event.is_own_meter(),
            configured: event.meter.is_some(),
            commodity: event.commodity(),
            value: count.map(|count| count.value),
            unit,
            change: count.map(|count| rounded(count.value - meter.first)),
            rate: rate.map(rounded),
            rate_unit: rate_unit(unit),
            times: meter.times,
            last_seen: meter.at,
            interval_s: meter.interval.seconds().map(in_tenths),
            silent_after_s: meter.silence_limit_s().map(in_tenths),
            heard_by,
            also_heard_by,
            snr_db,
            margin_db,
            frequency_hz,
            last: object(event),
        }
    }

    /// Key to sort by: configured meters first, then by id and type.
    pub fn order(&self) -> (bool, &str, &str) {
        (!self.mine, self.id, self.kind)
    }
}

fn in_tenths(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

/// Rounds to six decimals, to hide the noise of floating-point differences.
pub fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// Unit of a usage per hour: power for energy, otherwise `unit` per hour.
pub fn rate_unit(unit: &str) -> String {
    match unit {
        "Wh" | "kWh" | "MWh" => unit.trim_end_matches('h').into(),
        _ => format!("{unit}/h"),
    }
}

/// Returns the published object of a reading.
pub fn object(event: &ReadingEvent) -> Option<&RawValue> {
    serde_json::from_str(native::json(event)).ok()
}

/// All meters.
#[derive(Serialize)]
pub struct MetersJson<'a> {
    /// Meters, configured ones first.
    pub meters: Vec<MeterJson<'a>>,
}

/// One meter.
#[derive(Serialize)]
pub struct OneMeterJson<'a> {
    /// The meter, once per type that it sends.
    pub types: Vec<MeterJson<'a>>,
    /// Its readings among the last 2000, oldest first.
    pub readings: Vec<&'a RawValue>,
    /// Its section in the configuration, without secrets.
    pub configuration: Option<MeterConfigJson<'a>>,
    /// Codes of the fields of electricity meters, by name.
    pub codes: BTreeMap<&'static str, Vec<String>>,
    /// Reception over the last two days by type, of a configured or wired meter.
    pub reception: Vec<ReceptionJson<'a>>,
    /// The last telegram of each type: of a meter that is received by radio or sends by M-Bus.
    pub telegrams: Vec<LastTelegramJson<'a>>,
    /// Its implausible readings.
    pub refused: Vec<RefusedJson<'a>>,
}

/// Configuration of a meter.
#[derive(Serialize)]
pub struct MeterConfigJson<'a> {
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// Accepted message types; none: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    protocol: Vec<String>,
    /// Unit of the counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    /// Value of one count in that unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<f64>,
    /// Digits of the counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    digits: Option<u8>,
    /// Area in Home Assistant.
    #[serde(skip_serializing_if = "Option::is_none")]
    area: Option<&'a str>,
}

impl<'a> MeterConfigJson<'a> {
    /// Creates the object of a configured meter.
    pub fn new(meter: &'a Meter) -> Self {
        MeterConfigJson {
            name: meter.name.as_deref(),
            protocol: meter.protocols.clone(),
            unit: meter.unit.as_deref(),
            scale: meter.scale.map(Factor::to_f64),
            digits: meter.digits,
            area: meter.area.as_deref(),
        }
    }
}

/// Reception of one type of message.
#[derive(Serialize)]
pub struct ReceptionJson<'a> {
    /// Type of the message.
    #[serde(rename = "type")]
    kind: &'a str,
    /// Hours with a reading, oldest first.
    hours: Vec<HourJson>,
}

/// Reception in one hour.
#[derive(Serialize)]
pub struct HourJson {
    /// Begin in seconds since 1970.
    begin: i64,
    /// Number of readings.
    count: u32,
    /// Mean signal-to-noise ratio.
    #[serde(skip_serializing_if = "Option::is_none")]
    snr_db: Option<f64>,
}

impl<'a> ReceptionJson<'a> {
    /// Creates the object of a meter and type; nothing of a neighbor's.
    pub fn new(meter: &'a MeterStatus) -> Option<Self> {
        let hours = meter.reception.hours().map(|hour| HourJson {
            begin: hour.begin,
            count: hour.count,
            snr_db: hour.snr_db().map(in_tenths),
        });
        let hours: Vec<_> = hours.collect();
        let kind = meter.last.kind;
        (!hours.is_empty()).then_some(ReceptionJson { kind, hours })
    }
}

/// A page of readings.
#[derive(Serialize)]
pub struct ReadingsJson<'a> {
    /// Readings, oldest first.
    pub readings: Vec<&'a RawValue>,
    /// Number for the next request.
    pub next: u64,
    /// Number of readings that were dropped before they were asked for.
    pub missed: u64,
}

/// State of the daemon.
#[derive(Serialize)]
pub struct StatusJson<'a> {
    /// Version of metertap.
    pub version: &'static str,
    /// Start of the process.
    pub started: Timestamp,
    /// Number of meters received.
    pub meters: usize,
    /// Readings since the start.
    pub readings: ReadingCounters,
    /// Receivers and ports by name.
    pub receivers: BTreeMap<String, ReceiverState>,
    /// State of the outputs and of MQTT.
    pub sinks: Vec<SinkStatus>,
    /// Sources of prices that change every hour.
    pub prices: Vec<PriceFeedJson>,
    /// Number of restarts of the components that have failed, by name.
    pub restarts: &'a BTreeMap<String, u64>,
    /// Number of panics in threads and tasks.
    pub panics: u64,
    /// Implausible readings.
    pub refused: Vec<RefusedJson<'a>>,
}

/// Number of implausible readings of a meter.
#[derive(Serialize)]
pub struct RefusedJson<'a> {
    /// Id of the meter.
    pub id: &'a str,
    /// Reason for which they are implausible.
    pub reason: &'a str,
    /// Number of readings.
    pub count: u64,
}

/// Health of the daemon.
#[derive(Serialize)]
pub struct HealthJson {
    /// `ok`, `stuck` or `in trouble`.
    pub status: &'static str,
    /// What does not work: threads; receivers, ports and sinks, with the reason for those who may read it.
    pub wrong: Vec<String>,
}

/// Everything that has changed since a number.
#[derive(Serialize)]
pub struct NewsJson<'a> {
    /// Version of metertap.
    pub version: &'static str,
    /// Address of the project, where there are the documents.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub homepage: &'static str,
    /// Start of the process. Another one means another process, whose numbers start over.
    pub started: Timestamp,
    /// Time of this answer by the clock that all times are of.
    pub now: Timestamp,
    /// Number for the next request.
    pub next: u64,
    /// Configured meters of which nothing was received since the start.
    pub missing: Vec<MissingJson<'a>>,
    /// All receivers and ports by name, changed or not.
    pub receivers: BTreeMap<String, ReceiverState>,
    /// All outputs and MQTT, changed or not.
    pub sinks: Vec<SinkStatus>,
    /// All sources of prices that change every hour, changed or not.
    pub prices: Vec<PriceFeedJson>,
    /// Meters with a new reading.
    pub meters: Vec<MeterJson<'a>>,
    /// New telegrams by port.
    pub telegrams: BTreeMap<&'a str, TelegramJson>,
    /// New events of the log.
    pub events: Vec<LogEvent>,
    /// New rows of the waterfall, if they were asked for.
    pub rows: Vec<SpectrumJson<'a>>,
}

/// A configured meter of which nothing was received since the start.
#[derive(Serialize)]
pub struct MissingJson<'a> {
    /// Id as configured.
    pub id: &'a str,
    /// Configured name, or the id.
    pub name: &'a str,
}

/// A telegram as received.
#[derive(Serialize)]
pub struct TelegramJson {
    /// Time at which it was decoded.
    pub at: Timestamp,
    /// Bytes in Base64.
    pub bytes: String,
}

/// A row of the waterfall.
#[derive(Serialize)]
pub struct SpectrumJson<'a> {
    /// Name of the receiver.
    pub receiver: &'a str,
    /// Time of its last samples.
    pub at: Timestamp,
    /// Center of the window, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub center_hz: Option<f64>,
    /// Width of the window.
    pub span_hz: f64,
    /// Base64 of one byte per bin, from the lowest frequency up: half decibels above -120 dBFS.
    pub bins: String,
    /// Histogram of the samples, from the lower end of the scale to the upper one.
    pub levels: Vec<f64>,
    /// Share of samples at either end of the scale.
    pub clipped: f64,
    /// Power of the samples.
    pub power_dbfs: f64,
    /// Power of the noise.
    pub noise_dbfs: f32,
}
