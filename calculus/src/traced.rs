//! Reverse mode for plain Rust closures: numbers that record how they were computed.
//!
//! Every operation on a [`Traced`] number appends a line to the list of its recording: its operands, and the partial
//! derivative by each. Read from the last line to the first, the list is the chain rule.
//!
//! Source: Wengert, *A simple automatic derivative evaluation program*, 1964; Linnainmaa 1970; Griewank
//! and Walther, *Evaluating Derivatives*, 2008, chapter 3.

use crate::dual::{bell, slope_of_power, slope_of_tanh};
use crate::operators::{Constants, operators};
use linalg::Real;
use num_traits::{One, Zero};
use std::any::Any;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::sync::atomic::{AtomicU64, Ordering as Atomic};

/// The recording number of constants, which belong to no recording.
const CONSTANT: u64 = 0;
/// Marks an operand that a line does not have.
const ABSENT: u32 = u32::MAX;

/// A number that records how it was computed.
///
/// A `Traced` is a [`Real`], so every function of the workspace accepts it, on matrices of up to some thousand
/// elements: its list belongs to one thread, and larger work is distributed over threads. [`crate::gradient`] and
/// similar functions create the variables, run a closure on them, and read the list back; [`crate::trace`] returns the
/// list. `Traced<Dual<f64>>` is forward over reverse: the derivative of the gradient. Comparisons use only the value. A
/// plain `f64` beside a `Traced` is a constant: `2.0 * x`.
///
/// Values, and derivatives at singular points, equal those of [`crate::Dual`], except if a dual number that is a constant
/// meets ∞: it may compute 0·∞ = NaN, but the list has no line for a constant.
///
/// # Panics
/// If a number is used after its recording has ended or on another thread, or if variables of two recordings meet. This
/// holds for every operation. Inside a differentiated closure, another gradient has variables of type
/// `Traced<Traced<T>>`; convert an outside number with [`Traced::constant`].
///
/// ```
/// use calculus::gradient;
/// use linalg::Real;
/// // ∇(x·y + sin x) = (y + cos x, x)
/// let slope = gradient(|v| v[0] * v[1] + v[0].sin(), &[0.0, 3.0]);
/// assert_eq!(slope, [4.0, 0.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Traced<T> {
    value: T,
    recording: u64,
    line: u32,
}

/// One line of the list: a number, and how it was computed.
#[derive(Clone, Copy, Debug)]
struct Line<T> {
    operation: &'static str,
    value: T,
    operands: [u32; 2],
    partials: [T; 2],
}

thread_local! {
    /// The open recordings of this thread, innermost last: number and lines.
    static OPEN: RefCell<Vec<(u64, Box<dyn Any>)>> = const { RefCell::new(Vec::new()) };
}

/// Appends a line to an open recording and returns its number.
fn append<T: Real>(recording: u64, line: Line<T>) -> u32 {
    OPEN.with_borrow_mut(|open| {
        let list = open.iter_mut().rev().find(|(number, _)| *number == recording);
        let lines = list.and_then(|(_, lines)| lines.downcast_mut::<Vec<Line<T>>>());
        let lines = lines.expect("a traced number, used where its recording is not open");
        lines.push(line);
        u32::try_from(lines.len() - 1).ok().filter(|&n| n != ABSENT).expect("fewer than 2³² lines")
    })
}

/// An open recording; closed when it is dropped, also by a panic.
struct Recording<T> {
    number: u64,
    scalar: PhantomData<T>,
}

impl<T: Real> Recording<T> {
    fn open() -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(CONSTANT + 1);
        let number = NUMBERS.fetch_add(1, Atomic::Relaxed);
        OPEN.with_borrow_mut(|open| open.push((number, Box::new(Vec::<Line<T>>::new()))));
        Recording { number, scalar: PhantomData }
    }

    fn variable(&self, value: T) -> Traced<T> {
        let line =
            Line { operation: "variable", value, operands: [ABSENT; 2], partials: [T::zero(); 2] };
        Traced { value, recording: self.number, line: append(self.number, line) }
    }

    fn close(self) -> Vec<Line<T>> {
        let lines = OPEN.with_borrow_mut(|open| {
            let list = open.iter_mut().rev().find(|(number, _)| *number == self.number);
            list.and_then(|(_, lines)| lines.downcast_mut::<Vec<Line<T>>>()).map(std::mem::take)
        });
        lines.unwrap_or_default()
    }
}

