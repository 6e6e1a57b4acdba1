//! What settings mean, and what a run trains on, as laws.

mod settings;
mod source;
