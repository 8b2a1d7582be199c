//! Prices that change every hour: by HTTP, by MQTT and from a file, kept over outages and restarts.

use crate::support::*;
use metertap::meter::consumption::DayRecord;
use metertap::meter::counter::CounterKey;
use metertap::meter::counter_series::{HourlyUse, TimedValue};
use metertap::store::history::HistoryStore;
use serde_json::{Value, json as object};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 86_400;

/// Midnight, UTC, of the day before yesterday.
fn begin() -> i64 {
    (jiff::Timestamp::now().as_second() / DAY_S - 2) * DAY_S
}

/// Two days up to now: 2 kWh in each hour, of them 1.5 by the first register, and 0.5 fed in.
fn write_history(path: &Path) {
    let store = HistoryStore::open(path).unwrap();
    for (field, amount) in [
        ("energy_import_total", 2.0),
        ("energy_import_t1", 1.5),
        ("energy_import_t2", 0.5),
        ("energy_export_total", 0.5),
    ] {
        let rows = (0..2).map(|day| DayRecord {
            key: CounterKey::new("MTP5000", "p1", field),
            unit: "kWh".into(),
            day: (begin() / DAY_S) as i32 + day,
            hours: HourlyUse::measured([amount; 24]),
            last: TimedValue {
                at: jiff::Timestamp::now(),
                value: 4426.0,
            },
        });
        store.put(&rows.collect::<Vec<_>>()).unwrap();
    }
}

/// A daemon with that history, and a state directory.
fn daemon(port: u16, dir: &Path, tariff: &str) -> Daemon {
    let history = dir.join("history");
    if !history.exists() {
        write_history(&history);
    }
    let config = format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\nhistory = \"{}\"\n\
         [[output]]\nkind = \"file\"\npath = \"/dev/null\"\n\
         [[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{}\"\n\
         [[tariff]]\nmeter = \"MTP5000\"\ncurrency = \"EUR\"\n{tariff}\n",
        history.display(),
        P1Bridge::start().port,
    );
    let daemon = Daemon::start_with(&config, |command| command.env("STATE_DIRECTORY", dir));
    wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    daemon
}

/// Costs of the 48 hours of a counter, and the share of each whose price is known.
fn costs(port: u16, counter: &str) -> Vec<Value> {
    let from = begin();
    let path = format!(
        "/api/meters/MTP5000/history?by=hours&from={from}&to={}",
        from + 2 * DAY_S
    );
    let (status, body) = get(port, &path, "");
    let history: Value = serde_json::from_str(&body)
        .ok()
        .filter(|_| status == 200)
        .unwrap_or_default();
    let costs = &history["types"]["p1"][counter]["cost"];
    costs.as_array().cloned().unwrap_or_default()
}

/// What is known of the only source.
fn source(port: u16) -> Value {
    json(port, "/api/status")["prices"][0].clone()
}

/// A list of the first day, whose hour `i` costs `i` hundredths.
fn list() -> String {
    let hour = |i: i64| {
        let start = jiff::Timestamp::from_second(begin() + i * HOUR_S).unwrap();
        object!({ "start": start.to_string(), "price": i as f64 / 100.0 })
    };
    // On several lines, as people write it.
    serde_json::to_string_pretty(&(0..24).map(hour).collect::<Vec<_>>()).unwrap()
}

/// A server that answers each request with the next of the answers; returns its port, and the requests as they come.
fn serve(answers: Receiver<(u16, String)>) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests): (Sender<String>, _) = channel();
    std::thread::spawn(move || {
        for (status, body) in answers {
            let Ok((mut line, _)) = listener.accept() else {
                return;
            };
            let lines = BufReader::new(line.try_clone().unwrap())
                .lines()
                .map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let _ = sender.send(head.join("\n"));
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close");
            let _ = line.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
        }
    });
    (port, requests)
}

