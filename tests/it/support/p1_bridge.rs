//! A P1 meter behind a serial-to-TCP bridge.

use super::daemon::Daemon;
use super::wait::wait_for;
use metertap_decode::framing::p1::seal;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Meter MTP5000 that sends a telegram every half second to whoever connects: 4 kW in, 7 kWh fed in so far.
pub struct P1Bridge {
    pub port: u16,
    is_silent: Arc<AtomicBool>,
}

impl P1Bridge {
    pub fn start() -> Self {
        let bridge = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = bridge.local_addr().unwrap().port();
        let is_silent = Arc::new(AtomicBool::new(false));
        let silence = is_silent.clone();
        std::thread::spawn(move || {
            let mut count = 4_426_049;
            for line in bridge.incoming() {
                let mut line = line.unwrap();
                loop {
                    count += 1;
                    let text = format!(
                        "/MTP5page\n\n0-0:96.1.1(4D545035303030)\n1-0:1.8.0({:06}.{:03}*kWh)\n1-0:2.8.0(000007.000*kWh)\n1-0:1.7.0(04.000*kW)\n",
                        count / 1000,
                        count % 1000
                    );
                    if !silence.load(Ordering::Relaxed) && line.write_all(&seal(&text, true)).is_err() {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(500));
                }
            }
        });
        P1Bridge { port, is_silent }
    }

    /// A daemon that reads the meter, with a page on `port`.
    pub fn daemon_with_page(&self, port: u16) -> Daemon {
        let daemon = Daemon::start(&format!(
            "[web]\nlisten = \"127.0.0.1:{port}\"\n[[output]]\nkind = \"file\"\npath = \"/dev/null\"\n\
             [[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{}\"\n",
            self.port
        ));
        wait_for("the page", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        daemon
    }

    /// Sends nothing more, and stays connected.
    pub fn fall_silent(&self) {
        self.is_silent.store(true, Ordering::Relaxed);
    }
}
