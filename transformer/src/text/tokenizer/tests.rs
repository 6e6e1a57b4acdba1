use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn decoding_undoes_encoding(text: String) {
        for tokenizer in [Tokenizer::bytes(), Tokenizer::characters_of(&text), words()] {
            let tokens = tokenizer.encode(&text).unwrap();
            prop_assert!(tokens.iter().all(|&t| (t as usize) < tokenizer.vocabulary()));
            prop_assert_eq!(tokenizer.decode(&tokens), text.clone());
        }
    }

    #[test]
    fn files_hold_the_tokenizer(text in ".+") {
        for tokenizer in [Tokenizer::bytes(), Tokenizer::characters_of(&text), words()] {
            prop_assert_eq!(Tokenizer::from_json(&tokenizer.to_json()), Ok(tokenizer));
        }
    }

    /// A stream shows the decoded text, whatever the tokens are, and holds back at most three bytes.
    #[test]
    fn text_is_shown_as_soon_as_it_is_characters(text: String, noise: Vec<u8>) {
        for tokenizer in [Tokenizer::bytes(), words()] {
            let mut tokens = tokenizer.encode(&text).unwrap();
            tokens.extend(noise.iter().map(|&b| u32::from(b)));
            let mut stream = tokenizer.stream();
            let mut shown = String::new();
            for &token in &tokens {
                shown += &stream.push(token);
                prop_assert!(stream.pending.len() <= 3);
            }
            prop_assert_eq!(shown + &stream.finish(), tokenizer.decode(&tokens));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text: String) {
        prop_assert!(Tokenizer::from_json(&text).is_err());
    }
}

/// A small trained tokenizer.
fn words() -> Tokenizer {
    static WORDS: std::sync::OnceLock<Tokenizer> = std::sync::OnceLock::new();
    let text =
        "Once upon a time the cat sat on the mat, and then the cat ate; won't the dog?\n".repeat(9);
    WORDS.get_or_init(|| Tokenizer::trained_bpe(&text, 300).unwrap()).clone()
}

/// Texts of several pieces: prose, without spaces, of spaces only, lines only, of other scripts.
fn long_texts() -> Vec<String> {
    let random = probability::random::Random::new(1, 0, 0);
    let parts = [
        "the",
        " cat",
        "  ",
        "\n",
        "\n\n",
        "won't",
        " 12345",
        ", ",
        "Größe",
        "日本語。",
        "🦊",
        "\t",
        " a",
        "…",
    ];
    let mixed: String =
        (0..30_000).map(|i| parts[random.below(i, parts.len() as u64) as usize]).collect();
    let prose =
        "Once upon a time the cat sat on the mat, and then\nthe cat ate; won't the dog?\n\n"
            .repeat(1200);
    let few = |part: &str| part.repeat(80_000 / part.len());
    vec![
        mixed,
        prose,
        few("ab"),
        few(" "),
        few("\n"),
        few("cat\n"),
        few("日本語"),
        few("a \u{301}"),
    ]
}

/// A text cut into pieces has the tokens of the whole, by every kind of tokenizer.
#[test]
fn a_long_text_has_the_tokens_of_the_whole() {
    let Tokenizer::Subwords(words) = words() else { unreachable!() };
    // SentencePiece's way: a space before the text, so that it can be cut nowhere.
    let mut before: serde_json::Value = serde_json::from_str(words.json()).unwrap();
    before["normalizer"] = serde_json::json!({ "type": "Prepend", "prepend": "a" });
    let before = Subwords::from_json(&before.to_string(), &before).unwrap();
    for (i, text) in long_texts().iter().enumerate() {
        for tokenizer in [&words, &before] {
            let mut reports = Vec::new();
            let (found, done) = tokenizer.encode(text, true, |done| reports.push(done)).unwrap();
            let whole = tokenizer.ids(text, false).unwrap();
            assert!(found == whole && done == text.len(), "text {i}");
            assert_eq!(reports.last(), Some(&text.len()));
            // A beginning has the first of the tokens, and stops where others may follow.
            let (begun, done) = tokenizer.encode(text, false, |_| ()).unwrap();
            assert!(whole.starts_with(&begun), "text {i}");
            let rest = tokenizer.encode(&text[done..], true, |_| ()).unwrap().0;
            assert!([begun, rest].concat() == whole, "text {i}");
        }
    }
    // Prose is cut.
    let prose = &long_texts()[1];
    assert!(words.cut(prose).unwrap() < prose.len());
    assert_eq!(before.cut(prose).unwrap(), prose.len());
}

