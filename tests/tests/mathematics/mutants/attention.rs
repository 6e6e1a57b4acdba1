//! Mistakes in attention.

use super::{Table, draw, mutant};
use linalg::{Gradient, Matrix, Real, View, ViewMut};
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
    HeadsInTurn,
}

/// The vjp of attention by its formula, a query at a time, with a mistake.
fn vjp<T: Real>(
    (attention, slip): (CausalAttention, Slip),
    [query, key, value, step]: [View<'_, T>; 4],
    dy: View<'_, T>,
    [mut d_query, mut d_key, mut d_value]: [ViewMut<'_, T>; 3],
    lse: &[T],
) {
    let CausalAttention { heads, key_value_heads, length, dropout, .. } = attention;
    let rows = query.nrows() / heads;
    let scale = T::one() / T::from_f64(rows as f64).sqrt();
    let next = if slip == Slip::NextStep { step[0] + T::one() } else { step[0] };
    let step = Matrix::from_column_slice(2, 1, &[next, step[1]]);
    let mask = dropout.and_then(|d| d.mask(step.as_view()));
    let factor = |mask: &Option<DropoutMask>, column: usize, key: usize| -> T {
        let up = mask.map_or(T::one(), |m| m.factor(weight_index(length, column, key)));
        let rate = dropout.map_or(0.0, |d| d.rate);
        if slip == Slip::NotScaledUp { up * T::from_f64(1.0 - rate) } else { up }
    };
    for (b, h, q) in each(query.ncols() / length, heads, length) {
        // Where this head's rows of queries begin, those of keys and values that it reads, and tokens of this sequence.
        let read = match slip {
            Slip::HeadsInTurn => h % key_value_heads,
            _ => h / (heads / key_value_heads),
        };
        let (own, read) = (h * rows, read * rows);
        let sequence = if slip == Slip::OneSequence { 0 } else { b };
        let (at, key_at) = (b * length + q, |k: usize| sequence * length + k);
        let dot = |x: View<'_, T>, k: usize, y: View<'_, T>| {
            (0..rows).fold(T::zero(), |s, r| s + x[(read + r, key_at(k))] * y[(own + r, at)])
        };
        let visible = match slip {
            Slip::NotItself => q.max(1),
            Slip::Future => length,
            _ => q + 1,
        };
        let numbered = if slip == Slip::OneHeadsMask { 0 } else { b * heads + h };
        let m: Vec<T> = (0..visible).map(|k| factor(&mask, numbered * length + q, k)).collect();
        let lse = lse[(b * heads + h) * length + q];
        let p: Vec<T> = (0..visible).map(|k| (scale * dot(key, k, query) - lse).exp()).collect();
        let dp: Vec<T> = (0..visible)
            .map(|k| {
                let undropped = slip == Slip::UndroppedWeights;
                dot(value, k, dy) * if undropped { T::one() } else { m[k] }
            })
            .collect();
        let mean = p.iter().zip(&dp).fold(T::zero(), |s, (&p, &dp)| s + p * dp);
        let mean = if slip == Slip::NoMean { T::zero() } else { mean };
        for k in 0..visible {
            let ds = p[k] * (dp[k] - mean);
            let weight = if slip == Slip::UndroppedValue { p[k] } else { p[k] * m[k] };
            let in_query = if slip == Slip::NoScaleInQuery { ds } else { ds * scale };
            let in_key = if slip == Slip::NoScaleInKey { ds } else { ds * scale };
            for r in 0..rows {
                let (own, read) = ((own + r, at), (read + r, key_at(k)));
                if slip == Slip::Swapped {
                    d_key[own] += in_query * key[read];
                    d_query[read] += in_key * query[own];
                } else {
                    d_query[own] += in_query * key[read];
                    d_key[read] += in_key * query[own];
                }
                d_value[read] += weight * dy[own];
            }
        }
    }
}

fn each(b: usize, h: usize, q: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..b * h * q).map(move |i| (i / q / h, i / q % h, i % q))
}

mutant!(Attention of CausalAttention, Slip; 4: |Attention(attention, slip), inputs, _, dy, [dq, dk, dv, _], work| {
    vjp((attention, slip), inputs, dy, [dq, dk, dv], work.kept);
});

// Calls the vjp with gradients of the own key and value that are forgotten.
mutant!(OwnKeyForgotten of CachedAttention; 6: |OwnKeyForgotten(this), inputs, y, dy, [dq, dk, dv, d_keys, d_values, filled], work| {
    let [mut lost_key, mut lost_value]: [Matrix<T>; 2] = [dk.clone_owned(), dv.clone_owned()];
    let (dk, dv) = (lost_key.as_view_mut(), lost_value.as_view_mut());
    let gradients = [dq, dk, dv, d_keys, d_values, filled].map(Gradient::new);
    this.vjp(inputs, y, dy, gradients, work);
});

mutant!(OneTokenFewer of CachedAttention; 6: |OneTokenFewer(this), [query, k, v, keys, values, filled], y, dy, gradients, work| {
    let fewer = Matrix::repeat(1, 1, filled[0] - T::one());
    this.vjp([query, k, v, keys, values, fewer.as_view()], y, dy, gradients.map(Gradient::new), work);
});

pub(crate) fn mutants(table: &mut Table) {
    let dropout = Some(Dropout { rate: 0.3, seed: 4, stream: 1, order: Order::Columns });
    let attention =
        CausalAttention { heads: 2, key_value_heads: 2, length: 6, dropout, ..Default::default() };
    let operands = |width: usize, read: usize| {
        let [query, key, value] =
            [(1, width), (2, read), (3, read)].map(|(seed, rows)| draw::normal(seed, rows, 12));
        [query, key, value, Matrix::from_column_slice(2, 1, &step(2))]
    };
    let mutant = |slip| Attention(attention, slip);
    let smooth = [true, true, true, false];
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
        table.mutant(mistake, (attention, mutant(slip)), operands(6, 6), smooth);
    }
    table.control(mutant(Slip::None), operands(6, 6), smooth);
    let grouped = CausalAttention { heads: 4, ..attention };
    let mutant = |slip| Attention(grouped, slip);
    let mistake = "a group reads the wrong key-value head";
    table.mutant(mistake, (grouped, mutant(Slip::HeadsInTurn)), operands(12, 6), smooth);
    table.control(mutant(Slip::None), operands(12, 6), smooth);

    let cached = CachedAttention { heads: 2, key_value_heads: 2, ..Default::default() };
    let operands = || {
        let own = [4, 5, 6].map(|seed| draw::normal(seed, 6, 1));
        let [keys, values] = [2, 3].map(|seed| draw::normal(seed, 6, 5));
        let [query, key, value] = own;
        [query, key, value, keys, values, Matrix::repeat(1, 1, 3.0)]
    };
    let smooth = [true, true, true, true, true, false];
    let mutant = OwnKeyForgotten(cached);
    table.mutant("own key and value forgotten", (cached, mutant), operands(), smooth);
    table.mutant("one cached token fewer", (cached, OneTokenFewer(cached)), operands(), smooth);
}
