//! Connections: bounded in number, and in the time that they may take for the headers of a request.
//!
//! `axum::serve` would do, if it had a timeout for headers and a limit of connections: without them, a few idle connections
//! use up the file descriptors of the whole daemon.

use crate::runtime::{Cancel, propagate_panic};
use crate::web::guard::Guard;
use crate::web::timed_writes::TimedWrites;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Connections at a time.
const MAX_CONNECTIONS: usize = 64;
/// Connections at a time of one address, unless it is this machine or a proxy: a stranger must not hold all of them.
const MAX_PER_ADDRESS: usize = 16;
/// Time for the headers of a request, also of the next one over the same connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit of the headers.
const HEADER_BYTES: usize = 16 << 10;
/// Pause after a connection that could not be accepted: mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `closing` is cancelled; then all connections are closed.
pub async fn serve(listener: TcpListener, router: Router, guard: &Guard, closing: Cancel) {
    // A panic in a handler ends its connection's task, and from there the server: it is reported and started again.
    let mut connections = JoinSet::new();
    // As many entries as there are connections.
    let mut by_address: BTreeMap<IpAddr, usize> = BTreeMap::new();
    loop {
        tokio::select! {
            () = closing.cancelled() => break,
            Some(ended) = connections.join_next() => {
                if let Some(count) = propagate_panic(ended).and_then(|address| by_address.get_mut(&address)) {
                    *count -= 1;
                }
                by_address.retain(|_, count| *count > 0);
            }
            // At the limit, further clients stay in the accept backlog.
            stream = accept(&listener, guard), if connections.len() < MAX_CONNECTIONS => {
                let Some((stream, address)) = stream else {
                    continue;
                };
                let count = by_address.entry(address).or_default();
                if *count >= MAX_PER_ADDRESS && !address.is_loopback() && !guard.is_behind_proxy() {
                    tracing::debug!(%address, limit = MAX_PER_ADDRESS, "Connection rejected: too many of one address");
                    continue;
                }
                *count += 1;
                let router = router.clone();
                connections.spawn(async move {
                    serve_connection(stream, router).await;
                    address
                });
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn accept(listener: &TcpListener, guard: &Guard) -> Option<(TcpStream, IpAddr)> {
    match listener.accept().await {
        Ok((stream, peer)) if guard.allows_peer(peer.ip()) => Some((stream, peer.ip())),
        Ok((_, peer)) => {
            tracing::debug!(%peer, "Connection rejected: not one of web.proxies");
            None
        }
        Err(error) => {
            tracing::debug!(%error, "Connection not accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn serve_connection(stream: TcpStream, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(
            TokioIo::new(TimedWrites::new(stream)),
            TowerToHyperService::new(router),
        )
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "Connection ended with an error");
    }
}
