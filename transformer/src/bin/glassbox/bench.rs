//! `glassbox bench`.

use crate::settings::Settings;
use crate::{Result, count, on_threads, resident, terminal};
use calculus::Parameter;
use clap::Args;
use linalg::limits::{self, Limits};
use linalg::{Factor, Matrix, Role, Vectors, View, product_into, transposed};
use probability::random::Random;
use rayon::current_num_threads;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::{Duration, Instant};
use transformer::inspect::diagnose::health::Watch;
use transformer::inspect::profile::{Cost, Profile, median};
use transformer::{Architecture, Corpus, Decoder, Preset, Trainer, TrainingConfig};

/// Measure time and memory of a training step, by operation, against the limits of this machine.
///
/// Sizes come from the preset and from flags, as for `train`; the tokens are random. The limits are measured first:
/// multiply-adds without memory access, and reads of memory. `--steps` sets the number of timed steps.
#[derive(Args)]
#[command(mut_args(|arg| match arg.get_id().as_str() {
    "data" | "tokenizer" | "out" | "eval_every" => arg.hide(true),
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
    ours: f64,
    library: f64,
}

/// Memory in bytes.
struct Memory {
    parameters: usize,
    gradients: usize,
    optimizer: usize,
    activations: usize,
    packing: usize,
    resident: Option<u64>,
}

/// The speed of generating tokens one after another.
struct Generation {
    tokens_per_second: f64,
    /// Bytes of weights that one token reads.
    bytes: usize,
    /// Median bandwidth of memory in bytes per second, measured in alternation with the tokens.
    bandwidth: f64,
    /// Median bytes per second of weights over the memory bandwidth right before and after.
    share: f64,
}

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        self.settings.without(
            &["data", "tokenizer", "out", "eval_every"],
            "bench times steps on random tokens and writes nothing",
        )?;
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
    let products = products(model, trainer.model().batch())?;
    let watch = if watch { Some(watching(&mut trainer, &corpus, steps)?) } else { None };
    let tape = trainer.model().tape().memory();
    let optimizer = trainer.state().iter().skip(1).map(|(_, m)| 4 * m.len()).sum();
    let memory = Memory {
        parameters: tape.parameters,
        gradients: tape.parameter_gradients,
        optimizer,
        activations: tape.values + tape.gradients + tape.kept + tape.scratch,
        packing: limits::packing_bytes() * current_num_threads(),
        resident,
    };
    let parameters = generate.then(|| trainer.model().tape().parameters().to_vec());
    drop(trainer);
    let generation = match parameters {
        Some(parameters) => Some(generation(model, &parameters)?),
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

/// Measures the products of a block's linear maps for `tokens` tokens, with our product on all threads and with the
/// `gemm` crate on one.
fn products(model: &Architecture, tokens: usize) -> Result<Vec<ProductRate>> {
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
            let ours = rate(flops, || product_into(c.as_view_mut(), 1.0, a, b));
            let library =
                rate(flops, || limits::library_product(c.as_view_mut(), 1.0, a, b, false));
            rates.push(ProductRate { direction, shape, ours, library });
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
    let (mut token, mut all, mut shares) = (0, Vec::new(), Vec::new());
    decoder.read(token)?;
    let memory = || limits::bandwidth(Duration::from_millis(150));
    let mut given = vec![memory()];
    // Alternate, so that a slow second of the machine affects both.
    for _ in 0..5 {
        let (round, mut seconds) = (Instant::now(), Vec::new());
        while seconds.len() < 4 || (round.elapsed().as_secs_f64() < 0.4 && seconds.len() < 200) {
            let start = Instant::now();
            let logits = decoder.read(token)?;
            let likeliest = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            token = likeliest.map_or(0, |(token, _)| token as u32);
            seconds.push(start.elapsed().as_secs_f64());
        }
        let before = given[given.len() - 1];
        given.push(memory());
        let around = 0.5 * (before + given[given.len() - 1]);
        shares.push(bytes as f64 / median(&mut seconds) / around);
        all.extend(seconds);
    }
    Ok(Generation {
        tokens_per_second: 1.0 / median(&mut all),
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
                group.forward_bytes += cost.forward_bytes;
                group.backward_bytes += cost.backward_bytes;
            }
            None => grouped.push(Cost { name, ..cost.clone() }),
        }
    }
    grouped
}

