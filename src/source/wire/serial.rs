//! Serial ports whose speed can be changed while they are open.

use crate::source::wire::Line;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_serial::{SerialPort, SerialStream};

/// Port that a stream and its [`LineControl`] share. The lock is held for one system call at a time, never across an await.
type SharedPort = Arc<Mutex<SerialStream>>;

/// Bytes of a serial port.
pub(super) struct SerialBytes(SharedPort);

/// Settings of an open serial port.
pub struct LineControl {
    port: SharedPort,
    line: Line,
}

/// Splits an open port, which has the settings `line`.
pub(super) fn split(port: SerialStream, line: Line) -> (SerialBytes, LineControl) {
    let port = Arc::new(Mutex::new(port));
    (SerialBytes(port.clone()), LineControl { port, line })
}

fn lock(port: &SharedPort) -> MutexGuard<'_, SerialStream> {
    port.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LineControl {
    /// Returns the settings in use.
    pub fn line(&self) -> Line {
        self.line
    }

    /// Changes the settings. Bytes that have not left yet are sent with the new ones.
    ///
    /// # Errors
    /// Returns an error if the port does not have the settings, or is gone.
    pub fn set(&mut self, line: Line) -> io::Result<()> {
        if line == self.line {
            return Ok(());
        }
        let mut port = lock(&self.port);
        port.set_baud_rate(line.baud)?;
        port.set_data_bits(line.framing.data)?;
        port.set_parity(line.framing.parity)?;
        port.set_stop_bits(line.framing.stop)?;
        self.line = line;
        Ok(())
    }
}

impl AsyncRead for SerialBytes {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_read(cx, buf)
    }
}

impl AsyncWrite for SerialBytes {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.0)).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_shutdown(cx)
    }
}
