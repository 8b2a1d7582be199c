//! The page below a path of Home Assistant, whose ingress removes that path and passes everything else on.

use crate::support::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

const PATH: &str = "/api/hassio_ingress/abc";

/// Passes a request on without [`PATH`], and everything after it both ways; requests of other paths are refused.
fn ingress(mut from: TcpStream, port: u16) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && from.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    if !head.contains(&format!(" {PATH}/")) {
        let _ = from.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    }
    // One request over each connection: the next one would have the path again.
    let is_upgrade = head.to_ascii_lowercase().contains("upgrade: websocket");
    let kept = head
        .lines()
        .filter(|line| is_upgrade || !line.to_ascii_lowercase().starts_with("connection:"));
    let mut passed = kept
        .collect::<Vec<_>>()
        .join("\r\n")
        .replacen(&format!(" {PATH}/"), " /", 1);
    passed = passed.trim_end().to_owned();
    if !is_upgrade {
        passed += "\r\nConnection: close";
    }
    let mut to = TcpStream::connect(("127.0.0.1", port)).unwrap();
    to.write_all(format!("{passed}\r\n\r\n").as_bytes()).unwrap();
    let (mut a, mut b) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut a, &mut b));
    let _ = std::io::copy(&mut to, &mut from);
    let _ = from.shutdown(std::net::Shutdown::Both);
}

#[test]
fn given_a_path_in_front_then_the_page_its_api_and_its_socket_work_below_it() {
    let (port, bridge) = (free_port(), P1Bridge::start());
    let _daemon = bridge.daemon_with_page(port);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let front = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for line in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || ingress(line, port));
        }
    });
    let browser = Browser::start(1200, 900);
    browser.open(&format!("http://127.0.0.1:{front}{PATH}/"));
    browser.wait(
        "the socket",
        "document.querySelector('#connection').textContent === 'live'",
    );
    browser.wait(
        "a card",
        "document.querySelector('[data-meter=\"MTP5000 p1\"] .value')?.textContent",
    );
    browser.run("location.hash = '#meter/MTP5000'");
    browser.wait("its fields", "document.querySelector('.fields td')");
    for (name, path) in [("api", "api/openapi.json"), ("metrics", "metrics")] {
        let status = browser.run(&format!(
            "const request = new XMLHttpRequest(); request.open('GET', document.querySelector('footer [data-text={name}]').href, false); request.send(); return request.status"
        ));
        assert_eq!(status, 200, "{path}");
    }
    for request in browser.requests() {
        let is_below =
            request.contains(PATH) || request.starts_with("data:") || request.ends_with("/favicon.ico");
        assert!(is_below, "{request}");
    }
    assert_eq!(browser.errors(), Vec::<String>::new());
}
