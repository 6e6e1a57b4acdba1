//! An approximate orthogonal factor of a matrix by products alone: the Newton–Schulz iteration of Muon.
//!
//! Formula: <var>X₀ = A/‖A‖_F</var>, then five times <var>X ← a·X + b·(X·Xᵀ)·X + c·(X·Xᵀ)²·X</var> with
//! <var>a = 3.4445, b = −4.775, c = 2.0315</var>. For <var>A = U·diag(σ)·Vᵀ</var> it keeps U and V, and maps every
//! singular value by the same odd polynomial: <var>σ/‖A‖_F ↦ p(p(p(p(p(σ/‖A‖_F)))))</var> with
//! <var>p(x) = a·x + b·x³ + c·x⁵</var> ([`stretched`]). The coefficients are chosen for a steep start (a small singular
//! value grows by 3.44 each time) and not for convergence to 1: the values end in a band around 1 ([`BAND`]).
//! In a transformer: an update of a matrix that moves all its directions by about the same length.
//! Source: Jordan et al., *Muon: An optimizer for hidden layers in neural networks*, 2024; for the family of iterations
//! Higham, *Functions of Matrices*, chapter 8.

use crate::norm::{l2, linf, power_of_two};
use crate::{Factor, Matrix, Real, View, ViewMut, parallel, product_into, transposed};

/// The coefficients a, b, c of the polynomial <var>p(x) = a·x + b·x³ + c·x⁵</var>.
pub const COEFFICIENTS: [f64; 3] = [3.4445, -4.775, 2.0315];

/// The number of iterations.
pub const ITERATIONS: usize = 5;

/// The band in which a singular value ends that was at least [`THRESHOLD`] times ‖A‖_F: the smallest and the largest
/// value of p at its two stationary points, <var>p(1.05014) = 0.68183</var> and <var>p(0.55453) = 1.20237</var>.
///
/// p maps numbers above 0 and up to 1 to numbers above 0 and up to 1.20237, and those to each other. A value from 0.2113 up is
/// mapped to 0.68183 or more, and stays above. A smaller one grows by a factor of at least 3.2 in every iteration.
pub const BAND: [f64; 2] = [0.681_831_462_177_184_7, 1.202_368_605_163_213];

/// The smallest share of ‖A‖_F from which a singular value reaches [`BAND`]:
/// <var>p⁵(0.00151) = 0.68</var>; all smaller ones end between 0 and the band, at most 484.9 times as large.
pub const THRESHOLD: f64 = 0.001_51;

/// The largest slope of k iterations, on singular values up to the band's end, for k from 0 to 5: how much a
/// perturbation of the matrix can grow (in the Frobenius norm). From k = 2 it is aᵏ, the slope at 0.
pub const SLOPES: [f64; ITERATIONS + 1] = [1.0, 3.965, 11.865, 40.868, 140.77, 484.88];

/// Returns the singular value that the iteration makes of <var>x = σ/‖A‖_F</var>: the polynomial, five times.
///
/// ```
/// use linalg::newton_schulz::{BAND, stretched};
/// assert!((stretched(1.0_f64) - 0.6964364).abs() < 1e-6);
/// assert!((stretched(1e-6_f64) / 1e-6 - 484.876).abs() < 1e-2); // 3.4445⁵
/// assert!((2..=1000).all(|k| (BAND[0]..=BAND[1]).contains(&stretched(0.001 * f64::from(k)))));
/// ```
pub fn stretched<T: Real>(x: T) -> T {
    let [a, b, c] = COEFFICIENTS.map(T::from_f64);
    (0..ITERATIONS).fold(x, |x, _| {
        let square = x * x;
        x * (a + square * (b + c * square))
    })
}

