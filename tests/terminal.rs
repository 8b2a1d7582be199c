//! `metertap listen` on a real terminal, with real keys: tmux is the terminal.
#![cfg(feature = "rtlsdr")]

mod common;

use common::dongle::Dongles;
use common::*;
use std::process::Command;

/// A terminal of 100 columns and 40 lines, and a program in it.
struct Terminal {
    name: String,
}

impl Terminal {
    fn start(command: &str) -> Self {
        let name = format!("metertap-test-{}", std::process::id());
        let terminal = Terminal { name };
        let size = ["-x", "100", "-y", "40"];
        terminal.tmux(&[&["new-session", "-d"][..], &size, &[command]].concat());
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-u", "-L", &self.name, "-f", "/dev/null"])
            .args(arguments)
            .output()
            .expect("tmux (make test installs it)");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What stands on the screen.
    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn press(&self, keys: &str) {
        self.tmux(&["send-keys", keys]);
    }

    fn wait(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        wait_for(what, || {
            let screen = self.screen();
            if !is_so(&screen) {
                // Only shown where the test fails.
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

/// The first words of the table's rows.
fn ids(screen: &str) -> Vec<u32> {
    let rows = screen.lines().skip_while(|line| !line.contains("consumption"));
    // The line below the table counts them.
    rows.filter(|line| !line.contains("readings"))
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect()
}

#[test]
fn given_keys_then_the_table_is_sorted_filtered_and_paused_under_a_spectrum() {
    let dongles = Dongles::plugged("00000042");
    let mut command = metertap();
    dongles.under(command.arg("listen"));
    let set: Vec<String> = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_str()?, value?.to_str()?)))
        .collect();
    let program = command.get_program().to_str().unwrap();
    // What it leaves on the screen is still there when it has ended.
    let terminal = Terminal::start(&format!(
        "env {} {program} listen; echo left $?; sleep 60",
        set.join(" ")
    ));
    terminal.wait("the street", |screen| ids(screen).len() > 15);
    terminal.wait("ids that rise", |screen| ids(screen).is_sorted());
    terminal.wait("a spectrum", |screen| {
        let above = screen.split("consumption").next().unwrap_or_default();
        "▁▂▃▄▅▆▇█".chars().filter(|bar| above.contains(*bar)).count() > 2
    });
    terminal.press("r");
    terminal.wait("ids that fall", |screen| ids(screen).is_sorted_by(|a, b| a >= b));
    terminal.press("/");
    terminal.press("gas");
    terminal.wait("what is written", |screen| screen.contains("filter: gas"));
    terminal.press("Enter");
    let is_gas = |line: &&str| line.contains(" gas (");
    terminal.wait("only gas", |screen| {
        let count = ids(screen).len();
        count > 2 && screen.lines().filter(is_gas).count() == count
    });
    terminal.press("p");
    terminal.wait("a pause", |screen| screen.contains("PAUSED"));
    let paused = ids_and_counts(&terminal.screen());
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(ids_and_counts(&terminal.screen()), paused, "nothing moves");
    terminal.press("p");
    terminal.wait("more readings", |screen| ids_and_counts(screen) != paused);
    terminal.press("q");
    terminal.wait("the whole table", |screen| {
        screen.contains("left 0") && screen.contains("meters, ")
    });
    // The terminal is as it was: what is typed is shown.
    terminal.press("echo");
    terminal.wait("an echo", |screen| screen.trim_end().ends_with("echo"));
}

fn ids_and_counts(screen: &str) -> Vec<String> {
    let rows = screen.lines().filter(|line| line.contains(" gas ("));
    rows.map(str::to_owned).collect()
}
