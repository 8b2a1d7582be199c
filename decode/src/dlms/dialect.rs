//! What makers leave out: the codes of lists that have none, and the powers of ten of values that tell none.
//!
//! A list without codes is known by the kinds of its values alone. Sources: PROTOCOLS-wired.md 3.6, what users of
//! UtilitechAS/amsreader-firmware have found out of Iskraemeco's lists, and captures in which tariffs sum up to totals.

use super::data::{Data, Width};
use crate::obis::Obis;
use Shape::{Byte, Clock, Long, Number, Text, Word};
use std::sync::LazyLock;

/// How a value of a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Octets or text.
    Text,
    /// Twelve octets.
    Clock,
    /// Any whole number.
    Number,
    /// One of 8 bits.
    Byte,
    /// One of 16 bits.
    Word,
    /// One of 32 bits.
    Long,
}

impl Shape {
    fn fits(self, data: &Data) -> bool {
        match (self, data) {
            (Text, Data::Octets(octets)) => octets.len() != 12,
            (Clock, Data::Octets(octets)) => octets.len() == 12,
            (Text, Data::Text(_)) | (Clock, Data::Clock(_)) | (Number, Data::Whole(..) | Data::Bool(_)) => {
                true
            }
            (Byte, Data::Whole(_, width)) => *width == Width::Byte,
            (Word, Data::Whole(_, width)) => *width == Width::Word,
            (Long, Data::Whole(_, width)) => *width == Width::Long,
            _ => false,
        }
    }
}

/// A value of a list: how it is written, what it is (A, C, D, E), and its power of ten.
type Slot = (Shape, [u8; 4], i8);

/// A list without codes.
#[derive(Clone, Debug, PartialEq)]
pub struct List(Vec<Slot>);

impl List {
    /// One that a user describes.
    pub fn new(slots: Vec<Slot>) -> Self {
        List(slots)
    }

    /// The list that these values are.
    pub fn of<'a>(values: &[&Data], described: &'a [List]) -> Option<&'a List>
    where
        'static: 'a,
    {
        let fits = |list: &&List| {
            list.0.len() == values.len()
                && list
                    .0
                    .iter()
                    .zip(values)
                    .all(|((shape, ..), value)| shape.fits(value))
        };
        described.iter().find(fits).or_else(|| LISTS.iter().find(fits))
    }

    /// Code and power of ten of each value; nothing where it is not known.
    pub fn slots(&self) -> impl Iterator<Item = Option<(Obis, i8)>> {
        self.0.iter().map(|&(_, code, exponent)| {
            let [a, c, d, e] = code;
            (code != NOTHING).then_some((Obis { a, b: 0, c, d, e }, exponent))
        })
    }
}

const NOTHING: [u8; 4] = [0; 4];
const LIST_VERSION: [u8; 4] = [1, 0, 2, 129];
const EQUIPMENT_ID: [u8; 4] = [0, 96, 1, 0];
const METER_TYPE: [u8; 4] = [0, 96, 1, 7];
const DEVICE_NAME: [u8; 4] = [0, 42, 0, 0];
const CLOCK: [u8; 4] = [0, 1, 0, 0];

static LISTS: LazyLock<Vec<List>> = LazyLock::new(|| {
    let mut lists = vec![
        List(vec![(Number, [1, 1, 7, 0], 0)]),
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
    ];
    lists.extend(iskra_one_phase());
    lists
});

/// Kaifa in Norway: list 1, 2 and 3.
fn kaifa(phases: &[u8], has_energies: bool) -> List {
    let mut slots: Vec<Slot> = vec![
        (Text, LIST_VERSION, 0),
        (Text, EQUIPMENT_ID, 0),
        (Text, METER_TYPE, 0),
    ];
    slots.extend([1, 2, 3, 4].map(|c| (Number, [1, c, 7, 0], 0)));
    slots.extend(phases.iter().map(|current| (Number, [1, *current, 7, 0], -3)));
    slots.extend(phases.iter().map(|current| (Number, [1, current + 1, 7, 0], -1)));
    if has_energies {
        slots.push((Clock, CLOCK, 0));
        slots.extend([1, 2, 3, 4].map(|c| (Number, [1, c, 8, 0], 0)));
    }
    List(slots)
}

/// Slovenia: name, metering point, powers, then what each phase does.
fn slovenia_powers() -> List {
    let mut slots: Vec<Slot> = vec![(Text, DEVICE_NAME, 0), (Text, [0, 96, 1, 2], 0)];
    slots.extend([1, 2, 3, 4].map(|c| (Long, [1, c, 7, 0], 0)));
    slots.extend([32, 52, 72].map(|c| (Word, [1, c, 7, 0], -1)));
    slots.extend([31, 51, 71].map(|c| (Word, [1, c, 7, 0], -2)));
    slots.extend([21, 41, 61, 22, 42, 62].map(|c| (Long, [1, c, 7, 0], 0)));
    List(slots)
}

