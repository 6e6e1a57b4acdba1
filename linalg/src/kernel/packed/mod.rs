//! The matrix product of `f32` on x86-64: packed panels and a tile of C in registers.
//!
//! C is computed in tiles of up to [`MAX_VECTORS`] registers by a few columns. For one tile and a block of the inner
//! dimension, A is read as vectors along the rows of C, and B one number at a time, broadcast. Every element of C adds
//! its products in the order of the inner dimension. Blocks of A and B are first copied ("packed"): contiguous, in the
//! order in which the tile reads them, aligned, and sized for one core's second-level cache.
//!
//! The `gemm` crate allocates in every call, packs factors that would not need it because few tiles read them (those of
//! attention), and was 5 to 15 % slower for transposed A with a long inner dimension; `glassbox bench` measures both.
//! It remains the path of `f64` and of all other processors.
//!
//! Source: Goto and van de Geijn, *Anatomy of High-Performance Matrix Multiplication*, 2008; Van Zee and
//! van de Geijn, *BLIS*, 2015.
//!
//! Products of bfloat16 ([`super::bfloat`]) take the same way: their blocks are rounded where they are packed.
#![allow(unsafe_code)]

mod pack;
mod pairs;
mod tile;

use super::{block_of_terms, vectors::Vectors};
use crate::Products;
use pairs::Pairs;
use std::cell::RefCell;
use tile::{Avx2, Avx512, Rounded, Tile};

/// A matrix in memory: element (i, j) is at `start + i·row + j·column`. One of the strides is 1.
#[derive(Clone, Copy)]
pub(crate) struct Strided {
    pub(crate) start: *const f32,
    pub(crate) row: usize,
    pub(crate) column: usize,
}

impl Strided {
    /// Returns the part that begins with element (i, j).
    ///
    /// # Safety
    /// Element (i, j) is in the matrix.
    unsafe fn from(self, i: usize, j: usize) -> Strided {
        // SAFETY: guaranteed by the caller.
        Strided { start: unsafe { self.at(i, j) }, ..self }
    }

    /// # Safety
    /// Element (i, j) is in the matrix.
    unsafe fn at(self, i: usize, j: usize) -> *const f32 {
        // SAFETY: guaranteed by the caller.
        unsafe { self.start.add(i * self.row + j * self.column) }
    }
}

/// The number of registers of a tile, one below the other.
const MAX_VECTORS: usize = 3;
/// The number of columns of a packed block of B.
const COLUMNS: usize = 1024;

/// The largest distance between rows of B at which they share enough cache lines and pages to be read in place.
const NEAR: usize = 64;

/// A block of a factor, packed or in place.
#[derive(Clone, Copy)]
struct Factor {
    block: Strided,
    packed: Option<*const f32>,
}

/// The number of steps of the inner dimension by which A is prefetched.
const AHEAD: usize = 12;

/// Returns the bytes of both packed blocks of a thread.
pub(crate) fn bytes() -> usize {
    let most = |products| match Kernel::of(products) {
        Some(Kernel::Avx512) => most_of::<Avx512>(),
        Some(Kernel::Avx2) => most_of::<Avx2>(),
        Some(Kernel::Pairs) => most_of::<Pairs>(),
        Some(Kernel::Rounded) => most_of::<Rounded>(),
        None => [0, 0],
    };
    let both = [most(Products::Full), most(Products::Bf16)];
    let larger = |block: usize| both[0][block].max(both[1][block]);
    4 * (larger(0) + larger(1))
}

/// Returns the numbers of elements of the largest packed blocks of A and of B.
const fn most_of<T: Tile>() -> [usize; 2] {
    let inner = T::INNER / T::TERMS;
    [T::BLOCK_A + T::LANES * inner, T::BLOCK_COLUMNS * inner]
}

