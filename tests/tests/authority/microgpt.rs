//! Karpathy's microgpt, a GPT of 200 lines of Python without packages: its first gradient and the losses of its 1000 steps,
//! from its own random numbers.
//! Source: Karpathy, *microgpt*, 2026 (gist 8627fe009c40f57531cb18360106ce95).

#[path = "../../../transformer/examples/papers/python.rs"]
#[expect(dead_code, reason = "the page of the paper also draws names")]
mod python;

use calculus::optimizer::{Adam, Optimizer};
use python::Python;
use serde_json::Value;
use tests::golden;
use tests::outside_data;
use transformer::model::family;
use transformer::{Architecture, Form, RecordedStep};

/// Its parameters, drawn row after row of its matrices, where they stand here.
fn drawn(config: &Architecture, random: &mut Python) -> Vec<f64> {
    let list = config.parameter_list().unwrap();
    let mut parameters = vec![0.0; config.parameters()];
    let part = |name: &str| list.iter().find(|p| p.name == format!("{name}.weight")).unwrap();
    let d = config.width;
    // Tables have a column here for a row there; of the other matrices, queries, keys and values are one here.
    for (name, first, rows, table) in [
        ("embedding.token", 0, config.vocabulary, true),
        ("embedding.position", 0, config.context, true),
        ("head", 0, config.vocabulary, true),
        ("block.0.attention.qkv", 0, d, false),
        ("block.0.attention.qkv", d, d, false),
        ("block.0.attention.qkv", 2 * d, d, false),
        ("block.0.attention.projection", 0, d, false),
        ("block.0.feed_forward.expanded", 0, config.hidden, false),
        ("block.0.feed_forward.contracted", 0, d, false),
    ] {
        let own = part(name);
        let columns = if table { d } else { own.shape.columns };
        for row in 0..rows {
            for column in 0..columns {
                let place = match table {
                    true => row * d + column,
                    false => column * own.shape.rows + first + row,
                };
                parameters[own.range.start + place] = 0.08 * random.gauss();
            }
        }
    }
    parameters
}

#[test]
fn microgpt_learns_as_its_author_wrote_it() {
    let (Some(path), Some(texts)) = (outside_data("microgpt.json"), outside_data("text")) else {
        return;
    };
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let names = std::fs::read_to_string(texts.join("names.txt")).unwrap();
    let mut names: Vec<&str> = names.lines().map(str::trim).filter(|n| !n.is_empty()).collect();
    assert_eq!(names.len() as u64, golden["documents"].as_u64().unwrap());
    let mut random = Python::seeded(42);
    random.shuffle(&mut names);
    let first: Vec<String> = serde_json::from_value(golden["first_documents"].clone()).unwrap();
    assert_eq!(names[..first.len()], first);

    let config = family::usual("microgpt").unwrap();
    assert_eq!(config.parameters() as u64, golden["parameters"].as_u64().unwrap());
    let mut parameters = drawn(&config, &mut random);
    let list = config.parameter_list().unwrap();
    let table = list.iter().find(|p| p.name == "embedding.token.weight").unwrap();
    let first: Vec<f64> = serde_json::from_value(golden["first_parameters"].clone()).unwrap();
    let off = golden::largest_difference(&parameters[table.range.start..][..first.len()], &first);
    assert!(off <= 1e-15, "{off:e}");

    // A letter's number, and one that begins and ends a name.
    let boundary = 26;
    let losses: Vec<f64> = serde_json::from_value(golden["losses"].clone()).unwrap();
    assert_eq!(losses.len(), 1000);
    // One recording for every length.
    let record = |n| RecordedStep::<f64>::record(&config, 1, n, Form::Fused, 0).unwrap();
    let mut steps: Vec<_> = (1..=config.context).map(record).collect();
    let mut adam: Adam<f64> = Adam::new(parameters.len(), 0.85, 0.99, 1e-8);
    let mut worst = 0.0_f64;
    for (i, (name, expected)) in names.iter().zip(&losses).enumerate() {
        let letters = name.bytes().map(|b| u32::from(b - b'a'));
        let all: Vec<u32> = [boundary].into_iter().chain(letters).chain([boundary]).collect();
        let n = config.context.min(all.len() - 1);
        let step = &mut steps[n - 1];
        step.copy_parameters(&parameters);
        let loss = golden::step(step, &all[..n], &all[1..=n]);
        let gradients = step.tape().gradients();
        if i == 0 {
            let norm = calculus::clip::global_norm(gradients);
            let off = (norm / golden["first_gradient_norm"].as_f64().unwrap() - 1.0).abs();
            assert!(off <= 1e-12, "{norm}");
            let some = gradients.iter().filter(|g| **g != 0.0).count();
            assert_eq!(some as u64, golden["first_gradients_nonzero"].as_u64().unwrap());
        }
        worst = worst.max((loss - expected).abs());
        assert!((loss - expected).abs() <= 1e-12, "step {i}: {loss}, expected {expected}");
        let rate = 0.01 * (1.0 - i as f64 / 1000.0);
        adam.step(rate, &mut parameters, gradients);
    }
    println!("losses at most {worst:.1e} off");
}
