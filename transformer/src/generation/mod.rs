//! A model that writes, token by token through a cache, and what prediction is worth: a smaller file.

pub mod compression;
pub(crate) mod decoder;
pub(crate) mod writer;
