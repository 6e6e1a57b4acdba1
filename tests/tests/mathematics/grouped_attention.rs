//! Several query heads read one head of keys and values: what that is, for attention in one operation, in five, and to a
//! cache.
//!
//! The laws are those of `repeat_kv` in Hugging Face's transformers: grouped attention is attention with every head of
//! keys and values repeated for each query head of its group, and the gradient of a head is the sum over its copies.

use linalg::heads::{HeadMix, HeadScores};
use linalg::{Matrix, apply, pullback, scale::Scale};
use probability::dropout::{Dropout, Order, step};
use probability::{mask::CausalMask, softmax::Softmax};
use rayon::ThreadPoolBuilder;
use tests::draw::normal;
use tests::tolerance::ADJOINT;
use transformer::{CachedAttention, CausalAttention};

/// Query heads and key-value heads, rows of a head, tokens of a sequence (up to two blocks of 32 queries).
const SIZES: [((usize, usize), usize, usize); 5] =
    [((4, 2), 3, 7), ((6, 1), 2, 33), ((6, 3), 1, 5), ((3, 3), 4, 9), ((2, 1), 5, 1)];

const SEQUENCES: usize = 2;

const DROPOUT: Dropout = Dropout { rate: 0.3, seed: 11, stream: 5, order: Order::Columns };

/// The value, and the gradients of query, key and value.
type Found = [Matrix<f64>; 4];

#[derive(Clone, Copy)]
struct Sizes {
    heads: usize,
    key_value_heads: usize,
    length: usize,
}

fn fused(s: Sizes, [query, key, value]: [&Matrix<f64>; 3], dy: &Matrix<f64>) -> Found {
    let Sizes { heads, key_value_heads, length } = s;
    let attention = CausalAttention { heads, key_value_heads, length, ..Default::default() };
    let inputs = [query, key, value];
    let [dq, dk, dv] = pullback(&attention, inputs, dy).expect("operands that fit");
    [apply(&attention, inputs).expect("operands that fit"), dq, dk, dv]
}

fn dropped(s: Sizes, [query, key, value]: [&Matrix<f64>; 3], dy: &Matrix<f64>) -> Found {
    let Sizes { heads, key_value_heads, length } = s;
    let attention = CausalAttention {
        heads,
        key_value_heads,
        length,
        dropout: Some(DROPOUT),
        ..Default::default()
    };
    let step = Matrix::from_column_slice(2, 1, &step(2));
    let inputs = [query, key, value, &step];
    let [dq, dk, dv, _] = pullback(&attention, inputs, dy).expect("operands that fit");
    [apply(&attention, inputs).expect("operands that fit"), dq, dk, dv]
}

fn unfused(s: Sizes, [query, key, value]: [&Matrix<f64>; 3], dy: &Matrix<f64>) -> Found {
    let Sizes { heads, key_value_heads, length } = s;
    let scores_of = HeadScores { heads, key_value_heads, length };
    let mix = HeadMix { heads, key_value_heads, length };
    let scale = Scale { factor: 1.0 / ((query.nrows() / heads) as f64).sqrt() };
    let fits = "operands that fit";
    let scores = apply(&scores_of, [query, key]).expect(fits);
    let scaled = apply(&scale, [&scores]).expect(fits);
    let masked = apply(&CausalMask::default(), [&scaled]).expect(fits);
    let weights = apply(&Softmax, [&masked]).expect(fits);
    let [dv, d_weights] = pullback(&mix, [value, &weights], dy).expect(fits);
    let [d_masked] = pullback(&Softmax, [&masked], &d_weights).expect(fits);
    let [d_scaled] = pullback(&CausalMask::default(), [&scaled], &d_masked).expect(fits);
    let [d_scores] = pullback(&scale, [&scores], &d_scaled).expect(fits);
    let [dq, dk] = pullback(&scores_of, [query, key], &d_scores).expect(fits);
    [apply(&mix, [value, &weights]).expect(fits), dq, dk, dv]
}

/// Of the last token of every sequence; keys and values of the others are cached, with room for two more. Columns of
/// `dy` that are not of a last token must be 0.
fn cached(s: Sizes, [query, key, value]: [&Matrix<f64>; 3], dy: &Matrix<f64>) -> Found {
    let Sizes { heads, key_value_heads, length } = s;
    let context = length + 1;
    let last = |x: &Matrix<f64>| {
        Matrix::from_fn(x.nrows(), SEQUENCES, |i, b| x[(i, b * length + length - 1)])
    };
    let earlier = |x: &Matrix<f64>| {
        Matrix::from_fn(x.nrows(), SEQUENCES * context, |i, j| {
            let (b, t) = (j / context, j % context);
            if t + 1 < length { x[(i, b * length + t)] } else { f64::NAN }
        })
    };
    let filled = Matrix::repeat(1, SEQUENCES, (length - 1) as f64);
    let inputs = [last(query), last(key), last(value), earlier(key), earlier(value), filled];
    let attention = CachedAttention { heads, key_value_heads, ..Default::default() };
    let y = apply(&attention, inputs.each_ref()).expect("operands that fit");
    let gradients = pullback(&attention, inputs.each_ref(), &last(dy)).expect("operands that fit");
    let [dq, dk, dv, d_keys, d_values, _] = gradients;
    let whole = |own: &Matrix<f64>, cache: Option<&Matrix<f64>>| {
        Matrix::from_fn(own.nrows(), SEQUENCES * length, |i, j| match (j % length, cache) {
            (t, _) if t + 1 == length => own[(i, j / length)],
            (t, Some(cache)) => cache[(i, j / length * context + t)],
            _ => 0.0,
        })
    };
    [whole(&y, None), whole(&dq, None), whole(&dk, Some(&d_keys)), whole(&dv, Some(&d_values))]
}

