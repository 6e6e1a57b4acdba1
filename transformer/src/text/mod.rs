//! Text: its sources, its tokens, and the batches drawn from it.

mod beside;
pub mod chat;
pub mod conversation;
pub mod corpus;
pub mod packing;
pub mod preference;
pub mod stories;
pub mod teacher;
pub mod tokenizer;
pub mod tokens;
