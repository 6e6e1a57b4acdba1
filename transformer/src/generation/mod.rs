//! Generation, token by token through a cache, and compression, which turns predictions into a smaller file.

pub mod compression;
pub(crate) mod decoder;
pub(crate) mod writer;
