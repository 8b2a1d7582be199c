//! Connections: bounded in number, and in the time that they may take to say what they want.

use crate::web::guard::Guard;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// For the first lines of a request, also of the next one over the same connection.
const HEADERS: Duration = Duration::from_secs(10);
/// Bytes of them.
const HEADER_BYTES: usize = 16 << 10;

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, router: Router, guard: &Guard) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Who comes when there is no room waits outside.
        let Ok(place) = room.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, from)) if guard.lets_in(from.ip()) => stream,
            Ok((_, from)) => {
                tracing::debug!(%from, "Not one of web.proxies.");
                continue;
            }
            Err(error) => {
                tracing::debug!(%error, "A connection was not accepted.");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS)
                .max_buf_size(HEADER_BYTES)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "A connection ended badly.");
            }
            drop(place);
        });
    }
}
