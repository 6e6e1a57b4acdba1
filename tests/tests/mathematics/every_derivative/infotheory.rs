//! Entropies, divergences, losses: every function of information theory that is generic.

use super::{Case, cases, seen};
use infotheory::markov::MarkovChain;
use infotheory::objective::{alignment, distillation, label_smoothing, z_loss};
use infotheory::units::{Bits, Nats, bits_per_byte, bits_per_character};
use infotheory::{cross_entropy, divergence, entropy, fano, gaussian, joint, preference, renyi};
use linalg::{Matrix, Real, cholesky::Cholesky, matrix};
use probability::gaussian::Gaussian;
use probability::sigmoid::{log_sigmoid, sigmoid};
use probability::softmax::softmax;
use probability::{Categorical, Joint};

/// A distribution over rows and columns.
fn table<T: Real>(z: &[T]) -> Joint<T> {
    Joint::from_probabilities(&matrix(3, 3, &softmax(z))).expect("a distribution")
}

/// Transitions between three states.
fn transitions<T: Real>(z: &[T]) -> Matrix<T> {
    matrix(3, 3, &[softmax(&z[..3]), softmax(&z[3..6]), softmax(&z[6..])].concat())
}

/// A chain of three states.
fn chain<T: Real>(z: &[T]) -> MarkovChain<T> {
    MarkovChain::new(transitions(z)).expect("columns that are distributions")
}

/// A distribution over two rows and two columns.
fn small<T: Real>(z: &[T]) -> Joint<T> {
    Joint::from_probabilities(&matrix(2, 2, &softmax(z))).expect("a distribution")
}

/// The Cholesky factor of LLᵀ, L = \[e^z₀, 0; z₁, e^z₂\].
fn factor<T: Real>(z: &[T]) -> Cholesky<T> {
    let (a, b, c) = (z[0].exp(), z[1], z[2].exp());
    let square = matrix(2, 2, &[a * a, a * b, a * b, b * b + c * c]);
    Cholesky::of(&square).expect("a positive definite square")
}

/// Orders on both sides of 1, near to it and far.
const ORDERS: [f64; 5] = [0.3, 0.999, 1.0, 2.0, 30.0];

fn renyi_entropies<T: Real>(z: &[T]) -> T {
    let of = |order: &f64| renyi::entropy(&softmax(z), *order).expect("a distribution").0;
    seen(&ORDERS.iter().map(of).collect::<Vec<T>>())
}

fn renyi_divergences<T: Real>(z: &[T]) -> T {
    let (p, q) = (softmax(&z[..4]), softmax(&z[4..8]));
    let of = |order: &f64| renyi::divergence(&p, &q, *order).expect("one length").0;
    seen(&ORDERS[..4].iter().map(of).collect::<Vec<T>>())
}

/// A Gaussian with mean z₀ and standard deviation e^z₁.
fn normal<T: Real>(z: &[T]) -> Gaussian<T> {
    Gaussian::new(z[0], z[1].exp()).expect("a positive deviation")
}

/// Two logits for each of four tokens, one of them not to be predicted.
fn nats_of_columns<T: Real>(z: &[T]) -> T {
    let targets = matrix(1, 4, &[0.0, 1.0, -1.0, 1.0].map(T::from_f64));
    let mut nats = [T::zero(); 4];
    cross_entropy::nats_of_columns(matrix(2, 4, &z[..8]).as_view(), targets.as_view(), &mut nats);
    seen(&nats)
}

fn gradient_in_place<T: Real>(z: &[T]) -> T {
    let targets = matrix(1, 4, &[0.0, 1.0, -1.0, 1.0].map(T::from_f64));
    let (mut logits, mut nats) = (matrix(2, 4, &z[..8]), [T::zero(); 4]);
    let view = logits.as_view_mut();
    cross_entropy::gradient_in_place(view, targets.as_view(), |_| z[8], &mut nats);
    seen(logits.as_slice()) + seen(&nats)
}

