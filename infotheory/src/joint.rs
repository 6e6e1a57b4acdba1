//! Two variables at once: joint and conditional entropy, mutual information.
//!
//! Formulas, for a table p(x, y) with a row for each x and a column for each y:
//! <var>H(X, Y) = −Σ p(x, y) ln p(x, y)</var>;
//! <var>H(X|Y) = −Σ p(x, y) ln p(x|y)</var>, what is left to know of X when Y is known (equivocation);
//! <var>I(X; Y) = H(X) − H(X|Y) = H(Y) − H(Y|X) = H(X) + H(Y) − H(X, Y) = KL(p(x, y) ‖ p(x)p(y))</var>.
//! Chain rule: <var>H(X, Y) = H(Y) + H(X|Y)</var>.
//! In a transformer: a probe asks for the mutual information of a hidden state and a property of the
//! text; a context is worth H(next) − H(next|context); pointwise mutual information is what word
//! embeddings factor (Levy and Goldberg 2014).
//! Source: Shannon 1948, sections 6 and 12; the textbook's A.4 and A.6.

use crate::units::Nats;
use crate::{InfoError, distribution, divergence, entropy};
use linalg::accurate::{Sum, sum};
use linalg::{Matrix, Real};

/// A table of joint probabilities: rows are X, columns are Y.
///
/// ```
/// use infotheory::joint::Joint;
/// // Two coins that agree four times in five.
/// let coins = Joint::new(linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
/// let bits = |x: infotheory::Nats| x.to_bits().0;
/// assert!((bits(coins.entropy()) - 1.721928).abs() < 1e-6);
/// assert!((bits(coins.entropy_of_x_given_y()) - 0.721928).abs() < 1e-6);
/// assert!((bits(coins.mutual_information()) - 0.278072).abs() < 1e-6);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Joint<T: Real = f64> {
    table: Matrix<T>,
    x: Vec<T>,
    y: Vec<T>,
}

impl<T: Real> Joint<T> {
    /// Of a table.
    ///
    /// # Errors
    /// A table that is no distribution; its numbers are counted column after column. What the sum misses 1 by is
    /// divided out.
    ///
    /// ```
    /// use infotheory::joint::Joint;
    /// assert!(Joint::<f64>::new(linalg::matrix(1, 2, &[0.5, 0.4])).is_err()); // sums to 0.9
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn new(table: Matrix<T>) -> Result<Self, InfoError> {
        let total: T = distribution::sum("the joint distribution", table.as_slice())?;
        let table = table.map(|p| p / total);
        let x = table.row_iter().map(|row| sum(row.iter().copied())).collect();
        let y = table.column_iter().map(|column| sum(column.iter().copied())).collect();
        Ok(Joint { table, x, y })
    }

