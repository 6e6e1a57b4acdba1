//! Certificates of an update that orthogonalises matrices.
//!
//! Muon's update of a matrix has the singular vectors of its momentum, and singular values that are a polynomial of the
//! momentum's: an exact law, up to roundings, which is checked with decompositions that the update does not use.

use super::patience::{F64, PATIENCE, dear, seconds};
use super::{Certificate, recorded};
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use calculus::optimizer::OptimizerConfig;
use calculus::{Parameter, hidden_matrices};
use linalg::Matrix;
use linalg::newton_schulz::{BAND, THRESHOLD, error_bound, stretched};
use linalg::svd::Svd;

const LAW: (&str, &str) = ("right", "orthogonalised update: σ by the polynomial");
const IN_BAND: (&str, &str) = ("right", "orthogonalised update: σ in the band");

/// Returns the certificates of [`singular_values`], in order.
pub(super) fn questions(optimizer: &OptimizerConfig) -> Vec<(&'static str, &'static str)> {
    if optimizer.kind.by_matrix() { vec![LAW, IN_BAND] } else { vec![] }
}

/// Compares the singular values of an optimizer's first update with what the Newton–Schulz polynomial makes of those of
/// the gradient, for every hidden matrix. The optimizer's own step is measured, on parameters of 0 with rate 1. Empty
/// if the optimizer updates element by element.
///
/// The limit is [`error_bound`], derived from the shapes. Both kinds of singular values come from [`Svd`]; the gradient's
/// are divided by their own norm. A gradient of zeros has no singular values to compare.
///
/// # Errors
/// If the step cannot be recorded.
pub fn singular_values(
    subject: &impl Subject,
    optimizer: &OptimizerConfig,
    parameters: &[f64],
) -> Result<Vec<Certificate>, ModelError> {
    within(PATIENCE, subject, optimizer, parameters)
}

/// Like [`singular_values`], of the first matrices that `patience` seconds are enough for.
pub(super) fn within(
    patience: f64,
    subject: &impl Subject,
    optimizer: &OptimizerConfig,
    parameters: &[f64],
) -> Result<Vec<Certificate>, ModelError> {
    /// Multiplications of the two decompositions, as a multiple of rows · columns · the smaller side.
    const SWEEPS: f64 = 120.0;
    if !optimizer.kind.by_matrix() {
        return Ok(vec![]);
    }
    let both = |make: &dyn Fn((&'static str, &'static str)) -> Certificate| {
        Ok(vec![make(LAW), make(IN_BAND)])
    };
    let mut step = recorded::<f64>(subject, parameters)?;
    let list = step.tape.parameter_list();
    let hidden: Vec<&Parameter> = hidden_matrices(&list).collect();
    if hidden.is_empty() {
        return both(&|name| Certificate::not_applicable(name, "no hidden matrix"));
    }
    let mut needed = 0.0;
    let time = |p: &&&Parameter| {
        let short = p.shape.rows.min(p.shape.columns);
        needed += seconds(F64, SWEEPS * p.shape.len() as f64 * short as f64);
        needed <= patience
    };
    let measured: Vec<&Parameter> = hidden.iter().take_while(time).copied().collect();
    if measured.is_empty() {
        let why = dear(needed, patience).unwrap_or_default();
        return both(&|name| Certificate::skipped(name, &why));
    }
    step.step();
    let gradients = step.tape.gradients().to_vec();
    let mut updated = vec![0.0; parameters.len()];
    optimizer.build::<f64>(&list).step(1.0, &mut updated, &gradients);
    let mut law = Law::default();
    let share = optimizer.shares()[0];
    for p in &measured {
        law.measure(p, share, &gradients[p.range.clone()], &updated[p.range.clone()]);
    }
    Ok(law.certificates(measured.len(), hidden.len()))
}

/// The comparisons of several matrices.
#[derive(Default)]
struct Law {
    /// The difference that is largest in units of its limit: the difference and the limit.
    worst: Option<(f64, f64)>,
    /// The singular values that must be in the band, and those of them that are not.
    wanted: usize,
    outside: usize,
    /// All singular values.
    count: usize,
    /// The smallest and the largest of those that must be in the band.
    range: Option<(f64, f64)>,
}

