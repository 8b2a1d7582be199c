//! Answers of the API, as its description says, and the files of the page.

use super::fixture::daemon;
use super::schema::assert_matches;
use crate::support::*;
use serde_json::Value;

#[test]
fn every_path_answers_as_its_description_says() {
    let port = free_port();
    let _daemon = daemon(port, "");
    let description = json(port, "/api/openapi.json");
    let paths = description["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 11);
    for (path, methods) in paths {
        let changes = match path.as_str() {
            "/api/meters" | "/api/decode" => vec!["post"],
            "/api/meters/{id}" => vec!["delete", "patch"],
            _ => vec![],
        };
        let mut described: Vec<_> = methods.as_object().unwrap().keys().collect();
        described.retain(|method| *method != "get");
        described.sort();
        assert_eq!(described, changes, "{path}");
        if path == "/api/socket" || path == "/api/decode" {
            continue;
        }
        let (status, body) = get(port, &path.replace("{id}", "12345678"), "");
        let answer = &methods["get"]["responses"][status.to_string()];
        assert!(answer.is_object(), "{path}: {status} is not described");
        let schema = &answer["content"]["application/json"]["schema"];
        assert_matches(&description, schema, &serde_json::from_str(&body).unwrap(), path);
    }
    // And those that fail.
    for (path, status) in [
        ("/api/meters/none", 404),
        ("/api/readings?since=x", 400),
        ("/api/live?since=-1", 400),
        ("/api/meters/12345678/history?by=decades", 400),
        ("/api/meters/none/history", 404),
        ("/api/socket", 400),
    ] {
        let (got, body) = get(port, path, "");
        assert_eq!(got, status, "{path}");
        let error: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}"));
        assert_matches(
            &description,
            &description["components"]["schemas"]["Error"],
            &error,
            path,
        );
    }
    assert_eq!(get(port, "/api/nothing", "").0, 404);
    // What is refused is described as refused.
    let since = &paths["/api/live"]["get"]["parameters"][0];
    assert_eq!(
        (&since["name"], &since["schema"]["minimum"]),
        (&"since".into(), &0.into())
    );
    let request = &description["components"]["schemas"]["AddMeterRequest"];
    assert_eq!(request["additionalProperties"], false);
    // All at once, then what is new.
    let all = json(port, "/api/live?air=true");
    let next = all["next"].as_u64().unwrap();
    assert!(all["meters"].as_array().unwrap().len() > 15 && !all["events"].as_array().unwrap().is_empty());
    assert!(all["telegrams"]["hall"]["bytes"].is_string());
    let rest = json(port, &format!("/api/live?since={next}"));
    assert_eq!(rest["meters"], Value::Array(vec![]));
    let history = json(port, "/api/meters/MTP50001/history?by=days");
    assert_eq!(history["types"]["p1"]["energy_import_total"]["unit"], "kWh");
}

#[test]
fn given_a_street_then_meters_and_readings_are_listed_ours_first() {
    let port = free_port();
    let _daemon = daemon(port, "");
    let meters = json(port, "/api/meters");
    let meters = meters["meters"].as_array().unwrap();
    let mine: Vec<bool> = meters
        .iter()
        .map(|meter| meter["mine"].as_bool().unwrap())
        .collect();
    assert!(
        mine.is_sorted_by(|a, b| a >= b) && mine[0] && meters.len() > 15,
        "{mine:?}"
    );
    let water = meters.iter().find(|meter| meter["id"] == "12345678").unwrap();
    assert_eq!(
        (&water["name"], &water["commodity"]),
        (&"<b>Water</b>".into(), &"water".into())
    );
    assert_eq!(water["last"]["reading"]["total"]["value"], 4821.3);
    assert!(water["snr_db"].as_f64().unwrap() > 3.0 && water["frequency_hz"].as_i64().unwrap() > 902_000_000);
    let one = json(port, "/api/meters/12345678");
    assert_eq!(
        one["readings"].as_array().unwrap().len() as u64,
        water["times"].as_u64().unwrap()
    );
    // Page by page, nothing twice.
    let first = json(port, "/api/readings");
    let next = first["next"].as_u64().unwrap();
    assert_eq!(first["readings"].as_array().unwrap().len() as u64, next);
    let rest = json(port, &format!("/api/readings?since={next}"));
    assert_eq!(
        (&rest["readings"], &rest["next"]),
        (&Value::Array(vec![]), &next.into())
    );
    let telegram = json(port, "/api/reading");
    assert_eq!(
        (&telegram["totalT1Use"], &telegram["calculatedUsage"]),
        (&4426.049.into(), &244.into())
    );
    let status = json(port, "/api/status");
    assert_eq!(status["receivers"]["gone"]["state"], "down", "{status}");
}

