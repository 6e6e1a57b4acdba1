//! Certificates of a run that changes only some weights of a model, or adapters beside them.

use super::patience::{F64, dear, seconds};
use super::{Certificate, norm, recorded, rounding, short};
use crate::inspect::subject::ModelStep;
use crate::model::architecture::Architecture;
use crate::model::recorded_step::{Form, ModelError};
use crate::streams;
use crate::text::corpus::Corpus;
use crate::training::config::TrainingConfig;
use crate::training::trainer::Trainer;
use probability::random::Random;

const BEGINS: (&str, &str) = ("start", "adapters begin as the model itself");
const MERGED: (&str, &str) = ("right", "merged adapters predict the same");
const STILL: (&str, &str) = ("complete", "frozen weights do not change");
const MOVES: (&str, &str) = ("complete", "all that is learned moves");

/// Runs the certificates of a model of which not every weight is learned; none for other models.
///
/// # Errors
/// If the step cannot be recorded.
pub(super) fn each(
    patience: f64,
    (config, step): (&TrainingConfig, &ModelStep<'_>),
    learned: &[f32],
    corpus: &Corpus,
    mut tell: impl FnMut(Certificate),
) -> Result<(), ModelError> {
    if step.config.adaptation.is_none() {
        return Ok(());
    }
    if step.config.adaptation.adapter.is_some() {
        let wide: Vec<f64> = learned.iter().map(|&p| f64::from(p)).collect();
        let tokens = (step.sequences * step.length) as f64;
        let forward = tokens * step.config.parameters() as f64;
        if let Some(why) = dear(seconds(F64, 4.0 * forward), patience) {
            let all = [BEGINS, MERGED, STILL, MOVES];
            all.into_iter().for_each(|name| tell(Certificate::skipped(name, &why)));
            return Ok(());
        }
        let plain = step.with_cross_entropy();
        tell(begins(config, &plain)?);
        let merged = plain.recorded::<f64>(Form::Fused)?.merged(&wide).into_owned();
        tell(same_predictions(&plain, &wide, &merged)?);
    }
    moves(config, &step.config, learned, corpus)?.into_iter().for_each(tell);
    Ok(())
}

/// Returns parameters at which every adapter has a gradient: while a B is 0, its A has none, so that such a B is given
/// numbers. Rules are certified at any parameters.
pub(super) fn moved(model: &Architecture, learned: &[f64]) -> Result<Vec<f64>, ModelError> {
    let mut learned = learned.to_vec();
    for (k, place) in model.adapters()?.into_iter().enumerate() {
        let b = &mut learned[place.b.range];
        if b.iter().all(|&x| x == 0.0) {
            let random = Random::new(0, streams::DIRECTIONS, k as u32);
            b.iter_mut().enumerate().for_each(|(i, x)| *x = 0.02 * random.normal(i as u64));
        }
    }
    Ok(learned)
}

/// Compares the loss of a batch with adapters as they begin with the loss of the model without adapters: the same number,
/// because B is 0, and adding 0 changes none.
fn begins(config: &TrainingConfig, step: &ModelStep<'_>) -> Result<Certificate, ModelError> {
    let (tokens, targets) = (step.batches)(0);
    let mut begun = step.recorded::<f64>(Form::Fused)?;
    begun.initialise_adapters(config.seed);
    let loss = begun.loss(&tokens, &targets)?;
    let plain = ModelStep { config: step.config.base(), ..step.clone() };
    let mut alone = plain.recorded::<f64>(Form::Fused)?;
    // With adapters, every weight of the model is frozen.
    alone.copy_parameters(&begun.tape().frozen());
    let own = alone.loss(&tokens, &targets)?;
    let detail =
        format!("difference of the losses before training and without adapters, {own:.6} nats");
    Ok(Certificate::at_most(BEGINS, (loss - own).abs(), 0.0, detail))
}

/// Compares what each token's logits are computed from, in the model with adapters and in one with these weights: the same
/// sums in another order. The limit is 8ε·(16 + √parameters + longest sum) for every layer, relative to the norm.
fn same_predictions(
    step: &ModelStep<'_>,
    learned: &[f64],
    merged: &[f64],
) -> Result<Certificate, ModelError> {
    let plain = ModelStep { config: step.config.base(), ..step.clone() };
    let [own, other] = [(step, learned), (&plain, merged)].map(|(step, parameters)| {
        let mut recording = recorded::<f64>(step, parameters)?;
        recording.forward();
        let last = recording.predictions().expect("a model's predictions");
        Ok::<_, ModelError>(recording.tape.elements(last).to_vec())
    });
    let (own, other) = (own?, other?);
    let difference: Vec<f64> = own.iter().zip(&other).map(|(a, b)| a - b).collect();
    let error = norm(&difference) / norm(&own);
    let model = &step.config;
    let limit = model.layers as f64 * rounding(merged.len(), model.width.max(model.hidden));
    let detail = "the vectors that logits are computed from, with W + s·B·A in place of both; relative to their norm";
    Ok(Certificate::at_most(MERGED, error, limit, detail))
}

/// Takes three steps of training: what is frozen must be the same to the bit, and every learned tensor must have moved. (A
/// does not move in a first step, while B is 0.)
fn moves(
    config: &TrainingConfig,
    model: &Architecture,
    learned: &[f32],
    corpus: &Corpus,
) -> Result<[Certificate; 2], ModelError> {
    const STEPS: u64 = 3;
    let small = TrainingConfig {
        batch: config.batch.clamp(1, 2),
        accumulate: 1,
        context: short(config, corpus),
        steps: STEPS,
        time: None,
        warmup: 0,
        decay_steps: None,
        ..config.clone()
    };
    let mut trainer = Trainer::<f32>::new(small, model)?;
    trainer.state()[0].1.copy_from_slice(learned);
    let before = trainer.model().tape().frozen().into_owned();
    for _ in 0..STEPS {
        if !trainer.step(corpus)?.applied {
            let why = "the loss, a gradient or an update is not finite in f32";
            return Ok(
                [STILL, MOVES].map(|name| Certificate::between(name, f64::NAN, (0.0, 0.0), why))
            );
        }
    }
    let tape = trainer.model().tape();
    let differ = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
    let changed = before.iter().zip(&tape.frozen()[..]).filter(|&pair| differ(pair)).count();
    let list = tape.parameter_list();
    let unmoved: Vec<&str> = list
        .iter()
        .filter(|p| {
            let (own, now) = (&learned[p.range.clone()], &tape.parameters()[p.range.clone()]);
            !own.iter().zip(now).any(differ)
        })
        .map(|p| &p.name[..])
        .collect();
    let still = format!("weights that {STEPS} steps changed, of {}", before.len());
    let which = unmoved.first().map_or(String::new(), |name| format!(": {name}"));
    let moved = format!("tensors that {STEPS} steps left as they were, of {}{which}", list.len());
    Ok([
        Certificate::at_most(STILL, changed as f64, 0.0, still),
        Certificate::at_most(MOVES, unmoved.len() as f64, 0.0, moved),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::check::{Verdict, passed};
    use crate::model::adaptation::{Adaptation, Adapter, Target};
    use crate::model::frozen::FrozenWeights;
    use crate::training::config::tests::tiny;
    use linalg::half::{bf16_to_f32, f32_to_bf16};

    /// A model with adapters that have moved, and its text.
    fn adapted() -> (TrainingConfig, Architecture, Vec<f32>, Corpus) {
        let config = TrainingConfig { lora: Some(2), dropout: 0.0, ..tiny() };
        let plain = TrainingConfig { lora: None, ..config.clone() }.model(11).unwrap();
        let adapter = Adapter {
            rank: 2,
            alpha: 3.0,
            rank_stabilized: false,
            magnitudes: false,
            dropout: 0.0,
            targets: vec![Target::Query, Target::Projection, Target::Expanded],
        };
        // The first layer's matrices are kept as bfloat16.
        let mut weights = plain.initial_parameters(3).unwrap();
        let half = weights.len() / 2;
        let round = |x: &mut f32| *x = bf16_to_f32(f32_to_bf16(*x));
        weights[..half].iter_mut().for_each(round);
        let list = plain.parameter_list().unwrap();
        let frozen = FrozenWeights::of(&list, &weights, |_| true);
        assert!(frozen.shared() > 0 && frozen.shared() < frozen.len());
        let adapter = Some(adapter);
        let adaptation = Adaptation { adapter, frozen: Some(frozen), ..Adaptation::default() };
        let model = Architecture { adaptation, ..plain };
        let mut learned = model.initial_parameters(5).unwrap();
        learned.iter_mut().enumerate().for_each(|(i, p)| *p += 0.1 * (i as f32).sin());
        let tokens: Vec<u32> = (0..400).map(|i| (i * i % 11) as u32).collect();
        (config, model, learned, Corpus::text(tokens, 0.1, 8).unwrap())
    }

    fn step<'a>(
        config: &TrainingConfig,
        model: &Architecture,
        corpus: &'a Corpus,
    ) -> ModelStep<'a> {
        ModelStep::of_run(config, model, corpus)
    }

    #[test]
    fn an_adapted_model_is_certified() {
        let (config, model, learned, corpus) = adapted();
        let step = step(&config, &model, &corpus);
        let mut all = vec![];
        each(60.0, (&config, &step), &learned, &corpus, |c| all.push(c)).unwrap();
        assert_eq!(all.len(), 4);
        assert!(passed(&all) && all.iter().all(|c| c.verdict == Verdict::Pass), "{all:#?}");
        let plain = ModelStep { config: model.base(), ..step };
        let none = |_| unreachable!("nothing is adapted");
        each(60.0, (&config, &plain), &learned, &corpus, none).unwrap();
    }

    /// Dropped input of adapters is not what the merged model sees, and evaluation drops nothing.
    #[test]
    fn dropout_of_adapters_is_switched_off() {
        let (config, mut model, learned, corpus) = adapted();
        model.adaptation.adapter.as_mut().unwrap().dropout = 0.4;
        let all = super::super::model(&config, &model, Some(&learned), &corpus).unwrap();
        let merged = all.iter().find(|c| c.name == MERGED.1).unwrap();
        assert_eq!(merged.verdict, Verdict::Pass, "{merged:?}");
    }

    /// Weights that were merged with another factor, or of which one adapter is forgotten.
    #[test]
    fn a_wrong_merge_is_found() {
        let (config, model, learned, corpus) = adapted();
        let step = step(&config, &model, &corpus);
        let wide: Vec<f64> = learned.iter().map(|&p| f64::from(p)).collect();
        let merged = |change: &dyn Fn(&mut Adapter)| {
            let mut other = model.clone();
            change(other.adaptation.adapter.as_mut().unwrap());
            let frozen = model.adaptation.frozen.as_ref().unwrap();
            let mut weights: Vec<f64> = frozen.to_vec().into_iter().map(f64::from).collect();
            other.merge(&mut weights, &wide);
            same_predictions(&step, &wide, &weights).unwrap().verdict
        };
        assert_eq!(merged(&|_| {}), Verdict::Pass);
        assert_eq!(merged(&|adapter| adapter.alpha *= 1.001), Verdict::Fail);
        assert_eq!(merged(&|adapter| adapter.rank_stabilized = true), Verdict::Fail);
        let frozen = model.adaptation.frozen.as_ref().unwrap();
        let unmerged: Vec<f64> = frozen.to_vec().into_iter().map(f64::from).collect();
        assert_eq!(same_predictions(&step, &wide, &unmerged).unwrap().verdict, Verdict::Fail);
    }

    /// A run at a rate that is lost in rounding moves nothing.
    #[test]
    fn what_does_not_move_is_found() {
        let (config, model, learned, corpus) = adapted();
        let slow = TrainingConfig { learning_rate: 1e-30, min_learning_rate: 0.0, ..config };
        let [still, moves] = moves(&slow, &model, &learned, &corpus).unwrap();
        assert_eq!((still.verdict, moves.verdict), (Verdict::Pass, Verdict::Fail));
        assert!(moves.detail.contains("adapter.a.weight"), "{}", moves.detail);
    }
}
