use super::*;
use crate::model::recorded_step::{Form, RecordedStep};
use proptest::prelude::*;

struct Model {
    config: Architecture,
    parameters: Vec<f32>,
    tokenizer: Tokenizer,
}

impl Model {
    /// An untrained model whose predictions are not uniform.
    fn new(tokenizer: Tokenizer, seed: u64) -> Self {
        let config = Architecture {
            vocabulary: tokenizer.vocabulary(),
            context: 8,
            width: 16,
            heads: 2,
            layers: 1,
            hidden: 32,
            ..Default::default()
        };
        let mut model = RecordedStep::<f32>::record(&config, 1, 8, Form::Fused, 0).unwrap();
        model.initialise(seed);
        let parameters = model.tape().parameters().iter().map(|p| p * 10.0).collect();
        Model { config, parameters, tokenizer }
    }

    fn compressor(&self) -> Compressor<'_> {
        Compressor::new(&self.config, &self.parameters, &self.tokenizer).unwrap()
    }
}

fn letters() -> Model {
    Model::new(Tokenizer::characters_of("abcdeæ\n"), 1)
}

fn error(model: &Model, file: &[u8]) -> String {
    model.compressor().decompress(file, |_| ()).unwrap_err().to_string()
}

/// Checks the size of a code: its cross-entropy, a bit for rounding probabilities to integers (24 bits for a token that
/// the model calls impossible), and what the coder may lose at its end.
fn within_its_bound(model: &Model, file: &Compressed) -> bool {
    let outcomes = model.config.vocabulary as f64;
    let rounded = -(1.0 - outcomes / f64::from(infotheory::arithmetic::TOTAL)).log2() + 2e-4;
    let bits = 8.0 * (file.bytes.len() - file.header) as f64;
    bits <= file.cross_entropy.0 + file.tokens as f64 * rounded + 9.0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_comes_back(text in "[a-eæ\n]{0,300}") {
        let model = letters();
        let file = model.compressor().compress(text.as_bytes(), |_| ()).unwrap();
        prop_assert!(within_its_bound(&model, &file));
        let back = model.compressor().decompress(&file.bytes, |_| ()).unwrap();
        prop_assert_eq!(back, text.as_bytes());
    }

    #[test]
    fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let model = Model::new(Tokenizer::bytes(), 2);
        let file = model.compressor().compress(&bytes, |_| ()).unwrap();
        prop_assert!(within_its_bound(&model, &file));
        prop_assert_eq!(model.compressor().decompress(&file.bytes, |_| ()).unwrap(), bytes);
    }

    #[test]
    fn any_other_file_is_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..60), named in any::<bool>(),
    ) {
        let file = if named { [&b"GBC\x02"[..], &bytes].concat() } else { bytes };
        prop_assert!(letters().compressor().decompress(&file, |_| ()).is_err());
    }

    #[test]
    fn segments_are_the_text_cut(length in 0usize..100_000) {
        let segments = Segments::of(length);
        let places = (0..segments.count)
            .flat_map(|s| (0..segments.longest()).map(move |t| (s, t)))
            .filter_map(|(s, t)| segments.place(s, t));
        prop_assert!(places.eq(0..length));
    }

    #[test]
    fn lengths_come_back(length in 0u64..1 << 62, rest in prop::collection::vec(any::<u8>(), 0..4)) {
        let mut bytes = Vec::new();
        write_length(&mut bytes, length);
        bytes.extend(&rest);
        prop_assert_eq!(read_length(&bytes), Some((length, &rest[..])));
    }
}

/// The file's layout: a segment per 2048 tokens, at most sixteen.
#[test]
fn a_text_is_cut_as_the_format_says() {
    for (length, count) in
        [(0, 1), (4095, 1), (4096, 2), (6143, 2), (6144, 3), (16 * 2048, 16), (1 << 30, 16)]
    {
        assert_eq!(Segments::of(length).count, count, "{length} tokens");
    }
    assert!(Segments::of(long_text().len()).count > 2, "long texts have several segments");
}

fn long_text() -> String {
    (0..9001).map(|i| char::from(b"abcde\n"[(i * i + i / 7) % 6])).collect()
}

#[test]
fn a_text_of_many_segments_comes_back_on_any_number_of_threads() {
    let (model, text) = (letters(), long_text());
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut seen = 0;
            let file = model.compressor().compress(text.as_bytes(), |done| seen = done).unwrap();
            assert_eq!(seen, text.len() as u64);
            (model.compressor().decompress(&file.bytes, |_| ()).unwrap(), file)
        })
    };
    let (one, three) = (on(1), on(3));
    assert_eq!(one, three);
    assert_eq!(one.0, text.as_bytes());
    assert!(within_its_bound(&model, &one.1));
    assert_eq!(one.1.header, 26);
}

