//! Where the runs given to `compare` part.

use super::given::Given;
use super::measured::own_text;
use crate::Result;
use std::cell::OnceCell;
use transformer::inspect::compare::divergence::{Outcome, Side, first};
use transformer::inspect::compare::report::Searched;
use transformer::model::family;
use transformer::{Corpus, TrainingConfig};

/// Replays the first run beside each other run. A pair that cannot be replayed is a remark.
pub(super) fn search(given: &[Given], steps: u64, remarks: &mut Vec<String>) -> Vec<Searched> {
    let mut all = Vec::new();
    let own = &given[0];
    if steps == 0 || own.run.is_none() {
        return all;
    }
    let text = OnceCell::new();
    for (model, other) in given.iter().enumerate().skip(1).filter(|(_, g)| g.run.is_some()) {
        match between(own, &text, other, steps) {
            Ok(outcome) => all.push(Searched { model, outcome }),
            Err(error) => remarks.push(format!(
                "where {} and {} part is not known, because they cannot be replayed: {error}",
                own.label, other.label
            )),
        }
    }
    all
}

/// Replays two runs; `text` keeps the text of the first one, which is read when a pair needs it.
fn between(own: &Given, text: &OnceCell<Corpus>, other: &Given, steps: u64) -> Result<Outcome> {
    let (Some(config), Some(theirs)) = (&own.run, &other.run) else { unreachable!("runs") };
    if let Some(timed) =
        [own, other].iter().find(|g| g.run.as_ref().is_some_and(|r| r.time.is_some()))
    {
        let label = &timed.label;
        return Err(
            format!("the learning rates of {label} followed the time that its steps took").into()
        );
    }
    if config.seed != theirs.seed {
        let reason = format!("the seeds are {} and {}", config.seed, theirs.seed);
        return Ok(Outcome::StartsDiffer { reason });
    }
    let text = match text.get() {
        Some(text) => text,
        None => {
            let read = own_text(own)?.corpus;
            text.get_or_init(|| read)
        }
    };
    let same_text = own.state.as_ref().map(|(_, data)| data)
        == other.state.as_ref().map(|(_, data)| data)
        && own.tokenizer == other.tokenizer
        && config.data == theirs.data
        // Windows of documents begin where one of this length fits.
        && config.context == theirs.context;
    let another = if same_text { None } else { Some(own_text(other)?.corpus) };
    let (a, b) = (side(own, text)?, side(other, another.as_ref().unwrap_or(text))?);
    Ok(first(&a, &b, steps)?)
}

fn side<'a>(given: &Given, corpus: &'a Corpus) -> Result<Side<'a>> {
    // A budget of memory is for training.
    let config = TrainingConfig { memory: None, ..given.run.clone().expect("a run") };
    if let Some(from) = &config.from {
        return Err(format!("a run that starts from a model ({from}) is not replayed").into());
    }
    if let Some(teacher) = &config.teacher {
        return Err(format!("a run that learns from a teacher ({teacher}) is not replayed").into());
    }
    let model = config.in_training(family::of(&given.model.config), &given.model.config)?;
    Ok(Side { config, model, corpus, start: None })
}
