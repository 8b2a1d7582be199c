//! The HTTP API: its answers, access control, and bad requests.

use crate::support::*;
use metertap_decode::framing::p1::seal;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Sends a request and returns status, head and body of the answer.
fn exchange(port: u16, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or(0), head.to_ascii_lowercase(), body.to_owned())
}

/// Status of the answer to a request, whatever its body is.
fn raw_status(port: u16, request: &str) -> u16 {
    let mut line = TcpStream::connect(("127.0.0.1", port)).unwrap();
    line.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    line.read_to_end(&mut answer).unwrap();
    let head = String::from_utf8_lossy(&answer[..20]).into_owned();
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

fn get(port: u16, path: &str, more: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{more}\r\n");
    let (status, _, body) = exchange(port, &request);
    (status, body)
}

fn json(port: u16, path: &str) -> Value {
    let (status, body) = get(port, path, "");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"))
}

/// A daemon that has received the street and a telegram.
fn daemon(port: u16, web: &str) -> Daemon {
    let root = root().display();
    let quiet = free_port();
    let daemon = Daemon::start(&format!(
        "publish = \"all\"\n[web]\nlisten = \"127.0.0.1:{port}\"\n{web}\n\
         [[radio]]\nsource = \"{root}/{STREET}\"\n\
         [[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"{root}/testdata/p1/dsmr50.txt\"\n\
         [[wire]]\nname = \"gone\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{quiet}\"\n\
         [[meter]]\nid = 12345678\nname = \"<b>Water</b>\"\nunit = \"gal\"\nscale = 0.1\n"
    ));
    daemon.expect_log(NO_TIME);
    daemon.expect_log("onnection refused");
    wait_for("the street", || daemon.log().contains("Receiver ended"));
    wait_for("the telegram", || daemon.log().contains("Recording ended"));
    daemon
}

/// Asserts that a value matches a schema of the API description.
fn assert_matches(description: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        let schema = &description["components"]["schemas"][name];
        assert!(schema.is_object(), "{place}: no schema {name}");
        return assert_matches(description, schema, value, place);
    }
    match schema["type"].as_str() {
        Some("object") => {
            let object = value.as_object().unwrap_or_else(|| panic!("{place}: {value}"));
            for key in schema["required"].as_array().into_iter().flatten() {
                assert!(
                    object.contains_key(key.as_str().unwrap()),
                    "{place}: {key} is missing: {value}"
                );
            }
            let Some(properties) = schema["properties"].as_object() else {
                return;
            };
            for (key, value) in object {
                let schema = properties
                    .get(key)
                    .unwrap_or_else(|| panic!("{place}: {key} is not described"));
                assert_matches(description, schema, value, &format!("{place}.{key}"));
            }
        }
        Some("array") => {
            let items = value.as_array().unwrap_or_else(|| panic!("{place}: {value}"));
            for item in items {
                assert_matches(description, &schema["items"], item, place);
            }
        }
        Some("string") => assert!(value.is_string(), "{place}: {value}"),
        Some("integer") => assert!(value.is_i64() || value.is_u64(), "{place}: {value}"),
        Some("number") => assert!(value.is_number(), "{place}: {value}"),
        Some("boolean") => assert!(value.is_boolean(), "{place}: {value}"),
        other => panic!("{place}: {other:?}"),
    }
}

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

