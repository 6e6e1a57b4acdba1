//! Every primitive of the workspace, with operands on which its laws are tried.
//!
//! A new operation gets one line here; `tests/tests/mathematics/laws.rs` reads the sources and fails for one that has
//! none.

use crate::draw::{distributions, indices, normal, targets};
use crate::law::Case;
use calculus::activation::{Activation, Elementwise, Function};
use infotheory::cross_entropy::CrossEntropy;
use infotheory::surprisal::{MeanOverTargets, Surprisal};
use linalg::formula::Expression;
use linalg::heads::{HeadMix, HeadScores};
use linalg::{
    Matrix, Primitive, Real, add::Add, affine::Affine, gather::Gather, hadamard::Hadamard,
};
use linalg::{product::Product, rotation::Pairs, rotation::Rotation, rows::Rows, scale::Scale};
use probability::{
    dropout::{Dropout, EVALUATION, Order, step},
    layer_norm::LayerNorm,
    mask::CausalMask,
    rms_norm::RmsNorm,
    softmax::Softmax,
};
use std::num::NonZeroUsize;
use transformer::{CachedAttention, CausalAttention, VocabularyLoss};

/// What is done with every case.
pub trait Visitor {
    /// Called for each.
    fn visit<P: Primitive<N>, const N: usize>(&mut self, case: Case<P, N>);
}

/// The name of a primitive's type, without path and type arguments.
pub fn type_name<P>() -> &'static str {
    let name = std::any::type_name::<P>();
    let path = name.split('<').next().unwrap_or(name);
    path.rsplit("::").next().unwrap_or(path)
}

/// One element; a row; a column; no multiple of a vector's or a block's length; more than a block of
/// [`linalg::parallel`] (8192 elements).
pub const SHAPES: [(usize, usize); 7] =
    [(1, 1), (1, 7), (7, 1), (3, 5), (33, 4), (65, 2), (129, 65)];

/// Query heads, key-value heads, rows of a head, tokens of a sequence, sequences: up to three blocks of 32 queries.
pub const HEADS: [(usize, usize, usize, usize, usize); 11] = [
    (1, 1, 1, 1, 1),
    (1, 1, 1, 7, 3),
    (3, 3, 2, 1, 4),
    (2, 2, 3, 7, 2),
    (2, 2, 5, 33, 1),
    (1, 1, 4, 64, 2),
    (3, 3, 2, 65, 2),
    (2, 1, 1, 1, 1),
    (4, 2, 3, 7, 2),
    (6, 1, 2, 33, 2),
    (6, 2, 1, 65, 1),
];

/// Words and tokens whose logits are made in several chunks, the last one short.
pub const CHUNKED: (usize, usize) = (16_400, 521);

/// Rows, columns and terms of a product that is cut, whose gradients are too.
pub const CUT: (usize, usize, usize) = (130, 80, 100);

/// The dropout that the cases use.
pub const DROPOUT: Dropout = Dropout { rate: 0.3, seed: 11, stream: 5, order: Order::Columns };

fn number(x: f64) -> Matrix<f64> {
    Matrix::repeat(1, 1, x)
}

fn at_step(step: [f64; 2]) -> Matrix<f64> {
    Matrix::from_column_slice(2, 1, &step)
}

/// Visits every case.
pub fn every(v: &mut impl Visitor) {
    for (m, n) in SHAPES {
        linear_algebra(v, m, n);
        distributions_and_losses(v, m, n);
        activations(v, m, n);
    }
    vocabulary(v, CHUNKED.0, CHUNKED.1, 4);
    products(v, CUT.0, CUT.1, CUT.2);
    for (heads, key_value_heads, rows, length, sequences) in HEADS {
        by_head(v, (heads, key_value_heads), rows, length, sequences);
    }
    for (heads, key_value_heads, rows, context) in
        [(1, 1, 1, 1), (2, 2, 3, 7), (3, 3, 4, 33), (4, 2, 3, 7), (6, 1, 2, 33)]
    {
        for filled in [0, context / 2, context] {
            cached(v, (heads, key_value_heads), rows, context, filled);
        }
    }
}

