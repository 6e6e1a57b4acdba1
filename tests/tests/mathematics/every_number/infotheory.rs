//! Entropies, divergences, losses, codes.

use super::definitions::lse;
use super::inputs::Inputs::{
    Distribution, Distributions, Multiple, Number, Numbers, Scores, Share, Shares, Table, Tables,
    Tame, Vector, Weights,
};
use super::linalg::{halves, measured};
use super::probability::number;
use super::{Case, Refused, cases, doubles};
use infotheory::arithmetic::Frequencies;
use infotheory::markov::MarkovChain;
use infotheory::ngram::{NGram, Smoothing};
use infotheory::objective::{alignment, distillation, label_smoothing, z_loss};
use infotheory::prefix_code::{huffman, mean_length};
use infotheory::units::{Bits, Nats, bits_per_byte, bits_per_character};
use infotheory::{
    InfoError, channel, cross_entropy, distribution, divergence, entropy, fano, gaussian, joint,
    preference, renyi, shannon,
};
use linalg::{Matrix, Real, cholesky::Cholesky, matrix, vector};
use num_traits::{One, Zero};
use probability::gaussian::Gaussian;
use probability::{Categorical, Joint, MultivariateGaussian, ProbabilityError};
use tests::exact::Exact;

/// x ln(x/y), which is 0 where x is.
fn term(x: Exact, y: Exact) -> Exact {
    if x == Exact::zero() { x } else { x * (x / y).ln() }
}

/// Σ p ln(p/q) − p + q.
fn kl(p: &[Exact], q: &[Exact]) -> Exact {
    vector::sum_of(p.len(), |i| term(p[i], q[i]) - p[i] + q[i])
}

fn entropy_of(p: &[Exact]) -> Exact {
    -vector::sum_of(p.len(), |i| term(p[i], Exact::one()))
}

fn table<T: Real>(x: &[T]) -> Result<Joint<T>, ProbabilityError> {
    let (p, q) = halves(x);
    Ok(Joint::independent(
        &Categorical::from_probabilities(p)?,
        &Categorical::from_probabilities(q)?,
    ))
}

/// Two columns of logits, and the targets 0 and none.
fn columns<T: Real>(z: &[T]) -> (Matrix<T>, Matrix<T>) {
    (matrix(z.len() / 2, 2, z), matrix(1, 2, &[T::zero(), T::from_f64(infotheory::IGNORED)]))
}

fn nats_of_columns<T: Real>(z: &[T]) -> Vec<T> {
    let (logits, targets) = columns(z);
    let mut nats = vec![T::zero(); 2];
    cross_entropy::nats_of_columns(logits.as_view(), targets.as_view(), &mut nats);
    nats
}

fn gradient_in_place<T: Real>(z: &[T]) -> (Matrix<T>, Vec<T>) {
    let (mut logits, targets) = columns(z);
    let mut nats = vec![T::zero(); 2];
    cross_entropy::gradient_in_place(
        logits.as_view_mut(),
        targets.as_view(),
        |_| T::one(),
        &mut nats,
    );
    (logits, nats)
}

/// −ln softmax(z)₀ by its definition, of a column that has a finite logit.
fn surprisal(z: &[Exact]) -> Exact {
    let rest = vector::sum_of(z.len() - 1, |j| (z[j + 1] - z[0]).exp());
    if rest.is_finite() && z[0].is_finite() { rest.ln_1p() } else { lse(z) - z[0] }
}

/// Half of the numbers from 0 to 1 as a distribution over two.
fn chain(x: &[f64]) -> Result<MarkovChain, InfoError> {
    MarkovChain::new(matrix(2, 2, &[1.0 - x[0], x[0], x[1], 1.0 - x[1]]))
}

/// Numbers as counts: the largest is the largest count.
fn counts(w: &[f64]) -> Vec<u64> {
    w.iter().map(|&w| w as u64).collect()
}

fn whole(n: u64) -> Exact {
    number::<Exact>((n >> 32) as f64) * number(4_294_967_296.0) + number((n & 0xffff_ffff) as f64)
}

