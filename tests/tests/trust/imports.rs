//! An import goes down: between the crates, and between the folders of `transformer`. No circle of imports joins files
//! of different folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tests::readme::text;
use tests::sources::{MATHEMATICS, code, files};

/// The folders of `transformer/src`, from the lowest; what lies beside `lib.rs` is below all of them.
const FLOORS: [&str; 6] = ["model", "text", "training", "disk", "generation", "inspect"];

/// Which modules a module imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// The paths that a tree of imports names: `a::{b, c::d}` names a::b and a::c::d.
fn paths(tree: &str) -> Vec<String> {
    let Some((before, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in inside.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("one at least").push(c);
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| paths(&format!("{}{}", before.trim(), part.trim()))).collect()
}

/// The beginning of `text` that is a path or a tree of paths.
fn tree(text: &str) -> &str {
    let (mut depth, mut before) = (0, ':');
    let end = text.find(|c: char| {
        let opens = c == '{' && (depth > 0 || before == ':');
        let closes = c == '}' && depth > 0;
        let inside = depth > 0 || opens;
        depth = depth + usize::from(opens) - usize::from(closes);
        before = c;
        !(inside || c.is_alphanumeric() || c == '_' || c == ':')
    });
    &text[..end.unwrap_or(text.len())]
}

/// What the modules of these crates import, by `crate::`, `super::`, or a name of their own child.
fn imports(crates: &[&str]) -> Imports {
    let sources = files(crates);
    let modules: BTreeSet<&str> = sources.iter().map(|(module, _)| &module[..]).collect();
    let mut found = Imports::new();
    for (module, source) in &sources {
        // Names that are passed on are not read here.
        let code = code(source).replace("pub use ", "pub ").replace("pub(crate) use ", "pub ");
        let root = module.split("::").next().expect("a crate");
        let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
        let mut named = vec![];
        for (word, base) in [("crate::", root), ("super::", parent), ("use ", module)] {
            for (at, _) in code.match_indices(word) {
                let before = code[..at].chars().next_back().unwrap_or(' ');
                if before.is_alphanumeric() || before == '_' || before == ':' {
                    continue;
                }
                let rest = &code[at + word.len()..];
                let rest =
                    if word == "use " { rest.split(';').next().unwrap_or("") } else { tree(rest) };
                named.extend(paths(rest).into_iter().map(|path| format!("{base}::{path}")));
            }
        }
        let of = |path: String| {
            let mut path = &path[..];
            while !modules.contains(path) {
                path = path.rsplit_once("::")?.0;
            }
            (path != module).then(|| path.to_owned())
        };
        found.insert(module.clone(), named.into_iter().filter_map(of).collect());
    }
    found
}

/// The folder of a module: its own, where it has modules below it.
fn folder<'a>(module: &'a str, all: &Imports) -> &'a str {
    let own =
        all.keys().any(|other| other.strip_prefix(module).is_some_and(|r| r.starts_with("::")));
    if own { module } else { module.rsplit_once("::").map_or(module, |(folder, _)| folder) }
}

/// All that a module reaches, step by step.
fn reached<'a>(from: &'a str, all: &'a Imports) -> BTreeSet<&'a str> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        for next in all.get(module).into_iter().flatten() {
            if found.insert(&next[..]) {
                open.push(next);
            }
        }
    }
    found
}

#[test]
fn folders_import_lower_ones() {
    let height = |module: &str| {
        let floor = module.split("::").nth(1)?;
        FLOORS.iter().position(|&f| f == floor).map(|i| i + 1)
    };
    let all = imports(&["transformer"]);
    let own = |module: &str| module.starts_with("transformer::") && !module.contains("::bin::");
    for floor in FLOORS {
        assert!(all.keys().any(|m| m.split("::").nth(1) == Some(floor)), "no folder {floor}");
    }
    let mut wrong = vec![];
    for (module, imported) in all.iter().filter(|(module, _)| own(module)) {
        for other in imported {
            // What the crate's root passes on may come from any folder.
            if other == "transformer" || height(other) > height(module) {
                wrong.push(format!("{module} imports {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "upwards:\n{}", wrong.join("\n"));
}

#[test]
fn no_circle_joins_folders() {
    let all = imports(&[&MATHEMATICS[..], &["transformer"]].concat());
    let reach: BTreeMap<_, _> = all.keys().map(|m| (&m[..], reached(m, &all))).collect();
    let mut wrong = vec![];
    for (module, others) in &reach {
        for other in others {
            let back = reach.get(other).is_some_and(|r| r.contains(module));
            if back && module < other && folder(module, &all) != folder(other, &all) {
                wrong.push(format!("{module} and {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "circles:\n{}", wrong.join("\n"));
}

#[test]
fn crates_import_lower_ones() {
    for (name, lower) in [
        ("linalg", &[][..]),
        ("probability", &["linalg"]),
        ("calculus", &["linalg"]),
        ("infotheory", &["linalg", "probability"]),
    ] {
        let manifest = text(&Path::new(name).join("Cargo.toml").to_string_lossy());
        let needed = manifest.split("[dependencies]").nth(1).and_then(|d| d.split("\n[").next());
        let needed = needed.expect("dependencies");
        for other in MATHEMATICS.iter().chain(&["transformer"]) {
            let named = needed.lines().any(|line| line.starts_with(&format!("{other}.")));
            assert_eq!(named, lower.contains(other), "{name} on {other}");
        }
    }
}

#[test]
fn imports_are_seen() {
    assert_eq!(paths("a::{b, c::{d, e}, f}"), ["a::b", "a::c::d", "a::c::e", "a::f"]);
    assert_eq!(tree("model::{A, b::C};"), "model::{A, b::C}");
    assert_eq!(tree("model::layers(x) {"), "model::layers");
    assert_eq!(tree("{streams, words}; fn f() {}"), "{streams, words}");
    let all = imports(&["transformer"]);
    let has = |module: &str, other: &str| all[module].contains(other);
    assert!(has("transformer::training::trainer", "transformer::model::recorded_step"));
    assert!(has("transformer::model::family", "transformer::model::architecture"));
}
