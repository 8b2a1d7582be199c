//! Decoders for utility meters: bytes in, named values with units and times out.
//!
//! ```text
//!   bytes of a serial line                                          samples of a radio
//!            │ framing: find frames, verify their checks                     │ metertap-dsp, or another receiver
//!            ▼                                                               ▼
//!   frames  p1 │ general_glo │ dlms (over hdlc, mbus, blocks, bare)          frames whose check matches
//!           sml │ tic │ kmp │ iec                                                 │
//!            │      └─ cipher: decrypt, verify the tag                       │
//!            ▼                                                               ▼
//!   messages  p1::Telegram │ dlms::Notification │ mbus::Message      ert::Message │ wmbus::Telegram
//!             sml::List │ tic Frame │ kamstrup::Answer │ iec Readout
//!            │ names by OBIS code (fields), unit, time zone                  (counts, in the meter's own unit)
//!            ▼
//!   report::Report: meter id, time, fields ──▶ JSON
//! ```
//!
//! Everything is a pure function or a small state machine with a bounded buffer: no I/O, no clock, no threads, no logging,
//! no `unsafe`. No input makes a decoder panic. Numbers keep the digits that the meter sent
//! ([`Decimal`](quantity::Decimal)), units are an enum ([`Unit`](unit::Unit)), times know their offset
//! ([`MeterTime`](time::MeterTime)). For most frames there is also an encoder, which tests and simulators use.
//!
//! The folder `examples` has a small program for each protocol, which prints the readings of a recording as JSON.
//!
//! # P1/DSMR
//!
//! A framer finds telegrams in the bytes of the port; a telegram gives a report of the meter and one of each meter
//! behind it.
//!
//! ```
//! use metertap_decode::framing::p1::{Crc, Framer};
//! use metertap_decode::p1::{Telegram, readings, text};
//! use metertap_decode::time::Zone;
//!
//! let bytes = b"/ISk5\\2MT382-1000\r\n\r\n0-0:96.1.1(4B384547)\r\n\
//!               1-0:1.8.1(000123.450*kWh)\r\n1-0:1.7.0(01.193*kW)\r\n!2114\r\n";
//! let mut framer = Framer::default();
//! let mut lines = Vec::new();
//! framer.push(bytes, |frame| {
//!     assert_eq!(frame.crc, Crc::Right);
//!     let text = text(&frame.bytes);
//!     match Telegram::parse(&text) {
//!         Ok(telegram) => lines.extend(readings(&telegram, &Zone::default())),
//!         Err(error) => eprintln!("byte {}: {error}", frame.at),
//!     }
//! });
//! assert_eq!(
//!     serde_json::to_string(&lines[0])?,
//!     concat!(
//!         r#"{"id":"K8EG","type":"p1","reading":{"equipment_id":"K8EG","#,
//!         r#""energy_import_t1":{"value":123.450,"unit":"kWh"},"power_import":{"value":1.193,"unit":"kW"}}}"#
//!     )
//! );
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # DLMS push
//!
//! Meters push DLMS messages in HDLC or M-Bus frames, in blocks, or bare; the framer recognizes all of them. Encrypted
//! messages begin with DB and are opened by [`Ciphered`](cipher::Ciphered) first.
//!
//! ```
//! use metertap_decode::dlms::{Notification, ReportOptions, report};
//! use metertap_decode::framing::dlms::DlmsFramer;
//! use metertap_decode::report::Value;
//!
//! // An HDLC frame with the meter's number ABC1 and an imported power of 1193 W.
//! let bytes = [
//!     0x7E, 0xA0, 0x36, 0x41, 0x08, 0x83, 0x13, 0x74, 0xD0, 0xE6, 0xE7, 0x00, 0x0F, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
//!     0x05, 0x09, 0x06, 0x00, 0x00, 0x60, 0x01, 0x00, 0xFF, 0x0A, 0x04, 0x41, 0x42, 0x43, 0x31, 0x09, 0x06, 0x01, 0x00,
//!     0x01, 0x07, 0x00, 0xFF, 0x06, 0x00, 0x00, 0x04, 0xA9, 0x02, 0x02, 0x0F, 0x00, 0x16, 0x1B, 0x11, 0x98, 0x7E,
//! ];
//! let mut framer = DlmsFramer::new();
//! let mut reports = Vec::new();
//! framer.push(&bytes, |_position, message| {
//!     let notification = Notification::parse(&message.unwrap()).unwrap();
//!     reports.push(report(&notification, None, &ReportOptions::default()));
//! });
//! assert_eq!(reports[0].id.as_str(), "ABC1");
//! let Some(Value::Quantity(power)) = reports[0].reading.get("power_import") else {
//!     panic!("no power");
//! };
//! assert_eq!((power.value.to_string().as_str(), power.unit.as_str()), ("1.193", "kW"));
//! ```
//!
//! # M-Bus
//!
//! The data of a long frame are a message of records. A meter that has more of them than fit in a frame sends several.
//!
//! ```
//! use metertap_decode::framing::mbus::Frame;
//! use metertap_decode::mbus::Message;
//! use metertap_decode::mbus_report::report;
//!
//! let bytes = [
//!     0x68, 0x19, 0x19, 0x68, 0x08, 0x05, 0x72, 0x78, 0x56, 0x34, 0x12, 0x43, 0x04, 0x01, 0x07, 0x2A, 0x00, 0x00, 0x00,
//!     0x04, 0x13, 0xD2, 0x04, 0x00, 0x00, 0x02, 0x5A, 0xD7, 0x00, 0x2C, 0x16,
//! ];
//! let (frame, len) = Frame::parse(&bytes)?;
//! assert_eq!(len, bytes.len());
//! if let Frame::Long { information, data, .. } = frame {
//!     let message = Message::parse(information, data)?;
//!     assert!(!message.more_follows);
//!     let report = report(&message);
//!     assert_eq!(report.id.as_str(), "12345678");
//!     assert_eq!(
//!         serde_json::to_string(&report.reading)?,
//!         concat!(
//!             r#"{"manufacturer":"ABC","medium":"water","volume":{"value":1.234,"unit":"m3"},"#,
//!             r#""flow_temperature":{"value":21.5,"unit":"°C"},"status":"ok"}"#
//!         )
//!     );
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Wireless M-Bus
//!
//! A receiver delivers telegrams, with or without their CRCs; [`wmbus::Decoder`] decrypts them and reads their records.
//!
//! ```
//! use metertap_decode::wmbus::{Decoder, KeyRing, Security, report};
//!
//! let telegram = [
//!     0x14, 0x44, 0x43, 0x04, 0x78, 0x56, 0x34, 0x12, 0x01, 0x07, 0x7A, 0x2A, 0x00, 0x00, 0x00, 0x04, 0x13, 0xD2, 0x04,
//!     0x00, 0x00,
//! ];
//! let telegram = Decoder::default().decode(&telegram, &KeyRing::default())?;
//! assert_eq!(telegram.security, Security::Plain);
//! assert_eq!(
//!     serde_json::to_string(&report(&telegram).reading)?,
//!     r#"{"manufacturer":"ABC","medium":"water","volume":{"value":1.234,"unit":"m3"},"status":"ok"}"#
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Kamstrup KMP
//!
//! Kamstrup meters answer requests through their optical eye. Registers that a meter does not have are missing.
//!
//! ```
//! use metertap_decode::framing::kmp::{Frame, request};
//! use metertap_decode::kamstrup::{Answer, GET_REGISTERS, fields};
//!
//! // Register 60, heat energy, and 86, flow temperature.
//! let question = request(GET_REGISTERS, &[2, 0, 60, 0, 86]);
//! assert_eq!(question.first(), Some(&0x80));
//!
//! let answered = [
//!     0x40, 0x3F, 0x10, 0x00, 0x3C, 0x08, 0x04, 0x43, 0x00, 0x01, 0xE2, 0x1B, 0xBF, 0x00, 0x56, 0x25, 0x02, 0x42, 0x19,
//!     0x84, 0x79, 0x5A, 0x0D,
//! ];
//! if let Some((frame, _range)) = Frame::find(&answered) {
//!     let frame = frame?;
//!     if let Answer::Registers(registers) = Answer::parse(frame.command, &frame.data)? {
//!         assert_eq!(
//!             serde_json::to_string(&fields(&registers))?,
//!             r#"{"heat_energy":{"value":123.456,"unit":"GJ"},"flow_temperature":{"value":65.32,"unit":"°C"}}"#
//!         );
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # SML
//!
//! German meters send files of messages, in frames with a CRC. A list of values becomes a report.
//!
//! ```
//! use metertap_decode::framing::sml::{Framer, seal};
//! use metertap_decode::sml::{Data, Entry, List, Message, file, messages, report};
//!
//! // A meter sends a file; here the crate's own encoder does.
//! let sent = List {
//!     server_id: b"\x0A\x01MTP\x00\x00\xBC\x61\x4E".to_vec(),
//!     time: None,
//!     entries: vec![Entry {
//!         code: [1, 0, 16, 7, 0, 255],
//!         status: None,
//!         unit: Some(27),
//!         scaler: -1,
//!         value: Data::Integer(-1266, 4),
//!     }],
//! };
//! let mut reports = Vec::new();
//! Framer::default().push(&seal(&file(&[sent])), |_position, frame| {
//!     for message in messages(&frame.unwrap().file).unwrap() {
//!         if let Message::List(list) = message {
//!             reports.push(report(&list));
//!         }
//!     }
//! });
//! assert_eq!(
//!     serde_json::to_string(&reports[0])?,
//!     concat!(
//!         r#"{"id":"1MTP0012345678","type":"sml","reading":{"equipment_id":"1MTP0012345678","#,
//!         r#""power_net":{"value":-0.1266,"unit":"kW"}}}"#
//!     )
//! );
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # TIC
//!
//! French meters send frames of groups, each with its own check.
//!
//! ```
//! use metertap_decode::framing::tic::Framer;
//! use metertap_decode::tic::report;
//! use metertap_decode::time::Zone;
//!
//! let bytes = b"\x02\nADCO 012345678901 E\r\nIINST 002 Y\r\x03";
//! let mut ids = Vec::new();
//! Framer::default().push(bytes, |_position, frame| {
//!     let report = report(&frame.unwrap(), &Zone::default()).unwrap();
//!     assert_eq!(report.reading.get("current_l1").and_then(|value| value.quantity()).unwrap().to_f64(), 2.0);
//!     ids.push(report.id);
//! });
//! assert_eq!(ids, ["012345678901"]);
//! ```
//!
//! # IEC 62056-21
//!
//! Meters with an optical eye answer with an identification and a data block.
//!
//! ```
//! use metertap_decode::framing::iec::{Mode, Readout, seal};
//! use metertap_decode::iec::report;
//! use metertap_decode::time::Zone;
//!
//! let answer = seal("LUGCUH50", "9.20(87654321)6.8(0012.345*MWh)").concat();
//! let (readout, _start, _end) = Readout::find(&answer).unwrap();
//! let readout = readout?;
//! assert_eq!(readout.identification.mode(), Mode::B(2400));
//! let report = report(&readout, &Zone::default());
//! assert_eq!(report.id.as_str(), "87654321");
//! let energy = report.reading.get("heat_energy").and_then(|value| value.quantity()).unwrap();
//! assert_eq!((energy.value.to_string().as_str(), energy.unit.as_str()), ("12.345", "MWh"));
//! # Ok::<(), metertap_decode::framing::iec::ReadoutError>(())
//! ```
//!
//! # ERT and R900 radio
//!
//! A receiver such as `metertap-dsp` delivers frames; this crate decodes their payload. Needs the feature `ert`, which is on
//! by default and is the only reason for a dependency on `metertap-dsp`.
//!
//! ```
//! # #[cfg(feature = "ert")] {
//! use metertap_decode::ert::{Commodity, Kind, Message};
//!
//! let frame = [0xF9, 0x53, 0x00, 0x74, 0x00, 0xBC, 0x55, 0xBC, 0x61, 0x4E, 0x8E, 0x66];
//! let message = Message::parse(Kind::Scm, &frame).unwrap();
//! assert_eq!((message.id(), message.consumption()), (12_345_678, 48_213));
//! assert_eq!(message.commodity(), Commodity::Water);
//! # }
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod cipher;
pub mod dlms;
#[cfg(feature = "ert")]
pub mod ert;
pub mod fields;
pub mod framing;
pub mod iec;
pub mod kamstrup;
pub mod mbus;
pub mod mbus_report;
pub mod obis;
pub mod p1;
pub mod quantity;
pub mod report;
pub mod sml;
pub mod tic;
pub mod time;
mod truncated;
pub mod unit;
pub mod wmbus;

pub use truncated::Truncated;
