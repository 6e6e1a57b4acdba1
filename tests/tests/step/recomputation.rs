//! Blocks whose values the backward replay computes again, in every architecture: the same bits for any number of them, in
//! less memory, and as few as a budget of memory needs.

use calculus::Tape;
use infotheory::preference::{Objective, PreferenceLoss};
use linalg::half::{bf16_to_f32, f64_to_bf16};
use rayon::ThreadPoolBuilder;
use tests::{draw, models};
use transformer::inspect::profile::Profile;
use transformer::memory::Bytes;
use transformer::model::family;
use transformer::{
    Adaptation, Adapter, Architecture, Corpus, Form, FrozenWeights, IGNORED, LAST, ModelError,
    RecordedStep, Target, Trainer, TrainingConfig,
};

const SEQUENCES: usize = 2;
const LENGTH: usize = 8;
const LAYERS: usize = 3;

/// Sizes that fit every family.
fn sizes() -> Architecture {
    let context = 2 * LENGTH;
    Architecture { width: 16, hidden: 24, layers: LAYERS, context, ..models::config() }
}

fn frozen(patterns: &[&str]) -> Adaptation {
    let freeze = patterns.iter().map(|&p| p.to_owned()).collect();
    Adaptation { freeze, ..Adaptation::default() }
}

/// A model in the ways in which it can be trained.
fn variants(model: &Architecture) -> Vec<(&'static str, Architecture)> {
    let with = |adaptation| Architecture { adaptation, ..model.clone() };
    let adapter = Adapter {
        rank: 2,
        alpha: 3.0,
        rank_stabilized: false,
        magnitudes: false,
        dropout: 0.3,
        targets: vec![Target::Query, Target::Value, Target::Projection, Target::Contracted],
    };
    let lower = ["embedding.*", "block.0.*", "block.1.norm_*", "block.1.attention.*"];
    let list = model.parameter_list().unwrap();
    let exact: Vec<f32> =
        models::parameters(9, &list).into_iter().map(|x| bf16_to_f32(f64_to_bf16(x))).collect();
    let lengths = Adapter { magnitudes: true, ..adapter.clone() };
    let with_lengths = Adaptation { adapter: Some(lengths), ..Adaptation::default() };
    let adapted = Adaptation { adapter: Some(adapter), ..Adaptation::default() };
    let shared = FrozenWeights::of(&list, &exact, |name| adapted.freezes(name));
    assert!(shared.shared() > 0);
    let preference = PreferenceLoss { beta: 0.3, objective: Objective::Logistic { flipped: 0.1 } };
    vec![
        ("plain", model.clone()),
        ("dropout", Architecture { dropout: 0.2, ..model.clone() }),
        ("adapters", with(adapted.clone())),
        ("adapters with lengths of rows", with(with_lengths)),
        ("adapters beside bfloat16", with(Adaptation { frozen: Some(shared), ..adapted })),
        ("lower part frozen", with(frozen(&lower))),
        ("matrices frozen", with(frozen(&["*.qkv.weight", "*.expanded.weight"]))),
        ("all but the head frozen", with(frozen(&["embedding.*", "block.*"]))),
        ("soft caps", Architecture { score_cap: Some(1.5), logit_cap: Some(2.0), ..model.clone() }),
        ("packed", Architecture { packed: true, ..model.clone() }),
        (
            "preferences",
            Architecture {
                packed: true,
                preference: Some(preference),
                context: LENGTH,
                ..model.clone()
            },
        ),
    ]
}

/// Records a step: with every value kept, or with this number of blocks computed again.
fn recorded(model: &Architecture, blocks: Option<usize>) -> RecordedStep<f32> {
    let mut step = match blocks {
        None => RecordedStep::record(model, SEQUENCES, LENGTH, Form::Fused, 4),
        Some(blocks) => RecordedStep::record_recomputing(model, SEQUENCES, LENGTH, 4, blocks),
    }
    .unwrap();
    if model.adaptation.frozen.is_none() {
        let list = model.parameter_list().unwrap();
        let exact = models::parameters(9, &list);
        step.set_weights(
            &exact.into_iter().map(|x| bf16_to_f32(f64_to_bf16(x))).collect::<Vec<_>>(),
        );
    }
    step.initialise_adapters(3);
    for (i, p) in step.tape_mut().parameters_mut().iter_mut().enumerate() {
        *p += (0.1 * (1.7 * i as f64).sin()) as f32;
    }
    step
}

