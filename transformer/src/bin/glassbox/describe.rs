//! `glassbox describe`.

use crate::plot::thousands;
use crate::{Result, count, run, terminal};
use calculus::optimizer::OptimizerConfig;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use transformer::disk::files;
use transformer::inspect::describe::{Blocks, Change, Comparison, Costs, Description};
use transformer::memory::bytes;
use transformer::model::family;
use transformer::{Architecture, Positions, Preset, TokenizerChoice};

/// Describe an architecture by its parts: parameters, operations and memory of each.
///
/// MODEL is a run, a model directory (its config.json is enough), an architecture (gpt2, llama, mistral, qwen2, qwen3, gemma2,
/// gemma3, gpt_neox, olmo2, smollm3, granite, phi3, microgpt, transformer2017) at its usual sizes, or a preset. A name that is both is the family. The step is recorded as for
/// training, but no memory is allocated for it.
///
/// Activations are the values that the step keeps from the forward to the backward replay. Memory that is reused within
/// the step, such as gradients of activations, is stated with the sum.
#[derive(Args)]
pub(crate) struct Describe {
    /// A run, a model directory, a family or a preset
    model: PathBuf,
    /// Print only the differences from MODEL to this one; a family takes the sizes of the other model
    #[arg(long, value_name = "OTHER")]
    against: Option<PathBuf>,
    /// Tokens of a sequence [default: the model's context; of two models, the smaller one]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    context: Option<usize>,
    /// Sequences of the step
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    batch: usize,
    /// Size of a preset's vocabulary [default: 256 for bytes, 65 for characters]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    vocabulary: Option<usize>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// A model given on the command line.
enum Given {
    /// An architecture with its sizes, and its optimizer, if a run trains it.
    Whole(Box<Architecture>, Option<OptimizerConfig>),
    /// The name of a family, which has parts and usual sizes.
    Family(&'static str),
}

impl Describe {
    pub(crate) fn run(self) -> Result<()> {
        let given = self.read(&self.model)?;
        let optimizer = match &given {
            Given::Whole(_, Some(optimizer)) => *optimizer,
            _ => OptimizerConfig::default(),
        };
        let Some(against) = &self.against else {
            let architecture = given.at(None)?;
            let length = self.context.unwrap_or(architecture.context);
            let description = Description::of(&architecture, self.batch, length, optimizer)?;
            return match self.json {
                true => terminal::print_json(object(&description)),
                false => terminal::print(&described(&self.model, &description)?),
            };
        };
        let other = self.read(against)?;
        let (own, other) = match (&given, &other) {
            (Given::Family(_), Given::Whole(sizes, _)) => (given.at(Some(sizes))?, other.at(None)?),
            _ => {
                let own = given.at(None)?;
                let other = other.at(Some(&own))?;
                (own, other)
            }
        };
        let length = self.context.unwrap_or(own.context.min(other.context));
        let compared = Comparison::of(&own, &other, self.batch, length, optimizer)?;
        if self.json {
            let Comparison { own, other, changes } = &compared;
            let [own, other] = [own, other].map(object);
            return terminal::print_json(json!({ "own": own, "other": other, "changes": changes }));
        }
        terminal::print(&differences([&self.model, against], &compared)?)
    }

