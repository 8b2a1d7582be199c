//! Lists without OBIS codes, recognized by the types of their values.
//!
//! Sources: `docs/protocols/dlms.md`, section "Order of codes and values"; observations of Iskraemeco's lists by users of
//! UtilitechAS/amsreader-firmware; and captures in which tariffs add up to totals.

use super::data::{Data, Width};
use super::objects::{Object, Objects};
use super::scales::{Scales, volts};
use crate::obis::Obis;
use ValueType::{
    Any, Bits8, Bits16, Bits32, Bits64, Boolean, DateTime, Enumeration, Float, Integer, Octets, Text,
};
use std::sync::LazyLock;

/// Type of a value in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// Octets other than a date-time, or text.
    Text,
    /// Octets of any length, bits, or text.
    Octets,
    /// Date-time of twelve octets.
    DateTime,
    /// Integer of any width, enumeration or truth value.
    Integer,
    /// Integer of 8 bits.
    Bits8,
    /// Integer of 16 bits.
    Bits16,
    /// Integer of 32 bits.
    Bits32,
    /// Integer of 64 bits.
    Bits64,
    /// Floating-point number.
    Float,
    /// Enumeration.
    Enumeration,
    /// Truth value.
    Boolean,
    /// Value of any type, or none.
    Any,
}

impl ValueType {
    fn matches(self, data: &Data) -> bool {
        match (self, data) {
            (Text, Data::Octets(octets)) => !is_date_time(octets),
            (DateTime, Data::Octets(octets)) => is_date_time(octets),
            (Any, _)
            | (Text | Octets, Data::Text(_))
            | (Octets, Data::Octets(_) | Data::Bits(_) | Data::DateTime(_))
            | (DateTime, Data::DateTime(_))
            | (Integer, Data::Integer(..) | Data::Bool(_) | Data::Enum(_))
            | (Float, Data::Float32(_) | Data::Float64(_))
            | (Enumeration, Data::Enum(_))
            | (Boolean, Data::Bool(_)) => true,
            (Bits8, Data::Integer(_, width)) => *width == Width::Bits8,
            (Bits16, Data::Integer(_, width)) => *width == Width::Bits16,
            (Bits32, Data::Integer(_, width)) => *width == Width::Bits32,
            (Bits64, Data::Integer(_, width)) => *width == Width::Bits64,
            _ => false,
        }
    }
}

/// Returns true for twelve octets that are no text: the number of a meter may have twelve characters.
fn is_date_time(octets: &[u8]) -> bool {
    octets.len() == 12 && !octets.iter().all(|octet| (0x20..0x7F).contains(octet))
}

/// Entry of a list: the type of a value and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListEntry {
    /// Type of the value.
    pub value_type: ValueType,
    /// Code of the value; `None` if its meaning is not known.
    pub obis: Option<Obis>,
    /// Power of ten of the value.
    pub exponent: i8,
}

/// Meaning of a list of values without codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListMapping(Vec<ListEntry>);

impl ListMapping {
    /// Returns a mapping with these entries, one for each value of the list.
    pub fn new(entries: Vec<ListEntry>) -> Self {
        ListMapping(entries)
    }

