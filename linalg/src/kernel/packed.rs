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
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::cell::RefCell;

use super::vectors::Vectors;

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
    match Vectors::in_use() {
        Vectors::Avx512 => 4 * (most_of_a::<Avx512>() + most_of_b::<Avx512>()),
        Vectors::Avx2 => 4 * (most_of_a::<Avx2>() + most_of_b::<Avx2>()),
        Vectors::Portable => 0,
    }
}

/// Returns the number of elements of the largest packed block of A.
const fn most_of_a<T: Tile>() -> usize {
    T::BLOCK_A + T::LANES * T::INNER
}

/// Returns the number of elements of the largest packed block of B.
const fn most_of_b<T: Tile>() -> usize {
    COLUMNS * T::INNER
}

thread_local! {
    /// The packed blocks of A and of B.
    static PACKED: RefCell<[Vec<Line>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Computes C ← α·A·B, or C ← C + α·A·B if `add` is set: C is (m × n) with columns `c_column` apart, A is (m × k), B is
/// (k × n). Returns whether it was computed: `false` on a processor without AVX2.
///
/// # Safety
/// The three matrices have these sizes, and one stride of each factor is 1. The rows of C are contiguous, its columns
/// at least m apart. Nothing else reads or writes C during the call.
pub(crate) unsafe fn product(
    sizes: (usize, usize, usize),
    c: *mut f32,
    c_column: usize,
    alpha: f32,
    a: Strided,
    b: Strided,
    add: bool,
) -> bool {
    // SAFETY: guaranteed by the caller; the processor has these vectors.
    unsafe { product_with(Vectors::in_use(), sizes, c, c_column, alpha, a, b, add) }
}

/// Like [`product`], with these vectors.
///
/// # Safety
/// The requirements of [`product`]; the processor has these instructions.
unsafe fn product_with(
    vectors: Vectors,
    (m, n, k): (usize, usize, usize),
    c: *mut f32,
    c_column: usize,
    alpha: f32,
    a: Strided,
    b: Strided,
    add: bool,
) -> bool {
    if vectors == Vectors::Portable || k == 0 {
        return false;
    }
    if m == 0 || n == 0 {
        return true;
    }
    PACKED.with_borrow_mut(|[packed_a, packed_b]| {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let blocks = Blocks { m, n, k, c, c_column, alpha, a, b, add };
            match vectors {
                Vectors::Avx512 => Avx512::blocks(&blocks, packed_a, packed_b),
                _ => Avx2::blocks(&blocks, packed_a, packed_b),
            }
        }
    });
    true
}

/// A vector width and the size of its tiles.
trait Tile {
    /// The number of `f32` in a register.
    const LANES: usize;
    /// The number of columns of a tile.
    const COLUMNS: usize;
    /// The longest block of the inner dimension: a tile's columns of B of this length stay in the first-level cache
    /// while A streams through it.
    const INNER: usize;
    /// The number of elements of a packed block of A: at least about half of the usual second-level cache of processors
    /// with these vectors.
    const BLOCK_A: usize;
    /// Rows of C up to which so few tiles read B that it is read in place.
    const FEW_ROWS: usize = 8 * Self::LANES;
    /// Columns of C up to which so few tiles read A that it is read in place.
    const FEW_COLUMNS: usize = 16 * Self::COLUMNS;

    /// Runs [`Blocks::each`], compiled for these vectors.
    ///
    /// # Safety
    /// The requirements of [`Blocks::each`].
    unsafe fn blocks(blocks: &Blocks, packed_a: &mut Vec<Line>, packed_b: &mut Vec<Line>);

    /// Computes C ← α·A·B (+ C) for a tile of `V` registers and all COLUMNS: rows of A are contiguous, B is in place
    /// or, if `PACKED`, [k][COLUMNS].
    ///
    /// # Safety
    /// The processor has these vectors; all accesses through the pointers are in bounds.
    unsafe fn run<const V: usize, const PACKED: bool>(
        k: usize,
        a: Strided,
        b: Strided,
        c: *mut f32,
        c_column: usize,
        alpha: f32,
        add: bool,
    );
}

struct Avx512;
struct Avx2;

macro_rules! tile {
    ($name:ident, $feature:literal, $vector:ty, $lanes:literal, $columns:literal, $inner:literal,
     $block:expr,
     $zero:ident, $splat:ident, $load:ident, $store:ident, $fma:ident, $mul:ident) => {
        impl Tile for $name {
            const LANES: usize = $lanes;
            const COLUMNS: usize = $columns;
            const INNER: usize = $inner;
            const BLOCK_A: usize = $block;

            #[target_feature(enable = $feature)]
            unsafe fn blocks(blocks: &Blocks, packed_a: &mut Vec<Line>, packed_b: &mut Vec<Line>) {
                // SAFETY: guaranteed by the caller.
                unsafe { blocks.each::<Self>(packed_a, packed_b) }
            }

            #[inline]
            #[target_feature(enable = $feature)]
            unsafe fn run<const V: usize, const PACKED: bool>(
                k: usize,
                a: Strided,
                b: Strided,
                c: *mut f32,
                c_column: usize,
                alpha: f32,
                add: bool,
            ) {
                // SAFETY: guaranteed by the caller.
                unsafe {
                    let mut sums = [[$zero(); V]; $columns];
                    for j in 0..$columns {
                        for line in 0..V * $lanes / 16 {
                            let place = c.wrapping_add(j * c_column + 16 * line);
                            _mm_prefetch::<_MM_HINT_T0>(place.cast());
                        }
                    }
                    let (mut x_start, mut y_start) = (a.start, b.start);
                    let y_step = if PACKED { $columns } else { b.row };
                    for _ in 0..k {
                        let mut x: [$vector; V] = [$zero(); V];
                        for v in 0..V {
                            x[v] = $load(x_start.add(v * $lanes));
                            // Once per cache line.
                            if (v * $lanes).is_multiple_of(16) {
                                let ahead = x_start.wrapping_add(AHEAD * a.column + v * $lanes);
                                _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                            }
                        }
                        for j in 0..$columns {
                            let y = $splat(*y_start.add(if PACKED { j } else { j * b.column }));
                            for v in 0..V {
                                sums[j][v] = $fma(x[v], y, sums[j][v]);
                            }
                        }
                        // After the last step these pointers may be out of bounds; they are not read there.
                        x_start = x_start.wrapping_add(a.column);
                        y_start = y_start.wrapping_add(y_step);
                    }
                    let alpha = $splat(alpha);
                    for j in 0..$columns {
                        for v in 0..V {
                            let place = c.add(j * c_column + v * $lanes);
                            let sum = if add {
                                $fma(alpha, sums[j][v], $load(place))
                            } else {
                                $mul(alpha, sums[j][v])
                            };
                            $store(place, sum);
                        }
                    }
                }
            }
        }
    };
}

tile!(
    Avx512,
    "avx512f",
    __m512,
    16,
    8,
    512,
    144 * 1024, // somewhat more than half of 1 MiB, measured best
    _mm512_setzero_ps,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_fmadd_ps,
    _mm512_mul_ps
);
tile!(
    Avx2,
    "avx2,fma",
    __m256,
    8,
    4,
    256,
    32 * 1024, // half of 256 KiB
    _mm256_setzero_ps,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_fmadd_ps,
    _mm256_mul_ps
);

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
        // Equal blocks of the inner dimension (in whole cache lines), of rows (in whole registers) and of
        // columns.
        let inner = self.k.div_ceil(self.k.div_ceil(T::INNER)).next_multiple_of(16).min(self.k);
        let most_rows = T::BLOCK_A / inner;
        let rows = self.m.div_ceil(self.m.div_ceil(most_rows)).next_multiple_of(T::LANES);
        let columns = self.n.div_ceil(self.n.div_ceil(COLUMNS)).next_multiple_of(T::COLUMNS);
        // Reserves room for the largest product at a thread's first product, so that later ones allocate nothing. It is
        // written before it is read, so pages that no product uses are never touched.
        let room = |packed: &mut Vec<Line>, most: usize, elements: usize| -> *mut f32 {
            packed.reserve(most.div_ceil(16));
            assert!(elements <= 16 * packed.capacity(), "{elements} packed elements");
            packed.as_mut_ptr().cast()
        };
        let packed_a = room(packed_a, most_of_a::<T>(), rows * inner);
        let packed_b = room(packed_b, most_of_b::<T>(), columns * inner);
        // If few tiles read a factor, packing does not pay: it stays in place if its elements are in order and no tile
        // reads beyond it.
        let a_stays =
            self.a.row == 1 && self.n <= T::FEW_COLUMNS && self.m.is_multiple_of(T::LANES);
        let near = self.b.row == 1 || self.b.row <= NEAR;
        let b_stays = near && self.m <= T::FEW_ROWS && self.n.is_multiple_of(T::COLUMNS);
        for j in (0..self.n).step_by(columns) {
            let n = columns.min(self.n - j);
            for p in (0..self.k).step_by(inner) {
                let k = inner.min(self.k - p);
                // SAFETY: blocks lie inside the matrices, packed blocks inside their buffers.
                unsafe {
                    let b = if b_stays {
                        Factor { block: self.b.from(p, j), packed: None }
                    } else {
                        pack_columns::<T>(self.b, (p, j), (k, n), packed_b);
                        Factor { block: self.b, packed: Some(packed_b) }
                    };
                    for i in (0..self.m).step_by(rows) {
                        let m = rows.min(self.m - i);
                        let a = if a_stays {
                            Factor { block: self.a.from(i, p), packed: None }
                        } else {
                            pack_rows::<T>(self.a, (i, p), (m, k), packed_a);
                            Factor { block: self.a, packed: Some(packed_a) }
                        };
                        let c = self.c.add(i + j * self.c_column);
                        self.tiles::<T>((m, n, k), a, b, c, self.add || p > 0);
                    }
                }
            }
        }
    }

    /// Computes all tiles of a packed block.
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
                    let alpha = self.alpha;
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
                                let old = if add { *c } else { 0.0 };
                                *c = old + edge.0[i + j * height];
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

