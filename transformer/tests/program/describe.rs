//! `glassbox describe`: its numbers against sums made here, every family, differences, and what it says to bad input.

use super::place::{Place, says};
use serde_json::{Value, json};
use std::fs;
use std::time::Instant;

fn write(place: &Place, directory: &str, config: &Value) {
    fs::create_dir_all(place.path(directory)).unwrap();
    fs::write(place.path(directory).join("config.json"), config.to_string()).unwrap();
}

/// A GPT-2 of two blocks.
fn gpt2() -> Value {
    json!({
        "model_type": "gpt2", "vocab_size": 50, "n_positions": 8, "n_embd": 6, "n_layer": 2, "n_head": 3,
        "embd_pdrop": 0.0, "resid_pdrop": 0.0, "attn_pdrop": 0.0
    })
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no whole number"))
}

/// The parts of a description: of the blocks, those of the first kind.
fn part<'a>(described: &'a Value, name: &str) -> &'a Value {
    let lists = [&described["before"], &described["blocks"][0]["parts"], &described["after"]];
    let mut parts = lists.into_iter().flat_map(|list| list.as_array().unwrap());
    parts.find(|part| part["name"] == name).unwrap_or_else(|| panic!("no part {name}"))
}

/// Parameters and operations of GPT-2's parts, from their definitions: V tokens, T positions, width d, n tokens. A product
/// with an a×b matrix takes 2·a·b operations a token, its bias a more; backward takes twice as many.
#[test]
fn the_parts_of_a_small_model_are_sums_made_by_hand() {
    let place = Place::new();
    write(&place, "model", &gpt2());
    let described = place.json(&["describe", "model", "--batch", "3"]);
    let (v, t, d, blocks, heads) = (50, 8, 6, 2, 3);
    let (h, n) = (4 * d, 3 * t);
    let linear = |out: u64, inputs: u64| blocks * n * (2 * out * inputs + out);
    // A query sees the keys up to its own: T(T+1)/2 pairs a sequence and head, with two products of 2·d/heads operations,
    // and 15 of the softmax.
    let pairs = 3 * heads * (t * (t + 1) / 2);
    for (name, parameters, forward) in [
        ("embedding", v * d, 0),
        ("positions", t * d, n * d),
        ("norms", blocks * 4 * d, blocks * 2 * n * d * 8),
        ("query, key, value", blocks * (3 * d * d + 3 * d), linear(3 * d, d)),
        ("scores", 0, blocks * pairs * (4 * (d / heads) + 15)),
        ("projection", blocks * (d * d + d), linear(d, d)),
        ("residual sums", 0, blocks * 2 * n * d),
        ("final norm", 2 * d, n * d * 8),
        ("head", 0, n * 2 * v * d),
        ("loss", 0, n * v * 13),
    ] {
        let part = part(&described, name);
        assert_eq!(number(&part["parameters"]), parameters, "{name}");
        assert_eq!(number(&part["forward_flops"]), forward, "{name}");
        assert_eq!(number(&part["weights"]), 4 * parameters, "{name}");
        assert_eq!(number(&part["gradients"]), 4 * parameters, "{name}");
        assert_eq!(number(&part["optimizer"]), 8 * parameters, "{name}: AdamW has two moments");
    }
    let feed_forward = part(&described, "feed-forward");
    assert_eq!(number(&feed_forward["parameters"]), blocks * (2 * d * h + h + d));
    // Both maps, and an activation of at least ten operations a feature.
    let maps = linear(h, d) + linear(d, h);
    assert!(number(&feed_forward["forward_flops"]) >= maps + 10 * blocks * n * h);
    for (name, twice) in [("query, key, value", linear(3 * d, d)), ("head", n * 2 * v * d)] {
        assert_eq!(number(&part(&described, name)["backward_flops"]), 2 * twice, "{name}");
    }
    // A key and a value of every block.
    assert_eq!(number(&described["total"]["cache"]), blocks * 2 * d * 4);
    let all = v * d + t * d + blocks * (12 * d * d + 13 * d) + 2 * d;
    assert_eq!(number(&described["total"]["parameters"]), all);
    let total = &described["total"];
    let state = ["weights", "gradients", "optimizer", "activations"].map(|key| number(&total[key]));
    let bytes = state.iter().sum::<u64>() + number(&described["reused"]);
    assert_eq!(number(&described["bytes"]), bytes);
    let operations = number(&total["forward_flops"]) + number(&total["backward_flops"]);
    assert_eq!(described["flops_per_token"].as_f64().unwrap(), operations as f64 / n as f64);

    // The same for people: every part is a line, with its parameters.
    let said = place.fine(&["describe", "model", "--batch", "3"]);
    let line = |name: &str| {
        let mut lines = said.lines().filter(|line| line.trim_start().starts_with(name));
        lines.next().unwrap_or_else(|| panic!("no line {name} in {said}"))
    };
    for (name, parameters) in [
        ("embedding", "300"),
        ("positions", "48"),
        ("2 blocks", "1,020"),
        ("query, key, value", "252"),
        ("projection", "84"),
        ("feed-forward", "636"),
        ("norms", "48"),
        ("final norm", "12"),
        ("all", "1,380"),
    ] {
        assert!(line(name).contains(&format!(" {parameters} ")), "{name}: {said}");
    }
    says(&said, &["3 sequences of 8 tokens", "stored as gpt2", "adamw", "for each parameter"]);
}

