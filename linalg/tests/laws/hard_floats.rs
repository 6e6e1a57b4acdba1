//! Edge cases: 0, −0, denormals, ±∞, NaN, huge and tiny scale, empty and one-element operands. Every public numeric
//! function behaves as documented.

use linalg::adapter::Adapter;
use linalg::affine::Affine;
use linalg::cholesky::Cholesky;
use linalg::heads::{HeadMix, HeadScores};
use linalg::krylov::{Lanczos, operator, power_iteration, start_vector};
use linalg::low_rank::LowRank;
use linalg::lu::{self, Lu};
use linalg::principal::PrincipalComponents;
use linalg::rotation::{self, Pairs, Rotation};
use linalg::similarity::{angle, cosine, cosines, nearest};
use linalg::svd::{self, Svd};
use linalg::symmetric::SymmetricEigen;
use linalg::{
    Error, Gradient, Matrix, Products, Real, ShapeError, add::Add, affine, apply, basis, gather,
    gather::Gather, gram, hadamard::Hadamard, matrix, norm, outer, product::Product, product_add,
    product_into, projection, pullback, rows::Rows, scale::Scale, scaled_dot, sinusoid, spectrum,
    transposed, vector,
};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;
/// The smallest positive number, a denormal.
const TINY: f64 = 5e-324;
const MAX: f64 = f64::MAX;
const E: f64 = f64::EPSILON;

/// Non-finite elements of a vector.
const BAD: [f64; 3] = [NAN, INF, -INF];

fn near(found: f64, expected: f64) -> bool {
    found == expected || (found - expected).abs() <= 8.0 * E * expected.abs()
}

fn is_zero(x: f64, negative: bool) -> bool {
    x == 0.0 && x.is_sign_negative() == negative
}

fn one(x: f64) -> Matrix<f64> {
    matrix(1, 1, &[x])
}

/// Whether the result is the error that names this element.
fn names<T>(result: Result<T, Error>, row: usize, column: usize) -> bool {
    matches!(result, Err(Error::NotFinite { row: r, column: c, .. }) if (r, c) == (row, column))
}

#[test]
fn sums_and_dot_products() {
    assert_eq!(vector::sum::<f64>(&[]), 0.0);
    assert_eq!(vector::dot::<f64>(&[], &[]), 0.0);
    assert_eq!(vector::sum_of(0, |_| NAN), 0.0);
    assert_eq!(vector::reduce::<f64>(&[], &[], |_, _| NAN), 0.0);
    assert_eq!(vector::reduce3::<f64>(&[], &[], &[], |_, _, _| NAN), 0.0);
    assert!(vector::reduce3(&[0.0], &[INF], &[1.0], |x, y, z| x * y * z).is_nan());
    assert_eq!(vector::sum(&[TINY, TINY]), 2.0 * TINY);
    assert_eq!(vector::sum(&[MAX, MAX]), INF);
    assert_eq!(vector::dot(&[1e200], &[1e200]), INF);
    assert_eq!(vector::dot(&[1e-200], &[1e-200]), 0.0);
    assert!(vector::sum(&[INF, -INF]).is_nan() && vector::dot(&[0.0], &[INF]).is_nan());
    // NaN propagates from every position, in full vector lanes and in the rest.
    for n in [1, 16, 20, 40] {
        for at in 0..n {
            let mut x = vec![1.0; n];
            x[at] = NAN;
            assert!(vector::sum(&x).is_nan() && vector::dot(&x, &x).is_nan());
            assert!(vector::maximum(&x).is_nan() && vector::sum_of(n, |i| x[i]).is_nan());
        }
    }
    assert_eq!(vector::maximum::<f64>(&[]), -INF);
    assert_eq!(vector::maximum(&[-INF, -MAX]), -MAX);
    assert_eq!(vector::maximum(&[0.0, -0.0]), 0.0);
    let mut y = [0.0, 1.0, -INF];
    vector::axpy(&mut y, INF, &[0.0, 1.0, 1.0]);
    assert!(y[0].is_nan() && y[1] == INF && y[2].is_nan());
}

#[test]
fn norms_of_vectors() {
    for l in [norm::l1, norm::l2, norm::linf] as [fn(&[f64]) -> f64; 3] {
        assert!(is_zero(l(&[]), false) && is_zero(l(&[0.0, -0.0]), false));
        for x in [TINY, 1e-310, 1e-200, 1.0, 1e200, MAX, -TINY, -MAX] {
            assert_eq!(l(&[x]), x.abs(), "{x:e}");
        }
        assert_eq!(l(&[-INF, 1.0]), INF);
        assert!(l(&[1.0, NAN]).is_nan() && l(&[INF, NAN]).is_nan() && l(&[NAN, -INF]).is_nan());
    }
    assert_eq!(norm::l1(&[MAX, MAX]), INF);
    assert_eq!(norm::l2(&[MAX, MAX]), INF); // √2·MAX overflows
    assert_eq!(norm::l2(&[3.0 * TINY, 4.0 * TINY]), 5.0 * TINY);
    assert!(near(norm::l2(&[MAX / 2.0, MAX / 2.0]), MAX / 2.0 * 2.0_f64.sqrt()));
    assert_eq!(norm::l2(&[3e-30_f32, 4e-30]) / 5e-30, 1.0);
    assert_eq!(norm::l2(&[f32::from_bits(3), f32::from_bits(4)]), f32::from_bits(5));
    assert!((norm::l2(&[3e30_f32, 4e30]) / 5e30 - 1.0).abs() <= f32::EPSILON);

    assert_eq!(norm::distance::<f64>(&[], &[]), Ok(0.0));
    assert_eq!(norm::distance(&[0.0], &[-0.0]), Ok(0.0));
    assert_eq!(norm::distance(&[INF], &[1.0]), Ok(INF));
    assert!(norm::distance(&[INF], &[INF]).unwrap().is_nan());
    assert_eq!(norm::distance(&[TINY], &[-TINY]), Ok(2.0 * TINY));
    assert_eq!(norm::distance(&[1e200], &[-1e200]), Ok(2e200));

    for x in [TINY, 1e-310, 1e-200, 1.0, 1e200, MAX] {
        assert_eq!(norm::normalised(&[x]).unwrap(), [1.0]);
        let unit = norm::normalised(&[x, -x]).unwrap();
        assert!(near(unit[0], 0.5_f64.sqrt()) && unit[1] == -unit[0], "{x:e}: {unit:?}");
    }
    for none in [&[][..], &[0.0], &[0.0, -0.0]] {
        let error = norm::normalised(none).unwrap_err();
        assert_eq!(error, Error::NoDirection { operand: "x", column: 0 });
    }
    for bad in BAD {
        assert!(names(norm::normalised(&[1.0, bad]), 1, 0));
    }
}

