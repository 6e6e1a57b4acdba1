//! Parts of the gamma function that keep the digits that ln Γ would lose.
//!
//! <var>ln Γ(x) = (x − ½)·ln x − x + ½·ln 2π + s(x)</var>: for large x the first terms are huge, and cancel in a
//! density. So densities are written in s(x), which is small, and in deviances, which are computed from differences.
//! Source: NIST's *Digital Library of Mathematical Functions*, sections 5.11 and 5.5; Loader, *Fast and accurate
//! computation of binomial probabilities*, 2000.

/// <var>½·ln 2π</var>.
pub(crate) const LN_ROOT_TAU: f64 = 0.918_938_533_204_672_8;

/// The limit from which the asymptotic series below have an error of at most 10⁻¹⁷.
const LARGE: f64 = 16.0;

/// Returns <var>Σ_{k ≥ 1} v²ᵏ/(2k + 1)</var> for |v| ≤ ⅓: atanh(v)/v − 1.
fn atanh_less(v: f64) -> f64 {
    let square = v * v;
    let (mut sum, mut power) = (0.0, 1.0);
    for k in 1..20 {
        power *= square;
        sum += power / f64::from(2 * k + 1);
    }
    sum
}

/// Returns <var>ln(1 + w) − w</var> for w > −1, with the digits that the difference would lose.
pub(crate) fn ln_1p_less(w: f64) -> f64 {
    if w.abs() > 0.4 {
        return w.ln_1p() - w;
    }
    // ln(1 + w) = 2·atanh v with v = w/(2 + w), and 2v − w = −w·v.
    let v = w / (2.0 + w);
    v * (2.0 * atanh_less(v) - w)
}

/// Returns <var>eˢ − 1 − s</var>, with the digits that the differences would lose.
pub(crate) fn exp_m1_less(s: f64) -> f64 {
    if s.abs() > 0.5 {
        return s.exp_m1() - s;
    }
    // Horner's rule for Σ sᵏ/k! from k = 2 to 16.
    let rest = (3..=16).rev().fold(1.0, |sum, k| 1.0 + sum * s / f64::from(k));
    0.5 * s * s * rest
}

/// Returns <var>a·ln(a/m) + m − a</var> for a, m > 0 with a − m = d: the deviance of a from m = n·x, at least 0.
pub(crate) fn deviance(a: f64, n: f64, x: f64, d: f64) -> f64 {
    let v = d / (a + n * x);
    if v.abs() > 0.3 {
        let ratio = a / n / x; // n·x may overflow or underflow
        let in_range = ratio > 0.0 && ratio.is_finite();
        let ln = if in_range { ratio.ln() } else { a.ln() - n.ln() - x.ln() };
        return a * ln - d;
    }
    d * v + 2.0 * a * v * atanh_less(v)
}

/// Returns s(x), the remainder of Stirling's formula for ln Γ(x), for x > 0.
pub(crate) fn stirling(x: f64) -> f64 {
    if x >= LARGE {
        let t = 1.0 / (x * x);
        let terms = [
            1.0 / 12.0,
            -1.0 / 360.0,
            1.0 / 1260.0,
            -1.0 / 1680.0,
            1.0 / 1188.0,
            -691.0 / 360_360.0,
        ];
        return terms.iter().rev().fold(0.0, |sum, term| sum * t + term) / x;
    }
    // s(x) − s(x + 1) = (x + ½)·ln(1 + 1/x) − 1; for x ≥ 1 that is Σ v²ᵏ/(2k + 1) with v = 1/(2x + 1).
    if x < 1.0 {
        return (x + 0.5) * (x.ln_1p() - x.ln()) - 1.0 + stirling(x + 1.0);
    }
    let (mut x, mut sum) = (x, 0.0);
    while x < LARGE {
        sum += atanh_less(1.0 / (2.0 * x + 1.0));
        x += 1.0;
    }
    sum + stirling(x)
}

/// Returns ln Γ(x) for x > 0.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// Returns <var>ln x − 1/2x − ψ(x)</var> for x ≥ 16.
fn digamma_rest(x: f64) -> f64 {
    let t = 1.0 / (x * x);
    let terms = [
        1.0 / 12.0,
        -1.0 / 120.0,
        1.0 / 252.0,
        -1.0 / 240.0,
        1.0 / 132.0,
        -691.0 / 32_760.0,
        1.0 / 12.0,
    ];
    terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t)
}

/// Returns ψ(x), the slope of ln Γ, for x > 0.
pub(crate) fn digamma(x: f64) -> f64 {
    let (mut x, mut sum) = (x, 0.0);
    while x < LARGE {
        sum += 1.0 / x;
        x += 1.0;
    }
    x.ln() - 0.5 / x - digamma_rest(x) - sum
}

/// Returns the entropy of Gamma(x), <var>ln Γ(x) − (x − 1)·ψ(x) + x</var>, of which other entropies are sums.
pub(crate) fn gamma_entropy(x: f64) -> f64 {
    if x < LARGE {
        return ln_gamma(x) - (x - 1.0) * digamma(x) + x;
    }
    0.5 * x.ln() + LN_ROOT_TAU + stirling(x) + 0.5 - 0.5 / x + (x - 1.0) * digamma_rest(x)
}