/// The program needs no weights, and the sizes of published models come out: the numbers of parameters are those that
/// their authors or Hugging Face state.
#[test]
fn every_family_is_described_by_its_name() {
    let place = Place::new();
    for (name, parameters) in [
        ("gpt2", Some(124_439_808)),
        ("llama", Some(6_738_415_616)),
        ("mistral", Some(7_241_732_096)),
        ("qwen2", None),
        ("qwen3", None),
        ("gemma2", Some(2_614_341_888)),
        ("gemma3", None),
        ("gpt_neox", Some(20_554_567_680)),
        ("olmo2", None),
        ("smollm3", Some(3_075_098_624)),
        ("granite", Some(2_533_531_648)),
        ("phi3", Some(3_821_079_552)),
        ("glassbox", None),
        ("microgpt", Some(4192)),
        ("transformer2017", None),
    ] {
        let described = place.json(&["describe", name, "--context", "16"]);
        let found = number(&described["total"]["parameters"]);
        assert!(parameters.is_none_or(|parameters| parameters == found), "{name}: {found}");
        let layers = number(&described["architecture"]["layers"]);
        let kinds = described["blocks"].as_array().unwrap();
        let listed: usize = kinds.iter().map(|kind| kind["layers"].as_array().unwrap().len()).sum();
        assert_eq!(listed as u64, layers, "{name}");
        // Gemma has blocks with and without a window, SmolLM3 with and without rotation.
        let two = name.starts_with("gemma") || name == "smollm3";
        assert_eq!(kinds.len(), if two { 2 } else { 1 }, "{name}");
    }
    for preset in ["fast-story", "fast-text", "story", "shakespeare-cpu", "baby"] {
        says(&place.fine(&["describe", preset]), &["parameters", "feed-forward"]);
    }
    let preset = place.json(&["describe", "baby", "--vocabulary", "65"]);
    // nanoGPT's baby GPT has "10.65M" parameters, and 256 positions of 384 features, which it does not count.
    let baby = number(&preset["total"]["parameters"]);
    assert_eq!((baby - 256 * 384 + 5_000) / 10_000, 1065);
}

/// SmolLM2-135M in full: a step of 8,192 tokens would take gigabytes.
#[test]
fn a_large_step_takes_no_memory_and_no_time() {
    let place = Place::new();
    let smollm2 = json!({
        "model_type": "llama", "vocab_size": 49152, "max_position_embeddings": 8192, "hidden_size": 576,
        "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": 1536,
        "tie_word_embeddings": true
    });
    write(&place, "smollm2", &smollm2);
    let start = Instant::now();
    let described = place.json(&["describe", "smollm2"]);
    // A second of work; the machine may be busy.
    assert!(start.elapsed().as_secs_f64() < 20.0, "{:?}", start.elapsed());
    assert_eq!(number(&described["total"]["parameters"]), 134_515_008);
    assert!(number(&described["bytes"]) > 4 << 30);
}

