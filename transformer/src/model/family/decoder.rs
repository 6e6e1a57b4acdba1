//! What the configurations and files of Llama and its descendants have in common.

use super::keys::refused;
use super::{Keys, Order, Tensor, renamed, rotary};
use crate::model::architecture::{
    Activation, Architecture, Biases, ConfigError, MOST_LAYERS, Norm, Positions, Rotary, Window,
};
use calculus::Parameter;
use serde_json::{Value, json};

/// Returns Llama's parts, with the sizes that its descendants' configurations have if they state none.
pub(super) fn usual() -> Architecture {
    Architecture {
        vocabulary: 32000,
        context: 2048,
        width: 4096,
        layers: 32,
        positions: Positions::Rotary(Rotary::default()),
        norm: Norm::Rms,
        epsilon: 1e-6,
        heads: 32,
        key_value_heads: None,
        hidden: 11008,
        activation: Activation::Silu,
        gated: true,
        biases: Biases::NONE,
        tied: false,
        ..Architecture::default()
    }
}

/// Reads the common keys; `usual` has the family's parts and the values of absent keys. Rotary positions are read if
/// `usual` has them. The dropout of attention weights, which matters only in training, is used for all dropout.
pub(super) fn read(keys: &Keys<'_>, usual: Architecture) -> Result<Architecture, ConfigError> {
    let width = keys.whole("hidden_size", usual.width)?;
    let heads = keys.whole("num_attention_heads", usual.heads)?;
    let shared = match keys.get("num_key_value_heads") {
        None => usual.key_value_heads.unwrap_or(heads),
        Some(_) => keys.optional("num_key_value_heads")?.unwrap_or(heads),
    };
    let head_width = match keys.get("head_dim") {
        None => usual.head_width,
        Some(_) => keys.optional("head_dim")?,
    };
    let positions = match usual.positions {
        Positions::Rotary(usual) => Positions::Rotary(rotary::read_whole(*keys, usual)?),
        other => other,
    };
    Ok(Architecture {
        vocabulary: keys.whole("vocab_size", usual.vocabulary)?,
        context: keys.whole("max_position_embeddings", usual.context)?,
        width,
        layers: keys.whole("num_hidden_layers", usual.layers)?,
        positions,
        epsilon: keys.number("rms_norm_eps", usual.epsilon)?,
        heads,
        key_value_heads: (shared != heads).then_some(shared),
        head_width: head_width.filter(|&c| c.checked_mul(heads) != Some(width)),
        hidden: keys.whole("intermediate_size", usual.hidden)?,
        activation: keys.activation("hidden_act", usual.activation)?,
        tied: keys.flag("tie_word_embeddings", usual.tied)?,
        dropout: keys.number("attention_dropout", 0.0)?,
        ..usual
    })
}

/// Reads `attention_bias`, of the maps to queries, keys, values and from the heads.
pub(super) fn attention_bias(
    keys: &Keys<'_>,
    usual: bool,
    biases: Biases,
) -> Result<Biases, ConfigError> {
    let bias = keys.flag("attention_bias", usual)?;
    Ok(Biases { query_key_value: bias, projection: bias, ..biases })
}

/// Returns the common keys.
pub(super) fn write(a: &Architecture, model_type: &str, class: &str) -> Value {
    let mut config = json!({
        "architectures": [class],
        "model_type": model_type,
        "vocab_size": a.vocabulary,
        "max_position_embeddings": a.context,
        "hidden_size": a.width,
        "intermediate_size": a.hidden,
        "num_hidden_layers": a.layers,
        "num_attention_heads": a.heads,
        "num_key_value_heads": a.key_value_heads(),
        "head_dim": a.head_width(),
        "hidden_act": a.activation.hugging_face()[0],
        "rms_norm_eps": a.epsilon,
        "attention_dropout": a.dropout,
        "tie_word_embeddings": a.tied,
        "bos_token_id": null,
        "eos_token_id": null,
        "pad_token_id": null,
        "torch_dtype": "float32",
    });
    if let Some(keys) = config.as_object_mut() {
        rotary::write(a.positions, keys);
    }
    config
}

