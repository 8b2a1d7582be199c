//! The capture process, seen from metertap: started, read with timeouts, and ended whatever state it is in.

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, ErrorKind, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Time for a capture process to close its dongle before it is killed.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(700);
/// Time for a process that was killed to disappear.
const KILL_TIMEOUT: Duration = Duration::from_millis(200);
/// Environment variable that lets librtlsdr's own messages through.
const LOG_VARIABLE: &str = "METERTAP_LIBRTLSDR_LOG";

/// A capture process; ended when dropped.
pub struct Process {
    child: Child,
    /// Frames.
    pub output: ChildStdout,
    /// Commands; closed to ask the process to end.
    input: Option<ChildStdin>,
}

impl Process {
    /// Starts a capture process with `request`, which is JSON.
    pub fn start(request: &str) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find the program file of metertap")?;
        let mut child = Command::new(program)
            .args(["capture-rtlsdr", request])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // librtlsdr writes much that is reported better elsewhere.
            .stderr(if std::env::var_os(LOG_VARIABLE).is_some() {
                Stdio::inherit()
            } else {
                Stdio::null()
            })
            .spawn()
            .context("cannot start the capture process")?;
        let output = child.stdout.take().context("the capture process has no output")?;
        let input = child.stdin.take();
        Ok(Process { child, output, input })
    }

    /// Waits until output, or its end, can be read, for `timeout` at most.
    pub fn is_readable(&self, timeout: Duration) -> io::Result<bool> {
        let timeout = Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let mut fds = [PollFd::new(&self.output, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Fills `buffer` with output before `deadline`.
    pub fn read_exact(&mut self, mut buffer: &mut [u8], deadline: Instant) -> Result<()> {
        while !buffer.is_empty() {
            if !self.is_readable(deadline.saturating_duration_since(Instant::now()))? {
                bail!("the capture process has stopped responding");
            }
            let n = self.output.read(buffer)?;
            if n == 0 {
                bail!("the capture process has ended");
            }
            buffer = &mut buffer[n..];
        }
        Ok(())
    }

    /// Sends one line to the process.
    pub fn send_line(&mut self, line: &str) -> io::Result<()> {
        let Some(input) = &mut self.input else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        input.write_all(line.as_bytes())?;
        input.write_all(b"\n")
    }

    /// Waits for the process to end, for `timeout` at most. Returns true if it has.
    fn has_ended_within(&mut self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let left = || deadline.saturating_duration_since(Instant::now());
        // The output ends with the process. It is read and discarded until then, or the process could not write it.
        let mut discarded = [0; 4096];
        while !left().is_zero() && self.is_readable(left()).unwrap_or(false) {
            if matches!(self.output.read(&mut discarded), Ok(0) | Err(_)) {
                break;
            }
        }
        // The kernel closes the output a moment before the process can be waited for. That moment is long if the kernel
        // hangs in the driver of the dongle, so waiting without a limit is not an option.
        loop {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return true;
            }
            if left().is_zero() {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asks the process to close the dongle.
        self.input = None;
        if self.has_ended_within(CLOSE_TIMEOUT) {
            return;
        }
        let _ = self.child.kill();
        if !self.has_ended_within(KILL_TIMEOUT) {
            tracing::warn!(
                pid = self.child.id(),
                "Capture process is stuck in the kernel; leaving it behind"
            );
        }
    }
}
