//! The incomplete gamma and beta functions: the probabilities on both sides of a point.
//!
//! Formula: <var>P(a, x) = ∫₀ˣ tᵃ⁻¹·e⁻ᵗ dt/Γ(a)</var>, <var>I_x(a, b) = ∫₀ˣ tᵃ⁻¹·(1 − t)ᵇ⁻¹ dt/B(a, b)</var>.
//!
//! In the variables ln t and ln t/(1 − t) both densities are logarithmically concave for all a, b > 0, and so smooth
//! that Gauss's rule integrates a tail to the last digits: outwards from the point. The integrand, <var>e^(−h(s))</var>
//! with a convex h, can be written without cancellation for any size of a and b. The density at the point itself comes
//! from Loader's deviances. For small a and b a power series of positive terms is faster.
//!
//! Results are logarithms: a tail of 10⁻³⁰⁰ has as many digits as one of ½. Concave logarithms also make Newton's
//! method converge to every quantile.
//! Source: NIST's *Digital Library of Mathematical Functions*, 8.7.1, 8.17.8; Loader, *Fast and accurate computation of
//! binomial probabilities*, 2000.

use crate::gaussian::standard_quantile;
use crate::special::{LN_ROOT_TAU, deviance, exp_m1_less, ln_1p_less, stirling};

/// The tails on both sides of a point, and the density at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tails {
    /// ln P(X ≤ x).
    pub(crate) ln_lower: f64,
    /// ln P(X > x).
    pub(crate) ln_upper: f64,
    /// The logarithm of the density in the variable in which it is concave.
    pub(crate) ln_density: f64,
}

/// One side of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Side {
    Lower,
    Upper,
}

/// Returns ln(1 − eˡ) for l ≤ 0.
fn ln_complement(l: f64) -> f64 {
    if l > -std::f64::consts::LN_2 { (-l.exp_m1()).ln() } else { (-l.exp()).ln_1p() }
}

impl Tails {
    fn of(side: Side, ln: f64, ln_density: f64) -> Self {
        let ln = ln.min(0.0);
        let other = ln_complement(ln);
        match side {
            Side::Lower => Tails { ln_lower: ln, ln_upper: other, ln_density },
            Side::Upper => Tails { ln_lower: other, ln_upper: ln, ln_density },
        }
    }

    /// Creates the tails of a point below or above all others.
    fn beyond(side: Side) -> Self {
        Tails::of(side, f64::NEG_INFINITY, f64::NEG_INFINITY)
    }

    fn ln(&self, side: Side) -> f64 {
        if side == Side::Lower { self.ln_lower } else { self.ln_upper }
    }

    /// Returns P(X ≤ x), from the smaller of the two.
    pub(crate) fn lower(&self) -> f64 {
        if self.ln_lower < self.ln_upper { self.ln_lower.exp() } else { -self.ln_upper.exp_m1() }
    }

    /// Returns P(X > x), from the smaller of the two.
    pub(crate) fn upper(&self) -> f64 {
        if self.ln_upper < self.ln_lower { self.ln_upper.exp() } else { -self.ln_lower.exp_m1() }
    }
}

/// Nodes and weights of the Gauss–Legendre rule of 16 points (the other eight are their mirror images).
const RULE: [(f64, f64); 8] = [
    (0.09501250983763744, 0.1894506104550685),
    (0.2816035507792589, 0.1826034150449236),
    (0.45801677765722737, 0.16915651939500254),
    (0.6178762444026438, 0.14959598881657674),
    (0.755404408355003, 0.12462897125553388),
    (0.8656312023878318, 0.09515851168249279),
    (0.9445750230732326, 0.062253523938647894),
    (0.9894009349916499, 0.027152459411754095),
];

/// The fraction of a sum below which a term is negligible.
const NEGLIGIBLE: f64 = 1e-18;

