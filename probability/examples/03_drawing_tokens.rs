//! Four ways to draw a token, each compared with the distribution by a χ² test; and the effects of a sampler's
//! settings.
//!
//! `cargo run -p glassbox-probability --example 03_drawing_tokens -- 1337` draws with that seed.

use probability::alias::AliasTable;
use probability::goodness::chi_squared;
use probability::gumbel::gumbel_max;
use probability::sample::Sampler;
use probability::{Categorical, Random};
use std::process::ExitCode;

const LOGITS: [f64; 8] = [5.0, 3.5, 2.0, 1.0, 0.5, 0.1, -1.0, -2.0];
const DRAWS: u64 = 100_000;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let seed = std::env::args().nth(1).unwrap_or("1337".into());
    let seed = seed.parse().map_err(|e| format!("seed {seed:?}: {e}"))?;
    let (random, p) = (Random::new(seed, 0, 0), Categorical::from_logits(&LOGITS)?);
    let table = AliasTable::new(&p);
    println!("{DRAWS} draws each from softmax{LOGITS:?}\n");
    println!(
        "{:<20} {}     χ²  p-value",
        "",
        (0..8).map(|i| format!("{i:>8}")).collect::<String>()
    );
    println!(
        "{:<20} {}",
        "expected",
        p.probabilities().iter().map(|p| format!("{p:8.5}")).collect::<String>()
    );
    let ways: [(&str, &dyn Fn(u64) -> usize); 3] = [
        ("inverse transform", &|i| p.draw(&random, i)),
        ("alias table", &|i| table.draw(&random, i)),
        ("Gumbel's maximum", &|i| gumbel_max(&LOGITS, &random, i).unwrap_or(0)), // the logits were checked above
    ];
    for (name, draw) in ways {
        let mut counts = [0; 8];
        (0..DRAWS).for_each(|i| counts[draw(i)] += 1);
        let test = chi_squared(&counts, &p)?;
        let shares: String =
            counts.iter().map(|&n| format!("{:8.5}", n as f64 / DRAWS as f64)).collect();
        println!("{name:<20} {shares} {:6.2} {:8.3}", test.statistic, test.p_value);
    }

    println!("\nThe effects of a sampler's settings (the textbook's section 5.2, recomputed):");
    let plain = Sampler::default();
    for (name, sampler) in [
        ("temperature 0.7", Sampler { temperature: 0.7, ..plain }),
        ("temperature 2", Sampler { temperature: 2.0, ..plain }),
        ("top-k 4", Sampler { top_k: Some(4), ..plain }),
        ("top-p 0.95", Sampler { top_p: Some(0.95), ..plain }),
        ("min-p 0.1", Sampler { min_p: Some(0.1), ..plain }),
        ("typical 0.5", Sampler { typical: Some(0.5), ..plain }),
        ("penalty 2 on 0", Sampler { repetition_penalty: 2.0, ..plain }),
        (
            "all of them",
            Sampler {
                temperature: 2.0,
                top_k: Some(4),
                top_p: Some(0.95),
                min_p: Some(0.1),
                typical: Some(0.9),
                repetition_penalty: 2.0,
            },
        ),
    ] {
        let p = sampler.distribution_after(&[0], &LOGITS)?;
        let cells: String = p
            .iter()
            .map(|p| if *p == 0.0 { format!("{:>8}", "·") } else { format!("{p:8.5}") })
            .collect();
        println!("{name:<20} {cells}");
    }
    Ok(())
}