thread_local! {
    /// The packed blocks of A and of B.
    static PACKED: RefCell<[Vec<Line>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// The kernel of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    /// Sixteen `f32` at once.
    Avx512,
    /// Eight `f32` at once.
    Avx2,
    /// Thirty-two bfloat16 at once, by the processor's dot products of pairs.
    Pairs,
    /// Eight `f32` at once that were rounded to bfloat16: the numbers of [`Kernel::Pairs`].
    Rounded,
}

impl Kernel {
    /// Returns the kernel of this process; `None` on a processor without AVX2.
    fn of(products: Products) -> Option<Kernel> {
        match (Vectors::in_use(), products) {
            (Vectors::Portable, _) => None,
            (Vectors::Avx2, Products::Full) => Some(Kernel::Avx2),
            (Vectors::Avx512, Products::Full) => Some(Kernel::Avx512),
            (Vectors::Avx512, Products::Bf16) if pairs::detected() => Some(Kernel::Pairs),
            (_, Products::Bf16) => Some(Kernel::Rounded),
        }
    }
}

/// Computes C ← α·A·B, or C ← C + α·A·B if `add` is set: C is (m × n) with columns `c_column` apart, A is (m × k), B is
/// (k × n). Returns whether it was computed: `false` on a processor without AVX2.
///
/// # Safety
/// The three matrices have these sizes, and one stride of each factor is 1. The rows of C are contiguous, its columns
/// at least m apart. Nothing else reads or writes C during the call.
pub(crate) unsafe fn product(
    products: Products,
    sizes: (usize, usize, usize),
    c: *mut f32,
    c_column: usize,
    alpha: f32,
    a: Strided,
    b: Strided,
    add: bool,
) -> bool {
    let Some(kernel) = Kernel::of(products) else { return false };
    // SAFETY: guaranteed by the caller; the processor has this kernel's vectors.
    unsafe { product_by(kernel, sizes, c, c_column, alpha, a, b, add) }
}

/// Like [`product`], by this kernel.
///
/// # Safety
/// The requirements of [`product`]; the processor has these instructions.
unsafe fn product_by(
    kernel: Kernel,
    (m, n, k): (usize, usize, usize),
    c: *mut f32,
    c_column: usize,
    alpha: f32,
    a: Strided,
    b: Strided,
    add: bool,
) -> bool {
    if k == 0 {
        return false;
    }
    if m == 0 || n == 0 {
        return true;
    }
    PACKED.with_borrow_mut(|[packed_a, packed_b]| {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let blocks = Blocks { m, n, k, c, c_column, alpha, a, b, add };
            match kernel {
                Kernel::Avx512 => Avx512::blocks(&blocks, packed_a, packed_b),
                Kernel::Avx2 => Avx2::blocks(&blocks, packed_a, packed_b),
                Kernel::Pairs => Pairs::blocks(&blocks, packed_a, packed_b),
                Kernel::Rounded => Rounded::blocks(&blocks, packed_a, packed_b),
            }
        }
    });
    true
}

/// Returns the registers of the next tile if `left` registers of rows remain: it avoids a tile of one register if two
/// tiles of two registers are enough.
fn vectors(left: usize) -> usize {
    if left == MAX_VECTORS + 1 { 2 } else { left.min(MAX_VECTORS) }
}

struct Blocks {
    m: usize,
    n: usize,
    k: usize,
    c: *mut f32,
    c_column: usize,
    alpha: f32,
    a: Strided,
    b: Strided,
    add: bool,
}