type Form = fn(Sizes, [&Matrix<f64>; 3], &Matrix<f64>) -> Found;

/// ‖a − b‖ is a rounding of ‖b‖.
fn close(what: &str, a: &Matrix<f64>, b: &Matrix<f64>) {
    assert_eq!(a.shape(), b.shape(), "{what}");
    let error = (a - b).norm() / b.norm();
    assert!(error <= ADJOINT, "{what}: off by {error:e}");
}

/// Operands, and a gradient that arrives at the last token of every sequence alone.
fn operands(s: Sizes, rows: usize) -> ([Matrix<f64>; 3], Matrix<f64>) {
    let tokens = SEQUENCES * s.length;
    let drawn = |seed, heads: usize| normal(seed, heads * rows, tokens);
    let [key, value] = [2, 3].map(|seed| drawn(seed, s.key_value_heads));
    let mut dy = drawn(4, s.heads);
    for (j, mut column) in dy.column_iter_mut().enumerate() {
        if j % s.length + 1 < s.length {
            column.fill(0.0);
        }
    }
    ([drawn(1, s.heads), key, value], dy)
}

#[test]
fn grouped_heads_are_full_heads_of_repeated_keys_and_values() {
    let forms: [(&str, Form); 4] =
        [("fused", fused), ("with dropout", dropped), ("unfused", unfused), ("cached", cached)];
    for (form, attention) in forms {
        for ((heads, key_value_heads), rows, length) in SIZES {
            let s = Sizes { heads, key_value_heads, length };
            let ([query, key, value], last) = operands(s, rows);
            let dy = if form == "cached" { last } else { normal(5, query.nrows(), query.ncols()) };
            let read = |i: usize| i / rows * key_value_heads / heads * rows + i % rows;
            let repeated =
                |x: &Matrix<f64>| Matrix::from_fn(query.nrows(), x.ncols(), |i, j| x[(read(i), j)]);
            let summed = |copies: &Matrix<f64>| {
                let mut sum = Matrix::zeros(key.nrows(), key.ncols());
                for i in 0..copies.nrows() {
                    let mut row = sum.row_mut(read(i));
                    row += copies.row(i);
                }
                sum
            };
            let grouped = attention(s, [&query, &key, &value], &dy);
            let full = Sizes { key_value_heads: heads, ..s };
            let full = attention(full, [&query, &repeated(&key), &repeated(&value)], &dy);
            let what = |part: &str| format!("{form}, {heads} over {key_value_heads}: {part}");
            close(&what("value"), &grouped[0], &full[0]);
            if length > 1 {
                close(&what("gradient of the query"), &grouped[1], &full[1]);
                close(&what("gradient of the key"), &grouped[2], &summed(&full[2]));
            }
            close(&what("gradient of the value"), &grouped[3], &summed(&full[3]));
        }
    }
}

#[test]
fn one_operation_or_five_or_a_cache_say_the_same() {
    for ((heads, key_value_heads), rows, length) in SIZES {
        let s = Sizes { heads, key_value_heads, length };
        let ([query, key, value], last) = operands(s, rows);
        let inputs = [&query, &key, &value];
        let parts = ["value", "gradient of the query", "gradient of the key", "of the value"];
        let all = normal(5, query.nrows(), query.ncols());
        let what = |part: &str| format!("{heads} over {key_value_heads}: {part}");
        let compared = |found: Found, expected: Found| {
            for ((part, found), expected) in parts.into_iter().zip(&found).zip(&expected) {
                // A token by itself has weight 1 whatever its query is: a gradient of roundings alone.
                if length > 1 || part == parts[0] || part == parts[3] {
                    close(&what(part), found, expected);
                }
            }
        };
        compared(fused(s, inputs, &all), unfused(s, inputs, &all));
        let mut whole = unfused(s, inputs, &last);
        for (j, mut column) in whole[0].column_iter_mut().enumerate() {
            if j % length + 1 < length {
                column.fill(0.0);
            }
        }
        compared(cached(s, inputs, &last), whole);
    }
}

#[test]
fn grouped_heads_have_the_same_bits_on_any_number_of_threads() {
    for ((heads, key_value_heads), rows, length) in SIZES {
        let s = Sizes { heads, key_value_heads, length };
        let ([query, key, value], _) = operands(s, rows);
        let dy = normal(5, query.nrows(), query.ncols());
        let on = |threads: usize| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| dropped(s, [&query, &key, &value], &dy))
        };
        let one = on(1);
        for threads in [2, 3, 8] {
            assert_eq!(on(threads), one, "{heads} over {key_value_heads}, {threads} threads");
        }
    }
}
