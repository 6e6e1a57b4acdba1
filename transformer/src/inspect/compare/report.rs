//! The report of a comparison, as a value: printed by `Display`, serialised as one object.

use super::curve::Summary;
use super::divergence::Outcome;
use super::losses::Unit;
use super::settings::Setting;
use super::tokens::Different;
use super::verdict::Verdict;
use crate::model::architecture::Difference;
use serde::Serialize;

/// A model of the comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Its letter: A, B, ….
    pub label: String,
    /// Its path.
    pub path: String,
    /// Whether it is a run, with settings and metrics.
    pub run: bool,
    /// The seed of the run.
    pub seed: Option<u64>,
    /// The number of its parameters.
    pub parameters: usize,
    /// Its loss on the text, nats per unit.
    pub loss: f64,
    /// The end and the best place of its curve; `None` without metrics.
    pub curve: Option<Summary>,
}

/// The parts in which a model's architecture differs from the first one's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parts {
    /// The number of the model.
    pub model: usize,
    /// The differences, from the first model to this one.
    pub differences: Vec<Difference>,
}

/// The text on which all models are measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Text {
    /// Its name.
    pub name: String,
    /// The unit of losses.
    pub unit: Unit,
    /// The number of units.
    pub units: u64,
    /// The number of windows or pieces, each one observation.
    pub pieces: usize,
    /// The units of the longest piece.
    pub longest: u64,
    /// Bytes of text per unit, if the text is known: losses per byte are losses per unit divided by it.
    pub bytes_per_unit: Option<f64>,
}

/// The tokens on which the first model and another one differ most.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tokens {
    /// The number of the other model.
    pub model: usize,
    /// The tokens, the largest difference first.
    pub tokens: Vec<Different>,
}

/// The search for the first place where the first run and another one part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Searched {
    /// The number of the other run.
    pub model: usize,
    /// What was found.
    pub outcome: Outcome,
}

/// A comparison of several models. Numbers of models count from 0 for A.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The models.
    pub models: Vec<Compared>,
    /// The settings in which the runs differ.
    pub settings: Vec<Setting>,
    /// The parts in which architectures differ.
    pub parts: Vec<Parts>,
    /// The text.
    pub text: Text,
    /// The verdict.
    pub verdict: Verdict,
    /// The tokens on which models differ most.
    pub tokens: Vec<Tokens>,
    /// The first place where runs part.
    pub divergences: Vec<Searched>,
    /// What limits the comparison.
    pub remarks: Vec<String>,
}

/// Returns the letter of a model: A to Z, then A1, B1, ….
///
/// ```
/// use transformer::inspect::compare::report::label;
/// assert_eq!([label(0), label(1), label(27)], ["A", "B", "B1"]);
/// ```
pub fn label(model: usize) -> String {
    let letter = char::from(b'A' + (model % 26) as u8);
    match model / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}