#[test]
fn norms_of_matrices() {
    type Norm = fn(&Matrix<f64>) -> f64;
    for l in [norm::frobenius, norm::induced_1, norm::induced_infinity] as [Norm; 3] {
        for empty in [(0, 0), (0, 3), (3, 0)] {
            assert!(is_zero(l(&Matrix::zeros(empty.0, empty.1)), false));
        }
        for x in [0.0, -0.0, TINY, -1e-200, 1.0, -MAX, INF, -INF] {
            assert_eq!(l(&one(x)), x.abs());
        }
        assert!(l(&matrix(2, 2, &[1.0, INF, NAN, 1.0])).is_nan());
    }
    for l in [spectrum::spectral_norm, spectrum::nuclear_norm] {
        for empty in [(0, 0), (0, 3), (3, 0)] {
            assert_eq!(l(&Matrix::zeros(empty.0, empty.1)), Ok(0.0));
        }
        for x in [0.0, -0.0, TINY, -1e-200, 1.0, -MAX] {
            assert_eq!(l(&one(x)), Ok(x.abs()), "{x:e}");
        }
        for bad in BAD {
            assert!(names(l(&matrix(2, 2, &[1.0, 1.0, bad, 1.0])), 0, 1));
        }
    }
    assert_eq!(spectrum::nuclear_norm(&matrix(2, 2, &[MAX, 0.0, 0.0, MAX])), Ok(INF));
}

#[test]
fn similarity() {
    for x in [TINY, 1e-310, 1e-200, 1.0, 1e200, MAX] {
        assert!(near(cosine(&[x, x], &[1.0, 0.0]).unwrap(), 0.5_f64.sqrt()), "{x:e}");
        assert!(near(angle(&[x, x], &[TINY, 0.0]).unwrap(), std::f64::consts::FRAC_PI_4));
        assert_eq!(cosines(&[x], &matrix(1, 2, &[TINY, -MAX])).unwrap(), [1.0, -1.0]);
    }
    assert_eq!(angle(&[1.0], &[2.0]), Ok(0.0));
    assert!(near(angle(&[1.0], &[-2.0]).unwrap(), std::f64::consts::PI));
    assert_eq!(
        cosine::<f64>(&[], &[]).unwrap_err(),
        Error::NoDirection { operand: "x", column: 0 }
    );
    assert!(cosine(&[1.0], &[-0.0]).is_err() && angle(&[0.0], &[1.0]).is_err());
    assert!(cosine(&[1.0], &[1.0, 2.0]).is_err() && angle(&[1.0], &[1.0, 2.0]).is_err());
    for bad in BAD {
        assert!(names(cosine(&[1.0, bad], &[1.0, 1.0]), 1, 0));
        assert!(names(angle(&[1.0, 1.0], &[bad, 1.0]), 0, 0));
        assert!(names(cosines(&[bad], &one(1.0)), 0, 0));
        assert!(names(nearest(&[1.0], &matrix(1, 3, &[1.0, 1.0, bad]), 1), 0, 2));
    }
    assert_eq!(cosines(&[1.0], &Matrix::zeros(1, 0)), Ok(vec![]));
    assert_eq!(nearest(&[1.0], &one(2.0), 0), Ok(vec![]));
    assert!(cosines(&[], &Matrix::<f64>::zeros(0, 2)).is_err());
    assert!(nearest(&[1.0, 2.0], &one(1.0), 1).is_err());
}

#[test]
fn projections_and_bases() {
    for d in [TINY, 1e-200, 1e200, MAX] {
        assert_eq!(projection::onto(&[3.0, 4.0], &[d, 0.0]).unwrap(), [3.0, 0.0]);
    }
    assert!(
        projection::onto(&[1.0], &[0.0]).is_err() && projection::onto::<f64>(&[], &[]).is_err()
    );
    assert!(projection::onto(&[1.0], &[1.0, 1.0]).is_err());
    for bad in BAD {
        assert!(names(projection::onto(&[1.0, bad], &[1.0, 1.0]), 1, 0));
        assert!(names(projection::onto(&[1.0, 1.0], &[bad, 1.0]), 0, 0));
        assert!(names(basis::orthonormal(&matrix(1, 2, &[1.0, bad]), 1e-8), 0, 1));
        // NaN and ∞ propagate.
        let shadow = projection::onto_span(&one(bad), &one(1.0)).unwrap();
        assert!(!shadow[0].is_finite());
        assert!(projection::away_from_span(&one(bad), &one(1.0)).unwrap()[0].is_nan());
    }
    let nothing = Matrix::<f64>::zeros(3, 0);
    assert_eq!(projection::onto_span(&nothing, &nothing).unwrap().shape(), (3, 0));
    let x = matrix(3, 1, &[1.0, -0.0, 2.0]);
    assert_eq!(projection::onto_span(&x, &nothing).unwrap(), Matrix::zeros(3, 1));
    assert_eq!(projection::away_from_span(&x, &nothing).unwrap(), x);
    assert!(projection::onto_span(&x, &one(1.0)).is_err());
    assert!(projection::away_from_span(&x, &one(1.0)).is_err());

    for x in [TINY, -1e-200, 1e200, MAX] {
        let q = basis::orthonormal(&matrix(2, 2, &[x, 0.0, x, x]), 1e-8).unwrap();
        assert_eq!(q, matrix(2, 2, &[x.signum(), 0.0, 0.0, x.signum()]), "{x:e}");
    }
    for empty in [(0, 0), (0, 3), (3, 0)] {
        let q = basis::orthonormal(&Matrix::<f64>::zeros(empty.0, empty.1), 1e-8).unwrap();
        assert_eq!(q.shape(), (empty.0, 0));
    }
    assert_eq!(basis::orthonormal(&matrix(2, 1, &[0.0, -0.0]), 0.0).unwrap().ncols(), 0);
    for tolerance in [NAN, -1e-9, 1.5] {
        assert!(matches!(basis::orthonormal(&x, tolerance), Err(Error::Range { .. })));
    }
}