/// β, between a half and two.
fn price<T: Real>(z: T) -> T {
    (z * T::from_f64(0.35)).exp()
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "cross_entropy::cross_entropy" => |z| {
            cross_entropy::cross_entropy(&softmax(&z[..4]), &softmax(&z[4..8])).expect("one length").0
        };
        "cross_entropy::of_logits" => |z| cross_entropy::of_logits(z, 2).expect("finite").0;
        "cross_entropy::mean_of_logits" => |z| {
            let logits = matrix(3, 3, z);
            let targets = [Some(1), None, Some(2)];
            cross_entropy::mean_of_logits(logits.as_view(), &targets).expect("finite").0
        };
        "cross_entropy::nats_of_columns" => nats_of_columns;
        "cross_entropy::gradient_in_place" => gradient_in_place;
        "divergence::kl" => |z| {
            divergence::kl(&softmax(&z[..4]), &softmax(&z[4..8])).expect("one length").0
        };
        "divergence::reverse_kl" => |z| {
            divergence::reverse_kl(&softmax(&z[..4]), &softmax(&z[4..8])).expect("one length").0
        };
        "divergence::total_variation" => |z| {
            divergence::total_variation(&softmax(&z[..4]), &softmax(&z[4..8])).expect("one length")
        };
        "divergence::jensen_shannon" => |z| {
            divergence::jensen_shannon(&softmax(&z[..4]), &softmax(&z[4..8])).expect("one length").0
        };
        "entropy::self_information" => |z| entropy::self_information(sigmoid(z[0])).expect("a share").0;
        "entropy::entropy" => |z| entropy::entropy(&softmax(z)).expect("a distribution").0;
        "entropy::binary_entropy" => |z| entropy::binary_entropy(sigmoid(z[0])).expect("a share").0;
        "entropy::normalised_entropy" => |z| entropy::normalised_entropy(&softmax(z)).expect("several");
        "gaussian::entropy" => |z| gaussian::entropy(&normal(&z[..2])).0 * z[2];
        "gaussian::kl" => |z| gaussian::kl(&normal(&z[..2]), &normal(&z[2..])).0;
        "gaussian::entropy_of_covariance" => |z| gaussian::entropy_of_covariance(&factor(z)).0 * z[3];
        "gaussian::multivariate_kl" => |z| {
            let (p, q) = (factor(z), factor(&z[3..6]));
            gaussian::multivariate_kl((&z[6..8], &p), (&z[7..9], &q)).expect("two dimensions").0
        };
        "renyi::entropy" => |z| renyi_entropies(z) + renyi::entropy(&[sigmoid(z[0]), sigmoid(-z[0])], 2.0).expect("two").0;
        "renyi::divergence" => |z| renyi_divergences(z) + renyi::divergence(&[sigmoid(z[0]), sigmoid(-z[0])], &[sigmoid(z[1]), sigmoid(-z[1])], 2.0).expect("two").0;
        "fano::most_entropy" => |z| fano::most_entropy(sigmoid(z[0]), 10).expect("a share").0;
        "gaussian::mutual_information" => |z| {
            gaussian::mutual_information(z[0].tanh()).expect("a correlation").0
        };
        "joint::entropy" => |z| joint::entropy(&table(z)).0;
        "joint::conditional_entropy" => |z| joint::conditional_entropy(&table(z)).0;
        "joint::mutual_information" => |z| joint::mutual_information(&table(z)).0;
        "joint::pointwise_mutual_information" => |z| {
            joint::pointwise_mutual_information(&table(z), 0, 2).expect("possible").0
        };
        "joint::conditional_mutual_information" => |z| {
            let weights = Categorical::from_logits(&[z[8], z[0]]).expect("finite");
            let tables = [small(&z[..4]), small(&z[4..8])];
            joint::conditional_mutual_information(&weights, &tables).expect("two tables").0
        };
        "joint::conditional_kl" => |z| {
            joint::conditional_kl(&small(&z[..4]), &small(&z[4..8])).expect("one shape").0
        };
        "markov::MarkovChain::new" "markov::MarkovChain::after" => |z| {
            seen(MarkovChain::new(transitions(z)).expect("distributions").after(1))
        };
        "markov::MarkovChain::stationary" => |z| seen(&chain(z).stationary().expect("one class"));
        "markov::MarkovChain::entropy_rate" => |z| chain(z).entropy_rate().expect("one class").0;
        "markov::MarkovChain::surprisals" => |z| {
            let nats = chain(z).surprisals(&[0, 2, 1, 1]).expect("states");
            Nats::mean(nats).expect("steps").0
        };
        "units::Nats::to_bits" => |z| Nats(z[0] * z[1]).to_bits().0;
        "units::Nats::perplexity" => |z| Nats(z[0]).perplexity();
        "units::Nats::per" => |z| Nats(z[0] * z[1]).per(3).expect("a count").0;
        "units::Nats::mean" => |z| Nats::mean(z.iter().map(|&z| Nats(z * z))).expect("numbers").0;
        "units::Bits::to_nats" => |z| Bits(z[0] * z[1]).to_nats().0;
        "units::Bits::perplexity" => |z| Bits(z[0]).perplexity();
        "units::Bits::per" => |z| Bits(z[0] * z[1]).per(3).expect("a count").0;
        "units::Bits::mean" => |z| Bits::mean(z.iter().map(|&z| Bits(z * z))).expect("numbers").0;
        "units::bits_per_character" => |z| {
            bits_per_character(Nats(z[0] * z[1]), "naïve").expect("a text").0
        };
        "units::bits_per_byte" => |z| bits_per_byte(Nats(z[0] * z[1]), "naïve").expect("a text").0;
        "objective::alignment::objective" => |z| {
            let (policy, reference) = (softmax(&z[..3]), softmax(&z[3..6]));
            let beta = (z[0] * z[3]).exp();
            alignment::objective(&policy, &reference, &z[6..], beta).expect("distributions")
        };
        "objective::alignment::best_policy" => |z| {
            let beta = price(z[0]);
            seen(&alignment::best_policy(&softmax(&z[1..4]), &z[4..7], beta).expect("distributions"))
        };
        "objective::alignment::best_value" => |z| {
            let beta = price(z[0]);
            alignment::best_value(&softmax(&z[1..4]), &z[4..7], beta).expect("distributions")
        };
        "objective::alignment::kl_estimate" => |z| {
            alignment::kl_estimate(log_sigmoid(z[0]), log_sigmoid(z[1])).expect("logarithms").0
        };
        "objective::distillation::loss" => |z| {
            distillation::loss(&z[..4], &z[4..8], z[8].exp()).expect("one length").0
        };
        "objective::distillation::with_truth" => |z| {
            let (t, hard) = (z[8].exp(), sigmoid(z[7]));
            distillation::with_truth(&z[..3], &z[3..6], 1, t, hard).expect("one length").0
        };
        "objective::label_smoothing::of_logits" => |z| {
            label_smoothing::of_logits(&z[..4], 2, sigmoid(z[8])).expect("finite").0
        };
        "objective::label_smoothing::target" => |z| {
            seen(&label_smoothing::target(4, 2, sigmoid(z[8])).expect("a class")) * z[0]
        };
        "preference::loss" => |z| {
            let logistic = preference::Objective::Logistic { flipped: 0.1 };
            let quadratic = preference::Objective::Quadratic;
            preference::loss(z[0], 0.7, logistic).expect("a number").0
                + preference::loss(z[1], 0.7, quadratic).expect("a number").0
        };
        "objective::z_loss::of_logits" => |z| z_loss::of_logits(&z[..4], z[8].exp()).expect("finite");
    }
}
