//! Linear algebra against NumPy, SciPy and mpmath: the table `authority/linalg.json`, made by the script beside it.

use linalg::adapter::Adapter;
use linalg::cholesky::Cholesky;
use linalg::krylov::{End, Lanczos, operator, power_iteration, start_vector};
use linalg::least_squares::LeastSquares;
use linalg::low_rank::LowRank;
use linalg::polar::Polar;
use linalg::principal::PrincipalComponents;
use linalg::qr::Qr;
use linalg::rotation::{Pairs, rotate};
use linalg::svd::Svd;
use linalg::symmetric::SymmetricEigen;
use linalg::{
    Matrix, affine, basis, eigenvalues, gram, lu, norm, outer, projection, scaled_dot, similarity,
};
use linalg::{sinusoid, spectrum};
use std::collections::BTreeSet;
use tests::authority::{Entry, table};

/// The bound of the whole table, relative to the largest of a function's values: sums of a few dozen terms on operands
/// of condition below 1000, 1000·ε = 2e-13, and the authority's own rounding.
const BOUND: f64 = 1e-12;

/// The inputs of an entry, one after the other.
struct Inputs<'a>(std::slice::Iter<'a, Vec<f64>>);

impl Inputs<'_> {
    fn vector(&mut self) -> Vec<f64> {
        self.0.next().expect("another input").clone()
    }

    fn number(&mut self) -> f64 {
        self.vector()[0]
    }

    /// A shape, and elements column after column.
    fn matrix(&mut self) -> Matrix<f64> {
        let shape = self.vector();
        Matrix::from_vec(shape[0] as usize, shape[1] as usize, self.vector())
    }
}

/// Our values of an entry, and how far they may be off.
fn values(entry: &Entry) -> Result<(Vec<f64>, f64), linalg::Error> {
    let mut x = Inputs(entry.inputs.iter());
    let exact = |values: Vec<f64>| Ok((values, BOUND));
    let one = |value: f64| Ok((vec![value], BOUND));
    let elements = |m: Matrix<f64>| Ok((m.as_slice().to_vec(), BOUND));
    match entry.function.as_str() {
        "l1" => one(norm::l1(&x.vector())),
        "l2" => one(norm::l2(&x.vector())),
        "linf" => one(norm::linf(&x.vector())),
        "distance" => one(norm::distance(&x.vector(), &x.vector())?),
        "cosine" => one(similarity::cosine(&x.vector(), &x.vector())?),
        "angle" => {
            // A direction is right to a few ε, and so is the angle between two, however small.
            let angle = similarity::angle(&x.vector(), &x.vector())?;
            Ok((vec![angle], BOUND.max(8.0 * f64::EPSILON / angle)))
        }
        "scaled_dot" => one(scaled_dot::scaled_dot(&x.vector(), &x.vector())?),
        "induced_1" => one(norm::induced_1(&x.matrix())),
        "induced_infinity" => one(norm::induced_infinity(&x.matrix())),
        "frobenius" => one(norm::frobenius(&x.matrix())),
        "spectral" => one(spectrum::spectral_norm(&x.matrix())?),
        "nuclear" => one(spectrum::nuclear_norm(&x.matrix())?),
        "singular_values" => exact(Svd::of(&x.matrix())?.values),
        "condition_number" => one(Svd::of(&x.matrix())?.condition_number()?),
        "rank" => one(Svd::of(&x.matrix())?.rank() as f64),
        "stable_rank" => one(spectrum::stable_rank(&Svd::of(&x.matrix())?.values)?),
        "effective_rank" => one(spectrum::effective_rank(&Svd::of(&x.matrix())?.values)?),
        "gram" => elements(gram::gram(&x.matrix())),
        "low_rank_2" => elements(LowRank::of(&x.matrix(), 2)?.matrix()),
        "low_rank_2_error" => {
            let best = LowRank::of(&x.matrix(), 2)?;
            exact(vec![best.spectral_error(), best.frobenius_error()])
        }
        "principal_variances" => exact(PrincipalComponents::of(&x.matrix())?.variances),
        "principal_explained_2" => one(PrincipalComponents::of(&x.matrix())?.explained(2)),
        "affine" => elements(affine::affine(&x.matrix(), &x.matrix(), &x.matrix())?),
        "outer" => elements(outer::outer(&x.vector(), &x.vector())),
        "merge_alpha_3" => {
            let mut w = x.matrix();
            Adapter::new(x.matrix(), x.matrix(), 3.0)?.merge(&mut w)?;
            elements(w)
        }
        "onto_span" => {
            let (point, span) = (x.matrix(), x.matrix());
            elements(projection::onto_span(&point, &basis::orthonormal(&span, 1e-8)?)?)
        }
        "trace" => one(lu::trace(&x.matrix())?),
        "log_determinant" => {
            let a = x.matrix();
            let d = lu::log_determinant(&a)?;
            // d ln |det A| = tr(A⁻¹·dA) ≤ n·κ·‖dA‖/‖A‖, where elimination leaves dA of a few ε·‖A‖.
            Ok((vec![d.sign, d.ln], BOUND.max(conditioned(&a)?)))
        }
        "solve" => {
            let a = x.matrix();
            let found = lu::solve(&a, &x.matrix())?;
            Ok((found.as_slice().to_vec(), BOUND.max(conditioned(&a)?)))
        }
        "eigenvalues" => exact(SymmetricEigen::of(&x.matrix())?.values),
        "cholesky" => elements(Cholesky::of(&x.matrix())?.lower().clone()),
        "cholesky_log_determinant" => {
            let a = x.matrix();
            let ln = Cholesky::of(&a)?.log_determinant();
            Ok((vec![ln], BOUND.max(conditioned(&a)?)))
        }
        "cholesky_solve" => {
            let a = x.matrix();
            let found = Cholesky::of(&a)?.solve(&x.matrix())?;
            Ok((found.as_slice().to_vec(), BOUND.max(conditioned(&a)?)))
        }
        "square_root" => elements(SymmetricEigen::of(&x.matrix())?.map(f64::sqrt)),
        "logarithm" => {
            let a = x.matrix();
            // The logarithm of the smallest eigenvalue, which is right to ε·‖A‖, is right to ε·κ.
            Ok((
                SymmetricEigen::of(&a)?.map(f64::ln).as_slice().to_vec(),
                BOUND.max(conditioned(&a)?),
            ))
        }
        "lanczos_ends" => {
            let a = x.matrix();
            let method = Lanczos { end: End::Both, iterations: 99, tolerance: 1e-13 };
            let ritz = method.run(operator(&a)?, &start_vector(a.nrows()))?;
            exact(vec![ritz.largest().value, ritz.smallest().value])
        }
        "stationary" => {
            let a = x.matrix();
            let start = vec![1.0; a.nrows()];
            let found = power_iteration(operator(&a)?, &start, 1000, 1e-14)?.vector;
            let sum: f64 = found.iter().sum();
            exact(found.iter().map(|p| p / sum).collect())
        }
        "rotate_neighbours" => {
            positioned(rotate(&x.vector(), x.number(), x.number(), Pairs::Neighbours)?, entry)
        }
        "rotate_halves" => {
            positioned(rotate(&x.vector(), x.number(), x.number(), Pairs::Halves)?, entry)
        }
        "sinusoid_6" => positioned(sinusoid::position(x.number(), 6, x.number())?, entry),
        "triangle" => elements(Qr::of(&x.matrix())?.r()),
        "least_squares" => {
            let a = x.matrix();
            let found = LeastSquares::of(&a, &x.vector())?.coefficients;
            Ok((found, BOUND.max(conditioned(&a)?)))
        }
        "standard_errors" => exact(LeastSquares::of(&x.matrix(), &x.vector())?.standard_errors()?),
        "pseudo_inverse" => elements(Svd::of(&x.matrix())?.pseudo_inverse()?),
        "shortest_solution" => {
            let (a, b) = (x.matrix(), x.vector());
            elements(Svd::of(&a)?.solve(&Matrix::from_vec(b.len(), 1, b))?)
        }
        "polar" => elements(Polar::of(&x.matrix())?.orthogonal),
        "any_eigenvalues" => {
            let found = eigenvalues::eigenvalues(&x.matrix())?;
            exact(found.iter().flat_map(|value| [value.re, value.im]).collect())
        }
        "spectral_radius" => one(eigenvalues::spectral_radius(&x.matrix())?),
        other => panic!("no function {other}"),
    }
}