#[test]
fn products() {
    let empty = Matrix::<f64>::zeros(0, 0);
    assert_eq!(gram::gram(&empty), empty);
    assert_eq!(gram::gram(&Matrix::<f64>::zeros(0, 2)), Matrix::zeros(2, 2));
    assert_eq!(gram::gram(&one(1e200))[0], INF);
    assert_eq!(gram::gram(&one(1e-200))[0], 0.0);
    assert_eq!(outer::outer::<f64>(&[], &[1.0]).shape(), (0, 1));
    assert!(
        outer::outer(&[0.0], &[INF])[0].is_nan() && is_zero(outer::outer(&[-0.0], &[1.0])[0], true)
    );
    for bad in BAD {
        assert!(gram::gram(&one(bad))[0].is_nan() || gram::gram(&one(bad))[0] == INF);
        // Overwritten values do not matter; values that are added to do.
        let mut y = one(NAN);
        product_into(y.as_view_mut(), 1.0, one(2.0).as_view(), one(3.0).as_view());
        assert_eq!(y[0], 6.0);
        let mut y = one(bad);
        product_add(y.as_view_mut(), 1.0, one(2.0).as_view(), one(3.0).as_view());
        assert!(!y[0].is_finite());
        product_into(y.as_view_mut(), 1.0, one(bad).as_view(), one(3.0).as_view());
        assert!(!y[0].is_finite());
    }
    // A sum of no terms.
    let (a, b) = (Matrix::<f64>::zeros(2, 0), Matrix::zeros(0, 2));
    assert_eq!(apply(&Product::plain(), [&a, &b]).unwrap(), Matrix::zeros(2, 2));

    let y = affine::affine(&one(INF), &one(0.0), &one(1.0)).unwrap();
    assert!(y[0].is_nan());
    assert_eq!(affine::affine(&one(MAX), &one(2.0), &one(1.0)).unwrap()[0], INF);
    assert_eq!(affine::affine(&one(TINY), &one(1.0), &one(TINY)).unwrap()[0], 2.0 * TINY);
    assert_eq!(
        affine::affine(&b, &Matrix::zeros(2, 3), &Matrix::zeros(0, 1)).unwrap().shape(),
        (0, 3)
    );
    assert_eq!(
        affine::affine(&a, &Matrix::zeros(0, 1), &matrix(2, 1, &[1.0, 2.0])).unwrap()[1],
        2.0
    );
    let mut sum = one(1.0);
    affine::add_columns(sum.as_view_mut(), Matrix::zeros(1, 0).as_view());
    assert_eq!(sum[0], 1.0);
    affine::add_columns(sum.as_view_mut(), matrix(1, 2, &[INF, -INF]).as_view());
    assert!(sum[0].is_nan());
    let mut x = one(NAN);
    let product = |[y, z]: [f64; 2]| y * z;
    let (y, z) = (one(TINY), one(1.0));
    Gradient::fresh(x.as_view_mut()).add_each([y.as_view(), z.as_view()], product);
    assert_eq!(x[0], TINY);
    let (y, z) = (one(0.0), one(INF));
    Gradient::new(x.as_view_mut()).add_each([y.as_view(), z.as_view()], product);
    assert!(x[0].is_nan());
}

#[test]
fn primitives() {
    let x = matrix(1, 6, &[0.0, -0.0, TINY, MAX, INF, NAN]);
    let zeros = Matrix::zeros(1, 6);
    let sum = apply(&Add, [&x, &x]).unwrap();
    assert!(is_zero(sum[1], true) && sum[2] == 2.0 * TINY && sum[3] == INF && sum[5].is_nan());
    let product = apply(&Hadamard, [&x, &zeros]).unwrap();
    assert!(is_zero(product[1], true) && product[3] == 0.0 && product[4].is_nan());
    let half = apply(&Scale { factor: 0.5 }, [&x]).unwrap();
    assert!(is_zero(half[1], true) && half[2] == 0.0 && half[4] == INF && half[5].is_nan());
    let row = apply(&Rows { start: 0, count: 1 }, [&x]).unwrap();
    assert_eq!(row.map(f64::to_bits), x.map(f64::to_bits));
    assert!(Rows { start: usize::MAX, count: 2 }.shape_of(&x).is_err());

    // An index out of range gives NaN, and its gradient is dropped.
    let table = matrix(1, 2, &[5.0, 7.0]);
    let indices = matrix(1, 8, &[1.0, -0.0, -1.0, 2.0, 0.5, NAN, INF, TINY]);
    let found = apply(&Gather, [&table, &indices]).unwrap();
    assert_eq!(found.as_slice()[..2], [7.0, 5.0]);
    assert!(found.iter().skip(2).all(|x| x.is_nan()));
    let [d_table, _] = pullback(&Gather, [&table, &indices], &Matrix::repeat(1, 8, 1.0)).unwrap();
    assert_eq!(d_table.as_slice(), &[1.0, 1.0]);
    assert_eq!([gather::index(-0.0, 1), gather::index(0.0, 0)], [Some(0), None]);

    for (m, n) in [(0, 0), (0, 3), (4, 0)] {
        let nothing = Matrix::<f64>::zeros(m, n);
        assert_eq!(apply(&Add, [&nothing, &nothing]).unwrap(), nothing);
        assert_eq!(apply(&Hadamard, [&nothing, &nothing]).unwrap(), nothing);
        assert_eq!(apply(&Scale { factor: 2.0 }, [&nothing]).unwrap(), nothing);
        let rotation = Rotation::new(1, 1e4, Pairs::Halves);
        let positions = Matrix::zeros(1, n);
        assert_eq!(apply(&rotation, [&nothing, &positions]).unwrap(), nothing);
        let [dx, _] = pullback(&rotation, [&nothing, &positions], &nothing).unwrap();
        assert_eq!(dx, nothing);
    }
    let no_heads = Rotation::new(0, 1e4, Pairs::Halves);
    assert!(apply(&no_heads, [&x, &zeros]).is_err());
}

