//! Double descent: the test error rises until there are as many features as examples, and falls again beyond.
//!
//! Belkin et al. 2019 (1812.11118); Belkin, Hsu and Xu, *Two Models of Double Descent for Weak Features*, 2020 (1903.07571);
//! Nakkiran et al., *Optimal Regularization Can Mitigate Double Descent*, 2020 (2003.01897).

use super::page::{Lab, Origin, Page, Picture, Result};
use linalg::{Matrix, norm::l2, svd::Svd};
use probability::Random;

/// Examples, features that there are, the variance of the noise, drawings of a width and a seed.
const N: usize = 40;
const ALL: usize = 400;
const NOISE: f64 = 0.02;
const DRAWINGS: u32 = 200;
const WIDTHS: [usize; 15] = [2, 4, 8, 14, 20, 28, 34, 38, 40, 42, 46, 54, 80, 160, 400];

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "Double descent",
        "Belkin et al., *Reconciling Modern Machine-Learning Practice and the Classical Bias-Variance Trade-Off*, 2019; \
         Belkin, Hsu and Xu 2020; Nakkiran et al. 2020",
        "As the number p of features grows, the test error falls, rises to a peak where p is the number n of examples, and \
         falls again beyond, where the shortest of all solutions is taken. The best ridge penalty removes the peak.",
    );
    page.formulas = vec![
        [
            "y = x·β + ε; p features are seen",
            "the others are noise: s² = σ² + ‖β_unseen‖²; β_j² ∝ 1/j",
        ],
        ["β̂ = X⁺·y, or (XᵀX + λ)⁻¹·Xᵀ·y", "`solved`: `linalg::svd::Svd`, with σ/(σ² + λ) for 1/σ"],
        [
            "E(error) = s²·(1 + p/(n − p − 1)), or ‖β_seen‖²·(1 − n/p) + s²·(1 + n/(p − n − 1))",
            "`closed`: Belkin, Hsu and Xu, theorem 1, for p < n − 1 and for p > n + 1; between them ∞",
        ],
        [
            "E(error) → s²·(1 + p/n·m(−λ/n)) as n grows, for the best λ = p·s²/‖β_seen‖²",
            "`penalised`: m is the Stieltjes transform of Marchenko and Pastur's law",
        ],
        ["variance s²·Σ 1/σ_i²", "p = n: median of σ_min (√(1 + 2 ln 2) − 1)/√n, Edelman 1988"],
    ];
    let mut curves: [Vec<[f64; 2]>; 5] = Default::default();
    let count = lab.seeds as f64 * f64::from(DRAWINGS);
    for (i, p) in WIDTHS.into_iter().enumerate() {
        (lab.progress)(i as f64 / WIDTHS.len() as f64, "solving");
        let mut found: [Vec<f64>; 5] = Default::default();
        for (seed, draw) in (0..lab.seeds).flat_map(|s| (0..DRAWINGS).map(move |d| (s, d))) {
            let random = |task| Random::new(seed, 2 * p as u32 + task, draw);
            let [free, ridge, smallest, share] = gaussian(p, &random(0))?;
            let all = [free, ridge, rectified(p, &random(1))?, smallest, share];
            found.iter_mut().zip(all).for_each(|(found, x)| found.push(x));
        }
        let [free, ridge] = [0, 1].map(|k| found[k].iter().sum::<f64>() / count);
        found.iter_mut().for_each(|all| all.sort_by(f64::total_cmp));
        let median = found.map(|all| all[all.len() / 2]);
        curves.iter_mut().zip(median).for_each(|(curve, y)| curve.push([p as f64, y]));
        if [8, 20, 80, 400].contains(&p) {
            // The errors of drawings vary by about half of the mean.
            let (what, tolerance) = (format!("mean error at p = {p}"), 1.5 / count.sqrt());
            page.row(&what, Origin::Derived, [closed(p), free], tolerance * closed(p), 3);
        }
        if p == N {
            let (limit, edelman) = (penalised(p)[1], (1.0 + 4_f64.ln()).sqrt() - 1.0);
            let (what, least) = ("p = n: √n·σ_min, median", (N as f64).sqrt() * median[3]);
            page.row(what, Origin::Derived, [edelman, least], 0.1, 3);
            let what = "p = n: share of σ_min in Σ 1/σ_i², median";
            page.row(what, Origin::Claimed, [1.0, median[4]], 0.3, 2);
            let what = "p = n: mean error with the best penalty";
            page.row(what, Origin::Derived, [limit, ridge], 0.05 * limit, 3);
        }
    }
    let [free, ridge, relu, smallest, _] = curves;
    for (what, curve) in [("Gaussian features", &free), ("ReLU of random sums", &relu)] {
        let peak = curve.iter().max_by(|a, b| a[1].total_cmp(&b[1])).map_or(0.0, |p| p[0]);
        page.row(&format!("{what}: p of the peak"), Origin::Claimed, [N as f64, peak], 1.0, 0);
    }
    let theory = WIDTHS.map(|p| [p as f64, closed(p)]).into_iter().filter(|p| p[1].is_finite());
    let errors = Picture::new("The test error", ["features p", "error of new examples"])
        .line("shortest solution, median", free)
        .line("best ridge penalty, median", ridge)
        .line("ReLU of random sums, median", relu)
        .points("closed form of the mean", theory.collect());
    let values = Picture::new("The smallest singular value", ["features p", "σ_min"])
        .line("median", smallest);
    page.pictures = [errors, values].map(|p| p.logarithmic([true, true])).into();
    page.to_break = "A thousandth of the penalty: the error at p = n is 8.2, not 0.71.";
    Ok(page)
}

