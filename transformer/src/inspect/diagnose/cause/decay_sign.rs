//! **Mathematics.** θ ← (1 − ηλ)·θ with λ < 0 multiplies every weight by more than 1 per step: growth e^(η·|λ|·t)
//! without any gradient.
//!
//! **Signature.** The update moves a weight of 1 with gradient 0 to more than 1. Weight norms grow in a straight line
//! on a logarithmic axis.
//!
//! **Cure.** Invert the sign.
//!
//! **Example.** `decay_with_the_wrong_sign`

use super::{Cure, Cures, Detect, Findings, Replay, Sign, Subject};

pub(super) struct DecaySign;

impl Detect for DecaySign {
    const TITLE: &str = "weight decay with the wrong sign";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let factor = f.watched.decay_factor;
        Ok((factor > 1.0)
            .then(|| format!("a weight without gradient grows by {factor:.6} per step")))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Decay])
    }

    fn replay<'f, S: Subject>(f: &'f Findings<'_, S>) -> Replay<'f, S> {
        Replay { is_gone: |course| Ok(course.decay_factor() <= 1.0), ..f.replay() }
    }
}