#[test]
fn heads() {
    // Two heads of width 1 over one sequence of two tokens: rows are heads.
    let scores = HeadScores { heads: 2, key_value_heads: 2, length: 2 };
    let mix = HeadMix { heads: 2, key_value_heads: 2, length: 2 };
    for bad in BAD {
        let (query, key) =
            (matrix(2, 2, &[1.0, 1.0, 2.0, 2.0]), matrix(2, 2, &[bad, 1.0, 1.0, 1.0]));
        let s = apply(&scores, [&query, &key]).unwrap();
        // A bad value in head 0 and key 0 affects only that head's row of that key.
        let found: Vec<bool> = s.iter().map(|s| s.is_finite()).collect();
        assert_eq!(found, [false, true, false, true, true, true, true, true]);
        let weights = matrix(2, 4, &[0.5; 8]);
        let mixed = apply(&mix, [&key, &weights]).unwrap();
        assert_eq!(mixed.map(|x| x.is_finite()).as_slice(), [false, true, false, true]);
        // A weight of 0 does not hide a non-finite value: 0·∞ is NaN.
        let mixed = apply(&mix, [&key, &Matrix::zeros(2, 4)]).unwrap();
        assert!(mixed[0].is_nan() && mixed[1] == 0.0);
        let [d_query, d_key] = pullback(&scores, [&query, &key], &s.map(|_| 1.0)).unwrap();
        assert_eq!(d_query.map(|x| x.is_finite()).as_slice(), [false, true, false, true]);
        assert!(d_key.iter().all(|x| x.is_finite()));
    }
    for (x, dot) in [(TINY, 0.0), (1e-200, 0.0), (1e200, INF), (-0.0, 0.0)] {
        let x = matrix(2, 2, &[x; 4]);
        assert!(apply(&scores, [&x, &x]).unwrap().iter().all(|&s| s == dot));
        let ones = matrix(2, 4, &[1.0; 8]);
        assert_eq!(apply(&mix, [&x, &ones]).unwrap()[0], 2.0 * x[0]);
    }
    // Width 0: every dot product is the empty sum. No tokens: no sequence.
    let nothing = Matrix::<f64>::zeros(0, 2);
    assert_eq!(apply(&scores, [&nothing, &nothing]).unwrap(), Matrix::zeros(2, 4));
    assert_eq!(apply(&mix, [&nothing, &Matrix::zeros(2, 4)]).unwrap(), nothing);
    let nothing = Matrix::<f64>::zeros(2, 0);
    assert!(apply(&scores, [&nothing, &nothing]).is_err());
    let no_tokens = HeadScores { heads: 1, key_value_heads: 1, length: 0 };
    assert!(apply(&no_tokens, [&nothing, &nothing]).is_err());
    // A bad value in the only key head reaches both query heads that read it, and nothing else.
    let shared = HeadScores { heads: 2, key_value_heads: 1, length: 2 };
    for bad in BAD {
        let (query, key) = (matrix(2, 2, &[1.0; 4]), matrix(1, 2, &[bad, 1.0]));
        let s = apply(&shared, [&query, &key]).unwrap();
        let found: Vec<bool> = s.iter().map(|s| s.is_finite()).collect();
        assert_eq!(found, [false, true, false, true, false, true, false, true]);
    }
    for groups in [0, 2, 4] {
        let query = Matrix::<f64>::zeros(3, 2);
        let ungrouped = HeadScores { heads: 3, key_value_heads: groups, length: 2 };
        let error = apply(&ungrouped, [&query, &query]).unwrap_err().to_string();
        assert!(error.starts_with("the list of query heads is 3 long"), "{error}");
        let ungrouped = HeadMix { heads: 3, key_value_heads: groups, length: 2 };
        let (value, weights) = (Matrix::<f64>::zeros(4, 2), Matrix::zeros(2, 6));
        assert!(apply(&ungrouped, [&value, &weights]).is_err());
    }
}

#[test]
fn recorded_maps_and_products() {
    let y = apply(&Affine, [&one(INF), &one(0.0), &one(1.0)]).unwrap();
    assert!(y[0].is_nan());
    assert_eq!(apply(&Affine, [&one(MAX), &one(2.0), &one(1.0)]).unwrap()[0], INF);
    assert_eq!(apply(&Affine, [&one(TINY), &one(1.0), &one(TINY)]).unwrap()[0], 2.0 * TINY);
    let [dw, dx, db] = pullback(&Affine, [&one(INF), &one(2.0), &one(0.0)], &one(1.0)).unwrap();
    assert_eq!([dw[0], dx[0], db[0]], [2.0, INF, 1.0]);
    // If W has no columns, the result is the bias.
    let shift = matrix(2, 1, &[TINY, -INF]);
    let y = apply(&Affine, [&Matrix::zeros(2, 0), &Matrix::zeros(0, 1), &shift]).unwrap();
    assert_eq!(y, shift);

    for (add, sum) in [(false, 6.0), (true, 7.0)] {
        let mut c = one(1.0);
        Products::Full.to(c.as_view_mut(), one(2.0).as_view(), one(3.0).as_view(), add);
        assert_eq!(c[0], sum);
        Products::Full.to(c.as_view_mut(), one(0.0).as_view(), one(INF).as_view(), add);
        assert!(c[0].is_nan());
        // Overwritten values do not matter; values that are added to do.
        Products::Full.to(c.as_view_mut(), one(2.0).as_view(), one(3.0).as_view(), add);
        assert_eq!(c[0].is_nan(), add);
        let mut c = one(5.0);
        let (a, b) = (Matrix::<f64>::zeros(1, 0), Matrix::zeros(0, 1));
        Products::Full.to(c.as_view_mut(), a.as_view(), transposed(b.transpose().as_view()), add);
        assert_eq!(c[0], if add { 5.0 } else { 0.0 });
    }
}

