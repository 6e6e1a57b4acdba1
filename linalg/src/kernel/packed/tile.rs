//! A tile of C in registers.
#![allow(unsafe_code)]

use super::{Blocks, COLUMNS, Packed, Strided, element::Element, pack};

/// A vector width, a format of the factors' numbers, and the size of the tiles.
pub(super) trait Tile<E: Element>: Sized {
    /// The number of elements in a register.
    const LANES: usize;
    /// The number of columns of a tile.
    const COLUMNS: usize;
    /// The longest block of the inner dimension.
    const INNER: usize = E::TERMS_OF_BLOCK;
    /// The number of elements of a packed block of A: at least about half of the usual second-level cache of processors
    /// with these vectors.
    const BLOCK_A: usize;
    /// The most columns of a packed block of B.
    const BLOCK_COLUMNS: usize = COLUMNS;
    /// The terms of the inner dimension in one packed element.
    const TERMS: usize = 1;
    /// Whether a factor may be read where it is: packing does not change its numbers.
    const IN_PLACE: bool = true;
    /// Rows of C up to which so few tiles read B that it is read in place.
    const FEW_ROWS: usize = 8 * Self::LANES;
    /// Columns of C up to which so few tiles read A that it is read in place.
    const FEW_COLUMNS: usize = 16 * Self::COLUMNS;

    /// Runs [`Blocks::each`], compiled for these vectors.
    ///
    /// # Safety
    /// The requirements of [`Blocks::each`].
    unsafe fn blocks(blocks: &Blocks<'_, E>, packed: &mut Packed);

    /// Packs (m × k) of A from (i, p) on: in panels of rows. A panel holds its rows for one inner index after the other,
    /// padded with zeros.
    ///
    /// # Safety
    /// The block lies inside the matrix; `to` has room for it; the processor has these vectors.
    #[inline(always)]
    unsafe fn pack_rows(a: Strided<E>, at: (usize, usize), size: (usize, usize), to: *mut E) {
        // SAFETY: guaranteed by the caller.
        unsafe { pack::rows::<E, Self>(a, at, size, to) }
    }

    /// Packs (k × n) of B from (p, j) on: in panels of columns. A panel holds its columns for one inner index after the
    /// other, padded with zeros.
    ///
    /// # Safety
    /// The requirements of [`Tile::pack_rows`].
    #[inline(always)]
    unsafe fn pack_columns(b: Strided<E>, at: (usize, usize), size: (usize, usize), to: *mut E) {
        // SAFETY: guaranteed by the caller.
        unsafe { pack::columns::<E, Self>(b, at, size, to) }
    }

    /// Returns x·y + sum in one rounding.
    ///
    /// # Safety
    /// The processor has these vectors.
    unsafe fn fused(x: E, y: E, sum: E) -> E;

    /// Computes C ← α·A·B (+ C) for a tile of `V` registers and all COLUMNS: rows of A are contiguous, B is in place
    /// or, if `PACKED`, [k][COLUMNS].
    ///
    /// # Safety
    /// The processor has these vectors; all accesses through the pointers are in bounds.
    unsafe fn run<const V: usize, const PACKED: bool>(
        k: usize,
        a: Strided<E>,
        b: Strided<E>,
        c: *mut E,
        c_column: usize,
        alpha: E,
        add: bool,
    );
}
