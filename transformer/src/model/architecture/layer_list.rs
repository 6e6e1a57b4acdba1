//! Some of a model's layers, by a list that repeats: layer i is one of them if element i is true, and the list starts again
//! beyond its last element. Windows of attention and rotations stand in such layers.

/// Returns whether layer i, from 0, is in the list; no layer is in an empty one.
pub(crate) fn contains(list: &[bool], layer: usize) -> bool {
    list.get(layer % list.len().max(1)).is_some_and(|&is| is)
}

/// Returns the shortest list that repeats to this one.
pub(crate) fn shortest(mut list: Vec<bool>) -> Vec<bool> {
    let repeats = |&n: &usize| list.iter().zip(list[n..].iter()).all(|(a, b)| a == b);
    let shortest = (1..=list.len()).find(repeats).unwrap_or(0);
    list.truncate(shortest);
    list
}

/// Returns the list of `layers` layers without every n-th; all layers without an n.
pub(crate) fn without_every(n: Option<usize>, layers: usize) -> Vec<bool> {
    let is = |i: usize| n.is_none_or(|n| !i.is_multiple_of(n));
    shortest((1..=layers).map(is).collect())
}

/// Returns n if the list repeats to all layers but every n-th.
pub(crate) fn left_out_every(list: &[bool]) -> Option<usize> {
    let (last, before) = list.split_last()?;
    (!last && !before.contains(&false)).then_some(list.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_repeats() {
        let list = without_every(Some(4), 10);
        assert_eq!(list, [true, true, true, false]);
        let found: Vec<usize> = (0..10).filter(|&i| !contains(&list, i)).collect();
        assert_eq!(found, [3, 7]);
        assert_eq!(left_out_every(&list), Some(4));
        assert_eq!(without_every(None, 10), [true]);
        assert_eq!(without_every(Some(1), 10), [false]);
        assert_eq!([&[true][..], &[false, true], &[]].map(left_out_every), [None; 3]);
        // Too few layers for an n-th.
        assert_eq!(without_every(Some(4), 3), [true]);
        assert_eq!(shortest(vec![true, false, true]), [true, false]);
        assert!(shortest(vec![]).is_empty() && !contains(&[], 3));
    }
}
