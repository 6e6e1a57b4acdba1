//! Standardisation, dropout, initialisation.

use crate::{EPSILON, all_close, close, numbers};
use linalg::{Matrix, Primitive, Work};
use probability::dropout::dropout;
use probability::initialise::Initialiser;
use probability::layer_norm::{LayerNorm, layer_norm, standardise};
use probability::moments::{mean, population_variance};
use probability::rms_norm::{RmsNorm, rms_norm};
use probability::running::Running;
use probability::{Random, mask::masked_softmax};
use proptest::prelude::*;

fn run<P: Primitive<N>, const N: usize>(op: &P, inputs: [&Matrix<f64>; N]) -> Vec<f64> {
    let shapes = inputs.map(|x| linalg::Shape::new(x.nrows(), x.ncols()));
    let shape = op.shape(shapes).unwrap();
    let mut kept = vec![0.0; op.memory(shapes).kept];
    let mut y = Matrix::zeros(shape.rows, shape.columns);
    let work = Work::new(&mut kept, &mut []);
    op.forward(inputs.map(|x| x.as_view()), y.as_view_mut(), work);
    y.as_slice().to_vec()
}

proptest! {
    /// Mean 0; variance σ²/(σ² + ε), which is less than 1.
    #[test]
    fn mean_zero_variance_one(x in numbers(2..40), epsilon in 1e-8..1e-2_f64) {
        let variance = population_variance(&x).unwrap();
        prop_assume!(variance > 1e-3);
        let y = standardise(&x, epsilon).unwrap();
        // The rounding of x − µ, of size 100·ε, is divided by σ.
        let bound = 64.0 * EPSILON * (1.0 + 100.0 / variance.sqrt());
        close(mean(&y).unwrap(), 0.0, bound);
        close(population_variance(&y).unwrap(), variance / (variance + epsilon), 4.0 * bound);
    }

    /// A shift and a positive scale change nothing (ε = 0); a negative scale changes the sign.
    #[test]
    fn units_do_not_matter(
        x in numbers(2..20),
        scale in 0.1..9.0_f64,
        shift in -50.0..50.0_f64,
    ) {
        let variance = population_variance(&x).unwrap();
        prop_assume!(variance > 1.0);
        let moved: Vec<f64> = x.iter().map(|x| scale * x + shift).collect();
        let negative: Vec<f64> = x.iter().map(|x| -x).collect();
        let y = standardise(&x, 0.0).unwrap();
        let bound = 64.0 * EPSILON * (1000.0 / scale.min(1.0) / variance.sqrt() + 10.0);
        all_close(&standardise(&moved, 0.0).unwrap(), &y, bound);
        let mirrored: Vec<f64> = y.iter().map(|y| -y).collect();
        all_close(&standardise(&negative, 0.0).unwrap(), &mirrored, bound);
    }

    /// Scaling by a power of two, to the ends of the range, changes no bit.
    #[test]
    fn no_scale_is_too_large_or_small(
        x in prop::collection::vec(1.0..100.0_f64, 2..20),
        power in -900..1000_i32,
    ) {
        let scaled: Vec<f64> = x.iter().map(|x| x * 2.0_f64.powi(power)).collect();
        prop_assert_eq!(standardise(&x, 0.0).unwrap(), standardise(&scaled, 0.0).unwrap());
        let ones = vec![1.0; x.len()];
        prop_assert_eq!(rms_norm(&x, &ones, 0.0).unwrap(), rms_norm(&scaled, &ones, 0.0).unwrap());
    }

    /// Layer normalisation is RMS normalisation of the centred token.
    #[test]
    fn layer_norm_is_rms_norm_of_what_is_centred(
        x in numbers(2..20),
        gain in numbers(20),
        epsilon in 1e-8..1e-2_f64,
    ) {
        prop_assume!(population_variance(&x).unwrap() > 1e-3);
        let center = mean(&x).unwrap();
        let centred: Vec<f64> = x.iter().map(|x| x - center).collect();
        let (gain, zeros) = (&gain[..x.len()], vec![0.0; x.len()]);
        let y = layer_norm(&x, gain, &zeros, epsilon).unwrap();
        all_close(
            &y,
            &rms_norm(&centred, gain, epsilon).unwrap(),
            64.0 * EPSILON * 100.0 * 100.0 / 0.03,
        );
    }

    /// The plain functions are the primitives, column by column.
    #[test]
    fn plain_functions_are_the_primitives(
        x in numbers(12),
        gain in numbers(4),
        shift in numbers(4),
    ) {
        let (m, g, b) =
            (linalg::matrix(4, 3, &x), linalg::matrix(4, 1, &gain), linalg::matrix(4, 1, &shift));
        let epsilon = 1e-5;
        let bound = 1e4 * 64.0 * EPSILON / 1e-5_f64.sqrt();
        let plain: Vec<f64> =
            x.chunks(4).flat_map(|x| layer_norm(x, &gain, &shift, epsilon).unwrap()).collect();
        all_close(&run(&LayerNorm { epsilon }, [&m, &g, &b]), &plain, bound);
        let plain: Vec<f64> =
            x.chunks(4).flat_map(|x| rms_norm(x, &gain, epsilon).unwrap()).collect();
        all_close(&run(&RmsNorm::new(epsilon), [&m, &g]), &plain, bound);
    }

    /// p is the probability to drop: a fraction p is dropped and the rest divided by 1 − p, so that the mean is kept.
    #[test]
    fn dropout_keeps_the_mean(rate in 0.0..0.95_f64, seed in 0..1000_u64) {
        let n = 2000;
        let y = dropout(&vec![1.0; n], rate, seed, 0).unwrap();
        let dropped = y.iter().filter(|y| **y == 0.0).count() as f64 / n as f64;
        let error = (rate * (1.0 - rate) / n as f64).sqrt();
        close(dropped, rate, 6.0 * error + EPSILON);
        close(mean(&y).unwrap(), 1.0, (6.0 * error + 4.0 * EPSILON) / (1.0 - rate));
        prop_assert!(y.iter().all(|&y| y == 0.0 || y == 1.0 / (1.0 - rate)));
    }

    /// Weights have the stated variance, and uniform ones their bound.
    #[test]
    fn weights_have_their_variance(
        seed in 0..1000_u64,
        inputs in 20..60_usize,
        outputs in 20..60_usize,
    ) {
        use Initialiser::*;
        let random = Random::new(seed, 0, 0);
        for rule in [
            XavierNormal,
            XavierUniform,
            KaimingNormal,
            KaimingUniform,
            RecordedStep,
            Gpt2Residual { layers: 3 },
        ] {
            let w = rule.weights::<f64>(outputs, inputs, &random, 0).unwrap();
            let (variance, n) = (rule.variance(inputs, outputs).unwrap(), w.len() as f64);
            let found: Running<f64> = w.iter().copied().collect();
            close(found.mean().unwrap(), 0.0, 6.0 * (variance / n).sqrt());
            // Var of a square: 2σ⁴ of a Gaussian, less of a uniform.
            close(
                found.population_variance().unwrap(),
                variance,
                6.0 * variance * (2.0 / n).sqrt() + variance * 36.0 / n,
            );
            if matches!(rule, XavierUniform | KaimingUniform) {
                prop_assert!(w.amax() <= (3.0 * variance).sqrt());
            }
        }
    }

    /// Every query's weights are a distribution over the visible keys, and hidden keys do not matter.
    #[test]
    fn masked_rows(scores in numbers(25), other in numbers(25)) {
        let visible = |key: usize, query: usize| key <= query;
        let (a, b) = (linalg::matrix(5, 5, &scores), linalg::matrix(5, 5, &other));
        let mixed = Matrix::from_fn(5, 5, |key, query| {
            if visible(key, query) { a[(key, query)] } else { b[(key, query)] }
        });
        let weights = masked_softmax(&a, visible).unwrap();
        prop_assert_eq!(&weights, &masked_softmax(&mixed, visible).unwrap());
        for (query, column) in weights.column_iter().enumerate() {
            close(column.sum(), 1.0, 5.0 * EPSILON);
            prop_assert!(
                column.iter().enumerate().all(|(key, w)| visible(key, query) || *w == 0.0)
            );
        }
    }
}

