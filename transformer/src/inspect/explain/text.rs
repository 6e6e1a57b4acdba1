//! A derivation as plain text.

use super::derived::{Role, decimal};
use super::{Derived, Explanation, Path, Place, Quantity};
use linalg::Real;
use linalg::derivation::{Part, What};
use linalg::formula::{Function, constant};
use std::fmt::Write;

/// A sum with more terms than this is printed as a table.
const SHORT: usize = 4;
/// Number of terms in a table.
const SHOWN: usize = 8;

/// The precedence of a part's last operation.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Bond {
    Sum,
    Product,
    Atom,
}

impl<T: Real> Explanation<T> {
    /// Formats the arithmetic of a number for a terminal.
    pub fn text(&self, derived: &Derived) -> String {
        let mut out = format!("{} = {}\n", derived.name, derived.decimal);
        if let Some(given) = derived.given {
            let _ = writeln!(out, "  {given}");
            return out;
        }
        let several = derived.paths.len() > 1;
        for (i, path) in derived.paths.iter().enumerate() {
            let gradient = derived.place.quantity == Quantity::Gradient;
            if gradient && several {
                let (n, total) = (i + 1, derived.paths.len());
                let _ = writeln!(out, "\n  path {n} of {total}, by {}", path.through);
            } else if gradient {
                let _ = writeln!(out, "\n  by {}", path.through);
            } else {
                out.push('\n');
            }
            self.write_path(&mut out, path);
        }
        if several {
            let parts = derived.paths.iter().map(|p| {
                let value = p.derivation.part.value;
                if value < 0.0 { format!("({})", number(value)) } else { number(value) }
            });
            let parts = parts.collect::<Vec<_>>().join(" + ");
            let _ = writeln!(out, "\n  all paths: {parts} = {}", number(derived.value));
        }
        let _ = writeln!(
            out,
            "\n  stored {}; this arithmetic gives {}, and they may differ by {:.1e} of rounding",
            derived.decimal,
            number(derived.value),
            derived.bound
        );
        out
    }

    fn write_path(&self, out: &mut String, path: &Path) {
        let Path { operation, branch, source, .. } = path;
        let _ = writeln!(out, "  {operation} ({branch}; {source})");
        let _ = writeln!(out, "  {}", path.meaning);
        let _ = writeln!(out, "\n    {}", path.equation);
        for definition in path.definitions.iter().chain(&path.indices) {
            let _ = writeln!(out, "    with {definition}");
        }
        out.push('\n');
        let mut sums = 0;
        for (k, named) in path.derivation.definitions.iter().enumerate() {
            self.write_part(out, path, &label(path, k), &named.part, &mut sums);
        }
        self.write_part(out, path, "", &path.derivation.part, &mut sums);
    }

    /// Writes a part in names, in numbers, and as a number; long sums as tables below it.
    fn write_part(&self, out: &mut String, path: &Path, left: &str, part: &Part, sums: &mut usize) {
        let mut long = Vec::new();
        collect(part, &mut long);
        let first = *sums;
        let symbol = |part: &Part| {
            let place = long.iter().position(|p| std::ptr::eq(*p, part));
            place.map(|i| format!("Σ{}", below(first + i + 1)))
        };
        let names = self.part(path, part, true, Bond::Sum, &symbol);
        let numbers = self.part(path, part, false, Bond::Sum, &symbol);
        let _ = writeln!(out, "    {left}{}= {names}", if left.is_empty() { "" } else { " " });
        if names != numbers {
            let _ = writeln!(out, "    {}= {numbers}", " ".repeat(left.chars().count().max(1) - 1));
        }
        if numbers != number(part.value) {
            let blank = " ".repeat(left.chars().count().max(1) - 1);
            let _ = writeln!(out, "    {blank}= {}", number(part.value));
        }
        // A sum over few tokens needs no table.
        let mut short = Vec::new();
        self.columns(path, part, &mut short);
        short.sort_unstable();
        short.dedup();
        if path.role == Role::Gradient && long.is_empty() && short.len() > 1 {
            let tokens: Vec<String> = short.iter().map(|&column| self.token_at(column)).collect();
            let _ = writeln!(out, "      {}", tokens.join(", "));
        }
        for (i, sum) in long.iter().enumerate() {
            let (What::Sum(terms) | What::Largest(terms)) = &sum.what else { continue };
            let largest = matches!(sum.what, What::Largest(_));
            let word = if largest { "the largest of" } else { "the sum of" };
            let _ = writeln!(
                out,
                "      Σ{}: {word} {} terms = {}",
                below(first + i + 1),
                terms.len(),
                number(sum.value)
            );
            self.write_terms(out, path, terms, largest);
        }
        *sums += long.len();
    }

