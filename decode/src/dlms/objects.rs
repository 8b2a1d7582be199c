//! Pairs of OBIS codes and values, in every order that makers use (`docs/protocols/dlms.md`, section "Order of codes and
//! values").

use super::data::Data;
use crate::obis::Obis;

/// Value with its code.
#[derive(Clone, Debug, PartialEq)]
pub struct Object<'a> {
    /// Code of the value.
    pub obis: Obis,
    /// Value as sent.
    pub value: &'a Data,
    /// Power of ten and number of the unit, if the meter sends them.
    pub scale: Option<(i8, u8)>,
}

/// Values of a message, with and without codes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects<'a> {
    /// Values with codes.
    pub coded: Vec<Object<'a>>,
    /// Values without codes, in the order of the message.
    pub bare: Vec<&'a Data>,
    /// True if the message describes its values, and the codes come from that description.
    pub is_described: bool,
}

impl<'a> Objects<'a> {
    /// Finds the objects in the body of a notification.
    pub fn from_data(data: &'a Data) -> Self {
        let mut objects = Objects::default();
        let items = data.items().unwrap_or(std::slice::from_ref(data));
        if objects.described(items) {
            objects.is_described = true;
            return objects;
        }
        objects.walk(items);
        // A list may begin with the code of the push setup by which it is sent (0-x:25.9.0, Kärnten Netz): a name of the list,
        // not a value, so nothing in it has a code.
        let is_list_name = |object: &Object| (object.obis.a, object.obis.c, object.obis.d) == (0, 25, 9);
        if !objects.bare.is_empty() && objects.coded.iter().all(is_list_name) {
            objects = Objects::default();
            objects.flatten(items);
        }
        objects
    }

    /// Takes all values as values without a code.
    fn flatten(&mut self, items: &'a [Data]) {
        for item in items {
            match item.items() {
                Some(items) => self.flatten(items),
                None => self.bare.push(item),
            }
        }
    }

    /// Takes `items` as a list of descriptions, `structure(class, code, attribute, index)`, followed by the values in the
    /// same order; returns false if they are anything else.
    fn described(&mut self, items: &'a [Data]) -> bool {
        let Some((Data::Array(descriptions), values)) = items.split_first() else {
            return false;
        };
        let code = |description: &Data| match description {
            Data::Structure(parts) => match &parts[..] {
                [Data::Integer(..), code, Data::Integer(attribute, _), _, ..] => {
                    Some((code.obis()?, *attribute))
                }
                _ => None,
            },
            _ => None,
        };
        let Some(codes) = descriptions.iter().map(code).collect::<Option<Vec<_>>>() else {
            return false;
        };
        // The list may describe itself first; that description has no value.
        let skip = codes.len().saturating_sub(values.len());
        if codes.is_empty() || skip > 1 {
            return false;
        }
        for ((obis, attribute), value) in codes.into_iter().skip(skip).zip(values) {
            // Attribute 1 of every class is its code (logical name), not a value.
            if attribute != 1 {
                self.put(obis, value, None);
            }
        }
        true
    }

    /// Takes each code with the value behind it and, if there is one, the scale behind that. Everything else is either
    /// searched or a value without a code.
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
                    // The value is not searched: octets in it may look like a code.
                    rest = if scale.is_some() { &behind[1..] } else { behind };
                    continue;
                }
                (_, _, Some(items)) => self.walk(items),
                _ => self.bare.push(item),
            }
            rest = after;
        }
    }

    fn put(&mut self, obis: Obis, value: &'a Data, sent_scale: Option<(i8, u8)>) {
        // Czech meters wrap value and scale in a structure of their own.
        let (value, scale) = match value.items() {
            Some([inner, last]) if sent_scale.is_none() && scale(last).is_some() => (inner, scale(last)),
            _ => (value, sent_scale),
        };
        self.coded.push(Object { obis, value, scale });
    }
}

/// Returns power of ten and unit of `structure(power of ten, unit)`.
fn scale(data: &Data) -> Option<(i8, u8)> {
    match data {
        Data::Structure(parts) => match parts[..] {
            [Data::Integer(exponent, _), Data::Enum(unit)] => Some((exponent.try_into().ok()?, unit)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::Reader;
    use super::*;
    use data_encoding::HEXUPPER;

    fn data(hex: &str) -> Data {
        let bytes = HEXUPPER.decode(hex.replace(' ', "").as_bytes()).unwrap();
        Reader::new(&bytes, 0).value().unwrap()
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
                "0202161601010202000301002007 00FF02120900".to_owned(),
                None,
            ),
            (
                "wrapped",
                "02020003010020070 0FF02020212090002020FFF1623".to_owned(),
                Some((-1, 35)),
            ),
        ] {
            let data = data(&hex);
            let objects = Objects::from_data(&data);
            let [object] = &objects.coded[..] else {
                panic!("{order}: {objects:?}");
            };
            assert_eq!((object.obis, object.scale), (code, scale), "{order}");
            assert!(matches!(object.value, Data::Integer(2304, _)), "{order}");
        }
    }

    #[test]
    fn a_list_that_begins_with_the_code_of_its_push_setup_has_no_codes() {
        let data = data("0204 0906 0006190900FF 0A024142 0600000001 12FFFF");
        let objects = Objects::from_data(&data);
        assert_eq!((objects.coded.len(), objects.bare.len()), (0, 4));
    }

    #[test]
    fn values_without_codes_stay_in_their_order() {
        let data = data("02030A024142060000000112FFFF");
        assert_eq!(Objects::from_data(&data).bare.len(), 3);
        assert!(Objects::from_data(&data).coded.is_empty());
    }
}
