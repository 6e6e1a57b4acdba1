//! Laws of settings and of training data.

mod settings;
mod source;
