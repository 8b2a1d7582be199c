//! WebSocket that sends changes as they happen.

use crate::web::AppState;
use crate::web::answers::{Reserved, Written};
use crate::web::credentials::SOCKET_PROTOCOL;
use crate::web::error::{ApiError, Parameters};
use crate::web::live::{LiveQuery, news};
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use tokio::time::{Instant, interval, timeout};

/// Sockets at a time.
pub const MAX_SOCKETS: usize = 16;
/// Interval at which changes are looked for.
const TICK: Duration = Duration::from_millis(500);
/// Longest pause between two messages: without changes, one says that metertap is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A client that takes longer for a message is disconnected.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit of a message from the page, which has nothing to send.
const MAX_MESSAGE: usize = 1 << 10;
/// Messages from the page between two looks for changes; more would delay everything else.
const MAX_MESSAGES: u32 = 20;
/// Limit of what waits to be sent; the first message holds all meters.
const MAX_WRITE_BUFFER: usize = 64 << 20;

/// `GET /api/socket?since=N&air=true`: the same as a WebSocket, at most twice a second.
pub async fn socket(
    State(app): State<AppState>,
    Parameters(query): Parameters<LiveQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let Ok(permit) = app.sockets.clone().try_acquire_owned() else {
        return Ok((StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n").into_response());
    };
    let response = upgrade?
        .protocols([SOCKET_PROTOCOL])
        .max_message_size(MAX_MESSAGE)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .on_upgrade(move |socket| async move {
            // A task of its own: that of the upgrade is not supervised.
            let context = app.context.clone();
            context.task("web:socket", async move {
                follow(socket, &app, query).await;
                drop(permit);
            });
        });
    Ok(response)
}

/// Sends changes until the page is closed, is too slow or sends too much, there is no memory for it, or the server ends.
async fn follow(mut socket: WebSocket, app: &AppState, mut query: LiveQuery) {
    let mut tick = interval(TICK);
    let mut sent: Option<Instant> = None;
    let mut messages = 0;
    // Size of the largest message so far, and memory for it: the socket keeps its buffer.
    let mut memory: (usize, Option<Reserved>) = (0, None);
    loop {
        tokio::select! {
            () = app.closing.cancelled() => return,
            _ = tick.tick() => messages = 0,
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) if messages < MAX_MESSAGES => {
                    messages += 1;
                    continue;
                }
                Some(Ok(_)) => return,
            }
        }
        let is_due = sent.is_none_or(|sent| sent.elapsed() >= HEARTBEAT);
        let status = app.status.clone();
        let now = app.context.clock.timestamp();
        let written = app.answers.write(move || news(&status, query, is_due, now)).await;
        let Ok(news) = written.map(Written::into_answer) else {
            return;
        };
        query.since = news.next;
        if let Some(json) = news.json {
            if json.len() > memory.0 {
                // Once as text, and once as bytes of the socket.
                match app.answers.reserve(2 * json.len()) {
                    Ok(reserved) => memory = (json.len(), Some(reserved)),
                    Err(_) => return,
                }
            }
            sent = Some(Instant::now());
            let result = timeout(SEND_TIMEOUT, socket.send(Message::text(json))).await;
            if !matches!(result, Ok(Ok(()))) {
                return;
            }
        }
    }
}
