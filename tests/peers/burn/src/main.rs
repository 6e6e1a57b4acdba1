//! A GPT-2 training step in burn, as its users write it, on `flex`: of burn's backends for processors
//! the one that its documentation names first and that is plain Rust (`ndarray` and `tch` are
//! deprecated; `cpu` compiles kernels through an LLVM that it downloads).
//!
//! burn's own attention takes no dropout, and under autodiff it is composed of a product, a softmax and a
//! product: here they are written out.

#[path = "../../measure.rs"]
mod measure;

use burn::module::{Module, ModuleVisitor, Param, ParamGroup};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::{
    Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, LayerNorm, LayerNormConfig,
    Linear, LinearConfig,
};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{gelu, gelu_approximate, softmax};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use measure::{BETA_1, BETA_2, CLIP, DECAY, DEVIATION, EPSILON, RATE, Result, Size, Train};

#[derive(Module, Debug)]
struct Block {
    norm_1: LayerNorm,
    attention: Linear,
    projection: Linear,
    norm_2: LayerNorm,
    expand: Linear,
    contract: Linear,
}

#[derive(Module, Debug)]
struct Gpt {
    token: Embedding,
    position: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    drop: Dropout,
    heads: usize,
    gelu_tanh: bool,
}

fn normal(std: f64) -> Initializer {
    Initializer::Normal { mean: 0.0, std }
}

impl Gpt {
    fn new(size: &Size, device: &Device) -> Gpt {
        let width = size.width;
        let residual = measure::residual_deviation(size);
        // An initializer is for weight and bias; the biases start at 0.
        let linear = |inputs: usize, outputs: usize, deviation: f64| {
            let config = LinearConfig::new(inputs, outputs).with_bias(false);
            let mut linear = config.with_initializer(normal(deviation)).init(device);
            linear.bias = size.bias.then(|| Initializer::Zeros.init([outputs], device));
            linear
        };
        let norm = || LayerNormConfig::new(width).with_bias(size.bias).init(device);
        let table = |entries: usize| {
            EmbeddingConfig::new(entries, width).with_initializer(normal(DEVIATION)).init(device)
        };
        let block = |_| Block {
            norm_1: norm(),
            attention: linear(width, 3 * width, DEVIATION),
            projection: linear(width, width, residual),
            norm_2: norm(),
            expand: linear(width, 4 * width, DEVIATION),
            contract: linear(4 * width, width, residual),
        };
        Gpt {
            token: table(size.vocabulary),
            position: table(size.context),
            blocks: (0..size.layers).map(block).collect(),
            norm: norm(),
            drop: DropoutConfig::new(size.dropout).init(),
            heads: size.heads,
            gelu_tanh: size.gelu_tanh,
        }
    }

    /// Logits of (batch × length) tokens, a row for each.
    fn logits(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [batch, length] = tokens.dims();
        let device = tokens.device();
        let positions = Tensor::arange(0..length as i64, &device).unsqueeze::<2>();
        let x = self.token.forward(tokens) + self.position.forward(positions);
        let mut x = self.drop.forward(x);
        let future = Tensor::<2, Bool>::tril_mask([length, length], 0, &device);
        let future = future.unsqueeze::<4>().expand([batch, self.heads, length, length]);
        for block in &self.blocks {
            let y = self.attention(block, block.norm_1.forward(x.clone()), future.clone());
            x = x + self.drop.forward(y);
            let y = block.expand.forward(block.norm_2.forward(x.clone()));
            let y = if self.gelu_tanh { gelu_approximate(y) } else { gelu(y) };
            x = x + self.drop.forward(block.contract.forward(y));
        }
        let x = self.norm.forward(x).flatten::<2>(0, 1);
        x.matmul(self.token.weight.val().transpose())
    }

    fn attention(&self, block: &Block, x: Tensor<3>, future: Tensor<4, Bool>) -> Tensor<3> {
        let [batch, length, width] = x.dims();
        let rows = width / self.heads;
        let parts = block.attention.forward(x).chunk(3, 2);
        let mut parts = parts
            .into_iter()
            .map(|part| part.reshape([batch, length, self.heads, rows]).swap_dims(1, 2));
        let mut part = || parts.next().expect("a chunk of three");
        let (q, k, v) = (part(), part(), part());
        let scores = q.matmul(k.transpose()) * (rows as f64).powf(-0.5);
        let weights = softmax(scores.mask_fill(future, f32::NEG_INFINITY), 3);
        let y = self.drop.forward(weights).matmul(v);
        block.projection.forward(y.swap_dims(1, 2).reshape([batch, length, width]))
    }
}

/// Sum of the squares of all gradients.
struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(parameter.id) {
            self.sum += f64::from(gradient.square().sum().into_scalar::<f32>());
        }
    }
}

/// Multiplies all gradients by a factor.
struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(parameter.id) {
            self.gradients.register(parameter.id, gradient.mul_scalar(self.factor));
        }
    }
}

struct Training {
    /// Taken and put back by each step.
    model: Option<Gpt>,
    optimizer: ModuleOptimizer,
    loss: CrossEntropyLoss,
    device: Device,
    size: [usize; 2],
}

impl Train for Training {
    fn parameters(&self) -> usize {
        self.model.as_ref().map_or(0, |model| model.num_params())
    }

    fn step(&mut self, tokens: Vec<u32>, targets: Vec<u32>) -> Result<f32> {
        let model = self.model.take().ok_or("a step failed before this one")?;
        let integers = |tokens: Vec<u32>| tokens.into_iter().map(|t| t as i32).collect::<Vec<_>>();
        let tokens = TensorData::new(integers(tokens), self.size);
        let targets = TensorData::new(integers(targets), [self.size[0] * self.size[1]]);
        let logits = model.logits(Tensor::from_data(tokens, &self.device));
        let loss = self.loss.forward(logits, Tensor::from_data(targets, &self.device));
        let mut gradients = GradientsParams::from_grads(loss.backward(), &model);
        let mut squares = Squares { gradients: &gradients, sum: 0.0 };
        model.visit(&mut squares);
        let factor = CLIP / squares.sum.sqrt();
        if factor < 1.0 {
            model.visit(&mut Scale { gradients: &mut gradients, factor });
        }
        self.model = Some(self.optimizer.step(RATE, model, gradients));
        Ok(loss.into_scalar::<f32>())
    }
}

fn main() -> Result<()> {
    measure::run("burn 0.22.1 flex", |size| {
        let device = Device::flex().autodiff();
        device.seed(1337);
        let model = Gpt::new(size, &device);
        let adam = |decay: f64| {
            let config = AdamWConfig::new().with_beta_1(BETA_1 as f32).with_beta_2(BETA_2 as f32);
            config.with_epsilon(EPSILON as f32).with_weight_decay(decay as f32)
        };
        let vectors = ParamGroup::from_any_predicates(vec!["gamma", "beta", "bias"]);
        let optimizer = adam(DECAY).init().with_group(vectors, adam(0.0).build(), None);
        Ok(Training {
            model: Some(model),
            optimizer,
            loss: CrossEntropyLossConfig::new().init(&device),
            device,
            size: [size.batch, size.length],
        })
    })
}
