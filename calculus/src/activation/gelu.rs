use super::Function;
use linalg::Real;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

/// x·Φ(x) with the distribution function Φ of the standard normal: GELU, exact.
///
/// Source: Hendrycks and Gimpel, *Gaussian Error Linear Units*, 2016.
///
/// ```
/// use calculus::{Dual, activation::{Function, Gelu}};
/// let y = Gelu::at(Dual::variable(-1.0_f64));
/// assert!((y.value + 0.1586553).abs() < 1e-7 && (y.derivative + 0.0833155).abs() < 1e-7);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Gelu;

impl Function for Gelu {
    const NAME: &'static str = "GELU";
    const FLOPS: u64 = 14;

    #[inline(always)]
    fn at<T: Real>(x: T) -> T {
        let half = T::from_f64(0.5);
        half * x * (T::one() + (x * T::from_f64(FRAC_1_SQRT_2)).erf())
    }
}

/// ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))): the approximation that GPT-2 was trained with, whose
/// derivative is its own and not that of [`Gelu`].
///
/// Source: Hendrycks and Gimpel 2016, section 2; `gelu_new` in Hugging Face transformers.
///
/// ```
/// use calculus::activation::{Function, GeluTanh};
/// assert!((GeluTanh::at(1.0_f64) - 0.8411920).abs() < 1e-7);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GeluTanh;

impl Function for GeluTanh {
    const NAME: &'static str = "GELU, tanh form";
    const FLOPS: u64 = 18;

    #[inline(always)]
    fn at<T: Real>(x: T) -> T {
        let half = T::from_f64(0.5);
        let inner = T::from_f64(FRAC_2_PI.sqrt()) * (x + T::from_f64(0.044715) * (x * x * x));
        half * x * (T::one() + inner.tanh())
    }
}
