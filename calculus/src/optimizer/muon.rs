use super::{Adam, Optimizer, OptimizerConfig, Rule, blocks, largest_of};
use crate::{Parameter, clip, hidden_matrices};
use linalg::formula::{I, J, operand};
use linalg::newton_schulz::{BAND, NewtonSchulz};
use linalg::{Formula, Matrix, Real, Shape};
use std::ops::Range;

/// Muon, momentum orthogonalised by Newton–Schulz: for the matrices of hidden layers ([`hidden_matrices`])
/// <var>m ← β₁·m + (1 − β₁)·g</var>, <var>u = β₁·m + (1 − β₁)·g</var>, <var>θ ← (1 − η·λ)·θ − η·s·O(u)</var>; for all
/// other parameters (embeddings, head, gains, biases) [`Adam`], to the bit.
///
/// O(u) is nearly the orthogonal factor <var>U·Vᵀ</var> of <var>u = U·diag(σ)·Vᵀ</var>: five products of matrices map
/// every singular value to about 1 ([`linalg::newton_schulz`]). So an update moves all directions of a matrix by about
/// the same length, also those whose gradients are small. u is Nesterov's momentum: m after the step, and the gradient
/// once more. The means instead of the paper's sums (<var>M ← µ·M + G</var>, <var>G + µ·M</var> with µ = β₁) are smaller
/// by the factor 1 − β₁, which O ignores. The paper's µ is 0.95.
///
/// <var>s = 0.2·√max(rows, columns)</var> gives an update the root mean square 0.2, for full rank: that of AdamW's
/// updates as measured, so that η and λ are those of AdamW, and one η serves both parts (Liu et al., equation 4).
/// The alternative of Jordan et al., <var>√max(1, rows/columns)</var>, keeps the spectral norm near 1 and needs an η of
/// its own: its η is <var>0.2·√min(rows, columns)</var> times this one for a tall matrix.
///
/// A matrix is orthogonalised as it is stored: a recorded map to queries, keys and values is one matrix, and so is a
/// gated map's; the originals orthogonalise each map by itself. The state is that of Adam, two numbers per parameter;
/// the second is not used for matrices, and stays 0.
///
/// Cost: 10·k·(2·r·c + k²) floating-point operations per matrix and step, with <var>k = min(r, c)</var>. A step takes
/// 6·r·c for each of its n tokens, so that the share is from 3.3·k/n (wide matrices) to 5·k/n (square ones): small if a
/// step has many more tokens than the model has features.
///
/// Source: Jordan et al., *Muon: An optimizer for hidden layers in neural networks*, 2024; Liu et al., *Muon is Scalable
/// for LLM Training*, 2025.
///
/// ```
/// use calculus::{Recorder, optimizer::{OptimizerConfig, OptimizerKind}};
/// use linalg::{Shape, newton_schulz::stretched, product::Product};
/// let mut r = Recorder::<f64>::new();
/// let x = r.input("x", Shape::new(2, 1))?;
/// let [first, last] = [r.parameter("first", Shape::new(2, 2))?, r.parameter("last", Shape::new(1, 2))?];
/// let h = r.push("h", Product::plain(), [first, x])?;
/// r.push("y", Product::plain(), [last, h])?;
/// let config = OptimizerConfig { kind: OptimizerKind::Muon, ..OptimizerConfig::default() };
/// let mut rule = config.build::<f64>(&r.parameter_list());
/// let mut w = [0.0; 6];
/// rule.step(0.1, &mut w, &[3.0, 0.0, 0.0, 4.0, 5.0, 6.0]);
/// let s = 0.2 * 2.0_f64.sqrt();
/// assert!((w[0] + 0.1 * s * stretched(0.6)).abs() < 1e-12); // the hidden matrix, with σ = 3 and 4
/// assert!((w[3] + 0.1 * s * stretched(0.8)).abs() < 1e-12);
/// assert!((w[4] + 0.1).abs() < 1e-8); // the output layer's: Adam
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "orthogonalized_momentum")]
#[derive(Clone, Debug)]
pub struct Muon<T> {
    /// The rule of the other parameters, and the state of all.
    adam: Adam<T>,
    beta: f64,
    decay: f64,
    /// The share of the rate of the hidden matrices.
    share: f64,
    /// The hidden matrices, in order.
    ranges: Vec<Range<usize>>,
    shapes: Vec<Shape>,
    /// The memory of a step, for the largest matrix.
    direction: Vec<T>,
    work: NewtonSchulz<T>,
}