/// 8·n·ε·κ: what a backward stable algorithm may be off by.
fn conditioned(a: &Matrix<f64>) -> Result<f64, linalg::Error> {
    Ok(8.0 * a.nrows() as f64 * f64::EPSILON * Svd::of(a)?.condition_number()?)
}

/// An angle t·ω is rounded to t·ω·ε, for the frequency to a few ε and the product to one.
fn positioned(found: Vec<f64>, entry: &Entry) -> Result<(Vec<f64>, f64), linalg::Error> {
    let position = entry.inputs[entry.inputs.len() - 2][0];
    Ok((found, BOUND.max(4.0 * position * f64::EPSILON)))
}

#[test]
fn every_value_is_the_authority_s() {
    let table = table("linalg");
    let (mut compared, mut wide) = (0, 0);
    for entry in &table {
        let (found, bound) = values(entry).unwrap_or_else(|e| panic!("{}: {e}", entry.function));
        assert_eq!(found.len(), entry.expected.len(), "{}", entry.function);
        let size = entry.expected.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        for (found, expected) in found.iter().zip(&entry.expected) {
            // Of nothing but zeros nothing may differ: the error of anything else is ∞.
            let error = (found - expected).abs() / size;
            assert!(
                found == expected || error <= bound,
                "{}: {found:e}, but {} has {expected:e} (off by {error:.1e} of {size:e}, bound {bound:.1e})\n{:?}",
                entry.function,
                entry.source,
                entry.inputs
            );
            compared += 1;
            wide += usize::from(bound > BOUND);
        }
    }
    println!(
        "{} entries, {compared} values compared, {wide} of them with a bound of their own",
        table.len()
    );
    // Every function that can be asked is in the table, and the table has nothing else.
    let tabled: BTreeSet<&str> = table.iter().map(|entry| entry.function.as_str()).collect();
    let own = include_str!("linalg.rs").split("match entry.function").nth(1);
    let arms = own.expect("a match").split("other => panic").next().expect("its arms");
    let known: BTreeSet<&str> = arms
        .split("\" =>")
        .filter_map(|arm| arm.rsplit('"').next())
        .take(arms.matches("\" =>").count())
        .collect();
    assert_eq!(tabled, known, "left: in the table; right: in this test");
}
