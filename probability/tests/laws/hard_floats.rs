//! Every public function on hard numbers: 0, −0, denormals, ±∞, NaN, huge and tiny scales, empty input, one element.
//! The results are those of the documentation.

use linalg::{Matrix, Primitive, Shape, Work, matrix};
use probability::alias::AliasTable;
use probability::dropout::{Dropout, Order};
use probability::gaussian::Gaussian;
use probability::initialise::Initialiser;
use probability::interval::{self, Interval};
use probability::layer_norm::LayerNorm;
use probability::log_sum_exp::{StreamingLogSumExp, log_sum_exp};
use probability::rms_norm::RmsNorm;
use probability::running::Running;
use probability::sample::{SampleError, Sampler};
use probability::sigmoid::{log_sigmoid, logit, sigmoid};
use probability::softmax::{
    Softmax, log_softmax, softmax, softmax_in_place, softmax_into, tempered_softmax,
};
use probability::transform::{
    Logits, MinP, RepetitionPenalty, Temperature, TopK, TopP, Transform, Typical,
};
use probability::{Categorical, Joint, MultivariateGaussian, ProbabilityError as Error, Random};
use probability::{
    bayes, diffusion, distribution, dropout, goodness, gumbel, layer_norm, likelihood, mask,
    moments, paired, power, rms_norm, welch,
};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;
/// The smallest number above 0.
const TINY: f64 = 5e-324;

fn nan(x: &[f64]) -> bool {
    !x.is_empty() && x.iter().all(|x| x.is_nan())
}

/// Returns whether it is an error that names element `at`.
fn element<T: std::fmt::Debug>(result: Result<T, Error>, at: usize) -> bool {
    matches!(result, Err(Error::Element { index, .. }) if index == at)
}

fn empty<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Empty { .. }))
}

fn length<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Length { .. }))
}

fn setting<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Setting { .. }))
}

#[test]
fn softmaxes() {
    assert_eq!(softmax(&[0.0, -0.0, TINY, -TINY]), [0.25; 4]);
    assert_eq!(softmax(&[f64::MAX, -f64::MAX]), [1.0, 0.0]);
    assert_eq!(softmax(&[f64::MAX, f64::MAX]), [0.5, 0.5]);
    assert_eq!(softmax(&[0.0, -INF]), [1.0, 0.0]);
    assert_eq!(softmax(&[-745.0, 0.0]), [(-745.0_f64).exp(), 1.0]); // a denormal probability
    assert_eq!(softmax(&[-3.0]), [1.0]);
    assert!(softmax::<f64>(&[]).is_empty());
    for impossible in [[0.0, NAN], [0.0, INF], [-INF, -INF], [INF, -INF]] {
        assert!(nan(&softmax(&impossible)), "{impossible:?}");
        assert!(nan(&log_softmax(&impossible)), "{impossible:?}");
        assert!(nan(&tempered_softmax(&impossible, 0.0).unwrap()), "{impossible:?}");
        assert!(nan(&tempered_softmax(&impossible, 0.5).unwrap()), "{impossible:?}");
        assert!(nan(&tempered_softmax(&impossible, INF).unwrap()), "{impossible:?}");
        let mut fast = impossible;
        assert!(softmax_in_place(&mut fast).is_nan() && nan(&fast), "{impossible:?}");
        assert!(nan(&[softmax_into(&mut fast, &impossible)]) && nan(&fast));
    }
    assert_eq!(log_softmax(&[0.0, -INF]), [0.0, -INF]);
    assert_eq!(log_softmax(&[f64::MAX, -f64::MAX]), [0.0, -INF]); // the difference overflows
    assert_eq!(log_softmax(&[0.0, -1e300]), [0.0, -1e300]);
    assert_eq!(log_softmax(&[7.0]), [0.0]);
    assert!(log_softmax::<f64>(&[]).is_empty());
    let mut one = [1e300];
    assert_eq!((softmax_in_place(&mut one), one), (1e300, [1.0]));
    assert_eq!(softmax_in_place::<f64>(&mut []), -INF);
    // Temperatures from denormal to infinite; a logit of −∞ stays impossible at all of them.
    let z = [1.0, 0.0, -INF];
    assert_eq!(tempered_softmax(&z, TINY).unwrap(), [1.0, 0.0, 0.0]);
    assert_eq!(tempered_softmax(&z, f64::MAX).unwrap(), [0.5, 0.5, 0.0]);
    assert_eq!(tempered_softmax(&z, INF).unwrap(), [0.5, 0.5, 0.0]);
    assert_eq!(tempered_softmax(&[2.0, 2.0, 1.0], 0.0).unwrap(), [0.5, 0.5, 0.0]);
    assert_eq!(tempered_softmax(&[2.0, 2.0, 1.0], -0.0).unwrap(), [0.5, 0.5, 0.0]);
    assert_eq!(tempered_softmax(&[1.0_f32, 0.0], 1e-300).unwrap(), [1.0, 0.0]); // 0 in f32
    assert!(tempered_softmax::<f64>(&[], 1.0).unwrap().is_empty());
    assert!(setting(tempered_softmax(&z, -1.0)) && setting(tempered_softmax(&z, NAN)));
}

#[test]
fn log_sum_exps() {
    assert_eq!(log_sum_exp::<f64>(&[]), -INF);
    assert_eq!(log_sum_exp(&[-INF, -INF]), -INF);
    assert_eq!(log_sum_exp(&[INF, 0.0]), INF);
    assert_eq!(log_sum_exp(&[INF, -INF]), INF);
    assert!(log_sum_exp(&[NAN, INF]).is_nan() && log_sum_exp(&[0.0, NAN]).is_nan());
    for z in [0.0, -0.0, TINY, -TINY, 1e-300, -1e-300, 3.7, -3.7, f64::MAX, -f64::MAX] {
        assert_eq!(log_sum_exp(&[z]), z);
        assert_eq!(log_sum_exp(&[z, -INF]), z);
    }
    assert_eq!(log_sum_exp(&[-f64::MAX, f64::MAX]), f64::MAX);
    assert_eq!(log_sum_exp(&[0.0, -745.0]), (-745.0_f64).exp());
    let streamed = |z: &[f64]| z.iter().copied().collect::<StreamingLogSumExp<f64>>();
    assert_eq!(streamed(&[]).value(), -INF);
    assert_eq!(StreamingLogSumExp::<f64>::default().sum(), 0.0);
    assert_eq!(streamed(&[-INF, -INF]).value(), -INF);
    assert_eq!(streamed(&[-INF, 2.0, -INF]).value(), 2.0);
    assert_eq!(streamed(&[-f64::MAX, f64::MAX]).maximum(), f64::MAX);
    assert_eq!(streamed(&[f64::MAX, f64::MAX]).sum(), 2.0);
    assert!(streamed(&[0.0, NAN, 1.0]).value().is_nan());
    assert!(streamed(&[0.0, INF]).value().is_nan());
    assert!(streamed(&[0.0]).merge(&streamed(&[NAN])).value().is_nan());
}

