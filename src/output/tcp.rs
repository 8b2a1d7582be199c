//! Lines, or P1 telegrams as they came, to whoever connects. Who cannot keep up is let go, and never waited for.

use crate::meter::event::ReadingEvent;
use crate::output::queue::wait_for;
use crate::output::{Kind, Output, OutputConfig, Payload};
use crate::status::sink::SinkMetrics;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, oneshot};
use tokio::time::timeout;

/// Readings that a client may be behind.
const BEHIND: usize = 256;
/// A client that takes nothing for so long is gone.
const STUCK: Duration = Duration::from_secs(10);
const CLIENTS: u16 = 16;

/// A server at work.
pub struct Server {
    kind: Kind,
    payload: Payload,
    to: broadcast::Sender<Arc<[u8]>>,
    /// Dropped at the end.
    _stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Server {
    /// Binds, and starts a thread.
    pub(crate) fn start(settings: &OutputConfig, counts: Arc<SinkMetrics>) -> Result<Self> {
        let listen = settings.listen.context("listen is missing")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the network")?;
        let listener = runtime
            .block_on(TcpListener::bind(listen))
            .with_context(|| format!("output: {listen}"))?;
        let (to, _) = broadcast::channel(BEHIND);
        let (stop, stopped) = oneshot::channel();
        let door = Acceptor {
            listener,
            to: to.clone(),
            most: settings.max_clients.unwrap_or(CLIENTS),
            counts,
        };
        let thread = std::thread::Builder::new()
            .name("out:tcp".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = door.open() => {}
                        _ = stopped => {}
                    }
                });
                // Lets the tasks of the clients write what they have received. The timer must be made inside of the
                // runtime: outside of it there is no reactor, and making it panics.
                runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
            })
            .context("cannot start a thread")?;
        Ok(Server {
            kind: settings.kind,
            payload: settings.payload,
            to,
            _stop: stop,
            thread,
        })
    }
}

impl Output for Server {
    fn tell(&mut self, told: &Arc<ReadingEvent>) {
        let bytes: Option<Arc<[u8]>> = match self.kind {
            Kind::P1 => told.telegram().cloned(),
            _ => self
                .payload
                .of(told)
                .map(|line| format!("{line}\n").into_bytes().into()),
        };
        if let Some(bytes) = bytes {
            // Nobody there is no error.
            let _ = self.to.send(bytes);
        }
    }

    fn finish(self: Box<Self>, patience: Duration) {
        let Server {
            to, _stop, thread, ..
        } = *self;
        drop((to, _stop));
        wait_for(&thread, patience);
    }
}

/// Where clients come in.
struct Acceptor {
    listener: TcpListener,
    to: broadcast::Sender<Arc<[u8]>>,
    most: u16,
    counts: Arc<SinkMetrics>,
}

impl Acceptor {
    async fn open(self) {
        let inside = Arc::<AtomicU16>::default();
        loop {
            let (stream, peer) = match self.listener.accept().await {
                Ok(come) => come,
                Err(error) => {
                    // Out of descriptors, as a rule.
                    self.counts.trouble(Some(error.to_string()));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            self.counts.trouble(None);
            if inside.load(Ordering::Relaxed) >= self.most {
                tracing::warn!(%peer, most = self.most, "Too many clients: one was sent away.");
                continue;
            }
            inside.fetch_add(1, Ordering::Relaxed);
            self.counts.client(true);
            let (from, counts, inside) = (self.to.subscribe(), self.counts.clone(), inside.clone());
            tokio::spawn(async move {
                let end = serve(stream, from, &counts).await;
                tracing::debug!(%peer, end, "A client has gone.");
                inside.fetch_sub(1, Ordering::Relaxed);
                counts.client(false);
            });
        }
    }
}

/// Until the client is gone, or too slow; tells which.
async fn serve(
    stream: TcpStream,
    mut from: broadcast::Receiver<Arc<[u8]>>,
    counts: &SinkMetrics,
) -> &'static str {
    let _ = stream.set_nodelay(true);
    let (mut read, mut write) = stream.into_split();
    let mut ignored = [0; 256];
    loop {
        tokio::select! {
            // What it says is not listened to; that it has gone is.
            n = read.read(&mut ignored) => if matches!(n, Ok(0) | Err(_)) {
                return "hung up";
            },
            bytes = from.recv() => match bytes {
                Ok(bytes) => match timeout(STUCK, write.write_all(&bytes)).await {
                    Ok(Ok(())) => counts.delivered(),
                    Ok(Err(_)) => return "hung up",
                    Err(_) => return "too slow",
                },
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    counts.lost(count);
                    return "too slow";
                }
                Err(broadcast::error::RecvError::Closed) => return "the end",
            },
        }
    }
}
