//! Real numbers of any precision, as a scalar: the reference that `f32` and `f64` are compared with.
//!
//! An [`Exact`] is a [`linalg::Real`], so that a generic function runs on it unchanged. Its numbers have as many bits as
//! [`certified`] gives them, and exponents far beyond those of `f64`: nothing overflows, and what cancels cancels
//! at a precision where nothing is lost. That the precision suffices is not assumed: [`certified`] runs the function at
//! two precisions, and doubles them until both agree.
//!
//! Arithmetic, exponential, logarithm, sine and cosine are those of `dashu-float`; the error function is its power series
//! `2/√π e^(−x²) Σ 2ᵏ x^(2k+1) / (1·3·…·(2k+1))`, whose terms all have one sign (Abramowitz and Stegun 7.1.6). ±∞ and NaN
//! follow IEEE 754, and 0 has no sign.

use dashu_float::FBig;
use dashu_float::ops::Abs;
use dashu_float::round::mode::HalfEven;
use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::HashMap;

mod real;

type Big = FBig<HalfEven, 2>;

/// The least precision, in bits.
const FIRST: usize = 192;
/// The highest that is tried.
const LAST: usize = 5000;
/// Two precisions agree where they differ by no more than 2⁻⁹⁰ of the value.
const AGREED: f64 = -90.0;
/// 2 to this is below half of every `f64` but 0.
const BELOW_ALL: f64 = -1080.0;
/// Beyond this, e^x is ∞ or 0: it is out of every type's range by far.
const EXPONENT: f64 = 1e9;

thread_local! {
    /// All numbers since the arena was last emptied. An [`Exact`] is a place in it, and so can be copied.
    static ARENA: RefCell<Vec<Big>> = const { RefCell::new(Vec::new()) };
    static PRECISION: Cell<usize> = const { Cell::new(FIRST) };
    /// Values of functions, by function, precision and argument: the same arguments come again and again.
    static KNOWN: RefCell<HashMap<(u8, usize, String), Big>> = RefCell::new(HashMap::new());
}

/// A real number of the current precision, ±∞ or NaN. It holds until [`certified`] returns, on its own thread.
#[derive(Clone, Copy)]
pub enum Exact {
    /// A number, by its place.
    Finite(u32),
    /// +∞, or −∞ where set.
    Infinite(bool),
    /// Not a number.
    Nan,
}
use Exact::{Finite, Infinite, Nan};

fn kept(value: Big) -> Exact {
    ARENA.with_borrow_mut(|arena| {
        arena.push(value);
        Finite(u32::try_from(arena.len() - 1).expect("an arena of less than 2³² numbers"))
    })
}

fn at(place: u32) -> Big {
    ARENA.with_borrow(|arena| arena[place as usize].clone())
}

fn rounded(x: Big) -> Big {
    x.with_precision(PRECISION.get()).value()
}

fn whole(n: u64) -> Big {
    rounded(Big::from(n))
}

/// The sign: −1, 0, 1.
fn sign(x: &Big) -> i32 {
    match x.partial_cmp(&Big::ZERO) {
        Some(Ordering::Less) => -1,
        Some(Ordering::Greater) => 1,
        _ => 0,
    }
}

fn unary(x: Exact, f: impl FnOnce(Big) -> Exact, infinite: impl FnOnce(bool) -> Exact) -> Exact {
    match x {
        Finite(place) => f(at(place)),
        Infinite(negative) => infinite(negative),
        Nan => Nan,
    }
}

fn pi() -> Big {
    known(8, String::new(), || whole(4) * whole(1).atan())
}

/// 2/√π e^(−x²) Σ 2ᵏ x^(2k+1) / (1·3·…·(2k+1)), for 0 ≤ x.
fn erf_of(x: &Big) -> Big {
    let bits = PRECISION.get();
    // 1 − erf x < e^(−x²) < 2^(−1.4·x²).
    if x.to_f64().value() > (bits as f64 * 0.75).sqrt() + 2.0 {
        return whole(1);
    }
    let square = rounded(x * x);
    let (mut term, mut sum, mut odd) = (x.clone(), x.clone(), 1_u64);
    loop {
        odd += 2;
        term = term * &square * whole(2) / whole(odd);
        let next = &sum + &term;
        if next == sum {
            break;
        }
        sum = next;
    }
    whole(2) / pi().sqrt() * (-square).exp() * sum
}

/// 1 − erf x for x > 0: to 60 the difference, at a precision that what cancels leaves whole; beyond by the series
/// e^(−x²)/(x√π)·(1 − 1/(2x²) + 3/(2x²)² − …), of which the least term is below 2⁻⁵¹⁰⁰ (Abramowitz and Stegun 7.1.23).
fn erfc_of(x: &Big) -> Big {
    let bits = PRECISION.get();
    let size = x.to_f64().value();
    if size < 60.0 {
        PRECISION.set(bits + (1.5 * size * size) as usize + 16);
        let rest = whole(1) - erf_of(&rounded(x.clone()));
        PRECISION.set(bits);
        return rounded(rest);
    }
    let square = rounded(x * x);
    let twice = &square * whole(2);
    let (mut term, mut sum, mut odd) = (whole(1), whole(1), 1_u64);
    loop {
        term = -(term * whole(odd)) / &twice;
        let next = &sum + &term;
        if next == sum || odd as f64 > size * size {
            break;
        }
        (sum, odd) = (next, odd + 2);
    }
    (-square).exp() / (x * pi().sqrt()) * sum
}

