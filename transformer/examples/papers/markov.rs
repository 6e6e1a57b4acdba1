//! In-context learning of Markov chains: from ln k over the counts of states to the counts of pairs, and no further.
//!
//! Edelman et al., *The Evolution of Statistical Induction Heads: In-Context Learning Markov Chains*, 2024 (2402.11004).

use super::page::{Lab, Origin, Page, Picture, Result};
use calculus::optimizer::{Adam, Optimizer};
use probability::Random;
use transformer::{Architecture, Form, Positions, RecordedStep, Rotary};

/// States of a chain, tokens of a sequence, sequences of a batch, steps.
const K: usize = 3;
const T: usize = 64;
const BATCH: usize = 32;
const STEPS: u32 = 1500;
/// The steps at which the model knows how often states occur, and not yet what follows them.
const PLATEAU: std::ops::Range<usize> = 100..200;

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "In-context learning of Markov chains",
        "Edelman et al., *The Evolution of Statistical Induction Heads: In-Context Learning Markov Chains*, 2024",
        "Every sequence is from a Markov chain of its own. A small transformer learns to predict it in stages: first \
         uniformly, then by how often each state occurred in the sequence, then, rather suddenly, by what followed the \
         present state: the Bayes-optimal prediction.",
    );
    page.formulas = vec![
        ["rows of P: Dirichlet(1, …, 1)", "`draw`: exponential numbers over their sum"],
        ["unigram: (n_j + 1)/(n + k)", "`rules`, n_j occurrences of j so far"],
        [
            "Bayes: P(j | i, x) = (n_ij + 1)/(n_i + k)",
            "`rules`, n_ij transitions so far: the posterior mean, exact",
        ],
    ];
    let config = Architecture {
        vocabulary: K,
        context: T,
        width: 32,
        heads: 2,
        layers: 2,
        hidden: 64,
        positions: Positions::Rotary(Rotary { base: 100.0, ..Rotary::default() }),
        tied: false,
        hidden_deviation: 0.1,
        ..Default::default()
    };
    let mut picture = Picture::new("Loss in training", ["step", "nats a state"])
        .level("uniform, ln 3", (K as f64).ln());
    // Of each comparison the seed that is farthest off: what is expected, and the model's loss.
    let mut worst = [[0.0; 2]; 3];
    for seed in 0..lab.seeds {
        (lab.progress)(seed as f64 / lab.seeds as f64, "training");
        let (mut model, curve) = trained(&config, seed)?;
        // The two rules and the model on the same fresh sequences.
        let mut fresh = [0.0; 3];
        for batch in 0..40 {
            let (tokens, targets) = draw(&Random::new(seed, 2, batch));
            let [unigram, bayes] = rules(&tokens, &targets);
            let own = model.loss(&tokens, &targets)?;
            fresh.iter_mut().zip([unigram, bayes, own]).for_each(|(sum, x)| *sum += x / 40.0);
        }
        let [unigram, bayes, own] = fresh;
        // A batch's loss above that of the Bayes rule on the same batch: most of the noise is gone.
        let mean = |part: &[[f64; 2]]| {
            bayes + part.iter().map(|[own, rule]| own - rule).sum::<f64>() / part.len() as f64
        };
        let plateau = mean(&curve[PLATEAU]);
        let found = [[(K as f64).ln(), curve[0][0]], [unigram, plateau], [bayes, own]];
        for (worst, found) in worst.iter_mut().zip(found) {
            // NaN is farther off than any number.
            let nearer = (found[1] - found[0]).abs() < f64::abs(worst[1] - worst[0]);
            *worst = if nearer { *worst } else { found };
        }
        let smooth = curve.windows(20).enumerate().map(|(i, part)| [i as f64 + 10.0, mean(part)]);
        picture = picture.line(format!("seed {seed}"), smooth.collect());
        if seed == 0 {
            picture = picture.level("unigram", unigram).level("Bayes", bayes);
        }
    }
    let [first, plateau, last] = worst;
    page.row("before training, and ln 3, nats", Origin::Derived, first, 0.05, 3);
    page.row("on the plateau, and the unigram rule", Origin::Claimed, plateau, 0.03, 3);
    page.row("after training, and the Bayes rule", Origin::Derived, last, 0.02, 3);
    page.pictures.push(picture);
    page.to_break = "Leave out a layer (`layers: 1`): no head can read what another has found, and after 1500 steps the \
                     loss is 0.99, still near the plateau.";
    Ok(page)
}

/// Returns the model after training, and of every step its loss and that of the Bayes rule.
fn trained(config: &Architecture, seed: u64) -> Result<(RecordedStep<f32>, Vec<[f64; 2]>)> {
    let mut model = RecordedStep::<f32>::record(config, BATCH, T, Form::Fused, 0)?;
    model.initialise(seed);
    let mut adam = Adam::new(model.tape().parameters().len(), 0.9, 0.98, 1e-8);
    let (loss, mut curve) = (model.loss_var(), vec![]);
    for step in 0..STEPS {
        let (tokens, targets) = draw(&Random::new(seed, 1, step));
        model.set_batch(&tokens, &targets)?;
        model.tape_mut().zero_gradients();
        model.tape_mut().forward_and_backward(loss, 1.0);
        let [_, bayes] = rules(&tokens, &targets);
        curve.push([f64::from(model.tape().elements(loss)[0]), bayes]);
        let rate = 3e-3 * (f64::from(step + 1) / 50.0).min(1.0);
        let (parameters, gradients) = model.tape_mut().parameters_and_gradients();
        adam.step(rate, parameters, gradients);
    }
    Ok((model, curve))
}

/// Draws a batch: each sequence from a chain of its own, whose rows are uniform on the simplex; its first state is uniform.
fn draw(random: &Random) -> (Vec<u32>, Vec<u32>) {
    let (mut tokens, mut targets) = (vec![], vec![]);
    let mut numbers = (0..).map(|i| random.open_uniform(i));
    let mut next = || numbers.next().unwrap_or(0.5);
    for _ in 0..BATCH {
        // Exponential numbers over their sum are uniform on the simplex.
        let rows: [[f64; K]; K] = std::array::from_fn(|_| {
            let row: [f64; K] = std::array::from_fn(|_| -next().ln());
            row.map(|x| x / row.iter().sum::<f64>())
        });
        let mut state = (K as f64 * next()) as usize;
        for _ in 0..T {
            tokens.push(state as u32);
            let mut left = next();
            let reached = |p: &f64| {
                left -= p;
                left <= 0.0
            };
            state = rows[state].iter().position(reached).unwrap_or(K - 1);
            targets.push(state as u32);
        }
    }
    (tokens, targets)
}

/// Returns the mean nats of the unigram and the Bayes rule.
fn rules(tokens: &[u32], targets: &[u32]) -> [f64; 2] {
    let mut nats = [0.0; 2];
    for (x, y) in tokens.chunks(T).zip(targets.chunks(T)) {
        let (mut single, mut pairs) = ([1.0; K], [[1.0; K]; K]);
        for (&x, &y) in x.iter().zip(y) {
            let (x, y) = (x as usize, y as usize);
            single[x] += 1.0;
            for (sum, row) in nats.iter_mut().zip([&single, &pairs[x]]) {
                *sum -= (row[y] / row.iter().sum::<f64>()).ln();
            }
            pairs[x][y] += 1.0;
        }
    }
    nats.map(|nats| nats / tokens.len() as f64)
}