#[test]
fn given_a_history_then_consumption_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut meter = CountingMeter::new();
    let port = free_port();
    let history = dir.path().join("history").display().to_string();
    let config = meter.config("").replace(
        "[mqtt]\n",
        &format!("[web]\nlisten = \"127.0.0.1:{port}\"\nhistory = \"{history}\"\n"),
    );
    let used = || {
        let (status, body) = get(port, "/api/meters/M1/history?by=days", "");
        let history: Value = serde_json::from_str(&body).ok().filter(|_| status == 200)?;
        let points = history["types"]["p1"]["energy_import_total"]["points"].clone();
        let points = points.as_array()?.iter();
        Some(points.map(|point| point[1].as_f64().unwrap()).sum::<f64>())
    };
    let mut daemon = Daemon::start(&config);
    meter.send(1);
    daemon.wait_for_lines(1);
    // Time is counted in seconds: the next reading must come in a later one.
    let second = jiff::Timestamp::now().as_second();
    wait_for("a later second", || jiff::Timestamp::now().as_second() > second);
    meter.send(4);
    daemon.wait_for_lines(5);
    // The page's snapshot follows the readings by a tenth of a second.
    wait_for("the consumption", || used() == Some(4.0));
    daemon.stop();
    let mut daemon = Daemon::start(&config);
    meter.accept();
    meter.send(5);
    daemon.wait_for_lines(5);
    // What was counted while nobody listened belongs to the time between.
    wait_for("the consumption", || used() == Some(9.0));
    let (_, table) = get(port, "/api/meters/M1/history?by=years&format=csv", "");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(
        (lines.len(), lines[0]),
        (2, "begin,type,counter,value,unit,coverage,cost,currency")
    );
    assert!(lines[1].contains(",p1,energy_import_total,9,kWh,"), "{table}");
    daemon.stop();
    std::fs::write(dir.path().join("history"), "not a history").unwrap();
    let daemon = Daemon::start(&config);
    daemon.wait_for_log("set aside, and a fresh one begun");
    meter.accept();
    meter.send(1);
    daemon.wait_for_lines(1);
    wait_for("the page", || get(port, "/livez", "").0 == 200);
    let is_damaged = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.unwrap().file_name();
        name.to_string_lossy().starts_with("history.damaged-")
    };
    assert!(std::fs::read_dir(dir.path()).unwrap().any(is_damaged));
}

#[test]
fn the_page_is_small_complete_and_requests_no_other_host() {
    let port = free_port();
    let _daemon = daemon(port, "token = \"correct horse\"");
    for (path, content_type) in [
        ("/", "text/html"),
        ("/app.js", "text/javascript"),
        ("/history.js", "text/javascript"),
        ("/style.css", "text/css"),
        ("/text-de.json", "application/json"),
        ("/icon.svg", "image/svg+xml"),
        ("/manifest.webmanifest", "application/manifest+json"),
    ] {
        let (status, head, body) = exchange(
            port,
            &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        );
        assert!(status == 200 && head.contains(content_type), "{path}: {head}");
        assert!(head.contains("content-security-policy"), "{head}");
        let foreign = body.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !foreign.contains("http://") && !foreign.contains("https://"),
            "{path} names another host"
        );
        assert!(
            !body.contains("12345678") && !body.contains("innerHTML"),
            "{path}"
        );
    }
    let manifest = json(port, "/manifest.webmanifest");
    for icon in manifest["icons"].as_array().unwrap() {
        let icon = format!("/{}", icon["src"].as_str().unwrap());
        let request = format!("GET {icon} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(raw_status(port, &request), 200, "{icon}");
    }
    let (_, page) = get(port, "/", "");
    assert!(
        !page.contains("<style") && !page.contains("style=") && !page.contains("onclick"),
        "nothing inline"
    );
}
