//! Numbers that others computed: mpmath, SciPy, NIST, PyTorch, authors of published models.

mod calculus;
mod chat;
mod evaluation;
mod families;
mod golden_sort;
mod golden_tiny;
mod infotheory;
mod linalg;
mod microgpt;
mod names_bigram;
mod probability;
mod scaling;
mod tokenizers;
