//! RTL-SDR dongles without hardware: the project's fake librtlsdr, loaded by the real program.

use super::program::metertap;
use super::testdata::{STREET, json_lines, root};
use super::wait::{RealTime, wait_for};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Path of the fake library, built once.
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
        let built = json_lines(&output.stdout)
            .iter()
            .filter_map(|message| message["filenames"][0].as_str().map(PathBuf::from))
            .next_back();
        built.expect("a library")
    })
}

/// Simulated dongles; their behavior can be changed while they are in use. They play in real time, so a test may have
/// only one set at a time.
pub struct Dongles {
    dir: TempDir,
    orders: Vec<(String, String)>,
    _real_time: RealTime,
}

impl Dongles {
    /// Dongles with these comma-separated serial numbers, each playing the street over and over.
    pub fn plugged(serials: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(library(), dir.path().join("librtlsdr.so.0")).unwrap();
        let mut dongles = Dongles {
            dir,
            orders: Vec::new(),
            _real_time: RealTime::acquire(),
        };
        let log = dongles.dir.path().join("log").display().to_string();
        dongles.set("file", &root().join(STREET).display().to_string());
        dongles.set("log", &log);
        dongles.set("serials", serials);
        dongles
    }

    /// Sets one of the options of `tests/fake-librtlsdr`, with immediate effect.
    pub fn set(&mut self, key: &str, value: &str) {
        self.orders.retain(|(k, _)| k != key);
        self.orders.push((key.into(), value.into()));
        let text: String = self.orders.iter().map(|(k, v)| format!("{k}={v}\n")).collect();
        // Replaced atomically, because the library reads it all the time.
        let new = self.dir.path().join("orders.new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.dir.path().join("orders")).unwrap();
    }

    /// Calls of the library so far, one `key=value` a line.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Waits until the program has looked for dongles so many times more.
    pub fn wait_for_searches(&self, more: usize) {
        let searches = || self.log().matches("devices=").count();
        let before = searches();
        wait_for("attempts to open the dongle", || searches() >= before + more);
    }

    /// Runs metertap with `args` on that machine: success, standard output, standard error.
    pub fn run(&self, args: &[&str]) -> (bool, String, String) {
        let mut program = metertap();
        program.args(args);
        self.plug_into(program.command());
        let output = program.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    /// Plugs them into the machine on which `command` will run.
    pub fn plug_into<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("LD_LIBRARY_PATH", self.dir.path())
            .env("FAKE_RTLSDR", self.dir.path().join("orders"))
    }
}
