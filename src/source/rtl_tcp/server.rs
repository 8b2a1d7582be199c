//! A server of the rtl_tcp protocol: shares the samples of a radio with other programs.
//!
//! The radio has precedence. A client that falls behind by more than its buffer holds loses blocks, commands are read and ignored
//! (they would tune the radio away from its meters; a client that wanted another window is named in the log), and the
//! number of clients is limited.

use crate::runtime::log_limit::LogLimit;
use crate::runtime::{Cancel, Context, Running};
use crate::source::rtl_tcp::command::{SET_FREQUENCY, SET_SAMPLE_RATE};
use crate::source::rtl_tcp::lag::{Block, Lag};
use anyhow::{Context as _, Result};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Clients at once; the connections of more are closed.
const MAX_CLIENTS: usize = 8;
/// Default of the megabytes that a client may lag behind: 28 s at 2.36 MS/s, as rtl_tcp's own 500 buffers. Blocks are shared
/// by all clients, so this is also the memory that all of them use together.
pub const DEFAULT_BUFFER_MB: u32 = 128;
/// Difference from what a client asked for that does not matter to it.
const TOLERANCE_HZ: u32 = 1000;
/// `RTL0`, tuner type 5 (R820T) and its number of gains: what most clients expect, and none can change.
const GREETING: [u8; 12] = [b'R', b'T', b'L', b'0', 0, 0, 0, 5, 0, 0, 0, 29];
/// A client that takes no bytes for this long is disconnected.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Clients of which everything is logged; of later ones, only now and then.
const LOGGED_CLIENTS: u32 = 32;
/// Pause after a failed accept, such as one for lack of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Offer of a radio's samples to other programs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sharing {
    /// Address to serve at.
    pub address: SocketAddr,
    /// Bytes that a client may lag behind.
    buffer_bytes: usize,
}

impl Sharing {
    /// Offers samples at `address` to clients that may lag behind by so many megabytes.
    pub fn new(address: SocketAddr, buffer_mb: u32) -> Self {
        Sharing {
            address,
            buffer_bytes: buffer_mb as usize * 1_000_000,
        }
    }
}

/// Window that clients get, whatever they ask for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offer {
    /// Samples a second.
    pub sample_rate_hz: u32,
    /// Center; `None` if it changes.
    pub center_hz: Option<u32>,
}

/// Clients at present.
type Clients = Arc<Mutex<Vec<Client>>>;

struct Client {
    peer: SocketAddr,
    lag: Arc<Lag>,
    is_logged: bool,
}

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
    clients: Clients,
    /// First byte of a sample that was split between two calls.
    partial: Option<u8>,
}

impl Server {
    /// Serves the samples of radio `name`, which are those of `offer`, until `context` is cancelled.
    ///
    /// # Errors
    /// Returns an error if the address cannot be bound.
    pub fn start(name: &str, sharing: Sharing, offer: Offer, context: &Context) -> Result<Self> {
        let Sharing {
            address,
            buffer_bytes,
        } = sharing;
        let bind = || -> io::Result<TcpListener> {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let _runtime = context.io.enter();
            TcpListener::from_std(listener)
        };
        let listener = bind().with_context(|| format!("cannot serve rtl_tcp on {address}"))?;
        let address = listener.local_addr().context("cannot serve rtl_tcp")?;
        let clients = Clients::default();
        let accept = accept(
            listener,
            clients.clone(),
            buffer_bytes,
            offer,
            context.cancel.clone(),
        );
        Ok(Server {
            tap: Tap {
                clients,
                partial: None,
            },
            address,
            running: context.task(&format!("rtl_tcp:{name}"), accept),
        })
    }
}

/// The radio has ended: clients end once they have got what is queued.
impl Drop for Tap {
    fn drop(&mut self) {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.iter().for_each(|client| client.lag.close());
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
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.is_empty() {
            return;
        }
        let block: Block = first.into_iter().chain(whole.iter().copied()).collect();
        for client in clients.iter() {
            if client.lag.push(block.clone()) && client.is_logged {
                tracing::warn!(peer = %client.peer, "rtl_tcp client does not keep up and loses samples");
            }
        }
    }

    /// Drops an unfinished sample: there is a gap in the samples.
    pub fn begin_anew(&mut self) {
        self.partial = None;
    }
}

