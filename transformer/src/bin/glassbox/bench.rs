//! `glassbox bench`.

mod report;

use crate::settings::Settings;
use crate::{Result, count, on_threads, resident, terminal};
use calculus::Parameter;
use clap::Args;
use linalg::limits::{self, Limits};
use linalg::{Factor, Matrix, Products, Real, Role, Vectors, View, transposed};
use probability::random::Random;
use rayon::current_num_threads;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::{Duration, Instant};
use transformer::inspect::diagnose::health::Watch;
use transformer::inspect::profile::{Cost, Profile, median};
use transformer::{Architecture, Corpus, Decoder, Preset, Trainer, TrainingConfig, TrainingMemory};

/// Settings that a benchmark refuses.
const LEFT_OUT: [&str; 13] = [
    "data",
    "tokenizer",
    "from",
    "preferences",
    "preference_beta",
    "preference_flipped",
    "teacher",
    "temperature",
    "teacher_weight",
    "teacher_top",
    "out",
    "eval_every",
    "time",
];

/// Measure time and memory of a training step, by operation, against the limits of this machine.
///
/// Sizes come from the preset and from flags, as for `train`; the tokens are random. The limits are measured first:
/// multiply-adds without memory access, and reads of memory. `--steps` sets the number of timed steps.
#[derive(Args)]
#[command(mut_args(|arg| match arg.get_id().as_str() {
    name if LEFT_OUT.contains(&name) => arg.hide(true),
    _ => arg,
}))]
pub(crate) struct Bench {
    #[command(flatten)]
    settings: Settings,
    /// Size of the vocabulary [default: 65; 50257 with --preset gpt2]
    #[arg(long, value_name = "N", help_heading = "Model", allow_negative_numbers = true)]
    vocabulary: Option<usize>,
    /// Tokens of a window, if fewer than the context [default: the context]
    #[arg(long, value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    length: Option<usize>,
    /// Also time steps whose health is recorded, as by `train --watch 1`, alternating with steps without
    #[arg(long)]
    watch: bool,
    /// Skip generation
    #[arg(long)]
    no_generation: bool,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// The results of a benchmark.
struct Measured {
    limits: Limits,
    threads: usize,
    products: Vec<ProductRate>,
    profile: Profile,
    watch: Option<Watching>,
    memory: Memory,
    generation: Option<Generation>,
}

/// Median seconds of a step without and with `--watch`.
struct Watching {
    plain: f64,
    watched: f64,
}

/// The rate of one product of the step: of one linear map in one direction.
struct ProductRate {
    direction: &'static str,
    /// Rows, columns and terms.
    shape: [usize; 3],
    /// Operations per second on all threads.
    all: f64,
    /// On one.
    one: f64,
}

/// Memory in bytes.
struct Memory {
    step: TrainingMemory,
    packing: usize,
    resident: Option<u64>,
    /// The number of blocks computed again in the backward replay.
    recomputed: usize,
}

/// The speed of generating tokens one after another, and of reading a prompt.
struct Generation {
    tokens_per_second: f64,
    prompt: usize,
    /// Tokens per second of reading the prompt, and of those generated after it.
    prompt_speed: f64,
    speed_after_prompt: f64,
    /// Bytes of weights that one token reads.
    bytes: usize,
    /// Median bandwidth of memory in bytes per second, measured in alternation with the tokens.
    bandwidth: f64,
    /// Median bytes per second of weights over the memory bandwidth right before and after.
    share: f64,
}

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        let why = "bench times steps on random tokens and writes nothing";
        self.settings.without(&LEFT_OUT, why)?;
        let mut config = self.settings.complete()?;
        self.settings.fit(&config)?;
        let gpt2 = self.settings.preset == Some(Preset::Gpt2);
        let vocabulary = self.vocabulary.unwrap_or(if gpt2 { 50257 } else { 65 });
        let model = config.model(vocabulary)?;
        if let Some(length) = self.length {
            if length == 0 || length > config.context {
                let most = config.context;
                return Err(format!("length is {length}; it must be 1 to {most}").into());
            }
            config.context = length;
        }
        if self.settings.accumulate.is_none() {
            config.accumulate = 1;
        }
        let steps = self.settings.steps.map(|n| n.clamp(1, 10_000) as usize);
        let measured = on_threads(self.settings.threads, || {
            measure(&config, &model, steps, (!self.no_generation, self.watch))
        })?;
        if self.json {
            terminal::print_json(measured.json(&config, &model))
        } else {
            terminal::print(&measured.text(&config, &model)?)
        }
    }
}

