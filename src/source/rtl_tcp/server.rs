//! A server of the rtl_tcp protocol: shares the samples of a radio with other programs.
//!
//! The radio has precedence. A client that does not keep up loses blocks, commands are read and ignored (they would
//! tune the radio away from its meters), and the number of clients is limited.

use crate::runtime::{Cancel, Context, Running};
use anyhow::{Context as _, Result};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Clients at once; the connections of more are closed.
const MAX_CLIENTS: usize = 8;
/// Blocks that a client may lag behind, 0.9 s; then it loses the oldest ones. They are shared by all clients.
const MAX_LAG: usize = 32;
/// `RTL0`, tuner type 5 (R820T) and its number of gains: what most clients expect, and none can change.
const GREETING: [u8; 12] = [b'R', b'T', b'L', b'0', 0, 0, 0, 5, 0, 0, 0, 29];
/// A client that takes no bytes for this long is disconnected.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept, such as one for lack of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Whole samples of 8 bits, shared by all clients.
type Block = Arc<[u8]>;

/// A server at work, which ends with the component that started it.
pub struct Server {
    /// Entry for samples.
    pub tap: Tap,
    /// Address that was bound.
    pub address: SocketAddr,
    /// Task that accepts clients; it ends after the last client.
    pub running: Running,
}

/// Entry of the samples that are shared; costs next to nothing while there are no clients.
pub struct Tap {
    blocks: broadcast::Sender<Block>,
    /// First byte of a sample that was split between two calls.
    partial: Option<u8>,
}

impl Server {
    /// Serves the samples of radio `name` at `address` until `context` is cancelled.
    ///
    /// # Errors
    /// Returns an error if the address cannot be bound.
    pub fn start(name: &str, address: SocketAddr, context: &Context) -> Result<Self> {
        let bind = || -> io::Result<TcpListener> {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let _runtime = context.io.enter();
            TcpListener::from_std(listener)
        };
        let listener = bind().with_context(|| format!("cannot serve rtl_tcp on {address}"))?;
        let address = listener.local_addr().context("cannot serve rtl_tcp")?;
        let blocks = broadcast::Sender::new(MAX_LAG);
        let accept = accept(listener, blocks.clone(), context.cancel.clone());
        Ok(Server {
            tap: Tap {
                blocks,
                partial: None,
            },
            address,
            running: context.task(&format!("rtl_tcp:{name}"), accept),
        })
    }
}

impl Tap {
    /// Sends `bytes` of cu8 samples to all clients; never waits.
    pub fn send(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let is_split = (bytes.len() + usize::from(self.partial.is_some())) % 2 == 1;
        let (whole, next) = match bytes.split_last() {
            Some((last, whole)) if is_split => (whole, Some(*last)),
            _ => (bytes, None),
        };
        // Clients lose whole blocks, and so whole samples: for none of them I and Q change places.
        let first = std::mem::replace(&mut self.partial, next);
        if self.blocks.receiver_count() > 0 {
            let block: Block = first.into_iter().chain(whole.iter().copied()).collect();
            let _ = self.blocks.send(block);
        }
    }

    /// Drops an unfinished sample: there is a gap in the samples.
    pub fn begin_anew(&mut self) {
        self.partial = None;
    }
}

/// Serves clients until cancelled.
async fn accept(listener: TcpListener, blocks: broadcast::Sender<Block>, cancel: Cancel) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(ended) = clients.join_next() => {
                if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
                    // A panic of a client is one of the server.
                    std::panic::resume_unwind(panic);
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) if clients.len() < MAX_CLIENTS => {
                    clients.spawn(serve(stream, peer, blocks.subscribe()));
                }
                Ok((_, peer)) => {
                    tracing::warn!(%peer, limit = MAX_CLIENTS, "rtl_tcp client refused: too many clients");
                }
                Err(error) => {
                    tracing::warn!(%error, "Cannot accept rtl_tcp clients");
                    let _ = timeout(ACCEPT_PAUSE, cancel.cancelled()).await;
                }
            }
        }
    }
    clients.shutdown().await;
}

