//! HTTP: a page, what is heard, how everything is, metrics. Loopback, unless something else is asked for. Nothing here
//! changes anything, but for one thing: somebody may say which meter is his.

mod add_meter;
mod api;
mod guard;
mod history;
mod live;
mod metrics;
mod page;
mod server;

use crate::secret::{Secret, SecretSource};
use crate::status::add_meter::AddMeter;
use crate::status::board::StatusBoard;
use crate::store::history::HistoryStore;
use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use guard::Guard;
use history::HistoryWriter;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

/// Bytes of what is posted.
const BODY: usize = 4 << 10;
/// Pages that follow what happens, at a time.
const SOCKETS: usize = 16;

/// The `[web]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebConfig {
    /// Where it is served.
    #[serde(default = "listen")]
    listen: SocketAddr,
    /// What has to be shown: `Authorization: Bearer …`.
    token: Option<Secret>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    /// Or who it is: `Authorization: Basic …`, for which browsers ask by themselves.
    user: Option<String>,
    /// Its word.
    password: Option<Secret>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    /// Names under which it may be asked for without either, besides addresses and names of a home's own network.
    #[serde(default)]
    hosts: Vec<String>,
    /// The proxies that alone may connect; whom they ask for they tell. Nobody: everybody may.
    #[serde(default)]
    proxies: Vec<IpAddr>,
    /// Where what was used is kept, hour by hour.
    history: Option<PathBuf>,
}

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

impl WebConfig {
    /// What is wrong with them, in words that name the key.
    pub fn problem(&self) -> Option<String> {
        let secrets = [("token", self.token()), ("password", self.password())];
        for (key, secret) in secrets {
            match secret {
                Err(problem) => return Some(problem),
                Ok(Some(secret)) if secret.reveal().len() < 8 => {
                    return Some(format!("web.{key} must have at least 8 characters"));
                }
                Ok(_) => {}
            }
        }
        let has_password = matches!(self.password(), Ok(Some(_)));
        match &self.user {
            Some(_) if !has_password => Some("user is there, but no password".into()),
            None if has_password => Some("password is there, but no user".into()),
            Some(user) if user.contains(':') => Some("user cannot have a colon".into()),
            _ => None,
        }
    }

    /// Where it is served.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Whether the file of the configuration holds a secret.
    pub fn holds_secret(&self) -> bool {
        self.token.is_some() || self.password.is_some()
    }

    fn token(&self) -> Result<Option<Secret>, String> {
        let places = SecretSource {
            key: "web.token",
            inline: self.token.as_ref(),
            file: self.token_file.as_deref(),
            env: self.token_env.as_deref(),
        };
        places.resolve()
    }

    fn password(&self) -> Result<Option<Secret>, String> {
        let places = SecretSource {
            key: "web.password",
            inline: self.password.as_ref(),
            file: self.password_file.as_deref(),
            env: self.password_env.as_deref(),
        };
        places.resolve()
    }

    fn guard(&self) -> Result<Guard> {
        let token = self.token().map_err(anyhow::Error::msg)?;
        let password = self.password().map_err(anyhow::Error::msg)?;
        let guard = Guard::new(
            token,
            self.user.clone().zip(password),
            self.hosts.clone(),
            self.proxies.clone(),
        );
        if !guard.asks() && self.proxies.is_empty() && !self.listen.ip().is_loopback() {
            tracing::warn!(
                listen = %self.listen,
                "The page is open to everybody who can reach this machine: set web.token, or web.user and web.password."
            );
        }
        Ok(guard)
    }
}

/// What all who answer know.
#[derive(Clone)]
struct AppState {
    board: StatusBoard,
    guard: Arc<Guard>,
    adopter: Arc<dyn AddMeter>,
    archive: Option<HistoryStore>,
    sockets: Arc<Semaphore>,
}

impl FromRef<AppState> for StatusBoard {
    fn from_ref(site: &AppState) -> Self {
        site.board.clone()
    }
}

impl FromRef<AppState> for Arc<Guard> {
    fn from_ref(site: &AppState) -> Self {
        site.guard.clone()
    }
}

/// A server at work; it ends when this is dropped.
pub struct Web {
    _stop: oneshot::Sender<()>,
    _keeper: Option<HistoryWriter>,
}

impl Web {
    /// Binds, and starts a thread; `adopter` does what is asked for.
    ///
    /// # Errors
    /// Where the address or the history cannot be had.
    pub fn start(settings: &WebConfig, board: StatusBoard, adopter: Arc<dyn AddMeter>) -> Result<Self> {
        let guard = Arc::new(settings.guard()?);
        let archive = settings.history.as_deref().map(HistoryStore::open).transpose()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the network")?;
        let listener = runtime
            .block_on(TcpListener::bind(settings.listen))
            .with_context(|| format!("web.listen: {}", settings.listen))?;
        let keeper = archive
            .clone()
            .map(|archive| HistoryWriter::start(archive, board.clone()))
            .transpose()?;
        let router = router(AppState {
            board,
            guard: guard.clone(),
            adopter,
            archive,
            sockets: Arc::new(Semaphore::new(SOCKETS)),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("web".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = server::serve(listener, router, &guard) => {}
                        _ = stopped => {}
                    }
                });
                // Somebody may be writing a file.
                runtime.shutdown_background();
            })
            .context("cannot start a thread")?;
        Ok(Web {
            _stop: stop,
            _keeper: keeper,
        })
    }
}

fn router(site: AppState) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/api/meters", get(api::meters).post(add_meter::adopt))
        .route("/api/meters/{id}", get(api::meter))
        .route("/api/meters/{id}/history", get(history::history))
        .route("/api/readings", get(api::readings))
        .route("/api/reading", get(api::reading))
        .route("/api/status", get(api::status))
        .route("/api/live", get(live::live))
        .route("/api/socket", get(live::socket))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn_with_state(site.guard.clone(), guard::pass));
    Router::new()
        // Whoever looks after a container has no token, and is told no name of a meter.
        .route("/healthz", get(api::health))
        .route("/api/openapi.json", get(api::description))
        // It says nothing by itself, and asks for the token.
        .route("/", get(page::index))
        .route("/{file}", get(page::file))
        .merge(guarded)
        .layer(from_fn_with_state(site.guard.clone(), guard::pace))
        .layer(from_fn(guard::headers))
        .with_state(site)
}
