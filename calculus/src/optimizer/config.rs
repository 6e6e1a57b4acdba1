//! Optimizers by name, with their settings.

use super::{Optimizer, OptimizerKind};
use crate::Parameter;
use crate::named::named;
use linalg::Real;

/// An optimizer by name, with settings; each update rule reads only its own ([`OptimizerKind::takes`]).
///
/// ```
/// use calculus::optimizer::{OptimizerConfig, OptimizerKind};
/// # let (tape, _) = calculus::example::product();
/// let config = OptimizerConfig { kind: "lion".parse()?, weight_decay: 0.1, ..OptimizerConfig::default() };
/// let mut rule = config.build::<f64>(&tape.parameter_list());
/// let mut w = [1.0];
/// rule.step(0.01, &mut w, &[5.0]);
/// assert_eq!(w, [0.99]); // a single number is not a matrix: it does not decay
/// assert_eq!(OptimizerKind::Lion.takes(), ["beta1", "beta2", "weight_decay"]);
/// # Ok::<(), calculus::optimizer::UnknownOptimizer>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerConfig {
    /// The update rule.
    pub kind: OptimizerKind,
    /// The momentum µ.
    pub momentum: f64,
    /// The smoothing β₁ of the gradient.
    pub beta1: f64,
    /// The smoothing β₂ of the squared gradient; in Lion, of its momentum.
    pub beta2: f64,
    /// The ε added to divisors, which keeps a division finite if every gradient was 0.
    pub epsilon: f64,
    /// The decay λ of matrices.
    pub weight_decay: f64,
    /// The width over that for which the learning rate was chosen, m, if rates are to transfer between widths (µP); 1
    /// otherwise ([`OptimizerConfig::shares`]).
    pub width_ratio: f64,
}

impl Default for OptimizerConfig {
    /// Returns Adam with β₁ = 0.9, β₂ = 0.99, ε = 10⁻⁸, without decay.
    fn default() -> Self {
        OptimizerConfig {
            kind: OptimizerKind::Adam,
            momentum: 0.0,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            weight_decay: 0.0,
            width_ratio: 1.0,
        }
    }
}

impl OptimizerConfig {
    /// Returns gradient descent with momentum µ; 0 means none.
    pub fn sgd(momentum: f64) -> Self {
        OptimizerConfig { kind: OptimizerKind::Sgd, momentum, ..Self::default() }
    }

    /// Returns the factors of the learning rate for hidden matrices ([`crate::hidden_matrices`]) and for all other
    /// parameters, with which updates change activations as much at m times the width (µP): 1/m and 1 if every element
    /// moves by about the rate, because a column of m times as many inputs adds up m times as many changes; 1/√m and 1
    /// for orthogonalised updates, whose largest singular value grows with √m already; 1 and m for descent, whose
    /// gradients of vectors and of embeddings shrink like 1/m. All are 1 for m = 1. Decay keeps the whole rate. On `f64`
    /// only: ratios are settings.
    ///
    /// For this, initial hidden matrices have deviations ∝ 1/√m, logits a factor 1/m, and attention scores 1/m (with
    /// heads m times as wide) instead of 1/√m.
    ///
    /// Source: Yang et al., *Tensor Programs V*, 2022, table 8; Yang, Simon and Bernstein, *A Spectral Condition for
    /// Feature Learning*, 2023, for orthogonalised updates.
    ///
    /// ```
    /// use calculus::optimizer::{OptimizerConfig, OptimizerKind};
    /// let config = |kind| OptimizerConfig { kind, width_ratio: 4.0, ..OptimizerConfig::default() };
    /// assert_eq!(config(OptimizerKind::Adam).shares(), [0.25, 1.0]);
    /// assert_eq!(config(OptimizerKind::Muon).shares(), [0.5, 1.0]);
    /// assert_eq!(config(OptimizerKind::Sgd).shares(), [1.0, 4.0]);
    /// ```
    pub fn shares(&self) -> [f64; 2] {
        let m = self.width_ratio;
        match (self.kind.by_matrix(), self.kind.normalises()) {
            (true, _) => [1.0 / m.sqrt(), 1.0],
            (false, true) => [1.0 / m, 1.0],
            (false, false) => [1.0, m],
        }
    }

