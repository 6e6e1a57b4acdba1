//! Safe output: results, remarks, errors and progress bars.
//!
//! Everything that the program prints goes through this module, because names, paths, texts and settings may come from
//! untrusted files: control characters, which could move the cursor or set the title, and marks that reverse the
//! direction of writing are escaped. Results that go to a file or a pipe are unchanged.

use crate::Result;
use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal, Write};

/// Returns text with every character escaped that would control a terminal.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return text.into();
    }
    text.chars()
        .fold(String::new(), |mut out, c| {
            if acts(c) {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
            out
        })
        .into()
}

/// Returns whether a character controls a terminal or is invisible: control characters except line ends and tabs,
/// direction marks, line and paragraph separators, invisible marks and tags.
fn acts(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns text for standard output: unchanged, or escaped for a terminal.
pub(crate) fn shown(text: &str, terminal: bool) -> Cow<'_, str> {
    if terminal { escaped(text) } else { text.into() }
}

/// Prints results.
///
/// # Errors
/// If they cannot be written completely.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let terminal = out.is_terminal();
    out.write_all(shown(text, terminal).as_bytes())?;
    Ok(out.flush()?)
}

/// Like [`print()`], but for coloured text whose other parts are already escaped.
///
/// # Errors
/// See [`print()`].
pub(crate) fn print_painted(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Prints results as JSON. Characters that would control a terminal are escaped as JSON does it, so that values do not
/// change.
///
/// # Errors
/// See [`print()`].
pub(crate) fn print_json(object: impl Display) -> Result<()> {
    let text = object.to_string();
    let mut out = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if acts(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|u| out.push_str(&format!("\\u{u:04x}")));
        } else {
            out.push(c);
        }
    }
    out.push('\n');
    print_painted(&out)
}

/// The longest line of a message, in characters.
const LONGEST_LINE: usize = 2000;

