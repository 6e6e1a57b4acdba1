//! Products of bfloat16: what operations compute with them, and what training does.

use linalg::half::{bf16_to_f32, f32_to_bf16};
use linalg::{Gradient, Matrix, Primitive, Products, Role, Shape, Work};
use tests::law::Case;
use tests::{draw, registry};
use transformer::{Architecture, Corpus, Precision, Trainer, TrainingConfig};

/// The nearest bfloat16 of every number.
fn rounded(x: &Matrix<f32>) -> Matrix<f32> {
    x.map(|x| bf16_to_f32(f32_to_bf16(x)))
}

/// Value and gradients.
fn of<P: Primitive<N>, const N: usize>(
    operation: &P,
    inputs: &[Matrix<f32>; N],
    upstream: &Matrix<f32>,
    products: Products,
) -> Vec<Matrix<f32>> {
    let shapes = inputs.each_ref().map(|x| Shape::new(x.nrows(), x.ncols()));
    let memory = operation.memory(shapes);
    let (mut kept, mut scratch) = (vec![0.0; memory.kept], vec![0.0; memory.scratch]);
    let mut y = upstream.map(|_| f32::NAN);
    let mut gradients = inputs.each_ref().map(|x| x.map(|_| f32::NAN));
    let views = || inputs.each_ref().map(|x| x.as_view());
    let work = Work::new(&mut kept, &mut scratch).with(products);
    operation.forward(views(), y.as_view_mut(), work);
    let into = gradients.each_mut().map(|g| Gradient::fresh(g.as_view_mut()));
    let work = Work::new(&mut kept, &mut scratch).with(products);
    operation.vjp(views(), y.as_view(), upstream.as_view(), into, work);
    [y].into_iter().chain(gradients).collect()
}

/// The largest difference, relative to the largest number of its matrix, or to 1 where a sum nearly cancels.
fn apart(a: &[Matrix<f32>], b: &[Matrix<f32>]) -> f32 {
    let of_one = |(a, b): (&Matrix<f32>, &Matrix<f32>)| {
        let off = a.iter().zip(b).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs()));
        off / a.iter().fold(1.0_f32, |most, a| most.max(a.abs()))
    };
    a.iter().zip(b).map(of_one).fold(0.0, f32::max)
}

/// Names of the operations that round, and the largest differences of all.
#[derive(Default)]
struct Found {
    rounding: Vec<&'static str>,
    of_rounded: f32,
    of_others: f32,
}

impl registry::Visitor for Found {
    fn visit<P: Primitive<N>, const N: usize>(&mut self, case: Case<P, N>) {
        let (operation, inputs) = (&case.primitive, case.inputs.each_ref());
        let inputs = inputs.map(|x| x.map(|x| x as f32));
        let shapes = inputs.each_ref().map(|x| Shape::new(x.nrows(), x.ncols()));
        let shape = operation.shape(shapes).expect("operands that fit");
        let upstream = draw::normal(99, shape.rows, shape.columns).map(|x: f64| x as f32);
        let [full, narrow] =
            [Products::Full, Products::Bf16].map(|how| of(operation, &inputs, &upstream, how));
        if !matches!(operation.role(), Role::Linear | Role::Loss) {
            assert_eq!(full, narrow, "{}: only linear maps round", case.describe());
            return;
        }
        if full == narrow {
            return; // a loss without a map, or numbers that are bfloat16 already
        }
        let name = operation.name();
        if !self.rounding.contains(&name) {
            self.rounding.push(name);
        }
        self.of_others = self.of_others.max(apart(&full, &narrow));
        // Every product rounds its factors, in both directions: rounding them before changes no bit. The thin products of
        // adapters are of f32.
        let thin = name == "linear map with adapters";
        let pairs = operation.factors().into_iter().take(if thin { 1 } else { N });
        let factors: Vec<usize> = pairs.flatten().collect();
        let before = std::array::from_fn(|k| match factors.contains(&k) {
            true => rounded(&inputs[k]),
            false => inputs[k].clone(),
        });
        let given = if name.contains("vocabulary") { upstream.clone() } else { rounded(&upstream) };
        let again = of(operation, &before, &given, Products::Bf16);
        for k in [0].into_iter().chain(factors.iter().map(|k| k + 1)) {
            assert_eq!(
                narrow[k],
                again[k],
                "{}: value 0, gradients from 1 on: {k}",
                case.describe()
            );
        }
        // Over a vocabulary, the gradient of logits is rounded too, which no operand determines.
        if !name.contains("vocabulary") {
            // Of operands that are bfloat16 nothing is rounded: only sums have another order.
            let (inputs, upstream) = (inputs.each_ref().map(rounded), rounded(&upstream));
            let [full, narrow] =
                [Products::Full, Products::Bf16].map(|how| of(operation, &inputs, &upstream, how));
            self.of_rounded = self.of_rounded.max(apart(&full, &narrow));
        }
    }
}