    /// Returns the learning rate above which the optimizer diverges on a quadratic with this largest eigenvalue,
    /// measured in units of the divisor ([`Optimizer::preconditioner`]), at the step after `steps`. NaN if the
    /// quadratic has no minimum, `None` if there is no such rate. On `f64` only: rates are settings.
    ///
    /// ```
    /// use calculus::optimizer::OptimizerConfig;
    /// let adam = OptimizerConfig::default();
    /// assert!((adam.limit(1.0, 10_000).unwrap() - 38.0).abs() < 1e-9);
    /// assert!((adam.limit(1.0, 0).unwrap() - 3.8).abs() < 1e-9);
    /// assert_eq!(OptimizerConfig::sgd(0.5).limit(1.0, 0), Some(3.0));
    /// ```
    pub fn limit(&self, eigenvalue: f64, steps: u64) -> Option<f64> {
        self.kind.limit(self, eigenvalue, steps)
    }

    /// Returns the bias corrections at the step after `steps`, of the mean of gradients and of the mean of squares: 1 −
    /// βᵗ, with t the number of that step, or 1 without correction. A parameter changes by its rate over the first. On
    /// `f64` only: rates are settings.
    ///
    /// ```
    /// use calculus::optimizer::{OptimizerConfig, OptimizerKind};
    /// let adam = OptimizerConfig { beta1: 0.5, beta2: 0.75, ..OptimizerConfig::default() };
    /// assert_eq!(adam.corrections(1), [0.75, 0.4375]);
    /// assert_eq!(OptimizerConfig { kind: OptimizerKind::AdaMax, ..adam }.corrections(1), [0.75, 1.0]);
    /// assert_eq!(OptimizerConfig::sgd(0.5).corrections(1), [1.0, 1.0]);
    /// ```
    pub fn corrections(&self, steps: u64) -> [f64; 2] {
        self.kind.corrections(self, steps.saturating_add(1))
    }

    /// Creates the optimizer for these parameters, which are contiguous from 0.
    pub fn build<T: Real>(&self, parameters: &[Parameter]) -> Box<dyn Optimizer<T>> {
        self.kind.build(self, parameters)
    }
}

/// An optimizer listed in [`OptimizerKind`], with its name and properties.
pub trait Rule<T: Real>: Optimizer<T> + Sized + 'static {
    /// Its name in settings and flags.
    const KEY: &'static str;
    /// Its update, in one sentence without a full stop.
    const MEANING: &'static str;
    /// The fields of [`OptimizerConfig`] that it reads.
    const TAKES: &'static [&'static str];
    /// Whether a step changes a parameter by about the learning rate, whatever the size of its gradients.
    const NORMALISES: bool;
    /// The parts of its state ([`Optimizer::state`]) that it divides by: a mean of squares, a largest size. They are
    /// never negative, and ∞ stops the parameter.
    const DIVISORS: &'static [&'static str] = &[];
    /// Whether the update of an element of a hidden matrix ([`crate::hidden_matrices`]) depends on the whole matrix.
    const BY_MATRIX: bool = false;
    /// Whether the weights to evaluate are a mean of iterates ([`Optimizer::evaluated`]).
    const AVERAGES: bool = false;

    /// Creates the optimizer for these parameters, before its first step.
    fn of(config: &OptimizerConfig, parameters: &[Parameter]) -> Self;

    /// Returns the limit of [`OptimizerConfig::limit`].
    fn limit(config: &OptimizerConfig, eigenvalue: f64, steps: u64) -> Option<f64>;

    /// Returns the corrections of [`OptimizerConfig::corrections`]; `step` is the number of the step, from 1.
    fn corrections(config: &OptimizerConfig, step: u64) -> [f64; 2] {
        let _ = (config, step);
        [1.0; 2]
    }
}

