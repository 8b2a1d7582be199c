//! Words for a port at which bytes come, but nothing that its protocol understands.

use crate::source::wire::Line;
use std::fmt;

/// Description of bytes that nobody understands, and of what to do about it: one for the log, the state and the doctor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotUnderstood {
    finding: String,
    advice: &'static str,
}

impl NotUnderstood {
    /// Describes a serial port at which these line settings were tried; none for a connection without a line of its own.
    pub fn at(lines: &[Line]) -> Self {
        let tried: Vec<String> = lines.iter().map(Line::to_string).collect();
        let finding = match &tried[..] {
            [] => "nothing understood".into(),
            tried => format!("nothing understood at {}", tried.join(", ")),
        };
        let advice = match lines {
            [] => "is the protocol right, and the speed that is set in the bridge?",
            [_] => {
                "without baud and framing, the usual ones are tried; is the protocol right, the cable in the meter's port, and does it invert?"
            }
            _ => "is the protocol right, the cable in the meter's port, and does it invert?",
        };
        NotUnderstood { finding, advice }
    }

    /// What was found.
    pub fn finding(&self) -> &str {
        &self.finding
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        self.advice
    }
}

impl fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.finding, self.advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_one_several_or_no_line_settings_then_the_advice_fits() {
        let all = [Line::plain(9600), Line::plain(115_200)];
        let text = |lines: &[Line]| NotUnderstood::at(lines).to_string();
        assert!(text(&all).starts_with("nothing understood at 9600 8N1, 115200 8N1: is the protocol right"));
        assert!(text(&all[..1]).starts_with("nothing understood at 9600 8N1: without baud and framing"));
        assert!(text(&[]).contains("the speed that is set in the bridge"));
    }
}
