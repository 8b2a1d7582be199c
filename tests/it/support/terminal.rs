//! A terminal: tmux.

use super::wait::{tool, wait_for};
use std::sync::atomic::{AtomicU32, Ordering};

/// A terminal of 100 columns and 40 lines with a program in it.
pub struct Terminal {
    name: String,
}

impl Terminal {
    /// Starts a terminal in which `command` runs.
    pub fn start(command: &str) -> Self {
        // A server of its own, which no other test talks to.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("metertap-test-{}-{number}", std::process::id());
        let terminal = Terminal { name };
        let size = ["-x", "100", "-y", "40"];
        terminal.tmux(&[&["new-session", "-d"][..], &size, &[command]].concat());
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = tool("tmux")
            .args(["-u", "-L", &self.name, "-f", "/dev/null"])
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Text on the screen.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Presses keys, by their names in tmux.
    pub fn press(&self, keys: &str) {
        self.tmux(&["send-keys", keys]);
    }

    /// Answers a question: waits until the screen ends with it, types, and presses Enter.
    pub fn answer(&self, question: &str, answer: &str) {
        self.wait(question, |screen| {
            // A long question takes two lines.
            let lines: Vec<&str> = screen.trim_end().lines().collect();
            let end = lines[lines.len().saturating_sub(2)..].concat();
            end.contains(question) && end.ends_with(':')
        });
        if !answer.is_empty() {
            self.tmux(&["send-keys", "-l", answer]);
        }
        self.press("Enter");
    }

    /// Waits until the screen is as wanted.
    pub fn wait(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        wait_for(what, || {
            let screen = self.screen();
            if !is_so(&screen) {
                // Captured: shown only if the test fails.
                println!("{screen}");
                return false;
            }
            true
        });
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
