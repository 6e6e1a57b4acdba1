//! Sums over a million tokens or classes in single precision, quantities of a known sign, and distributions that were
//! computed in single precision.

use infotheory::cross_entropy::{CrossEntropy, cross_entropy, mean_of_logits};
use infotheory::divergence::{jensen_shannon, kl, total_variation};
use infotheory::entropy::{entropy, normalised_entropy};
use infotheory::joint::{self, conditional_entropy, mutual_information};
use infotheory::markov::MarkovChain;
use infotheory::objective::alignment;
use infotheory::objective::{distillation, label_smoothing};
use infotheory::surprisal::MeanOverTargets;
use infotheory::{Bits, Nats, distribution, gaussian, prefix_code};
use linalg::{Matrix, apply, matrix};
use probability::gaussian::Gaussian;
use probability::{Categorical, Joint};
use proptest::prelude::*;

/// ε of `f32`.
const E: f64 = f32::EPSILON as f64;

fn close(found: f32, exact: f64, units: f64) {
    assert!((f64::from(found) / exact - 1.0).abs() <= units * E, "{found} for {exact}");
}

/// Returns normalised weights, in `f32` and widened to `f64`.
fn pair(n: usize) -> ([Vec<f32>; 2], [Vec<f64>; 2]) {
    let weights = |k: usize| (0..n).map(move |i| 1.0 + ((i * k) % 11) as f64);
    let of = |k: usize| {
        let sum: f64 = weights(k).sum();
        weights(k).map(|w| (w / sum) as f32).collect::<Vec<f32>>()
    };
    let single = [of(7), of(3)];
    let double = single.clone().map(|p| p.into_iter().map(f64::from).collect());
    (single, double)
}

/// For distributions over many outcomes the error in `f32` is the rounding of one term; the reference is the definition
/// in `f64`.
#[test]
fn quantities_of_many_outcomes() {
    for n in [1000, 32_000, 1_000_000] {
        let equal = vec![1.0 / n as f32; n];
        let h = entropy(&equal).unwrap().0;
        close(h, (n as f64).ln(), 2.0);
        assert!(h <= (n as f32).ln());
        let ([p, q], [exact_p, exact_q]) = pair(n);
        let sums = [exact_p.iter().sum::<f64>(), exact_q.iter().sum()];
        let over = |term: fn(f64, f64) -> f64| -> f64 {
            exact_p.iter().zip(&exact_q).map(|(p, q)| term(p / sums[0], q / sums[1])).sum()
        };
        // A logarithm of size ln n is rounded by a unit of its own; so are a product and a quotient.
        close(entropy(&p).unwrap().0, over(|p, _| -p * p.ln()), 4.0);
        close(cross_entropy(&p, &q).unwrap().0, over(|p, q| -p * q.ln()), 4.0);
        // p and q differ by a factor of up to 11, and the difference of their logarithms has the rounding of ln n.
        let size = (n as f64).ln();
        close(kl(&p, &q).unwrap().0, over(|p, q| p * (p / q).ln()), 4.0 * size);
        close(total_variation(&p, &q).unwrap(), over(|p, q| 0.5 * (p - q).abs()), 4.0);
        let js = over(|p, q| {
            let m = 0.5 * (p + q);
            0.5 * (p * (p / m).ln() + q * (q / m).ln())
        });
        close(jensen_shannon(&p, &q).unwrap().0, js, 4.0 * size);
        let mean = Nats::mean(p.iter().map(|&p| Nats(p))).unwrap().0;
        close(mean, sums[0] / n as f64, 1.0);
        close(p.iter().map(|&p| Bits(p)).sum::<Bits<f32>>().0, sums[0], 1.0);
        // Marginals are sums of a row and of a column.
        let table = Joint::from_probabilities(&matrix(4, n / 4, &p)).unwrap();
        for (i, &x) in table.x().probabilities().iter().enumerate() {
            let exact: f64 = exact_p.iter().skip(i).step_by(4).sum();
            // A quotient, its divisor and the sum of a row are rounded.
            close(x, exact / sums[0], 1.5);
        }
        let sum =
            entropy(table.y().probabilities()).unwrap() + conditional_entropy(&table.transposed());
        close(sum.0, f64::from(joint::entropy(&table).0), 16.0);
    }
}

