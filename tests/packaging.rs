//! What those need who run it for others: systemd, containers, Home Assistant's Supervisor, shells.

mod common;

use common::wire::Daemon;
use common::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

/// A configuration that goes on for ever: nobody answers on its wire.
fn silent(web: &str) -> String {
    let quiet = free_port();
    format!("{web}\n[[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{quiet}\"\n")
}

#[test]
fn given_systemd_then_it_is_told_that_we_are_there_and_well_and_that_we_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let heard = || {
        let mut buffer = [0; 256];
        let n = systemd.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..n]).trim().to_owned()
    };
    let mut daemon = Daemon::start_with(&silent(""), |command| {
        command
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "1000000")
    });
    assert_eq!(heard(), "READY=1");
    assert_eq!(heard(), "WATCHDOG=1");
    assert_eq!(heard(), "WATCHDOG=1");
    daemon.stop();
    let mut last = heard();
    while last == "WATCHDOG=1" {
        last = heard();
    }
    assert_eq!(last, "STOPPING=1");
}

#[cfg(feature = "web")]
#[test]
fn given_a_daemon_then_health_tells_what_is_wrong_with_it_and_that_there_is_none() {
    let port = free_port();
    let dir = tempfile::tempdir().unwrap();
    let config = silent(&format!("[web]\nlisten = \"0.0.0.0:{port}\""));
    let file = dir.path().join("metertap.toml");
    std::fs::write(&file, &config).unwrap();
    let health = || {
        let output = metertap().arg("health").arg("-c").arg(&file).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.success(), said)
    };
    let (is_well, said) = health();
    assert!(!is_well && said.contains("/healthz"), "{said}");
    let daemon = Daemon::start(&config);
    daemon.wait_for_log("onnection refused");
    let (is_well, said) = health();
    assert!(!is_well && said.contains("hall: "), "{said}");
    drop(daemon);
    // And one that is well: a recording that is over.
    let well = format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n[[radio]]\nsource = \"{}\"\nrealtime = true\n",
        long_street(dir.path()).display()
    );
    std::fs::write(&file, &well).unwrap();
    let _daemon = Daemon::start(&well);
    wait_for("health", || health().0);
    // Without a page nobody can be asked.
    std::fs::write(&file, silent("")).unwrap();
    assert!(health().1.contains("there is no [web]"));
}

/// The street for 20 s.
fn long_street(dir: &std::path::Path) -> std::path::PathBuf {
    let scenario = std::fs::read_to_string(root().join("testdata/street/street.toml")).unwrap();
    let (toml, recording) = (dir.join("long.toml"), dir.join("long_912.600155M_2359.296k.cu8"));
    std::fs::write(&toml, scenario.replace("seconds = 0.42", "seconds = 20")).unwrap();
    let made = metertap()
        .arg("synth")
        .arg(&toml)
        .arg("--out")
        .arg(&recording)
        .status();
    assert!(made.unwrap().success());
    recording
}

#[test]
fn every_shell_has_completions_and_every_command_a_page_of_the_manual() {
    for (shell, says) in [
        ("bash", "_metertap"),
        ("zsh", "#compdef metertap"),
        ("fish", "complete -c metertap"),
    ] {
        let output = metertap().args(["completions", shell]).output().unwrap();
        assert!(
            String::from_utf8(output.stdout).unwrap().contains(says),
            "{shell}"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(
        metertap()
            .arg("manual")
            .arg(dir.path())
            .status()
            .unwrap()
            .success()
    );
    for page in ["metertap", "metertap-run", "metertap-mbus-scan"] {
        let text = std::fs::read_to_string(dir.path().join(format!("{page}.1"))).unwrap();
        assert!(text.contains(".TH "), "{page}");
    }
    let of = |name: &str| dir.path().join(name).exists();
    assert!(
        !of("metertap-capture-rtlsdr.1") && !of("metertap-addon.1"),
        "not for people"
    );
}

#[cfg(feature = "web")]
#[test]
fn given_options_of_home_assistant_then_they_are_the_configuration_and_the_supervisor_knows_the_broker() {
    let broker = Mosquitto::start();
    let supervisor = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("http://{}", supervisor.local_addr().unwrap());
    let said = format!(
        "{{\"result\":\"ok\",\"data\":{{\"host\":\"127.0.0.1\",\"port\":{},\"ssl\":false,\"username\":\"addons\",\"password\":\"secret\",\"protocol\":\"3.1.1\"}}}}",
        broker.port
    );
    let asked = std::thread::spawn(move || {
        let (mut line, _) = supervisor.accept().unwrap();
        let mut request = [0; 2048];
        let n = line.read(&mut request).unwrap();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{said}",
            said.len()
        );
        line.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..n]).to_ascii_lowercase()
    });
    let dir = tempfile::tempdir().unwrap();
    let (options, config, port) = (
        dir.path().join("options.json"),
        dir.path().join("metertap.toml"),
        free_port(),
    );
    let text = serde_json::json!({
        "publish": "listed",
        "radio": [{ "name": "roof", "source": root().join(STREET), "gain": null }],
        "wire": [],
        "meter": [{ "id": "12345678", "name": "Water", "unit": "gal", "scale": 0.1, "commodity": "" }],
    });
    std::fs::write(&options, text.to_string()).unwrap();
    let subscriber = broker.subscribe("readings/12345678/scm", 1, &[]);
    let announced = broker.subscribe("homeassistant/device/+/config", 1, &[]);
    let child = metertap()
        .arg("addon")
        .arg("--options")
        .arg(&options)
        .arg("--config")
        .arg(&config)
        .args(["--supervisor", &at, "--port", &port.to_string()])
        .env("SUPERVISOR_TOKEN", "for us")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _addon = Process(child);
    let (_, reading) = subscriber.messages().remove(0);
    assert!(
        reading.contains("\"total\":{\"value\":4821.3,\"unit\":\"gal\"}"),
        "{reading}"
    );
    assert_eq!(announced.messages().len(), 1);
    let asked = asked.join().unwrap();
    assert!(
        asked.starts_with("get /services/mqtt ") && asked.contains("authorization: bearer for us"),
        "{asked}"
    );
    let mode = std::fs::metadata(&config).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds the broker's password");
    let written = std::fs::read_to_string(&config).unwrap();
    assert!(
        written.contains("password = \"secret\"") && written.contains("proxies = [\"172.30.32.2\"]"),
        "{written}"
    );
}

#[cfg(feature = "web")]
#[test]
fn given_proxies_then_nobody_else_gets_an_answer() {
    let port = free_port();
    let config = silent(&format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\nproxies = [\"172.30.32.2\"]"
    ));
    let _daemon = Daemon::start(&config);
    wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let mut line = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let _ = line.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut answer = Vec::new();
    let _ = line.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
}