/// Returns <var>∫₀^∞ e^(−h(s)) ds</var> for a convex h with h(0) = 0. `slopes` gives its first two derivatives.
///
/// The integral is taken piece by piece, each so short that the integrand falls by a factor of about e⁶ (and no longer
/// than 2, a fraction of the distance π at which logarithms of 1 + eˢ are singular), until the rest is negligible or an
/// exponential. A flat stretch is at most 750 long, the range of a float's logarithm.
fn tail(h: impl Fn(f64) -> f64, slopes: impl Fn(f64) -> (f64, f64)) -> f64 {
    let (mut s, mut total) = (0.0, 0.0);
    for _ in 0..1000 {
        let (slope, bend) = slopes(s);
        let height = (-h(s)).exp();
        let exponential = bend <= 1e-17 * slope * slope;
        if slope > 0.0 && (exponential || height <= NEGLIGIBLE * total * slope) {
            return total + height / slope;
        }
        // The root of slope·w + bend·w²/2 = 6.
        let steep = slope.abs();
        let width = (12.0 / (steep + steep.hypot((12.0 * bend).sqrt()))).min(2.0);
        let half = 0.5 * width;
        let at = |x: f64| (-h(s + half * (1.0 + x))).exp();
        total += half * RULE.iter().map(|&(x, weight)| weight * (at(x) + at(-x))).sum::<f64>();
        s += width;
    }
    total
}

/// Returns ln of <var>xᵃ·e⁻ˣ/Γ(a)</var>, with d = a − x.
pub(crate) fn ln_gamma_density(a: f64, x: f64, d: f64) -> f64 {
    0.5 * a.ln() - LN_ROOT_TAU - stirling(a) - deviance(a, 1.0, x, d)
}

/// Returns P(a, x) and 1 − P(a, x), at x + `rest` for a product that was rounded to x.
pub(crate) fn gamma_tails(a: f64, x: f64, rest: f64) -> Tails {
    if x <= 0.0 || x == f64::INFINITY {
        return Tails::beyond(if x <= 0.0 { Side::Lower } else { Side::Upper });
    }
    let d = (a - x) - rest;
    let ln_density = ln_gamma_density(a, x, d);
    if a <= 64.0 && x <= 1.5 * a + 3.0 {
        let lower =
            Tails::of(Side::Lower, ln_density - a.ln() + gamma_series(a, x).ln(), ln_density);
        if lower.ln_upper > -5.0 {
            return lower;
        }
    }
    let grown = |s: f64| if s < 1.0 { x * exp_m1_less(s) } else { (s + x.ln()).exp() - x - x * s };
    let lower = || {
        let h = |s: f64| d * s + x * exp_m1_less(-s);
        tail(h, |s| (d - x * (-s).exp_m1(), x * (-s).exp()))
    };
    let upper = || {
        let h = |s: f64| grown(s) - d * s;
        tail(h, |s| (grown(s) + x * s - d, (s + x.ln()).exp()))
    };
    both(d >= 0.0, ln_density, lower, upper)
}

/// Returns <var>Σ xᵏ/((a + 1)·…·(a + k))</var>.
fn gamma_series(a: f64, x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..500 {
        term *= x / (a + f64::from(k));
        sum += term;
        if term <= NEGLIGIBLE * sum {
            break;
        }
    }
    sum
}

/// Returns both tails from the one that is probably smaller, or computes each if that one is near 1.
fn both(
    lower_first: bool,
    ln_density: f64,
    lower: impl Fn() -> f64,
    upper: impl Fn() -> f64,
) -> Tails {
    let (lower, upper) = (|| ln_density + lower().ln(), || ln_density + upper().ln());
    let side = if lower_first { Side::Lower } else { Side::Upper };
    let tails = Tails::of(side, if lower_first { lower() } else { upper() }, ln_density);
    match (side, tails.ln_lower.min(tails.ln_upper) < -3.0) {
        (Side::Lower, true) if tails.ln_lower > tails.ln_upper => {
            Tails { ln_upper: upper().min(0.0), ..tails }
        }
        (Side::Upper, true) if tails.ln_upper > tails.ln_lower => {
            Tails { ln_lower: lower().min(0.0), ..tails }
        }
        _ => tails,
    }
}

/// A point of \[0, 1\] and its distance from 1. Neither is rounded away if it is small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) x: f64,
    /// 1 − x, to its last digits except `rest`.
    pub(crate) y: f64,
    rest: f64,
}

impl Share {
    pub(crate) fn new(x: f64) -> Self {
        let y = 1.0 - x;
        Share { x, y, rest: (1.0 - y) - x }
    }

    /// Creates the point with odds x/y.
    pub(crate) fn of_odds(odds: f64) -> Self {
        if odds > 1.0 {
            return Share::of_odds(1.0 / odds).mirrored();
        }
        Share { x: odds / (1.0 + odds), y: 1.0 / (1.0 + odds), rest: 0.0 }
    }