impl Blocks {
    /// # Safety
    /// The requirements of [`product`]; the processor has the tile's instructions.
    #[inline(always)]
    unsafe fn each<T: Tile>(&self, packed_a: &mut Vec<Line>, packed_b: &mut Vec<Line>) {
        // Equal blocks of the inner dimension, of rows (in whole registers) and of columns.
        let inner = block_of_terms(self.k, T::INNER);
        let depth = inner.div_ceil(T::TERMS);
        let most_rows = T::BLOCK_A / depth;
        let rows = self.m.div_ceil(self.m.div_ceil(most_rows)).next_multiple_of(T::LANES);
        let columns =
            self.n.div_ceil(self.n.div_ceil(T::BLOCK_COLUMNS)).next_multiple_of(T::COLUMNS);
        // Reserves room for the largest product at a thread's first product, so that later ones allocate nothing. It is
        // written before it is read, so pages that no product uses are never touched.
        let room = |packed: &mut Vec<Line>, most: usize, elements: usize| -> *mut f32 {
            packed.reserve(most.div_ceil(16));
            assert!(elements <= 16 * packed.capacity(), "{elements} packed elements");
            packed.as_mut_ptr().cast()
        };
        let [most_of_a, most_of_b] = const { most_of::<T>() };
        let packed_a = room(packed_a, most_of_a, rows * depth);
        let packed_b = room(packed_b, most_of_b, columns * depth);
        // If few tiles read a factor, packing does not pay: it stays in place if its elements are in order and no tile
        // reads beyond it.
        let a_stays = T::IN_PLACE
            && self.a.row == 1
            && self.n <= T::FEW_COLUMNS
            && self.m.is_multiple_of(T::LANES);
        let near = self.b.row == 1 || self.b.row <= NEAR;
        let b_stays =
            T::IN_PLACE && near && self.m <= T::FEW_ROWS && self.n.is_multiple_of(T::COLUMNS);
        for j in (0..self.n).step_by(columns) {
            let n = columns.min(self.n - j);
            for p in (0..self.k).step_by(inner) {
                let k = inner.min(self.k - p);
                // SAFETY: blocks lie inside the matrices, packed blocks inside their buffers.
                unsafe {
                    let b = if b_stays {
                        Factor { block: self.b.from(p, j), packed: None }
                    } else {
                        T::pack_columns(self.b, (p, j), (k, n), packed_b);
                        Factor { block: self.b, packed: Some(packed_b) }
                    };
                    for i in (0..self.m).step_by(rows) {
                        let m = rows.min(self.m - i);
                        let a = if a_stays {
                            Factor { block: self.a.from(i, p), packed: None }
                        } else {
                            T::pack_rows(self.a, (i, p), (m, k), packed_a);
                            Factor { block: self.a, packed: Some(packed_a) }
                        };
                        let c = self.c.add(i + j * self.c_column);
                        self.tiles::<T>((m, n, k.div_ceil(T::TERMS)), a, b, c, self.add || p > 0);
                    }
                }
            }
        }
    }

    /// Computes all tiles of a packed block with `k` elements of the inner dimension.
    ///
    /// # Safety
    /// The requirements of [`Blocks::each`].
    #[inline(always)]
    unsafe fn tiles<T: Tile>(
        &self,
        (m, n, k): (usize, usize, usize),
        a: Factor,
        b: Factor,
        c: *mut f32,
        add: bool,
    ) {
        let mut edge = Edge([0.0; 384]);
        for j in (0..n).step_by(T::COLUMNS) {
            let mut i = 0;
            while i < m {
                let v = vectors((m - i).div_ceil(T::LANES));
                let (height, width) = (v * T::LANES, T::COLUMNS);
                let (rows, columns) = (height.min(m - i), width.min(n - j));
                // SAFETY: a whole tile lies inside C; a partial one is computed in a buffer, and only the elements that
                // lie inside C are copied.
                unsafe {
                    let x = match a.packed {
                        Some(packed) => {
                            Strided { start: packed.add(i * k), row: 1, column: height }
                        }
                        None => a.block.from(i, 0),
                    };
                    let y = match b.packed {
                        Some(packed) => Strided { start: packed.add(j * k), row: width, column: 1 },
                        None => b.block.from(0, j),
                    };
                    let place = c.add(i + j * self.c_column);
                    let whole = rows == height && columns == width;
                    let (to, column, sum) = if whole {
                        (place, self.c_column, add)
                    } else {
                        (edge.0.as_mut_ptr(), height, false)
                    };
                    let alpha = if whole { self.alpha } else { 1.0 };
                    match (v, b.packed.is_some()) {
                        (1, true) => T::run::<1, true>(k, x, y, to, column, alpha, sum),
                        (2, true) => T::run::<2, true>(k, x, y, to, column, alpha, sum),
                        (_, true) => T::run::<3, true>(k, x, y, to, column, alpha, sum),
                        (1, false) => T::run::<1, false>(k, x, y, to, column, alpha, sum),
                        (2, false) => T::run::<2, false>(k, x, y, to, column, alpha, sum),
                        (_, false) => T::run::<3, false>(k, x, y, to, column, alpha, sum),
                    }
                    if !whole {
                        for j in 0..columns {
                            for i in 0..rows {
                                let c = place.add(i + j * self.c_column);
                                let sum = edge.0[i + j * height];
                                // As a whole tile does it: in one rounding.
                                *c = match add {
                                    true => self.alpha.mul_add(sum, *c),
                                    false => self.alpha * sum,
                                };
                            }
                        }
                    }
                }
                i += height;
            }
        }
    }
}

/// A buffer for a partial tile, as large as the largest tile.
#[repr(align(64))]
struct Edge([f32; 384]);

#[cfg(test)]
mod tests;
