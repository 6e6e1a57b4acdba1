//! Changes to try: the same step with one difference, side by side with the original.

use super::{Explanation, Subject, Updated, recorded, update};
use crate::model::recorded_step::{IGNORED, ModelError, RecordedStep, Without};
use calculus::Var;
use infotheory::bits;
use linalg::half::{f16_to_f32, f64_to_f16};
use linalg::{Real, Role};
use serde::Serialize;

/// A step with one thing changed.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// A short name: "mask off".
    pub name: &'static str,
    /// The change, in words.
    pub what: String,
    /// The outcome of the changed step.
    pub outcome: Outcome,
    /// The effect, in one sentence with its numbers.
    pub sentence: String,
}

/// The outcome of a step.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Mean loss in nats per token, before the update.
    pub loss: f64,
    /// Mean loss after the update, on the same text.
    pub after: f64,
    /// ‖g‖ before clipping.
    pub gradient_norm: f64,
    /// The largest finite |value|.
    pub largest: f64,
    /// Number of values that overflowed, apart from masked scores.
    pub infinite: usize,
    /// The share of attention to later tokens.
    pub future: f64,
    /// Mean entropy of the attention of a query, bits.
    pub attention_entropy: f64,
    /// −ln p of every token, nats.
    pub surprisal: Vec<f64>,
    /// The most probable next token after the last one, with its probability.
    pub next: (u32, f64),
    /// Attention weights of every block: heads × queries × keys, one after another.
    pub attention: Vec<Vec<f32>>,
}

impl Outcome {
    fn of<T: Real>(subject: &Subject<T>, mut model: RecordedStep<T>, rounded: bool) -> Self {
        let tape = model.tape();
        let read = model.predictions().expect("a textbook recording");
        let weights: Vec<Var> = model.marks().blocks.iter().filter_map(|b| b.weights).collect();
        let (mut largest, mut infinite, mut attention) = (0.0_f64, 0, Vec::new());
        let (mut future, mut entropy, mut queries) = (0.0, 0.0, 0.0);
        for row in tape.rows() {
            let masked = row.role == Some(Role::Mask);
            // Tokens, targets and positions are not magnitudes.
            let values = row.operation.is_some();
            for x in row.value.iter().map(|x| x.to_f64()).filter(|_| values) {
                if x.is_finite() {
                    largest = largest.max(x.abs());
                } else if !masked {
                    infinite += 1;
                }
            }
            if weights.contains(&row.var) {
                let keys = row.value.nrows();
                for (c, weights) in row.value.column_iter().enumerate() {
                    for (k, w) in weights.iter().map(|w| w.to_f64()).enumerate() {
                        future += if k > c % keys { w } else { 0.0 };
                        entropy -= if w > 0.0 { w * w.ln() } else { 0.0 };
                    }
                    queries += 1.0;
                }
                attention.push(row.value.iter().map(|w| w.to_f64() as f32).collect());
            }
        }
        let surprisal = tape.elements(read.surprisal).iter().map(|x| x.to_f64()).collect();
        let p = tape.value(read.probabilities);
        let last = p.column(p.ncols() - 1);
        let next = last.iter().map(|p| p.to_f64()).enumerate();
        let next = next.fold(
            (0, f64::NEG_INFINITY),
            |best, (t, p)| {
                if p > best.1 { (t as u32, p) } else { best }
            },
        );
        let loss_var = model.loss_var();
        let loss = model.tape().elements(loss_var)[0].to_f64();
        let Updated { norm, updated, .. } = update(&subject.descent, &model);
        model.copy_parameters(&updated);
        predict(&mut model, rounded);
        let after = model.tape().elements(loss_var)[0].to_f64();
        Outcome {
            loss,
            after,
            gradient_norm: norm,
            largest,
            infinite,
            future: future / f64::max(queries, 1.0),
            attention_entropy: bits(entropy / f64::max(queries, 1.0)),
            surprisal,
            next,
            attention,
        }
    }
}

impl<T: Real> Explanation<T> {
    /// Returns the outcome of the unchanged step.
    ///
    /// # Errors
    /// Like [`Explanation::of`].
    pub fn outcome(&self) -> Result<Outcome, ModelError> {
        self.outcome_without(&self.subject, Without::default())
    }

