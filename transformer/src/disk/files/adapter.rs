//! Adapters on disk, in the files of Hugging Face's PEFT: `adapter_config.json` and `adapter_model.safetensors`, beside
//! the directory of the model that they belong to.

use super::shards::{Shard, listed};
use super::{
    CHECKSUM, FileError, Named, NumberFormat, PIECE, hexadecimal, read_family, read_text,
    write_atomically, write_tensors,
};
use crate::model::adaptation::{Adaptation, Adapter, Target};
use crate::model::adapters::AdapterPlace;
use crate::model::architecture::{Architecture, ConfigError};
use crate::model::family::{self, Family, Order, Tensor};
use crate::printable::{printable, shortened};
use calculus::Parameter;
use linalg::Real;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that describes adapters.
pub(crate) const CONFIG: &str = "adapter_config.json";
/// The file that holds their matrices.
pub(crate) const TENSORS: &str = "adapter_model.safetensors";
/// PEFT wraps a model twice: these names stand before those of the model's modules.
const PREFIX: &str = "base_model.model.";
/// The key of the header that holds the SHA-256 of the model's weights, as [`super::sha256`] computes it.
const BASE: &str = "base_sha256";

/// Returns whether a directory holds adapters and no model of its own.
pub fn is_adapter(directory: &Path) -> bool {
    directory.join(CONFIG).is_file() && !directory.join("config.json").exists()
}

/// Adapters, and the model that they belong to.
#[derive(Debug)]
pub struct Adapted {
    /// The model, with the adapters among its parts.
    pub model: Architecture,
    /// The adapters' parameters, in recording order.
    pub parameters: Vec<f32>,
    /// The directory of the model.
    pub base: PathBuf,
    /// The SHA-256 of the weights of the model that they were trained beside, if the file holds it.
    pub base_sha256: Option<String>,
}

/// Returns the directory of the model that adapters belong to: `base_model_name_or_path`, from the adapters' directory or
/// from the current one.
///
/// # Errors
/// A description that cannot be read, or a model that is not there.
pub fn base_of(directory: &Path) -> Result<PathBuf, FileError> {
    let path = directory.join(CONFIG);
    let config = parse(&path)?;
    let named = config["base_model_name_or_path"].as_str().unwrap_or_default();
    let there = |path: &PathBuf| path.join("config.json").is_file();
    let places = [directory.join(named), PathBuf::from(named)];
    places.into_iter().find(|path| !named.is_empty() && there(path)).ok_or_else(|| {
        refused(
            &path,
            "base_model_name_or_path",
            &config["base_model_name_or_path"],
            "the path of the directory of the model that these adapters change, which holds a config.json; if it lies \
             elsewhere now, write its path there",
        )
    })
}

/// Returns the directory that holds the model itself: that of the model for adapters, else the directory.
pub(super) fn with_model(directory: &Path) -> Result<PathBuf, FileError> {
    if is_adapter(directory) { base_of(directory) } else { Ok(directory.to_owned()) }
}

fn parse(path: &Path) -> Result<Value, FileError> {
    let not_json = |reason: String| FileError::Config {
        path: path.to_owned(),
        source: ConfigError::Json { reason },
    };
    let value: Value =
        serde_json::from_str(&read_text(path)?).map_err(|e| not_json(e.to_string()))?;
    match value.is_object() {
        true => Ok(value),
        false => Err(not_json("it is another value".to_owned())),
    }
}

fn refused(path: &Path, key: &'static str, found: &Value, expected: &str) -> FileError {
    let found = match found {
        Value::Null => "nothing".to_owned(),
        other => shortened(other),
    };
    let source = ConfigError::Key { key, found, expected: expected.to_owned() };
    FileError::Config { path: path.to_owned(), source }
}

