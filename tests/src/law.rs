//! The laws that every primitive obeys, as numbers and as verdicts.

use crate::{draw, tolerance};
use calculus::check;
use linalg::{Gradient, Matrix, Primitive, Shape, View, ViewMut, Work};
use std::fmt;

/// A primitive with operands.
#[derive(Clone, Debug)]
pub struct Case<P, const N: usize> {
    /// The primitive.
    pub primitive: P,
    /// Operands that fit it.
    pub inputs: [Matrix<f64>; N],
    /// Which operands are numbers that may move; the others are indices, targets or a step number.
    pub smooth: [bool; N],
}

/// How well a primitive obeys on one case. Every number is relative to the size of what was summed.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// ⟨ȳ, J·ẋ⟩ by dual numbers against ⟨Jᵀ·ȳ, ẋ⟩ by the vjp.
    pub adjoint: f64,
    /// Central differences of the forward code against the vjp.
    pub difference: f64,
    /// Whether `forward` writes every element and reads neither output nor scratch before.
    pub writes: bool,
    /// How far the gradient after vjp is from what was there before plus the gradient.
    pub adds: f64,
    /// How far results differ where matrices are pieces of larger ones; NaN where the rest is written.
    pub strides: f64,
    /// Whether the gradients of operands that cannot move are left as they were.
    pub leaves: bool,
    /// How far value and gradients differ where forward and vjp are one call, or gradients are written
    /// instead of added to.
    pub together: f64,
    /// Whether gradients have the same bits where some of the others are unwanted.
    pub selects: bool,
}

impl Verdict {
    /// The names of the laws that are broken, each with its error.
    pub fn broken(&self) -> Vec<(&'static str, f64)> {
        let within = |error: f64, bound: f64| error <= bound; // false where the error is NaN
        [
            ("adjoint", self.adjoint, within(self.adjoint, tolerance::ADJOINT)),
            ("differences", self.difference, within(self.difference, tolerance::difference(10))),
            ("forward writes", f64::NAN, self.writes),
            ("vjp adds", self.adds, within(self.adds, tolerance::ADJOINT)),
            ("any stride", self.strides, within(self.strides, tolerance::ADJOINT)),
            ("indices get none", f64::NAN, self.leaves),
            ("both at once", self.together, within(self.together, tolerance::ADJOINT)),
            ("unwanted gradients are left out", f64::NAN, self.selects),
        ]
        .into_iter()
        .filter_map(|(law, error, holds)| (!holds).then_some((law, error)))
        .collect()
    }

    /// The worse of two, law by law.
    #[must_use]
    pub fn worse(self, other: Verdict) -> Verdict {
        Verdict {
            adjoint: self.adjoint.max(other.adjoint),
            difference: self.difference.max(other.difference),
            writes: self.writes && other.writes,
            adds: self.adds.max(other.adds),
            strides: self.strides.max(other.strides),
            leaves: self.leaves && other.leaves,
            together: self.together.max(other.together),
            selects: self.selects && other.selects,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { adjoint, difference, writes, adds, strides, leaves, together, selects } =
            self;
        write!(f, "adjoint {adjoint:.1e}, differences {difference:.1e}, adds {adds:.1e}, ")?;
        write!(
            f,
            "strides {strides:.1e}, writes {writes}, leaves {leaves}, together {together:.1e}, selects {selects}"
        )
    }
}

/// What a forward pass leaves behind.
struct Pass {
    output: Matrix<f64>,
    kept: Vec<f64>,
    scratch: Vec<f64>,
}

impl<P: Primitive<N>, const N: usize> Case<P, N> {
    fn shapes(&self) -> [Shape; N] {
        self.inputs.each_ref().map(|x| Shape::new(x.nrows(), x.ncols()))
    }

    /// The operands' shapes, for messages.
    pub fn describe(&self) -> String {
        let shapes = self.shapes().map(|s| s.to_string()).join(", ");
        format!("{} of {shapes}", self.primitive.name())
    }

