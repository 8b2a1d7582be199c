//! Outputs besides MQTT: none of them waits for another.

use crate::support::*;
use metertap_decode::framing::p1::seal;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Telegram number `n` of a meter reads `n` kWh.
fn telegram(n: u32) -> Vec<u8> {
    seal(
        &format!(
            "/MTP5count\n\n1-3:0.2.8(50)\n0-0:96.1.1(4D31)\n1-0:1.8.1({n:06}.000*kWh)\n1-0:1.7.0(00.500*kW)\n"
        ),
        true,
    )
}

/// A meter behind a TCP bridge: its `[[wire]]` section, and a channel for its telegrams.
fn meter() -> (String, mpsc::Sender<Vec<u8>>) {
    let bridge = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = format!("tcp://{}", bridge.local_addr().unwrap());
    let (to, from) = mpsc::channel::<Vec<u8>>();
    std::thread::spawn(move || {
        let mut line = bridge.accept().unwrap().0;
        for bytes in from {
            if line.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    (
        format!("[[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"{source}\"\n"),
        to,
    )
}

fn client(port: u16) -> BufReader<TcpStream> {
    let mut stream = None;
    wait_for("the server", || {
        stream = TcpStream::connect(("127.0.0.1", port)).ok();
        stream.is_some()
    });
    let stream = stream.unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    BufReader::new(stream)
}

/// Waits until so many clients are connected: a client gets only what comes after that.
fn wait_for_clients(web: u16, output: &str, clients: u32) {
    let line = format!("metertap_sink_clients{{sink=\"{output}\"}} {clients}\n");
    let is_there = || TcpStream::connect(("127.0.0.1", web)).is_ok();
    wait_for("the clients", || {
        is_there() && get(web, "/metrics").1.contains(&line)
    });
}

fn total(line: &str) -> u32 {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    line["reading"]["energy_import_t1"]["value"].as_f64().unwrap() as u32
}

/// The answer to a GET: status and body.
fn get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.into())
}

#[test]
fn given_tcp_clients_then_each_gets_every_line_and_one_too_many_is_turned_away() {
    let (json, raw, web) = (free_port(), free_port(), free_port());
    let (wire, to_meter) = meter();
    let daemon = Daemon::start(&format!(
        "{wire}[web]\nlisten = \"127.0.0.1:{web}\"\n[[output]]\nkind = \"tcp\"\nlisten = \"127.0.0.1:{json}\"\nmax_clients = 2\n\
         [[output]]\nkind = \"p1\"\nlisten = \"127.0.0.1:{raw}\"\n\
         [[output]]\nkind = \"tcp\"\nname = \"old\"\nlisten = \"127.0.0.1:{}\"\npayload = \"smartmeter2mqtt\"\n",
        free_port()
    ));
    daemon.expect_log("Client rejected: too many are connected");
    let (mut one, mut two, mut telegrams) = (client(json), client(json), client(raw));
    wait_for_clients(web, "tcp0", 2);
    wait_for_clients(web, "p11", 1);
    let mut three = client(json);
    let mut nothing = String::new();
    assert_eq!(three.read_line(&mut nothing).unwrap_or(0), 0, "sent away");
    to_meter.send(telegram(1)).unwrap();
    for reader in [&mut one, &mut two] {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(total(&line), 1, "{}", daemon.log());
    }
    let mut bytes = vec![0; telegram(1).len()];
    telegrams.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, telegram(1), "byte for byte");
    // Room again.
    drop(one);
    wait_for("the place that became free", || {
        let mut four = client(json);
        // A telegram may have gone by before the client was accepted.
        four.get_ref()
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        to_meter.send(telegram(2)).unwrap();
        let mut line = String::new();
        four.read_line(&mut line).is_ok_and(|n| n > 0)
    });
}

