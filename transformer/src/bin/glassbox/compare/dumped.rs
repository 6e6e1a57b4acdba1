//! `glassbox compare MODEL --dump FILE`.

use crate::{Result, count, run, terminal};
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use transformer::inspect::compare::dump::{Compared, Dump, of_directory};

/// Compares a model's step with a dumped one.
pub(super) fn compare(models: &[PathBuf], path: &Path, as_json: bool) -> Result<()> {
    let [model] = models else {
        return Err(format!("--dump takes one model, but {} are given", models.len()).into());
    };
    let compared = of_directory(&Dump::read(path)?, &run::model_of(model)?)?;
    if as_json {
        return terminal::print_json(json!(compared));
    }
    terminal::print(&described(&compared)?)
}

fn described(compared: &Compared) -> Result<String> {
    let mut out = String::new();
    let agree = &compared.agree;
    let last = agree.last().map_or(String::new(), |name| format!(", the last is {name}"));
    writeln!(out, "agree    {}{last}", count(agree.len(), "tensor"))?;
    for name in compared.unknown.iter().take(8) {
        writeln!(out, "unknown  {name}: it stands for no value of this model")?;
    }
    let Some(first) = &compared.first else {
        writeln!(out, "step     the same: every difference is explained by rounding")?;
        return Ok(out);
    };
    let by = first.operation.map_or(String::new(), |name| format!(", {name}"));
    writeln!(out, "differs  {} (here {}{by})", first.tensor, first.ours)?;
    writeln!(
        out,
        "element  {}: {:.7e} here, {:.7e} there; rounding explains a difference of {:.1e}",
        first.element, first.values[0], first.values[1], first.bound
    )?;
    for mistake in &first.mistakes {
        writeln!(out, "mistake  {mistake}")?;
    }
    if first.mistakes.is_empty() {
        writeln!(out, "mistake  none of those that are known makes our tensor equal to it")?;
    }
    Ok(out)
}