    /// Forward at `inputs`, with memory that holds `before`.
    fn forward(&self, inputs: &[Matrix<f64>; N], before: f64) -> Pass {
        let shape = self.primitive.shape(self.shapes()).expect("operands that fit");
        let memory = self.primitive.memory(self.shapes());
        let mut output = Matrix::repeat(shape.rows, shape.columns, before);
        let (mut kept, mut scratch) = (vec![before; memory.kept], vec![before; memory.scratch]);
        let work = Work::new(&mut kept, &mut scratch);
        self.primitive.forward(inputs.each_ref().map(|x| x.as_view()), output.as_view_mut(), work);
        Pass { output, kept, scratch }
    }

    /// The operands as a vjp finds them in a recording that reuses memory: NaN where it says that it
    /// does not read.
    fn read(&self) -> [Matrix<f64>; N] {
        let reads = self.primitive.vjp_reads().inputs;
        std::array::from_fn(|i| {
            let x = &self.inputs[i];
            if reads[i] { x.clone() } else { Matrix::repeat(x.nrows(), x.ncols(), f64::NAN) }
        })
    }

    /// Adds the vjp to `gradients`.
    fn vjp(&self, pass: &Pass, upstream: &Matrix<f64>, gradients: &mut [Matrix<f64>; N]) {
        let (mut kept, mut scratch) = (pass.kept.clone(), pass.scratch.clone());
        scratch.fill(f64::NAN);
        let inputs = self.read();
        let inputs = inputs.each_ref().map(|x| x.as_view());
        let mut output = pass.output.clone();
        if !self.primitive.vjp_reads().output {
            output.fill(f64::NAN);
        }
        let handles = gradients.each_mut().map(|g| Gradient::new(g.as_view_mut()));
        let work = Work::new(&mut kept, &mut scratch);
        self.primitive.vjp(inputs, output.as_view(), upstream.as_view(), handles, work);
    }

    /// As [`Case::together`]'s measure: the vjp into gradients that hold NaN and are said to be fresh.
    fn fresh(&self, pass: &Pass, up: &Matrix<f64>, gradients: &[Matrix<f64>; N]) -> f64 {
        let (mut kept, mut scratch) = (pass.kept.clone(), pass.scratch.clone());
        scratch.fill(f64::NAN);
        let inputs = self.read();
        let inputs = inputs.each_ref().map(|x| x.as_view());
        let mut worst = 0.0;
        for one in 0..=N {
            // One of them fresh, or all.
            let fresh: [bool; N] = std::array::from_fn(|i| one == N || one == i);
            let mut sums = before(gradients, fresh);
            let work = Work::new(&mut kept, &mut scratch);
            let (y, handles) = (pass.output.as_view(), handles(&mut sums, fresh));
            self.primitive.vjp(inputs, y, up.as_view(), handles, work);
            let errors = sums.iter().zip(gradients);
            let errors = errors.map(|(sum, g)| Piece::of(sum, 0.0).error(g, 0.0));
            worst = errors.fold(worst, largest);
        }
        worst
    }

    /// Forward and vjp in one call, on memory that holds NaN: how far they are from one after the other.
    fn together(&self, pass: &Pass, up: &Matrix<f64>, gradients: &[Matrix<f64>; N]) -> f64 {
        let (mut kept, mut scratch) = (pass.kept.clone(), pass.scratch.clone());
        kept.fill(f64::NAN);
        scratch.fill(f64::NAN);
        let inputs = self.inputs.each_ref().map(|x| x.as_view());
        let mut output = &pass.output * f64::NAN;
        // Every other gradient fresh.
        let fresh: [bool; N] = std::array::from_fn(|i| i % 2 == 1);
        let mut sums = before(gradients, fresh);
        let work = Work::new(&mut kept, &mut scratch);
        let (y, up, handles) = (output.as_view_mut(), up.as_view(), handles(&mut sums, fresh));
        self.primitive.forward_and_vjp(inputs, y, up, handles, work);
        let error = |x: &Matrix<f64>, y: &Matrix<f64>| Piece::of(x, 0.0).error(y, 0.0);
        let errors = sums.iter().zip(gradients).map(|(sum, g)| error(sum, g));
        errors.fold(error(&output, &pass.output), largest)
    }

