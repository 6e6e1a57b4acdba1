//! Entropies and mutual information of two variables, from their joint distribution [`Joint`].
//!
//! Formulas, for p(x, y) with a row for each x and a column for each y:
//! <var>H(X, Y) = −Σ p(x, y) ln p(x, y)</var>;
//! <var>H(Y|X) = −Σ p(x, y) ln p(y|x)</var>, the entropy of Y if X is known (equivocation);
//! <var>I(X; Y) = H(X) − H(X|Y) = H(Y) − H(Y|X) = H(X) + H(Y) − H(X, Y) = KL(p(x, y) ‖ p(x)p(y))</var>.
//! <var>I(X; Y|Z) = Σ p(z)·I(X; Y|Z = z)</var>, what X tells of Y beyond Z.
//! Chain rules: <var>H(X, Y) = H(X) + H(Y|X)</var>, <var>I(X, Z; Y) = I(Z; Y) + I(X; Y|Z)</var>. H(X) is [`entropy`](fn@crate::entropy::entropy) of the marginal
//! [`Joint::x`]; H(X|Y) is [`conditional_entropy`] of [`Joint::transposed`].
//! In a transformer: a probe measures the mutual information of a hidden state and a property of the text, given a control
//! (the token itself, its position) what the state adds; the value of
//! a context is H(next) − H(next|context); word embeddings factor the pointwise mutual information (Levy and Goldberg
//! 2014).
//! Source: Shannon 1948, sections 6 and 12; the textbook's A.4 and A.6.

use crate::units::Nats;
use crate::{InfoError, distribution, divergence, entropy};
use linalg::Real;
use linalg::accurate::{Sum, sum};
use probability::{Categorical, Joint};

/// Returns the joint entropy H(X, Y).
///
/// ```
/// use infotheory::joint;
/// // Two coins that agree four times in five.
/// let coins = probability::Joint::from_probabilities(&linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
/// assert!((joint::entropy(&coins).to_bits().0 - 1.721928_f64).abs() < 1e-6);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "joint_entropy")]
pub fn entropy<T: Real>(joint: &Joint<T>) -> Nats<T> {
    Nats(entropy::unchecked(joint.table().iter().copied()))
}

/// Returns the conditional entropy <var>H(Y|X) = Σ p(x)·H(Y|X = x)</var>, at least 0.
///
/// ```
/// use infotheory::joint::conditional_entropy;
/// let joint = probability::Joint::from_probabilities(&linalg::matrix(2, 2, &[0.5, 0.25, 0.25, 0.0]))?;
/// // Y is uncertain only if x = 0 (probability ¾): ⅔ to ⅓.
/// assert!((conditional_entropy(&joint).to_bits().0 - 0.75 * 0.918296_f64).abs() < 1e-6);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "equivocation")]
pub fn conditional_entropy<T: Real>(joint: &Joint<T>) -> Nats<T> {
    let x = joint.x();
    let of_row = |y: Categorical<T>| entropy::unchecked(y.probabilities().iter().copied());
    let rows = (0..x.len()).map(|i| joint.y_given(i).map_or(T::zero(), of_row));
    Nats(sum(rows.zip(x.probabilities()).map(|(h, &px)| px * h)))
}

/// Returns the mutual information <var>I(X; Y) = KL(p(x, y) ‖ p(x)p(y))</var>: at least 0, at most the smaller
/// entropy, 0 only if X and Y are independent.
///
/// ```
/// use infotheory::joint::mutual_information;
/// use probability::{Categorical, Joint};
/// let coins = Joint::from_probabilities(&linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
/// assert!((mutual_information(&coins).to_bits().0 - 0.278072_f64).abs() < 1e-6);
/// // A channel that flips one bit in nine: 1 − H(0.11) = ½ bit of a uniform input arrives.
/// let [zero, one] = [[0.89, 0.11], [0.11, 0.89]].map(|p| Categorical::from_probabilities(&p));
/// let sent = Joint::from_conditionals(&Categorical::uniform(2)?, &[zero?, one?])?;
/// assert!((mutual_information(&sent).to_bits().0 - 0.5_f64).abs() < 1e-3);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("mutual_info_score", "information_gain"))]
pub fn mutual_information<T: Real>(joint: &Joint<T>) -> Nats<T> {
    let (x, y) = (joint.x(), joint.y());
    let pairs =
        y.probabilities().iter().flat_map(|&y| x.probabilities().iter().map(move |&x| (x, y)));
    let terms = joint.table().iter().zip(pairs).map(|(&p, (x, y))| {
        let apart = x * y;
        if p > T::zero() && apart < T::from_f64(1e-30) {
            // The product may underflow; its logarithm does not.
            p * (p.ln() - x.ln() - y.ln()) - p + apart
        } else {
            divergence::term(p, apart)
        }
    });
    Nats(distribution::within(sum(terms), 0.0, f64::INFINITY))
}

