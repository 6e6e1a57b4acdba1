//! Learning from a teacher: the loss and its gradients are the paper's, in both recordings; a teacher without weight changes
//! nothing; and how its logits came does not matter.

use calculus::Var;
use infotheory::objective::distillation::{self, Distillation};
use linalg::{Matrix, Real};
use std::sync::Arc;
use tests::models::{self, distance, loss_and_gradients};
use tests::{draw, tolerance};
use transformer::disk::{KeptFor, KeptLogits};
use transformer::text::conversation::Marked;
use transformer::text::teacher::{Teacher, Windows};
use transformer::{
    Adaptation, Architecture, Corpus, Evaluation, Form, FrozenWeights, LiveTeacher, ModelError,
    RecordedStep, Trainer, TrainingConfig, is_counted,
};

const SIZE: (usize, usize) = (3, 5);
const TOKENS: usize = SIZE.0 * SIZE.1;
const WORDS: usize = 7;

fn all() -> impl Iterator<Item = Distillation> {
    let weights = [0.0, 0.5, 1.0];
    let all = [1.0, 2.0, 4.0].into_iter().flat_map(move |t| weights.map(|weight| (t, weight)));
    all.map(|(temperature, weight)| Distillation { temperature, weight })
}

fn student(distillation: Option<Distillation>, form: Form, cap: Option<f64>) -> RecordedStep<f64> {
    let config = Architecture { distillation, logit_cap: cap, ..models::config() };
    models::model(&config, SIZE, form, 5)
}

/// The teacher's logits: far from the student's.
fn teacher() -> Matrix<f64> {
    3.0 * draw::normal(77, WORDS, TOKENS)
}

/// The same, of which all but so many of each token are excluded.
fn largest(top: usize) -> Matrix<f64> {
    let mut logits = teacher();
    for mut column in logits.column_iter_mut() {
        let mut sorted: Vec<f64> = column.iter().copied().collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        column.iter_mut().filter(|z| **z < sorted[top - 1]).for_each(|z| *z = f64::NEG_INFINITY);
    }
    logits
}

fn softmax(z: &[f64]) -> Vec<f64> {
    let most = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = z.iter().map(|z| (z - most).exp()).sum();
    z.iter().map(|z| (z - most).exp() / sum).collect()
}

/// The loss of the paper and its gradients, from the logits of a plain recording: the gradient of the logits is written into
/// its backward replay.
fn expected(
    Distillation { temperature, weight }: Distillation,
    teacher: &Matrix<f64>,
    cap: Option<f64>,
) -> (f64, Vec<f64>) {
    let mut plain = student(None, Form::Textbook, cap);
    let (tokens, targets) = models::batch(505, &models::config(), TOKENS);
    plain.set_batch(&tokens, &targets).unwrap();
    plain.tape_mut().forward();
    let logits = plain.logits_var().unwrap();
    let z = plain.tape().value(logits).into_owned();
    let counted = targets.iter().filter(|t| is_counted(**t)).count() as f64;
    let (mut loss, mut dz) = (0.0, vec![]);
    for ((z, t), &target) in z.column_iter().zip(teacher.column_iter()).zip(&targets) {
        let at = |x: &[f64], t: f64| softmax(&x.iter().map(|x| x / t).collect::<Vec<_>>());
        let [z, t] = [z, t].map(|column| column.iter().copied().collect::<Vec<_>>());
        if !is_counted(target) {
            dz.extend([0.0; WORDS]);
            continue;
        }
        let (p, own, theirs) = (at(&z, 1.0), at(&z, temperature), at(&t, temperature));
        let kl: f64 = theirs
            .iter()
            .zip(&own)
            .map(|(q, p)| if *q == 0.0 { 0.0 } else { q * (q / p).ln() })
            .sum();
        let nats = -p[target as usize].ln();
        loss += ((1.0 - weight) * nats + weight * temperature.powi(2) * kl) / counted;
        dz.extend((0..WORDS).map(|i| {
            let hit = f64::from(u8::from(i == target as usize));
            let soft = weight * temperature * (own[i] - theirs[i]);
            ((1.0 - weight) * (p[i] - hit) + soft) / counted
        }));
    }
    let loss_var = plain.loss_var();
    let write = |var: Var, gradient: &mut [f64]| {
        if var == logits {
            gradient.copy_from_slice(&dz);
        }
    };
    plain.tape_mut().zero_gradients();
    plain.tape_mut().forward_and_backward_watched(loss_var, 1.0, |_, _| {}, write);
    (loss, plain.tape().gradients().to_vec())
}

