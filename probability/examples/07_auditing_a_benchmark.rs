//! Two models on a benchmark of questions about documents: what may be said, and with which certainty.
//!
//! `cargo run -p glassbox-probability --example 07_auditing_a_benchmark`
//!
//! Questions of one document are right or wrong together, a model's confidence need not be its accuracy, and four comparisons
//! have four chances to find something. All numbers are simulated; put your own in their place.

use probability::interval::{clopper_pearson, credible, wilson};
use probability::{
    Random, bootstrap, calibration, distribution::Beta, multiple, paired, pass_at_k::pass_at_k,
    power,
};

const DOCUMENTS: u64 = 60;
const QUESTIONS: u64 = 8;

/// Whether each answer is right, and the model's probability of it. A document's difficulty is common to all models.
fn answers(skill: f64, stream: u32) -> (Vec<bool>, Vec<f64>) {
    let (difficulty, own) = (Random::new(1, 0, 0), Random::new(1, stream, 0));
    let answer = |i: u64| {
        let easy = 1.2 * difficulty.normal(i / QUESTIONS) + skill;
        let p = 1.0 / (1.0 + (-easy).exp());
        // An overconfident model: its log-odds are half as large again as the true ones.
        (own.uniform(i) < p, 1.0 / (1.0 + (-1.5 * easy).exp()))
    };
    (0..DOCUMENTS * QUESTIONS).map(answer).unzip()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (base, _) = answers(0.4, 1);
    let random = Random::new(2, 0, 0);
    let mut p_values = vec![];
    println!("model   accuracy  95 % (questions)  95 % of the difference (documents)   McNemar");
    for (name, skill, stream) in [("A", 0.4, 2), ("B", 0.6, 3), ("C", 0.8, 4), ("D", 0.1, 5)] {
        let (right, _) = answers(skill, stream);
        let count = right.iter().filter(|right| **right).count() as u64;
        let alone = wilson(count, right.len() as u64, 0.95)?;
        let difference = |i: usize| f64::from(u8::from(right[i])) - f64::from(u8::from(base[i]));
        let of_document = |d: u64| {
            (d * QUESTIONS..(d + 1) * QUESTIONS).map(|i| difference(i as usize)).sum::<f64>()
        };
        let sums: Vec<f64> = (0..DOCUMENTS).map(of_document).collect();
        let sizes = vec![QUESTIONS as f64; sums.len()];
        let apart = bootstrap::clustered(&sums, &sizes, 0.95, 10_000, &random)?;
        let test = paired::mcnemar(&right, &base)?;
        p_values.push(test.p_value);
        println!(
            "  {name}      {:.3}    {:.3} to {:.3}     {:+.3} to {:+.3}                     p = {:.4}",
            count as f64 / right.len() as f64,
            alone.low,
            alone.high,
            apart.low,
            apart.high,
            test.p_value
        );
    }
    println!("\nadjusted for four tests (Holm): {:.4?}", multiple::holm(&p_values)?);
    println!("  (Benjamini and Hochberg):     {:.4?}", multiple::benjamini_hochberg(&p_values)?);

    let (right, confidence) = answers(0.8, 4);
    let found = calibration::measure(&confidence, &right, 10)?;
    println!("\nmodel C says      is right");
    for bin in &found.bins {
        let bar = "#".repeat((30.0 * bin.accuracy()) as usize);
        println!("  {:.2}  of {:>3}      {:.2} {bar}", bin.confidence, bin.count, bin.accuracy());
    }
    println!(
        "ECE {:.3}; Brier {:.4} = {:.4} reliability − {:.4} resolution + {:.4} uncertainty {:+.4} within bins",
        found.expected_error,
        found.brier,
        found.reliability,
        found.resolution,
        found.uncertainty,
        found.within
    );

    println!("\npass@10 of a problem with 3 of 50 samples right: {:.3}", pass_at_k(50, 3, 10)?);
    println!(
        "no leak in 400 prompts: the rate is at most {:.4} (95 %)",
        clopper_pearson(0, 400, 0.9)?.high
    );
    let rate = credible(&Beta::new(0.5, 0.5)?.posterior(9, 1)?, 0.95)?;
    println!("9 of 10 wins: the rate is {:.2} to {:.2}", rate.low, rate.high);
    println!(
        "documents for a difference of a fifth of their spread: {}",
        power::pairs_needed(0.2, 0.05, 0.8)?
    );
    Ok(())
}
