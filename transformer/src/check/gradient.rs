//! Is the gradient of the whole step complete and right?

use super::patience::{DUAL, F64, PATIENCE, dear, seconds};
use super::{Certificate, direction, inner, norm, operation, operations, recorded, rounding};
use crate::ModelError;
use crate::subject::{Recording, Subject};
use calculus::{Dual, Source};
use linalg::Real;

/// Directions along which the whole gradient is tried.
const DIRECTIONS: u32 = 3;
/// The certificates "complete" and "right" of a step at these parameters, on batch 0.
///
/// * every parameter is reached by the loss;
/// * no path is cut: what moves the loss forward has a gradient backward, operation by operation;
/// * every operation obeys ⟨ȳ, Jẋ⟩ = ⟨Jᵀȳ, ẋ⟩ at the values that it has in this step;
/// * so does the whole step, in random directions, with duals as the other route;
/// * central differences, a route without any rule, agree in one direction of every parameter tensor;
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
    each(subject, parameters, seed, PATIENCE, &mut |c| all.push(c))?;
    Ok(all)
}

/// As [`gradients`], told one by one; each with so many seconds.
pub(super) fn each(
    subject: &impl Subject,
    parameters: &[f64],
    seed: u64,
    patience: f64,
    tell: &mut impl FnMut(Certificate),
) -> Result<(), ModelError> {
    let mut step = recorded::<f64>(subject, parameters)?;
    step.step();
    let gradient = step.tape.gradients().to_vec();
    let dual = seconds(DUAL, multiplications(&step));
    tell(reached(&step));
    // Each operand moves by itself: of an operation's two or three, as if the step was replayed as often.
    match dear(3.0 * dual, patience) {
        None => {
            operations(subject, parameters, seed)?.certificates().into_iter().for_each(&mut *tell);
        }
        Some(why) => {
            operation::QUESTIONS.into_iter().for_each(|c| tell(Certificate::skipped(c, &why)));
        }
    }
    // Backward takes twice what forward takes.
    let (forwards, steps) = (f64::from(DIRECTIONS) * dual, 2.0 * 3.0 * dual);
    let (whole_dear, second_dear) = (dear(forwards, patience), dear(steps, patience));
    let mut at_duals = match (&whole_dear, &second_dear) {
        (Some(_), Some(_)) => None,
        _ => Some(recorded::<Dual<f64>>(subject, parameters)?),
    };
    tell(match (&whole_dear, &mut at_duals) {
        (None, Some(dual)) => whole(dual, &gradient, seed),
        (why, _) => Certificate::skipped(WHOLE, why.as_deref().unwrap_or_default()),
    });
    tell(tensor_by_tensor(&mut step, &gradient, seed, patience));
    tell(match (&second_dear, &mut at_duals) {
        (None, Some(dual)) => symmetric(dual, seed),
        (why, _) => Certificate::skipped(SYMMETRIC, why.as_deref().unwrap_or_default()),
    });
    Ok(())
}

const WHOLE: (&str, &str) = ("right", "the whole step: duals against backward");
const SYMMETRIC: (&str, &str) = ("right", "second order: uᵀHv = vᵀHu");

/// Multiplications of a forward replay: every parameter with every token.
fn multiplications<T: Real>(step: &Recording<T>) -> f64 {
    let tape = &step.tape;
    let given = tape.vars().filter(|v| tape.source(*v) == Source::Input);
    let tokens = given.map(|v| tape.shape(v).columns).max().unwrap_or(1);
    tape.parameters().len() as f64 * tokens as f64
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
    Certificate::at_most(WHOLE, worst, limit, detail)
}

fn set_tangent(dual: &mut Recording<Dual<f64>>, tangent: &[f64]) {
    let parameters = dual.tape.parameters_mut().iter_mut();
    parameters.zip(tangent).for_each(|(p, &t)| p.derivative = t);
}

const DIFFERENCES: (&str, &str) = ("right", "central differences against backward");

/// The certificate that central differences, a route without any rule, agree with backward: for every
/// parameter tensor by itself the slope of the loss in one direction.
///
/// The direction is half the tensor's gradient (so that a wrong factor shows in full) and half random (so that
/// what backward leaves out shows, too). The slope is (L(θ + h·u) − L(θ − h·u))/2h at halved steps h, from a
/// twentieth of the tensor's size down, extrapolated to h → 0, until its error is that of rounding: Ridders'
/// method, which also tells its error. The limit, in units of which the certificate counts: ten times that error, as
/// it is an estimate, and twice the rounding of the loss over h.
/// Source: Ridders, *Accurate Computation of F′(x) and F′(x)F″(x)*, Advances in Engineering Software, 1982.
///
/// # Errors
/// If the step cannot be recorded.
pub fn differences(
    subject: &impl Subject,
    parameters: &[f64],
    seed: u64,
) -> Result<Certificate, ModelError> {
    let mut step = recorded::<f64>(subject, parameters)?;
    step.step();
    let gradient = step.tape.gradients().to_vec();
    Ok(tensor_by_tensor(&mut step, &gradient, seed, PATIENCE))
}

