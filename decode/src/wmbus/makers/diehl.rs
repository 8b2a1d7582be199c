//! Diehl Metering (Hydrometer, Sappel): PRIOS of the IZAR radio, and "real data" scrambled in the same way.
//!
//! ```text
//!  on the air   manufacturer │ version │ type │ identification       the other way round than elsewhere
//!
//!  PRIOS   frame byte 10: CI │ 11: alarm, period │ 12: alarms, battery │ 13: alarms │ 14: … │ 15…: scrambled
//!  plain   4B │ volume (4) │ volume at the end of a month (4) │ date of that (2)
//! ```
//!
//! The keystream is that of a shift register of 32 bits which starts with a key and the header of the frame. The byte 4B is
//! the only check of PRIOS; "real data" have a check byte.

use super::payload::{Context, Decoded, flags, unsigned, value};
use crate::mbus::{Record, Value, bcd, primary, scaled, time};
use crate::unit::Unit;
use crate::wmbus::address::Address;
use crate::wmbus::layers::Tpl;
use crate::wmbus::security::{KeyOrigin, Scheme, Security};

/// First scrambled byte of a frame.
const SCRAMBLED: usize = 15;
/// First plain byte of PRIOS.
const MARK: u8 = 0x4B;
/// Start values that every meter uses: the halves of an 8-byte key, exclusive-ored.
const KEYS: [u32; 2] = [0xDFD1_09E8, 0xB71F_0AE8];
const PRIOS: Scheme = Scheme::Manufacturer("PRIOS");
const REAL_DATA: Scheme = Scheme::Manufacturer("Diehl real data");
const NAME: &str = "Diehl's default key";

/// Form of a telegram of these manufacturers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Prios,
    RealData,
}

fn form(control: u8, address: &Address, information: u8, configuration: u16) -> Option<Form> {
    let is_maker = matches!(&*address.letters(), "DME" | "EWT" | "HYD" | "SAP" | "SPL");
    if !is_maker || !matches!(control, 0x44 | 0x46) {
        return None;
    }
    match information {
        0xA0..=0xA7 | 0xB1..=0xB3 => Some(Form::Prios),
        0x71 => Some(Form::RealData),
        0x7A if configuration & 0x1000 != 0 => Some(Form::RealData),
        _ => None,
    }
}

/// Returns the address of the meter; `None` if it stands in the usual order.
pub fn address(telegram: &[u8], radio: &Address) -> Option<Address> {
    let control = *telegram.get(1)?;
    let (tpl, _) = Tpl::parse(telegram.get(10..)?)?;
    let form = form(control, radio, tpl.information, tpl.configuration)?;
    // Sappel prints a number with letters, of which the identification is a part.
    if form == Form::Prios && radio.is_of("SAP") {
        return Some(Address {
            version: 0,
            device_type: 7,
            ..*radio
        });
    }
    let [m1, m2, version, device_type, i1, i2, i3, i4] = radio.to_link();
    Some(Address::from_link(&[
        m1,
        m2,
        i1,
        i2,
        i3,
        i4,
        version,
        device_type,
    ]))
}

/// Returns the plain text of a frame from byte 15 on, for one key.
fn unscrambled(telegram: &[u8], key: u32) -> Option<Vec<u8>> {
    let word = |at: usize| Some(u32::from_be_bytes(*telegram.get(at..)?.first_chunk()?));
    let mut state = key ^ word(2)? ^ word(6)? ^ word(10)?;
    let plain = telegram.get(SCRAMBLED..)?.iter().map(|byte| {
        for _ in 0..8 {
            let bit = (state >> 1 ^ state >> 2 ^ state >> 11 ^ state >> 31) & 1;
            state = state << 1 | bit;
        }
        byte ^ state as u8
    });
    Some(plain.collect())
}

/// Unscrambles "real data" in place; `None` if the telegram has none.
pub fn real_data(telegram: &[u8], radio: &Address, tpl: &Tpl, payload: &mut [u8]) -> Option<Security> {
    let control = *telegram.get(1)?;
    if form(control, radio, tpl.information, tpl.configuration)? != Form::RealData {
        return None;
    }
    if payload.starts_with(&[0x2F, 0x2F]) || is_plain(payload) {
        return Some(Security::DecryptedBefore(REAL_DATA));
    }
    let check = *telegram.get(SCRAMBLED - 1)?;
    for key in KEYS {
        let plain = unscrambled(telegram, key)?;
        let sum = plain.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        if sum & 0xEF == check & 0xEF && plain.len() == payload.len() {
            payload.copy_from_slice(&plain);
            return Some(Security::Decrypted(REAL_DATA, KeyOrigin::Default(NAME)));
        }
    }
    Some(Security::NoKey(REAL_DATA))
}

