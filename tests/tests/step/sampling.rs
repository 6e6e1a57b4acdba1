//! Generation: a token at a time as all at once, past the context too; draws by their distribution.

use probability::sample::Sampler;
use std::collections::HashSet;
use tests::models::{self, distance};
use tests::{draw, tolerance};
use transformer::{Architecture, Decoder, Form, RecordedStep, Writer};

fn config(context: usize) -> Architecture {
    Architecture { context, vocabulary: 9, epsilon: 0.1, ..models::config() }
}

fn parameters(config: &Architecture) -> Vec<f64> {
    let model = RecordedStep::<f64>::record(config, 1, 1, Form::Fused, 0).unwrap();
    models::parameters(21, &model.tape().parameter_list())
}

/// The logits after a window, read all at once.
fn after(config: &Architecture, parameters: &[f64], window: &[u32]) -> Vec<f64> {
    let mut model =
        RecordedStep::record_forward_only(config, 1, window.len(), Form::Textbook).unwrap();
    model.copy_parameters(parameters);
    model.loss(window, &vec![0; window.len()]).unwrap();
    let logits = model.tape().value(model.logits_var().unwrap());
    logits.column(window.len() - 1).iter().copied().collect()
}

/// Where the context is full: from the first boundary in the last three quarters on, else the later half.
fn forget(window: &mut Vec<u32>, context: usize, boundary: Option<u32>) {
    if window.len() == context {
        let first = context.div_ceil(4);
        let found = (first..context).find(|&i| Some(window[i]) == boundary);
        window.drain(..found.unwrap_or(context - context / 2));
    }
}

#[test]
fn past_its_context_a_decoder_reads_again_from_the_boundary() {
    for context in [1, 2, 3, 4, 7, 8, 11] {
        let config = config(context);
        let parameters = parameters(&config);
        for boundary in [None, Some(2), Some(5)] {
            // Of few different tokens, so that there are several boundaries in a context, and of many.
            for words in [4, 9] {
                let mut decoder = Decoder::<f64>::record(&config).unwrap();
                decoder.parameters_mut().copy_from_slice(&parameters);
                decoder.set_boundary(boundary);
                let mut window = Vec::new();
                for (t, token) in draw::below(7, 5 * context + 9, words).into_iter().enumerate() {
                    forget(&mut window, context, boundary);
                    window.push(token);
                    let found = decoder.read(token).unwrap().to_vec();
                    let error = distance(&after(&config, &parameters, &window), &found);
                    let which = format!("context {context}, boundary {boundary:?}, token {t}");
                    assert!(error <= tolerance::sum(400), "{which}: {error:.1e}");
                }
            }
        }
    }
}

fn writer(config: &Architecture, boundary: Option<u32>) -> Writer<f64> {
    Writer::new(config, &parameters(config), boundary).unwrap()
}

fn written(
    writer: &mut Writer<f64>,
    prompt: &[u32],
    sampler: Sampler,
    seed: u64,
    count: usize,
) -> Vec<u32> {
    let tokens = writer.write(prompt, sampler, seed).unwrap().take(count);
    tokens.collect::<Result<_, _>>().unwrap()
}

/// A penalty that outweighs every logit: nothing comes twice while there is something that has not come.
#[test]
fn the_repetition_penalty_sees_prompt_and_text() {
    let config = config(12);
    // A logit is divided if positive and multiplied if negative: what came is last where all logits are negative.
    let sampler = Sampler { temperature: 0.0, repetition_penalty: 1e6, ..Sampler::default() };
    for prompt in [&[3][..], &[3, 1, 4], &[8, 0, 2, 6]] {
        let mut writer = writer(&config, None);
        let tokens = written(&mut writer, prompt, sampler, 1, 20);
        let mut text = prompt.to_vec();
        let mut window = prompt.to_vec();
        for token in tokens {
            let logits = after(&config, &parameters(&config), &window);
            let penalised: Vec<f64> = logits
                .iter()
                .enumerate()
                .map(|(t, z)| match text.contains(&(t as u32)) {
                    true if *z > 0.0 => z / 1e6,
                    true => z * 1e6,
                    false => *z,
                })
                .collect();
            let best = (0..9).max_by(|&a, &b| penalised[a].total_cmp(&penalised[b])).unwrap();
            assert_eq!(token, best as u32, "after {text:?}");
            text.push(token);
            forget(&mut window, 12, None);
            window.push(token);
        }
    }
}

/// A model that knows nothing draws tokens as independent throws of a die.
#[test]
fn drawn_tokens_are_independent() {
    let config = Architecture {
        vocabulary: 4,
        context: 8,
        width: 2,
        heads: 1,
        layers: 1,
        hidden: 2,
        ..config(8)
    };
    let mut writer = Writer::new(&config, &vec![0.0_f64; config.parameters()], None).unwrap();
    let n = 4096;
    let tokens = written(&mut writer, &[0], Sampler::default(), 5, n + 3);
    for lag in 1..4 {
        let mut counts = [0.0_f64; 16];
        for i in 0..n {
            counts[(4 * tokens[i] + tokens[i + lag]) as usize] += 1.0;
        }
        let expected = n as f64 / 16.0;
        let statistic: f64 = counts.iter().map(|c| (c - expected).powi(2) / expected).sum();
        // χ² of 15 degrees of freedom exceeds this with a chance of 10⁻⁶.
        assert!(statistic < 56.5, "lag {lag}: {statistic}");
    }
    // Another seed writes another text, in which a quarter is the same.
    writer.clear();
    let other = written(&mut writer, &[0], Sampler::default(), 6, n);
    let same = tokens.iter().zip(&other).filter(|(a, b)| a == b).count() as f64 / n as f64;
    assert!((same - 0.25).abs() < 5.0 * (0.1875 / n as f64).sqrt(), "{same}");
}

/// The first token over many seeds has the model's distribution.
#[test]
fn a_token_is_drawn_by_its_probability() {
    let config = config(6);
    let logits = after(&config, &parameters(&config), &[3, 1]);
    let sampler = Sampler { temperature: 2.0, ..Sampler::default() };
    let p = sampler.distribution(&logits).unwrap();
    let n = 3000;
    let mut counts = [0.0; 9];
    let mut writer = writer(&config, None);
    for seed in 0..n {
        writer.clear();
        counts[written(&mut writer, &[3, 1], sampler, seed, 1)[0] as usize] += 1.0;
    }
    for (count, p) in counts.into_iter().zip(p) {
        let spread = 5.0 * (p * (1.0 - p) * n as f64).sqrt() + 1.0;
        assert!((count - p * n as f64).abs() <= spread, "{count} of {n} where p is {p}");
    }
}

#[test]
fn a_writer_that_was_cleared_is_a_new_one() {
    let config = config(6);
    let sampler = Sampler { repetition_penalty: 1.5, ..Sampler::default() };
    let fresh = written(&mut writer(&config, Some(2)), &[3, 1], sampler, 4, 30);
    let mut used = writer(&config, Some(2));
    for prompt in [&[5, 5][..], &[0, 1, 2, 3, 4, 5, 6, 7, 8]] {
        written(&mut used, prompt, sampler, 9, 25);
        used.clear();
        assert_eq!(written(&mut used, &[3, 1], sampler, 4, 30), fresh);
        used.clear();
        assert!(used.write(&[], sampler, 0).is_err(), "nothing was read");
    }
    let seeds: HashSet<Vec<u32>> = (0..8)
        .map(|seed| written(&mut writer(&config, None), &[3], Sampler::default(), seed, 30))
        .collect();
    assert_eq!(seeds.len(), 8);
}
