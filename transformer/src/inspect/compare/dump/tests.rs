//! Dumps that our own recording wrote, as it is and with a mistake.

use super::*;
use crate::inspect::compare::dump::align::{gathered, places};
use crate::model::architecture::{Activation, Norm, Positions, Rotary};
use crate::model::family;
use calculus::optimizer::OptimizerConfig;
use std::collections::BTreeMap;

const LENGTH: usize = 8;

type Tensors = BTreeMap<String, Vec<f64>>;

fn gpt2() -> Architecture {
    let hidden = 32;
    let sizes = Architecture {
        vocabulary: 13,
        context: LENGTH,
        width: 16,
        heads: 2,
        layers: 2,
        hidden,
        ..Default::default()
    };
    Architecture { biases: crate::Biases::ALL, ..sizes }
}

fn llama() -> Architecture {
    let usual = family::usual_at("llama", &gpt2()).unwrap();
    Architecture { width: 16, heads: 4, key_value_heads: Some(2), ..usual }
}

/// The start of a model, far enough from it that every part matters.
fn start(architecture: &Architecture) -> Vec<f64> {
    let random = probability::Random::new(7, 1, 0);
    let own = architecture.initial_parameters(3).unwrap();
    own.iter()
        .enumerate()
        .map(|(i, x)| f64::from(*x + 0.2 * random.normal(i as u64) as f32))
        .collect()
}

/// What `docs/dump_step.py` writes of a model that computes with `wrong`, under the names of `named`.
fn written(
    named: &Architecture,
    family: &'static dyn Family,
    wrong: &Architecture,
    optimizer: OptimizerConfig,
    stated: OptimizerConfig,
) -> Dump {
    let tokens: Vec<u32> = (0..2 * LENGTH as u32).map(|i| (i * i + i / 3) % 13).collect();
    let targets = tokens.iter().map(|t| (t * 5 + 1) % 13).collect();
    let rate = 1e-2;
    let mut dump = Dump {
        tokens,
        targets,
        length: LENGTH,
        optimizer: Some((rate, stated)),
        ..Dump::default()
    };
    let parameters = start(named);
    let mut step = record::<f32>(wrong, &dump, &parameters).unwrap();
    let loss = step.loss_var();
    step.tape_mut().zero_gradients();
    step.tape_mut().forward();
    step.tape_mut().backward(loss);
    let list = step.tape().parameter_list();
    let gradients = step.tape().gradients().to_vec();
    let mut updated: Vec<f32> = parameters.iter().map(|x| *x as f32).collect();
    optimizer.build::<f32>(&list).step_scaled(rate, 1.0, &mut updated, &mut gradients.clone());
    let wide = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
    let all = [
        ("parameter", parameters.clone()),
        ("gradient", wide(&gradients)),
        ("updated", wide(&updated)),
    ];
    let mut modules = Vec::new();
    for parameter in &list {
        for tensor in family.tensors(named, parameter) {
            for (kind, numbers) in &all {
                let own = &numbers[parameter.range.clone()];
                let numbers = tensor.places(parameter.shape.rows).map(|place| own[place]).collect();
                let prefix = family.prefix();
                dump.tensors.insert(format!("{kind}.{prefix}{}", tensor.name), numbers);
            }
            modules.extend(tensor.name.strip_suffix(".weight").map(str::to_owned));
        }
    }
    modules.push(family.head().to_owned());
    for module in modules {
        for kind in ["input", "output"] {
            dump.tensors.insert(format!("{kind}.{module}"), vec![]);
        }
    }
    let (places, unknown) = places(&dump, family, &step);
    assert!(unknown.is_empty(), "{unknown:?}");
    let known: Vec<String> = places.iter().map(Place::name).collect();
    dump.tensors.retain(|name, numbers| !numbers.is_empty() || known.contains(name));
    for place in &places {
        let tape = step.tape();
        let rows = tape.shape(place.var).rows;
        let value: Vec<f64> = tape.value(place.var).iter().map(|x| f64::from(*x)).collect();
        dump.tensors.insert(place.name(), place.elements(&value, rows));
        if place.output {
            let gradient: Vec<f64> =
                tape.gradient(place.var).iter().map(|x| f64::from(*x)).collect();
            let name = format!("output_gradient.{}", place.module);
            dump.tensors.insert(name, place.elements(&gradient, rows));
        }
    }
    dump
}

