//! Texts, and where they come from.

use super::{accepted, refused};
use infotheory::grammar::{Grammar, Variable};
use infotheory::ngram::{NGram, Smoothing};
use infotheory::units::{bits_per_byte, bits_per_character};
use probability::random::Random;
use transformer::Corpus;
use transformer::text::corpus::windows;
use transformer::text::tokenizer::Tokenizer;

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

fn counted(tokens: &[u32], vocabulary: usize) {
    for order in 1..4 {
        let model = NGram::count(order, vocabulary, tokens);
        let history = &tokens[..order.min(tokens.len())];
        for smoothing in
            [Smoothing::WittenBell, Smoothing::KneserNey, Smoothing::Additive(0.5), Smoothing::None]
        {
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
