//! The start: which weights have which size, and that none is another's copy.
//!
//! Source: Radford et al. 2019, section 2.3, as Hugging Face's `GPT2PreTrainedModel._init_weights` has it: normal
//! with deviation 0.02; what writes to the residual stream (`c_proj.weight`) 0.02/√(2·layers); gains 1, biases 0.

use std::collections::HashSet;
use tests::{draw, models};
use transformer::inspect::check::Expected;
use transformer::{
    Activation, Architecture, Biases, Form, Norm, Positions, RecordedStep, Rotary, Trainer,
    TrainingConfig,
};

/// Every parameter by name.
fn started(config: &Architecture, form: Form, seed: u64) -> Vec<(String, Vec<f64>)> {
    let mut model = RecordedStep::<f64>::record(config, 1, 4, form, 7).unwrap();
    model.initialise(seed);
    let list = model.tape().parameter_list().into_iter();
    list.map(|p| (p.name, model.tape().parameters()[p.range].to_vec())).collect()
}

fn sizes(layers: usize) -> Architecture {
    Architecture {
        vocabulary: 65,
        context: 64,
        width: 64,
        heads: 4,
        layers,
        hidden: 256,
        tied: false,
        ..Architecture::default()
    }
}

/// As [`sizes`], of the parts of a Llama.
fn llama(layers: usize) -> Architecture {
    Architecture {
        positions: Positions::Rotary(Rotary { base: 1e4, ..Rotary::default() }),
        norm: Norm::Rms,
        key_value_heads: Some(2),
        gated: true,
        activation: Activation::Silu,
        biases: Biases::NONE,
        ..sizes(layers)
    }
}

fn is_matrix(name: &str) -> bool {
    name.ends_with(".weight") && !name.contains("norm")
}

#[test]
fn every_parameter_has_its_distribution() {
    for config in [sizes(1), sizes(3), llama(1), llama(3)] {
        let layers = config.layers;
        for (name, x) in started(&config, Form::Fused, 5) {
            if !is_matrix(&name) {
                let expected = if name.ends_with(".bias") { 0.0 } else { 1.0 };
                assert!(x.iter().all(|x| *x == expected), "{name}");
                continue;
            }
            let writes = ["attention.projection", "feed_forward.contracted"];
            let residual = writes.iter().any(|w| name.contains(w));
            let deviation = if residual { 0.02 / (2.0 * layers as f64).sqrt() } else { 0.02 };
            let n = x.len() as f64;
            let moment = |k: i32| x.iter().map(|x| (x / deviation).powi(k)).sum::<f64>() / n;
            // Five deviations of the moments of n normal numbers: of 1, 2, 15 and 96 for the first to the fourth.
            for (k, expected, variance) in
                [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)]
            {
                let off = (moment(k) - expected).abs();
                let most = 5.0 * (variance / n).sqrt();
                assert!(off <= most, "{name}: moment {k} is {}, {expected} ± {most}", moment(k));
            }
        }
    }
}

#[test]
fn no_weight_is_a_copy() {
    let all = started(&sizes(3), Form::Fused, 5);
    let matrices: Vec<_> = all.iter().filter(|(name, _)| is_matrix(name)).collect();
    assert_eq!(matrices.len(), 2 + 4 * 3 + 1);
    for (i, (name, x)) in matrices.iter().enumerate() {
        let different: HashSet<u64> = x.iter().map(|x| x.abs().to_bits()).collect();
        assert_eq!(different.len(), x.len(), "{name} repeats a number");
        for (other, y) in &matrices[..i] {
            correlated(x, y, 0.0, &format!("{name} and {other}"));
        }
        // Nor of itself, some places on: a period would show.
        for shift in [1, 2, 3, 4, 8, 16, 64, 256, 1024] {
            correlated(&x[shift..], x, 0.0, &format!("{name}, {shift} places on"));
        }
    }
}

/// The correlation of the elements that both have is as expected, to five deviations.
fn correlated(x: &[f64], y: &[f64], expected: f64, which: &str) {
    let n = x.len().min(y.len());
    let dot = |a: &[f64], b: &[f64]| a[..n].iter().zip(&b[..n]).map(|(a, b)| a * b).sum::<f64>();
    let r = dot(x, y) / (dot(x, x) * dot(y, y)).sqrt();
    assert!((r - expected).abs() <= 5.0 / (n as f64).sqrt(), "{which}: correlation {r}");
}

#[test]
fn the_seed_alone_chooses() {
    let config = sizes(2);
    let (one, other) = (started(&config, Form::Fused, 1), started(&config, Form::Fused, 2));
    assert_eq!(one, started(&config, Form::Textbook, 1));
    for ((name, x), (_, y)) in one.iter().zip(&other).filter(|(a, _)| is_matrix(&a.0)) {
        correlated(x, y, 0.0, name);
    }
    let far = started(&config, Form::Fused, 1 << 32 | 1);
    correlated(&one[0].1, &far[0].1, 0.0, "seeds that agree in 32 bits");
}

#[test]
fn a_run_starts_by_its_seed() {
    let of = |seed| {
        let config = TrainingConfig { seed, ..models::training() };
        let trainer = Trainer::<f64>::new(config.clone(), &config.model(30).unwrap()).unwrap();
        trainer.model().tape().parameters()[..30 * 32].to_vec()
    };
    assert_eq!(of(3), of(3));
    correlated(&of(3), &of(4), 0.0, "two seeds");
}

/// Root mean squares of the residual stream and of its gradient, within a quarter of what variances say.
#[test]
fn a_fresh_model_has_the_scales_that_are_predicted() {
    for layers in [1, 4] {
        let config = sizes(layers);
        let mut model = RecordedStep::<f64>::record(&config, 8, 64, Form::Fused, 0).unwrap();
        model.initialise(4);
        let tokens = draw::below(1, 512, 65);
        let targets = draw::below(2, 512, 65);
        model.set_batch(&tokens, &targets).unwrap();
        models::loss_and_gradients(&mut model);
        let expected = Expected::of(&config, 64, &tokens, &targets);
        let loss = model.tape().elements(model.loss_var())[0];
        assert!((loss - expected.loss.0).abs() <= expected.loss.1);
        let names = (0..=layers).map(|i| match i {
            0 => "embedding.sum".to_owned(),
            i => format!("block.{}.output", i - 1),
        });
        let rms = |x: &[f64]| (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64).sqrt();
        let vars: Vec<_> = names.map(|n| model.tape().find(&n).unwrap()).collect();
        let last = rms(model.tape().gradient_elements(vars[layers]));
        for (i, var) in vars.into_iter().enumerate() {
            let found = rms(model.tape().elements(var)) / expected.activations[i];
            assert!(
                (0.8..1.25).contains(&found),
                "layer {i} of {layers}: {found} of the activation"
            );
            let found = rms(model.tape().gradient_elements(var)) / last / expected.gradients[i];
            assert!((0.8..1.25).contains(&found), "layer {i} of {layers}: {found} of the gradient");
        }
    }
}
