//! Times of the kernels on the shapes of the presets.
//!
//! ```text
//! cd tests/benches
//! cargo bench                  all of them, about two minutes
//! cargo bench -- attention     those whose name has "attention" in it
//! ```
//!
//! Nothing is asserted: what a machine does is compared with what it did. Items are floating-point
//! operations, so that Gitem/s reads as GFLOP/s; where memory decides, bytes are counted instead.

use calculus::activation::Activation;
use calculus::clip;
use calculus::optimizer::{Adam, Optimizer};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, Divan};
use infotheory::cross_entropy::CrossEntropy;
use linalg::{Gradient, Matrix, Primitive, Shape, View, Work, product_into, transposed};
use probability::dropout::{Dropout, Order};
use probability::layer_norm::LayerNorm;
use probability::random::Random;
use probability::softmax::Softmax;
use std::fmt;
use std::time::Duration;
use transformer::{CausalAttention, VocabularyLoss};

fn main() {
    let divan = Divan::default().max_time(Duration::from_secs(1)).config_with_args();
    // From a thread of the pool, as training runs: entering it anew for each call would be timed too.
    rayon::scope(|_| divan.main());
}

/// What decides the shapes of a model's kernels.
#[derive(Clone, Copy)]
struct Size {
    name: &'static str,
    width: usize,
    heads: usize,
    /// Tokens of a window.
    length: usize,
    /// Windows.
    batch: usize,
    vocabulary: usize,
    parameters: usize,
}

/// The sizes of `tests/peers/sizes.json`.
const SHAKESPEARE: Size = Size {
    name: "shakespeare-cpu",
    width: 128,
    heads: 4,
    length: 64,
    batch: 12,
    vocabulary: 65,
    parameters: 804_096,
};
const BABY: Size = Size {
    name: "baby",
    width: 384,
    heads: 6,
    length: 256,
    batch: 8,
    vocabulary: 65,
    parameters: 10_745_088,
};
const GPT2: Size = Size {
    name: "gpt2",
    width: 768,
    heads: 12,
    length: 64,
    batch: 4,
    vocabulary: 50257,
    parameters: 124_439_808,
};
const GPT2_LONG: Size = Size { name: "gpt2-long", length: 1024, batch: 1, ..GPT2 };
const SIZES: [Size; 4] = [SHAKESPEARE, BABY, GPT2, GPT2_LONG];

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Size {
    fn tokens(&self) -> usize {
        self.length * self.batch
    }
}

/// An affine map of a model: (outputs × inputs) on so many tokens.
#[derive(Clone, Copy)]
struct Map {
    size: Size,
    name: &'static str,
    outputs: usize,
    inputs: usize,
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.size, self.name)
    }
}

impl Map {
    fn flops(&self, tokens: usize) -> ItemsCount {
        ItemsCount::new(2 * self.outputs * self.inputs * tokens)
    }
}

fn maps() -> impl Iterator<Item = Map> {
    SIZES.into_iter().flat_map(|size| {
        let d = size.width;
        [("qkv", 3 * d, d), ("projection", d, d), ("expand", 4 * d, d), ("contract", d, 4 * d)]
            .map(|(name, outputs, inputs)| Map { size, name, outputs, inputs })
    })
}

/// Numbers in [−½, ½).
fn random(seed: u64, rows: usize, columns: usize) -> Matrix<f32> {
    let random = Random::new(seed, 0, 0);
    let number = |i: usize| random.below(i as u64, 1 << 20) as f32 / (1 << 20) as f32 - 0.5;
    Matrix::from_fn(rows, columns, |i, j| number(j * rows + i))
}

fn targets(size: Size) -> Matrix<f32> {
    let random = Random::new(9, 0, 0);
    let token = |_, j| random.below(j as u64, size.vocabulary as u64) as f32;
    Matrix::from_fn(1, size.tokens(), token)
}

fn view(x: &Matrix<f32>) -> View<'_, f32> {
    x.as_view()
}

mod product {
    use super::*;

    /// y = W·x.
    #[divan::bench(args = maps())]
    fn forward(bencher: Bencher<'_, '_>, map: Map) {
        let n = map.size.tokens();
        let (w, x) = (random(1, map.outputs, map.inputs), random(2, map.inputs, n));
        let mut y = Matrix::<f32>::zeros(map.outputs, n);
        bencher
            .counter(map.flops(n))
            .bench_local(|| product_into(y.as_view_mut(), 1.0, view(&w), view(&x)));
    }

    /// dx = Wᵀ·dy.
    #[divan::bench(args = maps())]
    fn input_gradient(bencher: Bencher<'_, '_>, map: Map) {
        let n = map.size.tokens();
        let (w, dy) = (random(1, map.outputs, map.inputs), random(2, map.outputs, n));
        let mut dx = Matrix::<f32>::zeros(map.inputs, n);
        bencher
            .counter(map.flops(n))
            .bench_local(|| product_into(dx.as_view_mut(), 1.0, transposed(view(&w)), view(&dy)));
    }

