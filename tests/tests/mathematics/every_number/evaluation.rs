//! Tests and intervals of evaluations: whatever the numbers are, what is said can be.

use super::definitions::variance;
use super::inputs::Inputs::{Distribution, Multiple, Number, Share, Tame, Vector, Weights};
use super::linalg::halves;
use super::probability::count;
use super::{Case, Refused, cases, doubles};
use linalg::{Real, vector};
use probability::calibration::measure;
use probability::dirichlet::Dirichlet;
use probability::distribution::{Beta, ContinuousCDF, StudentsT};
use probability::kolmogorov_smirnov::{one_sample, two_sample};
use probability::mann_whitney::mann_whitney;
use probability::pass_at_k::pass_at_k;
use probability::{Categorical, Random, bootstrap, interval, multiple, power, sigmoid};
use tests::exact::Exact;

/// 1 if something is wrong.
fn wrong(right: bool) -> f64 {
    f64::from(u8::from(!right))
}

fn share(p: f64) -> bool {
    (0.0..=1.0).contains(&p)
}

pub(crate) fn cases() -> Vec<Case> {
    doubles! {
        "interval::student", Vector, Conditioned 16.0 => |x| {
            let found = interval::student(x, 0.95)?;
            [found.low, found.high]
        }, as |x| {
            if x.len() < 2 { return Err(Refused("few".into())) }
            let t = StudentsT::new(0.0, 1.0, (x.len() - 1) as f64).expect("freedom").inverse_cdf(0.975);
            let error = (variance(x, 1.0)? / count(x)).sqrt() * Exact::of(t);
            let mean = vector::sum(x) / count(x);
            [mean - error, mean + error]
        };
        "interval::clopper_pearson", Share, Whole 0.0 => |p| {
            if !share(p[0]) { return Err(Refused("no share".into())) }
            let found = interval::clopper_pearson((p[0] * 1e6) as u64, 1_000_000, 0.95)?;
            wrong(0.0 <= found.low && found.low <= p[0] + 1e-5 && p[0] - 1e-5 <= found.high && found.high <= 1.0)
        };
        "interval::credible", Number, Whole 0.0 => |x| {
            let found = interval::credible(&Beta::new(x[0].abs(), 2.0)?, 0.95)?;
            wrong(found.low <= found.high && share(found.low) && share(found.high))
        };
        "bootstrap::bca" "bootstrap::paired" "bootstrap::clustered", Multiple(2), Whole 0.0 => |x| {
            // Clusters of one to three tokens.
            let (a, b) = halves(x);
            let (random, sizes) = (Random::new(1, 0, 0), (0..a.len()).map(|i| (1 + i % 3) as f64).collect::<Vec<_>>());
            let sum = |drawn: &[usize]| drawn.iter().map(|&i| a[i] / 2.0 - b[i] / 2.0).sum::<f64>();
            let all = [
                bootstrap::paired(a, b, 0.9, 20, &random),
                bootstrap::clustered(a, &sizes, 0.9, 20, &random),
                // Which leaves out each unit in turn.
                bootstrap::bca(a.len().min(50), 0.9, 20, &random, sum),
            ];
            all.map(|found| wrong(found.is_err() || found.is_ok_and(|i| i.low <= i.high)))
        };
        "multiple::holm" "multiple::benjamini_hochberg", Distribution, Whole 0.0 => |p| {
            let (holm, bh) = (multiple::holm(p)?, multiple::benjamini_hochberg(p)?);
            let near = 1.0 + 4.0 * f64::EPSILON;
            (0..p.len()).map(|i| wrong(p[i] <= bh[i] * near && bh[i] <= holm[i] * near && holm[i] <= 1.0)).collect::<Vec<_>>()
        };
        "mann_whitney::mann_whitney", Multiple(2), Whole 0.0 => |x| {
            let (a, b) = halves(x);
            let (found, other) = (mann_whitney(a, b)?, mann_whitney(b, a)?);
            let turned = found.u + other.u == (a.len() * b.len()) as f64 && found.p_value == other.p_value;
            wrong(turned && share(found.p_value) && share(found.superiority))
        };
        "kolmogorov_smirnov::two_sample", Multiple(2), Whole 0.0 => |x| {
            let (a, b) = halves(x);
            let (found, same) = (two_sample(a, b)?, two_sample(a, a)?);
            wrong(share(found.p_value) && share(found.distance) && same.distance == 0.0 && same.p_value == 1.0)
        };
        "kolmogorov_smirnov::one_sample", Vector, Whole 0.0 => |x| {
            let found = one_sample(x, sigmoid::sigmoid)?;
            wrong(share(found.p_value) && share(found.distance) && found.distance >= 0.5 / x.len() as f64)
        };
        "calibration::measure" "calibration::Bin::accuracy", Weights, Whole 64.0 => |w| {
            // The parts sum to the score, in ε.
            let said: Vec<f64> = w.iter().map(|w| w.min(1.0)).collect();
            let right: Vec<bool> = (0..w.len()).map(|i| i % 3 > 0).collect();
            let found = measure(&said, &right, 10)?;
            assert!(found.bins.iter().all(|bin| share(bin.accuracy()) && share(bin.confidence)));
            (found.brier - (found.reliability - found.resolution + found.uncertainty + found.within)).abs() / f64::EPSILON
        };
        "pass_at_k::pass_at_k", Share, Whole 0.0 => |p| {
            if !share(p[0]) { return Err(Refused("no share".into())) }
            let right = (p[0] * 1e4) as u64;
            let found = [1, 10, 10_000].map(|k| pass_at_k(10_000, right, k));
            let [one, ten, all] = found;
            wrong(one.clone()? <= ten.clone()? && ten? <= all.clone()? && share(one?) && all? == f64::from(u8::from(right > 0)))
        };
        "power::of_pairs" "power::pairs_needed", Number, Whole 0.0 => |x| {
            // Whatever the effect: the least number of pairs whose power reaches the one asked for.
            let size = x[0].abs();
            let n = power::pairs_needed(size, 0.05, 0.8)?;
            let enough = power::of_pairs(n, size, 0.05)? >= 0.8;
            wrong(enough && (n == 2 || power::of_pairs(n - 1, size, 0.05)? < 0.8))
        };
        "dirichlet::Dirichlet::new" "dirichlet::Dirichlet::concentrations" "dirichlet::Dirichlet::ln_density", Tame(3), Whole 0.0 => |x| {
            // Whatever the concentrations: a density that is a number, draws that are distributions.
            let known = Dirichlet::new(&x.iter().map(|x| x.abs()).collect::<Vec<f64>>())?;
            assert_eq!(known.concentrations().len(), 3);
            let middle = known.ln_density(&Categorical::uniform(3)?)?;
            let drawn = known.draw(&Random::new(1, 0, 0), 0);
            wrong(middle < f64::INFINITY && (drawn.probabilities().iter().sum::<f64>() - 1.0).abs() < 1e-12)
        };
    }
}
