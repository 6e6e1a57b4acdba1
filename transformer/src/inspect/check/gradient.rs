//! Certificates that the gradient of the whole step is complete and right.

use super::operation::worse;
use super::patience::{DUAL, F64, PATIENCE, dear, seconds};
use super::{
    Certificate, direction, inner, norm, normal_direction, operation, operations, recorded,
    rounding,
};
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::model::recording::Recording;
use crate::streams;
use calculus::{Dual, Source};
use linalg::Real;
use probability::random::Random;

/// Number of directions in which the whole gradient is tested.
const DIRECTIONS: u32 = 3;
/// Runs the certificates "complete" and "right" of a step at these parameters, on batch 0.
///
/// * the loss depends on every parameter;
/// * no path is cut: if a value moves the loss forward, it has a gradient backward, operation by operation;
/// * every operation obeys ⟨ȳ, Jẋ⟩ = ⟨Jᵀȳ, ẋ⟩ at its values in this step;
/// * every operation computes what its formula states, forward and backward;
/// * the whole step obeys the same, in random directions, with dual numbers as the other route;
/// * central differences, a route without any rule, agree in one direction of every parameter tensor;
/// * second derivatives are symmetric: uᵀHv = vᵀHu;
/// * `f32` gives the same results, up to rounding: see [`narrow`].
///
/// # Errors
/// If the step cannot be recorded.
pub fn gradients(
    subject: &impl Subject,
    parameters: &[f64],
    seed: u64,
) -> Result<Vec<Certificate>, ModelError> {
    let mut all = vec![];
    each((subject, subject), parameters, seed, PATIENCE, &mut |c| all.push(c))?;
    Ok(all)
}

/// Like [`gradients`], but reports each certificate as it completes, with a time budget of `patience` seconds each.
/// Operations are tested one by one on the second subject, the same step on more tokens, if there is time for it.
pub(super) fn each<S: Subject>(
    (subject, longer): (&S, &S),
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
    // Each operand moves by itself: with two or three operands, this costs as many replays.
    let given = |s: &S| s.batch(0).iter().map(|g| g.elements.len()).max().unwrap_or(1) as f64;
    let more = given(longer) / given(subject);
    let long = dear(3.0 * dual * more.max(1.0), patience).is_none();
    match dear(3.0 * dual, patience) {
        None => {
            let subject = if long { longer } else { subject };
            operations(subject, parameters, seed)?.certificates().into_iter().for_each(&mut *tell);
        }
        Some(why) => {
            operation::QUESTIONS.into_iter().for_each(|c| tell(Certificate::skipped(c, &why)));
        }
    }
    // Backward takes twice the time of forward.
    let (forwards, steps) = (f64::from(DIRECTIONS) * dual, 2.0 * 3.0 * dual);
    let (whole_dear, second_dear) = (dear(forwards, patience), dear(steps, patience));
    let along = match whole_dear.is_none() || second_dear.is_none() {
        true => along(&mut recorded(subject, parameters)?, seed, second_dear.is_none()),
        false => vec![],
    };
    tell(match whole_dear {
        None => whole(&step, &along, &gradient, seed),
        Some(why) => Certificate::skipped(WHOLE, &why),
    });
    tell(tensor_by_tensor(&mut step, &gradient, seed, patience));
    tell(match second_dear {
        None => symmetric(&mut step, &along, seed),
        Some(why) => Certificate::skipped(SYMMETRIC, &why),
    });
    drop(along);
    // Three steps in `f64`, one in `f32`.
    tell(match dear(4.0 * 3.0 * seconds(F64, multiplications(&step)), patience) {
        None => narrow(subject, parameters, seed)?,
        Some(why) => Certificate::skipped(NARROW, &why),
    });
    Ok(())
}

const REACHED: (&str, &str) = ("complete", "every parameter is reached by the loss");
const WHOLE: (&str, &str) = ("right", "the whole step: duals against backward");
const SYMMETRIC: (&str, &str) = ("right", "second order: uᵀHv = vᵀHu");
const NARROW: (&str, &str) = ("right", "f32 against f64: loss and gradients");