/// The same with the phases first, without their powers.
fn slovenia_phases() -> List {
    let mut slots: Vec<Slot> = vec![(Text, DEVICE_NAME, 0), (Text, METER_TYPE, 0)];
    slots.extend([32, 52, 72].map(|c| (Word, [1, c, 7, 0], -1)));
    slots.extend([31, 51, 71].map(|c| (Word, [1, c, 7, 0], -2)));
    slots.extend([1, 2, 3, 4].map(|c| (Long, [1, c, 7, 0], 0)));
    List(slots)
}

fn slovenia_energies() -> List {
    let mut slots: Vec<Slot> = vec![
        (Text, DEVICE_NAME, 0),
        (Text, [0, 96, 1, 3], 0),
        (Number, [0, 96, 3, 10], 0),
        (Text, [0, 96, 14, 0], 0),
    ];
    let energies = [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 0), (4, 0)];
    slots.extend(energies.map(|(c, e)| (Number, [1, c, 8, e], 0)));
    List(slots)
}

/// One phase, in three ways.
fn iskra_one_phase() -> [List; 3] {
    let head = [(Text, DEVICE_NAME, 0), (Text, EQUIPMENT_ID, 0)];
    let powers = [1, 2, 3, 4].map(|c| (Long, [1, c, 7, 0], 0));
    let (voltage, current) = ((Word, [1, 32, 7, 0], -1), (Word, [1, 31, 7, 0], -2));
    let phase = [21, 22].map(|c| (Long, [1, c, 7, 0], 0));
    let exported = [1, 2].map(|e| (Long, [1, 2, 8, e], 0));
    let list = |parts: &[&[Slot]]| List(parts.concat());
    [
        list(&[&head, &powers, &[voltage], &exported]),
        list(&[&head, &powers, &[voltage, current], &phase]),
        list(&[&head, &[voltage, current], &powers]),
    ]
}

/// Both tariffs of import, export and the reactive energies.
fn iskra_all_tariffs() -> List {
    let mut slots: Vec<Slot> = vec![(Text, DEVICE_NAME, 0), (Text, EQUIPMENT_ID, 0)];
    let energies = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (4, 2)];
    slots.extend(energies.map(|(c, e)| (Long, [1, c, 8, e], 0)));
    List(slots)
}

fn iskra_tariffs() -> List {
    let mut slots: Vec<Slot> = vec![(Text, DEVICE_NAME, 0)];
    slots.extend([1, 2].map(|c| (Long, [1, c, 7, 0], 0)));
    let energies = [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)];
    slots.extend(energies.map(|(c, e)| (Long, [1, c, 8, e], 0)));
    List(slots)
}

fn iskra_totals() -> List {
    let totals = [(Long, [1, 1, 8, 0], 0), (Long, [1, 2, 8, 0], 0)];
    List(
        [(Text, EQUIPMENT_ID, 0), (Byte, NOTHING, 0)]
            .into_iter()
            .chain(totals)
            .collect(),
    )
}

/// Powers of ten of values that tell none, by what they measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scales {
    /// Of Wh, varh, VAh.
    pub energy: i8,
    /// Of A.
    pub current: i8,
    /// Of V.
    pub voltage: i8,
    /// Of power factors.
    pub factor: i8,
}

/// Landis+Gyr's, and everybody's who tells nothing.
impl Default for Scales {
    fn default() -> Self {
        Scales {
            energy: 0,
            current: 0,
            voltage: 0,
            factor: -3,
        }
    }
}

impl Scales {
    /// By the version of the list that the meter tells, or else by its voltages.
    pub fn of(list_version: Option<&str>, highest_voltage: i128) -> Self {
        match list_version {
            Some(version) if version.starts_with("Kamstrup_V") => Scales {
                energy: 1,
                current: -2,
                voltage: 0,
                factor: -2,
            },
            Some(version) if version.starts_with("KFM_") => Scales {
                current: -3,
                voltage: -1,
                ..Scales::default()
            },
            // No home has a kilovolt: these are tenths, and where voltages are tenths, currents are hundredths.
            _ if highest_voltage >= 1000 => Scales {
                current: -2,
                voltage: -1,
                ..Scales::default()
            },
            _ => Scales::default(),
        }
    }

    /// The power of ten of a code, and its unit.
    pub fn scale(&self, obis: Obis) -> Option<(i8, &'static str)> {
        if obis.a != 1 || !matches!(obis.d, 4..=8 | 24) {
            return None;
        }
        let is_energy = obis.d == 8;
        // The three phases count like the sum, 20 further on each.
        Some(match (obis.c % 20, is_energy) {
            (1 | 2 | 15 | 16, true) => (self.energy, "Wh"),
            (3..=8, true) => (self.energy, "varh"),
            (9 | 10, true) => (self.energy, "VAh"),
            (1 | 2 | 15 | 16, false) => (0, "W"),
            (3..=8, false) => (0, "var"),
            (9 | 10, false) => (0, "VA"),
            (11, false) => (self.current, "A"),
            (12, false) => (self.voltage, "V"),
            (13, false) => (self.factor, ""),
            (14, false) => (0, "Hz"),
            _ => return None,
        })
    }
}