fn measure(
    config: &TrainingConfig,
    model: &Architecture,
    steps: Option<usize>,
    (generate, watch): (bool, bool),
) -> Result<Measured> {
    // First, because it refuses what memory cannot hold.
    let mut trainer = Trainer::<f32>::new(config.clone(), model)?;
    let limits = limits::measure(Duration::from_millis(900));
    resident::reset_peak();
    let corpus = random_corpus(config, model)?;
    let steps = match steps {
        Some(steps) => steps,
        None => {
            // About four seconds, after two warm-up steps and a timed one.
            trainer.step(&corpus)?;
            let start = Instant::now();
            trainer.step(&corpus)?;
            ((4.0 / start.elapsed().as_secs_f64()) as usize).clamp(3, 200)
        }
    };
    let profile = Profile::of(&mut trainer, &corpus, steps)?;
    let resident = resident::peak();
    let products = products(model, trainer.model().batch(), trainer.model().tape().products())?;
    let watch = if watch { Some(watching(&mut trainer, &corpus, steps)?) } else { None };
    let memory = Memory {
        step: trainer.memory(),
        packing: limits::packing_bytes() * current_num_threads(),
        resident,
        recomputed: trainer.model().recomputed_blocks(),
    };
    let parameters = generate.then(|| trainer.merged().into_owned());
    drop(trainer);
    let generation = match parameters {
        Some(parameters) => Some(generation(&model.base(), &parameters)?),
        None => None,
    };
    let threads = current_num_threads();
    Ok(Measured { limits, threads, products, profile, watch, memory, generation })
}

/// Times steps with and without watch in alternation, so that other load affects both.
fn watching(trainer: &mut Trainer<f32>, corpus: &Corpus, steps: usize) -> Result<Watching> {
    let mut watch = Watch::new(trainer.model());
    let (mut plain, mut watched) = (vec![], vec![]);
    for _ in 0..steps {
        let start = Instant::now();
        trainer.step(corpus)?;
        plain.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        watch.step(trainer, corpus, &mut ())?;
        watched.push(start.elapsed().as_secs_f64());
    }
    Ok(Watching { plain: median(&mut plain), watched: median(&mut watched) })
}

fn random_corpus(config: &TrainingConfig, model: &Architecture) -> Result<Corpus> {
    let random = Random::new(config.seed, 0, 0);
    let vocabulary = model.vocabulary as u64;
    let count = (20 * (config.context as u64 + 1)).max(100_000);
    let tokens = (0..count).map(|i| random.below(i, vocabulary) as u32).collect();
    Ok(Corpus::text(tokens, 0.1, config.context)?)
}

