//! A dongle shared: its samples for other programs, by the protocol of rtl_tcp.
//!
//! The receiver goes first. A client that does not keep up loses blocks, its commands are read and not
//! obeyed (they would turn the receiver away from its meters), and there are at most a few clients.

use anyhow::{Context, Result};
use crossbeam_channel::{Sender, TrySendError, bounded};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Clients at once; more are hung up on.
const MAX_CLIENTS: usize = 8;
/// Blocks that a client may lag behind: 0.9 s.
const LAG: usize = 32;
/// `RTL0`, an R820T with its 29 gains: what most clients expect, and none can change.
const GREETING: [u8; 12] = [b'R', b'T', b'L', b'0', 0, 0, 0, 5, 0, 0, 0, 29];
/// A client that takes nothing for this long is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// The way to one client.
type Client = Sender<Arc<[u8]>>;

/// The place that blocks are handed to; cheap when nobody listens.
#[derive(Clone, Default)]
pub struct Tap {
    clients: Arc<Mutex<Vec<Client>>>,
    count: Arc<AtomicUsize>,
}

impl Tap {
    /// Serves on `address` until the process ends.
    ///
    /// # Errors
    /// Where the port cannot be had.
    pub fn serve(&self, address: SocketAddr) -> Result<SocketAddr> {
        let listener =
            TcpListener::bind(address).with_context(|| format!("cannot serve rtl_tcp on {address}"))?;
        let bound = listener.local_addr().context("cannot serve rtl_tcp")?;
        let tap = self.clone();
        thread::Builder::new()
            .name("rtl_tcp".into())
            .spawn(move || {
                for stream in listener.incoming() {
                    match stream {
                        Ok(stream) => tap.welcome(stream),
                        // Out of file handles, perhaps: not again at once.
                        Err(error) => {
                            tracing::warn!(%error, "A client of the shared dongle could not be accepted.");
                            thread::sleep(Duration::from_millis(500));
                        }
                    }
                }
            })
            .context("cannot start a thread")?;
        Ok(bound)
    }

    /// Gives `bytes` to everybody who keeps up.
    pub fn give(&self, bytes: &[u8]) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let shared: Arc<[u8]> = bytes.into();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|client| {
            !matches!(
                client.try_send(shared.clone()),
                Err(TrySendError::Disconnected(_))
            )
        });
        self.count.store(clients.len(), Ordering::Relaxed);
    }

    fn welcome(&self, stream: TcpStream) {
        let peer = stream
            .peer_addr()
            .map_or_else(|_| "?".into(), |peer| peer.to_string());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= MAX_CLIENTS {
            tracing::warn!(%peer, "Too many clients of the shared dongle: one was sent away.");
            return;
        }
        let (sender, blocks) = bounded::<Arc<[u8]>>(LAG);
        let started = spawn_reader(&stream).and_then(|()| {
            stream.set_write_timeout(Some(PATIENCE))?;
            thread::Builder::new()
                .name("rtl_tcp:client".into())
                .spawn(move || {
                    let mut stream = stream;
                    let mut served = stream.write_all(&GREETING);
                    while let (Ok(()), Ok(block)) = (&served, blocks.recv()) {
                        served = stream.write_all(&block);
                    }
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                    tracing::info!(%peer, "A client of the shared dongle has gone.");
                })
        });
        if started.is_ok() {
            clients.push(sender);
            self.count.store(clients.len(), Ordering::Relaxed);
        }
    }
}

/// Reads a client's commands, so that it is not kept waiting, and obeys none.
fn spawn_reader(stream: &TcpStream) -> std::io::Result<()> {
    let mut stream = stream.try_clone()?;
    thread::Builder::new()
        .name("rtl_tcp:commands".into())
        .spawn(move || {
            let mut command = [0; 5];
            while stream.read_exact(&mut command).is_ok() {
                tracing::debug!(
                    command = command[0],
                    "A client's command was not obeyed: the dongle is shared."
                );
            }
            // The client is gone: the writer sees it too.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        })?;
    Ok(())
}