#[test]
fn sigmoids() {
    assert_eq!([sigmoid(-INF), sigmoid(0.0), sigmoid(-0.0), sigmoid(INF)], [0.0, 0.5, 0.5, 1.0]);
    assert_eq!([sigmoid(-745.0), sigmoid(-1e300)], [(-745.0_f64).exp(), 0.0]);
    assert_eq!([sigmoid(TINY), sigmoid(1e300)], [0.5, 1.0]);
    assert_eq!([log_sigmoid(-INF), log_sigmoid(-1e300), log_sigmoid(INF)], [-INF, -1e300, 0.0]);
    assert_eq!(log_sigmoid(0.0), -std::f64::consts::LN_2);
    assert_eq!([logit(0.0), logit(-0.0), logit(0.5), logit(1.0)], [-INF, -INF, 0.0, INF]);
    assert_eq!(logit(TINY), TINY.ln());
    for x in [-0.1, 1.1, INF, -INF, NAN] {
        assert!(logit(x).is_nan());
    }
    assert!(sigmoid(NAN).is_nan() && log_sigmoid(NAN).is_nan());
}

#[test]
fn masks() {
    let scores = matrix(2, 2, &[0.0, NAN, INF, 0.0]);
    assert_eq!(mask::masked_softmax(&scores, |k, q| k == q).unwrap(), Matrix::identity(2, 2));
    assert!(element(mask::masked_softmax(&scores, |_, _| true), 1));
    let hidden = matrix(2, 2, &[0.0, 0.0, -INF, -INF]);
    assert_eq!(mask::masked_softmax(&hidden, |_, _| true), Err(Error::FullyMasked { row: 1 }));
    assert_eq!(mask::masked_softmax(&hidden, |_, _| false), Err(Error::FullyMasked { row: 0 }));
    assert_eq!(
        mask::masked_softmax(&Matrix::<f64>::zeros(0, 1), |_, _| true),
        Err(Error::FullyMasked { row: 0 })
    );
    assert!(mask::masked_softmax(&Matrix::<f64>::zeros(3, 0), |_, _| true).unwrap().is_empty());
    let huge = matrix(2, 1, &[f64::MAX, -f64::MAX]);
    assert_eq!(mask::masked_softmax(&huge, |_, _| true).unwrap().as_slice(), &[1.0, 0.0]);
}

#[test]
fn categoricals() {
    for bad in [-1.0, -TINY, INF, -INF, NAN] {
        assert!(element(Categorical::from_probabilities(&[1.0, bad]), 1));
        assert!(element(Categorical::from_weights(&[1.0, bad]), 1));
    }
    assert!(
        element(Categorical::from_logits(&[0.0, NAN]), 1)
            && element(Categorical::from_logits(&[INF]), 0)
    );
    assert!(
        empty(Categorical::<f64>::from_probabilities(&[]))
            && empty(Categorical::<f64>::from_weights(&[]))
    );
    assert!(
        empty(Categorical::<f64>::from_logits(&[])) && empty(Categorical::from_logits(&[-INF]))
    );
    assert!(
        empty(Categorical::<f64>::from_counts(&[]))
            && empty(Categorical::<f64>::from_counts(&[0, 0]))
    );
    assert!(empty(Categorical::<f64>::uniform(0)) && length(Categorical::<f64>::certain(3, 3)));
    assert!(matches!(Categorical::from_probabilities(&[0.5, 0.4]), Err(Error::Sum { .. })));
    assert!(matches!(
        Categorical::from_probabilities(&[f64::MAX, f64::MAX]),
        Err(Error::Sum { .. })
    ));
    // Zeros of either sign, denormal and huge weights.
    assert_eq!(
        Categorical::from_weights(&[-0.0, 0.0, 2.0]).unwrap().probabilities(),
        [0.0, 0.0, 1.0]
    );
    assert_eq!(
        Categorical::from_weights(&[TINY, 3.0 * TINY]).unwrap().probabilities(),
        [0.25, 0.75]
    );
    assert_eq!(Categorical::from_weights(&[f64::MAX; 4]).unwrap().probabilities(), [0.25; 4]);
    assert_eq!(Categorical::from_weights(&[f32::MAX; 4]).unwrap().probabilities(), [0.25; 4]);
    assert_eq!(Categorical::from_weights(&[1e-45_f32, 0.0]).unwrap().probabilities(), [1.0, 0.0]);
    assert_eq!(
        Categorical::<f64>::from_counts(&[u64::MAX, u64::MAX]).unwrap().probabilities(),
        [0.5, 0.5]
    );
    let p = Categorical::from_probabilities(&[0.0, 0.5, 0.5, 0.0]).unwrap();
    assert_eq!((p.mode(), p.probability(4), p.len()), (1, 0.0, 4));
    assert_eq!([NAN, -INF, -1.0, 0.0, 0.5, 1.0, INF].map(|u| p.quantile(u)), [1, 1, 1, 1, 2, 2, 2]);
    // An impossible outcome contributes nothing, even if its value is infinite.
    assert_eq!(p.expectation(|i| [INF, 1.0, 3.0, NAN][i]), 2.0);
    assert_eq!(p.variance(|i| [INF, 1.0, 3.0, NAN][i]), 1.0);
    assert!(p.expectation(|_| NAN).is_nan() && p.variance(|_| INF).is_nan());
    assert!(setting(p.mixture(&p, 1.5)) && setting(p.mixture(&p, NAN)));
    assert!(length(p.mixture(&Categorical::uniform(3).unwrap(), 0.5)));
    assert_eq!(p.mixture(&p, 1.0).unwrap(), p);
    assert_eq!(p.cumulative(), [0.0, 0.5, 1.0, 1.0]);
    // A product that underflows is 0, and the rest still sums to one.
    let rare = Categorical::from_weights(&[TINY, 1.0]).unwrap();
    assert_eq!(rare.cumulative(), [TINY, 1.0]);
    assert_eq!(rare.product(&rare).probabilities(), [0.0, TINY, TINY, 1.0]);
    assert_eq!(Joint::independent(&rare, &rare).table().as_slice(), [0.0, TINY, TINY, 1.0]);
    let certain = Categorical::<f64>::uniform(1).unwrap();
    assert_eq!(certain.product(&certain), certain);
    assert_eq!(certain.cumulative(), [1.0]);
}

