//! The peak rates of this machine: multiply-adds in registers, bytes from memory.
#![allow(unsafe_code)]

use rayon::prelude::*;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The machine's measured peak rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// `f32` operations per second of one thread, in a loop that touches no memory. A multiplication and an addition
    /// count as two.
    pub flops_one: f64,
    /// The same, for all threads of the pool together.
    pub flops: f64,
    /// Bytes per second that all threads together read from memory.
    pub bytes: f64,
}

/// Measures the bytes per second that all threads of the current pool together read from memory: the best rate within
/// `budget`.
pub fn bandwidth(budget: Duration) -> f64 {
    let threads = rayon::current_num_threads();
    // Larger than the caches of most processors; each page is touched by the thread that reads it.
    let pieces: Vec<Vec<u64>> = (0..threads).map(|i| vec![i as u64 + 1; READ / 8]).collect();
    best(budget, || {
        let start = Instant::now();
        let sum: u64 = pieces.par_iter().with_max_len(1).map(|p| read(p)).sum();
        black_box(sum);
        (threads * READ) as f64 / start.elapsed().as_secs_f64()
    })
}

/// Measures the machine for about `budget`, on the threads of the current pool.
///
/// Each limit is the best of many short runs: interruptions make a run slower, and nothing makes it faster.
pub fn measure(budget: Duration) -> Limits {
    let part = budget / 3;
    let threads = rayon::current_num_threads();
    let flops_one = best(part, multiply_adds);
    let flops = best(part, || together(threads, multiply_adds));
    Limits { flops_one, flops, bytes: bandwidth(part) }
}

/// Returns the bytes of a thread's packed copies of factors of `f32`.
pub fn packing_bytes() -> usize {
    super::packed::bytes()
}

/// The bytes that each thread reads in one run.
const READ: usize = 128 << 20;

fn best(budget: Duration, mut rate: impl FnMut() -> f64) -> f64 {
    let start = Instant::now();
    let mut best = rate();
    while start.elapsed() < budget {
        best = best.max(rate());
    }
    best
}

/// Returns the sum of the rates of all threads while all of them run.
fn together(threads: usize, rate: fn() -> f64) -> f64 {
    let rates = rayon::broadcast(|_| rate());
    debug_assert_eq!(rates.len(), threads);
    rates.into_iter().sum()
}

#[inline(never)]
fn read(x: &[u64]) -> u64 {
    crate::simd(
        #[inline(always)]
        || {
            let mut lanes = [0_u64; 64];
            for chunk in x.as_chunks::<64>().0 {
                for l in 0..64 {
                    lanes[l] = lanes[l].wrapping_add(chunk[l]);
                }
            }
            lanes.into_iter().fold(0, u64::wrapping_add)
        },
    )
}

/// The number of rounds in a run: about a millisecond.
const ROUNDS: usize = 100_000;
/// The number of independent chains of multiply-adds: more than two units need to hide their latency.
const CHAINS: usize = 12;

fn multiply_adds() -> f64 {
    let start = Instant::now();
    let lanes = chains();
    (2 * ROUNDS * CHAINS * lanes) as f64 / start.elapsed().as_secs_f64()
}

/// Runs the loop on the processor's widest registers, even if the kernels are restricted; returns the number of `f32`
/// in one register.
fn chains() -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        use super::vectors::Vectors;
        let vectors = Vectors::detected();
        if vectors == Vectors::Avx512 {
            // SAFETY: the processor has AVX-512F.
            unsafe { x86::chains_512() };
            return 16;
        }
        if vectors == Vectors::Avx2 {
            // SAFETY: the processor has AVX2 and FMA.
            unsafe { x86::chains_256() };
            return 8;
        }
    }
    const LANES: usize = 4;
    let (a, b) = (black_box([0.999_f32; LANES]), black_box([0.001_f32; LANES]));
    let mut chains = black_box([[0.5_f32; LANES]; CHAINS]);
    for _ in 0..ROUNDS {
        for chain in &mut chains {
            for l in 0..LANES {
                chain[l] = chain[l] * a[l] + b[l];
            }
        }
    }
    black_box(chains);
    LANES
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{CHAINS, ROUNDS, black_box};
    use std::arch::x86_64::*;

    /// # Safety
    /// The processor has AVX-512F.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn chains_512() {
        let (a, b) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(0.001)));
        let mut chains = [_mm512_set1_ps(black_box(0.5)); CHAINS];
        for _ in 0..ROUNDS {
            for chain in &mut chains {
                *chain = _mm512_fmadd_ps(*chain, a, b);
            }
        }
        black_box(chains);
    }

    /// # Safety
    /// The processor has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn chains_256() {
        let (a, b) = (_mm256_set1_ps(black_box(0.999)), _mm256_set1_ps(black_box(0.001)));
        let mut chains = [_mm256_set1_ps(black_box(0.5)); CHAINS];
        for _ in 0..ROUNDS {
            for chain in &mut chains {
                *chain = _mm256_fmadd_ps(*chain, a, b);
            }
        }
        black_box(chains);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_positive_numbers() {
        let limits = measure(Duration::from_millis(30));
        for rate in [limits.flops_one, limits.flops, limits.bytes] {
            assert!(rate.is_finite() && rate > 1e6, "{limits:?}");
        }
    }
}
