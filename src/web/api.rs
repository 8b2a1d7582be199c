//! The API: JSON to read, described by `openapi.json`.

use crate::format::smartmeter2mqtt::telegram_object;
use crate::meter::event::Origin;
use crate::runtime::propagate_panic;
use crate::status::Snapshot;
use crate::status::receiver::Condition;
use crate::web::AppState;
use crate::web::error::{ApiError, Parameters};
use crate::web::json::{
    HealthJson, MeterConfigJson, MeterJson, MetersJson, OneMeterJson, ReadingsJson, ReceptionJson,
    RefusedJson, StatusJson, object,
};
use crate::web::telegram_json::LastTelegramJson;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use metertap_decode::fields;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Limit of readings in one answer.
const MAX_PAGE: usize = 500;

/// `GET /api/meters`: every meter received, configured ones first.
pub async fn meters(State(app): State<AppState>) -> Result<Response, ApiError> {
    let snapshot = app.status.snapshot();
    let newest = snapshot.clone();
    let write = app.answers.write(move || {
        let meters = newest.meters.iter();
        let mut meters: Vec<_> = meters
            .map(|meter| MeterJson::new(meter, &newest.consumption))
            .collect();
        meters.sort_by(|a, b| a.order().cmp(&b.order()));
        serde_json::to_string(&MetersJson { meters }).map_err(ApiError::internal)
    });
    let answer = app.answers.shared(&snapshot, write).await?;
    Ok(json_bytes(answer))
}

/// `GET /api/meters/<id>`: all types of one meter, and its last readings.
pub async fn meter(State(app): State<AppState>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let snapshot = app.status.snapshot();
    let types: Vec<_> = snapshot
        .meters
        .with_id(&id)
        .map(|meter| MeterJson::new(meter, &snapshot.consumption))
        .collect();
    if types.is_empty() {
        return Err(ApiError::not_found("no such meter was received"));
    }
    let readings = snapshot.readings.iter().rev().filter(|event| event.id == id);
    let mut readings: Vec<&RawValue> = readings
        .take(MAX_PAGE)
        .filter_map(|event| object(event))
        .collect();
    readings.reverse();
    let meter = OneMeterJson {
        types,
        readings,
        configuration: snapshot
            .configured
            .get(&id)
            .map(|meter| MeterConfigJson::new(meter)),
        codes: codes(&snapshot, &id),
        reception: snapshot
            .meters
            .with_id(&id)
            .filter_map(|meter| ReceptionJson::new(meter))
            .collect(),
        telegrams: snapshot
            .meters
            .with_id(&id)
            .filter_map(|meter| LastTelegramJson::new(meter))
            .collect(),
        refused: refused(&snapshot).filter(|refused| refused.id == id).collect(),
    };
    json(&app, &meter)
}

/// Returns the OBIS codes of the fields in the last readings of a meter on a wire; where several stand for a field, those that a P1
/// telegram names.
fn codes(snapshot: &Snapshot, id: &str) -> BTreeMap<&'static str, Vec<String>> {
    let mut codes = BTreeMap::<_, Vec<String>>::new();
    let wired = snapshot
        .meters
        .with_id(id)
        .filter_map(|meter| match &meter.last.origin {
            Origin::Wire(reading) => Some(&reading.report.reading),
            Origin::Radio(_) | Origin::Interval(_) => None,
        });
    for fields in wired {
        for (code, field) in fields::table().filter(|(_, field)| fields.get(field.name).is_some()) {
            codes.entry(field.name).or_default().push(code);
        }
    }
    let telegram = wired_telegram(snapshot, id);
    for codes in codes.values_mut().filter(|codes| codes.len() > 1) {
        let is_sent = |code: &&String| telegram.lines().any(|line| is_code(code, line));
        let sent: Vec<String> = codes.iter().filter(is_sent).cloned().collect();
        if !sent.is_empty() {
            *codes = sent;
        }
    }
    codes
}

/// Returns true if a line of a P1 telegram begins with this code, in which `x` stands for any channel.
fn is_code(code: &str, line: &str) -> bool {
    let sent = line.split('(').next().unwrap_or_default();
    let is_same = |(code, sent): (u8, u8)| code == sent || code == b'x' && sent.is_ascii_digit();
    code.len() == sent.len() && code.bytes().zip(sent.bytes()).all(is_same)
}

/// The P1 telegram of the last reading of a meter; empty without one.
fn wired_telegram<'a>(snapshot: &'a Snapshot, id: &'a str) -> &'a str {
    let mut meters = snapshot.meters.with_id(id);
    let telegram = meters.find_map(|meter| meter.last.telegram());
    let text = telegram.and_then(|telegram| std::str::from_utf8(telegram).ok());
    text.unwrap_or_default()
}

fn refused(snapshot: &Snapshot) -> impl Iterator<Item = RefusedJson<'_>> {
    let refused = snapshot.refused.iter();
    refused.map(|((id, reason), count)| RefusedJson {
        id,
        reason,
        count: *count,
    })
}

