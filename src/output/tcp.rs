//! Output to TCP clients: lines, or P1 telegrams as received, for everybody who connects. A client that cannot keep up is
//! disconnected; none is waited for.

use crate::meter::event::ReadingEvent;
use crate::output::{Output, OutputConfig, OutputKind, Payload};
use crate::runtime::log_limit::LogLimit;
use crate::runtime::{Cancel, Component, Context, Limit, Running, propagate_panic};
use crate::status::sink::{LossReason, SinkMetrics};
use anyhow::{Context as _, Result};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Readings that a client may lag behind before it is disconnected.
const MAX_LAG: usize = 256;
/// A client that takes nothing for this long is disconnected.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a connection that could not be accepted: mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Clients at a time.
const MAX_CLIENTS: u16 = 16;
/// Time for a server to notice that it was given up.
const ABANDON_TIMEOUT: Duration = Duration::from_millis(100);

/// Running server.
pub(super) struct TcpOutput {
    name: String,
    kind: OutputKind,
    payload: Payload,
    metrics: Arc<SinkMetrics>,
    /// Dropped when the output is stopped: clients get what is on its way to them, and then end.
    sender: Mutex<Option<broadcast::Sender<Arc<[u8]>>>>,
    /// Ends the accepting of clients.
    closing: Cancel,
    /// Ends all clients.
    abandon: Cancel,
    task: Running,
}

impl TcpOutput {
    /// Binds the address and starts a task.
    ///
    /// # Errors
    /// Returns an error if the address cannot be bound.
    pub fn start(config: &OutputConfig, metrics: Arc<SinkMetrics>, context: &Context) -> Result<Self> {
        let address = config.listen.context("listen is missing")?;
        let listener = bind(address, context).with_context(|| format!("output: {address}"))?;
        let (sender, _) = broadcast::channel(MAX_LAG);
        let (closing, abandon) = (Cancel::default(), Cancel::default());
        let server = Server {
            listener,
            sender: sender.clone(),
            max_clients: config.max_clients.unwrap_or(MAX_CLIENTS),
            metrics: metrics.clone(),
            clients: JoinSet::new(),
            rejections: LogLimit::default(),
        };
        let (ends, is_abandoned) = (closing.clone(), abandon.clone());
        let task = context.task(context.name(), async move {
            tokio::select! {
                () = server.run(ends) => {}
                () = is_abandoned.cancelled() => {}
            }
        });
        Ok(TcpOutput {
            name: context.name().to_owned(),
            kind: config.kind,
            payload: config.payload,
            metrics,
            sender: Mutex::new(Some(sender)),
            closing,
            abandon,
            task,
        })
    }
}

/// Binds an address at once; the listener belongs to the I/O runtime.
fn bind(address: std::net::SocketAddr, context: &Context) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let _runtime = context.io.enter();
    TcpListener::from_std(listener)
}

impl Component for TcpOutput {
    fn name(&self) -> &str {
        &self.name
    }

    fn stop(&self) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.closing.cancel();
    }

    fn join(self: Box<Self>, within: Duration) -> bool {
        self.finish(&Limit::within(within))
    }
}

impl Output for TcpOutput {
    fn publish(&mut self, event: &Arc<ReadingEvent>) {
        let bytes: Option<Arc<[u8]>> = match self.kind {
            OutputKind::P1 => event.telegram().cloned(),
            _ => {
                let line = self.payload.line(event);
                line.map(|line| format!("{line}\n").into_bytes().into())
            }
        };
        let sender = self.sender.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let (Some(bytes), Some(sender)) = (bytes, sender) {
            // An error only says that there are no clients.
            let _ = sender.send(bytes);
        }
    }

    fn finish(self: Box<Self>, limit: &Limit) -> bool {
        self.stop();
        if self.task.join_until(limit) {
            return true;
        }
        self.abandon.cancel();
        self.task.join(ABANDON_TIMEOUT)
    }

    fn metrics(&self) -> &Arc<SinkMetrics> {
        &self.metrics
    }
}

/// Task that accepts clients and owns their tasks.
struct Server {
    listener: TcpListener,
    sender: broadcast::Sender<Arc<[u8]>>,
    max_clients: u16,
    metrics: Arc<SinkMetrics>,
    clients: JoinSet<()>,
    rejections: LogLimit,
}