/// Formats a message for standard error: escaped, with the middle of each long line omitted.
fn message(text: &str) -> String {
    let line = |line: &str| {
        let length = line.chars().count();
        if length <= LONGEST_LINE {
            return line.to_owned();
        }
        let part = LONGEST_LINE / 2 - 2;
        let begin: String = line.chars().take(part).collect();
        let end: String = line.chars().skip(length - part).collect();
        format!("{begin} … {end}")
    };
    escaped(text).split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Formats a word from a file or an argument on one line of a message.
pub(crate) fn word(text: &str) -> String {
    escaped(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// Formats rows; the first columns are texts, the others numbers, and the last one a text.
pub(crate) fn table(rows: &[Vec<String>], texts: usize) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|k| rows.iter().map(|row| row[k].chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().enumerate().map(|(k, cell)| {
            let cell = word(cell);
            let space = " ".repeat(widths[k].saturating_sub(cell.chars().count()));
            match k {
                _ if k < texts || k + 1 == columns => format!("  {cell}{space}"),
                _ => format!("  {space}{cell}"),
            }
        });
        out.push_str(cells.collect::<String>().trim_end());
        out.push('\n');
    }
    out
}

/// Prints a line on standard error, for progress and remarks; standard output is for results.
pub(crate) fn remark(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "{}", message(line.as_ref()));
}

/// The most characters of a text with marked parts.
const MOST_MARKED: usize = 4000;

/// Returns lines of a text in parts, each after a bar; marked parts stand between `on` and `off`, and begin anew on each
/// line.
fn marked_lines(parts: &[(bool, String)], [on, off]: [&str; 2]) -> Vec<String> {
    let (mut lines, mut left) = (vec![String::new()], MOST_MARKED);
    for (marked, text) in parts {
        for (i, line) in text.split('\n').enumerate() {
            if i > 0 {
                lines.push(String::new());
            }
            let shown: String = line.chars().take(left).collect();
            left -= shown.chars().count();
            let cut = if shown.len() < line.len() { " …" } else { "" };
            let [on, off] = if *marked { [on, off] } else { [""; 2] };
            let last = lines.last_mut().expect("a line");
            // A line end that is learned is marked, too.
            if !line.is_empty() || *marked && text.ends_with('\n') && i == 0 {
                *last += &format!("{on}{}{off}{cut}", escaped(&shown));
            }
            if !cut.is_empty() {
                return lines;
            }
        }
    }
    lines
}

/// Prints a text with marked parts on standard error: highlighted on a terminal with colours, else between ⟦ and ⟧.
pub(crate) fn remark_marked(parts: &[(bool, String)]) {
    let marks = if colours(&std::io::stderr()) { ["\x1b[1;7m", "\x1b[0m"] } else { ["⟦", "⟧"] };
    for line in marked_lines(parts, marks) {
        let _ = writeln!(std::io::stderr(), "{}", format!("  | {line}").trim_end());
    }
}

/// Prints an error on standard error.
pub(crate) fn error(error: impl Display) {
    let (on, off) = if colours(&std::io::stderr()) { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    let said = error.to_string();
    let _ = writeln!(std::io::stderr(), "{on}error:{off} {}", message(said.trim_end()));
}

/// Returns whether a stream is a terminal whose lines can be redrawn.
pub(crate) fn draws(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Returns whether to use colours: on a terminal that has them, unless `NO_COLOR` is set (<https://no-color.org>).
pub(crate) fn colours(stream: &impl IsTerminal) -> bool {
    draws(stream) && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Quotes a word for a shell, unless it has only letters, digits and marks without a special meaning.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./+,:=@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    if word.contains(|c| c == '\n' || c == '\t' || acts(c)) {
        // Characters that cannot be shown: ANSI-C quoting, of bash, ksh, zsh and POSIX 2024.
        let mut out = String::from("$'");
        for c in word.chars() {
            match c {
                '\'' | '\\' => out.extend(['\\', c]),
                c if c == '\n' || c == '\t' || acts(c) => {
                    let mut bytes = [0; 4];
                    let bytes = c.encode_utf8(&mut bytes).bytes();
                    bytes.for_each(|b| out.push_str(&format!("\\{b:03o}")));
                }
                c => out.push(c),
            }
        }
        return out + "'";
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Returns the command that started this program, for messages that propose commands.
pub(crate) fn program() -> String {
    let name = std::env::args_os().next();
    quoted(&name.map_or("glassbox".into(), |name| name.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_nothing_that_acts_on_it() {
        let text = "a\u{1b}]0;title\u{7}\r\n\tß\u{202e}x\u{9b}31m";
        let written_out = "a\\u{1b}]0;title\\u{7}\\r\n\tß\\u{202e}x\\u{9b}31m";
        assert_eq!(escaped(text), written_out);
        assert_eq!((shown(text, true), shown(text, false)), (written_out.into(), text.into()));
        // Every character with a direction class in Unicode 16.
        for c in "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}".chars() {
            assert!(escaped(&c.to_string()).starts_with('\\'));
        }
        assert_eq!(escaped("日本 ünï 🦀 עברית"), "日本 ünï 🦀 עברית");
    }

    /// Marks begin anew on each line, hold a learned line end, and nothing that acts on a terminal gets through.
    #[test]
    fn marked_parts_are_marked_on_each_line() {
        let part = |own: bool, text: &str| (own, text.to_owned());
        let lines = |parts: &[(bool, String)]| marked_lines(parts, ["[", "]"]);
        let chat = [part(false, "u: a\nb\n"), part(true, "c\n\nd\n"), part(false, "u: \u{1b}e")];
        assert_eq!(lines(&chat), ["u: a", "b", "[c]", "", "[d]", "u: \\u{1b}e"]);
        assert_eq!(lines(&[part(false, "a:"), part(true, "\n")]), ["a:[]", ""]);
        let long = lines(&[part(true, &"x".repeat(MOST_MARKED + 1)), part(false, "y")]);
        assert_eq!(long, [format!("[{}] …", "x".repeat(MOST_MARKED))]);
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, quotes) in [
            ("runs/story-2", "runs/story-2"),
            ("runs/a b", "'runs/a b'"),
            ("it's", "'it'\\''s'"),
            ("$(rm x)", "'$(rm x)'"),
            ("a*?", "'a*?'"),
            ("", "''"),
            ("a\nb'\u{1b}", "$'a\\012b\\'\\033'"),
        ] {
            assert_eq!(quoted(word), quotes);
        }
    }

    /// A shell reads any quoted word unchanged.
    #[cfg(unix)]
    #[test]
    fn a_shell_reads_what_was_quoted() {
        for word in
            ["a b", "it's", "$HOME `x` \"y\" \\ !", "~", "#x", "a;b&c|d<e>f", "ü (x) [y] {z}"]
        {
            let script = format!("printf %s {}", quoted(word));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
