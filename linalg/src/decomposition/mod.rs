//! Matrix decompositions: bases, eigenvalues, singular values, triangular factors.

pub mod basis;
pub mod cholesky;
mod jacobi;
pub mod krylov;
pub mod low_rank;
pub mod lu;
pub mod newton_schulz;
pub mod principal;
pub mod projection;
pub mod spectrum;
pub mod svd;
pub mod symmetric;
