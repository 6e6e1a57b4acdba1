//! The glass box: every number of a step has a derivation, and the derivation is the number.

use calculus::optimizer::{OptimizerConfig, OptimizerKind};
use linalg::Real;
use serde_json::Value;
use std::collections::BTreeSet;
use tests::{draw, models, outside_data};
use transformer::disk::files;
use transformer::inspect::explain::{Descent, Explanation, Quantity, Subject};
use transformer::{
    Adaptation, Adapter, Architecture, Biases, Form, FrozenWeights, IGNORED, RecordedStep, Target,
};

/// A step of AdamW with a memory, clipping and decay.
fn adam<T: Real>(parameters: usize) -> Descent<T> {
    let memory = |seed: u64, f: fn(f64) -> f64| {
        let drawn = draw::normal(seed, parameters, 1);
        drawn.iter().map(|x| T::from_f64(f(*x))).collect::<Vec<T>>()
    };
    Descent {
        rule: OptimizerConfig { weight_decay: 0.1, ..OptimizerConfig::default() },
        clip: 0.5,
        steps: 7,
        batch: Some(7),
        state: vec![
            ("first_moment", memory(1, |x| 0.01 * x)),
            ("second_moment", memory(2, |x| 1e-4 * x * x)),
        ],
        ..Descent::plain(3e-3)
    }
}

fn subject<T: Real>(config: &Architecture, descent: Descent<T>, seed: u64) -> Subject<T> {
    let model = RecordedStep::<T>::record(config, 1, 5, Form::Fused, 0).unwrap();
    let values = models::parameters(seed, &model.tape().parameter_list());
    Subject {
        title: "a test".into(),
        config: config.clone(),
        parameters: values.into_iter().map(T::from_f64).collect(),
        tokens: vec![3, 1, 4, 1, 5],
        targets: vec![1, 4, IGNORED, 5, 2],
        names: (0..config.vocabulary).map(|i| format!("w{i}")).collect(),
        descent,
        unigram: None,
        teacher: vec![],
        remarks: vec![],
        seed: 9,
    }
}

/// The arithmetic of a printed derivation, by another hand: from the JSON alone, whose shortest
/// decimals read back as the scalars.
fn evaluate<T: Real>(part: &Value, names: &[f64]) -> f64 {
    let number = |x: &Value| match x.as_str() {
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        Some(_) => f64::NAN,
        None => x.as_f64().expect("a number"),
    };
    let (kind, inner) = part.as_object().expect("a part").iter().next().expect("one key");
    let all = || inner.as_array().expect("parts").iter().map(|p| evaluate::<T>(p, names));
    match kind.as_str() {
        "number" => number(inner),
        "element" => T::from_f64(number(&part["value"])).to_f64(),
        "named" => names[inner.as_u64().expect("a place") as usize],
        "sum" => all().sum(),
        "product" => all().product(),
        "largest" => all().fold(f64::NEG_INFINITY, f64::max),
        "quotient" => evaluate::<T>(&inner[0], names) / evaluate::<T>(&inner[1], names),
        "negative" => -evaluate::<T>(inner, names),
        function => {
            let x = evaluate::<T>(inner, names);
            match function {
                "exp" => x.exp(),
                "ln" => x.ln(),
                "sqrt" => x.sqrt(),
                "tanh" => x.tanh(),
                "erf" => Real::erf(x),
                "positive" => f64::from(u8::from(x > 0.0)),
                other => panic!("{other} is no arithmetic"),
            }
        }
    }
}