/// Xavier keeps the variance through linear layers, Kaiming through ReLU; 1/n through ReLU halves
/// it every layer.
#[test]
fn variances_that_are_kept() {
    let (n, layers, tokens) = (128, 30, 64);
    let through = |rule: Initialiser, relu: bool| {
        let random = Random::new(5, 0, 0);
        let mut x: Matrix<f64> =
            Matrix::from_fn(n, tokens, |i, j| random.normal((i + n * j) as u64));
        for layer in 1..=layers {
            x = rule.weights::<f64>(n, n, &Random::new(5, layer, 0), 0).unwrap() * x;
            if relu {
                x.apply(|x| *x = x.max(0.0));
            }
        }
        let mean_square = x.norm_squared() / x.len() as f64;
        if relu { 2.0 * mean_square } else { mean_square } // ReLU halves the mean square of its output
    };
    // The standard error of ln of the mean square is √(layers·c/n) with c = 2 for linear layers, 5 for ReLU: five of
    // these.
    let stray = |c: f64| 5.0 * (f64::from(layers) * c / n as f64).sqrt();
    close(through(Initialiser::XavierNormal, false).ln(), 0.0, stray(2.0));
    close(through(Initialiser::KaimingNormal, true).ln(), 0.0, stray(5.0));
    let halved = through(Initialiser::XavierNormal, true).ln();
    close(halved, -f64::from(layers) * 2.0_f64.ln(), stray(5.0));
}

/// 2N projections are added to the residual stream: with GPT-2's factor its variance grows by that of one, without by
/// 2N.
#[test]
fn the_residual_stream_keeps_its_size() {
    let (n, layers) = (128, 12);
    let rule = Initialiser::Gpt2Residual { layers };
    let scale = 1.0 / (n as f64 * 0.02 * 0.02); // so that a plain projection would add variance 1
    let mut stream = vec![0.0; n];
    for k in 0..2 * layers as u32 {
        let random = Random::new(9, k, 0);
        let x: Matrix<f64> = Matrix::from_fn(n, 1, |i, _| random.normal((1 << 40) + i as u64));
        let y = rule.weights::<f64>(n, n, &random, 0).unwrap() * x * scale.sqrt();
        stream.iter_mut().zip(y.iter()).for_each(|(s, y)| *s += y);
    }
    let variance = stream.iter().map(|s| s * s).sum::<f64>() / n as f64;
    close(variance, 1.0, 5.0 * (2.0 / n as f64).sqrt());
}