/// The bits of losses, gradients and weights of three steps of descent; those of 0 for −0, because a gradient that is written
/// may be −0 where one that is added to is 0.
fn trained(model: &Architecture, blocks: Option<usize>) -> Vec<u32> {
    let mut step = recorded(model, blocks);
    let (n, mut seen) = (SEQUENCES * LENGTH, vec![]);
    for number in 0..3 {
        let (tokens, mut targets) = models::batch(40 + number, model, n);
        if model.packed {
            // Two sequences in each window, of unequal length; of preferences, the two sides of a pair.
            (targets[2], targets[LENGTH + 4]) = (LAST, LAST);
            targets[LENGTH - 1] = IGNORED;
        }
        step.set_batch(&tokens, &targets).unwrap();
        if model.preference.is_some() {
            step.set_reference(draw::normal(70 + number, 1, n).map(|x| 2.0 + x.abs()).as_slice());
        }
        step.set_step(Some(number));
        let loss = step.loss_var();
        let tape = step.tape_mut();
        tape.forget_gradients();
        tape.forward_and_backward(loss, 0.5);
        let bits = |x: &f32| {
            assert!(x.is_finite());
            (x + 0.0).to_bits()
        };
        seen.extend(tape.elements(loss).iter().chain(tape.gradients()).map(bits));
        let (parameters, gradients) = tape.parameters_and_gradients();
        parameters.iter_mut().zip(gradients).for_each(|(p, g)| *p -= 0.1 * *g);
        seen.extend(tape.parameters().iter().map(bits));
    }
    assert!(seen.iter().any(|&bits| bits != 0));
    seen
}

#[test]
fn no_bit_depends_on_the_number_of_blocks() {
    let pools = [1, 2].map(|n| ThreadPoolBuilder::new().num_threads(n).build().expect("a pool"));
    let (mut tried, mut refused) = (0, 0);
    for name in family::architectures() {
        for (variant, model) in variants(&models::family(name, &sizes())) {
            if model.validate().is_err() {
                refused += 1; // two parts that exclude each other
                continue;
            }
            tried += 1;
            let expected = pools[0].install(|| trained(&model, None));
            for (blocks, pool) in (0..=LAYERS).flat_map(|n| pools.iter().map(move |p| (n, p))) {
                let found = pool.install(|| trained(&model, Some(blocks)));
                assert!(found == expected, "{name}, {variant}: {blocks} blocks computed again");
            }
        }
    }
    assert!(tried > 100 && 10 * refused < tried, "{tried} models, {refused} refused");
}

/// Returns the bytes that a tape allocated.
fn bytes(tape: &Tape<f32>) -> u128 {
    let m = tape.memory();
    let weights = m.parameters + m.parameter_gradients + m.frozen;
    (weights + m.values + m.gradients + m.kept + m.scratch) as u128
}

/// A model deep enough that its blocks' values are most of its memory.
fn deep() -> Architecture {
    Architecture { layers: 8, context: 32, ..sizes() }
}

