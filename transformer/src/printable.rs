//! Names and values from files in errors: control characters, which would act on a terminal, are written out.

/// Text with its control characters written out, but for line ends.
pub(crate) fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '\n' => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn control_characters_are_written_out() {
        let text = "\u{1b}[2J\u{9b}1m\r\n\tß\u{7f}\"\\";
        assert_eq!(super::printable(text), "\\u{1b}[2J\\u{9b}1m\\r\n\\tß\\u{7f}\"\\");
    }
}