/// The shape rule of a primitive with one operand.
trait ShapeOf {
    fn shape_of(&self, x: &Matrix<f64>) -> Result<linalg::Shape, ShapeError>;
}

impl<P: linalg::Primitive<1>> ShapeOf for P {
    fn shape_of(&self, x: &Matrix<f64>) -> Result<linalg::Shape, ShapeError> {
        self.shape([linalg::Shape::new(x.nrows(), x.ncols())])
    }
}

#[test]
fn elimination() {
    assert_eq!(lu::trace(&Matrix::<f64>::zeros(0, 0)), Ok(0.0));
    assert!(lu::trace(&matrix(2, 2, &[INF, 0.0, 0.0, -INF])).unwrap().is_nan());
    assert!(lu::trace(&Matrix::<f64>::zeros(1, 2)).is_err());

    let nothing = lu::log_determinant(&Matrix::<f64>::zeros(0, 0)).unwrap();
    assert_eq!((nothing.sign, nothing.ln), (1.0, 0.0));
    for zero in [0.0, -0.0] {
        let d = lu::log_determinant(&one(zero)).unwrap();
        assert_eq!((d.sign, d.ln), (0.0, -INF));
        assert_eq!(lu::solve(&one(zero), &one(1.0)), Err(Error::Singular { pivot: 0 }));
        assert!(Lu::of(&one(zero)).unwrap().inverse().is_err());
    }
    for x in [TINY, -1e-310, 1e-200, -1.0, 1e200, MAX] {
        let d = lu::log_determinant(&one(x)).unwrap();
        assert!(d.sign == x.signum() && near(d.ln, x.abs().ln()), "{x:e}: {d:?}");
        assert_eq!(lu::solve(&one(x), &one(x)).unwrap()[0], 1.0);
        // Rows and columns of very different scale: the determinant is x·1, or 0 in floats.
        let a = matrix(2, 2, &[x, 0.0, x, 1.0]);
        assert!(near(lu::log_determinant(&a).unwrap().ln, x.abs().ln()));
        let y = lu::solve(&a, &matrix(2, 1, &[x, 1.0])).unwrap();
        assert!(near(y[1], 1.0) && y[0].abs() <= E, "{x:e}: {y}");
    }
    assert_eq!(lu::solve(&one(4.0), &one(-0.0)).unwrap()[0], 0.0);
    let none = lu::solve(&Matrix::<f64>::zeros(0, 0), &Matrix::zeros(0, 2)).unwrap();
    assert_eq!(none.shape(), (0, 2));
    for bad in BAD {
        let a = matrix(2, 2, &[1.0, 0.0, bad, 1.0]);
        assert!(names(lu::log_determinant(&a), 0, 1) && names(Lu::of(&a), 0, 1));
        assert!(names(lu::solve(&one(1.0), &one(bad)), 0, 0));
    }
    assert!(lu::solve(&one(1.0), &matrix(2, 1, &[1.0, 2.0])).is_err());
    assert!(lu::log_determinant(&Matrix::<f64>::zeros(1, 2)).is_err());
}

#[test]
fn cholesky() {
    for x in [TINY, 1e-310, 1e-200, 1.0, 1e200, MAX] {
        let root = Cholesky::of(&one(x)).unwrap();
        assert!(near(root.lower()[0], x.sqrt()) && near(root.log_determinant(), x.ln()));
        // A denormal root has few digits; its square is exact.
        assert!(near(root.solve(&one(x)).unwrap()[0], 1.0));
        assert!(near(root.whiten(&one(x.sqrt())).unwrap()[0], 1.0));
    }
    let nothing = Cholesky::of(&Matrix::<f64>::zeros(0, 0)).unwrap();
    assert_eq!(nothing.log_determinant(), 0.0);
    for x in [0.0, -0.0, -TINY, -MAX] {
        assert_eq!(
            Cholesky::of(&one(x)).unwrap_err(),
            Error::NotPositiveDefinite { pivot: 0, value: x }
        );
    }
    // An indefinite matrix with products that overflow.
    let a = matrix(2, 2, &[1.0, 1e200, 1e200, 1.0]);
    assert!(matches!(Cholesky::of(&a), Err(Error::NotPositiveDefinite { pivot: 1, .. })));
    for bad in BAD {
        assert!(names(Cholesky::of(&matrix(2, 2, &[1.0, bad, 0.0, 1.0])), 1, 0));
        // A right-hand side follows IEEE.
        let root = Cholesky::of(&one(4.0)).unwrap();
        assert!(!root.solve(&one(bad)).unwrap()[0].is_finite());
    }
    assert!(Cholesky::of(&Matrix::<f64>::zeros(1, 2)).is_err());
}