    /// Creates the point with these log-odds.
    fn of_logit(u: f64) -> Self {
        let least = Share::of_odds((-u.abs()).exp());
        if u > 0.0 { least.mirrored() } else { least }
    }

    /// Returns the point whose log-odds are larger by s.
    fn moved(self, s: f64) -> Self {
        let (x, y) = (self.x * s.exp(), self.y);
        Share { x: x / (x + y), y: y / (x + y), rest: 0.0 }
    }

    /// Returns 1 − x.
    pub(crate) fn mirrored(self) -> Self {
        Share { x: self.y, y: self.x, rest: 0.0 }
    }

    /// Returns <var>a·y − b·x</var>: the distance of x below the mode a/(a + b), in units of 1/(a + b).
    fn below_mode(self, a: f64, b: f64) -> f64 {
        let (left, right) = (a * self.y, b * self.x);
        let lost = a.mul_add(self.y, -left) - b.mul_add(self.x, -right);
        (left - right) + (lost + a * self.rest)
    }
}

/// Returns ln of <var>xᵃ·(1 − x)ᵇ/B(a, b)</var>, for x that lies d/(a + b) below a/(a + b).
fn ln_beta_density(a: f64, b: f64, at: Share, d: f64) -> f64 {
    let n = a + b;
    let (least, most) = (a.min(b), a.max(b));
    let scale = 0.5 * (least.ln() + (most / n).ln()) - LN_ROOT_TAU;
    let corrections = stirling(n) - stirling(most) - stirling(least);
    scale + corrections - deviance(a, n, at.x, d) - deviance(b, n, at.y, -d)
}

/// Returns ln of the density of Beta(a, b) in the variable ln x/(1 − x).
pub(crate) fn ln_beta_logit_density(a: f64, b: f64, at: Share) -> f64 {
    ln_beta_density(a, b, at, at.below_mode(a, b))
}

/// Returns I_x(a, b) and 1 − I_x(a, b).
pub(crate) fn beta_tails(a: f64, b: f64, at: Share) -> Tails {
    if at.x <= 0.0 || at.y <= 0.0 {
        return Tails::beyond(if at.x <= 0.0 { Side::Lower } else { Side::Upper });
    }
    let d = at.below_mode(a, b);
    let ln_density = ln_beta_density(a, b, at, d);
    let mirror = at.mirrored();
    for (side, a, b, at) in [(Side::Lower, a, b, at), (Side::Upper, b, a, mirror)] {
        if a + b <= 200.0 && at.x <= 0.7 && (a + b) * at.x <= 1.5 * a + 3.0 {
            let ln = ln_density - a.ln() + beta_series(a, b, at.x).ln();
            let tails = Tails::of(side, ln, ln_density);
            if tails.ln_lower.min(tails.ln_upper) > -5.0 || tails.ln(side) < -1.0 {
                return tails;
            }
        }
    }
    let lower = || beta_tail(a, b, at.x, at.y, d);
    let upper = || beta_tail(b, a, at.y, at.x, -d);
    both(d >= 0.0, ln_density, lower, upper)
}

/// Returns <var>Σ xᵏ·(a + b)·…·(a + b + k − 1)/((a + 1)·…·(a + k))</var>.
fn beta_series(a: f64, b: f64, x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 0..1000 {
        let k = f64::from(k);
        term *= x * (a + b + k) / (a + 1.0 + k);
        sum += term;
        if term <= NEGLIGIBLE * sum {
            break;
        }
    }
    sum
}

/// Returns the integral below x divided by the density at x. At log-odds smaller by s the density has fallen by the
/// factor <var>e^(−h)</var> with <var>h = a·s + n·ln(1 + x·(e⁻ˢ − 1)) = d·s + n·(ln(1 + y·(eˢ − 1)) − y·s)</var>,
/// n = a + b.
fn beta_tail(a: f64, b: f64, x: f64, y: f64, d: f64) -> f64 {
    let n = a + b;
    let rest = |s: f64| {
        if x <= y {
            let w = x * (-s).exp_m1();
            return ln_1p_less(w) + x * exp_m1_less(-s);
        }
        if s < 1.0 {
            return ln_1p_less(y * s.exp_m1()) + y * exp_m1_less(s);
        }
        let ln_w = s + y.ln();
        (if ln_w > 40.0 { ln_w } else { (ln_w.exp() - y).ln_1p() }) - y * s
    };
    let slopes = |s: f64| {
        let shrunk = x * (-s).exp();
        let sum = y + shrunk;
        (d - n * (x * y * (-s).exp_m1() / sum), n * (shrunk / sum) * (y / sum))
    };
    tail(|s| d * s + n * rest(s), slopes)
}

