//! Norms of vectors and matrices, and the distance of two vectors.
//!
//! | norm | of a vector | of a matrix: largest ‖A·x‖ for ‖x‖ = 1 |
//! |---|---|---|
//! | 1 | Σ \|xᵢ\| | largest sum of a column's \|aᵢⱼ\| |
//! | 2 | √Σ xᵢ² | spectral: the largest singular value |
//! | ∞ | max \|xᵢ\| | largest sum of a row's \|aᵢⱼ\| |
//!
//! The Frobenius norm √Σ aᵢⱼ² depends on all elements, the nuclear norm Σ σᵢ on all singular values.
//!
//! In a transformer: the 2-norm in a cosine, the global gradient norm for clipping, the spectral norm as a bound on how
//! much a layer magnifies its input.
//! Source: the textbook's A.1; Golub and Van Loan, *Matrix Computations*, sections 2.2 and 2.3.
//!
//! Elements are divided by a power of two near the largest before they are squared. A norm overflows or underflows only
//! if its own value is too large or too small for the scalar.

use crate::error::{finite_elements, length};
use crate::{Error, Matrix, Real, ShapeError, vector};

/// Returns <var>‖x‖₁ = Σ |xᵢ|</var>.
///
/// Floats: 0 if x is empty; NaN if an element is NaN; ∞ if an element is ±∞ or the sum overflows.
///
/// ```
/// assert_eq!(linalg::norm::l1(&[3.0, -4.0]), 7.0);
/// ```
#[doc(alias = "norm")]
pub fn l1<T: Real>(x: &[T]) -> T {
    vector::sum_of(x.len(), |i| x[i].abs())
}

/// Returns <var>‖x‖₂ = √Σ xᵢ²</var>, the Euclidean length.
///
/// Floats: 0 if x is empty; NaN if an element is NaN; ∞ if an element is ±∞ or the norm itself overflows. At the zero
/// vector, where the norm is not differentiable, the derivative is taken to be 0.
///
/// ```
/// use linalg::norm::l2;
/// assert_eq!(l2(&[3.0, 4.0]), 5.0);
/// assert!((l2(&[3e200_f64, 4e200]) - 5e200).abs() < 1e185); // the squares would be infinite
/// // The textbook's word and context vectors.
/// assert!((l2(&[0.23, -0.87, 1.42, 0.05]) - 1.681874_f64).abs() < 5e-7);
/// assert!((l2(&[0.10, 0.30, -0.50, 0.80]) - 0.994987_f64).abs() < 5e-7);
/// ```
#[doc(alias = "norm")]
#[doc(alias = "vector_norm")]
#[doc(alias = "euclidean")]
pub fn l2<T: Real>(x: &[T]) -> T {
    l2_of(x.len(), |i| x[i])
}

/// Returns <var>‖x‖∞ = max |xᵢ|</var>.
///
/// Floats: 0 if x is empty; NaN if an element is NaN; ∞ if one is ±∞. Exact.
///
/// ```
/// assert_eq!(linalg::norm::linf(&[3.0, -4.0]), 4.0);
/// ```
#[doc(alias = "norm")]
pub fn linf<T: Real>(x: &[T]) -> T {
    largest(x.len(), |i| x[i])
}

/// Returns <var>‖x − y‖₂</var>, the Euclidean distance.
///
/// Floats: like [`l2`] of the differences; ∞ − ∞ is NaN.
///
/// ```
/// assert_eq!(linalg::norm::distance(&[1.0, 1.0], &[4.0, 5.0]), Ok(5.0));
/// assert!(linalg::norm::distance(&[1.0, 1.0], &[4.0]).is_err());
/// ```
#[doc(alias = "euclidean")]
#[doc(alias = "pdist")]
pub fn distance<T: Real>(x: &[T], y: &[T]) -> Result<T, ShapeError> {
    length("y", y, x.len())?;
    Ok(l2_of(x.len(), |i| x[i] - y[i]))
}

