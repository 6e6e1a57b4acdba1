//! Toy models of superposition: more features than dimensions, at the corners of regular figures.
//!
//! Elhage et al., *Toy Models of Superposition*, 2022 (2209.10652).

use super::page::{Lab, Origin, Page, Picture, Result};
use calculus::Recorder;
use calculus::activation::Activation;
use calculus::optimizer::{Adam, Optimizer};
use linalg::{Matrix, Shape, add::Add, hadamard::Hadamard, matrix, product::Product, scale::Scale};
use probability::Random;

struct Toy {
    features: usize,
    hidden: usize,
    /// The share of features that are not 0.
    density: f64,
    /// The importance of a feature over that of the one before.
    ratio: f64,
}

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "Toy models of superposition",
        "Elhage et al., *Toy Models of Superposition*, 2022",
        "A layer with m dimensions stores the m most important features, one a dimension, if features are dense. If they \
         are rare it stores more than m, at the corners of regular figures (pairs on a line, a pentagon), each feature with \
         the same fraction of a dimension.",
    );
    page.formulas = vec![
        ["h = W·x, x′ = ReLU(Wᵀ·h + b)", "`Toy::trained`: five operations on W (m × n) and b"],
        [
            "L = Σ_x Σ_i I_i·(x_i − x′_i)²",
            "the exact expectation: x_i is 0, ¼ or ¾, and all 3ⁿ vectors x are one batch, each with its probability",
        ],
        [
            "D_i = ‖W_i‖²/Σ_j (Ŵ_i·W_j)²",
            "`dimensionality`; the corners of a regular polygon have 2/n: Σ_j cos²(2πj/n) = n/2 for n > 2",
        ],
    ];
    let cases = [
        ("a pair on a line", 2, 1, 0.5),
        ("two pairs in a plane", 4, 2, 0.5),
        ("a pentagon", 5, 2, 0.4),
    ];
    let mut picture = Picture::new("Columns of W", ["first dimension", "second dimension"]);
    let mut angle = f64::INFINITY;
    for (name, features, hidden, expected) in cases {
        (lab.progress)(0.1 * features as f64, name);
        let mut least = f64::INFINITY;
        for seed in 0..lab.seeds {
            let w = Toy { features, hidden, density: 0.02, ratio: 1.0 }.best(seed)?;
            least = dimensionality(&w).into_iter().fold(least, f64::min);
            if features == 5 {
                let turn = |i| w[(1, i)].atan2(w[(0, i)]).to_degrees();
                let mut turns: Vec<f64> = (0..5).map(turn).collect();
                turns.sort_by(f64::total_cmp);
                angle = turns.windows(2).map(|a| a[1] - a[0]).fold(angle, f64::min);
            }
            if hidden == 2 && seed == 0 {
                // From the origin to each feature and back.
                let star = w.column_iter().flat_map(|c| [[0.0, 0.0], [c[0], c[1]], [0.0, 0.0]]);
                picture = picture.line(name, star.collect());
            }
        }
        let what = format!("smallest D_i of {name}");
        page.row(&what, Origin::Derived, [expected, least], 0.01, 3);
    }
    page.row("smallest angle of the pentagon, degrees", Origin::Derived, [72.0, angle], 0.1, 2);
    // From dense to rare, with falling importance: how many features are stored.
    let mut stored = vec![];
    for density in [1.0, 0.6, 0.4, 0.2, 0.1, 0.05, 0.02] {
        let w = Toy { features: 5, hidden: 2, density, ratio: 0.9 }.best(0)?;
        let long = w.column_iter().filter(|c| c.norm() > 0.5).count();
        stored.push([density, long as f64]);
    }
    let [dense, rare] = [stored[0][1], stored[6][1]];
    page.row("features stored if all are dense", Origin::Claimed, [2.0, dense], 0.0, 0);
    page.row("features stored if one in fifty is not 0", Origin::Claimed, [5.0, rare], 0.0, 0);
    page.seen = "The paper's fractions ⅔ and ¾, of triangles and tetrahedra, are of hundreds of features in thirty \
                 dimensions. Three features alone in a plane do not determine theirs: with angles of 90° or more no two \
                 disturb each other through the ReLU, so all such arrangements are as good if features are rare."
        .to_owned();
    let axes = ["share of features that are not 0", "‖W_i‖ > ½"];
    let stored = Picture::new("Features stored in two dimensions", axes)
        .line("importance 0.9^i", stored)
        .level("dimensions", 2.0);
    page.pictures = vec![picture, stored];
    page.to_break = "Replace `Activation::Relu` by `Activation::Tanh`: negative interference is no longer free, and of five \
                     rare features two are stored.";
    Ok(page)
}

