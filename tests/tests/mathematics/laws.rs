//! Every primitive of every crate obeys the laws of `linalg::Primitive`, and none is forgotten.

use linalg::{Primitive, cases::Size};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use tests::law::{Case, Verdict};
use tests::registry::{self, Visitor, type_name};
use tests::sources::{MATHEMATICS, code, files};

/// Tries all laws on every case; remembers the worst of each (type, number of operands).
#[derive(Default)]
struct Trial {
    worst: BTreeMap<(&'static str, usize), Verdict>,
    broken: Vec<String>,
}

impl Visitor for Trial {
    fn visit<P: Primitive<N>, const N: usize>(&mut self, case: Case<P, N>) {
        let verdict = case.verdict(N as u64);
        for (law, error) in verdict.broken() {
            self.broken.push(format!("{}: {law} ({error:.1e})", case.describe()));
        }
        let worst = self.worst.entry((type_name::<P>(), N)).or_insert(verdict);
        *worst = worst.worse(verdict);
    }
}

#[test]
fn every_primitive_obeys() {
    let mut trial = Trial::default();
    registry::every(&mut trial);
    for ((name, operands), verdict) in &trial.worst {
        println!("{name}<{operands}>: {verdict}");
    }
    assert!(trial.broken.is_empty(), "broken laws:\n{}", trial.broken.join("\n"));
}

proptest! {
    #[test]
    fn on_any_shape(m in 1usize..40, n in 1usize..40) {
        let mut trial = Trial::default();
        registry::of_size(Size::Matrix(m, n), &mut trial);
        prop_assert!(trial.broken.is_empty(), "broken laws:\n{}", trial.broken.join("\n"));
    }

    #[test]
    fn on_any_heads(
        key_value_heads in 1usize..3, group in 1usize..4, rows in 1usize..4, length in 1usize..36, sequences in 1usize..3,
    ) {
        let mut trial = Trial::default();
        let heads = group * key_value_heads;
        let size = registry::by_head((heads, key_value_heads, rows, length, sequences));
        registry::of_size(size, &mut trial);
        prop_assert!(trial.broken.is_empty(), "broken laws:\n{}", trial.broken.join("\n"));
    }
}

/// The (type, number of operands) of every case.
#[derive(Default)]
struct Names(BTreeSet<(String, usize)>, BTreeSet<&'static str>);

impl Visitor for Names {
    fn visit<P: Primitive<N>, const N: usize>(&mut self, case: Case<P, N>) {
        self.0.insert((type_name::<P>().to_string(), N));
        self.1.insert(case.primitive.name());
    }
}

/// The (type, number of operands) of every `impl Primitive<N> for Type`.
fn implementations(code: &str) -> impl Iterator<Item = (String, usize)> {
    code.split("Primitive<").skip(1).filter_map(|rest| {
        let (operands, rest) = rest.split_once("> for ")?;
        let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        Some((name.to_string(), operands.parse().ok()?))
    })
}

#[test]
fn no_primitive_is_forgotten() {
    let crates = [&MATHEMATICS[..], &["transformer"]].concat();
    let codes: Vec<String> = files(&crates).iter().map(|(_, source)| code(source)).collect();
    let found: BTreeSet<_> = codes.iter().flat_map(|code| implementations(code)).collect();
    let mut tried = Names::default();
    registry::every(&mut tried);
    assert_eq!(found, tried.0, "left: in the sources; right: on the lists of the crates");

    // An activation is one type for all functions: each function has cases too.
    for code in &codes {
        for function in code.split("Function for ").skip(1) {
            let name = function.split("const NAME: &'static str = \"").nth(1);
            let name = name.and_then(|rest| rest.split('"').next()).expect("a function's name");
            assert!(tried.1.contains(name), "{name} has no case");
        }
    }
}

#[test]
fn the_scan_sees_code_and_nothing_else() {
    let source = "
        /// impl Primitive<9> for Documented {}
        impl<F: Function> Primitive<1>
            for Generic<F> {}
        impl Primitive<2> for Plain {}
        #[cfg(test)]
        mod tests { impl Primitive<3> for Inside {} }";
    let found: Vec<_> = implementations(&code(source)).collect();
    assert_eq!(found, [("Generic".to_string(), 1), ("Plain".to_string(), 2)]);
}
