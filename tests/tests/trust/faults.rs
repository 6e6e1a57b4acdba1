//! Every certificate of `check` fails where what it certifies is not so: a fault for each, brought into a model,
//! its data or a kernel that passes without it.

use calculus::{RecordError, Recorder, Var};
use infotheory::cross_entropy::CrossEntropy;
use linalg::formula::{Expression, I, J, operand, upstream};
use linalg::heads::{HeadMix, HeadScores};
use linalg::{Formula, Gradient, Primitive, Real, Role, Shape, ShapeError, View, ViewMut, Work};
use linalg::{Products, add::Add, affine::Affine, gather::Gather, hadamard::Hadamard};
use probability::{mask::CausalMask, softmax::Softmax};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tests::draw;
use tests::models::training;
use transformer::inspect::check::{self, Certificate, Verdict};
use transformer::{Architecture, Corpus, Given, ModelError, ModelStep, Recording, Subject};

const WIDTH: usize = 6;
const LENGTH: usize = 5;
const SEQUENCES: usize = 2;
const VOCABULARY: usize = 7;

/// What is wrong with a small attention model.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Healthy,
    /// A parameter that nothing reads.
    Unused,
    /// A kernel with a mistake.
    Kernel(Kernel),
    /// A product of which backward forgets that it depends on the other operand.
    FirstOrderOnly,
    /// No causal mask.
    NoMask,
    /// The target's vector is added to the token's.
    TargetsSeen,
}

/// What is wrong with a kernel that is y = x·(1 + x²) otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kernel {
    /// The gradient goes nowhere.
    Cut,
    /// It has the wrong sign.
    Sign,
    /// What was there is lost.
    Overwrites,
    /// The last element is left as it was.
    Unwritten,
    /// Forward and backward agree that the factor is a constant, by all rules.
    Constant,
    /// It depends on the number of threads, in the last digit.
    Threads,
    /// Right in `f64`; in `f32` a difference of large numbers leaves three digits.
    Cancels,
    /// Its formula states 2x.
    Misstated,
}

impl Kernel {
    /// What is added to its factor.
    fn threads(self) -> f64 {
        match self {
            Kernel::Threads => 1e-7 * rayon::current_num_threads() as f64,
            _ => 0.0,
        }
    }
}

