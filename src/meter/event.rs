//! A reading on its way to all sinks: what was said, and of which meter.

use crate::format::{Format, line, payload};
use crate::meter::intervals::{INTERVAL_S, Interval};
use crate::meter::{Meter, Reading, WireReading};
use jiff::{SignedDuration, Timestamp};
use metertap_decode::quantity::Quantity;
use metertap_decode::report::{ReadingType, Value as Field};
use serde_json::{Value, json};
use std::sync::Arc;

/// Where it was heard.
#[derive(Clone, Debug)]
pub enum Origin {
    /// On the air.
    Radio(Box<Reading>),
    /// On a wire.
    Wire(Box<WireReading>),
    /// Five minutes of a meter of the radio, told of later.
    Interval(Interval),
}

/// The last word of the topic of intervals.
pub const INTERVAL: &str = "interval";

/// A reading, once for all sinks.
#[derive(Clone, Debug)]
pub struct ReadingEvent {
    /// Of the meter.
    pub id: String,
    /// Its type: the last part of its topic.
    pub kind: &'static str,
    /// The house's JSON object.
    pub payload: String,
    /// What was said.
    pub what: Origin,
    /// What the user has said of the meter; nothing: it is a neighbour's, or only heard on a wire.
    pub meter: Option<Arc<Meter>>,
}

impl ReadingEvent {
    /// A reading of the radio.
    pub fn radio(reading: Box<Reading>, meter: Option<Arc<Meter>>) -> Self {
        let said = meter.as_deref().unwrap_or(Meter::unknown());
        ReadingEvent {
            id: reading.message.id().to_string(),
            kind: reading.message.kind().topic_name(),
            payload: payload(&reading, said),
            what: Origin::Radio(reading),
            meter,
        }
    }

    /// A reading of a wire.
    pub fn wire(mut reading: Box<WireReading>, meter: Option<Arc<Meter>>) -> Self {
        reading.name = meter.as_ref().and_then(|meter| meter.name.clone());
        ReadingEvent {
            id: reading.report.id.to_string(),
            kind: reading.report.reading_type.topic_name(),
            // Numbers and text cannot fail to be written.
            payload: serde_json::to_string(&reading).unwrap_or_default(),
            what: Origin::Wire(reading),
            meter,
        }
    }

    /// Five minutes of a meter of ours.
    pub fn interval(id: String, interval: Interval, meter: Arc<Meter>) -> Self {
        let begin = interval.end.checked_sub(SignedDuration::from_secs(INTERVAL_S));
        let total = meter.counter_name();
        let payload = json!({
            "time": interval.end,
            "begin": begin.ok(),
            "id": id,
            "name": meter.name,
            "type": INTERVAL,
            "reading": {
                "interval": quantity(meter.used(interval.counts.into())),
                total: quantity(meter.total_of(interval.total)),
            },
            "filled_in": interval.is_filled_in,
        });
        ReadingEvent {
            id,
            kind: INTERVAL,
            payload: payload.to_string(),
            what: Origin::Interval(interval),
            meter: Some(meter),
        }
    }

    /// What the user has said of the meter, which may be nothing.
    pub fn said(&self) -> &Meter {
        self.meter.as_deref().unwrap_or(Meter::unknown())
    }

    /// Whether it is of this home, and not a neighbour's.
    pub fn is_ours(&self) -> bool {
        self.meter.is_some() || matches!(self.what, Origin::Wire(_))
    }

    /// Whether its meter speaks by itself, every few seconds.
    pub fn pushes(&self) -> bool {
        matches!(&self.what, Origin::Wire(reading) if reading.report.reading_type.pushes())
    }

    /// When we heard it.
    pub fn heard_at(&self) -> Timestamp {
        match &self.what {
            Origin::Radio(reading) => reading.time,
            Origin::Wire(reading) => reading.received,
            Origin::Interval(interval) => interval.end,
        }
    }

    /// What people call the meter; its id where they call it nothing.
    pub fn name(&self) -> &str {
        let name = self.meter.as_ref().and_then(|meter| meter.name.as_deref());
        name.unwrap_or(&self.id)
    }

    /// What it measures, in a word.
    pub fn commodity(&self) -> String {
        match &self.what {
            Origin::Radio(reading) => {
                let unknown = Meter::default();
                let meter = self.meter.as_deref().unwrap_or(&unknown);
                meter
                    .commodity(&reading.message)
                    .to_string()
                    .replace('?', "unknown")
            }
            Origin::Wire(reading) => commodity_of(reading).into(),
            Origin::Interval(_) => {
                let commodity = self.meter.as_ref().and_then(|meter| meter.commodity);
                commodity.map_or_else(|| "unknown".into(), |commodity| commodity.to_string())
            }
        }
    }

    /// The telegram as it came, if this is the first of its readings.
    pub fn telegram(&self) -> Option<&Arc<[u8]>> {
        match &self.what {
            Origin::Wire(reading) => reading.telegram.as_ref(),
            Origin::Radio(_) | Origin::Interval(_) => None,
        }
    }

    /// rtlamr's line; nothing for a meter on a wire.
    pub fn rtlamr(&self) -> Option<String> {
        match &self.what {
            Origin::Radio(reading) => Some(line(Format::Json, reading, false)),
            _ => None,
        }
    }
}

/// With its unit, if it has one.
fn quantity(quantity: Quantity) -> Value {
    let mut object = json!(quantity);
    if let (true, Some(object)) = (quantity.unit.is_none(), object.as_object_mut()) {
        object.remove("unit");
    }
    object
}

fn commodity_of(reading: &WireReading) -> &str {
    let sort = reading.report.reading_type;
    match (sort, reading.report.reading.get("medium")) {
        (ReadingType::P1 | ReadingType::Dlms, _) => "electricity",
        (ReadingType::Kmp, _) => "heat",
        (ReadingType::Mbus, Some(Field::Text(medium))) => medium,
        _ => sort.topic_name(),
    }
}
