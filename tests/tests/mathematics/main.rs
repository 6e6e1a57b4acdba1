//! The mathematics of every crate: laws of operations, derivatives by several routes, formulas, and deliberate
//! mistakes that must be caught.

mod every_derivative;
mod every_number;
mod formulas;
mod grouped_attention;
mod information_derivatives;
mod laws;
mod linear_algebra_duals;
mod mutants;
mod probability_derivatives;
mod programs;
mod views;