    /// Returns the first mapping that has the number and types of these values, among `described` and then among the
    /// built-in ones.
    pub fn find<'a>(values: &[&Data], described: &'a [ListMapping]) -> Option<&'a ListMapping>
    where
        'static: 'a,
    {
        let matches = |list: &&ListMapping| {
            let pairs = list.0.iter().zip(values);
            list.0.len() == values.len()
                && pairs
                    .into_iter()
                    .all(|(entry, value)| entry.value_type.matches(value))
        };
        described
            .iter()
            .find(matches)
            .or_else(|| BUILT_IN.iter().find(matches))
    }

    /// Returns the entries in the order of the values.
    pub fn entries(&self) -> &[ListEntry] {
        &self.0
    }

    /// Returns those of the values that have a code, with it.
    pub(super) fn objects<'a>(&self, values: &[&'a Data]) -> Objects<'a> {
        let coded = self.0.iter().zip(values).filter_map(|(entry, value)| {
            Some(Object {
                obis: entry.obis?,
                value,
                scale: None,
            })
        });
        Objects {
            coded: coded.collect(),
            ..Objects::default()
        }
    }

    /// Returns the powers of ten of a built-in list, in which they are the same for all currents and all voltages.
    /// `highest_voltage` is that of its values, as sent: some meters send the same list with more digits.
    pub(super) fn scales(&self, highest_voltage: i128) -> Scales {
        let usual = Scales {
            energy: 0,
            power: 0,
            ..Scales::default()
        };
        // Codes of the three phases are those of the sum plus 20, 40 and 60.
        let exponent = |quantity: u8| {
            let is_wanted = |obis: Obis| (obis.a, obis.c % 20, obis.d) == (1, quantity, 7);
            let mut entries = self.0.iter();
            entries
                .find(|entry| entry.obis.is_some_and(is_wanted))
                .map(|entry| entry.exponent)
        };
        Scales {
            current: exponent(11).unwrap_or(usual.current),
            voltage: exponent(12).unwrap_or(0).min(volts(highest_voltage)),
            factor: exponent(13).unwrap_or(usual.factor),
            ..usual
        }
    }
}

/// Returns an entry for groups A, C, D and E of a code on channel 0.
fn entry(value_type: ValueType, [a, c, d, e]: [u8; 4], exponent: i8) -> ListEntry {
    ListEntry {
        value_type,
        obis: Some(Obis { a, b: 0, c, d, e }),
        exponent,
    }
}

/// Returns an entry for a value whose meaning is not known.
fn unnamed(value_type: ValueType) -> ListEntry {
    ListEntry {
        value_type,
        obis: None,
        exponent: 0,
    }
}

/// Entries that several lists begin with.
fn list_version() -> ListEntry {
    entry(Text, [1, 0, 2, 129], 0)
}

fn equipment_id() -> ListEntry {
    entry(Text, [0, 96, 1, 0], 0)
}

fn meter_type() -> ListEntry {
    entry(Text, [0, 96, 1, 7], 0)
}

fn device_name() -> ListEntry {
    entry(Text, [0, 42, 0, 0], 0)
}

/// Instantaneous values (D = 7) of these quantities (C).
fn instantaneous<const N: usize>(value_type: ValueType, quantities: [u8; N], exponent: i8) -> [ListEntry; N] {
    quantities.map(|c| entry(value_type, [1, c, 7, 0], exponent))
}

/// Energies (D = 8) of these quantities (C) and tariffs (E).
fn energies<const N: usize>(value_type: ValueType, quantities: [(u8, u8); N]) -> [ListEntry; N] {
    quantities.map(|(c, tariff)| entry(value_type, [1, c, 8, tariff], 0))
}

/// Built-in lists. The first that matches is taken, and no two have the same number and types of values.
static BUILT_IN: LazyLock<Vec<ListMapping>> = LazyLock::new(|| {
    let mut lists = vec![
        ListMapping(instantaneous(Integer, [1], 0).into()),
        kaifa(&[31], false),
        kaifa(&[31, 51, 71], false),
        kaifa(&[31], true),
        kaifa(&[31, 51, 71], true),
        slovenia_powers(),
        slovenia_phases(),
        slovenia_energies(),
        iskra_all_tariffs(),
        iskra_tariffs(),
        iskra_totals(),
        iskra_switzerland(),
        iskra_croatia(true),
        iskra_croatia(false),
        kaernten(),
        wiener_netze(false),
        wiener_netze(true),
        burgenland(0),
        burgenland(3),
    ];
    lists.extend(iskra_one_phase());
    lists
});

/// Kaifa in Norway: lists 1, 2 and 3. `currents` are the codes of the currents; voltages are one higher.
fn kaifa(currents: &[u8], has_energies: bool) -> ListMapping {
    let mut entries = vec![list_version(), equipment_id(), meter_type()];
    entries.extend(instantaneous(Integer, [1, 2, 3, 4], 0));
    entries.extend(currents.iter().map(|c| entry(Integer, [1, *c, 7, 0], -3)));
    entries.extend(currents.iter().map(|c| entry(Integer, [1, c + 1, 7, 0], -1)));
    if has_energies {
        entries.push(entry(DateTime, [0, 1, 0, 0], 0));
        entries.extend(energies(Integer, [(1, 0), (2, 0), (3, 0), (4, 0)]));
    }
    ListMapping(entries)
}

