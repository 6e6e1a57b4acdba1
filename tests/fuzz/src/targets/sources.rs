//! Texts, and where they come from.

use super::{accepted, refused};
use infotheory::grammar::{Grammar, Variable};
use infotheory::ngram::{NGram, Smoothing};
use infotheory::units::{bits_per_byte, bits_per_character};
use probability::random::Random;
use transformer::text::chat::ChatTemplate;
use transformer::text::conversation::Conversation;
use transformer::text::corpus::windows;
use transformer::text::packing;
use transformer::text::tokenizer::Tokenizer;
use transformer::{Corpus, is_counted};

/// The last line is a template; each line before it a variable: `name a,b=3:x,y/z,w`, with fields a and b, a record of
/// weight 3 and one of weight 1.
pub fn grammar(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (before, template) = text.rsplit_once('\n').unwrap_or(("", &text));
    let variables: Vec<Variable> = before.lines().filter_map(variable).collect();
    let grammar = match Grammar::new(&variables, template) {
        Ok(grammar) => grammar,
        Err(error) => return refused(error),
    };
    accepted("grammar");
    let (entropy, length, longest) =
        (grammar.entropy().0, grammar.expected_length(), grammar.longest());
    assert!(entropy >= 0.0 && entropy.is_finite(), "the entropy is {entropy}");
    // Sums of positive numbers: a rounding for each part of the template.
    let rounding = 1.0 + (4 + data.len()) as f64 * f64::EPSILON;
    assert!(
        length >= 0.0 && length <= longest as f64 * rounding,
        "{length} characters on average, {longest} at most"
    );
    match grammar.entropy_rate() {
        Ok(rate) => assert!(rate.0 >= 0.0),
        Err(error) => refused(error),
    }
    for index in 0..3 {
        let drawn = grammar.sample(&Random::new(1, 2, index));
        assert!(drawn.chars().count() <= longest);
        // Trying every record of every scope takes their product.
        if variables.iter().map(|v| v.records.len() as f64).product::<f64>() < 1e3 {
            let found = grammar.derivations(&drawn);
            assert!(
                found.len() == 1 && found[0].0 >= 0.0,
                "{drawn:?} has {} derivations",
                found.len()
            );
        }
    }
}

fn variable(line: &str) -> Option<Variable> {
    let (head, records) = line.split_once('=')?;
    let (name, fields) = head.split_once(' ')?;
    let texts = |list: &str| list.split(',').map(str::to_owned).collect::<Vec<String>>();
    let record = |record: &str| match record.split_once(':') {
        Some((weight, fields)) => (weight.parse().unwrap_or(f64::NAN), texts(fields)),
        None => (1.0, texts(record)),
    };
    let records = records.split('/').map(record).collect();
    Some(Variable { name: name.to_owned(), fields: texts(fields), records })
}

/// No choice; choices with weights; a variable, two nested.
pub fn grammar_seeds() -> Vec<Vec<u8>> {
    let seeds = [
        "a text",
        "a[3:b|cd][x|y[2:z|w]]",
        "who name,she=Ann,She/Bob,He\n<who:{who.name} ran. {who.she} [fell|won the race].>",
        "a b=1:x/2:y\nc d,e=p,q/1e-9:r,s\n<a:{a.b}<c:{c.d}[2:k|l]{c.e}>>[18446744073709551615:m|n]",
    ];
    seeds.map(|seed| seed.as_bytes().to_vec()).into()
}

/// Two bytes are the share that is held back and the length of windows; the rest is a text.
pub fn corpus(data: &[u8]) {
    let [share, length, text @ ..] = data else { return };
    let (share, length) = (f64::from(*share) / 255.0, 1 + usize::from(*length));
    let text = String::from_utf8_lossy(text);
    let characters = Tokenizer::characters_of(&text);
    for tokenizer in [Tokenizer::bytes(), characters] {
        let tokens = tokenizer.encode(&text).expect("its own characters");
        assert_eq!(tokenizer.decode(&tokens), text);
        let all: usize = windows(&tokens, length).iter().map(|w| w.tokens.len()).sum();
        assert!(all + 1 >= tokens.len() && all < tokens.len() + length);
        let corpus = match Corpus::text(tokens.clone(), share, length) {
            Ok(corpus) => corpus,
            Err(error) => {
                refused(error);
                continue;
            }
        };
        accepted("corpus");
        assert_eq!([corpus.train().to_vec(), corpus.validation().to_vec()].concat(), tokens);
        let (mut seen, mut next) = (vec![0; 2 * length], vec![0; 2 * length]);
        for batch in [0, 1, u64::from(u32::MAX)] {
            corpus.fill(7, batch, length, &mut seen, &mut next);
            assert!(seen.iter().chain(&next).all(|token| tokens.contains(token)));
            for (seen, next) in seen.chunks(length).zip(next.chunks(length)) {
                assert_eq!(seen[1..], next[..length - 1]);
            }
        }
        counted(&tokens, tokenizer.vocabulary());
    }
    for measured in [bits_per_byte, bits_per_character] {
        match measured(infotheory::Nats(1.0), &text) {
            Ok(bits) => assert!(bits.0 > 0.0),
            Err(error) => refused(error),
        }
    }
}