fn found(
    distillation: Distillation,
    form: Form,
    teacher: &Matrix<f64>,
    cap: Option<f64>,
) -> (f64, Vec<f64>) {
    let mut model = student(Some(distillation), form, cap);
    model.set_teacher(teacher.as_slice());
    loss_and_gradients(&mut model)
}

#[test]
fn the_loss_is_the_papers() {
    let bound = tolerance::sum(256 * TOKENS);
    for (i, distillation) in all().enumerate() {
        for teacher in [teacher(), largest(WORDS), largest(3), largest(1)] {
            let cap = Some(2.0).filter(|_| i % 2 == 1);
            let expected = expected(distillation, &teacher, cap);
            for form in [Form::Fused, Form::Textbook] {
                let found = found(distillation, form, &teacher, cap);
                let error =
                    distance(&[expected.0], &[found.0]).max(distance(&expected.1, &found.1));
                assert!(error <= bound, "{distillation:?}, {form:?}: {error:e}");
            }
        }
    }
}

/// The law can fail: without T², with the divergence the wrong way round, or with the teacher's next token, the loss is another.
#[test]
fn other_losses_are_not_the_papers() {
    let (t, teacher) = (2.0, teacher());
    let distillation = Distillation { temperature: t, weight: 1.0 };
    let right = expected(distillation, &teacher, None).0;
    let mut plain = student(None, Form::Textbook, None);
    plain.tape_mut().forward();
    let z = plain.tape().value(plain.logits_var().unwrap()).into_owned();
    let targets = models::batch(505, &models::config(), TOKENS).1;
    let mean = |turned: bool, by: usize| {
        let columns = (0..TOKENS).filter(|&j| is_counted(targets[j]));
        let nats: Vec<f64> = columns
            .map(|j| {
                let (z, t) = (z.column(j), teacher.column((j + by) % TOKENS));
                let pair = if turned { [z, t] } else { [t, z] };
                let [a, b] = pair.map(|column| column.iter().copied().collect::<Vec<_>>());
                distillation::loss(&a, &b, 2.0).unwrap().0
            })
            .collect();
        nats.iter().sum::<f64>() / nats.len() as f64
    };
    assert!(distance(&[right], &[mean(false, 0)]) <= tolerance::sum(256 * TOKENS));
    for other in [right / (t * t), mean(true, 0), mean(false, 1)] {
        assert!((other / right - 1.0).abs() > tolerance::MISTAKE, "{other} {right}");
    }
}

/// A student that predicts as its teacher does has nothing to learn from it.
#[test]
fn the_teacher_itself_learns_nothing() {
    let (tokens, targets) = models::batch(505, &models::config(), TOKENS);
    for temperature in [1.0, 2.0, 4.0] {
        let distillation = Distillation { temperature, weight: 1.0 };
        let far = found(distillation, Form::Fused, &teacher(), None).1;
        for form in [Form::Fused, Form::Textbook] {
            let mut model = student(Some(distillation), form, None);
            let own = model.logits_at((&tokens, &targets), &(0..TOKENS).collect::<Vec<_>>());
            let own = own.unwrap();
            model.set_batch(&tokens, &targets).unwrap();
            model.set_teacher(own.as_slice());
            let (loss, gradients) = loss_and_gradients(&mut model);
            let bound = tolerance::sum(64 * TOKENS);
            assert!(loss.abs() <= bound, "{form:?}: {loss:e}");
            let size = |g: &[f64]| g.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
            assert!(size(&gradients) <= bound * size(&far), "{form:?}: {:e}", size(&gradients));
        }
    }
}