/// Parameters of `GET /api/readings`.
#[derive(Deserialize)]
pub struct ReadingsQuery {
    /// Number of the first reading: `next` of the previous answer.
    #[serde(default)]
    since: u64,
}

/// `GET /api/readings?since=N`: readings from a number on, and the number for the next request.
pub async fn readings(
    State(app): State<AppState>,
    Parameters(ReadingsQuery { since }): Parameters<ReadingsQuery>,
) -> Result<Response, ApiError> {
    let snapshot = app.status.snapshot();
    let first = snapshot.first_reading;
    let end = first + snapshot.readings.len() as u64;
    // A number beyond the end is from an earlier process: start over.
    let begin = if since > end { first } else { since.max(first) };
    let page = snapshot
        .readings
        .iter()
        .skip((begin - first) as usize)
        .take(MAX_PAGE);
    let readings: Vec<&RawValue> = page.filter_map(|event| object(event)).collect();
    let page = ReadingsJson {
        next: begin + readings.len() as u64,
        missed: begin.saturating_sub(since),
        readings,
    };
    json(&app, &page)
}

/// `GET /api/reading`: the last P1 telegram as an object of smartmeter2mqtt, whose answers and errors these are.
pub async fn reading(State(app): State<AppState>) -> Result<Response, ApiError> {
    let telegram = app.status.snapshot().p1_telegram.clone();
    match telegram.and_then(|telegram| telegram_object(&telegram)) {
        Some(object) => Ok(json_bytes(app.answers.answer(object)?)),
        None => Err(ApiError::bad_request("No reading just yet!")),
    }
}

/// `GET /api/status`: receivers, ports, sinks, refused readings.
pub async fn status(State(app): State<AppState>) -> Result<Response, ApiError> {
    let snapshot = app.status.snapshot();
    let status = StatusJson {
        version: env!("CARGO_PKG_VERSION"),
        started: snapshot.started,
        meters: snapshot.meters.len(),
        readings: snapshot.counters,
        receivers: snapshot.receivers_now(),
        sinks: snapshot.sink_statuses(),
        prices: snapshot.price_feeds(app.context.clock.timestamp()),
        restarts: &snapshot.restarts,
        panics: snapshot.panics,
        refused: refused(&snapshot).collect(),
    };
    json(&app, &status)
}

/// `GET /livez`: 200 while metertap itself works, or 503 with the threads that are stuck. What is outside the process does not
/// matter: a restart would not mend it.
pub async fn alive(State(app): State<AppState>) -> Response {
    let stuck = app.context.watchdog().stuck();
    let wrong: Vec<String> = stuck.iter().map(|thread| format!("{thread}: stuck")).collect();
    let (status, word) = match wrong.is_empty() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "stuck"),
    };
    (status, Json(HealthJson { status: word, wrong })).into_response()
}

/// `GET /readyz`: 200, or 503 with what is degraded. The reasons, which may contain numbers of
/// meters, only for those who may read the API. `/healthz` is the same.
pub async fn ready(State(app): State<AppState>, headers: HeaderMap) -> Response {
    let tells_reasons = app.guard.tells_reasons(&headers, app.is_peer_trusted).await;
    let wrong = reasons(&app.status.snapshot(), tells_reasons);
    let (status, word) = match wrong.is_empty() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "in trouble"),
    };
    (status, Json(HealthJson { status: word, wrong })).into_response()
}

/// Describes what is degraded; without the reasons, only which part and how.
fn reasons(snapshot: &Snapshot, tells_reasons: bool) -> Vec<String> {
    let receivers = snapshot.receivers.iter().filter_map(|(name, state)| {
        let word = match state.state {
            Condition::Down => "down",
            Condition::Stalled => "stalled",
            Condition::Starting | Condition::Up => return None,
        };
        let reason = state.reason.as_deref().filter(|_| tells_reasons);
        Some(format!("{name}: {}", reason.unwrap_or(word)))
    });
    let sinks = snapshot.sink_statuses().into_iter().filter_map(|sink| {
        let trouble = sink.trouble?;
        let reason = if tells_reasons { &trouble } else { "in trouble" };
        Some(format!("{}: {reason}", sink.name))
    });
    receivers.chain(sinks).collect()
}

/// `GET /api/openapi.json`
pub async fn description() -> Response {
    json_bytes(Bytes::from_static(include_bytes!("openapi.json")))
}

/// Runs `work` on a thread for blocking work: it reads the disk, for instance, and would delay MQTT and wires on the I/O thread.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let result = tokio::task::spawn_blocking(work).await;
    propagate_panic(result).unwrap_or_else(|| Err(ApiError::internal("metertap is stopping")))
}

/// Answers with `value` as JSON.
pub fn json(app: &AppState, value: &impl Serialize) -> Result<Response, ApiError> {
    let text = serde_json::to_string(value).map_err(ApiError::internal)?;
    app.answers.answer(text).map(json_bytes)
}

/// Answers with text that is JSON already.
pub fn json_bytes(text: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