impl<T> Drop for Recording<T> {
    fn drop(&mut self) {
        OPEN.with_borrow_mut(|open| open.retain(|(number, _)| *number != self.number));
    }
}

/// A computation that was recorded number by number, as a list for reverse mode.
///
/// Created by [`crate::trace`]. Printed, it is the chain rule in a table: value, operands, partial derivatives, and the
/// adjoint ∂y/∂(this line) of each line.
#[derive(Clone, Debug)]
pub struct Trace<T> {
    variables: usize,
    lines: Vec<Line<T>>,
    outputs: Vec<Traced<T>>,
}

impl<T: Real> Trace<T> {
    /// Runs `f` on variables with the values `x` and stores the list.
    pub(crate) fn of(f: impl FnOnce(&[Traced<T>]) -> Vec<Traced<T>>, x: &[T]) -> Self {
        let recording = Recording::open();
        let variables: Vec<_> = x.iter().map(|&x| recording.variable(x)).collect();
        let outputs = f(&variables);
        let number = recording.number;
        let own = |y: &Traced<T>| y.recording == CONSTANT || y.recording == number;
        assert!(outputs.iter().all(own), "an output of another recording");
        Trace { variables: x.len(), lines: recording.close(), outputs }
    }

    /// Returns the number of lines, including those of the variables.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether the list is empty: there are no variables.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Returns the outputs' values.
    pub fn values(&self) -> Vec<T> {
        self.outputs.iter().map(|y| y.value).collect()
    }

    /// Returns <var>Σ upstreamₖ·∂yₖ/∂x</var> for every variable x: the vector-Jacobian product.
    ///
    /// # Panics
    /// If the length of `upstream` is not the number of outputs.
    ///
    /// ```
    /// let list = calculus::trace(|v| v[0] * v[1], &[2.0, 5.0]);
    /// assert_eq!(list.gradient(&[1.0]), [5.0, 2.0]);
    /// assert_eq!(list.gradient(&[10.0]), [50.0, 20.0]); // read again, with another upstream gradient
    /// ```
    pub fn gradient(&self, upstream: &[T]) -> Vec<T> {
        let mut adjoints = self.adjoints(upstream);
        adjoints.truncate(self.variables);
        adjoints.into_iter().map(|a| a.unwrap_or(T::zero())).collect()
    }

    /// Returns the adjoint of every line; `None` if no output depends on it, so that a 0·∞ in an unused branch has no
    /// effect.
    fn adjoints(&self, upstream: &[T]) -> Vec<Option<T>> {
        assert_eq!(upstream.len(), self.outputs.len(), "one upstream number per output");
        let mut adjoints: Vec<Option<T>> = vec![None; self.lines.len()];
        let add = |to: &mut Option<T>, x: T| *to = Some(to.map_or(x, |sum| sum + x));
        for (y, &u) in self.outputs.iter().zip(upstream) {
            if y.recording != CONSTANT {
                add(&mut adjoints[y.line as usize], u);
            }
        }
        for (i, line) in self.lines.iter().enumerate().rev() {
            let Some(adjoint) = adjoints[i] else { continue };
            for (&operand, &partial) in line.operands.iter().zip(&line.partials) {
                if operand != ABSENT {
                    add(&mut adjoints[operand as usize], partial * adjoint);
                }
            }
        }
        adjoints
    }
}

