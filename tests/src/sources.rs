//! What the sources of the workspace say of themselves: files, code without its comments, public functions.

use calculus::activation::Activation;
use calculus::optimizer::OptimizerKind;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The four mathematics crates.
pub const MATHEMATICS: [&str; 4] = ["linalg", "probability", "calculus", "infotheory"];

/// All Rust sources of these crates, with the path of their module: `linalg::krylov`. Files of tests are left out.
///
/// # Panics
/// If a directory or a file cannot be read: it is part of the sources.
pub fn files(crates: &[&str]) -> Vec<(String, String)> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for name in crates {
        let root = workspace.join(name).join("src");
        let mut paths = Vec::new();
        below(&root, &mut paths);
        for path in paths {
            let inside = path.strip_prefix(&root).expect("below the root").with_extension("");
            let parts = inside.iter().map(|part| part.to_str().expect("a name in Unicode"));
            let parts: Vec<&str> =
                parts.filter(|part| !["lib", "mod", "main"].contains(part)).collect();
            if !parts.contains(&"tests") {
                let module = [&[*name][..], &parts].concat().join("::");
                found.push((module, fs::read_to_string(&path).expect("a readable file")));
            }
        }
    }
    found
}

/// All Rust sources below a directory, in order.
fn below(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).expect("a readable directory");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            below(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// A source on one line, without comments and without its module of tests (one in a file of its own is only named).
pub fn code(source: &str) -> String {
    let lines = source.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let code = lines.collect::<Vec<_>>().join(" ");
    let tests = code.match_indices("#[cfg(test)] mod ").find(|(at, _)| {
        let rest = &code[*at..];
        rest.find('{') < rest.find(';').or(Some(rest.len()))
    });
    code[..tests.map_or(code.len(), |(at, _)| at)].to_string()
}

/// Whether `word` stands in `text` by itself, and not as a part of a longer one.
pub fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(inside) && !text[at + word.len()..].starts_with(inside)
    })
}

/// A public function of numbers.
#[derive(Clone, Debug)]
pub struct Function {
    /// Where it is: `linalg::krylov::Ritz::largest`.
    pub path: String,
    /// Whether it, or the type that it belongs to, is generic over [`linalg::Real`].
    pub generic: bool,
    /// Whether an operation or an activation of the same file calls it to compute its value, so that what is tried of
    /// every operation is tried of it.
    pub of_an_operation: bool,
    /// Its documentation, that of its type and that of its module, without code.
    pub documentation: String,
}

/// Every public function and method of these crates whose signature has a number in it: generic over
/// [`linalg::Real`], or of `f32`, `f64`, nats or bits, or with a closure; and what every scalar field and every
/// optimiser does. By path. An activation function is not among them by itself, nor a rule of descent: `Activation::at`
/// and `OptimizerConfig::build`, whose cases walk the lists, stand for all.
pub fn functions(crates: &[&str]) -> BTreeMap<String, Function> {
    let (mut found, files) = (BTreeMap::new(), files(crates));
    // A folder all of whose modules the root passes on is not in their paths.
    let passed_on: Vec<String> = files
        .iter()
        .filter(|(module, _)| crates.contains(&&module[..]))
        .flat_map(|(root, source)| {
            let globs = source.split("pub use ").filter_map(|rest| rest.split_once("::*;"));
            globs.map(move |(folder, _)| format!("{root}::{folder}::"))
        })
        .collect();
    for (module, source) in &files {
        let folder = passed_on.iter().find_map(|f| Some((f, module.strip_prefix(&f[..])?)));
        let module = folder.map_or(module.clone(), |(folder, rest)| {
            let root = folder.split("::").next().unwrap_or_default();
            format!("{root}::{rest}")
        });
        for function in in_module(&module, source) {
            found.insert(function.path.clone(), function);
        }
    }
    found.retain(|path, _| !is_of_a_list(path));
    found
}

/// Whether a path is `calculus::activation::FILE::NAME::at`, with a name of the list, or a function of a listed rule of
/// descent.
fn is_of_a_list(path: &str) -> bool {
    let parts: Vec<&str> = path.split("::").collect();
    let function = |name: &str| Activation::ALL.iter().any(|a| format!("{a:?}") == name);
    let rule = |name: &str| OptimizerKind::ALL.iter().any(|kind| format!("{kind:?}") == name);
    match parts[..] {
        ["calculus", "activation", _, name, "at"] => function(name),
        ["calculus", "optimizer", _, name, _] => rule(name),
        _ => false,
    }
}

