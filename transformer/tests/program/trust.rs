//! `glassbox check`, `glassbox diagnose` and a diverging `glassbox train`, from outside.

use super::place::{Place, SMALL, refusal, says, stderr};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use transformer::disk::checkpoint::NAMES;

/// Settings under which descent cannot but fail.
const FAR_TOO_FAST: [&str; 14] = [
    "--optimizer",
    "sgd",
    "--learning-rate",
    "1e30",
    "--weight-decay",
    "0",
    "--schedule",
    "constant",
    "--warmup",
    "0",
    "--clip",
    "0",
    "--steps",
    "40",
];

/// Runs what must report a failure that it found: status 1, a report, and no error.
fn found(place: &Place, arguments: &[&str]) -> String {
    let output = place.run(arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(!said.contains("error:") && !said.contains("panicked"), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

fn found_json(place: &Place, arguments: &[&str]) -> Value {
    serde_json::from_str(&found(place, &[arguments, &["--json"]].concat())).unwrap()
}

/// Overwrites one weight of the run's model by its tensor's name.
fn poison(place: &Place, name: &str, bytes: [u8; 4]) {
    poison_file(place, "run/model/model.safetensors", name, bytes);
}

/// Overwrites the first number of a tensor in a file.
fn poison_file(place: &Place, path: &str, name: &str, bytes: [u8; 4]) {
    let path = place.path(path);
    let mut file = fs::read(&path).unwrap();
    let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let tensors: Value = serde_json::from_slice(&file[8..8 + header]).unwrap();
    let start = tensors[name]["data_offsets"][0].as_u64().unwrap() as usize + 8 + header;
    file[start..start + 4].copy_from_slice(&bytes);
    // Who changes a weight on purpose leaves no checksum of the old ones; a state must have one.
    if path.ends_with("state.safetensors") {
        sealed(&mut file);
    } else if let Some(checksum) = file.windows(8).position(|w| w == b"\"sha256\"") {
        file[checksum..checksum + 8].copy_from_slice(b"\"former\"");
    }
    fs::write(path, file).unwrap();
}

/// Writes the checksum of a state anew, by its rule: SHA-256 of `key=value` of all that the header says, then of
/// `name:bytes` and the numbers of every tensor.
pub(crate) fn sealed(file: &mut [u8]) {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let mut hash = Sha256::new();
    let said = header["__metadata__"].as_object().unwrap();
    for (key, value) in said.iter().filter(|(key, _)| *key != "sha256") {
        hash.update(format!("{key}={}\n", value.as_str().unwrap()));
    }
    for name in NAMES.iter() {
        let Some(tensor) = header.get(name) else { continue };
        let [from, to] = [0, 1].map(|i| tensor["data_offsets"][i].as_u64().unwrap() as usize);
        hash.update(format!("{name}:{}\n", to - from));
        hash.update(&file[8 + length + from..8 + length + to]);
    }
    let found: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    let old = said["sha256"].as_str().unwrap().as_bytes();
    let at = file.windows(64).position(|w| w == old).unwrap();
    file[at..at + 64].copy_from_slice(found.as_bytes());
}

#[test]
fn sizes_that_were_never_trained_are_certified() {
    let place = Place::new();
    let sizes = ["check", "--data", "text.txt", "--layers", "2", "--heads", "2", "--width", "16"];
    let sizes = [&sizes[..], &["--context", "16", "--threads", "1"]].concat();
    let printed = place.fine(&sizes);
    let groups = ["\ncomplete\n", "\nright\n", "\ncausal\n", "\nstart\n", "\ndata\n", "\nbits\n"];
    says(&printed, &groups);
    // The text is a few sentences again and again: two questions of it cannot fail.
    says(&printed, &["22 of 22 certificates hold", "pass  first loss", "repeats itself"]);
    assert!(!printed.contains('\x1b'), "no colours but in a terminal");
    let json = place.json(&sizes);
    assert_eq!(json["passed"], true);
    assert_eq!(json["certificates"].as_array().unwrap().len(), 24);
    assert!(!place.path("runs").exists(), "check writes nothing");
}

/// Where no gain or bias tells whether a model was trained, its weights do.
#[test]
fn a_run_without_gains_and_biases_is_certified() {
    let place = Place::new();
    let plain = ["--norm", "rms", "--gain", "none", "--bias", "false", "--learning-rate", "0.02"];
    place.train(&[&plain[..], &["--steps", "30"]].concat());
    for what in ["run", "run/model"] {
        let said = place.fine(&["check", what, "--data", "text.txt"]);
        says(&said, &["n/a   first loss", "was trained"]);
    }
    // Before training, the questions about the start are answered.
    let model = [&SMALL[..], &plain].concat();
    says(
        &place.fine(&[&["check", "--data", "text.txt"], &model[..]].concat()),
        &["pass  first loss"],
    );
}

#[test]
fn a_trained_run_and_its_model_are_certified_and_healthy() {
    let place = Place::new();
    place.train(&["--steps", "12", "--bias", "true"]);
    let before = place.files();
    // Of a text that repeats itself two questions cannot fail, of the model's own few windows one; only a run has
    // files that must agree: two questions.
    for (what, count) in [("run", "20 of 20"), ("run/model", "19 of 19")] {
        let printed = place.fine(&["check", what, "--threads", "1"]);
        says(&printed, &["certificates hold", count, "n/a   first loss", "trained"]);
        assert_eq!(place.json(&["check", what])["passed"], true);
    }
    assert_eq!(place.files(), before, "check writes nothing");
    for what in ["run", "run/model"] {
        let printed = place.fine(&["diagnose", what, "--steps", "6"]);
        says(&printed, &["6 watched, nothing wrong", "health:", "saturated queries", "layers"]);
        says(&printed, &["room of values", "room of gradients", "halvings to 0"]);
        says(&printed, &["update over weights", "  block.0 ", "curvature", "growth"]);
        says(&printed, &["ahead, if the run goes on like this", "  rounding  of the parameters"]);
        says(&printed, &["  decay     weights forget an update after 1/(η·λ) = "]);
        assert!(!printed.contains('\x1b') && !printed.contains("NaN"), "{printed}");
        let json = place.json(&["diagnose", what, "--steps", "3"]);
        assert_eq!((&json["healthy"], &json["cause"]), (&Value::Bool(true), &Value::Null));
        let outlook = &json["outlook"];
        assert!(outlook["update"]["lost"][1].as_f64().unwrap() > 0.0, "{outlook}");
        assert_eq!(outlook["collapse"]["zero_gradient"], 0.0);
        assert!(outlook["edge"][0]["ratio"].as_f64().unwrap() > 0.0);
        let health = &json["health"];
        assert!(health["measures"].as_array().unwrap().len() > 5);
        let layers: Vec<_> = health["updates"].as_array().unwrap().iter().collect();
        let names: Vec<_> = layers.iter().map(|u| u["layer"].as_str().unwrap()).collect();
        assert_eq!(names, ["embedding", "block.0", "norm"]);
        assert!(layers.iter().all(|u| u["ratio"].as_f64().unwrap() > 0.0));
        let gradients = |g: bool| move |h: &&Value| h["gradient"] == g;
        let headroom = health["headroom"].as_array().unwrap();
        for which in [false, true] {
            let own = headroom.iter().filter(gradients(which)).find(|h| h["largest"] != 0.0);
            // A small model in f32: far from both ends, and nearer to f16's.
            let h = own.unwrap();
            let room = |end: &str, format: usize| h[end][format].as_f64().unwrap();
            assert!(room("overflow", 0) > 100.0 && room("underflow", 0) > 50.0, "{h}");
            assert!(room("overflow", 2) < room("overflow", 1), "{h}");
            assert!(room("underflow", 2) < room("underflow", 1), "{h}");
        }
    }
    // Nothing of the run is changed but the picture, which is new.
    let after = place.files();
    let new: Vec<_> = after.iter().filter(|f| !before.contains(f)).map(|f| &f.0).collect();
    assert_eq!(new, [&place.path("run/growth.svg")]);
}

#[test]
fn a_diverging_run_stops_in_time_and_is_diagnosed() {
    let place = Place::new();
    let said = place.refused(&place.training(&FAR_TOO_FAST));
    says(&said, &["diverged", "glassbox diagnose run", "--learning-rate"]);
    assert_eq!(said.matches("error:").count(), 1);
    // What was not finite was not applied: the saved weights are numbers.
    place.fine(&["evaluate", "run"]);
    let lines = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    let steps = lines.lines().count() as u64;
    assert!(steps < 40, "it stops at once");

    let report = found_json(&place, &["diagnose", "run"]);
    assert_eq!(report["healthy"], false);
    assert_eq!(report["cause"], "rate_too_high", "{report}");
    assert_eq!(report["step"], steps);
    assert_eq!(report["origin"]["value"].as_str().map(|v| v != "0"), Some(true));
    let cures = report["cures"].as_array().unwrap();
    let cure = cures.last().unwrap();
    assert_eq!(
        (&cure["tried"], &cure["cured"]),
        (&Value::Bool(true), &Value::Bool(true)),
        "{cure}"
    );

    let printed = found(&place, &["diagnose", "run", "--svg", "growth.svg"]);
    says(&printed, &["\noperation", "\nelement", "\narithmetic", "\noperand", "\ngrowth"]);
    says(
        &printed,
        &["\ncause      learning rate above the stability limit", "\nbecause", "\ncure "],
    );
    says(&printed, &["docs/FAILURES.md", "growth.svg"]);
    assert!(fs::read_to_string(place.path("growth.svg")).unwrap().ends_with("</svg>\n"));
}

#[test]
fn health_is_recorded_where_it_is_asked_for_and_changes_no_bit() {
    let place = Place::new();
    let watched = place.train(&["--watch", "2", "--steps", "5"]);
    let plain = place.train(&["--steps", "5", "--out", "plain"]);
    assert_eq!(watched["weights_sha256"], plain["weights_sha256"]);
    let lines = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    for (i, line) in lines.lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line.get("health").is_some(), i % 2 == 1, "{line}");
        if let Some(health) = line.get("health") {
            assert!(health["largest"].as_f64().unwrap() > 0.0);
            assert_eq!(health["activations"].as_array().unwrap().len(), 1);
            assert!((1e-6..30.0).contains(&health["largest_scores"][0].as_f64().unwrap()));
            assert!(health["gradients"][0].as_f64().unwrap() > 0.0);
            assert!(health["weight_norm"].as_f64().unwrap() > 0.0);
            assert!((1e-6..0.5).contains(&health["update_ratio"].as_f64().unwrap()));
            for (name, range) in [
                ("update_ratios", 1e-6..0.5),
                ("attention_entropy", 0.5..1.0 + 1e-9),
                ("saturated", 0.0..0.1),
                ("dead", 0.0..0.1),
            ] {
                let of_blocks = health[name].as_array().unwrap();
                assert_eq!(of_blocks.len(), 1, "{name}");
                assert!(range.contains(&of_blocks[0].as_f64().unwrap()), "{name}: {health}");
            }
        }
    }
    let plain = fs::read_to_string(place.path("plain/metrics.jsonl")).unwrap();
    assert!(!plain.contains("health"));
    says(&place.refused(&place.training(&["--watch", "0", "--out", "x"])), &["--watch"]);
}

#[test]
fn a_weight_that_is_none_is_found_where_it_stands() {
    let place = Place::new();
    place.train(&[]);
    poison(&place, "transformer.h.0.mlp.c_fc.weight", f32::NAN.to_le_bytes());
    says(&place.refused(&["check", "run"]), &["not finite", "glassbox diagnose"]);
    for what in ["run", "run/model"] {
        let report = found_json(&place, &["diagnose", what, "--steps", "3"]);
        assert_eq!(report["cause"], "broken_weights");
        assert_eq!(report["origin"]["direction"], "given");
        assert_eq!(report["origin"]["name"], "block.0.feed_forward.expanded.weight");
        assert_eq!(report["cures"][0]["cured"], true);
    }
}

/// A run has its weights twice: in the model that is evaluated, and in the state that training goes on from.
#[test]
fn both_files_of_a_run_are_looked_at() {
    let place = Place::new();
    place.train(&[]);
    let state = "run/state.safetensors";
    let whole = fs::read(place.path(state)).unwrap();
    let check = ["check", "run", "--threads", "1"];
    says(&place.fine(&check), &["pass  the run's model and its training state agree"]);
    // Another number: said, by both verbs.
    poison_file(&place, state, "parameters", 0.25_f32.to_le_bytes());
    let printed = found(&place, &check);
    says(&printed, &["FAIL  the run's model and its training state agree", "weights that differ"]);
    let output = place.run(&["diagnose", "run", "--steps", "2"]);
    says(
        &stderr(&output),
        &["differ in 1 of", "the schedule ended at step 4: watched at its last rate"],
    );
    // None: refused, with its place.
    poison_file(&place, state, "parameters", f32::NAN.to_le_bytes());
    let said = place.refused(&check);
    let told =
        ["state.safetensors", "parameters of embedding.token.weight, row 0, column 0 is NaN"];
    says(&said, &told);
    let resume = ["train", "--resume", "run", "--steps", "50"];
    says(&place.refused(&resume), &told);
    // A number, or the count of steps, that was not saved so.
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut counted = whole.clone();
    let count = counted.windows(9).position(|w| w == b"\"steps\":\"").unwrap() + 9;
    counted[count] = b'9';
    for damaged in [flipped, counted] {
        fs::write(place.path(state), damaged).unwrap();
        for verb in [&check[..], &["diagnose", "run"], &resume] {
            says(&place.refused(verb), &["state.safetensors is damaged"]);
        }
    }
    fs::write(place.path(state), &whole).unwrap();
    says(&place.fine(&check), &["pass  the run's model and its training state agree"]);
}

/// What the optimiser remembers is named where it is none, by who resumes and by who diagnoses.
#[test]
fn a_broken_optimiser_state_is_named() {
    let place = Place::new();
    place.train(&[]);
    let state = "run/state.safetensors";
    let whole = fs::read(place.path(state)).unwrap();
    let resume = ["train", "--resume", "run", "--steps", "50"];
    for (tensor, value, shown) in [
        ("second_moment", f32::NAN, "NaN"),
        ("second_moment", -0.5, "-0.5"),
        ("first_moment", f32::INFINITY, "inf"),
    ] {
        fs::write(place.path(state), &whole).unwrap();
        poison_file(&place, state, tensor, value.to_le_bytes());
        let place_of = format!("{tensor} of embedding.token.weight, row 0, column 0 is {shown}");
        says(&place.refused(&resume), &[&place_of, "glassbox diagnose"]);
        says(&place.refused(&["check", "run"]), &[&place_of, "glassbox diagnose"]);
        let report = found_json(&place, &["diagnose", "run", "--steps", "3"]);
        assert_eq!(report["cause"], "broken_moments", "{report}");
        assert_eq!(report["origin"]["direction"], "given");
        assert_eq!(report["origin"]["name"], "embedding.token.weight");
        assert_eq!(report["origin"]["operation"], tensor.replace('_', " "));
        assert_eq!(report["cures"][0]["cured"], true, "{report}");
    }
    let printed = found(&place, &["diagnose", "run", "--steps", "3"]);
    says(
        &printed,
        &["cause      broken optimizer state", "tensor first_moment", "moments reset to 0"],
    );
}

/// What cannot fail is not certified, and a text of one letter is not accused.
#[test]
fn a_text_that_says_nothing_is_told_so() {
    let place = Place::new();
    fs::write(place.path("one.txt"), "a".repeat(3000)).unwrap();
    let sizes = ["--layers", "1", "--heads", "2", "--width", "16", "--context", "16"];
    let one = [&["check", "--data", "one.txt", "--threads", "1"], &sizes[..]].concat();
    let printed = place.fine(&one);
    says(&printed, &["2 of 2 certificates hold", "n/a   first loss", "a vocabulary of one token"]);
    says(&printed, &["n/a   validation windows that occur in training", "repeats itself"]);
    let said = stderr(&place.run(&one));
    says(&said, &["checking 1 layer, width 16", "certified in"]);
}

#[test]
fn formats_of_sixteen_bits_are_tried() {
    let place = Place::new();
    place.train(&[]);
    for format in ["f16", "bf16"] {
        let printed = place.fine(&["diagnose", "run", "--steps", "2", "--precision", format]);
        says(
            &printed,
            &[&format!("\n{format}: loss"), "gradient elements", "vanish", "loss scale"],
        );
    }
    // Queries and keys whose products f16 cannot hold, and bf16 can.
    let large = 40_000.0_f32.to_le_bytes();
    fs::remove_file(place.path("run/state.safetensors")).unwrap();
    poison(&place, "transformer.h.0.ln_1.weight", large);
    let report = found_json(&place, &["diagnose", "run", "--steps", "2", "--precision", "f16"]);
    assert_eq!(report["cause"], "range_ended", "{report}");
    let high = ["diagnose", "run", "--steps", "2", "--precision", "f16", "--loss-scale", "1e30"];
    place.train(&["--overwrite"]);
    assert_eq!(found_json(&place, &high)["cause"], "loss_scale_too_high");
}

#[test]
fn a_certificate_that_fails_is_a_status_of_1() {
    let place = Place::new();
    // Letters at random; the validation part, the last tenth, repeats a stretch of the training part.
    let mut state = 1_u32;
    let mut letters: Vec<u8> = (0..3000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + (state >> 24) as u8 % 20
        })
        .collect();
    let sizes = ["--layers", "1", "--heads", "2", "--width", "16", "--context", "16"];
    let checked = |data| [&["check", "--data", data, "--threads", "1"], &sizes[..]].concat();
    fs::write(place.path("apart.txt"), &letters).unwrap();
    says(&place.fine(&checked("apart.txt")), &["24 of 24 certificates hold"]);
    letters.copy_within(300..550, 2725);
    fs::write(place.path("copied.txt"), &letters).unwrap();
    let printed = found(&place, &checked("copied.txt"));
    says(&printed, &["FAIL  the split does not overlap", "FAIL  validation windows that occur"]);
    says(&printed, &["22 of 24 certificates hold; see FAIL above"]);
    let report = found_json(&place, &checked("copied.txt"));
    assert_eq!(report["passed"], false);

    // Weights that training did not make: f64 holds their product, f32 does not.
    place.train(&[]);
    poison(&place, "transformer.ln_f.weight", 3e38_f32.to_le_bytes());
    poison(&place, "transformer.wte.weight", 3e38_f32.to_le_bytes());
    let report = found_json(&place, &["check", "run", "--threads", "1"]);
    let certificates = report["certificates"].as_array().unwrap();
    let failed: Vec<_> = certificates.iter().filter(|c| c["verdict"] == "fail").collect();
    let bits =
        failed.iter().filter(|c| c["detail"].as_str().unwrap().contains("not finite in f32"));
    assert_eq!(bits.count(), 2, "{failed:?}");
}