fn tensor_by_tensor(
    step: &mut Recording<f64>,
    gradient: &[f64],
    seed: u64,
    patience: f64,
) -> Certificate {
    let (depth, widest) = depth_and_width(step);
    let all = step.tape.parameter_list();
    // As many as there is time for, from first to last.
    let each = 2.0 * LEVELS * seconds(F64, multiplications(step));
    let tried = ((patience / each) as usize).clamp(1, all.len().max(1));
    let chosen = (0..tried).map(|i| i * all.len() / tried);
    let (mut worst, mut resolution) = ((0.0_f64, String::from("none")), 0.0_f64);
    let start = step.tape.parameters().to_vec();
    for (i, parameter) in chosen.map(|i| (i, &all[i])) {
        let range = parameter.range.clone();
        let (own, there) = (&gradient[range.clone()], &start[range.clone()]);
        let u = half_random(own, seed, 100 + i as u32);
        let size = norm(there).max(SMALL * (own.len() as f64).sqrt());
        let mut at = |h: f64| {
            let moved = step.tape.parameters_mut()[range.clone()].iter_mut();
            moved.zip(there.iter().zip(&u)).for_each(|(p, (x, u))| *p = x + h * u);
            step.forward()
        };
        let loss = at(0.0);
        // A loss is what about so many roundings in a row leave of numbers of size 1 and more.
        let noise = 8.0 * f64::EPSILON * ((depth * widest) as f64).sqrt() * (1.0 + loss.abs());
        let found = slope(&mut at, FIRST * size, noise);
        at(0.0);
        let limit = 10.0 * found.error + 2.0 * noise / found.step;
        let error = (found.slope - inner(own, &u).0).abs() / limit;
        let error = if error.is_nan() { f64::INFINITY } else { error };
        if error > worst.0 || i == 0 {
            worst = (error, parameter.name.clone());
        }
        if norm(own) > 0.0 {
            resolution = resolution.max(limit / (inner(own, &u).0 / norm(own)).abs() / norm(own));
        }
    }
    let of = if tried < all.len() {
        format!("{tried} of {} tensors", all.len())
    } else {
        format!("{tried} tensors")
    };
    let detail = format!(
        "{of}; a gradient that is off by {resolution:.0e} of its size shows; worst: {}",
        worst.1
    );
    Certificate::at_most(DIFFERENCES, worst.0, 1.0, detail)
}

/// The unit vector halfway between a gradient and a random direction that does not point away from it; the
/// random direction itself where there is no gradient.
fn half_random(gradient: &[f64], seed: u64, which: u32) -> Vec<f64> {
    let mut u = direction(seed, which, gradient.len());
    let (size, length) = (norm(gradient), norm(&u).max(f64::MIN_POSITIVE));
    let away = if inner(&u, gradient).0 < 0.0 { -1.0 } else { 1.0 };
    let share = if size > 0.0 && size.is_finite() { 1.0 / size } else { 0.0 };
    u.iter_mut().zip(gradient).for_each(|(u, g)| *u = away * *u / length + share * g);
    let length = norm(&u).max(f64::MIN_POSITIVE);
    u.iter_mut().for_each(|u| *u /= length);
    u
}

/// A slope, the error that its method tells, and the step at which it was found.
struct Slope {
    slope: f64,
    error: f64,
    step: f64,
}

/// Halvings of the step at the most: down to a millionth of the first, where a function has a bend nearby.
const MOST: usize = 20;
/// Halvings as a rule.
const LEVELS: f64 = 5.0;
/// The first step over the size of what moves.
const FIRST: f64 = 0.05;
/// The size of an element that is 0.
const SMALL: f64 = 0.02;

/// The slope of a function at 0 by Ridders' method, of values that are good to `noise`.
fn slope(mut at: impl FnMut(f64) -> f64, first: f64, noise: f64) -> Slope {
    let mut best = Slope { slope: f64::NAN, error: f64::INFINITY, step: first };
    let mut before: Vec<f64> = vec![];
    let mut h = first;
    for _ in 0..MOST {
        // Column j is free of the terms h², …, h²ʲ.
        let mut row = vec![(at(h) - at(-h)) / (2.0 * h)];
        let mut power = 1.0;
        for (j, earlier) in before.iter().enumerate() {
            power *= 4.0;
            let next = (power * row[j] - earlier) / (power - 1.0);
            let error = (next - row[j]).abs().max((next - earlier).abs());
            if error < best.error {
                best = Slope { slope: next, error, step: h };
            }
            row.push(next);
        }
        if best.error <= noise / best.step {
            break;
        }
        before = row;
        h /= 2.0;
    }
    best
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
    Certificate::at_most(SYMMETRIC, error, limit, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_to_rounding() {
        // Smooth: to ten digits and more. With a bend at 10⁻³: the step becomes smaller than that.
        let noise = 8.0 * f64::EPSILON;
        let told = |f: fn(f64) -> f64, exact: f64| {
            let found = slope(f, 0.5, noise);
            let error = (found.slope - exact).abs();
            let limit = 10.0 * found.error + 2.0 * noise / found.step;
            assert!(error <= limit && limit < 1e-9, "{error:e}, {limit:e}");
        };
        told(|x| (3.0 * x).exp(), 3.0);
        told(|x| (x + 1.0).sin() / (1.0 + x * x), 1.0_f64.cos());
        told(|x| 2.0 * x + if x > 1e-3 { x - 1e-3 } else { 0.0 }, 2.0);
    }

    #[test]
    fn directions_point_along_the_gradient_and_elsewhere() {
        for n in [1, 2, 1000] {
            let g: Vec<f64> = (0..n).map(|i| 1e-3 * (i as f64 + 1.0).sin()).collect();
            let u = half_random(&g, 3, 1);
            assert!((norm(&u) - 1.0).abs() < 1e-12);
            assert!(inner(&u, &g).0 >= norm(&g) * 0.7, "{n}");
        }
        assert!((norm(&half_random(&[0.0; 9], 3, 1)) - 1.0).abs() < 1e-12);
    }
}
