//! Faults within a radio: threads that panic or cannot be created, injected by `METERTAP_INJECT`.
//!
//! Nothing of that may end as success, or in silence.

use crate::support::*;
use std::path::Path;

/// Runs `replay` of the street with a fault in one of its threads; returns its standard error.
fn replay_with(fault: &str, thread: &str) -> String {
    let name = Path::new(STREET).file_name().unwrap().to_str().unwrap();
    let mut program = metertap();
    program
        .args(["replay", STREET])
        .env("METERTAP_INJECT", format!("{fault}:{thread}:{name}*1"));
    if fault == "panic" {
        program.expect_log("Thread panicked");
    }
    let output = program.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{fault} {thread}: {stderr}");
    stderr
}

#[test]
fn given_a_thread_of_a_radio_that_panics_then_replay_fails_and_names_it() {
    for (thread, message) in [
        ("radio", "the thread that reads it panicked"),
        ("search", "the thread search:"),
        ("lock", "thread `lock:"),
    ] {
        let stderr = replay_with("panic", thread);
        assert!(stderr.contains(message), "{thread}: {stderr}");
    }
}

#[test]
fn given_a_thread_of_a_radio_that_cannot_be_created_then_replay_fails_and_names_it() {
    for thread in ["radio", "search", "lock"] {
        let stderr = replay_with("refuse", thread);
        assert!(
            stderr.contains(&format!("cannot create the thread {thread}:")),
            "{thread}: {stderr}"
        );
    }
}

#[cfg(feature = "rtlsdr")]
#[test]
fn given_a_live_radio_whose_threads_panic_then_it_is_restarted_and_goes_on() {
    for thread in ["radio:roof", "search:roof", "lock:roof"] {
        let dongles = Dongles::plugged("00000042");
        let config = "[[radio]]\nname = \"roof\"\nsource = \"rtlsdr:00000042\"\n";
        let daemon = Daemon::start_with(config, |command| {
            let fault = format!("panic:{thread}*2");
            dongles.plug_into(command).env("METERTAP_INJECT", fault)
        });
        daemon.expect_log("Component failed");
        daemon.expect_log("Receiver failed");
        daemon.expect_log("Thread panicked");
        daemon.wait_for_logs("Thread panicked", 2);
        daemon.wait_for_lines(1);
    }
}
