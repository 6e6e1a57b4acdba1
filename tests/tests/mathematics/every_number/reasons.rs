//! Public functions of numbers that the grid does not run, and why. A name that ends in `::` stands for every function
//! below it.

/// Each reason, with the functions that it holds for.
pub(crate) const REASONS: &[(&str, &[&str])] = &[
    (
        "a conversion of f32 alone, of which the file's own tests try every number of sixteen bits and all middles",
        &["linalg::half::"],
    ),
    (
        "a size, a shape, a count: whatever the numbers are, it says the same",
        &[
            "linalg::adapter::Adapter::parameters",
            "linalg::adapter::Adapter::rank",
            "linalg::adapter::Adapter::saved",
            "linalg::adapter::Adapter::scale",
            "linalg::adapter::Adapter::shape",
            "linalg::kernel::factor::Factor::columns",
            "linalg::rotation::Rotation::new",
            "probability::rms_norm::RmsNorm::new",
            "linalg::kernel::factor::Factor::rows",
            "linalg::newton_schulz::error_bound",
            "calculus::chain::Chain::forward_cost",
            "calculus::chain::Chain::reverse_cost",
            "calculus::traced::Trace::is_empty",
            "calculus::traced::Trace::len",
            "probability::categorical::Categorical::len",
            "probability::categorical::sum_tolerance",
            "probability::dropout::step",
        ],
    ),
    (
        "hands out a part of what it was made from, or cuts work into pieces: what is computed is the caller's",
        &[
            "linalg::derivation::",
            "linalg::formula::",
            "calculus::clip::formula",
            "probability::multivariate::MultivariateGaussian::mean",
            "probability::multivariate::MultivariateGaussian::covariance",
            "probability::transform::Logits::values",
            "linalg::kernel::simd",
            "linalg::kernel::split::split_rows",
            "linalg::parallel::",
            "linalg::gradient::Gradient::",
            "linalg::kernel::factor::Factor::parts",
        ],
    ),
    (
        "a check or a report of a derivative, with a bound of its own",
        &[
            "calculus::check::Adjoint::",
            "calculus::check::Agreement::",
            "calculus::check::adjoint",
            "calculus::check::agreement",
            "calculus::check::central_difference",
            "calculus::witness::",
        ],
    ),
    (
        "made of random bits alone, whatever the caller's numbers are",
        &["probability::gumbel::gumbel", "probability::random::Random::"],
    ),
    (
        "made of a text or of whole counts: tests/laws of the crate hold them",
        &["infotheory::grammar::Grammar::", "infotheory::ngram::baselines"],
    ),
    (
        "distributions of a family: tests/tests/authority/probability.rs compares them with mpmath",
        &[
            "probability::distribution::beta::",
            "probability::distribution::normal::",
            "probability::distribution::gamma::",
            "probability::distribution::normal::",
            "probability::distribution::scaled::",
            "probability::distribution::whole::",
        ],
    ),
    ("measures the machine", &["linalg::kernel::limits::"]),
    (
        "the recording engine, which runs primitives on whatever numbers there are: laws of every primitive are in laws.rs",
        &[
            "calculus::recorder::Recorder::",
            "calculus::recorder::outline::Recorder::",
            "calculus::tape::Tape::",
            "calculus::tape::access::",
            "calculus::tape::columns::",
            "calculus::tape::products::",
            "calculus::tape::row::",
            "calculus::tape::shared::",
            "calculus::tape::stepwise::",
            "calculus::example::",
        ],
    ),
];
