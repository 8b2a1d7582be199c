//! Data sets: a code and the values in its brackets.

/// Most data sets of a readout; meters with months of history send 300.
const MAX_SETS: usize = 1024;

/// Data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSet<'a> {
    /// Code, as sent.
    pub code: &'a str,
    /// Contents of the brackets, as sent.
    pub values: Vec<&'a str>,
}

impl<'a> DataSet<'a> {
    /// Returns the first value that is not empty.
    pub fn value(&self) -> Option<&'a str> {
        self.values.first().copied().filter(|value| !value.is_empty())
    }

    /// Returns the code without medium and channel (`1-0:`) and without the billing period that means now (`*255`).
    pub fn short_code(&self) -> &'a str {
        let code = self.code.split_once(':').map_or(self.code, |(_, code)| code);
        code.strip_suffix("*255").unwrap_or(code)
    }
}

/// Splits data lines into data sets, several of which may stand on a line. Text that is none is left out.
pub fn data_sets(lines: &str) -> Vec<DataSet<'_>> {
    let mut sets: Vec<DataSet> = Vec::new();
    for line in lines.lines() {
        let mut rest = line.trim();
        // The set to which a further bracket belongs.
        let mut is_open = false;
        while let Some((code, (value, behind))) = rest
            .split_once('(')
            .and_then(|(code, rest)| Some((code.trim(), rest.split_once(')')?)))
        {
            if code.is_empty() && is_open {
                if let Some(set) = sets.last_mut() {
                    set.values.push(value);
                }
            } else if code.is_empty() || sets.len() == MAX_SETS {
                is_open = false;
            } else {
                sets.push(DataSet {
                    code,
                    values: vec![value],
                });
                is_open = true;
            }
            rest = behind;
        }
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn given_several_sets_on_a_line_then_each_is_found() {
        let sets = data_sets(
            "6.8(0074.9*MWh)6.26(04142.48*m3)9.21(66409080)\r\n1.6.1(3.4*kW)(2601151200)\r\n6.8.1()\r\n(5)x(",
        );
        let shown: Vec<(&str, usize)> = sets.iter().map(|set| (set.code, set.values.len())).collect();
        assert_eq!(
            shown,
            [("6.8", 1), ("6.26", 1), ("9.21", 1), ("1.6.1", 2), ("6.8.1", 1)]
        );
        assert_eq!((sets[0].value(), sets[4].value()), (Some("0074.9*MWh"), None));
    }

    #[test]
    fn codes_are_shortened_to_what_tells_them_apart() {
        for (code, short) in [
            ("1-0:1.8.0*255", "1.8.0"),
            ("1.8.0", "1.8.0"),
            ("1.8.0*01", "1.8.0*01"),
            ("6.8", "6.8"),
        ] {
            assert_eq!(DataSet { code, values: vec![] }.short_code(), short);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_split(sets in prop::collection::vec(("[0-9A-F.:*-]{1,12}", prop::collection::vec("[0-9a-zA-Z.*&:-]{0,12}", 1..3)), 0..20), one_line in any::<bool>()) {
            let mut lines = String::new();
            for (code, values) in &sets {
                lines += code;
                values.iter().for_each(|value| lines += &format!("({value})"));
                if !one_line {
                    lines += "\r\n";
                }
            }
            let split: Vec<(String, Vec<String>)> = data_sets(&lines)
                .into_iter()
                .map(|set| (set.code.into(), set.values.into_iter().map(Into::into).collect()))
                .collect();
            prop_assert_eq!(split, sets);
        }

        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = data_sets(&text);
        }
    }
}