#[test]
fn given_a_server_then_each_hour_costs_its_price_also_after_a_restart_without_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, answers) = channel();
    let (server, requests) = serve(answers);
    let port = free_port();
    let tariff = format!(
        "price = 0.5\n\
         hourly = {{ source = \"http://127.0.0.1:{server}/day-ahead?zone=NL\", factor = 2, add = 0.125, headers = {{ authorization = \"Bearer secret\" }} }}\n\
         export_hourly = {{ source = \"http://127.0.0.1:{server}/day-ahead?zone=NL\", headers = {{ authorization = \"Bearer secret\" }} }}"
    );
    let mut first = daemon(port, dir.path(), &tariff);
    first.expect_log("Prices not read");
    // An error first, which is visible until the list comes.
    sender.send((500, String::new())).unwrap();
    let request = requests.recv().unwrap();
    assert!(
        request.starts_with("GET /day-ahead?zone=NL ") && request.contains("authorization: Bearer secret"),
        "{request}"
    );
    wait_for("the error", || {
        source(port)["trouble"] == "the server answers 500"
    });
    sender.send((200, list())).unwrap();
    wait_for("the prices", || source(port)["known"] == 96);
    let known = source(port);
    assert_eq!(known["source"], format!("http://127.0.0.1:{server}/day-ahead"));
    assert!(
        known["errors"].as_u64() >= Some(1) && known["updated"].is_string(),
        "{known}"
    );
    assert!(
        known["trouble"]
            .as_str()
            .unwrap()
            .contains("the last known price ended at"),
        "the list ends yesterday: {known}"
    );
    let is_known = |port| {
        wait_for("the costs", || costs(port, "energy_import_total").len() == 48);
        let import = costs(port, "energy_import_total");
        // 2 kWh at 2 · 0.10 + 0.125; the day after at 0.50.
        assert_eq!(
            (&import[0], &import[10], &import[24]),
            (&object!(0.25), &object!(0.65), &object!(1.0))
        );
        let export = costs(port, "energy_export_total");
        assert_eq!((&export[10], &export[24]), (&object!(-0.05), &Value::Null));
    };
    is_known(port);
    let log = first.log();
    assert!(!log.contains("secret") && !log.contains("zone=NL"), "{log}");
    first.stop();
    drop(first);

    // The server is gone: what was learned is still known, and the page says what is wrong.
    drop(sender);
    let second = daemon(port, dir.path(), &tariff);
    second.expect_log("Prices not read");
    is_known(port);
    wait_for("the error", || {
        source(port)["trouble"]
            .as_str()
            .is_some_and(|text| text.contains("onnection"))
    });
    let browser = Browser::start(1000, 800);
    browser.open(&format!("http://127.0.0.1:{port}/"));
    browser.wait(
        "it among the problems",
        "document.querySelector('#problems').textContent.includes('day-ahead')",
    );
    assert_eq!(browser.errors(), Vec::<String>::new());
}

#[test]
fn given_a_topic_then_its_retained_list_counts_and_a_bad_one_changes_nothing() {
    let broker = Broker::start();
    let dir = tempfile::tempdir().unwrap();
    broker.publish("home/prices", &list(), &["-r"]);
    let port = free_port();
    let tariff = format!(
        "hourly = {{ source = \"mqtt:home/prices\" }}\n[mqtt]\nhost = \"127.0.0.1:{}\"",
        broker.port
    );
    let daemon = daemon(port, dir.path(), &tariff);
    wait_for("the prices", || source(port)["known"] == 96);
    wait_for("the costs", || costs(port, "energy_import_total").len() == 48);
    let import = costs(port, "energy_import_total");
    assert_eq!((&import[10], &import[24]), (&object!(0.2), &Value::Null));
    daemon.expect_log("Prices not read");
    broker.publish("home/prices", "{\"price\": 1}", &[]);
    wait_for("the error", || {
        source(port)["trouble"]
            .as_str()
            .is_some_and(|text| text.contains("no prices found"))
    });
    assert_eq!(costs(port, "energy_import_total")[10], 0.2);
    let (_, metrics) = get(port, "/metrics", "");
    assert!(
        metrics.contains("metertap_price_errors_total{source=\"mqtt:home/prices\"} 1"),
        "{metrics}"
    );
    // A day of which half the hours have a price says so.
    let path = format!(
        "/api/meters/MTP5000/history?by=years&from={}&to={}",
        begin(),
        begin() + 2 * DAY_S
    );
    let year = &json(port, &path)["types"]["p1"]["energy_import_total"];
    let shares = year["priced"].as_array().unwrap();
    assert!(shares.iter().any(|share| *share != 1.0), "{year}");
}

#[test]
fn given_a_file_and_prices_of_registers_then_both_cost_what_they_should() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("prices.json");
    std::fs::write(&file, list()).unwrap();
    let port = free_port();
    let tariff = format!(
        "registers = {{ t1 = 0.25, t2 = 0.75 }}\nexport_hourly = {{ source = \"{}\", factor = 10 }}",
        file.display()
    );
    let _daemon = daemon(port, dir.path(), &tariff);
    wait_for("the prices", || source(port)["known"] == 96);
    wait_for("the costs", || costs(port, "energy_import_total").len() == 48);
    // 1.5 · 0.25 + 0.5 · 0.75
    assert_eq!(costs(port, "energy_import_total"), vec![object!(0.75); 48]);
    assert_eq!(costs(port, "energy_export_total")[10], -0.5);
}
