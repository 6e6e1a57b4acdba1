//! Another program's training step.

use super::{Scratch, accepted, refused};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use transformer::Architecture;
use transformer::disk::files;
use transformer::inspect::compare::dump::{Dump, compare};
use transformer::model::family;

fn model() -> Architecture {
    Architecture {
        vocabulary: 3,
        context: 2,
        width: 2,
        heads: 1,
        layers: 1,
        hidden: 2,
        ..Architecture::default()
    }
}

/// A dump, compared with the step of a small model: whatever it holds, it is refused or compared.
pub fn dump(data: &[u8]) {
    let dump = match Dump::parse(data) {
        Ok(dump) => dump,
        Err(reason) => return refused(reason),
    };
    let model = model();
    match compare(&dump, &model, family::of(&model)) {
        Err(error) => refused(error),
        Ok(compared) => {
            accepted(if compared.first.is_some() { "differs" } else { "the same" });
            assert!(compared.first.is_some() || !compared.agree.is_empty());
        }
    }
}

/// Dumps of the model's own parameters, with outputs that do not fit them.
pub fn dump_seeds() -> Vec<Vec<u8>> {
    let (scratch, model) = (Scratch::new(), model());
    let parameters = model.initial_parameters(1).expect("a model");
    files::write(&scratch.path(""), &model, &parameters).expect("a model");
    let file = std::fs::read(scratch.path("model.safetensors")).expect("a file");
    let all = SafeTensors::deserialize(&file).expect("weights");
    let ids: Vec<u8> = [0_i64, 1, 2, 0].iter().flat_map(|id| id.to_le_bytes()).collect();
    let zeros = [0_u8; 32];
    let ids = || TensorView::new(Dtype::I64, vec![2, 2], &ids).expect("ids");
    let mut views = vec![("tokens".to_owned(), ids()), ("targets".to_owned(), ids())];
    views.extend(all.tensors().into_iter().map(|(name, view)| (format!("parameter.{name}"), view)));
    for name in ["output.transformer.wte", "output.transformer.h.0.ln_1", "output.unknown"] {
        let view = TensorView::new(Dtype::F32, vec![2, 2, 2], &zeros).expect("zeros");
        views.push((name.to_owned(), view));
    }
    let about: HashMap<String, String> =
        [("learning_rate", "0.1"), ("beta1", "0.9"), ("beta2", "0.9"), ("epsilon", "1e-8")]
            .into_iter()
            .chain([("weight_decay", "0.1")])
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
    let pairs = views.iter().map(|(name, view)| (name, view));
    vec![safetensors::serialize(pairs, Some(about)).expect("a dump")]
}
