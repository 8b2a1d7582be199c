//! The page in a real browser, served by the real program with a simulated dongle and a meter on a wire.

use crate::support::*;
use serde_json::Value;
use std::net::TcpStream;

/// The key Enter in the WebDriver standard.
const ENTER: char = '\u{E007}';

fn config(port: u16, meter: u16, more: &str) -> String {
    format!(
        "# The attic's.\npublish = \"listed\"\n[web]\nlisten = \"127.0.0.1:{port}\"\n{more}\n\
         [[radio]]\nname = \"roof\"\nsource = \"rtlsdr\"\ngain = 32.8\n\
         [[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{meter}\"\n\
         [[meter]]\nid = 12345678\nname = \"<img src=x> Water\"\nunit = \"gal\"\nscale = 0.1\n\
         [[meter]]\nid = \"MTP5000\"\nname = \"House\"\n"
    )
}

fn start(dongles: &Dongles, config: &str) -> Daemon {
    Daemon::start_with(config, |command| dongles.plug_into(command))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn given_a_browser_then_the_page_shows_every_part_and_survives_a_restart() {
    let (port, dongles) = (free_port(), Dongles::plugged("00000042"));
    let config = config(port, P1Bridge::start().port, "");
    let mut daemon = start(&dongles, &config);
    let browser = Browser::start(1200, 1000);
    wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    browser.open(&format!("http://127.0.0.1:{port}/"));

    // Cards have names, which are text, and their values change as they come.
    browser.wait(
        "a card of a meter of the radio",
        "document.querySelector('[data-meter=\"12345678 scm\"] .value')",
    );
    let name = browser.run("return document.querySelector('[data-meter=\"12345678 scm\"] h3').textContent");
    assert_eq!(name, "<img src=x> Water");
    let value = "document.querySelector('[data-meter=\"MTP5000 p1\"] .value')?.textContent";
    browser.wait("a card of a meter on a wire", value);
    let before = browser.run(&format!("return {value}"));
    browser.wait("a newer value", &format!("{value} !== {before}"));
    let rate = "document.querySelector('[data-meter=\"MTP5000 p1\"] .rate')?.textContent";
    browser.wait("what is used now", &format!("{rate}?.startsWith('now 4 kW')"));

    // The table has the neighbours' meters, and is sorted and filtered.
    let ids = "[...document.querySelectorAll('#meters tbody tr')].map((row) => row.children[1].textContent)";
    browser.wait("the street", &format!("{ids}.length > 15"));
    browser.click("[data-sort=id]");
    let is_sorted = format!(
        "(() => {{ const ids = {ids}.map(Number).filter(Number.isFinite); return ids.length > 15 && ids.every((id, i) => i === 0 || ids[i - 1] <= id); }})()"
    );
    browser.wait("ids that rise", &is_sorted);
    browser.click("[data-sort=id]");
    browser.wait("ids that fall", &is_sorted.replace("<=", ">="));
    browser.write("#filter", "1758");
    browser.wait(
        "those that fit",
        &format!("{ids}.length === 1 && {ids}[0] === '17580293'"),
    );

    // The waterfall moves, and packets are marked in it.
    let sum = |canvas: &str| {
        format!(
            "(() => {{ const c = document.querySelector('[data-receiver=roof] {canvas}'); if (!c) return 0; \
             const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; \
             let sum = 0; for (let i = 0; i < d.length; i++) sum = (sum * 31 + d[i]) % 1000003; return sum; }})()"
        )
    };
    for canvas in [".waterfall", ".spectrum", ".levels"] {
        browser.wait(canvas, &format!("{} > 0", sum(canvas)));
        let before = number(&browser.run(&format!("return {}", sum(canvas))));
        browser.wait("pixels that change", &format!("{} !== {before}", sum(canvas)));
    }
    browser.wait("marks", &format!("{} > 0", sum(".marked")));
    let figures = browser.run("return document.querySelector('[data-receiver=roof] .figures').textContent");
    for word in ["noise -", "clipped ", "gain 32.8 dB", "lost "] {
        assert!(figures.as_str().unwrap().contains(word), "{figures}");
    }

    // The port: its state, its telegram as it came and as it was understood.
    let raw = browser.run("return document.querySelector('[data-port=hall] pre').textContent");
    assert!(raw.as_str().unwrap().starts_with("/MTP5page\n"), "{raw}");
    let port_text = browser.run("return document.querySelector('[data-port=hall]').textContent");
    for word in ["up since", " reports", "energy_import_total", "power_import"] {
        assert!(port_text.as_str().unwrap().contains(word), "{port_text}");
    }
    // Ids are hidden from eyes that are not ours.
    browser.click("#mask");
    browser.wait("hidden ids", &format!("{ids}[0] === '…93'"));
    let all = browser
        .run("return document.body.innerText + document.querySelector('[data-port=hall] pre').textContent");
    for id in ["17580293", "MTP5000", "4D545035303030"] {
        assert!(!all.as_str().unwrap().contains(id), "{id} is to be seen");
    }
    browser.click("#mask");
    let log = browser.run("return document.querySelector('#events').textContent");
    assert!(
        log.as_str().unwrap().contains("Generic RTL2832U OEM 00000042"),
        "{log}"
    );

    // The page reconnects to a restarted daemon, and forgets the data of the old one.
    assert_eq!(browser.errors(), Vec::<String>::new());
    daemon.stop();
    browser.wait(
        "the loss",
        "document.querySelector('#connection').className === 'bad' && document.body.classList.contains('gone')",
    );
    browser.wait(
        "its age",
        "/last news [1-9]\\d* sec/.test(document.querySelector('#connection').textContent)",
    );
    let stale = browser.run("return document.querySelector('#cards').textContent.includes('now 4 kW')");
    assert_eq!(stale, false, "nothing is known of now");
    let state = browser.run("return document.querySelector('[data-port=hall] .state').textContent");
    assert!(state.as_str().unwrap().starts_with("unknown"), "{state}");
    let mut daemon = start(&dongles, &config);
    browser.wait(
        "the page again",
        "document.querySelector('#connection').textContent === 'live'",
    );
    let times = "Number([...document.querySelectorAll('#meters tbody tr')].find((row) => row.children[1].textContent === '17580293')?.children[6].textContent)";
    browser.wait("counts that begin anew", &format!("{times} > 0 && {times} < 30"));
    // Refused connections are the only errors on the console.
    for complaint in browser.errors() {
        assert!(complaint.contains("ERR_CONNECTION"), "{complaint}");
    }

    // At the width of a telephone nothing is cut off.
    browser.emulate_phone(360, 740);
    for part in ["now", "heard", "radio", "wire", "log"] {
        browser.run(&format!("document.getElementById('{part}').scrollIntoView()"));
        let wide = "document.documentElement.scrollWidth <= 360";
        browser.wait("a page that fits", wide);
    }
    for request in browser.requests() {
        let is_ours = [
            format!("http://127.0.0.1:{port}/"),
            format!("ws://127.0.0.1:{port}/"),
            "data:,".into(),
        ]
        .iter()
        .any(|ours| request.starts_with(ours.as_str()));
        assert!(is_ours, "{request}");
    }
    daemon.stop();
}

#[test]
fn given_a_meter_that_is_added_then_it_is_in_the_file_and_on_a_card() {
    let (port, dongles) = (free_port(), Dongles::plugged("00000042"));
    let config = config(port, P1Bridge::start().port, "token = \"correct horse\"");
    let daemon = start(&dongles, &config);
    let browser = Browser::start(1200, 1000);
    wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    browser.open(&format!("http://127.0.0.1:{port}/"));
    // A token is asked for, once.
    browser.wait("the question", "!document.querySelector('#login').hidden");
    browser.write("#token", "correct horse");
    browser.click("#login button");
    browser.wait(
        "the page",
        "document.querySelector('#connection').textContent === 'live'",
    );

    browser.write("#filter", "58418772");
    browser.wait(
        "the meter",
        "document.querySelectorAll('#meters tbody tr').length === 1",
    );
    browser.click("#meters button.add");
    browser.write("#edit-name", "Grid \"import\"");
    browser.write("#edit-unit", "furlong");
    // Enter does what the button does.
    browser.press("#edit-unit", ENTER);
    browser.wait(
        "what is wrong",
        "document.querySelector('#edit-error').textContent.includes('invalid unit = \"furlong\"')",
    );
    browser.write("#edit-unit", "kWh");
    browser.write("#edit-scale", "0.01");
    let effect = browser.run("return document.querySelector('#edit-effect').textContent");
    assert_eq!(effect, "The dial would show 71.2 kWh.");
    browser.press("#edit-scale", ENTER);
    browser.wait(
        "what will be written",
        "!document.querySelector('#edit-section').hidden",
    );
    let section = browser.run("return document.querySelector('#edit-section').textContent");
    let section = section.as_str().unwrap();
    assert_eq!(
        section,
        "[[meter]]\nid = 58418772\nname = 'Grid \"import\"'\nprotocol = \"scm\"\nunit = \"kWh\"\nscale = 0.01\n"
    );
    assert_eq!(daemon.config(), config, "it was asked for, and not yet written");
    browser.press("#edit-scale", ENTER);
    browser.wait(
        "its card",
        "document.querySelector('[data-meter=\"58418772 scm\"] .value')?.textContent === '71.2 kWh'",
    );
    assert_eq!(
        daemon.config(),
        format!("{config}\n{section}"),
        "comments and all"
    );
    let (is_well, printed) = checked(&daemon.config());
    assert!(is_well, "{printed}");

    // Its details, from the card; a wrong scale is mended there.
    browser.click("[data-meter=\"58418772 scm\"] h3 a");
    browser.wait(
        "its details",
        "document.querySelector('#details h2')?.textContent === 'Grid \"import\"'",
    );
    browser.click("#details .edit");
    browser.wait("the dialog", "document.querySelector('#edit').open");
    let scale = browser.run("return document.querySelector('#edit-scale').value");
    assert_eq!(scale, "0.01");
    browser.write("#edit-scale", "0.1");
    browser.write("#edit-name", "Grid");
    browser.press("#edit-name", ENTER);
    browser.wait("a preview", "!document.querySelector('#edit-section').hidden");
    browser.press("#edit-name", ENTER);
    let heading = "document.querySelector('#details h2')?.textContent";
    browser.wait("its new name", &format!("{heading} === 'Grid'"));
    browser.wait(
        "its new value",
        "document.querySelector('#details .value').textContent === '712 kWh'",
    );
    let changed = section
        .replace("'Grid \"import\"'", "\"Grid\"")
        .replace("0.01", "0.1");
    assert_eq!(daemon.config(), format!("{config}\n{changed}"));

    // And it is removed.
    browser.click("#details .edit");
    browser.wait("the dialog", "document.querySelector('#edit').open");
    browser.click("#edit-remove");
    browser.wait(
        "the section",
        "document.querySelector('#edit-submit').textContent === 'Remove it'",
    );
    assert!(daemon.config().contains("58418772"));
    browser.click("#edit-submit");
    browser.wait(
        "no card of it",
        "!document.querySelector('#home').hidden && !document.querySelector('#cards [data-meter=\"58418772 scm\"]')",
    );
    assert_eq!(daemon.config(), config + "\n");
}

#[test]
fn given_no_free_websocket_then_the_page_polls() {
    let port = free_port();
    let _daemon = Daemon::start(&format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n\
         [[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{}\"\n",
        P1Bridge::start().port
    ));
    wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let open: Vec<_> = (0..16)
        .map(|_| {
            let url = format!("ws://127.0.0.1:{port}/api/socket");
            tungstenite::client(url, TcpStream::connect(("127.0.0.1", port)).unwrap()).unwrap()
        })
        .collect();
    let browser = Browser::start(800, 600);
    browser.open(&format!("http://127.0.0.1:{port}/"));
    let value = "document.querySelector('[data-meter=\"MTP5000 p1\"] .value')?.textContent";
    browser.wait("the meter", value);
    let before = browser.run(&format!("return {value}"));
    browser.wait("a newer value", &format!("{value} !== {before}"));
    let state = "document.querySelector('#connection').textContent";
    assert_eq!(browser.run(&format!("return {state}")), "live, by polling");
    drop(open);
    browser.wait("the socket", &format!("{state} === 'live'"));
}