fn in_module(module: &str, source: &str) -> Vec<Function> {
    let code = code(source);
    let blocks = implementations(&code);
    let values = [("Primitive", " fn forward<"), ("Function", " fn at<")];
    let values: Vec<&str> = blocks
        .iter()
        .flat_map(|block| {
            values.iter().filter(|of| of.0 == block.implements).map(move |of| (block, of.1))
        })
        .filter_map(|(block, method)| code[block.range.clone()].split(method).nth(1))
        .filter_map(|rest| rest.split(" fn ").next())
        .collect();
    let mut found = Vec::new();
    let mut add = |owner: Option<&str>, name: &str, generic: bool| {
        // In a macro a type may have the name of the macro's argument: then it is each that it is called for.
        let owners = match owner {
            None => vec![String::new()],
            Some(argument) if argument.starts_with('$') => called(&code),
            Some(owner) => vec![format!("{owner}::")],
        };
        for owner in owners {
            let documentation = [
                header(source),
                above(source, owner.trim_end_matches("::"), &["struct", "enum", "trait"]),
                above(source, name, &["fn"]),
            ];
            let (path, documentation) =
                (format!("{module}::{owner}{name}"), documentation.join("\n"));
            let of_an_operation =
                owner.is_empty() && values.iter().any(|value| has_word(value, name));
            found.push(Function { path, generic, of_an_operation, documentation });
        }
    };
    for (at, _) in code.match_indices("pub fn ").chain(code.match_indices("pub const fn ")) {
        let rest = &code[at..];
        let start = rest.find("fn ").expect("it is there") + 3;
        let name = rest[start..].split(|c: char| !c.is_alphanumeric() && c != '_').next();
        let name = name.unwrap_or_default();
        let signature = rest.split(['{', ';']).next().unwrap_or_default();
        let own = blocks.iter().rfind(|block| block.range.contains(&at));
        let head = own.map_or("", |block| &block.head);
        let generic = signature.contains(": Real") || head.contains(": Real");
        let number = |text: &str| ["f32", "f64", "Nats", "Bits"].iter().any(|n| has_word(text, n));
        let closure = signature.contains("Fn(")
            || signature.contains("FnMut(")
            || signature.contains("FnOnce(");
        if generic || number(signature) || number(head) || closure {
            add(own.map(|block| block.owner.as_str()), name, generic);
        }
    }
    for block in &blocks {
        let methods = [
            ("Field", "at"),
            ("Function", "at"),
            ("Optimizer", "step"),
            ("Optimizer", "step_scaled"),
        ];
        for (of, name) in methods {
            let own = code[block.range.clone()].contains(&format!("fn {name}<"))
                || code[block.range.clone()].contains(&format!("fn {name}("));
            if block.implements == of && own {
                add(Some(&block.owner), name, true);
            }
        }
    }
    found
}

/// `impl<T: Real> Trait for Owner<T> { … }`.
struct Block {
    head: String,
    owner: String,
    /// The trait, or nothing.
    implements: String,
    range: std::ops::Range<usize>,
}

fn implementations(code: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    for (start, _) in code.match_indices("impl") {
        let before = code[..start].trim_end();
        let item = before.is_empty() || before.ends_with(['}', ';', '{', ']']);
        let Some(open) = code[start..].find('{').map(|at| start + at) else { continue };
        if !item {
            continue;
        }
        let head = code[start..open].trim().to_string();
        let mut subject = head["impl".len()..].trim();
        if subject.starts_with('<') {
            subject = subject[closing(subject, '<', '>')..].trim();
        }
        let (implements, owner) = subject.split_once(" for ").unwrap_or(("", subject));
        let name = |text: &str| {
            let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$');
            text[..end.unwrap_or(text.len())].to_string()
        };
        let (implements, owner) = (name(implements), name(owner));
        blocks.push(Block {
            head,
            owner,
            implements,
            range: start..open + closing(&code[open..], '{', '}'),
        });
    }
    blocks
}

