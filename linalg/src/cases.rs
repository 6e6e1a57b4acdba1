//! Test operands of an operation, by kind and size; a test draws their values.
//!
//! The file of an operation implements [`Cases`] for it. The line that declares the file adds it to the list of its
//! crate ([`operations!`](macro@crate::operations)). A test walks the list with a [`Visitor`] and checks each law on
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

/// An operand, by kind and size.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// Normally distributed numbers with mean 0.
    Numbers {
        /// Rows and columns.
        shape: Shape,
        /// Their standard deviation.
        deviation: f64,
    },
    /// Independent numbers between 0.2 and 1.
    Probabilities(Shape),
    /// Columns of positive numbers that sum to 1.
    Distributions(Shape),
    /// A row of non-negative integers.
    Indices {
        /// The number of integers.
        count: usize,
        /// The exclusive upper bound of the integers.
        below: usize,
    },
    /// A row of target classes; some of them are ignored, but never all.
    Targets {
        /// The number of targets.
        count: usize,
        /// Number of classes.
        classes: usize,
    },
    /// Standard normal numbers that count as constants: the value changes with them, and has no derivative by them.
    Fixed(Shape),
    /// A column of these numbers, which are not differentiable: a step, a length.
    Constants(Vec<f64>),
}

/// Returns an operand of standard normal numbers.
pub const fn numbers(rows: usize, columns: usize) -> Operand {
    Operand::Numbers { shape: Shape::new(rows, columns), deviation: 1.0 }
}

impl Operand {
    /// Returns the rows and columns.
    pub fn shape(&self) -> Shape {
        match self {
            Operand::Numbers { shape, .. }
            | Operand::Probabilities(shape)
            | Operand::Distributions(shape)
            | Operand::Fixed(shape) => *shape,
            Operand::Indices { count, .. } | Operand::Targets { count, .. } => {
                Shape::new(1, *count)
            }
            Operand::Constants(numbers) => Shape::new(numbers.len(), 1),
        }
    }

    /// Whether the operand is differentiable, so that it has a gradient.
    pub fn is_smooth(&self) -> bool {
        !matches!(
            self,
            Operand::Indices { .. }
                | Operand::Targets { .. }
                | Operand::Fixed(_)
                | Operand::Constants(_)
        )
    }
}

/// The size of a case. An operation has cases for the sizes that it supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Rows and columns.
    Matrix(usize, usize),
    /// Multi-head attention.
    Heads {
        /// The number of query heads.
        heads: usize,
        /// The number of key-value heads, a divisor of `heads`.
        key_value_heads: usize,
        /// Rows of a head.
        rows: usize,
        /// Tokens per sequence.
        length: usize,
        /// The number of sequences.
        sequences: usize,
    },
    /// Large enough for the operation to split its work into pieces; the operation chooses the size.
    Pieces,
}

/// An operation that brings its own test cases.
pub trait Cases {
    /// Visits the cases of this size, if there are any.
    fn cases(size: Size, visitor: &mut impl Visitor);
}

/// A function that is called for every case.
pub trait Visitor {
    /// Receives a case: an operation, and operands that fit it.
    fn visit<P: Primitive<N>, const N: usize>(&mut self, primitive: P, operands: [Operand; N]);
}

/// Declares the modules of a crate's operations, and `operations`, which visits the cases of all of them.
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
