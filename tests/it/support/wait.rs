//! Waiting for events, and processes that end with the test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Deadline for anything that should happen at once: generous, because the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(60);
/// Interval between two looks at a condition.
const POLL: Duration = Duration::from_millis(20);

/// Waits until `is_ready` returns true.
pub fn wait_for(event: &str, is_ready: impl FnMut() -> bool) {
    wait_long_for(event, DEADLINE, is_ready);
}

/// The same with a deadline for things that take their time.
pub fn wait_long_for(event: &str, deadline: Duration, mut is_ready: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_ready() {
        assert!(
            begun.elapsed() < deadline,
            "waited {deadline:?} in vain for: {event}"
        );
        std::thread::sleep(POLL);
    }
}

/// A process that is killed when the test ends.
pub struct Process(pub Child);

impl Process {
    /// Kills it with SIGKILL and reaps it.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal such as `TERM` or `HUP` to a process; a negative id is a process group.
pub fn signal(pid: i64, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), "--", &pid.to_string()])
        .status();
    assert!(status.unwrap().success(), "kill -{name} {pid}");
}

/// A program of the system. Debian keeps servers in /usr/sbin, which is not in every user's PATH.
pub fn tool(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    let found = found.unwrap_or_else(|| panic!("{name} is not installed: `make packages` installs it"));
    Command::new(Path::new(&found))
}

/// Permission to run something that must keep up with real time.
///
/// Tests run in parallel threads; half of the processors may be busy with real-time work at once, so that none of
/// it starves.
pub struct RealTime(());

static FREE_PLACES: Mutex<Option<usize>> = Mutex::new(None);
static CHANGED: Condvar = Condvar::new();

impl RealTime {
    /// Waits for a place. A test must hold at most one.
    pub fn acquire() -> Self {
        let places = std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2));
        let mut free = FREE_PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        while *free.get_or_insert(places) == 0 {
            free = CHANGED.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free = free.map(|free| free - 1);
        RealTime(())
    }
}

impl Drop for RealTime {
    fn drop(&mut self) {
        let mut free = FREE_PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        *free = free.map(|free| free + 1);
        CHANGED.notify_one();
    }
}