/// A run is described with its optimizer, and does not differ from itself.
#[test]
fn a_run_is_described() {
    let place = Place::new();
    let report = place.train(&["--optimizer", "sgd", "--momentum", "0", "--architecture", "llama"]);
    let described = place.json(&["describe", "run"]);
    assert_eq!(described["total"]["parameters"], report["parameters"]);
    assert_eq!(described["total"]["optimizer"], 0);
    assert_eq!(described["optimizer"], "sgd");
    let compared = place.json(&["describe", "run", "--against", "run/model"]);
    assert_eq!(compared["changes"], json!([]));
}

/// Differences are said in words with their sources and effects; a family takes the other's sizes, on either side.
#[test]
fn differences_are_said_with_their_sources_and_effects() {
    let place = Place::new();
    write(&place, "model", &gpt2());
    let said = place.fine(&["describe", "model", "--against", "llama"]);
    says(
        &said,
        &[
            "queries and keys turn with the position, base 10000",
            "Su et al., RoFormer",
            "RMS: root mean square 1, gain",
            "Zhang & Sennrich, Root Mean Square Layer Normalization, 2019",
            "Shazeer, GLU Variants Improve Transformer, 2020",
            "biases of the feed-forward part",
            "table of the head",
        ],
    );
    assert!(!said.contains("width inside"), "sizes are the same: {said}");
    for (own, other) in
        [("model", "llama"), ("llama", "model"), ("llama", "gemma3"), ("gpt2", "qwen3")]
    {
        let compared = place.json(&["describe", own, "--against", other, "--context", "8"]);
        let total = |side: &str| &compared[side]["total"];
        assert_eq!(
            compared["own"]["architecture"]["width"],
            compared["other"]["architecture"]["width"]
        );
        for key in ["parameters", "cache"] {
            let changes = compared["changes"].as_array().unwrap();
            let sum: i64 = changes.iter().map(|change| change[key].as_i64().unwrap()).sum();
            let [from, to] = ["own", "other"].map(|side| number(&total(side)[key]) as i64);
            assert_eq!(sum, to - from, "{own} to {other}: {key}");
        }
    }
    // Learned positions are T·d parameters, and an untied head V·d.
    let compared = place.json(&["describe", "model", "--against", "llama"]);
    let effect = |field: &str| {
        let changes = compared["changes"].as_array().unwrap();
        let own = changes.iter().find(|change| change["differences"][0]["field"] == field);
        own.unwrap_or_else(|| panic!("{field}: {compared}"))["parameters"].as_i64().unwrap()
    };
    assert_eq!([effect("positions"), effect("tied")], [-48, 300]);
}

#[test]
fn bad_input_is_refused() {
    let place = Place::new();
    write(&place, "model", &gpt2());
    fs::create_dir(place.path("empty")).unwrap();
    write(&place, "odd", &json!({ "model_type": "gpt2", "n_embd": 7, "n_head": 3 }));
    write(&place, "other", &json!({ "model_type": "bert" }));
    for (arguments, words) in [
        (&["nothing"][..], &["nothing holds no model", "llama", "shakespeare-cpu"][..]),
        (&["empty"], &["empty holds no model", "config.json"]),
        (&["text.txt"], &["text.txt is a file"]),
        (&["odd"], &["width 7 is not a multiple of 3 heads"]),
        (&["other"], &["model_type", "bert"]),
        (&["model", "--context", "0"], &["sequences of 0 tokens", "1 to 8"]),
        (&["model", "--context", "9"], &["sequences of 9 tokens", "1 to 8"]),
        (&["model", "--context", "-1"], &["--context"]),
        (&["model", "--batch", "0"], &["batch is 0; it must be 1 or more"]),
        (&["model", "--batch", "18446744073709551615"], &["more than memory can address"]),
        (&["model", "--batch", "1000000000000000"], &["memory"]),
        (&["model", "--against", "nothing"], &["nothing holds no model"]),
        (&["story", "--vocabulary", "0"], &["vocabulary is 0"]),
        // Three features of a head cannot turn in pairs.
        (&["model", "--against", "gpt_neox"], &["rotate pairs of coordinates"]),
    ] {
        let said = place.refused(&[&["describe"], arguments].concat());
        says(&said, words);
    }
}
