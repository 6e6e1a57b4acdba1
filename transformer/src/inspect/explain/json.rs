//! Derivations and formulas as JSON: for scripts, and for the page, which evaluates formulas itself.

use super::derived::decimal;
use super::{Derived, Explanation, Path};
use linalg::derivation::{Part, What};
use linalg::formula::{Condition, Equation, Expression, Index, Matter, Range, Relation};
use linalg::{Formula, Real};
use serde_json::{Value, json};

/// Converts a number; non-finite ones become strings.
pub(super) fn number(x: f64) -> Value {
    match x {
        _ if x.is_nan() => json!("nan"),
        f64::INFINITY => json!("inf"),
        f64::NEG_INFINITY => json!("-inf"),
        _ => json!(x),
    }
}

/// Converts a scalar to its shortest decimal, which reads back as the scalar.
pub(super) fn scalar<T: Real>(x: f64) -> Value {
    if size_of::<T>() == 4 && x.is_finite() {
        let short = decimal::<T>(x).replace('−', "-").parse();
        return number(short.unwrap_or(x));
    }
    number(x)
}

impl<T: Real> Explanation<T> {
    /// Converts a derivation to JSON. A part is one of `{"number": x}`, `{"element": address, "of": quantity, "value":
    /// x}`, `{"named": k}` (of `where`), `{"sum": […]}`, `{"largest": […]}`, `{"product": […]}`, `{"quotient": [a,
    /// b]}`, `{"negative": a}`, or a function's name over its argument.
    pub fn json(&self, derived: &Derived) -> Value {
        let paths = derived.paths.iter().map(|path| {
            let named = path.derivation.definitions.iter().map(|n| {
                json!({ "name": n.name, "at": n.at, "value": number(n.part.value), "is": self.tree(path, &n.part) })
            });
            json!({
                "through": path.through,
                "operation": path.operation,
                "branch": path.branch,
                "meaning": path.meaning,
                "source": path.source,
                "formula": path.equation,
                "definitions": path.definitions,
                "where": named.collect::<Vec<_>>(),
                "value": number(path.derivation.part.value),
                "is": self.tree(path, &path.derivation.part),
            })
        });
        json!({
            "name": derived.name,
            "stored": scalar::<T>(derived.stored),
            "value": number(derived.value),
            "bound": number(derived.bound),
            "holds": derived.holds(),
            "given": derived.given,
            "paths": paths.collect::<Vec<_>>(),
        })
    }

    fn tree(&self, path: &Path, part: &Part) -> Value {
        let all = |parts: &[Part]| Value::Array(parts.iter().map(|p| self.tree(path, p)).collect());
        match &part.what {
            What::Number => json!({ "number": number(part.value) }),
            What::Named(k) => json!({ "named": k }),
            What::Element(..) => match self.place_of(path, part) {
                Some(place) => json!({
                    "element": self.named(place.node, place.row, place.column),
                    "of": place.quantity.to_string(),
                    "value": scalar::<T>(part.value),
                }),
                None => json!({ "number": number(part.value) }),
            },
            What::Sum(parts) => json!({ "sum": all(parts) }),
            What::Largest(parts) => json!({ "largest": all(parts) }),
            What::Product(parts) => json!({ "product": all(parts) }),
            What::Quotient(parts) => json!({ "quotient": all(&**parts) }),
            What::Negative(p) => json!({ "negative": self.tree(path, p) }),
            What::Apply(function, p) => json!({ (function.name()): self.tree(path, p) }),
        }
    }
}

/// Converts a formula for the page. An expression is an array whose first element is its kind.
pub(super) fn formula(f: &Formula) -> Value {
    let definitions = f.definitions.iter().map(|d| {
        let letters: Vec<String> = d.letters.iter().map(|l| l.0.to_string()).collect();
        json!({ "name": d.name, "letters": letters, "is": expression(&d.value) })
    });
    let right = |e: &Equation| expression(&e.right);
    json!({
        "output": f.output,
        "operands": f.operands,
        "tables": f.tables.iter().map(|t| t.0).collect::<Vec<_>>(),
        "meaning": f.meaning,
        "source": f.source,
        "definitions": definitions.collect::<Vec<_>>(),
        "value": right(&f.value),
        "gradients": f.gradients.iter().map(|g| g.as_ref().map(right)).collect::<Vec<_>>(),
    })
}

fn matter(of: Matter) -> Value {
    match of {
        Matter::Operand(o) => json!(o),
        Matter::Output => json!("y"),
        Matter::Upstream => json!("dy"),
        Matter::Table(t) => json!(format!("t{t}")),
    }
}

fn index(i: &Index) -> Value {
    match i {
        Index::Letter(l) => json!(l.0.to_string()),
        Index::Number(n) => json!(n),
        Index::Plus(a, b) => json!(["+", index(a), index(b)]),
        Index::Minus(a, n) => json!(["-", index(a), n]),
        Index::Times(a, n) => json!(["*", index(a), n]),
        Index::Over(a, n) => json!(["/", index(a), n]),
        Index::Modulo(a, n) => json!(["%", index(a), n]),
        Index::Called(l, a) => json!(["called", index(a), l.0.to_string()]),
        Index::Found(of, row, column) => json!(["[]", matter(*of), index(row), index(column)]),
    }
}

fn condition(c: &Condition) -> Value {
    let relation = match c.relation {
        Relation::Equal => "=",
        Relation::AtMost => "<=",
    };
    json!([relation, index(&c.left), index(&c.right)])
}

fn range(r: &Range) -> Value {
    json!([r.letter.0.to_string(), r.count, r.when.as_ref().map(condition)])
}

fn expression(e: &Expression) -> Value {
    let all = |parts: &[Expression]| parts.iter().map(expression).collect::<Vec<_>>();
    match e {
        Expression::Number(x) => json!(["n", number(*x)]),
        Expression::Whole(i) => json!(["i", index(i)]),
        Expression::Element(of, row, column) => {
            json!(["e", matter(*of), index(row), index(column)])
        }
        Expression::Defined(d, at) => json!(["d", d, at.iter().map(index).collect::<Vec<_>>()]),
        Expression::Sum(r, term) => json!(["sum", range(r), expression(term)]),
        Expression::Largest(r, term) => json!(["max", range(r), expression(term)]),
        Expression::Plus(parts) => json!(["+", all(parts)]),
        Expression::Times(parts) => json!(["*", all(parts)]),
        Expression::Over(a, b) => json!(["/", expression(a), expression(b)]),
        Expression::Minus(a) => json!(["-", expression(a)]),
        Expression::Apply(f, a) => json!(["f", f.name(), expression(a)]),
        Expression::Cases(c, a, b) => json!(["if", condition(c), expression(a), expression(b)]),
    }
}
