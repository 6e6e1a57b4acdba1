//! What an operation states is what it does: the formula of every primitive, evaluated at elements of its
//! output and of every gradient, is the number that `forward` and `vjp` computed, within the rounding of
//! the stated arithmetic.
//!
//! A primitive without a formula does not compile; `mathematics/laws.rs` fails by name for one that is on no list.

use calculus::Parameter;
use linalg::formula::Matter;
use linalg::{Gradient, Matrix, Primitive, Real, Role, Shape, Work};
use probability::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use tests::law::Case;
use tests::registry::{self, Visitor, type_name};

/// Elements tried of every matrix.
const SAMPLE: u64 = 6;

/// Operands of these sizes are tried too, on cases of at most so many elements: whatever the operation, squares and
/// products of a few stay within the range of `f32`.
const SIZES: [f64; 6] = [1e-6, 1e-3, 0.03, 30.0, 1e3, 1e6];
const SMALL: usize = 40;

#[derive(Default)]
struct Trial {
    wrong: Vec<String>,
    /// Of each primitive: numbers tried, and how many of them a formula off by 10⁻⁶ would miss.
    tried: BTreeMap<(&'static str, usize), (usize, usize)>,
    visited: BTreeSet<(&'static str, usize)>,
}

/// The scalar's ε and its smallest normal number.
fn precision<T: Real>() -> (f64, f64) {
    match size_of::<T>() {
        4 => (f64::from(f32::EPSILON), f64::from(f32::MIN_POSITIVE)),
        _ => (f64::EPSILON, f64::MIN_POSITIVE),
    }
}

impl Trial {
    /// Tries a case; where `told`, counts the numbers whose bounds say little.
    fn of<T: Real, P: Primitive<N>, const N: usize>(&mut self, case: &Case<P, N>, told: bool) {
        let inputs = case.inputs.each_ref().map(|x| x.map(T::from_f64));
        let shapes = inputs.each_ref().map(|x| Shape::new(x.nrows(), x.ncols()));
        let primitive = &case.primitive;
        let shape = primitive.shape(shapes).expect("operands that fit");
        let memory = primitive.memory(shapes);
        let mut output = Matrix::<T>::zeros(shape.rows, shape.columns);
        let mut kept = vec![T::zero(); memory.kept];
        let mut scratch = vec![T::zero(); memory.scratch];
        let views = || inputs.each_ref().map(|x| x.as_view());
        let work = Work::new(&mut kept, &mut scratch);
        primitive.forward(views(), output.as_view_mut(), work);
        let upstream = tests::draw::normal(91, shape.rows, shape.columns).map(T::from_f64);
        let mut gradients = inputs.each_ref().map(|x| Matrix::zeros(x.nrows(), x.ncols()));
        let work = Work::new(&mut kept, &mut scratch);
        let into = gradients.each_mut().map(|g| Gradient::fresh(g.as_view_mut()));
        primitive.vjp(views(), output.as_view(), upstream.as_view(), into, work);

        let formula = primitive.formula(views());
        assert_eq!(formula.gradients.len(), N, "{}: a gradient per operand", case.describe());
        let read = |x: &Matrix<T>, i: usize, j: usize| match i < x.nrows() && j < x.ncols() {
            true => x[(i, j)].to_f64(),
            false => f64::NAN,
        };
        let values = |of: Matter, i: usize, j: usize| match of {
            Matter::Operand(o) => read(&inputs[o], i, j),
            Matter::Output => read(&output, i, j),
            Matter::Upstream => read(&upstream, i, j),
            Matter::Table(_) => unreachable!("a formula's own"),
        };
        let (epsilon, smallest) = precision::<T>();
        let random = Random::new(7, N as u32, 0);
        let mut check = |what: String, stored: &Matrix<T>, derive: &dyn Fn((usize, usize)) -> _| {
            for s in 0..SAMPLE {
                let at = random.below(s, stored.len() as u64) as usize;
                let at = (at % stored.nrows(), at / stored.nrows());
                let derivation: linalg::Derivation = derive(at);
                let found = stored[at].to_f64();
                if !derivation.makes(found, epsilon, smallest) {
                    let (says, bound) =
                        (derivation.part.value, derivation.bound(epsilon, smallest));
                    self.wrong.push(format!(
                        "{}: {what}{at:?} is {found:e}; the formula says {says:e} ± {bound:.1e}",
                        case.describe()
                    ));
                }
                let tried = self.tried.entry((type_name::<P>(), N)).or_default();
                tried.0 += 1;
                let blunt = derivation.bound(epsilon, smallest) > 1e-6 * found.abs().max(1.0);
                tried.1 += usize::from(told && size_of::<T>() == 8 && blunt);
            }
        };
        check("value".into(), &output, &|at| formula.derive(at, values));
        for o in 0..N {
            assert_eq!(formula.gradients[o].is_some(), case.smooth[o], "{}", case.describe());
            if case.smooth[o] {
                check(format!("gradient {o}"), &gradients[o], &|at| {
                    formula.derive_gradient(o, at, values).expect("a smooth operand")
                });
            }
        }
    }
}

impl Visitor for Trial {
    fn visit<P: Primitive<N>, const N: usize>(&mut self, mut case: Case<P, N>) {
        self.visited.insert((type_name::<P>(), N));
        // A vocabulary of 40,000 words: one number of it is millions of terms, and there are smaller ones.
        if case.inputs.iter().any(|x| x.len() > 50_000) {
            return;
        }
        self.of::<f64, P, N>(&case, true);
        self.of::<f32, P, N>(&case, true);
        if case.inputs.iter().map(|x| x.len()).sum::<usize>() > SMALL {
            return;
        }
        let original = case.inputs.clone();
        for size in SIZES {
            let sized = |i: usize| &original[i] * if case.smooth[i] { size } else { 1.0 };
            case.inputs = std::array::from_fn(sized);
            self.of::<f64, P, N>(&case, false);
            self.of::<f32, P, N>(&case, false);
        }
    }
}

#[test]
fn every_formula_states_what_is_computed() {
    let mut trial = Trial::default();
    registry::every(&mut trial);
    for ((name, operands), (tried, _)) in &trial.tried {
        println!("{name}<{operands}>: {tried} numbers");
    }
    let shown = &trial.wrong[..trial.wrong.len().min(30)];
    assert!(trial.wrong.is_empty(), "{} wrong:\n{}", trial.wrong.len(), shown.join("\n"));
    assert_eq!(trial.visited, trial.tried.keys().copied().collect());
    // A bound that lets everything pass would prove nothing.
    for ((name, _), (tried, blunt)) in trial.tried {
        assert_eq!(blunt, 0, "{name}: {blunt} of {tried} bounds are wider than 10⁻⁶ in f64");
    }
}

#[test]
fn every_rule_of_descent_states_its_update() {
    use calculus::optimizer::{OptimizerConfig, OptimizerKind};
    let n = 40;
    // Vectors and matrices by turns.
    // The last one is a hidden matrix of several rows and columns.
    let list =
        [(0..3, 1), (3..16, 13), (16..21, 5), (21..25, 2), (25..40, 5)].map(|(range, rows)| {
            let shape = Shape::new(rows, range.len() / rows);
            let uses = if rows % 2 == 1 && rows > 1 { vec![(Role::Linear, 0)] } else { vec![] };
            Parameter { name: format!("{range:?}"), shape, range, uses, output: false }
        });
    assert_eq!(calculus::hidden_matrices(&list).count(), 1);
    let rules = OptimizerKind::ALL.iter().flat_map(|&kind| {
        [(0.0, 1.0), (0.9, 1.0), (0.0, 3.0), (0.9, 0.3)].map(|(momentum, width_ratio)| {
            let decay = OptimizerConfig { weight_decay: 0.1, ..OptimizerConfig::default() };
            OptimizerConfig { kind, momentum, width_ratio, ..decay }.build::<f32>(&list)
        })
    });
    for (r, mut rule) in rules.enumerate() {
        let draw = |seed| tests::draw::normal(seed, n, 1).map(|x| x as f32);
        let mut theta = draw(1).as_slice().to_vec();
        for step in 0..3 {
            let g = draw(10 + step).as_slice().to_vec();
            let before = theta.clone();
            let state = rule.state().into_iter().filter(|s| !s.1.is_empty());
            let state: Vec<Vec<f32>> = state.map(|s| s.1.to_vec()).collect();
            let formulas: Vec<_> = (0..n).map(|i| rule.formula(0.01, i, &g)).collect();
            rule.step(0.01, &mut theta, &g);
            for (i, formula) in formulas.iter().enumerate() {
                let own = list.iter().find(|p| p.range.contains(&i)).expect("all are listed");
                let at = i - own.range.start;
                let at = (at % own.shape.rows, at / own.shape.rows);
                let derivation = formula.derive(at, |of, row, column| {
                    let i = own.range.start + column * own.shape.rows + row;
                    f64::from(match of {
                        Matter::Operand(0) => before[i],
                        Matter::Operand(1) => g[i],
                        Matter::Operand(k) => state[k - 2][i],
                        _ => f32::NAN,
                    })
                });
                let (epsilon, smallest) = precision::<f32>();
                let found = f64::from(theta[i]);
                let says = derivation.part.value;
                assert!(
                    derivation.makes(found, epsilon, smallest),
                    "rule {r}: {found} is not {says}"
                );
                assert!(derivation.bound(epsilon, smallest) < 1e-4);
            }
        }
    }
}
