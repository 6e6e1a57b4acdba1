//! The performance-critical kernels: the only files of the workspace that may use `unsafe`.

pub(crate) mod bfloat;
pub(crate) mod exponential;
pub(crate) mod factor;
pub mod limits;
pub(crate) mod packed;
pub(crate) mod product;
pub(crate) mod split;
pub(crate) mod vectors;

/// Returns the length of the blocks into which the terms of a product are cut, of at most `most`: equal ones, in whole cache
/// lines of `f32`.
pub(crate) fn block_of_terms(terms: usize, most: usize) -> usize {
    let blocks = terms.div_ceil(most).max(1);
    terms.div_ceil(blocks).next_multiple_of(16).min(terms)
}

/// Runs a loop compiled for the widest vectors that this processor has.
///
/// The closure is compiled several times (baseline, AVX2, AVX-512, NEON) and one version is chosen
/// at run time, so that a portable binary is fast. Arithmetic stays IEEE and is never contracted
/// or reordered: every version gives the same bits.
///
/// Mark the closure `#[inline(always)]`. Code that is not inlined is compiled once, for the baseline, and is several
/// times slower; the compiler does not inline a long body by itself.
///
/// ```
/// let mut x = vec![1.0_f32; 1000];
/// linalg::simd(#[inline(always)] || x.iter_mut().for_each(|x| *x *= 2.0));
/// assert_eq!(x[999], 2.0);
/// ```
#[inline(always)]
pub fn simd<R>(work: impl FnOnce() -> R) -> R {
    vectors::arch().dispatch(work)
}
