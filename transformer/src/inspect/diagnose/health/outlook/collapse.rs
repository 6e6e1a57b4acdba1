//! Tokens that a loss no longer learns from, because their probability rounds to 1: softmax collapse.
//!
//! With the odds against a target, <var>o = Σ_{j≠y} e^(z_j − z_y)</var>, the loss is ln(1 + o). A loss that computes
//! ln Σ e^z after subtracting the maximum adds o to 1: the sum is 1 and the loss exactly 0 if o ≤ 2⁻ᵖ, half the spacing above 1
//! of a format of p digits (a tie goes to the even neighbour, 1). If the other V − 1 logits lie equally far below, that is a gap of
//! <var>p·ln 2 + ln(V − 1)</var>: with two classes 16.6 in f32 (p = 24), 7.6 in float16 (11), 5.5 in bfloat16 (8). The
//! loss of this program ([`infotheory::cross_entropy`]) keeps o itself and learns on until o underflows, in f32 at a gap of
//! 104 + ln(V − 1).
//! Source: Prieto, Barsbey, Mediano and Birdal, *Grokking at the Edge of Numerical Stability*, 2025.

use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::model::recording::{Given, Recording};
use crate::training::precision::Precision;
use infotheory::cross_entropy::of_logits;
use linalg::column;
use serde::Serialize;

/// The formats that are told of, as in [`super::super::Headroom`].
const FORMATS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::F16];

/// The tokens of a batch whose loss or gradient is exactly 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Collapse {
    /// Tokens with a target.
    pub tokens: usize,
    /// The number of classes.
    pub classes: usize,
    /// The median gap between a target's logit and the largest other.
    pub gap: f64,
    /// Share of tokens whose loss is exactly 0.
    pub zero_loss: f64,
    /// Share of tokens that send a gradient of exactly 0 to what the loss is computed from.
    pub zero_gradient: f64,
    /// Share of tokens whose loss would be exactly 0 if ln Σ e^z were computed in f32, bf16 and f16.
    pub rounded: [f64; 3],
    /// The gaps beyond which that is so if all other logits are equal, in these formats.
    pub gaps: [f64; 3],
}

/// Returns the gap between a target's logit and equal others beyond which 1 + o rounds to 1; see the module.
///
/// ```
/// use transformer::Precision;
/// use transformer::inspect::diagnose::health::collapse_gap;
/// assert!((collapse_gap(Precision::F32, 2) - 16.6355).abs() < 1e-4); // ln 2²⁴
/// assert!((collapse_gap(Precision::Bf16, 2) - 5.5452).abs() < 1e-4); // ln 2⁸
/// ```
pub fn collapse_gap(format: Precision, classes: usize) -> f64 {
    digits(format) * std::f64::consts::LN_2 + (classes.max(2) as f64 - 1.0).ln()
}

/// Returns the binary digits of a format's numbers: the spacing above 1 is 2¹⁻ᵖ.
fn digits(format: Precision) -> f64 {
    match format {
        Precision::F32 => 24.0,
        Precision::Bf16 => 8.0,
        Precision::F16 => 11.0,
    }
}

/// Returns the share of tokens with a target whose logits, or the vectors that they are computed from, have a gradient of
/// exactly 0; `None` if the step has neither. The step has run.
pub(crate) fn silent(step: &Recording<f32>) -> Option<f64> {
    let (tape, handles) = (&step.tape, &step.handles);
    let targets = tape.elements(handles.targets?);
    let gradient = tape.gradient(handles.logits.or(handles.last)?);
    let counted = || (0..targets.len().min(gradient.ncols())).filter(|&j| targets[j] >= 0.0);
    let silent = |j: &usize| column(&gradient, *j).iter().all(|&g| g == 0.0);
    Some(counted().filter(silent).count() as f64 / counted().count().max(1) as f64)
}

impl Collapse {
    /// Measures a batch at parameters; `None` if the step has no logits or no targets.
    ///
    /// # Errors
    /// If the step cannot be recorded.
    pub fn of(
        subject: &impl Subject,
        parameters: &[f32],
        batch: &[Given],
    ) -> Result<Option<Self>, ModelError> {
        let mut step = subject.record::<f32>()?;
        step.set_parameters(parameters);
        step.give(batch);
        step.step();
        let Some(zero_gradient) = silent(&step) else { return Ok(None) };
        let mut step = subject.record_in_full::<f32>()?;
        step.set_parameters(parameters);
        step.give(batch);
        step.tape.forward();
        let (tape, handles) = (&step.tape, step.handles);
        let (Some(logits), Some(targets)) = (handles.logits, handles.targets) else {
            return Ok(None);
        };
        let (z, targets) = (tape.value(logits), tape.elements(targets));
        let counted = (0..targets.len().min(z.ncols())).filter(|&j| targets[j] >= 0.0);
        let all: Vec<Token> =
            counted.filter_map(|j| Token::of(column(&z, j), targets[j] as usize)).collect();
        if all.is_empty() {
            return Ok(None);
        }
        let share = |holds: &dyn Fn(&Token) -> bool| {
            all.iter().filter(|t| holds(t)).count() as f64 / all.len() as f64
        };
        let mut gaps: Vec<f64> = all.iter().map(|t| t.gap).collect();
        gaps.sort_by(f64::total_cmp);
        Ok(Some(Collapse {
            tokens: all.len(),
            classes: z.nrows(),
            gap: gaps[gaps.len() / 2],
            zero_loss: share(&|t| t.nats == 0.0),
            zero_gradient,
            rounded: FORMATS.map(|f| share(&|t| t.odds <= 2.0_f64.powf(-digits(f)))),
            gaps: FORMATS.map(|f| collapse_gap(f, z.nrows())),
        }))
    }
}

