//! Text: where it comes from, its tokens, and the batches that are drawn from it.

pub mod corpus;
pub mod stories;
pub mod tokenizer;
