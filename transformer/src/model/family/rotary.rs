//! Keys of rotary positions in a `config.json`.

use super::Keys;
use super::keys::refused;
use crate::model::architecture::{ConfigError, Positions, Rotary, Scaling};
use serde_json::{Map, Value, json};

/// Reads `rope_parameters`, or `rope_theta` and `rope_scaling` of older configurations; `usual` has the values of absent
/// keys.
pub(super) fn read(keys: Keys<'_>, usual: Rotary) -> Result<Rotary, ConfigError> {
    let mut rotary = Rotary {
        base: keys.number("rope_theta", usual.base)?,
        share: keys.number("partial_rotary_factor", usual.share)?,
        ..usual
    };
    for key in ["rope_scaling", "rope_parameters"] {
        if let Some(inner) = keys.object(key)? {
            rotary = read_object(inner, keys, rotary)?;
        }
    }
    Ok(rotary)
}

/// Like [`read`], for families that rotate all coordinates of a head: transformers ignores a share there.
pub(super) fn read_whole(keys: Keys<'_>, usual: Rotary) -> Result<Rotary, ConfigError> {
    whole(read(keys, usual)?)
}

/// Refuses a share of rotated coordinates.
pub(super) fn whole(rotary: Rotary) -> Result<Rotary, ConfigError> {
    if rotary.share != 1.0 {
        let expected = "1: this family rotates all coordinates of a head, in transformers too; gpt_neox and phi3 can \
                        rotate a share";
        return Err(refused("partial_rotary_factor", &rotary.share.into(), expected));
    }
    Ok(rotary)
}

/// Reads the keys of one rotation.
pub(super) fn read_object(
    inner: Keys<'_>,
    keys: Keys<'_>,
    usual: Rotary,
) -> Result<Rotary, ConfigError> {
    let kind = inner.get("rope_type").or(inner.get("type"));
    let factor = || match inner.get("factor") {
        Some(_) => inner.number("factor", 1.0),
        None => Err(refused("factor", &Value::Null, "a number: rope_type scales by it")),
    };
    let scaling = match kind.map_or(Some("default"), Value::as_str) {
        Some("default") => usual.scaling,
        Some("linear") => Scaling::Linear { factor: factor()? },
        Some("llama3") => {
            let context = keys.whole("max_position_embeddings", 2048)? as f64;
            Scaling::Llama3 {
                factor: factor()?,
                low: inner.number("low_freq_factor", 1.0)?,
                high: inner.number("high_freq_factor", 4.0)?,
                original: inner.number("original_max_position_embeddings", context)?,
            }
        }
        _ => {
            let expected = "\"default\", \"linear\" or \"llama3\", the supported rotations";
            return Err(refused("rope_type", kind.unwrap_or(&Value::Null), expected));
        }
    };
    Ok(Rotary {
        base: inner.number("rope_theta", usual.base)?,
        share: inner.number("partial_rotary_factor", usual.share)?,
        scaling,
        ..usual
    })
}

/// Returns the keys of one rotation.
pub(super) fn object(rotary: Rotary) -> Value {
    let mut keys = match rotary.scaling {
        Scaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
        Scaling::Llama3 { factor, low, high, original } => json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low,
            "high_freq_factor": high,
            "original_max_position_embeddings": original as u64,
        }),
        _ => json!({ "rope_type": "default" }),
    };
    keys["rope_theta"] = rotary.base.into();
    if rotary.share != 1.0 {
        keys["partial_rotary_factor"] = rotary.share.into();
    }
    keys
}

/// Writes the rotation, also under the names that transformers read before version 5.
pub(super) fn write(positions: Positions, keys: &mut Map<String, Value>) {
    let Positions::Rotary(rotary) = positions else { return };
    let inner = object(rotary);
    keys.insert("rope_theta".to_owned(), rotary.base.into());
    if rotary.scaling != Scaling::None {
        keys.insert("rope_scaling".to_owned(), inner.clone());
    }
    keys.insert("rope_parameters".to_owned(), inner);
}
