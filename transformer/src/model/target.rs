//! Targets: the token to predict after each token of a window, or none.

/// The target of a token that is not predicted.
pub const IGNORED: u32 = u32::MAX;

/// The target of a sequence's last token if another sequence follows in the same window: it is not predicted, and the next
/// token begins at position 0 and sees nothing before it. Only recordings with [`crate::Architecture::packed`] take it.
pub const LAST: u32 = u32::MAX - 1;

/// Returns whether a target is predicted: it is neither [`IGNORED`] nor [`LAST`].
pub fn is_counted(target: u32) -> bool {
    target < LAST
}

/// Returns the place of the first token of each token's sequence, within its window of `length` tokens.
pub(crate) fn first_tokens(targets: &[u32], length: usize) -> Vec<usize> {
    let of_window = |window: &[u32]| {
        let mut first = 0;
        let places = window.iter().enumerate().map(|(i, target)| {
            let own = first;
            if *target == LAST {
                first = i + 1;
            }
            own
        });
        places.collect::<Vec<_>>()
    };
    targets.chunks(length).flat_map(of_window).collect()
}

/// Returns the pair of each predicted token, numbered through all windows of `length` tokens, and its side: 1 in the first
/// sequence of a pair, which was chosen, and −1 in the second; `None` for a token without a target. A pair without targets
/// has no number.
pub(crate) fn pairs_of(targets: &[u32], length: usize) -> Vec<Option<(usize, f64)>> {
    let (mut pairs, mut places) = (0, Vec::with_capacity(targets.len()));
    for window in targets.chunks(length) {
        let (mut sequence, mut own) = (0, None);
        for &target in window {
            places.push(is_counted(target).then(|| {
                let pair = *own.get_or_insert_with(|| {
                    pairs += 1;
                    pairs - 1
                });
                (pair, if sequence % 2 == 0 { 1.0 } else { -1.0 })
            }));
            if target == LAST {
                sequence += 1;
                if sequence % 2 == 0 {
                    own = None;
                }
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_numbered_through_windows() {
        let targets = [5, LAST, 6, IGNORED, IGNORED, IGNORED, 7, LAST, IGNORED, LAST, IGNORED, 8];
        let [a, b, c] = [Some((0, 1.0)), Some((0, -1.0)), None];
        let (d, e) = (Some((1, 1.0)), Some((2, 1.0)));
        assert_eq!(pairs_of(&targets[..4], 4), [a, c, b, c]);
        assert_eq!(pairs_of(&targets, 6), [a, c, b, c, c, c, d, c, c, c, c, e]);
    }

    #[test]
    fn sequences_begin_after_marks_and_with_windows() {
        let targets = [1, LAST, 2, IGNORED, LAST, 3, LAST, 4];
        assert_eq!(first_tokens(&targets, 4), [0, 0, 2, 2, 0, 1, 1, 3]);
        assert_eq!(first_tokens(&targets, 8), [0, 0, 2, 2, 2, 5, 5, 7]);
        let counted = targets.iter().filter(|t| is_counted(**t)).count();
        assert_eq!(counted, 4);
    }
}