/// Reads `sliding_window`: 4096 if absent, no window if null.
pub(super) fn window_size(keys: &Keys<'_>) -> Result<Option<usize>, ConfigError> {
    match keys.get("sliding_window") {
        None => Ok(Some(4096)),
        Some(_) => keys.optional("sliding_window"),
    }
}

/// The names of layers with and without a window.
const LAYERS: [&str; 2] = ["sliding_attention", "full_attention"];

/// Reads `layer_types`, one per layer; `usual` is its value if it is absent, as a pattern that repeats.
pub(super) fn window(
    keys: &Keys<'_>,
    layers: usize,
    size: Option<usize>,
    usual: Vec<bool>,
) -> Result<Option<Window>, ConfigError> {
    let pattern = match keys.get("layer_types").filter(|types| !types.is_null()) {
        None => usual,
        Some(types) => {
            let [sliding, full] = LAYERS;
            let expected = format!("a list of \"{sliding}\" and \"{full}\", one for each layer");
            let named = |kind: &Value| match LAYERS.iter().position(|name| kind == name) {
                Some(k) => Ok(k == 0),
                None => Err(refused("layer_types", kind, expected.clone())),
            };
            let list =
                types.as_array().filter(|list| list.len() == layers && layers <= MOST_LAYERS);
            let list = list.ok_or_else(|| refused("layer_types", types, expected.clone()))?;
            list.iter().map(named).collect::<Result<_, _>>()?
        }
    };
    Ok(size.and_then(|size| Window::repeating(size, pattern)))
}

/// Returns `layer_types`.
pub(super) fn layer_types(a: &Architecture) -> Value {
    let name = |layer| LAYERS[usize::from(a.window(layer).is_none())];
    (0..a.layers).map(name).collect()
}

/// Returns the tensors of a parameter; `norms` are the names of the normalisations in a block.
pub(super) fn tensors(
    a: &Architecture,
    parameter: &Parameter,
    norms: &[(&str, &str)],
) -> Vec<Tensor> {
    const PARTS: [(&str, &str); 7] = [
        ("embedding.token", "embed_tokens"),
        ("attention.projection", "self_attn.o_proj"),
        ("attention.query_norm", "self_attn.q_norm"),
        ("attention.key_norm", "self_attn.k_norm"),
        ("feed_forward.contracted", "mlp.down_proj"),
        ("head", "lm_head"),
        ("norm", "norm"),
    ];
    let name = &parameter.name;
    // One matrix here is several in the file.
    let (queries, keys) = (a.heads * a.head_width(), a.key_value_heads() * a.head_width());
    let packed: &[(&str, &str, usize)] = if name.contains(".attention.qkv.") {
        &[
            ("attention.qkv", "self_attn.q_proj", queries),
            ("attention.qkv", "self_attn.k_proj", keys),
            ("attention.qkv", "self_attn.v_proj", keys),
        ]
    } else if name.contains(".feed_forward.expanded.") && a.gated {
        &[
            ("feed_forward.expanded", "mlp.gate_proj", a.hidden),
            ("feed_forward.expanded", "mlp.up_proj", a.hidden),
        ]
    } else {
        // Tables are stored token by token, as here.
        let order = if name.starts_with("block.") { Order::RowMajor } else { Order::ColumnMajor };
        let parts = [norms, &PARTS].concat();
        return vec![Tensor::whole(renamed(name, "layers", &parts), parameter, order)];
    };
    let mut start = 0;
    let part = |&(ours, theirs, rows): &(&str, &str, usize)| {
        let own = start..start + rows;
        start += rows;
        let name = renamed(name, "layers", &[(ours, theirs)]);
        Tensor::part(name, parameter, vec![own], Order::RowMajor)
    };
    packed.iter().map(part).collect()
}

/// The normalisations before each part.
pub(super) const PRE: [(&str, &str); 2] =
    [("norm_1", "input_layernorm"), ("norm_2", "post_attention_layernorm")];

/// Returns whether a tensor holds the rotation's frequencies, as in old checkpoints.
pub(super) fn is_frequencies(tensor: &str) -> bool {
    tensor.ends_with("rotary_emb.inv_freq")
}