/// Returns the multiplications of a forward replay: every parameter with every token.
fn multiplications<T: Real>(step: &Recording<T>) -> f64 {
    let tape = &step.tape;
    let given = tape.vars().filter(|v| tape.source(*v) == Source::Input);
    let tokens = given.map(|v| tape.shape(v).columns).max().unwrap_or(1);
    let frozen = tape.vars().filter(|v| tape.source(*v) == Source::Frozen);
    let frozen: usize = frozen.map(|v| tape.shape(v).len()).sum();
    (tape.parameters().len() + frozen) as f64 * tokens as f64
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
    let fine = if count == 1 { "1 tensor".to_owned() } else { format!("{count} tensors") };
    let detail = if missing.is_empty() { fine } else { missing.join("; ") };
    Certificate::at_most(REACHED, missing.len() as f64, 0.0, detail)
}

/// The depth of the step, and its longest sum.
fn depth_and_width<T: Real>(step: &Recording<T>) -> (usize, usize) {
    let tape = &step.tape;
    let widest = tape.vars().map(|v| tape.shape(v)).map(|s| s.rows.max(s.columns)).max();
    (tape.vars().filter(|v| tape.operation(*v).is_some()).count(), widest.unwrap_or(1))
}

/// What a step does along a direction v.
struct Along {
    /// The slope of the loss.
    slope: f64,
    /// H·v, the derivative of the gradient; empty if it was not asked for.
    hessian: Vec<f64>,
}

/// Replays a step along each random direction; with `second`, also backward along the first two.
fn along(dual: &mut Recording<Dual<f64>>, seed: u64, second: bool) -> Vec<Along> {
    let n = dual.tape.parameters().len();
    let of = |which| {
        set_tangent(dual, &direction(seed, which, n));
        let both = second && which < 2;
        let loss = if both { dual.step() } else { dual.forward() };
        let gradients = dual.tape.gradients().iter().filter(|_| both);
        Along { slope: loss.derivative, hessian: gradients.map(|g| g.derivative).collect() }
    };
    (0..DIRECTIONS).map(of).collect()
}

fn whole(step: &Recording<f64>, along: &[Along], gradient: &[f64], seed: u64) -> Certificate {
    let (depth, widest) = depth_and_width(step);
    let mut worst = (0.0_f64, String::new());
    for (which, Along { slope: forward, .. }) in (0..).zip(along) {
        let tangent = direction(seed, which, gradient.len());
        let (reverse, size) = inner(gradient, &tangent);
        let error = (forward - reverse).abs() / size.max(f64::MIN_POSITIVE);
        worse(&mut worst, error, &|| format!("direction {which}"));
    }
    let worst = worst.0;
    let limit = depth as f64 * rounding(gradient.len(), widest);
    let detail = format!("{DIRECTIONS} random directions in {} parameters", gradient.len());
    Certificate::at_most(WHOLE, worst, limit, detail)
}

