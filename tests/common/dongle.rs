//! A dongle that is not there: the project's own librtlsdr under the real program.

use super::{STREET, root};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Where the fake library lies, built once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let output = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--package",
                "fake-librtlsdr",
                "--message-format=json",
            ])
            .current_dir(root())
            .output()
            .expect("cargo");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let built = super::json_lines(&output.stdout)
            .iter()
            .filter_map(|message| message["filenames"][0].as_str().map(PathBuf::from))
            .next_back();
        built.expect("a library")
    })
}

/// Dongles and what they do; changes while they are in use.
pub struct Dongles {
    dir: TempDir,
    orders: Vec<(String, String)>,
}

impl Dongles {
    /// Plays the street, over and over.
    pub fn plugged(serials: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(library(), dir.path().join("librtlsdr.so.0")).unwrap();
        let mut dongles = Dongles {
            dir,
            orders: Vec::new(),
        };
        let log = dongles.dir.path().join("log").display().to_string();
        dongles.order("file", &root().join(STREET).display().to_string());
        dongles.order("log", &log);
        dongles.order("serials", serials);
        dongles
    }

    /// From now on.
    pub fn order(&mut self, key: &str, value: &str) {
        self.orders.retain(|(k, _)| k != key);
        self.orders.push((key.into(), value.into()));
        let text: String = self.orders.iter().map(|(k, v)| format!("{k}={v}\n")).collect();
        // In one step: it is being read.
        let new = self.dir.path().join("orders.new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.dir.path().join("orders")).unwrap();
    }

    /// What was set, in order.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Puts them under `command`.
    pub fn under<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("LD_LIBRARY_PATH", self.dir.path())
            .env("FAKE_RTLSDR", self.dir.path().join("orders"))
    }
}
