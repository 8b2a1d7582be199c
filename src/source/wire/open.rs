//! Opening of wires, with errors that say what to do.

use crate::source::wire::{Line, WireAddress};
use anyhow::{Context, Result, anyhow};
use socket2::{SockRef, TcpKeepalive};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_serial::{SerialPortBuilderExt, SerialStream};

/// Time for a host to accept the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Quiet time of a TCP connection before the system asks whether the other end is there, and between further attempts.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Attempts at a serial port that is in use, and the pause between them: a process that is being started, such as the one
/// that captures from a dongle, holds every open file for a moment.
const BUSY_ATTEMPTS: u32 = 10;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// Bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// An open wire.
pub struct Wire {
    /// Bytes.
    pub stream: Box<dyn Stream>,
    /// True for a recording, which ends for good; any other wire is opened again.
    pub ends: bool,
    /// True for a serial line, which has a speed and framing.
    pub has_line: bool,
}

/// Opens `address`; the settings of a serial port are `line`.
///
/// # Errors
/// Returns the reason and a remedy if the port or file is absent, busy or forbidden, or if the host does not accept the
/// connection.
pub async fn open(address: &WireAddress, line: Line) -> Result<Wire> {
    let recording = |stream| Wire {
        stream,
        ends: true,
        has_line: false,
    };
    match address {
        WireAddress::Stdin => {
            let stream = tokio::io::join(tokio::io::stdin(), tokio::io::sink());
            Ok(recording(Box::new(stream)))
        }
        WireAddress::Tcp { host, port } => {
            let connect = TcpStream::connect((host.as_str(), *port));
            let stream = tokio::time::timeout(CONNECT_TIMEOUT, connect)
                .await
                .map_err(|_| anyhow!("does not answer for {} s", CONNECT_TIMEOUT.as_secs()))??;
            // A bridge that is gone without a word is found by these, however rarely the meter sends.
            let keepalive = TcpKeepalive::new()
                .with_time(KEEPALIVE_IDLE)
                .with_interval(KEEPALIVE_INTERVAL);
            SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
            Ok(Wire {
                stream: Box::new(stream),
                ends: false,
                has_line: false,
            })
        }
        WireAddress::Path(path) => {
            let metadata = tokio::fs::metadata(path)
                .await
                .map_err(|error| explain(path, error))?;
            if metadata.file_type().is_char_device() {
                let stream = open_serial(path, line).await?;
                return Ok(Wire {
                    stream: Box::new(stream),
                    ends: false,
                    has_line: true,
                });
            }
            let file = tokio::fs::File::open(path).await;
            Ok(recording(Box::new(file.map_err(|error| explain(path, error))?)))
        }
    }
}

/// Opens and closes `address`; blocks the calling thread.
///
/// # Errors
/// Returns an error as [`open`] does.
pub fn try_open(address: &WireAddress, io: &Handle) -> Result<()> {
    io.block_on(open(address, Line::plain(115_200))).map(drop)
}

async fn open_serial(path: &Path, line: Line) -> Result<SerialStream> {
    let port = tokio_serial::new(path.to_string_lossy(), line.baud)
        .data_bits(line.framing.data)
        .parity(line.framing.parity)
        .stop_bits(line.framing.stop);
    let mut attempt = 1;
    loop {
        match port.clone().open_native_async() {
            Err(error) if is_busy(path, &error) && attempt < BUSY_ATTEMPTS => {
                attempt += 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            result => return result.map_err(|error| explain_serial(path, error)),
        }
    }
}

/// Returns true for the error of serialport for a port that is locked.
fn is_busy(path: &Path, error: &tokio_serial::Error) -> bool {
    error.kind == tokio_serial::ErrorKind::NoDevice && path.exists()
}

fn explain_serial(path: &Path, error: tokio_serial::Error) -> anyhow::Error {
    match error.kind {
        tokio_serial::ErrorKind::Io(kind) if kind == ErrorKind::PermissionDenied => {
            explain(path, kind.into())
        }
        _ if is_busy(path, &error) => {
            anyhow!(
                "another program has it open (sudo fuser -v {} shows which)",
                path.display()
            )
        }
        _ => anyhow!("{}", error.description),
    }
}

fn explain(path: &Path, error: std::io::Error) -> anyhow::Error {
    let shown = path.display();
    match error.kind() {
        ErrorKind::PermissionDenied => match group(path) {
            Some(group) => anyhow!(
                "permission denied: it belongs to the group {group}; sudo usermod -aG {group} USER for the user that runs metertap, who then logs in again"
            ),
            None => anyhow!(
                "permission denied: the user that runs metertap must be allowed to read and write {shown}"
            ),
        },
        ErrorKind::NotFound => {
            anyhow!("is not there: is it plugged in? ls -l /dev/serial/by-id/ shows what is")
        }
        _ => error.into(),
    }
}

/// Returns the name of the group that owns `path`, unless it is root's.
fn group(path: &Path) -> Option<String> {
    let gid = std::fs::metadata(path).ok()?.gid();
    let groups = std::fs::read_to_string("/etc/group").context("no groups").ok()?;
    let line = groups
        .lines()
        .find(|line| line.split(':').nth(2) == Some(&gid.to_string()))?;
    let name = line.split(':').next()?;
    (gid != 0).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Clock, Runtime};

    #[test]
    fn given_a_port_of_a_group_then_the_remedy_names_it() {
        let tty = Path::new("/dev/tty");
        let Some(group) = group(tty) else {
            return eprintln!("skipped: /dev/tty belongs to root here");
        };
        let error = explain(tty, ErrorKind::PermissionDenied.into()).to_string();
        assert!(error.contains(&format!("usermod -aG {group} USER")), "{error}");
    }

    #[test]
    fn given_a_port_that_is_not_there_then_the_error_says_so() {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let error = try_open(&WireAddress::Path("/dev/ttyUSB99".into()), &runtime.context.io)
            .unwrap_err()
            .to_string();
        assert!(error.contains("is it plugged in?"), "{error}");
    }
}