/// Certifies that training in `f32` computes what was certified in `f64`: compares loss and gradient of the same
/// weights in both.
///
/// The limit is measured on the step itself. It is replayed twice in `f64` with every stored value and gradient rounded
/// to one of the two neighbouring `f32`s at random (stochastic arithmetic): this shows how far one rounding of each
/// value moves the gradient of a parameter tensor, with all amplification. An operation rounds more than once, up to n
/// times in a sum of n terms, independently, which counts as √n; the limit is eight deviations. It is at least ε times
/// the tensor's own size, and at least what rounding moves the whole gradient. The certificate is the worst tensor in
/// units of its limit.
/// Source: Vignes, *A Stochastic Arithmetic for Reliable Scientific Computation*, Mathematics and Computers in
/// Simulation, 1993.
///
/// # Errors
/// If the step cannot be recorded.
pub fn narrow(
    subject: &impl Subject,
    parameters: &[f64],
    seed: u64,
) -> Result<Certificate, ModelError> {
    // The same weights, rounded to f32.
    let parameters: Vec<f64> = parameters.iter().map(|&p| f64::from(p as f32)).collect();
    let mut wide = recorded::<f64>(subject, &parameters)?;
    let loss = wide.step();
    let exact = wide.tape.gradients().to_vec();
    let coins = [0, 1].map(|which| {
        let loss = tossed(&mut wide, Random::new(seed, streams::DIRECTIONS, 50 + which));
        (loss, wide.tape.gradients().to_vec())
    });
    let mut step = recorded::<f32>(subject, &parameters)?;
    let found = f64::from(step.step());
    let gradient: Vec<f64> = step.tape.gradients().iter().map(|&g| f64::from(g)).collect();

    let (_, widest) = depth_and_width(&wide);
    let roundings = 8.0 * (1.0 + (widest as f64).sqrt());
    let epsilon = f64::from(f32::EPSILON);
    let apart =
        |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    let most = |of: &dyn Fn(f64, &[f64]) -> f64| {
        coins.iter().map(|(loss, gradient)| of(*loss, gradient)).fold(0.0, f64::max)
    };
    let whole = most(&|_, g| apart(g, &exact)) / norm(&exact).max(f64::MIN_POSITIVE);
    let mut worst = (0.0, String::new());
    let of_loss = (epsilon * (1.0 + loss.abs())).max(most(&|l, _| (l - loss).abs()));
    worse(&mut worst, (found - loss).abs() / (roundings * of_loss), &|| "the loss".to_owned());
    for parameter in wide.tape.parameter_list() {
        let range = parameter.range.clone();
        let own = &exact[range.clone()];
        let moved = most(&|_, g| apart(&g[range.clone()], own));
        let limit = roundings * moved.max(whole.max(epsilon) * norm(own));
        let error = apart(&gradient[range], own);
        let error = if error == 0.0 { 0.0 } else { error / limit };
        worse(&mut worst, error, &|| parameter.name.clone());
    }
    let detail = format!(
        "loss {found:.7} and {loss:.7}; gradients differ by {:.0e} of their size, one rounding of every number \
         moves them by {whole:.0e}; worst: {}",
        apart(&gradient, &exact) / norm(&exact).max(f64::MIN_POSITIVE),
        worst.1
    );
    Ok(Certificate::at_most(NARROW, worst.0, 1.0, detail))
}

/// A step in which every computed value and gradient is rounded to a neighbouring `f32` at random.
fn tossed(step: &mut Recording<f64>, random: Random) -> f64 {
    let loss = step.loss;
    let mut count = 0;
    let mut toss = |x: &mut f64| {
        let near = *x as f32;
        let other = if f64::from(near) > *x { near.next_down() } else { near.next_up() };
        count += 1;
        // A value that f32 can hold is stored unchanged.
        if f64::from(near) != *x {
            *x = f64::from(if random.below(count, 2) == 0 { near } else { other });
        }
    };
    step.tape.forward_watched(|_, x| x.iter_mut().for_each(&mut toss));
    step.tape.zero_gradients();
    step.tape.backward_watched(loss, &[1.0], |_, g| g.iter_mut().for_each(&mut toss));
    step.tape.elements(loss)[0]
}

fn set_tangent(dual: &mut Recording<Dual<f64>>, tangent: &[f64]) {
    let parameters = dual.tape.parameters_mut().iter_mut();
    parameters.zip(tangent).for_each(|(p, &t)| p.derivative = t);
}

const DIFFERENCES: (&str, &str) = ("right", "central differences against backward");

/// The certificates of [`gradients`], in order.
pub(super) fn questions() -> Vec<(&'static str, &'static str)> {
    let rules = operation::QUESTIONS;
    [&[REACHED], &rules[..], &[WHOLE, DIFFERENCES, SYMMETRIC, NARROW]].concat()
}

