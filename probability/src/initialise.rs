//! Initial weights: random, of a size that keeps the signal's variance through many layers.
//!
//! For y = W·x with independent weights of mean 0 and variance v and n inputs of mean square m, every yᵢ has variance
//! n·v·m. So v = 1/n keeps the variance of the forward signal, v = 1/(number of outputs) that of the gradients; ReLU
//! halves the mean square, and v = 2/n compensates for it.
//!
//! | rule | variance | keeps |
//! |---|---|---|
//! | Xavier | 2/(inputs + outputs) | activations and gradients, a compromise, around 0 where tanh is linear |
//! | Kaiming | 2/inputs | activations behind ReLU |
//! | GPT-2 | 0.02² | nothing exactly: 0.02 is close to 1/√inputs for widths of 1,000 to 3,000 |
//! | GPT-2, residual | 0.02²/2N | the residual stream, to which 2N projections are added |
//!
//! Source: Glorot, Bengio, *Understanding the difficulty of training deep feedforward neural
//! networks*, 2010; He et al., *Delving deep into rectifiers*, 2015; Radford et al., *Language
//! models are unsupervised multitask learners*, 2019, section 2.3.
//!
//! Variances are `f64`, computed from two sizes: there is nothing to differentiate.

use crate::error::{ProbabilityError, check_setting};
use crate::random::Random;
use linalg::{Matrix, Real};

/// A rule for drawing initial weights.
///
/// ```
/// use probability::initialise::Initialiser;
/// assert_eq!(Initialiser::XavierNormal.variance(300, 100)?, 0.005);
/// assert_eq!(Initialiser::KaimingNormal.variance(200, 100)?, 0.01);
/// let residual = Initialiser::Gpt2Residual { layers: 12 }; // two projections a layer
/// assert!((residual.variance(768, 768)? - 0.0004 / 24.0).abs() < 1e-18);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Initialiser {
    /// <var>N(0, σ²)</var> with this σ.
    Normal(f64),
    /// Uniform in \[−b, b) with this b; variance <var>b²/3</var>.
    Uniform(f64),
    /// N(0, 2/(inputs + outputs)).
    XavierNormal,
    /// Uniform with variance 2/(inputs + outputs): b = √(6/(inputs + outputs)).
    XavierUniform,
    /// N(0, 2/inputs).
    KaimingNormal,
    /// Uniform with variance 2/inputs: <var>b = √(6/inputs)</var>.
    KaimingUniform,
    /// <var>N(0, 0.02²)</var>.
    RecordedStep,
    /// <var>N(0, 0.02²/2N)</var>, for the two projections of each of N layers that write to the residual
    /// stream.
    Gpt2Residual {
        /// The number of layers N.
        layers: usize,
    },
}

impl Initialiser {
    /// Returns the variance of a weight of a layer with these numbers of inputs and outputs.
    ///
    /// # Errors
    /// If σ or b is negative, infinite or NaN, or there are no inputs (Xavier, Kaiming), no outputs (Xavier) or no
    /// layers.
    ///
    /// ```
    /// use probability::initialise::Initialiser;
    /// assert!((Initialiser::KaimingNormal.variance(512, 256)? - 2.0 / 512.0).abs() < 1e-15);
    /// assert!((Initialiser::XavierUniform.variance(300, 100)? - 2.0 / 400.0).abs() < 1e-15);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn variance(&self, inputs: usize, outputs: usize) -> Result<f64, ProbabilityError> {
        let at_least_one = |what, n: usize| check_setting(what, "1 or more", n as f64, n >= 1);
        let size = |what, x: f64| {
            check_setting(what, "0 or more, and finite", x, x >= 0.0 && x.is_finite()).map(|()| x)
        };
        use Initialiser::*;
        Ok(match *self {
            Normal(deviation) => size("the standard deviation", deviation)?.powi(2),
            Uniform(bound) => size("the bound", bound)?.powi(2) / 3.0,
            XavierNormal | XavierUniform => {
                at_least_one("the number of inputs", inputs)?;
                at_least_one("the number of outputs", outputs)?;
                2.0 / (inputs as f64 + outputs as f64)
            }
            KaimingNormal | KaimingUniform => {
                at_least_one("the number of inputs", inputs)?;
                2.0 / inputs as f64
            }
            RecordedStep => 0.02 * 0.02,
            Gpt2Residual { layers } => {
                at_least_one("the number of layers", layers)?;
                0.02 * 0.02 / (2.0 * layers as f64)
            }
        })
    }

    /// Draws weights (outputs × inputs), the first of them number `first` of `random`.
    ///
    /// # Errors
    /// Like [`Initialiser::variance`].
    ///
    /// ```
    /// use probability::{Random, initialise::Initialiser, running::Running};
    /// let w = Initialiser::XavierUniform.weights::<f64>(100, 300, &Random::new(1, 0, 0), 0)?;
    /// assert!(w.amax() <= (6.0_f64 / 400.0).sqrt());
    /// let spread = w.iter().copied().collect::<Running<f64>>().population_variance()?;
    /// assert!((spread / 0.005 - 1.0).abs() < 5.0 * (0.8_f64 / 30_000.0).sqrt()); // five standard errors
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn weights<T: Real>(
        &self,
        outputs: usize,
        inputs: usize,
        random: &Random,
        first: u64,
    ) -> Result<Matrix<T>, ProbabilityError> {
        let variance = self.variance(inputs, outputs)?;
        use Initialiser::*;
        let uniform = matches!(self, Uniform(_) | XavierUniform | KaimingUniform);
        // A given σ or b is used directly: its square may leave the range.
        let size = match *self {
            Normal(size) | Uniform(size) => size,
            _ if uniform => (3.0 * variance).sqrt(),
            _ => variance.sqrt(),
        };
        Ok(Matrix::from_fn(outputs, inputs, |i, j| {
            let index = first.wrapping_add((j * outputs + i) as u64);
            let standard =
                if uniform { 2.0 * random.uniform(index) - 1.0 } else { random.normal(index) };
            T::from_f64(size * standard)
        }))
    }
}
