//! The recorded step of whole models: gradients, causality, cost, memory, the same bits, explanation; what surrounds
//! it: the start, masks, text, evaluation, descent, files, generation, compression.

mod adapting;
mod averaging;
mod bfloat;
mod causality;
mod compression;
mod configuration;
mod corpus;
mod costs;
mod distillation;
mod dropout_streams;
mod evaluation;
mod explain;
mod information;
mod initialisation;
mod llama;
mod memory_plans;
mod model_gradients;
mod packing;
mod parts;
mod pieces;
mod preferences;
mod reading;
mod recomputation;
mod restoring;
mod same_bits;
mod sampling;
mod training;