/// Packs (m × k) of A from (i, p) on: in panels of rows. A panel holds its rows for one inner index after the other,
/// padded with zeros.
///
/// # Safety
/// The block lies inside the matrix; `to` has room for it.
#[inline(always)]
unsafe fn pack_rows<T: Tile>(
    a: Strided,
    (i, p): (usize, usize),
    (m, k): (usize, usize),
    to: *mut f32,
) {
    let mut done = 0;
    while done < m {
        let height = vectors((m - done).div_ceil(T::LANES)) * T::LANES;
        let rows = height.min(m - done);
        // SAFETY: guaranteed by the caller.
        unsafe {
            let (from, to) = (a.at(i + done, p), to.add(done * k));
            if a.row == 1 {
                copy_runs(from, a.column, rows, k, to, height);
            } else {
                interleave(from, a.row, rows, k, to, height);
            }
        }
        done += height;
    }
}

/// Packs (k × n) of B from (p, j) on: in panels of columns. A panel holds its columns for one inner index after the
/// other, padded with zeros.
///
/// # Safety
/// The requirements of [`pack_rows`].
#[inline(always)]
unsafe fn pack_columns<T: Tile>(
    b: Strided,
    (p, j): (usize, usize),
    (k, n): (usize, usize),
    to: *mut f32,
) {
    /// Panels packed together if columns are contiguous in memory: whole cache lines are read, and panels a multiple of
    /// 4 KiB apart still fit in the first-level cache.
    const TOGETHER: usize = 4;
    let mut done = 0;
    while b.column == 1 && done + TOGETHER * T::COLUMNS <= n {
        for q in 0..k {
            // SAFETY: guaranteed by the caller.
            unsafe {
                let from = b.at(p + q, j + done);
                let to = to.add(done * k + q * T::COLUMNS);
                for panel in 0..TOGETHER {
                    let (from, to) = (from.add(panel * T::COLUMNS), to.add(panel * T::COLUMNS * k));
                    from.copy_to_nonoverlapping(to, T::COLUMNS);
                }
            }
        }
        done += TOGETHER * T::COLUMNS;
    }
    while done < n {
        let columns = T::COLUMNS.min(n - done);
        // SAFETY: guaranteed by the caller.
        unsafe {
            let (from, to) = (b.at(p, j + done), to.add(done * k));
            if b.column == 1 {
                copy_runs(from, b.row, columns, k, to, T::COLUMNS);
            } else {
                interleave(from, b.column, columns, k, to, T::COLUMNS);
            }
        }
        done += T::COLUMNS;
    }
}