#[test]
fn tables() {
    let one = Joint::from_probabilities(&matrix(1, 1, &[1.0])).unwrap();
    assert_eq!(one.y_given(0).unwrap().probabilities(), [1.0]);
    assert_eq!(one.total_variance(|_| 7.0).total(), 0.0);
    assert!(setting(one.correlation(|_| 1.0, |_| 2.0)));
    let even = Joint::from_probabilities(&matrix(2, 2, &[0.4, 0.1, 0.1, 0.4])).unwrap();
    for (a, b) in [(1e90, 1e90), (1e-90, 1e-90), (1e300, 1e-300), (1e308, -1e308), (5e-324, 1.0)] {
        let r = even.correlation(|x| x as f64 * a, |y| y as f64 * b).unwrap();
        let sign = f64::signum(a * b.signum());
        assert!((r - sign * 0.6).abs() < 1e-15, "{a:e} {b:e}: {r}");
    }
    assert!(even.correlation(|x| if x == 0 { INF } else { 1.0 }, |y| y as f64).unwrap().is_nan());
    assert!(
        empty(Joint::from_weights(&Matrix::<f64>::zeros(2, 2)))
            && empty(Joint::from_weights(&Matrix::<f64>::zeros(0, 3)))
    );
    assert!(element(Joint::from_probabilities(&matrix(1, 2, &[1.0, NAN])), 1));
    // The value of an impossible outcome does not count.
    let never = Joint::from_probabilities(&matrix(2, 2, &[0.5, 0.0, 0.5, 0.0])).unwrap(); // x = 0
    for hard in [INF, -INF, NAN] {
        let at = |x: usize| if x == 0 { 2.0 } else { hard };
        assert_eq!(never.expectation(|x, _| at(x)), 2.0);
        assert_eq!(never.covariance(at, |y| y as f64), 0.0);
        assert_eq!(never.transposed().conditional_means(at), [2.0, 2.0]);
        let parts = never.transposed().total_variance(at);
        assert_eq!((parts.within, parts.between, parts.total()), (0.0, 0.0, 0.0));
        // The value of a possible outcome counts.
        let found = even.expectation(|x, _| at(x));
        assert!(found == hard || hard.is_nan() && found.is_nan());
        assert!(even.covariance(at, |y| y as f64).is_nan());
        assert!(nan(&even.conditional_means(at)) || even.conditional_means(at) == [hard; 2]);
        let parts = even.total_variance(at);
        assert!(parts.within.is_nan() && parts.between.is_nan() && parts.total().is_nan());
    }
    assert!(even.expectation(|x, _| if x == 0 { INF } else { -INF }).is_nan());
    assert_eq!(even.expectation(|_, _| -0.0), 0.0);
    assert!((even.expectation(|_, _| 1e308) / 1e308 - 1.0).abs() <= 4.0 * f64::EPSILON);
    assert!(even.conditional_means(|_| TINY).iter().all(|&m| m == TINY || m == 0.0));
    assert_eq!(never.conditional_means(|y| y as f64 + 1.0), [1.5, 0.0]); // no mean: 0
    // Squares that overflow and underflow.
    assert_eq!(even.covariance(|x| x as f64 * 1e200, |y| y as f64 * 1e200), INF); // of both signs
    assert_eq!(
        even.covariance(|x| x as f64 * 1e200, |y| y as f64 * 1e-200),
        even.covariance(|x| x as f64, |y| y as f64)
    );
    let alike = Joint::from_probabilities(&matrix(2, 2, &[0.5, 0.0, 0.0, 0.5])).unwrap();
    assert_eq!(alike.covariance(|x| x as f64 * 1e200, |y| y as f64 * 1e200), INF);
    assert_eq!(alike.covariance(|x| x as f64 * 1e200, |y| y as f64 * -1e200), -INF);
    assert_eq!(even.covariance(|x| x as f64 * 1e-200, |y| y as f64 * 1e-200), 0.0);
    let (huge, tiny) =
        (even.total_variance(|y| y as f64 * 1e200), even.total_variance(|y| y as f64 * 1e-200));
    assert_eq!((huge.within, huge.between, huge.total()), (INF, INF, INF));
    assert_eq!((tiny.within, tiny.between, tiny.total()), (0.0, 0.0, 0.0));
    assert_eq!((one.expectation(|_, _| 7.0), one.covariance(|_| 7.0, |_| 3.0)), (7.0, 0.0));
    assert_eq!(one.total_variance(|_| 7.0).total(), 0.0);
    let half = Joint::from_probabilities(&matrix(2, 2, &[0.5, 0.0, 0.5, 0.0])).unwrap();
    assert_eq!(half.y_given(1), Err(Error::Impossible { what: "x =", index: 1 }));
    assert_eq!(half.transposed().x_given(1), Err(Error::Impossible { what: "y =", index: 1 }));
    assert_eq!(half.x_given(9), Err(Error::Impossible { what: "y =", index: 9 }));
    assert_eq!(half.conditional_means(|y| y as f64), [0.5, 0.0]);
    let x = Categorical::<f64>::uniform(2).unwrap();
    assert!(length(Joint::from_conditionals(&x, std::slice::from_ref(&x))));
    assert!(length(Joint::from_conditionals(&x, &[x.clone(), Categorical::uniform(3).unwrap()])));
}

#[test]
fn bayesian() {
    let prior = Categorical::from_probabilities(&[0.5, 0.5, 0.0]).unwrap();
    assert!(
        element(bayes::posterior(&prior, &[0.1, NAN, 0.1]), 1)
            && element(bayes::total_probability(&prior, &[INF, 0.0, 0.0]), 0)
    );
    assert!(
        element(bayes::posterior(&prior, &[-1.0, 0.0, 0.0]), 0)
            && length(bayes::posterior(&prior, &[0.1]))
    );
    assert!(empty(bayes::posterior(&prior, &[0.0, -0.0, 1.0])));
    assert_eq!(
        bayes::posterior(&prior, &[1e-300, 3e-300, 1.0]).unwrap().probabilities(),
        [0.25, 0.75, 0.0]
    );
    assert_eq!(
        bayes::posterior(&prior, &[f64::MAX, f64::MAX, 0.0]).unwrap().probabilities(),
        [0.5, 0.5, 0.0]
    );
    let far = Categorical::<f64>::from_weights(&[1e-200, 1.0, 1e-200]).unwrap();
    let both_tiny = bayes::posterior(&far, &[1e-200, 0.0, 3e-200]).unwrap(); // products of 10⁻⁴⁰⁰
    assert!((both_tiny.probability(2) - 0.75).abs() < 1e-15);
    assert!(empty(bayes::posterior_of_many(&prior, &[vec![-INF], vec![-INF], vec![]])));
    assert!(element(bayes::posterior_of_many(&prior, &[vec![NAN], vec![], vec![]]), 0));
    assert_eq!(
        bayes::posterior_of_many(&prior, &[vec![], vec![-INF], vec![]]).unwrap().probabilities(),
        [1.0, 0.0, 0.0]
    );
    assert!(length(bayes::posterior_of_many(&prior, &[vec![]])));
    assert_eq!(bayes::conditional(0.0, TINY).unwrap(), 0.0);
    assert_eq!(bayes::conditional(TINY, TINY).unwrap(), 1.0);
    assert_eq!(bayes::conditional(0.0, 0.0), Err(Error::Impossible { what: "event", index: 0 }));
    for (both, condition) in
        [(0.2, 0.1), (NAN, 0.5), (0.1, NAN), (0.1, 1.5), (-0.1, 0.5), (INF, INF)]
    {
        assert!(setting(bayes::conditional(both, condition)));
    }
}

