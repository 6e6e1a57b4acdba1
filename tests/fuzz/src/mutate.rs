//! Deterministic mutations: of bytes, of words and numbers in a text, of JSON, of a safetensors header.

use serde_json::{Map, Value, json};

/// How an input is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Only bytes.
    Bytes,
    /// Words and numbers.
    Text,
    /// A JSON value.
    Json,
    /// A safetensors file: the length of its header in eight bytes, the header, numbers.
    Tensors,
    /// A `config.json`, a zero byte, a safetensors file.
    Model,
}

/// Random numbers from a seed: splitmix64.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below n, which is not 0.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// Numbers at which programs break.
const NUMBERS: [&str; 24] = [
    "0",
    "-1",
    "1",
    "2",
    "-0.0",
    "0.5",
    "1e-320",
    "1e308",
    "1e999",
    "-1e999",
    "255",
    "256",
    "65535",
    "16777216",
    "16777217",
    "2147483647",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
];

/// Pieces of text that do something where they should not.
const PIECES: [&str; 20] = [
    "\u{1b}[2J",
    "\0",
    "\r",
    "\u{202e}",
    "\u{feff}",
    "é",
    "\u{10ffff}",
    "\\",
    "\"",
    "'",
    "\n\n",
    "</script>",
    "[",
    "]",
    "{",
    "}",
    "<",
    "|",
    "nan",
    "inf",
];

/// One to four mutations of an input, some of them with pieces of another.
pub fn mutate(layout: Layout, input: &[u8], other: &[u8], seed: u64) -> Vec<u8> {
    let mut draw = Draw(seed);
    let mut bytes = input.to_vec();
    for _ in 0..1 + draw.below(4) {
        bytes = match (layout, draw.below(4)) {
            (Layout::Json, 0 | 1) => json_text(&bytes, &mut draw).unwrap_or(bytes),
            (Layout::Tensors, 0 | 1) => tensors(&bytes, &mut draw).unwrap_or(bytes),
            (Layout::Model, 0) => model(&bytes, &mut draw, true).unwrap_or(bytes),
            (Layout::Model, 1) => model(&bytes, &mut draw, false).unwrap_or(bytes),
            (Layout::Text | Layout::Json, 2) => text(bytes, &mut draw),
            _ => plain(bytes, other, &mut draw),
        };
    }
    bytes
}

