//! What the peers in Rust share: sizes, arguments, random batches, the clock, the report.
//!
//! ```text
//! peer SIZE [--seconds S] [--steps N] [--warmup N]
//! ```
//!
//! Steps are timed until S seconds have passed, at least three; or N of them. Threads are rayon's: the
//! environment's RAYON_NUM_THREADS. Prints one JSON object, as `pytorch.py` does.

use serde_json::{Value, json};
use std::error::Error;
use std::time::Instant;

/// A model and its batch: an entry of `sizes.json`.
pub struct Size {
    pub layers: usize,
    pub heads: usize,
    pub width: usize,
    /// Positions of the model.
    pub context: usize,
    pub vocabulary: usize,
    pub bias: bool,
    pub dropout: f64,
    /// GELU by its tanh formula.
    pub gelu_tanh: bool,
    pub batch: usize,
    /// Tokens of a window.
    pub length: usize,
}

/// Learning rate, β₁, β₂, ε, decay of matrices, largest norm of all gradients.
pub const RATE: f64 = 1e-3;
pub const BETA_1: f64 = 0.9;
pub const BETA_2: f64 = 0.99;
pub const EPSILON: f64 = 1e-8;
pub const DECAY: f64 = 0.1;
pub const CLIP: f64 = 1.0;

/// Deviation of initial weights, and of those that write into the residual stream.
pub const DEVIATION: f64 = 0.02;
pub fn residual_deviation(size: &Size) -> f64 {
    DEVIATION / (2.0 * size.layers as f64).sqrt()
}

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One update from tokens and the tokens after them, window after window; returns the loss.
pub trait Train {
    fn parameters(&self) -> usize;
    fn step(&mut self, tokens: Vec<u32>, targets: Vec<u32>) -> Result<f32>;
}

/// Builds the model of the size that the arguments name, trains it, prints the report.
pub fn run<T: Train>(peer: &str, build: impl FnOnce(&Size) -> Result<T>) -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("which size? peer SIZE [--seconds S] [--steps N]")?;
    let (mut seconds_limit, mut steps, mut warmup) = (5.0, None, 2);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or(format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--seconds" => seconds_limit = value.parse()?,
            "--steps" => steps = Some(value.parse()?),
            "--warmup" => warmup = value.parse()?,
            _ => return Err(format!("{flag} is not one of --seconds, --steps, --warmup").into()),
        }
    }
    let size = Size::named(&name)?;
    let mut model = build(&size)?;
    let mut random = SplitMix(1337);
    let data: Vec<u32> = (0..200_000).map(|_| random.below(size.vocabulary)).collect();
    for _ in 0..warmup {
        let (x, y) = batch(&size, &data, &mut random);
        model.step(x, y)?;
    }
    let (begin, mut seconds, mut loss) = (Instant::now(), Vec::new(), f32::NAN);
    let enough = |taken: usize, passed: f64| match steps {
        Some(steps) => taken >= steps,
        None => taken >= 3 && passed >= seconds_limit,
    };
    while !enough(seconds.len(), begin.elapsed().as_secs_f64()) {
        let start = Instant::now();
        let (x, y) = batch(&size, &data, &mut random);
        loss = model.step(x, y)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    if !loss.is_finite() {
        return Err(format!("the loss is {loss}").into());
    }
    let mut sorted = seconds.clone();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let median = (sorted[n / 2] + sorted[(n - 1) / 2]) / 2.0;
    let report = json!({
        "peer": peer,
        "size": name,
        "parameters": model.parameters(),
        "loss": loss,
        "seconds": seconds,
        "step_seconds_median": median,
        "tokens_per_second": (size.batch * size.length) as f64 / median,
        "resident_bytes": resident_peak(),
    });
    println!("{report}");
    Ok(())
}

impl Size {
    fn named(name: &str) -> Result<Size> {
        let sizes: Value = serde_json::from_str(include_str!("sizes.json"))?;
        let size = sizes.get(name).ok_or(format!("{name} is not in sizes.json"))?;
        let number = |key: &str| match size[key].as_u64() {
            Some(n) => Ok(n as usize),
            None => Err(format!("{key} of {name} is missing in sizes.json")),
        };
        let flag = |key: &str| size[key].as_bool() == Some(true);
        Ok(Size {
            layers: number("layers")?,
            heads: number("heads")?,
            width: number("width")?,
            context: number("context")?,
            vocabulary: number("vocabulary")?,
            bias: flag("bias"),
            dropout: size["dropout"].as_f64().unwrap_or(0.0),
            gelu_tanh: flag("gelu_tanh"),
            batch: number("batch")?,
            length: number("length")?,
        })
    }
}

fn batch(size: &Size, data: &[u32], random: &mut SplitMix) -> (Vec<u32>, Vec<u32>) {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for _ in 0..size.batch {
        let at = random.below(data.len() - size.length) as usize;
        x.extend_from_slice(&data[at..at + size.length]);
        y.extend_from_slice(&data[at + 1..at + 1 + size.length]);
    }
    (x, y)
}

/// Steele, Lea, Flood, *Fast splittable pseudorandom number generators*, 2014.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: usize) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as u32
    }
}

/// Most bytes that were in memory at once, as Linux has them; 0 elsewhere.
fn resident_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
    1024 * kilobytes.unwrap_or(0)
}
