//! Norms, products, solutions, decompositions.

use super::inputs::Inputs::{Multiple, Number, Numbers, Share, Square, Tame, Vector, Weights};
use super::{Case, cases, doubles};
use linalg::adapter::Adapter;
use linalg::cholesky::Cholesky;
use linalg::hadamard::Hadamard;
use linalg::krylov::{self, Lanczos, operator, power_iteration};
use linalg::least_squares::LeastSquares;
use linalg::low_rank::LowRank;
use linalg::lu::{self, Lu};
use linalg::newton_schulz::NewtonSchulz;
use linalg::polar::Polar;
use linalg::principal::PrincipalComponents;
use linalg::qr::Qr;
use linalg::randomised::RandomisedSvd;
use linalg::rotation::{self, Pairs, Scaling};
use linalg::svd::{self, Svd};
use linalg::symmetric::SymmetricEigen;
use linalg::{
    Error, Matrix, Real, accurate, affine, apply, basis, conjugate_gradient, eigenvalues, gram,
    hutchinson, matrix, newton_schulz, norm, outer, projection,
};
use linalg::{product::Product, transposed};
use linalg::{pullback, scaled_dot, similarity, sinusoid, spectrum, vector};
use num_traits::{One, Zero};
use tests::exact::{Exact, certified};

pub(super) fn halves<T>(x: &[T]) -> (&[T], &[T]) {
    x.split_at(x.len() / 2)
}

/// All elements as a square.
pub(super) fn square<T: Real>(x: &[T]) -> Matrix<T> {
    let n = (0..).find(|n| n * n >= x.len()).expect("a size");
    matrix(n, n, x)
}

fn adapter<T: Real>(x: &[T]) -> Result<Adapter<T>, Error> {
    Adapter::new(matrix(1, 2, &x[..2]), matrix(2, 1, &x[2..4]), 0.5)
}

fn written<T: Real>(x: &[T], write: impl FnOnce(&mut Matrix<T>)) -> Matrix<T> {
    let mut c = matrix(2, 2, x);
    write(&mut c);
    c
}

fn added<T: Real>(x: &[T]) -> Vec<T> {
    let mut sum = vec![T::zero()];
    vector::add_all(&mut sum, x.len(), |i, sum| sum[0] += x[i]);
    sum
}

/// A matrix of f64 as exact numbers.
fn exactly(a: &Matrix<f64>) -> Matrix<Exact> {
    a.map(Exact::of)
}

fn times(a: &Matrix<Exact>, b: &Matrix<Exact>) -> Matrix<Exact> {
    apply(&Product::plain(), [a, b]).expect("shapes")
}

/// How far two exact matrices are apart, in ε of a size; a few smallest numbers, too, where that is more.
fn apart(a: &Matrix<Exact>, b: &Matrix<Exact>, size: f64) -> Exact {
    let most = a.iter().zip(b.iter()).fold(Exact::zero(), |m, (&a, &b)| m.larger((a - b).abs()));
    most / Exact::of(size.max(f64::MIN_POSITIVE)) / Exact::of(f64::EPSILON)
}

/// |QᵀQ − 1| in ε.
fn skew(q: &Matrix<f64>) -> Exact {
    let q = exactly(q);
    let identity =
        Matrix::from_fn(q.ncols(), q.ncols(), |i, j| Exact::of(f64::from(u8::from(i == j))));
    apart(&times(&q.transpose(), &q), &identity, 1.0)
}

/// Errors, as the case measured them.
pub(super) fn measured(x: &[f64], f: impl Fn() -> Vec<Exact>) -> Vec<f64> {
    let found = certified::<super::Refused>(x, || Ok(f()));
    // None where what is measured is a 0 of which every precision leaves another rest.
    found.unwrap_or_default().iter().map(tests::exact::Number::to_f64).collect()
}

const SCALINGS: [Scaling; 3] = [
    Scaling::None,
    Scaling::Linear { factor: 3.0 },
    Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 64.0 },
];

/// A scaled frequency, as [`Scaling`] defines it.
fn scaled(scaling: Scaling, frequency: Exact) -> Exact {
    match scaling {
        Scaling::Linear { factor } => frequency / Exact::of(factor),
        Scaling::Llama3 { factor, low, high, original } => {
            let slowed = frequency / Exact::of(factor);
            let turns = frequency * Exact::of(original) / Exact::of(std::f64::consts::TAU);
            let share = (turns - Exact::of(low)) / Exact::of(high - low);
            if turns < Exact::of(low) {
                slowed
            } else if turns > Exact::of(high) {
                frequency
            } else {
                (Exact::one() - share) * slowed + share * frequency
            }
        }
        _ => frequency,
    }
}