#[test]
fn an_update_that_overflows_is_not_applied() {
    let place = Place::new();
    // Adam's first step is η in every weight: 10³⁸ over a bias correction of 0.1 is no f32.
    let fast = ["--learning-rate", "1e38", "--weight-decay", "0", "--schedule", "constant"];
    let fast = [&fast[..], &["--warmup", "0"]].concat();
    let said = place.refused(&place.training(&fast));
    says(&said, &["step 1 diverged", "an update that leaves weights that are not finite"]);
    says(&said, &["the state after step 0 is saved"]);
    place.fine(&["evaluate", "run"]);
    let report = found_json(&place, &["diagnose", "run"]);
    assert_eq!(report["origin"]["direction"], "update", "{report}");
    let arithmetic = report["origin"]["arithmetic"].as_str().unwrap();
    says(arithmetic, &["the step size 1.0000e39 is beyond 3.4028e38"]);
    assert_eq!((&report["step"], &report["batch"]), (&Value::from(1), &Value::from(0)));
    assert_eq!(report["part"], Value::Null, "no part of the batch is to blame");
    assert_eq!(report["cause"], "rate_too_high");
    assert_eq!(report["cures"].as_array().unwrap().last().unwrap()["cured"], true);
}

#[test]
fn a_batch_is_counted_as_the_run_counts_it() {
    let place = Place::new();
    // 96 windows of 16 tokens: two parts of 768 tokens each; a rate that fails on the second step.
    let fast = [&FAR_TOO_FAST[..], &["--batch", "96"]].concat();
    place.refused(&place.training(&fast));
    let report = found_json(&place, &["diagnose", "run"]);
    let (step, batch) = (report["step"].as_u64().unwrap(), report["batch"].as_u64().unwrap());
    assert_eq!((batch, &report["parts"]), (step - 1, &Value::from(2)));
    let printed = found(&place, &["diagnose", "run"]);
    says(&printed, &[&format!("step       {step}, batch {batch}, part "), " of 2: loss"]);
}