    /// Whether every gradient has the same bits alone, and without any one of the others.
    fn selects(&self, pass: &Pass, up: &Matrix<f64>, gradients: &[Matrix<f64>; N]) -> bool {
        let inputs = self.inputs.each_ref().map(|x| x.as_view());
        let same = |wanted: [bool; N], at_once: bool| {
            let (mut kept, mut scratch) = (pass.kept.clone(), pass.scratch.clone());
            scratch.fill(f64::NAN);
            let mut sums = gradients.each_ref().map(|g| g * 0.0);
            let mut each = wanted.into_iter();
            let handles = sums.each_mut().map(|sum| match each.next() {
                Some(true) => Gradient::new(sum.as_view_mut()),
                _ => Gradient::unwanted(),
            });
            let work = Work::new(&mut kept, &mut scratch);
            let (mut output, up) = (pass.output.clone(), up.as_view());
            match at_once {
                true => {
                    self.primitive.forward_and_vjp(inputs, output.as_view_mut(), up, handles, work)
                }
                false => self.primitive.vjp(inputs, output.as_view(), up, handles, work),
            }
            let all = sums.iter().zip(gradients).zip(wanted);
            let close = Piece::of(&output, 0.0).error(&pass.output, 0.0) <= tolerance::ADJOINT;
            close && { all }.all(|((sum, g), wanted)| !wanted || sum == g)
        };
        (0..N).all(|k| {
            let (alone, others) =
                (std::array::from_fn(|i| i == k), std::array::from_fn(|i| i != k));
            [alone, others].into_iter().all(|wanted| same(wanted, false) && same(wanted, true))
        })
    }

    /// Random tangents: zero for operands that cannot move.
    fn tangents(&self, seed: u64) -> [Matrix<f64>; N] {
        std::array::from_fn(|i| {
            let x = &self.inputs[i];
            let tangent = draw::normal(seed + i as u64, x.nrows(), x.ncols());
            if self.smooth[i] { tangent } else { tangent * 0.0 }
        })
    }

    /// Tries all laws, with upstream gradient and direction drawn from `seed`.
    pub fn verdict(&self, seed: u64) -> Verdict {
        let pass = self.forward(&self.inputs, f64::NAN);
        let (rows, columns) = pass.output.shape();
        let upstream = draw::normal(seed + 100, rows, columns);
        let tangents = self.tangents(seed + 200);
        let adjoint = check::adjoint(&self.primitive, &self.inputs, &tangents, &upstream);

        let zeros = self.inputs.each_ref().map(|x| x * 0.0);
        let mut gradients = zeros.clone();
        self.vjp(&pass, &upstream, &mut gradients);
        let reverse: f64 = gradients.iter().zip(&tangents).map(|(g, t)| g.dot(t)).sum();

        let slope = self.slope(&tangents);
        let size: f64 = pass.output.iter().filter(|y| y.is_finite()).map(|y| y * y).sum();
        let scale = upstream.norm() * (slope.norm() + size.sqrt()) + adjoint.scale;
        let difference = (upstream.dot(&slope) - reverse).abs() / scale.max(f64::MIN_POSITIVE);

        // A gradient that is there before, and the gradient added to it once more.
        let before = self.tangents(seed + 300);
        let mut after = before.clone();
        self.vjp(&pass, &upstream, &mut after);
        let mut twice = gradients.clone();
        self.vjp(&pass, &upstream, &mut twice);
        let mut adds = 0.0_f64;
        for i in 0..N {
            let scale = (gradients[i].norm() + before[i].norm()).max(f64::MIN_POSITIVE);
            let kept = (&after[i] - &before[i] - &gradients[i]).norm() / scale;
            let doubled = (&twice[i] - &gradients[i] * 2.0).norm() / scale;
            adds = largest(adds, largest(kept, doubled));
        }
        Verdict {
            adjoint: adjoint.error(),
            difference,
            writes: self.writes(&pass),
            adds,
            strides: self.strides(&pass, &upstream, &gradients),
            leaves: (0..N).all(|i| self.smooth[i] || gradients[i] == zeros[i]),
            together: largest(
                self.together(&pass, &upstream, &gradients),
                self.fresh(&pass, &upstream, &gradients),
            ),
            selects: self.selects(&pass, &upstream, &gradients),
        }
    }

