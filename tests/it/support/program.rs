//! `metertap` as a process. The only module that knows where the program is.

use super::stderr::StderrCheck;
use super::testdata::{root, write_private};
use super::wait::{signal, wait_for};
use serde_json::Value;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};

/// Path of the program under test, for those that cannot start it through [`metertap`]. They must hand its
/// standard error to [`StderrCheck`].
pub fn program_path() -> &'static str {
    env!("CARGO_BIN_EXE_metertap")
}

/// The program under test, not yet started.
pub fn metertap() -> Metertap {
    let mut command = Command::new(program_path());
    command
        .env_remove("RUST_LOG")
        .current_dir(root())
        .stdin(Stdio::null());
    Metertap {
        command,
        check: StderrCheck::default(),
    }
}

/// Like [`Command`], but standard error is always captured and checked.
pub struct Metertap {
    command: Command,
    check: StderrCheck,
}

impl Metertap {
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg(arg);
        self
    }

    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        self.command.args(args);
        self
    }

    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.command.env(key, value);
        self
    }

    /// Connects standard input to [`Running::stdin`].
    pub fn with_stdin(&mut self) -> &mut Self {
        self.command.stdin(Stdio::piped());
        self
    }

    /// Expects a warning or an error in the log that contains `text`.
    pub fn expect_log(&mut self, text: &str) -> &mut Self {
        self.check.expect(text);
        self
    }

    /// The command itself, for what changes its environment.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Runs it to its end.
    pub fn output(&mut self) -> io::Result<Output> {
        let output = self.command.output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        self.check.assert_clean(&format!("{:?}", self.command), &stderr);
        assert_ended_by_itself(output.status, &stderr);
        Ok(output)
    }

    /// Starts it; standard output goes to a file.
    pub fn start(&mut self) -> Running {
        self.start_with_stdout(None)
    }

    /// Starts it; standard output is read through [`Running::stdout`].
    pub fn start_piped(&mut self) -> Running {
        self.start_with_stdout(Some(Stdio::piped()))
    }

    fn start_with_stdout(&mut self, stdout: Option<Stdio>) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let file = |name| std::fs::File::create(dir.path().join(name)).unwrap();
        let child = self
            .command
            .stdout(stdout.unwrap_or_else(|| file("stdout").into()))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        Running {
            name: format!("{:?}", self.command),
            child,
            dir,
            check: std::mem::take(&mut self.check),
        }
    }
}

/// `metertap` at work. At the end of the test it is stopped, and what it wrote to standard error is checked.
pub struct Running {
    name: String,
    child: Child,
    dir: tempfile::TempDir,
    check: StderrCheck,
}

impl Running {
    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Standard input, if [`Metertap::with_stdin`] asked for it.
    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Standard output, if started by [`Metertap::start_piped`].
    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// Sends a signal such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.id().into(), name);
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the end of the program", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Waits for its end, which must be a success.
    pub fn wait_for_success(&mut self) {
        let status = self.wait();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Asks it to stop; it must succeed.
    pub fn stop(&mut self) {
        self.signal("TERM");
        self.wait_for_success();
    }

    /// Standard error so far.
    pub fn log(&self) -> String {
        read_lossy(&self.dir.path().join("stderr"))
    }

    /// Expects a warning or an error in the log that contains `text`.
    pub fn expect_log(&self, text: &str) {
        self.check.expect(text);
    }

    /// Waits for `text` in the log; it may be a warning.
    pub fn wait_for_log(&self, text: &str) {
        self.wait_for_logs(text, 1);
    }

    /// Waits until `text` is there so many times.
    pub fn wait_for_logs(&self, text: &str, times: usize) {
        self.expect_log(text);
        self.wait_for(text, || self.log().matches(text).count() >= times);
    }

    /// Waits for anything that it does; shows its log if that does not come.
    pub fn wait_for(&self, event: &str, is_ready: impl FnMut() -> bool) {
        wait_for(event, is_ready);
    }

    /// JSON lines that it has written to standard output so far.
    pub fn lines(&self) -> Vec<Value> {
        let text = read_lossy(&self.dir.path().join("stdout"));
        // The last line may still be incomplete.
        let complete = text.rfind('\n').map_or(0, |end| end + 1);
        super::json_lines(&text.as_bytes()[..complete])
    }

    /// Waits for so many lines.
    pub fn wait_for_lines(&self, count: usize) {
        self.wait_for("readings on standard output", || self.lines().len() >= count);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            println!("{} wrote:\n{}", self.name, self.log());
            return;
        }
        if self.child.try_wait().unwrap().is_none() {
            // The way it ends is tested, too.
            self.signal("TERM");
        }
        let status = self.wait();
        let log = self.log();
        self.check.assert_clean(&self.name, &log);
        assert_ended_by_itself(status, &log);
    }
}

/// Fails if the program has crashed. SIGKILL comes from the tests only.
fn assert_ended_by_itself(status: ExitStatus, stderr: &str) {
    use std::os::unix::process::ExitStatusExt;
    const SIGKILL: i32 = 9;
    let has_crashed = status.code() == Some(101) || status.signal().is_some_and(|signal| signal != SIGKILL);
    assert!(!has_crashed, "{status}: {stderr}");
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// Runs it with `args` to its end.
pub fn run(args: &[&str]) -> Output {
    metertap().args(args).output().unwrap()
}

/// Standard output of a run that must succeed.
pub fn stdout_of(args: &[&str]) -> Vec<u8> {
    let output = run(args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Verdict of `metertap check` on a configuration, and what it prints.
pub fn checked(config: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metertap.toml");
    write_private(&file, config);
    let output = metertap()
        .args(["check", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let printed =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), printed)
}

/// Asserts that `metertap check` rejects each section, together with `rest`, and gives the reason beside it.
pub fn assert_each_is_rejected(sections: &[(&str, &str)], rest: &str) {
    for (section, reason) in sections {
        let (is_valid, printed) = checked(&format!("{section}\n{rest}"));
        assert!(
            !is_valid && printed.contains(reason),
            "{section}: expected {reason:?}, got {printed}"
        );
    }
}
