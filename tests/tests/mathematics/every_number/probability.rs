//! Distributions, tables, moments, normalisation, intervals.

use super::definitions::{below, deviations, lse, shares_of, standardised, variance};
use super::inputs::Inputs::{
    Distribution, Distributions, Multiple, Number, Numbers, Scores, Share, Shares, Square, Table,
    Tables, Tame, Vector, Weights,
};
use super::linalg::{halves, measured, square};
use super::{Case, Refused, cases, doubles};
use linalg::{Matrix, Real, matrix, vector};
use num_traits::{One, Zero};
use probability::alias::AliasTable;
use probability::categorical::check_distribution;
use probability::dropout::{Dropout, Order};
use probability::gaussian::Gaussian;
use probability::initialise::Initialiser;
use probability::layer_norm::{layer_norm, standardise};
use probability::log_sum_exp::{StreamingLogSumExp, log_sum_exp};
use probability::mask::masked_softmax;
use probability::multivariate::MultivariateGaussian;
use probability::rms_norm::rms_norm;
use probability::running::Running;
use probability::sample::Sampler;
use probability::softmax::{
    log_softmax, softmax, softmax_in_place, softmax_into, tempered_softmax,
};
use probability::transform::Logits;
use probability::{
    Categorical, Joint, ProbabilityError, Random, bayes, diffusion, distribution, dropout, gumbel,
    interval, likelihood, moments, paired, power, sigmoid, theil_sen, welch,
};
use tests::exact::Exact;

pub(super) fn number<T: Real>(x: f64) -> T {
    T::from_f64(x)
}

pub(super) fn count<T: Real>(x: &[T]) -> T {
    T::from_f64(x.len() as f64)
}

fn gaussian<T: Real>(x: &[T]) -> Result<Gaussian<T>, ProbabilityError> {
    Gaussian::new(x[0], x[1])
}

fn running<T: Real>(x: &[T]) -> Running<T> {
    x.iter().copied().collect()
}

fn streaming<T: Real>(z: &[T]) -> StreamingLogSumExp<T> {
    z.iter().copied().collect()
}

/// What `push` gives back, but at the first score, where there is nothing to shrink.
fn pushed<T: Real>(z: &[T]) -> Vec<T> {
    let mut sum = StreamingLogSumExp::new();
    let factors: Vec<T> = z.iter().flat_map(|&z| <[T; 2]>::from(sum.push(z))).collect();
    factors.into_iter().skip(2).collect()
}

fn joint<T: Real>(p: &[T]) -> Result<Joint<T>, ProbabilityError> {
    Joint::from_weights(&matrix(1, p.len(), p))
}

fn fitted<T: Real>(x: &[T]) -> Result<Categorical<T>, ProbabilityError> {
    likelihood::fit_categorical(&[3, 0, 1], x[0].to_f64())
}

fn sizes<T: Real>(x: &[T]) -> Vec<T> {
    x.iter().map(|x| x.abs()).collect()
}

/// ¼ and ¾.
fn prior<T: Real>() -> Result<Categorical<T>, ProbabilityError> {
    Categorical::from_weights(&[T::one(), T::from_f64(3.0)])
}

fn number_of<T: Real>(_: &[T], x: f64) -> T {
    T::from_f64(x)
}

/// The first factors of a mask; a step of NaN has none, and −1 is evaluation.
fn dropped<T: Real>(step: T) -> Vec<T> {
    let rule = Dropout { rate: 0.5, seed: 1, stream: 0, order: Order::Columns };
    let Some(mask) = rule.mask(matrix(2, 1, &[step, T::zero()]).as_view()) else {
        return vec![step];
    };
    let mut all = vec![mask.factor(0)];
    mask.runs(0, 3, |_, factors| all.extend_from_slice(factors));
    all
}

/// Distributions that are made of counts, at one outcome; and the number.
fn constants<T: Real>(x: &[T]) -> Result<Vec<T>, ProbabilityError> {
    let counted = Categorical::from_counts(&[1, 2, u64::MAX >> 1])?;
    let all = [Categorical::uniform(7)?, Categorical::certain(2, 7)?, counted];
    Ok(all.iter().map(|p| p.probability(2)).chain([x[0]]).collect())
}