/// Every quantity of every tensor; of each a sample. Returns how many quantities there were.
fn every_number<T: Real>(step: &Explanation<T>) -> usize {
    let mut wrong = Vec::new();
    let mut covered = BTreeSet::new();
    let all = step.quantities();
    for (k, (name, quantity, count)) in all.iter().enumerate() {
        for s in 0..10_u64 {
            let random = probability::random::Random::new(5, k as u32, 0);
            let index = random.below(s, *count as u64) as usize;
            let place = step.element_place(name, *quantity, index);
            let derived = step.derive(&place);
            assert!(
                derived.given.is_some() || !derived.paths.is_empty(),
                "{name} has no derivation"
            );
            covered.insert((name.clone(), quantity.to_string()));
            let json = step.json(&derived);
            let again: f64 = if derived.given.is_some() {
                derived.stored
            } else {
                let paths = json["paths"].as_array().unwrap();
                paths
                    .iter()
                    .map(|path| {
                        let mut names = Vec::new();
                        for named in path["where"].as_array().unwrap() {
                            names.push(evaluate::<T>(&named["is"], &names));
                        }
                        evaluate::<T>(&path["is"], &names)
                    })
                    .sum()
            };
            let stored = derived.stored;
            let same = again == stored || (again - stored).abs() <= derived.bound;
            if !same || !derived.holds() {
                wrong.push(format!(
                    "{}: {stored} is not {again} ± {:e}",
                    derived.name, derived.bound
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} numbers:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(covered.len(), all.len(), "every quantity of every tensor");
    all.len()
}

#[test]
fn every_number_is_what_its_derivation_says() {
    let base = models::config();
    let count = base.parameters();
    let plain = Architecture { biases: Biases::NONE, tied: false, ..base.clone() };
    let dropped = Architecture { dropout: 0.3, ..base.clone() };
    let tried = every_number(&Explanation::of(subject::<f32>(&base, adam(count), 3)).unwrap());
    println!("{tried} quantities in f32");
    every_number(&Explanation::of(subject::<f64>(&base, adam(count), 3)).unwrap());
    every_number(&Explanation::of(subject::<f32>(&dropped, adam(count), 4)).unwrap());
    let llama = models::llama();
    every_number(&Explanation::of(subject::<f64>(&llama, adam(llama.parameters()), 7)).unwrap());
    let muon = |descent: Descent<f32>| {
        let rule = OptimizerConfig { kind: OptimizerKind::Muon, ..descent.rule };
        Descent { rule, ..descent }
    };
    every_number(&Explanation::of(subject(&plain, muon(adam(plain.parameters())), 8)).unwrap());
    let momentum = Descent { rule: OptimizerConfig::sgd(0.9), ..Descent::plain(0.1) };
    every_number(&Explanation::of(subject::<f32>(&plain, momentum, 5)).unwrap());
    let step = Explanation::of(subject::<f64>(&plain, Descent::plain(0.1), 6)).unwrap();
    // Nothing but what is given or learned stands without arithmetic, and the loss's own gradient.
    for (name, quantity, _) in step.quantities() {
        let derived = step.derive(&step.element_place(&name, quantity, 0));
        let listed = step.list().into_iter().find(|l| l.name == name).unwrap();
        let computed = listed.operation.is_some();
        match quantity {
            Quantity::Value => assert_eq!(derived.given.is_none(), computed, "{name}"),
            Quantity::Gradient if name == "loss" => assert_eq!(derived.stored, 1.0),
            _ => assert!(derived.given.is_none(), "{name}: {quantity}"),
        }
    }
}

#[test]
fn a_gradient_names_the_paths_it_came_by() {
    let config = models::config();
    let step = Explanation::of(subject::<f64>(&config, Descent::plain(0.1), 3)).unwrap();
    // A tied table is read as embeddings and as the head.
    let place = step.place("embedding.token.weight[0,1]").unwrap();
    let derived = step.derive(&step.as_quantity(place, Quantity::Gradient).unwrap());
    let paths: Vec<&str> = derived.paths.iter().map(|p| p.through.as_str()).collect();
    assert_eq!(paths, ["embedding.token", "logits"]);
    // A residual stream is read by the next norm and by the sum that skips it.
    let place = step.place("block.0.attended[0,0]").unwrap();
    let derived = step.derive(&step.as_quantity(place, Quantity::Gradient).unwrap());
    let paths: Vec<&str> = derived.paths.iter().map(|p| p.through.as_str()).collect();
    assert_eq!(paths, ["block.0.norm_2", "block.0.output"]);
    let text = step.text(&derived);
    assert!(
        text.contains("path 1 of 2, by block.0.norm_2") && text.contains("all paths:"),
        "{text}"
    );
}

#[test]
fn the_remainder_of_the_ledger_is_of_third_order() {
    let config = models::config();
    for (descent, seed) in [(Descent::plain(1e-3), 3), (adam(config.parameters()), 4)] {
        let descent = Descent { batch: None, rate: 1e-3, ..descent };
        let step = Explanation::of(subject::<f64>(&config, descent, seed)).unwrap();
        let ledger = step.ledger().unwrap();
        let points: Vec<(f64, f64)> =
            ledger.remainders().iter().map(|(s, r)| (s.ln(), r.abs().ln())).collect();
        // From ¼ on: at the full step the fourth order is still seen.
        let points = &points[2..];
        let n = points.len() as f64;
        let mean = |f: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / n;
        let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
        let slope = mean(&|p| (p.0 - x) * (p.1 - y)) / mean(&|p| (p.0 - x).powi(2));
        println!("slope {slope:.3} of remainders {:?}", ledger.remainders());
        assert!((slope - 3.0).abs() <= 0.2, "{slope}");

        // Groups add up to the whole, and so do the tokens' shares.
        let first: f64 = ledger.groups.iter().map(|g| g.first).sum();
        let second: f64 = ledger.groups.iter().filter_map(|g| g.second).sum();
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * (1.0 + a.abs());
        assert!(close(first, ledger.first) && close(second, ledger.second.unwrap()));
        let parameters: usize = ledger.groups.iter().map(|g| g.parameters).sum();
        assert_eq!(parameters, config.parameters());
        let shares: f64 = ledger.shares.iter().map(|s| s.share).sum();
        assert!((shares - 1.0).abs() <= 1e-12, "{shares}");
        // The measured loss is the model's own.
        assert!((ledger.before - step.loss()).abs() <= 1e-12);
    }
}

/// The spectrum of an adapter is that of what merging adds to its matrix; the ledger's parts add up, and frozen weights have none.
#[test]
fn adapters_change_what_their_spectrum_says() {
    let base = models::config();
    let targets = vec![Target::Query, Target::Value, Target::Expanded];
    let adapter = Adapter {
        rank: 2,
        alpha: 3.0,
        rank_stabilized: false,
        magnitudes: false,
        dropout: 0.0,
        targets,
    };
    let mut config = base.clone();
    config.adaptation = Adaptation { adapter: Some(adapter), ..Adaptation::default() };
    let weights: Vec<f32> = models::parameters(4, &base.parameter_list().unwrap())
        .into_iter()
        .map(|x| x as f32)
        .collect();
    let list = base.parameter_list().unwrap();
    let frozen = FrozenWeights::of(&list, &weights, |name| config.adaptation.freezes(name));
    config.adaptation.frozen = Some(frozen);
    let step = Explanation::of(subject::<f64>(&config, Descent::plain(0.1), 3)).unwrap();

    let added = |adapters: &[f64]| {
        let mut sum = vec![0.0; weights.len()];
        config.merge(&mut sum, adapters);
        sum
    };
    let parameters = step.model().tape().parameters().to_vec();
    let (before, after) = (added(&parameters), added(step.updated()));
    let (changes, places) = (step.adapter_changes(), config.adapters().unwrap());
    assert_eq!(changes.len(), places.len());
    assert!(!changes.is_empty());
    for (change, place) in changes.iter().zip(places) {
        let norm = |all: &[f64]| {
            let (rows, own) = (place.whole.shape.rows, &all[place.whole.range.clone()]);
            let columns = own.chunks(rows).flat_map(|column| &column[place.rows.clone()]);
            columns.map(|x| x * x).sum::<f64>().sqrt()
        };
        let wide: Vec<f64> = weights.iter().map(|&x| f64::from(x)).collect();
        assert!((change.matrix - norm(&wide)).abs() < 1e-12 * change.matrix);
        for (spectrum, all) in [(&change.before, &before), (&change.after, &after)] {
            let own = spectrum.values.iter().map(|x| x * x).sum::<f64>().sqrt();
            assert!((own - norm(all)).abs() < 1e-12 * own, "{}: {own} {}", change.name, norm(all));
            assert!((spectrum.ratio - own / change.matrix).abs() < 1e-12 * spectrum.ratio);
            assert_eq!(spectrum.values.len(), 2);
            assert!(spectrum.effective_rank > 1.0 && spectrum.effective_rank <= 2.0);
        }
        assert_ne!(change.before, change.after);
        assert_eq!(change.lengths, None);
    }
    let ledger = step.ledger().unwrap();
    assert_eq!(ledger.frozen, weights.len());
    assert!(ledger.groups.iter().all(|group| group.name.ends_with(", adapters")));
    let parts: f64 = ledger.groups.iter().map(|group| group.first).sum();
    assert!((parts - ledger.first).abs() < 1e-12 * ledger.first.abs());
}

/// By how much the learned lengths of rows differ from those of W + s·B·A.
#[test]
fn lengths_of_rows_are_told() {
    let base = models::config();
    let adapter = Adapter {
        rank: 2,
        alpha: 3.0,
        rank_stabilized: false,
        magnitudes: true,
        dropout: 0.0,
        targets: vec![Target::Expanded],
    };
    let mut config = base.clone();
    config.adaptation = Adaptation { adapter: Some(adapter), ..Adaptation::default() };
    let list = base.parameter_list().unwrap();
    let weights: Vec<f32> = models::parameters(4, &list).into_iter().map(|x| x as f32).collect();
    let frozen = FrozenWeights::of(&list, &weights, |name| config.adaptation.freezes(name));
    config.adaptation.frozen = Some(frozen);
    let step = Explanation::of(subject::<f64>(&config, Descent::plain(0.1), 3)).unwrap();
    let changes = step.adapter_changes();
    assert_eq!(changes.len(), base.layers);
    let tape = step.model().tape();
    for change in changes {
        let value = |x: &str| {
            let var = tape.find(&format!("{}.{x}", change.name)).unwrap();
            linalg::Matrix::from_column_slice(
                tape.shape(var).rows,
                tape.shape(var).columns,
                &tape.weight(var),
            )
        };
        let [w, a, b, m] =
            ["weight", "adapter.a.weight", "adapter.b.weight", "adapter.magnitudes"].map(value);
        let own = w + b * a * 1.5;
        let far = own.row_iter().zip(m.iter()).map(|(row, m)| (m / row.norm() - 1.0).abs());
        let expected = far.fold(0.0, f64::max);
        let [before, after] = change.lengths.unwrap();
        assert!((before - expected).abs() < 1e-12 * expected, "{before} {expected}");
        assert!(after.is_finite() && after != before);
    }
}

#[test]
fn changes_break_what_they_take_away() {
    let config = models::config();
    let step = Explanation::of(subject::<f64>(&config, Descent::plain(0.05), 3)).unwrap();
    let before = step.outcome().unwrap();
    assert_eq!((before.loss, before.future), (step.loss(), 0.0));
    let changes = step.changes().unwrap();
    let names: Vec<&str> = changes.iter().map(|c| c.name).collect();
    let all =
        ["mask off", "1/√d off", "norm off", "learning rate × 10", "one target changed", "f16"];
    assert_eq!(names, all);
    let of = |name: &str| &changes.iter().find(|c| c.name == name).unwrap().outcome;
    assert!(of("mask off").future > 0.1);
    assert!(of("1/√d off").attention_entropy < before.attention_entropy);
    assert!(of("norm off").loss != before.loss);
    // A longer step changes what comes after it and nothing before.
    assert_eq!(of("learning rate × 10").loss, before.loss);
    assert!(of("learning rate × 10").after != before.after);
    assert!(of("one target changed").loss > before.loss);
    // Half precision: off by about 2⁻¹¹ of a value, not by more and not by nothing.
    let off = (of("f16").loss - before.loss).abs();
    assert!(off > 0.0 && off < 0.02 * before.loss, "{off}");
    for change in &changes {
        assert!(
            change.sentence.ends_with('.') && !change.sentence.contains("NaN"),
            "{}",
            change.sentence
        );
    }
}

#[test]
fn information_is_measured_in_its_own_units() {
    let config = models::config();
    let step = Explanation::of(subject::<f64>(&config, Descent::plain(0.05), 3)).unwrap();
    let about = step.information();
    let predicted: Vec<_> = about.predictions.iter().filter(|p| p.target.is_some()).collect();
    let mean = predicted.iter().map(|p| p.surprisal).sum::<f64>() / predicted.len() as f64;
    assert!((mean - about.nats).abs() < 1e-12);
    assert!((about.uniform - 7.0_f64.ln()).abs() < 1e-15);
    assert!(about.divergence >= 0.0 && about.entropy >= 0.0 && about.entropy <= about.uniform);
    assert_eq!(about.calibration.iter().map(|b| b.count).sum::<usize>(), predicted.len());
    assert!(predicted.iter().all(|p| p.top.windows(2).all(|w| w[0].1 >= w[1].1)));
}

#[test]
fn addresses_say_what_they_are_or_what_is_wrong() {
    let config = models::config();
    let step = Explanation::of(subject::<f32>(&config, Descent::plain(0.05), 3)).unwrap();
    let refused = |address: &str| step.place(address).unwrap_err().to_string();
    let place = step.place("block.1.attention.weights[1,4,2]").unwrap();
    assert_eq!(step.describe(&place), "block.1.attention.weights[1,4,2]");
    assert!(step.place("norm.bias[3]").is_ok() && step.place("norm.bias[3,0]").is_ok());
    assert!(
        refused("block.1.attention.weights[2,0,0]")
            .contains("head 0 to 1, query 0 to 4, key 0 to 4")
    );
    assert!(refused("norm.bias[8]").contains("row 0 to 7"));
    assert!(refused("weights[0,0,0]").contains("did you mean block.0.attention.weights"));
    assert!(refused("block.0.output").contains("write name[row,column]"));
    for nonsense in
        ["", "[", "]", "x[", "norm[-1,0]", "norm[0,0", "norm[0,0]]", "norm[9999999999999999999,0]"]
    {
        assert!(step.place(nonsense).is_err(), "{nonsense}");
    }
    let given = step.place("tokens[0]").unwrap();
    let error = step.as_quantity(given, Quantity::Gradient).unwrap_err().to_string();
    assert_eq!(error, "tokens is given, and cannot move: it has no gradient");
}

/// Two texts after a page's frame: its data, as a value.
fn data(html: &str) -> Value {
    let start = "<script type=\"application/json\" id=\"data\">";
    let rest = html.split(start).nth(1).expect("data");
    serde_json::from_str(rest.split("</script>").next().unwrap()).expect("JSON")
}

#[test]
fn what_the_user_writes_stays_text() {
    let config = models::config();
    let hostile = [
        "</script><script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<!--<script>",
        "\u{202e}אבג\u{2066}",
        "👩‍👩‍👧‍👦",
        "&lt;\"'{{data}}\u{0}\u{7}",
        "$&$1\\u003c",
    ];
    let names: Vec<String> = hostile.iter().map(|s| s.repeat(40)).collect();
    let title = format!("{}{}", hostile.concat(), "x".repeat(10_000));
    let plain = Explanation::of(subject::<f32>(&config, Descent::plain(0.05), 3)).unwrap();
    let of = |title: String, names: Vec<String>| {
        let subject =
            Subject { title, names: names.clone(), remarks: names, ..plain.subject().clone() };
        Explanation::of(subject).unwrap()
    };
    let step = of(title.clone(), names.clone());
    let html = step.page(10_000_000).unwrap().html;
    let harmless = of("t".into(), vec!["a".into(); 7]).page(10_000_000).unwrap().html;
    for tag in ["<script", "</script", "<img", "<!--", "<svg", "onerror=alert(1)>"] {
        let inside = |html: &str| html.matches(tag).count();
        // Within JSON, `>` is harmless; what begins markup is not there at all.
        if tag.starts_with('<') {
            assert_eq!(inside(&html), inside(&harmless), "{tag}");
        }
    }
    let data = data(&html);
    assert_eq!(data["title"], title);
    assert_eq!(data["names"][0], names[0]);
    assert_eq!(data["remarks"][5], names[5]);
    for (name, svg) in step.pictures(&step.ledger().unwrap()) {
        assert!(
            !svg.contains("<script") && !svg.contains("<img") && !svg.contains('\u{0}'),
            "{name}"
        );
    }
}

/// Four layers of width 64, eight tokens.
fn four_layers(descent: Descent<f32>) -> Explanation<f32> {
    let config = Architecture {
        vocabulary: 65,
        context: 64,
        width: 64,
        heads: 4,
        layers: 4,
        hidden: 256,
        ..Architecture::default()
    };
    let mut model = RecordedStep::<f32>::record(&config, 1, 8, Form::Fused, 0).unwrap();
    model.initialise(3);
    let tokens = draw::below(4, 9, 65);
    Explanation::of(Subject {
        title: "four layers".into(),
        parameters: model.tape().parameters().to_vec(),
        tokens: tokens[..8].to_vec(),
        targets: tokens[1..].to_vec(),
        names: vec![],
        descent,
        unigram: None,
        teacher: vec![],
        remarks: vec![],
        seed: 0,
        config,
    })
    .unwrap()
}

#[test]
fn a_page_has_its_size_and_says_what_it_leaves_out() {
    // A first step: the rule remembers nothing, and everything fits.
    let first = Descent { state: vec![], steps: 0, ..adam(0) };
    let page = four_layers(first).page(3_000_000).unwrap();
    println!("first step: {} bytes", page.html.len());
    assert!(page.html.len() <= 3_000_000 && page.left_out.is_empty(), "{:?}", page.left_out);
    // Later, two moments of every parameter more: what does not fit is named.
    let step = four_layers(adam(first_parameters()));
    let page = step.page(3_000_000).unwrap();
    println!("later step: {} bytes, {} left out", page.html.len(), page.left_out.len());
    assert!(page.html.len() <= 3_000_000);
    let data = data(&page.html);
    assert_eq!(data["left_out"].as_array().unwrap().len(), page.left_out.len());
    let whole = step.page(10_000_000).unwrap();
    assert!(whole.left_out.is_empty());
    // Hardly any room: a page all the same, by summary.
    let small = step.page(1000).unwrap();
    assert!(!small.left_out.is_empty() && small.html.len() < 1_000_000);
    // The room is that of the whole page, wherever all that has no number fits.
    for room in [small.html.len() + 5000, 700_000, 1_500_000] {
        let page = step.page(room).unwrap();
        assert!(page.html.len() <= room, "{} bytes in {room}", page.html.len());
        assert!(room < 700_000 || page.html.len() > room * 4 / 5, "{} of {room}", page.html.len());
    }
}

fn first_parameters() -> usize {
    let config = Architecture {
        vocabulary: 65,
        context: 64,
        width: 64,
        heads: 4,
        layers: 4,
        hidden: 256,
        ..Architecture::default()
    };
    config.parameters()
}

#[test]
fn attention_of_a_trained_model_is_its_authors() {
    let Some(directory) = outside_data("gpt-nano-sort") else { return };
    let (config, parameters) = files::read::<f32>(&directory).unwrap();
    let golden = tests::golden::tensors(&directory.join("activations.safetensors"));
    let (length, heads) = (11, config.heads);
    for (b, row) in golden["idx"].chunks(length).enumerate() {
        let tokens: Vec<u32> = row.iter().map(|t| *t as u32).collect();
        let targets = tests::golden::next_tokens(std::slice::from_ref(&tokens));
        let step = Explanation::of(Subject {
            title: "gpt-nano-sort".into(),
            config: config.clone(),
            parameters: parameters.clone(),
            tokens,
            targets,
            names: vec!["0".into(), "1".into(), "2".into()],
            descent: Descent::plain(1e-3),
            unigram: None,
            teacher: vec![],
            remarks: vec![],
            seed: 0,
        })
        .unwrap();
        for head in 0..heads {
            for query in 0..length {
                for key in 0..length {
                    let expected =
                        golden["attSm"][((b * heads + head) * length + query) * length + key];
                    let address = format!("block.0.attention.weights[{head},{query},{key}]");
                    let derived = step.derive(&step.place(&address).unwrap());
                    assert!((derived.stored - expected).abs() <= 1e-5, "{address}");
                    assert!(derived.holds(), "{}", step.text(&derived));
                    assert!(key <= query || derived.stored == 0.0, "{address} sees the future");
                }
            }
        }
        // How it sorts: from the last digit on, every head looks at the digit that is written next, more
        // than at the others by chance.
        let digits = &step.subject().tokens[..6];
        for head in 0..heads {
            let (mut looked, mut chance) = (0.0, 0.0);
            for query in 5..length {
                let p = step.probabilities(query);
                let next = (0..3).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap() as u32;
                let weight = |key: usize| {
                    let address = format!("block.0.attention.weights[{head},{query},{key}]");
                    step.derive(&step.place(&address).unwrap()).stored
                };
                let same = (0..6).filter(|&k| digits[k] == next);
                looked += same.clone().map(weight).sum::<f64>() / (0..6).map(weight).sum::<f64>();
                chance += same.count() as f64 / 6.0;
            }
            println!(
                "sequence {b}, head {head}: {:.2}, by chance {:.2}",
                looked / 6.0,
                chance / 6.0
            );
            assert!(looked > chance + 0.5, "head {head}");
        }
        for (place, expected) in golden["probs"].chunks(3).skip(b * length).take(length).enumerate()
        {
            let found = step.probabilities(place);
            assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= 1e-5));
        }
        every_number(&step);
    }
}
