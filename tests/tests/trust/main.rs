//! Whether `check` and `diagnose` can be trusted.
mod healthy;
mod rates;
mod slow_but_healthy;
mod zoo;
