//! The matrix product of `f32` and `f64`: packed panels and a tile of C in registers.
//!
//! C is computed in tiles of up to [`MAX_VECTORS`] registers by a few columns. For one tile and a block of the inner
//! dimension, A is read as vectors along the rows of C, and B one number at a time, broadcast. Blocks of A and B are first
//! copied ("packed"): contiguous, in the order in which the tile reads them, aligned, and sized for one core's second-level
//! cache.
//!
//! Every element of C is the sum of its terms in the order of the inner dimension, in blocks of the same length, each
//! time in one rounding. So its bits depend neither on the processor's vectors nor on how C is cut. (Products of `f64`
//! are rounded twice where the target has no fused multiply-add.)
//!
//! Libraries of products allocate in every call, and pack factors that would not need it because few tiles read them
//! (those of attention).
//!
//! Source: Goto and van de Geijn, *Anatomy of High-Performance Matrix Multiplication*, 2008; Van Zee and
//! van de Geijn, *BLIS*, 2015.
//!
//! Products of bfloat16 ([`super::bfloat`]) take the same way: their blocks are rounded where they are packed.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx;
mod element;
mod loops;
mod pack;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod tile;

use super::{bfloat, block_of_terms, factor::Factor, vectors::Vectors};
use crate::ViewMut;
pub(crate) use element::Element;
use std::cell::RefCell;
use std::marker::PhantomData;
use tile::Tile;

/// Computes C ← α·A·B, or C ← C + α·A·B if `add` is set, on one thread.
///
/// # Panics
/// If the shapes do not fit.
pub(crate) fn product<E: Element>(
    c: ViewMut<'_, E>,
    alpha: E,
    a: Factor<'_, E>,
    b: Factor<'_, E>,
    add: bool,
) {
    // SAFETY: the processor has the vectors in use.
    unsafe { product_by(Kernel::in_use(), c, alpha, a, b, add) }
}

/// Like [`product`], of factors that are rounded to bfloat16, without α: [`bfloat`] says what is computed.
pub(crate) fn product_of_bfloat16(
    c: ViewMut<'_, f32>,
    a: Factor<'_, f32>,
    b: Factor<'_, f32>,
    add: bool,
) {
    match Kernel::of_bfloat16() {
        // SAFETY: the processor has the vectors in use.
        Some(kernel) => unsafe { product_by(kernel, c, 1.0, a, b, add) },
        None => bfloat::portable(c, a, b, add),
    }
}

/// A matrix in memory: element (i, j) is at `start + i·row + j·column`. One of the strides is 1.
#[derive(Clone, Copy)]
struct Strided<E> {
    start: *const E,
    row: usize,
    column: usize,
}

impl<E: Element> Strided<E> {
    fn of(factor: &Factor<'_, E>) -> Self {
        let (row, column) = factor.strides();
        Strided { start: factor.pointer(), row, column }
    }

    /// Returns the part that begins with element (i, j).
    ///
    /// # Safety
    /// Element (i, j) is in the matrix.
    unsafe fn from(self, i: usize, j: usize) -> Self {
        // SAFETY: guaranteed by the caller.
        Strided { start: unsafe { self.at(i, j) }, ..self }
    }

