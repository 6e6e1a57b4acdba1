//! Joint distributions of two random variables: tables, marginals, conditionals, and the laws of total expectation and
//! variance.
//!
//! Formula: <var>P(x) = Σ_y P(x, y)</var>, <var>P(y | x) = P(x, y)/P(x)</var>;
//! <var>E\[Y\] = E\[E\[Y|X\]\]</var>, <var>Var\[Y\] = E\[Var\[Y|X\]\] + Var\[E\[Y|X\]\]</var>.
//!
//! A language model is a product of conditionals, <var>P(t₁ … t_n) = Π P(t_k | t₁ … t_(k−1))</var>:
//!
//! ```
//! use probability::{Categorical, Joint};
//! let first = Categorical::from_probabilities(&[0.6, 0.4])?; // "a", "the"
//! let after_a = Categorical::from_probabilities(&[0.7, 0.3])?; // "cat", "dog"
//! let after_the = Categorical::from_probabilities(&[0.25, 0.75])?;
//! let text = Joint::from_conditionals(&first, &[after_a, after_the])?;
//! assert!((text.table()[(1, 0)] - 0.1_f64).abs() < 1e-15); // P("the cat") = 0.4 · 0.25
//! assert!((text.y().probability(0) - 0.52).abs() < 1e-15); // "cat" second, whatever came first
//! # Ok::<(), probability::ProbabilityError>(())
//! ```
//!
//! Source: the textbook's A.2; Wasserman, *All of Statistics*, chapters 2 and 3.

use crate::accurate::{Deviations, sum};
use crate::categorical::Categorical;
use crate::error::{ProbabilityError, check_length};
use linalg::{Matrix, Real};

/// The table P(x, y) for x = 0 … m − 1 (rows) and y = 0 … n − 1 (columns), which sums to one by construction.
///
/// ```
/// use probability::Joint;
/// use linalg::matrix;
/// let joint = Joint::from_probabilities(&matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
/// assert_eq!(joint.x().probabilities(), [0.5, 0.5]);
/// assert_eq!(joint.y_given(0)?.probabilities(), [0.8, 0.2]);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Joint<T: Real = f64> {
    table: Matrix<T>,
}

impl<T: Real> Joint<T> {
    /// Creates a joint distribution from a table of probabilities. Element (x, y) is number <var>x + m·y</var> in
    /// messages.
    ///
    /// # Errors
    /// Like [`Categorical::from_probabilities`].
    pub fn from_probabilities(table: &Matrix<T>) -> Result<Self, ProbabilityError> {
        let all = Categorical::from_probabilities(table.as_slice())?;
        Ok(Self::shaped(table.nrows(), table.ncols(), &all))
    }

