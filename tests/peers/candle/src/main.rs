//! A GPT-2 training step in candle, as its users write it.
//!
//! candle's fused LayerNorm and softmax have no backward, and its CPU attention has none either: a model
//! that trains uses the composed ones.

#[path = "../../measure.rs"]
mod measure;

use candle_core::{D, DType, Device, IndexOp, Tensor, Var};
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};
use candle_nn::{loss, ops};
use measure::{BETA_1, BETA_2, CLIP, DECAY, DEVIATION, EPSILON, RATE, Result, Size, Train};

/// y = W·x + b; the weight is (outputs × inputs), as PyTorch has it.
struct Linear {
    weight: Var,
    bias: Option<Var>,
}

struct Norm {
    weight: Var,
    bias: Option<Var>,
}

struct Block {
    norm_1: Norm,
    attention: Linear,
    projection: Linear,
    norm_2: Norm,
    expand: Linear,
    contract: Linear,
}

struct Gpt {
    token: Var,
    position: Var,
    blocks: Vec<Block>,
    norm: Norm,
    mask: Tensor,
    heads: usize,
    dropout: f32,
    gelu_tanh: bool,
}

/// Makes parameters and remembers them.
struct Parameters {
    device: Device,
    matrices: Vec<Var>,
    vectors: Vec<Var>,
}

impl Parameters {
    fn matrix(&mut self, rows: usize, columns: usize, deviation: f64) -> Result<Var> {
        let matrix = Var::randn(0f32, deviation as f32, (rows, columns), &self.device)?;
        self.matrices.push(matrix.clone());
        Ok(matrix)
    }

    fn vector(&mut self, length: usize, value: f32) -> Result<Var> {
        let vector = Var::from_tensor(&Tensor::full(value, length, &self.device)?)?;
        self.vectors.push(vector.clone());
        Ok(vector)
    }

    fn linear(
        &mut self,
        inputs: usize,
        outputs: usize,
        bias: bool,
        deviation: f64,
    ) -> Result<Linear> {
        let weight = self.matrix(outputs, inputs, deviation)?;
        let bias = bias.then(|| self.vector(outputs, 0.0)).transpose()?;
        Ok(Linear { weight, bias })
    }

    fn norm(&mut self, width: usize, bias: bool) -> Result<Norm> {
        let weight = self.vector(width, 1.0)?;
        let bias = bias.then(|| self.vector(width, 0.0)).transpose()?;
        Ok(Norm { weight, bias })
    }
}

impl Linear {
    /// Of (tokens × features).
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let y = x.matmul(&self.weight.t()?)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

impl Norm {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let standard = centred.broadcast_div(&(variance + 1e-5)?.sqrt()?)?;
        let y = standard.broadcast_mul(&self.weight)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

impl Gpt {
    fn new(size: &Size, p: &mut Parameters) -> Result<Gpt> {
        let (width, bias) = (size.width, size.bias);
        let residual = measure::residual_deviation(size);
        let mut blocks = Vec::new();
        let token = p.matrix(size.vocabulary, width, DEVIATION)?;
        let position = p.matrix(size.context, width, DEVIATION)?;
        for _ in 0..size.layers {
            blocks.push(Block {
                norm_1: p.norm(width, bias)?,
                attention: p.linear(width, 3 * width, bias, DEVIATION)?,
                projection: p.linear(width, width, bias, residual)?,
                norm_2: p.norm(width, bias)?,
                expand: p.linear(width, 4 * width, bias, DEVIATION)?,
                contract: p.linear(4 * width, width, bias, residual)?,
            });
        }
        let t = size.length;
        let mask = |at: usize| if at % t > at / t { f32::NEG_INFINITY } else { 0.0 };
        let mask = Tensor::from_iter((0..t * t).map(mask), &p.device)?.reshape((t, t))?;
        Ok(Gpt {
            token,
            position,
            blocks,
            norm: p.norm(width, bias)?,
            mask,
            heads: size.heads,
            dropout: size.dropout as f32,
            gelu_tanh: size.gelu_tanh,
        })
    }

