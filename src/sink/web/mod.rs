//! HTTP: metrics and health. Loopback, unless something else is asked for.

mod metrics;

use super::board::Board;
use crate::engine::Condition;
use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The `[web]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where it is served.
    #[serde(default = "listen")]
    listen: SocketAddr,
}

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8433))
}

/// A server at work; it ends when this is dropped.
pub struct Web {
    _stop: oneshot::Sender<()>,
}

impl Web {
    /// Binds, and starts a thread.
    ///
    /// # Errors
    /// Where the address cannot be had.
    pub fn start(settings: &Settings, board: Board) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the network")?;
        let listener = runtime
            .block_on(TcpListener::bind(settings.listen))
            .with_context(|| format!("web.listen: {}", settings.listen))?;
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("web".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        served = axum::serve(listener, router(board)) => if let Err(error) = served {
                            tracing::error!(%error, "The web server has ended.");
                        },
                        _ = stopped => {}
                    }
                });
            })
            .context("cannot start a thread")?;
        Ok(Web { _stop: stop })
    }
}

fn router(board: Board) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .with_state(board)
}

async fn metrics(State(board): State<Board>) -> Response {
    match metrics::text(&board.look()) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// 200, or 503 with what is wrong.
async fn health(State(board): State<Board>) -> Response {
    let board = board.look();
    let mut wrong = Vec::new();
    for (name, state) in &board.receivers {
        if matches!(state.state, Condition::Down | Condition::Stalled) {
            wrong.push(format!("{name}: {}", state.reason.as_deref().unwrap_or("not up")));
        }
    }
    for standing in board.standings() {
        wrong.extend(
            standing
                .trouble
                .map(|trouble| format!("{}: {trouble}", standing.name)),
        );
    }
    let (status, word) = match wrong.is_empty() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "in trouble"),
    };
    (status, Json(json!({"status": word, "wrong": wrong}))).into_response()
}
