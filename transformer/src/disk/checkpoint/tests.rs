use super::*;
use crate::text::corpus::Corpus;
use crate::training::config::TrainingConfig;
use crate::training::config::tests::tiny;

fn trainer(config: &TrainingConfig) -> Trainer<f32> {
    Trainer::new(config.clone(), &config.model(20).unwrap()).unwrap()
}

#[test]
fn a_run_that_stops_and_goes_on_is_the_run_that_never_stopped() {
    let corpus = Corpus::text((0..200).map(|i| i * i % 20).collect(), 0.1, 8).unwrap();
    let config = TrainingConfig { dropout: 0.1, ..tiny() };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");

    let mut whole = trainer(&config);
    (0..6).for_each(|_| assert!(whole.step(&corpus).is_ok()));

    let mut first = trainer(&config);
    (0..3).for_each(|_| assert!(first.step(&corpus).is_ok()));
    save(&path, &mut first, "text").unwrap();
    let mut second = trainer(&TrainingConfig { seed: config.seed, ..config.clone() });
    load(&path, &mut second, "text").unwrap();
    assert_eq!(second.steps(), 3);
    (0..3).for_each(|_| assert!(second.step(&corpus).is_ok()));
    assert_eq!(whole.state(), second.state());
}

/// A value that would corrupt weights is refused with its place; one that only stops its parameter is accepted.
#[test]
fn numbers_that_are_none_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    // Number 200 of the parameters is in the token table of 16 rows and 20 columns: row 8 of column 12. Each tensor is
    // tested with the first optimizer that has it.
    let mut cases: Vec<(TrainingConfig, &str)> = vec![];
    for &optimizer in OptimizerKind::ALL {
        let config = TrainingConfig { optimizer, momentum: 0.9, ..tiny() };
        for (name, _) in trainer(&config).state() {
            if !cases.iter().any(|(_, known)| *known == name) {
                cases.push((config.clone(), name));
            }
        }
    }
    let cases = cases.iter().flat_map(|(config, tensor)| {
        let divides = OptimizerKind::divides_by(tensor);
        let values = [(f32::NAN, true), (f32::INFINITY, !divides), (-1e-9, divides)];
        values.map(|(value, refused)| (config, *tensor, value, refused))
    });
    let mut divisors = vec![];
    for (config, tensor, value, refused) in cases {
        divisors.extend((refused && value < 0.0).then_some(tensor));
        let mut broken = trainer(config);
        let mut state = broken.state();
        state.iter_mut().find(|(name, _)| *name == tensor).unwrap().1[200] = value;
        save(&path, &mut broken, "text").unwrap();
        let mut mine = trainer(config);
        let found = load(&path, &mut mine, "text");
        assert_eq!(found.is_err(), refused, "{tensor} {value}");
        let place =
            format!("{tensor} of embedding.token.weight, row 8, column 12 is {}", f64::from(value));
        if let Err(error) = found {
            assert!(error.to_string().contains(&place), "{error}");
            let before = trainer(config).model().tape().parameters().to_vec();
            assert_eq!(mine.model().tape().parameters(), before, "it is as it was");
        }
        load_with_faults(&path, &mut mine, "text").unwrap();
        let state = mine.state();
        let there = state.iter().find(|(name, _)| *name == tensor).unwrap().1[200];
        assert_eq!(there.to_bits(), value.to_bits());
        drop(state);
        let list = broken.model().tape().parameter_list();
        match parameters::<f32>(&path, &list) {
            Ok((own, _)) => assert!(!refused && own == broken.model().tape().parameters()),
            Err(error) => assert!(refused && error.to_string().contains(&place), "{error}"),
        }
        assert!(parameters::<f32>(&path, &list[1..]).is_err());
    }
    // Those of Adam and RMSProp, and of AdaMax.
    assert!(["second_moment", "largest"].iter().all(|name| divisors.contains(name)));
}

