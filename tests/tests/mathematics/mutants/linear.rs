//! Mistakes in linear maps, sums, lookups and pieces.

use super::{Table, draw, mutant};
use linalg::adapted::Adapted;
use linalg::affine::{Affine, add_columns};
use linalg::{Gradient, Matrix, Real, View, ViewMut, product_add, product_into, transposed};
use linalg::{add::Add, gather, gather::Gather, heads::HeadMix, heads::HeadScores};
use linalg::{product::Product, rotation::Pairs, rotation::Rotation, rows::Rows};

/// x ← x + y.
fn add<T: Real>(mut x: ViewMut<'_, T>, y: View<'_, T>) {
    x.zip_apply(&y, |x, y| *x += y);
}

mutant!(BiasDropped of Affine; 3: |_, [w, x, _], _, dy, [dw, dx, _], _| {
    product_add(dw, T::one(), dy, transposed(x));
    product_add(dx, T::one(), transposed(w), dy);
});

mutant!(BiasOfOneToken of Affine; 3: |_, [w, x, _], _, dy, [dw, dx, db], _| {
    product_add(dw, T::one(), dy, transposed(x));
    product_add(dx, T::one(), transposed(w), dy);
    add(db, dy.columns(0, 1));
});

mutant!(WeightSign of Affine; 3: |_, [w, x, _], _, dy, [dw, dx, db], _| {
    product_add(dw, -T::one(), dy, transposed(x));
    product_add(dx, T::one(), transposed(w), dy);
    add_columns(db, dy);
});

mutant!(InputOverwritten of Affine; 3: |_, [w, x, _], _, dy, [dw, dx, db], _| {
    product_add(dw, T::one(), dy, transposed(x));
    product_into(dx, T::one(), transposed(w), dy);
    add_columns(db, dy);
});

mutant!(WeightOverwritten of Affine; 3: |_, [w, x, _], _, dy, [dw, dx, db], _| {
    product_into(dw, T::one(), dy, transposed(x));
    product_add(dx, T::one(), transposed(w), dy);
    add_columns(db, dy);
});

mutant!(WeightNotTransposed of Affine; 3: |_, [w, x, _], _, dy, [dw, dx, db], _| {
    product_add(dw, T::one(), dy, transposed(x));
    product_add(dx, T::one(), w, dy);
    add_columns(db, dy);
});

mutant!(InputNotTransposed of Affine; 3: |_, [w, x, _], _, dy, [dw, dx, db], _| {
    product_add(dw, T::one(), dy, x);
    product_add(dx, T::one(), transposed(w), dy);
    add_columns(db, dy);
});

mutant!(TableTransposed of Product; 2: |_, [a, b], _, dy, [da, db], _| {
    product_add(da, T::one(), dy, transposed(b)); // right for A·B, wrong for Aᵀ·B
    product_add(db, T::one(), a, dy);
});

mutant!(OneBranch of Add; 2: |_, _, _, dy, [da, _], _| add(da, dy));

mutant!(BranchTwice of Add; 2: |_, _, _, dy, [mut da, _], _| {
    da.zip_apply(&dy, |da, dy| *da += dy + dy);
});

mutant!(AdapterUnscaled of Adapted; 4: |AdapterUnscaled(map), [w, x, b, u], _, dy, [dw, dx, db, du], _| {
    product_add(dw, T::one(), dy, transposed(x));
    product_add(dx, T::one(), transposed(w), dy);
    let (rows, s) = (map.rows[0], T::from_f64(map.factor));
    product_add(db, T::one(), dy.rows(rows.start, rows.count), transposed(u));
    product_add(du, s, transposed(b), dy.rows(rows.start, rows.count));
});

mutant!(AdapterOfFirstRows of Adapted; 4: |AdapterOfFirstRows(map), [w, x, b, u], _, dy, [dw, dx, db, du], _| {
    product_add(dw, T::one(), dy, transposed(x));
    product_add(dx, T::one(), transposed(w), dy);
    let (rows, s) = (map.rows[0], T::from_f64(map.factor));
    product_add(db, s, dy.rows(rows.start, rows.count), transposed(u));
    product_add(du, s, transposed(b), dy.rows(0, rows.count));
});

mutant!(RepeatsOverwrite of Gather; 2: |_, [table, tokens], _, dy, [mut d_table, _], _| {
    for t in 0..dy.ncols() {
        if let Some(i) = gather::index(tokens[t], table.ncols()) {
            d_table.column_mut(i).copy_from(&dy.column(t));
        }
    }
});

mutant!(NextColumn of Gather; 2: |_, [table, tokens], _, dy, [mut d_table, _], _| {
    for t in 0..dy.ncols() {
        if let Some(i) = gather::index(tokens[t], table.ncols()) {
            let i = (i + 1) % table.ncols();
            d_table.column_mut(i).zip_apply(&dy.column(t), |d, dy| *d += dy);
        }
    }
});

mutant!(IndexGetsGradient of Gather; 2: |IndexGetsGradient(original), inputs, y, dy, [d_table, mut d_tokens], work| {
    d_tokens.iter_mut().for_each(|d| *d += T::one());
    original.vjp(inputs, y, dy, [d_table, d_tokens].map(Gradient::new), work);
});

mutant!(FirstRows of Rows; 1: |FirstRows(rows), _, _, dy, [mut dx], _| {
    add(dx.rows_mut(0, rows.count), dy);
});

mutant!(QueryAndKeySwapped of HeadScores; 2: |QueryAndKeySwapped(original), inputs, y, dy, [dq, dk], work| {
    original.vjp(inputs, y, dy, [dk, dq].map(Gradient::new), work);
});

