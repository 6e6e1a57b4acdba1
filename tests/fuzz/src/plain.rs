//! Runs one target without cargo-fuzz, or writes the seeds that its code makes.
//!
//!     plain TARGET CORPUS SECONDS SEED CURRENT     tries it; the input is in CURRENT when it fails
//!     plain seeds CORPUS                           writes seeds into CORPUS/TARGET for all
//!     plain names                                  prints the targets

use std::path::Path;
use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["names"] => fuzz::TARGETS.iter().for_each(|target| println!("{}", target.name)),
        ["seeds", corpus] => {
            for target in &fuzz::TARGETS {
                let directory = Path::new(corpus).join(target.name);
                std::fs::create_dir_all(&directory).expect("a directory");
                for (i, seed) in (target.seeds)().iter().enumerate() {
                    std::fs::write(directory.join(format!("seed-{i}")), seed).expect("a seed");
                }
            }
        }
        [name, corpus, seconds, seed, current] => {
            let target = fuzz::target(name).expect("the name of a target");
            let time = Duration::from_secs_f64(seconds.parse().expect("seconds"));
            let seed = seed.parse().expect("a seed");
            let report = fuzz::run(target, Path::new(corpus), seed, time, Path::new(current));
            let fuzz::run::Report { executions, accepted, outcomes, slowest } = report;
            println!(
                "{name:12} {executions:>10} executions, {accepted:>9} accepted, {outcomes:>4} outcomes, slowest {slowest:.1?}"
            );
        }
        _ => panic!(
            "usage: plain TARGET CORPUS SECONDS SEED CURRENT | plain seeds CORPUS | plain names"
        ),
    }
}
