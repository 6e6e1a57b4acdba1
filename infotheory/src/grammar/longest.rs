//! The longest text of a grammar.
//!
//! The length of a part's text is a sum of tables over the records of the variables that it uses: a text is a table
//! over none, a use a table over one variable. A sequence adds tables. A choice is the maximum of its alternatives'
//! sums, one table over all variables that they use. At the end of a scope, the tables that depend on its variable are
//! replaced by their maximum over its records. This is variable elimination: fifty records of five variables in nested
//! scopes take 250 numbers and not 50⁵.
//!
//! Source: Bertelè and Brioschi, *Nonserial Dynamic Programming*, 1972.

use super::{Part, Variable};
use std::collections::BTreeMap;

/// The maximum number of entries of a table. The parts of a larger one are bounded one by one.
const MOST: usize = 1 << 16;

/// Lengths by records of variables, in order; the last variable's records are contiguous.
type Table = Vec<usize>;

/// A sum of tables, at most one for the same variables.
type Lengths = BTreeMap<Vec<usize>, Table>;

/// Returns the number of characters of the longest text of `part`; an upper bound if variables with more than 2¹⁶
/// combinations meet in one choice.
pub(super) fn longest(variables: &[Variable], part: &Part) -> usize {
    most(&lengths(variables, part))
}

/// Returns an upper bound of the length: the sum of the largest entries of all tables.
fn most(lengths: &Lengths) -> usize {
    lengths.values().map(|table| table.iter().max().copied().unwrap_or(0)).sum()
}

fn lengths(variables: &[Variable], part: &Part) -> Lengths {
    match part {
        Part::Text(text) => constant(text.chars().count()),
        Part::Use(v, field) => {
            let records = variables[*v].records.iter();
            let table = records.map(|(_, fields)| fields[*field].chars().count()).collect();
            Lengths::from([(vec![*v], table)])
        }
        Part::Sequence(parts) => {
            let mut sum = Lengths::new();
            parts.iter().for_each(|part| add(&mut sum, lengths(variables, part)));
            sum
        }
        Part::Choice(of) => {
            let all: Vec<Lengths> = of.iter().map(|(_, part)| lengths(variables, part)).collect();
            let used = union(all.iter().flat_map(|sum| sum.keys()));
            let tables: Option<Vec<Table>> =
                all.iter().map(|sum| together(variables, sum, &used)).collect();
            match tables {
                Some(tables) => {
                    let largest = |mut a: Table, b: Table| {
                        a.iter_mut().zip(b).for_each(|(a, b)| *a = (*a).max(b));
                        a
                    };
                    let table = tables.into_iter().reduce(largest).unwrap_or_else(|| vec![0]);
                    Lengths::from([(used, table)])
                }
                None => constant(all.iter().map(most).max().unwrap_or(0)),
            }
        }
        Part::Scope(v, inside) => {
            let inside = lengths(variables, inside);
            let (on, mut sum): (Lengths, Lengths) =
                inside.into_iter().partition(|(used, _)| used.contains(v));
            // Last, so that its records are contiguous.
            let mut used = union(on.keys());
            used.retain(|other| other != v);
            let outside = used.clone();
            used.push(*v);
            match together(variables, &on, &used) {
                Some(table) => {
                    let records = variables[*v].records.len().max(1);
                    let largest = |of: &[usize]| of.iter().max().copied().unwrap_or(0);
                    let table = table.chunks(records).map(largest).collect();
                    add(&mut sum, Lengths::from([(outside, table)]));
                }
                None => add(&mut sum, constant(most(&on))),
            }
            sum
        }
    }
}

fn constant(length: usize) -> Lengths {
    Lengths::from([(Vec::new(), vec![length])])
}

fn add(sum: &mut Lengths, other: Lengths) {
    for (used, table) in other {
        match sum.get_mut(&used) {
            Some(known) => known.iter_mut().zip(table).for_each(|(a, b)| *a += b),
            None => {
                sum.insert(used, table);
            }
        }
    }
}

/// Returns the variables, in order, without repetition.
fn union<'a>(lists: impl Iterator<Item = &'a Vec<usize>>) -> Vec<usize> {
    let mut all: Vec<usize> = lists.flatten().copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Returns a sum of tables as one table over `used`; `None` if it has more than [`MOST`] entries.
fn together(variables: &[Variable], sum: &Lengths, used: &[usize]) -> Option<Table> {
    let records = |v: &usize| variables[*v].records.len();
    let entries = used
        .iter()
        .try_fold(1, |n: usize, v| n.checked_mul(records(v)).filter(|entries| *entries <= MOST))?;
    let mut all = vec![0; entries];
    for (on, table) in sum {
        // The strides in `table` of the variables of `used`.
        let stride = |v: &usize| match on.iter().position(|other| other == v) {
            Some(place) => on[place + 1..].iter().map(records).product::<usize>(),
            None => 0,
        };
        let strides: Vec<usize> = used.iter().map(stride).collect();
        for (entry, length) in all.iter_mut().enumerate() {
            let (mut rest, mut at) = (entry, 0);
            for (v, stride) in used.iter().zip(&strides).rev() {
                at += rest % records(v) * stride;
                rest /= records(v);
            }
            *length += table[at];
        }
    }
    Some(all)
}
