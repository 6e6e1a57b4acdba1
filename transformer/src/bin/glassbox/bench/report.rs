//! A benchmark's results as text and as JSON.

use super::*;
use transformer::memory::bytes;

impl Measured {
    /// Returns the model FLOPs of a step over the machine's peak FLOPs in its time.
    fn share(&self) -> f64 {
        self.profile.flops() as f64 / self.profile.step_seconds() / self.limits.flops
    }

    pub(super) fn json(&self, config: &TrainingConfig, model: &Architecture) -> Value {
        let p = &self.profile;
        let cost = |c: &Cost| {
            json!({
                "name": c.name, "operation": c.operation, "branch": c.branch,
                "forward_seconds": c.forward_seconds, "backward_seconds": c.backward_seconds,
                "forward_flops": c.forward_flops, "backward_flops": c.backward_flops,
                "forward_bytes": c.forward_bytes, "backward_bytes": c.backward_bytes,
                "recomputed_flops": c.recomputed_flops, "recomputed_bytes": c.recomputed_bytes,
            })
        };
        let product = |r: &ProductRate| {
            json!({ "direction": r.direction, "rows": r.shape[0], "columns": r.shape[1], "terms": r.shape[2],
                    "flops_per_second": r.all, "flops_per_second_one_thread": r.one })
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
                "parameters": self.memory.step.weights,
                "gradients": self.memory.step.gradients,
                "optimizer": self.memory.step.optimizer,
                "activations": self.memory.step.activations,
                "packing": self.memory.packing,
                "training": u64::try_from(self.memory.step.total()).ok(),
                "budget": config.memory.map(|budget| budget.0),
            },
            "recomputed_blocks": self.memory.recomputed,
            "recomputed_flops": p.recomputed_flops(),
            "watch": self.watch.as_ref().map(|w| json!({
                "plain_seconds": w.plain, "watched_seconds": w.watched, "cost": w.cost(),
            })),
            "generation": self.generation.as_ref().map(|g| json!({
                "tokens_per_second": g.tokens_per_second,
                "prompt_tokens": g.prompt,
                "prompt_tokens_per_second": g.prompt_speed,
                "tokens_per_second_after_prompt": g.speed_after_prompt,
                "bytes_per_token": g.bytes,
                "bytes_per_second": g.bandwidth,
                "bandwidth_share": g.share,
            })),
            "batch": config.batch, "length": config.context,
        })
    }

    pub(super) fn text(&self, config: &TrainingConfig, model: &Architecture) -> Result<String> {
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
            "products  rows × columns × terms              all threads       one thread"
        )?;
        for r in &self.products {
            let [m, n, k] = r.shape;
            let (all, one) = (giga * r.all, giga * r.one);
            let shape = format!("{m} × {n} × {k}");
            writeln!(
                out,
                "          {shape:<26} {:<9} {all:>4.0} GFLOP/s   {one:>6.0} GFLOP/s",
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
            // The backward time includes that of values that are computed again.
            let backward_flops = c.backward_flops + c.recomputed_flops;
            let backward_bytes = c.backward_bytes + c.recomputed_bytes;
            let (flops, bytes) =
                (c.forward_flops + backward_flops, c.forward_bytes + backward_bytes);
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
                giga * rate(backward_flops, b),
                giga * rate(backward_bytes, b),
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
        let moved = (7 * self.memory.step.weights) as f64 / update;
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
        let (m, step) = (&self.memory, &self.memory.step);
        let mega = |bytes: u64| bytes as f64 * 1e-6;
        writeln!(
            out,
            "memory    parameters {:.1} MB, gradients {:.1}, optimiser {:.1}, activations {:.1}, packing \
             {:.1}",
            mega(step.weights),
            mega(step.gradients),
            mega(step.optimizer),
            mega(step.activations),
            mega(m.packing as u64)
        )?;
        if let Some(budget) = config.memory {
            writeln!(
                out,
                "budget    {}: {} of {} computed again in the backward replay, {:.1} % more operations",
                bytes(budget.0.into()),
                m.recomputed,
                count(model.layers, "block"),
                100.0 * p.recomputed_flops() as f64 / p.flops() as f64
            )?;
        }
        if let Some(resident) = m.resident {
            writeln!(out, "          {:.1} MB resident at most", resident as f64 * 1e-6)?;
        }
        if let Some(g) = &self.generation {
            writeln!(
                out,
                "generate  {:.1} tokens/s, {:.1} MB of weights a token: {:.1} GB/s, {:.0} % of the {:.1} that memory gave",
                g.tokens_per_second,
                mega(g.bytes as u64),
                giga * g.tokens_per_second * g.bytes as f64,
                100.0 * g.share,
                giga * g.bandwidth
            )?;
            writeln!(
                out,
                "          {} of a prompt: {:.0} tokens/s, {:.1} tokens/s after it",
                count(g.prompt, "token"),
                g.prompt_speed,
                g.speed_after_prompt
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