mutant!(WeightsOfOneHead of HeadMix; 2: |WeightsOfOneHead(original), inputs, y, dy, [d_value, mut d_weights], work| {
    let before: Matrix<T> = d_weights.clone_owned();
    original.vjp(inputs, y, dy, [d_value, d_weights.as_view_mut()].map(Gradient::new), work);
    let rest = original.length..d_weights.ncols();
    d_weights.columns_range_mut(rest.clone()).copy_from(&before.columns_range(rest));
});

mutant!(TurnedOn of Rotation; 2: |TurnedOn(r), [_, t], _, dy, [mut dx, _], _| {
    // Once more forward, where the transpose turns back.
    let turned = linalg::apply(&r, [&dy.clone_owned(), &t.clone_owned()]).expect("operands that fit");
    dx.zip_apply(&turned, |dx, y| *dx += y);
});

mutant!(PairsOfTheOther of Rotation, Rotation; 2: |PairsOfTheOther(_, other), inputs, y, dy, dx, work| {
    other.vjp(inputs, y, dy, dx.map(Gradient::new), work);
});

mutant!(NotTurned of Rotation; 2: |_, _, _, dy, [dx, _], _| add(dx, dy));

mutant!(NextPosition of Rotation; 2: |NextPosition(r), [x, t], _, dy, [mut dx, _], _| {
    let (x, next) = (x.clone_owned(), t.map(|t| t + T::one()));
    let [turned, _] = linalg::pullback(&r, [&x, &next], &dy.clone_owned()).expect("operands that fit");
    add(dx.as_view_mut(), turned.as_view());
});

mutant!(PositionGetsGradient of Rotation; 2: |PositionGetsGradient(r), inputs, y, dy, [dx, mut dt], work| {
    dt.iter_mut().for_each(|d| *d += T::one());
    r.vjp(inputs, y, dy, [dx, dt].map(Gradient::new), work);
});

pub(crate) fn mutants(table: &mut Table) {
    let square = || [draw::normal(1, 6, 6), draw::normal(2, 6, 6), draw::normal(3, 6, 1)];
    let all = [true; 3];
    table.mutant("gradient of the bias dropped", (Affine, BiasDropped(Affine)), square(), all);
    table.mutant("bias of one token only", (Affine, BiasOfOneToken(Affine)), square(), all);
    table.mutant("sign of dW", (Affine, WeightSign(Affine)), square(), all);
    table.mutant("dx overwritten", (Affine, InputOverwritten(Affine)), square(), all);
    table.mutant("dW overwritten", (Affine, WeightOverwritten(Affine)), square(), all);
    table.mutant("dx = W·dy, not transposed", (Affine, WeightNotTransposed(Affine)), square(), all);
    table.mutant("dW = dy·x, not transposed", (Affine, InputNotTransposed(Affine)), square(), all);

    let pair = || [draw::normal(4, 6, 6), draw::normal(5, 6, 6)];
    let tied = Product::transposed();
    table.mutant("dA of A·B for Aᵀ·B", (tied, TableTransposed(tied)), pair(), [true; 2]);
    table.mutant("one branch dropped", (Add, OneBranch(Add)), pair(), [true; 2]);
    table.mutant("both gradients to one branch", (Add, BranchTwice(Add)), pair(), [true; 2]);

    let map = Adapted { factor: 0.5, rows: [Rows { start: 2, count: 3 }] };
    let operands = || {
        let [w, x] = [draw::normal(15, 6, 5), draw::normal(16, 5, 4)];
        [w, x, draw::normal(17, 3, 2), draw::normal(18, 2, 4)]
    };
    let mutant = AdapterUnscaled(map);
    table.mutant("dB without the factor", (map, mutant), operands(), [true; 4]);
    let mutant = AdapterOfFirstRows(map);
    table.mutant("rows of an adapter forgotten", (map, mutant), operands(), [true; 4]);

    let lookup = || [draw::normal(6, 4, 5), draw::indices(7, 12, 5)];
    let first = [true, false];
    table.mutant("repeated tokens overwrite", (Gather, RepeatsOverwrite(Gather)), lookup(), first);
    table.mutant("index off by one", (Gather, NextColumn(Gather)), lookup(), first);
    table.mutant("a gradient for indices", (Gather, IndexGetsGradient(Gather)), lookup(), first);

    let rows = Rows { start: 2, count: 3 };
    table.mutant("start forgotten", (rows, FirstRows(rows)), [draw::normal(8, 6, 4)], [true]);

    let rotation = Rotation::new(2, 100.0, Pairs::Halves);
    let other = Rotation { pairs: Pairs::Neighbours, ..rotation };
    let turned = || [draw::normal(13, 8, 5), draw::indices(14, 5, 50)];
    table.mutant("turned on, not back", (rotation, TurnedOn(rotation)), turned(), first);
    let mutant = PairsOfTheOther(rotation, other);
    table.mutant("pairs of the other layout", (rotation, mutant), turned(), first);
    table.mutant("not turned", (rotation, NotTurned(rotation)), turned(), first);
    table.mutant("angle of the next token", (rotation, NextPosition(rotation)), turned(), first);
    let mutant = PositionGetsGradient(rotation);
    table.mutant("a gradient for positions", (rotation, mutant), turned(), first);

    let scores = HeadScores { heads: 2, key_value_heads: 2, length: 3 };
    let operands = [draw::normal(9, 4, 6), draw::normal(10, 4, 6)];
    table.mutant("dQ and dK swapped", (scores, QueryAndKeySwapped(scores)), operands, [true; 2]);
    let mix = HeadMix { heads: 2, key_value_heads: 2, length: 3 };
    let operands = [draw::normal(11, 4, 6), draw::distributions(12, 3, 12)];
    table.mutant(
        "weights of the first head only",
        (mix, WeightsOfOneHead(mix)),
        operands,
        [true; 2],
    );
}
