use super::*;
use crate::receiver::event::End;
use crate::runtime::{Clock, Runtime};
use crate::source::{Address, Tuning};
use crate::status::receiver::Condition;
use jiff::Timestamp;
use metertap_dsp::iq::Format;
use std::io;

const LONG: Duration = Duration::from_secs(20);

/// A recording of noise.
struct Noise {
    info: Info,
    /// Reads until `at_end`.
    left: u32,
    at_end: AtEnd,
}

#[derive(Clone, Copy)]
enum AtEnd {
    End,
    Panic,
}

impl Noise {
    fn boxed(reads: u32, at_end: AtEnd) -> Box<dyn Source> {
        Box::new(Noise {
            info: Info {
                name: "noise".into(),
                format: Format::Cu8,
                sample_rate_hz: 1.2e6,
                center_hz: None,
                start: Timestamp::UNIX_EPOCH,
                bytes: None,
                assumed: Vec::new(),
            },
            left: reads,
            at_end,
        })
    }
}

impl Source for Noise {
    fn info(&self) -> &Info {
        &self.info
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            match self.at_end {
                AtEnd::End => return Ok(0),
                AtEnd::Panic => panic!("the disk is on fire"),
            }
        }
        self.left -= 1;
        buffer[..8192].fill_with(|| fastrand::u8(120..136));
        Ok(8192)
    }
}

fn options(runtime: &Runtime) -> RadioOptions {
    RadioOptions::for_all(Vec::new(), Trust::Normal, &runtime.context)
}

/// Reads events up to the end.
fn end_of(radio: &Radio) -> End {
    loop {
        if let ReceiverEvent::End(end) = radio.events.recv_timeout(LONG).unwrap() {
            return end;
        }
    }
}

/// A live source that refuses connections.
fn nobody() -> Live {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("rtl_tcp://{}", listener.local_addr().unwrap());
    let address: Address = address.parse().unwrap();
    Live::new(&address, Tuning::default()).unwrap()
}

#[test]
fn given_a_recording_then_it_ends_by_itself_and_all_its_samples_are_counted() {
    let runtime = Runtime::start(Clock::system()).unwrap();
    let radio = Radio::recording(Noise::boxed(10, AtEnd::End), &options(&runtime)).unwrap();
    assert_eq!(radio.name(), "radio:noise");
    let end = end_of(&radio);
    assert!(end.result.is_ok(), "{:?}", end.result);
    assert_eq!(end.tally.samples, 10 * 4096);
    assert!(Box::new(radio).join(LONG));
    assert!(runtime.failures.is_empty());
}

#[test]
fn given_a_source_that_panics_then_the_radio_ends_with_an_error_and_the_panic_is_reported() {
    let runtime = Runtime::start(Clock::system()).unwrap();
    let radio = Radio::recording(Noise::boxed(3, AtEnd::Panic), &options(&runtime)).unwrap();
    let error = end_of(&radio).result.unwrap_err().to_string();
    assert!(error.contains("noise") && error.contains("panicked"), "{error}");
    assert!(Box::new(radio).join(LONG));
    let failure = runtime.failures.recv_timeout(LONG).unwrap();
    assert_eq!(
        (failure.component.as_str(), failure.cause.as_str()),
        ("radio:noise", "the disk is on fire")
    );
}

#[test]
fn given_a_search_thread_that_panics_then_the_last_event_is_an_error() {
    let runtime = Runtime::start(Clock::system()).unwrap();
    let (sender, events) = bounded(1);
    let sender = EventSender::new(sender, "roof");
    let thread = runtime.context.thread("search:roof", move |_| {
        let _sender = sender;
        panic!("out of tune");
    });
    assert!(thread.unwrap().join(LONG));
    let Ok(ReceiverEvent::End(end)) = events.try_recv() else {
        panic!("no end");
    };
    let error = end.result.unwrap_err().to_string();
    assert!(error.contains("search:roof panicked"), "{error}");
}

#[test]
fn given_a_radio_whose_events_nobody_reads_when_it_is_stopped_and_joined_then_it_ends() {
    let runtime = Runtime::start(Clock::system()).unwrap();
    let radio = Radio::recording(Noise::boxed(u32::MAX, AtEnd::End), &options(&runtime)).unwrap();
    radio.stop();
    assert!(Box::new(radio).join(LONG));
}

#[test]
fn given_a_radio_that_serves_rtl_tcp_when_it_is_replaced_then_the_new_one_gets_the_same_address() {
    let runtime = Runtime::start(Clock::system()).unwrap();
    let options = options(&runtime);
    let any_port = "127.0.0.1:0".parse().unwrap();
    let radio = Radio::live("roof", nobody(), Some(Sharing::new(any_port, 1)), &options).unwrap();
    let address = radio.rtl_tcp.unwrap();
    let taken = Radio::live("attic", nobody(), Some(Sharing::new(address, 1)), &options).map(drop);
    let error = format!("{:#}", taken.unwrap_err());
    assert!(error.contains(&address.to_string()), "{error}");
    radio.stop();
    assert!(Box::new(radio).join(LONG));
    let radio = Radio::live("roof", nobody(), Some(Sharing::new(address, 1)), &options).unwrap();
    assert_eq!(radio.rtl_tcp, Some(address));
}

#[test]
fn given_a_live_source_that_is_not_there_then_the_radio_is_down_until_it_is_stopped() {
    let runtime = Runtime::start(Clock::system()).unwrap();
    let radio = Radio::live("roof", nobody(), None, &options(&runtime)).unwrap();
    let mut states = Vec::new();
    while states.last() != Some(&Condition::Down) {
        if let ReceiverEvent::State(state) = radio.events.recv_timeout(LONG).unwrap() {
            states.push(state.state);
        }
    }
    assert_eq!(states, [Condition::Starting, Condition::Down]);
    radio.stop();
    assert!(end_of(&radio).result.is_ok());
    assert!(Box::new(radio).join(LONG));
}