/// A teacher whose logits were never set does not pass for one: the loss is not a number.
#[test]
fn a_batch_without_its_teacher_has_no_loss() {
    let distillation = Distillation { temperature: 2.0, weight: 0.5 };
    for form in [Form::Fused, Form::Textbook] {
        let mut model = student(Some(distillation), form, None);
        assert!(loss_and_gradients(&mut model).0.is_nan());
        model.set_teacher(teacher().as_slice());
        assert!(loss_and_gradients(&mut model).0.is_finite());
        let (tokens, targets) = models::batch(1, &models::config(), TOKENS);
        model.set_batch(&tokens, &targets).unwrap();
        assert!(loss_and_gradients(&mut model).0.is_nan());
    }
}

const LENGTH: usize = 16;

/// Conversations whose answers are of unequal lengths.
fn conversations() -> Corpus {
    let marked = |seed: u64| {
        let length = 4 + seed as usize % 9;
        let tokens = draw::below(seed, length, WORDS);
        vec![Marked { tokens, answer: (0..length).map(|i| i >= 2).collect(), dropped: 0 }]
    };
    let held_back = (100..106).map(marked).collect();
    Corpus::conversations((0..40).map(marked).collect(), held_back, 0, LENGTH).expect("answers")
}

fn text() -> Corpus {
    Corpus::text((0..600_u32).map(|i| (i * i + i / 7) % 7).collect(), 0.2, LENGTH).unwrap()
}

fn training(answers: bool, top: Option<usize>) -> TrainingConfig {
    TrainingConfig {
        answers,
        teacher: Some("elsewhere".to_owned()),
        teacher_top: top,
        temperature: Some(1.5),
        clip: 0.0,
        ..models::training()
    }
}

/// A teacher of other sizes, with the parts of a Llama, for so many words.
fn live(config: &TrainingConfig, words: usize) -> Arc<LiveTeacher> {
    let model = Architecture { vocabulary: words, context: LENGTH, ..models::llama() };
    let weights = models::parameters(41, &model.parameter_list().unwrap());
    let weights: Vec<f32> = weights.into_iter().map(|x| x as f32).collect();
    Arc::new(LiveTeacher::new(&model, &weights, config).unwrap())
}

/// The corpus, with its teacher.
fn taught(config: &TrainingConfig) -> Corpus {
    let mut corpus = if config.answers { conversations() } else { text() };
    corpus.set_teacher(Some(live(config, WORDS)));
    corpus
}

/// The losses of three steps, the weights after them, and what is measured then.
fn trained<T: Real>(config: &TrainingConfig, corpus: &Corpus) -> (Vec<f64>, Vec<T>, Evaluation) {
    let mut trainer = Trainer::<T>::new(config.clone(), &config.model(WORDS).unwrap()).unwrap();
    let losses = (0..3).map(|_| trainer.step(corpus).unwrap().loss).collect();
    let go_on = |_, _| std::ops::ControlFlow::Continue(());
    let measured = trainer.evaluate_sample(corpus, 1 << 20, go_on).unwrap().unwrap();
    (losses, trainer.model().tape().parameters().to_vec(), measured)
}

