//! Cables, and a daemon that listens on them.

use super::*;
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::Write;

/// Two ends of a cable, made by socat.
pub struct Cable {
    pub meter: PathBuf,
    pub port: PathBuf,
    pub process: Process,
    pub dir: tempfile::TempDir,
}

impl Cable {
    pub fn lay() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::lay_in(dir)
    }

    pub fn lay_in(dir: tempfile::TempDir) -> Self {
        let (meter, port) = (dir.path().join("meter"), dir.path().join("port"));
        let end = |path: &Path| format!("pty,raw,echo=0,link={}", path.display());
        let child = Command::new("socat")
            .args([end(&meter), end(&port)])
            .spawn()
            .expect("socat (make test installs it)");
        wait_for("socat", || meter.exists() && port.exists());
        Cable {
            meter,
            port,
            process: Process(child),
            dir,
        }
    }

    pub fn meter(&self) -> std::fs::File {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.meter)
            .unwrap()
    }
}

/// `metertap run` with a configuration; its log and its lines.
pub struct Daemon {
    pub process: Process,
    dir: tempfile::TempDir,
}

impl Daemon {
    pub fn start(config: &str) -> Self {
        Self::start_with(config, |command| command)
    }

    /// With something under it, or around it.
    pub fn start_with(config: &str, under: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("metertap.toml");
        std::fs::write(&file, config).unwrap();
        let to = |name| std::fs::File::create(dir.path().join(name)).unwrap();
        let mut command = metertap();
        command.args(["-v", "run", "--config"]).arg(&file);
        let child = under(&mut command)
            .stdin(Stdio::null())
            .stdout(to("out"))
            .stderr(to("log"))
            .spawn()
            .unwrap();
        Daemon {
            process: Process(child),
            dir,
        }
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(&mut self) {
        signal(&self.process, "TERM");
        assert!(self.process.0.wait().unwrap().success(), "{}", self.log());
    }

    /// Writes the configuration anew, says so, and waits for `told`.
    pub fn change(&self, config: &str, told: &str) {
        let before = self.log().matches(told).count();
        std::fs::write(self.dir.path().join("metertap.toml"), config).unwrap();
        signal(&self.process, "HUP");
        wait_for(told, || self.log().matches(told).count() > before);
    }

    /// As it stands in the file now.
    pub fn config(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("metertap.toml")).unwrap()
    }

    pub fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.path().join("out")).unwrap();
        // The last line may be on its way.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        json_lines(&text.as_bytes()[..whole])
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    pub fn wait_for_lines(&self, count: usize) {
        wait_for("the readings", || self.lines().len() >= count);
    }

    pub fn wait_for_log(&self, what: &str) {
        wait_for(what, || self.log().contains(what));
    }
}

/// The parts of a line that a telegram decides.
pub fn said(line: &Value) -> Value {
    let mut line = line.clone();
    let map = line.as_object_mut().unwrap();
    map.remove("received");
    map.remove("port");
    line
}

/// A meter that answers: what has come so far goes to `answer`, and what that gives is sent.
pub fn scripted(cable: &Cable, mut answer: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static) {
    let mut line = cable.meter();
    std::thread::spawn(move || {
        let (mut heard, mut buffer) = (Vec::new(), [0; 512]);
        while let Ok(n) = line.read(&mut buffer) {
            if n == 0 {
                return;
            }
            heard.extend_from_slice(&buffer[..n]);
            if let Some(said) = answer(&heard) {
                heard.clear();
                if line.write_all(&said).is_err() {
                    return;
                }
            }
        }
    });
}
