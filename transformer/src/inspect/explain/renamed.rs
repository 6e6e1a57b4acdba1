//! Names are for people: an explanation of a step whose values and operations have other names is the same, but for these.

use super::{Descent, Explanation, Subject, recorded};
use crate::model::architecture::{Activation, Architecture, Biases, Norm, Positions, Rotary};
use crate::model::recorded_step::{IGNORED, Without};
use crate::training::config::TrainingConfig;
use probability::random::Random;
use std::collections::HashMap;

/// Random letters, as long as the name so that columns stay where they are.
fn other(name: &str) -> String {
    let seed = name.bytes().fold(7_u64, |seed, b| seed.wrapping_mul(31).wrapping_add(b.into()));
    let random = Random::new(seed, 0, 0);
    let letter = |i| char::from(b'A' + random.below(i, 26) as u8);
    (0..name.chars().count() as u64).map(letter).collect()
}

fn subject(config: Architecture) -> Subject<f64> {
    let parameters = config.initial_parameters(3).unwrap().into_iter();
    let run = TrainingConfig { dropout: config.dropout, ..TrainingConfig::default() };
    Subject {
        title: "a test".into(),
        parameters: parameters.map(|p| 5.0 * f64::from(p)).collect(),
        tokens: vec![3, 1, 4, 1, 5],
        targets: vec![1, 4, IGNORED, 5, 2],
        names: vec![],
        descent: Descent::of_run(&run, 40),
        unigram: None,
        teacher: vec![],
        remarks: vec![],
        seed: 9,
        config,
    }
}

/// The explanation under other names.
fn renamed(subject: Subject<f64>) -> Explanation<f64> {
    let mut model = recorded(&subject, Without::default()).unwrap();
    model.tape_mut().rename(other, |operation| Box::leak(other(operation).into_boxed_str()));
    Explanation::of_recorded(subject, model)
}

#[test]
fn no_name_is_read_by_an_explanation() {
    let sizes = Architecture {
        vocabulary: 7,
        context: 6,
        width: 8,
        layers: 2,
        hidden: 12,
        ..Default::default()
    };
    let gpt2 = Architecture { dropout: 0.2, ..sizes.clone() };
    let llama = Architecture {
        positions: Positions::Rotary(Rotary::default()),
        norm: Norm::Rms,
        key_value_heads: Some(1),
        activation: Activation::Silu,
        gated: true,
        biases: Biases::NONE,
        ..sizes
    };
    for config in [gpt2, llama] {
        let (step, again) =
            (Explanation::of(subject(config.clone())).unwrap(), renamed(subject(config)));
        // Longest first: a name can begin with another.
        let mut names: Vec<String> = step.nodes.iter().map(|n| n.name.clone()).collect();
        names.extend(step.nodes.iter().filter_map(|n| n.operation.map(str::to_owned)));
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let back: HashMap<String, &String> = names.iter().map(|n| (other(n), n)).collect();
        let back = |text: String| {
            names.iter().fold(text, |text, name| {
                let new = other(name);
                text.replace(&new, back[&new])
            })
        };
        let (own, all) = (step.quantities(), again.quantities());
        assert_eq!(own.len(), all.len());
        for (k, ((name, quantity, count), (new, ..))) in own.iter().zip(&all).enumerate() {
            let at = Random::new(5, k as u32, 0).below(0, *count as u64) as usize;
            let told = |e: &Explanation<f64>, name: &str| {
                let derived = e.derive(&e.element_place(name, *quantity, at));
                (e.text(&derived), e.json(&derived).to_string())
            };
            let ((text, json), (new_text, new_json)) = (told(&step, name), told(&again, new));
            assert_eq!(text, back(new_text));
            assert_eq!(json, back(new_json));
        }
        let (ledger, new) = (step.ledger().unwrap(), again.ledger().unwrap());
        assert_eq!(format!("{ledger:?}"), back(format!("{new:?}")));
        assert_eq!(
            format!("{:?}", step.changes().unwrap()),
            format!("{:?}", again.changes().unwrap())
        );
        assert_eq!(format!("{:?}", step.information()), format!("{:?}", again.information()));
        let pictures = |e: &Explanation<f64>, ledger| format!("{:?}", e.pictures(ledger));
        assert_eq!(pictures(&step, &ledger), back(pictures(&again, &new)));
    }
}
