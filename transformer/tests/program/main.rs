//! The program as its users run it: what it prints, what it writes, and what it says to bad input.

mod ablate;
mod adapting;
mod answers;
mod architectures;
mod cli;
mod compare;
mod compress;
mod defence;
mod describe;
mod families;
mod files;
mod hostile;
mod laws;
mod memory;
mod model;
mod pace;
mod place;
mod plan;
mod preferences;
mod reproduce;
mod teacher;
mod time;
mod tokens;
mod trust;
mod tutorial;
mod widths;