/// Slovenia: name, number of the list, powers, voltages, currents, and powers of each phase.
fn slovenia_powers() -> ListMapping {
    // The second value is the number of the list, the same in all meters.
    let mut entries = vec![device_name(), unnamed(Text)];
    entries.extend(instantaneous(Bits32, [1, 2, 3, 4], 0));
    entries.extend(instantaneous(Bits16, [32, 52, 72], -1));
    entries.extend(instantaneous(Bits16, [31, 51, 71], -2));
    entries.extend(instantaneous(Bits32, [21, 41, 61, 22, 42, 62], 0));
    ListMapping(entries)
}

/// Slovenia: voltages and currents first, without the powers of each phase.
fn slovenia_phases() -> ListMapping {
    let mut entries = vec![device_name(), meter_type()];
    entries.extend(instantaneous(Bits16, [32, 52, 72], -1));
    entries.extend(instantaneous(Bits16, [31, 51, 71], -2));
    entries.extend(instantaneous(Bits32, [1, 2, 3, 4], 0));
    ListMapping(entries)
}

/// Slovenia: name, number of the list, state of the breaker, tariff, energies.
fn slovenia_energies() -> ListMapping {
    let mut entries = vec![
        device_name(),
        unnamed(Text),
        entry(Integer, [0, 96, 3, 10], 0),
        entry(Text, [0, 96, 14, 0], 0),
    ];
    let quantities = [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 0), (4, 0)];
    entries.extend(energies(Integer, quantities));
    ListMapping(entries)
}

/// Iskraemeco, single-phase: three lists.
fn iskra_one_phase() -> [ListMapping; 3] {
    let head = [device_name(), equipment_id()];
    let powers = instantaneous(Bits32, [1, 2, 3, 4], 0);
    let voltage = instantaneous(Bits16, [32], -1);
    let current = instantaneous(Bits16, [31], -2);
    let phase = instantaneous(Bits32, [21, 22], 0);
    let exported = energies(Bits32, [(2, 1), (2, 2)]);
    let list = |parts: &[&[ListEntry]]| ListMapping(parts.concat());
    [
        list(&[&head, &powers, &voltage, &exported]),
        list(&[&head, &powers, &voltage, &current, &phase]),
        list(&[&head, &voltage, &current, &powers]),
    ]
}

/// Iskraemeco: both tariffs of imported, exported and reactive energy.
fn iskra_all_tariffs() -> ListMapping {
    let mut entries = vec![device_name(), equipment_id()];
    let quantities = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (4, 2)];
    entries.extend(energies(Bits32, quantities));
    ListMapping(entries)
}

/// Iskraemeco: powers, then totals and both tariffs of imported and exported energy.
fn iskra_tariffs() -> ListMapping {
    let mut entries = vec![device_name()];
    entries.extend(instantaneous(Bits32, [1, 2], 0));
    entries.extend(energies(Bits32, [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]));
    ListMapping(entries)
}

/// Iskraemeco: a byte of unknown meaning, then totals of imported and exported energy.
fn iskra_totals() -> ListMapping {
    let mut entries = vec![equipment_id(), unnamed(Bits8)];
    entries.extend(energies(Bits32, [(1, 0), (2, 0)]));
    ListMapping(entries)
}

/// Iskraemeco AM550 in Switzerland: energies, an empty text, clock, powers, currents, and voltages of the first and third phase.
fn iskra_switzerland() -> ListMapping {
    let quantities = [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)];
    let mut entries = energies(Bits32, quantities).to_vec();
    entries.extend([unnamed(Text), entry(DateTime, [0, 1, 0, 0], 0)]);
    entries.extend(instantaneous(Bits32, [2, 1], 0));
    entries.extend(instantaneous(Bits16, [31, 51, 71], -2));
    entries.extend(instantaneous(Bits16, [32, 72], -1));
    ListMapping(entries)
}