impl Toy {
    /// The best of several starts: as in the paper, some end with a feature left out.
    fn best(&self, seed: u64) -> Result<Matrix<f64>> {
        let runs: Result<Vec<_>> = (0..4).map(|start| self.trained(seed, start)).collect();
        Ok(runs?.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).ok_or("no run")?.1)
    }

    /// Returns the loss after training, and W.
    fn trained(&self, seed: u64, start: u32) -> Result<(f64, Matrix<f64>)> {
        let (n, m, count) = (self.features, self.hidden, 3_usize.pow(self.features as u32));
        let mut r = Recorder::<f64>::new();
        let [w, b] = [r.parameter("W", Shape::new(m, n))?, r.parameter("b", Shape::new(n, 1))?];
        let x = r.input("x", Shape::new(n, count))?;
        let ones = r.input("ones", Shape::new(1, count))?;
        let importance = r.input("I", Shape::new(1, n))?;
        let probability = r.input("p", Shape::new(count, 1))?;
        let h = r.push("h", Product::plain(), [w, x])?; // m×count
        let back = r.push("Wᵀ·h", Product::transposed(), [w, h])?; // n×count
        let shift = r.push("b of all", Product::plain(), [b, ones])?; // n×count
        let sum = r.push("Wᵀ·h + b", Add, [back, shift])?; // n×count
        let out = r.push("x′", Activation::Relu, [sum])?; // n×count
        let minus = r.push("−x", Scale { factor: -1.0 }, [x])?; // n×count
        let error = r.push("error", Add, [out, minus])?; // n×count
        let squares = r.push("squares", Hadamard, [error, error])?; // n×count
        let each = r.push("of a vector", Product::plain(), [importance, squares])?; // 1×count
        let loss = r.push("loss", Product::plain(), [each, probability])?; // 1×1
        let mut tape = r.finish();

        let digit = |column: usize, i: usize| column / 3_usize.pow(i as u32) % 3;
        for column in 0..count {
            let odds = [1.0 - self.density, 0.5 * self.density, 0.5 * self.density];
            tape.value_mut(probability)[column] = (0..n).map(|i| odds[digit(column, i)]).product();
            for i in 0..n {
                tape.value_mut(x)[n * column + i] = [0.0, 0.25, 0.75][digit(column, i)];
            }
        }
        tape.value_mut(ones).fill(1.0);
        tape.value_mut(importance).iter_mut().zip(0..).for_each(|(x, i)| *x = self.ratio.powi(i));
        let random = Random::new(seed, 0, start);
        tape.value_mut(w).iter_mut().zip(0..).for_each(|(x, i)| *x = 0.5 * random.normal(i));
        let (steps, mut adam) = (700, Adam::new(n * m + n, 0.9, 0.99, 1e-12));
        for step in 0..steps {
            tape.zero_gradients();
            tape.forward_and_backward(loss, 1.0);
            let rate = 0.05 * (1.0 - f64::from(step) / f64::from(steps)).powi(2);
            let (parameters, gradients) = tape.parameters_and_gradients();
            adam.step(rate, parameters, gradients);
        }
        Ok((tape.elements(loss)[0], matrix(m, n, tape.elements(w))))
    }
}

/// The fraction of a dimension that each feature has.
fn dimensionality(w: &Matrix<f64>) -> Vec<f64> {
    let gram = w.transpose() * w;
    let of = |i| gram[(i, i)] * gram[(i, i)] / gram.column(i).norm_squared();
    (0..w.ncols()).map(of).collect()
}
