//! `#[needs(…)]`: marks a test `#[ignore = "needs …"]` where the machine lacks what it needs, so that the test is
//! counted as ignored in the summary instead of passing without having compared anything.
//!
//! | argument | needs |
//! | --- | --- |
//! | `axe` | axe-core, which `make axe` brings |
//! | `shared` | `../shared`: vectors and recordings that are not part of the repository |
//! | `promtool` | Prometheus' promtool, which evaluates alerting rules |
//! | `private_mounts` | permission to mount a small file system (`unshare -rm`) |
//! | `small_disk` | permission to mount a file system in memory, so that a disk can be full |
//! | `rtl_433` | rtl_433, in `PATH` or named by `RTL_433`, with a decoder of Badger Orion |
//! | `rtl_433_2025` | the same, with decoders of the Orion endpoint, Hot Rod and Dialog 3G as well (25.12 or later) |
//! | `network_namespace` | permission to make a network namespace with packet filters (`unshare -rn`, iptables) |
//!
//! libtest cannot ignore a test at run time, so the decision is made when the tests are compiled. If it was made
//! before `../shared` was there, `touch tests/it/main.rs` has it made again; the other way round cargo notices.

use proc_macro::TokenStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// A file of `../shared`, tracked by cargo.
const SHARED: &str = "../shared/vectors/README.md";
const NETWORK: &str = "PATH=$PATH:/usr/sbin:/sbin; ip link set lo up && iptables -L -n";
/// axe-core as npm packs it.
const AXE: &str = "target/axe-core/package/axe.min.js";
const MOUNT: &str = "dir=$(mktemp -d) && mount -t tmpfs tmpfs \"$dir\" && umount \"$dir\"; status=$?; rmdir \"$dir\"; exit $status";

#[proc_macro_attribute]
pub fn needs(what: TokenStream, test: TokenStream) -> TokenStream {
    if !test.to_string().contains("[test]") {
        return parse("compile_error!(\"#[needs(…)] must stand above #[test]\");");
    }
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let (is_there, addition, name) = match what.to_string().as_str() {
        "shared" => {
            let file = Path::new(&root).join(SHARED);
            let track = format!("const _: &[u8] = include_bytes!({file:?});");
            (file.exists(), track, "the vectors and recordings of ../shared")
        }
        "small_disk" => (may_mount(), String::new(), "permission to mount a tmpfs (root)"),
        "network_namespace" => (
            may_filter_packets(),
            String::new(),
            "a network namespace of its own (unshare -rn, iptables)",
        ),
        "axe" => {
            let file = Path::new(&root).join(AXE);
            let track = format!("const _: &[u8] = include_bytes!({file:?});");
            (file.exists(), track, "axe-core (make axe)")
        }
        "promtool" => (
            is_tool("promtool"),
            String::new(),
            "promtool (Debian: prometheus)",
        ),
        "rtl_433" => (
            rtl_433_has("Badger ORION"),
            String::new(),
            "rtl_433 (Debian: rtl-433)",
        ),
        "rtl_433_2025" => (
            ["Hot Rod", "Dialog3G", "GIF2020OCECNA"]
                .iter()
                .all(|name| rtl_433_has(name)),
            String::new(),
            "rtl_433 of 2025 or later (RTL_433=path)",
        ),
        "private_mounts" => (
            may_mount_privately(),
            String::new(),
            "mounts of its own (unshare -rm, tmpfs)",
        ),
        other => return parse(&format!("compile_error!(\"unknown need: {other}\");")),
    };
    let mut tokens = if is_there {
        parse(&addition)
    } else {
        parse(&format!(
            "#[ignore = \"needs {name}: absent when the tests were built\"]"
        ))
    };
    tokens.extend(test);
    tokens
}

fn parse(code: &str) -> TokenStream {
    code.parse().expect("tokens")
}

fn is_tool(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Returns whether rtl_433 lists a decoder with this in its name.
fn rtl_433_has(decoder: &str) -> bool {
    let program = std::env::var_os("RTL_433").unwrap_or_else(|| "rtl_433".into());
    let output = Command::new(program).args(["-R", "help"]).output();
    output.is_ok_and(|output| {
        [output.stdout, output.stderr]
            .iter()
            .any(|text| String::from_utf8_lossy(text).contains(decoder))
    })
}

fn may_mount_privately() -> bool {
    succeeds(Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]))
}

fn may_filter_packets() -> bool {
    succeeds(Command::new("unshare").args(["-rn", "sh", "-c", NETWORK]))
}

/// Mounts as the tests do: in the mount namespace that they run in.
fn may_mount() -> bool {
    succeeds(Command::new("sh").args(["-c", MOUNT]))
}

fn succeeds(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
