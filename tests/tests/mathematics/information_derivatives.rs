//! Derivatives of information theory in closed form: at dual numbers every function is also its derivative. That dual
//! = reverse = difference for every function is `every_derivative`.

use calculus::Dual;
use infotheory::joint::{mutual_information, pointwise_mutual_information};
use infotheory::objective::{alignment, distillation, label_smoothing, z_loss};
use infotheory::units::{Bits, Nats};
use infotheory::{InfoError, cross_entropy, divergence, entropy, gaussian};
use linalg::{Real, matrix};
use probability::softmax::softmax;
use probability::{Joint, gaussian::Gaussian};
use proptest::prelude::*;

type D = Dual<f64>;

/// df/dx_i of every i, by duals.
fn gradient(x: &[f64], f: impl Fn(&[D]) -> Result<D, InfoError>) -> Vec<f64> {
    let direction = |i: usize| {
        let x: Vec<D> = (0..x.len()).map(|j| D::new(x[j], f64::from(i == j))).collect();
        f(&x).unwrap().derivative
    };
    (0..x.len()).map(direction).collect()
}

/// The derivative of f along p + t·d, where the entries of d sum to 0: p stays a distribution.
fn along(p: &[f64], d: &[f64], f: impl Fn(&[D]) -> Result<Nats<D>, InfoError>) -> f64 {
    let p: Vec<D> = p.iter().zip(d).map(|(&p, &d)| D::new(p, d)).collect();
    f(&p).unwrap().0.derivative
}

fn constant(x: &[f64]) -> Vec<D> {
    x.iter().map(|&x| D::constant(x)).collect()
}

fn distribution(n: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(0.05f64..1.0, n).prop_map(|w| {
        let sum: f64 = w.iter().sum();
        w.iter().map(|w| w / sum).collect()
    })
}

/// A direction in which probabilities may move.
fn tangent(n: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-1f64..1.0, n).prop_map(|d| {
        let mean = d.iter().sum::<f64>() / d.len() as f64;
        d.iter().map(|d| d - mean).collect()
    })
}

fn dot(x: &[f64], y: impl Iterator<Item = f64>) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// Sums of six terms, each of a few roundings and of size at most 100.
const SLACK: f64 = 1e-12;

fn close(found: &[f64], expected: &[f64]) -> bool {
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= SLACK * (1.0 + e.abs()))
}

