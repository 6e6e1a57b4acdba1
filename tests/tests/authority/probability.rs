//! Probability against SciPy, NumPy, PyTorch, transformers and mpmath: `tests/authority/probability.py` made the
//! table.

use linalg::{Matrix, Real, matrix};
use probability::distribution::{Continuous, ContinuousCDF, Discrete, DiscreteCDF, Distribution};
use probability::gaussian::Gaussian;
use probability::initialise::Initialiser;
use probability::log_sum_exp::log_sum_exp;
use probability::softmax::{log_softmax, softmax, tempered_softmax};
use probability::transform::{
    Logits, MinP, RepetitionPenalty, Temperature, TopK, TopP, Transform, Typical,
};
use probability::{
    Categorical, MultivariateGaussian, bayes, distribution, goodness, interval, layer_norm,
};
use probability::{
    likelihood, mask, moments, paired, power, rms_norm, running::Running, sigmoid, welch,
};
use std::collections::BTreeMap;
use tests::authority::{Entry, relative_error, table};

/// Units in the last place between two numbers: how many floats apart they are.
fn units(found: f64, expected: f64) -> u64 {
    if found == expected || (found.is_nan() && expected.is_nan()) {
        return 0;
    }
    let rank = |x: f64| if x < 0.0 { -(x.abs().to_bits() as i64) } else { x.to_bits() as i64 };
    rank(found).abs_diff(rank(expected))
}

/// As [`units`], of `f32`.
fn units_32(found: f32, expected: f64) -> u64 {
    let expected = expected as f32;
    let rank = |x: f32| if x < 0.0 { -(x.abs().to_bits() as i64) } else { x.to_bits() as i64 };
    if found == expected || (found.is_nan() && expected.is_nan()) {
        return 0;
    }
    rank(found).abs_diff(rank(expected))
}

/// The accurate functions, whose references are correctly rounded.
fn accurate<T: Real>(entry: &Entry) -> Option<Vec<T>> {
    let z: Vec<T> = entry.inputs.first()?.iter().map(|&z| T::from_f64(z)).collect();
    match entry.function.as_str() {
        "log_sum_exp" => Some(vec![log_sum_exp(&z)]),
        "softmax" => Some(softmax(&z)),
        "log_softmax" => Some(log_softmax(&z)),
        _ => None,
    }
}

/// Three floats away from the rounded reference is at most 3½ units from the reference itself.
#[test]
fn right_to_four_units_over_the_whole_exponent_range() {
    let (mut worst, mut count) = (BTreeMap::<String, u64>::new(), 0);
    for entry in table("probability") {
        let Some(found) = accurate::<f64>(&entry) else { continue };
        assert_eq!(found.len(), entry.expected.len());
        for (&found, &expected) in found.iter().zip(&entry.expected) {
            let off = units(found, expected);
            // Next to 0 a log-sum-exp is right to 2⁻¹⁰⁰.
            let near =
                entry.function == "log_sum_exp" && (found - expected).abs() < (-100.0_f64).exp2();
            assert!(
                off <= 3 || near,
                "{} of {:?}: {found:e}, not {expected:e}: {off} units",
                entry.function,
                entry.inputs
            );
            let worst = worst.entry(entry.function.clone()).or_default();
            *worst = (*worst).max(if near { 0 } else { off });
            count += 1;
        }
    }
    println!("{count} values; most units off: {worst:?}");
    assert!(count > 1500, "{count} values");
}

/// In `f32` the scores are rounded first; the reference is then the f64 result, which the test
/// above holds.
#[test]
fn as_many_units_in_single_precision() {
    let mut worst = BTreeMap::<String, u64>::new();
    for mut entry in table("probability") {
        let scores = entry.inputs[0].iter().map(|&z| f64::from(z as f32)).collect();
        entry.inputs[0] = scores;
        let (Some(found), Some(expected)) = (accurate::<f32>(&entry), accurate::<f64>(&entry))
        else {
            continue;
        };
        for (&found, &expected) in found.iter().zip(&expected) {
            let off = units_32(found, expected);
            assert!(
                off <= 4,
                "{} of {:?}: {found:e}, not {expected:e}: {off} units",
                entry.function,
                entry.inputs
            );
            let worst = worst.entry(entry.function.clone()).or_default();
            *worst = (*worst).max(off);
        }
    }
    println!("most units off: {worst:?}");
}

/// What a transformation leaves of logits.
fn decoded(logits: &[f64], transform: &impl Transform) -> Vec<f64> {
    let left = transform.apply(Logits::new(logits).unwrap()).unwrap();
    left.distribution().probabilities().to_vec()
}

