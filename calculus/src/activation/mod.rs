//! Activation functions: elementwise functions between two linear maps.
//!
//! Each is one scalar function over [`Real`], in its own file: the plain function ([`gelu`]), and a type ([`Gelu`])
//! that carries its names. Backpropagation evaluates that same function on a dual number for its derivative, so the
//! derivative always fits the function. [`Activation`] is one of them as a value: a setting, and an operation that can
//! be recorded. [`Elementwise`] records a [`Function`] of your own.
//!
//! Without activations a stack of linear maps is one linear map.
//!
//! Each function documents its derivative and its values at ±∞; NaN gives NaN. If sources disagree: ReLU′(0) = 0, as in
//! PyTorch; the textbook's table A.3 has 1.

mod elementwise;

pub use elementwise::Elementwise;

use crate::named::named;
use linalg::cases::{Cases, Operand, Size, Visitor};
use linalg::formula::Expression;
use linalg::{Formula, Gradient, Memory, Primitive, Reads, Real, Role, Shape, ShapeError};
use linalg::{View, ViewMut, Work};

/// Declares the files and their functions: modules, and the variants of [`Activation`].
macro_rules! activations {
    ($($file:ident: $($function:ident),+;)+) => {
        $(
            mod $file;
            pub use $file::*;
        )+

        /// An activation function of this module, as a value: <var>y = f(x)</var>, element by element.
        ///
        /// ```
        /// use calculus::activation::Activation;
        /// let gelu: Activation = "gelu_new".parse()?; // Hugging Face's name
        /// assert_eq!((gelu, gelu.key()), (Activation::GeluTanh, "gelu_tanh"));
        /// assert!((gelu.at(1.0_f64) - 0.8411920).abs() < 1e-7);
        /// # Ok::<(), calculus::activation::UnknownActivation>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[cfg_attr(
            feature = "serde",
            derive(serde::Serialize, serde::Deserialize),
            serde(into = "String", try_from = "String")
        )]
        pub enum Activation {
            $($(
                #[doc = concat!("[`", stringify!($function), "`](struct@", stringify!($function), ").")]
                $function,
            )+)+
        }

        impl Activation {
            /// All activation functions.
            pub const ALL: &'static [Activation] = &[$($(Activation::$function),+),+];

            /// Returns its name in settings and flags, such as `gelu_tanh`.
            pub fn key(self) -> &'static str {
                match self {
                    $($(Activation::$function => $function::KEY,)+)+
                }
            }

            /// Returns its names in Hugging Face's `config.json`; the first is written.
            pub fn hugging_face(self) -> &'static [&'static str] {
                match self {
                    $($(Activation::$function => $function::HUGGING_FACE,)+)+
                }
            }

            /// Returns its purpose, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $($(Activation::$function => $function::MEANING,)+)+
                }
            }

            /// Returns f(x).
            pub fn at<T: Real>(self, x: T) -> T {
                match self {
                    $($(Activation::$function => $function::at(x),)+)+
                }
            }
        }

        impl Primitive<1> for Activation {
            fn name(&self) -> &'static str {
                match self {
                    $($(Activation::$function => $function::NAME,)+)+
                }
            }

            fn role(&self) -> Role {
                Role::Activation
            }

            fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, ShapeError> {
                Ok(x)
            }

            fn formula<T: Real>(&self, x: [View<'_, T>; 1]) -> Formula {
                match self {
                    $($(Activation::$function => Elementwise($function).formula(x),)+)+
                }
            }

            fn forward<T: Real>(&self, x: [View<'_, T>; 1], y: ViewMut<'_, T>, work: Work<'_, T>) {
                match self {
                    $($(Activation::$function => Elementwise($function).forward(x, y, work),)+)+
                }
            }

            fn vjp<T: Real>(
                &self,
                _: [View<'_, T>; 1],
                _: View<'_, T>,
                dy: View<'_, T>,
                [dx]: [Gradient<'_, T>; 1],
                work: Work<'_, T>,
            ) {
                elementwise::chain(dx, dy, work);
            }

            fn flops(&self, x: [Shape; 1]) -> u64 {
                match self {
                    $($(Activation::$function => Elementwise($function).flops(x),)+)+
                }
            }

            fn vjp_reads(&self) -> Reads<1> {
                elementwise::READS
            }

            fn is_cheap(&self) -> bool {
                true
            }

            fn memory(&self, [x]: [Shape; 1]) -> Memory {
                elementwise::memory(x)
            }
        }
    };
}

impl Cases for Activation {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Matrix(m, n) = size {
            for &function in Activation::ALL {
                let x = Operand::Numbers { shape: Shape::new(m, n), deviation: 2.0 };
                visitor.visit(function, [x]);
            }
        }
    }
}

// A new function needs a file and a line here.
activations! {
    gelu: Gelu, GeluTanh;
    relu: Relu, LeakyRelu;
    sigmoid: Sigmoid;
    silu: Silu;
    squared_relu: SquaredRelu;
    tanh: Tanh;
}

// Parses its own name or one of Hugging Face's.
named!(Activation, UnknownActivation, "activation function", |choice, name| {
    choice.key() == name || choice.hugging_face().contains(&name)
});

/// A scalar function with its names and formulas.
///
/// ```
/// use calculus::{Dual, activation::{Function, Gelu}};
/// let y = Gelu::at(Dual::variable(1.0_f64));
/// assert!((y.value - 0.8413447).abs() < 1e-7 && (y.derivative - 1.0833155).abs() < 1e-7);
/// ```
pub trait Function: Copy + Send + Sync + 'static {
    /// The function's standard name.
    const NAME: &'static str;
    /// Its name in settings and flags.
    const KEY: &'static str;
    /// Its names in Hugging Face's `config.json` (transformers' `ACT2FN`); the first is written.
    const HUGGING_FACE: &'static [&'static str];
    /// Floating-point operations per value; a transcendental function counts as ten.
    const FLOPS: u64;
    /// Its purpose, in one plain sentence.
    const MEANING: &'static str;
    /// Its source.
    const SOURCE: &'static str;
    /// Returns f(x).
    fn at<T: Real>(x: T) -> T;
    /// Returns the function as a formula, in the steps of [`Function::at`].
    fn formula(x: Expression) -> Expression;
    /// Returns its derivative as a formula, equal to that of [`Function::at`] on a dual number.
    fn slope(x: Expression) -> Expression;
}