/// Returns true for text that begins with a volume or an energy, as the records of these meters do.
fn is_plain(payload: &[u8]) -> bool {
    matches!(payload, [0x04 | 0x0C, 0x03..=0x07 | 0x0E | 0x13..=0x16, ..])
}

/// Decodes PRIOS.
pub(super) fn prios(context: &Context) -> Option<Decoded> {
    let telegram = context.telegram;
    let control = *telegram.get(1)?;
    if form(
        control,
        context.radio,
        context.tpl.information,
        context.tpl.configuration,
    )? != Form::Prios
    {
        return None;
    }
    let plain = KEYS
        .iter()
        .filter_map(|key| unscrambled(telegram, *key))
        .find(|plain| plain.first() == Some(&MARK));
    let Some(plain) = plain else {
        return Some(Decoded {
            security: Some(Security::NoKey(PRIOS)),
            ..Decoded::default()
        });
    };
    let mut records = vec![value(
        "volume",
        0,
        unsigned(plain.get(1..5)?),
        -3,
        Unit::CubicMeter,
    )];
    if let Some(before) = plain.get(5..9) {
        records.push(value("volume", 1, unsigned(before), -3, Unit::CubicMeter));
    }
    if let Some(date) = plain.get(9..11) {
        records.push(Record {
            storage: 1,
            ..Record::current("date", time(date).map(Value::Time), Unit::None)
        });
    }
    if context.radio.is_of("SAP") {
        records.extend(printed(telegram));
    }
    if let Some(&[general, now, more]) = telegram.get(11..14) {
        let alarms = u32::from_be_bytes([0, general, now, more]);
        records.push(flags("alarms", alarms, &ALARMS));
        records.push(value(
            "battery_remaining",
            0,
            5 * i128::from(now & 0x1F),
            -1,
            Unit::Year,
        ));
        let period = 1 << ((general & 0x0F) + 2);
        records.push(value("transmission_interval", 0, period, 0, Unit::Second));
    }
    Some(Decoded {
        records,
        security: Some(Security::Decrypted(PRIOS, KeyOrigin::Default(NAME))),
    })
}

/// Returns the number on the case of a meter of Sappel, such as `C19UA145842`: supplier, year, kind, diameter, serial number.
/// Its parts are packed into the bytes that are the address elsewhere.
fn printed(telegram: &[u8]) -> Option<Record> {
    let &[b4, b5, b6, b7, b8, b9] = telegram.get(4..10)?.first_chunk()?;
    let number = u32::from_le_bytes([b4, b5, b6, b7 & 3]);
    let letter = |code: u8| char::from(b'@' + (code & 0x1F));
    let (supplier, kind, diameter) = (
        letter((b9 & 0x0F) << 1 | b8 >> 7),
        letter(b8 >> 2),
        letter((b8 & 3) << 3 | b7 >> 5),
    );
    let (year, serial) = (number / 1_000_000, number % 1_000_000);
    let text = format!("{supplier}{year:02}{kind}{diameter}{serial:06}");
    Some(Record::current(
        "fabrication_number",
        Some(Value::Text(text)),
        Unit::None,
    ))
}

/// Gives the time with an error its name: Diehl marks it with extension 18, which elsewhere says that there is no value.
pub(super) fn replace(record: Record, header: &[u8], data: &[u8]) -> Record {
    let [.., vif @ 0xA4..=0xA7, 0x18] = header else {
        return record;
    };
    // DIF 9 to E: BCD.
    let is_bcd = header.first().is_some_and(|dif| dif & 0x0F >= 9);
    let number = if is_bcd { bcd(data) } else { Some(unsigned(data)) };
    Record {
        value: number.map(|number| scaled(number, &primary(vif & 0x7F))),
        qualifiers: vec!["in_error".into()],
        ..record
    }
}

/// Alarms in the bytes 11, 12 and 13 of a frame.
const ALARMS: [(u32, &str); 12] = [
    (0x80_00_00, "general"),
    (0x00_80_00, "leak"),
    (0x00_40_00, "leak_before"),
    (0x00_20_00, "blocked"),
    (0x00_00_80, "backflow"),
    (0x00_00_40, "underflow"),
    (0x00_00_20, "overflow"),
    (0x00_00_10, "submerged"),
    (0x00_00_08, "sensor_fraud"),
    (0x00_00_04, "sensor_fraud_before"),
    (0x00_00_02, "mechanical_fraud"),
    (0x00_00_01, "mechanical_fraud_before"),
];

/// Scrambles `frame` from byte 15 on. Encoder for tests.
#[cfg(test)]
pub fn scramble(frame: &mut [u8]) {
    // The keystream is exclusive-ored, so scrambling is unscrambling.
    if let Some(scrambled) = unscrambled(frame, KEYS[0]) {
        frame[SCRAMBLED..].copy_from_slice(&scrambled);
    }
}