impl Measured {
    /// Returns the model FLOPs of a step over the machine's peak FLOPs in its time.
    fn share(&self) -> f64 {
        self.profile.flops() as f64 / self.profile.step_seconds() / self.limits.flops
    }

    fn json(&self, config: &TrainingConfig, model: &Architecture) -> Value {
        let p = &self.profile;
        let cost = |c: &Cost| {
            json!({
                "name": c.name, "operation": c.operation, "branch": c.branch,
                "forward_seconds": c.forward_seconds, "backward_seconds": c.backward_seconds,
                "forward_flops": c.forward_flops, "backward_flops": c.backward_flops,
                "forward_bytes": c.forward_bytes, "backward_bytes": c.backward_bytes,
            })
        };
        let product = |r: &ProductRate| {
            json!({ "direction": r.direction, "rows": r.shape[0], "columns": r.shape[1], "terms": r.shape[2],
                    "flops_per_second": r.ours, "library_one_thread": r.library })
        };
        json!({
            "tokens_per_second": p.tokens_per_second(),
            "step_seconds_median": p.step_seconds(),
            "step_seconds": p.steps,
            "peak_flops": self.limits.flops,
            "model_flops": p.flops(),
            "model_flops_share": self.share(),
            "resident_bytes": self.memory.resident,
            "parameters": model.parameters(),
            "tokens": p.tokens,
            "threads": self.threads,
            "vectors": Vectors::in_use().to_string(),
            "limits": {
                "flops_one_thread": self.limits.flops_one,
                "flops": self.limits.flops,
                "bytes_per_second": self.limits.bytes,
            },
            "products": self.products.iter().map(product).collect::<Vec<_>>(),
            "operations": p.operations.iter().map(cost).collect::<Vec<_>>(),
            "replays": p.replays,
            "update_seconds": p.update_seconds,
            "memory": {
                "parameters": self.memory.parameters,
                "gradients": self.memory.gradients,
                "optimizer": self.memory.optimizer,
                "activations": self.memory.activations,
                "packing": self.memory.packing,
            },
            "watch": self.watch.as_ref().map(|w| json!({
                "plain_seconds": w.plain, "watched_seconds": w.watched, "cost": w.cost(),
            })),
            "generation": self.generation.as_ref().map(|g| json!({
                "tokens_per_second": g.tokens_per_second,
                "bytes_per_token": g.bytes,
                "bytes_per_second": g.bandwidth,
                "bandwidth_share": g.share,
            })),
            "batch": config.batch, "length": config.context,
        })
    }