/// The mean over a million tokens: 0.37769, where a fold makes 0.37698.
#[test]
fn losses_of_many_tokens() {
    for n in [1000, 1_000_000] {
        let logits = Matrix::from_fn(2, n, |i, j| if i == 0 { 0.3 * (j % 7) as f32 } else { 0.0 });
        let targets = Matrix::zeros(1, n);
        let exact: f64 =
            (0..n).map(|j| (-f64::from(0.3 * (j % 7) as f32)).exp().ln_1p()).sum::<f64>()
                / n as f64;
        let loss = apply(&CrossEntropy, [&logits, &targets]).unwrap()[0];
        close(loss, exact, 3.0);
        let plain = mean_of_logits(logits.as_view(), &vec![Some(0); n]).unwrap().0;
        close(plain, exact, 3.0);
        let row = Matrix::from_fn(1, n, |_, j| 0.1 * (j % 7) as f32);
        let mean = apply(&MeanOverTargets, [&row, &targets]).unwrap()[0];
        close(mean, row.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64, 1.0);
    }
    assert!(n_classes(50_000) > 0.0);
}

/// A smoothed loss reads every class once: fifty thousand classes are fast and exact.
fn n_classes(n: usize) -> f64 {
    let z: Vec<f32> = (0..n).map(|i| 0.25 * (i % 9) as f32).collect();
    let exact: Vec<f64> = z.iter().map(|&z| f64::from(z)).collect();
    let ln_z = exact.iter().map(|z| z.exp()).sum::<f64>().ln();
    let mean = exact.iter().sum::<f64>() / n as f64;
    let expected = ln_z - 0.75 * exact[3] - 0.25 * mean;
    close(label_smoothing::of_logits(&z, 3, 0.25).unwrap().0, expected, 8.0);
    let student: Vec<f32> = z.iter().rev().copied().collect();
    let found = f64::from(distillation::loss(&z, &student, 1.0).unwrap().0);
    let kl: f64 =
        exact.iter().zip(&student).map(|(t, &s)| (t - ln_z).exp() * (t - f64::from(s))).sum();
    assert!((found - kl).abs() <= 64.0 * E * kl, "{found} {kl}");
    found
}

/// Nonnegative quantities stay nonnegative if an accepted sum is not exactly 1.
#[test]
fn signs_are_kept_where_sums_are_not_one() {
    let above = 1.0000000000000004_f64;
    assert_eq!(entropy(&[above]).unwrap().0.to_bits(), 0);
    assert_eq!(cross_entropy(&[above], &[above]).unwrap().0.to_bits(), 0);
    assert_eq!(cross_entropy(&[1.0], &[above]).unwrap().0.to_bits(), 0);
    assert_eq!(kl(&[above], &[1.0]).unwrap().0, 0.0);
    assert_eq!(normalised_entropy(&[above]), Ok(0.0));
    let table = Joint::from_probabilities(&matrix(1, 1, &[above])).unwrap();
    for quantity in [joint::entropy, conditional_entropy, mutual_information] {
        assert_eq!(quantity(&table).0.to_bits(), 0);
    }
    assert_eq!(MarkovChain::new(matrix(1, 1, &[above])).unwrap().entropy_rate().unwrap().0, 0.0);
    assert_eq!(prefix_code::mean_length(&[above], &[3]).unwrap().0, 3.0);
}

/// Probabilities whose sum differs from 1 by up to the tolerance, above and below.
fn nearly() -> impl Strategy<Value = Vec<f64>> {
    (prop::collection::vec(0.0f64..1.0, 1..40), -1.0f64..1.0).prop_map(|(mut w, off)| {
        w[0] += 1e-3;
        let sum: f64 = w.iter().sum();
        let off = off * 0.9 * probability::categorical::sum_tolerance(w.len());
        w.iter().map(|w| w / sum * (1.0 + off)).collect()
    })
}

