//! Metrics for Prometheus. Ids of neighbours' meters are never labels.

use crate::meter::event::Origin;
use crate::status::board::{Inner, MeterStatus, StatusBoard};
use crate::status::receiver::Condition;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use metertap_decode::report::Value as Field;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

/// Of the text.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Number = Gauge<f64, AtomicU64>;

/// Text as it may stand between quotes: the library writes it as it is.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct Text(String);

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text(
            text.replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n"),
        )
    }
}

impl EncodeLabelValue for Text {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        self.0.encode(encoder)
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Port {
    port: Text,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Sink {
    sink: Text,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Meter {
    id: Text,
    r#type: &'static str,
    name: Text,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Measured {
    id: Text,
    r#type: &'static str,
    name: Text,
    quantity: Text,
    unit: Text,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Refused {
    id: Text,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Mine {
    mine: &'static str,
}

/// `GET /metrics`
pub async fn metrics(State(board): State<StatusBoard>) -> Response {
    match text(&board.look()) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// All of them, as text.
fn text(board: &Inner) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("metertap");
    let started = Number::default();
    started.set(board.started.as_millisecond() as f64 / 1000.0);
    registry.register("start_time_seconds", "When metertap started", started);
    receivers(board, &mut registry);
    sinks(board, &mut registry);
    meters(board, &mut registry);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn receivers(board: &Inner, registry: &mut Registry) {
    let up = Family::<Port, Gauge>::default();
    let dropped = Family::<Port, Counter>::default();
    let opened = Family::<Port, Counter>::default();
    for (name, state) in &board.receivers {
        let port = Port {
            port: name.as_str().into(),
        };
        up.get_or_create(&port).set((state.state == Condition::Up).into());
        dropped.get_or_create(&port).inc_by(state.dropped);
        opened.get_or_create(&port).inc_by(state.opened);
    }
    registry.register("port_up", "Whether a receiver or wire delivers", up);
    registry.register(
        "source_dropped_chunks",
        "Pieces of samples that were lost",
        dropped,
    );
    registry.register("port_opens", "How often it was opened", opened);
}

fn sinks(board: &Inner, registry: &mut Registry) {
    let delivered = Family::<Sink, Counter>::default();
    let lost = Family::<Sink, Counter>::default();
    let waiting = Family::<Sink, Gauge>::default();
    let clients = Family::<Sink, Gauge>::default();
    let well = Family::<Sink, Gauge>::default();
    for standing in board.standings() {
        let sink = Sink {
            sink: standing.name.as_str().into(),
        };
        delivered.get_or_create(&sink).inc_by(standing.delivered);
        lost.get_or_create(&sink).inc_by(standing.lost);
        waiting.get_or_create(&sink).set(whole(standing.waiting));
        clients.get_or_create(&sink).set(whole(standing.clients));
        well.get_or_create(&sink).set(standing.trouble.is_none().into());
    }
    registry.register("sink_delivered", "Messages that a sink has taken", delivered);
    registry.register("sink_lost", "Messages that a sink will never get", lost);
    registry.register("sink_waiting", "Messages that wait for a sink", waiting);
    registry.register("sink_clients", "Others that are connected to a sink", clients);
    registry.register("sink_up", "Whether a sink takes what it gets", well);
}

fn meters(board: &Inner, registry: &mut Registry) {
    let heard = Family::<Mine, Gauge>::default();
    let readings = Family::<Meter, Counter>::default();
    let seen_at = Family::<Meter, Number>::default();
    let snr = Family::<Meter, Number>::default();
    let values = Family::<Measured, Number>::default();
    for ((id, kind), seen) in &board.meters {
        let is_ours = seen.last.is_own_meter();
        let mine = if is_ours { "yes" } else { "no" };
        heard.get_or_create(&Mine { mine }).inc();
        if !is_ours {
            continue;
        }
        let meter = Meter {
            id: id.as_str().into(),
            r#type: kind,
            name: seen.last.name().into(),
        };
        readings.get_or_create(&meter).inc_by(seen.times);
        seen_at
            .get_or_create(&meter)
            .set(seen.at.as_millisecond() as f64 / 1000.0);
        if let Origin::Radio(reading) = &seen.last.origin {
            snr.get_or_create(&meter).set(reading.signal.snr_db);
        }
        for (quantity, value, unit) in measured(seen) {
            let labels = Measured {
                id: id.as_str().into(),
                r#type: kind,
                name: seen.last.name().into(),
                quantity: quantity.as_str().into(),
                unit: unit.as_str().into(),
            };
            values.get_or_create(&labels).set(value);
        }
    }
    let refused = Family::<Refused, Counter>::default();
    let ours = |id: &str| {
        board
            .meters
            .iter()
            .any(|((of, _), seen)| of == id && seen.last.is_own_meter())
    };
    for ((id, reason), count) in &board.refused {
        let id = if ours(id) { id } else { "others" }.into();
        refused.get_or_create(&Refused { id, reason }).inc_by(*count);
    }
    registry.register("meters_heard", "Meters heard, by whether they are ours", heard);
    registry.register("readings", "Readings of a meter of ours", readings);
    registry.register(
        "meter_last_seen_timestamp_seconds",
        "When it was heard last",
        seen_at,
    );
    registry.register("meter_snr_db", "How well it was heard", snr);
    registry.register("meter_value", "What it said", values);
    registry.register("readings_refused", "Readings that were not plausible", refused);
}

/// Names, values and units of a reading.
fn measured(seen: &MeterStatus) -> Vec<(String, f64, String)> {
    match &seen.last.origin {
        Origin::Radio(reading) => {
            let meter = seen.last.meter_or_default();
            let total = meter.total(&reading.message);
            vec![(
                meter.counter_name().into(),
                total.value.to_f64(),
                total.unit.into(),
            )]
        }
        Origin::Wire(reading) => {
            let of_field = |(name, field): &(std::borrow::Cow<'static, str>, Field)| {
                let quantity = field.quantity()?;
                Some((
                    name.to_string(),
                    quantity.value.to_f64(),
                    quantity.unit.to_string(),
                ))
            };
            reading.report.reading.0.iter().filter_map(of_field).collect()
        }
        Origin::Interval(_) => Vec::new(),
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
