//! `docs/architectures.md` is what `glassbox describe` says of the four models of `docs/architectures.json`, which
//! `tests/architectures/measure` writes. `BLESS=1 cargo test -p glassbox-transformer --test program architectures` writes it
//! anew.

use super::place::Place;
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// A number with its sign and groups of three digits.
fn signed(x: f64) -> String {
    let digits = format!("{:.0}", x.abs());
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<_> = groups.map(|group| std::str::from_utf8(group).expect("digits")).collect();
    let sign = match x.total_cmp(&0.0) {
        _ if digits == "0" => "",
        std::cmp::Ordering::Less => "−",
        _ => "+",
    };
    format!("{sign}{}", groups.join(","))
}

/// The mean of some losses, and half the distance between the largest and the smallest where there are several.
fn losses(values: &Value) -> String {
    let values: Vec<f64> = values.as_array().expect("a list").iter().map(number).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    if values.len() == 1 {
        return format!("{mean:.4}");
    }
    let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), &x| (a.min(x), b.max(x)));
    format!("{mean:.4} ± {:.4}", 0.5 * (most - least))
}

fn median(values: &Value) -> f64 {
    let mut values: Vec<f64> = values.as_array().expect("a list").iter().map(number).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn page(measured: &Value) -> String {
    let place = Place::new();
    let models = measured["models"].as_array().expect("models");
    for model in models {
        let directory = place.path(text(&model["name"]));
        fs::create_dir(&directory).expect("a directory");
        fs::write(directory.join("config.json"), model["config"].to_string()).expect("a file");
    }
    let names: Vec<&str> = models.iter().map(|model| text(&model["name"])).collect();
    let mut out = format!(
        "# Architectures as lists of differences\n\n\
         {}, each as its differences from the one before. `glassbox describe MODEL --against OTHER` makes such a list of \
         any two models; this page is made of its output (`BLESS=1 cargo test -p glassbox-transformer --test program \
         architectures`) for the four configurations in [`architectures.json`](architectures.json). An effect is that of \
         the change after those above it, on a training step of one sequence of {} tokens with AdamW: parameters, \
         floating-point operations per token (forward and backward), bytes that training takes, bytes of the key-value \
         cache per token. Sources are those of the part that is new.\n",
        names.join(" → "),
        measured["context"]
    );
    out += "\n## Measured\n\n";
    writeln!(
        out,
        "Each was trained with the same settings for {} steps of {} sequences of {} tokens on the embedded stories, with {} \
         (`tests/architectures/measure`). The width inside the feed-forward part makes the numbers of parameters equal. \
         The loss is that of the held-out stories, in nats per character (of several seeds, the mean and half the range); the source has \
         an entropy of {:.4}. Tokens a second and resident memory are those of `bench`, run for the four in turn: medians. At this size and length of training the order of the four says little about large models.\n",
        measured["steps"],
        measured["batch"],
        measured["context"],
        match models[0]["losses"].as_array().expect("a list").len() {
            1 => "one seed".to_owned(),
            n => format!("{n} seeds"),
        },
        number(&measured["source_entropy"])
    )
    .expect("text");
    out += "| model | parameters | loss | FLOP per token | tokens/s | resident, MB | training memory, bytes | cache per token, bytes |\n";
    out += "|---|---|---|---|---|---|---|---|\n";
    for model in models {
        let name = text(&model["name"]);
        let described = place.json(&["describe", name]);
        let unsigned = |x: f64| signed(x).replace('+', "");
        writeln!(
            out,
            "| {name} | {} | {} | {} | {} | {} | {} | {} |",
            unsigned(number(&described["total"]["parameters"])),
            losses(&model["losses"]),
            unsigned(number(&described["flops_per_token"])),
            unsigned(median(&model["tokens_per_second"]).round()),
            unsigned((median(&model["resident_bytes"]) * 1e-6).round()),
            unsigned(number(&described["bytes"])),
            unsigned(number(&described["total"]["cache"]))
        )
        .expect("text");
    }
    for pair in names.windows(2) {
        writeln!(out, "\n## {} → {}\n", pair[0], pair[1]).expect("text");
        let compared = place.json(&["describe", pair[0], "--against", pair[1]]);
        for change in compared["changes"].as_array().expect("changes") {
            for difference in change["differences"].as_array().expect("differences") {
                let said = |key: &str| text(&difference[key]);
                writeln!(out, "- **{}**: {} → {}", said("part"), said("own"), said("other"))
                    .expect("text");
                for paper in difference["papers"].as_array().expect("papers") {
                    let (authors, title, year) =
                        (text(&paper["authors"]), text(&paper["title"]), &paper["year"]);
                    writeln!(out, "  - {authors}, *{title}*, {year}").expect("text");
                }
            }
            let effects = [
                ("parameters", "parameters"),
                ("flops_per_token", "FLOP per token"),
                ("bytes", "bytes of training"),
                ("cache", "bytes of cache per token"),
            ];
            let effects = effects.map(|(key, what)| (signed(number(&change[key])), what));
            let some = effects.iter().filter(|(n, _)| n != "0");
            let some: Vec<_> = some.map(|(n, what)| format!("{n} {what}")).collect();
            let effect =
                if some.is_empty() { "nothing in size".to_owned() } else { some.join(", ") };
            writeln!(out, "  - changes {effect}").expect("text");
        }
    }
    out
}

#[test]
fn the_page_of_architectures_is_current() {
    let (file, data) = (docs("architectures.md"), docs("architectures.json"));
    let measured = fs::read_to_string(data).expect("docs/architectures.json");
    let made = page(&serde_json::from_str(&measured).expect("JSON"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(file, made).expect("a file that can be written");
        return;
    }
    let old = fs::read_to_string(file).unwrap_or_default();
    let differs = made.lines().zip(old.lines()).find(|(made, old)| made != old);
    assert!(
        made == old,
        "docs/architectures.md is not what `describe` says: {differs:?}; \
         `BLESS=1 cargo test -p glassbox-transformer --test program architectures` writes it anew"
    );
}
