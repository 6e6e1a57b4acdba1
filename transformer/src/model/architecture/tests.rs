use super::*;
use crate::printable::decimal;

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
