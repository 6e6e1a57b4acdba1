//! Norms, products, solutions: every function of linear algebra that is generic.

use super::{Case, cases, seen};
use linalg::accurate;
use linalg::adapter::Adapter;
use linalg::cholesky::Cholesky;
use linalg::hadamard::Hadamard;
use linalg::krylov::{operator, power_iteration};
use linalg::least_squares::LeastSquares;
use linalg::lu::Lu;
use linalg::polar::Polar;
use linalg::qr::Qr;
use linalg::{Matrix, Real, affine, apply, basis, gram, lu, matrix, newton_schulz, norm, outer};
use linalg::{product::Product, transposed};
use linalg::{projection, pullback, rotation, scaled_dot, similarity, sinusoid, spectrum, vector};

/// Elements as a positive definite matrix: XᵀX + 3·1.
fn definite<T: Real>(x: &[T]) -> Matrix<T> {
    let mut a = gram::gram(&matrix(3, 3, x));
    (0..3).for_each(|i| a[(i, i)] += T::from_f64(3.0));
    a
}

/// Elements added to 8·1: three columns far from dependence.
fn near_the_axes<T: Real>(x: &[T]) -> Matrix<T> {
    let mut a = matrix(3, 3, x);
    (0..3).for_each(|i| a[(i, i)] += T::from_f64(8.0));
    a
}

/// Three equations for two unknowns, with independent columns and a right-hand side far from their span.
fn equations<T: Real>(x: &[T]) -> (Matrix<T>, Vec<T>) {
    let large = |i: usize| T::from_f64(if i == 0 || i == 4 { 8.0 } else { 0.0 });
    let a = Matrix::from_fn(3, 2, |i, j| x[i + 3 * j] + large(i + 3 * j));
    (a, vec![x[6], x[7], x[8] + T::from_f64(8.0)])
}

/// Squares, none of them 0: a spectrum.
fn squares<T: Real>(x: &[T]) -> Vec<T> {
    x.iter().map(|&x| x * x + T::from_f64(0.01)).collect()
}

fn adapter<T: Real>(x: &[T]) -> Adapter<T> {
    Adapter::new(matrix(1, 2, &x[..2]), matrix(2, 1, &x[2..4]), 0.5).expect("rank 1")
}

/// C ← C + α·A·B and its like, on a square that holds something.
fn written<T: Real>(x: &[T], write: impl Fn(&mut Matrix<T>)) -> T {
    let mut c = matrix(2, 2, &x[..4]);
    write(&mut c);
    seen(c.as_slice())
}

fn merged<T: Real>(x: &[T]) -> T {
    written(x, |w| adapter(&x[4..8]).merge(w).expect("shapes"))
}

fn unmerged<T: Real>(x: &[T]) -> T {
    written(x, |w| adapter(&x[4..8]).unmerge(w).expect("shapes"))
}