    /// # Safety
    /// Element (i, j) is in the matrix.
    unsafe fn at(self, i: usize, j: usize) -> *const E {
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
struct Block<E> {
    place: Strided<E>,
    packed: Option<*const E>,
}

/// The number of steps of the inner dimension by which A is prefetched.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 12;

/// Returns the bytes of both packed blocks of a thread.
pub(crate) fn bytes() -> usize {
    let products = Kernel::in_use().most_bytes();
    let rounded = Kernel::of_bfloat16().map_or([0; 2], Kernel::most_bytes);
    (0..2).map(|block| products[block].max(rounded[block])).sum()
}

/// Returns the numbers of elements of the largest packed blocks of A and of B.
const fn most_of<E: Element, T: Tile<E>>() -> [usize; 2] {
    let inner = T::INNER / T::TERMS;
    [T::BLOCK_A + T::LANES * inner, T::BLOCK_COLUMNS * inner]
}

/// The packed blocks of A and of B.
pub(crate) type Packed = [Vec<Line>; 2];

thread_local! {
    static PACKED: RefCell<Packed> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line([u8; 64]);

/// The kernel of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Plain loops.
    Portable,
    /// Plain loops with the processor's multiply-add, for a process that is held to them.
    #[cfg(target_arch = "x86_64")]
    Fused,
    /// Sixteen `f32` or eight `f64` at once.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Eight `f32` or four `f64` at once.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Thirty-two bfloat16 at once, by the processor's dot products of pairs.
    #[cfg(target_arch = "x86_64")]
    Pairs,
    /// Eight `f32` at once that were rounded to bfloat16: the numbers of [`Kernel::Pairs`].
    #[cfg(target_arch = "x86_64")]
    Rounded,
}

impl Kernel {
    fn in_use() -> Kernel {
        match Vectors::in_use() {
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx512 => Kernel::Avx512,
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx2 => Kernel::Avx2,
            #[cfg(target_arch = "x86_64")]
            _ if is_x86_feature_detected!("fma") => Kernel::Fused,
            _ => Kernel::Portable,
        }
    }

    /// Returns the kernel of products of bfloat16; `None` on a processor without AVX2.
    fn of_bfloat16() -> Option<Kernel> {
        match Vectors::in_use() {
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx512 if pairs::detected() => Some(Kernel::Pairs),
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx512 | Vectors::Avx2 => Some(Kernel::Rounded),
            _ => None,
        }
    }

    /// Returns the bytes of the largest packed blocks of A and of B, of `f32`.
    fn most_bytes(self) -> [usize; 2] {
        let elements = match self {
            Kernel::Portable => most_of::<f32, loops::Loops<false>>(),
            #[cfg(target_arch = "x86_64")]
            Kernel::Fused => most_of::<f32, loops::Loops<true>>(),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => most_of::<f32, avx::Avx512>(),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => most_of::<f32, avx::Avx2>(),
            #[cfg(target_arch = "x86_64")]
            Kernel::Pairs => most_of::<f32, pairs::Pairs>(),
            #[cfg(target_arch = "x86_64")]
            Kernel::Rounded => most_of::<f32, avx::Rounded>(),
        };
        elements.map(|elements| elements * size_of::<f32>())
    }
}

/// Like [`product`], by this kernel.
///
/// # Safety
/// The processor has the kernel's instructions; it is one of this scalar.
unsafe fn product_by<E: Element>(
    kernel: Kernel,
    mut c: ViewMut<'_, E>,
    alpha: E,
    a: Factor<'_, E>,
    b: Factor<'_, E>,
    add: bool,
) {
    let (m, n, k) = (c.nrows(), c.ncols(), a.columns());
    assert!(a.rows() == m && b.columns() == n && b.rows() == k);
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if !add {
            c.fill(E::zero());
        }
        return;
    }
    let column = c.strides().1;
    let (place, a, b) = (c.as_mut_ptr(), Strided::of(&a), Strided::of(&b));
    let blocks =
        Blocks { m, n, k, c: place, c_column: column, alpha, a, b, add, views: PhantomData };
    // SAFETY: pointers, sizes and strides are those of views that are alive for the whole call, with sizes that were just
    // compared; `c` is borrowed mutably, and its rows are contiguous, as in all views of this crate. The rest is guaranteed by
    // the caller.
    PACKED.with_borrow_mut(|packed| unsafe { E::run(kernel, &blocks, packed) });
}

/// Returns the registers of the next tile if `left` registers of rows remain: it avoids a tile of one register if two
/// tiles of two registers are enough.
fn vectors(left: usize) -> usize {
    if left == MAX_VECTORS + 1 { 2 } else { left.min(MAX_VECTORS) }
}

/// A product: C is (m × n) with contiguous rows and columns `c_column` apart, A is (m × k), B is (k × n).
pub(crate) struct Blocks<'a, E> {
    m: usize,
    n: usize,
    k: usize,
    c: *mut E,
    c_column: usize,
    alpha: E,
    a: Strided<E>,
    b: Strided<E>,
    add: bool,
    views: PhantomData<&'a mut E>,
}

impl<E: Element> Blocks<'_, E> {
    /// # Safety
    /// The matrices have these sizes, and nothing else reads or writes C; the processor has the tile's instructions.
    #[inline(always)]
    unsafe fn each<T: Tile<E>>(&self, [packed_a, packed_b]: &mut Packed) {
        // Equal blocks of the inner dimension, of rows (in whole registers) and of columns.
        let inner = block_of_terms(self.k, T::INNER);
        let depth = inner.div_ceil(T::TERMS);
        let most_rows = T::BLOCK_A / depth;
        let rows = self.m.div_ceil(self.m.div_ceil(most_rows)).next_multiple_of(T::LANES);
        let columns =
            self.n.div_ceil(self.n.div_ceil(T::BLOCK_COLUMNS)).next_multiple_of(T::COLUMNS);
        // Reserves room for the largest product at a thread's first product, so that later ones allocate nothing. It is
        // written before it is read, so pages that no product uses are never touched.
        let room = |packed: &mut Vec<Line>, most: usize, elements: usize| -> *mut E {
            packed.reserve(most.div_ceil(E::OF_LINE));
            assert!(elements <= E::OF_LINE * packed.capacity(), "{elements} packed elements");
            packed.as_mut_ptr().cast()
        };
        let [most_of_a, most_of_b] = const { most_of::<E, T>() };
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
                        Block { place: self.b.from(p, j), packed: None }
                    } else {
                        T::pack_columns(self.b, (p, j), (k, n), packed_b);
                        Block { place: self.b, packed: Some(packed_b) }
                    };
                    for i in (0..self.m).step_by(rows) {
                        let m = rows.min(self.m - i);
                        let a = if a_stays {
                            Block { place: self.a.from(i, p), packed: None }
                        } else {
                            T::pack_rows(self.a, (i, p), (m, k), packed_a);
                            Block { place: self.a, packed: Some(packed_a) }
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
    unsafe fn tiles<T: Tile<E>>(
        &self,
        (m, n, k): (usize, usize, usize),
        a: Block<E>,
        b: Block<E>,
        c: *mut E,
        add: bool,
    ) {
        let mut edge = Edge([E::zero(); 384]);
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
                        None => a.place.from(i, 0),
                    };
                    let y = match b.packed {
                        Some(packed) => Strided { start: packed.add(j * k), row: width, column: 1 },
                        None => b.place.from(0, j),
                    };
                    let place = c.add(i + j * self.c_column);
                    let whole = rows == height && columns == width;
                    let (to, column, sum) = if whole {
                        (place, self.c_column, add)
                    } else {
                        (edge.0.as_mut_ptr(), height, false)
                    };
                    let alpha = if whole { self.alpha } else { E::one() };
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
                                    true => T::fused(self.alpha, sum, *c),
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
struct Edge<E>([E; 384]);

#[cfg(test)]
mod tests;
