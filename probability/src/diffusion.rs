//! The forward process of diffusion: adds noise to a signal and keeps the variance.
//!
//! Formula: <var>x_t = √ᾱ·x₀ + √(1 − ᾱ)·ε</var> with ε ~ N(0, 1). If x₀ has variance 1, so has x_t,
//! for every ᾱ.
//! Source: the textbook's A.2; Ho, Jain, Abbeel, *Denoising Diffusion Probabilistic Models*, 2020,
//! equation 4.

use crate::error::{ProbabilityError, check_length, check_setting};
use linalg::Real;

/// Returns x_t, element by element, from the signal x₀ and noise ε. ᾱ = 1 gives the signal, ᾱ = 0 the noise.
///
/// Infinite and NaN elements follow the arithmetic of floats.
///
/// # Errors
/// If ᾱ is NaN or outside \[0, 1\], or signal and noise have different lengths.
///
/// ```
/// let noisy = probability::diffusion::diffuse(&[1.0, -2.0], 0.64, &[0.5, 1.0])?;
/// assert!((noisy[0] - 1.1_f64).abs() < 1e-15 && (noisy[1] + 1.0).abs() < 1e-15); // 0.8·x₀ + 0.6·ε
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("add_noise", "q_sample"))]
pub fn diffuse<T: Real>(
    signal: &[T],
    alpha_bar: f64,
    noise: &[T],
) -> Result<Vec<T>, ProbabilityError> {
    check_setting("ᾱ", "between 0 and 1", alpha_bar, (0.0..=1.0).contains(&alpha_bar))?;
    check_length("numbers of noise", signal.len(), noise.len())?;
    let (keep, add) = (T::from_f64(alpha_bar.sqrt()), T::from_f64((1.0 - alpha_bar).sqrt()));
    Ok(signal.iter().zip(noise).map(|(&x, &e)| keep * x + add * e).collect())
}
