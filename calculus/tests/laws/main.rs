//! The laws of calculus, its hard floats, the textbook's numbers, and what a recording promises.

mod book;
mod extremes;
mod hard_floats;
mod properties;
mod recording;
mod tails;
mod views;