/// Iskraemeco IE.5 in Croatia: number, time of day, date, energies, powers, voltages, currents, and five values of unknown
/// meaning. The longer list has reactive energies and the power factor, too.
fn iskra_croatia(is_long: bool) -> ListMapping {
    let mut entries = vec![equipment_id(), unnamed(Text), unnamed(Text)];
    let quantities = [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)];
    entries.extend(energies(Bits32, quantities));
    if is_long {
        entries.extend(energies(Bits32, [(5, 0), (6, 0), (7, 0), (8, 0)]));
    }
    entries.extend(instantaneous(Bits32, [1, 2], 0));
    if is_long {
        entries.extend(instantaneous(Bits16, [13], -3));
    }
    entries.extend(instantaneous(Bits32, [21, 41, 61, 22, 42, 62], 0));
    entries.extend(instantaneous(Bits16, [32, 52, 72], -1));
    entries.extend(instantaneous(Bits16, [31, 51, 71], -2));
    entries.extend([Bits32, Bits16, Bits16, Bits16, Integer].map(unnamed));
    ListMapping(entries)
}

/// Kärnten Netz, Iskraemeco AM550: code of the push setup, number, time of day, date, energies, powers, two empty texts.
fn kaernten() -> ListMapping {
    let mut entries = vec![unnamed(Text), equipment_id(), unnamed(Text), unnamed(Text)];
    entries.extend(energies(Bits32, [(1, 0), (2, 0), (3, 0), (4, 0)]));
    entries.extend(instantaneous(Bits32, [1, 2], 0));
    entries.extend([Text, Text].map(unnamed));
    ListMapping(entries)
}

/// Wiener Netze: clock, energies, powers; meters of Siemens send their number first.
fn wiener_netze(has_number: bool) -> ListMapping {
    let mut entries = Vec::new();
    if has_number {
        entries.push(equipment_id());
    }
    entries.push(entry(DateTime, [0, 1, 0, 0], 0));
    entries.extend(energies(Integer, [(1, 0), (2, 0), (3, 0), (4, 0)]));
    entries.extend(instantaneous(Integer, [1, 2, 3, 4], 0));
    ListMapping(entries)
}

/// Netz Burgenland, Landis+Gyr E450: voltages, currents, powers, energies, values of unknown meaning, number.
fn burgenland(unknown: usize) -> ListMapping {
    let mut entries = instantaneous(Bits16, [32, 52, 72], 0).to_vec();
    entries.extend(instantaneous(Bits16, [31, 51, 71], -2));
    entries.extend(instantaneous(Bits32, [1, 2], 0));
    entries.extend(energies(Bits32, [(1, 0), (2, 0)]));
    entries.extend(std::iter::repeat_n(unnamed(Bits16), unknown));
    entries.push(equipment_id());
    ListMapping(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_built_in_list_hides_another() {
        let sample = |value_type| match value_type {
            Text => Data::Text(b"x".to_vec()),
            DateTime => Data::DateTime(vec![0; 12]),
            Bits8 => Data::Integer(1, Width::Bits8),
            Bits16 => Data::Integer(1, Width::Bits16),
            Integer | Bits32 => Data::Integer(1, Width::Bits32),
            other => panic!("no built-in list has {other:?}"),
        };
        for list in BUILT_IN.iter() {
            let values: Vec<Data> = list.0.iter().map(|entry| sample(entry.value_type)).collect();
            let values: Vec<&Data> = values.iter().collect();
            assert_eq!(ListMapping::find(&values, &[]), Some(list));
        }
    }

    #[test]
    fn a_described_list_takes_precedence() {
        let described = ListMapping::new(vec![entry(Integer, [1, 2, 7, 0], 0)]);
        let value = Data::Integer(1, Width::Bits32);
        let found = ListMapping::find(&[&value], std::slice::from_ref(&described));
        assert_eq!(found, Some(&described));
        assert_eq!(ListMapping::find(&[&Data::Null], &[]), None);
    }
}