impl Exact {
    /// A finite number, exactly.
    pub fn of(x: f64) -> Self {
        if x.is_nan() {
            return Nan;
        }
        if x.is_infinite() {
            return Infinite(x < 0.0);
        }
        kept(rounded(Big::try_from(x).expect("a finite number")))
    }

    /// π.
    pub fn pi() -> Self {
        kept(pi())
    }

    /// Whether this is neither ±∞ nor NaN.
    pub fn is_finite(self) -> bool {
        matches!(self, Finite(_))
    }

    /// A function whose value is kept for this argument.
    fn memoised(self, name: u8, f: impl FnOnce(Big) -> Big) -> Exact {
        let Finite(place) = self else { unreachable!("finite arguments only") };
        let x = at(place);
        kept(known(name, format!("{:?}", x.repr()), || rounded(f(x))))
    }
}

fn known(name: u8, x: String, f: impl FnOnce() -> Big) -> Big {
    let key = (name, PRECISION.get(), x);
    if let Some(value) = KNOWN.with_borrow(|known| known.get(&key).cloned()) {
        return value;
    }
    let value = f();
    KNOWN.with_borrow_mut(|known| {
        if known.len() > 20_000 {
            known.clear();
        }
        known.insert(key, value.clone());
    });
    value
}

/// A number that does not depend on an arena: what [`certified`] gives.
#[derive(Clone, Debug)]
pub enum Number {
    /// A real number.
    Finite(Big),
    /// ±∞ or NaN.
    Special(f64),
}

impl Number {
    /// The number, as f64 has it.
    pub fn to_f64(&self) -> f64 {
        match self {
            Number::Finite(x) => x.to_f64().value(),
            Number::Special(x) => *x,
        }
    }

    /// How far `x` is from it, relative to nothing; ∞ where one of the two is not finite and the other is.
    pub fn distance(&self, x: f64) -> f64 {
        match self {
            Number::Finite(exact) if x.is_finite() => {
                (exact - Big::try_from(x).expect("a finite number")).abs().to_f64().value()
            }
            Number::Finite(_) => f64::INFINITY,
            Number::Special(special) => {
                if *special == x || (special.is_nan() && x.is_nan()) {
                    0.0
                } else {
                    f64::INFINITY
                }
            }
        }
    }
}

impl From<Exact> for Number {
    fn from(x: Exact) -> Self {
        match x {
            Finite(place) => Number::Finite(at(place)),
            Infinite(negative) => {
                Number::Special(if negative { f64::NEG_INFINITY } else { f64::INFINITY })
            }
            Nan => Number::Special(f64::NAN),
        }
    }
}

/// 2ᵏ.
fn power(k: f64) -> Big {
    Big::from_parts(1.into(), k as isize)
}

/// Whether numbers of `bits` bits and better ones are the same: to 2⁻⁹⁰ of each; or both are what rounding leaves of
/// a 0, nothing to the largest number that went in or came out, and below every `f64` other than 0.
fn agree(bits: usize, x: &[f64], low: &[Number], high: &[Number]) -> bool {
    let sizes = x.iter().copied().chain(high.iter().map(Number::to_f64)).map(f64::abs);
    let largest = sizes.filter(|x| x.is_finite()).fold(f64::MIN_POSITIVE, f64::max);
    let rounding = largest.log2().ceil() - (bits as f64 - 40.0);
    let nothing = power(rounding);
    low.len() == high.len()
        && low.iter().zip(high).all(|pair| match pair {
            (Number::Finite(a), Number::Finite(b)) => {
                let apart = (a - b).abs();
                (sign(b) != 0 && apart <= b.clone().abs() * power(AGREED))
                    || (rounding < BELOW_ALL
                        && a.clone().abs() <= nothing
                        && b.clone().abs() <= nothing)
            }
            (Number::Special(a), Number::Special(b)) => a == b || (a.is_nan() && b.is_nan()),
            _ => false,
        })
}

/// Empties the arena and sets the precision.
fn begin(bits: usize) {
    ARENA.with_borrow_mut(Vec::clear);
    PRECISION.set(bits);
}

/// How many bits a sum of these numbers and 1 needs beyond those of its result: as many as lie between the largest and
/// the smallest, where they differ in sign and so may cancel, or are few.
fn span(x: &[f64]) -> usize {
    let some = |f: fn(&f64) -> bool| x.iter().any(f);
    let cancel = some(|x| *x > 0.0) && some(|x| *x < 0.0) || x.len() < 5;
    let sizes = x.iter().map(|x| x.abs()).filter(|x| *x > 0.0 && x.is_finite());
    let logarithms: Vec<f64> = sizes.map(f64::log2).collect();
    let most = logarithms.iter().fold(0.0_f64, |m, &x| m.max(x));
    let least = logarithms.iter().fold(0.0_f64, |m, &x| m.min(x));
    (most - if cancel { least } else { 0.0 }).ceil() as usize
}

