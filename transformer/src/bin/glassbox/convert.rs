//! `glassbox convert`.

use crate::plot::thousands;
use crate::{Result, run, terminal};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use transformer::disk::files::{self, NumberFormat};

/// Write a model in another number format.
///
/// The new directory has one model.safetensors (also of a model in shards), the model's config.json with the format in it, and
/// unchanged copies of its tokenizer and generation_config.json. Numbers are rounded to nearest, ties to even; one that the
/// format cannot hold is an error.
#[derive(Args)]
pub(crate) struct Convert {
    /// A run, or a model directory in Hugging Face's layout
    run: PathBuf,
    /// Directory for the new model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number format: f16, bf16, f32 or f64
    #[arg(long, value_name = "FORMAT", default_value_t = NumberFormat::F32)]
    dtype: NumberFormat,
    /// Replace a model that the directory holds
    #[arg(long)]
    overwrite: bool,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// Merge adapters into the weights of the model that they belong to: W + s·B·A.
///
/// The new directory holds a model without adapters, which predicts the same up to rounding.
#[derive(Args)]
pub(crate) struct Merge {
    #[command(flatten)]
    convert: Convert,
}

impl Merge {
    pub(crate) fn run(self) -> Result<()> {
        let given = &self.convert.run;
        let directory = run::model_of(given)?;
        if !files::is_adapter(&directory) {
            let shown = given.display();
            return Err(format!(
                "{shown} holds no adapters (adapter_config.json): there is nothing to merge; `convert` writes a model in \
                 another number format"
            )
            .into());
        }
        let base = files::base_of(&directory)?;
        let out = &self.convert.out;
        let same = |path: &Path| path.canonicalize().ok();
        if same(out).is_some() && same(out) == same(&base) {
            return Err(format!(
                "{} is the model that the adapters belong to, and they need it: give another --out",
                out.display()
            )
            .into());
        }
        self.convert.write(&directory)
    }
}

impl Convert {
    pub(crate) fn run(self) -> Result<()> {
        self.write(&run::model_of(&self.run)?)
    }

    fn write(&self, from: &Path) -> Result<()> {
        self.free(&self.out)?;
        let converted = files::convert(from, &self.out, self.dtype)?;
        if self.json {
            return terminal::print_json(json!({
                "out": self.out.display().to_string(),
                "dtype": self.dtype.to_string(),
                "parameters": converted.parameters,
                "bytes": converted.bytes,
                "copied": converted.copied,
            }));
        }
        let (parameters, bytes) =
            (thousands(converted.parameters as f64), thousands(converted.bytes as f64));
        let copied = match converted.copied.is_empty() {
            true => String::new(),
            false => format!("copied   {}\n", converted.copied.join(", ")),
        };
        terminal::print(&format!(
            "{}: {parameters} parameters in {}, {bytes} bytes\n{copied}",
            self.out.display(),
            self.dtype
        ))
    }

    /// Refuses a directory that holds something, unless it is a model that may be replaced.
    fn free(&self, out: &Path) -> Result<()> {
        let shown = out.display();
        if out.exists() && !out.is_dir() {
            return Err(format!("{shown} is a file; give a directory (--out)").into());
        }
        if !out.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            return Ok(());
        }
        if run::is_run(out) || !files::is_model(out) || files::is_adapter(out) {
            return Err(format!(
                "{shown} holds something that is not a model directory; give an empty directory (--out)"
            )
            .into());
        }
        match self.overwrite {
            true => Ok(()),
            false => Err(format!(
                "{shown} holds a model already; replace it with --overwrite, or give another --out"
            )
            .into()),
        }
    }
}
