//! An experiment on settings: what it reports, and what it refuses.

use super::place::{Place, says};
use std::fs;

const ABLATE: [&str; 16] = [
    "ablate",
    "norm=rms,layer",
    "tied=true,false",
    "--data",
    "text.txt",
    "--layers",
    "1",
    "--heads",
    "2",
    "--width",
    "16",
    "--context",
    "16",
    "--batch",
    "4",
    "--threads=1",
];

#[test]
fn effects_are_tested_in_equal_time() {
    let place = Place::new();
    let timed = ["--time", "8s", "--seeds", "2", "--svg", "effects.svg"];
    let found = place.json(&[&ABLATE[..], &timed].concat());
    let combinations = found["combinations"].as_array().unwrap();
    assert_eq!(combinations.len(), 4);
    // Each has its steps, as many as its speed allows, and two losses.
    let times = combinations
        .iter()
        .map(|c| c["steps"].as_f64().unwrap() * c["step_seconds"].as_f64().unwrap());
    let times: Vec<f64> = times.collect();
    let (low, high) = (
        times.iter().fold(9e9_f64, |m, t| m.min(*t)),
        times.iter().fold(0.0_f64, |m, t| m.max(*t)),
    );
    assert!(low > 0.9 * high && high < 1.0, "{times:?}");
    for combination in combinations {
        let losses = combination["losses"].as_array().unwrap();
        assert!(
            losses.len() == 2 && losses.iter().all(|l| l.as_f64().unwrap() < 6.0),
            "{combination}"
        );
    }
    assert_eq!(found["effects"].as_array().unwrap().len(), 2);
    assert_eq!(found["interactions"].as_array().unwrap().len(), 1);
    assert_eq!(found["effects"][0]["pairs"], 4);
    let picture = fs::read_to_string(place.path("effects.svg")).unwrap();
    assert!(picture.contains("norm: layer against rms") && picture.ends_with("</svg>\n"));
    let report = place.fine(&[&ABLATE[..], &["--time", "6s", "--seeds", "2"]].concat());
    says(
        &report,
        &[
            "runs     8: 4 combinations with 2 seeds each",
            "norm layer",
            "against rms",
            "tied false",
        ],
    );
    assert!(!place.path("run").exists() && !place.path("runs").exists());
}

#[test]
fn what_is_no_experiment_is_refused() {
    let place = Place::new();
    let refused = |arguments: &[&str]| {
        place.refused(
            &[&["ablate", "--data", "text.txt", "--context", "16", "--threads=1"], arguments]
                .concat(),
        )
    };
    says(&refused(&["norm=rms,layer"]), &["Give --time"]);
    says(&refused(&["norm", "--time", "9s"]), &["found \"norm\"", "norm=rms,layer"]);
    says(&refused(&["norm=rms", "--time", "9s"]), &["two or more different"]);
    says(&refused(&["norm=rms,batch", "--time", "9s"]), &["norm=batch", "layer"]);
    says(&refused(&["nrm=rms,layer", "--time", "9s"]), &["nrm=rms", "unknown field"]);
    says(&refused(&["seed=1,2", "--time", "9s"]), &["--seeds"]);
    says(&refused(&["tokenizer=bytes,chars", "--time", "9s"]), &["cannot be compared"]);
    says(&refused(&["heads=1,7", "--width", "16", "--time", "9s"]), &["heads"]);
    says(
        &refused(&["norm=rms,layer", "--time", "9s", "--seeds", "1"]),
        &["1 seeds", "two or more"],
    );
    says(&refused(&["norm=rms,layer", "--time", "1s", "--seeds", "400"]), &["too short", "--time"]);
    says(&refused(&["norm=rms,layer", "--time", "9s", "--steps", "9"]), &["--steps"]);
}
