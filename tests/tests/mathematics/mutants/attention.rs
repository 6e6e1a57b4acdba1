//! Mistakes in attention.

use super::{Table, draw, mutant};
use linalg::{Matrix, Real, View, ViewMut, Work};
use probability::dropout::{Dropout, DropoutMask, Order, step, weight_index};
use transformer::{CachedAttention, CausalAttention};

#[derive(Clone, Copy, PartialEq)]
enum Slip {
    None,
    NotItself,
    Future,
    NoScaleInQuery,
    NoScaleInKey,
    NoMean,
    UndroppedValue,
    UndroppedWeights,
    NextStep,
    NotScaledUp,
    OneHeadsMask,
    OneSequence,
    Swapped,
}

/// The vjp of attention by its formula, a query at a time, with a mistake.
fn vjp<T: Real>(
    (attention, slip): (CausalAttention, Slip),
    [qkv, step]: [View<'_, T>; 2],
    dy: View<'_, T>,
    mut d: ViewMut<'_, T>,
    lse: &[T],
) {
    let CausalAttention { heads, length, dropout } = attention;
    let (width, rows) = (qkv.nrows() / 3, qkv.nrows() / 3 / heads);
    let scale = T::one() / T::from_f64(rows as f64).sqrt();
    let next = if slip == Slip::NextStep { step[0] + T::one() } else { step[0] };
    let step = Matrix::from_column_slice(2, 1, &[next, step[1]]);
    let mask = dropout.and_then(|d| d.mask(step.as_view()));
    let factor = |mask: &Option<DropoutMask>, column: usize, key: usize| -> T {
        let up = mask.map_or(T::one(), |m| m.factor(weight_index(length, column, key)));
        let rate = dropout.map_or(0.0, |d| d.rate);
        if slip == Slip::NotScaledUp { up * T::from_f64(1.0 - rate) } else { up }
    };
    for (b, h, q) in each(qkv.ncols() / length, heads, length) {
        // Where the rows of queries, keys and values of this head begin, and tokens of this sequence.
        let part = |i: usize| i * width + h * rows;
        let sequence = if slip == Slip::OneSequence { 0 } else { b };
        let (query, key) = (b * length + q, |k: usize| sequence * length + k);
        let dot = |i: usize, k: usize, x: View<'_, T>, row: usize, column: usize| {
            (0..rows).fold(T::zero(), |s, r| s + qkv[(part(i) + r, key(k))] * x[(row + r, column)])
        };
        let visible = match slip {
            Slip::NotItself => q.max(1),
            Slip::Future => length,
            _ => q + 1,
        };
        let numbered = if slip == Slip::OneHeadsMask { 0 } else { b * heads + h };
        let m: Vec<T> = (0..visible).map(|k| factor(&mask, numbered * length + q, k)).collect();
        let lse = lse[(b * heads + h) * length + q];
        let p: Vec<T> =
            (0..visible).map(|k| (scale * dot(1, k, qkv, part(0), query) - lse).exp()).collect();
        let dp: Vec<T> = (0..visible)
            .map(|k| {
                let undropped = slip == Slip::UndroppedWeights;
                dot(2, k, dy, h * rows, query) * if undropped { T::one() } else { m[k] }
            })
            .collect();
        let mean = p.iter().zip(&dp).fold(T::zero(), |s, (&p, &dp)| s + p * dp);
        let mean = if slip == Slip::NoMean { T::zero() } else { mean };
        for k in 0..visible {
            let ds = p[k] * (dp[k] - mean);
            let weight = if slip == Slip::UndroppedValue { p[k] } else { p[k] * m[k] };
            let in_query = if slip == Slip::NoScaleInQuery { ds } else { ds * scale };
            let in_key = if slip == Slip::NoScaleInKey { ds } else { ds * scale };
            let (to_query, to_key) = if slip == Slip::Swapped { (1, 0) } else { (0, 1) };
            for r in 0..rows {
                d[(part(to_query) + r, query)] += in_query * qkv[(part(1) + r, key(k))];
                d[(part(to_key) + r, key(k))] += in_key * qkv[(part(0) + r, query)];
                d[(part(2) + r, key(k))] += weight * dy[(h * rows + r, query)];
            }
        }
    }
}

fn each(b: usize, h: usize, q: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..b * h * q).map(move |i| (i / q / h, i / q % h, i % q))
}

mutant!(Attention of CausalAttention, Slip; 2: |Attention(attention, slip), inputs, _, dy, [d_qkv, _], work| {
    vjp((attention, slip), inputs, dy, d_qkv, work.kept);
});

// Calls the vjp with a gradient of qkv of its own; adds of it only the rows of the query.
mutant!(OwnKeyForgotten of CachedAttention; 4: |OwnKeyForgotten(this), inputs, y, dy, [mut d_qkv, dk, dv, filled], work| {
    let mut own: Matrix<T> = Matrix::zeros(d_qkv.nrows(), 1);
    let Work { kept, scratch } = work;
    this.vjp(inputs, y, dy, [own.as_view_mut(), dk, dv, filled], Work { kept, scratch });
    (0..dy.nrows()).for_each(|i| d_qkv[i] += own[i]);
});

mutant!(OneTokenFewer of CachedAttention; 4: |OneTokenFewer(this), [qkv, k, v, filled], y, dy, gradients, work| {
    let fewer = Matrix::repeat(1, 1, filled[0] - T::one());
    this.vjp([qkv, k, v, fewer.as_view()], y, dy, gradients, work);
});

pub(crate) fn mutants(table: &mut Table) {
    let dropout = Some(Dropout { rate: 0.3, seed: 4, stream: 1, order: Order::Columns });
    let attention = CausalAttention { heads: 2, length: 6, dropout };
    let operands = || [draw::normal(1, 3 * 6, 12), Matrix::from_column_slice(2, 1, &step(2))];
    let mutant = |slip| Attention(attention, slip);
    let first = [true, false];
    for (mistake, slip) in [
        ("a token does not see itself", Slip::NotItself),
        ("gradient from the future", Slip::Future),
        ("1/√d missing in dQ", Slip::NoScaleInQuery),
        ("1/√d missing in dK", Slip::NoScaleInKey),
        ("mean not subtracted", Slip::NoMean),
        ("dV with weights not dropped", Slip::UndroppedValue),
        ("dP with weights not dropped", Slip::UndroppedWeights),
        ("mask of the next step", Slip::NextStep),
        ("1/(1 − p) forgotten", Slip::NotScaledUp),
        ("mask of the first head for all", Slip::OneHeadsMask),
        ("keys of the first sequence for all", Slip::OneSequence),
        ("dQ and dK swapped", Slip::Swapped),
    ] {
        table.mutant(mistake, (attention, mutant(slip)), operands(), first);
    }
    table.control(mutant(Slip::None), operands(), first);

    let cached = CachedAttention { heads: 2 };
    let [k, v] = [2, 3].map(|seed| draw::normal(seed, 6, 5));
    let operands = || [draw::normal(4, 18, 1), k.clone(), v.clone(), Matrix::repeat(1, 1, 3.0)];
    let smooth = [true, true, true, false];
    let mutant = OwnKeyForgotten(cached);
    table.mutant("own key and value forgotten", (cached, mutant), operands(), smooth);
    table.mutant("one cached token fewer", (cached, OneTokenFewer(cached)), operands(), smooth);
}