proptest! {
    #[test]
    fn every_quantity_is_in_its_range(p in nearly(), q in nearly(), columns in 1usize..5) {
        let n = p.len().min(q.len()) / columns * columns;
        prop_assume!(n > 0);
        let cut = |p: &[f64]| {
            let mut p = p[..n].to_vec();
            let rest = 1.0 - p.iter().sum::<f64>();
            p[0] += rest.max(0.0);
            p
        };
        let (p, q) = (cut(&p), cut(&q));
        prop_assume!(distribution::check("p", &p).is_ok() && distribution::check("q", &q).is_ok());
        let ln_n = (n as f64).ln();
        let h = entropy(&p).unwrap().0;
        prop_assert!(h >= 0.0 && h <= ln_n);
        prop_assert!((0.0..=1.0).contains(&normalised_entropy(&p).unwrap()));
        prop_assert!(kl(&p, &q).unwrap().0 >= 0.0 && kl(&p, &p).unwrap().0 == 0.0);
        prop_assert!(cross_entropy(&p, &q).unwrap().0 >= 0.0);
        prop_assert!((0.0..=1.0).contains(&total_variation(&p, &q).unwrap()));
        let js = jensen_shannon(&p, &q).unwrap().0;
        prop_assert!((0.0..=std::f64::consts::LN_2).contains(&js));
        let table = Joint::from_probabilities(&matrix(n / columns, columns, &p)).unwrap();
        for quantity in [joint::entropy, conditional_entropy, mutual_information] {
            prop_assert!(quantity(&table).0 >= 0.0 && quantity(&table.transposed()).0 >= 0.0);
        }
        // Scaling both within the tolerance changes no quantity by more than rounding.
        let sum: f64 = p.iter().sum();
        let exact: Vec<f64> = p.iter().map(|p| p / sum).collect();
        let bound = 1e-14 * (1.0 + ln_n);
        prop_assert!((entropy(&exact).unwrap().0 - h).abs() <= bound);
        let (one, other) = (kl(&exact, &q).unwrap().0, kl(&p, &q).unwrap().0);
        prop_assert!(one == other || (one - other).abs() <= bound * (1.0 + one));
    }

    /// A softmax in `f32`, widened, as in every export of a model. All functions of distributions accept it.
    #[test]
    fn what_single_precision_leaves_is_a_distribution_everywhere(
        z in prop::collection::vec(-20.0f32..20.0, 4..600), seed in 0usize..9,
    ) {
        let n = z.len() / 2 * 2;
        let wide = |z: &[f32]| -> Vec<f64> {
            let most = z.iter().copied().fold(f32::MIN, f32::max);
            let e: Vec<f32> = z.iter().map(|z| (z - most).exp()).collect();
            let sum: f32 = e.iter().sum();
            e.iter().map(|e| f64::from(e / sum)).collect()
        };
        let p = wide(&z[..n]);
        let q = wide(&z[..n].iter().map(|z| z * 0.1 * seed as f32).collect::<Vec<_>>());
        prop_assert!(distribution::check("p", &p).is_ok());
        prop_assert!(entropy(&p).is_ok() && normalised_entropy(&p).is_ok());
        prop_assert!(kl(&p, &q).is_ok() && cross_entropy(&p, &q).is_ok());
        prop_assert!(jensen_shannon(&p, &q).is_ok() && total_variation(&p, &q).is_ok());
        prop_assert!(Joint::from_probabilities(&matrix(2, n / 2, &p)).is_ok());
        prop_assert!(Categorical::from_probabilities(&q).is_ok());
        // A square table of at most a hundred outcomes.
        let few = wide(&z[..n.min(100)]);
        let square = Matrix::from_fn(few.len(), few.len(), |i, _| few[i]);
        prop_assert!(MarkovChain::new(square).unwrap().entropy_rate().is_ok());
        prop_assert!(prefix_code::mean_length(&p, &vec![3; n]).is_ok());
        prop_assert!(infotheory::arithmetic::Frequencies::of(&p).is_ok());
        prop_assert!(alignment::objective(&p, &q, &vec![1.0; n], 0.5).is_ok());
        prop_assert!(alignment::best_value(&q, &vec![1.0; n], 0.5).is_ok());
    }

    /// KL of close Gaussians: δ² (1 − 5δ/3 + …) for σ = 1 + δ, to all digits of δ. δ = 2⁻ᵏ and 1 + δ are exact; the
    /// reference is ½((r² − 1) − ln r²) as its series in x = r² − 1: x²/4 − x³/6 + x⁴/8 − ….
    #[test]
    fn near_gaussians_keep_their_digits(k in 3i32..50, sign in prop_oneof![Just(1.0), Just(-1.0)]) {
        let d = sign * f64::from(-k).exp2();
        let normal = |deviation| Gaussian::new(0.0, deviation).unwrap();
        let found = gaussian::kl(&normal(1.0 + d), &normal(1.0)).0;
        let x = d * (2.0 + d);
        // (−x)^j/j from the smallest on; |x| ≤ 0.27, so that 60 terms reach 10⁻³⁴.
        let series: f64 = (2..60).rev().map(|j| (-x).powi(j) / f64::from(j)).sum();
        prop_assert!((found / (0.5 * series) - 1.0).abs() <= 16.0 * f64::EPSILON, "{} {}", found, series);
    }
}
