//! Laws of the named distributions over the whole range of their parameters. Outside values are in the authority
//! tables.

use probability::Random;
use probability::distribution::{
    Bernoulli, Beta, Binomial, ChiSquared, Continuous, ContinuousCDF, Discrete, DiscreteCDF,
    Distribution, Exp, Gamma, Geometric, Gumbel, Laplace, LogNormal, Median, Normal, Poisson,
    StudentsT, Uniform, draw,
};
use proptest::prelude::*;
use std::f64::consts::PI;

/// The accuracy that the module promises.
const PROMISED: f64 = 1e-12;

/// Powers of ten between two exponents.
fn decades(range: std::ops::Range<f64>) -> impl Strategy<Value = f64> {
    range.prop_map(|e| 10.0_f64.powf(e))
}

/// Probabilities down to the smallest, and near ½.
fn probability() -> impl Strategy<Value = f64> {
    prop_oneof![decades(-300.0..-0.302), 0.001..0.5_f64, (0.0..1e-9_f64).prop_map(|d| 0.5 - d)]
}

#[track_caller]
fn near(found: f64, right: f64, bound: f64) {
    // Below the smallest normal number there are fewer digits.
    let few = right.abs() < f64::MIN_POSITIVE && (found - right).abs() <= 1e-3 * f64::MIN_POSITIVE;
    let fits = found == right || few || (found / right - 1.0).abs() <= bound;
    assert!(fits, "{found:e} is off {right:e} by the share {:e}", found / right - 1.0);
}

/// x ↦ F(x) ↦ x: the quantile has the requested probability. A rounded x moves ln F by density·x·ε/F; the allowed error
/// is this plus the promised one.
#[track_caller]
fn inverted(of: &(impl ContinuousCDF<f64, f64> + Continuous<f64, f64>), p: f64, shift: f64) {
    let x = of.inverse_cdf(p);
    if x == 0.0 || !x.is_finite() || x.abs() < 1e-290 {
        return; // below the smallest float, or above the largest
    }
    let size = x.abs().max(shift);
    let bound = PROMISED + 4.0 * f64::EPSILON * size * (of.ln_pdf(x) - p.ln()).exp();
    near(of.cdf(x), p, bound);
    let x = of.inverse_cdf(1.0 - p); // 1 − p, rounded, is the upper tail
    let left = 1.0 - (1.0 - p);
    if left > 0.0 && x.is_finite() && x.abs() > 1e-290 && x != 1.0 {
        let size = x.abs().max(shift);
        let bound = PROMISED + 4.0 * f64::EPSILON * size * (of.ln_pdf(x) - left.ln()).exp();
        near(of.sf(x), left, bound);
    }
}

