//! Connections: bounded in number, and in the time that they may take for the headers of a request.
//!
//! ```text
//!   accept ──▶ a place is free ─────▶ served
//!          └─▶ none is ─▶ waits ─┬──▶ one request: a health check at once, any other when a place is free
//!                                └──▶ closed, when too many wait
//! ```
//!
//! `axum::serve` would do, if it had a timeout for headers and a limit of connections: without them, a few idle connections
//! use up the file descriptors of the whole daemon.

use crate::runtime::{Cancel, propagate_panic};
use crate::web::guard::Guard;
use crate::web::places::{Place, Places};
use crate::web::timed_writes::TimedWrites;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// Connections that wait for a place. The oldest is closed when another one comes, so that a health check is always heard.
const MAX_WAITING: usize = 16;
/// Time to wait for a place. Within it, connections that send nothing have lost theirs.
const PLACE_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for the headers of a request, also of the next one over the same connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit of the headers.
const HEADER_BYTES: usize = 16 << 10;
/// Pause after a connection that could not be accepted: mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is served.
#[derive(Clone)]
pub struct Routers {
    /// Everything.
    pub all: Router,
    /// Health checks, for clients that may know no more.
    pub health: Router,
}

/// Connection that had no place when it came.
struct Guest {
    task: AbortHandle,
    is_local: bool,
    /// Gone with the connection.
    visit: Weak<Visit>,
}

/// Serves until `closing` is cancelled; then all connections are closed.
pub async fn serve(listener: TcpListener, routers: Routers, guard: &Guard, closing: Cancel) {
    let places = Places::new(guard.is_behind_proxy());
    // A panic in a handler ends its connection's task, and from there the server: it is reported and started again.
    let mut connections = JoinSet::new();
    let mut guests: VecDeque<Guest> = VecDeque::new();
    loop {
        let (stream, address) = tokio::select! {
            () = closing.cancelled() => break,
            Some(ended) = connections.join_next() => {
                propagate_panic(ended);
                continue;
            }
            accepted = accept(&listener) => match accepted {
                Some(accepted) => accepted,
                None => continue,
            }
        };
        let is_local = address.is_loopback();
        let router = match guard.allows_peer(address) {
            true => &routers.all,
            // Health checks of this machine do not come through the proxy.
            false if is_local => &routers.health,
            false => {
                tracing::debug!(%address, "Connection rejected: not one of web.proxies");
                continue;
            }
        };
        if let Some(place) = places.try_take(address) {
            let router = router.clone();
            connections.spawn(async move {
                serve_connection(stream, TowerToHyperService::new(router), true).await;
                drop(place);
            });
            continue;
        }
        make_room(&mut guests);
        let visit = Arc::new(Visit {
            address,
            places: places.clone(),
            place: OnceLock::new(),
            health: routers.health.clone(),
            all: router.clone(),
        });
        let guest = Arc::downgrade(&visit);
        let service = service_fn(move |request| visit.clone().answer(request));
        let task = connections.spawn(serve_connection(stream, service, false));
        guests.push_back(Guest {
            task,
            is_local,
            visit: guest,
        });
    }
    drop(listener);
    connections.shutdown().await;
}

/// Makes room for another guest: closes the one that has waited longest, of strangers if there are any.
fn make_room(guests: &mut VecDeque<Guest>) {
    let is_waiting = |guest: &Guest| {
        let visit = guest.visit.upgrade();
        visit.is_some_and(|visit| visit.place.get().is_none())
    };
    guests.retain(is_waiting);
    if guests.len() >= MAX_WAITING {
        let oldest = guests.iter().position(|guest| !guest.is_local).unwrap_or(0);
        if let Some(guest) = guests.remove(oldest) {
            guest.task.abort();
        }
    }
}

/// Request over a connection that has no place.
struct Visit {
    address: IpAddr,
    places: Places,
    place: OnceLock<Place>,
    all: Router,
    health: Router,
}

impl Visit {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response, Infallible> {
        let is_health_check = matches!(request.uri().path(), "/livez" | "/readyz" | "/healthz");
        let router = if is_health_check {
            &self.health
        } else {
            match timeout(PLACE_TIMEOUT, self.places.take_next(self.address)).await {
                Ok(Some(place)) => drop(self.place.set(place)),
                Ok(None) | Err(_) => return Ok(too_busy()),
            }
            &self.all
        };
        Service::call(&TowerToHyperService::new(router.clone()), request).await
    }
}

fn too_busy() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "too many connections\n").into_response()
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, IpAddr)> {
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer.ip().to_canonical())),
        Err(error) => {
            tracing::debug!(%error, "Connection not accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Serves a connection; only one request over it unless `is_kept`.
async fn serve_connection<S>(stream: TcpStream, service: S, is_kept: bool)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES)
        .keep_alive(is_kept)
        .serve_connection(TokioIo::new(TimedWrites::new(stream)), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "Connection ended with an error");
    }
}