#[test]
fn likelihoods() {
    assert!(
        empty(likelihood::fit_categorical::<f64>(&[0, 0], 0.0))
            && empty(likelihood::fit_categorical::<f64>(&[], 1.0))
    );
    for alpha in [-1.0, NAN, INF] {
        assert!(setting(likelihood::fit_categorical::<f64>(&[1], alpha)));
    }
    assert_eq!(
        likelihood::fit_categorical::<f64>(&[0, 0], TINY).unwrap().probabilities(),
        [0.5, 0.5]
    );
    let p = Categorical::from_probabilities(&[1.0, 0.0]).unwrap();
    assert_eq!(likelihood::log_likelihood(&p, &[5, 0]).unwrap(), 0.0);
    assert_eq!(likelihood::log_likelihood(&p, &[5, 1]).unwrap(), -INF);
    assert_eq!(likelihood::mean_surprisal(&p, &[5, 1]).unwrap(), INF);
    assert!(
        empty(likelihood::mean_surprisal(&p, &[0, 0]))
            && length(likelihood::log_likelihood(&p, &[1]))
    );
    // Any scale: the largest, squares that overflow or underflow, and denormals.
    for scale in [f64::MAX, 1e200, 1e160, 1.0, 1e-160, 1e-200, 1e-300, f64::MIN_POSITIVE] {
        let fit = likelihood::fit_gaussian(&[scale, -scale]).unwrap();
        assert_eq!((fit.mean(), fit.deviation()), (0.0, scale));
        let fit = likelihood::fit_gaussian(&[0.25 * scale, 0.75 * scale]).unwrap();
        let off = [fit.mean() / scale - 0.5, fit.deviation() / scale - 0.25].map(f64::abs);
        assert!(off[0] <= f64::EPSILON && off[1] <= f64::EPSILON, "{scale:e}: {fit:?}");
    }
    let small = likelihood::fit_gaussian(&[1e-30_f32, 3e-30]).unwrap().deviation();
    assert!((small / 1e-30 - 1.0).abs() <= 2.0 * f32::EPSILON);
    assert_eq!(likelihood::fit_gaussian(&[TINY, -TINY]).unwrap().deviation(), TINY);
    assert!(setting(likelihood::fit_gaussian(&[0.0, TINY]))); // half of the smallest float underflows
    assert_eq!(likelihood::fit_gaussian(&[TINY, 1.0, 2.0]).unwrap().mean(), 1.0);
    assert!(
        empty(likelihood::fit_gaussian::<f64>(&[]))
            && element(likelihood::fit_gaussian(&[1.0, NAN]), 1)
    );
    assert!(
        element(likelihood::fit_gaussian(&[INF]), 0)
            && setting(likelihood::fit_gaussian(&[0.1, 0.1, 0.1]))
    );
}

#[test]
fn gaussians() {
    for (mean, deviation) in
        [(NAN, 1.0), (INF, 1.0), (0.0, 0.0), (0.0, -1.0), (0.0, NAN), (0.0, INF)]
    {
        assert!(setting(Gaussian::new(mean, deviation)));
    }
    let g = Gaussian::new(0.0, 1.0).unwrap();
    assert_eq!(
        [g.ln_density(INF), g.ln_density(-INF), g.density(INF), g.density(1e200)],
        [-INF, -INF, 0.0, 0.0]
    );
    assert_eq!([g.below(-INF), g.below(0.0), g.below(-0.0), g.below(INF)], [0.0, 0.5, 0.5, 1.0]);
    assert!(g.below(-38.0) > 0.0 && g.below(-38.0) < 1e-300);
    assert!(g.density(NAN).is_nan() && g.below(NAN).is_nan() && g.ln_density(NAN).is_nan());
    assert_eq!([g.quantile(0.0), g.quantile(1.0)], [Ok(-INF), Ok(INF)]);
    assert!(setting(g.quantile(-0.1)) && setting(g.quantile(NAN)));
    assert_eq!((g.mean(), g.deviation()), (0.0, 1.0));
    assert_eq!(g.draw(&Random::new(0, 0, 0), u64::MAX), Random::new(0, 0, 0).normal(u64::MAX));
    assert_eq!([0.0, TINY, INF, -INF].map(|x| g.standardised(x)), [0.0, TINY, INF, -INF]);
    assert!(g.standardised(NAN).is_nan());
    assert_eq!(Gaussian::new(1.0, TINY).unwrap().standardised(2.0), INF); // 2·10³²³ overflows
    // So does 2·MAX, but its quotient does not.
    assert_eq!(Gaussian::new(-f64::MAX, f64::MAX).unwrap().standardised(f64::MAX), 2.0);
    assert_eq!(Gaussian::new(0.0, f64::MAX).unwrap().standardised(-f64::MAX), -1.0);
    let narrow = Gaussian::new(0.0, TINY).unwrap();
    assert!(narrow.density(0.0).is_infinite()); // 1/σ overflows
    let wide = Gaussian::new(0.0, 1e300).unwrap();
    assert!((wide.ln_density(0.0) + 300.0 * 10.0_f64.ln() + 0.9189385332046728).abs() < 1e-12);

    let one = matrix(1, 1, &[1.0]);
    assert!(
        empty(MultivariateGaussian::new(&[], &Matrix::zeros(0, 0)))
            && length(MultivariateGaussian::new(&[0.0, 0.0], &one))
    );
    assert!(length(MultivariateGaussian::new(&[0.0], &matrix(1, 2, &[1.0, 0.0]))));
    assert!(
        element(MultivariateGaussian::new(&[NAN], &one), 0)
            && element(MultivariateGaussian::new(&[0.0], &matrix(1, 1, &[INF])), 0)
    );
    let slanted = MultivariateGaussian::new(&[0.0, 0.0], &matrix(2, 2, &[1.0, 0.5, 0.4, 1.0]));
    assert_eq!(
        slanted.unwrap_err(),
        Error::Asymmetric { row: 1, column: 0, found: 0.5, mirrored: 0.4 }
    );
    for (size, covariance) in [
        (1, [0.0, 0.0, 0.0, 1.0]),
        (1, [-1.0, 0.0, 0.0, 1.0]),
        (2, [1.0, 1.0, 1.0, 1.0]),
        (2, [1.0, 2.0, 2.0, 1.0]),
    ] {
        let refused =
            MultivariateGaussian::new(&[0.0, 0.0], &matrix(2, 2, &covariance)).unwrap_err();
        assert_eq!(refused, Error::NotPositiveDefinite { size });
    }
    assert!(length(MultivariateGaussian::from_factor(&[0.0], &matrix(2, 1, &[1.0, 1.0]))));
    let singular = MultivariateGaussian::from_factor(&[0.0, 0.0], &matrix(2, 1, &[1.0, 3.0]));
    assert_eq!(singular.unwrap_err(), Error::NotPositiveDefinite { size: 2 });
    for scale in [1e-300, 1e300] {
        let g = MultivariateGaussian::new(&[0.0], &matrix(1, 1, &[scale])).unwrap();
        assert!((g.factor()[0] / scale.sqrt() - 1.0).abs() < 1e-15 && g.dimension() == 1);
        assert!((g.log_determinant() / scale.ln() - 1.0).abs() < 1e-15);
        assert!(g.ln_density(&[0.0]).unwrap().is_finite());
        // Of two whose product is no number.
        let slanted = matrix(2, 2, &[scale, 0.1 * scale, -0.1 * scale, scale]);
        let refused = MultivariateGaussian::new(&[0.0, 0.0], &slanted);
        assert!(matches!(refused, Err(Error::Asymmetric { row: 1, column: 0, .. })), "{scale:e}");
    }
    // The determinant is 3·scale², the smallest eigenvalue scale, the squared distance of (√scale, √scale) 2/3.
    for scale in [1e-323, 1e-310, 1e-300, 1e300, f64::MAX / 2.0] {
        let pair = matrix(2, 2, &[2.0 * scale, scale, scale, 2.0 * scale]);
        let g = MultivariateGaussian::new(&[0.0, 0.0], &pair).unwrap();
        assert_eq!(g.covariance(), &pair);
        let ln = 3.0_f64.ln() + 2.0 * scale.ln();
        assert!((g.log_determinant() / ln - 1.0).abs() < 1e-15, "{scale:e}");
        let deviation = scale.sqrt();
        let distance = g.squared_distance(&[deviation, deviation]).unwrap();
        assert!((distance - 2.0 / 3.0).abs() < 1e-15, "{scale:e}: {distance}");
        let first = g.given(&[1], &[deviation]).unwrap();
        assert!((first.mean()[0] / deviation - 0.5).abs() < 1e-15);
        let variance = first.covariance()[0];
        assert!(
            (variance / 1.5 - scale).abs() <= 1e-15 * scale + 5e-324,
            "{scale:e}: {variance:e}"
        );
    }
    let g = MultivariateGaussian::new(&[0.0, 0.0], &Matrix::identity(2, 2)).unwrap();
    assert!(
        !g.ln_density(&[INF, 0.0]).unwrap().is_finite()
            && !g.squared_distance(&[0.0, -INF]).unwrap().is_finite()
    );
    assert!(g.ln_density(&[NAN, 0.0]).unwrap().is_nan());
    assert!(length(g.ln_density(&[0.0])) && length(g.squared_distance(&[0.0; 3])));
    assert!(
        element(g.marginal(&[0, 0]), 1) && element(g.marginal(&[2]), 0) && empty(g.marginal(&[]))
    );
    assert!(
        element(g.given(&[0], &[NAN]), 0)
            && element(g.given(&[7], &[0.0]), 0)
            && length(g.given(&[0], &[]))
    );
    assert!(empty(g.given(&[0, 1], &[0.0, 0.0])));
    assert_eq!(g.given(&[], &[]).unwrap().mean(), g.mean());
}

