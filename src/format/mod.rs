//! Text formats that several sinks share: rtlamr's four line formats, metertap's JSON object, and the P1 telegram as
//! older programs show it.

mod csv;
pub mod native;
pub mod p1;
mod plain;
mod rtlamr_json;
pub mod smartmeter2mqtt;
mod telegram;
mod xml;

pub use telegram::telegram_line;

use crate::meter::event::{Origin, ReadingEvent};
use crate::meter::{RadioTelegram, Reading};
use std::io::Write;

/// Line format of radio readings, as rtlamr's `-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LineFormat {
    /// `{Time:… SCM:{…}}`, for people.
    Plain,
    /// One object per line, with rtlamr's keys.
    Json,
    /// Columns that depend on the message type, without a header.
    Csv,
    /// One element per line.
    Xml,
}

/// Formats a reading as one line, without its end. `with_signal` adds a `signal` object to JSON.
pub fn line(format: LineFormat, reading: &Reading, with_signal: bool) -> String {
    match format {
        LineFormat::Plain => plain::line(reading),
        LineFormat::Json => rtlamr_json::line(reading, with_signal),
        LineFormat::Csv => csv::line(reading),
        LineFormat::Xml => xml::line(reading),
    }
}

/// Formats a radio reading as rtlamr's JSON line; `None` for wired meters and intervals, which rtlamr does not have.
pub fn rtlamr_json(event: &ReadingEvent) -> Option<String> {
    match &event.origin {
        Origin::Radio(reading) => Some(rtlamr_json::line(reading, false)),
        Origin::Wire(_) | Origin::Interval(_) => None,
    }
}

/// Writes readings to a stream, one line each, flushed after every line so that a reader sees it at once.
pub struct ReadingWriter<W: Write> {
    to: W,
    format: LineFormat,
    with_signal: bool,
}

impl<W: Write> ReadingWriter<W> {
    /// Writes to `to`; `with_signal` adds a `signal` object to JSON.
    pub fn new(to: W, format: LineFormat, with_signal: bool) -> Self {
        ReadingWriter {
            to,
            format,
            with_signal,
        }
    }

    /// Writes one telegram.
    ///
    /// # Errors
    /// If the stream cannot be written to.
    pub fn write_telegram(&mut self, telegram: &RadioTelegram) -> std::io::Result<()> {
        let line = telegram_line(self.format, telegram, self.with_signal);
        writeln!(self.to, "{line}")?;
        self.to.flush()
    }

