//! Changes for a page that is open: all beyond a number, and the number up to which that is.

use crate::status::last_telegram::Telegram;
use crate::status::spectrum::SpectrumRow;
use crate::status::{Snapshot, StatusReader};
use crate::web::AppState;
use crate::web::api::json_bytes;
use crate::web::error::{ApiError, Parameters};
use crate::web::json::{MeterJson, MissingJson, NewsJson, SpectrumJson, TelegramJson};
use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Address of the project; empty in a program of which nobody has said it.
const HOMEPAGE: &str = match env!("CARGO_PKG_REPOSITORY").is_empty() {
    true => env!("CARGO_PKG_HOMEPAGE"),
    false => env!("CARGO_PKG_REPOSITORY"),
};

/// Parameters of `GET /api/live` and of the socket.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct LiveQuery {
    /// `next` of the previous answer.
    #[serde(default)]
    pub since: u64,
    /// Rows of the waterfall are wanted, too.
    #[serde(default, rename = "air")]
    pub spectrum: bool,
}

/// Changes since a number.
pub struct News {
    /// Number for the next query.
    pub next: u64,
    /// Object of the API; nothing if there is no change and none was wanted.
    pub json: Option<String>,
}

/// `GET /api/live?since=N&air=true`: everything that has changed since a number.
pub async fn live(
    State(app): State<AppState>,
    Parameters(query): Parameters<LiveQuery>,
) -> Result<Response, ApiError> {
    let status = app.status.clone();
    let now = app.context.clock.timestamp();
    let write = move || Ok(news(&status, query, true, now)?.json.unwrap_or_default());
    let written = app.answers.write(write).await?;
    app.answers.answer(written.answer).map(json_bytes)
}

/// Collects everything beyond `query.since`; without any change, only if `is_wanted_anyway`.
///
/// Nothing is lost or seen twice: the number is read first, so all changes up to it are in the snapshot and in the buffers
/// that are read afterwards, and what is newer than the number is left for the next query.
pub fn news(
    status: &StatusReader,
    query: LiveQuery,
    is_wanted_anyway: bool,
    now: Timestamp,
) -> Result<News, ApiError> {
    let next = status.revision();
    let snapshot = status.snapshot();
    // A number beyond the newest is from an earlier process: start over.
    let since = if query.since > next { 0 } else { query.since };
    let is_new = |revision: u64| revision > since && revision <= next;

    let meters = snapshot.meters.iter().filter(|meter| is_new(meter.revision()));
    let meters: Vec<_> = meters
        .map(|meter| MeterJson::new(meter, &snapshot.consumption))
        .collect();
    let mut telegrams = BTreeMap::new();
    for (port, buffer) in snapshot.telegrams.iter() {
        if let Some(telegram) = buffer.last().filter(|telegram| is_new(telegram.revision)) {
            telegrams.insert(port.as_str(), TelegramJson::new(&telegram));
        }
    }
    let mut events = snapshot.log.since(since);
    events.retain(|event| is_new(event.revision));
    let mut rows = Vec::new();
    for (receiver, spectrum) in snapshot.spectra.iter().filter(|_| query.spectrum) {
        let new = spectrum
            .since(since)
            .into_iter()
            .filter(|row| is_new(row.revision));
        rows.extend(new.map(|row| SpectrumJson::new(receiver, &row)));
    }

    let has_changes = !(meters.is_empty() && telegrams.is_empty() && events.is_empty() && rows.is_empty());
    if !has_changes && !is_wanted_anyway {
        return Ok(News { next, json: None });
    }
    let news = NewsJson {
        version: env!("CARGO_PKG_VERSION"),
        homepage: HOMEPAGE,
        started: snapshot.started,
        now,
        next,
        missing: missing(&snapshot),
        receivers: snapshot.receivers_now(),
        sinks: snapshot.sink_statuses(),
        prices: snapshot.price_feeds(now),
        meters,
        telegrams,
        events,
        rows,
    };
    let json = serde_json::to_string(&news).map_err(ApiError::internal)?;
    Ok(News {
        next,
        json: Some(json),
    })
}

fn missing(snapshot: &Snapshot) -> Vec<MissingJson<'_>> {
    let is_missing = |id: &str| snapshot.meters.with_id(id).next().is_none();
    let missing = snapshot.configured.iter().filter(|(id, _)| is_missing(id));
    let mut missing: Vec<_> = missing
        .map(|(id, meter)| MissingJson {
            id,
            name: meter.name.as_deref().unwrap_or(id),
        })
        .collect();
    missing.sort_by_key(|meter| meter.id);
    missing
}

impl TelegramJson {
    fn new(telegram: &Telegram) -> Self {
        TelegramJson {
            at: telegram.at,
            bytes: BASE64_STANDARD.encode(&telegram.bytes),
        }
    }
}

impl<'a> SpectrumJson<'a> {
    fn new(receiver: &'a str, row: &SpectrumRow) -> Self {
        let bins: Vec<u8> = row
            .dbfs
            .iter()
            .map(|dbfs| ((dbfs + 120.0) * 2.0).round() as u8)
            .collect();
        let rounded = |value: f64| (value * 1e4).round() / 1e4;
        SpectrumJson {
            receiver,
            at: row.at,
            center_hz: row.center_hz,
            span_hz: row.span_hz,
            bins: BASE64_STANDARD.encode(bins),
            levels: row.levels.iter().map(|share| rounded(*share)).collect(),
            clipped: row.clipped,
            power_dbfs: (row.power_dbfs * 10.0).round() / 10.0,
            noise_dbfs: (row.noise_dbfs * 10.0).round() / 10.0,
        }
    }
}