    fn drop(&self, x: Tensor) -> candle_core::Result<Tensor> {
        if self.dropout == 0.0 { Ok(x) } else { ops::dropout(&x, self.dropout) }
    }

    /// Mean cross-entropy of (batch × length) tokens.
    fn loss(&self, tokens: &Tensor, targets: &Tensor) -> candle_core::Result<Tensor> {
        let (batch, length) = tokens.dims2()?;
        let embedded = self.token.embedding(&tokens.flatten_all()?)?;
        let embedded = embedded.reshape((batch, length, ()))?;
        let x = embedded.broadcast_add(&self.position.i(..length)?)?;
        let mut x = self.drop(x)?.flatten_to(1)?;
        for block in &self.blocks {
            let y = self.attention(block, &block.norm_1.forward(&x)?, batch, length)?;
            x = (x + self.drop(y)?)?;
            let y = block.expand.forward(&block.norm_2.forward(&x)?)?;
            let y = if self.gelu_tanh { y.gelu()? } else { y.gelu_erf()? };
            x = (x + self.drop(block.contract.forward(&y)?)?)?;
        }
        let logits = self.norm.forward(&x)?.matmul(&self.token.t()?)?;
        loss::cross_entropy(&logits, &targets.flatten_all()?)
    }

    fn attention(
        &self,
        block: &Block,
        x: &Tensor,
        batch: usize,
        length: usize,
    ) -> candle_core::Result<Tensor> {
        let width = x.dim(1)?;
        let rows = width / self.heads;
        let qkv = block.attention.forward(x)?.reshape((batch, length, 3, self.heads, rows))?;
        let part = |i: usize| qkv.i((.., .., i))?.transpose(1, 2)?.contiguous();
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let scores = (q.matmul(&k.t()?)? * (rows as f64).powf(-0.5))?;
        let weights = ops::softmax(&scores.broadcast_add(&self.mask)?, D::Minus1)?;
        let y = self.drop(weights)?.matmul(&v)?;
        let y = y.transpose(1, 2)?.reshape((batch * length, width))?;
        block.projection.forward(&y)
    }
}

struct Training {
    model: Gpt,
    parameters: Parameters,
    optimizers: [AdamW; 2],
    size: (usize, usize),
}

impl Train for Training {
    fn parameters(&self) -> usize {
        let p = &self.parameters;
        p.matrices.iter().chain(&p.vectors).map(|v| v.elem_count()).sum()
    }

    fn step(&mut self, tokens: Vec<u32>, targets: Vec<u32>) -> Result<f32> {
        let device = &self.parameters.device;
        let x = Tensor::from_vec(tokens, self.size, device)?;
        let y = Tensor::from_vec(targets, self.size, device)?;
        let loss = self.model.loss(&x, &y)?;
        let mut gradients = loss.backward()?;
        let all = || self.parameters.matrices.iter().chain(&self.parameters.vectors);
        let mut squares = 0.0;
        for gradient in all().filter_map(|v| gradients.get(v)) {
            squares += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
        let factor = CLIP / squares.sqrt();
        if factor < 1.0 {
            for v in all() {
                if let Some(gradient) = gradients.remove(v) {
                    gradients.insert(v, (gradient * factor)?);
                }
            }
        }
        for optimizer in &mut self.optimizers {
            optimizer.step(&gradients)?;
        }
        Ok(loss.to_dtype(DType::F32)?.to_scalar()?)
    }
}

fn main() -> Result<()> {
    measure::run("candle 0.11.1", |size| {
        let device = Device::Cpu;
        let mut parameters = Parameters { device, matrices: Vec::new(), vectors: Vec::new() };
        let model = Gpt::new(size, &mut parameters)?;
        let adam = |weight_decay| ParamsAdamW {
            lr: RATE,
            beta1: BETA_1,
            beta2: BETA_2,
            eps: EPSILON,
            weight_decay,
        };
        let optimizers = [
            AdamW::new(parameters.matrices.clone(), adam(DECAY))?,
            AdamW::new(parameters.vectors.clone(), adam(0.0))?,
        ];
        Ok(Training { model, parameters, optimizers, size: (size.batch, size.length) })
    })
}