impl<T: Real> fmt::Display for Trace<T> {
    /// Prints the adjoints of the sum of all outputs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let adjoints = self.adjoints(&vec![T::one(); self.outputs.len()]);
        writeln!(
            f,
            "{:>5}  {:<9} {:>12} {:>12}  partials",
            "line", "operation", "value", "adjoint"
        )?;
        for (i, (line, adjoint)) in self.lines.iter().zip(adjoints).enumerate() {
            let adjoint = adjoint.map_or("-".to_owned(), |a| format!("{:.6}", a.to_f64()));
            let value = line.value.to_f64();
            write!(f, "{i:>5}  {:<9} {value:>12.6} {adjoint:>12}", line.operation)?;
            for (&operand, partial) in line.operands.iter().zip(&line.partials) {
                if operand != ABSENT {
                    write!(f, "  ∂/∂{operand} = {:.6}", partial.to_f64())?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl<T: Real> Traced<T> {
    /// Creates a number that does not depend on any variable.
    ///
    /// ```
    /// use calculus::{Traced, gradient};
    /// let slope = gradient(|v| v[0] * Traced::constant(7.0), &[2.0]);
    /// assert_eq!(slope, [7.0]);
    /// ```
    #[inline(always)]
    pub fn constant(value: T) -> Self {
        Traced { value, recording: CONSTANT, line: ABSENT }
    }

    /// Returns the value.
    #[inline(always)]
    pub fn value(self) -> T {
        self.value
    }

    /// Records f(self), given its value and slope.
    fn unary(self, operation: &'static str, value: T, slope: T) -> Self {
        if self.recording == CONSTANT {
            return Traced::constant(value);
        }
        let operands = [self.line, ABSENT];
        let line = Line { operation, value, operands, partials: [slope, T::zero()] };
        Traced { value, recording: self.recording, line: append(self.recording, line) }
    }

    /// Records f(self, other), given its value and partial derivatives.
    fn binary(self, other: Self, operation: &'static str, value: T, partials: [T; 2]) -> Self {
        let recording = match (self.recording, other.recording) {
            (CONSTANT, CONSTANT) => return Traced::constant(value),
            (CONSTANT, number) | (number, CONSTANT) => number,
            (one, two) => {
                assert_eq!(one, two, "variables of two recordings meet: one must be a constant");
                one
            }
        };
        let line = Line { operation, value, operands: [self.line, other.line], partials };
        Traced { value, recording, line: append(recording, line) }
    }
}

impl<T: Real> PartialEq for Traced<T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Real> PartialOrd for Traced<T> {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Real> Add for Traced<T> {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        self.binary(o, "+", self.value + o.value, [T::one(); 2])
    }
}

impl<T: Real> Sub for Traced<T> {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        self.binary(o, "−", self.value - o.value, [T::one(), -T::one()])
    }
}

impl<T: Real> Mul for Traced<T> {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        self.binary(o, "·", self.value * o.value, [o.value, self.value])
    }
}

impl<T: Real> Div for Traced<T> {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let value = self.value / o.value;
        self.binary(o, "/", value, [T::one() / o.value, -value / o.value])
    }
}

impl<T: Real> Neg for Traced<T> {
    type Output = Self;
    fn neg(self) -> Self {
        self.unary("negative", -self.value, -T::one())
    }
}

impl<T: Real> Constants for Traced<T> {}

operators! { [T: Real] Traced<T> }

impl<T: Real> Zero for Traced<T> {
    fn zero() -> Self {
        Traced::constant(T::zero())
    }
    fn is_zero(&self) -> bool {
        self.value.is_zero()
    }
}

impl<T: Real> One for Traced<T> {
    fn one() -> Self {
        Traced::constant(T::one())
    }
}

impl<T: Real> Real for Traced<T> {
    fn from_f64(x: f64) -> Self {
        Traced::constant(T::from_f64(x))
    }
    fn to_f64(self) -> f64 {
        self.value.to_f64()
    }
    fn exp(self) -> Self {
        let e = self.value.exp();
        self.unary("exp", e, e)
    }
    fn ln(self) -> Self {
        self.unary("ln", self.value.ln(), T::one() / self.value)
    }
    fn ln_1p(self) -> Self {
        self.unary("ln(1+x)", self.value.ln_1p(), T::one() / (T::one() + self.value))
    }
    fn sqrt(self) -> Self {
        let root = self.value.sqrt();
        self.unary("√", root, T::one() / (root + root))
    }
    fn tanh(self) -> Self {
        let t = self.value.tanh();
        self.unary("tanh", t, slope_of_tanh(self.value, t))
    }
    fn erf(self) -> Self {
        self.unary("erf", self.value.erf(), bell(self.value))
    }
    fn erfc(self) -> Self {
        self.unary("erfc", self.value.erfc(), -bell(self.value))
    }
    fn sin(self) -> Self {
        self.unary("sin", self.value.sin(), self.value.cos())
    }
    fn cos(self) -> Self {
        self.unary("cos", self.value.cos(), -self.value.sin())
    }
    fn abs(self) -> Self {
        let zero = T::zero();
        let slope = if self.value > zero {
            T::one()
        } else if self.value < zero {
            -T::one()
        } else {
            zero
        };
        self.unary("absolute", self.value.abs(), slope)
    }
    fn powf(self, p: f64) -> Self {
        self.unary("power", self.value.powf(p), slope_of_power(self.value, p))
    }
}

#[cfg(test)]
mod tests;
