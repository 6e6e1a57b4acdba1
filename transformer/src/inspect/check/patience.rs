//! How long a certificate may take: one that would take longer is not begun.
//!
//! Time is estimated from sizes alone, in multiplications of a parameter with a token: forward takes one for each
//! pair, backward two. The rates are those of one slow core; a machine that is faster has more time to spare.

/// Seconds that one certificate may take.
pub(super) const PATIENCE: f64 = 180.0;

/// Multiplications a second in `f32`.
pub(super) const F32: f64 = 5e9;
/// In `f64`.
pub(super) const F64: f64 = 2.5e9;
/// At dual numbers, whose products are plain loops.
pub(super) const DUAL: f64 = 2.5e8;

/// Seconds of so many multiplications.
pub(super) fn seconds(rate: f64, multiplications: f64) -> f64 {
    multiplications / rate
}

/// Why something is not done, if it takes longer than it may.
pub(super) fn dear(seconds: f64, patience: f64) -> Option<String> {
    let shown = |s: f64| match s {
        s if s < 120.0 => format!("{s:.0} seconds"),
        s if s < 7200.0 => format!("{:.0} minutes", s / 60.0),
        s => format!("{:.0} hours", s / 3600.0),
    };
    (seconds > patience).then(|| {
        format!("about {} on one core, where {} are the most", shown(seconds), shown(patience))
    })
}