/// Reads adapters and the configuration of their model, without its weights.
///
/// # Errors
/// A file that is missing or damaged; kinds of adapters that are not supported; tensors that are missing, unknown, of
/// another shape, or not finite.
pub fn read_adapter(directory: &Path) -> Result<Adapted, FileError> {
    let base = base_of(directory)?;
    let (family, config) = read_family(&base)?;
    let path = directory.join(CONFIG);
    let described = parse(&path)?;
    let mut adapter = described_by(&path, &described)?;
    let path = directory.join(TENSORS);
    let shard = Shard::open(&path)?;
    let held: BTreeMap<String, _> = shard.header.tensors().into_iter().collect();
    let unknown = |source| FileError::Config { path: base.join("config.json"), source };
    // The tensors tell what has an adapter: the configuration may name it by a regular expression.
    let all = family::targets(family, &config, &[]).map_err(unknown)?;
    let thin = Adapter { rank: 1, alpha: 1.0, dropout: 0.0, ..adapter.clone() };
    let one = |target| adapted(&config, &Adapter { targets: vec![target], ..thin.clone() });
    let in_first = |target: &Target| {
        let places = one(*target).adapters().unwrap_or_default();
        places.first().is_some_and(|place| {
            names(family, &config, place).is_ok_and(|own| held.contains_key(&own[0]))
        })
    };
    adapter.targets = all.into_iter().filter(in_first).collect();
    let some = |names: &mut dyn Iterator<Item = String>| listed(names);
    if adapter.targets.is_empty() {
        let found = some(&mut held.keys().cloned());
        let reason = format!(
            "it holds no adapter of a linear map in the first block of this {}; it has {found}",
            family.name()
        );
        return Err(FileError::tensors(&path, reason));
    }
    let model = adapted(&config, &adapter);
    let invalid = |source| FileError::Config { path: directory.join(CONFIG), source };
    let places = model.adapters().map_err(invalid)?;
    let count = places.last().map_or(0, |place| place.end());
    let mut parameters = vec![0.0_f32; count];
    let (mut left, mut hash) = (held.clone(), Sha256::new());
    for place in &places {
        let own = names(family, &config, place).map_err(unknown)?;
        let tensors = tensors(family, &config, place).map_err(unknown)?;
        for ((name, tensor), parameter) in own.iter().zip(tensors).zip(place.parameters()) {
            let Some(info) = left.remove(name) else {
                let reason = format!(
                    "tensor {name} is missing; the file also has {}",
                    listed(left.into_keys())
                );
                return Err(FileError::tensors(&path, reason));
            };
            let shape = tensor.shape();
            if info.shape != shape {
                let reason = format!(
                    "tensor {name} has shape {:?}, expected {shape:?} for rank {} and the model in {}",
                    info.shape,
                    adapter.rank,
                    base.display()
                );
                return Err(FileError::tensors(&path, reason));
            }
            let format = NumberFormat::of_dtype(info.dtype).ok_or_else(|| {
                let reason = format!(
                    "tensor {name} is {:?}; supported are F64, F32, F16 and BF16",
                    info.dtype
                );
                FileError::tensors(&path, reason)
            })?;
            let own = &mut parameters[parameter.range.clone()];
            let mut places = tensor.places(parameter.shape.rows);
            let (start, end) = info.data_offsets;
            shard.pieces(&(start..end), |piece| {
                hash.update(piece);
                for (x, place) in format.numbers(piece).zip(&mut places) {
                    own[place] = x as f32;
                    if !own[place].is_finite() {
                        let reason = format!("tensor {name} holds {x}: these adapters are broken");
                        return Err(FileError::tensors(&path, reason));
                    }
                }
                Ok(())
            })?;
        }
    }
    if let Some(name) = left.keys().next() {
        let reason = format!(
            "tensor {name} is no adapter of a linear map that the first block has one for; supported are the same linear \
             maps in every block, without embeddings, heads or biases, and DoRA's magnitudes only with use_dora"
        );
        return Err(FileError::tensors(&path, reason));
    }
    shard.unchanged()?;
    let about = shard.header.metadata().clone().unwrap_or_default();
    let found = hexadecimal(&hash.finalize());
    match about.get(CHECKSUM) {
        Some(saved) if *saved != found => {
            Err(FileError::Damaged { path, found, saved: printable(saved) })
        }
        _ => Ok(Adapted { model, parameters, base, base_sha256: about.get(BASE).cloned() }),
    }
}