/// Certifies that central differences, a route without any rule, agree with backward: for every parameter tensor, the
/// slope of the loss in one direction.
///
/// The direction is half the tensor's gradient (so that a wrong factor shows in full) and half random (so that what
/// backward leaves out shows, too). The slope is (L(θ + h·u) − L(θ − h·u))/2h at halved steps h, from a twentieth of
/// the tensor's size down, extrapolated to h → 0, until its error is that of rounding: Ridders' method, which also
/// estimates its error. The certificate counts in units of this limit: ten times the error, as it is an estimate, plus
/// twice the rounding of the loss over h. A slope that differs is computed again from smaller steps. If the limit
/// exceeds a hundredth of a tensor's slope, the certificate reports it and does not pass.
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
    let mut all = step.tape.parameter_list();
    // Duals certify these alone: differences would see the constants change.
    all.retain(|p| !step.counts_norms_as_constants(&p.name));
    // As many as time allows, evenly from first to last. On average, a change is followed by half a forward replay.
    let each = 2.0 * LEVELS * 0.5 * seconds(F64, multiplications(step));
    let tried = ((SHARE * patience / each) as usize).clamp(1, all.len().max(1));
    let chosen = (0..tried).map(|i| i * all.len() / tried);
    let (mut worst, mut resolution) = ((0.0_f64, String::from("none")), 0.0_f64);
    // Tensors for which differences cannot resolve a hundredth of the gradient.
    let mut blurred: Vec<&str> = vec![];
    let start = step.tape.parameters().to_vec();
    for (i, parameter) in chosen.map(|i| (i, &all[i])) {
        let range = parameter.range.clone();
        let (own, there) = (&gradient[range.clone()], &start[range.clone()]);
        let u = half_random(own, seed, 100 + i as u32);
        let size = norm(there).max(SMALL * (own.len() as f64).sqrt());
        let changed = step.tape.find(&parameter.name).expect("a parameter of the recording");
        let mut at = |h: f64| {
            let moved = step.tape.parameters_mut()[range.clone()].iter_mut();
            moved.zip(there.iter().zip(&u)).for_each(|(p, (x, u))| *p = x + h * u);
            step.tape.forward_after(changed);
            step.tape.elements(step.loss)[0]
        };
        let loss = at(0.0);
        // Rounding noise of the loss: about √(depth·width) roundings of values of size 1 and more.
        let noise = 8.0 * f64::EPSILON * ((depth * widest) as f64).sqrt() * (1.0 + loss.abs());
        let (error, limit) = compared(&mut at, FIRST * size, noise, inner(own, &u).0);
        at(0.0);
        if error > worst.0 || i == 0 {
            worst = (error, parameter.name.clone());
        }
        // A gradient below the rounding of the whole gradient needs no resolution of its own.
        let along = inner(own, &u).0.abs();
        if norm(own) > NEGLIGIBLE * norm(gradient) {
            resolution = resolution.max(limit / along);
            if limit.is_nan() || limit > BLUR * along {
                blurred.push(&parameter.name);
            }
        }
    }
    let of = match (tried, all.len()) {
        (tried, all) if tried < all => format!("{tried} of {all} tensors"),
        (1, _) => "1 tensor".to_owned(),
        (tried, _) => format!("{tried} tensors"),
    };
    if worst.0 <= 1.0 && !blurred.is_empty() {
        let why = format!(
            "{of}; of {} differences cannot resolve 1 % of the gradient: the loss has a bend there, or hardly \
             depends on it; the others hold",
            blurred.join(", ")
        );
        return Certificate::skipped(DIFFERENCES, &why);
    }
    let shows = match resolution {
        0.0 => "no tensor has a gradient".to_owned(),
        resolution => format!("an error of {resolution:.0e} of the gradient's size is detected"),
    };
    let detail = format!("{of}; {shows}; worst: {}", worst.1);
    Certificate::at_most(DIFFERENCES, worst.0, 1.0, detail)
}

/// The largest relative error of a gradient that a certificate may fail to detect.
const BLUR: f64 = 1e-2;
/// A tensor's gradient this small relative to the whole is rounding.
const NEGLIGIBLE: f64 = 1e-9;

/// Returns the unit vector halfway between a gradient and a random direction that does not point away from it; the
/// random direction itself if the gradient is 0.
fn half_random(gradient: &[f64], seed: u64, which: u32) -> Vec<f64> {
    let mut u = normal_direction(seed, which, gradient.len());
    let (size, length) = (norm(gradient), norm(&u).max(f64::MIN_POSITIVE));
    let away = if inner(&u, gradient).0 < 0.0 { -1.0 } else { 1.0 };
    let share = if size > 0.0 && size.is_finite() { 1.0 / size } else { 0.0 };
    u.iter_mut().zip(gradient).for_each(|(u, g)| *u = away * *u / length + share * g);
    let length = norm(&u).max(f64::MIN_POSITIVE);
    u.iter_mut().for_each(|u| *u /= length);
    u
}

