use super::*;
use crate::printable::decimal;
use serde_json::Value;

/// An impossible size is an error in every method, not a panic or an endless count.
#[test]
fn sizes_that_cannot_be_have_no_parameters() {
    for size in [0, usize::MAX] {
        let positions = Positions::Rotary(Rotary::default());
        let base = Architecture { positions, ..Default::default() };
        for config in [
            Architecture { vocabulary: size, ..base.clone() },
            Architecture { context: size, ..base.clone() },
            Architecture { width: size, ..base.clone() },
            Architecture { heads: size, ..base.clone() },
            Architecture { key_value_heads: Some(size), ..base.clone() },
            Architecture { head_width: Some(size), ..base.clone() },
            Architecture { layers: size, ..base.clone() },
            Architecture { hidden: size, ..base.clone() },
        ] {
            let refused = config.validate().unwrap_err();
            assert_eq!(config.parameter_list(), Err(refused), "{config:?}");
            assert_eq!(config.parameters(), usize::MAX, "{config:?}");
            let directory = tempfile::tempdir().unwrap();
            assert!(crate::disk::files::write::<f32>(directory.path(), &config, &[]).is_err());
        }
    }
}

#[test]
fn numbers_are_said_as_they_are() {
    let most = Architecture { layers: i64::MAX as usize, ..Architecture::default() };
    assert_eq!(
        most.validate().unwrap_err().to_string(),
        "layers is 9223372036854775807; it must be at most 1024"
    );
    let dropout = Architecture { dropout: 1e308, ..Architecture::default() };
    assert_eq!(
        dropout.validate().unwrap_err().to_string(),
        "dropout is 1e308; it must be at least 0 and below 1"
    );
    assert_eq!(
        [0.0, -0.5, 1e-5, f64::NAN, 123456.0].map(decimal),
        ["0", "-0.5", "1e-5", "NaN", "123456"]
    );
}

/// Layers that rotate are a list, and mean nothing without rotary positions.
#[test]
fn layers_rotate_where_positions_do() {
    let rotary = Positions::Rotary(Rotary::default());
    for (positions, layers, fine) in [
        (rotary, vec![true, false], true),
        (rotary, vec![false], true),
        (rotary, vec![], false),
        (Positions::Learned, vec![true], true),
        (Positions::Learned, vec![true, false], false),
        (Positions::Sinusoidal, vec![false], false),
    ] {
        let a = Architecture { positions, rotary_layers: layers.clone(), ..Default::default() };
        let found = a.validate().map_err(|e| e.to_string());
        let said = format!("rotary_layers is a list of {}; it must be", layers.len());
        assert_eq!(found.is_ok(), fine, "{found:?}");
        assert!(found.err().is_none_or(|e| e.starts_with(&said)));
    }
}

/// Every field has words: a field that is added here without them would differ in silence.
#[test]
fn every_field_is_said_in_words() {
    let a = Architecture::default();
    let value = serde_json::to_value(&a).unwrap();
    for (key, field) in value.as_object().unwrap() {
        let names = match field.as_object() {
            Some(inner) => inner.keys().map(|inner| format!("{key}.{inner}")).collect(),
            None => vec![key.clone()],
        };
        for name in names {
            let pointer = format!("/{}", name.replace('.', "/"));
            let mut other = value.clone();
            let place = other.pointer_mut(&pointer).unwrap();
            *place = match (&*place, &name[..]) {
                (_, "norm") => "rms".into(),
                (_, "gain") => "none".into(),
                (_, "placement") => "post".into(),
                (_, "query_key_norm") => "whole".into(),
                (_, "positions") => "sinusoidal".into(),
                (_, "activation") => "relu".into(),
                (_, "rotary_layers") => serde_json::json!([false]),
                (_, "window") => serde_json::json!({ "size": 4, "layers": [true] }),
                (Value::Bool(on), _) => (!on).into(),
                (Value::Null, "key_value_heads" | "head_width") => 1.into(),
                (Value::Null, _) => 0.5.into(),
                (number, _) if number.is_u64() => 7.into(),
                _ => 0.25.into(),
            };
            let other: Architecture = serde_json::from_value(other).unwrap();
            let said = a.differences_in_words(&other);
            assert!(said.iter().any(|d| d.field == name), "{name}: {said:?}");
            let one = said.iter().find(|d| d.field == name).unwrap();
            assert_ne!(one.own, one.other, "{name}");
        }
    }
}