#[test]
fn linear_maps_multiply_the_nearest_bfloat16() {
    let mut found = Found::default();
    registry::every(&mut found);
    found.rounding.sort_unstable();
    let expected = [
        "affine map",
        "cross-entropy over a vocabulary",
        "distillation over a vocabulary",
        "linear map with adapters",
        "product",
        "product with a transpose",
        "stacked product",
        "surprisal over a vocabulary",
    ];
    assert_eq!(found.rounding, expected);
    // Sums of up to 520 terms in another order: some ε of f32.
    assert!(found.of_rounded < 3e-5, "{:e}", found.of_rounded);
    // 2⁻⁹ of each factor at most.
    assert!(found.of_others > 1e-4 && found.of_others < 0.05, "{:e}", found.of_others);
}

fn trainer(precision: Precision, seed: u64) -> (Trainer<f32>, Corpus) {
    let config = TrainingConfig {
        precision,
        seed,
        steps: 60,
        warmup: 5,
        learning_rate: 5e-3,
        batch: 4,
        context: 32,
        width: 32,
        heads: 2,
        layers: 2,
        ..TrainingConfig::default()
    };
    let text = (0..4000_u32).map(|i| (i * i + i / 7) % 11).collect();
    let corpus = Corpus::text(text, 0.1, 32).expect("long enough");
    let model: Architecture = config.model(11).expect("valid");
    (Trainer::new(config, &model).expect("valid"), corpus)
}

fn losses(precision: Precision, seed: u64) -> Vec<f64> {
    let (mut trainer, corpus) = trainer(precision, seed);
    (0..60).map(|_| trainer.step(&corpus).expect("a step").loss).collect()
}

/// A run in bfloat16 follows that in f32, and ends where it does.
#[test]
fn a_run_in_bfloat16_learns_as_in_f32() {
    let [full, narrow] = [Precision::F32, Precision::Bf16].map(|precision| losses(precision, 3));
    assert!(full != narrow);
    assert!((full[0] - narrow[0]).abs() < 2e-3, "{} and {}", full[0], narrow[0]);
    let end = |losses: &[f64]| losses[50..].iter().sum::<f64>() / 10.0;
    let learned = full[0] - end(&full);
    assert!(learned > 0.5, "it learns: {learned}");
    assert!((end(&full) - end(&narrow)).abs() < 0.05 * learned, "{} {}", end(&full), end(&narrow));
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let (mut trainer, corpus) = trainer(Precision::Bf16, 5);
            for _ in 0..5 {
                trainer.step(&corpus).expect("a step");
            }
            trainer.model().tape().parameters().iter().map(|p| p.to_bits()).collect::<Vec<_>>()
        })
    };
    let one = on(1);
    assert!([2, 3, 8].into_iter().all(|threads| on(threads) == one));
}

/// Training in f16 is refused, and said why.
#[test]
fn f16_is_no_precision_of_products() {
    let config = TrainingConfig { precision: Precision::F16, ..TrainingConfig::default() };
    let why = config.validate().expect_err("refused").to_string();
    assert!(why.contains("precision") && why.contains("f32 or bf16"), "{why}");
}
