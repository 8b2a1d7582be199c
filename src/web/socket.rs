//! WebSocket that sends changes as they happen.

use crate::runtime::Cancel;
use crate::status::StatusReader;
use crate::web::AppState;
use crate::web::api::blocking;
use crate::web::credentials::SOCKET_PROTOCOL;
use crate::web::error::{ApiError, Parameters};
use crate::web::live::{LiveQuery, news};
use axum::extract::State;
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
/// Limit of what waits to be sent; the first message holds all meters.
const MAX_WRITE_BUFFER: usize = 64 << 20;

/// `GET /api/socket?since=N&air=true`: the same as a WebSocket, at most twice a second.
pub async fn socket(
    State(app): State<AppState>,
    Parameters(query): Parameters<LiveQuery>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, ApiError> {
    let Ok(permit) = app.sockets.clone().try_acquire_owned() else {
        return Ok((StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n").into_response());
    };
    let response = upgrade
        .protocols([SOCKET_PROTOCOL])
        .max_message_size(MAX_MESSAGE)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .on_upgrade(move |socket| async move {
            // A task of its own: that of the upgrade is not supervised.
            let context = app.context.clone();
            context.task("web:socket", async move {
                follow(socket, app.status, query, app.closing).await;
                drop(permit);
            });
        });
    Ok(response)
}

/// Sends changes until the page is closed, is too slow, or `closing` is cancelled.
async fn follow(mut socket: WebSocket, status: StatusReader, mut query: LiveQuery, closing: Cancel) {
    let mut tick = interval(TICK);
    let mut sent: Option<Instant> = None;
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            _ = tick.tick() => {}
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            }
        }
        let is_due = sent.is_none_or(|sent| sent.elapsed() >= HEARTBEAT);
        let status = status.clone();
        let Ok(news) = blocking(move || news(&status, query, is_due)).await else {
            return;
        };
        query.since = news.next;
        if let Some(json) = news.json {
            sent = Some(Instant::now());
            let result = timeout(SEND_TIMEOUT, socket.send(Message::text(json))).await;
            if !matches!(result, Ok(Ok(()))) {
                return;
            }
        }
    }
}
