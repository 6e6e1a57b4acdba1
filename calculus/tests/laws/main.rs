//! Laws of calculus, edge cases of floats, the textbook's numbers, and the guarantees of a recording.

mod book;
mod extremes;
mod hard_floats;
mod properties;
mod recompute;
mod recording;
mod tails;
mod views;