/// The first line is a chat template, without if it is empty; the rest is a conversation.
pub fn conversation(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (template, object) = text.split_once('\n').unwrap_or(("", &text));
    let Ok(object) = serde_json::from_str(object) else { return };
    let chat = match Conversation::from_json(&object) {
        Ok(chat) => chat,
        Err(error) => return refused(error),
    };
    let template = match template {
        "" => None,
        source => match ChatTemplate::new(source, &[("eos_token", "</s>")]) {
            Ok(template) => Some(template),
            Err(error) => return refused(error),
        },
    };
    let marked = match chat.mark(&Tokenizer::bytes(), template.as_ref()) {
        Ok(marked) => marked,
        Err(error) => return refused(error),
    };
    accepted("conversation");
    assert_eq!(marked.tokens.len(), marked.answer.len());
    let answers = marked.answer.iter().filter(|own| **own).count();
    assert!(answers > 0, "nothing is learned");
    assert_eq!(answers, marked.counted());
    let parts = marked.parts(&Tokenizer::bytes());
    assert!(parts.windows(2).all(|pair| pair[0].0 != pair[1].0), "{parts:?}");
    if let Conversation::Completion { prompt, completion } = &chat
        && template.is_none()
    {
        let whole = Tokenizer::bytes().decode(&marked.tokens);
        assert_eq!(
            whole.trim_end_matches('\n'),
            [&prompt[..], completion].concat().trim_end_matches('\n')
        );
    }
    for length in [1, 7, marked.tokens.len(), 1 + marked.tokens.len()] {
        let (windows, counts) =
            packing::windows(vec![vec![marked.clone()], vec![marked.clone()]], 0, length);
        let counted = windows.iter().flat_map(|w| &w.targets).filter(|t| is_counted(**t)).count();
        assert_eq!((counted, windows.len()), (counts.counted, counts.windows));
        assert!(windows.iter().all(|w| w.tokens.len() == length && w.targets.len() == length));
        assert_eq!(counts.conversations + counts.left_out, 2);
    }
}

/// Messages and a completion, with a template and without.
pub fn conversation_seeds() -> Vec<Vec<u8>> {
    let template = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}{{ eos_token }}{% endfor %}\
                    {% if add_generation_prompt %}<assistant>{% endif %}";
    let messages = r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":" b "},{"role":"user","content":"c"},{"role":"assistant","content":"d","name":null},{"role":"user","content":"e"}]}"#;
    let pair = r#"{"prompt": "1+1=", "completion": "2\n"}"#;
    let seeds = [[template, messages], [template, pair], ["", pair]];
    seeds.map(|[first, rest]| format!("{first}\n{rest}").into_bytes()).into()
}

fn counted(tokens: &[u32], vocabulary: usize) {
    for order in 1..4 {
        let model = NGram::count(order, vocabulary, tokens);
        let history = &tokens[..order.min(tokens.len())];
        for smoothing in [
            Smoothing::WittenBell,
            Smoothing::KneserNey,
            Smoothing::ModifiedKneserNey,
            Smoothing::Additive(0.5),
            Smoothing::None,
        ] {
            let p: Vec<f64> = (0..vocabulary as u32)
                .map(|token| model.probability(smoothing, history, token))
                .collect();
            let sum: f64 = p.iter().sum();
            // A few roundings for each order and token; without smoothing, a history without a next token has none.
            let bound = 8.0 * (order * vocabulary) as f64 * f64::EPSILON;
            let nothing = smoothing == Smoothing::None && sum == 0.0;
            assert!(
                p.iter().all(|p| *p >= 0.0) && (nothing || (sum - 1.0).abs() <= bound),
                "{smoothing:?}: {sum}"
            );
            match model.cross_entropy(smoothing, tokens) {
                Ok(nats) => assert!(nats.0 >= 0.0, "{smoothing:?}: {nats:?}"),
                Err(error) => refused(error),
            }
        }
    }
}

/// A text of which a third is held back, and one of characters of every length.
pub fn corpus_seeds() -> Vec<Vec<u8>> {
    let seed = |share, length, text: &str| [&[share, length], text.as_bytes()].concat();
    vec![
        seed(85, 3, "one two three four five"),
        seed(128, 1, "aé€𝄞\n\taé€𝄞"),
        seed(128, 0, "aaaaaaaa"),
    ]
}