impl Server {
    /// Runs until `closing` is cancelled and all clients have got what was on its way to them.
    async fn run(mut self, closing: Cancel) {
        loop {
            tokio::select! {
                () = closing.cancelled() => break,
                // A panic of a client's task ends the output: it is reported, and the output restarted.
                Some(ended) = self.clients.join_next() => {
                    propagate_panic(ended);
                }
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        self.metrics.set_trouble(None);
                        self.admit(stream, peer);
                    }
                    Err(error) => {
                        self.metrics.set_trouble(Some(error.to_string()));
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        let Server {
            listener,
            sender,
            mut clients,
            ..
        } = self;
        drop((listener, sender));
        while let Some(ended) = clients.join_next().await {
            propagate_panic(ended);
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: std::net::SocketAddr) {
        if self.clients.len() >= usize::from(self.max_clients) {
            if let Some(times) = self.rejections.count(std::time::Instant::now()) {
                tracing::warn!(
                    output = self.metrics.name(),
                    %peer,
                    max_clients = self.max_clients,
                    times,
                    "Client rejected: too many are connected"
                );
            }
            return;
        }
        let (receiver, connected) = (self.sender.subscribe(), Connected::new(&self.metrics));
        self.clients.spawn(async move {
            let reason = serve(stream, receiver, &connected.0).await;
            tracing::debug!(output = connected.0.name(), %peer, reason, "Client disconnected");
        });
    }
}

/// Counts a client for as long as it lives, however its task ends.
struct Connected(Arc<SinkMetrics>);

impl Connected {
    fn new(metrics: &Arc<SinkMetrics>) -> Self {
        metrics.client_connected();
        Connected(metrics.clone())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.client_disconnected();
    }
}

/// Sends everything to one client; returns the reason for the end.
async fn serve(
    stream: TcpStream,
    mut receiver: broadcast::Receiver<Arc<[u8]>>,
    metrics: &SinkMetrics,
) -> &'static str {
    let _ = stream.set_nodelay(true);
    let (mut read, mut write) = stream.into_split();
    let mut ignored = [0; 256];
    loop {
        tokio::select! {
            // Input is ignored, but its end is the client's.
            n = read.read(&mut ignored) => if matches!(n, Ok(0) | Err(_)) {
                return "closed by the client";
            },
            bytes = receiver.recv() => match bytes {
                Ok(bytes) => match timeout(SEND_TIMEOUT, write.write_all(&bytes)).await {
                    Ok(Ok(())) => metrics.delivered(),
                    Ok(Err(_)) => return "closed by the client",
                    Err(_) => return "too slow",
                },
                Err(RecvError::Lagged(count)) => {
                    metrics.lost(LossReason::ClientTooSlow, count);
                    return "too slow";
                }
                Err(RecvError::Closed) => return "output stopped",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Clock, Runtime};
    use std::io::Read;

    const LONG: Duration = Duration::from_secs(20);

    fn start(runtime: &Runtime) -> (Box<TcpOutput>, std::net::SocketAddr) {
        let address = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let config = OutputConfig {
            kind: OutputKind::Tcp,
            listen: Some(address),
            ..OutputConfig::default()
        };
        let metrics = Arc::new(SinkMetrics::new("tcp0".into()));
        let context = runtime.context.component("output:tcp0");
        (
            Box::new(TcpOutput::start(&config, metrics, &context).unwrap()),
            address,
        )
    }

    fn send(output: &TcpOutput, bytes: &[u8]) {
        output
            .sender
            .lock()
            .unwrap()
            .as_ref()
            .unwrap()
            .send(bytes.into())
            .unwrap();
    }

    fn connected(output: &TcpOutput, address: std::net::SocketAddr) -> std::net::TcpStream {
        let stream = std::net::TcpStream::connect(address).unwrap();
        while output.metrics.status().clients == 0 {
            std::thread::yield_now();
        }
        stream
    }

    #[test]
    fn given_a_client_when_the_output_stops_then_it_gets_what_is_under_way_and_the_address_is_free() {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let (output, address) = start(&runtime);
        let mut client = connected(&output, address);
        send(&output, b"one\n");
        send(&output, b"two\n");
        assert!(output.join(LONG));
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
        std::net::TcpListener::bind(address).unwrap();
        assert!(runtime.failures.is_empty());
    }

    #[test]
    fn given_a_client_that_does_not_read_when_time_is_up_then_the_output_ends_all_the_same() {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let (output, address) = start(&runtime);
        let _client = connected(&output, address);
        send(&output, &vec![b'x'; 64 << 20]);
        let metrics = output.metrics.clone();
        assert!(output.join(Duration::ZERO));
        // The runtime drops the client's task soon after.
        let deadline = std::time::Instant::now() + LONG;
        while metrics.status().clients > 0 {
            assert!(
                std::time::Instant::now() < deadline,
                "the client is still connected"
            );
            std::thread::yield_now();
        }
    }
}