/// Operations of linear algebra on (m × n) matrices.
pub fn linear_algebra(v: &mut impl Visitor, m: usize, n: usize) {
    let (a, b) = (normal(1, m, n), normal(2, m, n));
    v.visit(Case { primitive: Add, inputs: [a.clone(), b.clone()], smooth: [true; 2] });
    v.visit(Case { primitive: Hadamard, inputs: [a.clone(), b], smooth: [true; 2] });
    v.visit(Case { primitive: Scale { factor: -1.7 }, inputs: [a.clone()], smooth: [true] });
    let (start, count) = (m / 3, m - m / 3 - m / 4);
    v.visit(Case { primitive: Rows { start, count }, inputs: [a.clone()], smooth: [true] });
    // More tokens than columns: every column is looked up several times.
    let tokens = indices(3, 2 * n + 3, n);
    v.visit(Case { primitive: Gather, inputs: [a, tokens], smooth: [true, false] });
    products(v, m, n, 5);
}

fn products(v: &mut impl Visitor, m: usize, n: usize, k: usize) {
    let (w, x, bias) = (normal(4, m, k), normal(5, k, n), normal(6, m, 1));
    let plain = [w.clone(), x.clone()];
    v.visit(Case { primitive: Product::plain(), inputs: plain, smooth: [true; 2] });
    let turned = [w.transpose(), x.clone()];
    v.visit(Case { primitive: Product::transposed(), inputs: turned, smooth: [true; 2] });
    v.visit(Case { primitive: Affine, inputs: [w, x, bias], smooth: [true; 3] });
}

/// Operations of probability and information theory on n distributions over m.
pub fn distributions_and_losses(v: &mut impl Visitor, m: usize, n: usize) {
    let x = normal(7, m, n);
    v.visit(Case { primitive: Softmax, inputs: [x.clone()], smooth: [true] });
    let (gain, shift, norm) = (normal(8, m, 1), normal(9, m, 1), LayerNorm { epsilon: 1e-5 });
    let with_gain = [x.clone(), gain.clone()];
    v.visit(Case { primitive: norm, inputs: with_gain.clone(), smooth: [true; 2] });
    let rms = RmsNorm { epsilon: 1e-5 };
    v.visit(Case { primitive: rms, inputs: with_gain, smooth: [true; 2] });
    v.visit(Case { primitive: norm, inputs: [x.clone(), gain, shift], smooth: [true; 3] });
    for step in [step(0), step((5 << 24) + 7), EVALUATION] {
        let inputs = [x.clone(), at_step(step)];
        v.visit(Case { primitive: DROPOUT, inputs, smooth: [true, false] });
    }
    let y = targets(10, n, m);
    v.visit(Case { primitive: CrossEntropy, inputs: [x, y.clone()], smooth: [true, false] });
    vocabulary(v, m, n, 4);
    // Away from 0, where the derivatives of −ln p have no bound that a finite difference could keep.
    let p = normal(11, m, n).map(|x| 0.6 + 0.4 * x.tanh());
    v.visit(Case { primitive: Surprisal, inputs: [p, y.clone()], smooth: [true, false] });
    let nats = normal(12, 1, n);
    v.visit(Case { primitive: MeanOverTargets, inputs: [nats, y], smooth: [true, false] });
}

/// The loss of n tokens of so many features over a vocabulary of m words.
fn vocabulary(v: &mut impl Visitor, m: usize, n: usize, features: usize) {
    let (table, x) = (normal(22, features, m), normal(23, features, n));
    let inputs = [table, x, targets(24, n, m)];
    // As it is cut by size; in chunks of two tokens, the last one short where they are odd.
    for chunk in [None, NonZeroUsize::new(2)] {
        if chunk.is_none() || n > 2 && m < 1000 {
            let (primitive, inputs) = (VocabularyLoss { chunk }, inputs.clone());
            v.visit(Case { primitive, inputs, smooth: [true, true, false] });
        }
    }
}

