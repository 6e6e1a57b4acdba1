//! Compressed texts: files of the format are read, and made again bit by bit; the cross-entropy is the model's.
//!
//! `compressed/*.gbc` hold the format: written once, by the first version of it. A change that cannot read them needs
//! another version number.

use tests::{models, tolerance};
use transformer::generation::compression::Compressor;
use transformer::text::tokenizer::Tokenizer;
use transformer::{Architecture, Form, RecordedStep};

/// A model of exact numbers, the same on every machine.
fn model() -> (Architecture, Vec<f32>, Tokenizer) {
    let tokenizer = Tokenizer::characters_of("abcæ\n");
    let config = Architecture {
        vocabulary: tokenizer.vocabulary(),
        context: 8,
        width: 8,
        heads: 2,
        layers: 1,
        hidden: 12,
        ..Architecture::default()
    };
    let number = |i: usize| ((i * 7919 % 101) as f32 - 50.0) / 64.0;
    let parameters = (0..config.parameters()).map(number).collect();
    (config, parameters, tokenizer)
}

fn characters(n: usize, of: impl Fn(usize) -> usize) -> String {
    (0..n).map(|i| ['a', 'b', 'c', 'æ', '\n'][of(i)]).collect()
}

/// A text of one segment, of three with a remainder, and of the most, 16, with one.
fn texts() -> [(&'static str, &'static [u8], String); 3] {
    [
        ("short", include_bytes!("compressed/short.gbc"), "abc\næ\n".repeat(9)),
        (
            "three",
            include_bytes!("compressed/three.gbc"),
            characters(6151, |i| (i * i / 5 + i / 7) % 5),
        ),
        (
            "sixteen",
            include_bytes!("compressed/sixteen.gbc"),
            characters(35_003, |i| if i % 61 == 60 { i / 61 % 5 } else { QUIET }),
        ),
    ]
}

/// The letter that the model goes on with most willingly after itself.
const QUIET: usize = 0;

#[test]
fn files_of_the_format_are_read_and_made_again() {
    let (config, parameters, tokenizer) = model();
    let compressor = Compressor::new(&config, &parameters, &tokenizer).unwrap();
    for (name, file, text) in texts() {
        let made = compressor.compress(text.as_bytes(), |_| ()).unwrap();
        assert_eq!(made.tokens, text.chars().count());
        assert!(made.bytes == file, "{name}: another file is made");
        let back = compressor.decompress(file, |_| ()).unwrap();
        assert!(back == text.as_bytes(), "{name}: another text comes out");
    }
}

/// The first token of a segment has no history; where the context is full its first half is forgotten.
#[test]
fn the_cross_entropy_is_that_of_the_predictions() {
    let (config, parameters, tokenizer) = model();
    let compressor = Compressor::new(&config, &parameters, &tokenizer).unwrap();
    let wide: Vec<f64> = parameters.iter().map(|x| f64::from(*x)).collect();
    for n in [1, 2, 7, 8, 9, 40] {
        let text = characters(n, |i| (i * i + i / 3) % 5);
        let tokens = tokenizer.encode(&text).unwrap();
        let (mut nats, mut window) = (5.0_f64.ln(), vec![tokens[0]]);
        for &token in &tokens[1..] {
            let length = window.len();
            let mut model =
                RecordedStep::<f64>::record_forward_only(&config, 1, length, Form::Textbook)
                    .unwrap();
            model.copy_parameters(&wide);
            model.loss(&window, &vec![0; length]).unwrap();
            let logits = model.tape().value(model.logits_var().unwrap());
            let z = logits.column(length - 1);
            nats += z.iter().map(|z| z.exp()).sum::<f64>().ln() - z[token as usize];
            if window.len() == config.context {
                window.drain(..config.context.div_ceil(2));
            }
            window.push(token);
        }
        let found = compressor.compress(text.as_bytes(), |_| ()).unwrap().cross_entropy.0;
        let error = models::distance(&[nats / 2.0_f64.ln()], &[found]);
        // Sums of 12 features at most, through eight operations, in f32.
        assert!(error <= tolerance::sum_32(100), "{n} tokens: {found} bits, {error:.1e}");
    }
}

/// Writes the files: for a new version of the format only.
#[test]
#[ignore = "writes files of the format"]
fn write_the_files() {
    let (config, parameters, tokenizer) = model();
    let compressor = Compressor::new(&config, &parameters, &tokenizer).unwrap();
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/step/compressed");
    for (name, _, text) in texts() {
        let made = compressor.compress(text.as_bytes(), |_| ()).unwrap();
        std::fs::write(directory.join(name).with_extension("gbc"), made.bytes).unwrap();
    }
}