fn covariance(x: &[f64]) -> Matrix<f64> {
    let c = 0.5 * x[0] * x[1];
    matrix(2, 2, &[1.0 + x[0] * x[0], c, c, 1.0 + x[1] * x[1]])
}

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases! {
        "distribution::check", Distribution, Result 0.0 => |p| {
            distribution::check("p", p)?;
            0
        };
        "cross_entropy::cross_entropy", Distributions, Result 8.0 => |x| {
            let (p, q) = halves(x);
            cross_entropy::cross_entropy(p, q)?
        }, as |x| {
            let (p, q) = halves(x);
            cross_entropy::cross_entropy(p, q)?;
            vector::sum_of(p.len(), |i| if p[i] == Exact::zero() { p[i] } else { -p[i] * q[i].ln() })
        };
        "cross_entropy::of_logits", Scores, Conditioned 8.0 => |z| cross_entropy::of_logits(z, 0)?, as |z| {
            cross_entropy::of_logits(z, 0)?;
            surprisal(z)
        };
        "cross_entropy::mean_of_logits", Scores, Conditioned 8.0 => |z| {
            cross_entropy::mean_of_logits(matrix(z.len(), 1, z).as_view(), &[Some(0)])?
        }, as |z| {
            cross_entropy::of_logits(z, 0)?;
            surprisal(z)
        };
        "cross_entropy::nats_of_columns", Multiple(2), Conditioned 16.0 => |z| nats_of_columns(z);
        "cross_entropy::gradient_in_place", Multiple(2), Conditioned 16.0 => |z| gradient_in_place(z);
        "cross_entropy::counted" "cross_entropy::is_ignored", Vector, Result 0.0 => |y| {
            let ignored = y.iter().filter(|&&y| cross_entropy::is_ignored(y)).count();
            cross_entropy::counted(&matrix(1, y.len(), y).as_view()) + ignored
        };
        "divergence::kl", Distributions, Result 16.0 => |x| { let (p, q) = halves(x); divergence::kl(p, q)? }, as |x| {
            let (p, q) = halves(x);
            divergence::kl(p, q)?;
            kl(p, q)
        };
        "divergence::reverse_kl", Distributions, Result 16.0 => |x| { let (p, q) = halves(x); divergence::reverse_kl(p, q)? }, as |x| {
            let (p, q) = halves(x);
            divergence::kl(p, q)?;
            kl(q, p)
        };
        "divergence::total_variation", Distributions, Conditioned 8.0 => |x| { let (p, q) = halves(x); divergence::total_variation(p, q)? };
        // A term x − ln(1 + x) is worst at x = ¼: a unit of ln 1.25 is 8¼ of the difference, the rounding of x one, and
        // two more follow; two sums. The rounding of M cancels between them. Shares are off by one of their own.
        "divergence::jensen_shannon", Distributions, Conditioned 12.0 => |x| { let (p, q) = halves(x); divergence::jensen_shannon(p, q)? }, as |x| {
            let (p, q) = halves(x);
            divergence::jensen_shannon(p, q)?;
            let half = number::<Exact>(0.5);
            let m: Vec<Exact> = p.iter().zip(q).map(|(&p, &q)| half * (p + q)).collect();
            half * kl(p, &m) + half * kl(q, &m)
        };
        "entropy::self_information", Share, Result 4.0 => |p| entropy::self_information(p[0])?, as |p| {
            entropy::self_information(p[0])?;
            -p[0].ln()
        };
        "entropy::entropy", Distribution, Result 8.0 => |p| entropy::entropy(p)?, as |p| {
            entropy::entropy(p)?;
            entropy_of(p)
        };
        "entropy::binary_entropy", Share, Result 8.0 => |p| entropy::binary_entropy(p[0])?, as |p| {
            entropy::binary_entropy(p[0])?;
            entropy_of(&[p[0], Exact::one() - p[0]])
        };
        "entropy::normalised_entropy", Distribution, Result 8.0 => |p| entropy::normalised_entropy(p)?, as |p| {
            entropy::normalised_entropy(p)?;
            if p.len() == 1 { Exact::zero() } else { entropy_of(p) / number::<Exact>(p.len() as f64).ln() }
        };
        // As the function, 1 + Σ p(p^(α − 1) − 1): of a sum that is off by ε the entropy of a nearly certain outcome is. A
        // power by way of a logarithm is off by half a unit of that, which is 745 at most; half of it is α's.
        "renyi::entropy", Distribution, Result 190.0 => |p| (renyi::entropy(p, 2.0)?, renyi::entropy(p, 0.5)?), as |p| {
            entropy::entropy(p)?;
            let of = |f: &dyn Fn(Exact) -> Exact| vector::sum_of(p.len(), |i| if p[i] == Exact::zero() { p[i] } else { f(p[i]) });
            let (square, root) = (of(&|p| p * (p - Exact::one())), of(&|p| p.sqrt() - p));
            (-square.ln_1p(), root.ln_1p() * number(2.0))
        };
        "renyi::divergence", Distributions, Conditioned 32.0 => |x| {
            let (p, q) = halves(x);
            (renyi::divergence(p, q, 2.0)?, renyi::divergence(p, q, 0.5)?)
        }, as |x| {
            let (p, q) = halves(x);
            divergence::kl(p, q)?;
            let square = |i: usize| if p[i] == q[i] { Exact::zero() } else { (p[i] - q[i]) * (p[i] - q[i]) / q[i] };
            let roots = vector::sum_of(p.len(), |i| (p[i] * q[i]).sqrt());
            let apart = vector::sum_of(p.len(), |i| { let d = p[i].sqrt() - q[i].sqrt(); d * d });
            let half = number::<Exact>(0.5);
            let ln = if roots < half { roots.ln() } else { (-half * apart).ln_1p() };
            (vector::sum_of(p.len(), square).ln_1p(), ln * number(-2.0))
        };
        "fano::most_entropy", Share, Result 8.0 => |p| fano::most_entropy(p[0], 10)?, as |p| {
            fano::most_entropy(p[0], 10)?;
            entropy_of(&[p[0], Exact::one() - p[0]]) + p[0] * number::<Exact>(9.0).ln()
        };
        "gaussian::entropy", Number, Conditioned 4.0 => |x| gaussian::entropy(&Gaussian::new(number(0.0), x[0])?), as |x| {
            Gaussian::new(number(0.0), x[0])?;
            let half = number::<Exact>(0.5);
            half * (number::<Exact>(2.0) * Exact::pi() * Exact::one().exp()).ln() + x[0].ln()
        };
        "gaussian::kl", Numbers(4), Conditioned 8.0 => |x| {
            gaussian::kl(&Gaussian::new(x[0], x[1])?, &Gaussian::new(x[2], x[3])?)
        }, as |x| {
            let (p, q) = (Gaussian::new(x[0], x[1])?, Gaussian::new(x[2], x[3])?);
            let (half, r) = (number::<Exact>(0.5), p.deviation() / q.deviation());
            let d = (p.mean() - q.mean()) / q.deviation();
            half * (r * r - Exact::one() + d * d) - r.ln()
        };
        "gaussian::mutual_information", Number, Conditioned 8.0 => |x| gaussian::mutual_information(x[0])?, as |x| {
            gaussian::mutual_information(x[0])?;
            -number::<Exact>(0.5) * (Exact::one() - x[0] * x[0]).ln()
        };
        // In ε of a nat, or of the entropy: a share, off by 2½ (two distributions and a product), moves −p ln p by
        // (1 − ln p)·p times that; a logarithm, a product and the sum are rounded. Fewer roundings if Y is given.
        "joint::entropy" "joint::conditional_entropy", Tables, Whole 6.5 => |x| {
            let table = table(x)?;
            let given = |p| joint::conditional_entropy(p).0;
            [joint::entropy(&table).0, given(&table.transposed()), given(&table), number(1.0)]
        };
        "joint::mutual_information", Table, Conditioned 32.0 => |p| {
            // A table in which each x is the y with this probability.
            let n = p.len();
            let table = Matrix::from_fn(n, n, |i, j| if i == j { p[i] } else { p[i] - p[i] });
            joint::mutual_information(&Joint::from_probabilities(&table)?)
        };
        "joint::conditional_mutual_information", Table, Conditioned 32.0 => |p| {
            let n = p.len();
            let table = Matrix::from_fn(n, n, |i, j| if i == j { p[i] } else { p[i] - p[i] });
            let table = Joint::from_probabilities(&table)?;
            joint::conditional_mutual_information(&Categorical::uniform(2)?, &[table.transposed(), table])?
        };
        // In ε of a nat, or of the largest logarithm, because three cancel: a share is off by 2½, a marginal by 3;
        // three logarithms and two differences, of at most twice the largest, are rounded.
        "joint::pointwise_mutual_information", Tables, Whole 12.0, unless ["never occurs"] => |x| {
            let table = table(x)?;
            let pointwise = joint::pointwise_mutual_information(&table, 0, 0)?.0;
            [pointwise, table.table()[(0, 0)].ln(), number(1.0)]
        };
        "joint::conditional_kl", Tables, Conditioned 16.0 => |x| {
            let (p, q) = halves(x);
            let row = |p| Joint::from_probabilities(&matrix(1, x.len() / 2, p));
            joint::conditional_kl(&row(p)?, &row(q)?)?
        };
        "units::Nats::to_bits", Number, Conditioned 2.0 => |x| Nats(x[0]).to_bits(), as |x| x[0] / number::<Exact>(2.0).ln();
        "units::Nats::perplexity", Number, Result 2.0 => |x| Nats(x[0]).perplexity(), as |x| x[0].exp();
        "units::Nats::per", Number, Result 2.0 => |x| Nats(x[0]).per(3)?;
        "units::Nats::mean", Vector, Conditioned 8.0 => |x| Nats::mean(x.iter().map(|&x| Nats(x)))?;
        "units::Bits::to_nats", Number, Conditioned 2.0 => |x| Bits(x[0]).to_nats(), as |x| x[0] * number::<Exact>(2.0).ln();
        "units::Bits::perplexity", Number, Conditioned 2.0 => |x| Bits(x[0]).perplexity(), as |x| (x[0] * number::<Exact>(2.0).ln()).exp();
        "units::Bits::per", Number, Result 2.0 => |x| Bits(x[0]).per(3)?;
        "units::Bits::mean", Vector, Conditioned 8.0 => |x| Bits::mean(x.iter().map(|&x| Bits(x)))?;
        "units::bits_per_character" "units::bits_per_byte", Number, Conditioned 4.0 => |x| {
            (bits_per_character(Nats(x[0]), "naïve")?, bits_per_byte(Nats(x[0]), "naïve")?)
        }, as |x| {
            let bits = x[0] / number::<Exact>(2.0).ln();
            (bits / number(5.0), bits / number(6.0))
        };
        // f = β·KL − E[r], and in ε: KL has 16, of KL (`divergence::kl`); β·KL ½ more; p/Σp·r has 1 for Σp, ½ for the
        // quotient, ½ for the product, and the sum 1, of E|r|; the difference ½, of f. With β·KL ≤ |f| + E|r| this is
        // 17·|f| + 19.5·E|r|, and E|r| = Σ |rⱼ·∂f/∂rⱼ|.
        "objective::alignment::objective", Distributions, Conditioned 19.5 => |x| {
            let (p, q) = halves(x);
            alignment::objective(p, q, p, number(0.5))?
        };
        // In ε, of a weight p/p̂·e^x with |x| ≤ 1/β = 2: each quotient ½, the difference of rewards and its quotient ½·|x| = 1
        // each, the exponential 1.5, the product ½: 4.5. The sum has the same of all weights and 1 of its own, the last
        // quotient ½.
        "objective::alignment::best_policy", Distributions, Conditioned 10.5 => |x| {
            let (p, r) = halves(x);
            alignment::best_policy(p, r, number(0.5))?
        };
        "objective::alignment::best_value", Distributions, Whole 16.0 => |x| {
            let (p, r) = halves(x);
            // In ε of a nat, and of the largest reward: the logarithm cancels with it.
            [alignment::best_value(p, r, number(0.5))?, number(1.0)]
        };
        "objective::alignment::kl_estimate", Numbers(2), Conditioned 8.0 => |x| alignment::kl_estimate(x[0], x[1])?, as |x| {
            alignment::kl_estimate(x[0], x[1])?;
            (x[1] - x[0]).exp() - Exact::one() - (x[1] - x[0])
        };
        "objective::distillation::loss", Multiple(2), Conditioned 32.0 => |z| {
            let (teacher, student) = halves(z);
            distillation::loss(teacher, student, number(2.0))?
        }, as |z| {
            let (teacher, student) = halves(z);
            distillation::loss(teacher, student, number(2.0))?;
            let (two, four) = (number::<Exact>(2.0), number::<Exact>(4.0));
            let logs = |z: &[Exact]| -> Vec<Exact> {
                let z: Vec<Exact> = z.iter().map(|&z| z / two).collect();
                let sum = lse(&z);
                z.into_iter().map(|z| z - sum).collect()
            };
            let (a, b) = (logs(teacher), logs(student));
            four * vector::sum_of(a.len(), |i| a[i].exp() * (a[i] - b[i]))
        };
        "objective::distillation::with_truth", Multiple(2), Conditioned 32.0 => |z| {
            let (teacher, student) = halves(z);
            distillation::with_truth(teacher, student, 0, number(2.0), number(0.5))?
        };
        "objective::label_smoothing::of_logits", Scores, Conditioned 16.0 => |z| label_smoothing::of_logits(z, 0, number(0.25))?, as |z| {
            label_smoothing::of_logits(z, 0, number(0.25))?;
            let mean = vector::sum(z) / number(z.len() as f64);
            lse(z) - number::<Exact>(0.75) * z[0] - number::<Exact>(0.25) * mean
        };
        "objective::label_smoothing::target", Share, Conditioned 4.0 => |x| label_smoothing::target(4, 2, x[0])?;
        "preference::loss", Numbers(1), Conditioned 16.0 => |x| preference::loss(x[0], 0.25, preference::Objective::Logistic { flipped: 0.25 })?, as |x| {
            preference::loss(x[0], 0.25, preference::Objective::Logistic { flipped: 0.25 })?;
            let x = number::<Exact>(0.25) * x[0];
            let nats = |x: Exact| lse(&[Exact::zero(), x]);
            number::<Exact>(0.75) * nats(-x) + number::<Exact>(0.25) * nats(x)
        };
        "objective::z_loss::of_logits", Scores, Conditioned 16.0 => |z| z_loss::of_logits(z, number(0.25))?, as |z| {
            z_loss::of_logits(z, number(0.25))?;
            number::<Exact>(0.25) * lse(z) * lse(z)
        };
    };
    all.extend(doubles! {
        "shannon::plug_in" "shannon::miller_madow", Weights, Result 8.0 => |w| {
            (shannon::plug_in(&counts(w))?, shannon::miller_madow(&counts(w))?)
        }, as |w| {
            let doubles: Vec<f64> = w.iter().map(|w| w.to_f64()).collect();
            let counts = counts(&doubles);
            shannon::plug_in(&counts)?;
            let exactly: Vec<Exact> = counts.iter().map(|&c| whole(c)).collect();
            let n = vector::sum(&exactly);
            let plain = entropy_of(&exactly.iter().map(|&c| c / n).collect::<Vec<_>>());
            let different = counts.iter().filter(|&&c| c > 0).count() as f64;
            (plain, plain + number::<Exact>(different - 1.0) / (n + n))
        };
        "shannon::guessing_bounds", Weights, Conditioned 16.0 => |w| shannon::guessing_bounds(&counts(w))?, as |w| {
            let doubles: Vec<f64> = w.iter().map(|w| w.to_f64()).collect();
            let mut counts = counts(&doubles);
            shannon::guessing_bounds(&counts)?;
            counts.sort_unstable_by(|a, b| b.cmp(a));
            let exactly: Vec<Exact> = counts.iter().map(|&c| whole(c)).collect();
            let n = vector::sum(&exactly);
            let q: Vec<Exact> = exactly.iter().map(|&c| c / n).collect();
            let next = |k: usize| q.get(k + 1).copied().unwrap_or_else(Exact::zero);
            let k = |k: usize| number::<Exact>((k + 1) as f64);
            (vector::sum_of(q.len(), |i| k(i) * (q[i] - next(i)) * k(i).ln()), entropy_of(&q))
        };
        "shannon::chao_shen", Weights, Whole 0.0 => |w| {
            let found = shannon::chao_shen(&counts(w))?.0;
            f64::from(u8::from(!(found >= 0.0 && found.is_finite())))
        };
        "fano::least_error", Share, Whole 8.0 => |p| {
            // Back through the inequality.
            let nats = p[0] * 10_f64.ln();
            let back = fano::most_entropy(fano::least_error(Nats(nats), 10)?, 10)?.0;
            // Of an error below the normal numbers the digits are few.
            (back - nats).abs() / (f64::EPSILON * nats.max(1e-300))
        };
        "channel::capacity" "channel::rate_distortion", Shares(2), Whole 0.0 => |x| {
            // Whatever the channel: bounds in order, no more than the bit that goes in.
            let output = |p: f64| Categorical::from_probabilities(&[1.0 - p, p]);
            let found = channel::capacity(&[output(x[0])?, output(x[1])?], 1e-3)?;
            let distortion = matrix(2, 2, &[x[1], 1.0, 1.0, 0.0]);
            let rate = channel::rate_distortion(&output(x[0])?, &distortion, 2.0, 1e-3)?;
            let right = |low: Nats, high: Nats| low <= high && high.0 <= 2_f64.ln() + 1e-3 && low.0 >= 0.0;
            let near = (found.upper - found.lower).0 <= 1e-3;
            f64::from(u8::from(!(right(found.lower, found.upper) && right(rate.lower, rate.upper) && near)))
        };
        "gaussian::entropy_of_covariance" "gaussian::multivariate_kl", Tame(2), Whole 32.0, unless ["positive definite"] => |x| {
            let (p, one) = (Cholesky::of(&covariance(x))?, Cholesky::of(&Matrix::<f64>::identity(2, 2))?);
            let kl = gaussian::multivariate_kl((&[0.0; 2], &p), (&[0.0; 2], &one))?;
            [kl.0, gaussian::entropy_of_covariance(&p).0, 1.0]
        }, as |x| {
            let doubles: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
            Cholesky::of(&covariance(&doubles))?;
            let c = covariance(&doubles).map(Exact::of);
            let ln = (c[(0, 0)] * c[(1, 1)] - c[(0, 1)] * c[(1, 0)]).ln();
            let (half, one) = (number::<Exact>(0.5), Exact::one());
            let e = (number::<Exact>(2.0) * Exact::pi() * one.exp()).ln();
            [half * ((c[(0, 0)] - one) + (c[(1, 1)] - one) - ln), e + half * ln, one]
        };
        "gaussian::multivariate_entropy", Tame(2), Conditioned 16.0, unless ["positive definite"] => |x| {
            gaussian::multivariate_entropy(&MultivariateGaussian::new(&[0.0; 2], &covariance(x))?)
        }, as |x| {
            let doubles: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
            MultivariateGaussian::new(&[0.0; 2], &covariance(&doubles))?;
            let c = covariance(&doubles).map(Exact::of);
            let determinant = c[(0, 0)] * c[(1, 1)] - c[(0, 1)] * c[(1, 0)];
            let e = (number::<Exact>(2.0) * Exact::pi() * Exact::one().exp()).ln();
            e + number::<Exact>(0.5) * determinant.ln()
        };
        "markov::MarkovChain::entropy_rate" "markov::MarkovChain::after" "markov::MarkovChain::surprisals", Shares(2), Conditioned 16.0 => |x| {
            let chain = chain(x)?;
            assert_eq!(chain.after(0), &[1.0 - x[0], x[0]]);
            (chain.entropy_rate()?, chain.surprisals(&[0, 1, 0])?)
        }, as |x| {
            let (a, b) = (x[0], x[1]);
            let share = |x: Exact| Exact::zero() <= x && x <= Exact::one();
            if !(share(a) && share(b)) { return Err(Refused("no chain".into())) }
            if a + b == Exact::zero() { return Err(Refused("two chains".into())) }
            // What the chain holds is 1 − x as f64 has it.
            let rest = |x: Exact| Exact::of(1.0 - x.to_f64());
            let rate = (b * entropy_of(&[a, rest(a)]) + a * entropy_of(&[b, rest(b)])) / (a + b);
            (rate, [-a.ln(), -b.ln()])
        };
        "markov::mean_of_dependent" "markov::Interval::holds", Vector, Conditioned 8.0 => |x| {
            let row: Vec<Nats> = x.iter().map(|&x| Nats(x)).collect();
            let found = infotheory::markov::mean_of_dependent(&row)?;
            assert!(found.margin.0.is_nan() || found.mean.0.is_infinite() || found.holds(found.mean));
            found.mean
        }, as |x| {
            if x.len() < 4 { return Err(Refused("few".into())) }
            // √n batches of one length: what is over at the end is left out.
            let batches = (x.len() as f64).sqrt() as usize;
            let used = x.len() / batches * batches;
            vector::sum(&x[..used]) / number(used as f64)
        };
        "ngram::NGram::probability" "ngram::NGram::cross_entropy", Number, Whole 16.0 => |alpha| {
            let counted = NGram::count(2, 3, &[0, 1, 0, 1, 2]);
            let rule = Smoothing::Additive(alpha[0]);
            let loss = counted.cross_entropy(rule, &[0, 1, 2])?.0;
            let sum: f64 = (0..3).map(|w| counted.probability(rule, &[0], w)).sum();
            assert!(loss >= 0.0);
            (sum - 1.0).abs() / f64::EPSILON
        };
        "arithmetic::Frequencies::of_weights", Weights, Whole 0.0 => |w| {
            let found = Frequencies::of_weights(w)?;
            let all: u32 = (0..w.len()).map(|i| found.range(i).len() as u32).sum();
            f64::from(u8::from(all != infotheory::arithmetic::TOTAL))
        };
        "bits", Number, Conditioned 2.0 => |x| infotheory::bits(x[0]), as |x| x[0] / number::<Exact>(2.0).ln();
        "perplexity", Number, Result 2.0 => |x| infotheory::perplexity(x[0]), as |x| x[0].exp();
        "markov::MarkovChain::new" "markov::MarkovChain::states" "markov::MarkovChain::stationary" "markov::MarkovChain::sample", Shares(2), Conditioned 8.0 => |x| {
            let chain = chain(x)?;
            let walk = chain.sample(&probability::Random::new(1, 0, 0), 3);
            assert!(chain.states() == 2 && walk.is_ok_and(|walk| walk.len() == 3) == chain.stationary().is_ok());
            chain.stationary()?
        }, as |x| {
            // π₀·a = π₁·b, of the columns as f64 has them.
            let (a, b) = (x[0], x[1]);
            let share = |x: Exact| Exact::zero() <= x && x <= Exact::one();
            if !(share(a) && share(b)) { return Err(Refused("no chain".into())) }
            if a + b == Exact::zero() { return Err(Refused("two chains".into())) }
            [b / (a + b), a / (a + b)]
        };
        "prefix_code::huffman" "prefix_code::mean_length" "prefix_code::kraft", Weights, Whole 0.0 => |w| {
            // A code, and never a mean length of a bit above the entropy.
            let lengths = huffman(w)?;
            let most = w.iter().fold(0.0_f64, |m, w| m.max(*w));
            let p: Vec<f64> = w.iter().map(|w| w / most).collect();
            let sum: f64 = p.iter().sum();
            let p: Vec<f64> = p.iter().map(|p| p / sum).collect();
            let length = mean_length(&p, &lengths)?.0;
            let above = length - entropy::entropy(&p)?.to_bits().0;
            let whole = infotheory::prefix_code::kraft(&lengths) > 1.0;
            vec![f64::from(u8::from(whole)), f64::from(u8::from(!(-1e-12..=1.0 + 1e-12).contains(&above)))]
        };
        "arithmetic::Frequencies::of" "arithmetic::Frequencies::cost", Table, Whole 1.0 => |p| {
            let found = Frequencies::of(p)?;
            let all: u32 = (0..p.len()).map(|i| found.range(i).len() as u32).sum();
            assert_eq!(all, infotheory::arithmetic::TOTAL);
            measured(p, || (0..p.len()).map(|i| {
                let share = number::<Exact>(f64::from(found.range(i).len() as u32)) / number(f64::from(all));
                let right = -share.ln() / number::<Exact>(2.0).ln();
                // A share is exact, and a logarithm within one unit of itself.
                let unit = right.abs() * number(f64::EPSILON);
                let off = (number::<Exact>(found.cost(i).0) - right).abs();
                if unit == Exact::zero() { off } else { off / unit }
            }).collect())
        };
    });
    all
}
