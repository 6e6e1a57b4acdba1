//! Matrix decompositions: bases, eigenvalues, singular values, triangular factors.

pub mod basis;
pub mod cholesky;
pub mod conjugate_gradient;
pub mod eigenvalues;
pub mod hutchinson;
mod jacobi;
pub mod krylov;
pub mod least_squares;
pub mod low_rank;
pub mod lu;
pub mod newton_schulz;
pub mod polar;
pub mod principal;
pub mod projection;
pub mod qr;
pub mod randomised;
pub mod spectrum;
pub mod svd;
pub mod symmetric;