/// Returns <var>x / ‖x‖₂</var>: a vector of length 1 (within 4 ε, for any scale of x) in the direction of x.
///
/// # Errors
/// The zero vector (also the empty one) has no direction; NaN and ±∞ are refused.
///
/// ```
/// assert_eq!(linalg::norm::normalised(&[3.0, -4.0]).unwrap(), [0.6, -0.8]);
/// assert!(linalg::norm::normalised(&[0.0, -0.0]).is_err());
/// ```
#[doc(alias = "normalize")]
#[doc(alias = "unit_vector")]
pub fn normalised<T: Real>(x: &[T]) -> Result<Vec<T>, Error> {
    direction("x", x)
}

/// Like [`normalised`], with the operand's name for the error message.
pub(crate) fn direction<T: Real>(operand: &'static str, x: &[T]) -> Result<Vec<T>, Error> {
    finite_elements(operand, x, x.len())?;
    let scale = power_of_two(linf(x).to_f64());
    if scale == 0.0 {
        return Err(Error::NoDirection { operand, column: 0 });
    }
    let scale = T::from_f64(scale);
    let norm = vector::sum_of(x.len(), |i| (x[i] / scale) * (x[i] / scale)).sqrt();
    Ok(x.iter().map(|&x| x / scale / norm).collect())
}

/// Returns <var>‖A‖_F = √Σ aᵢⱼ²</var>: the 2-norm of a matrix read as one long vector.
///
/// Floats: like [`l2`].
///
/// ```
/// use linalg::{matrix, norm::frobenius};
/// assert_eq!(frobenius(&matrix(2, 2, &[1.0, 1.0, 1.0, 1.0])), 2.0);
/// ```
#[doc(alias = "norm")]
#[doc(alias = "fro")]
pub fn frobenius<T: Real>(a: &Matrix<T>) -> T {
    l2(a.as_slice())
}

/// Returns <var>‖A‖₁</var>, the largest 1-norm of a column: the largest factor by which A magnifies a 1-norm.
///
/// Floats: like [`l1`]; 0 for a matrix without elements.
///
/// ```
/// use linalg::{matrix, norm::induced_1};
/// assert_eq!(induced_1(&matrix(2, 2, &[1.0, -2.0, 3.0, 4.0])), 7.0);
/// ```
#[doc(alias = "norm")]
pub fn induced_1<T: Real>(a: &Matrix<T>) -> T {
    largest(a.ncols(), |j| l1(&a.as_slice()[j * a.nrows()..][..a.nrows()]))
}

/// Returns <var>‖A‖∞</var>, the largest 1-norm of a row: the largest factor by which A magnifies an ∞-norm.
///
/// Floats: like [`l1`]; 0 for a matrix without elements.
///
/// ```
/// use linalg::{matrix, norm::induced_infinity};
/// assert_eq!(induced_infinity(&matrix(2, 2, &[1.0, -2.0, 3.0, 4.0])), 6.0);
/// ```
#[doc(alias = "norm")]
pub fn induced_infinity<T: Real>(a: &Matrix<T>) -> T {
    largest(a.nrows(), |i| vector::sum_of(a.ncols(), |j| a[(i, j)].abs()))
}

/// Returns the largest |term(i)|, for i = 0 .. n; 0 if n is 0, NaN if a term is NaN.
fn largest<T: Real>(n: usize, term: impl Fn(usize) -> T) -> T {
    (0..n).fold(T::zero(), |most, i| term(i).abs().larger(most))
}

/// Returns <var>√Σ term(i)²</var>.
fn l2_of<T: Real>(n: usize, term: impl Fn(usize) -> T) -> T {
    let most = largest(n, &term);
    let scale = power_of_two(most.to_f64());
    if scale == 0.0 {
        return T::zero();
    }
    if !scale.is_finite() {
        return most;
    }
    let scale = T::from_f64(scale);
    let sum = vector::sum_of(n, |i| {
        let x = term(i) / scale;
        x * x
    });
    scale * sum.sqrt()
}

