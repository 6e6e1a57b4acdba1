//! Distributions, tables, moments, normalisation: every function of probability that is generic.

use super::{Case, cases, seen};
use linalg::{Matrix, Real, matrix};
use probability::gaussian::Gaussian;
use probability::layer_norm::{layer_norm, standardise};
use probability::log_sum_exp::{StreamingLogSumExp, log_sum_exp};
use probability::mask::masked_softmax;
use probability::rms_norm::rms_norm;
use probability::running::Running;
use probability::softmax::{
    log_softmax, softmax, softmax_in_place, softmax_into, tempered_softmax,
};
use probability::{
    Categorical, Joint, Random, bayes, diffusion, dropout, likelihood, moments, sigmoid,
};

/// Positive weights from any numbers.
fn weights<T: Real>(z: &[T]) -> Vec<T> {
    z.iter().map(|z| z.exp()).collect()
}

/// Numbers between 0 and 1.
fn shares<T: Real>(z: &[T]) -> Vec<T> {
    z.iter().map(|&z| sigmoid::sigmoid(z)).collect()
}

fn of_logits<T: Real>(z: &[T]) -> Categorical<T> {
    Categorical::from_logits(z).expect("finite logits")
}

/// A distribution, as one number.
fn all<T: Real>(p: &Categorical<T>) -> T {
    seen(p.probabilities())
}

/// A table of 2 × 2. (Every sum here makes up for its rounding, which is nothing to a derivative, but each step of it
/// widens the bound of one by reverse mode: long sums of sums of sums would say little.)
fn joint<T: Real>(z: &[T]) -> Joint<T> {
    Joint::from_weights(&matrix(2, 2, &weights(&z[..4]))).expect("positive weights")
}

/// Values of which no two are near: a correlation turns round where two change places.
fn apart<T: Real>(z: T, i: usize) -> T {
    z + T::from_f64(5.0 * i as f64)
}

fn whole<T: Real>(joint: &Joint<T>) -> T {
    seen(joint.table().as_slice())
}

fn gaussian<T: Real>(z: &[T]) -> Gaussian<T> {
    Gaussian::new(z[0], (z[1] * T::from_f64(0.5)).exp()).expect("a positive deviation")
}

fn running<T: Real>(z: &[T]) -> Running<T> {
    let mut running = Running::new();
    z.iter().for_each(|&z| running.push(z));
    running
}

fn streaming<T: Real>(z: &[T]) -> StreamingLogSumExp<T> {
    let mut sum = StreamingLogSumExp::new();
    z.iter().for_each(|&z| {
        sum.push(z);
    });
    sum
}

/// What `push` gives back: by how much to shrink what was added before, and the new score's weight.
fn pushed<T: Real>(z: &[T]) -> T {
    let mut sum = StreamingLogSumExp::new();
    let factors: Vec<T> = z.iter().flat_map(|&z| <[T; 2]>::from(sum.push(z))).collect();
    // At the first score there is nothing to shrink.
    seen(&factors[2..])
}

fn in_place<T: Real>(z: &[T]) -> T {
    let mut p = z.to_vec();
    let lse = softmax_in_place(&mut p);
    seen(&p) + lse
}

fn into<T: Real>(z: &[T]) -> T {
    let mut p = z.to_vec();
    let lse = softmax_into(&mut p, z);
    seen(&p) + lse
}

fn masked<T: Real>(z: &[T]) -> T {
    let weights = masked_softmax(&matrix(3, 3, z), |key, query| key <= query).expect("keys to see");
    seen(weights.as_slice())
}

/// A table of an x and of the y that each x leads to.
fn from_conditionals<T: Real>(z: &[T]) -> T {
    let x = of_logits(&z[..3]);
    let y: Vec<_> = (0..3).map(|i| of_logits(&z[3 + 2 * i..5 + 2 * i])).collect();
    whole(&Joint::from_conditionals(&x, &y).expect("a distribution for each"))
}

fn total_variance<T: Real>(z: &[T]) -> T {
    let parts = joint(z).total_variance(|y| z[4 + y]);
    parts.within * T::from_f64(0.7) + parts.between
}