/// Reads the adapter that a configuration describes, without its targets.
fn described_by(path: &Path, config: &Value) -> Result<Adapter, FileError> {
    let empty = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text == "none",
        _ => false,
    };
    if config["peft_type"] != "LORA" {
        return Err(refused(
            path,
            "peft_type",
            &config["peft_type"],
            "\"LORA\": other adapters are not supported",
        ));
    }
    for (key, expected) in [
        ("bias", "\"none\": biases beside adapters are not supported"),
        ("rank_pattern", "empty: all adapters have one rank"),
        ("alpha_pattern", "empty: all adapters have one alpha"),
        ("modules_to_save", "null: only adapters of linear maps are supported"),
        ("layers_to_transform", "null: all blocks have the same adapters"),
        ("target_parameters", "null: only adapters of linear maps are supported"),
        ("lora_bias", "false: adapters with biases are not supported"),
        ("alora_invocation_tokens", "null: adapters that begin at some tokens are not supported"),
        ("trainable_token_indices", "null: only adapters of linear maps are supported"),
        ("use_qalora", "false: QALoRA is not supported"),
    ] {
        if !empty(&config[key]) {
            return Err(refused(path, key, &config[key], expected));
        }
    }
    // Others change the weights of the model, too.
    let initial = &config["init_lora_weights"];
    if !(initial.is_null() || initial.is_boolean() || initial == "gaussian") {
        let expected = "true, false or \"gaussian\": others also change the weights of the model; convert the adapters with \
                        PEFT first (path_initial_model_for_weight_conversion)";
        return Err(refused(path, "init_lora_weights", initial, expected));
    }
    for key in ["use_rslora", "use_dora"] {
        if !(config[key].is_null() || config[key].is_boolean()) {
            return Err(refused(path, key, &config[key], "true or false"));
        }
    }
    let rank = config["r"].as_u64().and_then(|r| usize::try_from(r).ok()).filter(|&r| r > 0);
    let rank = rank.ok_or_else(|| refused(path, "r", &config["r"], "a whole number, 1 or more"))?;
    let number = |key: &'static str, usual: f64| match &config[key] {
        Value::Null => Ok(usual),
        value => value.as_f64().ok_or_else(|| refused(path, key, value, "a number")),
    };
    Ok(Adapter {
        rank,
        alpha: number("lora_alpha", 8.0)?,
        rank_stabilized: config["use_rslora"] == true,
        magnitudes: config["use_dora"] == true,
        dropout: number("lora_dropout", 0.0)?,
        targets: vec![],
    })
}

/// Returns a model with adapters.
fn adapted(model: &Architecture, adapter: &Adapter) -> Architecture {
    let adaptation = Adaptation { adapter: Some(adapter.clone()), ..Adaptation::default() };
    Architecture { adaptation, ..model.clone() }
}

/// Returns the names of an adapter's tensors.
fn names(
    family: &dyn Family,
    model: &Architecture,
    place: &AdapterPlace,
) -> Result<Vec<String>, ConfigError> {
    let tensor = changed(family, model, place)?;
    let module = tensor.name.strip_suffix(".weight").unwrap_or(&tensor.name);
    let all = ["A.weight", "B.weight", "magnitude_vector"].into_iter().zip(place.parameters());
    Ok(all.map(|(x, _)| format!("{PREFIX}{}{module}.lora_{x}", family.prefix())).collect())
}

/// Returns the tensor of the model's files that an adapter changes.
fn changed(
    family: &dyn Family,
    model: &Architecture,
    place: &AdapterPlace,
) -> Result<Tensor, ConfigError> {
    let matrix = &place.whole;
    let tensors = family.tensors(model, matrix).into_iter();
    let own = tensors.into_iter().find(|tensor| family::holds(&tensor.rows, &place.rows));
    own.ok_or_else(|| ConfigError::Adaptation {
        setting: "the adapter's targets",
        found: place.target.key().to_owned(),
        expected: format!("a linear map that {} stores as one tensor", family.name()),
    })
}

/// Returns the tensors of an adapter's matrices, and of the lengths of rows: rows in the order of the file's rows of W.
fn tensors(
    family: &dyn Family,
    model: &Architecture,
    place: &AdapterPlace,
) -> Result<Vec<Tensor>, ConfigError> {
    let first = place.rows.start;
    let rows = changed(family, model, place)?.rows;
    let own: Vec<_> = rows.into_iter().map(|rows| rows.start - first..rows.end - first).collect();
    let tensor = |p: &Parameter, rows, order| {
        let (name, columns) = (String::new(), p.shape.columns);
        Tensor { name, rows, columns, order }
    };
    let all = std::iter::once(0..place.a.shape.rows).collect();
    let magnitudes = place.magnitudes.as_ref().map(|p| tensor(p, own.clone(), Order::Vector));
    let pair = [tensor(&place.a, all, Order::RowMajor), tensor(&place.b, own, Order::RowMajor)];
    Ok(pair.into_iter().chain(magnitudes).collect())
}

