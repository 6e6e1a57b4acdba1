//! Tools that read a recorded step: certificates, diagnoses, explanations, measurements.
//!
//! None of them adds a line to the step, and none needs the model's code.

pub mod ablate;
pub(crate) mod adapters;
pub mod check;
pub mod compare;
pub mod curvature;
pub mod describe;
pub mod diagnose;
pub mod explain;
pub mod plan;
pub mod profile;
pub(crate) mod subject;
