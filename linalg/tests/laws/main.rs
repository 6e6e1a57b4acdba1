//! Laws of linear algebra, edge cases of floats, the textbook's numbers, and our kernels against a library's.

mod formulas;
mod hard_floats;
mod hard_systems;
mod library;
mod long_sums;
mod nist;
mod textbook;
mod vectors;
