//! Measuring a model: nothing is dropped, every token counts once, and how a text is cut does not matter.

use linalg::{Primitive, Shape};
use tests::models::{self, distance, loss_and_gradients};
use tests::{draw, tolerance};
use transformer::text::corpus::Window;
use transformer::{
    Architecture, Corpus, Evaluation, Form, IGNORED, ModelError, RecordedStep, Trainer,
};
use transformer::{TrainingConfig, VocabularyLoss};

fn parameters(config: &Architecture) -> Vec<f64> {
    let model = RecordedStep::<f64>::record(config, 1, 1, Form::Fused, 0).unwrap();
    models::parameters(11, &model.tape().parameter_list())
}

fn model(
    config: &Architecture,
    (sequences, length): (usize, usize),
    form: Form,
) -> RecordedStep<f64> {
    let mut model = RecordedStep::record(config, sequences, length, form, 0).unwrap();
    model.copy_parameters(&parameters(config));
    model
}

/// Windows of five tokens, of which none, some or all targets are ignored.
fn windows(config: &Architecture, count: usize) -> Vec<Window> {
    let window = |w: usize| {
        let mut targets = draw::below(90 + w as u64, 5, config.vocabulary);
        targets.iter_mut().take([0, 3, 5, 1, 4][w % 5]).for_each(|t| *t = IGNORED);
        let tokens = draw::below(40 + w as u64, 5, config.vocabulary);
        Window { tokens, targets, ..Window::default() }
    };
    (0..count).map(window).collect()
}

/// The nats of all targets and their number, window by window, from logits alone.
fn nats(config: &Architecture, windows: &[Window]) -> (f64, usize) {
    let mut model = model(config, (1, 5), Form::Textbook);
    let (mut nats, mut count) = (0.0, 0);
    for window in windows {
        model.loss(&window.tokens, &[0; 5]).unwrap();
        let logits = model.tape().value(model.logits_var().unwrap());
        for (t, &target) in window.targets.iter().enumerate().filter(|(_, t)| **t != IGNORED) {
            let z = logits.column(t);
            nats += z.iter().map(|z| z.exp()).sum::<f64>().ln() - z[target as usize];
            count += 1;
        }
    }
    (nats, count)
}

#[test]
fn every_token_counts_once_in_any_cut() {
    for dropout in [0.0, 0.5] {
        let config = Architecture { dropout, ..models::config() };
        for count in 1..9 {
            let windows = windows(&config, count);
            let (nats, tokens) = nats(&config, &windows);
            for sequences in 1..10 {
                let mut model = model(&config, (sequences, 5), Form::Fused);
                model.set_step(Some(4)); // as training leaves it
                let found = Evaluation::of(&mut model, &windows).unwrap();
                assert_eq!(found.tokens, tokens);
                let error = (found.loss * tokens as f64 - nats).abs() / nats;
                assert!(
                    error <= tolerance::sum(200),
                    "{sequences} at once of {count}: {error:.1e}"
                );
            }
        }
    }
}

#[test]
fn nothing_to_predict_is_an_error() {
    let config = models::config();
    let mut model = model(&config, (2, 5), Form::Fused);
    let targets = vec![IGNORED; 5];
    let empty = Window { tokens: vec![1; 5], targets, ..Window::default() };
    for windows in [vec![], vec![empty.clone()], vec![empty; 3]] {
        assert_eq!(Evaluation::of(&mut model, &windows), Err(ModelError::NoTarget));
    }
}

fn training() -> TrainingConfig {
    let sizes = TrainingConfig { layers: 1, width: 8, batch: 3, ..models::training() };
    TrainingConfig { dropout: 0.5, ..sizes }
}

/// Training knows tokens 0 to 3, the held-back part 3 to 6.
fn corpus(context: usize) -> Corpus {
    let (mut text, later) = (draw::below(1, 900, 4), draw::below(2, 100, 4));
    text.extend(later.into_iter().map(|t| t + 3));
    Corpus::text(text, 0.1, context).unwrap()
}

#[test]
fn a_run_is_measured_on_its_held_back_part_without_dropout() {
    let (config, corpus) = (training(), corpus(16));
    let sizes = config.model(7).unwrap();
    let mut trainer = Trainer::<f64>::new(config.clone(), &sizes).unwrap();
    (0..2).for_each(|_| assert!(trainer.step(&corpus).unwrap().applied));
    let found = trainer.evaluate(&corpus).unwrap();
    let plain = Architecture { dropout: 0.0, ..sizes };
    let mut model = RecordedStep::<f64>::record(&plain, 1, 16, Form::Textbook, 0).unwrap();
    model.copy_parameters(trainer.model().tape().parameters());
    let windows = transformer::text::corpus::windows(&corpus.validation().to_vec(), 16);
    let expected = Evaluation::of(&mut model, &windows).unwrap();
    assert_eq!(found.tokens, corpus.validation().len() - 1);
    let error = (found.loss / expected.loss - 1.0).abs();
    assert!(found.tokens == expected.tokens && error <= tolerance::sum(400), "{error:.1e}");
    // Measuring draws nothing: once more is the same, and training goes on as if there had been none.
    assert_eq!(trainer.evaluate(&corpus).unwrap(), found);
    let mut other = Trainer::<f64>::new(config, trainer.model().config()).unwrap();
    (0..3).for_each(|_| assert!(other.step(&corpus).unwrap().applied));
    trainer.step(&corpus).unwrap();
    assert_eq!(trainer.model().tape().parameters(), other.model().tape().parameters());
}

