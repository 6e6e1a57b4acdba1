//! Mistakes in softmax, layer and RMS normalisation and the loss.

use super::{Table, draw, mutant};
use infotheory::cross_entropy::{CrossEntropy, counted, gradient_in_place, is_ignored};
use infotheory::surprisal::{MeanOverTargets, Surprisal};
use linalg::affine::add_columns;
use linalg::{Matrix, Real, View, ViewMut, Work, gather};
use probability::{layer_norm::LayerNorm, rms_norm::RmsNorm, softmax::Softmax};
use std::num::NonZeroUsize;
use transformer::VocabularyLoss;

mutant!(MeanNotSubtracted of Softmax; 1: |_, _, p, dp, [mut dz], _| {
    dz.zip_zip_apply(&p, &dp, |dz, p, dp| *dz += p * dp);
});

mutant!(DiagonalOnly of Softmax; 1: |_, _, p, dp, [mut dz], _| {
    dz.zip_zip_apply(&p, &dp, |dz, p, dp| *dz += p * (T::one() - p) * dp);
});

/// Mistakes in the vjp of layer normalisation.
#[derive(Clone, Copy, PartialEq)]
enum Slip {
    None,
    NoMean,
    NoProjection,
    NoGain,
    NoRate,
    GainOfRawInput,
    NoShift,
}