#[test]
fn spectra_of_matrices() {
    let nothing = SymmetricEigen::of(&Matrix::zeros(0, 0)).unwrap();
    assert!(nothing.values.is_empty() && nothing.map(f64::exp).is_empty());
    for x in [0.0, -0.0, TINY, -1e-310, 1e-200, -1.0, 1e200, MAX, -MAX] {
        assert_eq!(SymmetricEigen::of(&one(x)).unwrap().values, [x], "{x:e}");
        let pair = SymmetricEigen::of(&matrix(2, 2, &[x, 0.0, 0.0, -x])).unwrap().values;
        assert_eq!(pair, [x.abs(), -x.abs()]);
        let svd = Svd::of(&matrix(2, 2, &[x, 0.0, 0.0, -x])).unwrap();
        assert!(svd.values.iter().all(|&s| near(s, x.abs())), "{x:e}: {:?}", svd.values);
        assert_eq!(svd.rank(), if x == 0.0 { 0 } else { 2 });
        let condition = svd.condition_number().unwrap();
        assert!(if x == 0.0 { condition == INF } else { near(condition, 1.0) });
        // The rest is rounding error, as large as the smallest number if all elements are that small.
        let svd = Svd::of(&matrix(3, 2, &[x, x, x, x, x, x]));
        if x.abs() == MAX {
            // √6·MAX overflows.
            assert!(matches!(svd, Err(Error::Range { .. })));
            continue;
        }
        let svd = svd.unwrap();
        assert!(svd.values[1] <= 8.0 * E * x.abs() + TINY, "{x:e}: {:?}", svd.values);
        assert!(svd.rank() <= 1);
    }
    for (m, n) in [(0, 0), (0, 3), (3, 0)] {
        let svd = Svd::of(&Matrix::zeros(m, n)).unwrap();
        assert!(svd.values.is_empty() && svd.rank() == 0);
        assert_eq!((svd.u.shape(), svd.v.shape()), ((m, 0), (n, 0)));
        assert_eq!(svd.matrix(), Matrix::zeros(m, n));
        assert_eq!(svd::rank(&Matrix::zeros(m, n)), Ok(0));
        let error = svd::condition_number(&Matrix::zeros(m, n)).unwrap_err();
        assert_eq!(error, ShapeError::Empty { operand: "A" }.into());
        let none = LowRank::of(&Matrix::zeros(m, n), 0).unwrap();
        assert_eq!((none.matrix().shape(), none.spectral_error()), ((m, n), 0.0));
    }
    let svd = Svd::of(&matrix(2, 2, &[MAX, 0.0, 0.0, TINY])).unwrap();
    assert_eq!([-0.0, 1.0, INF, NAN].map(|t| svd.rank_above(t)), [1, 1, 0, 0]); // TINY is negligible beside MAX
    for bad in BAD {
        let a = matrix(2, 2, &[1.0, bad, bad, 1.0]);
        assert!(names(SymmetricEigen::of(&a), 1, 0) && names(Svd::of(&a), 1, 0));
        assert!(names(svd::rank(&a), 1, 0) && names(svd::condition_number(&a), 1, 0));
        assert!(names(LowRank::of(&a, 1), 1, 0) && names(Adapter::nearest(&a, 1), 1, 0));
    }
    assert!(SymmetricEigen::of(&matrix(2, 2, &[0.0, MAX, -MAX, 0.0])).is_err());
    assert!(SymmetricEigen::of(&Matrix::zeros(1, 2)).is_err());
    // Huge and tiny together.
    let best = LowRank::of(&matrix(2, 2, &[1e200, 0.0, 0.0, 1e-200]), 1).unwrap();
    assert_eq!((best.spectral_error(), best.frobenius_error()), (0.0, 0.0)); // below 1e-140·σ₁
    let best = LowRank::of(&matrix(2, 2, &[1e60, 0.0, 0.0, 1e-60]), 1).unwrap();
    assert!(near(best.spectral_error(), 1e-60) && near(best.frobenius_error(), 1e-60));
}

#[test]
fn ranks_of_spectra() {
    for none in [&[][..], &[0.0], &[0.0, -0.0]] {
        assert_eq!(spectrum::stable_rank::<f64>(none), Ok(0.0));
        assert_eq!(spectrum::effective_rank::<f64>(none), Ok(0.0));
        assert_eq!(spectrum::energy::<f64>(none, 1), Ok(1.0));
    }
    for x in [TINY, 1e-310, 1e-200, 1.0, 1e200, MAX] {
        assert!(near(spectrum::stable_rank(&[x, x, 0.0]).unwrap(), 2.0));
        assert!(near(spectrum::effective_rank(&[x, x, 0.0]).unwrap(), 2.0));
        assert!(near(spectrum::energy(&[x, x, 0.0], 1).unwrap(), 0.5));
        assert_eq!(spectrum::effective_rank(&[x]), Ok(1.0));
    }
    assert_eq!(spectrum::energy(&[2.0, 1.0], 9), Ok(1.0));
    assert_eq!(spectrum::energy(&[2.0, 1.0], 0), Ok(0.0));
    for bad in BAD {
        assert!(names(spectrum::stable_rank(&[1.0, bad]), 1, 0));
        assert!(names(spectrum::effective_rank(&[1.0, bad]), 1, 0));
        assert!(names(spectrum::energy(&[1.0, bad], 1), 1, 0));
    }
    assert!(matches!(spectrum::stable_rank(&[1.0, -TINY]), Err(Error::Range { .. })));
}

#[test]
fn principal_components() {
    for x in [TINY, 1e-200, 1.0, 1e100, 1e200, MAX / 4.0] {
        let pca = PrincipalComponents::of(&matrix(1, 2, &[x, -x])).unwrap();
        assert_eq!(pca.axes[0], 1.0);
        assert!(is_zero(pca.mean[0], false));
        let found = pca.coordinates(&one(x), 1).unwrap();
        assert!(near(found[0], x));
        // A variance of 2x² may overflow to ∞ or underflow to 0.
        assert!(near(pca.variances[0], 2.0 * x * x) || (x < 1e-160 && pca.variances[0] <= 1e-300));
    }
    let pca = PrincipalComponents::of(&matrix(1, 2, &[1e200, -1e200])).unwrap();
    // The share of the variance is correct although the variance overflows.
    assert!(pca.variances[0] == INF && pca.explained(1) == 1.0);
    assert_eq!(PrincipalComponents::of(&matrix(1, 2, &[0.0, -0.0])).unwrap().explained(1), 1.0);
    for bad in BAD {
        assert!(names(PrincipalComponents::of(&matrix(1, 3, &[1.0, bad, 2.0])), 0, 1));
        assert!(!pca.coordinates(&one(bad), 1).unwrap()[0].is_finite());
        assert!(!pca.restore(&one(bad)).unwrap()[0].is_finite());
    }
    assert!(PrincipalComponents::of(&Matrix::zeros(2, 0)).is_err());
    assert!(PrincipalComponents::of(&one(1.0)).is_err());
}