/// Returns how far the result for a matrix of this shape may be off in ‖·‖_F, and each of its singular values with it
/// (Weyl), if a rounding is at most ε/2 of a number: to first order, in the worst case.
///
/// With k the smaller side, n the larger, <var>F = ‖X‖_F ≤ min(3.4445ⁱ, 1.21·√k)</var> before iteration i, and a
/// singular value of at most 1.21: a sum of n products is off by n·ε/2 of the sum of sizes, which Cauchy and Schwarz
/// bound by the product of the norms. That makes (ε/2)·13·(n + 3)·F² by X·Xᵀ, (ε/2)·3.6·(k + 3)·F² by its square and
/// (ε/2)·3.5·(k + 3)·√k·F by the last product. The iterations after it multiply these by [`SLOPES`], and the roundings
/// of the matrix itself by the last of them; an error of the norm changes <var>x·(p⁵)′(x) ≤ 8.64</var> times as much.
/// In `f64` only: a bound is not differentiated.
///
/// ```
/// use linalg::newton_schulz::error_bound;
/// assert!(error_bound(128, 512, f64::EPSILON) < 1e-8);
/// ```
pub fn error_bound(rows: usize, columns: usize, epsilon: f64) -> f64 {
    let [n, k] = [rows.max(columns) as f64, rows.min(columns) as f64];
    let own = |i: usize| {
        let f = COEFFICIENTS[0].powi(i as i32).min(1.21 * k.sqrt());
        let products = 13.0 * (n + 3.0) * f * f + 3.6 * (k + 3.0) * f * f;
        SLOPES[ITERATIONS - 1 - i] * (products + 3.5 * (k + 3.0) * k.sqrt() * f)
    };
    let start = 8.0 * SLOPES[ITERATIONS] + 8.64 * k.sqrt() * (n * k / 2.0 + 4.0);
    1.1 * epsilon / 2.0 * (start + (0..ITERATIONS).map(own).sum::<f64>())
}

/// Returns the result of the iteration on a matrix.
///
/// Floats: the result does not depend on the scale of A; if an element is NaN or ±∞, all are NaN; of the zero matrix it
/// is 0, and the derivative there is taken to be 0.
///
/// ```
/// use linalg::{matrix, newton_schulz::{orthogonalised, stretched}};
/// let o = orthogonalised(&matrix(2, 2, &[3.0_f64, 0.0, 0.0, 4.0]));
/// assert!((o[(0, 0)] - stretched(0.6)).abs() < 1e-12 && (o[(1, 1)] - stretched(0.8)).abs() < 1e-12);
/// assert!(o[(0, 1)].abs() < 1e-12);
/// ```
pub fn orthogonalised<T: Real>(a: &Matrix<T>) -> Matrix<T> {
    let mut x = a.clone();
    let (rows, columns) = x.shape();
    NewtonSchulz::new([(rows, columns)]).run(x.as_mut_slice(), rows, columns);
    x
}

/// The memory of the iteration, for matrices up to some shapes: runs allocate nothing.
///
/// ```
/// use linalg::{matrix, newton_schulz::{NewtonSchulz, orthogonalised}};
/// let a = matrix(2, 3, &[1.0_f64, 2.0, 0.0, -1.0, 0.5, 3.0]);
/// let mut x = a.clone();
/// NewtonSchulz::new([(2, 3), (4, 4)]).run(x.as_mut_slice(), 2, 3);
/// assert_eq!(x, orthogonalised(&a));
/// ```
#[derive(Clone, Debug)]
pub struct NewtonSchulz<T> {
    /// The matrix of the last iteration.
    before: Vec<T>,
    /// X·Xᵀ, or Xᵀ·X if that is smaller.
    gram: Vec<T>,
    /// a·I + b·(X·Xᵀ) + c·(X·Xᵀ)².
    factor: Vec<T>,
}

impl<T: Real> NewtonSchulz<T> {
    /// Creates the memory for matrices of these numbers of rows and columns.
    pub fn new(shapes: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let larger = |(whole, square): (usize, usize), (rows, columns): (usize, usize)| {
            let least = rows.min(columns);
            (whole.max(rows * columns), square.max(least * least))
        };
        let (whole, square) = shapes.into_iter().fold((0, 0), larger);
        let zeros = |n| vec![T::zero(); n];
        NewtonSchulz { before: zeros(whole), gram: zeros(square), factor: zeros(square) }
    }

    /// Replaces the elements of a column-major matrix by the result of the iteration, like [`orthogonalised`].
    ///
    /// The products are of the smaller side: <var>(X·Xᵀ)·X</var> is <var>X·(Xᵀ·X)</var>.
    ///
    /// # Panics
    /// If the number of elements is not `rows · columns`, or above that of the largest shape.
    pub fn run(&mut self, x: &mut [T], rows: usize, columns: usize) {
        assert_eq!(x.len(), rows * columns, "a matrix of {rows}×{columns}");
        if !normalise(x) {
            return;
        }
        for _ in 0..ITERATIONS {
            self.step(x, rows, columns, COEFFICIENTS);
        }
    }