fn covariance_matrix<T: Real>(z: &[T]) -> T {
    let found: Matrix<T> = moments::covariance_matrix(&matrix(3, 3, z)).expect("three columns");
    seen(found.as_slice())
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        // P(A and B) = P(A)·share is at most P(A).
        "bayes::conditional" => |z| {
            let p = shares(&z[..2]);
            bayes::conditional(p[0] * p[1], p[0] * p[1] + (p[0] - p[0] * p[1]) * p[1]).expect("possible")
        };
        "bayes::total_probability" => |z| {
            bayes::total_probability(&of_logits(&z[..4]), &shares(&z[4..8])).expect("one each")
        };
        "bayes::posterior" => |z| {
            all(&bayes::posterior(&of_logits(&z[..4]), &shares(&z[4..8])).expect("possible"))
        };
        "bayes::posterior_of_many" => |z| {
            let (prior, logs) = (of_logits(&z[..3]), [vec![z[3], z[4]], vec![z[5], z[6]], vec![z[7], z[8]]]);
            all(&bayes::posterior_of_many(&prior, &logs).expect("possible"))
        };
        "categorical::Categorical::from_probabilities" => |z| {
            all(&Categorical::from_probabilities(&softmax(z)).expect("a distribution"))
        };
        "categorical::Categorical::from_weights" "categorical::Categorical::probabilities" => |z| {
            let p = Categorical::from_weights(&weights(z)).expect("positive");
            seen(p.probabilities())
        };
        "categorical::Categorical::from_logits" "categorical::Categorical::probability" => |z| {
            let p = Categorical::from_logits(z).expect("finite");
            p.probability(3) - p.probability(5) * p.probability(1)
        };
        "categorical::Categorical::expectation" => |z| of_logits(z).expectation(|i| z[i]);
        "categorical::Categorical::variance" => |z| of_logits(z).variance(|i| z[i]);
        "categorical::Categorical::covariance" => |z| of_logits(z).covariance(|i| z[i], |i| z[8 - i].sin());
        "categorical::Categorical::cumulative" => |z| seen(&of_logits(z).cumulative());
        "categorical::Categorical::product" => |z| all(&of_logits(&z[..4]).product(&of_logits(&z[4..])));
        "categorical::Categorical::mixture" => |z| {
            let mixed = of_logits(&z[..4]).mixture(&of_logits(&z[4..8]), sigmoid::sigmoid(z[8]));
            all(&mixed.expect("one length"))
        };
        "diffusion::diffuse" => |z| {
            seen(&diffusion::diffuse(&z[..4], 0.3, &z[4..8]).expect("one length")) * z[8]
        };
        "dropout::dropout" => |z| seen(&dropout::dropout(z, 0.4, 3, 1).expect("a rate")) * z[0];
        "gaussian::Gaussian::new" "gaussian::Gaussian::mean" "gaussian::Gaussian::deviation" => |z| {
            let g = Gaussian::new(z[0], z[1].exp()).expect("a positive deviation");
            g.mean() * g.deviation()
        };
        "gaussian::Gaussian::standardised" => |z| gaussian(z).standardised(z[2]);
        "gaussian::Gaussian::ln_density" => |z| gaussian(z).ln_density(z[2]);
        "gaussian::Gaussian::density" => |z| gaussian(z).density(z[2]);
        "gaussian::Gaussian::below" => |z| gaussian(z).below(z[2]);
        "gaussian::Gaussian::draw" => |z| {
            let drawn = gaussian(z).draw(&Random::new(5, 0, 0), 3);
            drawn * drawn
        };
        "joint::Joint::from_probabilities" => |z| {
            whole(&Joint::from_probabilities(&matrix(3, 3, &softmax(z))).expect("a distribution"))
        };
        "joint::Joint::from_weights" "joint::Joint::table" => |z| {
            let joint = Joint::from_weights(&matrix(3, 3, &weights(z))).expect("positive");
            seen(joint.table().as_slice())
        };
        "joint::Joint::from_conditionals" => from_conditionals;
        "joint::Joint::independent" => |z| {
            whole(&Joint::independent(&of_logits(&z[..4]), &of_logits(&z[4..])))
        };
        "joint::Joint::transposed" => |z| whole(&joint(z).transposed());
        "joint::Joint::x" => |z| all(&joint(z).x());
        "joint::Joint::y" => |z| all(&joint(z).y());
        "joint::Joint::x_given" => |z| all(&joint(z).x_given(1).expect("possible"));
        "joint::Joint::y_given" => |z| all(&joint(z).y_given(0).expect("possible"));
        "joint::Joint::expectation" => |z| joint(z).expectation(|x, y| z[4 + x] * z[6 + y]);
        "joint::Joint::covariance" => |z| joint(z).covariance(|x| z[4 + x], |y| z[6 + y]);
        "joint::Joint::correlation" => |z| {
            joint(z).correlation(|x| apart(z[4 + x], x), |y| apart(z[6 + y], y)).expect("values that differ")
        };
        "joint::Joint::conditional_means" => |z| seen(&joint(z).conditional_means(|y| z[4 + y]));
        "joint::Joint::total_variance" => total_variance;
        "joint::TotalVariance::total" => |z| joint(z).total_variance(|y| z[4 + y]).total();
        "layer_norm::standardise" => |z| seen(&standardise(z, 1e-5).expect("elements"));
        "layer_norm::layer_norm" => |z| {
            seen(&layer_norm(&z[..3], &z[3..6], &z[6..], 1e-5).expect("one length"))
        };
        "likelihood::log_likelihood" => |z| {
            likelihood::log_likelihood(&of_logits(&z[..4]), &[3, 0, 1, 5]).expect("one each")
        };
        "likelihood::mean_surprisal" => |z| {
            likelihood::mean_surprisal(&of_logits(&z[..4]), &[3, 0, 1, 5]).expect("one each")
        };
        "likelihood::fit_gaussian" => |z| {
            let g = likelihood::fit_gaussian(z).expect("numbers that differ");
            g.mean() + g.deviation() * g.deviation()
        };
        "log_sum_exp::log_sum_exp" => |z| log_sum_exp(z);
        "log_sum_exp::StreamingLogSumExp::new" "log_sum_exp::StreamingLogSumExp::push" => pushed;
        "log_sum_exp::StreamingLogSumExp::value" => |z| streaming(z).value();
        "log_sum_exp::StreamingLogSumExp::merge" => |z| {
            streaming(&z[..4]).merge(&streaming(&z[4..])).value()
        };
        "log_sum_exp::StreamingLogSumExp::sum" "log_sum_exp::StreamingLogSumExp::maximum" => |z| {
            let all = streaming(z);
            all.sum() * all.maximum()
        };
        "mask::masked_softmax" => masked;
        "moments::mean" => |z| moments::mean(&z[..4]).expect("numbers") * z[5];
        "moments::population_variance" => |z| moments::population_variance(z).expect("numbers");
        "moments::sample_variance" => |z| moments::sample_variance(z).expect("numbers");
        "moments::covariance" => |z| moments::covariance(&z[..4], &z[4..8]).expect("one length");
        "moments::correlation" => |z| moments::correlation(&z[..4], &z[4..8]).expect("numbers that differ");
        "moments::covariance_matrix" => covariance_matrix;
        "moments::of_experiment" => |z| {
            moments::of_experiment(9, |i| z[i as usize]).sample_variance().expect("numbers")
        };
        "rms_norm::rms_norm" => |z| seen(&rms_norm(&z[..4], &z[4..8], 1e-5).expect("one length"));
        "running::Running::new" "running::Running::push" => running_moments;
        "running::Running::merge" => |z| {
            let both = running(&z[..4]).merge(&running(&z[4..]));
            both.population_variance().expect("numbers")
        };
        "running::Running::mean" => |z| running(z).mean().expect("numbers") * z[0];
        "running::Running::population_variance" => |z| running(z).population_variance().expect("numbers");
        "running::Running::sample_variance" => |z| running(z).sample_variance().expect("numbers");
        "running::Running::standard_error" => |z| running(z).standard_error().expect("numbers");
        "sigmoid::sigmoid" => |z| seen(&[sigmoid::sigmoid(z[0]), sigmoid::sigmoid(z[1])]);
        "sigmoid::log_sigmoid" => |z| sigmoid::log_sigmoid(z[0]) * z[1];
        "sigmoid::logit" => |z| sigmoid::logit(shares(z)[0]) * sigmoid::logit(softmax(z)[1]);
        "softmax::softmax" => |z| seen(&softmax(z));
        "softmax::tempered_softmax" => |z| seen(&tempered_softmax(z, 0.7).expect("a temperature"));
        "softmax::log_softmax" => |z| seen(&log_softmax(z));
        "softmax::softmax_into" => into;
        "softmax::softmax_in_place" => in_place;
    }
}

fn running_moments<T: Real>(z: &[T]) -> T {
    let mut running = Running::new();
    z.iter().for_each(|&z| running.push(z * z));
    running.sample_variance().expect("numbers")
}
