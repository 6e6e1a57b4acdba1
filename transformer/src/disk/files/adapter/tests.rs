//! Adapters that are written and read, and files that are not what they say.

use super::super::write;
use super::*;
use crate::model::adaptation::Adaptation;
use safetensors::SafeTensors;
use std::fs;
use tempfile::TempDir;

/// A model of a family, and adapters of all its linear maps, or of those with these names.
fn stored(name: &str, names: &[&str]) -> (TempDir, Architecture, Vec<f32>) {
    let sizes =
        Architecture { layers: 2, width: 16, heads: 2, hidden: 24, ..Architecture::default() };
    let model = family::usual_at(name, &sizes).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path().join("base");
    let weights: Vec<f32> = (0..model.parameters()).map(|i| (i as f32 * 0.37).sin()).collect();
    write(&base, &model, &weights).unwrap();
    let (family, _) = read_family(&base).unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let adapter = Adapter {
        rank: 3,
        alpha: 4.5,
        rank_stabilized: true,
        // With and without the lengths of rows.
        magnitudes: names.is_empty(),
        dropout: 0.25,
        targets: family::targets(family, &model, &names).unwrap(),
    };
    let model = adapted(&model, &adapter);
    let count = model.adapters().unwrap().last().unwrap().end();
    let parameters: Vec<f32> = (0..count).map(|i| (i as f32 * 0.11).cos()).collect();
    let sha256 = super::super::sha256(&weights);
    let own = directory.path().join("adapter");
    write_adapter(&own, &model, &parameters, (&base, &sha256)).unwrap();
    (directory, model, parameters)
}

fn read(directory: &TempDir) -> Result<Adapted, FileError> {
    read_adapter(&directory.path().join("adapter"))
}

#[test]
fn adapters_come_back_in_every_family() {
    for name in family::architectures() {
        let (directory, model, parameters) = stored(name, &[]);
        let back = read(&directory).unwrap();
        assert_eq!(
            (&back.model.adaptation, &back.parameters),
            (&model.adaptation, &parameters),
            "{name}"
        );
        let own = directory.path().join("adapter");
        assert!(is_adapter(&own) && !is_adapter(&back.base));
        // Read as a model, they are merged.
        let (plain, merged) = super::super::read::<f32>(&own).unwrap();
        let (_, mut weights) = super::super::read::<f32>(&back.base).unwrap();
        assert_ne!(merged, weights);
        model.merge(&mut weights, &parameters);
        assert_eq!((plain.adaptation, merged), (Adaptation::default(), weights), "{name}");
    }
}

/// The names and shapes of PEFT's files: Linear and Conv1D alike have A (r × inputs) and B (outputs × r).
#[test]
fn tensors_have_the_names_of_peft() {
    let (directory, ..) = stored("gpt2", &["c_attn"]);
    let bytes = fs::read(directory.path().join("adapter").join(TENSORS)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut names: Vec<_> =
        file.tensors().into_iter().map(|(n, t)| (n, t.shape().to_vec())).collect();
    names.sort();
    let name =
        |block, x| format!("base_model.model.transformer.h.{block}.attn.c_attn.lora_{x}.weight");
    let expected: Vec<_> = [0, 1]
        .into_iter()
        .flat_map(|block| [(name(block, "A"), vec![3, 16]), (name(block, "B"), vec![48, 3])])
        .collect();
    assert_eq!(names, expected);
    let (directory, ..) = stored("llama", &["q_proj", "down_proj"]);
    let text = fs::read_to_string(directory.path().join("adapter").join(CONFIG)).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["target_modules"], json!(["q_proj", "down_proj"]));
    assert_eq!((&config["r"], &config["use_rslora"]), (&json!(3), &json!(true)));
}

/// A description or file that says something else is refused by name; nothing panics.
#[test]
fn what_is_not_supported_is_refused() {
    let (directory, ..) = stored("llama", &[]);
    let path = directory.path().join("adapter").join(CONFIG);
    let good: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    for (key, value, says) in [
        ("peft_type", json!("IA3"), "peft_type: found \"IA3\", expected \"LORA\""),
        ("use_dora", json!("yes"), "use_dora: found \"yes\", expected true or false"),
        ("use_dora", json!(false), "lora_magnitude_vector is no adapter"),
        ("bias", json!("all"), "bias: found \"all\""),
        ("init_lora_weights", json!("pissa"), "init_lora_weights: found \"pissa\""),
        ("use_rslora", json!("true"), "use_rslora: found \"true\""),
        ("alora_invocation_tokens", json!([1, 2]), "alora_invocation_tokens"),
        ("modules_to_save", json!(["lm_head"]), "modules_to_save: found [\"lm_head\"]"),
        ("rank_pattern", json!({"q_proj": 2}), "rank_pattern"),
        ("layers_to_transform", json!([0]), "layers_to_transform"),
        ("r", json!(0), "r: found 0, expected a whole number"),
        ("r", json!(-1), "r: found -1"),
        ("r", json!("8"), "r: found \"8\""),
        ("r", json!(u64::MAX), "the adapter's rank: found 18446744073709551615"),
        ("r", json!(4), "has shape [3, 16], expected [4, 16] for rank 4"),
        ("lora_alpha", json!("x"), "lora_alpha: found \"x\""),
        ("lora_alpha", json!(-1.0), "the adapter's alpha: found -1"),
        ("lora_dropout", json!(1.0), "the adapter's dropout: found 1"),
        (
            "base_model_name_or_path",
            json!("org/model"),
            "if it lies elsewhere now, write its path there",
        ),
        ("base_model_name_or_path", Value::Null, "base_model_name_or_path: found nothing"),
    ] {
        let mut other = good.clone();
        other[key] = value;
        fs::write(&path, other.to_string()).unwrap();
        let said = read(&directory).unwrap_err().to_string();
        assert!(said.contains(says) && said.contains("adapter"), "{key}: {said}");
    }
    for text in ["", "[]", "{", "null", "\"a\"", "{\"peft_type\":\"LORA\"}"] {
        fs::write(&path, text).unwrap();
        assert!(read(&directory).is_err(), "{text}");
    }
}

