//! # Laws of the whole workspace
//!
//! What the tests in `tests/` share: random matrices ([`draw`]), the laws of a primitive ([`law`]), every
//! operation of all crates with operands on which its laws are tried ([`registry`]), and the bounds of
//! all comparisons ([`tolerance`]).

pub mod alone;
pub mod authority;
pub mod bounded;
pub mod count;
pub mod deep;
pub mod draw;
pub mod exact;
pub mod golden;
pub mod law;
pub mod models;
pub mod readme;
pub mod registry;
pub mod sources;
pub mod tolerance;

use std::path::{Path, PathBuf};

/// Data that is not part of the sources: `relative` to `$GLASSBOX_DATA`, or to `shared/data` beside the
/// workspace. None where it is absent: the test that asks says so and passes.
///
/// # Panics
/// If it is absent while `GLASSBOX_REQUIRE_DATA` is set.
pub fn outside_data(relative: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let root = std::env::var_os("GLASSBOX_DATA").map_or_else(beside, PathBuf::from);
    let path = root.join(relative);
    if path.exists() {
        return Some(path);
    }
    let absent = format!("{} not found; set GLASSBOX_DATA", path.display());
    assert!(std::env::var_os("GLASSBOX_REQUIRE_DATA").is_none(), "{absent}");
    println!("skipped: {absent}");
    None
}
