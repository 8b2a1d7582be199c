//! The API: JSON, to read. `openapi.json` describes it, and a test holds it to that.

use crate::format::native;
use crate::format::smartmeter2mqtt::telegram_object;
use crate::meter::consumption::Consumption;
use crate::meter::event::{Origin, ReadingEvent};
use crate::status::board::{Inner, MeterStatus, StatusBoard};
use crate::status::receiver::Condition;
use crate::web::history::rate_unit;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Readings of one answer.
const PAGE: usize = 500;

/// A meter, and what it said last.
#[derive(Serialize)]
pub(crate) struct Meter<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    name: &'a str,
    mine: bool,
    commodity: String,
    /// What its counter says.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    unit: &'a str,
    /// Since it was heard first.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<f64>,
    /// What is used an hour, where it is ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    rate_unit: String,
    /// How often it was heard.
    times: u64,
    last_seen: Timestamp,
    /// The receiver or port.
    heard_by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    snr_db: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_hz: Option<i64>,
    /// As it is published.
    last: Option<&'a RawValue>,
}

impl<'a> Meter<'a> {
    pub(crate) fn of(seen: &'a MeterStatus, usage: &Consumption) -> Self {
        let (told, count) = (&*seen.last, seen.count.as_ref());
        let unit = count.map_or("", |count| &count.unit);
        // One that was ours once says no longer what is used now.
        let ours = count.filter(|_| told.is_own_meter());
        let rate = ours.and_then(|count| usage.get(&count.key)?.rate());
        let (heard_by, snr_db, frequency_hz) = match &told.origin {
            Origin::Radio(reading) => (
                &*reading.receiver,
                Some(reading.signal.snr_db),
                reading.frequency_hz.map(|hz| hz.round() as i64),
            ),
            Origin::Wire(reading) => (&*reading.port, None, None),
            Origin::Interval(_) => ("", None, None),
        };
        Meter {
            id: &told.id,
            kind: told.kind,
            name: told.name(),
            mine: told.is_own_meter(),
            commodity: told.commodity(),
            value: count.map(|count| count.value),
            unit,
            change: count.map(|count| micros(count.value - seen.first)),
            rate: rate.map(micros),
            rate_unit: rate_unit(unit),
            times: seen.times,
            last_seen: seen.at,
            heard_by,
            snr_db,
            frequency_hz,
            last: object(told),
        }
    }
}

/// Without the dust of differences.
fn micros(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// The payload, as it is.
fn object(told: &ReadingEvent) -> Option<&RawValue> {
    serde_json::from_str(native::json(told)).ok()
}

/// `GET /api/meters`: every meter heard, ours first.
pub async fn meters(State(board): State<StatusBoard>) -> Response {
    let board = board.look();
    let mut meters: Vec<Meter> = board
        .meters
        .values()
        .map(|seen| Meter::of(seen, &board.usage))
        .collect();
    meters.sort_by_key(|meter| !meter.mine);
    Json(json!({ "meters": meters })).into_response()
}

/// `GET /api/meters/<id>`: all types of one meter, and its last readings.
pub async fn meter(State(board): State<StatusBoard>, Path(id): Path<String>) -> Response {
    let board = board.look();
    let types: Vec<Meter> = board
        .meters
        .iter()
        .filter(|((of, _), _)| *of == id)
        .map(|(_, seen)| Meter::of(seen, &board.usage))
        .collect();
    if types.is_empty() {
        return missing("no such meter was heard");
    }
    let readings = board.readings.iter().rev().filter(|told| told.id == id);
    let mut readings: Vec<&RawValue> = readings.take(PAGE).filter_map(|told| object(told)).collect();
    readings.reverse();
    Json(json!({ "types": types, "readings": readings })).into_response()
}

/// Of `GET /api/readings`.
#[derive(Deserialize)]
pub struct Since {
    /// Number of the first reading wanted: what `next` said the last time.
    #[serde(default)]
    since: u64,
}

/// `GET /api/readings?since=N`: readings from number N on, and the number to ask for next.
pub async fn readings(
    State(board): State<StatusBoard>,
    since: Result<Query<Since>, impl std::fmt::Display>,
) -> Response {
    let Query(Since { since }) = match since {
        Ok(since) => since,
        Err(error) => return refused(&error.to_string()),
    };
    let board = board.look();
    let end = board.first_reading + board.readings.len() as u64;
    // Somebody else's number, of an earlier process perhaps: from the beginning.
    let begin = if since > end {
        board.first_reading
    } else {
        since.max(board.first_reading)
    };
    let skipped = (begin - board.first_reading) as usize;
    let page: Vec<&RawValue> = board
        .readings
        .iter()
        .skip(skipped)
        .take(PAGE)
        .filter_map(|told| object(told))
        .collect();
    let next = begin + page.len() as u64;
    let missed = begin.saturating_sub(since);
    Json(json!({ "readings": page, "next": next, "missed": missed })).into_response()
}

/// `GET /api/reading`: the last P1 telegram, as smartmeter2mqtt gave it.
pub async fn reading(State(board): State<StatusBoard>) -> Response {
    let telegram = board.look().telegram.clone();
    match telegram.and_then(|telegram| telegram_object(&telegram)) {
        Some(object) => ([(header::CONTENT_TYPE, "application/json")], object).into_response(),
        None => (
            StatusCode::BAD_REQUEST,
            Json(json!({ "err": "No reading just yet!" })),
        )
            .into_response(),
    }
}

/// `GET /api/status`: receivers, sinks, what was refused.
pub async fn status(State(board): State<StatusBoard>) -> Response {
    let board = board.look();
    let refused: Vec<Value> = board
        .refused
        .iter()
        .map(|((id, reason), count)| json!({ "id": id, "reason": reason, "count": count }))
        .collect();
    let receivers: BTreeMap<&String, _> = board.receivers.iter().collect();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started": board.started,
        "meters": board.meters.len(),
        "receivers": receivers,
        "sinks": board.standings(),
        "refused": refused,
    }))
    .into_response()
}

/// `GET /healthz`: 200, or 503 with what is wrong.
pub async fn health(State(board): State<StatusBoard>) -> Response {
    let wrong = wrong(&board.look());
    let (status, word) = match wrong.is_empty() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "in trouble"),
    };
    (status, Json(json!({ "status": word, "wrong": wrong }))).into_response()
}

fn wrong(board: &Inner) -> Vec<String> {
    let of_receivers = board.receivers.iter().filter_map(|(name, state)| {
        let is_wrong = matches!(state.state, Condition::Down | Condition::Stalled);
        is_wrong.then(|| format!("{name}: {}", state.reason.as_deref().unwrap_or("not up")))
    });
    let standings = board.standings().into_iter();
    let of_sinks = standings.filter_map(|standing| Some(format!("{}: {}", standing.name, standing.trouble?)));
    of_receivers.chain(of_sinks).collect()
}

/// `GET /api/openapi.json`
pub async fn description() -> Response {
    const DESCRIPTION: &str = include_str!("openapi.json");
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}

pub(crate) fn missing(reason: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "err": reason }))).into_response()
}

pub(crate) fn refused(reason: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "err": reason }))).into_response()
}