#[test]
fn given_a_client_and_a_broker_that_are_stuck_then_all_others_get_everything() {
    let (json, web, stuck) = (
        free_port(),
        free_port(),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("readings.jsonl");
    let (wire, to_meter) = meter();
    // A broker that accepts the connection and sends nothing, and an HTTP server that never answers.
    let stuck_port = stuck.local_addr().unwrap().port();
    let daemon = Daemon::start(&format!(
        "{wire}[web]\nlisten = \"127.0.0.1:{web}\"\n[mqtt]\nhost = \"127.0.0.1:{stuck_port}\"\n\
         [[output]]\nkind = \"tcp\"\nlisten = \"127.0.0.1:{json}\"\n\
         [[output]]\nkind = \"http\"\nurl = \"http://127.0.0.1:{stuck_port}/\"\n\
         [[output]]\nkind = \"file\"\npath = \"{}\"\nrotate_mb = 1\n",
        file.display()
    ));
    for warning in [
        "Output too slow or unreachable",
        "Component does not end",
        "Output failed; retrying",
        "No connection to the broker",
    ] {
        daemon.expect_log(warning);
    }
    let (idle, mut reader) = (client(json), client(json));
    wait_for_clients(web, "tcp0", 2);
    const COUNT: u32 = 20_000;
    let read = Arc::<AtomicU32>::default();
    let progress = read.clone();
    let reader_thread = std::thread::spawn(move || {
        let mut line = String::new();
        let mut totals = Vec::new();
        while totals.len() < COUNT as usize {
            line.clear();
            if reader.read_line(&mut line).unwrap() == 0 {
                break;
            }
            totals.push(total(&line));
            progress.store(totals.len() as u32, Ordering::Relaxed);
        }
        totals
    });
    for n in 1..=COUNT {
        to_meter.send(telegram(n)).unwrap();
        // As fast as the one who reads can follow, on a machine that has other things to do as well.
        wait_for("the reader", || n < read.load(Ordering::Relaxed) + 100);
    }
    let totals = reader_thread.join().unwrap();
    assert_eq!(totals, (1..=COUNT).collect::<Vec<_>>(), "{}", daemon.log());
    let written = || {
        let mut text = String::new();
        for name in [
            "readings.jsonl.5",
            "readings.jsonl.4",
            "readings.jsonl.3",
            "readings.jsonl.2",
            "readings.jsonl.1",
            "readings.jsonl",
        ] {
            text += &std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        }
        text
    };
    wait_for("the file", || {
        written()
            .lines()
            .last()
            .is_some_and(|line| line.ends_with('}') && total(line) == COUNT)
    });
    let in_file: Vec<u32> = written().lines().map(total).collect();
    let newest = (COUNT - in_file.len() as u32 + 1..=COUNT).collect::<Vec<_>>();
    assert!(
        in_file == newest && in_file.len() > 5000,
        "{} lines, in order, the newest",
        in_file.len()
    );
    assert!(dir.path().join("readings.jsonl.1").exists());
    drop(idle);
}

/// A web server of a few lines: what is posted to it, and the answers that it gives.
fn web_server(answers: Vec<&'static str>) -> (u16, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (to, posted) = mpsc::channel();
    std::thread::spawn(move || {
        let mut answers = answers.into_iter();
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                head += &line;
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            to.send((head, String::from_utf8(body).unwrap())).unwrap();
            let answer = answers.next().unwrap_or("200 OK");
            let mut stream = stream;
            write!(
                stream,
                "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
        }
    });
    (port, posted)
}

#[test]
fn given_an_http_output_then_posts_are_retried_formatted_and_throttled() {
    let (json_port, json) = web_server(vec!["503 Busy", "200 OK", "404 Gone", "200 OK"]);
    let (form_port, form) = web_server(vec![]);
    let (wire, to_meter) = meter();
    let daemon = Daemon::start(&format!(
        "{wire}[[output]]\nkind = \"http\"\nurl = \"http://127.0.0.1:{json_port}/in\"\nheaders = {{ authorization = \"Bearer t0ken\" }}\n\
         [[output]]\nkind = \"http\"\nurl = \"http://127.0.0.1:{form_port}/in\"\nformat = \"form\"\ninterval = 3600\n\
         payload = \"smartmeter2mqtt\"\nfields = [\"totalT1Use\", \"calculatedUsage\"]\n"
    ));
    daemon.expect_log("Output failed; retrying");
    daemon.expect_log("Output too slow or unreachable");
    let wait = Duration::from_secs(60);
    for n in 1..=3 {
        to_meter.send(telegram(n)).unwrap();
    }
    let posted: Vec<(String, String)> = (0..4).map(|_| json.recv_timeout(wait).unwrap()).collect();
    let totals: Vec<u32> = posted.iter().map(|(_, body)| total(body)).collect();
    assert_eq!(
        totals,
        [1, 1, 2, 3],
        "busy: again; gone: not again. {}",
        daemon.log()
    );
    let head = &posted[0].0;
    assert!(head.starts_with("POST /in HTTP/1.1"), "{head}");
    assert!(
        head.contains("authorization: Bearer t0ken") && head.contains("content-type: application/json"),
        "{head}"
    );
    let (head, body) = form.recv_timeout(wait).unwrap();
    assert!(head.contains("application/x-www-form-urlencoded"), "{head}");
    assert_eq!(body, "totalT1Use=1&calculatedUsage=500");
    assert!(form.try_recv().is_err(), "once in an hour");
    daemon.wait_for_log("the server answers 404");
}

#[test]
fn given_an_http_server_that_has_moved_then_posts_follow_it_and_nothing_counts_as_delivered_before() {
    let (new_port, new) = web_server(vec![]);
    let moved = format!("308 Permanent Redirect\r\nLocation: http://127.0.0.1:{new_port}/new");
    let (old_port, old) = web_server(vec![moved.leak(); 2]);
    let (wire, to_meter) = meter();
    let daemon = Daemon::start(&format!(
        "{wire}[[output]]\nkind = \"http\"\nurl = \"http://127.0.0.1:{old_port}/in\"\n"
    ));
    let wait = Duration::from_secs(60);
    for n in 1..=2 {
        to_meter.send(telegram(n)).unwrap();
        assert_eq!(total(&old.recv_timeout(wait).unwrap().1), n);
        let (head, body) = new.recv_timeout(wait).unwrap();
        assert!(head.starts_with("POST /new HTTP/1.1"), "{head}");
        assert_eq!(total(&body), n, "{}", daemon.log());
    }
    daemon.wait_for_log("The HTTP server has moved");
}

#[test]
fn given_a_redirect_that_would_leak_headers_then_it_is_reported_and_the_reading_counts_as_lost() {
    let (new_port, new) = web_server(vec![]);
    let moved = format!("302 Found\r\nLocation: http://127.0.0.1:{new_port}/new?token=abc");
    let (old_port, _old) = web_server(vec![moved.leak(); 2]);
    let (wire, to_meter) = meter();
    let mut daemon = Daemon::start(&format!(
        "{wire}[[output]]\nkind = \"http\"\nurl = \"http://127.0.0.1:{old_port}/in?key=s3cret\"\n\
         headers = {{ authorization = \"Bearer s3cret\" }}\ntries = 2\n"
    ));
    daemon.expect_log("Output failed; retrying");
    to_meter.send(telegram(1)).unwrap();
    daemon.wait_for_log("to which headers and login are not sent");
    daemon.wait_for_log("reason=\"given_up\"");
    assert!(new.try_recv().is_err(), "nothing was sent there");
    daemon.stop();
    let log = daemon.log();
    assert!(
        log.contains("delivered=0 lost=1") && !log.contains("s3cret"),
        "{log}"
    );
}

#[test]
fn given_a_reader_of_standard_output_that_goes_away_then_only_that_output_ends() {
    let broker = Broker::start();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("metertap.toml");
    let (wire, to_meter) = meter();
    std::fs::write(
        &config,
        format!(
            "{wire}[mqtt]\nhost = \"127.0.0.1:{}\"\n[[output]]\nkind = \"file\"\nname = \"lines\"\npath = \"-\"\n",
            broker.port
        ),
    )
    .unwrap();
    let subscriber = broker.subscribe("readings/M1/p1", 3, &[]);
    let mut daemon = metertap()
        .args(["-v", "run", "--config"])
        .arg(&config)
        .start_piped();
    daemon.expect_log("Output too slow or unreachable");
    let mut reader = BufReader::new(daemon.stdout());
    to_meter.send(telegram(1)).unwrap();
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(total(&line), 1);
    drop(reader);
    to_meter.send(telegram(2)).unwrap();
    daemon.wait_for_log("the reader of standard output is gone");
    to_meter.send(telegram(3)).unwrap();
    let totals: Vec<u32> = subscriber
        .payloads()
        .iter()
        .map(|payload| total(payload))
        .collect();
    assert_eq!(totals, [1, 2, 3], "{}", daemon.log());
    daemon.stop();
    assert!(daemon.log().contains("reader_gone=2"), "{}", daemon.log());
}

#[needs(small_disk)]
#[test]
fn given_a_full_disk_then_lines_of_a_file_wait_and_each_is_whole() {
    let disk = SmallDisk::mount(1);
    let file = disk.path().join("readings.jsonl");
    let (wire, to_meter) = meter();
    let daemon = Daemon::start(&format!(
        "{wire}[[output]]\nkind = \"file\"\npath = \"{}\"\n",
        file.display()
    ));
    let lines = || std::fs::read_to_string(&file).unwrap_or_default();
    to_meter.send(telegram(1)).unwrap();
    wait_for("a line", || lines().ends_with('\n'));
    disk.fill();
    let mut sent = 1;
    // The last page of the file has room for some lines.
    wait_for("a failure", || {
        sent += 1;
        to_meter.send(telegram(sent)).unwrap();
        daemon.log().contains("Output failed")
    });
    daemon.wait_for_log("Output failed; retrying");
    disk.clear();
    daemon.wait_for_log("Output works again");
    wait_for("all lines", || lines().lines().count() == sent as usize);
    let totals: Vec<u32> = lines().lines().map(total).collect();
    assert_eq!(totals, (1..=sent).collect::<Vec<_>>());
}

#[test]
fn given_metrics_and_health_then_they_report_the_state_and_no_foreign_meter() {
    let port = free_port();
    let (wire, to_meter) = meter();
    let street = root().join(STREET);
    let broker = Broker::start();
    let daemon = Daemon::start(&format!(
        "publish = \"all\"\n{wire}[mqtt]\nhost = \"127.0.0.1:{}\"\n[web]\nlisten = \"127.0.0.1:{port}\"\n\
         [[radio]]\nsource = \"{}\"\n[[meter]]\nid = 12345678\nname = \"Water \\\"main\\\"\"\nunit = \"gal\"\nscale = 0.1\n",
        broker.port,
        street.display()
    ));
    daemon.expect_log(NO_TIME);
    daemon.expect_log("No connection to the broker");
    to_meter.send(telegram(7)).unwrap();
    wait_for("the metrics", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok() && {
            let text = get(port, "/metrics").1;
            text.contains("metertap_sink_delivered_total{sink=\"mqtt\"}")
                && text.contains("type=\"p1\"")
                && text.contains("12345678")
        }
    });
    let (status, text) = get(port, "/metrics");
    assert_eq!(status, 200);
    for line in [
        "metertap_port_up{port=\"hall\"} 1",
        "metertap_meter_value{id=\"12345678\",type=\"scm\",name=\"Water \\\"main\\\"\",quantity=\"total\",unit=\"gal\"} 4821.3",
        "metertap_meter_value{id=\"M1\",type=\"p1\",name=\"M1\",quantity=\"energy_import_t1\",unit=\"kWh\"} 7.0",
        "metertap_sink_lost_total{sink=\"mqtt\"} 0",
        "metertap_sink_up{sink=\"mqtt\"} 1",
        "# EOF",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.contains("metertap_meters_heard{mine=\"no\"}"), "{text}");
    assert!(!text.contains("41007788"), "a neighbour is no label: {text}");
    assert_eq!(get(port, "/healthz").0, 200, "{}", daemon.log());
    drop(broker);
    wait_for("the trouble", || get(port, "/healthz").0 == 503);
    assert!(
        get(port, "/healthz").1.contains("mqtt: "),
        "{}",
        get(port, "/healthz").1
    );
    assert_eq!(get(port, "/nothing").0, 404);
}

