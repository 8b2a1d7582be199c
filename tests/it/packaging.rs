//! Integration with systemd, containers, Home Assistant's Supervisor and shells.

use crate::support::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// A configuration that never ends: nothing answers on its wire.
fn silent(web: &str) -> String {
    let quiet = free_port();
    format!("{web}\n[[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{quiet}\"\n")
}

#[test]
fn given_systemd_then_it_is_notified_of_start_watchdog_and_stop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let notification = || {
        let mut buffer = [0; 256];
        let n = systemd.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..n]).trim().to_owned()
    };
    let mut daemon = Daemon::start_with(&silent(""), |command| {
        command
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "1000000")
    });
    daemon.expect_log("onnection refused");
    assert_eq!(notification(), "READY=1");
    assert_eq!(notification(), "WATCHDOG=1");
    assert_eq!(notification(), "WATCHDOG=1");
    daemon.stop();
    let mut last = notification();
    while last == "WATCHDOG=1" {
        last = notification();
    }
    assert_eq!(last, "STOPPING=1");
}

#[cfg(feature = "web")]
#[test]
fn given_a_daemon_then_health_reports_whether_it_runs_and_what_is_wrong() {
    let port = free_port();
    let dir = tempfile::tempdir().unwrap();
    let config = silent(&format!("[web]\nlisten = \"0.0.0.0:{port}\""));
    let file = dir.path().join("metertap.toml");
    std::fs::write(&file, &config).unwrap();
    let health = |options: &[&str]| {
        let output = metertap()
            .arg("health")
            .arg("-c")
            .arg(&file)
            .args(options)
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.success(), printed)
    };
    let (is_well, printed) = health(&[]);
    assert!(!is_well && printed.contains("/livez"), "{printed}");
    let daemon = Daemon::start(&config);
    daemon.expect_log("The page is open to everybody");
    daemon.wait_for_log("onnection refused");
    // A restart would not mend the wire: only who asks is told.
    assert_eq!(health(&[]), (true, "ok\n".to_owned()));
    let (is_well, printed) = health(&["--ready"]);
    assert!(
        !is_well && printed.starts_with("in trouble\nhall: ") && printed.contains("refused"),
        "{printed}"
    );
    drop(daemon);
    // The reasons are told to those who have the token, which health takes from the configuration.
    let token = config.replace("[web]\n", "[web]\ntoken = \"correct horse\"\n");
    std::fs::remove_file(&file).unwrap();
    write_private(&file, &token);
    let daemon = Daemon::start(&token);
    daemon.wait_for_log("onnection refused");
    assert!(health(&["--ready"]).1.contains("refused"));
    drop(daemon);
    // Behind a proxy, which health does not come through, only the parts are named.
    let proxied = silent(&format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\nproxies = [\"172.30.32.2\"]"
    ));
    std::fs::write(&file, &proxied).unwrap();
    let daemon = Daemon::start(&proxied);
    daemon.wait_for_log("onnection refused");
    assert!(health(&[]).0);
    assert_eq!(
        health(&["--ready"]),
        (false, "in trouble\nhall: down\n".to_owned())
    );
    drop(daemon);
    // And one that is well: a recording that is over.
    let well = format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n[[radio]]\nsource = \"{}\"\nrealtime = true\n",
        long_street(dir.path()).display()
    );
    std::fs::write(&file, &well).unwrap();
    let daemon = Daemon::start(&well);
    daemon.expect_log(NO_TIME);
    wait_for("health", || health(&["--ready"]).0);
    // Without a page nobody can be asked.
    std::fs::write(&file, silent("")).unwrap();
    assert!(health(&[]).1.contains("there is no [web]"));
}

/// Makes a recording of the street that lasts 20 s.
fn long_street(dir: &std::path::Path) -> std::path::PathBuf {
    let scenario = std::fs::read_to_string(root().join("testdata/street/street.toml")).unwrap();
    let (toml, recording) = (dir.join("long.toml"), dir.join("long_912.600155M_2359.296k.cu8"));
    std::fs::write(&toml, scenario.replace("seconds = 0.42", "seconds = 20")).unwrap();
    stdout_of(&[
        "synth",
        toml.to_str().unwrap(),
        "--out",
        recording.to_str().unwrap(),
    ]);
    recording
}

