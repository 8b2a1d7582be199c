//! The page in the hands of a user: by keyboard alone, with wrong input, in a street of two hundred meters, and without the daemon.

use crate::support::*;
use crate::wmbus::{RECORDS, hex, sender};
use metertap_decode::wmbus::encode::Protection;
use std::net::TcpStream;

/// Keys of the WebDriver standard.
const TAB: char = '\u{E004}';
const ENTER: char = '\u{E007}';
const ESCAPE: char = '\u{E00C}';
const NEIGHBORS: usize = 200;

/// A daemon that has received a telegram of each neighbor; no meter is configured.
fn street(port: u16, dir: &std::path::Path) -> Daemon {
    let telegrams = (0..NEIGHBORS).map(|i| {
        let mut sender = sender(Protection::None);
        sender.radio.identification = [(i % 100 / 10 * 16 + i % 10) as u8, (i / 100) as u8, 0x55, 0x70];
        hex(&sender.telegram(&RECORDS).unwrap())
    });
    let file = dir.join("telegrams.txt");
    std::fs::write(&file, telegrams.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    let quiet = free_port();
    let daemon = Daemon::start(&format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n[[output]]\nkind = \"file\"\npath = \"/dev/null\"\n\
         [[wire]]\nname = \"air\"\nsource = \"{}\"\nprotocol = \"wmbus\"\n\
         [[wire]]\nname = \"gone\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{quiet}\"\n",
        file.display()
    ));
    daemon.expect_log("onnection refused");
    wait_for("the telegrams", || daemon.log().contains("Recording ended"));
    wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    daemon
}

/// Presses Tab until the focus is on what `selector` names.
fn tab_to(browser: &Browser, selector: &str) {
    for _ in 0..60 {
        let is_there = browser.run(&format!(
            "return document.activeElement?.matches({selector:?}) ?? false"
        ));
        if is_there == true {
            return;
        }
        browser.press(":focus", TAB);
    }
    panic!("{selector} cannot be reached by Tab");
}

#[test]
fn given_two_hundred_neighbors_and_a_keyboard_then_one_is_added_wrong_input_is_explained_and_a_lost_daemon_told()
 {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut daemon = street(port, dir.path());
    let before = daemon.config();
    let browser = Browser::start(1200, 900);
    browser.open(&format!("http://127.0.0.1:{port}/"));
    browser.wait(
        "all of them",
        &format!("document.querySelectorAll('#meters tbody tr').length === {NEIGHBORS}"),
    );
    let hint = browser.run("return document.querySelector('#cards').textContent");
    assert!(
        hint.as_str().unwrap().len() > 20,
        "an empty page says what to do: {hint}"
    );

    // Rows that have not changed are not drawn anew: a button stays where it is.
    browser.run(
        "window.row = document.querySelector('#meters tbody tr'); document.querySelector('nav a').focus()",
    );
    tab_to(&browser, "#filter");
    browser.write("#filter", "70550042");
    browser.wait(
        "one row",
        "document.querySelectorAll('#meters tbody tr').length === 1",
    );
    tab_to(&browser, "#meters .add");
    browser.press(":focus", ENTER);
    browser.wait("the dialog", "document.querySelector('#edit').open");
    let active = browser.run("return document.activeElement.id");
    assert_eq!(active, "edit-name");
    let shown = "[...document.querySelectorAll('#edit label')].filter((one) => one.offsetParent).map((one) => one.querySelector('input').id).join()";
    assert_eq!(
        browser.run(&format!("return {shown}")),
        "edit-name",
        "a meter of M-Bus has its unit"
    );
    browser.press(":focus", ESCAPE);
    browser.wait("its end", "!document.querySelector('#edit').open");
    let active = browser.run("return document.activeElement.className");
    assert_eq!(active, "add", "the focus is back where it was");

    // Wrong telegrams and keys are explained.
    for (telegram, key, part) in [
        ("", "", "expected a telegram"),
        ("00", "12", "key: "),
        ("<img src=x>", "", " "),
    ] {
        browser.write("#pasted", telegram);
        browser.write("#pasted-key", key);
        tab_to(&browser, "#decoder button");
        browser.run("document.querySelector('#decoded').replaceChildren()");
        browser.press(":focus", ENTER);
        browser.wait(
            part,
            &format!("document.querySelector('#decoded .bad')?.textContent.includes({part:?})"),
        );
    }

    assert_eq!(
        browser.run("return document.querySelector('#decoded img')"),
        serde_json::Value::Null
    );

    // The daemon goes while a name is typed: it stays typed, and the reason is told.
    browser.press("#meters .add", ENTER);
    browser.write("#edit-name", "Garden");
    browser.press("#edit-name", ENTER);
    browser.wait(
        "the preview",
        "document.querySelector('#edit-section').textContent.includes('Garden')",
    );
    daemon.stop();
    browser.press("#edit-name", ENTER);
    browser.wait(
        "an error",
        "document.querySelector('#edit-error').textContent.length > 5",
    );
    let name = browser
        .run("return document.querySelector('#edit').open && document.querySelector('#edit-name').value");
    assert_eq!((name, daemon.config()), ("Garden".into(), before));
    browser.press("#edit-name", ESCAPE);
    browser.wait("the loss", "document.body.classList.contains('gone')");
    browser.emulate_phone(360, 740);
    browser.wait("a page that fits", "document.documentElement.scrollWidth <= 360");
    for complaint in browser.errors() {
        let is_meant = complaint.contains("ERR_CONNECTION") || complaint.contains("400 (Bad Request)");
        assert!(is_meant, "{complaint}");
    }
}
