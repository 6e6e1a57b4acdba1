//! The catalogue of `docs/FAILURES.md` is made from the documentation of the files of the causes, in the order in which
//! they are asked. `BLESS=1 cargo test -p tests --test trust failures` writes it anew.

use crate::zoo;
use std::fs;
use tests::readme::{root, text};
use transformer::inspect::diagnose::Cause;

/// Where the catalogue stands.
const FILE: &str = "docs/FAILURES.md";
const BEGIN: &str = "<!-- Made from transformer/src/inspect/diagnose/cause by `BLESS=1 cargo test -p tests --test trust failures`: from here -->\n";
const END: &str = "<!-- to here -->\n";
/// What a cause's documentation tells, in this order.
const PARTS: [&str; 4] = ["Mathematics", "Signature", "Cure", "Example"];

/// The source of a cause: its file has the name that the cause has in JSON.
fn source(cause: Cause) -> String {
    let name = serde_json::to_value(cause).expect("a name");
    let name = name.as_str().expect("a name");
    text(&format!("transformer/src/inspect/diagnose/cause/{name}.rs"))
}

/// The documentation of a cause's file.
fn section(cause: Cause) -> String {
    let source = source(cause);
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The tests that a cause's documentation names as its examples.
pub(crate) fn examples(cause: Cause) -> Vec<String> {
    let section = section(cause);
    let (_, last) = section.split_once("**Example.**").unwrap_or_default();
    last.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The causes that the catalogue has.
fn listed() -> impl Iterator<Item = Cause> {
    Cause::ALL.iter().copied().filter(|cause| *cause != Cause::Unknown)
}

fn catalogue() -> String {
    let rows = listed().map(|cause| {
        let names: Vec<String> = examples(cause).iter().map(|name| format!("`{name}`")).collect();
        format!("| {cause} | {} |\n", names.join(", "))
    });
    let sections = listed().map(|cause| format!("\n## {cause}\n\n{}\n", section(cause)));
    let table = rows.collect::<String>();
    format!("\n| failure | example |\n|---|---|\n{table}{}\n", sections.collect::<String>())
}

#[test]
fn the_catalogue_is_current() {
    let old = text(FILE);
    let (before, rest) = old.split_once(BEGIN).expect("where the catalogue begins");
    let (own, after) = rest.split_once(END).expect("where it ends");
    let made = catalogue();
    if std::env::var_os("BLESS").is_some() {
        let new = [before, BEGIN, &made, END, after].concat();
        fs::write(root().join(FILE), new).expect("a file that can be written");
        return;
    }
    let differs = made.lines().zip(own.lines()).find(|(made, own)| made != own);
    assert!(
        own == made,
        "{FILE} is not what the causes say: {differs:?}; `BLESS=1 cargo test -p tests --test trust failures` \
         writes it anew"
    );
}

#[test]
fn every_cause_is_documented_and_has_an_example() {
    let zoo = zoo::names();
    let mut named = vec![];
    for cause in listed() {
        let (section, source) = (section(cause), source(cause));
        let places = PARTS.map(|part| {
            let found: Vec<_> = section.match_indices(&format!("**{part}.**")).collect();
            assert_eq!(found.len(), 1, "{cause}: {part}");
            found[0].0
        });
        assert!(places.is_sorted() && places[0] == 0, "{cause}: its parts are in another order");
        let examples = examples(cause);
        assert!(!examples.is_empty(), "{cause} has no example");
        for name in examples {
            let own = source.contains(&format!("#[test]\n    fn {name}() {{"));
            assert!(own || zoo.contains(&&name[..]), "{cause}: there is no test {name}");
            named.push(name);
        }
    }
    for name in zoo {
        assert_eq!(named.iter().filter(|n| *n == name).count(), 1, "{name} is no example");
    }
}