#[test]
fn every_shell_has_completions_and_every_command_a_manual_page() {
    for (shell, reason) in [
        ("bash", "_metertap"),
        ("zsh", "#compdef metertap"),
        ("fish", "complete -c metertap"),
    ] {
        let output = metertap().args(["completions", shell]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(reason), "{shell}");
        for hidden in ["capture-rtlsdr", "addon"] {
            assert!(!text.contains(hidden), "{shell}: {hidden}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    stdout_of(&["manual", dir.path().to_str().unwrap()]);
    for page in ["metertap", "metertap-run", "metertap-mbus-scan"] {
        let text = std::fs::read_to_string(dir.path().join(format!("{page}.1"))).unwrap();
        for section in [
            ".TH ",
            ".SH FILES",
            ".SH ENVIRONMENT",
            ".SH \"EXIT STATUS\"",
            ".SH EXAMPLES",
            ".SH \"SEE ALSO\"",
        ] {
            assert!(text.contains(section), "{page}: {section}");
        }
    }
    let reference = std::fs::read_to_string(dir.path().join("metertap.toml.5")).unwrap();
    assert!(reference.contains("[[radio]]") && reference.contains("hop_seconds"));
    let of = |name: &str| dir.path().join(name).exists();
    assert!(
        !of("metertap-capture-rtlsdr.1") && !of("metertap-addon.1"),
        "not for people"
    );
}

#[cfg(feature = "web")]
#[test]
fn given_add_on_options_then_they_become_the_configuration() {
    let broker = Broker::start();
    let supervisor = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("http://{}", supervisor.local_addr().unwrap());
    let settings = format!(
        "{{\"result\":\"ok\",\"data\":{{\"host\":\"127.0.0.1\",\"port\":{},\"ssl\":false,\"username\":\"addons\",\"password\":\"secret\",\"protocol\":\"3.1.1\"}}}}",
        broker.port
    );
    let asked = std::thread::spawn(move || {
        let (mut line, _) = supervisor.accept().unwrap();
        let mut request = [0; 2048];
        let n = line.read(&mut request).unwrap();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{settings}",
            settings.len()
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
    let _addon = metertap()
        .arg("addon")
        .arg("--options")
        .arg(&options)
        .arg("--config")
        .arg(&config)
        .args(["--supervisor", &at, "--port", &port.to_string()])
        .env("SUPERVISOR_TOKEN", "for us")
        .expect_log(NO_TIME)
        .start();
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
fn given_trusted_proxies_then_no_other_client_gets_an_answer_but_health() {
    let port = free_port();
    let config = silent(&format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\nproxies = [\"172.30.32.2\"]"
    ));
    let daemon = Daemon::start(&config);
    daemon.expect_log("onnection refused");
    wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let get = |path: &str| {
        let mut line = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let _ = line.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = line.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    };
    for path in ["/", "/api/status", "/metrics", "/app.js"] {
        assert!(get(path).starts_with("HTTP/1.1 404"), "{path}: {}", get(path));
    }
    // Except health checks of this machine, which learn nothing that is behind the proxy.
    assert!(get("/livez").starts_with("HTTP/1.1 200"), "{}", get("/livez"));
    let ready = get("/readyz");
    assert!(
        ready.contains("hall: down") && !ready.contains("refused"),
        "{ready}"
    );
}

#[cfg(all(feature = "web", feature = "rtlsdr"))]
#[test]
fn given_a_thread_that_hangs_then_it_is_named_systemd_is_not_fed_and_metertap_is_not_alive() {
    // One daemon each, all at the same time.
    std::thread::scope(|scope| {
        for thread in [
            "main",
            "io",
            "web",
            "mqtt",
            "spool",
            "history",
            "output:lines",
            "radio:roof",
            "search:roof",
            "lock:roof",
            "wire:hall",
            "signals",
        ] {
            scope.spawn(move || hang(thread));
        }
    });
}

/// Runs a daemon in which `thread` hangs.
#[cfg(all(feature = "web", feature = "rtlsdr"))]
fn hang(thread: &str) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    systemd.set_nonblocking(true).unwrap();
    let (port, broker, folder) = (free_port(), free_port(), dir.path().display());
    let mut config = silent(&format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\nhistory = \"{folder}/history\"\n\
         [mqtt]\nhost = \"127.0.0.1:{broker}\"\nspool = \"{folder}/spool\"\n\
         [[output]]\nname = \"lines\"\nkind = \"file\"\npath = \"{folder}/lines\"\n"
    ));
    if thread.ends_with(":roof") {
        config += "[[radio]]\nname = \"roof\"\nsource = \"rtlsdr:00000042\"\n";
    }
    let dongles = Dongles::plugged("00000042");
    let mut daemon = Daemon::start_with(&config, |command| {
        dongles
            .plug_into(command)
            .env("METERTAP_INJECT", format!("hang:{thread}*1"))
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "1000000")
    });
    for expected in [
        "onnection refused",
        "No connection to the broker",
        "Thread is stuck",
        "Thread is no longer stuck",
    ] {
        daemon.expect_log(expected);
    }
    let quoted = format!("{thread:?}");
    let is_named = |line: &str| line.contains("Thread is stuck") && line.contains(&quoted);
    daemon.wait_for(thread, || daemon.log().lines().any(is_named));
    // What was sent before it was stuck; from then on nothing is sent.
    while systemd.recv(&mut [0; 256]).is_ok() {}
    // Of one that blocks the runtime nobody is left to answer.
    if !matches!(thread, "io" | "web" | "mqtt" | "wire:hall") {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let mut answer = agent
            .get(format!("http://127.0.0.1:{port}/livez"))
            .call()
            .unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        let wrong = format!("{thread}: stuck");
        assert!(answer.status() == 503 && text.contains(&wrong), "{text}");
    }
    assert!(systemd.recv(&mut [0; 256]).is_err(), "{thread}: systemd was fed");
    daemon.kill();
}