#[test]
fn adapters() {
    let scalar = |a, b| Adapter::new(one(a), one(b), 1.0).unwrap();
    assert_eq!(scalar(1e200, 1e200).delta()[0], INF);
    assert_eq!(scalar(1e-200, 1e-200).delta()[0], 0.0);
    assert_eq!(scalar(TINY, 1.0).delta()[0], TINY);
    for bad in BAD {
        let mut w = one(1.0);
        scalar(bad, 1.0).merge(&mut w).unwrap();
        assert!(!w[0].is_finite());
        scalar(bad, 1.0).unmerge(&mut w).unwrap();
        assert!(w[0].is_nan()); // ∞ − ∞
        assert!(!scalar(1.0, 1.0).apply(&one(bad), &one(1.0)).unwrap()[0].is_finite());
        assert!(Adapter::new(one(1.0), one(1.0), bad).is_err());
    }
    let empty = Adapter::new(Matrix::<f64>::zeros(1, 0), Matrix::zeros(0, 1), 1.0).unwrap();
    assert!(empty.saved().is_nan() || empty.saved() == -INF);
    assert_eq!((empty.parameters(), empty.delta().shape()), (0, (0, 0)));
    let tall = Adapter::new(Matrix::<f64>::zeros(1, 0), Matrix::zeros(2, 1), 1.0).unwrap();
    assert_eq!(tall.saved(), -INF);
    assert!(Adapter::nearest(&one(1.0), 0).is_err() && Adapter::nearest(&one(1.0), 2).is_err());
}

#[test]
fn krylov() {
    assert!(start_vector::<f64>(0).is_empty() && start_vector::<f32>(1)[0] != 0.0);
    for x in [TINY, 1e-310, -1e-200, 1.0, 1e200, MAX] {
        let a = one(x);
        let found = Lanczos::default().run(operator(&a).unwrap(), &[x]).unwrap().largest();
        assert_eq!((found.value, found.residual, found.converged), (x, 0.0, true), "{x:e}");
        let found = power_iteration(operator(&a).unwrap(), &[x], 5, 0.0).unwrap();
        assert_eq!((found.value, found.residual, found.converged), (x, 0.0, true));
    }
    for scale in [1e-300, 1e-150, 1e150, 1e300] {
        let a = matrix(2, 2, &[2.0 * scale, scale, scale, 2.0 * scale]);
        let ritz = Lanczos::default().run(operator(&a).unwrap(), &[1.0, 0.0]).unwrap();
        assert!((ritz.largest().value / scale - 3.0).abs() < 1e-14, "{scale:e}");
        assert!((ritz.smallest().value / scale - 1.0).abs() < 1e-14);
        let second = ritz.estimate(1);
        assert_eq!((second.value, second.vector), (ritz.smallest().value, ritz.smallest().vector));
        let found = power_iteration(operator(&a).unwrap(), &[1.0, 0.0], 99, 1e-12).unwrap();
        assert!(found.converged && (found.value / scale - 3.0).abs() < 1e-12);
    }
    // Each product of an element with one of the unit vector, 5e-324/8, is rounded to 0.
    let (n, ones) = (64, [1.0; 64]);
    let a = Matrix::from_element(n, n, TINY);
    let found = power_iteration(operator(&a).unwrap(), &ones, 5, 1e-12).unwrap();
    assert_eq!((found.value, found.converged), (64.0 * TINY, true));
    let found = Lanczos::default().run(operator(&a).unwrap(), &ones).unwrap().largest();
    assert_eq!((found.value, found.converged), (64.0 * TINY, true));
    let a = Matrix::from_element(n, n, f32::from_bits(1));
    let found = power_iteration(operator(&a).unwrap(), &[1.0_f32; 64], 5, 1e-5).unwrap();
    assert!(
        found.converged
            && (found.value / f64::from(a[0]) - 64.0).abs() < 64.0 * 64.0 * f64::from(f32::EPSILON)
    );
    // The same after a product that is large.
    let last = |i: usize| if i < n { 1.0 } else { 0.0 };
    let a = Matrix::from_fn(n + 1, n + 1, |i, j| if j < n { last(i) * TINY } else { last(i) });
    let mut start = vec![0.0; n];
    start.push(1.0);
    let found = power_iteration(operator(&a).unwrap(), &start, 5, 1e-12).unwrap();
    assert_eq!((found.value, found.converged), (64.0 * TINY, true));
    // A product that is 0, and out of range for a larger vector.
    let a = matrix(2, 2, &[1e300, -1e300, -1e300, 1e300]);
    let found = power_iteration(operator(&a).unwrap(), &[1.0, 1.0], 5, 1e-12).unwrap();
    assert_eq!((found.value, found.converged), (0.0, true));
    for none in [&[][..], &[0.0, -0.0]] {
        let a = Matrix::zeros(none.len(), none.len());
        assert!(Lanczos::default().run(operator(&a).unwrap(), none).is_err());
        assert!(power_iteration(operator(&a).unwrap(), none, 5, 0.0).is_err());
    }
    for bad in BAD {
        let a = matrix(2, 2, &[1.0, bad, bad, 1.0]);
        // 0·∞ is NaN: the first element already is.
        assert!(names(Lanczos::default().run(operator(&a).unwrap(), &[1.0, 0.0]), 0, 0));
        assert!(names(power_iteration(operator(&a).unwrap(), &[1.0, 0.0], 5, 0.0), 0, 0));
        assert!(names(power_iteration(operator(&one(1.0)).unwrap(), &[bad], 5, 0.0), 0, 0));
        assert!(names(Lanczos::default().run(operator(&one(1.0)).unwrap(), &[bad]), 0, 0));
    }
}

