//! A question about a step, answered by a number within limits.

use serde::Serialize;

/// The result of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The number is within its limits.
    Pass,
    /// The number is outside its limits.
    Fail,
    /// The question does not apply here.
    NotApplicable,
    /// The answer would take too long for a model of this size.
    Skipped,
}

/// One question about a step, answered by a number.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
pub struct Certificate {
    /// The group: "complete", "right", "causal", "start", "data" or "bits".
    pub group: &'static str,
    /// The question.
    pub name: &'static str,
    /// The measured number.
    pub measured: f64,
    /// The least and the greatest allowed number.
    pub limits: (f64, f64),
    /// Whether the number is within the limits.
    pub verdict: Verdict,
    /// Details of the measurement, or the reason why it does not apply.
    pub detail: String,
}

impl Certificate {
    /// Creates a certificate whose number may be at most this. NaN fails.
    pub fn at_most(
        (group, name): (&'static str, &'static str),
        measured: f64,
        most: f64,
        detail: impl Into<String>,
    ) -> Self {
        Self::between((group, name), measured, (0.0, most), detail)
    }

    /// Creates a certificate whose number must lie in a range. NaN fails.
    pub fn between(
        (group, name): (&'static str, &'static str),
        measured: f64,
        limits: (f64, f64),
        detail: impl Into<String>,
    ) -> Self {
        let holds = limits.0 <= measured && measured <= limits.1;
        let verdict = if holds { Verdict::Pass } else { Verdict::Fail };
        Certificate { group, name, measured, limits, verdict, detail: detail.into() }
    }

    /// Creates a certificate for a question that does not apply.
    pub fn not_applicable(
        (group, name): (&'static str, &'static str),
        why: impl Into<String>,
    ) -> Self {
        let (measured, limits, verdict) = (f64::NAN, (f64::NAN, f64::NAN), Verdict::NotApplicable);
        Certificate { group, name, measured, limits, verdict, detail: why.into() }
    }

    /// Creates a certificate for a question that would take too long to answer.
    pub fn skipped(name: (&'static str, &'static str), why: &str) -> Self {
        let why = format!("skipped: {why}");
        Certificate { verdict: Verdict::Skipped, ..Self::not_applicable(name, why) }
    }
}

/// Checks that no certificate failed.
#[must_use]
pub fn passed(certificates: &[Certificate]) -> bool {
    certificates.iter().all(|c| c.verdict != Verdict::Fail)
}