/// Without weight, a teacher changes no bit; with some, it does. On held-back text, the loss is that of the text.
#[test]
fn a_teacher_without_weight_changes_no_bit() {
    for answers in [false, true] {
        let config = training(answers, None);
        let corpus = taught(&config);
        let alone = TrainingConfig { teacher: None, temperature: None, ..config.clone() };
        let (losses, weights, measured) = trained::<f32>(&alone, &corpus);
        let none = TrainingConfig { teacher_weight: Some(0.0), ..config.clone() };
        let (own, own_weights, own_measured) = trained::<f32>(&none, &corpus);
        assert_eq!((&losses, &weights), (&own, &own_weights));
        assert!(own_measured.teacher_divergence.is_some_and(|nats| nats > 0.0));
        assert_eq!(measured, Evaluation { teacher_divergence: None, ..own_measured });
        let (own, taught, measured) = trained::<f32>(&config, &corpus);
        assert!(own[0] != losses[0] && taught != weights);
        // What is measured is the plain model with these weights.
        let model = alone.model(WORDS).unwrap();
        let sequences = config.sequences_at_once();
        let mut plain =
            RecordedStep::<f32>::record_forward_only(&model, sequences, LENGTH, Form::Fused);
        let plain = plain.as_mut().unwrap();
        plain.copy_parameters(&taught);
        let expected = Evaluation::of(plain, &corpus.validation_windows(LENGTH)).unwrap();
        assert!((measured.loss / expected.loss - 1.0).abs() <= 1e-6, "{measured:?} {expected:?}");
        assert_eq!((measured.tokens, measured.answers), (expected.tokens, expected.answers));
    }
}

/// What is measured is KL(teacher ‖ student), the mean over held-back tokens.
#[test]
fn the_divergence_is_measured_from_the_teacher() {
    let config = training(false, None);
    let corpus = taught(&config);
    let (_, weights, measured) = trained::<f32>(&config, &corpus);
    let model = config.model(WORDS).unwrap().base();
    let sequences = config.sequences_at_once();
    let mut student =
        RecordedStep::<f32>::record_forward_only(&model, sequences, LENGTH, Form::Fused).unwrap();
    student.copy_parameters(&weights);
    let mut windows = corpus.validation_sample(LENGTH, sequences * LENGTH);
    windows.truncate(sequences);
    let tokens: Vec<u32> = windows.iter().flat_map(|w| w.tokens.clone()).collect();
    let targets: Vec<u32> = windows.iter().flat_map(|w| w.targets.clone()).collect();
    let mut theirs = vec![0.0; WORDS * tokens.len()];
    let all = Windows { numbers: None, length: LENGTH, tokens: &tokens, targets: &targets };
    corpus.teacher().unwrap().logits(all, &mut theirs).unwrap();
    let places: Vec<usize> = (0..tokens.len()).filter(|&i| is_counted(targets[i])).collect();
    assert!(places.len() <= 128, "all are measured");
    let own = student.logits_at((&tokens, &targets), &places).unwrap();
    let wide = |z: &[f32]| z.iter().map(|&z| f64::from(z)).collect::<Vec<_>>();
    let kl = |(&place, own): (&usize, &[f32])| {
        let theirs = wide(&theirs[place * WORDS..(place + 1) * WORDS]);
        distillation::loss(&theirs, &wide(own), 1.0).unwrap().0
    };
    let sum: f64 = places.iter().zip(own.as_slice().chunks(WORDS)).map(kl).sum();
    let expected = sum / places.len() as f64;
    let found = measured.teacher_divergence.unwrap();
    assert!((found / expected - 1.0).abs() <= 1e-5, "{found} {expected}");
}

/// A corpus that has no teacher is refused by name.
#[test]
fn a_run_without_its_teacher_is_refused() {
    let config = training(false, None);
    let mut trainer = Trainer::<f32>::new(config.clone(), &config.model(WORDS).unwrap()).unwrap();
    assert_eq!(trainer.step(&text()), Err(ModelError::NoTeacher));
    assert!(trainer.step(&taught(&config)).unwrap().applied);
}

/// Every predicted token of a step has the same weight however its windows are cut, also where their numbers of answers'
/// tokens differ.
#[test]
fn a_step_with_a_teacher_does_not_depend_on_the_cut() {
    for answers in [false, true] {
        let losses = |batch, accumulate| {
            let config = TrainingConfig { batch, accumulate, ..training(answers, None) };
            trained::<f64>(&config, &taught(&config)).0
        };
        let whole = losses(8, 1);
        for (batch, accumulate) in [(1, 8), (2, 4), (4, 2)] {
            let error = distance(&whole, &losses(batch, accumulate));
            // The teacher is in f32: its predictions differ by their rounding.
            assert!(error <= 1e-5, "{batch} x {accumulate}: {error:e}");
        }
    }
}