fn pulled_back<T: Real>(x: &[T]) -> T {
    let (a, b, u) = (matrix(3, 1, &x[..3]), matrix(3, 1, &x[3..6]), matrix(3, 1, &x[6..]));
    let [da, db] = pullback(&Hadamard, [&a, &b], &u).expect("shapes");
    seen(da.as_slice()) * T::from_f64(0.3) + seen(db.as_slice())
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "matrix" "column" "from_rows" => |x| {
            let a = matrix(3, 3, x) + linalg::from_rows(&[[x[0], x[1], x[2]], [x[3], x[4], x[5]], [x[6], x[7], x[8]]]);
            seen(linalg::column(&a.as_view(), 1)) * a[(0, 2)]
        };
        "adapter::Adapter::new" "adapter::Adapter::delta" => |x| {
            let adapter = Adapter::new(matrix(1, 2, &x[..2]), matrix(2, 1, &x[2..4]), 0.5);
            seen(adapter.expect("rank 1").delta().as_slice())
        };
        "adapter::Adapter::apply" => |x| {
            let y = adapter(x).apply(&matrix(2, 2, &x[4..8]), &matrix(2, 1, &x[..2]));
            seen(y.expect("shapes").as_slice())
        };
        "adapter::Adapter::merge" => merged;
        "adapter::Adapter::unmerge" => unmerged;
        "affine::affine" => |x| {
            let (w, v, b) = (matrix(2, 2, &x[..4]), matrix(2, 1, &x[4..6]), matrix(2, 1, &x[6..8]));
            seen(affine::affine(&w, &v, &b).expect("shapes").as_slice())
        };
        "affine::add_columns" => |x| {
            let mut sum = matrix(2, 1, &x[..2]);
            affine::add_columns(sum.as_view_mut(), matrix(2, 3, &x[2..8]).as_view());
            seen(sum.as_slice())
        };
        "apply::apply" => |x| {
            let y = apply(&Product::transposed(), [&matrix(2, 2, &x[..4]), &matrix(2, 2, &x[4..8])]);
            seen(y.expect("shapes").as_slice())
        };
        "apply::pullback" => pulled_back;
        "basis::orthonormal" => |x| {
            seen(basis::orthonormal(&near_the_axes(x), 1e-8).expect("finite").as_slice())
        };
        "cholesky::Cholesky::of" "cholesky::Cholesky::lower" => |x| {
            seen(Cholesky::of(&definite(x)).expect("definite").lower().as_slice())
        };
        "cholesky::Cholesky::log_determinant" => |x| {
            Cholesky::of(&definite(x)).expect("definite").log_determinant()
        };
        "cholesky::Cholesky::whiten" => |x| {
            let root = Cholesky::of(&definite(x)).expect("definite");
            seen(root.whiten(&matrix(3, 1, &x[..3])).expect("shapes").as_slice())
        };
        "cholesky::Cholesky::solve" => |x| {
            let root = Cholesky::of(&definite(x)).expect("definite");
            seen(root.solve(&matrix(3, 1, &x[..3])).expect("shapes").as_slice())
        };
        "qr::Qr::of" "qr::Qr::q" "qr::Qr::r" => |x| {
            let qr = Qr::of(&near_the_axes(x)).expect("finite");
            seen(qr.q().as_slice()) + seen(qr.r().as_slice())
        };
        "qr::Qr::pivoted" "qr::Qr::solve" => |x| {
            let qr = Qr::pivoted(&near_the_axes(x)).expect("finite");
            seen(qr.solve(&matrix(3, 1, &x[..3])).expect("independent").as_slice())
        };
        "least_squares::LeastSquares::of" => |x| {
            let (a, b) = equations(x);
            let fit = LeastSquares::of(&a, &b).expect("independent");
            seen(&fit.coefficients) + seen(&fit.residuals)
        };
        "least_squares::LeastSquares::deviation" "least_squares::LeastSquares::standard_errors" => |x| {
            let (a, b) = equations(x);
            let fit = LeastSquares::of(&a, &b).expect("independent");
            fit.deviation().expect("one more") + seen(&fit.standard_errors().expect("one more"))
        };
        "polar::Polar::of" => |x| {
            let polar = Polar::of(&near_the_axes(x)).expect("full rank");
            seen(polar.orthogonal.as_slice()) + seen(polar.stretch.as_slice())
        };
        "gram::gram" => |x| seen(gram::gram(&matrix(3, 3, x)).as_slice());
        // The vector of a few iterations, which is a function of the matrix as any other.
        "krylov::power_iteration" "krylov::operator" => |x| {
            let a = definite(x);
            let found = power_iteration(operator(&a).expect("square"), &x[..3], 4, 0.0);
            seen(&found.expect("finite").vector)
        };
        "newton_schulz::stretched" => |x| newton_schulz::stretched(x[0] * x[0] / (x[0] * x[0] + x[1] * x[1]));
        "newton_schulz::orthogonalised" => |x| {
            seen(newton_schulz::orthogonalised(&near_the_axes(x)).as_slice())
        };
        "newton_schulz::NewtonSchulz::new" "newton_schulz::NewtonSchulz::run" => |x| {
            let mut a = near_the_axes(x);
            newton_schulz::NewtonSchulz::new([(3, 3)]).run(a.as_mut_slice(), 3, 3);
            seen(a.as_slice())
        };
        "lu::Lu::of" "lu::Lu::solve" => |x| {
            let factors = Lu::of(&near_the_axes(x)).expect("finite");
            seen(factors.solve(&matrix(3, 1, &x[..3])).expect("regular").as_slice())
        };
        "lu::Lu::inverse" => |x| {
            seen(Lu::of(&near_the_axes(x)).expect("finite").inverse().expect("regular").as_slice())
        };
        "lu::Lu::log_determinant" => |x| Lu::of(&near_the_axes(x)).expect("finite").log_determinant().ln;
        "lu::trace" => |x| lu::trace(&matrix(3, 3, x)).expect("square");
        "lu::log_determinant" => |x| lu::log_determinant(&definite(x)).expect("finite").ln;
        "lu::solve" => |x| {
            seen(lu::solve(&definite(x), &matrix(3, 1, &x[..3])).expect("regular").as_slice())
        };
        "norm::l1" => |x| norm::l1(x);
        "norm::l2" => |x| norm::l2(x);
        "norm::linf" => |x| norm::linf(x);
        "norm::distance" => |x| norm::distance(&x[..4], &x[4..8]).expect("one length");
        "norm::normalised" => |x| seen(&norm::normalised(x).expect("a direction"));
        "norm::frobenius" => |x| norm::frobenius(&matrix(3, 3, x));
        "norm::induced_1" => |x| norm::induced_1(&matrix(3, 3, x));
        "norm::induced_infinity" => |x| norm::induced_infinity(&matrix(3, 3, x));
        "outer::outer" => |x| seen(outer::outer(&x[..4], &x[4..]).as_slice());
        "kernel::product::product_into" => |x| written(x, |c| {
            let (a, b) = (matrix(2, 2, &x[..4]), matrix(2, 2, &x[4..8]));
            linalg::product_into(c.as_view_mut(), x[8], a.as_view(), b.as_view());
        });
        "kernel::product::product_add" "kernel::factor::transposed" => |x| written(x, |c| {
            let (a, b) = (matrix(2, 2, &x[..4]), matrix(2, 2, &x[4..8]));
            linalg::product_add(c.as_view_mut(), x[8], transposed(a.as_view()), b.as_view());
        });
        "kernel::product::Products::to" => |x| written(x, |c| {
            let (a, b) = (matrix(2, 2, &x[..4]), matrix(2, 2, &x[4..8]));
            linalg::Products::Full.to(c.as_view_mut(), a.as_view(), transposed(b.as_view()), true);
        });
        "kernel::factor::Factor::at" => |x| {
            let a = matrix(3, 3, x);
            let turned = transposed(a.as_view());
            turned.at(0, 1) * turned.at(2, 0) + turned.at(1, 1)
        };
        "projection::onto" => |x| seen(&projection::onto(&x[..4], &x[4..8]).expect("a direction"));
        "projection::onto_span" => |x| {
            let q = basis::orthonormal(&matrix(3, 1, &x[..3]), 1e-8).expect("finite");
            seen(projection::onto_span(&matrix(3, 2, &x[3..]), &q).expect("shapes").as_slice())
        };
        "projection::away_from_span" => |x| {
            let q = basis::orthonormal(&matrix(3, 1, &x[..3]), 1e-8).expect("finite");
            seen(projection::away_from_span(&matrix(3, 2, &x[3..]), &q).expect("shapes").as_slice())
        };
        "rotation::rotate_pair" => |x| seen(&rotation::rotate_pair([x[0], x[1]], x[2]));
        "rotation::rotate" => |x| {
            seen(&rotation::rotate(&x[..8], 3.0, 100.0, rotation::Pairs::Halves).expect("even"))
        };
        "scaled_dot::scaled_dot" => |x| scaled_dot::scaled_dot(&x[..4], &x[4..8]).expect("one length");
        "scaled_dot::scores" => |x| {
            let scores = scaled_dot::scores(&matrix(2, 2, &x[..4]), &matrix(2, 2, &x[4..8]));
            seen(scores.expect("shapes").as_slice())
        };
        "similarity::cosine" => |x| similarity::cosine(&x[..4], &x[4..8]).expect("directions");
        "similarity::angle" => |x| similarity::angle(&x[..4], &x[4..8]).expect("directions");
        "similarity::cosines" => |x| {
            seen(&similarity::cosines(&x[..3], &matrix(3, 2, &x[3..])).expect("directions"))
        };
        // Which is nearest is an index; how near it is moves. All of them, whatever their order.
        "similarity::nearest" => |x| {
            let all = similarity::nearest(&x[..3], &matrix(3, 2, &x[3..]), 2).expect("directions");
            vector::sum_of(2, |i| all[i].cosine * all[i].cosine)
        };
        "sinusoid::position" => |x| seen(&sinusoid::position(x[0], 6, 100.0).expect("even"));
        "spectrum::stable_rank" => |x| spectrum::stable_rank(&squares(x)).expect("a spectrum");
        "spectrum::effective_rank" => |x| spectrum::effective_rank(&squares(x)).expect("a spectrum");
        "spectrum::energy" => |x| spectrum::energy(&squares(x), 3).expect("a spectrum");
        "accurate::two_sum" => |x| {
            let (sum, lost) = accurate::two_sum(x[0], x[1] * x[2]);
            sum * (x[3] + lost)
        };
        "accurate::total" => |x| {
            // Long enough for sums side by side.
            let (a, b) = (x.repeat(9), [&x[1..], &x[..1]].concat().repeat(9));
            accurate::total(&a, &b, |a, b| a * b).value() * x[0]
        };
        "accurate::sum" => |x| accurate::sum(x.iter().copied()) * x[0];
        "accurate::Sum::add" "accurate::Sum::value" => |x| {
            let mut sum = accurate::Sum::new();
            x.iter().for_each(|&x| sum.add(x * x));
            sum.value()
        };
        "accurate::Sum::of" "accurate::Sum::merge" "accurate::Sum::times" "accurate::Sum::minus" => |x| {
            let (mut one, mut other) = (accurate::Sum::of(x[0]), accurate::Sum::of(x[1] * x[2]));
            one.add(x[3]);
            other.merge(&one);
            other.times(x[4]).minus(&one)
        };
        "vector::add_all" => |x| {
            let mut sum = x[..3].to_vec();
            vector::add_all(&mut sum, 2, |j, sum| vector::axpy(sum, x[8], &x[3 + j..][..3]));
            seen(&sum)
        };
        "vector::sum" => |x| vector::sum(x) * x[0];
        "vector::dot" => |x| vector::dot(&x[..4], &x[4..8]);
        "vector::reduce" => |x| vector::reduce(&x[..4], &x[4..8], |x, y| (x - y) * x);
        "vector::reduce3" => |x| vector::reduce3(&x[..3], &x[3..6], &x[6..], |x, y, z| x * y.sin() * z);
        "vector::sum_of" => |x| vector::sum_of(8, |i| x[i] * x[i + 1]);
        "vector::maximum" => |x| vector::maximum(x);
        "vector::axpy" => |x| {
            let mut y = x[..4].to_vec();
            vector::axpy(&mut y, x[8], &x[4..8]);
            seen(&y)
        };
    }
}
