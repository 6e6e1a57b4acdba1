//! Formulas as text and as arithmetic: a printed formula, parsed by textbook rules, has the derived value, and the
//! result in a scalar is within the stated bound.

use linalg::formula::{
    COLUMN, Expression, Formula, Function, HEAD, I, Index, J, K, Matter, R, TOKEN, at_most, called,
    cases, constant, cos, equal, erf, exp, largest, ln, operand, output, positive, sin, sqrt, sum,
    sum_where, tanh, upstream, whole,
};
use linalg::{Derivation, Real, matrix};
use proptest::prelude::*;

fn of(value: impl Into<Expression>) -> Formula {
    Formula::new("y", ["x", "w"], "", "").value(value)
}

fn text(value: impl Into<Expression>) -> String {
    let text = of(value).value.to_string();
    text.strip_prefix("y[i,j] = ").expect("a left side").to_owned()
}

fn derived(value: impl Into<Expression>, x: f64) -> Derivation {
    of(value).derive((1, 2), |_, _, _| x)
}

/// A parser with textbook precedence: signs and sums bind least, Σ extends to the end of its product, products and
/// quotients are evaluated from the left. Σₖ has [`TERMS`] terms.
struct Reader<'a>(std::iter::Peekable<std::str::Chars<'a>>);

const TERMS: usize = 3;

impl Reader<'_> {
    fn next_is(&mut self, c: char) -> bool {
        self.0.next_if_eq(&c).is_some()
    }

    fn sum(&mut self) -> f64 {
        let mut value = if self.next_is('−') { -self.product() } else { self.product() };
        while self.next_is(' ') {
            let sign = self.0.next();
            assert!(self.next_is(' '));
            match sign {
                Some('+') => value += self.product(),
                Some('−') => value -= self.product(),
                other => panic!("{other:?} between two terms"),
            }
        }
        value
    }

    fn product(&mut self) -> f64 {
        let mut value = self.factor();
        loop {
            if self.next_is('·') {
                value *= self.factor();
            } else if self.next_is('/') {
                value /= self.factor();
            } else {
                return value;
            }
        }
    }

    fn factor(&mut self) -> f64 {
        if self.next_is('Σ') {
            assert!(self.next_is('ₖ') && self.next_is(' '));
            return TERMS as f64 * self.product();
        }
        if self.next_is('(') {
            let value = self.sum();
            assert!(self.next_is(')'));
            return value;
        }
        let mut number = String::new();
        while let Some(c) = self.0.next_if(|c| {
            c.is_ascii_digit() || "e.".contains(*c) || (*c == '-' && number.ends_with('e'))
        }) {
            number.push(c);
        }
        number.parse().unwrap_or_else(|_| panic!("{number:?} is no number"))
    }
}