#[test]
fn threads_change_no_bit() {
    let config = training(true, None);
    let of = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| trained::<f32>(&config, &taught(&config)))
    };
    assert_eq!(of(1), of(2));
}

/// Keeps the logits of all windows of a run of so many steps.
fn kept(
    config: &TrainingConfig,
    corpus: &Corpus,
    path: &std::path::Path,
    steps: u64,
) -> KeptLogits {
    let top = config.teacher_top.unwrap_or(WORDS);
    let [teacher, data] = ["a", "b"].map(str::to_owned);
    let about = KeptFor { vocabulary: WORDS, length: LENGTH, top, teacher, data };
    let mut kept = KeptLogits::open(path, about).unwrap();
    let windows = steps * (config.batch * config.accumulate) as u64;
    let all: Vec<_> =
        corpus.taught(LENGTH, config.sequences_at_once(), (config.seed, 0..windows)).collect();
    for some in all.chunks(config.sequences_at_once()) {
        let tokens: Vec<u32> = some.iter().flat_map(|(_, w)| w.tokens.clone()).collect();
        let targets: Vec<u32> = some.iter().flat_map(|(_, w)| w.targets.clone()).collect();
        let mut logits = vec![0.0; WORDS * tokens.len()];
        let own = Windows { numbers: None, length: LENGTH, tokens: &tokens, targets: &targets };
        corpus.teacher().unwrap().logits(own, &mut logits).unwrap();
        for ((number, _), logits) in some.iter().zip(logits.chunks(WORDS * LENGTH)) {
            assert!(!kept.has(*number), "each once");
            kept.push(*number, logits).unwrap();
        }
    }
    kept
}

/// All logits, kept, are the teacher itself; of some, the kept ones are those that it says; and what is not kept is refused.
#[test]
fn kept_logits_are_the_teachers() {
    let directory = tempfile::tempdir().unwrap();
    for (i, (answers, top)) in [
        (false, None),
        (false, Some(WORDS)),
        (true, Some(WORDS)),
        (false, Some(3)),
        (true, Some(2)),
    ]
    .into_iter()
    .enumerate()
    {
        let config = training(answers, top);
        let mut corpus = taught(&config);
        let live = trained::<f32>(&config, &corpus);
        let path = directory.path().join(i.to_string());
        let kept = kept(&config, &corpus, &path, 3);
        corpus.set_teacher(Some(Arc::new(kept)));
        let found = trained::<f32>(&config, &corpus);
        // A window that stands elsewhere in its batch may be rounded otherwise.
        match answers {
            false => assert_eq!(found, live),
            true => assert!(distance(&found.0, &live.0) <= 1e-6, "{:?} {:?}", found.0, live.0),
        }
        let more = TrainingConfig { seed: 9, ..config.clone() };
        let mut trainer = Trainer::<f32>::new(more.clone(), &more.model(WORDS).unwrap()).unwrap();
        if !answers {
            assert_eq!(trainer.step(&corpus), Err(ModelError::NoTeacher));
        }
    }
}

/// With few logits the student learns another teacher than with all.
#[test]
fn fewer_logits_are_another_teacher() {
    let of = |top| {
        let config = training(false, top);
        trained::<f32>(&config, &taught(&config)).0
    };
    let (all, some) = (of(None), of(Some(2)));
    assert_eq!(all, of(Some(WORDS)));
    assert!((all[0] / some[0] - 1.0).abs() > tolerance::MISTAKE, "{all:?} {some:?}");
}

