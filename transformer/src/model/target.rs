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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_begin_after_marks_and_with_windows() {
        let targets = [1, LAST, 2, IGNORED, LAST, 3, LAST, 4];
        assert_eq!(first_tokens(&targets, 4), [0, 0, 2, 2, 0, 1, 1, 3]);
        assert_eq!(first_tokens(&targets, 8), [0, 0, 2, 2, 2, 5, 5, 7]);
        let counted = targets.iter().filter(|t| is_counted(**t)).count();
        assert_eq!(counted, 4);
    }
}