#[test]
fn damaged_and_foreign_tensors_are_refused() {
    let (directory, ..) = stored("llama", &["q_proj"]);
    let path = directory.path().join("adapter").join(TENSORS);
    let good = fs::read(&path).unwrap();
    let said = || read(&directory).unwrap_err().to_string();
    // Cut off anywhere: never read.
    for end in (0..good.len()).step_by(97) {
        fs::write(&path, &good[..end]).unwrap();
        said();
    }
    // The last byte is one of a tensor.
    let mut other = good.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&path, &other).unwrap();
    assert!(said().contains("is damaged"), "{}", said());
    let last = other.len() - 4..other.len();
    other[last].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, &other).unwrap();
    assert!(said().contains("holds NaN: these adapters are broken"), "{}", said());
    // Names of another module; the file is otherwise whole.
    let renamed = |from: &str, to: &str| {
        let text: Vec<u8> = good.clone();
        let mut found = text.clone();
        let at: Vec<usize> = (0..text.len() - from.len())
            .filter(|&i| &text[i..i + from.len()] == from.as_bytes())
            .collect();
        assert!(!at.is_empty() && from.len() == to.len());
        for i in at {
            found[i..i + to.len()].copy_from_slice(to.as_bytes());
        }
        fs::write(&path, found).unwrap();
    };
    renamed("q_proj", "x_proj");
    assert!(said().contains("holds no adapter of a linear map"), "{}", said());
    renamed("layers.1.", "layers.7.");
    assert!(said().contains("layers.1.self_attn.q_proj.lora_A.weight is missing"), "{}", said());
    fs::remove_file(&path).unwrap();
    assert!(said().contains("cannot read"), "{}", said());
}

/// Adapters belong to the weights that they were trained beside.
#[test]
fn another_model_of_the_same_shape_is_refused() {
    let (directory, model, _) = stored("llama", &[]);
    let base = directory.path().join("base");
    let own = directory.path().join("adapter");
    let (_, mut weights) = super::super::read::<f32>(&base).unwrap();
    assert!(super::super::read::<f32>(&own).is_ok());
    weights[3] += 1.0;
    write(&base, &model.base(), &weights).unwrap();
    let said = super::super::read::<f32>(&own).unwrap_err().to_string();
    assert!(said.contains("not the weights that the adapters were trained beside"), "{said}");
    fs::remove_dir_all(&base).unwrap();
    let said = super::super::read::<f32>(&own).unwrap_err().to_string();
    assert!(said.contains("base_model_name_or_path"), "{said}");
}

fn tensors_of(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f64>)> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let number = |b: &[u8]| f64::from(f32::from_le_bytes(b.try_into().unwrap()));
    let all = file.tensors().into_iter();
    all.map(|(name, t)| (name, (t.shape().to_vec(), t.data().chunks(4).map(number).collect())))
        .collect()
}

/// In the layout of the files, whatever the order of a matrix's rows there: the merged tensor is W + s·B·A, and its
/// transpose for the matrices of GPT-2 and of our own format.
#[test]
fn merged_files_are_the_files_sum() {
    for name in family::architectures() {
        let (directory, model, _) = stored(name, &[]);
        let merged = directory.path().join("merged");
        let (plain, weights) =
            super::super::read::<f32>(&directory.path().join("adapter")).unwrap();
        write(&merged, &plain, &weights).unwrap();
        let [before, after] = [directory.path().join("base"), merged]
            .map(|path| tensors_of(&path.join("model.safetensors")));
        let adapters = tensors_of(&directory.path().join("adapter").join(TENSORS));
        let factor = model.adaptation.adapter.as_ref().unwrap().factor();
        let mut changed = 0;
        for (name, (shape, w)) in &before {
            let new = &after[name].1;
            let module = name.strip_suffix(".weight").unwrap_or(name);
            let of = |x: &str| adapters.get(&format!("{PREFIX}{module}.lora_{x}.weight"));
            let (Some((a_shape, a)), Some((_, b))) = (of("A"), of("B")) else {
                assert_eq!(w, new, "{name} has no adapter");
                continue;
            };
            let (rank, inputs) = (a_shape[0], a_shape[1]);
            let transposed = ["gpt2", "glassbox"].contains(&family::of(&plain).name());
            let outputs = w.len() / inputs;
            assert_eq!(*shape, if transposed { [inputs, outputs] } else { [outputs, inputs] });
            let lengths = &adapters[&format!("{PREFIX}{module}.lora_magnitude_vector")].1;
            for i in 0..outputs {
                let at = |j| if transposed { j * outputs + i } else { i * inputs + j };
                let row = (0..inputs).map(|j| {
                    let sum: f64 = (0..rank).map(|k| b[i * rank + k] * a[k * inputs + j]).sum();
                    w[at(j)] + factor * sum
                });
                let row: Vec<f64> = row.collect();
                let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
                for (j, x) in row.iter().enumerate() {
                    let error = (new[at(j)] - x * lengths[i] / norm).abs();
                    assert!(error <= 1e-5, "{name} at {i}, {j}: {error}");
                }
            }
            changed += 1;
        }
        assert_eq!(changed, adapters.len() / 3, "{name}");
    }
}
