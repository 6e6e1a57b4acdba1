//! Tests of the module.

use super::*;
use crate::model::architecture::{Gain, Norm, Rotary};

#[test]
fn moments_of_known_functions() {
    // E max(0, sξ)² = s²/2, E of its slope² = ½; E tanh² < s².
    let (value, slope) = moments(Activation::Relu, 1.5);
    assert!((value - 1.125).abs() < 1e-6 && (slope - 0.5).abs() < 1e-2);
    let (value, slope) = moments(Activation::Tanh, 0.01);
    assert!((value / 1e-4 - 1.0).abs() < 1e-3 && (slope - 1.0).abs() < 1e-3);
}

/// Parts that change scales by a factor of their own are predicted: without them, predictions would be off by more than
/// the tolerance of the loss, or by a factor of 2.
#[test]
fn factors_of_the_residual_stream_and_of_logits_are_predicted() {
    let plain = Architecture {
        vocabulary: 64,
        context: 16,
        width: 512,
        heads: 4,
        layers: 2,
        hidden: 512,
        ..Architecture::default()
    };
    for config in [
        plain.clone(),
        Architecture { residual_scale: 6.0, ..plain.clone() },
        Architecture { logit_divisor: 4.0, ..plain.clone() },
        Architecture { logit_divisor: 0.25, tied: false, ..plain.clone() },
        Architecture { embedding_norm: true, ..plain.clone() },
        // Large hidden matrices, so that their share of the scales is large.
        Architecture { hidden_deviation: 0.08, ..plain.clone() },
        Architecture { final_norm: false, embedding_scale: 20.0, ..plain.clone() },
        Architecture {
            embedding_norm: true,
            final_norm: false,
            norm: Norm::Rms,
            gain: Gain::None,
            ..plain.clone()
        },
    ] {
        let random = probability::random::Random::new(5, 0, 0);
        let draw = |i: u64| random.below(i, 64) as u32;
        let tokens: Vec<u32> = (0..128).map(draw).collect();
        let targets: Vec<u32> = (128..256).map(draw).collect();
        let mut step = RecordedStep::<f32>::record(&config, 8, 16, Form::Fused, 0).unwrap();
        step.initialise(1);
        let loss = step.loss(&tokens, &targets).unwrap();
        let expected = Expected::of(&config, 16, &tokens, &targets);
        let (predicted, spread) = expected.loss;
        println!("{loss}, predicted {predicted} ± {spread}");
        assert!((loss - predicted).abs() <= spread, "{loss}, not {predicted} ± {spread}");
        let found = scales(&step, Scale::Activations, &expected.activations, &[]);
        println!("{found:?}");
        assert!(crate::inspect::check::passed(std::slice::from_ref(&found)), "{found:?}");
    }
}

/// With normalised queries and keys, the paths through the scores carry back as much as that through the values; with
/// a factor of almost 0, only the values carry anything. The gradient before one block is within a tenth of the
/// prediction, and the two predictions are further apart than that.
#[test]
fn gradients_through_normalised_scores_are_predicted() {
    let [both, values] = [None, Some(1e-6)].map(|score_scale| {
        let config = Architecture {
            vocabulary: 64,
            context: 32,
            width: 256,
            heads: 4,
            layers: 1,
            hidden: 256,
            positions: Positions::Rotary(Rotary::default()),
            norm: Norm::Rms,
            placement: Placement::After,
            query_key_norm: QueryKeyNorm::Head,
            score_scale,
            epsilon: 1e-10,
            embedding_scale: 50.0,
            ..Architecture::default()
        };
        let random = probability::random::Random::new(5, 0, 0);
        let draw = |i: u64| random.below(i, 64) as u32;
        let tokens: Vec<u32> = (0..256).map(draw).collect();
        let targets: Vec<u32> = (256..512).map(draw).collect();
        let mut step = RecordedStep::<f32>::record(&config, 8, 32, Form::Fused, 0).unwrap();
        step.initialise(1);
        step.loss(&tokens, &targets).unwrap();
        let loss = step.loss_var();
        step.tape_mut().backward(loss);
        let expected = Expected::of(&config, 32, &tokens, &targets).gradients;
        let found = scales(&step, Scale::Gradients, &expected, &[]);
        println!("{found:?}");
        assert!((found.measured - 1.0).abs() < 0.1, "{found:?}");
        expected[0]
    });
    assert!(both > 1.1 / 0.9 * values, "{both} and {values}");
}

#[test]
fn the_floor_of_a_batch() {
    // The first token is followed by 1 and by 2: ln 2 at one of two targets each.
    let nats = floor(&[0, 1, 0, 2], &[1, 5, 2, 6], 2);
    assert!((nats - 2.0_f64.ln() / 2.0).abs() < 1e-15);
}
