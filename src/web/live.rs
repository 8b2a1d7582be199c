//! What has changed, for a page that is open: over a socket as it happens, or for who asks again and again.
//!
//! Both say the same: all changes beyond a number, and the number up to which they go.

use crate::status::StatusReader;
use crate::status::last_telegram::Telegram;
use crate::status::log_buffer::LogEvent;
use crate::status::receiver;
use crate::status::sink::SinkStatus;
use crate::status::spectrum::SpectrumRow;
use crate::web::AppState;
use crate::web::api::Meter;
use crate::web::guard::SOCKET_PROTOCOL;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, interval, timeout};

/// How often a socket looks for news.
const TICK: Duration = Duration::from_millis(500);
/// How often it says something, news or not.
const BEAT: Duration = Duration::from_secs(5);
/// Who takes longer for a message is let go.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of what a page may say; it has nothing to say.
const SAID: usize = 1 << 10;

/// Of `GET /api/live` and of the socket.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct LiveQuery {
    /// What `next` said the last time.
    #[serde(default)]
    since: u64,
    /// Whether the radio is looked at.
    #[serde(default)]
    air: bool,
}

#[derive(Serialize)]
struct News<'a> {
    version: &'static str,
    /// Another time: another process, and all numbers begin anew.
    started: Timestamp,
    next: u64,
    receivers: BTreeMap<String, receiver::ReceiverState>,
    sinks: Vec<SinkStatus>,
    meters: Vec<Meter<'a>>,
    telegrams: BTreeMap<&'a str, Raw>,
    events: Vec<LogEvent>,
    rows: Vec<SpectrumJson<'a>>,
}

/// A telegram as it came.
#[derive(Serialize)]
struct Raw {
    at: Timestamp,
    /// Base64.
    bytes: String,
}

impl Raw {
    fn of(telegram: &Telegram) -> Self {
        Raw {
            at: telegram.at,
            bytes: BASE64_STANDARD.encode(&telegram.bytes),
        }
    }
}

/// A row of the waterfall.
#[derive(Serialize)]
struct SpectrumJson<'a> {
    receiver: &'a str,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    center_hz: Option<f64>,
    span_hz: f64,
    /// Base64 of a byte a bin: half decibels above -120 dBFS.
    bins: String,
    /// Shares of the samples, from the lower end of the scale to the upper one.
    levels: Vec<f64>,
    clipped: f64,
    power_dbfs: f64,
    noise_dbfs: f32,
}

impl<'a> SpectrumJson<'a> {
    fn of(receiver: &'a str, row: &SpectrumRow) -> Self {
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

/// All beyond `wish.since`; the number up to which that is, and whether anything has changed.
fn news(board: &StatusReader, wish: LiveQuery) -> (String, u64, bool) {
    let next = board.revision();
    let inner = board.snapshot();
    // Somebody else's number, of an earlier process perhaps.
    let since = if wish.since > next { 0 } else { wish.since };
    let meters = inner.meters.iter().filter(|seen| seen.revision() > since);
    let meters: Vec<Meter> = meters.map(|seen| Meter::of(seen, &inner.consumption)).collect();
    let telegrams: BTreeMap<&str, Raw> = inner
        .telegrams
        .iter()
        .filter_map(|(port, tail)| Some((port.as_str(), tail.last()?)))
        .filter(|(_, telegram)| telegram.revision > since)
        .map(|(port, telegram)| (port, Raw::of(&telegram)))
        .collect();
    let mut receivers = BTreeMap::clone(&inner.receivers);
    for (port, tail) in inner.telegrams.iter() {
        // Their states are told seldom; what they count may be seen as it is.
        if let Some(state) = receivers.get_mut(port) {
            state.wire = Some(tail.counters());
        }
    }
    let events = inner.log.since(since);
    let rows: Vec<SpectrumJson> = inner
        .spectra
        .iter()
        .filter(|_| wish.air)
        .flat_map(|(receiver, view)| {
            let rows = view.since(since);
            rows.into_iter().map(|row| SpectrumJson::of(receiver, &row))
        })
        .collect();
    let is_news = !(meters.is_empty() && telegrams.is_empty() && events.is_empty() && rows.is_empty());
    let news = News {
        version: env!("CARGO_PKG_VERSION"),
        started: inner.started,
        next,
        receivers,
        sinks: inner.sink_statuses(),
        meters,
        telegrams,
        events,
        rows,
    };
    // Numbers, text and what was JSON before cannot fail to be written.
    (serde_json::to_string(&news).unwrap_or_default(), next, is_news)
}

/// `GET /api/live?since=N&air=true`
pub async fn live(
    State(board): State<StatusReader>,
    wish: Result<Query<LiveQuery>, impl std::fmt::Display>,
) -> Response {
    match wish {
        Ok(Query(wish)) => {
            let (news, _, _) = news(&board, wish);
            ([(header::CONTENT_TYPE, "application/json")], news).into_response()
        }
        Err(error) => crate::web::api::refused(&error.to_string()),
    }
}

/// `GET /api/socket?since=N&air=true`, as a WebSocket.
pub async fn socket(
    State(site): State<AppState>,
    wish: Result<Query<LiveQuery>, impl std::fmt::Display>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Query(wish) = match wish {
        Ok(wish) => wish,
        Err(error) => return crate::web::api::refused(&error.to_string()),
    };
    let Ok(place) = site.sockets.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n").into_response();
    };
    upgrade
        .protocols([SOCKET_PROTOCOL])
        .max_message_size(SAID)
        .max_write_buffer_size(64 << 20)
        .on_upgrade(move |socket| async move {
            follow(socket, &site.board, wish).await;
            drop(place);
        })
}

/// Until the page is closed, or takes too long.
async fn follow(mut socket: WebSocket, board: &StatusReader, mut wish: LiveQuery) {
    let mut tick = interval(TICK);
    let mut said: Option<Instant> = None;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            heard = socket.recv() => match heard {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            }
        }
        let (news, next, is_news) = news(board, wish);
        wish.since = next;
        if !is_news && said.is_some_and(|said| said.elapsed() < BEAT) {
            continue;
        }
        said = Some(Instant::now());
        let sent = timeout(PATIENCE, socket.send(Message::text(news))).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}
