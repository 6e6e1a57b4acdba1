//! Phi-3: Llama with packed matrices in its files, of queries, keys and values and of gate and up, and with a share of each
//! head that rotates.
//! Source: Abdin et al., *Phi-3 Technical Report*, 2024; `Phi3Config` and `Phi3ForCausalLM` of transformers.
//!
//! A model whose heads rotate as a whole is a Llama, or with a window a Mistral, and is written as one: the numbers are the
//! same, and more programs read them.

use super::keys::refused;
use super::{Family, Keys, Order, Tensor, decoder, renamed, rotary};
use crate::model::architecture::{Architecture, ConfigError, Positions, Rotary, Window};
use calculus::Parameter;
use serde_json::Value;

#[derive(Debug)]
pub(super) struct Phi3;

/// Refuses every rotation but the default one; transformers has longrope beside it.
fn must_be_default(keys: &Keys<'_>) -> Result<(), ConfigError> {
    for key in ["rope_scaling", "rope_parameters"] {
        let inner = keys.object(key)?;
        let kind = inner.and_then(|inner| inner.get("rope_type").or(inner.get("type")));
        if let Some(kind) = kind.filter(|kind| *kind != "default") {
            let expected = "\"default\": longrope, whose frequencies depend on the length of the text, is not supported";
            return Err(refused("rope_type", kind, expected));
        }
    }
    Ok(())
}

impl Family for Phi3 {
    fn name(&self) -> &'static str {
        "phi3"
    }

    /// An empty configuration is Phi-3-mini. Of three dropout rates, which matter only in training, the residual stream's
    /// is used.
    fn read(&self, keys: &Keys<'_>) -> Result<Architecture, ConfigError> {
        must_be_default(keys)?;
        keys.number("embd_pdrop", 0.0)?;
        let usual = Architecture {
            vocabulary: 32064,
            context: 4096,
            width: 3072,
            // Its rotation has a share, which the common keys refuse.
            positions: Positions::Learned,
            epsilon: 1e-5,
            hidden: 8192,
            ..decoder::usual()
        };
        let size = keys.optional("sliding_window")?;
        Ok(Architecture {
            positions: Positions::Rotary(rotary::read(*keys, Rotary::default())?),
            window: size.and_then(|size| Window::repeating(size, vec![true])),
            dropout: keys.number("resid_pdrop", 0.0)?,
            ..decoder::read(keys, usual)?
        })
    }

    fn write(&self, a: &Architecture) -> Value {
        let mut config = decoder::write(a, self.name(), "Phi3ForCausalLM");
        if let Positions::Rotary(rotary) = a.positions {
            config["partial_rotary_factor"] = rotary.share.into();
        }
        config["resid_pdrop"] = a.dropout.into();
        config["embd_pdrop"] = a.dropout.into();
        config["sliding_window"] = a.window.as_ref().map(|window| window.size).into();
        config
    }

    /// Both packed matrices have their rows in the order of the parameter.
    fn tensors(&self, a: &Architecture, parameter: &Parameter) -> Vec<Tensor> {
        const PACKED: [(&str, &str); 2] = [
            ("attention.qkv", "self_attn.qkv_proj"),
            ("feed_forward.expanded", "mlp.gate_up_proj"),
        ];
        let packed = [".attention.qkv.", ".feed_forward.expanded."];
        if packed.iter().any(|part| parameter.name.contains(part)) {
            let name = renamed(&parameter.name, "layers", &PACKED);
            return vec![Tensor::whole(name, parameter, Order::RowMajor)];
        }
        decoder::tensors(a, parameter, &decoder::PRE)
    }
}