/// What f gives, with so many bits more than the numbers x ask for.
pub fn with_bits<R>(x: &[f64], more: usize, f: impl FnOnce() -> R) -> R {
    begin(FIRST + span(x).next_multiple_of(512) + more);
    f()
}

/// What f gives of the numbers x at a precision that suffices. The first has room for sums of the numbers, the
/// second for those of their squares; where they differ by more than 2⁻⁹⁰ both are doubled.
///
/// # Errors
/// Where f's error is an error at the higher precision; where the highest precision does not suffice.
pub fn certified<E: From<String>>(
    x: &[f64],
    f: impl Fn() -> Result<Vec<Exact>, E>,
) -> Result<Vec<Number>, E> {
    let run = |bits: usize| {
        begin(bits);
        f().map(|all| all.into_iter().map(Number::from).collect::<Vec<_>>())
    };
    let mut bits = FIRST + span(x).next_multiple_of(512);
    let mut low = run(bits);
    while bits <= LAST {
        bits *= 2;
        let high = run(bits);
        if let (Ok(low), Ok(high)) = (&low, &high)
            && agree(bits / 2, x, low, high)
        {
            return Ok(high.clone());
        }
        if low.is_err() && high.is_err() {
            return high;
        }
        low = high;
    }
    Err(E::from(format!("{LAST} bits do not suffice")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use linalg::Real;
    use num_traits::One;

    /// Values that mpmath gives with 40 digits, as the f64 nearest to them.
    #[test]
    fn functions_are_those_of_mpmath() {
        type F = fn(Exact) -> Exact;
        let table: [(F, f64, f64); 14] = [
            (Exact::erfc, 27.0, 5.23705e-319),
            (Exact::erfc, -1.0, 1.8427007929497148),
            (Exact::exp, -700.5, 5.980196118639791e-305),
            (Exact::exp, 1e-20, 1.0),
            (Exact::ln, 5e-324, -744.4400719213812),
            (Exact::ln_1p, -1e-18, -1e-18),
            (Exact::ln_1p, 1e300, 690.7755278982137),
            (Exact::sqrt, 2e300, 1.4142135623730951e150),
            (Exact::tanh, 1e-9, 1e-9),
            (Exact::tanh, -0.5, -0.46211715726000973),
            (Exact::erf, 0.5, 0.5204998778130465),
            (Exact::erf, -3.0, -0.9999779095030014),
            (Exact::sin, 1e300, -0.8178819121159085),
            (Exact::cos, 1e22, 0.523214785395139),
        ];
        for (i, (f, x, right)) in table.into_iter().enumerate() {
            let found =
                certified::<String>(&[x], || Ok(vec![f(Exact::of(x))])).expect("enough bits");
            assert_eq!(found[0].to_f64(), right, "row {i}");
        }
    }

    /// (1 + x)(1 − x) − 1 = −x²: a precision at which 1 + x is 1 gives 0.
    #[test]
    fn a_zero_left_by_rounding_is_told_from_zero() {
        let x = 1e-154;
        let squared = || {
            let (one, x) = (Exact::one(), Exact::of(x));
            Ok::<_, String>(vec![(one + x) * (one - x) - one, x - x])
        };
        // As a sum of many numbers of one sign, of which the smallest is nothing to the others.
        let found = certified(&[1.0, x, 1.0, 1.0, 1.0], squared).expect("enough bits");
        assert_eq!(found[0].to_f64(), -x * x);
        assert_eq!(found[1].to_f64(), 0.0);
    }

    #[test]
    fn what_cancels_is_not_lost() {
        let x = [1e300, 5e-324, -1e300];
        let sum = || {
            let all = x.map(Exact::of);
            Ok::<_, String>(vec![all[0] + all[1] + all[2], Exact::of(-40.0).erf() + Exact::one()])
        };
        let found = certified(&x, sum).expect("enough bits");
        assert_eq!(found[0].to_f64(), 5e-324);
        // erfc 40 = 0.5·e^(−1600)/…: below every f64, and not 0.
        assert!(matches!(&found[1], Number::Finite(x) if sign(x) > 0));
    }

    #[test]
    fn infinities_follow_the_standard() {
        begin(FIRST);
        let [zero, one, infinite] = [0.0, 1.0, f64::INFINITY].map(Exact::of);
        assert_eq!((one / zero).to_f64(), f64::INFINITY);
        assert_eq!((-one / zero).to_f64(), f64::NEG_INFINITY);
        assert_eq!((one / infinite).to_f64(), 0.0);
        assert!((infinite - infinite).to_f64().is_nan() && (zero * infinite).to_f64().is_nan());
        assert_eq!((-infinite).exp().to_f64(), 0.0);
        assert_eq!(zero.ln().to_f64(), f64::NEG_INFINITY);
        assert!((-one).ln().to_f64().is_nan() && (-one).sqrt().to_f64().is_nan());
    }
}
