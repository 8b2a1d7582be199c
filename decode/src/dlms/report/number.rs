//! Number of a meter, by which it is identified.

use super::text::readable_text;
use crate::dlms::data::Data;
use crate::fields::field;
use crate::obis::Obis;
use data_encoding::HEXUPPER;

/// Returns true for a code under which a meter sends its number.
pub(super) fn is_number_code(obis: Obis) -> bool {
    field(obis).is_some_and(|field| field.name == "equipment_id")
}

/// Returns true for a code under which only meters without a better one send their number.
pub(super) fn is_lesser_number(obis: Obis) -> bool {
    matches!(
        (obis.a, obis.c, obis.d, obis.e),
        (0 | 1, 0, 0, 0) | (0, 96, 1, 255) | (1, 96, 1, 0)
    )
}

/// Returns the number of a meter among values that stand without a code beside values that have one: the last text, if it
/// has a digit and is no list version (`KFM_001`).
pub(super) fn lone_number(bare: &[&Data]) -> Option<String> {
    let text = bare.iter().rev().find_map(|value| readable_text(value))?;
    (text.bytes().any(|byte| byte.is_ascii_digit()) && !text.contains('_')).then_some(text)
}

/// Returns a system title as three letters and hexadecimal digits. It is printed on no meter, but never changes.
pub(super) fn printed_title(title: [u8; 8]) -> String {
    let (maker, number) = title.split_at(3);
    format!("{}{}", String::from_utf8_lossy(maker), HEXUPPER.encode(number))
}