/// Sends a request that changes the configuration; returns status and body.
fn change(port: u16, method: &str, path: &str, body: &str) -> (u16, String) {
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json");
    let request = format!(
        "{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let (status, _, answer) = exchange(port, &request);
    (status, answer)
}

#[test]
fn given_changes_of_a_meter_then_only_valid_ones_are_written_and_its_key_is_never_shown() {
    let port = free_port();
    let daemon = daemon(port, "");
    let path = "/api/meters/12345678";
    let before = daemon.config();
    for (method, path, body, status, reason) in [
        (
            "PATCH",
            path,
            "{\"unit\": \"furlong\", \"write\": true}",
            400,
            "invalid unit",
        ),
        (
            "PATCH",
            path,
            "{\"digits\": 13, \"write\": true}",
            400,
            "between 1 and 12",
        ),
        ("PATCH", path, "{\"key\": \"12\", \"write\": true}", 400, "key: "),
        (
            "PATCH",
            path,
            "{\"remove\": [\"id\"], \"write\": true}",
            400,
            "no field `id`",
        ),
        ("PATCH", path, "{\"id\": \"1\"}", 422, "unknown field `id`"),
        (
            "PATCH",
            "/api/meters/1",
            "{\"write\": true}",
            404,
            "meter 1 is not in",
        ),
        (
            "DELETE",
            "/api/meters/1",
            "{\"write\": true}",
            404,
            "meter 1 is not in",
        ),
        ("PATCH", path, "{\"name\": \"Tap\"}", 200, "\"written\":false"),
        ("DELETE", path, "{}", 200, "\"written\":false"),
    ] {
        let (got, answer) = change(port, method, path, body);
        assert!(got == status && answer.contains(reason), "{body}: {got} {answer}");
        assert_eq!(daemon.config(), before, "{body}");
    }
}

#[test]
fn given_a_key_that_is_changed_then_it_is_in_the_file_and_not_in_the_answer() {
    let port = free_port();
    let daemon = daemon(port, "");
    let key = "00112233445566778899AABBCCDDEEFF";
    let path = "/api/meters/12345678";
    let body = format!(
        "{{\"key\": \"{key}\", \"name\": \"Tap\", \"remove\": [\"unit\", \"scale\"], \"write\": true}}"
    );
    let (status, answer) = change(port, "PATCH", path, &body);
    assert!(
        status == 200 && !answer.contains(key) && answer.contains("key = \\\"…\\\""),
        "{answer}"
    );
    let text = daemon.config();
    assert!(
        text.contains(&format!("key = \"{key}\"\n")) && text.contains("name = \"Tap\""),
        "{text}"
    );
    daemon.wait_for_log("Configuration reloaded");
    wait_for("its name", || json(port, path)["types"][0]["name"] == "Tap");
    let meter = json(port, path);
    assert!(!meter.to_string().contains(key));
    assert_eq!(meter["configuration"], serde_json::json!({ "name": "Tap" }));
    let (status, answer) = change(port, "DELETE", path, "{\"write\": true}");
    assert!(status == 200 && !answer.contains(key), "{answer}");
    wait_for("its end", || json(port, path)["types"][0]["configured"] == false);
}

/// Requests a meter to be added; returns status and body.
fn claim(port: u16, body: &str, more: &str) -> (u16, String) {
    let (status, _, answer) = exchange(
        port,
        &format!(
            "POST /api/meters HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{more}\r\n{body}",
            body.len()
        ),
    );
    (status, answer)
}

#[test]
fn given_a_request_to_add_a_meter_then_only_a_valid_one_of_our_own_site_is_written() {
    let port = free_port();
    let daemon = daemon(port, "");
    let before = daemon.config();
    let long = format!("{{\"id\": \"{}\"}}", "1".repeat(5000));
    for (body, more, status, reason) in [
        (
            "{\"id\": \"17580293\", \"write\": true}",
            "Origin: http://evil.example.com\r\n",
            403,
            "another site",
        ),
        ("{\"id\": \"12345678\", \"write\": true}", "", 409, "already"),
        (
            "{\"id\": \"17580293\", \"protocol\": \"morse\", \"write\": true}",
            "",
            400,
            "protocol = \\\"morse\\\": use scm",
        ),
        (
            "{\"id\": \"17580293\", \"nmae\": \"x\", \"write\": true}",
            "",
            422,
            "unknown field `nmae`",
        ),
        ("{\"id\": ", "", 400, "EOF"),
        (&long, "", 413, ""),
        ("{\"id\": \"17580293\"}", "", 200, "\"written\":false"),
    ] {
        let (got, answer) = claim(port, body, more);
        assert!(got == status && answer.contains(reason), "{body}: {got} {answer}");
        assert_eq!(daemon.config(), before, "{body}");
    }
    let own = format!("Origin: http://127.0.0.1:{port}\r\n");
    let (status, answer) = claim(
        port,
        "{\"id\": \"17580293\", \"name\": \"Ours\", \"write\": true}",
        &own,
    );
    assert!(
        status == 200 && answer.contains("\"ends_publishing_all\":false"),
        "{answer}"
    );
    assert_eq!(
        daemon.config(),
        format!("{before}\n[[meter]]\nid = 17580293\nname = \"Ours\"\n")
    );
    daemon.wait_for_log("Configuration reloaded");
    // Ten at once are enough.
    let last = (0..5).map(|_| claim(port, "{\"id\": \"1\"}", "").0);
    assert!(last.collect::<Vec<_>>().ends_with(&[429]));
}

#[test]
fn given_a_foreign_host_or_wrong_password_then_access_is_denied() {
    let port = free_port();
    let open = daemon(port, "hosts = [\"meters.example.org\"]");
    for (host, status) in [
        ("evil.example.com", 403),
        ("meters.example.org", 200),
        ("pi.local", 200),
    ] {
        let request = format!("GET /api/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(exchange(port, &request).0, status, "{host}");
    }
    drop(open);
    let port = free_port();
    let _daemon = daemon(port, "user = \"me\"\npassword = \"battery staple\"");
    let (status, head, _) = exchange(
        port,
        "GET /api/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert!(
        status == 401 && head.contains("www-authenticate: basic"),
        "{head}"
    );
    for (shown, status) in [("bWU6YmF0dGVyeSBzdGFwbGU=", 200), ("bWU6YmF0dGVyeQ==", 401)] {
        let more = format!("Authorization: Basic {shown}\r\n");
        assert_eq!(get(port, "/api/status", &more).0, status);
    }
    for (web, reason) in [
        ("user = \"me\"", "user is there, but no password"),
        ("password = \"battery staple\"", "password is there, but no user"),
        (
            "user = \"me\"\npassword = \"short\"",
            "web.password must have at least 8 characters",
        ),
    ] {
        let (ok, printed) = checked(&format!("[web]\n{web}\n[[radio]]\nsource = \"rtlsdr\"\n"));
        assert!(!ok && printed.contains(reason), "{printed}");
    }
}

#[test]
fn given_a_websocket_then_it_pushes_news_and_other_sites_get_none() {
    use tungstenite::client::IntoClientRequest;
    let port = free_port();
    let _daemon = daemon(port, "token = \"correct horse\"");
    let knock = |token: &str, origin: &str| {
        let url = format!("ws://127.0.0.1:{port}/api/socket?air=true");
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert(
            "sec-websocket-protocol",
            format!("metertap, bearer.{token}").parse().unwrap(),
        );
        headers.insert("origin", origin.parse().unwrap());
        tungstenite::client(request, TcpStream::connect(("127.0.0.1", port)).unwrap()).ok()
    };
    let (ours, token) = (format!("http://127.0.0.1:{port}"), "Y29ycmVjdCBob3JzZQ");
    assert!(knock("d3Jvbmc", &ours).is_none());
    assert!(knock(token, "http://evil.example.com").is_none());
    let (mut socket, answer) = knock(token, &ours).unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "metertap");
    let first: Value = serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap();
    let description = json(port, "/api/openapi.json");
    assert_matches(
        &description,
        &description["components"]["schemas"]["News"],
        &first,
        "socket",
    );
    assert!(first["meters"].as_array().unwrap().len() > 15);
    // It goes on, with what is new.
    let second: Value = serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap();
    assert!(second["next"].as_u64() >= first["next"].as_u64());
    assert!(second["meters"].as_array().unwrap().len() < 3, "{second}");
    // A client that sends more than a page ever does is disconnected.
    socket
        .send(tungstenite::Message::binary(vec![0; 100_000]))
        .unwrap();
    wait_for("the end", || socket.read().is_err());
    // And there is room for sixteen.
    let open: Vec<_> = (0..17).map(|_| knock(token, &ours)).collect();
    assert_eq!(open.iter().flatten().count(), 16);
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
fn given_a_token_then_the_api_requires_it_and_health_names_no_meter() {
    let port = free_port();
    // A meter on a bus that never answers: the reason has its number.
    let bus = TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = daemon(
        port,
        &format!(
            "token = \"correct horse\"\n[[wire]]\nname = \"cellar\"\nprotocol = \"mbus\"\naddresses = [\"87654321\"]\n\
             timeout = 0.1\nsource = \"tcp://{}\"\n",
            bus.local_addr().unwrap()
        ),
    );
    daemon.expect_log("87654321");
    for path in ["/api/meters", "/metrics", "/api/status", "/api/readings"] {
        assert_eq!(get(port, path, "").0, 401, "{path}");
        assert_eq!(
            get(port, path, "Authorization: Bearer wrong horse!\r\n").0,
            401,
            "{path}"
        );
        assert_eq!(
            get(port, path, "Authorization: Bearer correct horse\r\n").0,
            200,
            "{path}"
        );
    }
    let authorized = "Authorization: Bearer correct horse\r\n";
    daemon.wait_for("the reason", || {
        get(port, "/readyz", authorized).1.contains("87654321")
    });
    for path in ["/healthz", "/readyz"] {
        for more in ["", "Authorization: Bearer wrong horse!\r\n"] {
            let (status, body) = get(port, path, more);
            assert!(status == 503 && body.contains("\"gone: down\""), "{path}: {body}");
            assert!(
                body.contains("\"cellar: ") && !body.contains("87654321"),
                "{path}: {body}"
            );
        }
    }
    let (ok, printed) = checked("[web]\ntoken = \"short\"\n[[radio]]\nsource = \"rtlsdr\"\n");
    assert!(
        !ok && printed.contains("web.token must have at least 8 characters"),
        "{printed}"
    );
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

#[test]
fn given_bad_requests_then_they_are_rejected_and_others_are_served() {
    let port = free_port();
    let _daemon = daemon(port, "");
    let (_, head, _) = exchange(
        port,
        "GET /api/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    for header in [
        "content-security-policy: default-src 'self'",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
    ] {
        assert!(head.contains(header), "{header}: {head}");
    }
    let long = "a".repeat(100_000);
    assert!(matches!(
        get(port, &format!("/{long}"), "").0,
        0 | 400 | 414 | 431
    ));
    assert!(matches!(
        get(port, "/", &format!("X: {long}\r\n")).0,
        0 | 400 | 431
    ));
    assert_eq!(exchange(port, "nonsense\r\n\r\n").0, 400);
    // A connection that sends nothing, or half a body, is closed after ten seconds.
    let half = "POST /api/meters HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{";
    let silent: Vec<TcpStream> = (0..100)
        .map(|i| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream
                .write_all(if i % 2 == 0 { b"" } else { half.as_bytes() })
                .unwrap();
            stream
        })
        .collect();
    // All places are taken, but for health checks.
    for _ in 0..20 {
        assert_eq!(get(port, "/livez", "").0, 200);
        assert_eq!(get(port, "/readyz", "").0, 503);
    }
    assert_eq!(
        get(port, "/api/status", "").0,
        200,
        "after those who say nothing were let go"
    );
    drop(silent);
}

/// Sends a request, and returns the status of the answer with the connection, over which nothing more is read.
fn unread(port: u16, path: &str) -> (u16, TcpStream) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    let status = std::str::from_utf8(&head).unwrap().rsplit(' ').next().unwrap();
    (status.parse().unwrap(), stream)
}

/// Resident memory of a process in KiB.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn given_clients_that_ask_for_the_same_and_read_nothing_then_they_share_it_and_others_are_served() {
    const METERS: u32 = 3000;
    let (meters, port) = (TcpListener::bind("127.0.0.1:0").unwrap(), free_port());
    let daemon = Daemon::start(&format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n[[output]]\nkind = \"file\"\npath = \"/dev/null\"\n\
         [[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nperiod = 3600\nsource = \"tcp://{}\"\n",
        meters.local_addr().unwrap()
    ));
    let (mut line, _) = meters.accept().unwrap();
    let send = |id: u32| {
        let id: String = format!("{id:08}")
            .bytes()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        let text =
            format!("/MTP5x\n\n0-0:96.1.1({id})\n1-0:1.8.0(000002.000*kWh)\n1-0:2.8.0(000001.000*kWh)\n");
        line.write_all(&seal(&text, true)).unwrap();
    };
    (0..METERS).for_each(send);
    daemon.wait_for("the meters", || json(port, "/api/status")["meters"] == METERS);
    let size = get(port, "/api/meters", "").1.len() as u64 / 1024;
    let before = memory(daemon.id());
    // All of them get the same bytes.
    let same: Vec<_> = (0..60).map(|_| unread(port, "/api/meters")).collect();
    assert!(same.iter().all(|(status, _)| *status == 200));
    let grown = memory(daemon.id()).saturating_sub(before);
    println!("{size} KiB an answer; 60 readers of one: {grown} KiB more");
    assert!(
        grown < 10 * size,
        "{size} KiB an answer, {grown} KiB for 60 that nobody reads"
    );
    // The limit of answers that differ is tested in src/web/answers.rs: here the system's buffers would take most of them.
    assert_eq!(get(port, "/api/status", "").0, 200);
}

