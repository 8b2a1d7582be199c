//! Opening of wires, with errors that say what to do.

use crate::source::wire::serial::{LineControl, split};
use crate::source::wire::{Line, WireAddress, from_hex};
use anyhow::{Context, Result, anyhow};
use socket2::{SockRef, TcpKeepalive};
use std::future::Future;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
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
/// Longest recording in bytes that is looked at for hexadecimal digits.
const MAX_HEX: u64 = 16 << 20;

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
    /// Settings of a serial line.
    pub control: Option<LineControl>,
}

/// Way to open an address that is not a device or a socket of its own: a topic of the broker.
pub trait Feed: Send + Sync {
    /// Subscribes to `topic`; each message is a line of the stream, which ends with the connection.
    fn open<'a>(&'a self, topic: &'a str) -> Opening<'a>;
}

/// Future of an opening.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Stream>>> + Send + 'a>>;

/// Opens a device, socket or recording of bytes, as [`open_for`] does.
///
/// # Errors
/// As [`open_for`].
pub async fn open(address: &WireAddress, line: Line) -> Result<Wire> {
    open_for(address, line, false, None).await
}

/// Opens `address`; the settings of a serial port are `line`, topics are opened by `feed`. A file of hex digits is read as the bytes
/// that it shows, unless `is_text`.
///
/// # Errors
/// Returns the reason and a remedy if the port or file is absent, busy or forbidden, or if the host does not accept the
/// connection.
pub async fn open_for(
    address: &WireAddress,
    line: Line,
    is_text: bool,
    feed: Option<&dyn Feed>,
) -> Result<Wire> {
    let recording = |stream| Wire {
        stream,
        ends: true,
        has_line: false,
        control: None,
    };
    match address {
        WireAddress::Mqtt(topic) => {
            let feed = feed.ok_or_else(|| anyhow!("there is no [mqtt] with a broker"))?;
            Ok(Wire {
                stream: feed.open(topic).await?,
                ends: false,
                has_line: false,
                control: None,
            })
        }
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
                control: None,
            })
        }
        WireAddress::Path(path) => {
            let metadata = tokio::fs::metadata(path)
                .await
                .map_err(|error| explain(path, error))?;
            if metadata.file_type().is_char_device() {
                let (bytes, control) = split(open_serial(path, line).await?, line);
                return Ok(Wire {
                    stream: Box::new(bytes),
                    ends: false,
                    has_line: true,
                    control: Some(control),
                });
            }
            if metadata.is_file() && metadata.len() <= MAX_HEX && !is_text {
                let content = tokio::fs::read(path)
                    .await
                    .map_err(|error| explain(path, error))?;
                let bytes = from_hex(&content).unwrap_or(content);
                let stream = tokio::io::join(std::io::Cursor::new(bytes), tokio::io::sink());
                return Ok(recording(Box::new(stream)));
            }
            let file = tokio::fs::File::open(path).await;
            Ok(recording(Box::new(file.map_err(|error| explain(path, error))?)))
        }
    }
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
        let address = WireAddress::Path("/dev/ttyUSB99".into());
        let opened = runtime.context.io.block_on(open(&address, Line::plain(115_200)));
        let error = opened.map(drop).unwrap_err().to_string();
        assert!(error.contains("is it plugged in?"), "{error}");
    }
}
