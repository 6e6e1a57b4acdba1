//! Why gradients vanish or explode with depth, and the effect of residual connections.
//!
//!     cargo run --release -p glassbox-calculus --example 05_depth

use calculus::Dual;
use calculus::activation::{relu, sigmoid};
use calculus::depth::{depth_of_vanishing, factors, gradients, paths, rate, residual};
use linalg::Real;

type Layer = fn(Dual<f64>) -> Dual<f64>;

fn main() {
    println!("|dL/dx| at the first of so many layers, from x = 0.3:\n");
    println!(
        "layer                     6          12         24         48         96         rate"
    );
    let layers: [(&str, Layer); 8] = [
        ("σ(x)", |x| sigmoid(x)),
        ("σ(4x)", |x| sigmoid(4.0 * x)),
        ("tanh(x)", |x| x.tanh()),
        ("tanh(1.5x)", |x| (1.5 * x).tanh()),
        ("ReLU(0.9x)", |x| relu(0.9 * x)),
        ("ReLU(1.2x)", |x| relu(1.2 * x)),
        ("x + 0.05·tanh(x)", |x| x + 0.05 * x.tanh()),
        ("x + tanh(x)", |x| x + x.tanh()),
    ];
    for (name, layer) in layers {
        let at = |depth| factors(depth, |_, x| layer(x), 0.3);
        let shown =
            [6, 12, 24, 48, 96].map(|depth| format!("{:<11.1e}", gradients(&at(depth))[0].abs()));
        println!("{name:<25} {}{:.3}", shown.concat(), rate(&at(96)));
    }

    let quarter = depth_of_vanishing(0.25, f64::from(f32::MIN_POSITIVE));
    println!(
        "\nσ′ ≤ ¼: {} logistic layers leave nothing of a gradient in f32.",
        quarter.unwrap_or(0)
    );

    println!(
        "\n12 layers of factor 0.1, each with a residual connection: the paths through k of them"
    );
    let one = [0.1; 12];
    for (k, share) in paths(&one).iter().enumerate().take(6) {
        println!("  k = {k}: {share:.6}");
    }
    let all = gradients(&residual(&one))[0];
    println!("  all 2¹² = 4096 paths: {all:.6}; without residuals: {:.1e}", gradients(&one)[0]);
}
