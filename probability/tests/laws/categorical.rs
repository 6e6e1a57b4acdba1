//! Distributions over finitely many outcomes, joint tables, Bayes' rule, likelihood.

use crate::{EPSILON, all_close, close, distribution, joint, logits, numbers};
use probability::categorical::{check_distribution, sum_tolerance};
use probability::likelihood::{fit_categorical, log_likelihood, mean_surprisal};
use probability::{Categorical, Joint, bayes};
use proptest::prelude::*;

fn counts() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(0..1000_u64, 1..20)
        .prop_filter("something must be seen", |n| n.iter().any(|&n| n > 0))
}

proptest! {
    /// The sum is one for every constructor and scale.
    #[test]
    fn sums_to_one_by_construction(
        z in logits(40),
        n in counts(),
        scale in -300..300_i32,
    ) {
        let weights: Vec<f64> = n.iter().map(|&n| n as f64 * 10.0_f64.powi(scale)).collect();
        for p in [
            Categorical::from_logits(&z).unwrap(),
            Categorical::from_counts(&n).unwrap(),
            Categorical::from_weights(&weights).unwrap(),
        ] {
            close(p.probabilities().iter().sum(), 1.0, p.len() as f64 * EPSILON);
            prop_assert!(p.probabilities().iter().all(|p| (0.0..=1.0).contains(p)));
        }
    }

    /// The result of a plain softmax in f32 is accepted, in f32 and widened; an error of twice the tolerance is not.
    #[test]
    fn a_softmax_in_single_precision_is_a_distribution(z in prop::collection::vec(-30.0..30.0_f32, 1..300)) {
        let most = z.iter().copied().fold(f32::MIN, f32::max);
        let mut p: Vec<f32> = z.iter().map(|z| (z - most).exp()).collect();
        let share = 1.0 / p.iter().sum::<f32>();
        p.iter_mut().for_each(|p| *p *= share);
        let mut wide: Vec<f64> = p.iter().map(|&p| f64::from(p)).collect();
        let sum = check_distribution(&wide).unwrap();
        close(sum, 1.0, sum_tolerance(z.len()));
        prop_assert_eq!(check_distribution(&p), Ok(sum));
        wide[0] += 2.0 * sum_tolerance(z.len());
        prop_assert!(check_distribution(&wide).is_err());
    }

    /// Logits, probabilities and weights give the same distribution: softmax(ln w) = w/Σw.
    #[test]
    fn logits_of_probabilities(p in distribution(1..20)) {
        let z: Vec<f64> = p.probabilities().iter().map(|p| p.ln() + 3.0).collect();
        all_close(
            Categorical::from_logits(&z).unwrap().probabilities(),
            p.probabilities(),
            16.0 * EPSILON,
        );
    }

    /// E is linear; Var(a·X + b) = a²·Var X; Var = E[X²] − E[X]².
    #[test]
    fn moments_of_a_distribution(
        p in distribution(8),
        x in numbers(8),
        y in numbers(8),
        a in -3.0..3.0_f64,
        b in -9.0..9.0_f64,
    ) {
        let bound = 64.0 * EPSILON * 500.0 * 500.0;
        close(
            p.expectation(|i| a * x[i] + y[i]),
            a * p.expectation(|i| x[i]) + p.expectation(|i| y[i]),
            bound,
        );
        close(p.variance(|i| a * x[i] + b), a * a * p.variance(|i| x[i]), bound);
        let square = p.expectation(|i| x[i]).powi(2);
        close(p.variance(|i| x[i]), p.expectation(|i| x[i] * x[i]) - square, bound);
        close(p.variance(|i| x[i]), p.covariance(|i| x[i], |i| x[i]), bound);
        // The Cauchy–Schwarz inequality.
        let cov = p.covariance(|i| x[i], |i| y[i]);
        prop_assert!(
            cov * cov <= p.variance(|i| x[i]) * p.variance(|i| y[i]) * (1.0 + 1e-9) + bound
        );
    }

    /// The quantile of u is the outcome whose step of the cumulative distribution contains u.
    #[test]
    fn inverse_transform(p in distribution(1..20), u in 0.0..1.0_f64) {
        let (i, c) = (p.quantile(u), p.cumulative());
        prop_assert!(p.probability(i) > 0.0);
        prop_assert!(u < c[i] || c[i] == c[p.len() - 1]);
        prop_assert!(i == 0 || u >= c[i - 1]);
    }

    /// P(x, y) = P(x)·P(y|x) = P(y)·P(x|y).
    #[test]
    fn a_table_and_its_factors(joint in joint()) {
        let given = |j: &Joint, n| {
            (0..n)
                .map(|i| j.y_given(i).or_else(|_| Categorical::uniform(j.y().len())).unwrap())
                .collect::<Vec<_>>()
        };
        let again = Joint::from_conditionals(&joint.x(), &given(&joint, joint.x().len())).unwrap();
        all_close(again.table().as_slice(), joint.table().as_slice(), 8.0 * EPSILON);
        for i in (0..joint.x().len()).filter(|&i| joint.x().probability(i) > 0.0) {
            let (of, row) = (joint.x().probability(i), joint.y_given(i).unwrap());
            for j in 0..joint.y().len() {
                let both = joint.table()[(i, j)].min(of);
                let share = probability::bayes::conditional(both, of).unwrap();
                prop_assert!((share - row.probability(j)).abs() <= 8.0 * EPSILON);
            }
        }
        let turned = joint.transposed();
        let again =
            Joint::from_conditionals(&turned.x(), &given(&turned, turned.x().len())).unwrap();
        all_close(again.transposed().table().as_slice(), joint.table().as_slice(), 8.0 * EPSILON);
    }

    /// Bayes' rule there and back: the posterior of every y from P(x) and P(y|x) is the conditional P(x|y), and the
    /// mean of the posteriors over P(y) is the prior.
    #[test]
    fn bayes_round_trip(joint in joint()) {
        let (x, y) = (joint.x(), joint.y());
        let mut prior = vec![0.0; x.len()];
        for j in 0..y.len() {
            let likelihood: Vec<f64> = (0..x.len())
                .map(|i| joint.y_given(i).map_or(0.0, |given| given.probability(j)))
                .collect();
            close(
                bayes::total_probability(&x, &likelihood).unwrap(),
                y.probability(j),
                16.0 * EPSILON,
            );
            if y.probability(j) == 0.0 {
                prop_assert!(bayes::posterior(&x, &likelihood).is_err());
                prop_assert!(joint.x_given(j).is_err());
                continue;
            }
            let posterior = bayes::posterior(&x, &likelihood).unwrap();
            all_close(
                posterior.probabilities(),
                joint.x_given(j).unwrap().probabilities(),
                32.0 * EPSILON,
            );
            prior
                .iter_mut()
                .zip(posterior.probabilities())
                .for_each(|(sum, p)| *sum += y.probability(j) * p);
        }
        all_close(&prior, x.probabilities(), 64.0 * EPSILON);
    }

    /// Evidence in two steps equals evidence at once, in either order, and by logarithms.
    #[test]
    fn evidence_adds_up(
        prior in distribution(5),
        a in prop::collection::vec(0.01..1.0_f64, 5),
        b in prop::collection::vec(0.01..1.0_f64, 5),
    ) {
        let ab = bayes::posterior(&bayes::posterior(&prior, &a).unwrap(), &b).unwrap();
        let ba = bayes::posterior(&bayes::posterior(&prior, &b).unwrap(), &a).unwrap();
        let both: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
        let at_once = bayes::posterior(&prior, &both).unwrap();
        let logs: Vec<Vec<f64>> = a.iter().zip(&b).map(|(a, b)| vec![a.ln(), b.ln()]).collect();
        let many = bayes::posterior_of_many(&prior, &logs).unwrap();
        for other in [ba, at_once, many] {
            all_close(ab.probabilities(), other.probabilities(), 64.0 * EPSILON);
        }
    }

    /// E[Y] = E[E[Y|X]].
    #[test]
    fn total_expectation(joint in joint(), y in numbers(6)) {
        let means = joint.conditional_means(|j| y[j]);
        close(
            joint.x().expectation(|i| means[i]),
            joint.y().expectation(|j| y[j]),
            64.0 * EPSILON * 100.0,
        );
        close(
            joint.expectation(|_, j| y[j]),
            joint.y().expectation(|j| y[j]),
            64.0 * EPSILON * 100.0,
        );
    }

    /// Var[Y] = E[Var[Y|X]] + Var[E[Y|X]].
    #[test]
    fn total_variance(joint in joint(), y in numbers(6)) {
        let parts = joint.total_variance(|j| y[j]);
        prop_assert!(parts.within >= 0.0 && parts.between >= 0.0);
        close(parts.total(), joint.y().variance(|j| y[j]), 256.0 * EPSILON * 1e4);
    }

    /// An independent variable explains nothing and has covariance 0; its conditionals are its marginals.
    #[test]
    fn independence(
        x in distribution(4),
        y in distribution(5),
        f in numbers(4),
        g in numbers(5),
    ) {
        let joint = Joint::independent(&x, &y);
        close(joint.covariance(|i| f[i], |j| g[j]), 0.0, 256.0 * EPSILON * 1e4);
        close(joint.total_variance(|j| g[j]).between, 0.0, 256.0 * EPSILON * 1e4);
        all_close(joint.x().probabilities(), x.probabilities(), 8.0 * EPSILON);
        for i in (0..4).filter(|&i| x.probability(i) > 0.0) {
            all_close(joint.y_given(i).unwrap().probabilities(), y.probabilities(), 16.0 * EPSILON);
        }
    }

    /// Correlation is within [−1, 1], 1 of a variable with itself, and unchanged by a·x + b, a > 0.
    #[test]
    fn correlation_of_a_table(
        joint in joint(),
        f in numbers(6),
        g in numbers(6),
        a in 0.1..3.0_f64,
        b in -9.0..9.0_f64,
    ) {
        // If a variance is all rounding, the correlation is arbitrary.
        if joint.x().variance(|i| f[i]) <= 1.0 || joint.y().variance(|j| g[j]) <= 1.0 {
            return Ok(()); // a third of all tables: too many to reject
        }
        let r = joint.correlation(|i| f[i], |j| g[j]).unwrap();
        prop_assert!(r.abs() <= 1.0 + 1e-10);
        close(joint.correlation(|i| a * f[i] + b, |j| g[j]).unwrap(), r, 1e-9);
        close(joint.correlation(|i| -f[i], |j| g[j]).unwrap(), -r, 1e-10);
    }

    /// No model has a larger likelihood of counts than their relative frequencies (Gibbs' inequality).
    #[test]
    fn shares_are_most_likely(
        n in prop::collection::vec(1..1000_u64, 6),
        other in distribution(6),
    ) {
        let best = Categorical::<f64>::from_counts(&n).unwrap();
        let total = n.iter().sum::<u64>() as f64;
        let (best, other) =
            (log_likelihood(&best, &n).unwrap(), log_likelihood(&other, &n).unwrap());
        prop_assert!(best >= other - 64.0 * EPSILON * total);
    }

    /// −ln P(data)/N = −Σ p̂·ln q: the mean surprisal is a cross-entropy.
    #[test]
    fn likelihood_is_cross_entropy(n in counts(), alpha in 0.1..2.0_f64) {
        let (shares, model) =
            (Categorical::<f64>::from_counts(&n).unwrap(), fit_categorical(&n, alpha).unwrap());
        let cross_entropy = shares.expectation(|i| -f64::ln(model.probability(i)));
        close(mean_surprisal(&model, &n).unwrap(), cross_entropy, 64.0 * EPSILON * 8.0);
    }

    /// Smoothing is a mixture of the frequencies, with weight N/(N + α·V), and the uniform distribution.
    #[test]
    fn smoothing_is_a_mixture(n in counts(), alpha in 0.0..100.0_f64) {
        let (shares, uniform) =
            (Categorical::<f64>::from_counts(&n).unwrap(), Categorical::uniform(n.len()).unwrap());
        let total = n.iter().sum::<u64>() as f64;
        let mixed = shares.mixture(&uniform, total / (total + alpha * n.len() as f64)).unwrap();
        all_close(
            fit_categorical(&n, alpha).unwrap().probabilities(),
            mixed.probabilities(),
            16.0 * EPSILON,
        );
    }
}