/// Measures the products of a block's linear maps for `tokens` tokens, on all threads and on one.
fn products(model: &Architecture, tokens: usize, how: Products) -> Result<Vec<ProductRate>> {
    // A tied model has no head of its own, so that every linear map belongs to the block.
    let one = Architecture { layers: 1, tied: true, ..model.clone() };
    let maps = one.parameter_list()?.into_iter().filter(|p| p.uses == [(Role::Linear, 0)]);
    let x = |i: usize, j: usize| ((7 * i + 3 * j) % 11) as f32 * 0.1 - 0.5;
    let mut rates = Vec::new();
    for (m, k) in maps.map(|p| (p.shape.rows, p.shape.columns)) {
        let (w, x, dy) = (
            Matrix::from_fn(m, k, x),
            Matrix::from_fn(k, tokens, x),
            Matrix::from_fn(m, tokens, x),
        );
        let [w, x, dy]: [View<'_, f32>; 3] = [w.as_view(), x.as_view(), dy.as_view()];
        // y = W·x, dx = Wᵀ·dy, dW = dy·xᵀ.
        let directions: [(_, Factor<'_, f32>, Factor<'_, f32>); 3] = [
            ("forward", w.into(), x.into()),
            ("dx", transposed(w), dy.into()),
            ("dW", dy.into(), transposed(x)),
        ];
        for (direction, a, b) in directions {
            let shape = [a.rows(), b.columns(), a.columns()];
            let mut c = Matrix::<f32>::zeros(shape[0], shape[1]);
            let flops = 2.0 * shape.iter().product::<usize>() as f64;
            let all = rate(flops, || how.to(c.as_view_mut(), a, b, false));
            let one = rate(flops, || match how {
                Products::Full => f32::gemm(c.as_view_mut(), 1.0, a, b, false),
                Products::Bf16 => f32::gemm_bf16(c.as_view_mut(), a, b, false),
            });
            rates.push(ProductRate { direction, shape, all, one });
        }
    }
    Ok(rates)
}

/// Returns the best number of operations per second in some hundredths of a second.
fn rate(flops: f64, mut work: impl FnMut()) -> f64 {
    let (start, mut best) = (Instant::now(), f64::INFINITY);
    while best.is_infinite() || start.elapsed() < Duration::from_millis(40) {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
    }
    flops / best
}

fn generation(model: &Architecture, parameters: &[f32]) -> Result<Generation> {
    let mut decoder = Decoder::<f32>::record(model)?;
    decoder.parameters_mut().copy_from_slice(parameters);
    // All parameters except lookup tables, of which a token reads one column.
    let looked_up = |p: &Parameter| p.uses.iter().all(|(role, _)| *role == Role::Lookup);
    let tables = model.parameter_list()?.into_iter().filter(looked_up).map(|p| p.shape.len());
    let bytes = 4 * (parameters.len() - tables.sum::<usize>());
    let likeliest = |logits: &[f32]| {
        let largest = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        largest.map_or(0, |(token, _)| token as u32)
    };
    let (mut token, mut all, mut shares) = (0, Vec::new(), Vec::new());
    decoder.read(token)?;
    let memory = || limits::bandwidth(Duration::from_millis(150));
    let mut given = vec![memory()];
    // Alternate, so that a slow second of the machine affects both.
    for _ in 0..5 {
        let (round, mut seconds) = (Instant::now(), Vec::new());
        while seconds.len() < 4 || (round.elapsed().as_secs_f64() < 0.4 && seconds.len() < 200) {
            let start = Instant::now();
            token = likeliest(decoder.read(token)?);
            seconds.push(start.elapsed().as_secs_f64());
        }
        let before = given[given.len() - 1];
        given.push(memory());
        let around = 0.5 * (before + given[given.len() - 1]);
        shares.push(bytes as f64 / median(&mut seconds) / around);
        all.extend(seconds);
    }
    let prompt = vec![0; (model.context / 2).clamp(1, 1024)];
    let (mut reading, mut after) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        decoder.clear();
        let start = Instant::now();
        token = likeliest(decoder.read_all(&prompt)?);
        reading.push(start.elapsed().as_secs_f64());
        for _ in 0..128 {
            let start = Instant::now();
            token = likeliest(decoder.read(token)?);
            after.push(start.elapsed().as_secs_f64());
        }
    }
    Ok(Generation {
        tokens_per_second: 1.0 / median(&mut all),
        prompt: prompt.len(),
        prompt_speed: prompt.len() as f64 / median(&mut reading),
        speed_after_prompt: 1.0 / median(&mut after),
        bytes,
        bandwidth: median(&mut given),
        share: median(&mut shares),
    })
}

/// Sums the operations of the same name over all blocks.
fn by_name(costs: &[Cost]) -> Vec<Cost> {
    let mut grouped: Vec<Cost> = Vec::new();
    for cost in costs {
        let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let parts = cost.name.split('.').map(|part| if number(part) { "*" } else { part });
        let name = parts.collect::<Vec<_>>().join(".");
        match grouped.iter_mut().find(|group| group.name == name) {
            Some(group) => {
                group.forward_seconds += cost.forward_seconds;
                group.backward_seconds += cost.backward_seconds;
                group.forward_flops += cost.forward_flops;
                group.backward_flops += cost.backward_flops;
                group.recomputed_flops += cost.recomputed_flops;
                group.forward_bytes += cost.forward_bytes;
                group.backward_bytes += cost.backward_bytes;
                group.recomputed_bytes += cost.recomputed_bytes;
            }
            None => grouped.push(Cost { name, ..cost.clone() }),
        }
    }
    grouped
}
