//! A daemon with a page for the tests of it.

use crate::support::*;

/// A daemon that has received the street and a telegram.
pub fn daemon(port: u16, web: &str) -> Daemon {
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
