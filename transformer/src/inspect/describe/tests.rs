use super::*;
use crate::model::architecture::{Norm, Placement, Positions, QueryKeyNorm, Window};

fn small() -> Architecture {
    Architecture {
        vocabulary: 50,
        context: 12,
        width: 32,
        heads: 4,
        key_value_heads: Some(2),
        layers: 3,
        hidden: 40,
        ..Architecture::default()
    }
}

/// Every family at small sizes, and parts that no family has together.
fn all() -> Vec<Architecture> {
    let own = |name: &str| name != "glassbox";
    let families = family::architectures().filter(|name| own(name));
    let mut all: Vec<_> = families.map(|name| family::usual_at(name, &small()).unwrap()).collect();
    all.push(Architecture {
        placement: Placement::Post,
        positions: Positions::Sinusoidal,
        embedding_scale: 2.0,
        dropout: 0.1,
        window: Some(Window { size: 3, layers: vec![true, false] }),
        ..small()
    });
    all.push(Architecture {
        rotary_layers: vec![true, false],
        ..family::usual_at("llama", &small()).unwrap()
    });
    all.push(Architecture {
        placement: Placement::Sandwich,
        norm: Norm::Rms,
        query_key_norm: QueryKeyNorm::Whole,
        logit_divisor: 4.0,
        residual_scale: 0.5,
        embedding_norm: true,
        logit_cap: Some(20.0),
        tied: false,
        ..small()
    });
    all
}

fn described(a: &Architecture, sequences: usize, length: usize) -> Description {
    Description::of(a, sequences, length, OptimizerConfig::default()).unwrap()
}

/// The sums of a description are those of the step that training records and allocates.
#[test]
fn sums_are_those_of_the_recorded_step() {
    for a in all() {
        for (sequences, length) in [(1, 12), (3, 7)] {
            let d = described(&a, sequences, length);
            let step = RecordedStep::<f32>::record_for_training(&a, sequences, length, 0).unwrap();
            let (memory, rows) = (step.tape().memory(), step.tape().rows());
            let own = (d.total.forward_flops, d.total.backward_flops);
            let flops = rows.fold((0, 0), |(f, b), row| (f + row.flops, b + row.backward_flops));
            assert_eq!(own, flops, "{a:?}");
            assert_eq!(d.total.parameters as usize, a.parameters());
            assert_eq!(d.total.weights as usize, memory.parameters);
            assert_eq!(d.total.gradients as usize, memory.parameter_gradients);
            assert_eq!(d.total.optimizer as usize, 2 * memory.parameters); // AdamW's moments
            let values = memory.values + memory.gradients + memory.kept + memory.scratch;
            assert_eq!((d.total.activations + d.reused) as usize, values);
            let listed: usize = d.blocks.iter().map(|kind| kind.layers.len()).sum();
            assert_eq!(listed, a.layers);
        }
    }
}

/// Values that no step reuses are counted: they are all that a plan without reuse has, less gradients and scratch.
#[test]
fn activations_are_at_most_all_values() {
    for a in all() {
        let d = described(&a, 2, 12);
        let step = RecordedStep::<f32>::record(&a, 2, 12, crate::Form::Fused, 0).unwrap();
        let memory = step.tape().memory();
        assert!(d.total.activations as usize <= memory.values + memory.kept, "{a:?}");
        // The residual stream before a block's norm is kept: its rule reads it.
        assert!(d.total.activations as usize >= 4 * a.layers * a.width * 24, "{a:?}");
    }
}