proptest! {
    #[test]
    fn of_distributions(p in distribution(6), q in distribution(6), d in tangent(6)) {
        // dH = −Σ ln p·dp; dKL = Σ ln(p/q)·dp in p and −Σ p/q·dq in q; Σ dp = 0.
        let h = along(&p, &d, entropy::entropy);
        prop_assert!((h + dot(&d, p.iter().map(|p| p.ln()))).abs() <= SLACK);
        let in_p = along(&p, &d, |p| divergence::kl(p, &constant(&q)));
        prop_assert!((in_p - dot(&d, p.iter().zip(&q).map(|(p, q)| (p / q).ln()))).abs() <= SLACK);
        let in_q = along(&q, &d, |q| divergence::kl(&constant(&p), q));
        prop_assert!((in_q + dot(&d, p.iter().zip(&q).map(|(p, q)| p / q))).abs() <= 100.0 * SLACK);
        let ce = along(&q, &d, |q| cross_entropy::cross_entropy(&constant(&p), q));
        // KL and cross-entropy differ by H(P), which does not see Q.
        prop_assert!((ce - in_q).abs() <= 100.0 * SLACK);
        let js = along(&p, &d, |p| divergence::jensen_shannon(p, &constant(&q)));
        let expected = dot(&d, p.iter().zip(&q).map(|(p, q)| 0.5 * (2.0 * p / (p + q)).ln()));
        prop_assert!((js - expected).abs() <= SLACK);
        // Where P = Q, KL has its minimum.
        prop_assert!(along(&p, &d, |q| divergence::kl(&constant(&p), q)).abs() <= SLACK);
    }

    #[test]
    fn of_logits(z in prop::collection::vec(-4f64..4.0, 6), y in 0usize..6, alpha in 0f64..1.0) {
        let p = softmax(&z);
        let one = |j: usize| f64::from(j == y);
        let plain: Vec<f64> = (0..6).map(|j| p[j] - one(j)).collect();
        let found = gradient(&z, |z| Ok(cross_entropy::of_logits(z, y)?.0));
        prop_assert!(close(&found, &plain));
        // Smoothed: prediction minus the smoothed truth.
        let target = label_smoothing::target(6, y, alpha).unwrap();
        let smoothed: Vec<f64> = (0..6).map(|j| p[j] - target[j]).collect();
        let found =
            gradient(&z, |z| Ok(label_smoothing::of_logits(z, y, D::constant(alpha))?.0));
        prop_assert!(close(&found, &smoothed));
        // z-loss: 2α·ln Z·p.
        let ln_z = probability::softmax::log_sum_exp(&z);
        let shift: Vec<f64> = p.iter().map(|p| 2.0 * 0.3 * ln_z * p).collect();
        prop_assert!(close(&gradient(&z, |z| z_loss::of_logits(z, D::constant(0.3))), &shift));
    }

    #[test]
    fn distillation_keeps_the_size_of_its_gradient(
        teacher in prop::collection::vec(-4f64..4.0, 5),
        student in prop::collection::vec(-4f64..4.0, 5), t in 0.5f64..8.0,
    ) {
        // d/dz_student of T²·KL = T·(q − p): the T² that makes up for 1/T and for softer differences.
        let at = |z: &[f64]| softmax(&z.iter().map(|z| z / t).collect::<Vec<_>>());
        let (p, q) = (at(&teacher), at(&student));
        let expected: Vec<f64> = p.iter().zip(&q).map(|(p, q)| t * (q - p)).collect();
        let found = gradient(&student, |z| {
            Ok(distillation::loss(&constant(&teacher), z, D::constant(t))?.0)
        });
        let apart = found.iter().zip(&expected).map(|(f, e)| (f - e).abs()).fold(0.0, f64::max);
        prop_assert!(apart <= 100.0 * SLACK, "{apart}");
    }

    #[test]
    fn the_best_value_s_gradient_is_the_best_policy(
        reference in distribution(4), rewards in prop::collection::vec(-2f64..2.0, 4),
        beta in 0.1f64..3.0,
    ) {
        // d/dr of −β ln Σ π_ref·e^(r/β) = −π*: the envelope theorem.
        let policy = alignment::best_policy(&reference, &rewards, beta).unwrap();
        let found = gradient(&rewards, |r| {
            alignment::best_value(&constant(&reference), r, D::constant(beta))
        });
        let expected: Vec<f64> = policy.iter().map(|p| -p).collect();
        prop_assert!(close(&found, &expected));
    }

    #[test]
    fn of_numbers(x in 0.05f64..0.95) {
        let dual = D::variable(x);
        let slope = |y: Result<Nats<D>, InfoError>| y.unwrap().0.derivative;
        let same = |found: f64, expected: f64| (found - expected).abs() <= SLACK * (1.0 + expected.abs());
        prop_assert!(same(slope(entropy::self_information(dual)), -1.0 / x));
        prop_assert!(same(slope(entropy::binary_entropy(dual)), ((1.0 - x) / x).ln()));
        let normal = |deviation| Gaussian::new(D::constant(0.0), deviation).unwrap();
        prop_assert!(same(slope(Ok(gaussian::entropy(&normal(dual)))), 1.0 / x));
        prop_assert!(same(slope(gaussian::mutual_information(dual)), x / (1.0 - x * x)));
        let kl = gaussian::kl(&normal(dual), &normal(D::constant(1.0)));
        prop_assert!(same(slope(Ok(kl)), x - 1.0 / x));
        let estimate = alignment::kl_estimate(D::constant(-1.0), -dual);
        prop_assert!(same(slope(estimate), 1.0 - (1.0 - x).exp()));
        // Units: a conversion is linear, and perplexity is its own derivative in nats.
        prop_assert!(same(Nats(dual).perplexity().derivative, x.exp()));
        prop_assert!(same(Bits(dual).perplexity().derivative, std::f64::consts::LN_2 * x.exp2()));
        prop_assert!(same(Nats(dual).to_bits().0.derivative, 1.0 / std::f64::consts::LN_2));
    }

    #[test]
    fn of_mutual_information(p in distribution(6), d in tangent(6)) {
        // dI = Σ ln(p(x, y)/(p(x)·p(y)))·dp: the pointwise mutual information is its gradient.
        fn table<T: Real>(p: &[T]) -> Joint<T> {
            Joint::from_probabilities(&matrix(2, 3, p)).unwrap()
        }
        let found = along(&p, &d, |p| Ok(mutual_information(&table(p))));
        let pointwise = (0..6).map(|k| pointwise_mutual_information(&table(&p), k % 2, k / 2).unwrap().0);
        prop_assert!((found - dot(&d, pointwise)).abs() <= 100.0 * SLACK);
    }
}