/// Our value of a function of the table.
fn ours(entry: &Entry) -> Option<Vec<f64>> {
    let inputs = &entry.inputs;
    let x = |i: usize| inputs[i].as_slice();
    let at = |i: usize| inputs[i][0];
    let whole = |i: usize| x(i).iter().map(|&n| n as u64).collect::<Vec<_>>();
    let pair = |i: interval::Interval| vec![i.low, i.high];
    let variance = |rule: Initialiser| vec![rule.variance(at(0) as usize, at(1) as usize).unwrap()];
    let many = || {
        let n = x(0).len();
        MultivariateGaussian::new(x(0), &matrix(n, n, x(1))).unwrap()
    };
    Some(match entry.function.as_str() {
        "softmax_plain" => softmax(x(0)),
        "log_softmax_plain" => log_softmax(x(0)),
        "log_sum_exp_plain" => vec![log_sum_exp(x(0))],
        "tempered_softmax" => tempered_softmax(x(0), at(1)).unwrap(),
        // PyTorch's rows are our columns: the same bytes.
        "causal_softmax" => {
            let weights = mask::masked_softmax(&matrix(3, 3, x(0)), |key, query| key <= query);
            weights.unwrap().as_slice().to_vec()
        }
        "sigmoid" => vec![sigmoid::sigmoid(at(0))],
        "log_sigmoid" => vec![sigmoid::log_sigmoid(at(0))],
        "logit" => vec![sigmoid::logit(at(0))],
        "gaussian" => {
            let g = Gaussian::new(at(0), at(1)).unwrap();
            vec![g.ln_density(at(2)), g.density(at(2)), g.below(at(2))]
        }
        "gaussian_quantile" => vec![Gaussian::new(0.0, 1.0).unwrap().quantile(at(0)).unwrap()],
        "multivariate_ln_density" => vec![many().ln_density(x(2)).unwrap()],
        "log_determinant" => vec![many().log_determinant()],
        "given" => {
            let observed: Vec<usize> = x(2).iter().map(|&i| i as usize).collect();
            let given = many().given(&observed, x(3)).unwrap();
            [given.mean(), given.covariance().as_slice()].concat()
        }
        "mean" => vec![moments::mean(x(0)).unwrap()],
        "population_variance" => vec![moments::population_variance(x(0)).unwrap()],
        "sample_variance" => vec![moments::sample_variance(x(0)).unwrap()],
        "covariance" => vec![moments::covariance(x(0), x(1)).unwrap()],
        "correlation" => vec![moments::correlation(x(0), x(1)).unwrap()],
        "covariance_matrix" => {
            let x: Matrix<f64> = matrix(2, x(0).len() / 2, x(0));
            moments::covariance_matrix(&x).unwrap().as_slice().to_vec()
        }
        "running" => {
            let running: Running<f64> = x(0).iter().copied().collect();
            vec![running.mean().unwrap(), running.sample_variance().unwrap()]
        }
        "quantile" => vec![interval::quantile(x(0), at(1)).unwrap()],
        "layer_norm" => layer_norm::layer_norm(x(0), x(1), x(2), at(3)).unwrap(),
        "rms_norm" => rms_norm::rms_norm(x(0), x(1), at(2)).unwrap(),
        "wilson" => pair(interval::wilson(at(0) as u64, at(1) as u64, at(2)).unwrap()),
        "normal_interval" => pair(interval::normal(x(0), at(1)).unwrap()),
        "t_test" => {
            let test = paired::t_test(x(0), x(1), at(2)).unwrap();
            vec![test.t, test.p_value, test.interval.low, test.interval.high]
        }
        "clustered" => {
            let test = paired::clustered(x(0), x(1), at(2)).unwrap();
            let interval = test.interval;
            vec![test.difference, test.standard_error, test.p_value, interval.low, interval.high]
        }
        "welch" => {
            let test = welch::t_test(x(0), x(1), at(2)).unwrap();
            vec![test.t, test.degrees, test.p_value, test.interval.low, test.interval.high]
        }
        "power_of_two_groups" => vec![power::of_two_groups(at(0) as u64, at(1), at(2)).unwrap()],
        "samples_needed" => vec![power::samples_needed(at(0), at(1), at(2)).unwrap() as f64],
        "chi_squared" => {
            let p = Categorical::from_probabilities(x(1)).unwrap();
            let test = goodness::chi_squared(&whole(0), &p).unwrap();
            vec![test.statistic, test.p_value]
        }
        "xavier_variance" => variance(Initialiser::XavierNormal),
        "kaiming_variance" => variance(Initialiser::KaimingNormal),
        "bernoulli" => {
            let d = distribution::Bernoulli::new(at(0)).unwrap();
            vec![d.pmf(at(1) as u64), d.cdf(at(1) as u64)]
        }
        "uniform" => {
            let d = distribution::Uniform::new(at(0), at(1)).unwrap();
            vec![d.pdf(at(2)), d.cdf(at(2))]
        }
        "binomial" => {
            let d = distribution::Binomial::new(at(0), at(1) as u64).unwrap();
            vec![d.pmf(at(2) as u64), d.cdf(at(2) as u64)]
        }
        "poisson" => {
            let d = distribution::Poisson::new(at(0)).unwrap();
            vec![d.pmf(at(1) as u64), d.cdf(at(1) as u64)]
        }
        "beta" => {
            let d = distribution::Beta::new(at(0), at(1)).unwrap();
            vec![d.pdf(at(2)), d.cdf(at(2))]
        }
        "gamma" => {
            let d = distribution::Gamma::new(at(0), at(1)).unwrap();
            vec![d.pdf(at(2)), d.cdf(at(2))]
        }
        "students_t" => {
            let d = distribution::StudentsT::new(0.0, 1.0, at(0)).unwrap();
            vec![d.pdf(at(1)), d.cdf(at(1))]
        }
        "gumbel" => {
            let d = distribution::Gumbel::new(0.0, 1.0).unwrap();
            vec![d.pdf(at(0)), d.cdf(at(0))]
        }
        "gamma_tails" => {
            let d = distribution::Gamma::new(at(0), at(1)).unwrap();
            vec![d.pdf(at(2)), d.cdf(at(2)), d.sf(at(2))]
        }
        "beta_tails" => {
            let d = distribution::Beta::new(at(0), at(1)).unwrap();
            vec![d.pdf(at(2)), d.cdf(at(2)), d.sf(at(2))]
        }
        "students_t_tails" => {
            let d = distribution::StudentsT::new(0.0, 1.0, at(0)).unwrap();
            vec![d.pdf(at(1)), d.cdf(at(1))]
        }
        "binomial_tails" => {
            let d = distribution::Binomial::new(at(0), at(1) as u64).unwrap();
            let k = at(2) as u64;
            vec![d.pmf(k), d.cdf(k), d.sf(k)]
        }
        "poisson_tails" => {
            let d = distribution::Poisson::new(at(0)).unwrap();
            let k = at(1) as u64;
            vec![d.pmf(k), d.cdf(k), d.sf(k)]
        }
        "normal_below" => vec![distribution::Normal::standard().cdf(at(0))],
        "gamma_inverse" => vec![distribution::Gamma::new(at(0), 1.0).unwrap().inverse_cdf(at(1))],
        "beta_inverse" => vec![distribution::Beta::new(at(0), at(1)).unwrap().inverse_cdf(at(2))],
        "students_t_inverse" => {
            vec![distribution::StudentsT::new(0.0, 1.0, at(0)).unwrap().inverse_cdf(at(1))]
        }
        "gamma_entropy" => {
            vec![distribution::Gamma::new(at(0), 1.0).unwrap().entropy().unwrap()]
        }
        "beta_entropy" => {
            vec![distribution::Beta::new(at(0), at(1)).unwrap().entropy().unwrap()]
        }
        "students_t_entropy" => {
            vec![distribution::StudentsT::new(0.0, 1.0, at(0)).unwrap().entropy().unwrap()]
        }
        "poisson_entropy" => vec![distribution::Poisson::new(at(0)).unwrap().entropy().unwrap()],
        "moments" => {
            let running: Running<f64> = x(0).iter().copied().collect();
            let (two, one) = (moments::sample_variance(x(0)).unwrap(), running.sample_variance());
            // Two passes and one are held to the same reference.
            assert!(relative_error(two, entry.expected[1]) < 1e-14, "{:?}", entry.inputs);
            assert_eq!(moments::mean(x(0)), running.mean());
            vec![running.mean().unwrap(), one.unwrap(), running.standard_error().unwrap()]
        }
        "posterior" => {
            let prior = Categorical::from_probabilities(x(0)).unwrap();
            bayes::posterior(&prior, x(1)).unwrap().probabilities().to_vec()
        }
        "temperature" => decoded(x(0), &Temperature(at(1))),
        "top_k" => decoded(x(0), &TopK(at(1) as usize)),
        "top_p" => decoded(x(0), &TopP(at(1))),
        "min_p" => decoded(x(0), &MinP(at(1))),
        "typical" => decoded(x(0), &Typical(at(1))),
        "repetition_penalty" => {
            let history: Vec<u32> = x(2).iter().map(|&t| t as u32).collect();
            decoded(x(0), &RepetitionPenalty { penalty: at(1), history: &history })
        }
        "log_likelihood" => {
            let model = Categorical::from_probabilities(x(0)).unwrap();
            vec![likelihood::log_likelihood(&model, &whole(1)).unwrap()]
        }
        _ => return None,
    })
}

#[test]
fn agrees_with_scipy_numpy_and_pytorch() {
    let (mut count, mut worst) = (0, BTreeMap::<String, f64>::new());
    for entry in table("probability") {
        if accurate::<f64>(&entry).is_some() {
            continue;
        }
        let found = ours(&entry).unwrap_or_else(|| panic!("nobody computes {}", entry.function));
        assert_eq!(found.len(), entry.expected.len(), "{}", entry.function);
        for (&found, &expected) in found.iter().zip(&entry.expected) {
            let error = relative_error(found, expected);
            // What the authority calls 0 may be rounding of numbers of size 1.
            let zero = expected == 0.0 && found.abs() < f64::EPSILON;
            let worst = worst.entry(entry.function.clone()).or_default();
            *worst = worst.max(if zero { 0.0 } else { error });
            count += 1;
        }
    }
    println!("{count} values");
    worst.iter().for_each(|(function, error)| println!("{function:<24} {error:.1e}"));
    assert!(count >= 150, "{count} values");
    let broken: Vec<_> =
        worst.iter().filter(|(_, error)| **error > 1e-12 || error.is_nan()).collect();
    assert!(broken.is_empty(), "{broken:?}");
}