/// x²: a function that is not on the list.
#[derive(Clone, Copy)]
struct Square;

impl Function for Square {
    const NAME: &'static str = "square";
    const KEY: &'static str = "square";
    const HUGGING_FACE: &'static [&'static str] = &["square"];
    const FLOPS: u64 = 3;
    const MEANING: &'static str = "The area of a square.";
    const SOURCE: &'static str = "Euclid";

    fn at<T: Real>(x: T) -> T {
        x * x
    }

    fn formula(x: Expression) -> Expression {
        x.clone() * x
    }

    fn slope(x: Expression) -> Expression {
        x.clone() + x
    }
}

/// Every activation function on an (m × n) matrix, and a function of one's own.
pub fn activations(v: &mut impl Visitor, m: usize, n: usize) {
    let x = || [normal(13, m, n) * 2.0];
    for &primitive in Activation::ALL {
        v.visit(Case { primitive, inputs: x(), smooth: [true] });
    }
    v.visit(Case { primitive: Elementwise(Square), inputs: x(), smooth: [true] });
}

/// Operations of attention, with query heads and key-value heads.
pub fn by_head(
    v: &mut impl Visitor,
    (heads, key_value_heads): (usize, usize),
    rows: usize,
    length: usize,
    sequences: usize,
) {
    let (width, tokens, queries) = (heads * rows, sequences * length, sequences * heads * length);
    let [query, key, value] = [(18, heads), (15, key_value_heads), (14, key_value_heads)]
        .map(|(seed, heads)| normal(seed, heads * rows, tokens));
    let scores = HeadScores { heads, key_value_heads, length };
    let inputs = [query.clone(), key.clone()];
    v.visit(Case { primitive: scores, inputs, smooth: [true; 2] });
    let weights = distributions(16, length, queries);
    let mix = HeadMix { heads, key_value_heads, length };
    v.visit(Case { primitive: mix, inputs: [value.clone(), weights], smooth: [true; 2] });
    // Pairs need an even width; positions as a cache has them, not from 0.
    let (x, positions) = (normal(22, 2 * width, tokens), indices(23, tokens, 500));
    for pairs in [Pairs::Neighbours, Pairs::Halves] {
        let inputs = [x.clone(), positions.clone()];
        let rotation = Rotation { heads, base: 1e4, pairs };
        v.visit(Case { primitive: rotation, inputs, smooth: [true, false] });
    }
    let x = normal(17, length, queries);
    v.visit(Case { primitive: CausalMask, inputs: [x.clone()], smooth: [true] });
    let of_weights = Dropout { order: Order::Weights { length }, ..DROPOUT };
    v.visit(Case { primitive: of_weights, inputs: [x, at_step(step(2))], smooth: [true, false] });

    let attention = CausalAttention { heads, key_value_heads, length, dropout: None };
    let inputs = [query.clone(), key.clone(), value.clone()];
    v.visit(Case { primitive: attention, inputs, smooth: [true; 3] });
    let attention = CausalAttention { dropout: Some(DROPOUT), ..attention };
    for step in [step(3), EVALUATION] {
        let inputs = [query.clone(), key.clone(), value.clone(), at_step(step)];
        v.visit(Case { primitive: attention, inputs, smooth: [true, true, true, false] });
    }
}

fn cached(
    v: &mut impl Visitor,
    (heads, key_value_heads): (usize, usize),
    rows: usize,
    context: usize,
    filled: usize,
) {
    let read = key_value_heads * rows;
    let [key, value] = [24, 25].map(|seed| normal(seed, read, 1));
    let [keys, values] = [19, 20].map(|seed| normal(seed, read, context));
    let query = normal(21, heads * rows, 1);
    let inputs = [query, key, value, keys, values, number(filled as f64)];
    let smooth = [true, true, true, true, true, false];
    v.visit(Case { primitive: CachedAttention { heads, key_value_heads }, inputs, smooth });
}
