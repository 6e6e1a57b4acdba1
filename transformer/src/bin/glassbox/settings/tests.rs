//! Tests of the module.

use super::*;

#[test]
fn flags_win_over_files_and_files_over_presets() {
    let file = Settings::parse("layers = 2\nlearning-rate = 0.5 # dashed\nwidth = 32").unwrap();
    let flags = Settings { layers: Some(3), ..Settings::default() };
    let config = flags.over(file).unwrap().complete().unwrap();
    assert_eq!((config.layers, config.width, config.learning_rate), (3, 32, 0.5));
    assert_eq!(config.heads, 4);
}

#[test]
fn unknown_keys_are_refused_by_name() {
    let error = Settings::parse("layers = 2\nlerning_rate = 1.0").unwrap_err().to_string();
    assert!(error.contains("lerning_rate") && error.contains("line 2"), "{error}");
}

#[test]
fn what_a_model_has_settled_is_refused_by_name() {
    let own = Settings::parse("layers = 2\ntied = true\ntokenizer = \"chars\"").unwrap();
    let same = Settings { layers: Some(2), learning_rate: Some(1.0), ..Settings::default() };
    assert!(same.beside("run", &own).is_ok());
    let refused = |given: Settings| given.beside("run", &own).unwrap_err().to_string();
    let layers = Settings { layers: Some(3), ..Settings::default() };
    assert!(refused(layers).contains("--layers is fixed by the run; it trains with 2"));
    let tokenizer = Settings { tokenizer: Some(TokenizerChoice::Bytes), ..Settings::default() };
    assert!(refused(tokenizer).contains("--tokenizer is fixed by the run; it trains with chars"));
    let heads = Settings { heads: Some(3), ..Settings::default() };
    assert!(refused(heads).contains("--heads is fixed by the run; it trains with its own"));
    let evaluates = Settings { eval_every: Some(3), ..Settings::default() };
    assert!(refused(evaluates).contains("--eval-every"));
}

/// Every rule and every schedule with every constant that some rule or schedule has: by flag or key it is refused where
/// it would be ignored, by name and with what to do; what a run has stored, and presets bring, is not.
#[test]
fn constants_that_would_be_ignored_are_refused() {
    let rules = OptimizerKind::ALL.iter().map(|k| ("optimizer", k.key(), k.takes()));
    let schedules = ScheduleKind::ALL.iter().map(|k| ("schedule", k.key(), k.takes()));
    let all: Vec<_> = rules.chain(schedules).collect();
    for &(choice, kind, takes) in &all {
        let plain = Settings::parse(&format!("{choice} = \"{kind}\"")).unwrap();
        let config = plain.complete().unwrap();
        assert!(plain.fit(&config).is_ok() && !plain.is_whole().unwrap());
        let stored: Settings = toml::Table::try_from(&config).unwrap().try_into().unwrap();
        assert!(stored.is_whole().unwrap() && stored.complete().unwrap() == config);
        let constants = all.iter().filter(|other| other.0 == choice).flat_map(|other| other.2);
        for &constant in constants {
            let whole = ["warmup", "decay_steps", "decay_every"].contains(&constant);
            let value = if whole { "7" } else { "0.00005" };
            let text = format!("{choice} = \"{kind}\"\n{constant} = {value}");
            let given = Settings::parse(&text).unwrap();
            let said = given.fit(&given.complete().unwrap()).map_err(|e| e.to_string());
            assert_eq!(said.is_ok(), takes.contains(&constant), "{kind}: {said:?}");
            let Err(said) = said else { continue };
            let takers = all.iter().filter(|other| other.2.contains(&constant)).map(|o| o.1);
            for part in [&*flag(constant), kind, &*format!("leave it out, or take --{choice} ")]
                .map(String::from)
                .into_iter()
                .chain(takers.map(str::to_owned))
            {
                assert!(said.contains(&part), "{said}, without {part}");
            }
        }
    }
    // Nothing rises where nothing could; but a rate that stays does not fall to 0.
    let constant = |more: &str| {
        let given = Settings::parse(&format!("schedule = \"constant\"\n{more}")).unwrap();
        given.fit(&given.complete().unwrap())
    };
    assert!(constant("warmup = 0").is_ok() && constant("min_learning_rate = 0.0").is_err());
}

#[test]
fn a_short_run_warms_up_shortly() {
    let settings = Settings { steps: Some(50), ..Settings::default() };
    assert_eq!(settings.complete().unwrap().warmup, 5);
}

#[test]
fn seeds_are_numbers_that_toml_can_hold() {
    let settings = Settings { seed: Some(u64::MAX), ..Settings::default() };
    let said = settings.complete().unwrap_err().to_string();
    assert!(said.starts_with("--seed is 18446744073709551615;"), "{said}");
}

/// No error about a settings file contains a word of Rust or serde, whatever is wrong with any setting.
#[test]
fn files_are_refused_in_words_of_the_interface() {
    let names = ["layers", "steps", "seed", "dropout", "bias", "tokenizer", "optimizer", "data"];
    let values = ["-1", "\"two\"", "1.5", "true", "[1]", "{ a = 1 }", "99999999999999999999"];
    for name in names {
        for value in values {
            let Err(error) = Settings::parse(&format!("{name} = {value}")) else { continue };
            let said = plain(&error.to_string());
            for word in [
                "usize",
                "u64",
                "i64",
                "f64",
                "invalid type",
                "invalid value",
                "sequence",
                "boolean",
            ] {
                assert!(!said.contains(word), "{said}");
            }
        }
    }
}
