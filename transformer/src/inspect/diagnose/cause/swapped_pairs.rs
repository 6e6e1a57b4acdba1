//! **Mathematics.** Where the chosen answers are what a model writes already, they have fewer nats a token under the
//! reference than the rejected ones. With the sides exchanged, the same training unlearns them: its loss falls, its
//! accuracy rises, and the answers become worse.
//!
//! **Signature.** Under the reference, a token of the chosen answer has more nats than one of the rejected answer in at
//! least 95 of 100 pairs, of 20 or more: by chance 1 in 50,000. Means over tokens are compared, because the longer answer has more
//! nats in all. Data that ask for what the model never writes look the same: then this is what was wanted.
//!
//! **Cure.** Exchange `chosen` and `rejected`.
//!
//! **Example.** `wrong_answers_are_chosen`

use super::{Cure, Cures, Detect, Findings, Sign, Subject, pairs};

/// The fewest pairs that are judged.
const FEWEST: usize = 20;
/// The share of pairs whose chosen side must be the less likely.
const NEARLY_ALL: f64 = 0.95;

pub(super) struct SwappedPairs;

impl Detect for SwappedPairs {
    const TITLE: &str = "chosen and rejected answers exchanged";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        if f.watched.failed() {
            return Ok(None);
        }
        let all = pairs::of(f).into_iter().filter(|pair| !pair.is_equal());
        let all: Vec<(f64, f64)> = all
            .map(|pair| (pair.chosen.surprisal(), pair.rejected.surprisal()))
            .filter(|(chosen, rejected)| chosen.is_finite() && rejected.is_finite())
            .collect();
        let unlikelier = all.iter().filter(|(chosen, rejected)| chosen > rejected).count();
        let n = all.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| all.iter().map(of).sum::<f64>() / n;
        Ok((all.len() >= FEWEST && unlikelier as f64 >= NEARLY_ALL * n).then(|| {
            format!(
                "before training, the chosen answer was the less likely in {unlikelier} of {} pairs: {:.3} nats a token \
                 against {:.3} of the rejected",
                all.len(),
                mean(|pair| pair.0),
                mean(|pair| pair.1)
            )
        }))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code(
            "exchange \"chosen\" and \"rejected\", unless the data are to teach what the model never wrote",
        )])
    }
}

#[cfg(test)]
mod tests {
    use crate::inspect::diagnose::cause::specimen::{counting, preferring};
    use crate::inspect::diagnose::{Cause, Recipe, State, diagnose};

    /// Diagnoses preferences of a model that counts: each token is followed by the next.
    fn diagnosed(right_is_chosen: bool) -> Option<Cause> {
        let pair = move |pair: u32| {
            let right = [pair, pair + 1, pair + 2].map(|token| token % 7);
            let wrong = [pair + 1, pair, pair + 5].map(|token| token % 7);
            if right_is_chosen { (right, wrong) } else { (wrong, right) }
        };
        let mut step = preferring(pair);
        let start = counting(&mut step);
        let found = diagnose(&step, &State::start(start), &Recipe::adam(1e-4), 10).unwrap();
        found.cause.map(|(cause, _)| cause)
    }

    #[test]
    fn wrong_answers_are_chosen() {
        assert_eq!(diagnosed(false), Some(Cause::SwappedPairs));
    }

    #[test]
    fn right_answers_are_chosen() {
        assert_eq!(diagnosed(true), None);
    }
}
