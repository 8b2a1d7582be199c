//! HTTP: the page, its API, and metrics. Handlers read snapshots of the status; only one request changes anything, and
//! that is the configuration file.

mod answers;
mod api;
mod config;
mod credentials;
mod decode;
mod edit_meter;
mod error;
mod guard;
mod history;
mod history_csv;
mod history_json;
mod history_writer;
mod hosts;
mod json;
mod live;
mod metrics;
#[cfg(test)]
mod openapi;
mod origin;
mod page;
mod periods;
mod places;
mod rate_limit;
mod server;
mod socket;
mod telegram_json;
mod timed_writes;

pub use config::WebConfig;

use crate::runtime::{Cancel, Component, Context, Running};
use crate::status::edit_meter::EditMeters;
use crate::status::{Status, StatusReader};
use crate::store::history::HistoryStore;
use answers::AnswerMemory;
use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use guard::Guard;
use metrics::Metrics;
use server::Routers;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Limit of a request's body.
const MAX_BODY: usize = 4 << 10;

/// State shared by all handlers.
#[derive(Clone)]
struct AppState {
    status: StatusReader,
    guard: Arc<Guard>,
    editor: Arc<dyn EditMeters>,
    history: Option<HistoryStore>,
    metrics: Arc<Metrics>,
    sockets: Arc<Semaphore>,
    answers: AnswerMemory,
    /// The peer may connect: directly, or as one of the proxies.
    is_peer_trusted: bool,
    context: Context,
    /// Ends the sockets.
    closing: Cancel,
}

/// Running page.
///
/// It is not cancelled with the process but ends when it is stopped, so that the last readings reach the history.
pub struct Web {
    name: String,
    context: Context,
    closing: Cancel,
    server: Running,
    history: Option<Running>,
}

impl Web {
    /// Binds the address and starts a task, and a thread for the history. `editor` changes the configuration.
    ///
    /// # Errors
    /// Returns an error if the address cannot be bound, the history cannot be opened, a secret cannot be read or the thread
    /// cannot be created.
    pub fn start(
        config: &WebConfig,
        status: &mut Status,
        editor: Arc<dyn EditMeters>,
        context: &Context,
    ) -> Result<Self> {
        let guard = Arc::new(Guard::new(config, &context.clock)?);
        let listener = bind(config, context)?;
        let store = config.history.as_deref().map(HistoryStore::open).transpose()?;
        let closing = Cancel::default();
        let history = store
            .clone()
            .map(|store| history_writer::start(store, status, closing.clone(), context))
            .transpose()?;
        let app = AppState {
            status: status.reader(),
            guard: guard.clone(),
            editor,
            history: store,
            metrics: Arc::new(Metrics::new(status.reader())),
            sockets: Arc::new(Semaphore::new(socket::MAX_SOCKETS)),
            answers: AnswerMemory::default(),
            is_peer_trusted: true,
            context: context.clone(),
            closing: closing.clone(),
        };
        let routers = Routers {
            health: health(AppState {
                is_peer_trusted: false,
                ..app.clone()
            }),
            all: router(app),
        };
        let ends = closing.clone();
        let server = context.task(context.name(), async move {
            server::serve(listener, routers, &guard, ends).await;
        });
        Ok(Web {
            name: context.name().to_owned(),
            context: context.clone(),
            closing,
            server,
            history,
        })
    }
}

impl Component for Web {
    fn name(&self) -> &str {
        &self.name
    }

    fn stop(&self) {
        self.closing.cancel();
    }

    fn join(self: Box<Self>, within: Duration) -> bool {
        self.stop();
        let deadline = self.context.clock.now() + within;
        let left = || deadline.saturating_duration_since(self.context.clock.now());
        let has_served = self.server.join(left());
        let is_written = self.history.iter().all(|history| history.join(left()));
        has_served && is_written
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        // Also if it could not be started completely, or is replaced after a panic.
        self.closing.cancel();
    }
}

/// Binds the address at once; the listener belongs to the I/O runtime.
fn bind(config: &WebConfig, context: &Context) -> Result<TcpListener> {
    let _runtime = context.io.enter();
    std::net::TcpListener::bind(config.listen)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .and_then(TcpListener::from_std)
        .with_context(|| format!("web.listen: {}", config.listen))
}

fn router(app: AppState) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/api/meters", get(api::meters).post(edit_meter::add_meter))
        .route(
            "/api/meters/{id}",
            get(api::meter)
                .patch(edit_meter::change_meter)
                .delete(edit_meter::remove_meter),
        )
        .route("/api/meters/{id}/history", get(history::history))
        .route("/api/readings", get(api::readings))
        .route(
            "/api/decode",
            post(decode::decode).layer(DefaultBodyLimit::max(decode::MAX_BODY)),
        )
        .route("/api/reading", get(api::reading))
        .route("/api/status", get(api::status))
        .route("/api/live", get(live::live))
        .route("/api/socket", get(socket::socket))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(app.guard.clone(), guard::authorize));
    Router::new()
        .route("/api/openapi.json", get(api::description))
        // Contains nothing of the home, and asks for the token.
        .route("/", get(page::index))
        .route("/{file}", get(page::file))
        .merge(guarded)
        .layer(from_fn_with_state(app.guard.clone(), guard::limit_rate))
        .layer(from_fn(guard::limit_time))
        .layer(from_fn(guard::add_headers))
        .with_state(app.clone())
        .merge(health(app))
}

/// Health checks, which have no token and which the requests of strangers must not delay: outside the rate limit.
fn health(app: AppState) -> Router {
    Router::new()
        .route("/livez", get(api::alive))
        .route("/readyz", get(api::ready))
        .route("/healthz", get(api::ready))
        .layer(from_fn(guard::limit_time))
        .layer(from_fn(guard::add_headers))
        .with_state(app)
}
