//! **Mathematics.** The loss of a pair is a function of the difference of its sides' log-ratios (Rafailov et al., *Direct
//! Preference Optimization*, 2023, eq. 7). If both sides are the same tokens, the difference is 0 at any weights: the loss
//! stays at ln 2 (DPO) or 1/(2β)² (IPO), and the two gradients cancel.
//!
//! **Signature.** More than half of the next 64 pairs (or of those in 64 batches) have sides of the same tokens. Texts that differ
//! only after a window's end are the same once they are cut.
//!
//! **Cure.** Leave such pairs out, or take a longer context.
//!
//! **Example.** `pairs_cut_before_they_differ`

use super::{Cure, Cures, Detect, Findings, Sign, Subject, pairs};

pub(super) struct EqualPairs;

impl Detect for EqualPairs {
    const TITLE: &str = "preferences between equal answers";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        if f.watched.failed() {
            return Ok(None);
        }
        let all = pairs::of(f);
        let equal = all.iter().filter(|pair| pair.is_equal()).count();
        Ok((2 * equal > all.len()).then(|| {
            format!(
                "the sides of {equal} of {} pairs are the same tokens: their loss is constant",
                all.len()
            )
        }))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code(
            "leave out pairs with equal sides, or take a longer --context if they were cut before they differ",
        )])
    }
}

#[cfg(test)]
mod tests {
    use crate::inspect::diagnose::cause::specimen::{preferring, start_of};
    use crate::inspect::diagnose::{Cause, Recipe, diagnose};

    #[test]
    fn pairs_cut_before_they_differ() {
        let step = preferring(|_| ([1, 2, 3], [1, 2, 3]));
        let found = diagnose(&step, &start_of(&step), &Recipe::adam(1e-3), 10).unwrap();
        assert_eq!(found.cause.unwrap().0, Cause::EqualPairs);
        let losses = found.history.iter().map(|taken| taken.loss);
        assert!(losses.into_iter().all(|loss| (loss - 2_f64.ln()).abs() < 1e-6));
    }

    #[test]
    fn different_sides_are_no_cause() {
        let step = preferring(|pair| ([1, 2, pair % 7], [1, 2, (pair + 1) % 7]));
        let found = diagnose(&step, &start_of(&step), &Recipe::adam(1e-3), 10).unwrap();
        assert_eq!(found.cause, None);
    }
}
