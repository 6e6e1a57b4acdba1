//! The error of rank k, compared with the bound of Eckart and Young, and the cost of an adapter of rank k.
//!
//! `cargo run -p glassbox-linalg --example 03_low_rank`

use linalg::{Error, Matrix, adapter::Adapter, low_rank::LowRank, spectrum, svd::Svd};

/// Returns a change of weights as in fine-tuning: a few strong directions and a weak rest.
fn change(rows: usize, columns: usize) -> Matrix<f64> {
    let wave = |i: usize, k: usize| ((i * (2 * k + 1)) as f64 * 0.37 + k as f64).sin();
    Matrix::from_fn(rows, columns, |i, j| {
        (0..12).map(|k| 2.0_f64.powi(-(k as i32)) * wave(i, k) * wave(j, k + 20)).sum()
    })
}

fn main() -> Result<(), Error> {
    let delta = change(96, 64);
    let svd = Svd::of(&delta)?;
    println!(
        "a change of 96×64: rank {}, effective rank {:.2}, stable rank {:.2}\n",
        svd.rank(),
        spectrum::effective_rank(&svd.values)?,
        spectrum::stable_rank(&svd.values)?
    );
    println!("  k   ‖Δ − Δₖ‖₂   σₖ₊₁        ‖Δ − Δₖ‖_F  √Σσ²        energy   numbers   saved");
    for k in [1, 2, 4, 8, 12] {
        let best = LowRank::of(&delta, k)?;
        let rest = &delta - best.matrix();
        let adapter = Adapter::nearest(&delta, k)?;
        println!(
            "{k:>3}   {:<9.3e}   {:<9.3e}   {:<9.3e}   {:<9.3e}   {:.4}   {:>7}   {:.1} %",
            spectrum::spectral_norm(&rest)?,
            best.spectral_error(),
            rest.norm(),
            best.frobenius_error(),
            spectrum::energy(&svd.values, k)?,
            adapter.parameters(),
            100.0 * adapter.saved()
        );
    }
    let large = Adapter::new(Matrix::<f32>::zeros(8, 4096), Matrix::zeros(4096, 8), 16.0)?;
    println!(
        "\nrank 8 on a weight of {}: {} numbers instead of {}, {:.2} % are trained",
        large.shape(),
        large.parameters(),
        large.shape().len(),
        100.0 * (1.0 - large.saved())
    );
    Ok(())
}
