//! µP: with rates and initial weights that follow the width, the best rate of a narrow model is that of a wide one.
//!
//! Yang et al., *Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer*, 2022 (2203.03466).

use super::page::{Lab, Origin, Page, Picture, Result};
use transformer::inspect::check::widths::Widths;
use transformer::text::tokenizer::Tokenizer;
use transformer::{Corpus, Parametrization, ScheduleKind, Trainer, TrainingConfig};

const FROM: &str = "https://github.com/karpathy/char-rnn (data/tinyshakespeare/input.txt)";
/// The width for which the rate was chosen, those that are compared, and the updates.
const BASE: usize = 256;
const WIDTHS: [usize; 4] = [64, 128, 256, 512];
const STEPS: u64 = 100;
/// The updates whose loss is averaged.
const LAST: u64 = 20;
const RATES: [f64; 5] = [5e-4, 1e-3, 2e-3, 4e-3, 8e-3];

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "µP: the same rate at every width",
        "Yang et al., *Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer*, 2022",
        "With the usual parametrization a step of Adam changes a wider model's activations more, so that its best rate is \
         smaller, and a rate that suits a narrow model harms a wide one. With µP the change is the same at every width: the \
         rate transfers, and wider is better.",
    );
    page.formulas = vec![
        [
            "hidden matrices: variance ∝ 1/width, rate η/m, m = width/base",
            "`Parametrization::Mup`, for Adam",
        ],
        ["scores q·k/d for 1/√d; logits W·x/m", "the same; all four are 1 at the base width"],
        [
            "coordinate check: Δx ∝ width^a",
            "`inspect::check::widths`: a is 1 after one hidden matrix, more after several; 0 in µP",
        ],
    ];
    let text = lab.text("text/tinyshakespeare.txt", FROM)?;
    let tokenizer = Tokenizer::characters_of(&text);
    let (text, vocabulary) = (tokenizer.encode(&text)?, tokenizer.vocabulary());
    let corpus = Corpus::text(text, 0.1, 32)?;
    let config = |parametrization, width, learning_rate, seed| TrainingConfig {
        layers: 1,
        heads: 4,
        width,
        context: 32,
        batch: 16,
        tied: false,
        schedule: ScheduleKind::Constant,
        min_learning_rate: 0.0,
        warmup: 0,
        learning_rate,
        parametrization,
        base_width: (parametrization == Parametrization::Mup).then_some(BASE),
        seed,
        ..TrainingConfig::default()
    };
    let mut changes =
        Picture::new("Change of an activation in 4 updates", ["width", "root mean square"])
            .logarithmic([true, true]);
    let both = [(Parametrization::Standard, "standard"), (Parametrization::Mup, "µP")];
    for (k, (parametrization, name)) in both.into_iter().enumerate() {
        let title = format!("Loss after {STEPS} updates, {name}");
        let mut picture = Picture::new(title, ["rate", "nats a character"]);
        // At a rate so small that changes are proportional to it.
        let small = config(parametrization, WIDTHS[0], RATES[0] / 8.0, 0);
        let check = Widths { config: small, widths: WIDTHS.to_vec(), seeds: lab.seeds.max(2) };
        let check = check.run(&corpus, vocabulary, |_| {})?;
        let largest = check.coordinates.iter().max_by(|a, b| a.exponent.total_cmp(&b.exponent));
        let largest = largest.ok_or("no activations")?;
        let points = WIDTHS.iter().zip(&largest.changes).map(|(w, c)| [*w as f64, *c]);
        changes = changes.line(format!("{name}: {}", largest.name), points.collect());
        let (expected, tolerance) = [(1.5, 0.75), (0.0, 0.25)][k];
        let what = format!("{name}: largest a of an activation");
        page.row(&what, Origin::Claimed, [expected, largest.exponent], tolerance, 2);
        let mut losses = vec![];
        for (i, width) in WIDTHS.into_iter().enumerate() {
            let mut curve = vec![];
            for rate in RATES {
                (lab.progress)(0.5 * k as f64 + 0.1 * i as f64, name);
                let mut sum = 0.0;
                for seed in 0..lab.seeds {
                    let config = config(parametrization, width, rate, seed);
                    let mut trainer =
                        Trainer::<f32>::new(config.clone(), &config.model(vocabulary)?)?;
                    for i in 0..STEPS {
                        let loss = trainer.step(&corpus)?.loss;
                        sum +=
                            if i < STEPS - LAST { 0.0 } else { loss / (LAST * lab.seeds) as f64 };
                    }
                }
                curve.push([rate, sum]);
            }
            picture = picture.line(format!("width {width}"), curve.clone());
            losses.push(curve);
        }
        let best = |c: &[[f64; 2]]| {
            c.iter().min_by(|a, b| a[1].total_cmp(&b[1])).map_or([f64::NAN; 2], |p| *p)
        };
        let [narrow, wide] = [&losses[0], &losses[WIDTHS.len() - 1]].map(|c| best(c));
        let slope = (wide[0] / narrow[0]).log2() / 3.0;
        let what = format!("{name}: exponent of the best rate over the width, 64 to 512");
        page.row(&what, Origin::Claimed, [k as f64 - 1.0, slope], 0.34, 2);
        let at =
            losses[WIDTHS.len() - 1].iter().find(|p| p[0] == narrow[0]).map_or(f64::NAN, |p| p[1]);
        let what = format!("{name}: nats that width 64's best rate costs at width 512");
        let (expected, tolerance) = [(0.6, 0.4), (0.0, 0.05)][k];
        page.row(&what, Origin::Claimed, [expected, at - wide[1]], tolerance, 3);
        page.pictures.push(picture.logarithmic([true, false]));
    }
    page.pictures.push(changes);
    page.to_break = "`BASE` is the only width at which both are the same run, to the bit. With `base_width: Some(width)` in `config` µP is \
                     the standard parametrization at every width, and its rows are missed like those.";
    Ok(page)
}