/// The vjp of layer normalisation by its formula, with a mistake.
fn norm<T: Real>(
    slip: Slip,
    [x, gain, _]: [View<'_, T>; 3],
    dy: View<'_, T>,
    [mut dx, mut d_gain, d_shift]: [ViewMut<'_, T>; 3],
    work: Work<'_, T>,
) {
    let n = T::from_f64(x.nrows() as f64);
    for j in 0..x.ncols() {
        let (mean, rate) = (work.kept[2 * j], work.kept[2 * j + 1]);
        let standard = |i: usize| (x[(i, j)] - mean) * rate;
        let d = |i: usize| dy[(i, j)] * if slip == Slip::NoGain { T::one() } else { gain[i] };
        let average = |f: &dyn Fn(usize) -> T| (0..x.nrows()).fold(T::zero(), |s, i| s + f(i)) / n;
        let mean_d = if slip == Slip::NoMean { T::zero() } else { average(&d) };
        let along = average(&|i| d(i) * standard(i));
        let along = if slip == Slip::NoProjection { T::zero() } else { along };
        let outer = if slip == Slip::NoRate { T::one() } else { rate };
        for i in 0..x.nrows() {
            dx[(i, j)] += outer * (d(i) - mean_d - standard(i) * along);
            let input = if slip == Slip::GainOfRawInput { x[(i, j)] } else { standard(i) };
            d_gain[i] += dy[(i, j)] * input;
        }
    }
    if slip != Slip::NoShift {
        add_columns(d_shift, dy);
    }
}

mutant!(Norm of LayerNorm, Slip; 3: |Norm(_, slip), inputs, _, dy, gradients, work| {
    norm(slip, inputs, dy, gradients, work);
});

/// Mistakes in the vjp of RMS normalisation.
#[derive(Clone, Copy, PartialEq)]
enum RmsSlip {
    None,
    NoProjection,
    MeanSubtracted,
    NoGain,
    NoRate,
    GainOfRawInput,
}

/// The vjp of RMS normalisation by its formula, with a mistake.
fn rms<T: Real>(
    slip: RmsSlip,
    [x, gain]: [View<'_, T>; 2],
    dy: View<'_, T>,
    [mut dx, mut d_gain]: [ViewMut<'_, T>; 2],
    work: Work<'_, T>,
) {
    let n = T::from_f64(x.nrows() as f64);
    for j in 0..x.ncols() {
        let rate = work.kept[j];
        let standard = |i: usize| x[(i, j)] * rate;
        let d = |i: usize| dy[(i, j)] * if slip == RmsSlip::NoGain { T::one() } else { gain[i] };
        let average = |f: &dyn Fn(usize) -> T| (0..x.nrows()).fold(T::zero(), |s, i| s + f(i)) / n;
        let mean_d = if slip == RmsSlip::MeanSubtracted { average(&d) } else { T::zero() };
        let along = average(&|i| d(i) * standard(i));
        let along = if slip == RmsSlip::NoProjection { T::zero() } else { along };
        let outer = if slip == RmsSlip::NoRate { T::one() } else { rate };
        for i in 0..x.nrows() {
            dx[(i, j)] += outer * (d(i) - mean_d - standard(i) * along);
            let input = if slip == RmsSlip::GainOfRawInput { x[(i, j)] } else { standard(i) };
            d_gain[i] += dy[(i, j)] * input;
        }
    }
}

mutant!(Rms of RmsNorm, RmsSlip; 2: |Rms(_, slip), inputs, _, dy, gradients, work| {
    rms(slip, inputs, dy, gradients, work);
});

/// Mistakes in the vjp of the cross-entropy.
#[derive(Clone, Copy, PartialEq)]
enum LossSlip {
    None,
    NotDivided,
    IgnoredCounted,
    IgnoredNotSkipped,
    NoOneHot,
    UpstreamForgotten,
}

fn loss<T: Real>(
    slip: LossSlip,
    [logits, targets]: [View<'_, T>; 2],
    upstream: View<'_, T>,
    mut d: ViewMut<'_, T>,
    work: Work<'_, T>,
) {
    let n = match slip {
        LossSlip::NotDivided => 1,
        LossSlip::IgnoredCounted => targets.len(),
        _ => counted(&targets),
    };
    let upstream = if slip == LossSlip::UpstreamForgotten { T::one() } else { upstream[0] };
    let share = upstream / T::from_f64(n as f64);
    for j in 0..logits.ncols() {
        if is_ignored(targets[j]) && slip != LossSlip::IgnoredNotSkipped {
            continue;
        }
        for i in 0..logits.nrows() {
            // Kept per token: the loss, the maximum, 1/Σ exp(z − max), and Σ of the others' p.
            let [maximum, scale] = [work.kept[4 * j + 1], work.kept[4 * j + 2]];
            d[(i, j)] += share * ((logits[(i, j)] - maximum).exp() * scale);
        }
        match gather::index(targets[j], logits.nrows()) {
            Some(y) if slip != LossSlip::NoOneHot => d[(y, j)] -= share,
            _ => {}
        }
    }
}

mutant!(Loss of CrossEntropy, LossSlip; 2: |Loss(_, slip), inputs, _, upstream, [d_logits, _], work| {
    loss(slip, inputs, upstream, d_logits, work);
});

/// Mistakes in the vjp of the loss over a vocabulary.
#[derive(Clone, Copy, PartialEq)]
enum HeadSlip {
    None,
    NoTable,
    NoTokens,
    FirstChunkOnly,
    LastChunkToTable,
    Swapped,
}

mutant!(Head of VocabularyLoss, HeadSlip; 3: |Head(loss, slip), [table, x, targets], _, upstream, [mut d_table, mut dx, _], _| {
    let mut dz = table.transpose() * x;
    let share = upstream[0] / T::from_f64(counted(&targets) as f64);
    let mut nats = vec![T::zero(); x.ncols()];
    gradient_in_place(dz.as_view_mut(), targets, |_| share, &mut nats);
    if slip == HeadSlip::FirstChunkOnly {
        let half = dz.ncols() / 2;
        dz.columns_mut(half, dz.ncols() - half).fill(T::zero());
    }
    let (mut to_table, to_x) = (x * dz.transpose(), table * &dz);
    if slip == HeadSlip::LastChunkToTable {
        let (tokens, size) = (x.ncols(), loss.tokens_at_once(table.ncols(), x.ncols()));
        assert!(size < tokens, "one chunk is no case of this");
        let first = (tokens - 1) / size * size;
        let last = tokens - first;
        to_table = x.columns(first, last) * dz.columns(first, last).transpose();
    }
    if slip != HeadSlip::NoTable {
        d_table += if slip == HeadSlip::Swapped { table * T::one() } else { to_table };
    }
    if slip != HeadSlip::NoTokens {
        dx += to_x;
    }
});

mutant!(NotDividedByP of Surprisal; 2: |_, [p, targets], _, dy, [mut dp, _], _| {
    for j in 0..p.ncols() {
        if let Some(y) = gather::index(targets[j], p.nrows()) {
            dp[(y, j)] -= dy[j];
        }
    }
});

mutant!(MeanOfAll of MeanOverTargets; 2: |_, [x, targets], _, dy, [mut dx, _], _| {
    let share = dy[0] / T::from_f64(x.len() as f64);
    (0..x.len()).filter(|&j| !is_ignored(targets[j])).for_each(|j| dx[j] += share);
});

pub(crate) fn mutants(table: &mut Table) {
    let x = || draw::normal(1, 7, 5);
    table.mutant("mean not subtracted", (Softmax, MeanNotSubtracted(Softmax)), [x()], [true]);
    table.mutant("diagonal of the Jacobian only", (Softmax, DiagonalOnly(Softmax)), [x()], [true]);

    let layer_norm = LayerNorm { epsilon: 1e-5 };
    let operands = || [x(), draw::normal(2, 7, 1), draw::normal(3, 7, 1)];
    let mutant = |slip| Norm(layer_norm, slip);
    for (mistake, slip) in [
        ("without mean d", Slip::NoMean),
        ("without x̂·mean (d ⊙ x̂)", Slip::NoProjection),
        ("gain not multiplied", Slip::NoGain),
        ("1/√(σ² + ε) forgotten", Slip::NoRate),
        ("dg from x, not x̂", Slip::GainOfRawInput),
        ("gradient of the shift dropped", Slip::NoShift),
    ] {
        table.mutant(mistake, (layer_norm, mutant(slip)), operands(), [true; 3]);
    }
    table.control(mutant(Slip::None), operands(), [true; 3]);

    let rms_norm = RmsNorm::new(1e-5);
    let operands = || [x(), draw::normal(2, 7, 1)];
    let mutant = |slip| Rms(rms_norm, slip);
    for (mistake, slip) in [
        ("without x̂·mean (d ⊙ x̂)", RmsSlip::NoProjection),
        ("mean d subtracted, as in LayerNorm", RmsSlip::MeanSubtracted),
        ("gain not multiplied", RmsSlip::NoGain),
        ("1/√(mean x² + ε) forgotten", RmsSlip::NoRate),
        ("dg from x, not x̂", RmsSlip::GainOfRawInput),
    ] {
        table.mutant(mistake, (rms_norm, mutant(slip)), operands(), [true; 2]);
    }
    table.control(mutant(RmsSlip::None), operands(), [true; 2]);

    let (y, first) = (draw::targets(4, 5, 7), [true, false]);
    let operands = || [x(), y.clone()];
    let mutant = |slip| Loss(CrossEntropy, slip);
    for (mistake, slip) in [
        ("without 1/n", LossSlip::NotDivided),
        ("ignored targets counted", LossSlip::IgnoredCounted),
        ("ignored targets get a gradient", LossSlip::IgnoredNotSkipped),
        ("without − one-hot", LossSlip::NoOneHot),
        ("upstream gradient forgotten", LossSlip::UpstreamForgotten),
    ] {
        table.mutant(mistake, (CrossEntropy, mutant(slip)), operands(), first);
    }
    table.control(mutant(LossSlip::None), operands(), first);

    let operands = || [draw::normal(7, 3, 7), draw::normal(8, 3, 5), y.clone()];
    // Chunks of 2, 2 and 1 tokens.
    let in_chunks = VocabularyLoss { chunk: NonZeroUsize::new(2), ..Default::default() };
    let mutant = |slip| Head(in_chunks, slip);
    let smooth = [true, true, false];
    for (mistake, slip) in [
        ("the table gets no gradient", HeadSlip::NoTable),
        ("tokens get no gradient", HeadSlip::NoTokens),
        ("a chunk of tokens left out", HeadSlip::FirstChunkOnly),
        ("only the last chunk reaches the table", HeadSlip::LastChunkToTable),
        ("dE from the table, not the tokens", HeadSlip::Swapped),
    ] {
        table.mutant(mistake, (in_chunks, mutant(slip)), operands(), smooth);
    }
    table.control(mutant(HeadSlip::None), operands(), smooth);

    let p: Matrix<f64> = draw::distributions(5, 7, 5);
    table.mutant("not divided by p", (Surprisal, NotDividedByP(Surprisal)), [p, y.clone()], first);
    let nats = draw::normal(6, 1, 5);
    let pair = (MeanOverTargets, MeanOfAll(MeanOverTargets));
    table.mutant("ignored targets counted", pair, [nats, y], first);
}
