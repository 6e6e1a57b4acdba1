//! Every setting of a configuration reaches the arithmetic of the step.

use tests::models;
use transformer::Activation;
use transformer::{Architecture, Form, RecordedStep};

/// The values of a recorded step by name, columns of so many rows.
fn replayed(config: &Architecture) -> RecordedStep<f64> {
    models::model::<f64>(config, (1, config.context), Form::Textbook, 3)
}

/// ε stands inside the root of every norm: x̂ = (x − µ)/√(σ² + ε), column by column.
#[test]
fn epsilon_is_that_of_the_configuration() {
    for epsilon in [1e-5, 0.3, 40.0] {
        let config = Architecture { epsilon, ..models::config() };
        let mut model = replayed(&config);
        model.tape_mut().forward();
        let tape = model.tape();
        let (d, of) = (config.width, |name: &str| tape.elements(tape.find(name).unwrap()).to_vec());
        for (norm, input) in [
            ("block.0.norm_1", "embedding.sum"),
            ("block.1.norm_2", "block.1.attended"),
            ("norm", "block.1.output"),
        ] {
            let (gain, shift) = (of(&format!("{norm}.weight")), of(&format!("{norm}.bias")));
            for (x, y) in of(input).chunks(d).zip(of(norm).chunks(d)) {
                let mean = x.iter().sum::<f64>() / d as f64;
                let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d as f64;
                for i in 0..d {
                    let expected = (x[i] - mean) / (variance + epsilon).sqrt() * gain[i] + shift[i];
                    let bound = 64.0 * f64::EPSILON * (1.0 + expected.abs());
                    assert!(
                        (y[i] - expected).abs() <= bound,
                        "{norm}, ε = {epsilon}: {} {expected}",
                        y[i]
                    );
                }
            }
        }
    }
}

/// Each activation is its own function: no two models that differ in it alone have the same loss.
#[test]
fn the_activation_is_that_of_the_configuration() {
    let all = [
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Relu,
        Activation::Silu,
        Activation::Tanh,
    ];
    let losses = all.map(|activation| {
        let mut model = replayed(&Architecture { activation, ..models::config() });
        models::loss(&mut model)
    });
    for (i, a) in losses.iter().enumerate() {
        assert!(losses[..i].iter().all(|b| (a - b).abs() > 1e-9), "{losses:?}");
    }
}
