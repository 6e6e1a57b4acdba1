//! Tests of models in several files.

use super::*;
use crate::disk::files::{read, read_with_faults, write};
use crate::model::architecture::Architecture;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::json;
use std::collections::HashMap;
use std::fs;
use tempfile::TempDir;

type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

fn model() -> (Architecture, Vec<f32>) {
    let config = Architecture {
        vocabulary: 7,
        context: 5,
        width: 4,
        layers: 2,
        tied: false,
        ..Architecture::default()
    };
    let parameters = (0..config.parameters()).map(|i| (i as f32).sin()).collect();
    (config, parameters)
}

fn save(path: &Path, tensors: &[Tensor]) {
    let views = tensors
        .iter()
        .map(|(name, kind, shape, b)| (name, TensorView::new(*kind, shape.clone(), b).unwrap()));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

const FILES: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/// Writes a model as two files and an index, both changed by `change`.
fn sharded(change: impl FnOnce(&mut [Vec<Tensor>; 2], &mut Value)) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (config, parameters) = model();
    write(directory.path(), &config, &parameters).unwrap();
    let single = directory.path().join(SINGLE);
    let bytes = fs::read(&single).unwrap();
    fs::remove_file(single).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut parts = [vec![], vec![]];
    let mut index = json!({ "metadata": { "total_size": 0 }, "weight_map": {} });
    for (i, name) in file.names().into_iter().enumerate() {
        let t = file.tensor(name).unwrap();
        parts[i % 2].push((name.to_owned(), t.dtype(), t.shape().to_vec(), t.data().to_vec()));
        index["weight_map"][name] = FILES[i % 2].into();
    }
    change(&mut parts, &mut index);
    for (name, tensors) in FILES.iter().zip(&parts) {
        save(&directory.path().join(name), tensors);
    }
    fs::write(directory.path().join(INDEX), index.to_string()).unwrap();
    directory
}

fn refusal(directory: &TempDir) -> String {
    read::<f32>(directory.path()).unwrap_err().to_string()
}

#[test]
fn a_model_in_two_files_is_the_model() {
    let directory = sharded(|_, _| ());
    assert_eq!(read::<f32>(directory.path()).unwrap(), model());
    assert_eq!(read_with_faults::<f32>(directory.path()).unwrap(), model());
    // As in transformers, the single file takes precedence.
    fs::write(directory.path().join(SINGLE), b"none").unwrap();
    assert!(refusal(&directory).contains("model.safetensors is not a whole safetensors file"));
}

#[test]
fn files_that_contradict_their_index_are_named() {
    let directory = sharded(|_, _| ());
    fs::remove_file(directory.path().join(FILES[1])).unwrap();
    let said = refusal(&directory);
    let expected = format!("others are in {}, which is missing", FILES[1]);
    assert!(said.contains(INDEX) && said.contains(&expected), "{said}");

    let mut gone = String::new();
    let said = refusal(&sharded(|parts, _| gone = parts[0].remove(0).0));
    let expected = format!("tensor {gone} is expected in {}, which has ", FILES[0]);
    assert!(said.contains(&expected) && said.contains("from the same model"), "{said}");

    let mut twice = String::new();
    let said = refusal(&sharded(|parts, _| {
        twice.clone_from(&parts[0][0].0);
        let copy = parts[0][0].clone();
        parts[1].push(copy);
    }));
    let expected = format!("tensor {twice} is in {} and in {}", FILES[0], FILES[1]);
    assert!(said.contains(&expected), "{said}");
    // The same under its name without the prefix.
    let said = refusal(&sharded(|parts, _| {
        let is_table = |tensor: &&Tensor| tensor.0.ends_with("wte.weight");
        let mut copy = parts.iter().flatten().find(is_table).unwrap().clone();
        copy.0 = "wte.weight".to_owned();
        let other = usize::from(parts[0].iter().any(|tensor| is_table(&tensor)));
        parts[other].push(copy);
    }));
    assert!(said.contains("with and without transformer."), "{said}");
}

