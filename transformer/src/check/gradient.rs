//! Is the gradient of the whole step complete and right?

use super::{Certificate, direction, inner, norm, operations, recorded, rounding};
use crate::ModelError;
use crate::subject::{Recording, Subject};
use calculus::{Dual, Source};
use linalg::Real;

/// Directions along which the whole gradient is tried.
const DIRECTIONS: u32 = 3;
/// Elements of every parameter that are tried by central differences: the largest gradients of this
/// many sampled ones.
const SAMPLED: usize = 64;

/// The certificates "complete" and "right" of a step at these parameters, on batch 0.
///
/// * every parameter is reached by the loss;
/// * no path is cut: what moves the loss forward has a gradient backward, operation by operation;
/// * every operation obeys ⟨ȳ, Jẋ⟩ = ⟨Jᵀȳ, ẋ⟩ at the values that it has in this step;
/// * so does the whole step, in random directions, with duals as the other route;
/// * central differences, a route without any rule, agree on a sample of every parameter;
/// * second derivatives are symmetric: uᵀHv = vᵀHu.
///
/// # Errors
/// If the step cannot be recorded.
pub fn gradients(
    subject: &impl Subject,
    parameters: &[f64],
    seed: u64,
) -> Result<Vec<Certificate>, ModelError> {
    let mut all = vec![];
    each(subject, parameters, seed, &mut |c| all.push(c))?;
    Ok(all)
}

/// As [`gradients`], told one by one.
pub(super) fn each(
    subject: &impl Subject,
    parameters: &[f64],
    seed: u64,
    tell: &mut impl FnMut(Certificate),
) -> Result<(), ModelError> {
    let mut step = recorded::<f64>(subject, parameters)?;
    let loss = step.step();
    let gradient = step.tape.gradients().to_vec();
    tell(reached(&step));
    operations(subject, parameters, seed)?.certificates().into_iter().for_each(&mut *tell);
    let mut dual = recorded::<Dual<f64>>(subject, parameters)?;
    tell(whole(&mut dual, &gradient, seed));
    tell(differences(&mut step, &gradient, loss));
    tell(symmetric(&mut dual, seed));
    Ok(())
}

fn reached(step: &Recording<f64>) -> Certificate {
    let tape = &step.tape;
    let needed = tape.dependencies(step.loss);
    let parameters = tape.vars().zip(needed).filter(|(v, _)| tape.source(*v) == Source::Parameter);
    let mut missing = vec![];
    let mut count = 0;
    for (var, needed) in parameters {
        count += 1;
        if !needed {
            missing.push(format!("{} is not part of the loss", tape.name(var)));
        } else if tape.gradient_elements(var).iter().all(|&g| g == 0.0) {
            missing.push(format!("the gradient of {} is exactly 0", tape.name(var)));
        }
    }
    let fine = format!("{count} parameters");
    let detail = if missing.is_empty() { fine } else { missing.join("; ") };
    let name = ("complete", "every parameter is reached by the loss");
    Certificate::at_most(name, missing.len() as f64, 0.0, detail)
}

/// Sums along the step: its depth, and the longest of its sums.
fn depth_and_width<T: Real>(step: &Recording<T>) -> (usize, usize) {
    let tape = &step.tape;
    let widest = tape.vars().map(|v| tape.shape(v)).map(|s| s.rows.max(s.columns)).max();
    (tape.vars().filter(|v| tape.operation(*v).is_some()).count(), widest.unwrap_or(1))
}

fn whole(dual: &mut Recording<Dual<f64>>, gradient: &[f64], seed: u64) -> Certificate {
    let (depth, widest) = depth_and_width(dual);
    let mut worst = 0.0_f64;
    for which in 0..DIRECTIONS {
        let tangent = direction(seed, which, gradient.len());
        set_tangent(dual, &tangent);
        let forward = dual.forward().derivative;
        let (reverse, size) = inner(gradient, &tangent);
        let error = (forward - reverse).abs() / size.max(f64::MIN_POSITIVE);
        worst = if error.is_nan() { f64::NAN } else { worst.max(error) };
    }
    let limit = depth as f64 * rounding(gradient.len(), widest);
    let detail = format!("{DIRECTIONS} random directions in {} parameters", gradient.len());
    Certificate::at_most(("right", "the whole step: duals against backward"), worst, limit, detail)
}

fn set_tangent(dual: &mut Recording<Dual<f64>>, tangent: &[f64]) {
    let parameters = dual.tape.parameters_mut().iter_mut();
    parameters.zip(tangent).for_each(|(p, &t)| p.derivative = t);
}

/// (L(x + h) − L(x − h))/2h for the sampled elements of every parameter. With h = ε^⅓ the error is ε^⅔ times
/// the third derivative, which grows as the cube of the number of functions in a row, and times the loss.
fn differences(step: &mut Recording<f64>, gradient: &[f64], loss: f64) -> Certificate {
    let (depth, _) = depth_and_width(step);
    // Of a block's fourteen operations about seven are not linear.
    let limit = f64::EPSILON.powf(2.0 / 3.0) * ((depth as f64 / 2.0).powi(3)).max(64.0);
    let h = f64::EPSILON.cbrt();
    let (mut worst, mut place, mut tried) = (0.0_f64, String::new(), 0);
    for parameter in step.tape.parameter_list() {
        let range = parameter.range;
        let stride = (range.len() / SAMPLED).max(1);
        let sampled = range.clone().step_by(stride);
        let steepest = sampled.max_by(|&i, &j| gradient[i].abs().total_cmp(&gradient[j].abs()));
        let size = gradient[range.clone()].iter().fold(0.0_f64, |m, g| m.max(g.abs()));
        for i in steepest.into_iter().chain([range.start]) {
            let x = step.tape.parameters()[i];
            let mut at = |x: f64| {
                step.tape.parameters_mut()[i] = x;
                step.forward()
            };
            let slope = (at(x + h) - at(x - h)) / (2.0 * h);
            step.tape.parameters_mut()[i] = x;
            let error = (slope - gradient[i]).abs() / (size + loss.abs());
            let error = if error.is_nan() { f64::INFINITY } else { error };
            tried += 1;
            if error > worst || place.is_empty() {
                let element = i - range.start;
                (worst, place) = (error, format!("{} element {element}", parameter.name));
            }
        }
    }
    let detail = format!("{tried} elements of all parameters; worst: {place}");
    Certificate::at_most(("right", "central differences against backward"), worst, limit, detail)
}

/// uᵀHv = vᵀHu, with H·v as the derivative of the gradient in the direction v: duals under backward.
fn symmetric(dual: &mut Recording<Dual<f64>>, seed: u64) -> Certificate {
    let n = dual.tape.parameters().len();
    let (depth, widest) = depth_and_width(dual);
    let (u, v) = (direction(seed, 10, n), direction(seed, 11, n));
    let mut times = |direction: &[f64]| -> Vec<f64> {
        set_tangent(dual, direction);
        dual.step();
        dual.tape.gradients().iter().map(|g| g.derivative).collect()
    };
    let (hu, hv) = (times(&u), times(&v));
    let size = norm(&u) * norm(&hv) + norm(&v) * norm(&hu);
    let difference = (inner(&u, &hv).0 - inner(&v, &hu).0).abs();
    let error = if difference == 0.0 { 0.0 } else { difference / size };
    let limit = depth as f64 * rounding(n, widest);
    let detail = "two random directions u, v; H·v by duals under backward";
    Certificate::at_most(("right", "second order: uᵀHv = vᵀHu"), error, limit, detail)
}
