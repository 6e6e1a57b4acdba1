//! A dump's file: safetensors with the tensors of one training step.

use super::DumpError;
use crate::disk::read_bounded;
use crate::model::recorded_step::IGNORED;
use crate::printable::printable;
use calculus::optimizer::OptimizerConfig;
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The longest dump that is read.
const LONGEST: u64 = 1 << 33;

/// A training step that another program wrote.
#[derive(Clone, Debug, Default)]
pub struct Dump {
    /// Tokens, sequence after sequence.
    pub tokens: Vec<u32>,
    /// The token to predict after each; [`IGNORED`] if there is none.
    pub targets: Vec<u32>,
    /// Tokens of a sequence.
    pub length: usize,
    /// All other tensors by name, in the file's order of elements.
    pub tensors: BTreeMap<String, Vec<f64>>,
    /// The learning rate and the constants of AdamW, if the dump states them.
    pub optimizer: Option<(f64, OptimizerConfig)>,
}

impl Dump {
    /// Reads a dump.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or lacks tokens or targets.
    pub fn read(path: &Path) -> Result<Self, DumpError> {
        let file = read_bounded(path, LONGEST)?;
        Self::parse(&file).map_err(|reason| DumpError::File { path: path.to_owned(), reason })
    }

    /// Reads the bytes of a dump.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(file: &[u8]) -> Result<Self, String> {
        // Names come from the file.
        Self::parsed(file).map_err(|reason| printable(&reason))
    }

    fn parsed(file: &[u8]) -> Result<Self, String> {
        let all =
            SafeTensors::deserialize(file).map_err(|e| format!("it is not safetensors: {e}"))?;
        let (_, header) = SafeTensors::read_metadata(file).map_err(|e| e.to_string())?;
        let mut dump = Dump::default();
        for (name, tensor) in all.tensors() {
            let numbers = numbers(tensor.dtype(), tensor.data()).ok_or_else(|| {
                format!("{name} is {:?}; F32, F64 and I64 are read", tensor.dtype())
            })?;
            if name == "tokens" || name == "targets" {
                let [_, length] = tensor.shape() else {
                    return Err(format!("{name} must be a matrix of sequences, B×T"));
                };
                let ids = numbers.iter().map(|&x| if x < 0.0 { IGNORED } else { x as u32 });
                if name == "tokens" {
                    (dump.tokens, dump.length) = (ids.collect(), *length);
                } else {
                    dump.targets = ids.collect();
                }
            } else {
                dump.tensors.insert(name, numbers);
            }
        }
        if dump.tokens.is_empty() || dump.tokens.len() != dump.targets.len() {
            return Err(format!(
                "it has {} tokens and {} targets; docs/dump_step.py writes as many of each, as B×T",
                dump.tokens.len(),
                dump.targets.len()
            ));
        }
        dump.optimizer = header.metadata().as_ref().and_then(constants);
        Ok(dump)
    }
}

fn constants(about: &HashMap<String, String>) -> Option<(f64, OptimizerConfig)> {
    let number = |key: &str| about.get(key)?.parse::<f64>().ok();
    let usual = OptimizerConfig::default();
    let config = OptimizerConfig {
        beta1: number("beta1")?,
        beta2: number("beta2")?,
        epsilon: number("epsilon")?,
        weight_decay: number("weight_decay")?,
        ..usual
    };
    Some((number("learning_rate")?, config))
}

fn numbers(dtype: Dtype, data: &[u8]) -> Option<Vec<f64>> {
    let four = || data.chunks_exact(4).map(|b| <[u8; 4]>::try_from(b).expect("four bytes"));
    let eight = || data.chunks_exact(8).map(|b| <[u8; 8]>::try_from(b).expect("eight bytes"));
    Some(match dtype {
        Dtype::F32 => four().map(|b| f64::from(f32::from_le_bytes(b))).collect(),
        Dtype::F64 => eight().map(f64::from_le_bytes).collect(),
        Dtype::I64 => eight().map(|b| i64::from_le_bytes(b) as f64).collect(),
        _ => return None,
    })
}
