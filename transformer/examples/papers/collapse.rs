//! Softmax collapse: training stops where a sum of exponentials absorbs all of its terms but one.
//!
//! Prieto et al., *Grokking at the Edge of Numerical Stability*, 2025 (2501.04697).

use super::page::{Lab, Origin, Page, Picture, Result};
use calculus::Recorder;
use infotheory::cross_entropy::CrossEntropy;
use infotheory::surprisal::{MeanOverTargets, Surprisal};
use linalg::half::{bf16_to_f32, f16_to_f32, f64_to_bf16, f64_to_f16};
use linalg::{Real, Shape, product::Product};
use probability::softmax::Softmax;

/// What a step adds to the logit of the truth while its gradient is not 0: descent on the gradient's sign.
const RATE: f64 = 1.0 / 256.0;
const STEPS: usize = 16_000;

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "Softmax collapse",
        "Prieto et al., *Grokking at the Edge of Numerical Stability*, 2025",
        "Once the logit of the truth is far enough above the others, the sum of softmax rounds to its largest term. The \
         loss and the gradient of that logit are then exactly 0, and training on that example stops, at a gap that \
         only the number format sets.",
    );
    page.formulas = vec![
        [
            "softmax(z)_y = e^(z_y)/Σ_k e^(z_k) = 1 when the sum absorbs all k ≠ y",
            "`probability::softmax`; with p bits, 1 + e^−g = 1 for e^−g ≤ 2^−p, so from the gap g = p·ln 2 on",
        ],
        [
            "∂L/∂z_y = softmax(z)_y − 1",
            "`infotheory::surprisal` after `Softmax`, as the textbook has it: p·(dp − ⟨dp, p⟩)",
        ],
        [
            "(here) ∂L/∂z_y = −Σ_{k≠y} e^(z_k)/Σ_k e^(z_k)",
            "`infotheory::cross_entropy::CrossEntropy` sums the others apart: nothing is there to absorb them",
        ],
    ];
    let at = |bits: f64| bits * std::f64::consts::LN_2;
    // The three roundings of 1/(1 + e^−g) − 1 in a format of 16 bits; the gap itself is kept in f64, like master weights.
    let formula = |round: fn(f64) -> f64| {
        let gradient =
            move |gap: f64| Ok(round(round(1.0 / round(1.0 + round((-gap).exp()))) - 1.0));
        descend(gradient)
    };
    let runs = [
        ("bf16", Some(8.0), formula(|x| bf16_to_f32(f64_to_bf16(x)).into())?),
        ("f16", Some(11.0), formula(|x| f16_to_f32(f64_to_f16(x)).into())?),
        ("f32, softmax and −ln p", Some(24.0), recorded::<f32>(true)?),
        ("f64, softmax and −ln p", Some(53.0), recorded::<f64>(true)?),
        ("f32, others apart", None, recorded::<f32>(false)?),
        ("f64, others apart", None, recorded::<f64>(false)?),
    ];
    (lab.progress)(0.9, "drawing");
    let mut picture = Picture::new("The gap that training reaches", ["step", "z_y − z_k"])
        .logarithmic([true, true]);
    for (name, bits, gaps) in runs {
        let last = gaps.last().map_or(f64::NAN, |p| p[1]);
        let (what, expected, tolerance) = match bits {
            Some(bits) => {
                (format!("{name}: the gap at which training stops, p = {bits}"), at(bits), RATE)
            }
            None => (format!("{name}: the gap after {STEPS} steps"), STEPS as f64 * RATE, 0.0),
        };
        page.row(&what, Origin::Derived, [expected, last], tolerance, 4);
        if bits.is_some() || name.starts_with("f64") {
            picture = picture.line(name, gaps.into_iter().step_by(50).skip(1).collect());
        }
    }
    page.seen = "The gap is measured to a step, 1/256. The paper's remedy is another function than e^z (StableMax); to sum \
                 the terms of the other classes apart is enough for the gradient to live until e^−g underflows."
        .to_owned();
    page.pictures.push(picture);
    page.to_break = "Let the parameter lower the other logit too (`side` of 1 and −1): that logit's gradient is e^−g, not \
                     0, and the gap grows on in every run of a recording.";
    Ok(page)
}

/// Raises the gap while the gradient of the true logit is not 0; returns steps and gaps.
fn descend(mut gradient: impl FnMut(f64) -> Result<f64>) -> Result<Vec<[f64; 2]>> {
    let mut gap = 0.0;
    let mut gaps = vec![[0.0, gap]];
    for step in 1..=STEPS {
        if gradient(gap)? != 0.0 {
            gap += RATE;
        }
        gaps.push([step as f64, gap]);
    }
    Ok(gaps)
}

/// One example of two classes, recorded over a scalar; the logit of the truth is the only parameter.
fn recorded<T: Real>(textbook: bool) -> Result<Vec<[f64; 2]>> {
    let mut r = Recorder::<T>::new();
    let one = Shape::new(1, 1);
    let logit = r.parameter("logit", one)?;
    let [side, target] = [r.input("side", Shape::new(2, 1))?, r.input("target", one)?];
    let logits = r.push("logits", Product::plain(), [side, logit])?; // 2×1
    let loss = if textbook {
        let p = r.push("probabilities", Softmax, [logits])?; // 2×1
        let surprisal = r.push("surprisal", Surprisal, [p, target])?; // 1×1
        r.push("loss", MeanOverTargets, [surprisal, target])? // 1×1
    } else {
        r.push("loss", CrossEntropy, [logits, target])? // 1×1
    };
    let mut tape = r.finish();
    tape.set(side, &[T::one(), T::zero()]); // class 0 is the truth; the other logit stays 0
    descend(|gap| {
        tape.set(logit, &[T::from_f64(gap)]);
        tape.zero_gradients();
        tape.forward_and_backward(loss, T::one());
        Ok(tape.gradients()[0].to_f64())
    })
}