impl Primitive<1> for Kernel {
    fn formula<T: Real>(&self, _: [View<'_, T>; 1]) -> Formula {
        let (x, dy) = (operand(0).at(I, J), upstream().at(I, J));
        let square = || x.clone() * x.clone();
        // What it does, mistakes that a formula can state included: they are for other certificates.
        let (factor, slope) = match self {
            Kernel::Constant => (1.0 + square(), 1.0 + square()),
            Kernel::Cancels => ((1.0 + square() + 4096.0) - 4096.0, 1.0 + 3.0 * square()),
            Kernel::Misstated => (Expression::Number(2.0), 1.0 + 3.0 * square()),
            _ => (1.0 + square() + self.threads(), 1.0 + 3.0 * square() + self.threads()),
        };
        Formula::new("y", ["x"], "A value and its cube.", "none")
            .value(x.clone() * factor)
            .gradient(slope * dy)
    }
    fn name(&self) -> &'static str {
        "cube"
    }
    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, ShapeError> {
        Ok(x)
    }
    fn flops(&self, [x]: [Shape; 1]) -> u64 {
        3 * x.len() as u64
    }
    fn forward<T: Real>(&self, [x]: [View<'_, T>; 1], mut y: ViewMut<'_, T>, _: Work<'_, T>) {
        let threads = self.threads();
        let last = x.len() - usize::from(*self == Kernel::Unwritten);
        for (y, &x) in y.iter_mut().zip(x.iter()).take(last) {
            let factor = T::one() + x * x + T::from_f64(threads);
            let factor = match self {
                Kernel::Constant => T::from_f64(factor.to_f64()),
                Kernel::Cancels => (factor + T::from_f64(4096.0)) - T::from_f64(4096.0),
                _ => factor,
            };
            *y = x * factor;
        }
    }
    fn vjp<T: Real>(
        &self,
        [x]: [View<'_, T>; 1],
        _: View<'_, T>,
        dy: View<'_, T>,
        [dx]: [Gradient<'_, T>; 1],
        _: Work<'_, T>,
    ) {
        let Some(mut dx) = dx.zeroed() else { return };
        let (three, threads) = (T::from_f64(3.0), T::from_f64(self.threads()));
        for ((dx, &x), &dy) in dx.iter_mut().zip(x.iter()).zip(dy.iter()) {
            match self {
                Kernel::Cut => {}
                Kernel::Sign => *dx -= (T::one() + three * x * x) * dy,
                Kernel::Overwrites => *dx = (T::one() + three * x * x) * dy,
                Kernel::Constant => *dx += T::from_f64((T::one() + x * x).to_f64()) * dy,
                _ => *dx += (T::one() + three * x * x + threads) * dy,
            }
        }
    }
}

/// a ⊙ b that takes b as a constant in the gradient of a.
#[derive(Clone, Copy)]
struct Detached;

impl Primitive<2> for Detached {
    fn formula<T: Real>(&self, x: [View<'_, T>; 2]) -> Formula {
        Hadamard.formula(x)
    }
    fn name(&self) -> &'static str {
        Hadamard.name()
    }

    fn role(&self) -> Role {
        Hadamard.role()
    }
    fn shape(&self, x: [Shape; 2]) -> Result<Shape, ShapeError> {
        Hadamard.shape(x)
    }
    fn flops(&self, x: [Shape; 2]) -> u64 {
        Hadamard.flops(x)
    }
    fn forward<T: Real>(&self, x: [View<'_, T>; 2], y: ViewMut<'_, T>, work: Work<'_, T>) {
        Hadamard.forward(x, y, work);
    }
    fn vjp<T: Real>(
        &self,
        [a, b]: [View<'_, T>; 2],
        y: View<'_, T>,
        dy: View<'_, T>,
        dx: [Gradient<'_, T>; 2],
        work: Work<'_, T>,
    ) {
        let constant = b.map(|b| T::from_f64(b.to_f64()));
        Hadamard.vjp([a, constant.as_view()], y, dy, dx, work);
    }
}

fn linear<T: Real>(
    r: &mut Recorder<T>,
    name: &str,
    out: usize,
    x: Var,
) -> Result<Var, RecordError> {
    let inputs = r.shape(x).rows;
    let w = r.parameter(&format!("{name}.weight"), Shape::new(out, inputs))?;
    let b = r.parameter(&format!("{name}.bias"), Shape::new(out, 1))?;
    r.push(name, Affine, [w, x, b])
}

impl Subject for Fault {
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        let mut recorder = Recorder::new();
        let r = &mut recorder;
        let row = Shape::new(1, LENGTH * SEQUENCES);
        let (tokens, targets) = (r.input("tokens", row)?, r.input("targets", row)?);
        let table = r.parameter("table", Shape::new(WIDTH, VOCABULARY))?;
        if *self == Fault::Unused {
            r.parameter("unused", Shape::new(2, 3))?;
        }
        let mut x = r.push("embedded", Gather, [table, tokens])?;
        if *self == Fault::TargetsSeen {
            let seen = r.push("seen", Gather, [table, targets])?;
            x = r.push("leaked", Add, [x, seen])?;
        }
        let query = linear(r, "query", WIDTH, x)?;
        let key = linear(r, "key", WIDTH, x)?;
        let value = linear(r, "value", WIDTH, x)?;
        let mut scores = r.push(
            "scores",
            HeadScores { heads: 2, key_value_heads: 2, length: LENGTH },
            [query, key],
        )?;
        if *self != Fault::NoMask {
            scores = r.push("masked", CausalMask::default(), [scores])?;
        }
        let weights = r.push("weights", Softmax, [scores])?;
        let mixed = r.push(
            "mixed",
            HeadMix { heads: 2, key_value_heads: 2, length: LENGTH },
            [value, weights],
        )?;
        let kernel = match self {
            Fault::Kernel(kernel) => r.push("cubed", *kernel, [mixed])?,
            _ => mixed,
        };
        let gated = match self {
            Fault::FirstOrderOnly => r.push("gated", Detached, [kernel, value])?,
            _ => r.push("gated", Hadamard, [kernel, value])?,
        };
        let logits = linear(r, "logits", VOCABULARY, gated)?;
        let loss = r.push("loss", CrossEntropy, [logits, targets])?;
        Ok(tests::models::recording(recorder.finish(), loss))
    }

    fn batch(&self, _: u64) -> Vec<Given> {
        let any = |seed| {
            let drawn = draw::below(seed, LENGTH * SEQUENCES, VOCABULARY);
            drawn.into_iter().map(f64::from).collect()
        };
        vec![
            Given { name: "tokens", elements: any(1) },
            Given { name: "targets", elements: any(2) },
        ]
    }

    fn length(&self) -> Option<usize> {
        Some(LENGTH)
    }
}

impl Fault {
    /// The names of the certificates of gradients, causality and threads that fail.
    fn failing(self) -> Vec<&'static str> {
        let n = self.record::<f64>().expect("valid").tape.parameters().len();
        let parameters: Vec<f64> = draw::normal(3, n, 1).iter().map(|x| 0.5 * x).collect();
        let narrow: Vec<f32> = parameters.iter().map(|&p| p as f32).collect();
        let mut all = check::gradients(&self, &parameters, 1).expect("valid");
        all.extend(check::causality(&self, &parameters).expect("valid"));
        all.push(check::threads(&self, &narrow, Products::Full).expect("valid"));
        assert_eq!(all.len(), 10 + 3 + 1);
        let failed = all.iter().filter(|c| c.verdict == Verdict::Fail);
        failed
            .clone()
            .for_each(|c| println!("{self:?}: {}: {} ({})", c.name, c.measured, c.detail));
        failed.map(|c| c.name).collect()
    }
}

const WORDS: usize = 31;

fn text(n: usize) -> Vec<u32> {
    draw::below(5, n, WORDS)
}

fn corpus(tokens: Vec<u32>) -> Corpus {
    Corpus::text(tokens, 0.1, 16).expect("long enough")
}

/// The verdict of one certificate.
fn verdict(all: &[Certificate], name: &str) -> Verdict {
    let found = all.iter().find(|c| c.name == name);
    let found = found.unwrap_or_else(|| panic!("no certificate {name:?}"));
    println!("{name}: {} of {:?} ({})", found.measured, found.limits, found.detail);
    found.verdict
}

/// A fresh model's certificates "start", with some of its parameters multiplied.
fn started(
    model: &Architecture,
    corpus: &Corpus,
    change: &dyn Fn(&str) -> f32,
) -> Vec<Certificate> {
    let mut parameters = model.initial_parameters(1).expect("valid");
    let step = ModelStep::of_run(&training(), model, corpus);
    for p in step.record::<f32>().expect("valid").tape.parameter_list() {
        parameters[p.range].iter_mut().for_each(|x| *x *= change(&p.name));
    }
    check::start(&step, &parameters, true).expect("valid")
}

#[test]
fn every_certificate_fails_where_it_should() {
    let mut failed: BTreeSet<&str> = BTreeSet::new();

    // A model or a kernel.
    assert_eq!(Fault::Healthy.failing(), [""; 0]);
    for (fault, must) in [
        (Fault::Unused, "every parameter is reached by the loss"),
        (Fault::Kernel(Kernel::Cut), "no path is cut"),
        (Fault::Kernel(Kernel::Sign), "every operation: ⟨ȳ, Jẋ⟩ = ⟨Jᵀȳ, ẋ⟩"),
        (Fault::Kernel(Kernel::Misstated), "every operation computes what its formula states"),
        (Fault::Kernel(Kernel::Overwrites), "every vjp adds"),
        (Fault::Kernel(Kernel::Unwritten), "every forward writes its output"),
        (Fault::Kernel(Kernel::Sign), "the whole step: duals against backward"),
        (Fault::Kernel(Kernel::Constant), "central differences against backward"),
        (Fault::FirstOrderOnly, "second order: uᵀHv = vᵀHu"),
        (Fault::Kernel(Kernel::Cancels), "f32 against f64: loss and gradients"),
        (Fault::NoMask, "no gradient to a later token or another sequence"),
        (Fault::NoMask, "later tokens change no bit of earlier logits"),
        (Fault::TargetsSeen, "targets do not reach the logits"),
        (Fault::Kernel(Kernel::Threads), "loss and gradients on 1, 2, 3 threads"),
    ] {
        let found = fault.failing();
        assert!(found.contains(&must), "{fault:?} passes {must:?}; fails {found:?}");
        failed.insert(must);
        // Faults that one certificate alone can see.
        let alone = [
            Fault::Unused,
            Fault::Kernel(Kernel::Constant),
            Fault::FirstOrderOnly,
            Fault::Kernel(Kernel::Threads),
            Fault::Kernel(Kernel::Cancels),
            Fault::Kernel(Kernel::Misstated),
        ];
        assert!(!alone.contains(&fault) || found == [must], "{fault:?}: {found:?}");
    }

    // An initialisation.
    let (settings, fine) = (training(), corpus(text(4000)));
    let model = settings.model(WORDS).expect("valid");
    assert!(check::passed(&started(&model, &fine, &|_| 1.0)));
    type Change = fn(&str) -> f32;
    let changes: [(&'static str, Change); 4] = [
        ("first loss", |n| if n == "embedding.token.weight" { 40.0 } else { 1.0 }),
        (
            "scale of activations, block by block",
            |n| if n.contains("position") { 6.0 } else { 1.0 },
        ),
        ("scale of gradients, block by block", |n| match n {
            "block.0.norm_2.weight" | "block.0.feed_forward.expanded.weight" => 8.0,
            _ => 1.0,
        }),
        ("one batch can be learned by heart", |n| if n.contains("norm") { 1.0 } else { 0.0 }),
    ];
    for (name, change) in changes {
        assert_eq!(verdict(&started(&model, &fine, &change), name), Verdict::Fail, "{name}");
        failed.insert(name);
    }

    // Data.
    let data = |tokens, vocabulary| check::data(&corpus(tokens), vocabulary, &settings);
    assert!(check::passed(&data(text(4000), WORDS)));
    let name = "tokens are in range";
    assert_eq!(verdict(&data(text(4000), WORDS - 1), name), Verdict::Fail);
    failed.insert(name);
    // The validation part repeats a stretch of the training part.
    let mut copied = text(4000);
    copied.copy_within(500..700, 3700);
    for name in ["the split does not overlap", "validation windows that occur in training"] {
        assert_eq!(verdict(&data(copied.clone(), WORDS), name), Verdict::Fail);
        failed.insert(name);
    }
    // A stretch in pieces, none of them long: only the share of windows shows it.
    let mut pieces = text(4000);
    for i in 0..12 {
        pieces.copy_within(100 * i..100 * i + 17, 3600 + 32 * i);
    }
    let name = "validation windows that occur in training";
    assert_eq!(verdict(&data(pieces, WORDS), name), Verdict::Fail);
    // Loaders that shift by nothing, by two, and the other way.
    let tokens = text(40);
    for (shift, right) in [(1, true), (0, false), (2, false)] {
        let windows = (0..10).map(|i| (&tokens[i..i + 8], &tokens[i + shift..i + shift + 8]));
        let c = check::shifted(windows);
        assert_eq!(c.verdict == Verdict::Pass, right, "{c:?}");
    }
    let backwards = check::shifted([(&tokens[1..9], &tokens[..8])]);
    assert_eq!(backwards.verdict, Verdict::Fail);
    failed.insert(backwards.name);

    // A loader that does not draw the same batch again.
    let wide: Vec<f64> =
        model.initial_parameters(1).expect("valid").into_iter().map(f64::from).collect();
    let calls = AtomicU32::new(0);
    let once = ModelStep::of_run(&settings, &model, &fine);
    let forgetful = ModelStep {
        batches: Arc::new(|n| (once.batches)(n + u64::from(calls.fetch_add(1, Ordering::SeqCst)))),
        ..once.clone()
    };
    let accumulated = |step| check::accumulation(step, &wide).expect("valid");
    assert_eq!(accumulated(&once).verdict, Verdict::Pass);
    let found = accumulated(&forgetful);
    assert_eq!(found.verdict, Verdict::Fail, "{found:?}");
    failed.insert(found.name);

    // Checkpoints that forget: what the optimiser remembers, where it stands, one weight's last digit.
    let narrow = model.initial_parameters(1).expect("valid");
    type Pass = fn(
        &mut transformer::Trainer<f32>,
        &mut transformer::Trainer<f32>,
    ) -> Result<(), Box<dyn std::error::Error>>;
    let parameters_only: Pass = |a, b| {
        let kept = a.model().tape().parameters().to_vec();
        b.model_mut().copy_parameters(&kept);
        b.set_steps(a.steps());
        Ok(())
    };
    let from_zero: Pass = |a, b| {
        for ((_, to), (_, from)) in b.state().into_iter().zip(a.state()) {
            to.copy_from_slice(from);
        }
        Ok(())
    };
    let one_bit: Pass = |a, b| {
        for ((_, to), (_, from)) in b.state().into_iter().zip(a.state()) {
            to.copy_from_slice(from);
            to[7] = f32::from_bits(to[7].to_bits() ^ 1);
        }
        b.set_steps(a.steps());
        Ok(())
    };
    let not_at_all: Pass = |_, _| Err("disk full".into());
    let resumed =
        |pass: Pass| check::resumed(&settings, &model, &narrow, &fine, pass).expect("valid");
    let fine_file = check::resume(&settings, &model, &narrow, &fine).expect("valid");
    assert_eq!(fine_file.verdict, Verdict::Pass);
    for pass in [parameters_only, from_zero, one_bit, not_at_all] {
        let found = resumed(pass);
        assert_eq!(found.verdict, Verdict::Fail, "{found:?}");
        failed.insert(found.name);
    }

    // That was all of them.
    let all = check::model(&settings, &model, None, &fine).expect("valid");
    assert!(check::passed(&all), "{all:?}");
    let names: BTreeSet<&str> = all.iter().map(|c| c.name).collect();
    assert_eq!(names.len(), tests::readme::stated("brought in for them | all "));
    assert_eq!(names, failed);
}