/// Serves one client until it disconnects, stops reading, or the radio ends.
async fn serve(mut stream: TcpStream, peer: SocketAddr, blocks: broadcast::Receiver<Block>) {
    tracing::info!(%peer, "rtl_tcp client connected");
    let (mut commands, mut samples) = stream.split();
    let mut lost_blocks = 0;
    let result = tokio::select! {
        result = ignore_commands(&mut commands) => result,
        result = send_samples(&mut samples, blocks, &mut lost_blocks) => result,
    };
    let error = result.err().map(tracing::field::display);
    tracing::info!(%peer, lost_blocks, error, "rtl_tcp client disconnected");
}

/// Reads the five bytes of each command, so that the client is not blocked, until it disconnects.
async fn ignore_commands(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut command = [0; 5];
    loop {
        match stream.read_exact(&mut command).await {
            Ok(_) => tracing::debug!(
                command = command[0],
                "rtl_tcp command ignored: the dongle is shared"
            ),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

async fn send_samples(
    stream: &mut (impl AsyncWrite + Unpin),
    mut blocks: broadcast::Receiver<Block>,
    lost_blocks: &mut u64,
) -> io::Result<()> {
    stream.write_all(&GREETING).await?;
    loop {
        match blocks.recv().await {
            Ok(block) => timeout(WRITE_TIMEOUT, stream.write_all(&block)).await??,
            Err(RecvError::Lagged(lost)) => *lost_blocks += lost,
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Clock, Runtime};
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpStream;

    const LONG: Duration = Duration::from_secs(20);

    struct Served {
        runtime: Runtime,
        context: Context,
        server: Server,
    }

    fn serve_at(address: &str) -> Served {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let context = runtime.context.component("radio:roof");
        let server = Server::start("roof", address.parse().unwrap(), &context).unwrap();
        Served {
            runtime,
            context,
            server,
        }
    }

    /// Connects and reads the greeting.
    fn connect(address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut greeting = [0; 12];
        stream.read_exact(&mut greeting).unwrap();
        assert_eq!(greeting, GREETING);
        stream
    }

    fn read(stream: &mut TcpStream, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn is_closed(stream: &mut TcpStream) -> bool {
        match stream.read(&mut [0; 16]) {
            Ok(n) => n == 0,
            Err(e) => e.kind() == ErrorKind::ConnectionReset,
        }
    }

    #[test]
    fn given_clients_then_each_gets_whole_samples_whatever_the_blocks_and_its_commands_are_ignored() {
        let mut served = serve_at("127.0.0.1:0");
        let mut first = connect(served.server.address);
        served.server.tap.send(&[1, 2, 3]);
        assert_eq!(read(&mut first, 2), [1, 2]);
        first.write_all(&[1, 0, 0, 0, 0]).unwrap();
        let mut second = connect(served.server.address);
        served.server.tap.send(&[4, 5, 6]);
        assert_eq!(read(&mut first, 4), [3, 4, 5, 6]);
        assert_eq!(read(&mut second, 4), [3, 4, 5, 6]);
        // Half a sample before a gap is dropped.
        served.server.tap.send(&[7]);
        served.server.tap.begin_anew();
        served.server.tap.send(&[8, 9]);
        assert_eq!(read(&mut second, 2), [8, 9]);
        drop(served.runtime);
    }

    #[test]
    fn given_a_client_beyond_the_limit_then_it_is_disconnected() {
        let served = serve_at("127.0.0.1:0");
        let _clients: Vec<_> = (0..MAX_CLIENTS).map(|_| connect(served.server.address)).collect();
        let mut refused = TcpStream::connect(served.server.address).unwrap();
        refused.set_read_timeout(Some(LONG)).unwrap();
        assert!(is_closed(&mut refused));
    }

    #[test]
    fn given_a_radio_that_stops_then_its_clients_are_disconnected_and_the_port_is_free() {
        let served = serve_at("127.0.0.1:0");
        let mut client = connect(served.server.address);
        served.context.cancel.cancel();
        assert!(served.server.running.join(LONG));
        assert!(is_closed(&mut client));
        let address = served.server.address.to_string();
        assert_eq!(serve_at(&address).server.address, served.server.address);
    }

    #[test]
    fn given_an_address_in_use_then_the_error_names_it() {
        let served = serve_at("127.0.0.1:0");
        let error = Server::start("attic", served.server.address, &served.context).map(drop);
        let error = format!("{:#}", error.unwrap_err());
        assert!(error.contains(&served.server.address.to_string()), "{error}");
    }
}
