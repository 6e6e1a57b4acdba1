//! The laws of linear algebra, its hard floats, the textbook's numbers, and the kernels beside a library's.

mod formulas;
mod hard_floats;
mod hard_systems;
mod library;
mod long_sums;
mod textbook;
mod vectors;