/// Returns the conditional mutual information <var>I(X; Y|Z) = Σ p(z)·I(X; Y|Z = z)</var>, from the distribution of Z and the
/// joint distribution of X and Y for each of its values: at least 0, and 0 only if X and Y are independent for each z.
///
/// It may be more than I(X; Y), and less.
///
/// # Errors
/// If there is not one table for each z, or the tables have different shapes.
///
/// ```
/// use infotheory::joint::{conditional_mutual_information, mutual_information};
/// use probability::{Categorical, Joint};
/// // Z = X xor Y of two fair coins: X alone tells nothing of Y, and with Z everything.
/// let equal = Joint::from_probabilities(&linalg::matrix(2, 2, &[0.5, 0.0, 0.0, 0.5]))?;
/// let opposite = Joint::from_probabilities(&linalg::matrix(2, 2, &[0.0, 0.5, 0.5, 0.0]))?;
/// let bits = conditional_mutual_information(&Categorical::uniform(2)?, &[equal, opposite])?.to_bits();
/// assert_eq!(bits.0, 1.0_f64);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "cmi")]
pub fn conditional_mutual_information<T: Real>(
    z: &Categorical<T>,
    given: &[Joint<T>],
) -> Result<Nats<T>, InfoError> {
    if given.len() != z.len() {
        let (found, expected) = (given.len(), z.len());
        return Err(InfoError::Length { what: "the list of tables", found, expected });
    }
    let shape = given[0].table().shape();
    if let Some(other) = given.iter().find(|table| table.table().shape() != shape) {
        let (found, expected) = (other.table().len(), given[0].table().len());
        return Err(InfoError::Length { what: "a table", found, expected });
    }
    let terms = z.probabilities().iter().zip(given);
    Ok(Nats(sum(terms.map(|(&p, table)| p * mutual_information(table).0))))
}

/// Returns the pointwise mutual information <var>ln(p(x, y)/(p(x)·p(y)))</var>: positive if the two occur
/// together more often than by chance, −∞ if they never do. Its mean is [`mutual_information`].
///
/// # Errors
/// If there is no such outcome, or its marginal probability is 0: 0/0.
///
/// ```
/// use infotheory::joint::pointwise_mutual_information;
/// let coins = probability::Joint::from_probabilities(&linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
/// let together: infotheory::Nats = pointwise_mutual_information(&coins, 0, 0)?;
/// assert!((together.to_bits().0 - 1.6_f64.log2()).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "pmi")]
pub fn pointwise_mutual_information<T: Real>(
    joint: &Joint<T>,
    x: usize,
    y: usize,
) -> Result<Nats<T>, InfoError> {
    let side = |place: usize, of: Categorical<T>| match of.probabilities().get(place) {
        None => Err(InfoError::Target { place: 0, found: place, classes: of.len() }),
        Some(&p) if p == T::zero() => Err(InfoError::NoMean { what: "occurrences" }),
        Some(&p) => Ok(p),
    };
    let (px, py, p) = (side(x, joint.x())?, side(y, joint.y())?, joint.table()[(x, y)]);
    if p == T::zero() {
        return Ok(Nats(T::from_f64(f64::NEG_INFINITY)));
    }
    Ok(Nats(p.ln() - px.ln() - py.ln()))
}