    fn write_terms(&self, out: &mut String, path: &Path, terms: &[Part], largest: bool) {
        let mut order: Vec<usize> = (0..terms.len()).collect();
        let size = |t: &Part| if largest { t.value } else { t.value.abs() };
        order.sort_by(|&a, &b| size(&terms[b]).total_cmp(&size(&terms[a])));
        let shown = if terms.len() <= SHOWN + 2 { terms.len() } else { SHOWN };
        // The tokens of the terms, if they belong to different columns.
        let columns: Vec<Option<usize>> =
            order.iter().map(|&t| self.column(path, &terms[t])).collect();
        let differ = columns.iter().any(|c| *c != columns[0]);
        let rows: Vec<[String; 4]> = order[..shown]
            .iter()
            .zip(&columns)
            .map(|(&t, column)| {
                let term = &terms[t];
                let plain = |_: &Part| None;
                let token = column.filter(|_| differ).map(|column| self.token_at(column));
                [
                    self.part(path, term, true, Bond::Product, &plain),
                    self.part(path, term, false, Bond::Product, &plain),
                    number(term.value),
                    token.unwrap_or_default(),
                ]
            })
            .collect();
        let width = |c: usize| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
        let (first, second, third) = (width(0), width(1), width(2));
        for [names, numbers, value, token] in &rows {
            let equals = if numbers == value { String::new() } else { format!("= {value}") };
            let line = format!(
                "        {names:<first$}  {numbers:<second$}  {equals:<third$}  {token}",
                third = third + 2
            );
            let _ = writeln!(out, "{}", line.trim_end());
        }
        let rest = &order[shown..];
        if !rest.is_empty() && !largest {
            let sum: f64 = rest.iter().map(|&t| terms[t].value).sum();
            let more = format!("{} more", rest.len());
            let _ = writeln!(out, "        {more:<first$}  {:<second$}  = {}", "", number(sum));
        }
    }

    /// Returns the column of a term, if all its elements that belong to tokens have the same one.
    fn column(&self, path: &Path, term: &Part) -> Option<usize> {
        let mut columns = Vec::new();
        self.columns(path, term, &mut columns);
        columns.dedup();
        if let [column] = columns[..] { Some(column) } else { None }
    }

    /// Returns the columns of a part's elements, as far as columns are tokens.
    fn columns(&self, path: &Path, part: &Part, columns: &mut Vec<usize>) {
        match &part.what {
            What::Element(..) => {
                let place = self.place_of(path, part);
                columns.extend(place.filter(|p| self.of_tokens(p.node)).map(|p| p.column));
            }
            What::Sum(parts) | What::Largest(parts) | What::Product(parts) => {
                parts.iter().for_each(|p| self.columns(path, p, columns));
            }
            What::Quotient(parts) => parts.iter().for_each(|p| self.columns(path, p, columns)),
            What::Negative(p) | What::Apply(_, p) => self.columns(path, p, columns),
            What::Number | What::Named(_) => {}
        }
    }

    /// Checks whether a value has a column for every token.
    fn of_tokens(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        let columns = node.shape.columns == self.subject.tokens.len();
        columns && node.heads.is_none() && node.parameter.is_none()
    }

    /// Returns the token of a column, with its text: `token 3 "a"`.
    fn token_at(&self, column: usize) -> String {
        format!("token {column} {:?}", self.token_name(self.subject.tokens[column]))
    }

    /// Returns the name of an element within arithmetic.
    fn short(&self, place: &Place) -> String {
        let name = self.named(place.node, place.row, place.column);
        match place.quantity {
            Quantity::Value => name,
            Quantity::Gradient => format!("∇{name}"),
            Quantity::Clipped => format!("g′ of {name}"),
            Quantity::Updated => format!("updated {name}"),
            Quantity::Remembered(k) => {
                format!("{} of {name}", self.remembered[k].0.replace('_', " "))
            }
        }
    }