    /// dW = dy·xᵀ.
    #[divan::bench(args = maps())]
    fn weight_gradient(bencher: Bencher<'_, '_>, map: Map) {
        let n = map.size.tokens();
        let (x, dy) = (random(1, map.inputs, n), random(2, map.outputs, n));
        let mut dw = Matrix::<f32>::zeros(map.outputs, map.inputs);
        bencher
            .counter(map.flops(n))
            .bench_local(|| product_into(dw.as_view_mut(), 1.0, view(&dy), transposed(view(&x))));
    }

    /// y = W·x of one token, as generation has it: the bytes of W decide.
    #[divan::bench(args = maps().filter(|map| map.size.name == "gpt2"))]
    fn one_token(bencher: Bencher<'_, '_>, map: Map) {
        let (w, x) = (random(1, map.outputs, map.inputs), random(2, map.inputs, 1));
        let mut y = Matrix::<f32>::zeros(map.outputs, 1);
        bencher
            .counter(BytesCount::of_slice(w.as_slice()))
            .bench_local(|| product_into(y.as_view_mut(), 1.0, view(&w), view(&x)));
    }
}

/// A rule with operands, and all the memory that it works on.
struct Ready<P, const N: usize> {
    rule: P,
    inputs: [Matrix<f32>; N],
    output: Matrix<f32>,
    upstream: Matrix<f32>,
    gradients: [Matrix<f32>; N],
    kept: Vec<f32>,
    scratch: Vec<f32>,
    shapes: [Shape; N],
}

impl<P: Primitive<N>, const N: usize> Ready<P, N> {
    fn new(rule: P, inputs: [Matrix<f32>; N]) -> Self {
        let shapes = inputs.each_ref().map(|x| Shape::new(x.nrows(), x.ncols()));
        let shape = rule.shape(shapes).expect("shapes that fit");
        let memory = rule.memory(shapes);
        let mut ready = Ready {
            rule,
            output: Matrix::zeros(shape.rows, shape.columns),
            upstream: random(8, shape.rows, shape.columns),
            gradients: shapes.map(|s| Matrix::zeros(s.rows, s.columns)),
            kept: vec![0.0; memory.kept],
            scratch: vec![0.0; memory.scratch],
            inputs,
            shapes,
        };
        ready.forward();
        ready
    }

    fn forward(&mut self) {
        let work = Work::new(&mut self.kept, &mut self.scratch);
        self.rule.forward(self.inputs.each_ref().map(view), self.output.as_view_mut(), work);
    }

    fn backward(&mut self) {
        let work = Work::new(&mut self.kept, &mut self.scratch);
        let gradients = self.gradients.each_mut().map(|g| Gradient::fresh(g.as_view_mut()));
        let (inputs, output) = (self.inputs.each_ref().map(view), view(&self.output));
        self.rule.vjp(inputs, output, view(&self.upstream), gradients, work);
    }

    /// As the last operation of a training step is asked for.
    fn both(&mut self) {
        let work = Work::new(&mut self.kept, &mut self.scratch);
        let gradients = self.gradients.each_mut().map(|g| Gradient::new(g.as_view_mut()));
        let (inputs, output) = (self.inputs.each_ref().map(view), self.output.as_view_mut());
        let upstream = view(&self.upstream);
        self.rule.forward_and_vjp(inputs, output, upstream, gradients, work);
    }
}

fn forward<P: Primitive<N>, const N: usize>(
    bencher: Bencher<'_, '_>,
    rule: P,
    inputs: [Matrix<f32>; N],
) {
    let mut ready = Ready::new(rule, inputs);
    let flops = ready.rule.flops(ready.shapes);
    bencher.counter(ItemsCount::new(flops)).bench_local(|| ready.forward());
}

fn backward<P: Primitive<N>, const N: usize>(
    bencher: Bencher<'_, '_>,
    rule: P,
    inputs: [Matrix<f32>; N],
) {
    let mut ready = Ready::new(rule, inputs);
    let flops = ready.rule.vjp_flops(ready.shapes);
    bencher.counter(ItemsCount::new(flops)).bench_local(|| ready.backward());
}

fn both<P: Primitive<N>, const N: usize>(
    bencher: Bencher<'_, '_>,
    rule: P,
    inputs: [Matrix<f32>; N],
) {
    let mut ready = Ready::new(rule, inputs);
    let flops = ready.rule.flops(ready.shapes) + ready.rule.vjp_flops(ready.shapes);
    bencher.counter(ItemsCount::new(flops)).bench_local(|| ready.both());
}

mod attention {
    use super::*;

    fn rule(size: Size, rate: f64) -> CausalAttention {
        let dropout = Dropout { rate, seed: 1, stream: 2, order: Order::Columns };
        let dropout = (rate > 0.0).then_some(dropout);
        let (heads, length) = (size.heads, size.length);
        CausalAttention { heads, key_value_heads: heads, length, dropout, ..Default::default() }
    }

    fn operands(size: Size) -> [Matrix<f32>; 3] {
        [3, 8, 9].map(|seed| random(seed, size.width, size.tokens()))
    }

    fn with_step(size: Size) -> [Matrix<f32>; 4] {
        let [query, key, value] = operands(size);
        [query, key, value, Matrix::from_column_slice(2, 1, &[3.0, 0.0])]
    }

