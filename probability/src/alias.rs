//! The alias table: draws from any distribution by one look-up.
//!
//! Idea: n columns of equal width are each shared by at most two outcomes: the column's own and an alias. A draw
//! chooses a column uniformly, then one of its two outcomes. Building the table takes O(n), a draw O(1) (inverse
//! transform reads up to n probabilities).
//! Source: Walker, *An efficient method for generating discrete random variables*, 1977; Vose,
//! 1991.
//!
//! The table is in `f64` for every scalar: an index cannot be differentiated.

use crate::categorical::Categorical;
use crate::error::ProbabilityError;
use crate::random::Random;
use linalg::Real;

/// A distribution prepared for many draws, in integers: outcome i has probability <var>wᵢ/Σw</var> *exactly*.
///
/// ```
/// use probability::{Random, alias::AliasTable};
/// let table = AliasTable::from_counts(&[5, 1, 0, 2])?;
/// assert_eq!(table.shares(), [20, 4, 0, 8]); // of n·Σw = 32: nothing is rounded
/// let (random, mut drawn) = (Random::new(1, 0, 0), [0; 4]);
/// (0..8000).for_each(|i| drawn[table.draw(&random, i)] += 1);
/// assert_eq!(drawn[2], 0);
/// assert!((drawn[0] as f64 - 5000.0).abs() < 5.0 * (8000.0_f64 * 0.625 * 0.375).sqrt());
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[doc(alias("walker", "vose"))]
pub struct AliasTable {
    weights: Vec<u64>,
    /// The height of a column: Σ w.
    height: u64,
    columns: Vec<Column>,
}

/// A column: its own outcome below the height `own`, the alias above.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Column {
    own: u64,
    alias: usize,
}

impl AliasTable {
    /// Builds the table from counts, or from any integer weights.
    ///
    /// # Errors
    /// If there are no counts, all are 0, or their sum is 2⁶³ or more.
    pub fn from_counts(counts: &[u64]) -> Result<Self, ProbabilityError> {
        let total: u128 = counts.iter().map(|&n| u128::from(n)).sum();
        if total == 0 {
            return Err(ProbabilityError::Empty { what: "counts above 0" });
        }
        let (what, expected) = ("the sum of the counts", "below 2⁶³");
        crate::error::check_setting(what, expected, total as f64, total < 1 << 63)?;
        let height = total as u64;
        // n·wᵢ units of area to place in n columns of height Σw.
        let mut left: Vec<u128> =
            counts.iter().map(|&w| u128::from(w) * counts.len() as u128).collect();
        let mut columns: Vec<Column> =
            (0..left.len()).map(|i| Column { own: height, alias: i }).collect();
        let (mut short, mut tall): (Vec<usize>, Vec<usize>) =
            (0..left.len()).partition(|&i| left[i] < total);
        // The remaining areas sum to Σw for each remaining column, so a short column always finds a tall one.
        while let (Some(i), Some(&j)) = (short.pop(), tall.last()) {
            columns[i] = Column { own: left[i] as u64, alias: j };
            left[j] -= total - left[i];
            if left[j] < total {
                tall.pop();
                short.push(j);
            }
        }
        Ok(AliasTable { weights: counts.to_vec(), height, columns })
    }

    /// Builds the table from a distribution. Its probabilities are rounded to multiples of 2⁻⁶²; a positive one stays
    /// positive.
    ///
    /// ```
    /// use probability::{Categorical, Random, alias::AliasTable};
    /// let p = Categorical::from_logits(&[2.0, 1.0, 0.5, -1.0, 0.1])?;
    /// let table = AliasTable::new(&p);
    /// assert!((table.probability(0) - p.probability(0)).abs() < 1e-16_f64);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn new<T: Real>(p: &Categorical<T>) -> Self {
        let unit = 62.0_f64.exp2();
        let round = |p: &T| {
            let p = p.to_f64();
            if p > 0.0 { ((p * unit) as u64).max(1) } else { 0 }
        };
        let weights: Vec<u64> = p.probabilities().iter().map(round).collect();
        Self::from_counts(&weights).expect("a distribution's weights sum to about 2⁶²")
    }

    /// Returns the number of outcomes.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Draws an outcome, with number `index` of `random`: its 64-bit numbers <var>2⁶² + 2·index</var> and the next,
    /// which no other draw uses (see [`Random`]).
    pub fn draw(&self, random: &Random, index: u64) -> usize {
        let first = 1 << 62 | index.wrapping_mul(2) & ((1 << 62) - 1);
        let i = random.below(first, self.columns.len() as u64) as usize;
        let Column { own, alias } = self.columns[i];
        if random.below(first + 1, self.height) < own { i } else { alias }
    }

    /// Returns the area of every outcome, <var>n·wᵢ</var>; they sum to <var>n·Σw</var>.
    pub fn shares(&self) -> Vec<u128> {
        let mut shares = vec![0; self.columns.len()];
        for (i, column) in self.columns.iter().enumerate() {
            shares[i] += u128::from(column.own);
            shares[column.alias] += u128::from(self.height - column.own);
        }
        shares
    }

    /// Returns the probability of outcome `i`; 0 beyond the last.
    pub fn probability(&self, i: usize) -> f64 {
        let all = self.height as f64 * self.columns.len() as f64;
        let share = |w: u64| (u128::from(w) * self.columns.len() as u128) as f64;
        self.weights.get(i).map_or(0.0, |&w| share(w) / all)
    }
}