/// A covariance, as XXᵀ + 1 of the first four numbers.
fn covariance(x: &[f64]) -> Matrix<f64> {
    let (a, b, c) = (1.0 + x[0] * x[0], x[0] * x[1], 1.0 + x[1] * x[1]);
    matrix(2, 2, &[a, b, b, c])
}

fn multivariate(x: &[f64]) -> Result<MultivariateGaussian, ProbabilityError> {
    MultivariateGaussian::new(&x[2..4], &covariance(x))
}

/// (x − µ)ᵀΣ⁻¹(x − µ) and ln |Σ|, of the same rounded covariance.
fn mahalanobis(x: &[Exact]) -> (Exact, Exact) {
    let doubles: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
    let c = covariance(&doubles).map(Exact::of);
    let (a, b, d) = (c[(0, 0)], c[(0, 1)], c[(1, 1)]);
    let determinant = a * d - b * b;
    let (u, v) = (x[4] - x[2], x[5] - x[3]);
    ((d * u * u - (b + b) * u * v + a * v * v) / determinant, determinant.ln())
}

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases! {
        "bayes::conditional", Shares(2), Result 1.0 => |x| bayes::conditional(x[0], x[1])?;
        "bayes::total_probability", Shares(2), Conditioned 4.0 => |x| {
            bayes::total_probability(&prior()?, x)?
        };
        "bayes::posterior", Shares(2), Conditioned 4.0, unless ["allow the evidence"] => |x| {
            bayes::posterior(&prior()?, x)?.probabilities().to_vec()
        };
        "bayes::posterior_of_many", Shares(4), Conditioned 8.0, unless ["likelihood above 0"] => |x| {
            let logs = [vec![-x[0], -x[1]], vec![-x[2], -x[3]]];
            bayes::posterior_of_many(&prior()?, &logs)?.probabilities().to_vec()
        };
        "categorical::Categorical::from_probabilities" "categorical::Categorical::probability", Distribution, Result 4.0 => |p| {
            let p = Categorical::from_probabilities(p)?;
            (p.probability(0), p.probabilities().to_vec())
        };
        "categorical::Categorical::from_weights" "categorical::Categorical::probabilities", Weights, Result 4.0 => |w| {
            Categorical::from_weights(w)?.probabilities().to_vec()
        };
        "categorical::Categorical::from_logits", Scores, Result 6.0 => |z| {
            Categorical::from_logits(z)?.probabilities().to_vec()
        }, as |z| {
            Categorical::from_logits(z)?;
            shares_of(z)
        };
        "categorical::Categorical::uniform" "categorical::Categorical::certain" "categorical::Categorical::from_counts", Number, Result 1.0 => |x| {
            constants(x)?
        };
        "categorical::Categorical::expectation", Distributions, Conditioned 4.0 => |x| {
            let (p, f) = halves(x);
            Categorical::from_weights(p)?.expectation(|i| f[i])
        };
        "categorical::Categorical::variance", Distributions, Conditioned 8.0 => |x| {
            let (p, f) = halves(x);
            Categorical::from_weights(p)?.variance(|i| f[i])
        };
        "categorical::Categorical::covariance", Distributions, Conditioned 8.0 => |x| {
            let (p, f) = halves(x);
            Categorical::from_weights(p)?.covariance(|i| f[i], |i| f[f.len() - 1 - i])
        };
        "categorical::Categorical::cumulative", Weights, Result 4.0 => |w| Categorical::from_weights(w)?.cumulative();
        "categorical::Categorical::mode", Weights, Result 0.0 => |w| Categorical::from_weights(w)?.mode();
        "categorical::Categorical::product", Tables, Result 4.0 => |x| {
            let (p, q) = halves(x);
            let both = Categorical::from_weights(p)?.product(&Categorical::from_weights(q)?);
            both.probabilities().to_vec()
        };
        "categorical::Categorical::mixture", Distributions, Result 4.0 => |x| {
            let (p, q) = halves(x);
            let both = Categorical::from_weights(p)?.mixture(&Categorical::from_weights(q)?, number(0.25))?;
            both.probabilities().to_vec()
        };
        "diffusion::diffuse", Numbers(2), Conditioned 4.0 => |x| diffusion::diffuse(&x[..1], 0.3, &x[1..])?;
        "dropout::dropout", Vector, Conditioned 4.0 => |x| dropout::dropout(x, 0.5, 3, 1)?;
        "dropout::Dropout::mask" "dropout::DropoutMask::factor" "dropout::DropoutMask::runs", Number, Result 1.0 => |x| dropped(x[0]);
        "categorical::check_distribution", Distribution, Result 1.0 => |p| {
            // The sum, as f64 has it.
            let sum = check_distribution(p)?;
            number_of(p, sum)
        }, as |p| {
            check_distribution(p)?;
            vector::sum(p)
        };
        "gaussian::Gaussian::new" "gaussian::Gaussian::mean" "gaussian::Gaussian::deviation", Numbers(2), Result 0.0 => |x| {
            let g = gaussian(x)?;
            (g.mean(), g.deviation())
        };
        "gaussian::Gaussian::standardised", Numbers(3), Conditioned 2.0 => |x| gaussian(x)?.standardised(x[2]);
        "gaussian::Gaussian::ln_density", Numbers(3), Conditioned 4.0 => |x| gaussian(x)?.ln_density(x[2]), as |x| {
            let g = gaussian(x)?;
            let z = (x[2] - g.mean()) / g.deviation();
            let two = number::<Exact>(2.0);
            -(z * z) / two - g.deviation().ln() - (two * Exact::pi()).ln() / two
        };
        "gaussian::Gaussian::density", Numbers(3), Conditioned 4.0 => |x| gaussian(x)?.density(x[2]), as |x| {
            let g = gaussian(x)?;
            let z = (x[2] - g.mean()) / g.deviation();
            let two = number::<Exact>(2.0);
            (-(z * z) / two).exp() / g.deviation() / (two * Exact::pi()).sqrt()
        };
        "gaussian::Gaussian::below", Number, Conditioned 4.0 => |x| Gaussian::new(number(0.0), number(1.0))?.below(x[0]), as |x| below(x[0]);
        "gaussian::Gaussian::draw", Numbers(2), Conditioned 4.0 => |x| gaussian(x)?.draw(&Random::new(5, 0, 0), 3);
        "gumbel::gumbel_max", Scores, Result 0.0 => |z| gumbel::gumbel_max(z, &Random::new(1, 0, 0), 0)?;
        "joint::Joint::from_probabilities", Distribution, Result 4.0 => |p| {
            Joint::from_probabilities(&matrix(1, p.len(), p))?.table().clone()
        };
        "joint::Joint::from_weights" "joint::Joint::table" "joint::Joint::transposed", Weights, Result 4.0 => |w| joint(w)?.transposed().table().clone();
        "joint::Joint::from_conditionals", Tables, Result 6.0 => |x| {
            let (p, q) = halves(x);
            let (p, q) = (Categorical::from_weights(p)?, Categorical::from_weights(q)?);
            let all = vec![q; p.len()];
            Joint::from_conditionals(&p, &all)?.table().clone()
        };
        "joint::Joint::independent", Tables, Result 6.0 => |x| {
            let (p, q) = halves(x);
            Joint::independent(&Categorical::from_weights(p)?, &Categorical::from_weights(q)?).table().clone()
        };
        // ½ each for the sum that divides, the quotient and the sum of the row, which carries its rounding along. An entry
        // below the normal numbers adds up to 1 of its own; on this grid no sum below them has more than one.
        "joint::Joint::x" "joint::Joint::y", Multiple(2), Result 1.5 => |w| {
            let joint = Joint::from_weights(&matrix(2, w.len() / 2, &sizes(w)))?;
            (joint.x().probabilities().to_vec(), joint.y().probabilities().to_vec())
        };
        "joint::Joint::x_given" "joint::Joint::y_given", Weights, Result 8.0, unless ["probability"] => |w| {
            let joint = joint(w)?;
            (joint.x_given(0)?.probabilities().to_vec(), joint.y_given(0)?.probabilities().to_vec())
        };
        "joint::Joint::expectation", Distributions, Conditioned 6.0 => |x| {
            let (p, f) = halves(x);
            joint(p)?.expectation(|_, y| f[y])
        };
        "joint::Joint::covariance", Tame(6), Conditioned 8.0 => |x| {
            Joint::from_weights(&matrix(2, 2, &sizes(&x[..4])))?.covariance(|i| x[i], |i| x[4 + i])
        };
        "joint::Joint::correlation", Tame(6), Conditioned 16.0, unless ["value", "spread", "variance is 0"] => |x| {
            Joint::from_weights(&matrix(2, 2, &sizes(&x[..4])))?.correlation(|i| x[i], |i| x[4 + i])?
        };
        "joint::Joint::conditional_means", Tame(6), Conditioned 8.0 => |x| {
            Joint::from_weights(&matrix(2, 2, &sizes(&x[..4])))?.conditional_means(|i| x[4 + i])
        };
        "joint::Joint::total_variance" "joint::TotalVariance::total", Tame(6), Whole 16.0 => |x| {
            let parts = Joint::from_weights(&matrix(2, 2, &sizes(&x[..4])))?.total_variance(|i| x[4 + i]);
            // In ε of the largest square.
            [parts.within, parts.between, parts.total(), x[4] * x[4], x[5] * x[5]]
        };
        // Deviations to a unit; their mean square to 3½ (twice a unit, a square, a sum, a quotient), with ε to 4, its root to
        // 2½; a quotient.
        "layer_norm::standardise", Vector, Conditioned 4.0 => |x| standardise(x, 1e-5)?, as |x| standardised(x, 1e-5);
        // As above; a product and a sum.
        "layer_norm::layer_norm", Multiple(3), Conditioned 5.0 => |x| {
            let n = x.len() / 3;
            layer_norm(&x[..n], &x[n..2 * n], &x[2 * n..], 1e-5)?
        }, as |x| {
            let n = x.len() / 3;
            let y = standardised(&x[..n], 1e-5);
            (0..n).map(|i| x[n + i] * y[i] + x[2 * n + i]).collect::<Vec<_>>()
        };
        "likelihood::log_likelihood", Tame(3), Conditioned 8.0 => |x| {
            likelihood::log_likelihood(&Categorical::from_weights(&sizes(x))?, &[3, 0, 1])?
        };
        "likelihood::mean_surprisal", Tame(3), Conditioned 8.0 => |x| {
            likelihood::mean_surprisal(&Categorical::from_weights(&sizes(x))?, &[3, 0, 1])?
        };
        "likelihood::fit_categorical", Number, Conditioned 4.0 => |x| {
            fitted(x)?.probabilities().to_vec()
        };
        "likelihood::fit_gaussian", Vector, Conditioned 8.0, unless ["spread", "deviation"] => |x| {
            let g = likelihood::fit_gaussian(x)?;
            (g.mean(), g.deviation())
        }, as |x| {
            likelihood::fit_gaussian(x)?;
            (vector::sum(x) / count(x), (deviations(x, x) / count(x)).sqrt())
        };
        "log_sum_exp::log_sum_exp", Scores, Result 4.0 => |z| log_sum_exp(z), as |z| lse(z);
        "log_sum_exp::StreamingLogSumExp::new" "log_sum_exp::StreamingLogSumExp::push", Scores, Conditioned 8.0 => |z| pushed(z);
        // In ε of a nat, as its documentation says.
        "log_sum_exp::StreamingLogSumExp::value", Scores, Whole 24.0 => |z| [streaming(z).value(), number(1.0)], as |z| [lse(z), number(1.0)];
        "log_sum_exp::StreamingLogSumExp::merge", Scores, Whole 24.0 => |z| {
            let (a, b) = halves(z);
            [streaming(a).merge(&streaming(b)).value(), number(1.0)]
        }, as |z| [lse(z), number(1.0)];
        "log_sum_exp::StreamingLogSumExp::sum" "log_sum_exp::StreamingLogSumExp::maximum", Scores, Conditioned 8.0 => |z| {
            let all = streaming(z);
            (all.sum(), all.maximum())
        };
        "mask::masked_softmax", Square, Result 6.0 => |z| {
            masked_softmax(&square(z), |key, query| key <= query)?
        };
        "moments::mean", Vector, Conditioned 2.0 => |x| moments::mean(x)?, as |x| {
            moments::mean(x)?;
            vector::sum(x) / count(x)
        };
        "moments::population_variance", Vector, Conditioned 4.0 => |x| moments::population_variance(x)?, as |x| variance(x, 0.0)?;
        "moments::sample_variance", Vector, Conditioned 4.0 => |x| moments::sample_variance(x)?, as |x| variance(x, 1.0)?;
        "moments::covariance", Multiple(2), Conditioned 4.0 => |x| { let (x, y) = halves(x); moments::covariance(x, y)? }, as |x| {
            let (x, y) = halves(x);
            moments::covariance(x, y)?;
            deviations(x, y) / (count::<Exact>(x) - Exact::one())
        };
        "moments::correlation", Multiple(2), Conditioned 8.0, unless ["spread"] => |x| { let (x, y) = halves(x); moments::correlation(x, y)? }, as |x| {
            let (x, y) = halves(x);
            moments::correlation(x, y)?;
            deviations(x, y) / (deviations(x, x) * deviations(y, y)).sqrt()
        };
        "moments::covariance_matrix", Tame(4), Conditioned 8.0 => |x| moments::covariance_matrix(&matrix(2, 2, x))?;
        "moments::of_experiment", Vector, Conditioned 8.0 => |x| {
            moments::of_experiment(x.len() as u64, |i| x[i as usize]).sample_variance()?
        }, as |x| variance(x, 1.0)?;
        "rms_norm::rms_norm", Vector, Conditioned 8.0 => |x| rms_norm(x, &vec![number(1.0); x.len()], 1e-5)?, as |x| {
            let root = (vector::dot(x, x) / count(x) + number(1e-5)).sqrt();
            x.iter().map(|&x| x / root).collect::<Vec<_>>()
        };
        "running::Running::new" "running::Running::push" "running::Running::mean", Vector, Conditioned 8.0 => |x| running(x).mean()?, as |x| {
            moments::mean(x)?;
            vector::sum(x) / count(x)
        };
        "running::Running::merge", Vector, Conditioned 8.0 => |x| {
            let (a, b) = halves(x);
            let both = running(a).merge(&running(b));
            (both.mean()?, both.population_variance()?)
        }, as |x| (moments::mean(x)?, variance(x, 0.0)?);
        "running::Running::population_variance", Vector, Conditioned 8.0 => |x| running(x).population_variance()?, as |x| variance(x, 0.0)?;
        "running::Running::sample_variance", Vector, Conditioned 8.0 => |x| running(x).sample_variance()?, as |x| variance(x, 1.0)?;
        "running::Running::standard_error", Vector, Conditioned 8.0 => |x| running(x).standard_error()?, as |x| {
            (variance(x, 1.0)? / count(x)).sqrt()
        };
        "running::Running::count", Vector, Result 0.0 => |x| running(x).count() as usize;
        "sigmoid::sigmoid", Number, Conditioned 4.0 => |x| sigmoid::sigmoid(x[0]), as |x| Exact::one() / (Exact::one() + (-x[0]).exp());
        "sigmoid::log_sigmoid", Number, Conditioned 4.0 => |x| sigmoid::log_sigmoid(x[0]), as |x| {
            // −ln(1 + e^(−x)), and x of an x whose exponential is nothing to it.
            if x[0] < number(-1e8) { x[0] } else { -(-x[0]).exp().ln_1p() }
        };
        "sigmoid::logit", Share, Conditioned 4.0 => |x| sigmoid::logit(x[0]), as |x| (x[0] / (Exact::one() - x[0])).ln();
        "softmax::softmax", Scores, Result 4.0 => |z| softmax(z), as |z| shares_of(z);
        "softmax::tempered_softmax", Scores, Conditioned 8.0 => |z| tempered_softmax(z, number(0.5))?, as |z| {
            shares_of(&z.iter().map(|&z| z + z).collect::<Vec<_>>())
        };
        "softmax::log_softmax", Scores, Result 4.0 => |z| log_softmax(z), as |z| {
            let sum = lse(z);
            z.iter().map(|&z| z - sum).collect::<Vec<_>>()
        };
        "softmax::softmax_into", Scores, Whole 24.0 => |z| {
            let mut p = z.to_vec();
            let sum = softmax_into(&mut p, z);
            (p, sum)
        }, as |z| (shares_of(z), lse(z));
        "softmax::softmax_in_place", Scores, Whole 24.0 => |z| {
            let mut p = z.to_vec();
            let sum = softmax_in_place(&mut p);
            (p, sum)
        }, as |z| (shares_of(z), lse(z));
    };
    all.extend(doubles! {
        "gaussian::Gaussian::quantile", Share, Conditioned 8.0 => |p| {
            // Back through the reference: Φ(Φ⁻¹(p)) is p, off by what a rounding of Φ⁻¹ makes of it.
            let z = Gaussian::new(0.0, 1.0)?.quantile(p[0])?;
            measured(p, || {
                let (z, p) = (Exact::of(z), Exact::of(p[0]));
                if !z.is_finite() { return vec![Exact::zero()] }
                let two = number::<Exact>(2.0);
                let slope = (-(z * z) / two).exp() / (two * Exact::pi()).sqrt();
                let half = number::<Exact>(0.5);
                let apart = if p > half { (below(-z) - (Exact::one() - p)).abs() } else { (below(z) - p).abs() };
                vec![apart / (slope * z.abs() + p) / Exact::of(f64::EPSILON)]
            })
        };
        "categorical::Categorical::quantile" "categorical::Categorical::draw", Distribution, Whole 0.0 => |p| {
            let p = Categorical::from_weights(p)?;
            let drawn = [p.quantile(0.0), p.quantile(0.5), p.quantile(1.0), p.quantile(f64::NAN), p.draw(&Random::new(1, 0, 0), 0)];
            drawn.map(|i| f64::from(u8::from(p.probability(i) == 0.0)))
        };
        "multivariate::MultivariateGaussian::new" "multivariate::MultivariateGaussian::log_determinant"
            "multivariate::MultivariateGaussian::squared_distance" "multivariate::MultivariateGaussian::ln_density",
            Tame(6), Normwise 32.0, unless ["positive definite", "Cholesky"] => |x| {
            let g = multivariate(x)?;
            [g.squared_distance(&x[4..])?, g.log_determinant(), g.ln_density(&x[4..])?]
        }, as |x| {
            let (distance, logarithm) = mahalanobis(x);
            let two = number::<Exact>(2.0);
            [distance, logarithm, -(distance + logarithm) / two - (two * Exact::pi()).ln()]
        };
        "multivariate::MultivariateGaussian::from_factor" "multivariate::MultivariateGaussian::factor"
            "multivariate::MultivariateGaussian::draw", Tame(4), Whole 8.0 => |x| {
            // The factor's square is the covariance, and what is drawn is finite.
            let g = MultivariateGaussian::from_factor(&x[..2], &matrix(2, 2, &[1.0, x[2], 0.0, x[3]]))?;
            assert!(g.draw(&Random::new(1, 0, 0), 0).iter().all(|x| x.is_finite()));
            measured(x, || {
                let (l, c) = (g.factor().map(Exact::of), g.covariance().map(Exact::of));
                let root = [l[(0, 0)], l[(1, 0)], l[(1, 1)]];
                let back = [root[0] * root[0], root[0] * root[1], root[1] * root[1] + root[2] * root[2]];
                let right = [c[(0, 0)], c[(1, 0)], c[(1, 1)]];
                let most = right.iter().fold(number::<Exact>(f64::MIN_POSITIVE), |m, c| c.abs().larger(m));
                (0..3).map(|i| (back[i] - right[i]).abs() / most / Exact::of(f64::EPSILON)).collect()
            })
        };
        "multivariate::MultivariateGaussian::given", Tame(5), Normwise 32.0, unless ["Cholesky", "positive"] => |x| {
            let g = multivariate(x)?;
            assert_eq!(g.marginal(&[1])?.mean()[0], x[3]);
            let given = g.given(&[1], &x[4..])?;
            (given.mean().to_vec(), given.covariance().clone())
        }, as |x| {
            let doubles: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
            multivariate(&doubles)?;
            let c = covariance(&doubles).map(Exact::of);
            let slope = c[(0, 1)] / c[(1, 1)];
            [x[2] + slope * (x[4] - x[3]), c[(0, 0)] - slope * c[(0, 1)]]
        };
        "alias::AliasTable::new" "alias::AliasTable::probability", Table, Whole 2.0 => |p| {
            // Multiples of 2⁻⁶²: off by one of them for each outcome.
            let p = Categorical::from_weights(p)?;
            let table = AliasTable::new(&p);
            let unit = f64::EPSILON + p.len() as f64 * (-62_f64).exp2();
            (0..p.len()).map(|i| (table.probability(i) - p.probability(i)).abs() / unit).collect::<Vec<_>>()
        };
        "initialise::Initialiser::variance" "initialise::Initialiser::weights", Number, Result 4.0 => |x| {
            let rule = Initialiser::Normal(x[0]);
            let found = rule.variance(3, 5)?;
            let weights: Matrix<f64> = rule.weights(5, 3, &Random::new(1, 0, 0), 0)?;
            assert!(weights.iter().all(|w| w.is_finite() || x[0] > 1e307));
            found
        }, as |x| {
            if x[0] < Exact::zero() { return Err(Refused("negative".into())) }
            x[0] * x[0]
        };
        "interval::normal", Vector, Conditioned 16.0 => |x| {
            let found = interval::normal(x, 0.95)?;
            [found.low, found.high]
        }, as |x| {
            if x.len() < 2 { return Err(Refused("few".into())) }
            let error = (variance(x, 1.0)? / count(x)).sqrt() * Exact::of(Gaussian::new(0.0, 1.0)?.quantile(0.975)?);
            let mean = vector::sum(x) / count(x);
            [mean - error, mean + error]
        };
        "interval::wilson", Share, Whole 0.0 => |p| {
            if !(0.0..=1.0).contains(&p[0]) { return Err(Refused("no share".into())) }
            let found = interval::wilson((p[0] * 1e6) as u64, 1_000_000, 0.95)?;
            f64::from(u8::from(!(0.0 <= found.low && found.low <= p[0] + 1e-5 && p[0] - 1e-5 <= found.high && found.high <= 1.0)))
        };
        "interval::bootstrap", Vector, Whole 0.0 => |x| {
            // Of the largest number: one of the numbers.
            let largest = |x: &[f64]| x.iter().fold(f64::NEG_INFINITY, |m, x| m.max(*x));
            let found = interval::bootstrap(x, 0.9, 9, &Random::new(1, 0, 0), largest)?;
            f64::from(u8::from(!(found.low <= found.high && found.high <= largest(x))))
        };
        "paired::t_test", Multiple(2), Conditioned 16.0 => |x| {
            let (a, b) = halves(x);
            let found = paired::t_test(a, b, 0.95)?;
            assert!((0.0..=1.0).contains(&found.p_value) && found.interval.low <= found.interval.high);
            [found.difference, found.standard_error]
        }, as |x| {
            let (a, b) = halves(x);
            if a.len() < 2 { return Err(Refused("few".into())) }
            let d: Vec<Exact> = a.iter().zip(b).map(|(&a, &b)| a - b).collect();
            (vector::sum(&d) / count(&d), (variance(&d, 1.0)? / count(&d)).sqrt())
        };
        "paired::clustered", Multiple(2), Conditioned 16.0 => |x| {
            // Clusters of one to three tokens.
            let sizes: Vec<f64> = (0..x.len()).map(|i| (1 + i % 3) as f64).collect();
            let found = paired::clustered(x, &sizes, 0.95)?;
            assert!((0.0..=1.0).contains(&found.p_value) && found.interval.low <= found.interval.high);
            [found.difference, found.standard_error]
        }, as |x| {
            if x.len() < 2 { return Err(Refused("few".into())) }
            let sizes: Vec<Exact> = (0..x.len()).map(|i| number((1 + i % 3) as f64)).collect();
            let (tokens, k) = (vector::sum(&sizes), count::<Exact>(x));
            let mean = vector::sum(x) / tokens;
            let rest: Vec<Exact> = x.iter().zip(&sizes).map(|(&d, &n)| (d - mean * n) * (d - mean * n)).collect();
            (mean, (vector::sum(&rest) * k / (k - Exact::one())).sqrt() / tokens)
        };
        "welch::t_test", Multiple(2), Conditioned 16.0 => |x| {
            let (a, b) = halves(x);
            let found = welch::t_test(a, b, 0.95)?;
            assert!((0.0..=1.0).contains(&found.p_value) && found.interval.low <= found.interval.high);
            assert!(found.degrees >= (a.len() - 1) as f64 * 0.999 && found.degrees <= (a.len() + b.len() - 2) as f64);
            [found.difference, found.standard_error]
        }, as |x| {
            let (a, b) = halves(x);
            if a.len() < 2 { return Err(Refused("few".into())) }
            let spread = variance(a, 1.0)? / count(a) + variance(b, 1.0)? / count(b);
            (vector::sum(a) / count(a) - vector::sum(b) / count(b), spread.sqrt())
        };
        "theil_sen::line" "theil_sen::Line::at", Multiple(2), Whole 0.0 => |x| {
            // Whatever the points: the slope is in its interval, and y turned over has the slope turned over.
            let (a, b) = halves(x);
            let found = theil_sen::line(a, b, 0.95)?;
            let other = theil_sen::line(a, &b.iter().map(|b| -b).collect::<Vec<_>>(), 0.95)?;
            let turned = |a: f64, b: f64| a == -b || (a.is_nan() && b.is_nan());
            let same = turned(found.slope, other.slope) && turned(found.interval.low, other.interval.high) && turned(found.at(0.0), other.at(0.0));
            let inside = found.interval.contains(found.slope);
            f64::from(u8::from(!(same && inside)))
        };
        "power::of_two_groups" "power::samples_needed", Number, Whole 0.0 => |x| {
            // Whatever the effect: the least number of samples whose power reaches the one asked for.
            let size = x[0].abs();
            let n = power::samples_needed(size, 0.05, 0.8)?;
            let enough = power::of_two_groups(n, size, 0.05)? >= 0.8;
            let fewer = n > 2 && power::of_two_groups(n - 1, size, 0.05)? >= 0.8;
            f64::from(u8::from(!enough || fewer))
        };
        "paired::sign_flip_test", Multiple(2), Whole 0.0 => |x| {
            let (a, b) = halves(x);
            let found = paired::sign_flip_test(a, b, 9, &Random::new(1, 0, 0))?;
            f64::from(u8::from(!(0.1..=1.0).contains(&found)))
        };
        "sample::Sampler::distribution" "sample::Sampler::distribution_after" "sample::Sampler::draw" "sample::Sampler::draw_after"
            "transform::Logits::new", Scores, Whole 0.0 => |z| {
            // Whatever the settings: a distribution, and what is drawn has a probability.
            Logits::new(z)?;
            let settings = [
                Sampler::default(),
                Sampler { temperature: 0.0, ..Sampler::default() },
                Sampler { temperature: 1e-300, top_k: Some(2), ..Sampler::default() },
                Sampler { temperature: 1e300, top_p: Some(0.5), ..Sampler::default() },
                Sampler { min_p: Some(0.1), typical: Some(0.5), repetition_penalty: 1.5, ..Sampler::default() },
            ];
            let mut wrong = 0;
            for sampler in settings {
                let p = sampler.distribution_after(&[0], z)?;
                let near = (p.iter().sum::<f64>() - 1.0).abs() <= (p.len() as f64 + 4.0) * f64::EPSILON;
                let drawn = [0.0, 0.5, 1.0 - f64::EPSILON / 2.0].map(|u| sampler.draw_after(&[0], z, u));
                let likely = drawn.into_iter().all(|i| i.is_ok_and(|i| p[i] > 0.0));
                wrong += usize::from(!(near && likely && p.iter().all(|p| *p >= 0.0)));
                sampler.distribution(z)?;
                sampler.draw(z, 0.5)?;
            }
            wrong
        };
        "distribution::draw" "distribution::draw_whole", Number, Whole 0.0 => |x| {
            // Every rate that is one gives a number.
            let (random, size) = (Random::new(1, 0, 0), x[0].abs());
            let waits = distribution::draw(&distribution::Exp::new(size)?, &random, 0);
            let right = distribution::draw_whole(&distribution::Binomial::new(0.3, 10)?, &random, 0);
            f64::from(u8::from(!(waits >= 0.0 && right <= 10)))
        };
        "interval::Interval::contains" "interval::Interval::map", Numbers(2), Whole 0.0 => |x| {
            let made = interval::Interval { low: x[0], high: x[1] }.map(|x| x);
            let right = x[0] <= 0.0 && 0.0 <= x[1];
            [f64::from(u8::from(made.contains(0.0) != right)), f64::from(u8::from(made.contains(f64::NAN)))]
        };
        "interval::quantile", Vector, Conditioned 4.0 => |x| interval::quantile(x, 0.3)?, as |x| {
            let mut x = x.to_vec();
            if x.is_empty() { return Err(Refused("empty".into())) }
            x.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
            // 0.3·(n − 1), as f64 has it.
            let at = 0.3 * (x.len() - 1) as f64;
            let (i, share) = (at as usize, number::<Exact>(at.fract()));
            let next = x[(i + 1).min(x.len() - 1)];
            x[i] * (Exact::one() - share) + next * share
        };
    });
    all
}