/// Returns the conditional divergence <var>Σ p(x)·KL(p(y|x) ‖ q(y|x))</var>: the nats that are wasted on average if Y is
/// predicted from X by the conditionals of `q`. Chain rule: <var>KL(p(x, y)‖q(x, y)) = KL(p(x)‖q(x))</var> + this.
///
/// # Errors
/// If the tables have different shapes.
///
/// ```
/// use infotheory::joint::{conditional_kl, mutual_information};
/// use probability::{Categorical, Joint};
/// let coins = Joint::from_probabilities(&linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
/// // A prediction of Y that ignores X wastes the mutual information.
/// let blind = Joint::independent(&Categorical::uniform(2)?, &Categorical::uniform(2)?);
/// let wasted: infotheory::Nats = conditional_kl(&coins, &blind)?;
/// assert!((wasted - mutual_information(&coins)).0.abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "kl_divergence")]
pub fn conditional_kl<T: Real>(p: &Joint<T>, q: &Joint<T>) -> Result<Nats<T>, InfoError> {
    if q.table().shape() != p.table().shape() {
        let (found, expected) = (q.table().len(), p.table().len());
        return Err(InfoError::Length { what: "q", found, expected });
    }
    let mut nats = Sum::new();
    for (i, &px) in p.x().probabilities().iter().enumerate() {
        let Ok(row) = p.y_given(i) else { continue };
        let Ok(other) = q.y_given(i) else { return Ok(Nats(T::from_f64(f64::INFINITY))) };
        let pairs = row.probabilities().iter().copied().zip(other.probabilities().iter().copied());
        nats.add(px * divergence::unchecked(pairs));
    }
    Ok(Nats(nats.value()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::draw;
    use linalg::{Matrix, matrix};
    use proptest::prelude::*;

    fn joint(rows: usize, p: &[f64]) -> Joint {
        Joint::from_probabilities(&matrix(rows, p.len() / rows, p)).unwrap()
    }

    fn categorical(p: &[f64]) -> Categorical {
        Categorical::from_probabilities(p).unwrap()
    }

    /// H(X), H(Y), H(X, Y), H(X|Y), H(Y|X) and I(X; Y).
    fn measures(p: &Joint) -> [f64; 6] {
        let [x, y] = [p.x(), p.y()].map(|side| entropy::entropy(side.probabilities()).unwrap());
        let [x_given_y, y_given_x] = [&p.transposed(), p].map(conditional_entropy);
        [x, y, entropy(p), x_given_y, y_given_x, mutual_information(p)].map(|nats| nats.0)
    }

    /// Tables of up to 6×6, with some zeros.
    fn table() -> impl Strategy<Value = Joint> {
        (1usize..6, 1usize..6).prop_flat_map(|(m, n)| {
            prop::collection::vec(draw::weight(), m * n)
                .prop_map(move |weights| joint(m, &draw::normalised(weights)))
        })
    }

    /// A channel p(y|x) with a column for each x.
    fn channel(inputs: usize, outputs: usize) -> impl Strategy<Value = Matrix<f64>> {
        prop::collection::vec(prop::collection::vec(1e-6f64..1.0, outputs), inputs).prop_map(
            move |columns| {
                let columns: Vec<f64> = columns.into_iter().flat_map(draw::normalised).collect();
                matrix(outputs, inputs, &columns)
            },
        )
    }

    /// Sums of up to 36 terms of size below 1, twice over.
    const SLACK: f64 = 128.0 * f64::EPSILON;

    proptest! {
        #[test]
        fn the_chain_rule(p in table()) {
            let [x, y, both, x_given_y, y_given_x, _] = measures(&p);
            prop_assert!((both - (y + x_given_y)).abs() <= SLACK);
            prop_assert!((both - (x + y_given_x)).abs() <= SLACK);
        }

        #[test]
        fn mutual_information_has_many_forms_and_is_symmetric(p in table()) {
            let [x, y, both, x_given_y, y_given_x, i] = measures(&p);
            prop_assert!(i >= 0.0 && i <= x.min(y) + SLACK);
            for other in [mutual_information(&p.transposed()).0, x - x_given_y, y - y_given_x, x + y - both] {
                prop_assert!((i - other).abs() <= SLACK);
            }
            // Its mean over the table is the mutual information.
            let mean = p.expectation(|x, y| match p.table()[(x, y)] {
                0.0 => 0.0,
                _ => pointwise_mutual_information(&p, x, y).unwrap().0,
            });
            prop_assert!((i - mean).abs() <= SLACK);
        }

        #[test]
        fn conditioning_does_not_add_entropy(p in table()) {
            let [x, y, _, x_given_y, y_given_x, _] = measures(&p);
            prop_assert!((0.0..=x + SLACK).contains(&x_given_y) && (0.0..=y + SLACK).contains(&y_given_x));
        }

        #[test]
        fn independent_variables_tell_nothing(x in draw::distribution(), y in draw::distribution()) {
            let [x, y, both, .., i] = measures(&Joint::independent(&categorical(&x), &categorical(&y)));
            prop_assert!(i <= SLACK && (both - (x + y)).abs() <= 1024.0 * f64::EPSILON);
        }

        #[test]
        fn processing_does_not_add_information(
            x in prop::collection::vec(1e-3f64..1.0, 3).prop_map(draw::normalised),
            first in channel(3, 4), second in channel(4, 3),
        ) {
            // X → Y → Z: I(X; Z) ≤ I(X; Y).
            let through = |channel: &Matrix<f64>| {
                let columns: Vec<_> = channel.as_slice().chunks(channel.nrows()).map(categorical).collect();
                mutual_information(&Joint::from_conditionals(&categorical(&x), &columns).unwrap()).0
            };
            prop_assert!(through(&(&second * &first)) <= through(&first) + SLACK);
        }

        #[test]
        fn divergences_add_along_the_chain([p, q] in draw::positive::<2>()) {
            let cut = (1..=p.len()).rev().find(|m| p.len().is_multiple_of(*m) && *m <= 5).unwrap();
            let (pj, qj) = (joint(cut, &p), joint(cut, &q));
            let whole = divergence::kl(&p, &q).unwrap().0;
            let marginal = divergence::kl(pj.x().probabilities(), qj.x().probabilities()).unwrap().0;
            let parts = marginal + conditional_kl(&pj, &qj).unwrap().0;
            prop_assert!((whole - parts).abs() <= SLACK * (1.0 + whole));
        }
    }

    /// I(X, Z; Y) = I(Z; Y) + I(X; Y|Z), from a table of all three.
    #[test]
    fn information_of_two_adds_up() {
        let random = probability::Random::new(5, 0, 0);
        for case in 0..50 {
            let weights: Vec<f64> =
                (0..24).map(|i| random.uniform(24 * case + i).powi(3)).collect();
            let p = draw::normalised(weights); // x of 2, z of 3, y of 4
            let at = |x: usize, z: usize, y: usize| p[x + 2 * (z + 3 * y)];
            let both = joint(6, &p);
            let of_z = Matrix::from_fn(3, 4, |z, y| at(0, z, y) + at(1, z, y));
            let of_z = Joint::from_probabilities(&of_z).unwrap();
            let given =
                |z: usize| Joint::from_weights(&Matrix::from_fn(2, 4, |x, y| at(x, z, y))).unwrap();
            let given: Vec<Joint> = (0..3).map(given).collect();
            let more = conditional_mutual_information(&of_z.x(), &given).unwrap();
            let parts = mutual_information(&of_z) + more;
            assert!(more.0 >= 0.0 && (mutual_information(&both) - parts).0.abs() <= SLACK);
        }
        let two = Categorical::uniform(2).unwrap();
        let (square, row) = (joint(2, &[0.25; 4]), joint(1, &[0.5; 2]));
        assert!(conditional_mutual_information(&two, std::slice::from_ref(&square)).is_err());
        assert!(conditional_mutual_information(&two, &[square, row]).is_err());
    }

    #[test]
    fn hard_floats() {
        let one = joint(1, &[1.0]);
        for nats in measures(&one) {
            assert_eq!(nats.to_bits(), 0, "+0, and not −0");
        }
        let pointwise = |p: &Joint, x, y| pointwise_mutual_information(p, x, y);
        assert_eq!(pointwise(&one, 0, 0).unwrap().0.to_bits(), 0);
        let zero = joint(2, &[1.0, -0.0, 0.0, 0.0]);
        assert_eq!(pointwise(&zero, 1, 1), Err(InfoError::NoMean { what: "occurrences" }));
        assert!(matches!(pointwise(&zero, 0, 2), Err(InfoError::Target { found: 2, .. })));
        let never = joint(2, &[0.5, 0.0, 0.0, 0.5]);
        assert_eq!(pointwise(&never, 0, 1).unwrap().0, f64::NEG_INFINITY);
        assert_eq!(conditional_kl(&zero, &never).unwrap().0, 0.0);
        assert_eq!(conditional_kl(&never, &zero).unwrap().0, f64::INFINITY);
        assert!(conditional_kl(&never, &one).is_err());
        let tiny = joint(2, &[1.0, 5e-324, 5e-324, 0.0]);
        assert!(mutual_information(&tiny).0.abs() < 1e-300 && entropy(&tiny).0 > 0.0);
    }
}