#[test]
fn every_alteration_and_every_cut_is_refused() {
    let model = letters();
    let file = model.compressor().compress(b"abcde\nedcba", |_| ()).unwrap().bytes;
    for bit in 0..8 * file.len() {
        let mut altered = file.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let message = error(&model, &altered);
        let expected = match bit / 8 {
            0..3 => "not a text that glassbox compressed",
            3 => "of the format",
            _ => "altered or cut off",
        };
        assert!(message.contains(expected), "bit {bit}: {message}");
    }
    for length in 0..file.len() {
        assert!(error(&model, &file[..length]).contains("cut off"), "{length}");
    }
    assert!(error(&model, &[&file[..], b"x"].concat()).contains("altered"));
}

#[test]
fn another_model_is_refused_by_name() {
    let model = letters();
    let file = model.compressor().compress(b"abc", |_| ()).unwrap().bytes;
    let mut others = [Model::new(model.tokenizer.clone(), 2), letters(), letters()];
    others[1].parameters[7] += 1e-6;
    others[2].tokenizer = Tokenizer::characters_of("abcdeø\n");
    for other in &others {
        let message = error(other, &file);
        assert!(message.contains(&model.compressor().model()), "{message}");
        assert!(message.contains(&other.compressor().model()), "{message}");
    }
}

#[test]
fn a_forged_header_is_refused() {
    let model = letters();
    let forge = |text: [u8; 8], length: u64, code: &[u8]| {
        let mut body = [model.compressor().model, text].concat();
        write_length(&mut body, length);
        body.extend(code);
        [&b"GBC\x02"[..], &checksum::<4>(&body), &body].concat()
    };
    // A text that the code does not hold, and one that no memory holds.
    let message = error(&model, &forge([7; 8], 5, b"abc"));
    assert!(message.contains("the original had 0707070707070707"), "{message}");
    assert!(error(&model, &forge([7; 8], 1 << 50, b"abc")).contains("at most"));
    assert!(error(&model, &forge([7; 8], 1 << 30, b"abc")).contains("3 bytes cannot hold"));
    assert!(
        model.compressor().decompress(&forge(checksum(b""), 0, b""), |_| ()).unwrap().is_empty()
    );
    // A header that ends too early, with a valid checksum.
    let body = [1, 2, 3];
    let file = [&b"GBC\x02"[..], &checksum::<4>(&body), &body].concat();
    assert!(error(&model, &file).contains("cut off"));
}

#[test]
fn what_cannot_be_compressed_is_named() {
    let model = letters();
    let message = |text: &[u8]| model.compressor().compress(text, |_| ()).unwrap_err().to_string();
    assert!(message(b"abz").contains("'z'"));
    assert!(message(b"ab\xff").contains("byte 2 is 0xff"));
    let other = Tokenizer::bytes();
    let refused = Compressor::new(&model.config, &model.parameters, &other).err().unwrap();
    assert!(refused.to_string().contains("256"), "{refused}");
    let mut broken = letters();
    broken.parameters.fill(3e38);
    let refused = broken.compressor().compress(b"abcabcabc", |_| ()).unwrap_err().to_string();
    assert!(refused.contains("no valid prediction"), "{refused}");
}

/// A tokenizer that changes letters cannot give a text back: the first byte that it changes is named.
#[test]
fn a_text_that_the_tokenizer_changes_is_refused() {
    let trained = Tokenizer::trained_bpe("one two three", 260).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&trained.to_json()).unwrap();
    json["normalizer"] = serde_json::json!({ "type": "Lowercase" });
    let model = Model::new(Tokenizer::from_json(&json.to_string()).unwrap(), 3);
    let compressor = model.compressor();
    let file = compressor.compress("one, größer".as_bytes(), |_| ()).unwrap();
    assert_eq!(compressor.decompress(&file.bytes, |_| ()).unwrap(), "one, größer".as_bytes());
    let refused = compressor.compress(b"one Two", |_| ()).unwrap_err().to_string();
    assert!(refused.contains("byte 4"), "{refused}");
}

#[test]
fn an_empty_text_is_its_header() {
    let model = letters();
    let file = model.compressor().compress(b"", |_| ()).unwrap();
    assert_eq!((file.bytes.len(), file.tokens, file.cross_entropy), (25, 0, Bits(0.0)));
    assert!(model.compressor().decompress(&file.bytes, |_| ()).unwrap().is_empty());
}
