//! # Calculus of a transformer
//!
//! In the picture of a training step, calculus is red and green: the gradient of the loss by every number (the chain
//! rule), and its use (descent).
//!
//! Learning asks about sensitivity: would a slightly larger weight give a smaller loss? A derivative answers this, for
//! all weights at once, at the cost of a few evaluations of the loss. The rest of the crate is about the range in which
//! the answer holds: a derivative is the *best linear map* near a point, a Hessian measures the error of that map, and
//! a learning rate is the length of a step along it. The crate has three parts.
//!
//! * **Differentiation of plain closures.** [`derivative`], [`gradient`], [`jacobian`], [`hessian`],
//!   [`hessian_vector_product`] and others take a Rust closure. It runs on numbers that carry derivatives: [`Dual`]
//!   (forward mode), [`DualVector`] (forward mode by several variables), [`Traced`] (reverse mode), [`taylor::Series`]
//!   (all orders). Each is a [`linalg::Real`], so *any* function of this workspace can be differentiated; [`prelude`] has
//!   the methods that closures need. A function for several of these scalars is a generic one, `fn f<T: Real>(x: &[T])`,
//!   or a [`landscape::Field`]. [`Witness`] is another such scalar: it records the operation that made a value
//!   non-finite.
//! * **Differentiation of a recorded step.** [`Recorder`] records a computation once, as an ordered list of named
//!   operations over named matrices; [`Tape`] replays it, forward and backward. Networks are trained with it.
//!   [`activation`] holds the functions between two linear maps.
//! * **Descent.** [`optimizer`], [`schedule`], [`clip`], [`line_search`]; for small problems [`quasi_newton`], [`newton`] and
//!   [`gauss_newton`]; the largest stable rate ([`stability`]), the
//!   kinds of stationary points ([`stationary`]), the effect of depth on a gradient ([`depth`]).
//!
//! [`check`] tests that a derivative belongs to its function: by dual numbers, by reverse mode, by differences. This
//! crate depends on linear algebra and on no operation of other branches: it can record any operation that implements
//! [`linalg::Primitive`], and differentiate functions of any crate.
//!
//! # The course
//! Every step runs. The numbers are the textbook's if it has them.
//!
//! ## 1. A derivative is a sensitivity
//! The textbook's first use of autograd: <var>y = x² + 2x + 1</var> at 3. A small change of x changes y by 8 times as
//! much.
//!
//! ```
//! use calculus::derivative;
//! let f = |x: f64| x * x + 2.0 * x + 1.0;
//! assert_eq!(derivative(|x| x * x + 2.0 * x + 1.0, 3.0), 8.0);
//! assert!((f(3.001) - f(3.0) - 8.0 * 0.001).abs() < 1e-5); // the rest is h² = 10⁻⁶
//! ```
//!
//! ## 2. Many inputs: the gradient points uphill
//! Of all directions of length 1, the function rises fastest in that of the gradient. At right angles to it, the slope
//! is 0.
//!
//! ```
//! use calculus::{directional_derivative, gradient};
//! let loss = gradient(|w| w[0] * w[0] + 3.0 * w[1] * w[1], &[2.0, 0.5]);
//! assert_eq!(loss, [4.0, 3.0]); // of length 5
//! let slope = |v: [f64; 2]| directional_derivative(|w| w[0] * w[0] + 3.0 * w[1] * w[1], &[2.0, 0.5], &v);
//! assert_eq!(slope([0.8, 0.6]), 5.0);   // along it
//! assert_eq!(slope([-3.0, 4.0]), 0.0);  // across it
//! assert_eq!(slope([-0.8, -0.6]), -5.0); // the direction of descent
//! ```
//!
//! ## 3. The chain rule, step by step
//! There is one factor per layer. A [`chain::Chain`] shows the factors, a [`Trace`] the whole list of operations;
//! printed, it is backpropagation by hand ([`trace()`]).
//!
//! ```
//! use calculus::{Dual, activation::relu, chain::Chain};
//! // x = 2, w = ½, b = ½, target 1: z = w·x + b, a = ReLU(z), L = (a − 1)².
//! let chain = Chain::of(
//!     &[
//!         &|p: &[Dual<f64>]| vec![2.0 * p[0] + p[1]],
//!         &|z: &[Dual<f64>]| vec![relu(z[0])],
//!         &|a: &[Dual<f64>]| vec![(a[0] - 1.0) * (a[0] - 1.0)],
//!     ],
//!     &[0.5, 0.5],
//! );
//! assert_eq!(chain.values(), [vec![0.5, 0.5], vec![1.5], vec![1.5], vec![0.25]]);
//! assert_eq!(chain.product().as_slice(), [2.0, 1.0]); // dL/dw, dL/db
//! assert_eq!(chain.gradients(&[1.0])[0], [2.0, 1.0]); // the same from the left: backpropagation
//! assert!(chain.reverse_cost() < chain.forward_cost());
//! ```
//!
//! ## 4. Curvature: the range of the slope
//! The Hessian is the derivative of the gradient. Its product with one vector costs a few gradients
//! ([`hessian_vector_product`]); its eigenvalues distinguish a minimum from a saddle.
//!
//! ```
//! use calculus::{hessian_vector_product, stationary::{Kind, classify_at}};
//! use calculus::landscape::{Field, Himmelblau};
//! let bottom = classify_at(|x| Himmelblau.at(x), &[3.0, 2.0], 1e-9)?;
//! assert_eq!(bottom.kind, Kind::Minimum);
//! assert!((bottom.curvatures[1] - 82.28).abs() < 0.01);
//! let along = hessian_vector_product(|x| Himmelblau.at(x), &[3.0, 2.0], &[1.0, 0.0]);
//! assert_eq!(along, [74.0, 20.0]);
//! # Ok::<(), calculus::stationary::StationaryError>(())
//! ```
//!
//! ## 5. Taylor: the remainder
//! A series that ends at hⁿ⁻¹ has an error of about hⁿ: half the step gives 1/2ⁿ of the error.
//!
//! ```
//! use calculus::taylor;
//! use linalg::Real;
//! let p = taylor::expand::<f64, 4>(|x| x.exp(), 0.0); // 1 + h + h²/2 + h³/6
//! let remainder = |h: f64| h.exp() - p.at(h);
//! assert!((remainder(0.01) / remainder(0.005) - 16.0).abs() < 0.1);
//! assert!(remainder(0.01) <= p.remainder_bound(0.01, 0.01_f64.exp())); // Lagrange
//! ```
//!
//! ## 6. Descent, and the largest learning rate
//! <var>L = (2w − 3)²</var> from w = 1. Its curvature is 8: at a rate of ¼ descent oscillates for ever, below it
//! converges, above it diverges.
//!
//! ```
//! use calculus::optimizer::{Optimizer, Sgd};
//! use calculus::stability::{limit, sharpness};
//! let curvature = sharpness(|w| (2.0 * w[0] - 3.0) * (2.0 * w[0] - 3.0), &[1.0])?;
//! assert_eq!((curvature, limit(curvature, 0.0)), (8.0, 0.25));
//! let after_ten = |rate| {
//!     let (mut w, mut descent) = ([1.0_f64], Sgd::new(1, 0.0));
//!     for _ in 0..10 {
//!         let slope = calculus::gradient(|w| (2.0 * w[0] - 3.0) * (2.0 * w[0] - 3.0), &w);
//!         descent.step(rate, &mut w, &slope);
//!     }
//!     w[0]
//! };
//! assert!((after_ten(0.1) - 1.4999999488).abs() < 1e-10);
//! assert_eq!(after_ten(0.125), 1.5);                // one step is enough
//! assert_eq!(after_ten(0.25), 1.0);                 // oscillates
//! assert!((after_ten(0.3) + 12.9627).abs() < 1e-4); // diverges
//! # Ok::<(), calculus::stationary::StationaryError>(())
//! ```
//!
//! ## 7. The training loop
//! Gradient, clipping, schedule, optimizer: four lines for any model. Here a line is fitted to four points on
//! <var>y = 2x + 1</var>.
//!
//! ```
//! use calculus::{Traced, clip, optimizer::{Adam, Optimizer}, schedule::Schedule, value_and_gradient};
//! let points = [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0), (3.0, 7.0)];
//! let schedule = Schedule::Cosine { peak: 0.2, minimum: 0.0, warmup: 10, total: 400 };
//! let (mut w, mut adam) = ([0.0_f64, 0.0], Adam::new(2, 0.9, 0.99, 1e-8));
//! for step in 0..400 {
//!     let (_loss, mut slope) = value_and_gradient(
//!         |w| {
//!             let error = |(x, y)| w[0] * x + w[1] - y;
//!             points.iter().map(|&p| error(p) * error(p)).sum::<Traced<f64>>() / 4.0
//!         },
//!         &w,
//!     );
//!     clip::by_global_norm(&mut slope, 1.0);
//!     adam.step(schedule.rate(step), &mut w, &slope);
//! }
//! assert!((w[0] - 2.0).abs() < 1e-3 && (w[1] - 1.0).abs() < 1e-3);
//! ```
//!
//! ## 8. Depth
//! Twelve logistic layers leave a 50-millionth of the gradient at the first; a residual connection around each layer
//! restores it.
//!
//! ```
//! use calculus::{activation::sigmoid, depth::{factors, gradients}};
//! let plain = factors(12, |_, x| sigmoid(x), 0.3);
//! let residual = factors(12, |_, x| x + 0.1 * sigmoid(x), 0.3);
//! assert!(gradients(&plain)[0] < 2e-8);
//! assert!((1.0..2.0).contains(&gradients(&residual)[0]));
//! ```
//!
//! ## 9. A recorded step
//! A network is not a closure over scalars but a recording over matrices. Here is the textbook's smallest network
//! again, with names, and, on dual numbers, the curvature of the same recording.
//!
//! ```
//! use calculus::{Dual, RecordError, Recorder, Tape, Var, activation::Activation};
//! use linalg::{Real, Shape, add::Add, affine::Affine, hadamard::Hadamard};
//!
//! fn record<T: Real>() -> Result<(Tape<T>, [Var; 4]), RecordError> {
//!     let mut r = Recorder::new();
//!     let one = Shape::new(1, 1);
//!     let w = r.parameter("w", one)?;
//!     let b = r.parameter("b", one)?;
//!     let x = r.input("x", one)?;
//!     let minus_target = r.input("minus target", one)?;
//!     let z = r.push("z", Affine, [w, x, b])?;
//!     let a = r.push("a", Activation::Relu, [z])?;
//!     let error = r.push("error", Add, [a, minus_target])?;
//!     let loss = r.push("loss", Hadamard, [error, error])?; // an operand may occur twice
//!     Ok((r.finish(), [x, minus_target, z, loss]))
//! }
//!
//! let (mut step, [x, minus_target, z, loss]) = record::<f64>()?;
//! step.parameters_mut().copy_from_slice(&[0.5, 0.5]);
//! step.set(x, &[2.0]);
//! step.set(minus_target, &[-1.0]);
//! step.forward();
//! step.backward(loss);
//! assert_eq!(step.value(loss)[0], 0.25);
//! assert_eq!(step.gradients(), &[2.0, 1.0]); // dL/dw, dL/db
//! assert_eq!(step.gradient(x)[0], 0.5);
//! assert_eq!((step.name(z), step.value(z)[0]), ("z", 1.5));
//!
//! // H·(1, 0), the direction of w: L = (2w + b − 1)² has H = [8 4; 4 2].
//! let (mut step, [x, minus_target, _, loss]) = record::<Dual<f64>>()?;
//! step.parameters_mut().copy_from_slice(&[Dual::variable(0.5), Dual::constant(0.5)]);
//! step.set(x, &[Dual::constant(2.0)]);
//! step.set(minus_target, &[Dual::constant(-1.0)]);
//! step.forward();
//! step.backward(loss);
//! let curved: Vec<f64> = step.gradients().iter().map(|g| g.derivative).collect();
//! assert_eq!(curved, [8.0, 4.0]);
//! # Ok::<(), RecordError>(())
//! ```
//!
//! # Conventions, where sources disagree
//! * ReLU′(0) = 0, as in PyTorch; |x|′(0) = 0 too ([`activation`], [`Dual`]).
//! * The first step of a schedule is number 0, and a warm-up never has a rate of 0 ([`schedule`]).
//! * Momentum is PyTorch's: v ← µ·v + g, without dampening ([`optimizer::Sgd`]).
//! * ε of Adam and RMSProp is outside the square root ([`optimizer`]).
//! * A clipping limit below 0 is refused; non-finite gradients are reported and left unchanged ([`clip`]).
//! * Slices of different lengths are a programming error and panic; problems that depend on numbers are errors that
//!   name them ([`stationary::StationaryError`], [`line_search::LineSearchError`]), or NaN if documented.
//!
//! # Errata of the textbook
//! Corrections to its chapters on calculus.
//!
//! | where | in print | recomputed |
//! |---|---|---|
//! | A.3, table of activations | ReLU has derivative 1 at 0 | it has none; PyTorch, and this crate, take 0 |
//! | A.3, same table | no derivative of GELU and SiLU | Φ(x) + x·φ(x), and σ·(1 + x·(1 − σ)) |
//! | A.3, gradient descent | the rule is "for cross-entropy" | it is for any differentiable loss |
//! | A.3, residual connections | called "layer normalization" | x + f(x); each factor of the chain rule becomes 1 + f′ |
//! | 0.1, noisy SGD, seed 42 | .6249, 1.0498, 1.5816, 2.0218, 2.3116 | .5752, 1.0670, 1.4213, 1.6608, 1.9404 |
//! | 6.5, cosine schedule at step 50,000 | 1.65e-4 | 1.69327e-4 (1.65e-4 is the middle of the fall, at 51,000) |
//! | 6.5, bias correction | causes huge early steps | the first step of Adam is about η·sign(g); *without* it steps are 3.2 times as long |

