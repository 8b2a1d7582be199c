//! Powers of ten of one meter: those of its maker, corrected by what its messages fit.

use super::text::readable_text;
use crate::dlms::data::Data;
use crate::dlms::energy_check::EnergyCheck;
use crate::dlms::list_mapping::ListMapping;
use crate::dlms::objects::{Object, Objects};
use crate::dlms::power_check::{PowerCheck, ScaleFinding};
use crate::dlms::scales::{GivenScales, Scales};
use jiff::Timestamp;

/// Memory of the powers of ten that the messages of one meter fit.
#[derive(Clone, Debug, Default)]
pub struct ScaleMemory {
    current: PowerCheck,
    energy: EnergyCheck,
    /// The power of ten of energies was called an assumption.
    has_assumed_energy: bool,
    /// Findings that were not taken yet, each at most once.
    findings: Vec<ScaleFinding>,
    /// Number of values of the last message, if it was a list that is not known.
    pub(super) unknown_list: Option<usize>,
}

impl ScaleMemory {
    /// Returns what the user should know, once.
    pub fn take_findings(&mut self) -> Vec<ScaleFinding> {
        std::mem::take(&mut self.findings)
    }

    /// Returns the number of values of the last message, if it was a list without codes that is not known.
    pub fn unknown_list(&self) -> Option<usize> {
        self.unknown_list
    }

    /// Returns the powers of ten for a message: those of the built-in list that it is, if it is one.
    pub(super) fn scales(
        &mut self,
        objects: &Objects,
        built_in: Option<&ListMapping>,
        given: &GivenScales,
    ) -> Scales {
        let highest_voltage = highest_voltage(objects);
        let usual = match built_in {
            Some(list) => list.scales(highest_voltage),
            None => Scales::detect(list_version(objects).as_deref(), highest_voltage),
        };
        let mut scales = usual.with(given);
        if given.current.is_none() {
            let (current, finding) = self.current.current(objects, &scales);
            scales.current = current;
            self.findings.extend(finding);
        }
        scales
    }

    /// Compares the energies of a message, sent at `at`, with what the power adds up to.
    pub(super) fn check_energy(
        &mut self,
        objects: &Objects,
        at: Timestamp,
        scales: &Scales,
        given: &GivenScales,
    ) {
        if given.energy.is_some() {
            return;
        }
        let energy = integer_of(objects, [1, 8, 0]);
        // Kamstrup alone counts in another unit than Wh, and not in every country.
        if energy.is_some() && scales.energy != 0 && !self.has_assumed_energy {
            self.has_assumed_energy = true;
            self.findings
                .push(ScaleFinding::EnergyAssumed { used: scales.energy });
        }
        let power =
            integer_of(objects, [1, 7, 0]).map(|watts| watts as f64 * 10f64.powi(scales.power.into()));
        let finding = self.energy.take(at, power, energy, scales.energy);
        self.findings.extend(finding);
    }
}

/// Returns the number under groups C, D and E of a code, as sent; `None` if the meter sends its power of ten.
fn integer_of(objects: &Objects, code: [u8; 3]) -> Option<i128> {
    let is_wanted =
        |object: &&Object| object.obis.a == 1 && [object.obis.c, object.obis.d, object.obis.e] == code;
    match objects.coded.iter().find(is_wanted) {
        Some(Object {
            value: Data::Integer(number, _),
            scale: None,
            ..
        }) => Some(*number),
        _ => None,
    }
}

/// Returns the list version: the value of its code, or the first value without a code.
fn list_version(objects: &Objects) -> Option<String> {
    let coded = objects
        .coded
        .iter()
        .find(|object| (object.obis.a, object.obis.c, object.obis.d) == (1, 0, 2));
    let text = coded.map(|object| object.value).or(objects.bare.first().copied());
    text.and_then(readable_text)
}

/// Returns the highest voltage for which the meter sends no power of ten, as sent.
fn highest_voltage(objects: &Objects) -> i128 {
    let voltages = objects.coded.iter().filter(|object| {
        object.scale.is_none() && object.obis.a == 1 && object.obis.c % 20 == 12 && object.obis.d == 7
    });
    let raw = voltages.map(|object| match object.value {
        Data::Integer(number, _) => *number,
        _ => 0,
    });
    raw.max().unwrap_or_default()
}