/// Serves clients until cancelled.
async fn accept(listener: TcpListener, clients: Clients, buffer_bytes: usize, offer: Offer, cancel: Cancel) {
    let mut tasks = JoinSet::new();
    let [mut rejections, mut unlogged, mut failures] = [const { LogLimit::new() }; 3];
    let mut admitted = 0;
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(ended) = tasks.join_next() => {
                if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
                    // A panic of a client is one of the server.
                    std::panic::resume_unwind(panic);
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) if tasks.len() < MAX_CLIENTS => {
                    let lag = Arc::new(Lag::new(buffer_bytes));
                    // The first ones are logged, and later one now and then, whatever they do.
                    admitted += 1;
                    let is_logged = admitted <= LOGGED_CLIENTS || unlogged.count(Instant::now()).is_some();
                    let client = Client { peer, lag: lag.clone(), is_logged };
                    clients.lock().unwrap_or_else(PoisonError::into_inner).push(client);
                    let guard = Leaves { clients: clients.clone(), lag };
                    tasks.spawn(serve(stream, peer, guard, offer, is_logged));
                }
                Ok((_, peer)) => {
                    if let Some(times) = rejections.count(Instant::now()) {
                        tracing::warn!(%peer, limit = MAX_CLIENTS, times, "rtl_tcp client refused: too many clients");
                    }
                }
                Err(error) => {
                    if let Some(times) = failures.count(Instant::now()) {
                        tracing::warn!(%error, times, "Cannot accept rtl_tcp clients");
                    }
                    let _ = timeout(ACCEPT_PAUSE, cancel.cancelled()).await;
                }
            }
        }
    }
    tasks.shutdown().await;
}

/// Removes a client when its task ends, however it ends.
struct Leaves {
    clients: Clients,
    lag: Arc<Lag>,
}

impl Drop for Leaves {
    fn drop(&mut self) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|client| !Arc::ptr_eq(&client.lag, &self.lag));
    }
}

/// Serves one client until it disconnects, stops reading, or the radio ends.
async fn serve(mut stream: TcpStream, peer: SocketAddr, client: Leaves, offer: Offer, is_logged: bool) {
    if is_logged {
        tracing::info!(%peer, "rtl_tcp client connected");
    }
    let (mut commands, mut samples) = stream.split();
    let result = tokio::select! {
        result = ignore_commands(&mut commands, peer, offer, is_logged) => result,
        result = send_samples(&mut samples, &client.lag) => result,
    };
    let error = result.err().map(tracing::field::display);
    let lost_bytes = client.lag.dropped_bytes();
    if is_logged {
        tracing::info!(%peer, lost_bytes, error, "rtl_tcp client disconnected");
    }
}

/// Reads the five bytes of each command, so that the client is not blocked, until it disconnects. Logs once for each setting that
/// it gets another window than it asks for.
async fn ignore_commands(
    stream: &mut (impl AsyncRead + Unpin),
    peer: SocketAddr,
    offer: Offer,
    is_logged: bool,
) -> io::Result<()> {
    let (mut rate_logged, mut center_logged) = (!is_logged, !is_logged);
    let mut command = [0; 5];
    loop {
        match stream.read_exact(&mut command).await {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e),
        }
        let [number, a, b, c, d] = command;
        let wanted = u32::from_be_bytes([a, b, c, d]);
        match (number, offer.center_hz) {
            (SET_SAMPLE_RATE, _) if wanted.abs_diff(offer.sample_rate_hz) > TOLERANCE_HZ => {
                if !std::mem::replace(&mut rate_logged, true) {
                    tracing::warn!(%peer, wanted, gets = offer.sample_rate_hz, "rtl_tcp client asks for another sample rate than it gets: the dongle is shared");
                }
            }
            (SET_FREQUENCY, Some(gets)) if wanted.abs_diff(gets) > TOLERANCE_HZ => {
                if !std::mem::replace(&mut center_logged, true) {
                    tracing::warn!(%peer, wanted, gets, "rtl_tcp client asks for another frequency than it gets: the dongle is shared");
                }
            }
            _ => tracing::debug!(%peer, number, wanted, "rtl_tcp command ignored: the dongle is shared"),
        }
    }
}

async fn send_samples(stream: &mut (impl AsyncWrite + Unpin), lag: &Lag) -> io::Result<()> {
    stream.write_all(&GREETING).await?;
    while let Some(block) = lag.pop().await {
        timeout(WRITE_TIMEOUT, stream.write_all(&block)).await??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Clock, Runtime};
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpStream;

    const LONG: Duration = Duration::from_secs(20);
    const OFFER: Offer = Offer {
        sample_rate_hz: 2_359_296,
        center_hz: Some(912_600_155),
    };

    struct Served {
        runtime: Runtime,
        context: Context,
        server: Server,
    }

    fn serve_at(address: &str) -> Served {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let context = runtime.context.component("radio:roof");
        let server =
            Server::start("roof", Sharing::new(address.parse().unwrap(), 1), OFFER, &context).unwrap();
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
    fn given_a_client_that_reads_late_then_it_gets_everything_that_its_buffer_holds() {
        let mut served = serve_at("127.0.0.1:0");
        let mut client = connect(served.server.address);
        for block in 0..200u8 {
            served.server.tap.send(&[block; 4096]);
        }
        let bytes = read(&mut client, 200 * 4096);
        assert!(
            bytes
                .chunks(4096)
                .zip(0u8..)
                .all(|(part, block)| part == [block; 4096])
        );
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
        let error = Server::start(
            "attic",
            Sharing::new(served.server.address, 1),
            OFFER,
            &served.context,
        )
        .map(drop);
        let error = format!("{:#}", error.unwrap_err());
        assert!(error.contains(&served.server.address.to_string()), "{error}");
    }
}
