//! How far two routes to one number may differ, from the scalar's ε and the length of the sums.
//!
//! A sum of n terms in order is off by at most n·ε·Σ|terms|. The sums of this workspace run in 16
//! lanes, so n is a sixteenth of what is summed. Every bound here is relative to the size of what was
//! summed, not to the result, which may cancel.

/// ε of `f32`, as an `f64`.
pub const EPSILON_32: f64 = f32::EPSILON as f64;

/// Two routes to a sum of `terms` terms, each term of a few roundings of its own.
pub const fn sum(terms: usize) -> f64 {
    (4 + terms) as f64 * f64::EPSILON
}

/// As [`sum`], in `f32`.
pub const fn sum_32(terms: usize) -> f64 {
    (4 + terms) as f64 * EPSILON_32
}

/// The adjoint law of one primitive: sums of up to 2¹⁶ terms in 16 lanes. 9.1·10⁻¹³.
pub const ADJOINT: f64 = 4096.0 * f64::EPSILON;

/// What a backward rule with a mistake is off by, at the least. A mistake is not small: it changes
/// the gradient by a factor, a sign or a term, on operands of size 1.
pub const MISTAKE: f64 = 1e-6;

/// The step of a central difference that balances truncation, h²·f‴/6, and rounding, ε·f/h, for a
/// function and derivatives of size 1: ε^⅓ = 6·10⁻⁶.
pub fn step() -> f64 {
    f64::EPSILON.cbrt()
}

/// A central difference with [`step`]: ε^⅔ = 3.7·10⁻¹¹ for a function of size 1 whose third derivative
/// is of size 1. Where a value passes through `depth` functions the third derivative of their
/// composition grows as depth³.
pub fn difference(depth: usize) -> f64 {
    f64::EPSILON.powf(2.0 / 3.0) * (depth.pow(3) as f64)
}