/// A text is cut at the same places whatever its parts: none is taken before what is tried for it is there.
#[test]
fn a_beginning_of_a_long_text_is_cut_as_the_whole() {
    let Tokenizer::Subwords(words) = words() else { unreachable!() };
    let (unbroken, piece) = ("日本語。", 1 << 16);
    let beginning = unbroken.repeat(piece / unbroken.len() + 1) + "\n" + &unbroken.repeat(60);
    let whole = format!("{beginning} a cat a cat{}", unbroken.repeat(20 * piece / unbroken.len()));
    // The whole is cut between words, which stand after the line's end.
    let cut = words.cut(&whole).unwrap();
    assert!(whole[cut..].starts_with(" cat a cat"));
    for text in [&beginning, &whole] {
        let (_, done) = words.encode(text, false, |_| ()).unwrap();
        assert!(done == 0 || done >= cut, "cut at {done}");
    }
}

/// The same text gives the same file, whatever the order in which threads count words.
#[test]
fn training_is_reproducible() {
    let text = long_texts()[..2].concat();
    let first = Tokenizer::trained_bpe(&text, 400).unwrap();
    assert_eq!(first.vocabulary(), 400);
    for _ in 0..2 {
        assert_eq!(Tokenizer::trained_bpe(&text, 400).unwrap().to_json(), first.to_json());
    }
    // Merges shorten the text, and the end of a document is one token.
    let prose = &long_texts()[1];
    assert!(3 * first.encode(prose).unwrap().len() < 2 * prose.len());
    assert_eq!(first.encode("a<|endoftext|>").unwrap().last(), first.token(END_OF_TEXT).as_ref());
    let refused = Tokenizer::trained_bpe(&text, 256).unwrap_err().to_string();
    assert!(refused.contains("256 tokens; 257"), "{refused}");
}

/// A file that would give other tokens each time, or none, is refused with the reason.
#[test]
fn invalid_files_are_refused() {
    let message = |change: fn(&mut serde_json::Value)| {
        let mut json = serde_json::from_str(&words().to_json()).unwrap();
        change(&mut json);
        Tokenizer::from_json(&json.to_string()).unwrap_err().to_string()
    };
    use serde_json::json;
    assert!(message(|j| j["model"]["dropout"] = json!(0.1)).contains("model.dropout is 0.1"));
    assert!(message(|j| j["model"] = json!(3)).contains("model is 3"));
    assert!(message(|j| j["model"]["type"] = json!("Words")).contains("cannot be used"));
    assert!(
        message(|j| j["model"]["vocab"]["zz"] = json!(4_000_000_000_u32)).contains("4000000000")
    );
    assert!(message(|j| j["model"]["merges"] = json!(["nothing here"])).contains("cannot be used"));
    assert!(message(|j| j["model"]["vocab"] = json!({})).contains("cannot be used"));
    assert!(Tokenizer::from_json("{").unwrap_err().to_string().contains("not JSON"));
    assert!(Tokenizer::from_json("[[[").unwrap_err().to_string().contains("not JSON"));
    let deep = "[".repeat(100_000);
    assert!(Tokenizer::from_json(&deep).unwrap_err().to_string().contains("not JSON"));
    // Truncation and padding are ignored.
    let mut json: serde_json::Value = serde_json::from_str(&words().to_json()).unwrap();
    json["truncation"] =
        json!({"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0});
    let tokenizer = Tokenizer::from_json(&json.to_string()).unwrap();
    assert_eq!(
        tokenizer.decode(&tokenizer.encode("the cat and the dog").unwrap()),
        "the cat and the dog"
    );
}

/// GPT-2's two files are the tokenizer that they describe.
#[test]
fn two_files_are_a_tokenizer() {
    let json: serde_json::Value = serde_json::from_str(&words().to_json()).unwrap();
    let merges = json["model"]["merges"].as_array().unwrap().iter().map(|pair| {
        let [left, right] = [0, 1].map(|i| pair[i].as_str().unwrap());
        format!("{left} {right}\n")
    });
    let merges = "#version: 0.2\n".to_owned() + &merges.collect::<String>();
    let vocabulary = json["model"]["vocab"].to_string();
    let both = Tokenizer::from_vocabulary_and_merges(&vocabulary, &merges).unwrap();
    for text in ["the cat<|endoftext|> sat", "  Größe\n\n", "🦊"] {
        assert_eq!(both.encode(text), words().encode(text));
    }
    assert_eq!(Tokenizer::from_json(&both.to_json()), Ok(both));
    for (vocabulary, merges) in [("[]", ""), ("{}", ""), ("{\"a\": -1}", ""), ("{\"a\": 0}", "b c")]
    {
        assert!(Tokenizer::from_vocabulary_and_merges(vocabulary, merges).is_err(), "{vocabulary}");
    }
}
