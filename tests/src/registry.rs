//! Every operation of every crate, with operands on which its laws are tried.
//!
//! An operation brings its cases ([`linalg::cases`]); what is here draws their values and walks the crates' lists.

use crate::draw::{distributions, indices, normal, targets};
use crate::law::Case;
use calculus::activation::{Elementwise, Function};
use linalg::cases::{self, Operand, Size};
use linalg::formula::Expression;
use linalg::{Matrix, Primitive, Real, Shape};

/// What is done with every case.
pub trait Visitor {
    /// Called for each.
    fn visit<P: Primitive<N>, const N: usize>(&mut self, case: Case<P, N>);
}

/// The name of a primitive's type, without path and type arguments.
pub fn type_name<P>() -> &'static str {
    let name = std::any::type_name::<P>();
    let path = name.split('<').next().unwrap_or(name);
    path.rsplit("::").next().unwrap_or(path)
}

/// One element; a row; a column; no multiple of a vector's or a block's length; more than a block of
/// [`linalg::parallel`] (8192 elements).
pub const SHAPES: [(usize, usize); 7] =
    [(1, 1), (1, 7), (7, 1), (3, 5), (33, 4), (65, 2), (129, 65)];

/// Query heads, key-value heads, rows of a head, tokens of a sequence, sequences: up to three blocks of 32 queries.
pub const HEADS: [(usize, usize, usize, usize, usize); 12] = [
    (1, 1, 1, 1, 1),
    (1, 1, 1, 7, 3),
    (3, 3, 2, 1, 4),
    (2, 2, 3, 7, 2),
    (2, 2, 5, 33, 1),
    (3, 3, 4, 33, 1),
    (1, 1, 4, 64, 2),
    (3, 3, 2, 65, 2),
    (2, 1, 1, 1, 1),
    (4, 2, 3, 7, 2),
    (6, 1, 2, 33, 2),
    (6, 2, 1, 65, 1),
];

/// Visits every case.
pub fn every(v: &mut impl Visitor) {
    SHAPES.iter().for_each(|&(rows, columns)| of_size(Size::Matrix(rows, columns), v));
    HEADS.iter().for_each(|&by| of_size(by_head(by), v));
    of_size(Size::Pieces, v);
}

/// A size as [`HEADS`] has them.
pub const fn by_head(
    (heads, key_value_heads, rows, length, sequences): (usize, usize, usize, usize, usize),
) -> Size {
    Size::Heads { heads, key_value_heads, rows, length, sequences }
}

/// Visits the cases of this size: of every crate's operations, and of a function of one's own.
pub fn of_size(size: Size, v: &mut impl Visitor) {
    let v = &mut Drawn(v);
    linalg::operations(size, v);
    probability::operations(size, v);
    calculus::operations(size, v);
    infotheory::operations(size, v);
    transformer::operations(size, v);
    if let Size::Matrix(m, n) = size {
        let x = Operand::Numbers { shape: Shape::new(m, n), deviation: 2.0 };
        cases::Visitor::visit(v, Elementwise(Square), [x]);
    }
}

/// Draws the operands of every case, each from a seed of its own.
struct Drawn<'a, V>(&'a mut V);

impl<V: Visitor> cases::Visitor for Drawn<'_, V> {
    fn visit<P: Primitive<N>, const N: usize>(&mut self, primitive: P, operands: [Operand; N]) {
        let smooth = operands.each_ref().map(Operand::is_smooth);
        let inputs = std::array::from_fn(|i| drawn(i as u64 + 1, &operands[i]));
        self.0.visit(Case { primitive, inputs, smooth });
    }
}

fn drawn(seed: u64, operand: &Operand) -> Matrix<f64> {
    let normal = |shape: Shape| normal(seed, shape.rows, shape.columns);
    match operand {
        Operand::Numbers { shape, deviation } => normal(*shape) * *deviation,
        Operand::Fixed(shape) => normal(*shape),
        Operand::Probabilities(shape) => normal(*shape).map(|x| 0.6 + 0.4 * x.tanh()),
        Operand::Distributions(shape) => distributions(seed, shape.rows, shape.columns),
        Operand::Indices { count, below } => indices(seed, *count, *below),
        Operand::Targets { count, classes } => targets(seed, *count, *classes),
        Operand::Constants(x) => Matrix::from_column_slice(x.len(), 1, x),
    }
}

/// x²: a function that is not on the list.
#[derive(Clone, Copy)]
struct Square;

impl Function for Square {
    const NAME: &'static str = "square";
    const KEY: &'static str = "square";
    const HUGGING_FACE: &'static [&'static str] = &["square"];
    const FLOPS: u64 = 3;
    const MEANING: &'static str = "The area of a square.";
    const SOURCE: &'static str = "Euclid";

    fn at<T: Real>(x: T) -> T {
        x * x
    }

    fn formula(x: Expression) -> Expression {
        x.clone() * x
    }

    fn slope(x: Expression) -> Expression {
        x.clone() + x
    }
}