/// Returns s, the factor of an orthogonalised update.
fn scale(shape: Shape) -> f64 {
    0.2 * (shape.rows.max(shape.columns) as f64).sqrt()
}

/// An upper bound on the elements of an orthogonalised matrix, which its largest singular value bounds.
const LARGEST: f64 = 1.01 * BAND[1];

impl<T: Real> Muon<T> {
    /// Writes O(u) of matrix number `k` into `direction`, given its gradients times a factor; updates m first.
    fn orthogonalised(
        (beta, shape): (f64, Shape),
        m: &mut [T],
        (factor, gradients): (T, &[T]),
        direction: &mut [T],
        work: &mut NewtonSchulz<T>,
    ) {
        let (b, c) = (T::from_f64(beta), T::from_f64(1.0 - beta));
        blocks([m, &mut *direction], |range, [m, u]| {
            for ((m, u), &g) in m.iter_mut().zip(u.iter_mut()).zip(&gradients[range]) {
                let g = factor * g;
                *m = b * *m + c * g;
                *u = b * *m + c * g;
            }
        });
        work.run(direction, shape.rows, shape.columns);
    }

    fn update(&mut self, rate: f64, factor: f64, parameters: &mut [T], gradients: &[T]) {
        self.adam.update(rate, factor, (parameters, gradients), &self.ranges);
        let keep = T::from_f64(1.0 - rate * self.decay);
        for (range, &shape) in self.ranges.iter().zip(&self.shapes) {
            let direction = &mut self.direction[..range.len()];
            let m = &mut self.adam.first[range.clone()];
            let given = (T::from_f64(factor), &gradients[range.clone()]);
            Self::orthogonalised((self.beta, shape), m, given, direction, &mut self.work);
            let size = T::from_f64(self.share * rate * scale(shape));
            blocks([&mut parameters[range.clone()]], |range, [p]| {
                for (p, &o) in p.iter_mut().zip(&direction[range]) {
                    *p = keep * *p - size * o;
                }
            });
        }
    }
}

impl<T: Real> Rule<T> for Muon<T> {
    const KEY: &'static str = "muon";
    const MEANING: &'static str =
        "Orthogonalised momentum for the matrices of hidden layers, adamw for all others";
    const TAKES: &'static [&'static str] = <Adam<T> as Rule<T>>::TAKES;
    const NORMALISES: bool = true;
    const DIVISORS: &'static [&'static str] = <Adam<T> as Rule<T>>::DIVISORS;
    const BY_MATRIX: bool = true;

    fn of(c: &OptimizerConfig, parameters: &[Parameter]) -> Self {
        let hidden = || hidden_matrices(parameters);
        let shapes: Vec<Shape> = hidden().map(|p| p.shape).collect();
        let largest = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
        Muon {
            adam: Adam::of(c, parameters),
            beta: c.beta1,
            decay: c.weight_decay,
            share: c.shares()[0],
            ranges: hidden().map(|p| p.range.clone()).collect(),
            direction: vec![T::zero(); largest],
            work: NewtonSchulz::new(shapes.iter().map(|shape| (shape.rows, shape.columns))),
            shapes,
        }
    }

    /// Returns `None`: a matrix's step has the same length for any curvature.
    fn limit(_: &OptimizerConfig, _: f64, _: u64) -> Option<f64> {
        None
    }

    /// Returns Adam's. A matrix has none: O ignores the length of m.
    fn corrections(c: &OptimizerConfig, step: u64) -> [f64; 2] {
        <Adam<T> as Rule<T>>::corrections(c, step)
    }
}

impl<T: Real> Optimizer<T> for Muon<T> {
    fn step(&mut self, rate: f64, parameters: &mut [T], gradients: &[T]) {
        self.update(rate, 1.0, parameters, gradients);
    }