#[test]
fn noise() {
    for bad in [-0.1, 1.1, NAN, INF] {
        assert!(setting(diffusion::diffuse(&[1.0], bad, &[1.0])));
    }
    assert!(length(diffusion::diffuse(&[1.0], 0.5, &[])));
    assert!(diffusion::diffuse::<f64>(&[], 0.5, &[]).unwrap().is_empty());
    assert_eq!(diffusion::diffuse(&[3.0], 1.0, &[5.0]).unwrap(), [3.0]);
    assert_eq!(diffusion::diffuse(&[3.0], 0.0, &[5.0]).unwrap(), [5.0]);
    assert_eq!(diffusion::diffuse(&[INF], 0.25, &[5.0]).unwrap(), [INF]);
    assert!(nan(&diffusion::diffuse(&[INF], 0.25, &[-INF]).unwrap()));
}

#[test]
fn sample_moments() {
    use moments::{
        correlation, covariance, covariance_matrix, mean, population_variance, sample_variance,
    };
    assert!(empty(mean::<f64>(&[])) && empty(population_variance::<f64>(&[])));
    assert!(
        length(sample_variance(&[1.0]))
            && length(covariance(&[1.0, 2.0], &[1.0]))
            && length(correlation(&[1.0], &[1.0]))
    );
    assert_eq!((mean(&[7.0]).unwrap(), population_variance(&[7.0]).unwrap()), (7.0, 0.0));
    assert_eq!(mean(&[TINY, TINY]).unwrap(), TINY);
    assert_eq!(mean(&[1e100, 1.0, -1e100]).unwrap(), 1.0 / 3.0);
    assert_eq!([mean(&[INF, 1.0]), mean(&[f64::MAX, f64::MAX])], [Ok(INF), Ok(f64::MAX)]);
    assert!(mean(&[INF, -INF]).unwrap().is_nan() && mean(&[NAN]).unwrap().is_nan());
    // A constant has spread 0, for any digits.
    for x in [0.1, 1e300, 1e-310, -0.0] {
        assert_eq!(population_variance(&[x; 7]).unwrap(), 0.0);
        assert!(setting(correlation(&[x; 7], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])));
    }
    assert_eq!(population_variance(&[1e200, -1e200]).unwrap(), INF);
    assert!(
        population_variance(&[INF, 1.0]).unwrap().is_nan()
            && covariance(&[NAN, 1.0], &[1.0, 2.0]).unwrap().is_nan()
    );
    for scale in [1e-320, 1e-200, 1e200, f64::MAX] {
        let r = correlation(&[-scale, 0.0, scale], &[1.0, 2.0, 3.0]).unwrap();
        assert!((r - 1.0).abs() < 1e-15, "{scale}: {r}");
    }
    assert!(correlation(&[INF, 1.0], &[1.0, 2.0]).unwrap().is_nan());
    assert!(length(covariance_matrix(&matrix(2, 1, &[1.0, 2.0]))));
    assert!(covariance_matrix(&Matrix::<f64>::zeros(0, 3)).unwrap().is_empty());

    let of = |x: &[f64]| x.iter().copied().collect::<Running<f64>>();
    assert!(
        length(of(&[]).mean())
            && length(of(&[]).population_variance())
            && length(of(&[1.0]).sample_variance())
    );
    assert!(length(Running::<f64>::default().standard_error()));
    assert_eq!((of(&[7.0]).mean(), of(&[7.0]).population_variance()), (Ok(7.0), Ok(0.0)));
    assert_eq!(of(&[0.1; 9]).population_variance().unwrap(), 0.0);
    assert_eq!(of(&[1e200, -1e200]).population_variance().unwrap(), INF);
    assert!(
        of(&[1.0, NAN, 2.0]).mean().unwrap().is_nan()
            && of(&[INF, 1.0]).population_variance().unwrap().is_nan()
    );
    assert_eq!(of(&[TINY, 3.0 * TINY]).mean().unwrap(), 2.0 * TINY);
    assert_eq!(moments::of_experiment(0, |_| 1.0).count(), 0);
}

