//! Functions between two linear maps, element by element.
//!
//! Each is one scalar function over [`Real`], in a file of its own: the plain function ([`gelu`]), and
//! beside it the type ([`Gelu`]) that carries its names. The derivative that backpropagation uses comes
//! from evaluating that same function on a dual number, so it cannot be the derivative of another one.
//! [`Activation`] is one of them as a value: a setting, and an operation that can be recorded.
//! [`Elementwise`] records a [`Function`] of your own.
//!
//! Without them a stack of linear maps is one linear map.
//!
//! Each function's own documentation gives its derivative, and its values where numbers end. NaN goes in and comes out
//! of all of them. Where sources disagree: ReLU′(0) = 0, as in PyTorch; the textbook's table A.3 has 1.

mod elementwise;

pub use elementwise::Elementwise;

use crate::named::named;
use linalg::cases::{Cases, Operand, Size, Visitor};
use linalg::formula::Expression;
use linalg::{Formula, Gradient, Memory, Primitive, Reads, Real, Role, Shape, ShapeError};
use linalg::{View, ViewMut, Work};

/// The files of functions, and the functions of each: modules, and the variants of [`Activation`].
macro_rules! activations {
    ($($file:ident: $($function:ident),+;)+) => {
        $(
            mod $file;
            pub use $file::*;
        )+

        /// One of the functions of this module, as a value: <var>y = f(x)</var>, element by element.
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
            /// All of them.
            pub const ALL: &'static [Activation] = &[$($(Activation::$function),+),+];

            /// Its name in settings and flags, such as `gelu_tanh`.
            pub fn key(self) -> &'static str {
                match self {
                    $($(Activation::$function => $function::KEY,)+)+
                }
            }

            /// Its names in Hugging Face's `config.json`; the first is written.
            pub fn hugging_face(self) -> &'static [&'static str] {
                match self {
                    $($(Activation::$function => $function::HUGGING_FACE,)+)+
                }
            }

            /// What it is for, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $($(Activation::$function => $function::MEANING,)+)+
                }
            }

            /// The function.
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

// A new function is a file and a line here.
activations! {
    gelu: Gelu, GeluTanh;
    relu: Relu, LeakyRelu;
    sigmoid: Sigmoid;
    silu: Silu;
    squared_relu: SquaredRelu;
    tanh: Tanh;
}

// By its own name or one of Hugging Face's.
named!(Activation, UnknownActivation, "activation function", |choice, name| {
    choice.key() == name || choice.hugging_face().contains(&name)
});

/// A scalar function.
///
/// ```
/// use calculus::{Dual, activation::{Function, Gelu}};
/// let y = Gelu::at(Dual::variable(1.0_f64));
/// assert!((y.value - 0.8413447).abs() < 1e-7 && (y.derivative - 1.0833155).abs() < 1e-7);
/// ```
pub trait Function: Copy + Send + Sync + 'static {
    /// The function's name in the field.
    const NAME: &'static str;
    /// Its name in settings and flags.
    const KEY: &'static str;
    /// Its names in Hugging Face's `config.json` (transformers' `ACT2FN`); the first is written.
    const HUGGING_FACE: &'static [&'static str];
    /// Floating-point operations of one value, a transcendental function counting as ten.
    const FLOPS: u64;
    /// What it is for, in one plain sentence.
    const MEANING: &'static str;
    /// Where it comes from.
    const SOURCE: &'static str;
    /// The function.
    fn at<T: Real>(x: T) -> T;
    /// The function as a formula, in the steps that [`Function::at`] takes.
    fn formula(x: Expression) -> Expression;
    /// Its derivative as a formula: what [`Function::at`] gives on a dual number.
    fn slope(x: Expression) -> Expression;
}