    fn outcome_without(
        &self,
        subject: &Subject<T>,
        without: Without,
    ) -> Result<Outcome, ModelError> {
        Ok(Outcome::of(subject, recorded(subject, without)?, false))
    }

    /// Returns the step with every change that makes a difference.
    ///
    /// # Errors
    /// Like [`Explanation::of`].
    pub fn changes(&self) -> Result<Vec<Change>, ModelError> {
        let before = self.outcome()?;
        Ok(vec![
            self.mask_off(&before)?,
            self.scale_off(&before)?,
            self.norm_off(&before)?,
            self.longer_step(&before)?,
            self.another_target(&before)?,
            self.half(&before)?,
        ])
    }

    fn mask_off(&self, before: &Outcome) -> Result<Change, ModelError> {
        let without = Without { mask: true, ..Without::default() };
        let outcome = self.outcome_without(&self.subject, without)?;
        let sentence = format!(
            "Every token now sees the very token that it should predict: {:.0} % of the attention goes \
             to the future, and a loss of {} instead of {} nats is meaningless for generating text, \
             which has no future tokens to look at.",
            100.0 * outcome.future,
            short(outcome.loss),
            short(before.loss)
        );
        let what = "without the causal mask".to_owned();
        Ok(Change { name: "mask off", what, outcome, sentence })
    }

    fn scale_off(&self, before: &Outcome) -> Result<Change, ModelError> {
        let without = Without { scale: true, ..Without::default() };
        let outcome = self.outcome_without(&self.subject, without)?;
        let d = self.subject.config.head_width();
        let sentence = format!(
            "Scores are √{d} = {} times as large, so softmax selects instead of weighing: the \
             entropy of the attention goes from {} to {} bits, the loss from {} to {} nats.",
            short((d as f64).sqrt()),
            short(before.attention_entropy),
            short(outcome.attention_entropy),
            short(before.loss),
            short(outcome.loss)
        );
        let what = "without the 1/√d of attention scores".to_owned();
        Ok(Change { name: "1/√d off", what, outcome, sentence })
    }

    fn norm_off(&self, before: &Outcome) -> Result<Change, ModelError> {
        let without = Without { norm: true, ..Without::default() };
        let outcome = self.outcome_without(&self.subject, without)?;
        let sentence = format!(
            "Nothing normalises the numbers any more: the largest goes from {} to {}, the norm \
             of the gradient from {} to {}, the loss from {} to {} nats.",
            short(before.largest),
            short(outcome.largest),
            short(before.gradient_norm),
            short(outcome.gradient_norm),
            short(before.loss),
            short(outcome.loss)
        );
        let what = "without normalisation".to_owned();
        Ok(Change { name: "norm off", what, outcome, sentence })
    }

    fn longer_step(&self, before: &Outcome) -> Result<Change, ModelError> {
        let mut subject = self.subject.clone();
        subject.descent.rate *= 10.0;
        let outcome = self.outcome_without(&subject, Without::default())?;
        let (one, ten) = (before.after - before.loss, outcome.after - outcome.loss);
        let verdict = match (one < 0.0, ten < 0.0) {
            (true, false) => {
                "the linear prediction no longer holds at that distance, and the step overshoots"
            }
            (true, true) if ten > 5.0 * one => {
                "ten times the distance gives less than ten times the gain: the loss curves"
            }
            (true, true) => {
                "the loss is still nearly linear at that distance, and a longer step would gain more"
            }
            (false, _) => "the shorter step already went too far",
        };
        let sentence = format!(
            "The loss on this text changes by {} instead of {} nats: {verdict}.",
            signed(ten),
            signed(one)
        );
        let rate = subject.descent.rate;
        let what = format!("with a learning rate of {rate:.3e} instead of {:.3e}", rate / 10.0);
        Ok(Change { name: "learning rate × 10", what, outcome, sentence })
    }