    /// Replaces X by <var>a·X + b·(X·Xᵀ)·X + c·(X·Xᵀ)²·X</var>, and returns the old X·Xᵀ, or Xᵀ·X if that is smaller.
    pub(crate) fn step(
        &mut self,
        x: &mut [T],
        rows: usize,
        columns: usize,
        coefficients: [f64; 3],
    ) -> &[T] {
        let (wide, least) = (rows <= columns, rows.min(columns));
        let before = &mut self.before[..x.len()];
        let [gram, factor] = [&mut self.gram, &mut self.factor].map(|m| &mut m[..least * least]);
        let [a, b, c] = coefficients.map(T::from_f64);
        each(before, x, |before, x| *before = x);
        let old = View::from_slice(before, rows, columns);
        let square = ViewMut::from_slice(gram, least, least);
        match wide {
            true => product_into(square, T::one(), old, transposed(old)),
            false => product_into(square, T::one(), transposed(old), old),
        }
        let square = View::from_slice(gram, least, least);
        product_into(ViewMut::from_slice(factor, least, least), c, square, square);
        each(factor, gram, |factor, gram| *factor += b * gram);
        factor.iter_mut().step_by(least + 1).for_each(|diagonal| *diagonal += a);
        let factor = Factor::from(View::from_slice(factor, least, least));
        let new = ViewMut::from_slice(x, rows, columns);
        match wide {
            true => product_into(new, T::one(), factor, old),
            false => product_into(new, T::one(), old, factor),
        }
        gram
    }
}

/// Divides by the Frobenius norm, in two steps that neither overflow nor underflow. Returns `false` if the result of
/// the iteration is then known: all zeros, or all NaN.
pub(crate) fn normalise<T: Real>(x: &mut [T]) -> bool {
    let scale = power_of_two(linf(x).to_f64());
    if scale == 0.0 || !scale.is_finite() {
        let known = if scale == 0.0 { T::zero() } else { T::from_f64(f64::NAN) };
        x.fill(known);
        return false;
    }
    let scale = T::from_f64(scale);
    x.iter_mut().for_each(|x| *x /= scale);
    let norm = l2(x);
    x.iter_mut().for_each(|x| *x /= norm);
    true
}