/// Bits, bytes, ranges, splices.
fn plain(mut bytes: Vec<u8>, other: &[u8], draw: &mut Draw) -> Vec<u8> {
    if bytes.is_empty() {
        return (0..1 + draw.below(8)).map(|_| draw.next() as u8).collect();
    }
    let at = draw.below(bytes.len());
    let end = (at + 1 + draw.below(16)).min(bytes.len());
    match draw.below(9) {
        0 => bytes[at] ^= 1 << draw.below(8),
        1 => bytes[at] = draw.of(&[0, 1, 0x7f, 0x80, 0xff, b'\n', b'"', b'0']),
        2 => bytes[at] = draw.next() as u8,
        3 => drop(bytes.drain(at..end)),
        4 => bytes.truncate(at),
        5 => {
            let piece = bytes[at..end].to_vec();
            let times = draw.of(&[1, 1, 2, 30]);
            bytes.splice(at..at, piece.repeat(times));
        }
        6 if !other.is_empty() => {
            let from = draw.below(other.len());
            let to = (from + 1 + draw.below(64)).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        7 if !other.is_empty() => {
            let from = draw.below(other.len());
            bytes.splice(at.., other[from..].iter().copied());
        }
        // Eight bytes that are a float, or a length.
        _ => {
            let x = draw.of(&[f64::NAN, f64::INFINITY, -1.0, 0.0, 5e-324, f64::MAX, 1e300]);
            let eight =
                draw.of(&[x.to_le_bytes(), u64::MAX.to_le_bytes(), (1_u64 << 40).to_le_bytes()]);
            let end = (at + 8).min(bytes.len());
            bytes[at..end].copy_from_slice(&eight[..end - at]);
        }
    }
    bytes
}

/// Numbers become extremes; lines are doubled, dropped and exchanged; pieces are put in.
fn text(bytes: Vec<u8>, draw: &mut Draw) -> Vec<u8> {
    let written = String::from_utf8_lossy(&bytes).into_owned();
    match draw.below(3) {
        0 => {
            let digit = |c: char| c.is_ascii_digit() || c == '.';
            let starts: Vec<usize> = (written.char_indices())
                .filter(|&(i, c)| digit(c) && !written[..i].ends_with(digit))
                .map(|(i, _)| i)
                .collect();
            if starts.is_empty() {
                return bytes;
            }
            let at = draw.of(&starts);
            let length = written[at..].find(|c| !digit(c)).unwrap_or(written.len() - at);
            [&written[..at], draw.of(&NUMBERS), &written[at + length..]].concat().into_bytes()
        }
        1 => {
            let mut lines: Vec<&str> = written.split_inclusive('\n').collect();
            if lines.is_empty() {
                return bytes;
            }
            let (i, j) = (draw.below(lines.len()), draw.below(lines.len()));
            match draw.below(3) {
                0 => lines.swap(i, j),
                1 => drop(lines.remove(i)),
                _ => lines.insert(i, lines[j]),
            }
            lines.concat().into_bytes()
        }
        _ => {
            let at = draw.below(written.len() + 1);
            let at = (at..=written.len()).find(|&i| written.is_char_boundary(i)).unwrap_or(0);
            let piece = draw.of(&PIECES).repeat(draw.of(&[1, 1, 1, 3, 200]));
            [&written[..at], &piece, &written[at..]].concat().into_bytes()
        }
    }
}

fn json_text(bytes: &[u8], draw: &mut Draw) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    json(&mut value, draw);
    Some(value.to_string().into_bytes())
}

/// Changes one place of a value.
fn json(value: &mut Value, draw: &mut Draw) {
    match value {
        Value::Object(object) if !object.is_empty() && draw.below(4) > 0 => key(object, draw),
        Value::Array(items) if !items.is_empty() && draw.below(4) > 0 => {
            let at = draw.below(items.len());
            match draw.below(4) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => json(&mut items[at], draw),
            }
        }
        value => *value = replaced(draw),
    }
}

fn key(object: &mut Map<String, Value>, draw: &mut Draw) {
    let at = draw.below(object.len());
    let (name, value) =
        object.iter().nth(at).map(|(n, v)| (n.clone(), v.clone())).expect("below the length");
    match draw.below(6) {
        0 => drop(object.shift_remove(&name)),
        1 => drop(object.insert(name + draw.of(&PIECES), value)),
        2 => {
            let other = draw.below(object.len());
            let other = object.values().nth(other).cloned().expect("below the length");
            object.insert(name, other);
        }
        _ => json(&mut object[&name], draw),
    }
}

fn replaced(draw: &mut Draw) -> Value {
    match draw.below(8) {
        0 => Value::Null,
        1 => json!(draw.below(2) == 0),
        2 => json!([]),
        3 => json!({}),
        4 => json!(draw.of(&PIECES).repeat(draw.of(&[1, 1, 100]))),
        5 => json!(draw.below(300)),
        _ => serde_json::from_str(draw.of(&NUMBERS)).unwrap_or(Value::Null),
    }
}

/// Changes the header of a safetensors file, whose length then says so.
fn tensors(file: &[u8], draw: &mut Draw) -> Option<Vec<u8>> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let (header, numbers) =
        rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let header = json_text(header, draw)?;
    Some([&(header.len() as u64).to_le_bytes()[..], &header, numbers].concat())
}

/// Changes one of the two files of a model.
fn model(files: &[u8], draw: &mut Draw, first: bool) -> Option<Vec<u8>> {
    let at = files.iter().position(|b| *b == 0)?;
    let (config, weights) = (&files[..at], &files[at + 1..]);
    Some(match first {
        true => [&json_text(config, draw)?, &[0][..], weights].concat(),
        false => [config, &[0], &tensors(weights, draw)?].concat(),
    })
}
