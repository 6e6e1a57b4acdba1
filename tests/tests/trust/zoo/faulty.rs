//! Operations as people write them before they know better.

use linalg::formula::{I, J, K, R, exp, ln, operand, output, sqrt, sum, upstream};
use linalg::{Formula, Gradient, Primitive, Real, Role, Shape, ShapeError, View, ViewMut, Work};

/// exp zᵢ / Σ exp zⱼ of each column: as it stands, or with the maximum of the whole matrix subtracted.
#[derive(Clone, Copy)]
pub(crate) struct NaiveSoftmax {
    pub(crate) shift: bool,
}

impl Primitive<1> for NaiveSoftmax {
    fn formula<T: Real>(&self, [z]: [View<'_, T>; 1]) -> Formula {
        let n = z.nrows();
        let (z, p, dp) = (operand(0), output(), upstream());
        let mut f = Formula::new("p", ["z"], "Turns scores into probabilities, by hand.", "none");
        let total = f.define("Z", [J], sum(K, n, exp(z.at(K, J))));
        let mean = f.define("d̄", [J], sum(K, n, dp.at(K, J) * p.at(K, J)));
        f.value(exp(z.at(I, J)) / total.at(J)).gradient(p.at(I, J) * (dp.at(I, J) - mean.at(J)))
    }
    fn name(&self) -> &'static str {
        "softmax by hand"
    }