/// The loss is made chunk by chunk of tokens; a batch of two chunks is the mean of its two sequences.
#[test]
fn a_mean_over_tokens_does_not_depend_on_the_chunks() {
    let (length, vocabulary) = (180, 30_000);
    let sizes =
        Architecture { vocabulary, context: length, width: 2, heads: 1, ..models::config() };
    let [table, x, row] =
        [(2, vocabulary), (2, 2 * length), (1, 2 * length)].map(|(r, c)| Shape::new(r, c));
    let chunk = VocabularyLoss::default().memory([table, x, row]).scratch / vocabulary;
    assert!(
        chunk < 2 * length && length <= chunk,
        "the case has two chunks, its halves one: {chunk}"
    );
    for tied in [true, false] {
        let config = Architecture { tied, layers: 1, hidden: 4, ..sizes.clone() };
        let (tokens, targets) = models::batch(8, &config, 2 * length);
        let of = |sequences: usize, from: usize| {
            let mut model = model(&config, (sequences, length), Form::Fused);
            let range = from * length..(from + sequences) * length;
            model.set_batch(&tokens[range.clone()], &targets[range.clone()]).unwrap();
            let added = loss_and_gradients(&mut model);
            // As training does it: the first chunk writes over what was there, the others add.
            let mut model =
                RecordedStep::<f64>::record_for_training(&config, sequences, length, 0).unwrap();
            model.copy_parameters(&parameters(&config));
            model.set_batch(&tokens[range.clone()], &targets[range]).unwrap();
            let loss = model.loss_var();
            let tape = model.tape_mut();
            tape.forget_gradients();
            tape.forward_and_backward(loss, 1.0);
            let written = (tape.elements(loss)[0], tape.gradients().to_vec());
            let error = distance(&[added.0], &[written.0]).max(distance(&added.1, &written.1));
            assert!(error <= tolerance::sum(2 * length), "{sequences} sequences: {error:.1e}");
            written
        };
        let ((whole, gradients), (first, g1), (second, g2)) = (of(2, 0), of(1, 0), of(1, 1));
        // As many targets in each half: every third is ignored, from the second on.
        let mean: Vec<f64> = g1.iter().zip(&g2).map(|(a, b)| 0.5 * (a + b)).collect();
        let error = distance(&[whole], &[0.5 * (first + second)]).max(distance(&gradients, &mean));
        assert!(error <= tolerance::sum(4 * length), "tied {tied}: {error:.1e}");
    }
}

#[test]
fn what_is_ignored_moves_nothing() {
    let config = models::config();
    let (tokens, targets) = models::batch(8, &config, 15);
    for form in [Form::Fused, Form::Textbook] {
        let of = |sequences: usize, targets: &[u32]| {
            let mut model = model(&config, (sequences, 5), form);
            model.set_batch(&tokens[..5 * sequences], targets).unwrap();
            loss_and_gradients(&mut model)
        };
        let (loss, gradients) = of(2, &targets[..10]);
        let padded = [&targets[..10], &[IGNORED; 5]].concat();
        let (other, same) = of(3, &padded);
        let error = distance(&[loss], &[other]).max(distance(&gradients, &same));
        assert!(error <= tolerance::sum(30), "{form:?}: {error:.1e}");
    }
}

#[test]
fn a_sequence_is_read_in_company_as_alone() {
    let config = models::config();
    for length in 1..=config.context {
        let tokens = draw::below(3, 3 * length, config.vocabulary);
        let logits = |sequences: usize, tokens: &[u32]| {
            let mut model = model(&config, (sequences, length), Form::Textbook);
            model.set_batch(tokens, &vec![0; tokens.len()]).unwrap();
            model.tape_mut().forward();
            model.tape().elements(model.logits_var().unwrap()).to_vec()
        };
        let together = logits(3, &tokens);
        let alone: Vec<f64> = tokens.chunks(length).flat_map(|part| logits(1, part)).collect();
        assert!(distance(&together, &alone) <= tolerance::sum(200));
    }
}

#[test]
fn a_block_adds_to_the_residual_stream() {
    let config = Architecture { layers: 3, ..models::config() };
    let mut model = model(&config, (2, 5), Form::Textbook);
    let (tokens, targets) = models::batch(8, &config, 10);
    model.set_batch(&tokens, &targets).unwrap();
    model.tape_mut().forward();
    let of =
        |name: String| model.tape().elements(model.tape().find(&name).expect("a value")).to_vec();
    let mut x = of("embedding.sum".to_owned());
    for i in 0..config.layers {
        for (written, sum) in
            [("attention.projection", "attended"), ("feed_forward.contracted", "output")]
        {
            let written = of(format!("block.{i}.{written}"));
            x.iter_mut().zip(&written).for_each(|(x, y)| *x += y);
            assert_eq!(of(format!("block.{i}.{sum}")), x, "block {i}, {sum}");
        }
    }
}
