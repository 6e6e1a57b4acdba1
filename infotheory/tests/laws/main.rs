//! Hard floats of information theory, and the textbook's numbers.

mod bounds;
mod extremes;
mod hard_floats;
mod long_sums;
mod textbook;
