//! Counts in messages.

/// Formats a count with its noun: "1 token", "4 tokens".
pub(crate) fn count(n: impl Into<u128>, what: &str) -> String {
    let n = n.into();
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Like [`count()`], for sizes.
pub(crate) fn of(n: usize, what: &str) -> String {
    count(n as u128, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one() {
        assert_eq!(
            [of(0, "step"), of(1, "step"), count(2u64, "step")],
            ["0 steps", "1 step", "2 steps"]
        );
    }
}
