//! Whether `check` and `diagnose` can be trusted: mistakes that must be caught, healthy runs that must not be
//! accused, limits of stability that must hold.

mod differences;
mod faults;
mod healthy;
mod mutants;
mod rates;
mod slow_but_healthy;
mod stability;
mod watching;
mod zoo;
