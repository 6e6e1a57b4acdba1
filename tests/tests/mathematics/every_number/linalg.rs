//! Norms, products, solutions, decompositions.

use super::inputs::Inputs::{Multiple, Vector};
use super::{Case, cases};
use linalg::{Real, norm, vector};

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "norm::l2", Vector, Result 4.0 => |x| norm::l2(x), as |x| vector::dot(x, x).sqrt();
        "vector::sum", Vector, Conditioned 4.0 => |x| vector::sum(x);
        "vector::dot", Multiple(2), Conditioned 4.0 => |x| vector::dot(&x[..x.len() / 2], &x[x.len() / 2..]);
    }
}
