//! Parser of frequencies and sample rates on the command line.

/// Parses a number of Hz with an optional suffix: `912.6M`, `2400k`, `2359296`.
///
/// # Errors
/// If the text is no finite number.
pub fn parse_hertz(text: &str) -> Result<f64, String> {
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1e3),
        Some((at, 'M')) => (&text[..at], 1e6),
        Some((at, 'G')) => (&text[..at], 1e9),
        _ => (text, 1.0),
    };
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number * factor),
        _ => Err("expected a number of Hz, such as 2359296, 2400k or 912.6M".into()),
    }
}