    /// Writes one reading.
    ///
    /// # Errors
    /// If the stream cannot be written to.
    pub fn write(&mut self, reading: &Reading) -> std::io::Result<()> {
        writeln!(self.to, "{}", line(self.format, reading, self.with_signal))?;
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Signal;
    use metertap_decode::ert::{Kind, Message};

    fn hex(text: &str) -> Vec<u8> {
        data_encoding::HEXUPPER.decode(text.as_bytes()).unwrap()
    }

    /// A reading of one of the frames below.
    pub(super) fn reading(kind: Kind, frame: &str) -> Reading {
        Reading {
            time: "2026-11-21T04:12:30.5381459Z".parse().unwrap(),
            offset: 1024,
            length: 27_648,
            receiver: "roof".into(),
            heard_by: Vec::new(),
            frequency_hz: None,
            frame: Default::default(),
            message: Message::parse(kind, &hex(frame)).unwrap(),
            signal: Signal {
                offset_hz: -12_345,
                snr_db: 12.5,
                level_dbfs: -20.1,
                corrected: 0,
                clock_ppm: Some(-23),
                ..Signal::default()
            },
        }
    }

    pub(super) const SCM: &str = "F953005E0EDEF6BC614E1D50";
    const SCM_PLUS: &str = "16A31E9C05397FB100075342080856B4";
    const IDM: &str = "555516A31C5CC6041700BC614EF6BC0102030405061234A1B2C3D4E5F6000EDEFC000040403020140C0704024140B060341C0F0804424130A0542C170C064341B0E0743C1F100844423120944C27140A4542B160B45C01DC61B0AB9A";
    pub(super) const NET_IDM: &str = "555516A31C5CC6041800BC614F1EB80001020304050607080900006F0000DE0000000000014D0FA03E90FA83EB0FB03ED0FB83EF0FC03F10FC83F30FD03F50FD83F70FE03F90FE83FB0FF03FD0FF83FF100040110080086171916884";

    #[test]
    fn json_is_rtlamrs_line_to_the_letter() {
        assert_eq!(
            line(LineFormat::Json, &reading(Kind::Scm, SCM), false),
            r#"{"Time":"2026-11-21T04:12:30.5381459Z","Offset":1024,"Length":27648,"Type":"SCM","Message":{"ID":12345678,"Type":7,"TamperPhy":1,"TamperEnc":2,"Consumption":974582,"ChecksumVal":7504}}"#
        );
        assert_eq!(
            line(LineFormat::Json, &reading(Kind::ScmPlus, SCM_PLUS), false),
            r#"{"Time":"2026-11-21T04:12:30.5381459Z","Offset":1024,"Length":27648,"Type":"SCM+","Message":{"FrameSync":5795,"ProtocolID":30,"EndpointType":156,"EndpointID":87654321,"Consumption":480066,"Tamper":2056,"PacketCRC":22196}}"#
        );
    }

    #[test]
    fn json_keys_of_the_interval_messages_stand_in_rtlamrs_order() {
        for (kind, frame, start, end) in [
            (
                Kind::Idm,
                IDM,
                r#""Type":"IDM","Message":{"Preamble":1431639715,"PacketTypeID":28,"PacketLength":92,"HammingCode":198,"ApplicationVersion":4,"ERTType":7,"ERTSerialNumber":12345678,"ConsumptionIntervalCount":246,"ModuleProgrammingState":188,"TamperCounters":"AQIDBAUG","AsynchronousCounters":4660,"PowerOutageFlags":"obLD1OX2","LastConsumptionCount":974588,"DifferentialConsumptionIntervals":[0,1,2,"#,
                r#",45,46],"TransmitTimeOffset":476,"SerialNumberCRC":25008,"PacketCRC":43930}}"#,
            ),
            (
                Kind::NetIdm,
                NET_IDM,
                r#""Type":"NetIDM","Message":{"Preamble":1431639715,"ProtocolID":28,"PacketLength":92,"HammingCode":198,"ApplicationVersion":4,"ERTType":8,"ERTSerialNumber":12345679,"ConsumptionIntervalCount":30,"ProgrammingState":184,"LastGeneration":222,"LastConsumption":111,"LastConsumptionNet":333,"DifferentialConsumptionIntervals":[1000,1001,"#,
                r#",1026],"TransmitTimeOffset":2145,"SerialNumberCRC":29073,"PacketCRC":26756}}"#,
            ),
        ] {
            let line = line(LineFormat::Json, &reading(kind, frame), false);
            assert!(line.contains(start), "{line}");
            assert!(line.ends_with(end), "{line}");
        }
    }

    #[test]
    fn signal_is_added_when_asked_for() {
        let line = line(LineFormat::Json, &reading(Kind::Scm, SCM), true);
        assert!(
            line.ends_with(r#","ChecksumVal":7504},"signal":{"offset_hz":-12345,"snr_db":12.5,"level_dbfs":-20.1,"corrected":0,"clock_ppm":-23}}"#),
            "{line}"
        );
    }

    #[test]
    fn csv_has_rtlamrs_columns() {
        assert_eq!(
            line(LineFormat::Csv, &reading(Kind::Scm, SCM), false),
            "2026-11-21T04:12:30.5381459Z,1024,27648,12345678,7,0x1,0x2,974582,0x1d50"
        );
        assert_eq!(
            line(LineFormat::Csv, &reading(Kind::ScmPlus, SCM_PLUS), false),
            "2026-11-21T04:12:30.5381459Z,1024,27648,0x16a3,0x1e,0x9c,87654321,480066,0x808,0x56b4"
        );
        let columns = |kind, frame| {
            line(LineFormat::Csv, &reading(kind, frame), false)
                .split(',')
                .count()
        };
        assert_eq!(columns(Kind::Idm, IDM), 66);
        assert_eq!(columns(Kind::NetIdm, NET_IDM), 45);
    }

    #[test]
    fn plain_is_rtlamrs_default() {
        assert_eq!(
            line(LineFormat::Plain, &reading(Kind::Scm, SCM), false),
            "{Time:2026-11-21T04:12:30.538 SCM:{ID:12345678 Type: 7 Tamper:{Phy:01 Enc:02} Consumption:  974582 CRC:0x1D50}}"
        );
    }

    #[test]
    fn xml_is_one_well_formed_element() {
        assert_eq!(
            line(LineFormat::Xml, &reading(Kind::Scm, SCM), false),
            r#"<LogMessage Time="2026-11-21T04:12:30.5381459Z" Offset="1024" Length="27648" Type="SCM"><Message ID="12345678" Type="7" TamperPhy="1" TamperEnc="2" Consumption="974582" Checksum="7504"></Message></LogMessage>"#
        );
        let idm = line(LineFormat::Xml, &reading(Kind::Idm, IDM), false);
        assert!(
            idm.contains("<ERTSerialNumber>12345678</ERTSerialNumber>"),
            "{idm}"
        );
        assert!(
            idm.contains("<DifferentialConsumptionIntervals>46</DifferentialConsumptionIntervals>"),
            "{idm}"
        );
    }
}