#[test]
fn bad_input_is_refused() {
    let place = Place::new();
    place.train(&[]);
    for verb in ["check", "diagnose"] {
        let refused = |arguments: &[&str], parts: &[&str]| {
            let arguments = [&[verb], arguments].concat();
            says(&refusal(&arguments, &place.run(&arguments)), parts);
        };
        refused(&["nowhere"], &["nowhere"]);
        refused(&["text.txt"], &["text.txt"]);
        refused(&["run", "--data", "missing.txt"], &["missing.txt"]);
        refused(&["run", "--out", "x"], &["--out"]);
        refused(&["run", "--threads", "0"], &["threads is 0"]);
        refused(&["--nonsense"], &["--nonsense"]);
        // What the run or the model has settled.
        for (flag, value, own) in [
            ("--layers", "3", "it trains with 1"),
            ("--heads", "4", "it trains with 2"),
            ("--width", "32", "it trains with 16"),
            ("--activation", "relu", "it trains with gelu"),
            ("--tied", "false", "it trains with true"),
            ("--bias", "true", "it trains with false"),
            ("--tokenizer", "bytes", "it trains with"),
        ] {
            let fixed = |whose: &str| format!("{flag} is fixed by the {whose}");
            refused(&["run", flag, value], &[&fixed("run"), own]);
            refused(&["run/model", flag, value], &[&fixed("model"), own]);
        }
        refused(&["run", "--preset", "baby"], &["--preset is fixed by the run"]);
        refused(&["run", "--eval-every", "2"], &["--eval-every"]);
        refused(&["run/model", "--context", "17"], &["--context is 17", "16"]);
        refused(&["--data", "text.txt", "--heads", "3", "--width", "16"], &["heads"]);
        // More than any machine has, said before it is taken.
        let huge = ["--data", "text.txt", "--layers", "1000", "--width", "65536", "--heads", "64"];
        refused(&huge, &["of memory"]);
    }
    let refused = |arguments: &[&str], parts: &[&str]| says(&place.refused(arguments), parts);
    refused(&["diagnose", "run", "--steps", "0"], &["steps is 0"]);
    refused(&["diagnose", "run", "--loss-scale", "0"], &["loss-scale is 0"]);
    refused(&["diagnose", "run", "--loss-scale", "NaN"], &["loss-scale is NaN"]);
    refused(&["diagnose", "run", "--precision", "f8"], &["f8"]);
    refused(&["diagnose", "run", "--loss-scale", "1024"], &["--precision f16"]);
    refused(
        &["diagnose", "run", "--momentum", "0.9"],
        &["--momentum is given, but adamw does not have it", "sgd"],
    );
    refused(&["diagnose", "run", "--steps", "2", "--svg", "no/where.svg"], &["no"]);

    // Cut off, foreign, of another shape.
    let path = place.path("run/model/model.safetensors");
    let whole = fs::read(&path).unwrap();
    for bytes in [&whole[..0], &whole[..7], &whole[..whole.len() / 2], b"nonsense, and more of it"]
    {
        fs::write(&path, bytes).unwrap();
        for verb in ["check", "diagnose"] {
            refused(&[verb, "run"], &["model.safetensors"]);
            refused(&[verb, "run/model"], &["model.safetensors"]);
        }
    }
    fs::write(&path, &whole).unwrap();
    let state = fs::read(place.path("run/state.safetensors")).unwrap();
    fs::write(place.path("run/state.safetensors"), &state[..state.len() / 2]).unwrap();
    refused(&["diagnose", "run"], &["state.safetensors"]);
}
