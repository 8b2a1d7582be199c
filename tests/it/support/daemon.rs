//! `metertap run` with a configuration.

use super::program::{Running, metertap};
use super::testdata::write_private;
use std::process::Command;

/// A daemon at work; its log is verbose, its readings are on standard output if no output is configured.
pub struct Daemon {
    running: Running,
    dir: tempfile::TempDir,
}

impl Daemon {
    pub fn start(config: &str) -> Self {
        Self::start_with(config, |command| command)
    }

    /// Starts it after `prepare` has changed the command, for instance its environment.
    pub fn start_with(config: &str, prepare: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("metertap.toml");
        write_private(&file, config);
        let mut program = metertap();
        program.args(["-v", "run", "--config"]).arg(&file);
        if config.contains("[mqtt]") && !config.contains("instance = ") {
            // Topics without the name of this host.
            program.command().env("METERTAP_MQTT__INSTANCE", "");
        }
        prepare(program.command());
        Daemon {
            running: program.start(),
            dir,
        }
    }

    /// Changes the configuration, has it read again and waits for `text` in the log.
    pub fn reload(&self, config: &str, text: &str) {
        let before = self.log().matches(text).count();
        write_private(&self.dir.path().join("metertap.toml"), config);
        self.signal("HUP");
        self.wait_for_logs(text, before + 1);
    }

    /// The configuration as it is in the file now.
    pub fn config(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("metertap.toml")).unwrap()
    }
}

impl std::ops::Deref for Daemon {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl std::ops::DerefMut for Daemon {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.running
    }
}
