use super::*;

pub(crate) fn tiny() -> TrainingConfig {
    TrainingConfig {
        layers: 1,
        heads: 2,
        width: 16,
        context: 8,
        activation: Activation::GeluTanh,
        bias: true,
        batch: 2,
        steps: 10,
        learning_rate: 1e-2,
        warmup: 2,
        seed: 1,
        eval_every: 0,
        ..TrainingConfig::default()
    }
}

/// If a product of two settings is too large, the error names the setting that is out of proportion.
#[test]
fn the_setting_that_did_it_is_blamed() {
    for (config, blamed) in [
        (TrainingConfig { accumulate: 1 << 40, ..tiny() }, "accumulate is 1099511627776;"),
        (TrainingConfig { steps: 1 << 40, ..tiny() }, "steps is 1099511627776;"),
        (TrainingConfig { batch: 1 << 40, ..tiny() }, "batch is 1099511627776;"),
        (TrainingConfig { context: 1 << 40, ..tiny() }, "context is 1099511627776;"),
        (TrainingConfig { weight_decay: 1e308, ..tiny() }, "weight_decay is 1e308;"),
        (TrainingConfig { learning_rate: 1e308, ..tiny() }, "learning_rate is 1e308;"),
        (TrainingConfig { clip: -1e308, ..tiny() }, "clip is -1e308;"),
    ] {
        let said = config.validate().unwrap_err().to_string();
        assert!(said.starts_with(blamed), "{said}");
    }
}

/// What a kind of schedule takes changes its rates, and nothing else that some kind takes does.
#[test]
fn a_schedule_reads_what_it_takes() {
    for &schedule in ScheduleKind::ALL {
        let config = TrainingConfig { schedule, ..tiny() };
        let plain = serde_json::to_value(&config).unwrap();
        for key in ScheduleKind::ALL.iter().flat_map(|kind| kind.takes()) {
            let mut other = plain.clone();
            let whole = !matches!(*key, "min_learning_rate" | "decay_factor");
            other[key] = if whole { 7.into() } else { 0.009.into() };
            let other: TrainingConfig = serde_json::from_value(other).unwrap();
            assert!(other.validate().is_ok() && other != config, "{key}");
            let reads = other.schedule() != config.schedule();
            assert_eq!(reads, schedule.takes().contains(key), "{schedule:?} and {key}");
        }
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let refused = |config: TrainingConfig| config.validate().unwrap_err().to_string();
    assert_eq!(refused(TrainingConfig { batch: 0, ..tiny() }), "batch is 0; it must be 1 or more");
    for config in [
        TrainingConfig { batch: usize::MAX, ..tiny() },
        TrainingConfig { learning_rate: f64::NAN, ..tiny() },
        TrainingConfig { min_learning_rate: 1.0, ..tiny() },
        TrainingConfig { steps: u64::MAX, accumulate: 2, ..tiny() },
        TrainingConfig { steps: 1 << 31, accumulate: 2, ..tiny() },
        TrainingConfig { accumulate: usize::MAX, ..tiny() },
        TrainingConfig { beta2: 1.0, ..tiny() },
        TrainingConfig { clip: -1.0, ..tiny() },
        TrainingConfig { weight_decay: f64::INFINITY, ..tiny() },
    ] {
        assert!(refused(config).contains("must be"));
    }
    let long = TrainingConfig { steps: 1 << 31, ..tiny() };
    assert!(long.validate().is_ok(), "{:?}", long.validate());
    let accumulated = refused(TrainingConfig { accumulate: usize::MAX, ..tiny() });
    assert!(accumulated.starts_with("accumulate is 18446744073709551615"), "{accumulated}");
    let rate = refused(TrainingConfig { learning_rate: -1e308, ..tiny() });
    assert!(rate.starts_with("learning_rate is -1e308; "), "{rate}");
    assert!(tiny().validate().is_ok());
}