/// ‖β‖² of the p seen features, and s².
fn parts(p: usize) -> [f64; 2] {
    let sum = |p| (1..=p).map(|j| 1.0 / j as f64).sum::<f64>();
    [sum(p) / sum(ALL), 1.0 - sum(p) / sum(ALL) + NOISE]
}

fn closed(p: usize) -> f64 {
    let ([seen, s2], x, n) = (parts(p), p as f64, N as f64);
    match p {
        p if p + 1 < N => s2 * (1.0 + x / (n - x - 1.0)),
        p if p > N + 1 => seen * (1.0 - n / x) + s2 * (1.0 + n / (x - n - 1.0)),
        _ => f64::INFINITY,
    }
}

/// The best penalty, and the error with it in the limit.
fn penalised(p: usize) -> [f64; 2] {
    let ([seen, s2], ratio) = (parts(p), p as f64 / N as f64);
    let l = ratio * s2 / seen;
    let b = 1.0 - ratio + l;
    [N as f64 * l, s2 * (1.0 + ((b * b + 4.0 * ratio * l).sqrt() - b) / (2.0 * l))]
}

/// Returns the errors without and with the best penalty, σ_min, and its share of the variance.
fn gaussian(p: usize, random: &Random) -> Result<[f64; 4]> {
    let (s2, unit) = (parts(p)[1], parts(1)[0]);
    let mut normal = normals(random);
    let beta = Matrix::from_fn(p, 1, |j, _| (unit / (j + 1) as f64).sqrt());
    let x = Matrix::from_fn(N, p, |_, _| normal());
    let y = &x * &beta + Matrix::from_fn(N, 1, |_, _| s2.sqrt() * normal());
    let svd = Svd::of(&x)?;
    // The features of a new example have variance 1: its error on average.
    let error = |penalty| s2 + l2((solved(&svd, &y, penalty) - &beta).as_slice()).powi(2);
    let least = svd.values.last().copied().unwrap_or(0.0);
    let share = 1.0 / svd.values.iter().map(|s| (least / s).powi(2)).sum::<f64>();
    Ok([error(0.0), error(penalised(p)[0]), least, share])
}

/// Returns the error of a network of p units whose first layer is random and is not trained.
fn rectified(p: usize, random: &Random) -> Result<f64> {
    let (inputs, held, mut normal) = (8, 100, normals(random));
    let w = Matrix::from_fn(inputs, p, |_, _| normal());
    let x = Matrix::from_fn(N + held, inputs, |_, _| normal());
    let y = Matrix::from_fn(N + held, 1, |i, _| (x[(i, 0)] + x[(i, 1)]).sin() + 0.3 * normal());
    let features = (&x * w).map(|x| x.max(0.0));
    let [own, target] = [&features, &y].map(|all| all.rows(0, N).into_owned());
    let c = solved(&Svd::of(&own)?, &target, 0.0);
    let off = features.rows(N, held) * c - y.rows(N, held);
    Ok(l2(off.as_slice()).powi(2) / held as f64)
}

fn normals(random: &Random) -> impl FnMut() -> f64 {
    let mut numbers = (0..).map(|i| random.normal(i));
    move || numbers.next().unwrap_or(0.0)
}

/// V·diag(σ/(σ² + λ))·Uᵀ·y: for λ = 0 the shortest of the best coefficients.
fn solved(svd: &Svd, y: &Matrix<f64>, penalty: f64) -> Matrix<f64> {
    let mut shares = svd.u.transpose() * y;
    shares.iter_mut().zip(&svd.values).for_each(|(share, s)| *share *= s / (s * s + penalty));
    &svd.v * shares
}