fn arithmetic() -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![
        (-9i32..10).prop_map(|n| Expression::Number(f64::from(n))),
        (-9f64..9.0).prop_map(Expression::Number),
        (-9f64..9.0, -20i32..20).prop_map(|(x, e)| Expression::Number(x * 10f64.powi(e))),
    ];
    leaf.prop_recursive(4, 32, 3, |inner| {
        let some = || prop::collection::vec(inner.clone(), 1..4);
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            some().prop_map(Expression::Plus),
            some().prop_map(Expression::Times),
            pair.prop_map(|(a, b)| Expression::Over(Box::new(a), Box::new(b))),
            inner.clone().prop_map(|a| Expression::Minus(Box::new(a))),
            inner.prop_map(|a| sum(K, TERMS, a)),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_is_what_is_meant(e in arithmetic()) {
        let printed = text(e.clone());
        let mut reader = Reader(printed.chars().peekable());
        let read = reader.sum();
        prop_assert!(reader.0.next().is_none(), "{} ends early", printed);
        let meant = derived(e, f64::NAN);
        // A quotient by a number that cancels to 0 has no meaningful value.
        prop_assume!(meant.part.error.is_finite() && meant.part.value.is_finite());
        // Constants are printed to 10⁻¹².
        prop_assert!(meant.makes(read, 8e-12, f64::MIN_POSITIVE), "{} is {:e}", printed, read);
    }

    #[test]
    fn constants_are_right_to_twelve_digits(x in -9f64..9.0, e in -300i32..300) {
        let x = x * 10f64.powi(e);
        let back: f64 = constant(x).replacen('−', "-", 1).parse().unwrap();
        prop_assert!((back - x).abs() <= 1e-12 * x.abs());
        prop_assert_eq!(back < 0.0, x < 0.0);
    }

    #[test]
    fn a_scalar_is_within_the_stated_bound(
        x in prop_oneof![9 => -3f32..3.0, 1 => Just(0.0)], scale in 0f64..9.0,
    ) {
        let scaled = |positive: bool| {
            let x = operand(0).at(I, J);
            scale * if positive { x.clone() * x } else { x }
        };
        let narrow = |positive: bool| scale as f32 * if positive { x * x } else { x };
        let trials: [(Expression, f32); 8] = [
            (exp(scaled(false)), Real::exp(narrow(false))),
            (ln(scaled(true) + 1.0), Real::ln(narrow(true) + 1.0)),
            (sqrt(scaled(true)), Real::sqrt(narrow(true))),
            (tanh(scaled(false)), Real::tanh(narrow(false))),
            (erf(scaled(false)), Real::erf(narrow(false))),
            (sin(scaled(false)), Real::sin(narrow(false))),
            (cos(scaled(false)), Real::cos(narrow(false))),
            (positive(operand(0).at(I, J)), f32::from(u8::from(x > 0.0))),
        ];
        for (stated, computed) in trials {
            let shown = text(stated.clone());
            let derivation = derived(stated, f64::from(x));
            let (epsilon, smallest) = (f64::from(f32::EPSILON), f64::from(f32::MIN_POSITIVE));
            prop_assert!(
                derivation.makes(f64::from(computed), epsilon, smallest),
                "{} at {} is {}, not {} ± {:e}", shown, x, derivation.part.value, computed,
                derivation.bound(epsilon, smallest)
            );
        }
    }
}

#[test]
fn the_root_of_what_cancels_is_as_uncertain_as_a_root_can_be() {
    // 3·(1/3·x) − x is 0 or a rounding error of either sign: its square root is within √error of 0.
    let x = || operand(0).at(I, J);
    let rest = derived(3.0 * (x() / 3.0) - x(), 1.0);
    assert_eq!(rest.part.value, 0.0);
    let root = derived(sqrt(3.0 * (x() / 3.0) - x()), 1.0);
    assert_eq!((root.part.value, root.part.error), (0.0, rest.part.error.sqrt()));
    assert!(rest.part.error > 0.0);
}

#[test]
fn functions_and_cases_in_print() {
    let x = || operand(0).at(I, J);
    assert_eq!(text(exp(x() - 1.0)), "e^(x[i,j] − 1)");
    assert_eq!(text(sqrt(x()) / ln(x())), "√(x[i,j])/ln(x[i,j])");
    assert_eq!(text(tanh(x()) * erf(x())), "tanh(x[i,j])·erf(x[i,j])");
    assert_eq!(text(sin(x()) - cos(x())), "sin(x[i,j]) − cos(x[i,j])");
    assert_eq!(text(positive(x())), "[x[i,j] > 0]");
    assert_eq!(text(-(x() + 1.0)), "−(x[i,j] + 1)");
    assert_eq!(text(-x()), "−x[i,j]");
    assert_eq!(text(cases(at_most(K, J), x(), f64::NEG_INFINITY)), "x[i,j] if k ≤ j, else (−∞)");
    assert_eq!(text(2.0 * cases(equal(I, J), 1.0, 0.0)), "2·(1 if i = j, else 0)");
    assert_eq!(text(sum_where(TOKEN, 4, at_most(TOKEN, J), x())), "Σₜ: t ≤ j x[i,j]");
    assert_eq!(text(largest(R, 3, None, operand(0).at(R, J) + 1.0)), "maxᵣ (x[r,j] + 1)");
    assert_eq!(text(largest(R, 3, Some(equal(R, I)), x())), "maxᵣ: r = i x[i,j]");
    // A sum needs brackets before a following factor, but not after a preceding one.
    assert_eq!(text(sum(K, 2, x()) * 3.0), "(Σₖ x[i,j])·3");
    assert_eq!(text(3.0 * sum(K, 2, x())), "3·Σₖ x[i,j]");
    assert_eq!(text(sum(K, 2, x()) / 3.0), "(Σₖ x[i,j])/3");
    assert_eq!(text(output().at(I, J) * upstream().at(I, J)), "y[i,j]·dy[i,j]");
    for f in [Function::Exp, Function::Ln, Function::Sqrt, Function::Tanh, Function::Erf] {
        assert!(f.of(f64::NAN).is_nan());
    }
    assert_eq!(
        [f64::NAN, -0.0, 0.0, 5e-324].map(|x| Function::Positive.of(x)),
        [0.0, 0.0, 0.0, 1.0]
    );
    assert!(Function::Sin.of(f64::INFINITY).is_nan() && Function::Cos.of(f64::NAN).is_nan());
    assert_eq!(
        [Function::Ln.of(-0.0), Function::Exp.of(710.0)],
        [f64::NEG_INFINITY, f64::INFINITY]
    );
    for (function, name) in [
        (Function::Exp, "exp"),
        (Function::Ln, "ln"),
        (Function::Sqrt, "sqrt"),
        (Function::Tanh, "tanh"),
        (Function::Erf, "erf"),
        (Function::Sin, "sin"),
        (Function::Cos, "cos"),
        (Function::Positive, "positive"),
    ] {
        assert_eq!(function.name(), name);
    }
}

#[test]
fn constants_in_print() {
    let shown = [0.0, 1.0, -0.5, 1.0 - 0.9, 1e-8, -1e-9, 1e30, 1234.5].map(constant);
    assert_eq!(shown, ["0", "1", "−0.5", "0.1", "1e-8", "−1e-9", "1e30", "1234.5"]);
    assert_eq!(constant(f64::NEG_INFINITY), "−∞");
    assert_eq!([constant(f64::INFINITY), constant(f64::NAN)], ["∞", "NaN"]);
}

#[test]
fn indices_in_print_and_in_numbers() {
    let h = called(HEAD, J / 4 % 2);
    let shown = |index: Index| text(whole(index));
    assert_eq!(shown(I + J), "i+j");
    assert_eq!(shown((I - 1) * 2), "2·(i−1)");
    assert_eq!(shown((I + 1) / 2), "⌊(i+1)/2⌋");
    assert_eq!(shown(J / 4 % 2), "⌊j/4⌋ mod 2");
    assert_eq!(shown(h.clone() * 3 + K), "3·h+k");
    assert_eq!(shown(operand(1).index(0, J) % 7), "w[0,j] mod 7");
    assert_eq!(text(operand(0).at(operand(1).index(0, J), I)), "x[w[0,j],i]");

    // A named index is explained where it is used, also inside of a condition, of another index, and of a definition's
    // index.
    let mut f = Formula::new("y", ["x", "w"], "", "");
    let c = called(COLUMN, h.clone() * 8 + J);
    let share = f.define("p", [I, J], operand(0).at(I, J));
    let unused = f.define("q", [], 2.0);
    let both = f.define("z", [J], share.at2(0, J) * 2.0);
    let value =
        cases(at_most(h.clone(), I), share.at2(c.clone(), J) + both.at(J), whole(c.clone()));
    let f = f.value(value.clone()).gradient(sum_where(
        K,
        2,
        equal(h, K),
        largest(R, 2, Some(at_most(operand(1).index(0, R) - 1, c)), 1.0),
    ));
    assert_eq!(f.indices(&f.value.right), ["c = 8·h+j", "h = ⌊j/4⌋ mod 2"]);
    let gradient = &f.gradients[0].as_ref().expect("one").right;
    assert_eq!(f.indices(gradient), ["c = 8·h+j", "h = ⌊j/4⌋ mod 2"]);
    assert_eq!(f.value.to_string(), "y[i,j] = (p_cj + zⱼ) if h ≤ i, else c");
    assert_eq!(f.defining(2).to_string(), "zⱼ = p₀ⱼ·2");
    assert_eq!(f.defining(0).to_string(), "pᵢⱼ = x[i,j]");
    assert_eq!(f.clone().value(-unused.plain()).value.to_string(), "y[i,j] = −q");
    let looked_up = -exp(operand(0).at(called(HEAD, I / 2), called(COLUMN, J % 3)));
    assert_eq!(f.indices(&looked_up), ["c = j mod 3", "h = ⌊i/2⌋"]);
    let shifted = f.clone().value(share.at2(I + 1, J));
    assert_eq!(shifted.value.to_string(), "y[i,j] = p(i+1,j)");
    // Indirect uses count; unused definitions do not.
    assert_eq!(f.used(&f.value.right), [0, 2]);
    assert_eq!(f.used(&unused.plain()), [1]);
    assert!(f.used(gradient).is_empty());
    assert!(of(unused).value.right == unused.plain());

    // The values at [1, 5]: h = 1, c = 13; 1 ≤ 1, so p(13, 5) + z₅.
    let numbers = |_: Matter, i: usize, j: usize| (100 * i + j) as f64;
    let found = f.derive((1, 5), numbers);
    assert_eq!(found.part.value, 1305.0 + 2.0 * 5.0);
    assert_eq!(f.derive((0, 5), numbers).part.value, 13.0); // 1 > 0: c itself
    let found = f.derive_gradient(0, (1, 5), numbers).expect("a gradient");
    assert_eq!(found.part.value, 1.0); // k = h = 1, and both w[0, r] − 1 ≤ 13
}

#[test]
fn what_lies_outside_is_nan() {
    let mut f = Formula::new("y", ["x"], "", "");
    let table = f.table("mask", matrix(2, 1, &[3.0, 4.0]));
    let f = f.value(table.at(I, J)).no_gradient();
    assert_eq!(f.value.to_string(), "y[i,j] = mask[i,j]");
    let read = |at| f.derive(at, |_, _, _| 0.0).part.value;
    assert_eq!([read((0, 0)), read((1, 0))], [3.0, 4.0]);
    assert!(read((2, 0)).is_nan() && read((0, 1)).is_nan());
    assert!(derived(operand(0).at(I - 5, J), 1.0).part.value.is_nan());
    assert!(f.derive_gradient(0, (0, 0), |_, _, _| 0.0).is_none());
    // The maximum and the sum of no terms.
    assert_eq!(derived(largest(K, 0, None, 1.0), 0.0).part.value, f64::NEG_INFINITY);
    assert_eq!(derived(sum(K, 0, 1.0), 0.0).part.value, 0.0);
    // NaN and ∞ equal only themselves.
    let nan = derived(operand(0).at(I, J), f64::NAN);
    assert!(nan.makes(f64::NAN, 1.0, 1.0) && !nan.makes(0.0, 1.0, 1.0));
    let infinite = derived(exp(operand(0).at(I, J)), 1e3);
    assert!(infinite.makes(f64::INFINITY, 1.0, 1.0) && !infinite.makes(f64::MAX, 1.0, 1.0));
}
