//! A random GPT-2 in Hugging Face's layout: logits of transformers and of onnxruntime, greedy tokens of
//! onnxruntime-genai's own tests, loss, gradients and twenty AdamW steps of PyTorch in double precision.

use calculus::clip;
use calculus::matrices;
use calculus::optimizer::{Adam, Optimizer};
use linalg::Real;
use probability::sample::Sampler;
use serde_json::Value;
use std::path::Path;
use tests::golden::{self, largest_difference, next_tokens, worst_gradient};
use tests::outside_data;
use transformer::disk::files;
use transformer::{Form, RecordedStep, Writer};

const MODEL: &str = "tiny-random-gpt2";

fn golden_json(directory: &Path) -> Value {
    let text = std::fs::read_to_string(directory.join("golden.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn rows(json: &Value) -> Vec<Vec<u32>> {
    serde_json::from_value(json.clone()).unwrap()
}

fn numbers(json: &Value) -> Vec<f64> {
    serde_json::from_value(json.clone()).unwrap()
}

fn trained_batch<T: Real>(directory: &Path, form: Form) -> (RecordedStep<T>, Vec<u32>, Vec<u32>) {
    let rows = rows(&golden_json(directory)["train_batch"]);
    let model = golden::model(directory, rows.len(), rows[0].len(), form);
    (model, rows.concat(), next_tokens(&rows))
}

#[test]
fn logits_of_two_runtimes() {
    let Some(directory) = outside_data(MODEL) else { return };
    let golden = golden::tensors(&directory.join("logits.safetensors"));
    let tokens: Vec<u32> = golden["ids"].iter().map(|t| *t as u32).collect();
    let mut model: RecordedStep<f64> = golden::model(&directory, 3, 20, Form::Textbook);
    model.loss(&tokens, &tokens).unwrap();
    let logits = model.tape().elements(model.logits_var().expect("a textbook's"));
    let error = largest_difference(logits, &golden["logits_hf_f64"]);
    println!("f64: {error:.2e} from Hugging Face's");
    assert!(error <= 1e-12, "{error}");
    let mut model: RecordedStep<f32> = golden::model(&directory, 3, 20, Form::Textbook);
    model.loss(&tokens, &tokens).unwrap();
    let logits = model.tape().elements(model.logits_var().expect("a textbook's"));
    let error = largest_difference(logits, &golden["logits_onnxruntime_f32"]);
    println!("f32: {error:.2e} from onnxruntime's");
    assert!(error <= 1e-5, "{error}");
}

#[test]
fn greedy_tokens() {
    let Some(directory) = outside_data(MODEL) else { return };
    let golden = golden_json(&directory);
    let (config, parameters) = files::read::<f32>(&directory).unwrap();
    let mut writer = Writer::new(&config, &parameters, None).unwrap();
    let greedy = Sampler { temperature: 0.0, ..Sampler::default() };
    let expected = rows(&golden["greedy_expected"]);
    let prompts = rows(&golden["greedy_in"]);
    assert!(!prompts.is_empty() && prompts.len() == expected.len());
    for (prompt, expected) in prompts.iter().zip(expected) {
        writer.clear();
        let new = expected.len() - prompt.len();
        let written = writer.write(prompt, greedy, 0).unwrap().take(new);
        let written = written.collect::<Result<Vec<u32>, _>>().unwrap();
        assert_eq!([&prompt[..], &written].concat(), expected);
    }
}

fn loss_and_gradients<T: Real>(form: Form, loss_bound: f64, gradient_bound: f64) {
    let Some(directory) = outside_data(MODEL) else { return };
    let golden = golden::tensors(&directory.join("gradients_f64.safetensors"));
    let (mut model, tokens, targets) = trained_batch::<T>(&directory, form);
    let loss = golden::step(&mut model, &tokens, &targets);
    let (worst, error) = worst_gradient(&model, &golden);
    println!("{form:?}: loss {loss}, furthest gradient {worst}: {error:.2e}");
    assert!((loss - 6.66320481422583).abs() <= loss_bound, "{loss}");
    assert!(error <= gradient_bound, "{worst}: {error}");
}

#[test]
fn loss_and_gradients_in_double_precision() {
    loss_and_gradients::<f64>(Form::Fused, 1e-9, 1e-9);
    loss_and_gradients::<f64>(Form::Textbook, 1e-9, 1e-9);
}

#[test]
fn loss_and_gradients_in_single_precision() {
    loss_and_gradients::<f32>(Form::Fused, 2e-6, 1e-4);
}

fn twenty_steps<T: Real>(precision: &str, bound: f64) {
    let Some(directory) = outside_data(MODEL) else { return };
    let golden = &golden_json(&directory)["adamw"];
    let expected = numbers(&golden["trajectory"][precision]["loss"]);
    assert_eq!(expected.len(), 20);
    let betas = numbers(&golden["betas"]);
    let number = |key: &str| golden[key].as_f64().unwrap();
    let (mut model, tokens, targets) = trained_batch::<T>(&directory, Form::Fused);
    let mut adam: Adam<T> =
        Adam::new(model.tape().parameters().len(), betas[0], betas[1], number("eps"))
            .with_decay(0.1, matrices(&model.tape().parameter_list()));
    let mut furthest = 0.0_f64;
    for (i, expected) in expected.iter().enumerate() {
        let loss = golden::step(&mut model, &tokens, &targets);
        furthest = furthest.max((loss - expected).abs());
        assert!((loss - expected).abs() <= bound, "step {i}: {loss}, expected {expected}");
        let (parameters, gradients) = model.tape_mut().parameters_and_gradients();
        clip::by_global_norm(gradients, number("grad_clip"));
        adam.step(number("lr"), parameters, gradients);
    }
    println!("{precision}: at most {furthest:.2e} off over twenty steps");
}

#[test]
fn twenty_steps_in_double_precision() {
    twenty_steps::<f64>("torch.float64", 1e-9);
}

#[test]
fn twenty_steps_in_single_precision() {
    // Against the trajectory in double precision: single precision's own would share its errors.
    twenty_steps::<f32>("torch.float64", 2e-5);
}
