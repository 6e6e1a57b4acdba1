//! The textbook's numbers in linear algebra (A.1, and the counts of other chapters), as NumPy recomputes them.

use linalg::adapter::Adapter;
use linalg::add::Add;
use linalg::affine::affine;
use linalg::heads::HeadScores;
use linalg::similarity::cosine;
use linalg::symmetric::SymmetricEigen;
use linalg::{Matrix, Primitive, Shape, apply, matrix, norm, sinusoid, svd, vector};

fn near(found: f64, printed: f64, digits: i32) -> bool {
    (found - printed).abs() <= 0.5 * 10.0_f64.powi(-digits) * (1.0 + 1e-9)
}

const WORD: [f64; 4] = [0.23, -0.87, 1.42, 0.05];
const CONTEXT: [f64; 4] = [0.10, 0.30, -0.50, 0.80];

#[test]
fn a_word_and_its_context() {
    let sum = apply(&Add, [&matrix(4, 1, &WORD), &matrix(4, 1, &CONTEXT)]).unwrap();
    for (found, printed) in sum.iter().zip([0.33, -0.57, 0.92, 0.85]) {
        assert!(near(*found, printed, 12));
    }
    assert!(near(vector::dot(&WORD, &CONTEXT), -0.908, 12));
    assert!(near(norm::l2(&WORD), 1.681874, 6) && near(norm::l2(&CONTEXT), 0.994987, 6));
    assert!(near(cosine(&WORD, &CONTEXT).unwrap(), -0.542594, 6));
    let unit = norm::normalised(&WORD).unwrap();
    assert!(near(norm::l2(&unit), 1.0, 14));
}

#[test]
fn the_feed_forward_expansion_and_its_shapes() {
    // The book's X (4 × 768) · W (768 × 3072) + b has one token per row; here a token is a column.
    let (w, b) = (Matrix::<f32>::zeros(3072, 768), Matrix::repeat(3072, 1, 1.0));
    let y = affine(&w, &Matrix::repeat(768, 4, 1.0), &b).unwrap();
    assert_eq!(y.shape(), (3072, 4));
    assert!(y.iter().all(|y| *y == 1.0)); // the bias, for every token
    assert!(affine(&w, &Matrix::zeros(767, 4), &b).is_err());
}

#[test]
fn scores_and_what_they_take() {
    // Q and K of (sequence × d_k): scores are (sequence × sequence) for every head.
    for (length, megabytes) in
        [(64, 0.07), (128, 0.26), (256, 1.05), (512, 4.19), (1024, 16.78), (2048, 67.11)]
    {
        let x = Shape::new(128, length);
        let scores = HeadScores { heads: 4, key_value_heads: 4, length }.shape([x, x]).unwrap();
        assert!(near(scores.len() as f64 * 4.0 / 1e6, megabytes, 2), "{length}");
    }
    // 3.3: attention of width 128 with biases has 66,048 parameters: three input projections and one output projection.
    let parameters = |outputs: usize, inputs: usize| outputs * inputs + outputs;
    assert_eq!([3 * parameters(128, 128), parameters(128, 128)], [49_536, 16_512]);
}

#[test]
fn eigenvalues_ranks_and_adapters() {
    let eigen = SymmetricEigen::of(&matrix(2, 2, &[2.0, 1.0, 1.0, 2.0])).unwrap();
    assert!(near(eigen.values[0], 3.0, 14) && near(eigen.values[1], 1.0, 14));
    let lora = Adapter::new(Matrix::<f32>::zeros(8, 4096), Matrix::zeros(4096, 8), 8.0).unwrap();
    assert_eq!((lora.parameters(), lora.shape().len()), (65_536, 16_777_216));
    assert!(near(100.0 * (1.0 - lora.saved()), 0.39, 2));
    // rank(B·A) ≤ r, for pseudo-random numbers.
    let a = Matrix::from_fn(2, 7, |i, j| ((3 * i + 5 * j + 1) as f64).sin());
    let b = Matrix::from_fn(6, 2, |i, j| ((2 * i + 7 * j + 2) as f64).cos());
    assert_eq!(svd::rank(&Adapter::new(a, b, 1.0).unwrap().delta()), Ok(2));
}

#[test]
fn sinusoidal_positions_of_width_4() {
    let first = sinusoid::position(1.0, 4, 1e4).unwrap();
    for (found, printed) in first.into_iter().zip([0.841471, 0.540302, 0.01, 0.99995]) {
        assert!(near(found, printed, 6));
    }
}

/// Chapter 4.1: the savings of a key-value cache. Without one, token t recomputes the keys and values of all t − 1
/// tokens before it.
#[test]
fn keys_and_values_computed_again() {
    let again: u64 = (1..=1000).map(|t| t - 1).sum();
    assert_eq!(again, 499_500); // "about 500,000"
    // The size of the cache: a key and a value for each layer, head, coordinate and token.
    let (layers, heads, width, tokens) = (12, 12, 64, 1000);
    assert_eq!(2 * layers * heads * width * tokens, 18_432_000);
}