/// One token.
struct Token {
    /// The loss in f32.
    nats: f32,
    /// The odds against the target.
    odds: f64,
    /// The target's logit less the largest other.
    gap: f64,
}

impl Token {
    /// Measures a token; `None` if its logits have no loss.
    fn of(logits: &[f32], target: usize) -> Option<Self> {
        let nats = of_logits(logits, target).ok()?.0;
        let own = f64::from(logits[target]);
        let others = logits.iter().enumerate().filter(|(j, _)| *j != target);
        let (mut odds, mut nearest) = (0.0, f64::NEG_INFINITY);
        for (_, &z) in others {
            let below = f64::from(z) - own;
            odds += below.exp();
            nearest = nearest.max(below);
        }
        Some(Token { nats, odds, gap: -nearest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use calculus::Recorder;
    use infotheory::cross_entropy::CrossEntropy;
    use linalg::{Real, Shape};

    /// The closed form against the rounding of 1 + o itself, in all formats.
    #[test]
    fn a_sum_rounds_to_1_beyond_the_gap() {
        for classes in [2_usize, 11, 50_257] {
            for format in FORMATS {
                let gap = collapse_gap(format, classes);
                let rounds = |gap: f64| {
                    let odds = (classes as f64 - 1.0) * (-gap).exp();
                    // A thousandth of 2⁻¹¹ is more than f32's spacing of 1.2·10⁻⁷.
                    match format {
                        Precision::F32 => (1.0 + odds) as f32 == 1.0,
                        _ => format.round((1.0 + odds) as f32) == 1.0,
                    }
                };
                assert!(rounds(gap + 1e-3) && !rounds(gap - 1e-3), "{format} {classes}: {gap}");
            }
        }
    }

    /// ln Σ e^z − z_y as textbooks write it, in f32: 0 beyond the gap.
    #[test]
    fn the_textbooks_loss_is_0_beyond_the_gap_and_this_programs_is_not() {
        let textbook = |gap: f32| {
            let sum = 1.0_f32 + (-gap).exp();
            sum.ln()
        };
        let own = |gap: f32| of_logits(&[0.0, -gap], 0).unwrap().0;
        let gap = collapse_gap(Precision::F32, 2) as f32;
        assert!(textbook(gap - 0.01) > 0.0 && textbook(gap + 0.01) == 0.0);
        for gap in [gap - 0.01, gap + 0.01, 50.0, 87.0, 103.0] {
            // Subnormal near the end: relative to the spacing there.
            let odds = f64::from(-gap).exp();
            let error = (f64::from(own(gap)) - odds).abs();
            assert!(error <= 1e-5 * odds + 2.0_f64.powi(-149), "{gap}: {}", own(gap));
            assert!(own(gap) > 0.0);
        }
        // Half of the smallest number, 2⁻¹⁵⁰: 104 = 150·ln 2.
        assert_eq!(own(104.1), 0.0);
    }

    /// The logits themselves are the parameters: two classes, four tokens, the last without a target.
    struct Bare;

    impl Subject for Bare {
        fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
            let mut r = Recorder::new();
            let z = r.parameter("z", Shape::new(2, 5))?;
            let logits = r.push("logits", linalg::scale::Scale { factor: 1.0 }, [z])?;
            let targets = r.input("targets", Shape::new(1, 5))?;
            let loss = r.push("loss", CrossEntropy, [logits, targets])?;
            let mut recording = Recording::new(r.finish(), loss);
            recording.handles.logits = Some(logits);
            recording.handles.targets = Some(targets);
            Ok(recording)
        }

        fn batch(&self, _: u64) -> Vec<Given> {
            let elements = vec![0.0, 0.0, 1.0, 0.0, -1.0];
            vec![Given { name: "targets", elements }]
        }
    }

    #[test]
    fn shares_are_counted() {
        // Gaps 5.2, 10, 20 (of the second class) and 110.
        let z = [0.0, -5.2, 0.0, -10.0, -20.0, 0.0, 0.0, -110.0, 0.0, 0.0];
        let found = Collapse::of(&Bare, &z, &Bare.batch(0)).unwrap().unwrap();
        assert_eq!((found.tokens, found.classes), (4, 2));
        assert_eq!(found.gap, 20.0);
        // f32 loses the gaps above 16.6, bf16 those above 5.5, f16 those above 7.6; the exact loss only 110.
        assert_eq!(found.rounded, [0.5, 0.75, 0.75]);
        assert_eq!((found.zero_loss, found.zero_gradient), (0.25, 0.25));
    }
}