/// A value that is not finite is reported with its own file; a tensor of no file, with the index.
#[test]
fn tensors_of_two_files_are_checked_like_those_of_one() {
    let mut name = String::new();
    let said = refusal(&sharded(|parts, _| {
        let tensor = &mut parts[1][0];
        name = tensor.0.strip_prefix("transformer.").unwrap_or(&tensor.0).to_owned();
        tensor.3[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    }));
    let expected = format!("{}: tensor {name} holds NaN at element 0", FILES[1]);
    assert!(said.contains(&expected), "{said}");
    let said = refusal(&sharded(|parts, index| {
        name = parts[0].pop().unwrap().0;
        index["weight_map"].as_object_mut().unwrap().remove(&name);
    }));
    let plain = name.strip_prefix("transformer.").unwrap_or(&name);
    assert!(said.contains(&format!("{INDEX}: tensor {plain} is missing")), "{said}");
    let said = refusal(&sharded(|parts, _| {
        parts[0].push(("h.0.extra".to_owned(), Dtype::F32, vec![1], vec![0; 4]));
    }));
    assert!(said.contains("h.0.extra is not part of the gpt2 model"), "{said}");
}

#[test]
fn an_index_leads_to_files_beside_it_only() {
    let outside = ["../x", "/etc/passwd", "a/b", "./x", "..", "", "a/"];
    for path in outside {
        let said = refusal(&sharded(|_, index| index["weight_map"]["x"] = path.into()));
        assert!(said.contains(&format!("the path {path:?} for tensor x")), "{path}: {said}");
    }
    for (value, text) in [(json!(3), "has 3"), (json!(["x"]), "has [\"x\"]"), (json!(null), "null")]
    {
        let said = refusal(&sharded(|_, index| index["weight_map"]["x"] = value));
        assert!(said.contains(text) && said.contains("the name of a file is expected"), "{said}");
    }
    for index in [json!({}), json!([]), json!({ "weight_map": 1 }), json!({ "weight_map": {} })] {
        let said = refusal(&sharded(|_, old| *old = index));
        assert!(said.contains("it has no weight_map"), "{said}");
    }
    let directory = sharded(|_, _| ());
    fs::write(directory.path().join(INDEX), "{").unwrap();
    assert!(refusal(&directory).contains("it is not JSON"));
    // A file that is named but is none.
    let directory = sharded(|_, index| index["weight_map"]["x"] = "folder".into());
    fs::create_dir(directory.path().join("folder")).unwrap();
    assert!(refusal(&directory).contains("folder is a directory, but a file is expected"));
}

/// Headers that lie about their own length, or about places of tensors.
#[test]
fn headers_that_lie_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.safetensors");
    let opened = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Shard::open(&path).map(|_| ()).unwrap_err().to_string()
    };
    let with = |header: &str, data: usize| {
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], header.as_bytes(), &vec![0; data]].concat()
    };
    let info = |shape: Value, places: Value| json!({ "dtype": "F32", "shape": shape, "data_offsets": places });
    assert!(opened(&[1; 7]).contains("it has 7 bytes"));
    assert!(opened(&u64::MAX.to_le_bytes()).contains("claim a header of 18446744073709551615"));
    assert!(opened(&[&9_u64.to_le_bytes()[..], b"{}"].concat()).contains("a header of 9 bytes"));
    assert!(opened(b"version https://git-lfs.github.com/spec/v1\n").contains("git lfs pull"));
    let one = json!({ "a": info(json!([2]), json!([0, 8])) }).to_string();
    assert!(opened(&with(&one, 7)).contains("take 8 bytes, and 7 follow"));
    assert!(opened(&with(&one, 9)).contains("take 8 bytes, and 9 follow"));
    for (first, second) in [
        (info(json!([2]), json!([0, 8])), info(json!([2]), json!([4, 12]))), // overlap
        (info(json!([2]), json!([0, 8])), info(json!([2]), json!([12, 20]))), // a gap
        (info(json!([2]), json!([0, 8])), info(json!([3]), json!([8, 16]))), // another shape
        (info(json!([2]), json!([0, 8])), info(json!([2]), json!([16, 8]))), // backwards
        (info(json!([1_u64 << 40, 1_u64 << 40]), json!([0, 8])), info(json!([2]), json!([8, 16]))),
    ] {
        let said = opened(&with(&json!({ "a": first, "b": second }).to_string(), 16));
        assert!(said.contains("invalid header"), "{said}");
    }
    // A long file of zeros has an empty header.
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(Shard::open(&path).unwrap_err().to_string().contains("invalid header"));
    // A header is bounded wherever the file ends.
    let long = (LONGEST_HEADER + 1).to_le_bytes();
    std::io::Write::write_all(&mut fs::OpenOptions::new().write(true).open(&path).unwrap(), &long)
        .unwrap();
    assert!(Shard::open(&path).unwrap_err().to_string().contains("claim a header of 16777217"));
}

/// A file that becomes shorter, longer or younger between its header and its end.
#[test]
fn a_file_that_changes_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.safetensors");
    let (shape, data) = (vec![3 << 18], vec![1; 3 << 20]);
    let write = || save(&path, &[("a".to_owned(), Dtype::F32, shape.clone(), data.clone())]);
    write();
    let shard = Shard::open(&path).unwrap();
    let mut pieces = vec![];
    shard
        .pieces(&(0..3 << 20), |piece| {
            pieces.push(piece.len());
            Ok(())
        })
        .unwrap();
    assert_eq!((pieces, shard.unchanged().is_ok()), (vec![1 << 20; 3], true));
    let shorter = |length| {
        write();
        let shard = Shard::open(&path).unwrap();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        shard
    };
    let error = shorter(2 << 20).pieces(&(0..3 << 20), |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("changed while it was read"), "{error}");
    for length in [2 << 20, 4 << 20] {
        assert!(shorter(length).unchanged().is_err());
    }
    write();
    let shard = Shard::open(&path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert!(shard.unchanged().unwrap_err().to_string().contains("changed while it was read"));
}

/// Only names that a list of names is shortened to are shown.
#[test]
fn few_names_are_listed() {
    let names = |n: usize| listed((0..n).rev().map(|i| format!("t{i}")));
    assert_eq!([names(0), names(2), names(4)], ["nothing", "t0, t1", "t0, t1, t2, …"]);
    let index = r#"{ "weight_map": { "b": "y", "a": "x", "c": "y" } }"#;
    let files: HashMap<_, _> = parse(Path::new(INDEX), index).unwrap().into_iter().collect();
    assert_eq!((&files["x"][..], files["y"].len()), (&["a".to_owned()][..], 2));
}