    /// Reads what a name on the command line means.
    ///
    /// # Errors
    /// A name without a meaning, or a model that cannot be read.
    fn read(&self, given: &Path) -> Result<Given> {
        if given.exists() {
            let architecture = files::read_config(&run::model_of(given)?)?;
            let optimizer = match run::is_run(given) {
                true => Some(run::settings(given)?.complete()?.rule()),
                false => None,
            };
            return Ok(Given::Whole(Box::new(architecture), optimizer));
        }
        let name = given.to_str().unwrap_or_default();
        let name = if name == "gemma3" { "gemma3_text" } else { name };
        if let Some(family) = family::architectures().find(|family| *family == name) {
            return Ok(Given::Family(family));
        }
        if let Some(preset) = Preset::ALL.iter().find(|preset| preset.key() == name) {
            let config = preset.config();
            let usual = if config.tokenizer == TokenizerChoice::Bytes { 256 } else { 65 };
            let architecture = config.model(self.vocabulary.unwrap_or(usual))?;
            return Ok(Given::Whole(Box::new(architecture), Some(config.rule())));
        }
        let presets = Preset::ALL.iter().map(|preset| preset.key());
        let [families, presets] = [family::architectures().collect::<Vec<_>>(), presets.collect()]
            .map(|names| names.join(", "));
        let reason = run::model_of(given).map_or_else(|e| e.to_string(), |_| String::new());
        Err(format!("{reason}; nor is it an architecture ({families}) or a preset ({presets})")
            .into())
    }
}

impl Given {
    /// Returns the architecture; a family with the sizes of another one, if there is one.
    fn at(&self, sizes: Option<&Architecture>) -> Result<Architecture> {
        Ok(match (self, sizes) {
            (Given::Whole(architecture, _), _) => (**architecture).clone(),
            (Given::Family(name), Some(sizes)) => family::usual_at(name, sizes)?,
            (Given::Family(name), None) => family::usual(name)?,
        })
    }
}

/// Returns a description as JSON, with its sums.
fn object(description: &Description) -> Value {
    let mut object = json!(description);
    object["tokens"] = description.tokens().into();
    object["flops_per_token"] = description.flops_per_token().into();
    object["bytes"] = description.bytes().into();
    object
}

/// Formats a number of floating-point operations with three digits and a unit.
fn flops(x: f64) -> String {
    const UNITS: [&str; 6] = ["", " k", " M", " G", " T", " P"];
    let (mut size, mut unit) = (x, 0);
    while size.abs() >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1e3;
        unit += 1;
    }
    let digits = if size.abs() < 9.995 { 2 } else { usize::from(size.abs() < 99.95) };
    format!("{size:.digits$}{}", UNITS[unit])
}

/// Formats a description as a table.
fn described(model: &Path, d: &Description) -> Result<String> {
    let mut out = String::new();
    let a = &d.architecture;
    let (batch, tokens) = (count(d.sequences, "sequence"), count(d.length, "token"));
    writeln!(
        out,
        "{}: {} of width {}, stored as {}; one step of {batch} of {tokens}, {}\n",
        model.display(),
        count(a.layers, "block"),
        a.width,
        d.family,
        d.optimizer.key()
    )?;
    writeln!(
        out,
        "{:<32}{:>16}{:>12}{:>9}{:>16}{:>14}{:>14}",
        "part", "parameters", "FLOP/token", "share", "training state", "activations", "cache/token"
    )?;
    for part in &d.before {
        row(&mut out, d, part.name, &part.costs)?;
    }
    for kind in &d.blocks {
        row(&mut out, d, &heading(a, kind), &kind.total())?;
        for part in &kind.parts {
            row(&mut out, d, &format!("  {}", part.name), &part.costs)?;
        }
    }
    for part in &d.after {
        row(&mut out, d, part.name, &part.costs)?;
    }
    row(&mut out, d, "all", &d.total)?;
    writeln!(out)?;
    for kind in d.blocks.iter().filter(|_| d.blocks.len() > 1) {
        writeln!(out, "layers   {} are the {}", layers(&kind.layers), heading(a, kind))?;
    }
    let c = &d.total;
    writeln!(
        out,
        "memory   weights {}, gradients {}, optimizer state {}, activations {}, reused in the step {}: {}",
        bytes(c.weights.into()),
        bytes(c.gradients.into()),
        bytes(c.optimizer.into()),
        bytes(c.activations.into()),
        bytes(d.reused.into()),
        bytes(d.bytes().into())
    )?;
    writeln!(
        out,
        "cache    {} for a text of {tokens}",
        bytes(u128::from(c.cache) * d.length as u128)
    )?;
    writeln!(
        out,
        "FLOPs    {} a token, {:.2} for each parameter; {} a step",
        flops(d.flops_per_token()),
        d.flops_per_token() / c.parameters as f64,
        flops(d.flops_per_token() * d.tokens() as f64)
    )?;
    Ok(out)
}

/// Writes a row of the table.
fn row(out: &mut String, d: &Description, name: &str, c: &Costs) -> std::fmt::Result {
    let share = c.flops_per_token(d.tokens()) / d.flops_per_token();
    let state = c.weights + c.gradients + c.optimizer;
    let shown = |n: u64| if n == 0 { "-".to_owned() } else { bytes(n.into()) };
    writeln!(
        out,
        "{name:<32}{:>16}{:>12}{:>8.1}%{:>16}{:>14}{:>14}",
        if c.parameters == 0 { "-".to_owned() } else { thousands(c.parameters as f64) },
        flops(c.flops_per_token(d.tokens())),
        100.0 * share,
        shown(state),
        shown(c.activations),
        shown(c.cache)
    )
}

/// Returns the heading of blocks of one kind.
fn heading(a: &Architecture, kind: &Blocks) -> String {
    let window = kind.window.map_or(String::new(), |n| format!(" with a window of {n}"));
    let rotary = matches!(a.positions, Positions::Rotary(_));
    let fixed = if rotary && kind.rotary_base.is_none() { " without rotation" } else { "" };
    format!("{}{window}{fixed}", count(kind.layers.len(), "block"))
}

/// Formats numbers of layers as ranges: "0-4, 6".
fn layers(all: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &i in all {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == i => *last = i,
            _ => ranges.push((i, i)),
        }
    }
    let shown = |&(first, last): &(usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// Formats a change, whose size `shown` formats: "+1,000", "-3", "0".
fn signed(n: i64, shown: impl Fn(u64) -> String) -> String {
    let sign = match n {
        0 => "",
        1.. => "+",
        _ => "-",
    };
    format!("{sign}{}", shown(n.unsigned_abs()))
}

/// Formats a number with groups of three digits.
fn grouped(n: u64) -> String {
    thousands(n as f64)
}

/// Formats the changes that lead from one model to another.
fn differences([own, other]: [&Path; 2], compared: &Comparison) -> Result<String> {
    let mut out = String::new();
    let in_bytes = |n: u64| bytes(n.into());
    let Comparison { own: a, other: b, changes } = compared;
    let all: usize = changes.iter().map(|change| change.differences.len()).sum();
    writeln!(
        out,
        "from {} to {}: {}; each effect is that of the change after those above it\n",
        own.display(),
        other.display(),
        count(all, "difference")
    )?;
    for Change { differences, parameters, flops_per_token, bytes: memory, cache } in changes {
        for difference in differences {
            writeln!(out, "{}", difference.part)?;
            writeln!(out, "  from    {}\n  to      {}", difference.own, difference.other)?;
            for paper in &difference.papers {
                writeln!(out, "  source  {paper}")?;
            }
        }
        let plus = if *flops_per_token > 0.0 { "+" } else { "" };
        writeln!(
            out,
            "  effect  parameters {}, FLOP/token {plus}{}, training memory {}, cache/token {}\n",
            signed(*parameters, grouped),
            flops(*flops_per_token),
            signed(*memory, in_bytes),
            signed(*cache, in_bytes)
        )?;
    }
    let (batch, tokens) = (count(a.sequences, "sequence"), count(a.length, "token"));
    writeln!(out, "in all, for a step of {batch} of {tokens}")?;
    let parameters = [a, b].map(|d| thousands(d.total.parameters as f64));
    let operations = [a, b].map(|d| flops(d.flops_per_token()));
    let memory = [a, b].map(|d| bytes(d.bytes().into()));
    let cache = [a, b].map(|d| bytes(d.total.cache.into()));
    for (what, [from, to]) in [
        ("parameters", parameters),
        ("FLOP/token", operations),
        ("training memory", memory),
        ("cache/token", cache),
    ] {
        writeln!(out, "  {what:<18}{from:>16}  → {to:>16}")?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_signed() {
        let shown = [0.0, 999.0, 12_340.0, -999_600.0, 1.65e10].map(flops);
        assert_eq!(shown, ["0.00", "999", "12.3 k", "-1.00 M", "16.5 G"]);
        assert_eq!([0, 1000, -3].map(|n| signed(n, grouped)), ["0", "+1,000", "-3"]);
        assert_eq!(layers(&[0, 1, 2, 4, 6, 7]), "0-2, 4, 6-7");
    }
}