proptest! {
    #[test]
    fn quantiles_invert_shares(
        a in decades(-3.0..13.0),
        b in decades(-3.0..13.0),
        p in probability(),
    ) {
        inverted(&Gamma::new(a, 1.0).unwrap(), p, 0.0);
        inverted(&Gamma::new(a, b).unwrap(), p, 0.0);
        inverted(&Beta::new(a, b).unwrap(), p, 0.0);
        inverted(&ChiSquared::new(a).unwrap(), p, 0.0);
        inverted(&StudentsT::new(0.0, 1.0, a.max(0.3)).unwrap(), p, 0.0);
        inverted(&Normal::standard(), p, 0.0);
        inverted(&Exp::new(a).unwrap(), p, 0.0);
        inverted(&Laplace::new(0.0, a).unwrap(), p, 0.0);
        inverted(&Gumbel::new(0.0, a).unwrap(), p, 0.0);
        inverted(&LogNormal::new(0.0, 1.0).unwrap(), p, 0.0);
        inverted(&Uniform::new(-a, b).unwrap(), p, a.max(b));
    }

    /// Identities between incomplete functions, and closed forms.
    #[test]
    fn identities(
        a in decades(-2.0..12.0),
        b in decades(-2.0..12.0),
        x in 0.0..1.0_f64,
        t in decades(-9.0..9.0),
    ) {
        // I_x(a, b) = 1 − I_(1−x)(b, a), where 1 − x is exact.
        let x = 1.0 - x;
        let (ab, ba) = (Beta::new(a, b).unwrap(), Beta::new(b, a).unwrap());
        near(ab.cdf(x), ba.sf(1.0 - x), 2.0 * PROMISED);
        // I_x(1, b) = 1 − (1 − x)ᵇ; P(1, x) = 1 − e⁻ˣ.
        near(Beta::new(1.0, b).unwrap().sf(x), (b * (-x).ln_1p()).exp(), 800.0 * f64::EPSILON + PROMISED);
        near(Gamma::new(1.0, 1.0).unwrap().cdf(t), Exp::new(1.0).unwrap().cdf(t), PROMISED);
        // One and two degrees of freedom: the Cauchy distribution, and ½·(1 − t/√(2 + t²)).
        near(StudentsT::new(0.0, 1.0, 1.0).unwrap().sf(t), (1.0 / t).atan() / PI, PROMISED);
        let root = (2.0 + t * t).sqrt();
        near(StudentsT::new(0.0, 1.0, 2.0).unwrap().sf(t), 1.0 / (root * (root + t)), PROMISED);
        // Q(½, x) = erfc √x.
        near(Gamma::new(0.5, 1.0).unwrap().sf(t * t), 2.0 * Normal::standard().sf(t * 2.0_f64.sqrt()), 1e-11);
    }

    /// One step of the recurrences: P(a, x) − P(a + 1, x) = xᵃe⁻ˣ/Γ(a + 1), and of I_x likewise.
    #[test]
    fn recurrences(a in decades(-2.0..4.0), b in decades(-2.0..4.0), z in -5.0..5.0_f64) {
        let x = (a + z * a.sqrt()).abs().max(1e-3);
        let of = |a: f64| Gamma::new(a, 1.0).unwrap();
        near(of(a).cdf(x), of(a + 1.0).cdf(x) + of(a + 1.0).pdf(x), PROMISED);
        let deviation = (a * b / (a + b + 1.0)).sqrt() / (a + b);
        let x = (a / (a + b) + z * deviation).clamp(1e-3, 1.0 - 1e-3);
        let of = |a: f64, b: f64| Beta::new(a, b).unwrap();
        let step = of(a + 1.0, b).pdf(x) * (1.0 - x) / (a + b);
        near(of(a, b).cdf(x), of(a + 1.0, b).cdf(x) + step, PROMISED);
    }

    /// Cumulative probabilities of discrete distributions are sums of masses, and quantiles the least numbers that
    /// reach them.
    #[test]
    fn masses_add_up(p in 0.001..0.999_f64, n in 1..60_u64, mean in 0.01..40.0_f64, u in 0.0..1.0_f64) {
        fn check(of: &(impl Discrete<u64, f64> + DiscreteCDF<u64, f64>), most: u64, u: f64) {
            let mut sum = 0.0;
            for k in of.min()..=most {
                sum += of.pmf(k);
                near(of.cdf(k), sum, 1e-11);
                assert!((of.cdf(k) + of.sf(k) - 1.0).abs() <= 2.0 * f64::EPSILON);
            }
            let k = of.inverse_cdf(u);
            assert!(of.cdf(k) >= u * (1.0 - 1e-13) && (k == of.min() || of.cdf(k - 1) < u));
            // The cumulative probability of a number leads back to it, although it is rounded.
            for k in (of.min()..=most.min(of.min() + 20)).filter(|&k| of.sf(k) > 1e-12) {
                assert_eq!(of.inverse_cdf(of.cdf(k)), k);
            }
        }
        check(&Binomial::new(p, n).unwrap(), n, u);
        check(&Bernoulli::new(p).unwrap(), 1, u);
        check(&Poisson::new(mean).unwrap(), 60, u);
        check(&Geometric::new(p).unwrap(), 40, u);
    }

    /// Any parameters and arguments: a probability, a number of the range, and an end.
    #[test]
    fn nothing_hangs_or_panics(
        a in decades(-300.0..300.0),
        b in decades(-300.0..300.0),
        x in decades(-320.0..308.0),
        p in 0.0..=1.0_f64,
    ) {
        fn check(of: &(impl ContinuousCDF<f64, f64> + Continuous<f64, f64>), x: f64, p: f64) {
            for x in [x, -x, x.fract()] {
                let (below, above) = (of.cdf(x), of.sf(x));
                assert!((0.0..=1.0).contains(&below) && (0.0..=1.0).contains(&above), "{below} {above}");
                assert!((below + above - 1.0).abs() <= 1e-12 && of.pdf(x) >= 0.0);
            }
            for p in [p, p * 1e-300, 1.0 - p * 1e-16] {
                let x = of.inverse_cdf(p);
                assert!(of.min() <= x && x <= of.max(), "{p}: {x}");
            }
        }
        check(&Gamma::new(a, 1.0).unwrap(), x, p);
        check(&Beta::new(a, b).unwrap(), x, p);
        check(&StudentsT::new(0.0, 1.0, a).unwrap(), x, p);
        check(&Exp::new(a).unwrap(), x, p);
        check(&LogNormal::new(0.0, 1.0).unwrap(), x, p);
        let n = x as u64;
        for k in [0, n / 2, n] {
            prop_assert!((0.0..=1.0).contains(&Binomial::new(p, n).unwrap().cdf(k)));
            prop_assert!((0.0..=1.0).contains(&Poisson::new(a).unwrap().cdf(k)));
        }
        prop_assert!(Binomial::new(p, n).unwrap().inverse_cdf(p) <= n);
        Poisson::new(a).unwrap().inverse_cdf(p);
        Geometric::new(p.max(1e-300)).unwrap().inverse_cdf(p);
    }

    /// The entropy equals the sum over the masses; scaling adds the logarithm of the scale.
    #[test]
    fn entropies(p in 0.01..0.99_f64, n in 1..200_u64, a in decades(-1.0..9.0), scale in decades(-9.0..9.0)) {
        let of = Binomial::new(p, n).unwrap();
        let sum: f64 = (0..=n).map(|k| if of.pmf(k) > 0.0 { -of.pmf(k) * of.ln_pmf(k) } else { 0.0 }).sum();
        prop_assert!((of.entropy().unwrap() - sum).abs() < 1e-12);
        let bound = 1e-12;
        let (one, scaled) = (Gamma::new(a, 1.0).unwrap(), Gamma::new(a, 1.0 / scale).unwrap());
        prop_assert!((one.entropy().unwrap() + scale.ln() - scaled.entropy().unwrap()).abs() < bound);
        // χ² with two degrees of freedom is exponential.
        let (chi, exponential) = (ChiSquared::new(2.0).unwrap(), Exp::new(0.5).unwrap());
        prop_assert!((chi.entropy().unwrap() - exponential.entropy().unwrap()).abs() < bound);
    }
}

