//! Chinchilla's law of loss, refitted from the points of its figure 4.
//!
//! Hoffmann et al., *Training Compute-Optimal Large Language Models*, 2022 (2203.15556); Besiroglu et al., *Chinchilla
//! Scaling: A replication attempt*, 2024 (2404.10102), who read the points off the figure and print this fit.

use super::page::{Lab, Origin, Page, Picture, Result};
use transformer::inspect::plan::{Known, Point, ScalingLaw};

const FROM: &str = "https://github.com/epoch-research/analyzing-chinchilla";

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "Chinchilla: loss as a law of size and data",
        "Hoffmann et al. 2022; refitted by Besiroglu et al., *Chinchilla Scaling: A replication attempt*, 2024",
        "The final loss of a language model is L(N, D) = E + A/N^α + B/D^β in its parameters N and tokens D, with \
         exponents so near to each other that both should grow alike: about twenty tokens a parameter.",
    );
    page.formulas = vec![
        ["L(N, D) = E + A·N^−α + B·D^−β", "`ScalingLaw::loss`"],
        [
            "minimise Σ Huber_δ(log-sum-exp(a − α ln N, b − β ln D, e) − ln L), δ = 10⁻³",
            "`ScalingLaw::fit`: L-BFGS from a grid of starts, on gradients by dual numbers",
        ],
        [
            "N_opt ∝ C^(β/(α+β)), D_opt = C/(6 N_opt)",
            "`ScalingLaw::best`: the size and the tokens that C floating-point operations pay for",
        ],
    ];
    // One experiment a line: parameters, operations, loss. Training takes 6·N·D operations.
    let file = lab.text("scaling/chinchilla.csv", FROM)?;
    let mut points = Vec::new();
    for (i, line) in file.lines().enumerate().skip(1) {
        let x: Vec<f64> = line.split(',').map_while(|x| x.trim().parse().ok()).collect();
        let [parameters, operations, loss, ..] = x[..] else {
            return Err(format!("line {} is not parameters,operations,loss: {line}", i + 1).into());
        };
        points.push(Point { parameters, tokens: operations / (6.0 * parameters), loss });
    }
    // The replication leaves out the five highest losses.
    points.sort_by(|a, b| b.loss.total_cmp(&a.loss));
    let points = points.get(5..).ok_or("fewer than five points")?;
    (lab.progress)(0.1, "fitting 240 points");
    let found = ScalingLaw::fit(points, Known::default(), 0)?;
    let law = found.law;

    let tenth = |error: f64| 0.1 * error; // of the standard errors that the replication prints
    page.row("objective", Origin::Published, [0.00101827, found.objective], 5e-9, 8);
    page.row("A", Origin::Published, [482.01, law.a], tenth(124.58), 2);
    page.row("B", Origin::Published, [2085.43, law.b], tenth(1293.23), 2);
    page.row("E, nats", Origin::Published, [1.81686, law.e], tenth(0.03), 5);
    page.row("α", Origin::Published, [0.347813, law.alpha], tenth(0.02), 6);
    page.row("β", Origin::Published, [0.365854, law.beta], tenth(0.02), 6);
    let theirs = ScalingLaw { e: 1.81686, a: 482.01, alpha: 0.347813, b: 2085.43, beta: 0.365854 };
    let off = points.iter().map(|p| {
        let loss = |law: ScalingLaw| law.loss(p.parameters, p.tokens);
        (loss(law) / loss(theirs) - 1.0).abs()
    });
    let worst = off.fold(0.0, f64::max);
    page.row(
        "largest relative difference of the two laws' losses",
        Origin::Claimed,
        [0.0, worst],
        1e-3,
        6,
    );
    page.seen = "The published constants lie in a flat valley of the objective and are not its lowest point: \
                 Nelder-Mead, begun at them, ends where this fit does."
        .to_owned();

    // Losses over size, by tokens a parameter.
    let of = |p: &Point| [p.parameters, p.loss];
    let mut picture = Picture::new("Losses and the law", ["parameters", "loss, nats a token"])
        .logarithmic([true, true])
        .points("experiments", points.iter().map(of).collect())
        .level("E", law.e);
    for ratio in [5.0, 20.0, 80.0] {
        let curve = (0..=40).map(|i| {
            let n = 10_f64.powf(7.6 + 2.8 * f64::from(i) / 40.0);
            [n, law.loss(n, ratio * n)]
        });
        picture = picture.line(format!("{ratio} tokens a parameter"), curve.collect());
    }
    page.pictures.push(picture);
    page.to_break = "Keep all 245 points (`get(0..)`): the five highest losses, of runs of few tokens, move β from 0.367 \
                     to 0.453.";
    Ok(page)
}
