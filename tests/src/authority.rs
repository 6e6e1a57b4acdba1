//! Values that an outside authority computed: tables in `tests/authority/`, each made by the script
//! beside it, which pins the versions of the packages that it asks.
//!
//! A table is a JSON array of objects: `function`, `inputs` (a list of lists of numbers), `expected` (a
//! list of numbers), `source`. Numbers that JSON cannot hold are the strings "inf", "-inf" and "nan".

use serde_json::Value;
use std::path::Path;

/// One value, or several, of one function at one place.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The function's name in the table.
    pub function: String,
    /// Its arguments, each a list of numbers; a matrix is column after column.
    pub inputs: Vec<Vec<f64>>,
    /// What the authority says.
    pub expected: Vec<f64>,
    /// Who says it.
    pub source: String,
}

/// All entries of `tests/authority/{name}.json`.
///
/// # Panics
/// If the table is absent or malformed: it is part of the sources.
pub fn table(name: &str) -> Vec<Entry> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("authority").join(name).with_extension("json");
    let text = std::fs::read_to_string(&path).expect("a table");
    let rows: Vec<Value> = serde_json::from_str(&text).expect("a JSON array");
    rows.iter()
        .map(|row| Entry {
            function: row["function"].as_str().expect("a function").to_owned(),
            inputs: row["inputs"].as_array().expect("inputs").iter().map(numbers).collect(),
            expected: numbers(&row["expected"]),
            source: row["source"].as_str().expect("a source").to_owned(),
        })
        .collect()
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().expect("a list of numbers").iter().map(number).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| match value.as_str() {
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        Some("nan") => f64::NAN,
        _ => panic!("{value} is no number"),
    })
}

/// |found − expected| / |expected|; 0 where both are the same or both NaN.
pub fn relative_error(found: f64, expected: f64) -> f64 {
    if found == expected || (found.is_nan() && expected.is_nan()) {
        return 0.0;
    }
    (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE)
}