/// Finds the point at which a concave ln F crosses a level, by Newton's steps within a bracket, or by bisection if a
/// step leaves it.
///
/// `at(u)` is (ln F(u) − level, its derivative). Returns the last u and the step from it to the root.
fn crossing(
    start: f64,
    bracket: (f64, f64),
    rising: bool,
    at: impl Fn(f64) -> (f64, f64),
) -> (f64, f64) {
    let (mut low, mut high) = bracket;
    let mut u = start.clamp(low, high);
    let mut last = f64::INFINITY;
    for _ in 0..400 {
        let (value, slope) = at(u);
        if (value > 0.0) == rising {
            high = u
        } else {
            low = u
        }
        let step = -value / slope;
        // Newton's error is the square of the last one. A step that no longer shrinks is rounding; so is one that
        // changes no float (for a density so narrow that it lies between two floats).
        let settled = step.abs() < 1e-8 || step.abs() > 0.5 * last;
        if step.abs() < 1e-17 || (step.is_finite() && value.abs() < 1e-8 && settled) {
            return (u, step);
        }
        // If no u lies between, the last step starts from one of the two.
        let width = high - low;
        if width <= f64::EPSILON * (1.0 + high.abs()) {
            return (u, if step.is_finite() { step.clamp(-width, width) } else { 0.0 });
        }
        let next = u + step;
        // A root beyond an end is that end.
        for (end, beyond) in [(bracket.0, next <= bracket.0), (bracket.1, next >= bracket.1)] {
            let untried = end == low || end == high;
            if beyond && untried && (at(end).0 > 0.0) == (rising == (end == bracket.0)) {
                return (end, 0.0);
            }
        }
        u = if next > low && next < high { next } else { 0.5 * (low + high) };
        last = step.abs();
    }
    (u, 0.0)
}

/// The logarithms of the smallest and the largest float above 0.
const LOGARITHMS: (f64, f64) = (-745.0, 709.75);

/// Returns the x at which the tail of Gamma(a) on `side` has probability p ≤ ½.
pub(crate) fn gamma_quantile(a: f64, side: Side, p: f64) -> f64 {
    let level = p.ln();
    let z = standard_quantile(p) / a.sqrt();
    let start = match side {
        // Below: P ≤ xᵃ/Γ(a + 1), nearly equal for small a.
        Side::Lower if a < 1.0 => (level + libm::lgamma(a + 1.0)) / a,
        Side::Lower => a.ln() + z.max(-2.0),
        // Above: 1 − P ≤ e⁻ˣ for a ≤ 1.
        Side::Upper if a <= 1.0 => (-level).ln(),
        Side::Upper => a.ln() + (-z).min(2.0),
    };
    let at = |u: f64| {
        let tails = gamma_tails(a, u.exp(), 0.0);
        let slope = (tails.ln_density - tails.ln(side)).exp();
        (tails.ln(side) - level, if side == Side::Lower { slope } else { -slope })
    };
    let (u, step) = crossing(start, LOGARITHMS, side == Side::Lower, at);
    let x = u.exp();
    if u < LOGARITHMS.0 + 0.1 { 0.0 } else { x + x * step.exp_m1() }
}

/// Returns the point at which the tail of Beta(a, b) on `side` has probability p ≤ ½.
pub(crate) fn beta_quantile(a: f64, b: f64, side: Side, p: f64) -> Share {
    if side == Side::Upper {
        return beta_quantile(b, a, Side::Lower, p).mirrored();
    }
    let level = p.ln();
    let deviation = (1.0 / a + 1.0 / b).sqrt();
    let start = (a / b).ln() + (standard_quantile(p) * deviation).max(-2.0);
    let at = |u: f64| {
        let tails = beta_tails(a, b, Share::of_logit(u));
        (tails.ln_lower - level, (tails.ln_density - tails.ln_lower).exp())
    };
    let (u, step) = crossing(start, (LOGARITHMS.0, -LOGARITHMS.0), true, at);
    if u < LOGARITHMS.0 + 0.1 { Share::new(0.0) } else { Share::of_logit(u).moved(step) }
}