// A new operation needs a file and a line here.
linalg::operations! {
    pub mod activation: Activation;
    pub mod soft_cap: SoftCap;
}

pub mod chain;
pub mod check;
pub mod clip;
pub mod depth;
mod differentiate;
mod dual;
mod dual_vector;
#[doc(hidden)]
pub mod example;
pub mod gauss_newton;
pub mod landscape;
pub mod line_search;
mod named;
pub mod newton;
mod operators;
pub mod optimizer;
pub mod quasi_newton;
mod recorder;
pub mod schedule;
pub mod stability;
pub mod stationary;
mod tape;
pub mod taylor;
mod traced;
mod witness;

/// What a closure over numbers that carry derivatives needs, in one line.
///
/// ```
/// use calculus::prelude::*;
/// let slope = gradient(|x| x.iter().map(|x| 2.0 * x.powi(3)).sum::<Traced<f64>>() / 6.0, &[3.0, 4.0]);
/// assert_eq!(slope, [9.0, 16.0]); // of Σ x³/3
/// ```
pub mod prelude {
    pub use crate::{
        Dual, Traced, derivative, gradient, hessian, hessian_vector_product, jacobian,
        value_and_gradient,
    };
    pub use linalg::{Elementary, Real};
}

pub use differentiate::{
    derivative, directional_derivative, gradient, hessian, hessian_vector_product, jacobian,
    jacobian_by_rows, jvp, trace, value_and_gradient, vjp,
};
pub use dual::Dual;
pub use dual_vector::{DualVector, forward_gradient};
pub use recorder::{Planned, RecordError, Recorder, Var};
pub use tape::{Parameter, Recompute, Row, Source, Tape, TapeMemory, hidden_matrices, matrices};
pub use traced::{Trace, Traced};
pub use witness::{Arithmetic, Fault, Witness};
