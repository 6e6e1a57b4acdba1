//! A source with a formula for its entropy rate, and the estimate from a walk.
//!
//! `cargo run --release -p glassbox-infotheory --example 03_markov_entropy_rate`

use infotheory::InfoError;
use infotheory::markov::{MarkovChain, mean_of_dependent};
use infotheory::shannon::series;
use linalg::matrix;
use probability::random::Random;

fn main() -> Result<(), InfoError> {
    // Weather of three kinds: a column is the distribution of the day after sun, clouds, rain.
    let chain: MarkovChain =
        MarkovChain::new(matrix(3, 3, &[0.8, 0.15, 0.05, 0.3, 0.4, 0.3, 0.1, 0.4, 0.5]))?;
    let days = chain.stationary()?;
    println!("sun {:.4}, clouds {:.4}, rain {:.4} of the time", days[0], days[1], days[2]);
    let rate = chain.entropy_rate()?;
    println!("entropy rate, from the matrix: {:.5} = {:.5} a day\n", rate, rate.to_bits());

    println!("   days   estimate ± 95 %       holds   F₂ of the walk alone");
    for days in [100, 1000, 10_000, 100_000, 1_000_000] {
        let walk = chain.sample(&Random::new(7, 0, 0), days)?;
        let estimate = mean_of_dependent(&chain.surprisals(&walk)?)?;
        // Without the matrix: pairs of days are counted. Two letters are the whole memory of this source.
        let counted = series(walk.iter().copied(), 2)?[2].corrected;
        println!(
            "{days:>7}   {:.5} ± {:.5}   {:>5}   {:.5}",
            estimate.mean.0,
            estimate.margin.0,
            if estimate.holds(rate) { "yes" } else { "no" },
            counted.0
        );
    }
    println!("\nabout one interval in twenty does not contain the true rate.");
    Ok(())
}
