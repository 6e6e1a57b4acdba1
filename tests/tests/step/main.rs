//! The recorded step of whole models: gradients, causality, cost, memory, the same bits, explanation.

mod causality;
mod configuration;
mod costs;
mod explain;
mod memory_plans;
mod model_gradients;
mod pieces;
mod same_bits;