/// A slope, the method's estimate of its error, and the step at which it was found.
struct Slope {
    slope: f64,
    error: f64,
    step: f64,
}

/// The share of the time budget for one certificate that central differences use up: they take what they are given.
const SHARE: f64 = 0.2;
/// Maximum number of halvings: down to a millionth of the first step, if a function has a bend nearby.
const MOST: usize = 20;
/// Usual number of halvings.
const LEVELS: f64 = 5.0;
/// The first step, relative to the size of what moves.
const FIRST: f64 = 0.05;
/// The step's scale for an element that is 0.
const SMALL: f64 = 0.02;

/// Computes the slope of a function at 0 by Ridders' method; its values have an error of `noise`.
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

/// Number of times that a slope is computed if it is not the expected one, each time from steps [`CLOSER`] times as small.
const LOOKS: usize = 3;
const CLOSER: f64 = 8.0;

/// Returns how far a function's slope at 0 is from the expected one, in units of its limit, and that limit.
///
/// A bend within the steps can deceive the estimate of the error (one tensor in some hundred, with ReLU). From
/// smaller steps it lies outside; what is wrong with a gradient remains.
fn compared(
    mut at: impl FnMut(f64) -> f64,
    mut first: f64,
    noise: f64,
    expected: f64,
) -> (f64, f64) {
    let (mut error, mut limit) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..LOOKS {
        let found = slope(&mut at, first, noise);
        limit = 10.0 * found.error + 2.0 * noise / found.step;
        error = (found.slope - expected).abs() / limit;
        error = if error.is_nan() { f64::INFINITY } else { error };
        if error <= 1.0 {
            break;
        }
        first = found.step / CLOSER;
    }
    (error, limit)
}

/// Checks uᵀHv = vᵀHu, with H·v as the derivative of the gradient in the direction v (duals under backward). If H·v is
/// exactly 0, it checks instead whether the gradient changes along v.
fn symmetric(step: &mut Recording<f64>, along: &[Along], seed: u64) -> Certificate {
    let n = step.tape.parameters().len();
    let (depth, widest) = depth_and_width(step);
    let (u, v) = (direction(seed, 0, n), direction(seed, 1, n));
    let (hu, hv) = (&along[0].hessian, &along[1].hessian);
    let limit = depth as f64 * rounding(n, widest);
    let size = norm(&u) * norm(hv) + norm(&v) * norm(hu);
    if size == 0.0 {
        return straight(step, &v, depth, widest);
    }
    let error = (inner(&u, hv).0 - inner(&v, hu).0).abs() / size;
    let detail = "two random directions u, v; H·v by duals under backward";
    Certificate::at_most(SYMMETRIC, error, limit, detail)
}

/// Interprets a second derivative of 0 by duals: either the gradient is constant, or it is not.
fn straight(step: &mut Recording<f64>, v: &[f64], depth: usize, widest: usize) -> Certificate {
    let there = step.tape.parameters().to_vec();
    // A step as for central differences, of the parameters' size.
    let size = norm(&there).max(SMALL * (there.len() as f64).sqrt());
    let h = FIRST * size / norm(v).max(f64::MIN_POSITIVE);
    let mut at = |h: f64| {
        let moved = step.tape.parameters_mut().iter_mut().zip(there.iter().zip(v));
        moved.for_each(|(p, (x, v))| *p = x + h * v);
        step.step();
        step.tape.gradients().to_vec()
    };
    let (after, before) = (at(h), at(-h));
    at(0.0);
    let change: Vec<f64> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
    let (change, own) = (norm(&change), norm(&after) + norm(&before));
    let share = if change == 0.0 { 0.0 } else { change / own };
    let limit = depth as f64 * rounding(v.len(), widest);
    if share <= limit {
        let why =
            "H·v is exactly 0 and the gradient is constant: the loss is linear in its parameters";
        return Certificate::not_applicable(SYMMETRIC, why);
    }
    let detail = format!(
        "H·v by duals is exactly 0, but the gradient changes by {share:.0e} of its size along v: backward treats as \
         a constant a value that depends on the parameters"
    );
    Certificate::at_most(SYMMETRIC, share, limit, detail)
}

#[cfg(test)]
mod tests;