    #[divan::bench(args = SIZES)]
    fn attention_forward(bencher: Bencher<'_, '_>, size: Size) {
        forward(bencher, rule(size, 0.0), operands(size));
    }

    #[divan::bench(args = SIZES)]
    fn attention_backward(bencher: Bencher<'_, '_>, size: Size) {
        backward(bencher, rule(size, 0.0), operands(size));
    }

    #[divan::bench(args = [BABY])]
    fn with_dropout_forward(bencher: Bencher<'_, '_>, size: Size) {
        forward(bencher, rule(size, 0.2), with_step(size));
    }

    #[divan::bench(args = [BABY])]
    fn with_dropout_backward(bencher: Bencher<'_, '_>, size: Size) {
        backward(bencher, rule(size, 0.2), with_step(size));
    }
}

mod probability_of_columns {
    use super::*;

    /// Attention weights of the textbook's form: a column for each query of each head.
    fn scores(size: Size) -> Matrix<f32> {
        random(4, size.length, size.heads * size.tokens())
    }

    fn normalised(size: Size) -> [Matrix<f32>; 3] {
        let d = size.width;
        [random(5, d, size.tokens()), random(6, d, 1), random(7, d, 1)]
    }

    #[divan::bench(args = [SHAKESPEARE, BABY, GPT2])]
    fn softmax_forward(bencher: Bencher<'_, '_>, size: Size) {
        forward(bencher, Softmax, [scores(size)]);
    }

    #[divan::bench(args = [SHAKESPEARE, BABY, GPT2])]
    fn softmax_backward(bencher: Bencher<'_, '_>, size: Size) {
        backward(bencher, Softmax, [scores(size)]);
    }

    #[divan::bench(args = SIZES)]
    fn layer_norm_forward(bencher: Bencher<'_, '_>, size: Size) {
        forward(bencher, LayerNorm { epsilon: 1e-5 }, normalised(size));
    }

    #[divan::bench(args = SIZES)]
    fn layer_norm_backward(bencher: Bencher<'_, '_>, size: Size) {
        backward(bencher, LayerNorm { epsilon: 1e-5 }, normalised(size));
    }
}

mod activation {
    use super::*;

    fn hidden(size: Size) -> [Matrix<f32>; 1] {
        [random(10, 4 * size.width, size.tokens()) * 6.0]
    }

    #[divan::bench(args = SIZES)]
    fn gelu_forward(bencher: Bencher<'_, '_>, size: Size) {
        forward(bencher, Activation::Gelu, hidden(size));
    }

    #[divan::bench(args = SIZES)]
    fn gelu_backward(bencher: Bencher<'_, '_>, size: Size) {
        backward(bencher, Activation::Gelu, hidden(size));
    }

    #[divan::bench(args = SIZES)]
    fn gelu_tanh_forward(bencher: Bencher<'_, '_>, size: Size) {
        forward(bencher, Activation::GeluTanh, hidden(size));
    }

    #[divan::bench(args = SIZES)]
    fn gelu_tanh_backward(bencher: Bencher<'_, '_>, size: Size) {
        backward(bencher, Activation::GeluTanh, hidden(size));
    }
}

mod loss {
    use super::*;

    /// Of logits that are there.
    #[divan::bench(args = [SHAKESPEARE, BABY, GPT2])]
    fn cross_entropy(bencher: Bencher<'_, '_>, size: Size) {
        let logits = random(11, size.vocabulary, size.tokens());
        both(bencher, CrossEntropy, [logits, targets(size)]);
    }

    /// With the projection to the vocabulary, in chunks.
    #[divan::bench(args = SIZES)]
    fn vocabulary(bencher: Bencher<'_, '_>, size: Size) {
        let table = random(12, size.width, size.vocabulary);
        let x = random(13, size.width, size.tokens());
        both(bencher, VocabularyLoss::default(), [table, x, targets(size)]);
    }
}

mod update {
    use super::*;

    /// Parameters and two moments are read and written, gradients read.
    #[divan::bench(args = [SHAKESPEARE, BABY, GPT2])]
    fn adam(bencher: Bencher<'_, '_>, size: Size) {
        let n = size.parameters;
        let mut optimizer = Adam::<f32>::new(n, 0.9, 0.99, 1e-8)
            .with_decay(0.1, vec![0..n / 2, n / 2..n - n / 100]);
        let (mut parameters, gradients) = (vec![0.5_f32; n], vec![0.01_f32; n]);
        bencher
            .counter(BytesCount::new(7 * size_of::<f32>() * n))
            .bench_local(|| optimizer.step(1e-4, &mut parameters, &gradients));
    }

    /// The norm of all gradients, where it needs no clipping.
    #[divan::bench(args = [SHAKESPEARE, BABY, GPT2])]
    fn global_norm(bencher: Bencher<'_, '_>, size: Size) {
        let gradients = vec![0.01_f32; size.parameters];
        bencher
            .counter(BytesCount::of_slice(&gradients))
            .bench_local(|| clip::global_norm(&gradients));
    }
}
