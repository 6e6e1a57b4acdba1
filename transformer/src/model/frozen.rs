//! Values of frozen weights.

use calculus::Parameter;
use linalg::half::bf16_to_f32;
use std::fmt;
use std::sync::Arc;

/// The values of the frozen weights of a model, in recording order, which recordings share.
///
/// A matrix of which every element is a bfloat16 is kept as such, in two bytes an element. A model that was
/// trained in bfloat16, or is stored so, has only such matrices. bfloat16 is the upper half of an `f32`, so that nothing is lost, and a run has the same bits as with
/// `f32`. Vectors, and matrices with other numbers, are kept as `f32`.
#[derive(Clone, Default, PartialEq)]
pub struct FrozenWeights {
    weights: Vec<Values>,
}

/// The values of one weight.
#[derive(Clone, PartialEq)]
enum Values {
    Single(Arc<[f32]>),
    Half(Arc<[u16]>),
}

impl FrozenWeights {
    /// Adds the values of the next weight, which is a matrix or a vector.
    ///
    /// ```
    /// use transformer::FrozenWeights;
    /// let mut frozen = FrozenWeights::default();
    /// frozen.push(true, &[1.0, 0.5]); // a matrix, exact as bfloat16
    /// frozen.push(true, &[1.0, 1.001]);
    /// assert_eq!((frozen.shared(), frozen.len(), frozen.bytes()), (2, 4, 2 * 2 + 2 * 4));
    /// assert_eq!(frozen.to_vec(), [1.0, 0.5, 1.0, 1.001]);
    /// ```
    pub fn push(&mut self, matrix: bool, elements: &[f32]) {
        let exact = matrix && is_exact(elements);
        self.weights.push(match exact {
            true => Values::Half(elements.iter().map(|x| (x.to_bits() >> 16) as u16).collect()),
            false => Values::Single(elements.into()),
        });
    }

    /// Returns the values of those of all weights of a model that are frozen.
    pub fn of(list: &[Parameter], weights: &[f32], freezes: impl Fn(&str) -> bool) -> Self {
        let mut frozen = FrozenWeights::default();
        for p in list.iter().filter(|p| freezes(&p.name)) {
            frozen.push(is_matrix(p), &weights[p.range.clone()]);
        }
        frozen
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        let len = |values: &Values| match values {
            Values::Single(x) => x.len(),
            Values::Half(x) => x.len(),
        };
        self.weights.iter().map(len).sum()
    }

    /// Whether there is no weight.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// Returns the number of elements that are kept as bfloat16.
    pub fn shared(&self) -> usize {
        self.halves().flatten().map(|halves| halves.len()).sum()
    }

    /// Returns the bytes that the elements take.
    pub fn bytes(&self) -> usize {
        size_of::<u16>() * self.shared() + size_of::<f32>() * (self.len() - self.shared())
    }

    /// Returns all elements.
    pub fn to_vec(&self) -> Vec<f32> {
        let mut all = Vec::with_capacity(self.len());
        for values in &self.weights {
            match values {
                Values::Single(x) => all.extend_from_slice(x),
                Values::Half(x) => all.extend(x.iter().map(|&half| bf16_to_f32(half))),
            }
        }
        all
    }

    /// Returns for every weight its values, if they are kept as bfloat16.
    pub(crate) fn halves(&self) -> impl Iterator<Item = Option<Arc<[u16]>>> {
        self.weights.iter().map(|values| match values {
            Values::Half(halves) => Some(halves.clone()),
            Values::Single(_) => None,
        })
    }

    /// Returns for every weight its values, if they are kept as `f32`.
    pub(crate) fn singles(&self) -> impl Iterator<Item = Option<&[f32]>> {
        self.weights.iter().map(|values| match values {
            Values::Single(x) => Some(&x[..]),
            Values::Half(_) => None,
        })
    }
}

/// Whether every number is a bfloat16.
pub(crate) fn is_exact(elements: &[f32]) -> bool {
    elements.iter().all(|x| x.to_bits() & 0xffff == 0)
}

/// Whether a weight is a matrix or a table, not a vector.
pub(crate) fn is_matrix(p: &Parameter) -> bool {
    p.shape.columns > 1
}

/// Prints numbers of elements, and no element.
impl fmt::Debug for FrozenWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenWeights")
            .field("weights", &self.weights.len())
            .field("elements", &self.len())
            .field("bfloat16", &self.shared())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linalg::half::f32_to_bf16;
    use proptest::prelude::*;

    proptest! {
        /// A matrix of bfloat16 is kept as such, and comes back bit for bit; one element that is none keeps all of it as `f32`.
        #[test]
        fn only_exact_matrices_are_kept_as_bfloat16(
            bits in prop::collection::vec(any::<u16>(), 1..20), at in any::<prop::sample::Index>(), lower in 1u32..0x1_0000,
        ) {
            let exact: Vec<f32> = bits.iter().map(|&half| bf16_to_f32(half)).collect();
            let mut other = exact.clone();
            let place = at.index(other.len());
            other[place] = f32::from_bits(other[place].to_bits() | lower);
            let mut frozen = FrozenWeights::default();
            frozen.push(true, &exact);
            frozen.push(true, &other);
            frozen.push(false, &exact);
            prop_assert_eq!((frozen.shared(), frozen.len()), (exact.len(), 3 * exact.len()));
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&frozen.to_vec()), bits(&[&exact[..], &other, &exact].concat()));
        }
    }

    #[test]
    fn debug_prints_no_element() {
        let mut frozen = FrozenWeights::default();
        frozen.push(true, &[0.5, bf16_to_f32(f32_to_bf16(0.3))]);
        let said = format!("{frozen:?}");
        assert_eq!(said, "FrozenWeights { weights: 1, elements: 2, bfloat16: 2 }");
        assert!(!frozen.is_empty() && FrozenWeights::default().is_empty());
    }
}
