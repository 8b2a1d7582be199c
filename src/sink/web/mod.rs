//! HTTP: a page, what is heard, how everything is, metrics. Loopback, unless something else is asked for; nothing here changes
//! anything.

mod api;
mod guard;
mod metrics;
mod page;
mod server;

use super::board::Board;
use crate::secret::{Places, Secret};
use anyhow::{Context, Result};
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The `[web]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where it is served.
    #[serde(default = "listen")]
    listen: SocketAddr,
    /// What has to be shown: `Authorization: Bearer …`.
    token: Option<Secret>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
}

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8433))
}

impl Settings {
    /// What is wrong with them, in words that name the key.
    pub fn problem(&self) -> Option<String> {
        match self.token() {
            Err(problem) => Some(problem),
            Ok(Some(token)) if token.reveal().len() < 8 => {
                Some("web.token must have at least 8 characters".into())
            }
            Ok(_) => None,
        }
    }

    /// Whether the file of the configuration holds a secret.
    pub fn holds_secret(&self) -> bool {
        self.token.is_some()
    }

    fn token(&self) -> Result<Option<Secret>, String> {
        let places = Places {
            key: "web.token",
            here: self.token.as_ref(),
            file: self.token_file.as_deref(),
            env: self.token_env.as_deref(),
        };
        places.find()
    }
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
        let token = settings.token().map_err(anyhow::Error::msg)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the network")?;
        let listener = runtime
            .block_on(TcpListener::bind(settings.listen))
            .with_context(|| format!("web.listen: {}", settings.listen))?;
        let router = router(board, token);
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("web".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = server::serve(listener, router) => {}
                        _ = stopped => {}
                    }
                });
            })
            .context("cannot start a thread")?;
        Ok(Web { _stop: stop })
    }
}

fn router(board: Board, token: Option<Secret>) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/api/meters", get(api::meters))
        .route("/api/meters/{id}", get(api::meter))
        .route("/api/readings", get(api::readings))
        .route("/api/reading", get(api::reading))
        .route("/api/status", get(api::status))
        .layer(from_fn_with_state(token, guard::token));
    Router::new()
        // Whoever looks after a container has no token, and is told no name of a meter.
        .route("/healthz", get(api::health))
        .route("/api/openapi.json", get(api::description))
        // It says nothing by itself, and asks for the token.
        .route("/", get(page::index))
        .route("/app.js", get(page::script))
        .route("/style.css", get(page::style))
        .merge(guarded)
        .layer(from_fn(guard::headers))
        .with_state(board)
}
