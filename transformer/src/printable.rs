//! Makes names and values from files safe to print: they cannot control a terminal, start a new line, or fill the
//! screen.

/// The longest text printed from a file, in characters.
const MOST: usize = 600;

/// Returns text on one line: control characters and line ends are escaped, and the middle of a long text is omitted.
pub(crate) fn printable(text: &str) -> String {
    let written_out = |out: &mut String, c: char| match c {
        c if c.is_control() => out.extend(c.escape_default()),
        c => out.push(c),
    };
    let (mut out, length) = (String::new(), text.chars().count());
    if length <= MOST {
        text.chars().for_each(|c| written_out(&mut out, c));
        return out;
    }
    let (before, after) = (2 * MOST / 3, MOST / 3);
    text.chars().take(before).for_each(|c| written_out(&mut out, c));
    out.push_str(" … ");
    text.chars().skip(length - after).for_each(|c| written_out(&mut out, c));
    out
}

/// Formats a number in plain digits if they are few, else with a power of ten.
pub(crate) fn decimal(x: f64) -> String {
    let plain = x == 0.0 || !x.is_finite() || (1e-4..1e15).contains(&x.abs());
    if plain { x.to_string() } else { format!("{x:e}") }
}

/// Formats a JSON value, with the middle of a long one omitted.
pub(crate) fn shortened(value: &serde_json::Value) -> String {
    let text = printable(&value.to_string());
    if text.chars().count() > 60 { text.chars().take(57).collect::<String>() + "…" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        let text = "\u{1b}[2J\u{9b}1m\r\n\tß\u{7f}\"\\";
        assert_eq!(printable(text), "\\u{1b}[2J\\u{9b}1m\\r\\n\\tß\\u{7f}\"\\");
    }

    /// A long text keeps both ends and never exceeds the bound.
    #[test]
    fn a_long_text_loses_its_middle() {
        for length in [MOST - 2, MOST - 1, 100_000] {
            let text = format!("a{}z", "ß".repeat(length - 1));
            let short = printable(&text);
            assert!(short.starts_with("aß") && short.ends_with("ßz"));
            assert_eq!(short == text, length < MOST);
            assert!(short.chars().count() <= MOST + 3);
        }
    }
}