/// A parameter of a linear map takes six operations a token: a multiply-add forward, two backward. The rest is bounded
/// term by term: attention reads (T+1)/2 keys on average, 4c + 15 operations a head and key forward, three times that in
/// all; the loss has 13 operations an entry of the vocabulary; and all else is element by element, fewer than 100
/// operations a feature and block (a norm, an activation, a sum or a bias has about ten).
#[test]
fn operations_are_six_for_each_parameter() {
    let gpt2 = Architecture {
        vocabulary: 50257,
        context: 1024,
        width: 768,
        heads: 12,
        layers: 12,
        hidden: 3072,
        ..Architecture::default()
    };
    let sizes = Architecture { key_value_heads: Some(4), ..gpt2.clone() };
    for a in [
        gpt2,
        family::usual_at("llama", &sizes).unwrap(),
        family::usual_at("qwen3", &sizes).unwrap(),
    ] {
        for length in [16, 256] {
            let d = described(&a, 1, length);
            let list = a.parameter_list().unwrap();
            let multiplied = |p: &&calculus::Parameter| {
                p.uses.iter().any(|(role, k)| matches!((role, k), (Role::Linear, 0)))
            };
            let matrices: usize = list.iter().filter(multiplied).map(|p| p.shape.len()).sum();
            let least = 6.0 * matrices as f64;
            let keys = (length + 1) as f64 / 2.0;
            let pairs = 3.0 * (a.layers * a.heads) as f64 * keys;
            let attention = pairs * (4 * a.head_width() + 15) as f64;
            let loss = 3.0 * 13.0 * a.vocabulary as f64;
            let features = a.layers * (a.width + a.hidden) + a.width;
            let most = least + attention + loss + 100.0 * features as f64;
            let found = d.flops_per_token();
            assert!(least < found && found <= most, "{least} < {found} <= {most}");
            assert!(most < 1.1 * least, "a bound that says something: {least}, {most}");
        }
    }
}

/// Blocks with and without a window are different kinds, and a window saves operations.
#[test]
fn blocks_that_differ_are_shown_apart() {
    let window = Some(Window { size: 4, layers: vec![true, true, false] });
    let a = Architecture { window, ..small() };
    let [local, global] = &described(&a, 1, 12).blocks[..] else { panic!("two kinds") };
    assert_eq!((&local.layers[..], local.window), (&[0, 1][..], Some(4)));
    assert_eq!((&global.layers[..], global.window), (&[2][..], None));
    assert!(local.total().forward_flops < 2 * global.total().forward_flops);
    assert_eq!(local.total().parameters, 2 * global.total().parameters);
    assert_eq!(local.total().cache, 2 * (16 + 16) * 4); // keys and values of 16 features in two blocks
}

/// Blocks that do not rotate queries and keys are a kind of their own, without the rotation's part.
#[test]
fn blocks_without_rotation_are_shown_apart() {
    let llama = family::usual_at("llama", &small()).unwrap();
    let a = Architecture { rotary_layers: vec![true, false], ..llama };
    let [turning, fixed] = &described(&a, 1, 12).blocks[..] else { panic!("two kinds") };
    assert_eq!((&turning.layers[..], turning.rotary_base), (&[0, 2][..], Some(1e4)));
    assert_eq!((&fixed.layers[..], fixed.rotary_base), (&[1][..], None));
    let rotates = |blocks: &Blocks| blocks.parts.iter().any(|part| part.name == "rotation");
    assert!(rotates(turning) && !rotates(fixed));
    assert_eq!(turning.total().parameters, 2 * fixed.total().parameters);
}

/// The effects of all changes add up to the whole difference, in both directions, and no difference is left out.
#[test]
fn effects_add_up() {
    let all = all();
    for a in &all {
        for b in &all {
            let c = Comparison::of(a, b, 2, 12, OptimizerConfig::default()).unwrap();
            let parameters: i64 = c.changes.iter().map(|change| change.parameters).sum();
            assert_eq!(parameters, b.parameters() as i64 - a.parameters() as i64);
            let bytes: i64 = c.changes.iter().map(|change| change.bytes).sum();
            assert_eq!(bytes, c.other.bytes() as i64 - c.own.bytes() as i64);
            let cache: i64 = c.changes.iter().map(|change| change.cache).sum();
            assert_eq!(cache, c.other.total.cache as i64 - c.own.total.cache as i64);
            let named: usize = c.changes.iter().map(|change| change.differences.len()).sum();
            assert_eq!(named, a.differences_in_words(b).len());
            assert_eq!(named == 0, a == b);
        }
    }
}

/// A size that nothing could hold, or whose operations cannot be counted, is an error.
#[test]
fn what_cannot_be_described_is_refused() {
    let refused = |a: &Architecture, sequences, length| {
        Description::of(a, sequences, length, OptimizerConfig::default()).unwrap_err().to_string()
    };
    assert!(refused(&small(), 1, 0).contains("sequences of 0 tokens"));
    assert!(refused(&small(), 1, 13).contains("positions for 1 to 12"));
    assert!(refused(&small(), 0, 12).contains("batch is 0"));
    let most = 1 << 24;
    let wide = Architecture { width: most, context: most, hidden: most, ..small() };
    for sequences in [1, 1 << 20, usize::MAX] {
        refused(&wide, sequences, most);
        refused(&small(), sequences.max(1 << 50), 12);
    }
}
