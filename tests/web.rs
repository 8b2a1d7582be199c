//! The API: what it says, who may ask, and what it takes from those who ask badly.

mod common;

use common::wire::Daemon;
use common::*;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What comes back for these bytes.
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

/// A daemon that has heard the street and a telegram.
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
    wait_for("the street", || daemon.log().contains("End of the receiver"));
    wait_for("the telegram", || daemon.log().contains("End of the recording"));
    daemon
}

/// Whether a value is what a schema of the description says.
fn holds(description: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        let schema = &description["components"]["schemas"][name];
        assert!(schema.is_object(), "{place}: no schema {name}");
        return holds(description, schema, value, place);
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
                holds(description, schema, value, &format!("{place}.{key}"));
            }
        }
        Some("array") => {
            let items = value.as_array().unwrap_or_else(|| panic!("{place}: {value}"));
            for item in items {
                holds(description, &schema["items"], item, place);
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
    assert_eq!(paths.len(), 6);
    for (path, methods) in paths {
        assert!(
            methods.as_object().unwrap().keys().eq(["get"]),
            "{path}: only to be read"
        );
        let (status, body) = get(port, &path.replace("{id}", "12345678"), "");
        let answer = &methods["get"]["responses"][status.to_string()];
        assert!(answer.is_object(), "{path}: {status} is not described");
        let schema = &answer["content"]["application/json"]["schema"];
        holds(&description, schema, &serde_json::from_str(&body).unwrap(), path);
    }
    // And those that fail.
    for (path, status) in [
        ("/api/meters/none", 404),
        ("/api/readings?since=x", 400),
        ("/api/nothing", 404),
    ] {
        assert_eq!(get(port, path, "").0, status, "{path}");
    }
    let (status, _, _) = exchange(
        port,
        "POST /api/meters HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(status, 405);
}

#[test]
fn given_a_street_then_its_meters_and_readings_are_there_ours_first() {
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
fn given_a_token_then_only_who_shows_it_is_told_and_health_says_no_name() {
    let port = free_port();
    let _daemon = daemon(port, "token = \"correct horse\"");
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
    let (status, body) = get(port, "/healthz", "");
    assert!(
        status == 503 && body.contains("gone: ") && !body.contains("12345678"),
        "{body}"
    );
    let (ok, said) = checked("[web]\ntoken = \"short\"\n[[radio]]\nsource = \"rtlsdr\"\n");
    assert!(
        !ok && said.contains("web.token must have at least 8 characters"),
        "{said}"
    );
}

#[test]
fn the_page_is_small_whole_and_asks_nobody_else() {
    let port = free_port();
    let _daemon = daemon(port, "token = \"correct horse\"");
    let mut size = 0;
    for (path, content_type) in [
        ("/", "text/html"),
        ("/app.js", "text/javascript"),
        ("/style.css", "text/css"),
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
        size += body.len();
    }
    assert!(size < 300 << 10, "{size}");
    let (_, page) = get(port, "/", "");
    assert!(
        !page.contains("<style") && !page.contains("style=") && !page.contains("onclick"),
        "nothing inline"
    );
}

#[test]
fn given_bad_requests_then_they_are_refused_and_others_are_served() {
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
    // Who says nothing takes a place for ten seconds, and no more.
    let silent: Vec<TcpStream> = (0..64)
        .map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap())
        .collect();
    assert_eq!(
        get(port, "/api/status", "").0,
        200,
        "after those who say nothing were let go"
    );
    drop(silent);
}
