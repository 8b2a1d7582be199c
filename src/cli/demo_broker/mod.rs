//! MQTT 3.1.1 broker inside the process, for `metertap demo`.
//!
//! Serves any client on loopback: QoS 0 and 1, retained messages, wildcards, keep-alive and last wills. Packets are
//! read and written by the codec of rumqttc, which the program contains anyway. Sessions end with their connection,
//! nothing is stored on disk, and there is neither TLS nor a password: it shows readings to someone at this machine,
//! and is no replacement for a real broker.
//!
//! [`router`] holds the state and does no I/O; [`connection`] moves packets between it and one socket. All of it runs on
//! one thread with a runtime of its own, because it stands in for another program on another machine.

mod connection;
mod router;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result};
use router::Router;
use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::LocalSet;

/// Connections at once. Further clients stay in the accept backlog.
const MAX_CONNECTIONS: usize = 64;
/// Pause after a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(500);

/// A running broker; stops when dropped.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Broker {
    /// Listens on loopback; port 0 takes a free one.
    ///
    /// # Errors
    /// The port is in use, or the system refuses a thread or the runtime's file descriptors.
    pub fn start(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("port {port} (use --port)"))?;
        listener
            .set_nonblocking(true)
            .context("cannot configure the broker's socket")?;
        let address = listener
            .local_addr()
            .context("cannot read the broker's address")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .context("cannot start the broker's runtime")?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("broker".into())
            .spawn(move || {
                // One thread runs every connection, so the router needs no lock.
                LocalSet::new().block_on(&runtime, async {
                    tokio::select! {
                        result = accept(listener) => {
                            if let Err(error) = result {
                                tracing::error!(%error, "Broker failed.");
                            }
                        }
                        _ = stopped => {}
                    }
                });
            })
            .context("cannot start the broker's thread")?;
        Ok(Broker {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Address that the broker listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("Broker thread panicked.");
        }
    }
}

/// Accepts clients for ever.
async fn accept(listener: TcpListener) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = Rc::new(RefCell::new(Router::default()));
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(slot) = slots.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let router = router.clone();
                tokio::task::spawn_local(async move {
                    match connection::serve(stream, &router).await {
                        Ok(()) => tracing::debug!(%peer, "MQTT client disconnected."),
                        Err(error) => {
                            tracing::debug!(%peer, error = format!("{error:#}"), "MQTT connection closed.");
                        }
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "Broker cannot accept a client; retrying.");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    Ok(())
}