#[test]
fn given_invalid_outputs_then_every_mistake_is_reported() {
    let config = "[[output]]\nkind = \"tcp\"\n[[output]]\nkind = \"file\"\npath = \"x\"\nlisten = \"127.0.0.1:1\"\n\
                  [[output]]\nkind = \"http\"\nurl = \"ftp://x\"\n[[output]]\nkind = \"udp\"\n[[radio]]\nsource = \"rtlsdr\"\n";
    let (ok, printed) = checked(config);
    assert!(!ok);
    for reason in [
        "[[output]] 1 (tcp0): listen is missing",
        "[[output]] 2 (file1): listen is for kind = \"tcp or p1\"",
        "url must begin with http:// or https://",
        "unknown value `udp`",
    ] {
        assert!(printed.contains(reason), "{reason}: {printed}");
    }
    // A secret in the wrong place is not repeated.
    let (ok, printed) =
        checked("[[output]]\nkind = \"http\"\nurl = \"http://x\"\nheaders = \"Bearer s3cret\"\n");
    assert!(
        !ok && printed.contains("expected a table") && !printed.contains("s3cret"),
        "{printed}"
    );
    // A port that somebody else has, and a folder that is not there.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metertap.toml");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    for (output, reason) in [
        (
            format!("kind = \"tcp\"\nlisten = \"{}\"", taken.local_addr().unwrap()),
            "Address already in use",
        ),
        (
            "kind = \"file\"\npath = \"/no/such/readings.jsonl\"".to_owned(),
            "/no/such/readings.jsonl",
        ),
    ] {
        std::fs::write(
            &file,
            format!("[[output]]\n{output}\n[[wire]]\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:9\"\n"),
        )
        .unwrap();
        let output = metertap().args(["run", "--config"]).arg(&file).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && printed.contains(reason),
            "{reason}: {printed}"
        );
    }
}