#[test]
fn normalisations() {
    use layer_norm::{layer_norm, standardise};
    use rms_norm::rms_norm;
    assert!(
        standardise::<f64>(&[], 0.0).unwrap().is_empty()
            && rms_norm::<f64>(&[], &[], 0.0).unwrap().is_empty()
    );
    for bad in [-1.0, NAN, INF] {
        assert!(setting(standardise(&[1.0], bad)) && setting(rms_norm(&[1.0], &[1.0], bad)));
    }
    assert!(
        length(layer_norm(&[1.0], &[], &[0.0], 0.0))
            && length(layer_norm(&[1.0], &[1.0], &[], 0.0))
            && length(rms_norm(&[1.0], &[], 0.0))
    );
    for x in [0.0, -0.0, 0.1, 1e300, TINY] {
        assert_eq!(standardise(&[x; 3], 1e-5).unwrap(), [0.0; 3]);
        assert!(nan(&standardise(&[x; 3], 0.0).unwrap()));
    }
    assert_eq!(standardise(&[5.0], 1e-5).unwrap(), [0.0]);
    for scale in [TINY, 1e-310, 1e-300, 1e-160, 1e160, 1e308] {
        let y = standardise(&[-scale, scale], 0.0).unwrap();
        assert_eq!(y, [-1.0, 1.0], "{scale}");
        assert_eq!(rms_norm(&[-scale, scale], &[1.0; 2], 0.0).unwrap(), [-1.0, 1.0], "{scale}");
    }
    assert_eq!(standardise(&[f64::MAX, -f64::MAX], 1e-5).unwrap(), [1.0, -1.0]);
    // If only ε is left, x/√ε.
    assert_eq!(standardise(&[-1e-200, 1e-200], 0.25).unwrap(), [-2e-200, 2e-200]);
    assert_eq!(rms_norm(&[1e-200], &[1.0], 0.25).unwrap(), [2e-200]);
    assert_eq!(rms_norm(&[0.0, -0.0], &[1.0; 2], 1e-5).unwrap(), [0.0; 2]);
    assert!(nan(&rms_norm(&[0.0], &[1.0], 0.0).unwrap()));
    for bad in [NAN, INF, -INF] {
        assert!(nan(&standardise(&[1.0, bad], 1e-5).unwrap()), "{bad}");
        assert!(nan(&rms_norm(&[1.0, bad], &[1.0; 2], 1e-5).unwrap()), "{bad}");
    }
    for scale in [1e-45_f32, 1e-30, 1e30, f32::MAX] {
        assert_eq!(standardise(&[-scale, scale], 0.0).unwrap(), [-1.0, 1.0], "{scale}");
    }
}

/// Returns the output of a primitive, which cannot fail.
fn replayed<P: Primitive<N>, const N: usize>(op: P, inputs: [&[f64]; N]) -> Vec<f64> {
    let inputs = inputs.map(|x| matrix(x.len(), 1, x));
    let shapes = inputs.each_ref().map(|x| Shape::new(x.nrows(), x.ncols()));
    let shape = op.shape(shapes).unwrap();
    let mut kept = vec![0.0; op.memory(shapes).kept];
    let mut y = matrix(shape.rows, shape.columns, &vec![NAN; shape.len()]);
    let work = Work::new(&mut kept, &mut []);
    op.forward(inputs.each_ref().map(|x| x.as_view()), y.as_view_mut(), work);
    y.as_slice().to_vec()
}

#[test]
fn primitives() {
    assert_eq!(replayed(Softmax, [&[0.0, -INF, -0.0]]), [0.5, 0.0, 0.5]);
    assert_eq!(replayed(Softmax, [&[f64::MAX, -f64::MAX]]), [1.0, 0.0]);
    assert_eq!(replayed(Softmax, [&[3.0]]), [1.0]);
    for impossible in [[-INF, -INF], [0.0, NAN], [0.0, INF]] {
        assert!(nan(&replayed(Softmax, [&impossible])));
    }
    let (layer, rms) = (LayerNorm { epsilon: 1e-5 }, RmsNorm::new(1e-5));
    let (gain, shift) = ([2.0; 2], [7.0; 2]);
    assert_eq!(replayed(layer, [&[4.0, 4.0], &gain, &shift]), shift);
    assert_eq!(replayed(layer, [&[1e200, -1e200], &gain, &shift]), shift);
    assert_eq!(replayed(layer, [&[TINY, -TINY], &gain, &shift]), shift);
    assert_eq!(replayed(rms, [&[0.0, -0.0], &gain]), [0.0; 2]);
    assert_eq!(replayed(rms, [&[1e200, 1.0], &gain]), [0.0; 2]);
    for bad in [NAN, INF, -INF] {
        assert!(nan(&replayed(layer, [&[1.0, bad], &gain, &shift])));
        assert!(nan(&replayed(layer, [&[1.0, bad], &gain])));
        assert!(replayed(rms, [&[1.0, bad], &gain])[1].is_nan());
    }
    assert!(nan(&replayed(rms, [&[1.0, NAN], &gain])));
    let drop = Dropout { rate: 0.5, seed: 1, stream: 0, order: Order::Columns };
    let hard = [0.0, -0.0, TINY, INF, -INF, f64::MAX];
    assert_eq!(replayed(drop, [&hard, &dropout::EVALUATION]), hard); // evaluation
    let y = replayed(drop, [&[INF; 100], &dropout::step(0)]);
    assert!(y.iter().all(|y| *y == INF || y.is_nan()) && y.iter().any(|y| y.is_nan()));
    // The first query sees the first key alone, whatever the others are.
    assert_eq!(replayed(mask::CausalMask::default(), [&[INF]]), [INF]);
    assert!(mask::CausalMask::default().shape([Shape::new(2, 3)]).is_err());
    assert!(layer.shape([Shape::new(3, 2), Shape::new(2, 1)]).is_err());
    assert!(layer.shape([Shape::new(3, 2), Shape::new(3, 1), Shape::new(2, 1)]).is_err());
    assert!(rms.shape([Shape::new(3, 2), Shape::new(3, 2)]).is_err());
}

#[test]
fn dropouts() {
    for bad in [-0.1, 1.0, NAN, INF] {
        assert!(setting(dropout::dropout(&[1.0], bad, 1, 0)));
    }
    assert!(dropout::dropout::<f64>(&[], 0.5, 1, 0).unwrap().is_empty());
    let hard = [0.0, -0.0, TINY, f64::MAX, INF, -INF];
    assert_eq!(dropout::dropout(&hard, 0.0, 1, 0).unwrap(), hard);
    let y = dropout::dropout(&[INF; 100], 0.5, 1, 0).unwrap();
    assert!(y.iter().all(|y| *y == INF || y.is_nan()) && y.iter().any(|y| y.is_nan()));
    // A mask alone: none without a step, and the same by elements and by runs, to the last element that has a number.
    let of = |rate| Dropout { rate, seed: 1, stream: 2, order: Order::Columns };
    for none in [-1.0, -TINY, -INF, NAN] {
        assert!(of(0.5).mask(linalg::View::from_slice(&[none, 0.0], 2, 1)).is_none());
    }
    for (rate, kept) in [(0.0, 1.0), (0.5, 2.0), (0.75, 4.0)] {
        let mask = of(rate).mask(linalg::View::from_slice(&[-0.0, 0.0], 2, 1)).unwrap();
        for first in [0, 1, 15, 16, 1 << 40, u64::MAX - 40] {
            let mut all = Vec::new();
            mask.runs(first, 33, |i, factors: &[f64]| {
                assert_eq!(i, all.len());
                all.extend_from_slice(factors);
            });
            assert_eq!(all.len(), 33);
            for (i, &factor) in all.iter().enumerate() {
                assert_eq!(factor, mask.factor::<f64>(first + i as u64));
                assert!(factor == kept || (factor == 0.0 && rate > 0.0), "{factor}");
            }
        }
        mask.runs(7, 0, |_, _: &[f64]| panic!("of nothing, no run"));
    }
    assert_eq!(dropout::weight_index(1, 0, 0), 0);
}