    fn role(&self) -> Role {
        Role::Softmax
    }
    fn shape(&self, [z]: [Shape; 1]) -> Result<Shape, ShapeError> {
        Ok(z)
    }
    fn flops(&self, [z]: [Shape; 1]) -> u64 {
        3 * z.len() as u64
    }
    fn forward<T: Real>(&self, [z]: [View<'_, T>; 1], mut p: ViewMut<'_, T>, _: Work<'_, T>) {
        let lowest = T::from_f64(f64::NEG_INFINITY);
        let shift = match self.shift {
            true => z.iter().fold(lowest, |m, &z| m.larger(z)),
            false => T::zero(),
        };
        for (mut p, z) in p.column_iter_mut().zip(z.column_iter()) {
            p.zip_apply(&z, |p, z| *p = (z - shift).exp());
            let sum = p.iter().fold(T::zero(), |s, &p| s + p);
            p.iter_mut().for_each(|p| *p /= sum);
        }
    }
    fn vjp<T: Real>(
        &self,
        _: [View<'_, T>; 1],
        p: View<'_, T>,
        dp: View<'_, T>,
        [dz]: [Gradient<'_, T>; 1],
        _: Work<'_, T>,
    ) {
        let Some(mut dz) = dz.zeroed() else { return };
        for j in 0..p.ncols() {
            let mean = (0..p.nrows()).fold(T::zero(), |s, i| s + p[(i, j)] * dp[(i, j)]);
            for i in 0..p.nrows() {
                dz[(i, j)] += p[(i, j)] * (dp[(i, j)] - mean);
            }
        }
    }
}

/// a − b.
#[derive(Clone, Copy)]
pub(crate) struct Difference;

impl Primitive<2> for Difference {
    fn formula<T: Real>(&self, _: [View<'_, T>; 2]) -> Formula {
        let (a, b, dy) = (operand(0), operand(1), upstream());
        Formula::new("y", ["a", "b"], "The difference of two matrices.", "none")
            .value(a.at(I, J) - b.at(I, J))
            .gradient(dy.at(I, J))
            .gradient(-1.0 * dy.at(I, J))
    }
    fn name(&self) -> &'static str {
        "difference"
    }
    fn shape(&self, [a, b]: [Shape; 2]) -> Result<Shape, ShapeError> {
        b.expect("b", a)?;
        Ok(a)
    }
    fn flops(&self, [a, _]: [Shape; 2]) -> u64 {
        a.len() as u64
    }
    fn forward<T: Real>(&self, [a, b]: [View<'_, T>; 2], mut y: ViewMut<'_, T>, _: Work<'_, T>) {
        y.iter_mut().zip(a.iter().zip(b.iter())).for_each(|(y, (&a, &b))| *y = a - b);
    }
    fn vjp<T: Real>(
        &self,
        _: [View<'_, T>; 2],
        _: View<'_, T>,
        dy: View<'_, T>,
        [da, db]: [Gradient<'_, T>; 2],
        _: Work<'_, T>,
    ) {
        da.add(dy);
        db.add_each([dy], |[dy]| -dy);
    }
}

/// ‖x‖ = √Σ x²; its gradient x/‖x‖ is 0/0 at 0.
#[derive(Clone, Copy)]
pub(crate) struct Norm;

impl Primitive<1> for Norm {
    fn formula<T: Real>(&self, [x]: [View<'_, T>; 1]) -> Formula {
        let (rows, columns) = x.shape();
        let (x, y, dy) = (operand(0), output(), upstream());
        let squares = sum(K, rows, sum(R, columns, x.at(K, R) * x.at(K, R)));
        Formula::new("y", ["x"], "The length of a vector.", "none")
            .value(sqrt(squares))
            .gradient(x.at(I, J) / y.at(0, 0) * dy.at(0, 0))
    }
    fn name(&self) -> &'static str {
        "Euclidean norm"
    }
    fn shape(&self, _: [Shape; 1]) -> Result<Shape, ShapeError> {
        Ok(Shape::new(1, 1))
    }
    fn flops(&self, [x]: [Shape; 1]) -> u64 {
        2 * x.len() as u64
    }
    fn forward<T: Real>(&self, [x]: [View<'_, T>; 1], mut y: ViewMut<'_, T>, _: Work<'_, T>) {
        y[0] = x.iter().fold(T::zero(), |s, &x| s + x * x).sqrt();
    }
    fn vjp<T: Real>(
        &self,
        [x]: [View<'_, T>; 1],
        y: View<'_, T>,
        dy: View<'_, T>,
        [dx]: [Gradient<'_, T>; 1],
        _: Work<'_, T>,
    ) {
        dx.add_each([x], |[x]| x / y[0] * dy[0]);
    }
}

/// −Σ p·ln p over all, where 0·ln 0 counts as 0: forward knows, backward does not.
#[derive(Clone, Copy)]
pub(crate) struct Entropy;

impl Primitive<1> for Entropy {
    fn formula<T: Real>(&self, [p]: [View<'_, T>; 1]) -> Formula {
        let (rows, columns) = p.shape();
        let (p, dy) = (operand(0), upstream());
        let nats = sum(K, rows, sum(R, columns, p.at(K, R) * ln(p.at(K, R))));
        Formula::new("y", ["p"], "Entropy in nats, as nobody should write it.", "none")
            .value(-1.0 * nats)
            .gradient(-1.0 * (ln(p.at(I, J)) + 1.0) * dy.at(0, 0))
    }
    fn name(&self) -> &'static str {
        "entropy"
    }
    fn shape(&self, _: [Shape; 1]) -> Result<Shape, ShapeError> {
        Ok(Shape::new(1, 1))
    }
    fn flops(&self, [p]: [Shape; 1]) -> u64 {
        3 * p.len() as u64
    }
    fn forward<T: Real>(&self, [p]: [View<'_, T>; 1], mut y: ViewMut<'_, T>, _: Work<'_, T>) {
        let terms = p.iter().filter(|p| **p > T::zero());
        y[0] = terms.fold(T::zero(), |s, &p| s - p * p.ln());
    }
    fn vjp<T: Real>(
        &self,
        [p]: [View<'_, T>; 1],
        _: View<'_, T>,
        dy: View<'_, T>,
        [dp]: [Gradient<'_, T>; 1],
        _: Work<'_, T>,
    ) {
        dp.add_each([p], |[p]| -(p.ln() + T::one()) * dy[0]);
    }
}