    /// Of two variables that know nothing of each other: <var>p(x)·p(y)</var>.
    ///
    /// # Errors
    /// What is no distribution.
    ///
    /// ```
    /// use infotheory::joint::Joint;
    /// let two: Joint = Joint::independent(&[0.5, 0.5], &[0.9, 0.1])?;
    /// assert_eq!(two.table()[(0, 1)], 0.05);
    /// assert!(two.mutual_information().0 < 1e-15);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn independent(x: &[T], y: &[T]) -> Result<Self, InfoError> {
        distribution::check("x", x)?;
        distribution::check("y", y)?;
        Self::new(Matrix::from_fn(x.len(), y.len(), |i, j| x[i] * y[j]))
    }

    /// Of counts: each over their sum, the most likely table.
    ///
    /// # Errors
    /// Counts that are all 0.
    ///
    /// ```
    /// use infotheory::joint::Joint;
    /// let seen: Joint = Joint::of_counts(&linalg::Matrix::from_column_slice(2, 2, &[4, 1, 1, 4]))?;
    /// assert!((seen.table()[(0, 0)] - 0.4).abs() < 1e-15);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn of_counts(counts: &Matrix<u32>) -> Result<Self, InfoError> {
        let total = sum(counts.iter().map(|&c| f64::from(c)));
        if total == 0.0 {
            return Err(InfoError::NoMean { what: "counts" });
        }
        Self::new(counts.map(|c| T::from_f64(f64::from(c) / total)))
    }

    /// X, and then Y by a channel p(y|x) with a column for each x: how a signal is received.
    ///
    /// # Errors
    /// A column that is no distribution, or another number of columns than there are x.
    ///
    /// ```
    /// use infotheory::joint::Joint;
    /// // A bit is sent, and one in nine is received wrongly: 1 − H(0.11) = ½ of it arrives.
    /// let channel = linalg::matrix(2, 2, &[0.89, 0.11, 0.11, 0.89]);
    /// let sent = Joint::through(&[0.5, 0.5], &channel)?;
    /// assert!((sent.mutual_information().to_bits().0 - 0.5_f64).abs() < 1e-3);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn through(x: &[T], channel: &Matrix<T>) -> Result<Self, InfoError> {
        distribution::check("x", x)?;
        if channel.ncols() != x.len() {
            let (found, expected) = (channel.ncols(), x.len());
            return Err(InfoError::Length { what: "the list of columns", found, expected });
        }
        for column in channel.as_slice().chunks(channel.nrows().max(1)) {
            distribution::check("a column of the channel", column)?;
        }
        Self::new(Matrix::from_fn(x.len(), channel.nrows(), |i, j| x[i] * channel[(j, i)]))
    }

    /// The table.
    pub fn table(&self) -> &Matrix<T> {
        &self.table
    }

    /// The marginal distribution of X: sums of rows.
    ///
    /// ```
    /// # use infotheory::joint::Joint;
    /// # let joint: Joint = Joint::new(linalg::matrix(2, 2, &[0.5, 0.25, 0.25, 0.0]))?;
    /// assert_eq!(joint.x(), [0.75, 0.25]);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn x(&self) -> &[T] {
        &self.x
    }

    /// The marginal distribution of Y: sums of columns.
    ///
    /// ```
    /// # use infotheory::joint::Joint;
    /// # let joint: Joint = Joint::new(linalg::matrix(2, 2, &[0.5, 0.25, 0.25, 0.0]))?;
    /// assert_eq!(joint.y(), [0.75, 0.25]);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn y(&self) -> &[T] {
        &self.y
    }

    /// X and Y exchanged.
    #[must_use]
    pub fn transposed(&self) -> Self {
        Joint { table: self.table.transpose(), x: self.y.clone(), y: self.x.clone() }
    }

    /// H(X, Y).
    ///
    /// ```
    /// use infotheory::joint::Joint;
    /// let coins: Joint = Joint::new(linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
    /// assert!((coins.entropy().to_bits().0 - 1.721928).abs() < 1e-6);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn entropy(&self) -> Nats<T> {
        Nats(entropy::unchecked(self.table.iter().copied()))
    }

    /// H(X).
    ///
    /// ```
    /// # use infotheory::joint::Joint;
    /// # let joint: Joint = Joint::new(linalg::matrix(2, 2, &[0.5, 0.25, 0.25, 0.0]))?;
    /// assert!((joint.entropy_of_x().to_bits().0 - 0.811278).abs() < 1e-6); // H_b(¼)
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn entropy_of_x(&self) -> Nats<T> {
        Nats(entropy::unchecked(self.x.iter().copied()))
    }

    /// H(Y).
    pub fn entropy_of_y(&self) -> Nats<T> {
        Nats(entropy::unchecked(self.y.iter().copied()))
    }

    /// <var>H(X|Y) = −Σ p(x, y) ln(p(x, y)/p(y))</var>, at least 0.
    ///
    /// ```
    /// use infotheory::joint::Joint;
    /// let coins: Joint = Joint::new(linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
    /// assert!((coins.entropy_of_x_given_y().to_bits().0 - 0.721928).abs() < 1e-6); // of one bit
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn entropy_of_x_given_y(&self) -> Nats<T> {
        let columns = self.table.column_iter().zip(&self.y);
        let terms = columns.flat_map(|(column, &y)| {
            let possible = column.iter().copied().filter(|p| *p > T::zero());
            possible.map(move |p| p * (y.ln() - p.ln())).collect::<Vec<_>>()
        });
        Nats(distribution::within(sum(terms), 0.0, f64::INFINITY))
    }

    /// H(Y|X), at least 0.
    ///
    /// ```
    /// # use infotheory::joint::Joint;
    /// # let joint: Joint = Joint::new(linalg::matrix(2, 2, &[0.5, 0.25, 0.25, 0.0]))?;
    /// // Y is open only where x = 0, three times in four, and there it is ⅔ to ⅓.
    /// assert!((joint.entropy_of_y_given_x().to_bits().0 - 0.75 * 0.918296).abs() < 1e-6);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn entropy_of_y_given_x(&self) -> Nats<T> {
        self.transposed().entropy_of_x_given_y()
    }

    /// <var>I(X; Y) = KL(p(x, y) ‖ p(x)p(y))</var>: the nats that each tells of the other; at least 0,
    /// at most the smaller entropy, 0 only where they are independent.
    ///
    /// ```
    /// use infotheory::joint::Joint;
    /// let coins: Joint = Joint::new(linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
    /// assert!((coins.mutual_information().to_bits().0 - 0.278072).abs() < 1e-6);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn mutual_information(&self) -> Nats<T> {
        let pairs = self.y.iter().flat_map(|&y| self.x.iter().map(move |&x| (x, y)));
        let terms = self.table.iter().zip(pairs).map(|(&p, (x, y))| {
            let apart = x * y;
            if p > T::zero() && apart < T::from_f64(1e-30) {
                // The product may be below the smallest number; its logarithm is not.
                p * (p.ln() - x.ln() - y.ln()) - p + apart
            } else {
                divergence::term(p, apart)
            }
        });
        Nats(distribution::within(sum(terms), 0.0, f64::INFINITY))
    }

    /// Pointwise mutual information <var>ln(p(x, y)/(p(x)·p(y)))</var>: positive where the two occur
    /// together more often than by chance, −∞ where they never do. Its mean is
    /// [`Joint::mutual_information`].
    ///
    /// # Errors
    /// If there is no such place in the table, or its row or column never occurs: 0/0.
    ///
    /// ```
    /// use infotheory::joint::Joint;
    /// let coins = Joint::new(linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
    /// assert!((coins.pointwise(0, 0)?.to_bits().0 - 1.6_f64.log2()).abs() < 1e-15);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn pointwise(&self, x: usize, y: usize) -> Result<Nats<T>, InfoError> {
        let side = |place: usize, of: &[T]| match of.get(place) {
            None => Err(InfoError::Target { place: 0, found: place, classes: of.len() }),
            Some(&p) if p == T::zero() => Err(InfoError::NoMean { what: "occurrences" }),
            Some(&p) => Ok(p),
        };
        let (px, py, p) = (side(x, &self.x)?, side(y, &self.y)?, self.table[(x, y)]);
        if p == T::zero() {
            return Ok(Nats(T::from_f64(f64::NEG_INFINITY)));
        }
        Ok(Nats(p.ln() - px.ln() - py.ln()))
    }

    /// What Y's prediction by another table's conditionals wastes on average over X: <var>Σ p(x)
    /// KL(p(y|x) ‖ q(y|x))</var>. Chain rule: <var>KL(p(x, y)‖q(x, y)) = KL(p(x)‖q(x))</var> + this.
    ///
    /// # Errors
    /// If the tables have different shapes.
    ///
    /// ```
    /// use infotheory::joint::Joint;
    /// let coins: Joint = Joint::new(linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
    /// let blind = Joint::independent(&[0.5, 0.5], &[0.5, 0.5])?;
    /// // Who predicts Y without X wastes all that X tells.
    /// assert!((coins.conditional_kl(&blind)? - coins.mutual_information()).0.abs() < 1e-15);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn conditional_kl(&self, q: &Joint<T>) -> Result<Nats<T>, InfoError> {
        if q.table.shape() != self.table.shape() {
            let (found, expected) = (q.table.len(), self.table.len());
            return Err(InfoError::Length { what: "q", found, expected });
        }
        let mut nats = Sum::new();
        for (i, (&px, &qx)) in self.x.iter().zip(&q.x).enumerate() {
            if px == T::zero() {
                continue;
            }
            if qx == T::zero() {
                return Ok(Nats(T::from_f64(f64::INFINITY)));
            }
            let rows = self.table.row(i).into_owned();
            let others = q.table.row(i).into_owned();
            let pairs = rows.iter().zip(others.iter()).map(|(&p, &q)| (p / px, q / qx));
            nats.add(px * divergence::unchecked(pairs));
        }
        Ok(Nats(nats.value()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::draw;
    use linalg::matrix;
    use proptest::prelude::*;

    /// Tables of up to 6×6, with zeros among them.
    fn table() -> impl Strategy<Value = Joint> {
        (1usize..6, 1usize..6).prop_flat_map(|(m, n)| {
            prop::collection::vec(draw::weight(), m * n).prop_map(move |weights| {
                Joint::new(matrix(m, n, &draw::normalised(weights))).unwrap()
            })
        })
    }

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
            let both = p.entropy().0;
            let by_y = p.entropy_of_y().0 + p.entropy_of_x_given_y().0;
            let by_x = p.entropy_of_x().0 + p.entropy_of_y_given_x().0;
            prop_assert!((both - by_y).abs() <= SLACK && (both - by_x).abs() <= SLACK);
        }

        #[test]
        fn mutual_information_has_many_forms_and_is_symmetric(p in table()) {
            let i = p.mutual_information().0;
            prop_assert!(i >= 0.0);
            prop_assert!((i - p.transposed().mutual_information().0).abs() <= SLACK);
            let [hx, hy, hxy] = [p.entropy_of_x(), p.entropy_of_y(), p.entropy()].map(|h| h.0);
            prop_assert!((i - (hx - p.entropy_of_x_given_y().0)).abs() <= SLACK);
            prop_assert!((i - (hy - p.entropy_of_y_given_x().0)).abs() <= SLACK);
            prop_assert!((i - (hx + hy - hxy)).abs() <= SLACK);
            prop_assert!(i <= hx.min(hy) + SLACK);
            // … and is the mean of the pointwise one.
            let mut mean = 0.0;
            for x in 0..p.x().len() {
                for y in 0..p.y().len() {
                    if p.table()[(x, y)] > 0.0 {
                        mean += p.table()[(x, y)] * p.pointwise(x, y).unwrap().0;
                    }
                }
            }
            prop_assert!((i - mean).abs() <= SLACK);
        }

        #[test]
        fn conditioning_does_not_add_entropy(p in table()) {
            prop_assert!(p.entropy_of_x_given_y().0 <= p.entropy_of_x().0 + SLACK);
            prop_assert!(p.entropy_of_x_given_y().0 >= 0.0);
        }

        #[test]
        fn independent_variables_tell_nothing(x in draw::distribution(), y in draw::distribution()) {
            let p = Joint::independent(&x, &y).unwrap();
            prop_assert!(p.mutual_information().0 <= SLACK);
            let sum = p.entropy_of_x().0 + p.entropy_of_y().0;
            prop_assert!((p.entropy().0 - sum).abs() <= 1024.0 * f64::EPSILON);
        }

        #[test]
        fn processing_does_not_add_information(
            x in prop::collection::vec(1e-3f64..1.0, 3).prop_map(draw::normalised),
            first in channel(3, 4), second in channel(4, 3),
        ) {
            // X → Y → Z: I(X; Z) ≤ I(X; Y).
            let to_y = Joint::through(&x, &first).unwrap().mutual_information().0;
            let to_z = Joint::through(&x, &(&second * &first)).unwrap().mutual_information().0;
            prop_assert!(to_z <= to_y + SLACK);
        }

        #[test]
        fn divergences_add_along_the_chain([p, q] in draw::positive::<2>()) {
            let cut = (1..=p.len()).rev().find(|m| p.len().is_multiple_of(*m) && *m <= 5).unwrap();
            let joint = |p: &[f64]| Joint::new(matrix(cut, p.len() / cut, p)).unwrap();
            let (pj, qj) = (joint(&p), joint(&q));
            let whole = divergence::kl(&p, &q).unwrap().0;
            let parts = divergence::unchecked(
                pj.x().iter().copied().zip(qj.x().iter().copied()),
            ) + pj.conditional_kl(&qj).unwrap().0;
            prop_assert!((whole - parts).abs() <= SLACK * (1.0 + whole));
        }
    }

    #[test]
    fn counts_are_shares() {
        let counts = nalgebra::DMatrix::from_column_slice(2, 2, &[4, 1, 1, 4]);
        let by_count = Joint::<f64>::of_counts(&counts).unwrap();
        assert_eq!(by_count, Joint::new(matrix(2, 2, &[0.4, 0.1, 0.1, 0.4])).unwrap());
        assert!(Joint::<f64>::of_counts(&nalgebra::DMatrix::zeros(2, 2)).is_err());
        assert_eq!((by_count.x(), by_count.y()), (&[0.5, 0.5][..], &[0.5, 0.5][..]));
    }

    #[test]
    fn hard_floats() {
        assert!(Joint::<f64>::new(Matrix::zeros(0, 0)).is_err());
        assert!(Joint::new(matrix(1, 2, &[f64::NAN, 1.0])).is_err());
        assert!(Joint::new(matrix(1, 2, &[f64::INFINITY, 1.0])).is_err());
        assert!(Joint::new(matrix(1, 2, &[-0.5, 1.5])).is_err());
        assert!(Joint::new(matrix(1, 1, &[0.5])).is_err());
        let one = Joint::new(matrix(1, 1, &[1.0])).unwrap();
        for nats in [
            one.entropy(),
            one.mutual_information(),
            one.entropy_of_x_given_y(),
            one.entropy_of_y_given_x(),
            one.pointwise(0, 0).unwrap(),
        ] {
            assert_eq!(f64::to_bits(nats.0), 0, "+0, and not −0");
        }
        let zero = Joint::new(matrix(2, 2, &[1.0, -0.0, 0.0, 0.0])).unwrap();
        assert_eq!(zero.pointwise(1, 1), Err(InfoError::NoMean { what: "occurrences" }));
        assert!(matches!(zero.pointwise(0, 2), Err(InfoError::Target { found: 2, .. })));
        let never = Joint::new(matrix(2, 2, &[0.5, 0.0, 0.0, 0.5])).unwrap();
        assert_eq!(never.pointwise(0, 1).unwrap().0, f64::NEG_INFINITY);
        assert_eq!(zero.conditional_kl(&never).unwrap().0, 0.0);
        assert_eq!(never.conditional_kl(&zero).unwrap().0, f64::INFINITY);
        assert!(never.conditional_kl(&one).is_err());
        let tiny = Joint::new(matrix(2, 2, &[1.0, 5e-324, 5e-324, 0.0])).unwrap();
        assert!(tiny.mutual_information().0.abs() < 1e-300 && tiny.entropy().0 > 0.0);
        assert!(Joint::through(&[1.0], &matrix(1, 2, &[1.0, 1.0])).is_err());
        assert!(Joint::through(&[1.0], &matrix(1, 1, &[0.5])).is_err());
        assert!(Joint::independent(&[0.5], &[1.0]).is_err());
        let counts = |c: &[u32]| Joint::<f64>::of_counts(&Matrix::from_column_slice(1, c.len(), c));
        for none in [&[][..], &[0], &[0, 0]] {
            assert_eq!(counts(none).unwrap_err(), InfoError::NoMean { what: "counts" });
        }
        let large = counts(&[u32::MAX; 4]).unwrap();
        assert_eq!((large.table().as_slice(), large.entropy().to_bits().0), (&[0.25; 4][..], 2.0));
    }
}
