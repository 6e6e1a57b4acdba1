//! Public functions of numbers that the grid does not run, and why. A name that ends in `::` stands for every function
//! below it.

/// Each reason, with the functions that it holds for.
pub(crate) const REASONS: &[(&str, &[&str])] = &[
    (
        "a size, a shape, a count: whatever the numbers are, it says the same",
        &[
            "linalg::adapter::Adapter::parameters",
            "linalg::adapter::Adapter::rank",
            "linalg::adapter::Adapter::saved",
            "linalg::adapter::Adapter::scale",
            "linalg::adapter::Adapter::shape",
            "linalg::low_rank::LowRank::parameters",
            "linalg::product::Factor::columns",
            "linalg::product::Factor::rows",
            "calculus::chain::Chain::forward_cost",
            "calculus::chain::Chain::reverse_cost",
            "calculus::traced::Trace::is_empty",
            "calculus::traced::Trace::len",
            "probability::categorical::Categorical::len",
        ],
    ),
    (
        "hands out a part of what it was made from, or cuts work into pieces: what is computed is the caller's",
        &[
            "linalg::formula::",
            "linalg::kernel::simd",
            "linalg::parallel::",
            "linalg::product::Factor::parts",
        ],
    ),
    ("measures the machine", &["linalg::kernel::limits::"]),
    (
        "the recording engine, which runs primitives on whatever numbers there are: laws of every primitive are in laws.rs",
        &["calculus::recorder::Recorder::", "calculus::tape::Tape::", "calculus::tape::stepwise::Tape::"],
    ),
];
