//! Time budgets: skips certificates whose estimated time exceeds the budget.
//!
//! Time is estimated from sizes alone, in multiplications of a parameter by a token: forward takes one for each pair,
//! backward two. The rates are those of one slow core.

/// Seconds that one certificate may take.
pub(super) const PATIENCE: f64 = 180.0;

/// Multiplications per second in `f32`.
pub(super) const F32: f64 = 5e9;
/// Multiplications per second in `f64`.
pub(super) const F64: f64 = 2.5e9;
/// Multiplications per second at dual numbers, most of whose time goes into splitting them into values and derivatives.
pub(super) const DUAL: f64 = 2.5e8;

/// Returns the seconds of a number of multiplications.
pub(super) fn seconds(rate: f64, multiplications: f64) -> f64 {
    multiplications / rate
}

/// Returns the reason to skip a task, if its estimated time exceeds the budget.
pub(super) fn dear(seconds: f64, patience: f64) -> Option<String> {
    let shown = |s: f64| match s {
        s if s < 120.0 => format!("{s:.0} seconds"),
        s if s < 7200.0 => format!("{:.0} minutes", s / 60.0),
        s => format!("{:.0} hours", s / 3600.0),
    };
    (seconds > patience).then(|| {
        format!(
            "about {} on one core, which exceeds the budget of {}",
            shown(seconds),
            shown(patience)
        )
    })
}