    fn part(
        &self,
        path: &Path,
        part: &Part,
        names: bool,
        bond: Bond,
        symbol: &dyn Fn(&Part) -> Option<String>,
    ) -> String {
        if let Some(symbol) = symbol(part) {
            return if names { symbol } else { bracketed(number(part.value), bond) };
        }
        let inner = |p: &Part, bond: Bond| self.part(path, p, names, bond, symbol);
        let (own, text) = match &part.what {
            What::Number => return bracketed(constant(part.value), bond),
            What::Named(k) if names => (Bond::Atom, label(path, *k)),
            What::Named(_) => return bracketed(number(part.value), bond),
            What::Element(..) => match self.place_of(path, part) {
                Some(place) if names => (Bond::Atom, self.short(&place)),
                _ => return bracketed(decimal::<T>(part.value), bond),
            },
            What::Sum(parts) if parts.is_empty() => (Bond::Atom, "0".to_owned()),
            What::Sum(parts) => {
                let mut text = String::new();
                for (i, p) in parts.iter().enumerate() {
                    let (sign, p) = match &p.what {
                        What::Negative(p) => ("−", &**p),
                        _ => ("+", p),
                    };
                    match (i, sign) {
                        (0, "+") => {}
                        (0, _) => text.push_str(sign),
                        _ => text.push_str(&format!(" {sign} ")),
                    }
                    text.push_str(&inner(
                        p,
                        if text.is_empty() { Bond::Sum } else { Bond::Product },
                    ));
                }
                (if parts.len() == 1 { Bond::Product } else { Bond::Sum }, text)
            }
            What::Largest(parts) => {
                let parts: Vec<String> = parts.iter().map(|p| inner(p, Bond::Sum)).collect();
                (Bond::Atom, format!("max({})", parts.join(", ")))
            }
            What::Product(parts) => {
                let parts: Vec<String> = parts.iter().map(|p| inner(p, Bond::Product)).collect();
                (Bond::Product, parts.join("·"))
            }
            What::Quotient(parts) => {
                let [a, b] = &**parts;
                (Bond::Product, format!("{}/{}", inner(a, Bond::Product), inner(b, Bond::Atom)))
            }
            What::Negative(p) => (Bond::Sum, format!("−{}", inner(p, Bond::Product))),
            What::Apply(function, p) => {
                let inside = inner(p, Bond::Sum);
                let text = match function {
                    Function::Exp => format!("e^({inside})"),
                    Function::Sqrt => format!("√({inside})"),
                    Function::Positive => format!("[{inside} > 0]"),
                    _ => format!("{}({inside})", function.name()),
                };
                (Bond::Atom, text)
            }
        };
        if own < bond { format!("({text})") } else { text }
    }
}

/// Puts a negative number in brackets within a product or power.
fn bracketed(text: String, bond: Bond) -> String {
    if bond > Bond::Sum && text.starts_with('−') { format!("({text})") } else { text }
}

/// The long sums of a part, from the outside in; not within each other.
fn collect<'a>(part: &'a Part, long: &mut Vec<&'a Part>) {
    match &part.what {
        What::Sum(parts) | What::Largest(parts) if parts.len() > SHORT => long.push(part),
        What::Sum(parts) | What::Largest(parts) | What::Product(parts) => {
            parts.iter().for_each(|p| collect(p, long));
        }
        What::Quotient(parts) => parts.iter().for_each(|p| collect(p, long)),
        What::Negative(p) | What::Apply(_, p) => collect(p, long),
        What::Number | What::Element(..) | What::Named(_) => {}
    }
}

/// Returns the name of a definition: its symbol, and its indices if there are several.
fn label(path: &Path, k: usize) -> String {
    let named = &path.derivation.definitions[k];
    let same = path.derivation.definitions.iter().filter(|n| n.name == named.name).count();
    let at: Vec<String> = named.at.iter().map(i64::to_string).collect();
    if same == 1 { named.name.to_owned() } else { format!("{}({})", named.name, at.join(",")) }
}

/// Formats subscript digits.
fn below(n: usize) -> String {
    n.to_string()
        .chars()
        .filter_map(|c| char::from_u32('₀' as u32 + c as u32 - '0' as u32))
        .collect()
}

/// Formats a computed number to nine significant digits.
pub(super) fn number(x: f64) -> String {
    if !x.is_finite() {
        return decimal::<f64>(x);
    }
    let power = format!("{x:.8e}");
    let rounded: f64 = power.parse().unwrap_or(x);
    decimal::<f64>(rounded)
}
