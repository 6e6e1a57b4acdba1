//! Hard floats of information theory, and the textbook's numbers.

mod hard_floats;
mod textbook;