/// Returns the largest power of two ≤ `x`, for `x` ≥ 0; dividing by it is exact. At least the smallest normal number;
/// 0, ∞ and NaN are returned unchanged.
pub(crate) fn power_of_two(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let exponent_alone = f64::from_bits(x.to_bits() & f64::INFINITY.to_bits());
    exponent_alone.max(f64::MIN_POSITIVE)
}

/// Returns the binary exponent of |x|, also if x is subnormal: <var>2ᵉ ≤ |x| < 2ᵉ⁺¹</var>; `None` if x is 0.
pub(crate) fn exponent<T: Real>(x: T) -> Option<i32> {
    let x = x.to_f64().abs();
    let (x, shift) = if x < f64::MIN_POSITIVE { (x * 2_f64.powi(64), 64) } else { (x, 0) };
    (x != 0.0).then(|| (x.to_bits() >> 52) as i32 - 1023 - shift)
}

/// Returns <var>x·2ᵏ</var>, also if 2ᵏ is out of range. Exact, unless the result is subnormal or overflows.
pub(crate) fn times_power<T: Real>(mut x: T, mut k: i32) -> T {
    while k != 0 {
        // A power in the range of every scalar.
        let step = k.clamp(-100, 100);
        x *= T::from_f64(f64::from_bits(((1023 + step) as u64) << 52));
        k -= step;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decomposition::spectrum::{nuclear_norm, spectral_norm};
    use crate::laws::{matrices, pair, product, vectors};
    use proptest::prelude::*;

    const E: f64 = f64::EPSILON;

    proptest! {
        #[test]
        fn cauchy_and_schwarz((x, y) in pair(1..40)) {
            let bound = l2(&x) * l2(&y);
            prop_assert!(vector::dot(&x, &y).abs() <= bound * (1.0 + 8.0 * E));
        }

        #[test]
        fn hoelder((x, y) in pair(1..40)) {
            prop_assert!(vector::dot(&x, &y).abs() <= l1(&x) * linf(&y) * (1.0 + 8.0 * E));
        }

        #[test]
        fn triangle((x, y) in pair(0..40)) {
            let sum: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x + y).collect();
            for norm in [l1, l2, linf] {
                prop_assert!(norm(&sum) <= (norm(&x) + norm(&y)) * (1.0 + 8.0 * E));
            }
        }

        #[test]
        fn distance_is_a_metric((x, y) in pair(1..20), shift in -9.0..9.0_f64) {
            let z: Vec<f64> = x.iter().map(|x| x * 0.3 + shift).collect();
            let d = |a: &[f64], b: &[f64]| distance(a, b).unwrap();
            prop_assert_eq!(d(&x, &x), 0.0);
            prop_assert_eq!(d(&x, &y), d(&y, &x));
            prop_assert!(d(&x, &z) <= (d(&x, &y) + d(&y, &z)) * (1.0 + 8.0 * E));
        }

        #[test]
        fn a_number_comes_out_as_its_size(x in vectors(0..40), power in -900..900_i32) {
            // Scaling by a power of two is exact, so the law holds to the bit.
            let c = -(f64::from(power)).exp2();
            let scaled: Vec<f64> = x.iter().map(|x| c * x).collect();
            for norm in [l1, l2, linf] {
                prop_assert_eq!(norm(&scaled), -c * norm(&x));
            }
        }

        #[test]
        fn norms_are_equivalent(x in vectors(1..40)) {
            let n = x.len() as f64;
            let slack = 1.0 + 16.0 * E;
            prop_assert!(linf(&x) <= l2(&x) * slack && l2(&x) <= l1(&x) * slack);
            prop_assert!(l1(&x) <= n.sqrt() * l2(&x) * slack);
            prop_assert!(l2(&x) <= n.sqrt() * linf(&x) * slack);
        }

        #[test]
        fn parallelogram((x, y) in pair(1..40)) {
            let square = |s: f64| {
                let v: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x + s * y).collect();
                l2(&v).powi(2)
            };
            let sides = 2.0 * (l2(&x).powi(2) + l2(&y).powi(2));
            prop_assert!((square(1.0) + square(-1.0) - sides).abs() <= 32.0 * E * sides);
        }

        #[test]
        fn a_direction_has_length_one(x in vectors(1..40), power in -1040..900_i32) {
            let scaled: Vec<f64> = x.iter().map(|x| x * f64::from(power).exp2()).collect();
            prop_assume!(linf(&scaled) > 0.0);
            let unit = normalised(&scaled).unwrap();
            prop_assert!((l2(&unit) - 1.0).abs() <= 4.0 * E);
        }

        #[test]
        fn submultiplicative((a, b) in crate::laws::factors(1..7)) {
            let ab = product(&a, &b);
            // Products of up to 6 terms, norms of up to 36, and an SVD of 6 × 6: 64 ε of slack.
            let slack = 1.0 + 64.0 * E;
            for norm in [frobenius, induced_1, induced_infinity] {
                prop_assert!(norm(&ab) <= norm(&a) * norm(&b) * slack);
            }
            for norm in [spectral_norm, nuclear_norm] {
                let [ab, a, b] = [&ab, &a, &b].map(|m| norm(m).unwrap());
                prop_assert!(ab <= a * b * slack);
            }
        }

        #[test]
        fn spectral_then_frobenius_then_nuclear(a in matrices(1..8)) {
            let slack = 1.0 + 64.0 * E;
            let (two, f, nuclear) = (spectral_norm(&a).unwrap(), frobenius(&a), nuclear_norm(&a).unwrap());
            let rank = a.nrows().min(a.ncols()) as f64;
            prop_assert!(two <= f * slack && f <= nuclear * slack);
            prop_assert!(nuclear <= rank.sqrt() * f * slack && f <= rank.sqrt() * two * slack);
            // ‖A‖₂² ≤ ‖A‖₁·‖A‖∞.
            prop_assert!(two * two <= induced_1(&a) * induced_infinity(&a) * slack);
        }

        #[test]
        fn no_vector_is_magnified_more(a in matrices(1..8), seed in 0..1000_u64) {
            let x = crate::laws::draw(seed, a.ncols(), 1);
            let ax = product(&a, &x);
            let slack = 1.0 + 64.0 * E;
            prop_assert!(frobenius(&ax) <= spectral_norm(&a).unwrap() * frobenius(&x) * slack);
            prop_assert!(l1(ax.as_slice()) <= induced_1(&a) * l1(x.as_slice()) * slack);
            prop_assert!(linf(ax.as_slice()) <= induced_infinity(&a) * linf(x.as_slice()) * slack);
        }
    }

    #[test]
    fn dividing_by_a_power_of_two_rounds_nothing() {
        for x in [1.0, 1.5, 1.999, 2.0, 0.3, 1e300, 1e-300, f64::MAX, f64::MIN_POSITIVE] {
            let s = power_of_two(x);
            assert!(s <= x && x / s < 2.0 && (x / s) * s == x, "{x}");
        }
        for x in [1.0, 1.999, 2.0, 1e300, f64::MAX, f64::MIN_POSITIVE, 5e-324, 1e-310] {
            let e = exponent(-x).unwrap();
            let one = times_power(x, -e);
            assert!((1.0..2.0).contains(&one) && times_power(one, e) == x, "{x}");
        }
        assert_eq!((exponent(-0.0), times_power(3.0_f32, 5000)), (None, f32::INFINITY));
        assert_eq!(power_of_two(5e-324), f64::MIN_POSITIVE);
        assert_eq!([power_of_two(0.0), power_of_two(f64::INFINITY)], [0.0, f64::INFINITY]);
    }
}