/// Copies `k` runs of `count` contiguous elements, `stride` apart, to runs of `width`.
///
/// # Safety
/// `from` contains the runs, and `to` has room for them.
#[inline(always)]
unsafe fn copy_runs(
    from: *const f32,
    stride: usize,
    count: usize,
    k: usize,
    to: *mut f32,
    width: usize,
) {
    // A constant length becomes a few vector moves.
    macro_rules! fixed {
        ($($length:literal)*) => {
            match count {
                $($length if width == $length => {
                    for p in 0..k {
                        // SAFETY: guaranteed by the caller.
                        unsafe {
                            from.add(p * stride).copy_to_nonoverlapping(to.add(p * width), $length);
                        }
                    }
                })*
                _ => {
                    for p in 0..k {
                        // SAFETY: guaranteed by the caller.
                        unsafe {
                            let to = to.add(p * width);
                            from.add(p * stride).copy_to_nonoverlapping(to, count);
                            to.add(count).write_bytes(0, width - count);
                        }
                    }
                }
            }
        };
    }
    fixed!(4 8 16 24 32 48);
}

/// Interleaves `count` runs of `k` contiguous elements, `stride` apart, to `k` runs of `width`: a transposition, four
/// by four in registers.
///
/// # Safety
/// The requirements of [`copy_runs`].
#[inline(always)]
unsafe fn interleave(
    from: *const f32,
    stride: usize,
    count: usize,
    k: usize,
    to: *mut f32,
    width: usize,
) {
    let (whole, even) = (count - count % 4, k - k % 4);
    // SAFETY: guaranteed by the caller.
    unsafe {
        for i in (0..whole).step_by(4) {
            let from = from.add(i * stride);
            let to = to.add(i);
            for p in (0..even).step_by(4) {
                let x = |r: usize| _mm_loadu_ps(from.add(r * stride + p));
                let (x0, x1, x2, x3) = (x(0), x(1), x(2), x(3));
                let (low01, high01) = (_mm_unpacklo_ps(x0, x1), _mm_unpackhi_ps(x0, x1));
                let (low23, high23) = (_mm_unpacklo_ps(x2, x3), _mm_unpackhi_ps(x2, x3));
                let to = to.add(p * width);
                _mm_storeu_ps(to, _mm_movelh_ps(low01, low23));
                _mm_storeu_ps(to.add(width), _mm_movehl_ps(low23, low01));
                _mm_storeu_ps(to.add(2 * width), _mm_movelh_ps(high01, high23));
                _mm_storeu_ps(to.add(3 * width), _mm_movehl_ps(high23, high01));
            }
            for p in even..k {
                for r in 0..4 {
                    *to.add(p * width + r) = *from.add(r * stride + p);
                }
            }
        }
        for i in whole..width {
            for p in 0..k {
                *to.add(p * width + i) = if i < count { *from.add(i * stride + p) } else { 0.0 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Factor, Matrix, View, kernel::factor::plain, transposed};
    use proptest::prelude::*;

    /// Small integers: their products and sums are exact in every order of summation.
    fn integers(rows: usize, columns: usize, seed: usize) -> Matrix<f32> {
        Matrix::from_fn(rows, columns, |i, j| ((seed + 7 * i + 13 * j + i * j) % 11) as f32 - 5.0)
    }

    fn strided(x: &Matrix<f32>, turned: bool) -> Strided {
        let rows = x.nrows();
        let (row, column) = if turned { (rows, 1) } else { (1, rows) };
        Strided { start: x.as_ptr(), row, column }
    }

    fn factor(x: &Matrix<f32>, turned: bool) -> Factor<'_, f32> {
        let view: View<'_, f32> = x.as_view();
        if turned { transposed(view) } else { view.into() }
    }

    /// With all vectors that this processor has, not only those in use.
    fn agrees_with_the_definition(
        (m, n, k): (usize, usize, usize),
        (ta, tb, add): (bool, bool, bool),
    ) {
        let a = if ta { integers(k, m, 1) } else { integers(m, k, 1) };
        let b = if tb { integers(n, k, 2) } else { integers(k, n, 2) };
        let start = if add { integers(m, n, 3) } else { Matrix::repeat(m, n, f32::NAN) };
        let mut expected = start.clone();
        plain(expected.as_view_mut(), 2.0, factor(&a, ta), factor(&b, tb), add);
        for with in [Vectors::Avx512, Vectors::Avx2] {
            if with > Vectors::detected() {
                continue;
            }
            let mut found = start.clone();
            let (c, x, y) = (found.as_mut_ptr(), strided(&a, ta), strided(&b, tb));
            // SAFETY: pointers and strides are those of matrices of these sizes; the processor has
            // these vectors.
            assert!(unsafe { product_with(with, (m, n, k), c, m, 2.0, x, y, add) });
            assert_eq!(found, expected, "{m}×{n}×{k} {ta} {tb} {add}");
        }
    }

    proptest! {
        #[test]
        fn any_shape(
            m in 0usize..150, n in 0usize..60, k in 1usize..40, how in any::<(bool, bool, bool)>(),
        ) {
            agrees_with_the_definition((m, n, k), how);
        }
    }

    /// Parts of larger matrices: elements outside the factors are not read (they are NaN), those outside C not written.
    #[test]
    fn parts_of_larger_matrices() {
        const BESIDE: f32 = 77.0;
        for (m, n, k) in [(48, 16, 20), (64, 8, 600), (33, 13, 9), (130, 64, 40), (300, 130, 17)] {
            for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
                let (a, b) = (integers(m, k, 1), integers(k, n, 2));
                let parent = |x: &Matrix<f32>, turned: bool| {
                    let x = if turned { x.transpose() } else { x.clone() };
                    let mut parent = Matrix::repeat(x.nrows() + 3, x.ncols() + 2, f32::NAN);
                    parent.view_mut((2, 1), x.shape()).copy_from(&x);
                    parent
                };
                let (pa, pb) = (parent(&a, ta), parent(&b, tb));
                let inside = |x: &Matrix<f32>, turned: bool| {
                    let (start, rows) = (&raw const x[(2, 1)], x.nrows());
                    let (row, column) = if turned { (rows, 1) } else { (1, rows) };
                    Strided { start, row, column }
                };
                let mut expected = Matrix::repeat(m + 4, n + 2, BESIDE);
                let part = expected.view_mut((1, 1), (m, n));
                plain(part, 1.0, factor(&a, false), factor(&b, false), false);
                for with in [Vectors::Avx512, Vectors::Avx2] {
                    if with > Vectors::detected() {
                        continue;
                    }
                    let mut found = Matrix::repeat(m + 4, n + 2, BESIDE);
                    let (c, x, y) = (&raw mut found[(1, 1)], inside(&pa, ta), inside(&pb, tb));
                    // SAFETY: the parts lie inside their matrices; the processor has these vectors.
                    let done = unsafe { product_with(with, (m, n, k), c, m + 4, 1.0, x, y, false) };
                    assert!(done);
                    assert_eq!(found, expected, "{m}×{n}×{k} {ta} {tb} {with}");
                }
            }
        }
    }

    #[test]
    fn more_than_a_block_in_every_direction() {
        let all = [(400, 20, 600), (30, 1101, 7), (700, 9, 520), (128, 64, 16), (64, 8, 3)];
        /// Several blocks of the inner dimension, of rows and of columns; the last one is partial.
        fn blocks<T: Tile>(all: &[(usize, usize, usize)]) {
            let inner = |k: usize| k.div_ceil(k.div_ceil(T::INNER)).next_multiple_of(16).min(k);
            let some =
                |of: &dyn Fn(usize, usize, usize) -> bool| all.iter().any(|&(m, n, k)| of(m, n, k));
            assert!(some(&|_, _, k| k > T::INNER && k % inner(k) != 0), "the inner dimension");
            assert!(some(&|m, _, k| m > T::BLOCK_A / inner(k) && m % T::LANES != 0), "rows");
            assert!(some(&|_, n, _| n > COLUMNS && n % T::COLUMNS != 0), "columns");
        }
        blocks::<Avx512>(&all);
        blocks::<Avx2>(&all);
        for how in [(false, false, true), (true, false, false), (false, true, true)] {
            all.into_iter().for_each(|sizes| agrees_with_the_definition(sizes, how));
        }
    }
}