fn found(named: &Architecture, wrong: &Architecture) -> Compared {
    let (family, usual) = (family::of(named), OptimizerConfig::default());
    compare(&written(named, family, wrong, usual, usual), named, family).unwrap()
}

/// Our own step in f32, of two families, agrees in all of its tensors.
#[test]
fn our_own_step_agrees() {
    for model in [gpt2(), llama()] {
        let compared = found(&model, &model);
        assert_eq!(compared.first, None);
        assert!(compared.agree.len() > 30, "{:?}", compared.agree);
        assert_eq!(compared.agree.last().map(String::as_str), Some("updated.*"));
    }
}

/// A mistake is found in the first tensor that it reaches, and named.
#[test]
fn mistakes_are_found_and_named() {
    let (a, b) = (gpt2(), llama());
    let rotary = Positions::Rotary(Rotary { base: 5e5, ..Rotary::default() });
    for (named, wrong, tensor, words) in [
        (
            &a,
            Architecture { epsilon: 1e-3, ..a.clone() },
            "output.h.0.ln_1",
            "ε of the norms is 1e-3",
        ),
        (
            &a,
            Architecture { activation: Activation::Relu, ..a.clone() },
            "input.h.0.mlp.c_proj",
            "the activation is relu",
        ),
        (
            &a,
            Architecture { activation: Activation::Gelu, ..a.clone() },
            "input.h.0.mlp.c_proj",
            "the activation is gelu,",
        ),
        (
            &a,
            Architecture { score_scale: Some(1.0), ..a.clone() },
            "input.h.0.attn.c_proj",
            "scores are not scaled",
        ),
        (
            &a,
            Architecture { score_scale: Some(0.25), ..a.clone() },
            "input.h.0.attn.c_proj",
            "scores are divided by √width",
        ),
        (
            &b,
            Architecture { positions: rotary, ..b.clone() },
            "input.layers.0.self_attn.o_proj",
            "the base of rotary positions is 500000",
        ),
        (
            &b,
            Architecture { rotary_layers: vec![false], ..b.clone() },
            "input.layers.0.self_attn.o_proj",
            "not rotated",
        ),
        (&b, Architecture { epsilon: 1e-2, ..b.clone() }, "output.layers.0.input_layernorm", ""),
        (
            &b,
            Architecture { embedding_scale: 4.0, ..b.clone() },
            "input.layers.0.input_layernorm",
            "the embedding is multiplied by 4",
        ),
    ] {
        let compared = found(named, &wrong);
        let first = compared.first.unwrap_or_else(|| panic!("nothing found: {tensor}, {words}"));
        assert!(first.tensor.ends_with(tensor), "{first:?}");
        if !words.is_empty() {
            assert!(first.mistakes.iter().any(|m| m.contains(words)), "{words}: {first:?}");
            assert_eq!(first.mistakes.len(), 1, "{first:?}");
        }
    }
    assert_eq!(a.norm, Norm::Layer);
}