    fn text(&self, config: &TrainingConfig, model: &Architecture) -> Result<String> {
        let mut out = String::new();
        let (p, limits) = (&self.profile, &self.limits);
        let giga = 1e-9;
        writeln!(
            out,
            "machine   {}, {}: {:.0} GFLOP/s ({:.0} on one), {:.1} GB/s read from memory",
            count(self.threads, "thread"),
            Vectors::in_use(),
            giga * limits.flops,
            giga * limits.flops_one,
            giga * limits.bytes
        )?;
        writeln!(
            out,
            "model     {} parameters: {}, {}, width {}, vocabulary {}; batch {} × {}\n",
            crate::plot::thousands(model.parameters() as f64),
            count(model.layers, "layer"),
            count(model.heads, "head"),
            model.width,
            model.vocabulary,
            config.batch,
            config.context
        )?;
        writeln!(
            out,
            "products  rows × columns × terms              all threads   gemm crate, one thread"
        )?;
        for r in &self.products {
            let [m, n, k] = r.shape;
            let (ours, library) = (giga * r.ours, giga * r.library);
            let shape = format!("{m} × {n} × {k}");
            writeln!(
                out,
                "          {shape:<26} {:<9} {ours:>4.0} GFLOP/s         {library:>6.0} GFLOP/s",
                r.direction
            )?;
        }
        let step = p.step_seconds();
        writeln!(
            out,
            "\n{:<32}{:>12} {:>6} {:>8} {:>6} {:>11} {:>6} {:>8} {:>6}   {:>6} {:>6}",
            "operation",
            "forward",
            "share",
            "GFLOP/s",
            "GB/s",
            "backward",
            "share",
            "GFLOP/s",
            "GB/s",
            "peak",
            "memory"
        )?;
        let replays = p.replays as f64;
        let mut watched = p.update_seconds;
        for c in by_name(&p.operations) {
            let (f, b) = (replays * c.forward_seconds, replays * c.backward_seconds);
            watched += f + b;
            let rate = |count: u64, seconds: f64| {
                if count == 0 || seconds == 0.0 { 0.0 } else { count as f64 * replays / seconds }
            };
            let (flops, bytes) =
                (c.forward_flops + c.backward_flops, c.forward_bytes + c.backward_bytes);
            // The loss computes both directions at once, and is counted as forward.
            let whole = c.backward_seconds == 0.0;
            let (forward_flops, forward_bytes) =
                if whole { (flops, bytes) } else { (c.forward_flops, c.forward_bytes) };
            writeln!(
                out,
                "{:<32}{:>9.2} ms {:>5.1}% {:>8.1} {:>6.1} {:>8.2} ms {:>5.1}% {:>8.1} {:>6.1}   {:>5.1}% \
                 {:>5.0}%",
                c.name,
                1e3 * f,
                100.0 * f / step,
                giga * rate(forward_flops, f),
                giga * rate(forward_bytes, f),
                1e3 * b,
                100.0 * b / step,
                giga * rate(c.backward_flops, b),
                giga * rate(c.backward_bytes, b),
                100.0 * rate(flops, f + b) / limits.flops,
                100.0 * rate(bytes, f + b) / limits.bytes
            )?;
        }
        writeln!(
            out,
            "(bytes as if nothing were cached: cached data come faster than memory, above 100 %)\n"
        )?;
        let update = p.update_seconds;
        // Parameters, gradients and two moments are read; all but the gradients are written.
        let moved = (7 * self.memory.parameters) as f64 / update;
        writeln!(
            out,
            "{:<32}{:>9.2} ms {:>5.1}%   {:.1} GB/s, {:.0} % of memory's",
            "update",
            1e3 * update,
            100.0 * update / step,
            giga * moved,
            100.0 * moved / limits.bytes
        )?;
        writeln!(
            out,
            "{:<32}{:>9.2} ms   (sum under watch {:.2} ms)\n",
            "step, median",
            1e3 * step,
            1e3 * watched
        )?;
        writeln!(out, "speed     {:.0} tokens/s", p.tokens_per_second())?;
        writeln!(
            out,
            "rate      {:.1} GFLOP/s of the model's own: {:.1} % of the machine's",
            giga * p.flops() as f64 / step,
            100.0 * self.share()
        )?;
        if let Some(w) = &self.watch {
            writeln!(
                out,
                "watch     {:.2} ms a step under --watch 1, {:.2} ms without: {:+.1} %",
                1e3 * w.watched,
                1e3 * w.plain,
                100.0 * w.cost()
            )?;
        }
        let m = &self.memory;
        let mega = |bytes: usize| bytes as f64 * 1e-6;
        writeln!(
            out,
            "memory    parameters {:.1} MB, gradients {:.1}, optimiser {:.1}, activations {:.1}, packing \
             {:.1}",
            mega(m.parameters),
            mega(m.gradients),
            mega(m.optimizer),
            mega(m.activations),
            mega(m.packing)
        )?;
        if let Some(resident) = m.resident {
            writeln!(out, "          {:.1} MB resident at most", resident as f64 * 1e-6)?;
        }
        if let Some(g) = &self.generation {
            writeln!(
                out,
                "generate  {:.1} tokens/s, {:.1} MB of weights a token: {:.1} GB/s, {:.0} % of the {:.1} that memory gave",
                g.tokens_per_second,
                mega(g.bytes),
                giga * g.tokens_per_second * g.bytes as f64,
                100.0 * g.share,
                giga * g.bandwidth
            )?;
        }
        Ok(out)
    }
}

impl Watching {
    /// Returns the additional time of watching, as a share of a step.
    fn cost(&self) -> f64 {
        self.watched / self.plain - 1.0
    }
}