    fn another_target(&self, before: &Outcome) -> Result<Change, ModelError> {
        let mut subject = self.subject.clone();
        let place = subject.targets.iter().rposition(|&t| t != IGNORED).expect("one is predicted");
        let p = self.probabilities(place);
        let old = subject.targets[place];
        let likely = |a: &u32, b: &u32| p[*a as usize].total_cmp(&p[*b as usize]);
        // The least probable of the others, which the model expects least.
        let others = (0..subject.config.vocabulary as u32).filter(|&t| t != old);
        let new = others.min_by(likely).unwrap_or(old);
        subject.targets[place] = new;
        let outcome = self.outcome_without(&subject, Without::default())?;
        let sentence = format!(
            "One target of {} is wrong: its surprisal goes from {} to {} bits, the mean loss from {} to \
             {} nats, and the norm of the gradient from {} to {}.",
            subject.targets.iter().filter(|&&t| t != IGNORED).count(),
            short(bits(before.surprisal[place])),
            short(bits(outcome.surprisal[place])),
            short(before.loss),
            short(outcome.loss),
            short(before.gradient_norm),
            short(outcome.gradient_norm)
        );
        let what = format!(
            "with {:?} instead of {:?} as the token after position {place}",
            self.token_name(new),
            self.token_name(old)
        );
        Ok(Change { name: "one target changed", what, outcome, sentence })
    }

    fn half(&self, before: &Outcome) -> Result<Change, ModelError> {
        let mut subject = self.subject.clone();
        let mut lost = 0;
        for x in &mut subject.parameters {
            let rounded = T::from_f64(half(x.to_f64()));
            lost += usize::from(rounded.is_zero() && !x.is_zero());
            *x = rounded;
        }
        let mut model = recorded(&subject, Without::default())?;
        predict(&mut model, true);
        let loss = model.loss_var();
        model.tape_mut().zero_gradients();
        model.tape_mut().backward(loss);
        let outcome = Outcome::of(&subject, model, true);
        let sentence = format!(
            "Every number keeps 11 binary digits: the loss moves by {} nats, {} parameters become 0, and \
             {} values overflow; an update of one part in {:.0} of a weight would be lost entirely.",
            signed(outcome.loss - before.loss),
            lost,
            outcome.infinite,
            2048.0
        );
        let what = "with every parameter and every value rounded to f16".to_owned();
        Ok(Change { name: "f16", what, outcome, sentence })
    }
}

/// Replays forward, with every value rounded to f16 as it is written if requested.
fn predict<T: Real>(model: &mut RecordedStep<T>, rounded: bool) {
    if rounded {
        let round = |x: &mut T| *x = T::from_f64(half(x.to_f64()));
        model.tape_mut().forward_watched(|_, values| values.iter_mut().for_each(round));
    } else {
        model.tape_mut().forward();
    }
}

/// Rounds x to the nearest f16.
fn half(x: f64) -> f64 {
    f64::from(f16_to_f32(f64_to_f16(x)))
}

/// Formats three or four digits.
pub(super) fn short(x: f64) -> String {
    let size = x.abs();
    let text = match size {
        _ if !x.is_finite() => return super::text::number(x),
        0.0 => "0".to_owned(),
        _ if !(1e-3..1e5).contains(&size) => format!("{x:.2e}"),
        _ if size >= 100.0 => format!("{x:.0}"),
        _ if size >= 10.0 => format!("{x:.1}"),
        _ if size >= 1.0 => format!("{x:.2}"),
        _ => format!("{x:.3}"),
    };
    text.replace('-', "−")
}

fn signed(x: f64) -> String {
    if x > 0.0 { format!("+{}", short(x)) } else { short(x) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_as_ieee_has_it() {
        for (x, expected) in [
            (1.0, 1.0),
            (0.1, 0.0999755859375),
            (65504.0, 65504.0),
            (65519.9, 65504.0),
            (65520.0, f64::INFINITY),
            (2049.0, 2048.0), // a tie goes to the even one
            (2051.0, 2052.0),
            (6e-8, 5.960464477539063e-8), // the smallest subnormal number
            (2e-8, 0.0),
        ] {
            assert_eq!(half(x), expected);
            assert_eq!(half(-x), -expected);
        }
    }
}