/// A bias that is not added, and gradients and updates with a mistake of their own.
#[test]
fn later_mistakes_are_found() {
    let a = gpt2();
    let (family, usual) = (family::of(&a), OptimizerConfig::default());
    let decaying = OptimizerConfig { weight_decay: 0.1, ..usual };
    // Decay on everything: each parameter moves by the decay of its own.
    let mut dump = written(&a, family, &a, decaying, decaying);
    let list = crate::model::layers::parameter_list(&a).unwrap();
    let vectors: Vec<String> =
        list.iter().filter(|p| crate::is_vector(p)).map(|p| p.name.clone()).collect();
    assert!(!vectors.is_empty());
    let names: Vec<String> =
        dump.tensors.keys().filter(|n| n.starts_with("updated.")).cloned().collect();
    for name in names {
        let vector = name.ends_with(".bias") || name.contains(".ln_");
        let start = dump.tensors[&name.replace("updated.", "parameter.")].clone();
        let own = dump.tensors.get_mut(&name).unwrap();
        own.iter_mut().zip(start).filter(|_| vector).for_each(|(x, p)| *x -= 1e-2 * 0.1 * p);
    }
    let first = compare(&dump, &a, family).unwrap().first.expect("a difference");
    assert!(first.tensor.starts_with("updated of"), "{first:?}");
    assert_eq!(first.mistakes, ["decay also acts on biases and gains"]);

    let other = OptimizerConfig { epsilon: 1e-5, ..usual };
    let first = compare(&written(&a, family, &a, other, usual), &a, family)
        .unwrap()
        .first
        .expect("a difference");
    assert!(
        first.mistakes.contains(&"ε of the optimizer is 1e-5, not 1e-8".to_owned()),
        "{first:?}"
    );

    // A loss that is summed.
    let mut dump = written(&a, family, &a, usual, usual);
    let scale = (2 * LENGTH) as f64;
    let of = |name: &str| name.starts_with("output_gradient.") || name.starts_with("gradient.");
    dump.tensors
        .iter_mut()
        .filter(|(name, _)| of(name))
        .for_each(|(_, x)| x.iter_mut().for_each(|x| *x *= scale));
    let first = compare(&dump, &a, family).unwrap().first.expect("a difference");
    assert!(first.mistakes.iter().any(|m| m.contains("16.000000 times ours")), "{first:?}");
    assert_eq!(first.tensor, "output_gradient.lm_head");
}

/// Unknown and missing names are named with the nearest known one; sizes are checked.
#[test]
fn names_that_do_not_fit() {
    let a = gpt2();
    let (family, usual) = (family::of(&a), OptimizerConfig::default());
    let whole = written(&a, family, &a, usual, usual);
    let with = |change: &dyn Fn(&mut Tensors)| {
        let mut dump = whole.clone();
        change(&mut dump.tensors);
        compare(&dump, &a, family).unwrap_err().to_string()
    };
    let key = "parameter.transformer.h.0.attn.c_attn.weight";
    let renamed = with(&|all| {
        let numbers = all.remove(key).unwrap();
        all.insert(key.replace("c_attn", "c_atn"), numbers);
    });
    assert!(renamed.contains("c_atn.weight (nearest: h.0.attn.c_attn.weight)"), "{renamed}");
    let missing = with(&|all| drop(all.remove(key)));
    assert!(missing.contains("has no parameter.h.0.attn.c_attn.weight (nearest: "), "{missing}");
    let short = with(&|all| all.get_mut(key).unwrap().truncate(767));
    assert!(short.contains("has 767 numbers; the model has 768 there"), "{short}");
    let nothing = with(&|all| all.retain(|name, _| name.starts_with("parameter.")));
    assert!(nothing.contains("no module of the dump is known"), "{nothing}");
    assert!(Dump::parse(b"{").unwrap_err().contains("not safetensors"));
    let list = crate::model::layers::parameter_list(&a).unwrap();
    assert!(gathered(&whole, "none", family, &a, &list).unwrap().is_none());
    assert_eq!(distance(b"c_attn", b"c_atn"), 1);
    assert_eq!(distance(b"", b"abc"), 3);
}

/// A thousandth of the largest number of any tensor is found there: bounds are narrow in every layer.
#[test]
fn a_thousandth_is_found_in_every_tensor() {
    for model in [gpt2(), llama()] {
        let (family, usual) = (family::of(&model), OptimizerConfig::default());
        let dump = written(&model, family, &model, usual, usual);
        let compared = compare(&dump, &model, family).unwrap();
        for name in compared.agree.iter().filter(|name| !name.ends_with('*')) {
            let mut changed = dump.clone();
            let numbers = changed.tensors.get_mut(name).unwrap();
            let largest = numbers.iter_mut().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
            *largest *= 1.001;
            let first = compare(&changed, &model, family).unwrap().first;
            assert_eq!(first.map(|first| first.tensor).as_ref(), Some(name));
        }
    }
}
