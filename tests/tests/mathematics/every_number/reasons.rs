//! Public functions of numbers that the grid does not run, and why. A name that ends in `::` stands for every function
//! below it.

/// Each reason, with the functions that it holds for.
pub(crate) const REASONS: &[(&str, &[&str])] = &[];