/// Behind the bracket that closes the first one of `text`, which it begins with.
fn closing(text: &str, open: char, close: char) -> usize {
    let mut depth = 0;
    let mut last = ' ';
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close && !(close == '>' && last == '-') {
            depth -= 1;
            if depth == 0 {
                return at + c.len_utf8();
            }
        }
        last = c;
    }
    text.len()
}

/// The first argument of every call of the macros that a source defines.
fn called(code: &str) -> Vec<String> {
    let macros = code.split("macro_rules! ").skip(1).filter_map(|rest| rest.split(' ').next());
    let mut found = Vec::new();
    for name in macros {
        for rest in code.split(&format!(" {name}!(")).skip(1) {
            let argument = rest.split([',', ')']).next().unwrap_or_default();
            found.push(format!("{}::", argument.trim()));
        }
    }
    found
}

/// The documentation of a module, without code.
fn header(source: &str) -> String {
    prose(source.lines().take_while(|line| line.starts_with("//!")).map(|line| &line[3..]))
}

/// The documentation above `pub fn name`, of every item of that name, without code.
fn above(source: &str, name: &str, kinds: &[&str]) -> String {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let mut all = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let item = kinds.iter().any(|kind| line.contains(&format!("{kind} {name}")));
        if !name.is_empty() && line.starts_with("pub ") && item && has_word(line, name) {
            let part = lines[..at]
                .iter()
                .rev()
                .take_while(|l| l.starts_with("///") || l.starts_with("#["));
            let part: Vec<&str> = part.copied().collect();
            let doc = part.iter().rev().filter_map(|line| line.strip_prefix("///"));
            all.push(prose(doc));
        }
    }
    all.join("\n")
}

/// Lines of documentation that are no code.
fn prose<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut inside = false;
    let kept = lines.filter(|line| {
        let fence = line.trim().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    kept.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_numbers_are_found_by_name() {
        let source = "
            //! A module on `f64`.
            /// A pair.
            pub struct Pair<T: Real>(T, T);
            impl<T: Real> Pair<T> {
                /// Adds.
                /// ```
                /// let no = \"prose\";
                /// ```
                pub fn sum(&self) -> T { self.0 }
                fn private(&self) -> T { self.0 }
            }
            impl Plain { pub fn count(&self) -> usize { 0 } pub fn size(self) -> f64 { 0.0 } }
            pub fn map<T>(f: impl Fn(T) -> T) {}
            pub fn cut<T: Real>(x: T) -> T { x }
            impl Primitive<1> for Cut {
                fn shape(&self) -> Shape { map(x) }
                fn forward<T: Real>(&self, [x]: [View<T>; 1]) { cut(x) }
                fn vjp<T: Real>(&self) { map(x) }
            }
            pub fn nothing(name: &str) -> usize { 1 }
            // pub fn commented(x: f64) {}
            impl<T: Real> Optimizer<T> for Rule<T> { fn step(&mut self) {} }
            impl Field for Valley<'_> { fn at<T: Real>(&self) {} }
            macro_rules! unit { ($unit:ident) => { impl<T: Real> $unit<T> { pub fn per(self) -> T {} } }; }
            unit!(Nats);
            unit!(Bits, 2);
            #[cfg(test)]
            mod tests { pub fn inside(x: f64) {} }";
        let found = in_module("m", source);
        let mut paths: Vec<&str> = found.iter().map(|f| f.path.as_str()).collect();
        paths.sort_unstable();
        let expected = [
            "m::Bits::per",
            "m::Nats::per",
            "m::Pair::sum",
            "m::Plain::size",
            "m::Rule::step",
            "m::Valley::at",
            "m::cut",
            "m::map",
        ];
        assert_eq!(paths, expected);
        let of = |path: &str| found.iter().find(|f| f.path == path).expect("it was found");
        assert!(of("m::Pair::sum").generic && !of("m::Plain::size").generic);
        let carried = found.iter().filter(|f| f.of_an_operation).map(|f| f.path.as_str());
        assert_eq!(carried.collect::<Vec<_>>(), ["m::cut"]);
        let text = &of("m::Pair::sum").documentation;
        assert!(text.contains("A pair.") && text.contains("Adds.") && !text.contains("prose"));
    }

    #[test]
    fn words_stand_by_themselves() {
        assert!(has_word("a.sum(x)", "sum") && !has_word("a.sum_of(x)", "sum"));
        assert!(!has_word("checksum", "sum") && has_word("linalg::sum", "sum"));
    }
}
