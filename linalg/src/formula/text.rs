//! Formulas as plain text.

use super::{Condition, Equation, Expression, Function, Index, Matter, Names, Range, Relation};
use std::fmt::{Formatter, Result, Write};

/// The binding strength of an expression's last operation.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Bond {
    Sum,
    Product,
    Atom,
}

/// Writes "y\[i,j\] = …"; the left side of a definition already has its indices.
pub(super) fn equation(f: &mut Formatter<'_>, e: &Equation) -> Result {
    let matrix = |name: &str| name == e.names.output || e.names.operands.contains(&name);
    let gradient = e.left.strip_prefix('d').is_some_and(|name| e.names.operands.contains(&name));
    let indexed = matrix(&e.left) || gradient;
    write!(f, "{}{} = ", e.left, if indexed { "[i,j]" } else { "" })?;
    expression(f, &e.names, &e.right, Bond::Sum)
}

/// Formats a constant with twelve digits: 1 − 0.9 is shown as 0.1. Non-finite values are "∞", "−∞" and "NaN".
pub fn constant(x: f64) -> String {
    if x.is_infinite() {
        return if x > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let close = |text: &String| {
        text.parse::<f64>().is_ok_and(|y| y == x || (y - x).abs() <= 1e-12 * x.abs())
    };
    let plain = (0..17).map(|digits| format!("{x:.digits$}")).find(close);
    let power = (0..17).map(|digits| format!("{x:.digits$e}")).find(close);
    let text = match (plain, power) {
        (Some(plain), Some(power)) if plain.len() <= power.len() + 3 => plain,
        (_, Some(power)) => power,
        _ => x.to_string(),
    };
    text.replacen('-', "−", usize::from(x < 0.0))
}

/// Formats digits and letters as subscripts if Unicode has them, else after an underscore.
pub(super) fn subscript(text: &str) -> String {
    let below = |c: char| {
        Some(match c {
            '0'..='9' => char::from_u32('₀' as u32 + c as u32 - '0' as u32)?,
            'i' => 'ᵢ',
            'j' => 'ⱼ',
            'k' => 'ₖ',
            'r' => 'ᵣ',
            't' => 'ₜ',
            _ => return None,
        })
    };
    let all: Option<String> = text.chars().map(below).collect();
    all.unwrap_or_else(|| format!("_{text}"))
}

fn expression(f: &mut Formatter<'_>, names: &Names, e: &Expression, bond: Bond) -> Result {
    let own = match e {
        Expression::Plus(_) | Expression::Minus(_) | Expression::Cases(..) => Bond::Sum,
        Expression::Sum(..) | Expression::Times(_) | Expression::Over(..) => Bond::Product,
        Expression::Number(x) if *x < 0.0 => Bond::Sum,
        _ => Bond::Atom,
    };
    let brackets = own < bond;
    if brackets {
        f.write_char('(')?;
    }
    match e {
        Expression::Number(x) => f.write_str(&constant(*x))?,
        Expression::Whole(index) => write!(f, "{}", whole(names, index))?,
        Expression::Element(of, row, column) => {
            write!(f, "{}[{},{}]", matter(names, *of), whole(names, row), whole(names, column))?;
        }
        Expression::Defined(d, at) => {
            let at: Vec<String> = at.iter().map(|i| whole(names, i)).collect();
            let simple = at.iter().all(|i| i.len() == 1);
            f.write_str(names.definitions[*d])?;
            match at.len() {
                0 => {}
                _ if simple => f.write_str(&subscript(&at.concat()))?,
                _ => write!(f, "({})", at.join(","))?,
            }
        }
        Expression::Sum(range, term) => {
            over(f, names, "Σ", range)?;
            expression(f, names, term, Bond::Product)?;
        }
        Expression::Largest(range, term) => {
            over(f, names, "max", range)?;
            expression(f, names, term, Bond::Atom)?;
        }
        Expression::Plus(parts) => {
            for (i, part) in parts.iter().enumerate() {
                match part {
                    Expression::Minus(part) => {
                        f.write_str(if i > 0 { " − " } else { "−" })?;
                        expression(f, names, part, Bond::Product)?;
                    }
                    _ => {
                        f.write_str(if i > 0 { " + " } else { "" })?;
                        expression(f, names, part, Bond::Product)?;
                    }
                }
            }
        }
        Expression::Times(parts) => {
            for (i, part) in parts.iter().enumerate() {
                f.write_str(if i > 0 { "·" } else { "" })?;
                let last = i + 1 == parts.len();
                let tight = matches!(part, Expression::Sum(..)) && !last;
                expression(f, names, part, if tight { Bond::Atom } else { Bond::Product })?;
            }
        }
        Expression::Over(a, b) => {
            let tight = matches!(**a, Expression::Sum(..));
            expression(f, names, a, if tight { Bond::Atom } else { Bond::Product })?;
            f.write_str("/")?;
            expression(f, names, b, Bond::Atom)?;
        }
        Expression::Minus(a) => {
            f.write_str("−")?;
            expression(f, names, a, Bond::Product)?;
        }
        Expression::Apply(function, a) => {
            let (open, close) = match function {
                Function::Exp => ("e^(", ")"),
                Function::Sqrt => ("√(", ")"),
                Function::Positive => ("[", " > 0]"),
                _ => (function.name(), ")"),
            };
            f.write_str(open)?;
            if open == function.name() {
                f.write_char('(')?;
            }
            expression(f, names, a, Bond::Sum)?;
            f.write_str(close)?;
        }
        Expression::Cases(when, a, b) => {
            expression(f, names, a, Bond::Product)?;
            write!(f, " if {}, else ", condition(names, when))?;
            expression(f, names, b, Bond::Product)?;
        }
    }
    if brackets {
        f.write_char(')')?;
    }
    Ok(())
}

/// Returns the named indices of an expression, each as an equation, ordered by name.
pub(super) fn indices(names: &Names, e: &Expression) -> Vec<String> {
    fn find(index: &Index, found: &mut Vec<(char, Index)>) {
        match index {
            Index::Called(letter, inner) => {
                if !found.iter().any(|f| f.0 == letter.0) {
                    found.push((letter.0, (**inner).clone()));
                }
                find(inner, found);
            }
            Index::Plus(a, b) | Index::Found(_, a, b) => {
                find(a, found);
                find(b, found);
            }
            Index::Minus(a, _) | Index::Times(a, _) | Index::Over(a, _) | Index::Modulo(a, _) => {
                find(a, found);
            }
            Index::Letter(_) | Index::Number(_) => {}
        }
    }
    let mut found = Vec::new();
    let condition = |c: &Condition, found: &mut Vec<_>| {
        find(&c.left, found);
        find(&c.right, found);
    };
    e.walk(&mut |e| match e {
        Expression::Whole(i) => find(i, &mut found),
        Expression::Element(_, row, column) => {
            find(row, &mut found);
            find(column, &mut found);
        }
        Expression::Defined(_, at) => at.iter().for_each(|i| find(i, &mut found)),
        Expression::Sum(Range { when: Some(c), .. }, _)
        | Expression::Largest(Range { when: Some(c), .. }, _)
        | Expression::Cases(c, ..) => condition(c, &mut found),
        _ => {}
    });
    found.sort_by_key(|f| f.0);
    found.into_iter().map(|(letter, i)| format!("{letter} = {}", whole(names, &i))).collect()
}

fn over(f: &mut Formatter<'_>, names: &Names, sign: &str, range: &Range) -> Result {
    let letter = range.letter.0.to_string();
    match &range.when {
        None => write!(f, "{sign}{} ", subscript(&letter)),
        Some(when) => write!(f, "{sign}{}: {} ", subscript(&letter), condition(names, when)),
    }
}

fn condition(names: &Names, when: &Condition) -> String {
    let relation = match when.relation {
        Relation::Equal => "=",
        Relation::AtMost => "≤",
    };
    format!("{} {relation} {}", whole(names, &when.left), whole(names, &when.right))
}

fn matter(names: &Names, of: Matter) -> String {
    match of {
        Matter::Operand(o) => names.operands[o].to_owned(),
        Matter::Output => names.output.to_owned(),
        Matter::Upstream => format!("d{}", names.output),
        Matter::Table(t) => names.tables[t].to_owned(),
    }
}

fn whole(names: &Names, index: &Index) -> String {
    let tight = |index: &Index| match index {
        Index::Letter(_) | Index::Number(_) | Index::Called(..) | Index::Found(..) => {
            whole(names, index)
        }
        Index::Over(..) => whole(names, index),
        _ => format!("({})", whole(names, index)),
    };
    match index {
        Index::Letter(letter) => letter.0.to_string(),
        Index::Number(n) => n.to_string(),
        Index::Plus(a, b) => format!("{}+{}", whole(names, a), whole(names, b)),
        Index::Minus(a, n) => format!("{}−{n}", whole(names, a)),
        Index::Times(a, n) => format!("{n}·{}", tight(a)),
        Index::Over(a, n) => format!("⌊{}/{n}⌋", tight(a)),
        Index::Modulo(a, n) => format!("{} mod {n}", tight(a)),
        Index::Called(letter, _) => letter.0.to_string(),
        Index::Found(of, row, column) => {
            format!("{}[{},{}]", matter(names, *of), whole(names, row), whole(names, column))
        }
    }
}
