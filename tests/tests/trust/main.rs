//! Whether `check`, `diagnose` and the documents can be trusted: mistakes that must be caught, healthy runs that must
//! not be accused, limits of stability that must hold, hostile files, numbers in README.md.

mod differences;
mod failures;
mod faults;
mod fine_tuning;
mod fuzz;
mod healthy;
mod imports;
mod mutants;
mod one_screen;
mod rates;
mod readme;
mod slow_but_healthy;
mod stability;
mod watching;
mod zoo;
