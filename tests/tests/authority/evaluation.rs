//! Tests and intervals of evaluations against SciPy, statsmodels, NumPy and mpmath: `tests/authority/evaluation.py` made the
//! table.

use probability::distribution::Beta;
use probability::interval::{Interval, clopper_pearson, credible, student};
use probability::kolmogorov_smirnov::{one_sample, two_sample};
use probability::mann_whitney::mann_whitney;
use probability::{
    Categorical, Random, bootstrap, calibration, dirichlet::Dirichlet, multiple, paired, pass_at_k,
    power,
};
use std::collections::BTreeMap;
use tests::authority::{Entry, relative_error, table};

fn pair(interval: Interval) -> Vec<f64> {
    vec![interval.low, interval.high]
}

/// The middle of sorted numbers.
fn median(of: &[f64], drawn: &[usize]) -> f64 {
    let mut x: Vec<f64> = drawn.iter().map(|&i| of[i]).collect();
    x.sort_by(f64::total_cmp);
    0.5 * (x[(x.len() - 1) / 2] + x[x.len() / 2])
}

/// Our value of a function of the table.
fn ours(entry: &Entry) -> Vec<f64> {
    let x = |i: usize| entry.inputs[i].as_slice();
    let at = |i: usize| entry.inputs[i][0];
    let whole = |i: usize| entry.inputs[i][0] as u64;
    let random = |i: usize| Random::new(whole(i), 0, 0);
    match entry.function.as_str() {
        "student" => pair(student(x(0), at(1)).unwrap()),
        "clopper_pearson" => pair(clopper_pearson(whole(0), whole(1), at(2)).unwrap()),
        "credible" => {
            let rate = Beta::new(at(0), at(1)).unwrap().posterior(whole(2), whole(3)).unwrap();
            pair(credible(&rate, at(4)).unwrap())
        }
        "mcnemar" => {
            let [both, first, second] = [0, 1, 2].map(|i| whole(i) as usize);
            let answers = |own: bool| {
                let all = [(both, true), (first, own), (second, !own), (2, false)];
                all.iter().flat_map(|&(n, right)| vec![right; n]).collect::<Vec<bool>>()
            };
            let test = paired::mcnemar(&answers(true), &answers(false)).unwrap();
            assert_eq!((test.only_first, test.only_second), (whole(1), whole(2)));
            vec![test.p_value]
        }
        "mann_whitney" => {
            let test = mann_whitney(x(0), x(1)).unwrap();
            vec![test.u, test.p_value]
        }
        "one_sample" => {
            let test = one_sample(x(0), |x| x).unwrap();
            vec![test.distance, test.p_value]
        }
        "two_sample" => {
            let test = two_sample(x(0), x(1)).unwrap();
            vec![test.distance, test.p_value]
        }
        "holm" => multiple::holm(x(0)).unwrap(),
        "benjamini_hochberg" => multiple::benjamini_hochberg(x(0)).unwrap(),
        "of_pairs" => vec![power::of_pairs(whole(0), at(1), at(2)).unwrap()],
        "pairs_needed" => vec![power::pairs_needed(at(0), at(1), at(2)).unwrap() as f64],
        "bootstrap_paired" => {
            let n = whole(3) as usize;
            let found = bootstrap::paired(x(0), x(1), at(2), n, &random(4)).unwrap();
            // The general form draws the same.
            let mean = |drawn: &[usize]| {
                drawn.iter().map(|&i| x(0)[i] - x(1)[i]).sum::<f64>() / drawn.len() as f64
            };
            let general = bootstrap::bca(x(0).len(), at(2), n, &random(4), mean).unwrap();
            assert!((general.low - found.low).abs() + (general.high - found.high).abs() < 1e-14);
            pair(found)
        }
        "bootstrap_clustered" => {
            let n = whole(3) as usize;
            pair(bootstrap::clustered(x(0), x(1), at(2), n, &random(4)).unwrap())
        }
        "bootstrap_median" => {
            let (n, units) = (whole(2) as usize, x(0).len());
            let of = |drawn: &[usize]| median(x(0), drawn);
            pair(bootstrap::bca(units, at(1), n, &random(3), of).unwrap())
        }
        "calibration" => {
            let right: Vec<bool> = x(1).iter().map(|y| *y == 1.0).collect();
            let found = calibration::measure(x(0), &right, whole(2) as usize).unwrap();
            let parts = [found.reliability, found.resolution, found.uncertainty];
            [&[found.expected_error, found.brier][..], &parts].concat()
        }
        "pass_at_k" => vec![pass_at_k::pass_at_k(whole(0), whole(1), whole(2)).unwrap()],
        "dirichlet" => {
            let x_of = Categorical::from_weights(x(1)).unwrap();
            vec![Dirichlet::new(x(0)).unwrap().ln_density(&x_of).unwrap()]
        }
        other => panic!("nobody computes {other}"),
    }
}

/// To a relative 10⁻¹²; a p-value of Kolmogorov and Smirnov, which is one less a probability near 1, to 10⁻¹⁰.
#[test]
fn agrees_with_scipy_and_statsmodels() {
    let (mut count, mut worst) = (0, BTreeMap::<String, f64>::new());
    for entry in table("evaluation") {
        let found = ours(&entry);
        assert_eq!(found.len(), entry.expected.len(), "{}", entry.function);
        for (&found, &expected) in found.iter().zip(&entry.expected) {
            let zero = expected == 0.0 && found.abs() < f64::EPSILON;
            let worst = worst.entry(entry.function.clone()).or_default();
            *worst = worst.max(if zero { 0.0 } else { relative_error(found, expected) });
            count += 1;
        }
    }
    println!("{count} values");
    worst.iter().for_each(|(function, error)| println!("{function:<24} {error:.1e}"));
    assert!(count >= 240, "{count} values");
    let bound = |function: &str| match function {
        "one_sample" => 1e-10,
        _ => 1e-12,
    };
    let broken: Vec<_> =
        worst.iter().filter(|(f, error)| **error > bound(f) || error.is_nan()).collect();
    assert!(broken.is_empty(), "{broken:?}");
}