/// Eigenvalues of a small symmetric matrix, largest first: Jacobi's rotations, of which every sweep doubles the digits.
pub(super) fn eigenvalues(mut a: Matrix<Exact>) -> Vec<Exact> {
    let n = a.nrows();
    let one = Exact::one();
    for _ in 0..if n > 1 { 14 } else { 0 } {
        for p in 0..n {
            for q in p + 1..n {
                let (app, aqq, apq) = (a[(p, p)], a[(q, q)], a[(p, q)]);
                // What is nothing to the diagonal stays out, and so does a division of zeros.
                if apq == Exact::zero() {
                    continue;
                }
                let theta = (aqq - app) / (apq + apq);
                let root = (theta * theta + one).sqrt();
                let t = if theta < Exact::zero() {
                    -one / (root - theta)
                } else {
                    one / (root + theta)
                };
                let c = one / (t * t + one).sqrt();
                let s = t * c;
                for k in 0..n {
                    let (x, y) = (a[(k, p)], a[(k, q)]);
                    (a[(k, p)], a[(k, q)]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..n {
                    let (x, y) = (a[(p, k)], a[(q, k)]);
                    (a[(p, k)], a[(q, k)]) = (c * x - s * y, s * x + c * y);
                }
            }
        }
    }
    let mut values: Vec<Exact> = (0..n).map(|i| a[(i, i)]).collect();
    values.sort_by(|a, b| b.partial_cmp(a).expect("numbers"));
    values
}

fn singular_values(a: &Matrix<Exact>) -> Vec<Exact> {
    let gram = times(&a.transpose(), a);
    // A rounding below 0 is 0.
    eigenvalues(gram).into_iter().map(|x| Exact::zero().larger(x).sqrt()).collect()
}

/// Beyond it a singular value or an eigenvalue of a matrix of 3 × 3 may be no f64.
const MOST: f64 = f64::MAX / 8.0;

fn largest(a: &Matrix<f64>) -> f64 {
    a.iter().fold(0.0, |most, x| most.max(x.abs()))
}

/// Values that should be these, in ε of the largest.
fn values_apart(found: &[f64], right: &[Exact], size: f64) -> Exact {
    let column = |x: Vec<Exact>| Matrix::from_vec(x.len(), 1, x);
    let found = column(found.iter().map(|&x| Exact::of(x)).collect());
    apart(&found, &column(right.to_vec()), size)
}

/// How far UΣVᵀ is from A, how far U and V are from orthonormal, and Σ from the singular values.
fn decomposed(x: &[f64]) -> Result<Vec<f64>, Error> {
    let a = square(x);
    if largest(&a) > MOST {
        return Ok(Vec::new());
    }
    let svd = Svd::of(&a)?;
    Ok(measured(x, || {
        let stretch = Matrix::from_diagonal(&nalgebra::DVector::from_vec(svd.values.clone()));
        let back =
            times(&times(&exactly(&svd.u), &exactly(&stretch)), &exactly(&svd.v).transpose());
        let right = singular_values(&exactly(&a));
        let size = largest(&a);
        vec![
            apart(&back, &exactly(&a), size),
            skew(&svd.u),
            skew(&svd.v),
            values_apart(&svd.values, &right, size),
        ]
    }))
}

/// The same of a symmetric matrix, and of the matrix that is made of it again.
fn symmetric(x: &[f64]) -> Result<Vec<f64>, Error> {
    let a = square(x);
    if largest(&a) > MOST {
        return Ok(Vec::new());
    }
    let a = (&a * 0.5) + (a.transpose() * 0.5);
    let eigen = SymmetricEigen::of(&a)?;
    let back = eigen.map(|x| x);
    Ok(measured(x, || {
        let right = eigenvalues(exactly(&a));
        let size = largest(&a);
        vec![
            apart(&exactly(&back), &exactly(&a), size),
            skew(&eigen.vectors),
            values_apart(&eigen.values, &right, size),
        ]
    }))
}

/// A square of these numbers, divided by the largest and added to 4·1.
fn near_four<T: Real>(x: &[T]) -> Matrix<T> {
    let (mut a, size) = (square(x), norm::linf(x));
    if size > T::zero() {
        a.iter_mut().for_each(|x| *x /= size);
    }
    (0..a.nrows()).for_each(|i| a[(i, i)] += T::from_f64(4.0));
    a
}

/// A straight line through three points at −1, 0 and 1.
fn line<T: Real>(y: &[T]) -> Result<LeastSquares<T>, Error> {
    let (zero, one) = (T::zero(), T::one());
    LeastSquares::of(&linalg::from_rows(&[[one, -one], [one, zero], [one, one]]), y)
}

/// How far A·A⁺ is from 1, and A·x from b, in ε·κ; of a matrix that is singular to rounding nothing.
fn inverted(x: &[f64]) -> Result<Vec<f64>, Error> {
    let a = square(x);
    if largest(&a) > MOST {
        return Ok(Vec::new());
    }
    let (svd, n) = (Svd::of(&a)?, a.nrows());
    let ones = Matrix::from_element(n, 1, largest(&a));
    let (Ok(inverse), Ok(solution)) = (svd.pseudo_inverse(), svd.solve(&ones)) else {
        return Ok(Vec::new());
    };
    // What is subnormal has lost digits.
    let subnormal = |x: &f64| *x != 0.0 && x.abs() < 1e-290;
    if svd.rank() < n || inverse.iter().chain(&solution).chain(&a).any(subnormal) {
        return Ok(Vec::new());
    }
    let condition = if n > 0 { svd.condition_number()? } else { 1.0 };
    Ok(measured(x, || {
        let identity = Matrix::from_fn(n, n, |i, j| Exact::of(f64::from(u8::from(i == j))));
        vec![
            apart(&times(&exactly(&a), &exactly(&inverse)), &identity, condition),
            apart(
                &times(&exactly(&a), &exactly(&solution)),
                &exactly(&ones),
                condition * largest(&a),
            ),
        ]
    }))
}

/// The eigenvalues of a symmetric matrix, found as those of any.
fn of_any(x: &[f64]) -> Result<Vec<f64>, Error> {
    let a = square(x);
    if largest(&a) > MOST {
        return Ok(Vec::new());
    }
    let a = (&a * 0.5) + (a.transpose() * 0.5);
    let (all, radius) = (eigenvalues::eigenvalues(&a)?, eigenvalues::spectral_radius(&a)?);
    let mut found: Vec<f64> = all.iter().map(|value| value.re).collect();
    found.sort_by(|a, b| b.total_cmp(a));
    // A pair that nearly coincides may be conjugate, by the square root of a rounding.
    let apart_by_rounding: Vec<f64> = all.iter().map(|value| value.im).collect();
    Ok(measured(x, || {
        let right = eigenvalues(exactly(&a));
        let size = largest(&a);
        let most = right.iter().fold(Exact::zero(), |m, x| m.larger(x.abs()));
        let none = vec![Exact::zero(); found.len()];
        vec![
            values_apart(&found, &right, size),
            values_apart(&[radius], &[most], size),
            values_apart(&apart_by_rounding, &none, size),
        ]
    }))
}

/// The largest singular value by a projection that loses nothing of so small a matrix.
fn projected(x: &[f64]) -> Result<Vec<f64>, Error> {
    let a = square(x);
    if largest(&a) > MOST {
        return Ok(Vec::new());
    }
    let k = a.nrows().min(1);
    let found = RandomisedSvd::default().run(&a, k)?;
    Ok(measured(x, || {
        let right = singular_values(&exactly(&a));
        vec![values_apart(&found.values, &right[..k], largest(&a)), skew(&found.u), skew(&found.v)]
    }))
}

/// Eckart and Young: what is left out is the singular values that are left out.
fn low_rank(x: &[f64]) -> Result<Vec<f64>, Error> {
    let a = square(x);
    if largest(&a) > MOST {
        return Ok(Vec::new());
    }
    let k = a.nrows() / 2;
    let found = LowRank::of(&a, k)?;
    Ok(measured(x, || {
        let right = singular_values(&exactly(&a));
        let rest = exactly(&a) - exactly(&found.matrix());
        let frobenius = |x: &[Exact]| vector::dot(x, x).sqrt();
        let size = largest(&a);
        let next = right.get(k).copied().unwrap_or_else(Exact::zero);
        vec![
            values_apart(&[found.spectral_error()], &[next], size),
            values_apart(
                &[found.frobenius_error()],
                &[frobenius(&right[k.min(right.len())..])],
                size,
            ),
            values_apart(&[found.frobenius_error()], &[frobenius(rest.as_slice())], size),
        ]
    }))
}

fn nearest_adapter(x: &[f64]) -> Result<Vec<f64>, Error> {
    let a = square(x);
    if largest(&a) > MOST {
        return Ok(Vec::new());
    }
    let found = Adapter::nearest(&a, 1)?.delta();
    Ok(measured(x, || {
        let right = singular_values(&exactly(&a));
        let rest = exactly(&a) - exactly(&found);
        let frobenius = |x: &[Exact]| vector::dot(x, x).sqrt();
        let apart = (frobenius(rest.as_slice()) - frobenius(&right[1..])).abs();
        vec![apart / Exact::of(largest(&a).max(f64::MIN_POSITIVE) * f64::EPSILON)]
    }))
}

/// The number of singular values that are not nothing, and those that are above a threshold.
fn ranks(x: &[f64]) -> Result<Vec<f64>, Error> {
    let a = square(x);
    if largest(&a) > MOST {
        return Ok(Vec::new());
    }
    let (svd, rank) = (Svd::of(&a)?, svd::rank(&a)?);
    let right = measured(x, || singular_values(&exactly(&a)));
    if right.len() < a.nrows() {
        return Ok(Vec::new());
    }
    let threshold = svd.values.first().map_or(0.0, |first| first * 1e-3);
    // Values within rounding of a limit may be counted or not.
    let counts = |found: usize, limit: f64| {
        let slack = 16.0 * f64::EPSILON * right.first().unwrap_or(&0.0);
        let sure = right.iter().filter(|&&s| s > limit + slack).count();
        let most = right.iter().filter(|&&s| s > limit - slack).count();
        f64::from(u8::from(found < sure || found > most.max(sure)))
    };
    let rounding = a.nrows() as f64 * f64::EPSILON * right.first().unwrap_or(&0.0);
    Ok(vec![
        counts(rank, rounding),
        counts(svd.rank(), rounding),
        counts(svd.rank_above(threshold), threshold),
    ])
}

/// Principal components: what they restore, and how far their axes are from orthonormal.
fn principal(x: &[f64]) -> Result<Vec<f64>, Error> {
    let a = square(x);
    if largest(&a) > MOST {
        return Ok(Vec::new());
    }
    let found = PrincipalComponents::of(&a)?;
    let k = a.nrows();
    let back = found.restore(&found.coordinates(&a, k)?)?;
    let explained = found.explained(k);
    let size = largest(&a);
    Ok(measured(x, || {
        let all =
            if found.variances.iter().sum::<f64>() < f64::MAX { explained - 1.0 } else { 0.0 };
        vec![
            apart(&exactly(&back), &exactly(&a), size),
            skew(&found.axes),
            Exact::of(all.abs() / f64::EPSILON),
        ]
    }))
}

/// |θ − λ| of the largest eigenvalue by Lanczos' method, beyond the residual that it reports.
fn lanczos(x: &[f64]) -> Result<Vec<f64>, Error> {
    let a = square(x);
    if largest(&a) > MOST {
        return Ok(Vec::new());
    }
    let a = (&a * 0.5) + (a.transpose() * 0.5);
    let start = krylov::start_vector::<f64>(a.nrows());
    let ritz = Lanczos::default().run(operator(&a)?, &start)?;
    let found = [ritz.largest(), ritz.smallest(), ritz.estimate(0)];
    Ok(measured(x, || {
        let right = eigenvalues(exactly(&a));
        let unit = Exact::of(largest(&a).max(f64::MIN_POSITIVE)) * Exact::of(f64::EPSILON);
        let beyond = |value: f64, residual: f64| {
            let apart = right.iter().map(|&r| (Exact::of(value) - r).abs());
            let nearest = apart.reduce(|a, b| if b < a { b } else { a }).expect("a value");
            Exact::zero().larger(nearest - Exact::of(residual)) / unit
        };
        found.iter().map(|e| beyond(e.value, e.residual)).collect()
    }))
}

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases! {
        "matrix" "column" "from_rows", Numbers(4), Conditioned 0.0 => |x| {
            let (a, b) = (matrix(2, 2, x), linalg::from_rows(&[[x[0], x[2]], [x[1], x[3]]]));
            [linalg::column(&a.as_view(), 1), linalg::column(&b.as_view(), 0)].concat()
        };
        "adapter::Adapter::new" "adapter::Adapter::delta", Tame(4), Conditioned 4.0 => |x| adapter(x)?.delta();
        "adapter::Adapter::apply", Tame(8), Conditioned 8.0 => |x| adapter(x)?.apply(&matrix(2, 2, &x[4..]), &matrix(2, 1, &x[..2]))?;
        "adapter::Adapter::merge", Tame(8), Conditioned 4.0 => |x| {
            let adapter = adapter(x)?;
            let mut w = matrix(2, 2, &x[4..]);
            adapter.merge(&mut w)?;
            w
        };
        "adapter::Adapter::unmerge", Tame(8), Conditioned 4.0 => |x| {
            let adapter = adapter(x)?;
            let mut w = matrix(2, 2, &x[4..]);
            adapter.unmerge(&mut w)?;
            w
        };
        "affine::affine", Tame(8), Conditioned 4.0 => |x| {
            affine::affine(&matrix(2, 2, &x[..4]), &matrix(2, 1, &x[4..6]), &matrix(2, 1, &x[6..]))?
        };
        "affine::add_columns", Tame(6), Conditioned 4.0 => |x| {
            let mut sum = matrix(2, 1, &x[..2]);
            affine::add_columns(sum.as_view_mut(), matrix(2, 2, &x[2..]).as_view());
            sum
        };
        "apply::apply", Tame(8), Conditioned 4.0 => |x| {
            apply(&Product::transposed(), [&matrix(2, 2, &x[..4]), &matrix(2, 2, &x[4..])])?
        };
        "apply::pullback", Numbers(3), Conditioned 2.0 => |x| {
            let [a, b, u] = [0, 1, 2].map(|i| matrix(1, 1, &x[i..=i]));
            let [a, b] = pullback(&Hadamard, [&a, &b], &u)?;
            (a, b)
        };
        "basis::orthonormal", Square, Normwise 16.0 => |x| basis::orthonormal(&square(x), 1e-2)?;
        "cholesky::Cholesky::of" "cholesky::Cholesky::lower", Square, Normwise 8.0, unless ["positive definite"] => |x| {
            Cholesky::of(&square(x))?.lower().clone()
        };
        "cholesky::Cholesky::log_determinant", Square, Normwise 8.0, unless ["positive definite"] => |x| {
            Cholesky::of(&square(x))?.log_determinant()
        };
        "cholesky::Cholesky::whiten", Square, Normwise 16.0, unless ["positive definite"] => |x| {
            Cholesky::of(&square(x))?.whiten(&square(x))?
        };
        "cholesky::Cholesky::solve", Square, Normwise 16.0, unless ["positive definite"] => |x| {
            let a = square(x);
            Cholesky::of(&a)?.solve(&Matrix::from_element(a.nrows(), 1, Real::from_f64(1.0)))?
        };
        "gram::gram", Tame(4), Conditioned 4.0 => |x| gram::gram(&matrix(2, 2, x));
        "krylov::power_iteration" "krylov::operator", Tame(4), Normwise 32.0, unless ["zero", "direction"] => |x| {
            let a = matrix(2, 2, x);
            // The sign means nothing.
            let v = power_iteration(operator(&a)?, &[Real::from_f64(0.6), Real::from_f64(0.8)], 2, 0.0)?.vector;
            [v[0] * v[0], v[0] * v[1]]
        };
        // Below the normal numbers five roundings grow by up to 3.4445⁴.
        "newton_schulz::stretched", Share, Conditioned 128.0 => |x| newton_schulz::stretched(x[0]);
        "newton_schulz::orthogonalised", Square, Whole 1024.0 => |x| newton_schulz::orthogonalised(&square(x));
        "newton_schulz::NewtonSchulz::new" "newton_schulz::NewtonSchulz::run", Square, Whole 1024.0 => |x| {
            let mut a = square(x);
            let n = a.nrows();
            NewtonSchulz::new([(n, n)]).run(a.as_mut_slice(), n, n);
            a
        };
        "qr::Qr::of" "qr::Qr::q" "qr::Qr::r", Square, Normwise 32.0 => |x| {
            // Of a matrix that is singular to rounding, the sign of a column means nothing.
            let qr = Qr::of(&square(x))?;
            (qr.q().map(|x| x.abs()), qr.r().map(|x| x.abs()))
        };
        "qr::Qr::pivoted" "qr::Qr::solve" "qr::Qr::order" "qr::Qr::rank", Square, Normwise 32.0, unless ["independent"] => |x| {
            let qr = Qr::pivoted(&square(x))?;
            assert!(qr.rank() <= qr.order().len());
            let ones = Matrix::from_element(qr.order().len(), 1, Real::from_f64(1.0));
            qr.solve(&ones)?
        };
        "least_squares::LeastSquares::of", Square, Normwise 32.0, unless ["independent"] => |x| {
            let a = square(x);
            let ones = vec![Real::from_f64(1.0); a.nrows()];
            LeastSquares::of(&a, &ones)?.coefficients
        };
        // A line through three points.
        "least_squares::LeastSquares::of" "least_squares::LeastSquares::deviation" "least_squares::LeastSquares::standard_errors"
            "least_squares::LeastSquares::freedom", Tame(3), Normwise 32.0 => |x| {
            let fit = line(x)?;
            assert_eq!(fit.freedom(), 1);
            (fit.coefficients.clone(), (fit.standard_errors()?, fit.deviation()?))
        };
        "polar::Polar::of", Square, Whole 64.0, unless ["full rank"] => |x| Polar::of(&near_four(x))?.orthogonal;
        "lu::Lu::of" "lu::Lu::solve", Square, Normwise 32.0, unless ["singular"] => |x| {
            let a = square(x);
            Lu::of(&a)?.solve(&Matrix::from_element(a.nrows(), 1, Real::from_f64(1.0)))?
        };
        "lu::Lu::inverse", Square, Normwise 32.0, unless ["singular"] => |x| Lu::of(&square(x))?.inverse()?;
        "lu::Lu::log_determinant", Square, Normwise 32.0 => |x| Lu::of(&square(x))?.log_determinant().ln;
        "lu::trace", Numbers(3), Conditioned 4.0 => |x| lu::trace(&Matrix::from_diagonal(&nalgebra::DVector::from_column_slice(x)))?;
        "lu::log_determinant", Square, Normwise 32.0 => |x| lu::log_determinant(&square(x))?.ln;
        "lu::solve", Square, Normwise 32.0, unless ["singular"] => |x| {
            let a = square(x);
            // The first column itself has the solution (1, 0, …) of every A, and would hide the condition.
            let n = a.nrows();
            lu::solve(&a, &Matrix::from_fn(n, n.min(1), |i, _| a[(n - 1 - i, 0)]))?
        };
        "norm::l1", Vector, Conditioned 4.0 => |x| norm::l1(x);
        "norm::l2", Vector, Result 4.0 => |x| norm::l2(x), as |x| vector::dot(x, x).sqrt();
        "norm::linf", Vector, Result 0.0 => |x| norm::linf(x);
        "norm::distance", Multiple(2), Conditioned 4.0 => |x| { let (x, y) = halves(x); norm::distance(x, y)? };
        "norm::normalised", Vector, Result 4.0, unless ["direction"] => |x| norm::normalised(x)?, as |x| {
            let length = vector::dot(x, x).sqrt();
            let _ = norm::normalised(x)?;
            x.iter().map(|&x| x / length).collect::<Vec<_>>()
        };
        "norm::frobenius", Square, Result 4.0 => |x| norm::frobenius(&square(x)), as |x| vector::dot(x, x).sqrt();
        "norm::induced_1", Square, Result 4.0 => |x| norm::induced_1(&square(x));
        "norm::induced_infinity", Square, Result 4.0 => |x| norm::induced_infinity(&square(x));
        "outer::outer", Numbers(3), Conditioned 1.0 => |x| outer::outer(&x[..2], &x[2..]);
        "kernel::product::product_into", Tame(8), Conditioned 8.0 => |x| written(&x[..4], |c| {
            linalg::product_into(c.as_view_mut(), x[0], matrix(2, 2, &x[..4]).as_view(), matrix(2, 2, &x[4..]).as_view());
        });
        "kernel::product::product_add" "kernel::factor::transposed", Tame(8), Conditioned 8.0 => |x| written(&x[..4], |c| {
            let (a, b) = (matrix(2, 2, &x[..4]), matrix(2, 2, &x[4..]));
            linalg::product_add(c.as_view_mut(), x[0], transposed(a.as_view()), b.as_view());
        });
        "kernel::product::Products::to", Tame(8), Conditioned 8.0 => |x| written(&x[..4], |c| {
            let (a, b) = (matrix(2, 2, &x[..4]), matrix(2, 2, &x[4..]));
            linalg::Products::Full.to(c.as_view_mut(), a.as_view(), transposed(b.as_view()), true);
        });
        "kernel::factor::Factor::at", Numbers(4), Conditioned 0.0 => |x| {
            let a = matrix(2, 2, x);
            let turned = transposed(a.as_view());
            [turned.at(0, 0), turned.at(0, 1), turned.at(1, 0), turned.at(1, 1)]
        };
        "projection::onto", Multiple(2), Normwise 8.0 => |x| { let (x, d) = halves(x); projection::onto(x, d)? };
        "projection::onto_span", Tame(6), Normwise 16.0 => |x| {
            let q = basis::orthonormal(&matrix(2, 1, &x[..2]), 1e-8)?;
            projection::onto_span(&matrix(2, 2, &x[2..]), &q)?
        };
        "projection::away_from_span", Tame(6), Normwise 16.0 => |x| {
            let q = basis::orthonormal(&matrix(2, 1, &x[..2]), 1e-8)?;
            projection::away_from_span(&matrix(2, 2, &x[2..]), &q)?
        };
        // A cosine to a unit, a product and a sum to half of one.
        "rotation::rotate_pair", Tame(3), Conditioned 2.0 => |x| rotation::rotate_pair([x[0], x[1]], x[2]);
        // As above; the cosine is one of f64, rounded to half a unit.
        "rotation::rotate", Multiple(2), Conditioned 1.5 => |x| rotation::rotate(x, 3.0, 100.0, Pairs::Halves)?;
        "scaled_dot::scaled_dot", Tame(4), Conditioned 4.0 => |x| scaled_dot::scaled_dot(&x[..2], &x[2..])?;
        "scaled_dot::scores", Tame(8), Conditioned 4.0 => |x| scaled_dot::scores(&matrix(2, 2, &x[..4]), &matrix(2, 2, &x[4..]))?;
        "similarity::cosine", Multiple(2), Conditioned 8.0 => |x| { let (x, y) = halves(x); similarity::cosine(x, y)? };
        // In ε of a radian.
        "similarity::angle", Multiple(2), Whole 8.0 => |x| { let (x, y) = halves(x); [similarity::angle(x, y)?, Real::from_f64(1.0)] };
        "similarity::cosines", Multiple(4), Conditioned 8.0 => |x| {
            let n = x.len() / 4;
            similarity::cosines(&x[..2 * n], &matrix(2 * n, 1, &x[2 * n..]))?
        };
        "similarity::nearest", Multiple(4), Conditioned 8.0 => |x| {
            let n = x.len() / 4;
            let all = similarity::nearest(&x[..n], &matrix(n, 3, &x[n..]), 1)?;
            all.iter().map(|found| found.cosine).collect::<Vec<_>>()
        };
        "sinusoid::position", Number, Conditioned 4.0 => |x| sinusoid::position(x[0], 6, 100.0)?;
        "spectrum::stable_rank", Weights, Result 8.0 => |x| spectrum::stable_rank(x)?;
        "spectrum::effective_rank", Weights, Result 8.0 => |x| spectrum::effective_rank(x)?;
        "spectrum::energy", Weights, Result 8.0 => |x| spectrum::energy(x, 2)?;
        "vector::sum", Vector, Conditioned 4.0 => |x| vector::sum(x);
        "vector::dot", Multiple(2), Conditioned 4.0 => |x| { let (x, y) = halves(x); vector::dot(x, y) };
        "vector::reduce", Multiple(2), Conditioned 4.0 => |x| { let (x, y) = halves(x); vector::reduce(x, y, |x, y| x + y) };
        "vector::reduce3", Tame(3), Conditioned 4.0 => |x| vector::reduce3(&x[..1], &x[1..2], &x[2..], |x, y, z| x * y * z);
        "vector::sum_of", Vector, Conditioned 4.0 => |x| vector::sum_of(x.len(), |i| x[i]);
        "vector::add_all", Vector, Conditioned 4.0 => |x| {
            added(x)
        };
        "accurate::sum" "accurate::Sum::new" "accurate::Sum::add" "accurate::Sum::of" "accurate::Sum::merge" "accurate::Sum::times" "accurate::Sum::minus" "accurate::Sum::value" "accurate::total", Vector, Conditioned 1.0 => |x| {
            let mut sum = accurate::Sum::new();
            x.iter().for_each(|&x| sum.add(x));
            let (mut twice, half) = (sum.times(Real::from_f64(2.0)), sum.minus(&accurate::Sum::of(Real::from_f64(0.0))));
            twice.merge(&accurate::Sum::new());
            let side_by_side = accurate::total(x, x, |x, _| x).value();
            [accurate::sum(x.iter().copied()), sum.value(), half, twice.times(Real::from_f64(0.5)).value(), side_by_side]
        }, as |x| [x.iter().fold(Exact::zero(), |sum, &x| sum + x); 5];
        "accurate::two_sum", Numbers(2), Conditioned 1.0 => |x| accurate::two_sum(x[0], x[1]).0, as |x| x[0] + x[1];
        "gather::index" "real::is_nan", Number, Result 0.0 => |x| {
            let found = linalg::gather::index(x[0], 7).unwrap_or(99);
            if linalg::real::is_nan(x[0]) { x[0] } else { Real::from_f64(found as f64) }
        };
        "vector::maximum", Vector, Result 0.0 => |x| vector::maximum(x);
        "vector::axpy", Tame(3), Conditioned 2.0 => |x| {
            let mut y = vec![x[0]];
            vector::axpy(&mut y, x[1], &x[2..]);
            y
        };
    };
    all.extend(doubles! {
        "real::shown", Number, Result 0.0 => |x| ::linalg::real::shown(x[0]).parse::<f64>().unwrap(), as |x| x[0];
        "svd::Svd::of" "svd::Svd::matrix", Square, Whole 32.0 => |x| decomposed(x)?;
        "spectrum::spectral_norm", Square, Result 16.0 => |x| spectrum::spectral_norm(&square(x))?, as |x| {
            singular_values(&square(x)).first().copied().unwrap_or_else(Exact::zero)
        };
        "spectrum::nuclear_norm", Square, Result 16.0 => |x| spectrum::nuclear_norm(&square(x))?, as |x| vector::sum(&singular_values(&square(x)));
        // 1/κ, in ε: what is singular to rounding may come out so or not.
        "svd::Svd::condition_number" "svd::condition_number", Square, Whole 32.0 => |x| {
            if largest(&square(x)) > MOST {
                return Err(super::Refused("beyond".into()));
            }
            [1.0, 1.0 / Svd::of(&square(x))?.condition_number()?, 1.0 / svd::condition_number(&square(x))?]
        }, as |x| {
            if x.iter().any(|x| x.to_f64().abs() > MOST) {
                return Err(super::Refused("beyond".into()));
            }
            let values = singular_values(&square(x));
            svd::condition_number(&Matrix::from_element(x.len(), x.len(), 0.0))?;
            let (first, last) = (values[0], values[values.len() - 1]);
            let inverse = if first == Exact::zero() { first } else { last / first };
            [Exact::one(), inverse, inverse]
        };
        "svd::rank" "svd::Svd::rank_above", Square, Whole 0.0 => |x| ranks(x)?;
        "svd::Svd::pseudo_inverse" "svd::Svd::solve", Square, Whole 64.0 => |x| inverted(x)?;
        "eigenvalues::eigenvalues" "eigenvalues::spectral_radius", Square, Whole 64.0 => |x| of_any(x)?;
        "randomised::RandomisedSvd::run", Square, Whole 64.0 => |x| projected(x)?;
        "conjugate_gradient::solve", Number, Result 4.0, unless ["positive definite", "wrote"] => |x| {
            let a = x[0].abs();
            conjugate_gradient::solve(|v: &[f64], y: &mut [f64]| y[0] = a * v[0], &[1.0], 9, 1e-14)?.x
        }, as |x| Exact::one() / x[0].abs();
        "hutchinson::trace", Tame(3), Conditioned 8.0 => |x| {
            let diagonal = |v: &[f64], y: &mut [f64]| (0..3).for_each(|i| y[i] = x[i] * v[i]);
            hutchinson::trace(diagonal, 3, 2, 1)?.value
        }, as |x| x[0] + x[1] + x[2];
        "symmetric::SymmetricEigen::of" "symmetric::SymmetricEigen::map", Square, Whole 32.0 => |x| symmetric(x)?;
        "low_rank::LowRank::of" "low_rank::LowRank::matrix" "low_rank::LowRank::spectral_error"
            "low_rank::LowRank::frobenius_error", Square, Whole 32.0 => |x| low_rank(x)?;
        "adapter::Adapter::nearest", Square, Whole 32.0 => |x| nearest_adapter(x)?;
        "principal::PrincipalComponents::of" "principal::PrincipalComponents::coordinates"
            "principal::PrincipalComponents::restore" "principal::PrincipalComponents::explained",
            Square, Whole 32.0 => |x| principal(x)?;
        "krylov::Lanczos::run" "krylov::Ritz::largest" "krylov::Ritz::smallest" "krylov::Ritz::estimate"
            "krylov::start_vector", Square, Whole 64.0 => |x| lanczos(x)?;
        "rotation::Scaling::scaled", Number, Conditioned 4.0 => |x| {
            SCALINGS.map(|scaling| scaling.scaled(x[0])).to_vec()
        }, as |x| SCALINGS.map(|scaling| scaled(scaling, x[0])).to_vec();
        "rotation::frequency", Number, Conditioned 4.0 => |x| (0..4).map(|i| rotation::frequency(i, 8, x[0].abs())).collect::<Vec<f64>>(), as |x| {
            // base^(−2i/width), of a positive base.
            let power = |i: i32| (x[0].abs().ln() * Exact::of(f64::from(i)) / Exact::of(-4.0)).exp();
            (0..4).map(|i| if i == 0 { Exact::one() } else { power(i) }).collect::<Vec<_>>()
        };
    });
    all
}
