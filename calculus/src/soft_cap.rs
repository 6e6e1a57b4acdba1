//! Logit soft-capping: a smooth bound on the size of scores and logits.
//!
//! Formula: <var>y = c·tanh(x/c)</var> with the cap c > 0, so that |y| ≤ c and y ≈ x where |x| is small beside c.
//! Gradient: dx = <var>dy·(1 − (y/c)²)</var>, from the output alone.
//! Floats: y to a few ulp. The gradient's factor has an error of a few ε: if y is within ε of ±c, the gradient is 0.
//! Source: Gemma Team, *Gemma 2: Improving Open Language Models at a Practical Size*, 2024, arXiv:2408.00118,
//! section 2, with c = 50 for the attention scores and c = 30 for the final logits.

use linalg::cases::{Cases, Operand, Size, Visitor};
use linalg::formula::{I, J, operand, output, tanh, upstream};
use linalg::{
    Formula, Gradient, Primitive, Reads, Real, Shape, ShapeError, View, ViewMut, Work,
    parallel::each,
};

/// Returns <var>c·tanh(x/c)</var> with the cap c > 0: between −c and c. Derivative <var>1 − tanh²(x/c)</var>.
///
/// ±c at ±∞, NaN at NaN. A cap of 0 gives ±0, and NaN at 0; an infinite or NaN cap gives NaN.
///
/// Source: Gemma Team, *Gemma 2*, 2024.
///
/// ```
/// use calculus::{derivative, soft_cap::soft_cap};
/// assert_eq!((soft_cap(0.0, 30.0), soft_cap(1e6, 30.0)), (0.0, 30.0));
/// assert!((soft_cap(30.0_f64, 30.0) - 22.8478247).abs() < 1e-7); // 30·tanh 1
/// assert_eq!(derivative(|x| soft_cap(x, 30.0), 0.0), 1.0);
/// ```
#[inline(always)]
pub fn soft_cap<T: Real>(x: T, cap: f64) -> T {
    let cap = T::from_f64(cap);
    cap * (x / cap).tanh()
}

/// The operation [`soft_cap`], element by element: <var>y = c·tanh(x/c)</var>.
///
/// ```
/// use calculus::soft_cap::SoftCap;
/// use linalg::{apply, matrix, pullback};
/// let (cap, x) = (SoftCap { cap: 2.0 }, matrix(1, 2, &[0.0, 2.0]));
/// assert!((apply(&cap, [&x])?[1] - 1.5231883_f64).abs() < 1e-7); // 2·tanh 1
/// let [dx] = pullback(&cap, [&x], &matrix(1, 2, &[1.0, 1.0]))?;
/// assert!(dx[0] == 1.0 && (dx[1] - 0.4199743).abs() < 1e-7); // 1 − tanh² 1
/// # Ok::<(), linalg::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SoftCap {
    /// The cap c > 0.
    pub cap: f64,
}

impl Primitive<1> for SoftCap {
    fn name(&self) -> &'static str {
        "soft cap"
    }

    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, ShapeError> {
        Ok(x)
    }

    fn formula<T: Real>(&self, _: [View<'_, T>; 1]) -> Formula {
        let (x, dy) = (operand(0), upstream());
        let share = || output().at(I, J) / self.cap;
        Formula::new(
            "y",
            ["x"],
            "Keeps every number between −c and c, and small ones as they are.",
            "Gemma Team, Gemma 2: Improving Open Language Models at a Practical Size, 2024",
        )
        .value(self.cap * tanh(x.at(I, J) / self.cap))
        .gradient(dy.at(I, J) * (1.0 - share() * share()))
    }

    fn forward<T: Real>(&self, [x]: [View<'_, T>; 1], y: ViewMut<'_, T>, _: Work<'_, T>) {
        each(
            y,
            [x],
            #[inline(always)]
            |[x]| soft_cap(x, self.cap),
        );
    }

    fn vjp<T: Real>(
        &self,
        _: [View<'_, T>; 1],
        y: View<'_, T>,
        dy: View<'_, T>,
        [dx]: [Gradient<'_, T>; 1],
        _: Work<'_, T>,
    ) {
        let cap = T::from_f64(self.cap);
        dx.add_each([y, dy], |[y, dy]| dy * (T::one() - y / cap * (y / cap)));
    }

    fn flops(&self, [x]: [Shape; 1]) -> u64 {
        12 * x.len() as u64
    }

    fn vjp_flops(&self, [x]: [Shape; 1]) -> u64 {
        5 * x.len() as u64
    }

    fn vjp_reads(&self) -> Reads<1> {
        Reads { inputs: [false], output: true }
    }

    fn is_cheap(&self) -> bool {
        true
    }
}

impl Cases for SoftCap {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Matrix(m, n) = size {
            // About as large as the cap, where the function bends.
            let x = Operand::Numbers { shape: Shape::new(m, n), deviation: 30.0 };
            visitor.visit(SoftCap { cap: 30.0 }, [x]);
        }
    }
}
