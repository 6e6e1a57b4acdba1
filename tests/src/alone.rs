//! One primitive as a step of its own, for the certificates of `transformer::inspect::check`.

use calculus::Recorder;
use linalg::{
    Formula, Gradient, Matrix, Memory, Primitive, Reads, Real, Role, Shape, ShapeError, View,
    ViewMut, Work,
};
use transformer::inspect::check;
use transformer::{Given, ModelError, Recording, Subject};

/// A primitive and its operands: parameters where they are numbers that may move, inputs elsewhere.
#[derive(Clone, Debug)]
pub struct Alone<P, const N: usize> {
    /// The primitive.
    pub primitive: P,
    /// Its operands.
    pub inputs: [Matrix<f64>; N],
    /// Which may move.
    pub smooth: [bool; N],
}

const NAMES: [&str; 12] =
    ["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11"];

impl<P: Primitive<N> + Clone, const N: usize> Subject for Alone<P, N> {
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        let mut r = Recorder::new();
        let mut vars = vec![];
        for (i, x) in self.inputs.iter().enumerate() {
            let shape = Shape::new(x.nrows(), x.ncols());
            vars.push(match self.smooth[i] {
                true => r.parameter(NAMES[i], shape)?,
                false => r.input(NAMES[i], shape)?,
            });
        }
        let operands = std::array::from_fn(|i| vars[i]);
        let y = r.push("y", self.primitive.clone(), operands)?;
        Ok(Recording::new(r.finish(), y))
    }

    fn batch(&self, _: u64) -> Vec<Given> {
        let given = (0..N).filter(|&i| !self.smooth[i]);
        given
            .map(|i| Given { name: NAMES[i], elements: self.inputs[i].as_slice().to_vec() })
            .collect()
    }
}

impl<P: Primitive<N> + Clone, const N: usize> Alone<P, N> {
    /// What `check` finds of it.
    ///
    /// # Panics
    /// If the operands do not fit.
    pub fn operations(&self) -> check::Operations {
        let moving = (0..N).filter(|&i| self.smooth[i]);
        let parameters: Vec<f64> =
            moving.flat_map(|i| self.inputs[i].as_slice().to_vec()).collect();
        check::operations(self, &parameters, 3).expect("operands that fit")
    }

    /// Whether an operand moves the output: by two forward replays alone, and no rule. Softmax over one key
    /// and the norm of one feature do not move, whatever they are given.
    ///
    /// # Panics
    /// As [`Alone::operations`].
    pub fn moves(&self, operand: usize) -> bool {
        let mut step = self.record::<f64>().expect("operands that fit");
        let var = step.tape.find(NAMES[operand]).expect("an operand");
        let output = step.loss;
        step.give(&self.batch(0));
        let mut at = |h: f64| {
            for (i, x) in self.inputs.iter().enumerate().filter(|(i, _)| self.smooth[*i]) {
                let place = step.tape.find(NAMES[i]).expect("an operand");
                step.tape.value_mut(place).copy_from_slice(x.as_slice());
            }
            let moved = step.tape.value_mut(var).iter_mut().enumerate();
            moved.for_each(|(i, x)| *x += h * (1.0 + (i as f64).sin()));
            step.tape.forward();
            step.tape.elements(output).to_vec()
        };
        let (before, after) = (at(0.0), at(1e-4));
        let size = before.iter().fold(0.0_f64, |m, y| m.max(y.abs()));
        before.iter().zip(after).any(|(b, a)| (a - b).abs() > 1e-10 * size)
    }

    /// The output.
    ///
    /// # Panics
    /// As [`Alone::operations`].
    pub fn output(&self) -> Vec<f64> {
        let mut step = self.record::<f64>().expect("operands that fit");
        step.give(&self.batch(0));
        for (i, x) in self.inputs.iter().enumerate().filter(|(i, _)| self.smooth[*i]) {
            let place = step.tape.find(NAMES[i]).expect("an operand");
            step.tape.value_mut(place).copy_from_slice(x.as_slice());
        }
        step.tape.forward();
        step.tape.elements(step.loss).to_vec()
    }

    /// The certificates that fail.
    ///
    /// # Panics
    /// As [`Alone::operations`].
    pub fn failing(&self) -> Vec<&'static str> {
        let all = self.operations().certificates().into_iter();
        all.filter(|c| c.verdict == check::Verdict::Fail).map(|c| c.name).collect()
    }
}

/// A mistake that can be made in any backward rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Slip {
    /// The wrong sign.
    Sign,
    /// Twice the gradient.
    Twice,
    /// What is there is lost.
    Overwrites,
    /// Nothing is sent to one operand.
    Cut(usize),
    /// The formula states twice the value.
    MisstatesValue,
    /// The formula states twice the gradient of one operand.
    MisstatesGradient(usize),
}

