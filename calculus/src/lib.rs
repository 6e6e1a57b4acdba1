//! # Calculus of a transformer
//!
//! Red and green, in the picture of a training step: how the loss reaches every number (the chain
//! rule), and what is done about it (descent).
//!
//! * [`Dual`]: a number that carries its derivative. Any function over [`linalg::Real`] is
//!   differentiated by evaluating it: forward mode.
//! * [`Recorder`] and [`Tape`]: a computation written down once as an ordered list of named
//!   operations over named matrices, then replayed: forward, and backward by the chain rule.
//! * [`Traced`]: a number that remembers which step of arithmetic spoilt it.
//! * [`activation`]: the functions between two linear maps.
//! * [`optimizer`], [`schedule`], [`clip`]: gradient descent.
//! * [`check`]: whether a derivative belongs to its function.
//!
//! This crate knows linear algebra and no operation of any other branch: a rule of any crate that
//! implements [`linalg::Primitive`] can be recorded.
//!
//! ## Backpropagation by numbers
//!
//! The textbook's smallest network: x = 2, w = ½, b = ½, ReLU, target 1, loss (a − 1)².
//!
//! ```
//! use calculus::{Recorder, activation::{Activation, Relu}};
//! use linalg::{Shape, add::Add, affine::Affine, hadamard::Hadamard};
//!
//! let mut r = Recorder::<f64>::new();
//! let one = Shape::new(1, 1);
//! let w = r.parameter("w", one)?;
//! let b = r.parameter("b", one)?;
//! let x = r.input("x", one)?;
//! let minus_target = r.input("minus target", one)?;
//! let z = r.push("z", Affine, [w, x, b])?;
//! let a = r.push("a", Activation(Relu), [z])?;
//! let error = r.push("error", Add, [a, minus_target])?;
//! let loss = r.push("loss", Hadamard, [error, error])?; // an operand may occur twice
//! let mut step = r.finish();
//!
//! step.parameters_mut().copy_from_slice(&[0.5, 0.5]);
//! step.set(x, &[2.0]);
//! step.set(minus_target, &[-1.0]);
//! step.forward();
//! step.backward(loss);
//! assert_eq!(step.value(loss)[0], 0.25);
//! assert_eq!(step.gradients(), &[2.0, 1.0]); // dL/dw, dL/db
//! assert_eq!(step.gradient(x)[0], 0.5);
//! # Ok::<(), calculus::RecordError>(())
//! ```

pub mod activation;
pub mod check;
pub mod clip;
mod dual;
pub mod optimizer;
mod plan;
mod recorder;
pub mod schedule;
mod tape;
mod traced;

pub use dual::Dual;
pub use recorder::{RecordError, Recorder, Var};
pub use tape::{Parameter, Row, Source, Tape, TapeMemory};
pub use traced::{Arithmetic, Fault, Traced};