#[test]
fn foreign_states_are_refused_and_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let mut other = trainer(&TrainingConfig { width: 32, ..tiny() });
    save(&path, &mut other, "text").unwrap();
    let mut mine = trainer(&tiny());
    let before = mine.model().tape().parameters().to_vec();
    assert!(load(&path, &mut mine, "text").is_err());
    save(&path, &mut trainer(&tiny()), "another text").unwrap();
    let error = load(&path, &mut mine, "text").unwrap_err();
    assert!(error.to_string().contains("text"), "{error}");
    let whole = std::fs::read(&path).unwrap();
    for _ in 0..8 {
        save(&path, &mut trainer(&tiny()), "another text").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole, "the same state is the same file");
    }
    for length in (0..whole.len()).step_by(97) {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(load(&path, &mut mine, "another text").is_err());
    }
    // One flipped bit in the numbers.
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    let error = load(&path, &mut mine, "another text").unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
    // `load_with_faults` verifies the checksum too, since every value is finite.
    assert!(load_with_faults(&path, &mut mine, "another text").is_err());
    // An impossible number of steps.
    let huge = whole.windows(11).position(|bytes| bytes == b"\"steps\":\"0\"").unwrap();
    let mut counted = whole.clone();
    counted.splice(huge + 9..huge + 10, u64::MAX.to_string().into_bytes());
    let length = u64::from_le_bytes(counted[..8].try_into().unwrap()) + 19;
    counted[..8].copy_from_slice(&length.to_le_bytes());
    std::fs::write(&path, &counted).unwrap();
    let error = load(&path, &mut mine, "another text").unwrap_err().to_string();
    assert!(error.contains("18446744073709551615 steps"), "{error}");
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(mine.model().tape().parameters(), before);
    assert!(load(&path, &mut mine, "another text").is_ok());
    assert!(load(&directory.path().join("none"), &mut mine, "text").is_err());
}

/// A state resumes only with its own settings: any other is named, except for those that may change.
#[test]
fn another_setting_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    save(&path, &mut trainer(&tiny()), "text").unwrap();
    for (changed, name) in [
        (TrainingConfig { seed: 2, ..tiny() }, "seed was 1 when the state was saved, and is 2 now"),
        (TrainingConfig { learning_rate: 0.02, ..tiny() }, "learning_rate was 0.01"),
        (TrainingConfig { dropout: 0.5, ..tiny() }, "dropout was 0.0"),
        (TrainingConfig { batch: 4, ..tiny() }, "batch was 2"),
        (TrainingConfig { clip: 0.0, ..tiny() }, "clip was 1.0"),
        (TrainingConfig { width: 32, ..tiny() }, "width was 16"),
    ] {
        let mut mine = trainer(&changed);
        let before = mine.model().tape().parameters().to_vec();
        let error = load(&path, &mut mine, "text").unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        assert_eq!(mine.model().tape().parameters(), before);
        assert!(remembered::<f32>(&path, &changed, before.len()).is_err());
    }
    let other =
        TrainingConfig { steps: 20, eval_every: 7, data: Some(vec!["moved".into()]), ..tiny() };
    let about = load(&path, &mut trainer(&other), "text").unwrap();
    let changed: Vec<String> = about.differences(&other).into_iter().map(|d| d.setting).collect();
    assert_eq!(changed, ["eval_every", "steps"]);
    assert!(about.contradictions(&other).is_empty());
}

/// No bit of the header can be flipped unnoticed: of no setting, version or checksum.
#[test]
fn a_flipped_bit_of_the_header_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    save(&path, &mut trainer(&tiny()), "text").unwrap();
    let whole = std::fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let mut mine = trainer(&tiny());
    for bit in 0..8 * header {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &flipped).unwrap();
        let found = load(&path, &mut mine, "text");
        assert!(found.is_err(), "bit {} of byte {} is not missed", bit % 8, bit / 8);
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(load(&path, &mut mine, "text").is_ok());
}

/// A state of version 1 as it was written: steps, text and checksum only.
#[test]
fn the_first_version_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let mut old = trainer(&tiny());
    old.set_steps(3);
    let state: Vec<_> =
        old.state().into_iter().map(|(n, x)| (n, x.len(), little_endian(x))).collect();
    let mut hash = Sha256::new_with_prefix("3");
    state.iter().for_each(|(_, _, bytes)| hash.update(bytes));
    let sum = hexadecimal(&hash.finalize());
    for (checksum, read) in [(Some(sum), true), (Some("0".repeat(64)), false), (None, false)] {
        let about = [("steps", "3"), ("data_sha256", "text")].into_iter();
        let about = about.chain(checksum.as_deref().map(|sum| (CHECKSUM, sum)));
        let about: Vec<_> = about.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let names: Vec<_> =
            state.iter().map(|(n, length, _)| (n.to_string(), vec![*length])).collect();
        write_tensors(&path, &about, &names, NumberFormat::F32, |i, take| take(&state[i].2))
            .unwrap();
        let mut mine = trainer(&tiny());
        let found = load(&path, &mut mine, "text");
        assert_eq!(found.is_ok(), read);
        if let Ok(about) = found {
            assert_eq!((about.knows_settings(), about.steps), (false, 3));
        }
    }
}