/// A primitive whose vjp slips.
#[derive(Clone, Copy, Debug)]
pub struct Slipped<P> {
    /// The primitive.
    pub original: P,
    /// The mistake.
    pub slip: Slip,
}

impl<P: Primitive<N>, const N: usize> Primitive<N> for Slipped<P> {
    fn name(&self) -> &'static str {
        self.original.name()
    }

    fn role(&self) -> Role {
        self.original.role()
    }
    fn shape(&self, inputs: [Shape; N]) -> Result<Shape, ShapeError> {
        self.original.shape(inputs)
    }
    fn flops(&self, inputs: [Shape; N]) -> u64 {
        self.original.flops(inputs)
    }
    fn formula<T: Real>(&self, inputs: [View<'_, T>; N]) -> Formula {
        let mut formula = self.original.formula(inputs);
        match self.slip {
            Slip::MisstatesValue => formula.value.right = 2.0 * formula.value.right,
            Slip::MisstatesGradient(k) => {
                if let Some(gradient) = &mut formula.gradients[k] {
                    gradient.right = 2.0 * gradient.right.clone();
                }
            }
            _ => {}
        }
        formula
    }
    fn memory(&self, inputs: [Shape; N]) -> Memory {
        self.original.memory(inputs)
    }
    fn forward<T: Real>(&self, x: [View<'_, T>; N], y: ViewMut<'_, T>, work: Work<'_, T>) {
        self.original.forward(x, y, work);
    }
    fn vjp<T: Real>(
        &self,
        x: [View<'_, T>; N],
        y: View<'_, T>,
        dy: View<'_, T>,
        dx: [Gradient<'_, T>; N],
        work: Work<'_, T>,
    ) {
        let mut own = x.map(|x| Matrix::<T>::zeros(x.nrows(), x.ncols()));
        self.original.vjp(x, y, dy, own.each_mut().map(|g| Gradient::fresh(g.as_view_mut())), work);
        for (k, (dx, own)) in dx.into_iter().zip(&own).enumerate() {
            let factor = match self.slip {
                Slip::Sign => -T::one(),
                Slip::Twice => T::one() + T::one(),
                Slip::Cut(cut) if cut == k => T::zero(),
                _ => T::one(),
            };
            let Some(mut dx) = dx.zeroed() else { continue };
            dx.zip_apply(own, |dx, own| {
                let there = if self.slip == Slip::Overwrites { T::zero() } else { *dx };
                *dx = there + factor * own;
            });
        }
    }
}

/// A primitive that can be recorded more than once. Rows that are shared are copied: a recording computes it.
#[derive(Debug)]
pub struct Shared<P>(std::sync::Arc<P>);

impl<P> Shared<P> {
    /// Of this primitive.
    pub fn new(primitive: P) -> Self {
        Shared(std::sync::Arc::new(primitive))
    }
}

impl<P> Clone for Shared<P> {
    fn clone(&self) -> Self {
        Shared(std::sync::Arc::clone(&self.0))
    }
}

impl<P: Primitive<N>, const N: usize> Primitive<N> for Shared<P> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn role(&self) -> Role {
        self.0.role()
    }
    fn formula<T: Real>(&self, inputs: [View<'_, T>; N]) -> Formula {
        self.0.formula(inputs)
    }
    fn shape(&self, inputs: [Shape; N]) -> Result<Shape, ShapeError> {
        self.0.shape(inputs)
    }
    fn flops(&self, inputs: [Shape; N]) -> u64 {
        self.0.flops(inputs)
    }
    fn memory(&self, inputs: [Shape; N]) -> Memory {
        self.0.memory(inputs)
    }
    fn forward<T: Real>(&self, x: [View<'_, T>; N], y: ViewMut<'_, T>, work: Work<'_, T>) {
        self.0.forward(x, y, work);
    }
    fn vjp<T: Real>(
        &self,
        x: [View<'_, T>; N],
        y: View<'_, T>,
        dy: View<'_, T>,
        dx: [Gradient<'_, T>; N],
        work: Work<'_, T>,
    ) {
        self.0.vjp(x, y, dy, dx, work);
    }
    fn vjp_reads(&self) -> Reads<N> {
        self.0.vjp_reads()
    }
    fn is_cheap(&self) -> bool {
        self.0.is_cheap()
    }
    fn forward_and_vjp<T: Real>(
        &self,
        x: [View<'_, T>; N],
        y: ViewMut<'_, T>,
        dy: View<'_, T>,
        dx: [Gradient<'_, T>; N],
        work: Work<'_, T>,
    ) {
        self.0.forward_and_vjp(x, y, dy, dx, work);
    }
}
