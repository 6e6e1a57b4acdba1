//! Certificates of a run that learns the answers of conversations.

use super::{Certificate, Question, inner, norm, rounding};
use crate::inspect::subject::{ModelStep, Subject};
use crate::model::architecture::Architecture;
use crate::model::recorded_step::{LAST, ModelError, is_counted};
use crate::text::corpus::Window;
use crate::text::tokenizer::Tokenizer;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

const COUNTED: Question = ("data", "the counted tokens are the answers");
pub(super) const APART: Question = ("right", "conversations of a window do not see each other");

/// Certifies that the predicted tokens of windows are the answers: the text of every run of them is one of the answers that
/// were given, and after it what ends a turn, which is the same in most of them. `cut` tells that windows cut some
/// conversations: a run may then be the beginning of an answer. At a sequence's beginning it may be the end of one, because a
/// first token is not predicted.
///
/// Answers are compared as the tokenizer restores them, without white space at their ends, which a chat template may take
/// away. Where a token is partly the prompt's, the text may begin within the run's first token.
pub fn answers<'a>(
    (windows, cut): (&[Window], bool),
    tokenizer: &Tokenizer,
    said: impl IntoIterator<Item = &'a str>,
) -> Certificate {
    let restored = |text: &str| match tokenizer.encode(text) {
        Ok(tokens) => tokenizer.decode(&tokens).trim().to_owned(),
        Err(_) => text.trim().to_owned(),
    };
    let mut said: Vec<String> = said.into_iter().map(restored).collect();
    said.sort_unstable();
    said.dedup();
    // For every run, the texts that it may stand for.
    let mut runs = vec![];
    for Window { targets, .. } in windows {
        let mut at = 0;
        for run in targets.chunk_by(|a, b| is_counted(*a) == is_counted(*b)) {
            let first = at == 0 || targets[at - 1] == LAST;
            at += run.len();
            if is_counted(run[0]) {
                let (text, own) = (tokenizer.decode(run), tokenizer.decode(&run[..1]));
                let starts = own.char_indices().map(|(i, _)| i).collect::<Vec<_>>();
                let texts = starts.into_iter().filter_map(|i| text.get(i..));
                let texts = texts.map(|text| text.trim_start().to_owned()).collect::<Vec<_>>();
                runs.push((texts, first));
            }
        }
    }
    // The text after an answer, for every answer that a run may begin with.
    let rests = |text: &String| -> Vec<String> {
        let ends = text.char_indices().map(|(i, _)| i).chain([text.len()]);
        let known =
            |end: &usize| said.binary_search_by(|own| own[..].cmp(text[..*end].trim_end())).is_ok();
        ends.filter(known).map(|end| text[end..].trim().to_owned()).collect()
    };
    let possible: Vec<BTreeSet<String>> =
        runs.iter().map(|(texts, _)| texts.iter().flat_map(rests).collect()).collect();
    let mut endings: HashMap<&String, usize> = HashMap::new();
    possible.iter().flatten().for_each(|rest| *endings.entry(rest).or_default() += 1);
    // A template may end the last turn in another way than those before it.
    let mut endings: Vec<(usize, &String)> =
        endings.into_iter().map(|(rest, n)| (n, rest)).collect();
    endings.sort_unstable_by(|a, b| b.cmp(a));
    let usual: Vec<&String> =
        endings.iter().take(2).filter(|(n, _)| 4 * n > runs.len()).map(|(_, rest)| *rest).collect();
    let begins = |text: &String| said.iter().any(|answer| answer.starts_with(text.trim_end()));
    // Of an answer that nothing stands before, the first token is not predicted.
    let ends = |text: &String| {
        let own = usual.iter().filter_map(|ending| text.trim_end().strip_suffix(&ending[..]));
        own.map(str::trim_end).any(|own| said.iter().any(|answer| answer.ends_with(own)))
    };
    let is_right = |(texts, first): &(Vec<String>, bool), rests: &BTreeSet<String>| {
        usual.iter().any(|ending| rests.contains(*ending))
            || cut && texts.iter().any(begins)
            || *first && ends(&texts[0])
    };
    let judged = runs.iter().zip(&possible).filter(|(run, rests)| !is_right(run, rests));
    let wrong: Vec<&String> = judged.map(|((texts, _), _)| &texts[0]).collect();
    let shown =
        |text: &str| crate::printable::printable(&text.chars().take(40).collect::<String>());
    let of = runs.len();
    let detail = match (wrong.first(), usual.first()) {
        (Some(text), _) => {
            format!(
                "runs of predicted tokens that are no answer, of {of}; one begins with {:?}",
                shown(text)
            )
        }
        (None, ending) => format!(
            "runs of predicted tokens that are no answer, of {of}; they end with {:?}",
            shown(ending.map_or("", |ending| ending))
        ),
    };
    Certificate::at_most(COUNTED, wrong.len() as f64, 0.0, detail)
}