/// For every budget: the recording takes no more, fewer blocks would, and where none does, the error says the least.
#[test]
fn as_few_blocks_as_the_budget_needs() {
    let (sequences, length) = (3, 32);
    let with = |adaptation| Architecture { adaptation, ..deep() };
    for model in [deep(), with(frozen(&["embedding.*", "block.0.*", "block.1.*"]))] {
        let of = |blocks| {
            let step =
                RecordedStep::<f32>::record_recomputing(&model, sequences, length, 0, blocks);
            step.unwrap()
        };
        // Nothing is computed again of what is frozen, with all below it.
        let most = of(usize::MAX).recomputed_blocks();
        assert_eq!(most, if model.adaptation.is_none() { 8 } else { 6 });
        let sizes: Vec<u128> = (0..=most).map(|blocks| bytes(of(blocks).tape())).collect();
        assert!(sizes[most] < sizes[0] * 3 / 5, "{sizes:?}");
        let least = *sizes.iter().min().unwrap();
        let budgets = sizes.iter().flat_map(|&size| [size - 1, size, size + 1, size + 4096]);
        let mut chosen = vec![];
        for budget in budgets {
            match RecordedStep::<f32>::record_within(&model, sequences, length, 0, budget) {
                Ok(step) => {
                    let blocks = step.recomputed_blocks();
                    assert!(bytes(step.tape()) <= budget);
                    assert!(sizes[..blocks].iter().all(|&fewer| fewer > budget));
                    chosen.push(blocks);
                }
                Err(e) => {
                    assert_eq!(e, ModelError::Budget { needed: least, budget });
                    assert!(budget < least);
                }
            }
        }
        assert!((0..=most).filter(|n| chosen.contains(n)).count() > most / 2, "{chosen:?}");
    }
}

/// A run within a budget has the bits of one without, takes no more than the budget, and reports what is computed again.
#[test]
fn a_run_within_a_budget() {
    let config = TrainingConfig {
        layers: 8,
        width: 32,
        heads: 2,
        context: 32,
        batch: 6,
        dropout: 0.1,
        average: Some(0.9),
        clip: 0.1,
        ..models::training()
    };
    let model = config.model(17).unwrap();
    let text = draw::below(3, 2000, 17);
    let corpus = Corpus::text(text, 0.1, config.context).unwrap();
    let run = |memory: Option<Bytes>| {
        let config = TrainingConfig { memory, ..config.clone() };
        let mut trainer = Trainer::<f32>::new(config, &model).unwrap();
        for _ in 0..3 {
            trainer.step(&corpus).unwrap();
        }
        let loss = trainer.evaluate(&corpus).unwrap().loss;
        let state = trainer.state().into_iter().flat_map(|(_, numbers)| numbers.to_vec());
        let state: Vec<u32> = state.map(|x: f32| x.to_bits()).collect();
        let profile = Profile::of(&mut trainer, &corpus, 1).unwrap();
        let memory = trainer.memory();
        (trainer.model().recomputed_blocks(), (state, loss.to_bits()), memory, profile)
    };
    let (none, expected, all, profile) = run(None);
    assert_eq!((none, profile.recomputed_flops()), (0, 0));
    let tight = TrainingConfig { memory: Some(Bytes(1)), ..config.clone() };
    let refused = Trainer::<f32>::new(tight, &model).unwrap_err();
    let ModelError::Budget { needed, budget: 1 } = refused else { panic!("{refused}") };
    let least = u64::try_from(needed).unwrap();
    let said = refused.to_string();
    for part in
        ["at least", "the budget is 1 bytes", "smaller batch", "lora", "frozen", "larger budget"]
    {
        assert!(said.contains(part), "{said}");
    }
    let most = u64::try_from(all.total()).unwrap();
    assert!(least < most);
    let mut numbers = vec![];
    for budget in [most, most - 1, (least + most) / 2, least] {
        let (blocks, found, memory, own) = run(Some(Bytes(budget)));
        assert!(found == expected, "{blocks} blocks");
        assert!(memory.total() <= budget.into());
        assert_eq!(memory.optimizer, all.optimizer);
        assert_eq!(own.flops(), profile.flops());
        // A block's forward replay, but the products that nothing reads.
        let forward: u64 = own.operations.iter().map(|c| c.forward_flops).sum();
        let share = own.recomputed_flops() as f64 / (own.replays as u64 * forward) as f64;
        let expected = blocks as f64 / 8.0;
        assert!(share <= expected + 0.15 && share >= 0.4 * expected, "{blocks} blocks: {share}");
        numbers.push(blocks);
    }
    assert_eq!(numbers[0], 0);
    assert!(numbers.is_sorted() && numbers[3] > 4, "{numbers:?}");
    let refused = TrainingConfig { memory: Some(Bytes(least - 1)), ..config };
    assert!(Trainer::<f32>::new(refused, &model).is_err());
}
