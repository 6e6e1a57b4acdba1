//! **Mathematics.** q·k of d independent terms has deviation √d. Without division, a softmax over scores of deviation
//! √d puts all weight on one key: its gradient p·(1 − p) vanishes.
//!
//! **Signature.** Dot products reach the softmax without a scale, and many queries put over 0.99 on one key at the
//! start.
//!
//! **Cure.** Divide by √d.
//!
//! **Example.** `missing_scale_at_large_width`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};

/// Share of queries with a weight above 0.99 at the start: scores of deviation 1 have almost none. A convention.
const SATURATED: f64 = 0.25;

pub(super) struct NoScale;

impl Detect for NoScale {
    const TITLE: &str = "attention without 1/√d";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let Some(start) = f.start_signs() else { return Ok(None) };
        let sharp = start.attention.iter().find(|a| a.unscaled && a.saturated > SATURATED);
        f.unless_symptom(sharp.map(|a| {
            format!(
                "{}: dot products of up to {:.1} reach the softmax without division; {:.0} % of queries put over 0.99 \
                 on one key",
                a.name,
                a.largest,
                100.0 * a.saturated
            )
        }))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Code("divide scores by √d, d the width of a head")])
    }
}
