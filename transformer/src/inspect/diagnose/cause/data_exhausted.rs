//! **Mathematics.** The training loss is biased downwards by memorisation. Once the whole text has been seen, its
//! further decrease can be all bias: the loss on other text of the same source turns and rises.
//!
//! **Signature.** After two passes, the loss on held-back text is above that on the training text by a tenth of it and
//! three standard errors; and it rises, over the watched steps while the other falls, or by a fiftieth above its lowest
//! in `metrics.jsonl`. A run without evaluation (`--eval-every 0`) is not checked.
//!
//! **Cure.** End training at the lowest loss on held-back text, found by training again from the seed (up to 500 steps,
//! if that takes under half a minute); more text, dropout or a smaller model are proposed and not tried.
//!
//! **Example.** `text_of_one_batch`

use super::slow::{Evidence, Slow};
use super::{Cure, Cures, Findings, Subject};

/// Passes over the text before which nothing was seen often enough.
const PASSES: f64 = 2.0;
/// Minimum gap, as a share of the loss on held-back text.
const GAP: f64 = 0.1;
/// Minimum rise above its lowest so far: more than the noise of one evaluation. Evaluations cover the whole held-back
/// part.
const RISE: f64 = 0.02;
/// Standard errors above which a difference is significant.
const ERRORS: f64 = 3.0;

pub(super) struct DataExhausted;

impl Slow for DataExhausted {
    const TITLE: &str = "training text exhausted";
    const CERTAIN: bool = true;

    fn suspect<S: Subject>(_: &Findings<'_, S>, e: &Evidence<'_>) -> Option<String> {
        let held_out = e.validation.as_ref()?;
        let gap = held_out.after - e.train.after;
        let apart = gap > GAP * held_out.after && gap > ERRORS * e.apart;
        if e.passes < PASSES || !apart {
            return None;
        }
        let rises = -held_out.gain() > ERRORS * held_out.doubt && e.train.gain() > 0.0;
        let last = e.background.validation.last().map(|(_, nats)| *nats);
        let lowest =
            e.lowest_validation().filter(|l| last.is_some_and(|last| last > (1.0 + RISE) * l.1));
        if !rises && lowest.is_none() {
            return None;
        }
        let turned = match lowest {
            Some((step, nats)) => format!("; it was lowest at step {step}, at {nats:.3}"),
            None => format!("; over the watched steps it rises by {:.1e}", -held_out.gain()),
        };
        Some(format!(
            "after {:.0} passes over the text the training loss is {:.3}, the loss on held-back text {:.3}{turned}",
            e.passes, e.train.after, held_out.after
        ))
    }

    fn fixes<S: Subject>(_: &Findings<'_, S>, e: &Evidence<'_>) -> Cures {
        let advice =
            Cure::Code("more text of the same kind; dropout or a smaller model if there is none");
        Ok(if e.again { vec![Cure::Stop, advice] } else { vec![advice] })
    }
}
