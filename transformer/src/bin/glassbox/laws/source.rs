//! Training and validation data never overlap; baselines learn from training data only.

use crate::settings::Settings;
use crate::source::{ORDERS, Source};
use std::collections::{HashMap, HashSet};
use transformer::{IGNORED, TokenizerChoice};

fn stories() -> Source {
    Source::load(&Settings::default().complete().unwrap(), None, None).unwrap()
}

fn documents(tokens: &[u32], end: u32) -> Vec<&[u32]> {
    tokens.split_inclusive(|t| *t == end).collect()
}

#[test]
fn stories_that_are_held_back_are_never_trained_on_and_have_the_entropy_of_their_source() {
    let source = stories();
    let end = source.tokenizer.encode("\n").unwrap()[0];
    let parts = [source.corpus.train(), source.corpus.validation()].map(|part| part.to_vec());
    let [train, held_back] = [&parts[0], &parts[1]].map(|part| documents(part, end));
    let known: HashSet<&[u32]> = train.iter().copied().collect();
    // Stories of 22 nats hardly ever repeat: among 20,000 fewer than one in a hundred.
    assert!(known.len() * 100 >= train.len() * 99, "{} of {} stories", known.len(), train.len());
    let seen = held_back.iter().filter(|story| known.contains(*story)).count();
    assert!(
        held_back.len() >= 100 && seen * 100 <= held_back.len(),
        "{seen} of {}",
        held_back.len()
    );
    // The mean surprisal of n stories is within five deviations; a story's own deviation is below its mean.
    let (entropy, n) = (source.entropy.unwrap(), held_back.len() as f64);
    let off = (entropy.of_validation / entropy.per_token - 1.0).abs();
    assert!(off <= 5.0 / n.sqrt(), "{entropy:?}");
    assert!(entropy.per_story > 10.0 * entropy.per_token);
}

fn text(characters: &str, settings: Settings) -> Source {
    let path =
        std::env::temp_dir().join(format!("source-{}-{}", std::process::id(), characters.len()));
    std::fs::write(&path, characters).unwrap();
    let data = Some(vec![path.display().to_string()]);
    let config = Settings { data, ..settings }.complete().unwrap();
    let source = Source::load(&config, None, None).unwrap();
    std::fs::remove_file(path).unwrap();
    source
}

/// An independent implementation of Witten and Bell's formula on counts of the training part.
fn witten_bell(train: &[u32], text: &[u32], vocabulary: usize, order: usize) -> f64 {
    let mut counts: HashMap<&[u32], HashMap<u32, f64>> = HashMap::new();
    for length in 0..order {
        for i in length..train.len() {
            *counts.entry(&train[i - length..i]).or_default().entry(train[i]).or_default() += 1.0;
        }
    }
    let mut nats = 0.0;
    for i in 1..text.len() {
        let mut p = 1.0 / vocabulary as f64;
        for length in 0..order.min(i + 1) {
            let Some(seen) = counts.get(&text[i - length..i]) else { break };
            let (all, kinds) = (seen.values().sum::<f64>(), seen.len() as f64);
            p = (seen.get(&text[i]).unwrap_or(&0.0) + kinds * p) / (all + kinds);
        }
        nats -= p.ln();
    }
    nats / (text.len() - 1) as f64
}

#[test]
fn baselines_are_counted_on_what_is_trained_on() {
    // The last tenth does not occur before.
    let known: String = (0..900_u32).map(|i| char::from(b'a' + (i * i / 7 % 5) as u8)).collect();
    let news: String = (0..100_u32).map(|i| char::from(b'd' + (i * i / 3 % 5) as u8)).collect();
    let source = text(&(known + &news), Settings { context: Some(8), ..Settings::default() });
    let (train, validation) =
        (&source.corpus.train().to_vec()[..], &source.corpus.validation().to_vec()[..]);
    let vocabulary = source.tokenizer.vocabulary();
    let found = source.baselines();
    assert_eq!(found.len(), ORDERS);
    for (i, (order, nats)) in found.into_iter().enumerate() {
        assert_eq!(order, i + 1);
        let expected = witten_bell(train, validation, vocabulary, order);
        assert!((nats - expected).abs() <= 1e-12 * expected, "order {order}: {nats}, {expected}");
    }
    // The same for another text.
    for (order, nats) in source.baselines_on(&train[..50]) {
        let expected = witten_bell(train, &train[..50], vocabulary, order);
        assert!((nats - expected).abs() <= 1e-12 * expected, "order {order}: {nats}, {expected}");
    }
}

#[test]
fn a_text_is_cut_and_counted_as_it_stands() {
    let line = "fünf öde Hügel, 12 €; ";
    for (tokenizer, tokens) in
        [(TokenizerChoice::Bytes, line.len()), (TokenizerChoice::Chars, line.chars().count())]
    {
        let settings =
            Settings { tokenizer: Some(tokenizer), context: Some(8), ..Settings::default() };
        let source = text(&line.repeat(50), settings);
        let all = [source.corpus.train().to_vec(), source.corpus.validation().to_vec()].concat();
        assert_eq!(source.tokenizer.decode(&all), line.repeat(50));
        assert_eq!(all.len(), 50 * tokens);
        // The split cuts at most one line, so the mean is nearly that of a line.
        let characters = line.chars().count() as f64 / tokens as f64;
        assert!((source.characters_per_token / characters - 1.0).abs() < 0.03);
        let windows = source.corpus.validation_windows(8);
        let predicted = windows.iter().flat_map(|w| &w.targets).filter(|t| **t != IGNORED).count();
        assert_eq!(predicted, source.corpus.validation().len() - 1);
    }
}
