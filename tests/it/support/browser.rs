//! Chromium without a window, driven through chromedriver by the W3C WebDriver protocol.

use super::port::free_port;
use super::wait::{Process, tool, wait_for};
use base64::Engine;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;

/// A browser session that ends with the test.
pub struct Browser {
    session: String,
    _driver: Process,
    _dir: tempfile::TempDir,
}

impl Browser {
    /// Starts it with a window of this size.
    pub fn start(width: u32, height: u32) -> Self {
        Browser::start_in("en-US", width, height)
    }

    /// Starts it with this language.
    pub fn start_in(locale: &str, width: u32, height: u32) -> Self {
        let port = free_port();
        let dir = tempfile::tempdir().unwrap();
        let driver = tool("chromedriver")
            .arg(format!("--port={port}"))
            .env("TMPDIR", dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let driver = Process(driver);
        let at = format!("http://127.0.0.1:{port}");
        wait_for("chromedriver", || {
            ureq::get(format!("{at}/status")).call().is_ok()
        });
        let profile = format!("--user-data-dir={}", dir.path().join("profile").display());
        let size = format!("--window-size={width},{height}");
        let language = format!("--lang={locale}");
        let arguments = [
            "--headless=new",
            &language,
            // Chromium's sandbox does not work for root, as in a container.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &profile,
            &size,
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments, "prefs": { "intl.accept_languages": locale } },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        }}});
        let made = value(
            ureq::post(format!("{at}/session"))
                .send(wanted.to_string())
                .unwrap(),
        );
        let browser = Browser {
            session: format!("{at}/session/{}", made["sessionId"].as_str().unwrap()),
            _driver: driver,
            _dir: dir,
        };
        // Chromium's own first page makes requests, too: forget them.
        browser.open("about:blank");
        browser.requests();
        browser
    }

    fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/{path}", self.session);
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let answer = value(agent.post(&url).send(body.to_string()).unwrap());
        assert!(answer["error"].is_null(), "{path} {body}: {answer}");
        answer
    }

    pub fn open(&self, url: &str) {
        self.post("url", json!({ "url": url }));
    }

    /// Runs a script and returns its result.
    pub fn run(&self, script: &str) -> Value {
        self.post("execute/sync", json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true.
    pub fn wait(&self, what: &str, expression: &str) {
        wait_for(what, || {
            self.run(&format!("return Boolean({expression})")) == true
        });
    }

    /// Clicks on an element as a user does.
    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("element/{element}/click"), json!({}));
    }

    /// Types into an element.
    pub fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.post(&format!("element/{element}/clear"), json!({}));
        self.post(&format!("element/{element}/value"), json!({ "text": text }));
    }

    /// Presses a key, by its code in the WebDriver standard, in an element.
    pub fn press(&self, selector: &str, key: char) {
        let element = self.element(selector);
        self.post(
            &format!("element/{element}/value"),
            json!({ "text": key.to_string() }),
        );
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post("element", json!({ "using": "css selector", "value": selector }));
        // The key that the standard defines.
        found["element-6066-11e4-a52e-4f735466cecf"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Emulates the screen of a phone; a real window cannot be that narrow.
    pub fn emulate_phone(&self, width: u32, height: u32) {
        let parameters = json!({ "width": width, "height": height, "deviceScaleFactor": 2, "mobile": true });
        self.devtools("Emulation.setDeviceMetricsOverride", parameters);
    }

    /// Emulates a dark color scheme.
    pub fn dark(&self) {
        let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
        self.devtools("Emulation.setEmulatedMedia", dark);
    }

    /// Sends a command of the DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: Value) {
        self.post(
            "goog/cdp/execute",
            json!({ "cmd": command, "params": parameters }),
        );
    }

    /// Saves a screenshot.
    pub fn picture(&self, path: &Path) {
        let url = format!("{}/screenshot", self.session);
        let shot = value(ureq::get(url).call().unwrap());
        let png = base64::prelude::BASE64_STANDARD.decode(shot.as_str().unwrap());
        std::fs::write(path, png.unwrap()).unwrap();
    }

    /// Errors on the console since the last call.
    pub fn errors(&self) -> Vec<String> {
        let entries = self.post("se/log", json!({ "type": "browser" }));
        let entries = entries.as_array().unwrap().iter();
        entries
            .filter(|entry| entry["level"] == "SEVERE")
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// URLs the pages have requested since the last call.
    pub fn requests(&self) -> Vec<String> {
        let entries = self.post("se/log", json!({ "type": "performance" }));
        let events = entries.as_array().unwrap().iter().map(|entry| {
            let text = entry["message"].as_str().unwrap();
            serde_json::from_str::<Value>(text).unwrap()["message"].clone()
        });
        events
            .filter_map(|event| {
                let parameters = &event["params"];
                match event["method"].as_str()? {
                    "Network.requestWillBeSent" => Some(parameters["request"]["url"].as_str()?.to_owned()),
                    "Network.webSocketCreated" => Some(parameters["url"].as_str()?.to_owned()),
                    _ => None,
                }
            })
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = ureq::delete(&self.session).call();
    }
}

fn value(mut answer: ureq::http::Response<ureq::Body>) -> Value {
    // A screenshot exceeds the default limit.
    let text = answer.body_mut().with_config().limit(64 << 20).read_to_string();
    serde_json::from_str::<Value>(&text.unwrap()).unwrap()["value"].clone()
}