    fn step_scaled(&mut self, rate: f64, factor: f64, parameters: &mut [T], gradients: &mut [T]) {
        if clip::is_held::<T>(factor) {
            return self.update(rate, factor, parameters, gradients);
        }
        clip::scale(gradients, factor);
        self.update(rate, 1.0, parameters, gradients);
    }

    /// Adam's bound for all, with its bound on m′; for matrices |u| ≤ |β₁|·|m′| + |1 − β₁|·|g| and |θ′| ≤ max(1, |1 − η·λ|)·|θ| + |η|·s·1.21.
    fn reach(&mut self, rate: f64, parameters: f64, gradients: f64) -> f64 {
        let others = self.adam.reach(rate, parameters, gradients);
        let Some(most) = self.shapes.iter().map(|&shape| scale(shape)).reduce(f64::max) else {
            return others;
        };
        let first = self.adam.bound.map_or(f64::INFINITY, |(_, first)| first);
        let u = self.beta.abs() * first + (1.0 - self.beta).abs() * gradients;
        let keep = (1.0 - rate * self.decay).abs().max(1.0);
        let change = self.share * rate.abs() * most * LARGEST;
        largest_of(&[others, u, keep, change, keep * parameters + change])
    }

    fn formula(&self, rate: f64, parameter: usize, gradients: &[T]) -> Formula {
        let Some(k) = self.ranges.iter().position(|range| range.contains(&parameter)) else {
            return self.adam.formula(rate, parameter, gradients);
        };
        let (range, shape) = (self.ranges[k].clone(), self.shapes[k]);
        let mut direction = vec![T::zero(); range.len()];
        let (mut m, mut work) = (self.adam.first[range.clone()].to_vec(), self.work.clone());
        let given = (T::one(), &gradients[range]);
        Self::orthogonalised((self.beta, shape), &mut m, given, &mut direction, &mut work);
        let elements = direction.into_iter().map(T::to_f64);
        let mut f = Formula::new(
            "θ′",
            ["θ", "g", "m", "v"],
            "Moves all directions of the matrix by about the same length: O is u = β₁·m′ + (1 − β₁)·g with \
             m′ = β₁·m + (1 − β₁)·g, divided by its norm, then five times X ← 3.4445·X − 4.775·X·Xᵀ·X + \
             2.0315·(X·Xᵀ)²·X, computed from m and g in the numbers of the training.",
            "Jordan et al., Muon, 2024; Liu et al., Muon is Scalable for LLM Training, 2025, equation 4",
        );
        let table = Matrix::from_iterator(shape.rows, shape.columns, elements);
        let table = f.table("O", table);
        let keep = 1.0 - rate * self.decay;
        let rate = self.share * rate;
        f.value(keep * operand(0).at(I, J) - rate * (scale(shape) * table.at(I, J)))
    }

    fn state(&mut self) -> Vec<(&'static str, &mut [T])> {
        self.adam.state()
    }

    fn steps(&self) -> u64 {
        self.adam.steps()
    }