/// Certifies that the conversations of a window are kept apart: loss and gradient of the window are those of each alone,
/// weighted by its predicted tokens. The limit is 8ε·(16 + √parameters + longest sum) for every layer, relative to the
/// gradient's norm.
///
/// # Errors
/// If the step cannot be recorded.
pub fn apart(step: &ModelStep<'_>, parameters: &[f64]) -> Result<Certificate, ModelError> {
    const TRIED: u64 = 16;
    let step = step.with_cross_entropy();
    let length = step.length;
    let counted = |y: &[u32]| y.iter().filter(|&&t| is_counted(t)).count();
    let parts = |y: &[u32]| y.split_inclusive(|t| *t == LAST).filter(|s| counted(s) > 0).count();
    let windows = (0..TRIED).flat_map(|number| {
        let (tokens, targets) = (step.batches)(number);
        let windows = tokens.chunks(length).zip(targets.chunks(length));
        windows.map(|(x, y)| (x.to_vec(), y.to_vec())).collect::<Vec<_>>()
    });
    let found = windows.max_by_key(|(_, targets)| parts(targets).min(4));
    let Some((tokens, targets)) = found.filter(|(_, targets)| parts(targets) > 1) else {
        let why = "no window holds two conversations with answers";
        return Ok(Certificate::not_applicable(APART, why));
    };
    let gradients = |config: &Architecture, tokens: &[u32], targets: &[u32]| {
        let (length, batch) = (tokens.len(), (tokens.to_vec(), targets.to_vec()));
        let batches = Arc::new(move |_| batch.clone());
        let one =
            ModelStep { config: config.clone(), sequences: 1, length, batches, ..step.clone() };
        let mut recording = one.record::<f64>()?;
        recording.set_parameters(parameters);
        recording.give(&one.batch(0));
        let loss = recording.step();
        Ok::<_, ModelError>((loss, recording.tape.gradients().to_vec()))
    };
    let (loss, whole) = gradients(&step.config, &tokens, &targets)?;
    let plain = Architecture { packed: false, ..step.config.clone() };
    let (mut mean, mut sum, mut at) = (0.0, vec![0.0; whole.len()], 0);
    for own in targets.split_inclusive(|t| *t == LAST) {
        let tokens = &tokens[at..at + own.len()];
        at += own.len();
        // Without what fills up the window.
        let Some(end) = own.iter().rposition(|t| is_counted(*t)) else { continue };
        let (own, tokens) = (&own[..=end], &tokens[..=end]);
        let share = counted(own) as f64 / counted(&targets) as f64;
        let (loss, alone) = gradients(&plain, tokens, own)?;
        mean += share * loss;
        sum.iter_mut().zip(&alone).for_each(|(sum, g)| *sum += share * g);
    }
    let difference: Vec<f64> = sum.iter().zip(&whole).map(|(a, b)| a - b).collect();
    let error = (norm(&difference) / inner(&whole, &whole).0.sqrt()).max((mean / loss - 1.0).abs());
    let model = &step.config;
    let limit = model.layers as f64 * rounding(whole.len(), model.width.max(model.vocabulary));
    let detail = format!(
        "{} conversations of a window, each alone; relative to the gradient's norm",
        parts(&targets)
    );
    Ok(Certificate::at_most(APART, error, limit, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::check::Verdict;
    use crate::model::recorded_step::IGNORED;
    use crate::text::conversation::Marked;
    use crate::text::packing;

    fn marked(text: &str) -> Vec<Marked> {
        // What stands between ‹ and › is an answer's.
        let (mut tokens, mut answer, mut own) = (vec![], vec![], false);
        for c in text.chars() {
            match c {
                '‹' => own = true,
                '›' => own = false,
                c => {
                    tokens.push(c as u32);
                    answer.push(own);
                }
            }
        }
        vec![Marked { tokens, answer, dropped: 0 }]
    }

    fn found(chats: &[&str], length: usize, said: &[&str]) -> Certificate {
        let (windows, counts) =
            packing::windows(chats.iter().map(|c| marked(c)).collect(), 0, length);
        answers((&windows, counts.cut > 0), &Tokenizer::bytes(), said.iter().copied())
    }

    const SAID: [&str; 3] = ["four", "four times", "no."];

    #[test]
    fn answers_with_their_ends_are_the_answers() {
        let right = ["2+2? ‹four#›", "well? ‹four times#›\nand? ‹no.#›", "2+2? ‹four#›"];
        let certificate = found(&right, 64, &SAID);
        assert_eq!(certificate.verdict, Verdict::Pass, "{certificate:?}");
        assert!(certificate.detail.contains("of 4; they end with \"#\""), "{certificate:?}");
        // A window's end cuts the last answer.
        assert_eq!(found(&["2+2? ‹four times#›"], 8, &SAID).verdict, Verdict::Pass);
        // The first token of a text is not predicted.
        assert_eq!(found(&["‹four#›", right[0]], 64, &SAID).verdict, Verdict::Pass);
        // The last turn ends in a way of its own.
        let ends = ["2? ‹four#›!‹no.!›"; 3];
        assert_eq!(found(&ends, 64, &SAID).verdict, Verdict::Pass);
        // The sides of a pair are cut in the middle of a window.
        let pair = [marked("2+2? ‹four times#›"), marked("2+2? ‹no.#›")].concat();
        let (windows, counts) = packing::windows(vec![pair], 0, 15);
        assert_eq!((counts.cut, windows[0].targets[6]), (1, LAST));
        let certificate = answers((&windows, true), &Tokenizer::bytes(), SAID);
        assert_eq!(certificate.verdict, Verdict::Pass, "{certificate:?}");
    }

    /// A piece of words across the border is partly the prompt's.
    #[test]
    fn an_answer_may_begin_within_a_token() {
        let tokenizer = Tokenizer::trained_bpe(&"f() g() h() ".repeat(50), 270).unwrap();
        let [whole, prompt] = ["f()#", "f("].map(|text| tokenizer.encode(text).unwrap());
        let shared = whole.iter().zip(&prompt).take_while(|(a, b)| a == b).count();
        assert!(shared < prompt.len(), "a token of both");
        let answer = (0..whole.len()).map(|i| i >= shared).collect();
        let unit = vec![Marked { tokens: whole, answer, dropped: 0 }];
        let (windows, _) = packing::windows(vec![unit], 0, 16);
        let certificate = answers((&windows, false), &tokenizer, [")"]);
        assert_eq!(certificate.verdict, Verdict::Pass, "{certificate:?}");
    }

    /// The prompt is counted, the marks are shifted by one, the end of a turn is missing, what was said is something else.
    #[test]
    fn other_tokens_are_not() {
        let right = "2+2? ‹four#›";
        for wrong in [
            "2‹+2? four#›",
            "2+2? f‹our#›",
            "2+2?‹ four#›x‹#›",
            "2+2? ‹four›#",
            "2+2? ‹five#›",
            "2+2? ‹four#\n›a‹b›",
        ] {
            let certificate = found(&[right, right, right, wrong], 64, &SAID);
            assert_eq!(
                (certificate.verdict, certificate.measured),
                (Verdict::Fail, 1.0),
                "{wrong}"
            );
        }
    }

    fn step(keep_apart: bool) -> ModelStep<'static> {
        let config = Architecture {
            vocabulary: 11,
            context: 16,
            width: 16,
            heads: 2,
            layers: 2,
            hidden: 32,
            packed: true,
            ..Architecture::default()
        };
        let batch = move |n: u64| {
            let tokens: Vec<u32> = (0..16).map(|i| (n as u32 + 3 * i * i) % 11).collect();
            let mut targets: Vec<u32> = tokens[1..].to_vec();
            targets.push(IGNORED);
            if keep_apart {
                targets[6] = LAST;
            }
            (tokens, targets)
        };
        let (batches, references) = (Arc::new(batch), None);
        ModelStep { config, sequences: 1, length: 16, seed: 1, batches, references, teacher: None }
    }

    #[test]
    fn sequences_that_are_kept_apart_pass() {
        let own = step(true);
        let parameters = own.config.initial_parameters(1).unwrap();
        let wide: Vec<f64> = parameters.iter().map(|&p| 10.0 * f64::from(p)).collect();
        let certificate = apart(&own, &wide).unwrap();
        assert_eq!(certificate.verdict, Verdict::Pass, "{certificate:?}");
        assert_eq!(apart(&step(false), &wide).unwrap().verdict, Verdict::NotApplicable);
    }
}
