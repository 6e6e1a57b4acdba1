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