/// Changes every number by the one at its place in another slice, on all threads.
fn each<T: Real>(to: &mut [T], from: &[T], change: impl Fn(&mut T, T) + Sync) {
    let n = to.len();
    parallel::rows([ViewMut::from_slice(to, n, 1)], parallel::BLOCK, |first, [mut to]| {
        let mut to = to.column_mut(0);
        let to = to.as_mut_slice();
        T::simd(
            #[inline(always)]
            || to.iter_mut().zip(&from[first..]).for_each(|(to, &from)| change(to, from)),
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::svd::Svd;
    use proptest::prelude::*;

    /// A matrix of numbers from −1 to 1.
    fn matrices() -> impl Strategy<Value = Matrix<f64>> {
        (1_usize..9, 1_usize..9).prop_flat_map(|(rows, columns)| {
            let all = prop::collection::vec(-1.0_f64..1.0, rows * columns);
            all.prop_map(move |x| crate::matrix(rows, columns, &x))
        })
    }

    /// An orthogonal matrix: the left singular vectors of a square one.
    fn orthogonal(n: usize, seed: u64) -> Matrix<f64> {
        let at = |i: usize, j: usize| ((seed as usize + 7 * i + 13 * j + i * j) % 11) as f64 - 4.7;
        Svd::of(&Matrix::from_fn(n, n, |i, j| at(i, j) + if i == j { 9.0 } else { 0.0 })).unwrap().u
    }

    fn bound<T: Real>(a: &Matrix<T>, epsilon: f64) -> f64 {
        error_bound(a.nrows(), a.ncols(), epsilon)
    }

    fn difference(a: &Matrix<f64>, b: &Matrix<f64>) -> f64 {
        (a - b).norm()
    }

    proptest! {
        #[test]
        fn singular_values_follow_the_polynomial(a in matrices()) {
            let norm = a.norm();
            prop_assume!(norm > 0.0);
            let mut expected: Vec<f64> =
                Svd::of(&a).unwrap().values.iter().map(|s| stretched(s / norm)).collect();
            expected.sort_by(|a, b| b.total_cmp(a));
            let found = Svd::of(&orthogonalised(&a)).unwrap().values;
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert!((found - expected).abs() <= bound(&a, f64::EPSILON), "{found} {expected}");
            }
        }

        /// A power of two changes no bit, and any other factor only the roundings.
        #[test]
        fn the_scale_does_not_matter(a in matrices(), power in -900_i32..900, factor in 0.1_f64..10.0) {
            let power = 2.0_f64.powi(power);
            prop_assert_eq!(orthogonalised(&(&a * power)), orthogonalised(&a));
            let error = difference(&orthogonalised(&(&a * -factor)), &-orthogonalised(&a));
            prop_assert!(error <= 2.0 * bound(&a, f64::EPSILON), "{error}");
        }

        #[test]
        fn rotations_pass_through(a in matrices(), seed in 0_u64..99) {
            let (u, v) = (orthogonal(a.nrows(), seed), orthogonal(a.ncols(), seed + 1));
            let turned = orthogonalised(&(&u * &a * v.transpose()));
            let error = difference(&turned, &(&u * orthogonalised(&a) * v.transpose()));
            // Both ways, and the rotations' own products and their distance from orthogonality.
            prop_assert!(error <= 4.0 * bound(&a, f64::EPSILON), "{error}");
        }

        #[test]
        fn a_transpose_passes_through(a in matrices()) {
            let error = difference(&orthogonalised(&a.transpose()), &orthogonalised(&a).transpose());
            prop_assert!(error <= 2.0 * bound(&a, f64::EPSILON), "{error}");
        }

        #[test]
        fn narrow_numbers_do_the_same(a in matrices()) {
            let narrow = a.map(|x| x as f32);
            let error = orthogonalised(&narrow).map(f64::from) - orthogonalised(&narrow.map(f64::from));
            prop_assert!(error.norm() <= bound(&narrow, f64::from(f32::EPSILON)), "{error}");
        }
    }

    #[test]
    fn the_band_is_the_polynomial_s() {
        let [a, b, c] = COEFFICIENTS;
        let p = |x: f64| a * x + b * x.powi(3) + c * x.powi(5);
        let root = (9.0 * b * b - 20.0 * a * c).sqrt();
        let [low, high] = [1.0, -1.0].map(|sign| p(((-3.0 * b + sign * root) / (10.0 * c)).sqrt()));
        assert!((low - BAND[0]).abs() < 1e-14 && (high - BAND[1]).abs() < 1e-14, "{low} {high}");
        let grid =
            |from: f64, to: f64| (0..=10_000).map(move |i| from + (to - from) * f64::from(i) / 1e4);
        // The interval is mapped into itself, and so is the band; below it values grow.
        assert!(grid(0.0, BAND[1]).all(|x| (0.0..=BAND[1]).contains(&p(x))));
        assert!(grid(0.2113, BAND[1]).all(|x| p(x) >= BAND[0]));
        assert!(grid(1e-9, 0.2113).all(|x| p(x) >= 3.2 * x));
        assert!(grid(THRESHOLD, 1.0).all(|x| (BAND[0] - 1e-12..=BAND[1]).contains(&stretched(x))));
        assert!(stretched(THRESHOLD - 2e-5) < BAND[0]);
        let slope = |x: f64| a + 3.0 * b * x * x + 5.0 * c * x.powi(4);
        for (k, &most) in SLOPES.iter().enumerate() {
            let of = |x: f64| (0..k).fold((x, 1.0_f64), |(x, d), _| (p(x), d * slope(x))).1.abs();
            let end = if k == ITERATIONS { 1.0 } else { BAND[1] };
            let largest = grid(0.0, end).map(of).fold(0.0, f64::max);
            assert!(largest <= most && largest > 0.99 * most, "{k}: {largest}");
        }
    }

    #[test]
    fn hard_matrices() {
        let zero = Matrix::<f32>::zeros(3, 2);
        assert_eq!(orthogonalised(&zero), zero);
        for broken in [f32::NAN, f32::INFINITY] {
            let mut a = Matrix::from_element(3, 2, 1.0);
            a[(1, 1)] = broken;
            assert!(orthogonalised(&a).iter().all(|x| x.is_nan()));
        }
        let a = crate::matrix(2, 2, &[1.0_f32, 0.5, -0.25, 1.0]);
        for size in [f32::from_bits(4), 1e-30, 1e30, f32::MAX] {
            let error = (orthogonalised(&(&a * size)) - orthogonalised(&a)).norm();
            assert!(error < 1e-4, "{size:e}: {error}");
        }
        assert_eq!(orthogonalised(&Matrix::<f64>::zeros(0, 3)).len(), 0);
    }
}