/// Arguments at which a search once looped, or where two branches meet.
#[test]
fn hard_numbers() {
    let t = |freedom: f64| StudentsT::new(0.0, 1.0, freedom).unwrap();
    // With infinite degrees of freedom it is the Gaussian.
    for freedom in [1e17, 1e100, 1e300, f64::INFINITY] {
        for p in [1e-300, 1e-10, 0.025, 0.3, 0.49999999] {
            near(t(freedom).inverse_cdf(p), Normal::standard().inverse_cdf(p), PROMISED);
            near(t(freedom).cdf(-2.5), Normal::standard().cdf(-2.5), PROMISED);
            near(t(freedom).pdf(-2.5), Normal::standard().pdf(-2.5), PROMISED);
        }
    }
    near(t(1.0).cdf(-1e300), 1e-300 / PI, PROMISED); // t² overflows
    near(t(1.0).inverse_cdf(1e-300), -1e300 / PI, PROMISED);
    assert_eq!(t(1.0).inverse_cdf(5e-324), f64::NEG_INFINITY);
    // Symmetric distributions have ½ on each side, for any width.
    for shape in [1e-3, 0.5, 1.0, 200.0, 1e6, 1e8, 1e15, 1e100] {
        near(Beta::new(shape, shape).unwrap().cdf(0.5), 0.5, PROMISED);
        near(Beta::new(1e-300, 1e-300).unwrap().cdf(shape * 1e-320), 0.5, PROMISED);
        assert_eq!(t(shape).cdf(0.0), 0.5);
        assert_eq!(t(shape).median(), 0.0);
    }
    // Outside the range.
    let gamma = Gamma::new(2.0, 3.0).unwrap();
    assert_eq!((gamma.cdf(-1.0), gamma.sf(-1.0), gamma.pdf(-1.0)), (0.0, 1.0, 0.0));
    assert_eq!((gamma.cdf(f64::INFINITY), gamma.pdf(f64::INFINITY)), (1.0, 0.0));
    assert!(gamma.cdf(f64::NAN).is_nan() && gamma.pdf(f64::NAN).is_nan());
    for p in [-0.1, 1.1, f64::NAN] {
        assert!(gamma.inverse_cdf(p).is_nan() && gamma.try_inverse_cdf(p).is_err());
    }
    assert_eq!((gamma.inverse_cdf(0.0), gamma.inverse_cdf(1.0)), (0.0, f64::INFINITY));
    let beta = |a: f64, b: f64| Beta::new(a, b).unwrap();
    assert_eq!(
        (beta(0.5, 2.0).pdf(0.0), beta(1.0, 2.0).pdf(0.0), beta(2.0, 2.0).pdf(0.0)),
        (f64::INFINITY, 2.0, 0.0)
    );
    assert_eq!(
        (beta(2.0, 0.5).pdf(1.0), beta(2.0, 1.0).pdf(1.0), beta(2.0, 2.0).pdf(1.0)),
        (f64::INFINITY, 2.0, 0.0)
    );
    assert_eq!(Gamma::new(1.0, 3.0).unwrap().pdf(0.0), 3.0_f64.ln().exp());
    assert_eq!(Uniform::new(-f64::MAX, f64::MAX).unwrap().cdf(0.0), 0.5);
    // A sum of probabilities that rounding left below 0.7 reaches it.
    assert_eq!(Binomial::new(0.3, 1).unwrap().inverse_cdf(0.7), 0);
    assert_eq!(Bernoulli::new(0.3).unwrap().inverse_cdf(0.7), 0);
    // A sum over 10¹⁵ numbers is not computed.
    assert!((Binomial::new(0.5, 1 << 50).unwrap().entropy().unwrap() - 17.99).abs() < 0.1);
    // Refused.
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Gamma::new(bad, 1.0).is_err() && Gamma::new(1.0, bad).is_err());
        assert!(Beta::new(bad, 1.0).is_err() && Beta::new(1.0, bad).is_err());
        assert!(StudentsT::new(0.0, bad, 1.0).is_err() && Normal::new(0.0, bad).is_err());
        assert!(
            Exp::new(bad).is_err() && Poisson::new(bad).is_err() && ChiSquared::new(bad).is_err()
        );
        assert!(Laplace::new(0.0, bad).is_err() && Gumbel::new(0.0, bad).is_err());
        assert!(LogNormal::new(0.0, bad).is_err());
    }
    assert!(StudentsT::new(0.0, 1.0, 0.0).is_err() && Normal::new(f64::NAN, 1.0).is_err());
    assert!(
        Uniform::new(1.0, 1.0).is_err()
            && Binomial::new(1.5, 3).is_err()
            && Geometric::new(0.0).is_err()
    );
}

/// Draws from a density that is infinite at 0 are all different; a search that stops at 10⁻⁹ repeats them.
#[test]
fn draws_of_small_shapes_differ() {
    let (gamma, random) = (Gamma::new(0.05, 1.0).unwrap(), Random::new(1, 0, 0));
    let mut drawn: Vec<u64> = (0..2000).map(|i| draw(&gamma, &random, i).to_bits()).collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 2000);
}
