//! Distributions, moments, tests.

use super::inputs::Inputs::{Number, Vector};
use super::{Case, cases};
use linalg::Real;
use num_traits::One;
use tests::exact::Exact;
use probability::{moments, sigmoid};

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "moments::mean", Vector, Conditioned 2.0 => |x| moments::mean(x)?;
        "sigmoid::sigmoid", Number, Conditioned 4.0 => |x| sigmoid::sigmoid(x[0]), as |x| Exact::one() / (Exact::one() + (-x[0]).exp());
    }
}
