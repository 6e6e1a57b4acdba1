//! Random matrices that are the same on every run and machine.

use linalg::Matrix;
use probability::random::Random;

/// A `rows × columns` matrix of standard normal numbers.
pub fn normal(seed: u64, rows: usize, columns: usize) -> Matrix<f64> {
    let random = Random::new(seed, 0, 0);
    Matrix::from_fn(rows, columns, |i, j| random.normal((j * rows + i) as u64))
}

/// `n` whole numbers below `bound`.
pub fn below(seed: u64, n: usize, bound: usize) -> Vec<u32> {
    let random = Random::new(seed, 1, 0);
    (0..n as u64).map(|i| random.below(i, bound as u64) as u32).collect()
}

/// A row of `n` indices below `bound`, as operations read them.
pub fn indices(seed: u64, n: usize, bound: usize) -> Matrix<f64> {
    Matrix::from_iterator(1, n, below(seed, n, bound).into_iter().map(f64::from))
}

/// A row of `n` targets below `bound`, every third ignored but never all.
pub fn targets(seed: u64, n: usize, bound: usize) -> Matrix<f64> {
    let mut targets = indices(seed, n, bound);
    (1..n).step_by(3).for_each(|i| targets[i] = infotheory::IGNORED);
    targets
}

/// Columns of positive numbers that sum to 1.
pub fn distributions(seed: u64, rows: usize, columns: usize) -> Matrix<f64> {
    let mut p = normal(seed, rows, columns).map(f64::exp);
    p.column_iter_mut().for_each(|mut p| p /= p.sum());
    p
}