/// Declares the files of the optimizers: modules, and the variants of [`OptimizerKind`](super::OptimizerKind).
macro_rules! rules {
    ($($file:ident: $rule:ident;)+) => {
        $(
            mod $file;
            pub use $file::$rule;
        )+

        /// The update rules of this module, as a setting.
        ///
        /// ```
        /// use calculus::optimizer::OptimizerKind;
        /// let kind: OptimizerKind = "adamw".parse()?;
        /// assert_eq!((kind, kind.key()), (OptimizerKind::Adam, "adamw"));
        /// # Ok::<(), calculus::optimizer::UnknownOptimizer>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[cfg_attr(
            feature = "serde",
            derive(serde::Serialize, serde::Deserialize),
            serde(into = "String", try_from = "String")
        )]
        pub enum OptimizerKind {
            $(
                #[doc = concat!("[`", stringify!($rule), "`](struct@", stringify!($rule), ").")]
                $rule,
            )+
        }

        impl OptimizerKind {
            /// All update rules.
            pub const ALL: &'static [OptimizerKind] = &[$(OptimizerKind::$rule),+];

            /// Returns its name in settings and flags, such as `adamw`.
            pub fn key(self) -> &'static str {
                match self {
                    $(OptimizerKind::$rule => <$rule<f64> as Rule<f64>>::KEY,)+
                }
            }

            /// Returns a description of its update, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(OptimizerKind::$rule => <$rule<f64> as Rule<f64>>::MEANING,)+
                }
            }

            /// Returns the fields of [`OptimizerConfig`] that it reads.
            pub fn takes(self) -> &'static [&'static str] {
                match self {
                    $(OptimizerKind::$rule => <$rule<f64> as Rule<f64>>::TAKES,)+
                }
            }

            /// Whether a step changes a parameter by about the learning rate, whatever the size of its gradients.
            pub fn normalises(self) -> bool {
                match self {
                    $(OptimizerKind::$rule => <$rule<f64> as Rule<f64>>::NORMALISES,)+
                }
            }

            /// Whether the update of an element of a hidden matrix ([`crate::hidden_matrices`]) depends on the whole
            /// matrix; otherwise every update depends on its own element alone.
            pub fn by_matrix(self) -> bool {
                match self {
                    $(OptimizerKind::$rule => <$rule<f64> as Rule<f64>>::BY_MATRIX,)+
                }
            }

            /// Whether the weights to evaluate are a mean of iterates, and not the parameters
            /// ([`Optimizer::evaluated`]).
            pub fn averages(self) -> bool {
                match self {
                    $(OptimizerKind::$rule => <$rule<f64> as Rule<f64>>::AVERAGES,)+
                }
            }

            /// Whether an optimizer divides by its state of this name ([`Optimizer::state`]), a mean of squares or a
            /// largest size: it is never negative, and ∞ stops the parameter.
            ///
            /// ```
            /// use calculus::optimizer::OptimizerKind;
            /// assert!(OptimizerKind::divides_by("second_moment") && !OptimizerKind::divides_by("velocity"));
            /// ```
            pub fn divides_by(name: &str) -> bool {
                [$(<$rule<f64> as Rule<f64>>::DIVISORS),+].iter().any(|all| all.contains(&name))
            }

            fn limit(self, config: &OptimizerConfig, eigenvalue: f64, steps: u64) -> Option<f64> {
                match self {
                    $(OptimizerKind::$rule => $rule::<f64>::limit(config, eigenvalue, steps),)+
                }
            }

            fn corrections(self, config: &OptimizerConfig, step: u64) -> [f64; 2] {
                match self {
                    $(OptimizerKind::$rule => $rule::<f64>::corrections(config, step),)+
                }
            }

            fn build<T: Real>(
                self,
                config: &OptimizerConfig,
                parameters: &[Parameter],
            ) -> Box<dyn Optimizer<T>> {
                match self {
                    $(OptimizerKind::$rule => Box::new($rule::<T>::of(config, parameters)),)+
                }
            }
        }
    };
}

named!(OptimizerKind, UnknownOptimizer, "optimiser", |choice, name| choice.key() == name);