/// Returns a number without a point if it is whole, as PEFT writes it.
fn whole(x: f64) -> Value {
    let whole = x.fract() == 0.0 && x.abs() < 1e15;
    if whole { json!(x as i64) } else { json!(x) }
}

/// Writes adapters so that PEFT opens them beside the model in `base`, a directory. `sha256` is that of the model's
/// weights.
///
/// # Errors
/// If a file cannot be written; it is then unchanged.
///
/// # Panics
/// If the model has no adapters, or another number of parameters.
pub fn write_adapter<T: Real>(
    directory: &Path,
    model: &Architecture,
    parameters: &[T],
    (base, sha256): (&Path, &str),
) -> Result<(), FileError> {
    let unknown = |source| FileError::Config { path: directory.join(CONFIG), source };
    let adapter = model.adaptation.adapter.as_ref().expect("adapters");
    let (family, _) = read_family(base)?;
    let plain = model.base();
    let places = model.adapters().map_err(unknown)?;
    let mut stored = vec![];
    for place in &places {
        let names = names(family, &plain, place).map_err(unknown)?;
        let tensors = tensors(family, &plain, place).map_err(unknown)?;
        for ((name, tensor), p) in names.into_iter().zip(tensors).zip(place.parameters()) {
            stored.push((name, tensor, p.clone()));
        }
    }
    let count = stored.last().map_or(0, |(.., p)| p.range.end);
    assert_eq!(parameters.len(), count, "parameters of other adapters");
    let format = NumberFormat::of::<T>();
    let bytes = |(_, tensor, p): &(String, Tensor, Parameter), take: &mut dyn FnMut(&[u8])| {
        let own = &parameters[p.range.clone()];
        let mut bytes = Vec::with_capacity(PIECE * format.bytes());
        for place in tensor.places(p.shape.rows) {
            format.push(own[place].to_f64(), &mut bytes);
            if bytes.len() == PIECE * format.bytes() {
                take(&bytes);
                bytes.clear();
            }
        }
        take(&bytes);
    };
    let mut hash = Sha256::new();
    stored.iter().for_each(|tensor| bytes(tensor, &mut |bytes| hash.update(bytes)));
    let about = [
        ("format".to_owned(), "pt".to_owned()),
        (CHECKSUM.to_owned(), hexadecimal(&hash.finalize())),
        (BASE.to_owned(), sha256.to_owned()),
    ];
    let named: Vec<Named> =
        stored.iter().map(|(name, tensor, _)| (name.clone(), tensor.shape())).collect();
    std::fs::create_dir_all(directory)
        .map_err(|source| FileError::Write { path: directory.to_owned(), source })?;
    write_tensors(&directory.join(TENSORS), &about, &named, format, |i, take| {
        let mut written = Ok(());
        bytes(&stored[i], &mut |bytes| {
            if written.is_ok() {
                written = take(bytes);
            }
        });
        written
    })?;
    let base = std::path::absolute(base).unwrap_or_else(|_| base.to_owned());
    let config = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.to_string_lossy(),
        "r": adapter.rank,
        "lora_alpha": whole(adapter.alpha),
        "lora_dropout": adapter.dropout,
        "target_modules": family::target_names(family, &plain, &adapter.targets).map_err(unknown)?,
        "use_rslora": adapter.rank_stabilized,
        "use_dora": adapter.magnitudes,
        "bias": "none",
        // GPT-2's matrices are stored the other way round.
        "fan_in_fan_out": family.name() == "gpt2",
        "inference_mode": true,
        "modules_to_save": null,
    });
    let text = serde_json::to_string_pretty(&config).expect("a tree of plain values") + "\n";
    write_atomically(&directory.join(CONFIG), text.as_bytes())
}

#[cfg(test)]
mod tests;
