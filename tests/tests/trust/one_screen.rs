//! What an operation computes is read on one screen: formula, forward and vjp stand together.

use linalg::{Primitive, cases::Size};
use std::collections::BTreeSet;
use tests::law::Case;
use tests::registry::{self, Visitor, type_name};
use tests::sources::{MATHEMATICS, files};

/// Lines of a screen.
const SCREEN: usize = 75;
/// Operations of which formula, forward and vjp may be longer together: long formulas, or heads of a cache one by one.
const LONGER: usize = 4;

/// The types of all operations.
#[derive(Default)]
struct Names(BTreeSet<&'static str>);

impl Visitor for Names {
    fn visit<P: Primitive<N>, const N: usize>(&mut self, _: Case<P, N>) {
        self.0.insert(type_name::<P>());
    }
}

/// Lines from the formula to the end of the vjp in `impl Primitive<…> for name`, if there is one. Nothing but the
/// forward may stand between.
fn span(source: &str, name: &str) -> Option<usize> {
    let rule = format!("> for {name}, ");
    let by_macro = source.lines().any(|line| line.starts_with("rules!(") && line.contains(&rule));
    let block = |line: &str| {
        let of = line.split_once("Primitive<").and_then(|(_, rest)| rest.split_once("> for "));
        let of = of.map(|(_, rest)| rest);
        // A macro of several types names them by a variable.
        let whole = |rest: &str| !rest.starts_with(char::is_alphanumeric) && rest.ends_with('{');
        let by_name = of.and_then(|rest| rest.strip_prefix(name)).is_some_and(whole);
        by_name || by_macro && of.is_some_and(|rest| rest.starts_with('$') && rest.ends_with('{'))
    };
    let lines: Vec<&str> = source.lines().collect();
    let start = lines.iter().position(|line| block(line))?;
    let find = |from: usize, what: &str| {
        let found = lines[from..].iter().position(|line| line.trim_start().starts_with(what));
        from + found.unwrap_or_else(|| panic!("{name} has no {what}"))
    };
    let first = find(start, "fn formula<");
    let vjp = find(first, "fn vjp<");
    let indent = lines[first].len() - lines[first].trim_start().len();
    let end = format!("{}}}", " ".repeat(indent));
    let ends: Vec<usize> = (first..lines.len()).filter(|&i| lines[i] == end).take(3).collect();
    assert!(ends.len() == 3 && (ends[1]..ends[2]).contains(&vjp), "{name}: formula, forward, vjp");
    Some(ends[2] + 1 - first)
}

#[test]
fn formula_forward_and_vjp_fit_a_screen() {
    let sources = files(&[&MATHEMATICS[..], &["transformer"]].concat());
    let mut names = Names::default();
    registry::of_size(Size::Matrix(2, 2), &mut names);
    registry::of_size(registry::by_head(registry::HEADS[0]), &mut names);
    let spans: Vec<(&str, usize)> = names
        .0
        .iter()
        .map(|name| {
            let found = sources.iter().find_map(|(_, source)| span(source, name));
            (*name, found.unwrap_or_else(|| panic!("{name} is not in the sources")))
        })
        .collect();
    let long: Vec<_> = spans.iter().filter(|(_, lines)| *lines > SCREEN).collect();
    assert!(spans.len() >= 24 && long.len() <= LONGER, "of {}: {long:?}", spans.len());
}

#[test]
#[should_panic(expected = "Far: formula, forward, vjp")]
fn what_stands_between_is_seen() {
    let source = "impl Primitive<1> for Near {\n    fn formula<T>() {\n    }\n    fn forward<T>() {\n    }\n    \
                  fn vjp<T>() {\n    }\n}";
    assert_eq!(span(source, "Near"), Some(6));
    assert_eq!(span(source, "Nea"), None);
    let far =
        source.replace("    fn vjp", "    fn flops() {\n    }\n    fn vjp").replace("Near", "Far");
    span(&far, "Far");
}