/// Tables of other sizes than the student's: words that only one of the two has are excluded, or left out.
#[test]
fn tables_may_have_other_sizes() {
    let config = training(false, None);
    let corpus = text();
    let windows = corpus.validation_sample(LENGTH, 2 * LENGTH);
    let tokens: Vec<u32> = windows.iter().flat_map(|w| w.tokens.clone()).collect();
    let targets: Vec<u32> = windows.iter().flat_map(|w| w.targets.clone()).collect();
    let own = Windows { numbers: None, length: LENGTH, tokens: &tokens, targets: &targets };
    let logits = |words: usize| {
        let mut logits = vec![f32::NAN; words * tokens.len()];
        live(&config, WORDS).logits(own, &mut logits).unwrap();
        logits
    };
    let (equal, more, fewer) = (logits(WORDS), logits(WORDS + 2), logits(WORDS - 1));
    for (j, own) in equal.chunks(WORDS).enumerate() {
        let wider = &more[j * (WORDS + 2)..(j + 1) * (WORDS + 2)];
        assert_eq!((&wider[..WORDS], &wider[WORDS..]), (own, &[f32::NEG_INFINITY; 2][..]));
        assert_eq!(&fewer[j * (WORDS - 1)..(j + 1) * (WORDS - 1)], &own[..WORDS - 1]);
    }
}

/// Matrices that are kept as bfloat16 predict the same bits.
#[test]
fn a_teacher_of_16_bits_predicts_the_same() {
    let config = training(false, None);
    let model = Architecture { vocabulary: WORDS, context: LENGTH, ..models::llama() };
    let list = model.parameter_list().unwrap();
    let rounded = |x: &f64| f32::from_bits((*x as f32).to_bits() & 0xffff_0000);
    let weights: Vec<f32> = models::parameters(41, &list).iter().map(rounded).collect();
    let matrix = |p: &&calculus::Parameter| p.shape.columns > 1;
    let freeze: Vec<String> = list.iter().filter(matrix).map(|p| p.name.clone()).collect();
    let frozen = FrozenWeights::of(&list, &weights, |name| freeze.iter().any(|own| own == name));
    assert!(frozen.shared() > 0 && frozen.shared() == frozen.len());
    let vectors = list.iter().filter(|p| !matrix(p)).flat_map(|p| &weights[p.range.clone()]);
    let vectors: Vec<f32> = vectors.copied().collect();
    let adaptation = Adaptation { freeze, frozen: Some(frozen), ..Adaptation::default() };
    let kept = Architecture { adaptation, ..model.clone() };
    let tokens = draw::below(3, 3 * LENGTH, WORDS);
    let own = Windows { numbers: None, length: LENGTH, tokens: &tokens, targets: &tokens };
    let of = |model: &Architecture, weights: &[f32]| {
        let mut logits = vec![f32::NAN; WORDS * tokens.len()];
        let teacher = LiveTeacher::new(model, weights, &config).unwrap();
        teacher.logits(own, &mut logits).unwrap();
        logits
    };
    assert_eq!(of(&model, &weights), of(&kept, &vectors));
}

/// A shorter window, filled up, is predicted as it is at its own length.
#[test]
fn shorter_windows_are_predicted_as_they_are() {
    let short = 5;
    let config = training(false, None);
    let tokens = draw::below(3, 2 * short, WORDS);
    let own = Windows { numbers: None, length: short, tokens: &tokens, targets: &tokens };
    let of = |context: usize| {
        let config = TrainingConfig { context, ..config.clone() };
        let mut logits = vec![f32::NAN; WORDS * tokens.len()];
        live(&config, WORDS).logits(own, &mut logits).unwrap();
        logits.into_iter().map(f64::from).collect::<Vec<_>>()
    };
    assert!(distance(&of(short), &of(LENGTH)) <= 1e-5);
    let mut logits = vec![0.0; WORDS * 2 * LENGTH];
    let longer = draw::below(3, 2 * LENGTH, WORDS);
    let own = Windows { numbers: None, length: 2 * LENGTH, tokens: &longer, targets: &longer };
    let refused = live(&config, WORDS).logits(own, &mut logits);
    assert_eq!(refused, Err(ModelError::Length { found: 2 * LENGTH, context: LENGTH }));
}