#[test]
fn initial_weights() {
    for bad in [-1.0, NAN, INF] {
        assert!(
            setting(Initialiser::Normal(bad).variance(1, 1))
                && setting(Initialiser::Uniform(bad).variance(1, 1))
        );
    }
    assert!(
        setting(Initialiser::XavierNormal.variance(0, 1))
            && setting(Initialiser::XavierUniform.variance(1, 0))
    );
    assert!(
        setting(Initialiser::KaimingNormal.variance(0, 1))
            && setting(Initialiser::Gpt2Residual { layers: 0 }.variance(1, 1))
    );
    let random = Random::new(0, 0, 0);
    assert!(Initialiser::RecordedStep.weights::<f64>(0, 5, &random, 0).unwrap().is_empty());
    assert!(
        Initialiser::Normal(0.0)
            .weights::<f64>(3, 2, &random, 0)
            .unwrap()
            .iter()
            .all(|w| *w == 0.0)
    );
    assert!(
        Initialiser::Uniform(1e150)
            .weights::<f64>(3, 2, &random, u64::MAX)
            .unwrap()
            .iter()
            .all(|w| w.is_finite())
    );
}

#[test]
fn drawing() {
    let random = Random::new(0, 0, 0);
    for i in [0, 1, u64::MAX / 2, u64::MAX] {
        assert!(
            random.uniform(i) < 1.0
                && random.normal(i).is_finite()
                && gumbel::gumbel(&random, i).is_finite()
        );
    }
    assert!(
        empty(gumbel::gumbel_max::<f64>(&[], &random, 0))
            && empty(gumbel::gumbel_max(&[-INF], &random, 0))
    );
    assert!(
        element(gumbel::gumbel_max(&[0.0, NAN], &random, 0), 1)
            && element(gumbel::gumbel_max(&[INF], &random, 0), 0)
    );
    assert_eq!(gumbel::gumbel_max(&[-f64::MAX, -INF, f64::MAX], &random, 0), Ok(2));
    assert_eq!(gumbel::gumbel_max(&[-INF, 3.0], &random, u64::MAX), Ok(1));
    assert!(
        empty(AliasTable::from_counts(&[]))
            && empty(AliasTable::from_counts(&[0]))
            && setting(AliasTable::from_counts(&[u64::MAX]))
    );
    let one = AliasTable::from_counts(&[3]).unwrap();
    assert_eq!(
        (one.draw(&random, u64::MAX), one.probability(0), one.probability(1)),
        (0, 1.0, 0.0)
    );
    assert_eq!(one.shares(), [3]);
    // Areas are integers: those of the largest possible counts are exact too.
    let large = AliasTable::from_counts(&[u64::MAX / 4, 0, 1]).unwrap();
    assert_eq!(large.shares(), [u64::MAX / 4, 0, 1].map(|c| 3 * u128::from(c)));
    let table = AliasTable::new(&Categorical::from_weights(&[TINY, 1.0, 0.0]).unwrap());
    assert!(table.probability(0) > 0.0 && table.probability(2) == 0.0);
    let normal = distribution::Normal::new(0.0, 1.0).unwrap();
    assert!((0..1000).all(|i| distribution::draw(&normal, &random, i).is_finite()));
    let trials = distribution::Binomial::new(0.5, 3).unwrap();
    assert!((0..1000).all(|i| distribution::draw_whole(&trials, &random, i) <= 3));
}

#[test]
fn transformations() {
    assert_eq!(Logits::new(&[]), Err(SampleError::Empty));
    for (index, bad) in [(1, [0.0, NAN]), (0, [INF, 0.0]), (0, [-INF, -INF])] {
        assert!(
            matches!(Logits::new(&bad), Err(SampleError::Logit { index: i, .. }) if i == index)
        );
    }
    let hard = Logits::new(&[f64::MAX, -f64::MAX, -INF, 0.0, -0.0, TINY]).unwrap();
    let greedy = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let p = |t: &dyn Fn(Logits) -> Result<Logits, SampleError>| {
        t(hard.clone()).unwrap().distribution().probabilities().to_vec()
    };
    assert_eq!(p(&|z| Temperature(0.0).apply(z)), greedy);
    assert_eq!(p(&|z| Temperature(TINY).apply(z)), greedy);
    assert_eq!(p(&|z| Temperature(2.0).apply(z)), greedy);
    assert_eq!(p(&|z| TopK(usize::MAX).apply(z)), greedy);
    assert_eq!(p(&|z| TopP(1.0).apply(z)), greedy);
    assert_eq!(p(&|z| MinP(0.0).apply(z)), greedy);
    assert_eq!(p(&|z| Typical(1.0).apply(z)), greedy);
    let punished = RepetitionPenalty { penalty: 1e300, history: &[0, 1, 2, 3, 4, 5] }
        .apply(hard.clone())
        .unwrap();
    assert_eq!(punished.values(), [f64::MAX / 1e300, -f64::MAX, -INF, 0.0, -0.0, TINY / 1e300]);
    let refused = |r: Result<Logits, SampleError>| matches!(r, Err(SampleError::Setting { .. }));
    for bad in [-1.0, NAN, INF] {
        assert!(
            refused(Temperature(bad).apply(hard.clone())) && refused(TopP(bad).apply(hard.clone()))
        );
        assert!(
            refused(MinP(bad).apply(hard.clone())) && refused(Typical(bad).apply(hard.clone()))
        );
        assert!(refused(RepetitionPenalty { penalty: bad, history: &[] }.apply(hard.clone())));
    }
    assert!(
        refused(TopK(0).apply(hard.clone())) && refused(TopK(3).then(Temperature(NAN)).apply(hard))
    );
    let sampler = Sampler { temperature: TINY, ..Sampler::default() };
    assert_eq!([0.0, 0.5, 1.0].map(|u| sampler.draw(&[1.0, 2.0], u).unwrap()), [1; 3]);
    assert_eq!(Sampler::default().draw(&[-INF, 1.0], 0.3), Ok(1));
    assert!(matches!(
        Sampler::default().draw(&[-INF], 0.3),
        Err(SampleError::Logit { index: 0, .. })
    ));
}