#[needs(private_mounts)]
#[test]
fn given_a_full_disk_then_a_meter_that_cannot_be_added_leaves_the_configuration_as_it_was() {
    run_alone("web::in_own_mounts_given_a_full_disk", "-rm", "true");
}

#[test]
#[ignore = "runs in a mount namespace of its own, started by the test above"]
fn in_own_mounts_given_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = tool("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "none"])
        .arg(&disk)
        .status();
    assert!(mount.unwrap().success());
    let (port, quiet) = (free_port(), free_port());
    let config = disk.join("metertap.toml");
    let before = format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n\
         [[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{quiet}\"\n"
    );
    write_private(&config, &before);
    let daemon = metertap().args(["-v", "run", "--config"]).arg(&config).start();
    daemon.wait_for_log("onnection refused");
    let filler = disk.join("filler");
    std::fs::write(&filler, vec![0; 1 << 20]).unwrap_err();
    let request = "{\"id\": \"17580293\", \"name\": \"Ours\", \"write\": true}";
    let (status, answer) = claim(port, request, "");
    assert!(status == 500 && answer.contains("No space left"), "{answer}");
    assert_eq!(std::fs::read_to_string(&config).unwrap(), before);
    assert_eq!(
        std::fs::read_dir(&disk).unwrap().count(),
        2,
        "nothing is left behind"
    );
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(claim(port, request, "").0, 200);
    let after = std::fs::read_to_string(&config).unwrap();
    assert_eq!(
        after,
        format!("{before}\n[[meter]]\nid = 17580293\nname = \"Ours\"\n")
    );
    drop(daemon);
    assert!(tool("umount").arg(&disk).status().unwrap().success());
}