#[test]
fn rotations_and_positions() {
    assert_eq!(rotation::rotate::<f64>(&[], 1.0, 1e4, Pairs::Halves), Ok(vec![]));
    assert!(rotation::rotate(&[1.0], 1.0, 1e4, Pairs::Halves).is_err());
    for pairs in [Pairs::Halves, Pairs::Neighbours] {
        let turn = |x: [f64; 2], t| rotation::rotate(&x, t, 1e4, pairs).unwrap();
        for x in [TINY, 1e-200, 1e200, MAX] {
            assert_eq!(turn([x, 0.0], 0.0), [x, 0.0]);
            assert_eq!(turn([x, 0.0], -0.0), [x, 0.0]);
        }
        assert!(near(turn([1e200, 0.0], 1.0)[1], 1e200 * 1.0_f64.sin()));
        for bad in BAD {
            assert!(turn([1.0, 0.0], bad).iter().all(|x| x.is_nan()));
            assert!(turn([bad, 0.0], 1.0).iter().all(|x| !x.is_finite()));
        }
        assert_eq!(turn([1.0, 0.0], TINY), [1.0, TINY]);
        let far = turn([1.0, 0.0], 1e300); // an angle whose digits all belong to full turns
        assert!(near(norm::l2(&far), 1.0));
    }
    assert_eq!(rotation::rotate_pair([1.0, -0.0], 0.0), [1.0, 0.0]);
    for bad in BAD {
        assert!(rotation::rotate_pair([1.0, 0.0], bad).iter().all(|x| x.is_nan()));
        assert!(sinusoid::position(bad, 2, 1e4).unwrap().iter().all(|x| x.is_nan()));
    }
    assert_eq!(rotation::frequency(3, 8, 1.0), 1.0);
    assert_eq!(sinusoid::position(1.0, 0, 1e4), Ok(vec![]));
    assert_eq!(sinusoid::position(0.0, 2, 1e4), Ok(vec![0.0, 1.0]));
    assert_eq!(sinusoid::position(TINY, 2, 1e4), Ok(vec![TINY, 1.0]));
}

#[test]
fn scaled_dot_products() {
    let score = |q: &[f64], k: &[f64]| scaled_dot::scaled_dot(q, k).unwrap();
    assert_eq!(score(&[], &[]), 0.0);
    assert_eq!(score(&[3.0], &[-0.0]), 0.0);
    assert_eq!(score(&[TINY; 4], &[1.0; 4]), 2.0 * TINY);
    assert_eq!(score(&[1e200], &[1e200]), INF);
    for bad in BAD {
        assert!(!score(&[bad, 1.0], &[1.0, 1.0]).is_finite());
        assert!(!scaled_dot::scores(&one(bad), &one(1.0)).unwrap()[0].is_finite());
    }
    let nothing = scaled_dot::scores(&Matrix::<f64>::zeros(0, 2), &Matrix::zeros(0, 3)).unwrap();
    assert_eq!(nothing, Matrix::zeros(3, 2));
    assert_eq!(scaled_dot::scores(&one(1.0), &Matrix::zeros(1, 0)).unwrap().shape(), (0, 1));
}

/// The scalar functions at the edges of their domains, for any scalar.
fn scalar_edges<T: Real>() {
    let t = T::from_f64;
    let value = |x: T| x.to_f64();
    let (zero, negative) = (t(0.0), t(-0.0));
    assert_eq!([value(t(-INF).exp()), value(t(INF).exp()), value(zero.exp())], [0.0, INF, 1.0]);
    assert_eq!([value(zero.ln()), value(t(INF).ln()), value(t(1.0).ln())], [-INF, INF, 0.0]);
    assert_eq!([value(t(-1.0).ln_1p()), value(t(INF).ln_1p())], [-INF, INF]);
    assert_eq!([value(t(INF).tanh()), value(t(-INF).tanh())], [1.0, -1.0]);
    assert_eq!([value(t(INF).erf()), value(t(-INF).erf())], [1.0, -1.0]);
    assert_eq!([value(t(INF).sqrt()), value(t(-INF).abs())], [INF, INF]);
    for odd in [T::sqrt, T::tanh, T::erf, T::sin, T::ln_1p] {
        assert!(is_zero(value(odd(negative)), true) && is_zero(value(odd(zero)), false));
    }
    assert!(is_zero(value(negative.abs()), false));
    assert_eq!(value(negative.cos()), 1.0);
    for f in [T::exp, T::ln, T::ln_1p, T::sqrt, T::tanh, T::erf, T::sin, T::cos, T::abs] {
        assert!(value(f(t(NAN))).is_nan());
    }
    for none in [t(-1.0).ln(), t(-2.0).ln_1p(), t(-1.0).sqrt(), t(INF).sin(), t(-INF).cos()] {
        assert!(linalg::real::is_nan(none));
    }
    assert!(value(t(NAN).larger(zero)).is_nan() && value(zero.larger(t(NAN))).is_nan());
    assert_eq!(value(t(-INF).larger(t(INF))), INF);
}

#[test]
fn scalars() {
    scalar_edges::<f64>();
    scalar_edges::<f32>();
    // Denormals behave like other numbers.
    assert_eq!(Real::tanh(f32::from_bits(1)), f32::from_bits(1));
    assert_eq!(Real::sin(TINY), TINY);
    assert_eq!(Real::exp(TINY), 1.0);
    assert!(Real::ln(TINY) > -745.0);
}