#[test]
fn intervals_and_tests() {
    for bad in [0.0, 1.0, -0.5, 1.5, NAN] {
        assert!(
            setting(interval::normal(&[1.0, 2.0], bad)) && setting(interval::wilson(1, 2, bad))
        );
        assert!(setting(paired::t_test(&[1.0, 2.0], &[1.0, 3.0], bad)));
        assert!(setting(paired::clustered(&[1.0, 2.0], &[1.0, 3.0], bad)));
        assert!(setting(welch::t_test(&[1.0, 2.0], &[1.0, 3.0], bad)));
        assert!(setting(power::of_two_groups(5, 1.0, bad)));
        assert!(setting(power::samples_needed(1.0, 0.05, bad)));
        assert!(setting(interval::bootstrap(&[1.0], bad, 10, &Random::new(0, 0, 0), |x| x[0])));
    }
    assert!(
        length(welch::t_test(&[1.0], &[1.0, 2.0], 0.9))
            && element(welch::t_test(&[1.0, 2.0], &[1.0, INF], 0.9), 1)
            && length(paired::clustered(&[1.0], &[1.0], 0.9))
            && length(paired::clustered(&[1.0, 2.0], &[1.0], 0.9))
            && element(paired::clustered(&[1.0, 2.0], &[1.0, 0.0], 0.9), 1)
            && setting(power::of_two_groups(1, 1.0, 0.05))
            && setting(power::samples_needed(0.0, 0.05, 0.8))
            && setting(power::samples_needed(NAN, 0.05, 0.8))
    );
    assert!(
        length(interval::normal(&[1.0], 0.9))
            && length(interval::normal(&[], 0.9))
            && element(interval::normal(&[1.0, INF], 0.9), 1)
    );
    assert_eq!(interval::normal(&[3.0, 3.0], 0.9).unwrap(), Interval { low: 3.0, high: 3.0 });
    assert!(empty(interval::wilson(0, 0, 0.9)) && setting(interval::wilson(2, 1, 0.9)));
    assert_eq!(interval::wilson(0, 10, 0.9).unwrap().low, 0.0);
    assert_eq!(interval::wilson(10, 10, 0.9).unwrap().high, 1.0);
    let many = interval::wilson(u64::MAX / 2, u64::MAX, 0.9).unwrap();
    assert!(many.contains(0.5) && many.high - many.low < 1e-9);
    assert_eq!(many.map(|x| 2.0 * x).low, 2.0 * many.low);
    let random = Random::new(0, 0, 0);
    let first = |x: &[f64]| x[0];
    assert!(
        empty(interval::bootstrap(&[], 0.9, 10, &random, first))
            && setting(interval::bootstrap(&[1.0], 0.9, 1, &random, first))
    );
    assert!(element(interval::bootstrap(&[1.0, NAN], 0.9, 10, &random, first), 1));
    assert_eq!(
        interval::bootstrap(&[4.0], 0.9, 10, &random, first).unwrap(),
        Interval { low: 4.0, high: 4.0 }
    );
    assert!(
        empty(interval::quantile(&[], 0.5))
            && setting(interval::quantile(&[1.0], 1.1))
            && setting(interval::quantile(&[1.0], NAN))
    );
    assert!(interval::quantile(&[1.0, NAN], 0.5).unwrap().is_nan());
    assert_eq!(interval::quantile(&[-INF, INF, INF], 0.75), Ok(INF));
    assert_eq!(interval::quantile(&[-f64::MAX, f64::MAX], 0.5), Ok(0.0));

    let t = |a: &[f64], b: &[f64]| paired::t_test(a, b, 0.95);
    // No unit: t and p are the same at every scale, and the interval scales.
    let (a, b) = ([2.31, 4.02, 0.75, 3.10], [2.40, 4.10, 0.74, 3.25]);
    let plain = t(&a, &b).unwrap();
    for scale in [2f64.powi(-900), 2f64.powi(900)] {
        let scaled = t(&a.map(|x| x * scale), &b.map(|x| x * scale)).unwrap();
        assert_eq!((scaled.t, scaled.p_value), (plain.t, plain.p_value));
        assert_eq!(scaled.interval.low, plain.interval.low * scale);
        let interval = interval::normal(&a.map(|x| x * scale), 0.95).unwrap();
        assert_eq!(interval.low, interval::normal(&a, 0.95).unwrap().low * scale);
    }
    assert!(
        length(t(&[1.0], &[2.0]))
            && length(t(&[1.0, 2.0], &[2.0]))
            && element(t(&[1.0, NAN], &[2.0, 3.0]), 1)
            && element(t(&[1.0, 1.0], &[INF, 3.0]), 0)
    );
    let same = t(&[1.0, 2.0], &[1.0, 2.0]).unwrap();
    assert_eq!((same.difference, same.t, same.p_value), (0.0, 0.0, 1.0));
    let shifted = t(&[1.0, 2.0], &[0.0, 1.0]).unwrap();
    assert_eq!(
        (shifted.t, shifted.p_value, shifted.interval),
        (INF, 0.0, Interval { low: 1.0, high: 1.0 })
    );
    assert!(setting(paired::sign_flip_test(&[1.0, 2.0], &[0.0, 1.0], 0, &random)));
    assert!(length(paired::sign_flip_test(&[1.0], &[0.0], 10, &random)));
    assert_eq!(paired::sign_flip_test(&[1.0, 2.0], &[1.0, 2.0], 10, &random), Ok(1.0));

    let p = Categorical::from_probabilities(&[0.5, 0.5, 0.0]).unwrap();
    assert!(
        empty(goodness::chi_squared(&[0, 0, 0], &p)) && length(goodness::chi_squared(&[1], &p))
    );
    assert!(length(goodness::chi_squared(&[5, 0], &Categorical::certain(0, 2).unwrap())));
    // An outcome that is impossible and was not counted has no effect.
    let fair = goodness::chi_squared(&[5, 5, 0], &p).unwrap();
    assert_eq!((fair.statistic, fair.p_value, fair.degrees), (0.0, 1.0, 1.0));
    let refuted = goodness::chi_squared(&[5, 5, 1], &p).unwrap();
    assert_eq!((refuted.statistic, refuted.p_value, refuted.degrees), (INF, 0.0, 1.0));
}

/// Messages state what was found, what was expected and what to do.
#[test]
fn messages() {
    let message = |e: Error| e.to_string();
    assert_eq!(
        message(Categorical::from_logits(&[0.0, NAN]).unwrap_err()),
        "logit 1 is NaN; it must be finite or −∞"
    );
    let sum = message(Categorical::from_probabilities(&[0.5, 0.25]).unwrap_err());
    assert!(
        sum.starts_with("the probabilities sum to 0.75, not to 1")
            && sum.ends_with("normalise them with `from_weights`")
    );
    let masked = message(Error::FullyMasked { row: 3 });
    assert!(masked.starts_with("row 3 of the scores is fully masked: query 3 sees no key"));
    let singular = message(Error::NotPositiveDefinite { size: 2 });
    assert!(singular.contains("the leading 2×2 block") && singular.contains("variable 1"));
    assert_eq!(
        message(Error::Impossible { what: "x =", index: 1 }),
        "x = 1 has probability 0: nothing can be conditioned on it"
    );
}