    fn set_steps(&mut self, steps: u64) {
        self.adam.set_steps(steps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::OptimizerKind;
    use linalg::Role;
    use linalg::newton_schulz::stretched;
    use linalg::svd::Svd;
    use proptest::prelude::*;

    /// A gain, a hidden matrix, a table, another hidden matrix, a bias, the output layer's matrix.
    fn list([rows, columns]: [usize; 2]) -> Vec<Parameter> {
        let (linear, matrix) = ((Role::Linear, 0), Shape::new(rows, columns));
        let all = [
            (Shape::new(3, 1), (Role::Norm, 1), false),
            (matrix, linear, false),
            (Shape::new(2, 4), (Role::Lookup, 0), false),
            (Shape::new(columns, rows), linear, false),
            (Shape::new(rows, 1), (Role::Linear, 2), false),
            (matrix, linear, true),
        ];
        let mut end = 0;
        let each = all.into_iter().map(|(shape, used, output)| {
            let range = end..end + shape.len();
            end = range.end;
            Parameter { name: format!("{range:?}"), shape, range, uses: vec![used], output }
        });
        each.collect()
    }

    fn config(kind: OptimizerKind) -> OptimizerConfig {
        OptimizerConfig { kind, weight_decay: 0.1, ..OptimizerConfig::default() }
    }

    /// Sizes of the hidden matrix, and enough numbers for the gradients of several steps.
    fn cases() -> impl Strategy<Value = ([usize; 2], Vec<f64>)> {
        let numbers = prop::collection::vec(-1.0_f64..1.0, 4 * 300);
        (prop::array::uniform2(2_usize..9), numbers)
    }

    fn narrow(x: &[f64]) -> Vec<f32> {
        x.iter().map(|&x| x as f32).collect()
    }

    proptest! {
        /// Everything but the hidden matrices is Adam's, bit by bit, for clipped gradients too; the second moment of
        /// hidden matrices stays 0.
        #[test]
        fn others_get_the_bits_of_adam((sizes, numbers) in cases(), factor in 0.01_f64..1.0) {
            let list = list(sizes);
            let n = list.last().unwrap().range.end;
            let [mut muon, mut adam] =
                [OptimizerKind::Muon, OptimizerKind::Adam].map(|kind| config(kind).build::<f32>(&list));
            let start = narrow(&numbers[..n]);
            let (mut p, mut q) = (start.clone(), start.clone());
            for step in 1..4 {
                let mut g = narrow(&numbers[300 * step..300 * step + n]);
                muon.step_scaled(0.01, factor, &mut p, &mut g.clone());
                adam.step_scaled(0.01, factor, &mut q, &mut g);
            }
            for (k, own) in list.iter().enumerate() {
                let own = own.range.clone();
                let hidden = k == 1 || k == 3;
                prop_assert_eq!(p[own.clone()] == q[own.clone()], !hidden, "{}", k);
                prop_assert_ne!(&p[own.clone()], &start[own.clone()]);
                prop_assert_eq!(muon.state()[1].1[own].iter().all(|&v| v == 0.0), hidden);
            }
        }

        /// The update of a hidden matrix has the singular values that the polynomial makes of those of Nesterov's
        /// momentum in the paper's form, M ← µ·M + G and G + µ·M; it is s·η times as long, and its matrix decays.
        #[test]
        fn an_update_has_the_singular_values_of_the_polynomial((sizes, numbers) in cases()) {
            let list = list(sizes);
            let n = list.last().unwrap().range.end;
            let mut rule = config(OptimizerKind::Muon).build::<f64>(&list);
            let mut theta = numbers[..n].to_vec();
            let (beta, rate, decay) = (0.9, 0.01, 0.1);
            let mut sums = vec![0.0; n];
            for step in 1..4 {
                let g = &numbers[300 * step..300 * step + n];
                let before = theta.clone();
                rule.step(rate, &mut theta, g);
                sums.iter_mut().zip(g).for_each(|(sum, g)| *sum = beta * *sum + g);
                for own in [&list[1], &list[3]] {
                    let (Shape { rows, columns }, range) = (own.shape, own.range.clone());
                    let s = 0.2 * (rows.max(columns) as f64).sqrt();
                    let of = |at: &dyn Fn(usize) -> f64| {
                        Svd::of(&Matrix::from_iterator(rows, columns, range.clone().map(at))).unwrap().values
                    };
                    let found = of(&|i| ((1.0 - rate * decay) * before[i] - theta[i]) / (rate * s));
                    let u = of(&|i| g[i] + beta * sums[i]);
                    let norm = u.iter().map(|s| s * s).sum::<f64>().sqrt();
                    let mut expected: Vec<f64> = u.iter().map(|u| stretched(u / norm)).collect();
                    expected.sort_by(|a, b| b.total_cmp(a));
                    // Differences of parameters of size 1, divided by η; the iteration's own error (see there) is less.
                    let bound = 1e4 * f64::EPSILON * ((rows * columns) as f64).sqrt() / rate;
                    for (found, expected) in found.iter().zip(&expected) {
                        prop_assert!((found - expected).abs() <= bound, "{found} {expected}");
                    }
                }
            }
        }

        #[test]
        fn a_state_continues_with_the_same_bits((sizes, numbers) in cases()) {
            let list = list(sizes);
            let n = list.last().unwrap().range.end;
            let [mut rule, mut again] = [(), ()].map(|()| config(OptimizerKind::Muon).build::<f32>(&list));
            let mut theta = narrow(&numbers[..n]);
            for step in 1..3 {
                rule.step(0.01, &mut theta, &narrow(&numbers[300 * step..300 * step + n]));
            }
            for ((name, to), (same, from)) in again.state().into_iter().zip(rule.state()) {
                prop_assert_eq!((name, to.len()), (same, from.len()));
                to.copy_from_slice(from);
            }
            again.set_steps(rule.steps());
            let (mut other, g) = (theta.clone(), narrow(&numbers[900..900 + n]));
            rule.step(0.01, &mut theta, &g);
            again.step(0.01, &mut other, &g);
            prop_assert_eq!(theta, other);
        }

        /// No parameter exceeds [`Optimizer::reach`], whatever the sizes of gradients and constants.
        #[test]
        fn no_matrix_is_beyond_reach(
            (sizes, numbers) in cases(), powers in prop::array::uniform3(-30.0_f64..38.0), rate in -6.0_f64..39.0,
            beta1 in prop::sample::select(vec![0.0, 0.9, 1.0, 1.5, -0.5]),
        ) {
            let list = list(sizes);
            let n = list.last().unwrap().range.end;
            let mut rule =
                OptimizerConfig { beta1, ..config(OptimizerKind::Muon) }.build::<f32>(&list);
            let drawn = |k: usize| -> Vec<f32> {
                let size = 10.0_f64.powf(powers[k.min(2)]);
                narrow(&numbers[300 * k..300 * k + n].iter().map(|x| x * size).collect::<Vec<_>>())
            };
            let mut p = drawn(0);
            let mut farthest = clip::global_norm(&p);
            for k in 1..4 {
                let (g, rate) = (drawn(k), 10.0_f64.powf(rate));
                farthest = rule.reach(rate, farthest, clip::global_norm(&g));
                rule.step(rate, &mut p, &g);
                if (2.0 * farthest) as f32 > f32::MAX {
                    break;
                }
                let largest = p.iter().fold(0.0, |m: f32, p| m.larger(p.abs()));
                prop_assert!(f64::from(largest) <= farthest * (1.0 + 1e-5), "{largest:e} {farthest:e}");
            }
        }
    }

    #[test]
    fn hard_gradients_of_a_matrix() {
        let list = list([3, 4]);
        let own = list[1].range.clone();
        let n = list.last().unwrap().range.end;
        let moved = |g: Vec<f32>| {
            let mut theta = vec![1.0; n];
            let rule = OptimizerConfig { kind: OptimizerKind::Muon, ..OptimizerConfig::default() };
            rule.build::<f32>(&list).step(0.01, &mut theta, &g);
            theta[own.clone()].to_vec()
        };
        let usual: Vec<f32> = (0..n).map(|i| ((7 * i) % 5) as f32 - 2.0).collect();
        let one = moved(usual.clone());
        for size in [2.0_f32.powi(-140), 2.0_f32.powi(-70), 2.0_f32.powi(120)] {
            let all = moved(usual.iter().map(|g| g * size).collect());
            let apart = all.iter().zip(&one).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-4, "{size:e}: {apart}");
        }
        assert!(moved(vec![0.0; n]).iter().all(|&p| p == 1.0));
        for broken in [f32::NAN, f32::INFINITY] {
            let mut g = usual.clone();
            g[own.start + 1] = broken;
            assert!(moved(g).iter().all(|p| p.is_nan()), "one of a matrix is all of it");
        }
    }

    /// Matrices that are cut into pieces give the same bits on one, two and three threads.
    #[test]
    fn threads_change_no_bit() {
        let list = list([192, 130]);
        let n = list.last().unwrap().range.end;
        let g: Vec<f32> = (0..n).map(|i| ((i * 7919) % 1000) as f32 * 1e-3 - 0.5).collect();
        assert!(linalg::parts(130, 130, 192) > 1);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (mut rule, mut theta) =
                    (config(OptimizerKind::Muon).build::<f32>(&list), vec![0.5; n]);
                (0..2).for_each(|_| rule.step(0.01, &mut theta, &g));
                theta
            })
        };
        let one = on(1);
        assert!(one == on(2) && one == on(3));
    }
}
