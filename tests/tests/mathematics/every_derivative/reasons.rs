//! Public functions of numbers that have no derivative to compare, and why. A name that ends in `::` stands for every
//! method of the type.

/// What stands on `f64` alone; its documentation says so, and the test looks.
pub(crate) const F64: &str = "on f64 alone";

/// What is generic and gives `f64`; its documentation says so, and the test looks.
pub(crate) const MEASURED: &str =
    "measured in f64 whatever the scalar, so that no derivative passes";

/// Each reason, with the functions that it holds for.
pub(crate) const REASONS: &[(&str, &[&str])] = &[
    ("a rounding, or numbers of sixteen bits: constant between steps", &["linalg::half::"]),
    (
        F64,
        &[
            // Decompositions: where singular values or eigenvalues meet, vectors have no derivative.
            "calculus::optimizer::config::OptimizerConfig::corrections",
            "calculus::optimizer::config::OptimizerConfig::limit",
            "calculus::optimizer::config::OptimizerConfig::shares",
            "linalg::adapter::Adapter::nearest",
            "linalg::conjugate_gradient::solve",
            "linalg::eigenvalues::",
            "linalg::hutchinson::trace",
            "linalg::low_rank::LowRank::",
            "linalg::newton_schulz::error_bound",
            "linalg::spectrum::nuclear_norm",
            "linalg::spectrum::spectral_norm",
            "linalg::principal::PrincipalComponents::",
            "linalg::randomised::RandomisedSvd::run",
            "linalg::svd::",
            "linalg::symmetric::SymmetricEigen::",
            "calculus::stability::sharpness",
            "calculus::stationary::",
            "infotheory::gaussian::multivariate_entropy",
            "infotheory::markov::Interval::holds",
            "infotheory::markov::mean_of_dependent",
            "probability::multivariate::MultivariateGaussian::",
            // Tables and frequencies, made from powers of a base that does not move.
            "linalg::rotation::frequency",
            "linalg::rotation::Scaling::scaled",
            // A number as text.
            "linalg::real::shown",
            // Formulas that are printed and checked against what was stored.
            "linalg::derivation::",
            "linalg::formula::Formula::table",
            "linalg::formula::Function::of",
            // Distributions of a library, quantiles, tests: steps and inversions.
            "probability::alias::AliasTable::probability",
            "probability::bootstrap::",
            "probability::calibration::",
            "probability::dirichlet::Dirichlet::",
            "probability::distribution::",
            "probability::initialise::Initialiser::variance",
            "probability::interval::",
            "probability::kolmogorov_smirnov::",
            "probability::mann_whitney::",
            "probability::multiple::",
            "probability::paired::",
            "probability::pass_at_k::",
            "probability::power::",
            "probability::theil_sen::",
            "probability::welch::",
            // Sampling: selection by rank.
            "probability::sample::Sampler::",
            "probability::transform::Logits::",
            // Random numbers.
            "probability::gumbel::gumbel",
            "probability::random::Random::",
            // Policies of training and of a search, which look at losses and compare.
            "calculus::depth::depth_of_vanishing",
            "calculus::gauss_newton::GaussNewton::",
            "calculus::line_search::Backtracking::",
            "calculus::newton::Newton::",
            "calculus::quasi_newton::Lbfgs::",
            "calculus::schedule::",
            "calculus::clip::factor",
            "calculus::clip::formula",
            // The checks themselves.
            "calculus::check::",
            // Models of counts, codes in whole bits, sums over derivations.
            "infotheory::arithmetic::Frequencies::",
            // Iterations and bisections.
            "infotheory::channel::",
            "infotheory::fano::least_error",
            "infotheory::bits",
            "infotheory::perplexity",
            "infotheory::grammar::Grammar::",
            "infotheory::ngram::",
            "infotheory::prefix_code::",
            "infotheory::shannon::",
        ],
    ),
    (
        "a size, a shape, a count or an index: no number that moves",
        &[
            "linalg::adapter::Adapter::parameters",
            "linalg::adapter::Adapter::rank",
            "linalg::adapter::Adapter::saved",
            "linalg::adapter::Adapter::shape",
            "linalg::gather::index",
            "linalg::least_squares::LeastSquares::freedom",
            "linalg::qr::Qr::order",
            "linalg::qr::Qr::rank",
            "linalg::kernel::factor::Factor::columns",
            "linalg::kernel::factor::Factor::rows",
            "calculus::chain::Chain::forward_cost",
            "calculus::chain::Chain::reverse_cost",
            "calculus::traced::Trace::is_empty",
            "calculus::traced::Trace::len",
            "infotheory::cross_entropy::counted",
            "infotheory::cross_entropy::is_ignored",
            "infotheory::distribution::check",
            "probability::categorical::check_distribution",
            "probability::categorical::sum_tolerance",
            "infotheory::markov::MarkovChain::states",
            "linalg::real::is_nan",
            "probability::categorical::Categorical::len",
            "probability::running::Running::count",
        ],
    ),
    (
        "selects an outcome: an index, which jumps",
        &[
            "infotheory::markov::MarkovChain::sample",
            "probability::alias::AliasTable::new",
            "probability::categorical::Categorical::draw",
            "probability::categorical::Categorical::mode",
            "probability::categorical::Categorical::quantile",
            "probability::gumbel::gumbel_max",
        ],
    ),
    (
        "a constant, whatever the scalar: made of settings, counts or random bits",
        &[
            "linalg::accurate::Sum::new",
            "linalg::rotation::Rotation::new",
            "probability::rms_norm::RmsNorm::new",
            "linalg::adapter::Adapter::scale",
            "linalg::krylov::start_vector",
            "probability::categorical::Categorical::certain",
            "probability::categorical::Categorical::from_counts",
            "probability::categorical::Categorical::uniform",
            "probability::dropout::Dropout::mask",
            "probability::dropout::DropoutMask::factor",
            "probability::dropout::DropoutMask::runs",
            "probability::dropout::step",
            "probability::initialise::Initialiser::weights",
            "probability::likelihood::fit_categorical",
        ],
    ),
    (
        MEASURED,
        &[
            "calculus::clip::by_global_norm",
            "calculus::clip::global_norm",
            "linalg::krylov::Lanczos::run",
            "linalg::krylov::Ritz::",
            "probability::gaussian::Gaussian::quantile",
        ],
    ),
    (
        "how derivatives are carried: each route against the others is what every case here is",
        &[
            "calculus::dual::Dual::",
            "calculus::dual_vector::DualVector::",
            "calculus::traced::Traced::",
            "calculus::witness::Fault::",
            "calculus::witness::Witness::",
        ],
    ),
    (
        "the recording engine: tests/tests/mathematics/laws.rs and tests/tests/step/model_gradients.rs hold every gradient that it gives",
        &[
            "calculus::recorder::Recorder::",
            "calculus::recorder::outline::Recorder::",
            "calculus::example::product",
            "calculus::tape::Tape::",
            "calculus::tape::access::Tape::",
            "calculus::tape::columns::Tape::",
            "calculus::tape::products::Tape::",
            "calculus::tape::row::Tape::",
            "calculus::tape::shared::Tape::",
            "calculus::tape::stepwise::Tape::",
        ],
    ),
    (
        "cuts work into pieces, hands out views or reads a formula: what is computed is the caller's",
        &[
            "linalg::formula::Expression::walk",
            "linalg::formula::text::constant",
            "linalg::parallel::",
            "linalg::gradient::Gradient::",
            "linalg::kernel::factor::Factor::parts",
            "linalg::kernel::simd",
            "linalg::kernel::split::split_rows",
        ],
    ),
    ("measures the machine", &["linalg::kernel::limits::bandwidth"]),
];
