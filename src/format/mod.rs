//! One line a reading, in rtlamr's four formats.

mod csv;
mod json;
pub mod p1;
mod plain;
pub mod smartmeter2mqtt;
mod xml;

pub use json::payload;

use crate::meter::Reading;
use std::io::Write;

/// How readings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// `{Time:… SCM:{…}}`, for reading along.
    Plain,
    /// One object a line, rtlamr's keys.
    Json,
    /// No header, columns depend on the message.
    Csv,
    /// One element a line.
    Xml,
}

/// The line of a reading, without its end. `signal`: JSON gets a `signal` object.
pub fn line(format: Format, reading: &Reading, signal: bool) -> String {
    match format {
        Format::Plain => plain::line(reading),
        Format::Json => json::line(reading, signal),
        Format::Csv => csv::line(reading),
        Format::Xml => xml::line(reading),
    }
}

/// Lines to a stream, each flushed, so that a reader sees it at once.
pub struct Lines<W: Write> {
    to: W,
    format: Format,
    signal: bool,
}

impl<W: Write> Lines<W> {
    /// Writes to `to`.
    pub fn new(to: W, format: Format, signal: bool) -> Self {
        Lines { to, format, signal }
    }

    /// Writes one reading.
    ///
    /// # Errors
    /// What the stream says.
    pub fn write(&mut self, reading: &Reading) -> std::io::Result<()> {
        self.write_line(&line(self.format, reading, self.signal))
    }

    /// Writes a line that is ready.
    ///
    /// # Errors
    /// What the stream says.
    pub fn write_line(&mut self, line: &str) -> std::io::Result<()> {
        writeln!(self.to, "{line}")?;
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

    /// A reading of one of the example frames of docs/protocols/ert.md.
    fn reading(kind: Kind, frame: &str) -> Reading {
        Reading {
            time: "2026-11-21T04:12:30.5381459Z".parse().unwrap(),
            offset: 1024,
            length: 27_648,
            receiver: "roof".into(),
            heard_by: Vec::new(),
            frequency_hz: None,
            message: Message::parse(kind, &hex(frame)).unwrap(),
            signal: Signal {
                offset_hz: -12_345,
                snr_db: 12.5,
                level_dbfs: -20.1,
                corrected: 0,
            },
        }
    }

    const SCM: &str = "F953005E0EDEF6BC614E1D50";
    const SCM_PLUS: &str = "16A31E9C05397FB100075342080856B4";
    const IDM: &str = "555516A31C5CC6041700BC614EF6BC0102030405061234A1B2C3D4E5F6000EDEFC000040403020140C0704024140B060341C0F0804424130A0542C170C064341B0E0743C1F100844423120944C27140A4542B160B45C01DC61B0AB9A";
    const NET_IDM: &str = "555516A31C5CC6041800BC614F1EB80001020304050607080900006F0000DE0000000000014D0FA03E90FA83EB0FB03ED0FB83EF0FC03F10FC83F30FD03F50FD83F70FE03F90FE83FB0FF03FD0FF83FF100040110080086171916884";

    #[test]
    fn json_is_rtlamrs_line_to_the_letter() {
        assert_eq!(
            line(Format::Json, &reading(Kind::Scm, SCM), false),
            r#"{"Time":"2026-11-21T04:12:30.5381459Z","Offset":1024,"Length":27648,"Type":"SCM","Message":{"ID":12345678,"Type":7,"TamperPhy":1,"TamperEnc":2,"Consumption":974582,"ChecksumVal":7504}}"#
        );
        assert_eq!(
            line(Format::Json, &reading(Kind::ScmPlus, SCM_PLUS), false),
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
            let line = line(Format::Json, &reading(kind, frame), false);
            assert!(line.contains(start), "{line}");
            assert!(line.ends_with(end), "{line}");
        }
    }

    #[test]
    fn signal_is_added_when_asked_for() {
        let line = line(Format::Json, &reading(Kind::Scm, SCM), true);
        assert!(
            line.ends_with(r#","ChecksumVal":7504},"signal":{"offset_hz":-12345,"snr_db":12.5,"level_dbfs":-20.1,"corrected":0}}"#),
            "{line}"
        );
    }

    #[test]
    fn csv_has_rtlamrs_columns() {
        assert_eq!(
            line(Format::Csv, &reading(Kind::Scm, SCM), false),
            "2026-11-21T04:12:30.5381459Z,1024,27648,12345678,7,0x1,0x2,974582,0x1d50"
        );
        assert_eq!(
            line(Format::Csv, &reading(Kind::ScmPlus, SCM_PLUS), false),
            "2026-11-21T04:12:30.5381459Z,1024,27648,0x16a3,0x1e,0x9c,87654321,480066,0x808,0x56b4"
        );
        let columns = |kind, frame| line(Format::Csv, &reading(kind, frame), false).split(',').count();
        assert_eq!(columns(Kind::Idm, IDM), 66);
        assert_eq!(columns(Kind::NetIdm, NET_IDM), 45);
    }

    #[test]
    fn plain_is_rtlamrs_default() {
        assert_eq!(
            line(Format::Plain, &reading(Kind::Scm, SCM), false),
            "{Time:2026-11-21T04:12:30.538 SCM:{ID:12345678 Type: 7 Tamper:{Phy:01 Enc:02} Consumption:  974582 CRC:0x1D50}}"
        );
    }

    #[test]
    fn xml_is_one_well_formed_element() {
        assert_eq!(
            line(Format::Xml, &reading(Kind::Scm, SCM), false),
            r#"<LogMessage Time="2026-11-21T04:12:30.5381459Z" Offset="1024" Length="27648" Type="SCM"><Message ID="12345678" Type="7" TamperPhy="1" TamperEnc="2" Consumption="974582" Checksum="7504"></Message></LogMessage>"#
        );
        let idm = line(Format::Xml, &reading(Kind::Idm, IDM), false);
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
