//! Tests of the module.

use super::*;
use crate::model::architecture::Biases;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// A size of 1 does not make a matrix a vector, in the file or when it is read: shapes follow `GPT2LMHeadModel` of
/// transformers 5.23.
#[test]
fn tensors_have_the_rank_of_their_role() {
    let sizes = |size: &dyn Fn(usize) -> usize| Architecture {
        vocabulary: size(7),
        context: size(5),
        width: size(4),
        heads: 1,
        hidden: size(3),
        layers: 1,
        tied: false,
        ..Architecture::default()
    };
    for config in [sizes(&|n| n), sizes(&|_| 1), sizes(&|n| if n == 5 { 1 } else { n })] {
        let directory = tempfile::tempdir().unwrap();
        let parameters: Vec<f32> = (0..config.parameters()).map(|i| i as f32).collect();
        write(directory.path(), &config, &parameters).unwrap();
        let bytes = std::fs::read(directory.path().join("model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let Architecture { vocabulary: v, context: t, width: d, hidden: h, .. } = config;
        for (name, shape) in [
            ("transformer.wte.weight", vec![v, d]),
            ("transformer.wpe.weight", vec![t, d]),
            ("transformer.h.0.ln_1.weight", vec![d]),
            ("transformer.h.0.ln_1.bias", vec![d]),
            ("transformer.h.0.attn.c_attn.weight", vec![d, 3 * d]),
            ("transformer.h.0.attn.c_attn.bias", vec![3 * d]),
            ("transformer.h.0.attn.c_proj.weight", vec![d, d]),
            ("transformer.h.0.attn.c_proj.bias", vec![d]),
            ("transformer.h.0.ln_2.weight", vec![d]),
            ("transformer.h.0.ln_2.bias", vec![d]),
            ("transformer.h.0.mlp.c_fc.weight", vec![d, h]),
            ("transformer.h.0.mlp.c_fc.bias", vec![h]),
            ("transformer.h.0.mlp.c_proj.weight", vec![h, d]),
            ("transformer.h.0.mlp.c_proj.bias", vec![d]),
            ("transformer.ln_f.weight", vec![d]),
            ("transformer.ln_f.bias", vec![d]),
            ("lm_head.weight", vec![v, d]),
        ] {
            assert_eq!(file.tensor(name).unwrap().shape(), shape, "{name} of {config:?}");
        }
        assert_eq!(file.len(), 17);
        assert_eq!(read::<f32>(directory.path()).unwrap(), (config, parameters));
    }
}

fn model(bias: bool, tied: bool) -> (Architecture, Vec<f32>) {
    let config = Architecture {
        vocabulary: 7,
        context: 5,
        width: 4,
        biases: Biases::everywhere(bias),
        tied,
        ..Architecture::default()
    };
    let parameters = (0..config.parameters()).map(|i| (i as f32).sin()).collect();
    (config, parameters)
}

/// Changes a model's file with `change` and reads it; returns the error message.
fn refusal(change: impl FnOnce(&mut Vec<(String, Dtype, Vec<usize>, Vec<u8>)>)) -> String {
    let directory = tempfile::tempdir().unwrap();
    let (config, parameters) = model(true, true);
    write(directory.path(), &config, &parameters).unwrap();
    let path = directory.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<_> = file
        .tensors()
        .into_iter()
        .map(|(n, t)| (n, t.dtype(), t.shape().to_vec(), t.data().to_vec()))
        .collect();
    change(&mut tensors);
    let views =
        tensors.iter().map(|(n, d, s, b)| (n.clone(), TensorView::new(*d, s.clone(), b).unwrap()));
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    match read::<f32>(directory.path()) {
        Ok(_) => String::new(),
        Err(e) => e.to_string(),
    }
}

#[test]
fn the_same_model_is_the_same_file() {
    let (config, parameters) = model(true, true);
    let written = |_| {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &config, &parameters).unwrap();
        std::fs::read(directory.path().join("model.safetensors")).unwrap()
    };
    let files: Vec<_> = (0..8).map(written).collect();
    assert!(files.iter().all(|file| *file == files[0]));
}

#[test]
fn damage_is_noticed_but_for_numbers_that_are_none() {
    let directory = tempfile::tempdir().unwrap();
    let (config, parameters) = model(false, false);
    write(directory.path(), &config, &parameters).unwrap();
    let path = directory.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&whole).unwrap();
    let table = header.info("transformer.wte.weight").unwrap().data_offsets.0;
    let start = whole.len() - header.data_len() + table;
    for bit in 0..8 {
        let mut bytes = whole.clone();
        bytes[start] ^= 1 << bit;
        std::fs::write(&path, &bytes).unwrap();
        let damaged = |e: &FileError| matches!(e, FileError::Damaged { .. });
        assert!(read::<f32>(directory.path()).is_err_and(|e| damaged(&e)));
        assert!(read_with_faults::<f64>(directory.path()).is_err_and(|e| damaged(&e)));
    }
    let mut bytes = whole.clone();
    bytes[start..start + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let (_, read) = read_with_faults::<f32>(directory.path()).unwrap();
    assert!(read[0].is_nan());
    std::fs::write(&path, &whole).unwrap();
    // The checksum covers the file's own scalars, whatever type they are read as.
    assert!(super::read::<f64>(directory.path()).is_ok());
}

#[test]
fn what_is_written_is_read_again() {
    for (bias, tied) in [(true, true), (true, false), (false, true), (false, false)] {
        let directory = tempfile::tempdir().unwrap();
        let (config, parameters) = model(bias, tied);
        write(directory.path(), &config, &parameters).unwrap();
        assert_eq!(read::<f32>(directory.path()).unwrap(), (config.clone(), parameters.clone()));
        let doubles: Vec<f64> = parameters.iter().map(|&x| f64::from(x) / 3.0).collect();
        write(directory.path(), &config, &doubles).unwrap();
        assert_eq!(read::<f64>(directory.path()).unwrap().1, doubles);
    }
}

#[test]
fn names_may_lack_the_prefix_and_old_buffers_are_passed_over() {
    let fine = refusal(|tensors| {
        for t in tensors.iter_mut() {
            t.0 = t.0.strip_prefix("transformer.").unwrap_or(&t.0).to_owned();
        }
        tensors.push(("h.0.attn.bias".into(), Dtype::U8, vec![1, 1, 5, 5], vec![1; 25]));
        let table = tensors.iter().find(|t| t.0 == "wte.weight").unwrap().clone();
        tensors.push(("lm_head.weight".into(), table.1, table.2, table.3));
    });
    assert_eq!(fine, "");
}

#[test]
fn foreign_tensors_are_refused_by_name() {
    let at = |tensors: &[(String, Dtype, Vec<usize>, Vec<u8>)], name: &str| {
        tensors.iter().position(|t| t.0 == format!("transformer.{name}")).unwrap()
    };
    let missing = refusal(|t| drop(t.remove(at(t, "ln_f.weight"))));
    assert!(missing.contains("ln_f.weight is missing"), "{missing}");
    let unknown = refusal(|t| {
        t.push(("h.0.attn.extra".into(), Dtype::F32, vec![1], vec![0; 4]));
    });
    assert!(unknown.contains("h.0.attn.extra is not part"), "{unknown}");
    let shape = refusal(|t| {
        let i = at(t, "wpe.weight");
        t[i].2.reverse();
    });
    assert!(shape.contains("wpe.weight has shape [4, 5]") && shape.contains("[5, 4]"), "{shape}");
    let kind = refusal(|t| {
        let i = at(t, "wpe.weight");
        t[i].1 = Dtype::I32;
    });
    assert!(kind.contains("wpe.weight is I32"), "{kind}");
    let nan = refusal(|t| {
        let i = at(t, "wte.weight");
        t[i].3[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    assert!(nan.contains("wte.weight holds NaN at element 2"), "{nan}");
    let head = refusal(|t| {
        t.push(("lm_head.weight".into(), Dtype::F32, vec![7, 4], vec![0; 7 * 4 * 4]));
    });
    assert!(head.contains("differs from wte.weight"), "{head}");
    let twice = refusal(|t| {
        let table = t[at(t, "wte.weight")].clone();
        t.push(("wte.weight".into(), table.1, table.2, table.3));
    });
    assert!(twice.contains("with and without"), "{twice}");
}

#[test]
fn cut_off_files_are_refused_at_every_length() {
    let directory = tempfile::tempdir().unwrap();
    let (config, parameters) = model(true, true);
    write(directory.path(), &config, &parameters).unwrap();
    let path = directory.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(61).chain([whole.len() - 1]) {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = read::<f32>(directory.path()).unwrap_err();
        assert!(matches!(error, FileError::Format { .. }), "{length}: {error}");
    }
    // A header that claims to fill the memory.
    std::fs::write(&path, u64::MAX.to_le_bytes()).unwrap();
    assert!(matches!(read::<f32>(directory.path()), Err(FileError::Format { .. })));
    // A long file is not read beyond its header, which is empty here.
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(read::<f32>(directory.path()), Err(FileError::Format { .. })));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(read::<f32>(directory.path()), Err(FileError::Read { .. })));
}