    /// (f(x + h·ẋ) − f(x − h·ẋ))/2h of every element; what is −∞ on both sides does not move.
    fn slope(&self, tangents: &[Matrix<f64>; N]) -> Matrix<f64> {
        let longest = tangents.iter().map(|t| t.amax()).fold(0.0, f64::max);
        let h = tolerance::step() / longest.max(1.0);
        let moved = |h: f64| std::array::from_fn(|i| &self.inputs[i] + &tangents[i] * h);
        let (ahead, behind) = (self.forward(&moved(h), f64::NAN), self.forward(&moved(-h), 0.0));
        ahead.output.zip_map(&behind.output, |a, b| if a == b { 0.0 } else { (a - b) / (2.0 * h) })
    }

    /// Forward and vjp once more, on matrices that are pieces of larger ones.
    fn strides(&self, pass: &Pass, upstream: &Matrix<f64>, gradients: &[Matrix<f64>; N]) -> f64 {
        let inputs = self.inputs.each_ref().map(|x| Piece::of(x, f64::NAN));
        let inputs = inputs.each_ref().map(Piece::view);
        let mut output = Piece::of(&(upstream * f64::NAN), 7.0);
        let (mut kept, mut scratch) = (pass.kept.clone(), pass.scratch.clone());
        let work = Work::new(&mut kept, &mut scratch);
        self.primitive.forward(inputs, output.view_mut(), work);
        let above = Piece::of(upstream, f64::NAN);
        let mut sums = gradients.each_ref().map(|g| Piece::of(&(g * 0.0), 7.0));
        let work = Work::new(&mut kept, &mut scratch);
        let handles = sums.each_mut().map(|sum| Gradient::new(sum.view_mut()));
        self.primitive.vjp(inputs, output.view(), above.view(), handles, work);
        let errors = sums.iter().zip(gradients).map(|(sum, g)| sum.error(g, 7.0));
        errors.fold(output.error(&pass.output, 7.0), largest)
    }

    /// Whether other contents of memory before give the same bits, all of them numbers.
    fn writes(&self, pass: &Pass) -> bool {
        let other = self.forward(&self.inputs, 3.0);
        !pass.output.iter().any(|y| y.is_nan()) && pass.output == other.output
    }
}

/// What gradients of these shapes hold before a rule: NaN where they are fresh, zeros elsewhere.
fn before<const N: usize>(gradients: &[Matrix<f64>; N], fresh: [bool; N]) -> [Matrix<f64>; N] {
    std::array::from_fn(|i| &gradients[i] * if fresh[i] { f64::NAN } else { 0.0 })
}

fn handles<const N: usize>(
    sums: &mut [Matrix<f64>; N],
    fresh: [bool; N],
) -> [Gradient<'_, f64>; N] {
    let mut fresh = fresh.into_iter();
    sums.each_mut().map(|sum| match fresh.next() {
        Some(true) => Gradient::fresh(sum.as_view_mut()),
        _ => Gradient::new(sum.as_view_mut()),
    })
}

/// A matrix with a row above and two rows below that are no part of it.
struct Piece(Matrix<f64>);

impl Piece {
    fn of(x: &Matrix<f64>, around: f64) -> Self {
        let mut whole = Matrix::repeat(x.nrows() + 3, x.ncols(), around);
        whole.rows_mut(1, x.nrows()).copy_from(x);
        Piece(whole)
    }

    fn view(&self) -> View<'_, f64> {
        self.0.rows(1, self.0.nrows() - 3)
    }

    fn view_mut(&mut self) -> ViewMut<'_, f64> {
        let rows = self.0.nrows() - 3;
        self.0.rows_mut(1, rows)
    }

    /// ‖piece − x‖/‖x‖, over what is finite and not the same; NaN if its surroundings were written.
    fn error(&self, x: &Matrix<f64>, around: f64) -> f64 {
        if self.0 != Piece::of(&self.view().clone_owned(), around).0 {
            return f64::NAN;
        }
        let differences = self.view().zip_map(x, |a, b| if a == b { 0.0 } else { a - b });
        let size = x.map(|x| if x.is_finite() { x } else { 0.0 }).norm();
        differences.norm() / size.max(f64::MIN_POSITIVE)
    }
}

/// The larger, NaN if one is.
fn largest(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}
