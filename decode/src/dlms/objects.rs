//! Which value belongs to which code, in all the orders that makers use (PROTOCOLS-wired.md 3.6).

use super::data::Data;
use crate::obis::Obis;

/// A value and its code.
#[derive(Clone, Debug, PartialEq)]
pub struct Object<'a> {
    /// What it is.
    pub obis: Obis,
    /// The value.
    pub value: &'a Data,
    /// Power of ten and unit, where the meter tells them.
    pub scale: Option<(i8, u8)>,
}

/// What a message holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects<'a> {
    /// Values with codes.
    pub coded: Vec<Object<'a>>,
    /// Values without, in their order.
    pub bare: Vec<&'a Data>,
}

impl<'a> Objects<'a> {
    /// Finds them in `data`.
    pub fn of(data: &'a Data) -> Self {
        let mut objects = Objects::default();
        let items = data.items().unwrap_or(std::slice::from_ref(data));
        if !objects.described(items) {
            objects.walk(items);
        }
        objects
    }

    /// A list of descriptions, `structure(class, code, attribute, index)`, and values in its order. The first
    /// description is that of the list itself and has no value.
    fn described(&mut self, items: &'a [Data]) -> bool {
        let Some((Data::Array(descriptions), values)) = items.split_first() else {
            return false;
        };
        let code = |description: &Data| match description {
            Data::Structure(parts) => match &parts[..] {
                [Data::Whole(..), code, Data::Whole(attribute, _), _, ..] => Some((code.obis()?, *attribute)),
                _ => None,
            },
            _ => None,
        };
        let Some(codes) = descriptions.iter().map(code).collect::<Option<Vec<_>>>() else {
            return false;
        };
        let skip = codes.len().saturating_sub(values.len());
        if codes.is_empty() || skip > 1 {
            return false;
        }
        for ((obis, attribute), value) in codes.into_iter().skip(skip).zip(values) {
            // The first attribute of anything is its own code.
            if attribute != 1 {
                self.put(obis, value, None);
            }
        }
        true
    }

    fn walk(&mut self, items: &'a [Data]) {
        let mut rest = items;
        while let Some((item, after)) = rest.split_first() {
            let obis = match item {
                Data::Descriptor(_, obis, _) => Some(*obis),
                other => other.obis(),
            };
            match (obis, after.split_first(), item.items()) {
                (Some(obis), Some((value, behind)), _) => {
                    let scale = behind.first().and_then(scale);
                    self.put(obis, value, scale);
                    rest = if scale.is_some() { &behind[1..] } else { behind };
                    continue;
                }
                (_, _, Some(items)) => self.walk(items),
                _ => self.bare.push(item),
            }
            rest = after;
        }
    }

    fn put(&mut self, obis: Obis, value: &'a Data, told: Option<(i8, u8)>) {
        // Czech meters wrap value and scale once more.
        let (value, told) = match value.items() {
            Some([inner, last]) if told.is_none() && scale(last).is_some() => (inner, scale(last)),
            _ => (value, told),
        };
        self.coded.push(Object {
            obis,
            value,
            scale: told,
        });
    }
}

/// `structure(power of ten, unit)`.
fn scale(data: &Data) -> Option<(i8, u8)> {
    match data {
        Data::Structure(parts) => match parts[..] {
            [Data::Whole(exponent, _), Data::Enum(unit)] => Some((exponent.try_into().ok()?, unit)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::Reader;
    use super::*;
    use crate::hex::octets;

    fn data(hex: &str) -> Data {
        Reader::new(&octets(hex).unwrap(), 0).value().unwrap()
    }

    #[test]
    fn every_order_gives_the_same_object() {
        let code: Obis = "1-0:32.7.0".parse().unwrap();
        for (order, hex, scale) in [
            (
                "flat with unit",
                "020309060100200700FF120900".to_owned() + "02020FFF1623",
                Some((-1, 35)),
            ),
            (
                "nested",
                "0101020309060100200700FF12090002020FFF1623".to_owned(),
                Some((-1, 35)),
            ),
            ("flat pairs", "020209060100200700FF120900".to_owned(), None),
            (
                "described",
                "02020101020412000309060100200700FF0F02120000120900".to_owned(),
                None,
            ),
            (
                "descriptor",
                "0202161601010202000301002007 00FF02120900".replace(' ', ""),
                None,
            ),
            (
                "wrapped",
                "02020003010020070 0FF02020212090002020FFF1623".replace(' ', ""),
                Some((-1, 35)),
            ),
        ] {
            let data = data(&hex);
            let objects = Objects::of(&data);
            let [object] = &objects.coded[..] else {
                panic!("{order}: {objects:?}");
            };
            assert_eq!((object.obis, object.scale), (code, scale), "{order}");
            assert!(matches!(object.value, Data::Whole(2304, _)), "{order}");
        }
    }

    #[test]
    fn values_without_codes_stay_in_their_order() {
        let data = data("02030A024142060000000112FFFF");
        assert_eq!(Objects::of(&data).bare.len(), 3);
        assert!(Objects::of(&data).coded.is_empty());
    }
}
