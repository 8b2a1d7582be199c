//! Tests that run alone, in a process with namespaces of its own.

use super::wait::tool;

/// Runs the ignored test `test`, such as `outages::in_own_network_…`, alone in namespaces made by `unshare` with these flags; the
/// shell command `prepare` runs there before it.
pub fn run_alone(test: &str, flags: &str, prepare: &str) {
    let output = tool("unshare")
        .args([flags, "sh", "-c", &format!("{prepare} && exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let printed =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}"
    );
}
