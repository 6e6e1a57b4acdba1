//! Questions about the embedded stories, whose right answers are known: data for fine-tuning.
//!
//! `cargo run --release -p glassbox-transformer --example 06_questions -- DIRECTORY [STORIES]` writes `questions.jsonl` (for
//! `train --answers`), the same as plain text in `questions.txt`, `pairs.jsonl` (for `train --preferences`: a right answer and a wrong
//! one), and from other stories `held_back.jsonl` and `stories.txt`, to measure answers and what was forgotten. `docs/fine-tuning.md` goes on from there.

use serde_json::json;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use transformer::text::stories::{Facts, stories_with_facts};

/// A question about a story, with the fact that answers it.
type Question = (&'static str, fn(&Facts) -> &str);

const QUESTIONS: [Question; 5] = [
    ("Who is it about?", |facts| &facts.name),
    ("What is it about?", |facts| &facts.thing),
    ("What colour is it?", |facts| &facts.colour),
    ("Where was it?", |facts| &facts.place),
    ("Which animal came?", |facts| &facts.animal),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap_or("questions".to_owned()));
    let stories: u32 = arguments.next().map_or(Ok(4000), |n| n.parse())?;
    write(&directory, stories)?;
    println!("wrote questions about {stories} stories to {}", directory.display());
    Ok(())
}

/// Writes the files of questions about this many stories, and of 500 others that are held back.
pub(crate) fn write(directory: &Path, stories: u32) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    let write = |name: &str, lines: Vec<String>| fs::write(directory.join(name), lines.concat());

    // Other series than those that the model was trained on (0) and measured on (1).
    let (train, held_back) = (stories_with_facts(2, 0..stories), stories_with_facts(3, 0..500));
    let ask = |(i, (story, facts)): (usize, &(String, Facts))| {
        let (question, answer) = QUESTIONS[i % QUESTIONS.len()];
        (format!("{story}{question} "), format!("{}.", answer(facts)))
    };
    let lines = |told: &[(String, Facts)]| -> Vec<String> {
        let asked = told.iter().enumerate().map(ask);
        let line = |(prompt, completion)| {
            let line = json!({ "prompt": prompt, "completion": completion });
            format!("{line}\n")
        };
        asked.map(line).collect()
    };
    write("questions.jsonl", lines(&train))?;
    let text = train.iter().enumerate().map(ask);
    write("questions.txt", text.map(|(prompt, answer)| format!("{prompt}{answer}\n")).collect())?;
    write("held_back.jsonl", lines(&held_back))?;
    write("stories.txt", held_back.iter().map(|(story, _)| story.clone()).collect())?;

    // The wrong answer is the right one to the same question about another story.
    let others = stories_with_facts(4, 0..stories / 2);
    let pairs = others.iter().enumerate().filter_map(|(i, told)| {
        let (prompt, chosen) = ask((i, told));
        let wrong = others.iter().cycle().skip(i + 1).take(others.len());
        let wrong = wrong.map(|other| ask((i, other)).1).find(|rejected| *rejected != chosen)?;
        let line = json!({ "prompt": prompt, "chosen": chosen, "rejected": wrong });
        Some(format!("{line}\n"))
    });
    write("pairs.jsonl", pairs.collect())?;
    Ok(())
}