impl Law {
    fn measure(&mut self, p: &Parameter, share: f64, gradient: &[f64], updated: &[f64]) {
        let (rows, columns) = (p.shape.rows, p.shape.columns);
        let scale = -0.2 * share * (rows.max(columns) as f64).sqrt();
        let limit = error_bound(rows, columns, f64::EPSILON);
        let values =
            |x: Vec<f64>| Svd::of(&Matrix::from_vec(rows, columns, x)).map(|svd| svd.values);
        let given = values(gradient.to_vec());
        let found = values(updated.iter().map(|x| x / scale).collect());
        let (Ok(given), Ok(found)) = (given, found) else {
            self.worst = Some((f64::NAN, limit));
            return;
        };
        let largest = given.first().copied().unwrap_or(0.0);
        if largest == 0.0 {
            return;
        }
        // Divided by the largest first: the squares neither overflow nor underflow.
        let norm = given.iter().map(|s| (s / largest).powi(2)).sum::<f64>().sqrt();
        let shares = given.iter().map(|s| s / largest / norm);
        let mut expected: Vec<(f64, bool)> =
            shares.map(|share| (stretched(share), share >= THRESHOLD)).collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (&found, &(expected, wanted)) in found.iter().zip(&expected) {
            let difference = (found - expected).abs();
            // NaN is the worst.
            if self.worst.is_none_or(|(d, l)| difference / limit > d / l) {
                self.worst = Some((difference, limit));
            }
            self.count += 1;
            if wanted {
                self.wanted += 1;
                let inside = (BAND[0] - limit..=BAND[1] + limit).contains(&found);
                self.outside += usize::from(!inside);
                let (low, high) = self.range.unwrap_or((found, found));
                self.range = Some((low.min(found), high.max(found)));
            }
        }
    }

    fn certificates(self, measured: usize, hidden: usize) -> Vec<Certificate> {
        let of = match measured == hidden {
            true => format!("{hidden} hidden matrices"),
            false => format!("the first {measured} of {hidden} hidden matrices, for the time"),
        };
        let Some((difference, limit)) = self.worst else {
            let why = "every gradient of a hidden matrix is 0";
            return [LAW, IN_BAND].map(|name| Certificate::not_applicable(name, why)).into();
        };
        let detail = format!("largest difference of a singular value, of {} in {of}", self.count);
        let law = Certificate::at_most(LAW, difference, limit, detail);
        let Some((low, high)) = self.range else {
            let why = "no singular value of a gradient is large enough";
            return vec![law, Certificate::not_applicable(IN_BAND, why)];
        };
        let detail = format!(
            "singular values outside {:.3} to {:.3}, of the {} whose share of the gradient's norm is {THRESHOLD} or \
             more; they are {low:.3} to {high:.3}",
            BAND[0], BAND[1], self.wanted
        );
        vec![law, Certificate::at_most(IN_BAND, self.outside as f64, 0.0, detail)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use linalg::newton_schulz::orthogonalised;
    use linalg::{Role, Shape};

    fn matrix() -> (Parameter, Vec<f64>) {
        let (shape, range, uses) = (Shape::new(5, 8), 0..40, vec![(Role::Linear, 0)]);
        let gradient = (0..40).map(|i| f64::from((i * i * 7 + 3 * i) % 23) - 10.5).collect();
        (Parameter { name: "w".into(), shape, range, uses, output: false }, gradient)
    }

    fn judged(change: impl Fn(Matrix<f64>) -> Matrix<f64>) -> Vec<Certificate> {
        let (p, gradient) = matrix();
        let right = orthogonalised(&Matrix::from_column_slice(5, 8, &gradient));
        let mut law = Law::default();
        // A right one afterwards hides nothing.
        for o in [change(right.clone()), right] {
            let updated: Vec<f64> = o.iter().map(|o| -0.2 * 8.0_f64.sqrt() * o).collect();
            law.measure(&p, 1.0, &gradient, &updated);
        }
        law.certificates(2, 2)
    }

    #[test]
    fn a_right_update_passes_and_wrong_ones_fail() {
        let verdicts = |all: Vec<Certificate>| all.iter().map(|c| c.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(judged(|o| o)), [Verdict::Pass; 2]);
        // A scale that is off by a millionth breaks the law, and one of a half leaves the band.
        assert_eq!(verdicts(judged(|o| o * 1.000_001)), [Verdict::Fail, Verdict::Pass]);
        assert_eq!(verdicts(judged(|o| o * 0.5)), [Verdict::Fail; 2]);
        // An iteration too few or too many.
        assert_eq!(verdicts(judged(|o| orthogonalised(&o)))[0], Verdict::Fail);
        assert_eq!(verdicts(judged(|o| o * f64::NAN))[0], Verdict::Fail);
    }
}
