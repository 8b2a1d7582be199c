//! Who may ask: hosts, passwords, tokens, other sites.

use super::fixture::daemon;
use super::schema::assert_matches;
use crate::support::*;
use serde_json::Value;
use std::net::{TcpListener, TcpStream};

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
