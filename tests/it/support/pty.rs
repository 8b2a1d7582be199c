//! Serial lines: pairs of pseudo-terminals made by socat.

use super::wait::{Process, tool, wait_for};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Two ends of a serial line.
pub struct Pty {
    /// The meter's end.
    pub meter: PathBuf,
    /// The end metertap opens.
    pub port: PathBuf,
    pub socat: Process,
    pub dir: tempfile::TempDir,
}

impl Pty {
    pub fn open() -> Self {
        Self::open_in(tempfile::tempdir().unwrap())
    }

    /// Makes the two ends in a given folder.
    pub fn open_in(dir: tempfile::TempDir) -> Self {
        let (meter, port) = (dir.path().join("meter"), dir.path().join("port"));
        let end = |path: &Path| format!("pty,raw,echo=0,link={}", path.display());
        let child = tool("socat").args([end(&meter), end(&port)]).spawn().unwrap();
        wait_for("socat's links", || meter.exists() && port.exists());
        Pty {
            meter,
            port,
            socat: Process(child),
            dir,
        }
    }

    /// Opens the meter's end.
    pub fn meter(&self) -> File {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.meter)
            .unwrap()
    }
}

/// Plays a meter that answers: `answer` gets what has been received since the last answer, and returns what is
/// sent back, or nothing while the request is incomplete.
pub fn scripted(pty: &Pty, mut answer: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static) {
    let mut line = pty.meter();
    std::thread::spawn(move || {
        let (mut received, mut buffer) = (Vec::new(), [0; 512]);
        while let Ok(n @ 1..) = line.read(&mut buffer) {
            received.extend_from_slice(&buffer[..n]);
            if let Some(reply) = answer(&received) {
                received.clear();
                if line.write_all(&reply).is_err() {
                    return;
                }
            }
        }
    });
}
