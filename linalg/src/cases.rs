//! What an operation is tried on: operands by kind and size, from which a test draws the values.
//!
//! The file of an operation brings its cases ([`Cases`]); the line that declares the file puts it on the list of
//! its crate ([`operations!`](macro@crate::operations)). A test walks the list with a [`Visitor`] and tries each law on
//! every case.
//!
//! ```
//! use linalg::cases::{Operand, Size, Visitor};
//! use linalg::Primitive;
//!
//! struct Count(usize);
//! impl Visitor for Count {
//!     fn visit<P: Primitive<N>, const N: usize>(&mut self, primitive: P, operands: [Operand; N]) {
//!         assert!(primitive.shape(operands.each_ref().map(Operand::shape)).is_ok());
//!         self.0 += 1;
//!     }
//! }
//! let mut count = Count(0);
//! linalg::operations(Size::Matrix(3, 5), &mut count);
//! assert!(count.0 >= 8);
//! ```

use crate::{Primitive, Shape};

/// An operand by kind and size.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// Normal numbers of mean 0.
    Numbers {
        /// Rows and columns.
        shape: Shape,
        /// Their standard deviation.
        deviation: f64,
    },
    /// Numbers between 0.2 and 1, each by itself.
    Probabilities(Shape),
    /// Columns of positive numbers that sum to 1.
    Distributions(Shape),
    /// A row of whole numbers from 0.
    Indices {
        /// How many.
        count: usize,
        /// What they are below.
        below: usize,
    },
    /// A row of classes, some of them ignored but never all.
    Targets {
        /// How many.
        count: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A column of these numbers, which do not move: a step, a length.
    Constants(Vec<f64>),
}

/// Standard normal numbers.
pub const fn numbers(rows: usize, columns: usize) -> Operand {
    Operand::Numbers { shape: Shape::new(rows, columns), deviation: 1.0 }
}

impl Operand {
    /// Rows and columns.
    pub fn shape(&self) -> Shape {
        match self {
            Operand::Numbers { shape, .. }
            | Operand::Probabilities(shape)
            | Operand::Distributions(shape) => *shape,
            Operand::Indices { count, .. } | Operand::Targets { count, .. } => {
                Shape::new(1, *count)
            }
            Operand::Constants(numbers) => Shape::new(numbers.len(), 1),
        }
    }

    /// Whether its numbers may move, so that it has a gradient.
    pub fn is_smooth(&self) -> bool {
        !matches!(self, Operand::Indices { .. } | Operand::Targets { .. } | Operand::Constants(_))
    }
}

/// The size of a case. An operation has cases of the sizes that it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Rows and columns.
    Matrix(usize, usize),
    /// Attention by heads.
    Heads {
        /// Heads of queries.
        heads: usize,
        /// Heads of keys and values, a divisor of `heads`.
        key_value_heads: usize,
        /// Rows of a head.
        rows: usize,
        /// Tokens of a sequence.
        length: usize,
        /// Sequences.
        sequences: usize,
    },
    /// As large as it must be for the operation to cut its work into pieces; the operation says how large that is.
    Pieces,
}

/// An operation with its cases.
pub trait Cases {
    /// Visits the cases of this size, if there are any.
    fn cases(size: Size, visitor: &mut impl Visitor);
}

/// What is done with every case.
pub trait Visitor {
    /// Called for each: an operation, and operands that fit it.
    fn visit<P: Primitive<N>, const N: usize>(&mut self, primitive: P, operands: [Operand; N]);
}

/// The operations of a crate: declares the module of each, and `operations`, which visits the cases of all.
///
/// A line is a module and the operations in it: `pub mod heads: HeadScores, HeadMix;`.
#[macro_export]
macro_rules! operations {
    ($($visibility:vis mod $file:ident: $($operation:ident),+;)+) => {
        $($visibility mod $file;)+

        /// Visits the cases of this size of every operation of the crate.
        pub fn operations(size: $crate::cases::Size, visitor: &mut impl $crate::cases::Visitor) {
            $($(<$file::$operation as $crate::cases::Cases>::cases(size, visitor);)+)+
        }
    };
}
