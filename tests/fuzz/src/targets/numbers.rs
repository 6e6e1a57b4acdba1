//! The next token from any logits.

use super::{Numbers, accepted, refused};
use probability::sample::Sampler;

/// Six settings, a few tokens of history, logits.
pub fn sampling(data: &[u8]) {
    let mut numbers = Numbers(data);
    let mut next = || numbers.next();
    let (Some(temperature), Some(k), Some(p), Some(least), Some(typical), Some(penalty)) =
        (next(), next(), next(), next(), next(), next())
    else {
        return;
    };
    let given = |x: f64| (x != 0.0).then_some(x);
    let sampler = Sampler {
        temperature,
        top_k: given(k).map(|k| (8.0 * k) as usize),
        top_p: given(p),
        min_p: given(least),
        typical: given(typical),
        repetition_penalty: penalty,
    };
    let history: Vec<u32> = (0..4).filter_map(|_| next()).map(|x| (8.0 * x) as u32).collect();
    let logits = numbers.all();
    let distribution = match sampler.distribution_after(&history, &logits) {
        Ok(distribution) => distribution,
        Err(error) => {
            assert!(sampler.draw_after(&history, &logits, 0.5).is_err());
            return refused(error);
        }
    };
    accepted("distribution");
    assert_eq!(distribution.len(), logits.len());
    assert!(
        distribution.iter().all(|p| p.is_finite() && *p >= 0.0),
        "{sampler:?} {logits:?}: {distribution:?}"
    );
    // One rounding for each quotient, and one for each addition here.
    let sum: f64 = distribution.iter().sum();
    let bound = 4.0 * logits.len() as f64 * f64::EPSILON;
    assert!((sum - 1.0).abs() <= bound, "{sampler:?} {logits:?}: the sum is {sum}");
    let kept = distribution.iter().filter(|p| **p > 0.0).count();
    assert!(sampler.top_k.is_none_or(|k| kept <= k), "{sampler:?} {logits:?}: {kept} are kept");
    for u in [0.0, 0.25, 0.999, 1.0 - f64::EPSILON / 2.0, f64::NAN, -1.0, 2.0] {
        let drawn = sampler.draw_after(&history, &logits, u).expect("as the distribution");
        assert!(distribution[drawn] > 0.0, "{sampler:?} {logits:?}: {u} draws {drawn}");
    }
}

/// As it is used; then every setting; then a penalty and the greatest logits.
pub fn sampling_seeds() -> Vec<Vec<u8>> {
    vec![
        vec![8, 0, 0, 0, 0, 8, 0, 0, 0, 0, 8, 16, 24, 100],
        vec![6, 3, 7, 1, 7, 12, 0, 1, 2, 3, 8, 16, 24, 32, 3, 2, 1],
        vec![0, 0, 0, 0, 0, 16, 1, 1, 1, 1, 210, 211, 8],
    ]
}
