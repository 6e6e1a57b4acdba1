//! microgpt: a GPT of 200 lines of Python without packages, to the last digit and the last name.
//!
//! Karpathy, *microgpt*, 2026 (gist 8627fe009c40f57531cb18360106ce95).

use super::page::{Lab, Origin, Page, Picture, Result};
use super::python::Python;
use calculus::optimizer::{Adam, Optimizer};
use transformer::model::family;
use transformer::{Architecture, Decoder, Form, RecordedStep};

const FROM: &str = "https://github.com/karpathy/makemore (names.txt)";
/// The token that begins and ends a name; the others are the letters.
const BOUNDARY: u32 = 26;
/// What the original prints after its training.
const NAMES: [&str; 20] = [
    "kamon", "ann", "karai", "jaire", "vialan", "karia", "yeran", "anna", "areli", "kaina",
    "konna", "keylen", "liole", "alerin", "earan", "lenne", "kana", "lara", "alela", "anton",
];

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "microgpt",
        "Karpathy, *microgpt*, 2026",
        "All of a GPT's algorithm is 200 lines: 4,192 parameters learn names in 1,000 steps of one name each, from a loss \
         of 3.366 to about 2.65, and make up new ones.",
    );
    page.formulas = vec![
        [
            "x = rmsnorm(wte[token] + wpe[position])",
            "`embedding_norm`: `architecture microgpt` of `family::usual`",
        ],
        ["rmsnorm(x) = x/√(mean(x²) + 10⁻⁵)", "`probability::rms_norm::RmsNorm` without a gain"],
        [
            "x ← x + W_o·attention(rmsnorm(x)); x ← x + W₂·relu(W₁·rmsnorm(x))",
            "one block of `model::layers`",
        ],
        ["m̂/(√v̂ + 10⁻⁸), β = 0.85, 0.99, rate 0.01·(1 − step/1000)", "`calculus::optimizer::Adam`"],
        ["random.choices(softmax(logits/0.5))", "`Python::choice`"],
    ];
    let names = lab.text("text/names.txt", FROM)?;
    let mut names: Vec<&str> =
        names.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.len() < 1000 {
        return Err(format!("{} names; a step learns one, and there are 1000", names.len()).into());
    }
    let mut random = Python::seeded(42);
    random.shuffle(&mut names);
    let config = family::usual("microgpt")?;
    let mut parameters = drawn(&config, &mut random)?;

    // One recording for every length of a name.
    let record = |n| RecordedStep::<f64>::record(&config, 1, n, Form::Fused, 0);
    let mut steps = (1..=config.context).map(record).collect::<std::result::Result<Vec<_>, _>>()?;
    let mut adam: Adam<f64> = Adam::new(parameters.len(), 0.85, 0.99, 1e-8);
    let mut losses = Vec::new();
    for (i, name) in names.iter().take(1000).enumerate() {
        let letters = name.bytes().map(|b| u32::from(b.wrapping_sub(b'a')));
        let all: Vec<u32> = [BOUNDARY].into_iter().chain(letters).chain([BOUNDARY]).collect();
        let n = config.context.min(all.len() - 1);
        let step = &mut steps[n - 1];
        step.copy_parameters(&parameters);
        let loss = step.loss_var();
        losses.push(step.loss(&all[..n], &all[1..=n])?);
        step.tape_mut().zero_gradients();
        step.tape_mut().backward(loss);
        adam.step(0.01 * (1.0 - i as f64 / 1000.0), &mut parameters, step.tape().gradients());
        (lab.progress)(i as f64 / 1000.0, "training");
    }
    for (step, expected) in [(1, 3.3660), (2, 3.4243), (3, 3.1778), (1000, 2.6497)] {
        let what = format!("loss at step {step}, nats a letter");
        page.row(&what, Origin::Published, [expected, losses[step - 1]], 5e-5, 4);
    }
    if let Ok(original) = lab.text("microgpt.json", "a run of the original") {
        let original: serde_json::Value = serde_json::from_str(&original)?;
        let theirs = original["losses"].as_array().into_iter().flatten().filter_map(|x| x.as_f64());
        let worst = losses.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        page.row("all losses: largest difference", Origin::Published, [0.0, worst], 1e-12, 4);
    }
    let made = made_up(&config, &parameters, &mut random)?;
    let same = made.iter().zip(NAMES).filter(|(own, name)| own == name).count();
    page.row("names equal to its twenty", Origin::Published, [20.0, same as f64], 0.0, 0);
    page.seen = format!("Names it makes up: {}.", made.join(", "));
    let at = |(i, &loss): (usize, &f64)| [i as f64 + 1.0, loss];
    let mean = |(i, w): (usize, &[f64])| [i as f64 + 25.0, w.iter().sum::<f64>() / 50.0];
    page.pictures.push(
        Picture::new("Loss of a name", ["step", "loss, nats a letter"])
            .points("names", losses.iter().enumerate().map(at).collect())
            .line("mean of fifty", losses.windows(50).enumerate().map(mean).collect())
            .level("ln 27", 27_f64.ln()),
    );
    page.to_break = "Seed 43 instead of 42: all digits and names change, the mean of the last fifty losses by about 0.1. \
                     Or leave `embedding_norm` out of the architecture.";
    Ok(page)
}

/// Its parameters, drawn row after row of its matrices, where they stand here.
fn drawn(config: &Architecture, random: &mut Python) -> Result<Vec<f64>> {
    let (list, d) = (config.parameter_list()?, config.width);
    let mut parameters = vec![0.0; config.parameters()];
    // Tables have a column here for a row there; queries, keys and values are one matrix here.
    for (name, first, rows, table) in [
        ("embedding.token", 0, config.vocabulary, true),
        ("embedding.position", 0, config.context, true),
        ("head", 0, config.vocabulary, true),
        ("block.0.attention.qkv", 0, d, false),
        ("block.0.attention.qkv", d, d, false),
        ("block.0.attention.qkv", 2 * d, d, false),
        ("block.0.attention.projection", 0, d, false),
        ("block.0.feed_forward.expanded", 0, config.hidden, false),
        ("block.0.feed_forward.contracted", 0, d, false),
    ] {
        let own = list.iter().find(|p| p.name == format!("{name}.weight"));
        let own = own.ok_or_else(|| format!("no parameter {name}"))?;
        let columns = if table { d } else { own.shape.columns };
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)))
        {
            let place =
                if table { row * d + column } else { column * own.shape.rows + first + row };
            parameters[own.range.start + place] = 0.08 * random.gauss();
        }
    }
    Ok(parameters)
}

/// Twenty names at temperature 0.5.
fn made_up(config: &Architecture, parameters: &[f64], random: &mut Python) -> Result<Vec<String>> {
    let mut decoder = Decoder::<f64>::record(config)?;
    decoder.parameters_mut().copy_from_slice(parameters);
    let mut made = Vec::new();
    for _ in 0..20 {
        decoder.clear();
        let (mut token, mut name) = (BOUNDARY, String::new());
        for _ in 0..config.context {
            let mut weights: Vec<f64> = decoder.read(token)?.iter().map(|z| z / 0.5).collect();
            let largest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            weights.iter_mut().for_each(|z| *z = (*z - largest).exp());
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|w| *w /= sum);
            token = random.choice(&weights) as u32;
            if token == BOUNDARY {
                break;
            }
            name.push((b'a' + token as u8) as char);
        }
        made.push(name);
    }
    Ok(made)
}