    /// Creates a joint distribution in proportion to a table of weights or counts.
    ///
    /// # Errors
    /// Like [`Categorical::from_weights`].
    ///
    /// ```
    /// use probability::Joint;
    /// let counts = linalg::matrix(2, 2, &[30.0, 10.0, 0.0, 60.0]); // a table of what occurred together
    /// assert_eq!(Joint::from_weights(&counts)?.y().probabilities(), [0.4, 0.6]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn from_weights(table: &Matrix<T>) -> Result<Self, ProbabilityError> {
        let all = Categorical::from_weights(table.as_slice())?;
        Ok(Self::shaped(table.nrows(), table.ncols(), &all))
    }

    /// Returns <var>P(x, y) = P(x)·P(y | x)</var>, from P(x) and a distribution of y for every x (a channel).
    ///
    /// # Errors
    /// If the number of distributions is not that of the outcomes x, or their lengths differ.
    ///
    /// ```
    /// use probability::{Categorical, Joint};
    /// let weather = Categorical::from_probabilities(&[0.7, 0.3])?; // sun, rain
    /// let no_umbrella = |p: f64| Categorical::from_probabilities(&[p, 1.0 - p]);
    /// let joint = Joint::from_conditionals(&weather, &[no_umbrella(0.9)?, no_umbrella(0.2)?])?;
    /// assert!((joint.y().probability(1) - 0.31_f64).abs() < 1e-15); // 0.7·0.1 + 0.3·0.8
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn from_conditionals(
        x: &Categorical<T>,
        y_given_x: &[Categorical<T>],
    ) -> Result<Self, ProbabilityError> {
        check_length("conditional distributions", x.len(), y_given_x.len())?;
        let n = y_given_x[0].len();
        for y in y_given_x {
            check_length("outcomes of a conditional distribution", n, y.len())?;
        }
        let p = |i: usize, j: usize| x.probability(i) * y_given_x[i].probability(j);
        Self::from_weights(&Matrix::from_fn(x.len(), n, p))
    }

    /// Returns <var>P(x, y) = P(x)·P(y)</var> of independent variables.
    ///
    /// ```
    /// use probability::{Categorical, Joint};
    /// let (x, y) = (Categorical::from_probabilities(&[0.75, 0.25])?, Categorical::uniform(2)?);
    /// assert_eq!(Joint::independent(&x, &y).table().as_slice(), &[0.375, 0.125, 0.375, 0.125]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn independent(x: &Categorical<T>, y: &Categorical<T>) -> Self {
        Self::shaped(x.len(), y.len(), &x.product(y))
    }

    fn shaped(m: usize, n: usize, all: &Categorical<T>) -> Self {
        Joint { table: Matrix::from_column_slice(m, n, all.probabilities()) }
    }

    /// Returns the table P(x, y).
    pub fn table(&self) -> &Matrix<T> {
        &self.table
    }

    /// Returns P(y, x): the variables are exchanged.
    #[must_use]
    pub fn transposed(&self) -> Self {
        Joint { table: self.table.transpose() }
    }

    /// Returns the marginal <var>P(x) = Σ_y P(x, y)</var>, each sum correct to one rounding.
    ///
    /// ```
    /// # use probability::Joint;
    /// # let joint = Joint::from_probabilities(&linalg::matrix(2, 2, &[0.5, 0.125, 0.25, 0.125]))?;
    /// assert_eq!(joint.x().probabilities(), [0.75, 0.25]); // sums of rows
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias = "marginal")]
    pub fn x(&self) -> Categorical<T> {
        Categorical::known(self.table.row_iter().map(|row| sum(row.iter().copied())).collect())
    }

    /// Returns the marginal <var>P(y) = Σ_x P(x, y)</var>, each sum correct to one rounding.
    ///
    /// ```
    /// # use probability::Joint;
    /// # let joint = Joint::from_probabilities(&linalg::matrix(2, 2, &[0.5, 0.125, 0.25, 0.125]))?;
    /// assert_eq!(joint.y().probabilities(), [0.625, 0.375]); // sums of columns
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias = "marginal")]
    pub fn y(&self) -> Categorical<T> {
        Categorical::known(self.table.column_iter().map(|y| sum(y.iter().copied())).collect())
    }

    /// Returns <var>P(x | y) = P(x, y)/P(y)</var>.
    ///
    /// # Errors
    /// If P(y) is 0, or y is not an outcome.
    ///
    /// ```
    /// use probability::Joint;
    /// let rain = Joint::from_probabilities(&linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
    /// assert!((rain.x_given(0)?.probability(0) - 0.8_f64).abs() < 1e-15);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias = "conditional")]
    pub fn x_given(&self, y: usize) -> Result<Categorical<T>, ProbabilityError> {
        self.transposed().conditional("y =", y)
    }

    /// Returns <var>P(y | x) = P(x, y)/P(x)</var>.
    ///
    /// # Errors
    /// If P(x) is 0, or x is not an outcome.
    ///
    /// ```
    /// # use probability::Joint;
    /// # let joint = Joint::from_probabilities(&linalg::matrix(2, 2, &[0.5, 0.125, 0.25, 0.125]))?;
    /// assert_eq!(joint.y_given(1)?.probabilities(), [0.5, 0.5]); // a row over its sum
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias = "conditional")]
    pub fn y_given(&self, x: usize) -> Result<Categorical<T>, ProbabilityError> {
        self.conditional("x =", x)
    }

    /// Returns row x, renormalised.
    fn conditional(
        &self,
        what: &'static str,
        x: usize,
    ) -> Result<Categorical<T>, ProbabilityError> {
        let impossible = ProbabilityError::Impossible { what, index: x };
        if x >= self.table.nrows() {
            return Err(impossible);
        }
        let row: Vec<T> = self.table.row(x).iter().copied().collect();
        Categorical::from_weights(&row).map_err(|_| impossible)
    }

    /// Returns E\[f(X, Y)\]. A pair of probability 0 contributes 0 even if f is infinite or NaN. A possible infinite f
    /// gives ±∞; ∞ − ∞ or a possible NaN gives NaN. ±∞ if the sum overflows.
    ///
    /// ```
    /// use probability::Joint;
    /// let joint = Joint::from_probabilities(&linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
    /// assert!((joint.expectation(|x, y| (x * y) as f64) - 0.4_f64).abs() < 1e-15);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn expectation(&self, f: impl Fn(usize, usize) -> T) -> T {
        let m = self.table.nrows();
        self.flat().expectation(|i| f(i % m, i / m))
    }

    /// Returns <var>Cov\[f(X), g(Y)\] = E\[(f − E f)(g − E g)\]</var>; 0 if X and Y are independent. NaN if a possible
    /// value is infinite or NaN. The result may overflow to ±∞ or underflow to 0 ([`Joint::correlation`] does not).
    ///
    /// ```
    /// use probability::Joint;
    /// let joint = Joint::from_probabilities(&linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
    /// assert!((joint.covariance(|x| x as f64, |y| y as f64) - 0.15_f64).abs() < 1e-15); // 0.4 − ½·½
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn covariance(&self, f: impl Fn(usize) -> T, g: impl Fn(usize) -> T) -> T {
        let m = self.table.nrows();
        self.flat().covariance(|i| f(i % m), |i| g(i / m))
    }

    /// Returns <var>Cov\[f(X), g(Y)\]/√(Var f(X)·Var g(Y))</var>, within rounding of \[−1, 1\]; huge and tiny values
    /// are scaled first. NaN if a value is infinite or NaN.
    ///
    /// # Errors
    /// If a variable has only one value.
    ///
    /// ```
    /// use probability::Joint;
    /// let joint = Joint::from_probabilities(&linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
    /// assert!((joint.correlation(|x| x as f64, |y| y as f64)? - 0.6_f64).abs() < 1e-15); // 0.15/0.25
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn correlation(
        &self,
        f: impl Fn(usize) -> T,
        g: impl Fn(usize) -> T,
    ) -> Result<T, ProbabilityError> {
        // In units in which squares stay in range.
        let (m, all) = (self.table.nrows(), self.flat());
        let (f, g) = (all.deviations(|i| f(i % m)), all.deviations(|i| g(i / m)));
        let mean = |a: &Deviations<T>, b: &Deviations<T>| {
            all.expectation(|i| a.in_units[i] * b.in_units[i])
        };
        let scale = (mean(&f, &f) * mean(&g, &g)).sqrt();
        if scale == T::zero() {
            let expected = "above 0: a constant correlates with nothing";
            return Err(ProbabilityError::Setting { what: "a variance", found: 0.0, expected });
        }
        Ok(mean(&f, &g) / scale)
    }

    /// Returns E\[g(Y) | x\] for every x; 0 if P(x) = 0. An infinite or NaN g(y) counts only for x with P(x, y) > 0, as
    /// in [`Joint::expectation`].
    ///
    /// ```
    /// use probability::Joint;
    /// let joint = Joint::from_probabilities(&linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
    /// let means = joint.conditional_means(|y| y as f64);
    /// assert!((means[0] - 0.2_f64).abs() < 1e-15 && (means[1] - 0.8).abs() < 1e-15);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn conditional_means(&self, g: impl Fn(usize) -> T) -> Vec<T> {
        self.given_x(|y| y.expectation(&g))
    }

    /// Returns the variance of g(Y) in two parts: within the conditionals, and explained by X. Neither is negative.
    /// Both are NaN if a possible value is infinite or NaN; they may overflow to ∞ or underflow to 0.
    ///
    /// ```
    /// use probability::{Categorical, Joint};
    /// // Two prompts, equally likely; the length of the answer, 0 or 1 or 2 sentences, depends on the prompt.
    /// let prompts = Categorical::uniform(2)?;
    /// let [short, long] = [[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]].map(|w| Categorical::from_weights(&w));
    /// let joint = Joint::from_conditionals(&prompts, &[short?, long?])?;
    /// let parts = joint.total_variance(|y| y as f64);
    /// assert_eq!((parts.within, parts.between), (0.25, 0.25)); // Var = ¼ + ¼
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn total_variance(&self, g: impl Fn(usize) -> T) -> TotalVariance<T> {
        let variances = self.given_x(|y| y.variance(&g));
        let means = self.conditional_means(&g);
        let x = self.x();
        TotalVariance { within: x.expectation(|i| variances[i]), between: x.variance(|i| means[i]) }
    }

    fn given_x(&self, of: impl Fn(Categorical<T>) -> T) -> Vec<T> {
        (0..self.table.nrows()).map(|x| self.y_given(x).map_or(T::zero(), &of)).collect()
    }

    /// Returns the table as one distribution, column by column.
    fn flat(&self) -> Categorical<T> {
        Categorical::known(self.table.as_slice().to_vec())
    }
}

/// The parts of a variance, <var>Var\[Y\] = E\[Var\[Y|X\]\] + Var\[E\[Y|X\]\]</var>.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TotalVariance<T> {
    /// E\[Var\[Y|X\]\]: the variance that is left if X is known.
    pub within: T,
    /// Var\[E\[Y|X\]\]: the variance that X explains.
    pub between: T,
}

impl<T: Real> TotalVariance<T> {
    /// Returns Var\[Y\].
    ///
    /// ```
    /// # use probability::Joint;
    /// # let joint = Joint::from_probabilities(&linalg::matrix(2, 2, &[0.5, 0.125, 0.25, 0.125]))?;
    /// let parts = joint.total_variance(|y| y as f64);
    /// assert!((parts.total() - 0.375 * 0.625).abs() < 1e-15); // p·(1 − p), however it is divided
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn total(&self) -> T {
        self.within + self.between
    }
}
