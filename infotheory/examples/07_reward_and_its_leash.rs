//! Alignment in one table: a smaller β gives more reward, at a larger distance from the reference.
//!
//! `cargo run -p glassbox-infotheory --example 07_reward_and_its_leash`

use infotheory::InfoError;
use infotheory::divergence::{kl, reverse_kl};
use infotheory::objective::alignment::{best_policy, best_value, objective};

fn main() -> Result<(), InfoError> {
    // Four answers. The last is nonsense with a high reward.
    let answers = ["good", "fair", "poor", "hack"];
    let (reference, rewards) = ([0.50, 0.30, 0.1999, 0.0001], [1.0, 0.5, 0.0, 3.0]);
    println!(
        "      β   {}   reward   KL(π‖ref)   KL(ref‖π)",
        answers.map(|a| format!("{a:>6}")).join("   ")
    );
    for beta in [10.0, 3.0, 1.0, 0.5, 0.3, 0.2, 0.1, 0.05] {
        let policy = best_policy(&reference, &rewards, beta)?;
        let reward: f64 = policy.iter().zip(&rewards).map(|(p, r)| p * r).sum();
        let shown = policy.iter().map(|p| format!("{p:>6.4}")).collect::<Vec<_>>().join("   ");
        println!(
            "{beta:>7}   {shown}   {reward:>6.3}   {:>9.4}   {:>9.4}",
            kl(&policy, &reference)?.0,
            reverse_kl(&policy, &reference)?.0
        );
        // The value of the formula is the objective's value at the best policy.
        let value = objective(&policy, &reference, &rewards, beta)?;
        assert!((value - best_value(&reference, &rewards, beta)?).abs() < 1e-12);
    }
    println!("\na jump of KL shows that the policy exploits an error of the reward.");
    Ok(())
}
