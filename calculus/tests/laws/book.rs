//! The worked numbers of the textbook's chapters on calculus, recomputed (this crate's documentation lists the errors
//! in print).

use calculus::activation::{Activation, gelu, gelu_tanh, relu, silu};
use calculus::optimizer::{Adam, Optimizer, Sgd};
use calculus::schedule::Schedule;
use calculus::{Recorder, derivative, gradient, trace, value_and_gradient};
use linalg::{Real, Shape, affine::Affine};

fn near(found: f64, printed: f64, digits: i32) -> bool {
    (found - printed).abs() <= 0.5 * 10.0_f64.powi(-digits) * 1.0001
}

#[test]
fn descent_on_the_parabola_of_a_3() {
    // Prediction 2w, target 3, L = (2w − 3)², w₀ = 1.
    let loss = |w: &[calculus::Traced<f64>]| {
        let error = 2.0 * w[0] - 3.0;
        error * error
    };
    let run = |rate: f64| {
        let (mut w, mut descent) = ([1.0], Sgd::new(1, 0.0));
        let mut history = Vec::new();
        for _ in 0..10 {
            let (value, slope) = value_and_gradient(loss, &w);
            history.push((w[0], value, slope[0]));
            descent.step(rate, &mut w, &slope);
        }
        (w[0], history)
    };
    let (last, history) = run(0.1);
    let expected =
        [(1.0, 1.0, -4.0), (1.4, 0.04, -0.8), (1.48, 0.0016, -0.16), (1.496, 6.4e-5, -0.032)];
    for ((w, loss, slope), (w1, loss1, slope1)) in history.into_iter().zip(expected) {
        assert!((w - w1).abs() < 1e-14 && (loss - loss1).abs() < 1e-14);
        assert!((slope - slope1).abs() < 1e-13);
    }
    assert!(near(last, 1.4999999488, 10));
    let (error, _) = value_and_gradient(loss, &[last]);
    assert!((error / 1.05e-14 - 1.0).abs() < 0.01); // (2·5.12e-8)²
    assert_eq!(run(0.125).0, 1.5);
    let (_, swings) = run(0.25);
    assert!(swings.iter().enumerate().all(|(i, s)| s.0 == 1.0 + (i % 2) as f64));
    assert!(near(run(0.3).0, -12.9627, 4));
    assert!(near(run(0.2).0, 1.4969767, 7));
}

#[test]
fn backpropagation_by_numbers_of_0_2() {
    let network = |p: &[calculus::Traced<f64>]| {
        let (x, w, b) = (p[0], p[1], p[2]);
        let error = relu(w * x + b) - 1.0;
        error * error
    };
    let (loss, slope) = value_and_gradient(network, &[2.0, 0.5, 0.5]);
    assert_eq!((loss, slope.as_slice()), (0.25, &[0.5, 2.0, 1.0][..]));
    let step = |rate: f64| {
        let mut w = [0.5];
        Sgd::new(1, 0.0).step(rate, &mut w, &slope[1..2]);
        w[0]
    };
    assert!((step(0.1) - 0.3).abs() < 1e-15 && (step(0.01) - 0.48).abs() < 1e-15);
}

#[test]
fn autograd_s_first_example_of_0_3() {
    assert_eq!(derivative(|x| x * x + 2.0 * x + 1.0, 3.0), 8.0);
    assert_eq!(gradient(|x| x[0] * x[0] + 2.0 * x[0] + 1.0, &[3.0]), [8.0]);
    // Its graph: x, x·x, 2·x, two sums.
    assert_eq!(trace(|x| x[0] * x[0] + 2.0 * x[0] + 1.0, &[3.0]).len(), 5);
}

#[test]
fn activations_of_a_3() {
    let at = |f: fn(calculus::Dual<f64>) -> calculus::Dual<f64>, x: f64| {
        let y = f(calculus::Dual::variable(x));
        (y.value, y.derivative)
    };
    for (f, x, value, slope) in [
        (gelu as fn(_) -> _, 1.0, 0.8413447, 1.0833155),
        (gelu, -1.0, -0.1586553, -0.0833155),
        (silu, 1.0, 0.7310586, 0.9276705),
        (silu, -1.0, -0.2689414, 0.0723295),
    ] {
        let found = at(f, x);
        assert!(near(found.0, value, 7) && near(found.1, slope, 7), "{found:?}");
    }
    assert!(near(gelu_tanh(1.0), 0.8411920, 7));
    // At minima the slope changes its sign.
    for (f, x, value) in
        [(gelu as fn(calculus::Dual<f64>) -> _, -0.7518, -0.169971), (silu, -1.2785, -0.278465)]
    {
        assert!(at(f, x - 1e-3).1 < 0.0 && at(f, x + 1e-3).1 > 0.0);
        assert!(near(at(f, x).0, value, 6));
    }
    // ReLU′(0) = 0 by convention, as in PyTorch; the textbook's table has 1.
    assert_eq!(at(relu, 0.0), (0.0, 0.0));
}

#[test]
fn the_feed_forward_hidden_layer_of_4_1() {
    // max(0, xW + b) for x = (0.5, −1, 0.8); the book's rows are columns here.
    let mut r = Recorder::<f64>::new();
    let w = r.parameter("w", Shape::new(4, 3)).unwrap();
    let b = r.parameter("b", Shape::new(4, 1)).unwrap();
    let x = r.input("x", Shape::new(3, 1)).unwrap();
    let z = r.push("z", Affine, [w, x, b]).unwrap();
    let y = r.push("y", Activation::Relu, [z]).unwrap();
    let mut tape = r.finish();
    tape.set(w, &[1.0, 0.0, -1.0, 0.5, 0.0, 1.0, 0.0, -1.0, 0.5, -0.5, 1.0, 0.0]);
    tape.set(x, &[0.5, -1.0, 0.8]);
    tape.forward();
    let expected = [0.9, 0.0, 0.3, 1.25];
    assert!(tape.value(y).iter().zip(expected).all(|(y, e)| (y - e).abs() < 1e-15));
}

#[test]
fn parameters_of_the_perceptron_of_0_3() {
    let mut r = Recorder::<f32>::new();
    for (name, rows, columns) in [("first", 128, 784), ("second", 10, 128)] {
        r.scope(name, |r| {
            r.parameter("weight", Shape::new(rows, columns))?;
            r.parameter("bias", Shape::new(rows, 1))
        })
        .unwrap();
    }
    assert_eq!(r.finish().parameters().len(), 101_770);
}

#[test]
fn schedules_of_6_5() {
    let (peak, minimum, warmup, total) = (3e-4, 3e-5, 2000, 100_000);
    let cosine = Schedule::Cosine { peak, minimum, warmup, total };
    // The book's warm-up is peak·step/2000; ours is never 0: (step + 1)/2001.
    assert!((cosine.rate(0) - 3e-4 / 2001.0).abs() < 1e-18);
    assert!((cosine.rate(1000) - 1.5e-4).abs() < 1e-7);
    assert_eq!(cosine.rate(2000), 3e-4);
    assert!(near(cosine.rate(50_000), 1.69327e-4, 9));
    assert!(near(cosine.rate(99_999), 3e-5, 9));
    let stable = Schedule::WarmupStableDecay { peak, minimum, warmup, decay: 80_000, total };
    assert_eq!(stable.rate(80_000), 3e-4);
    assert!((stable.rate(90_000) - 1.65e-4).abs() < 1e-18);
}

#[test]
fn bias_correction_makes_the_first_step_of_adam_the_rate() {
    // The book says that it causes huge early steps; without it they would be 3.2 times as long.
    let first = |g: f64| {
        let mut w = [0.0];
        Adam::new(1, 0.9, 0.999, 1e-8).step(3e-4, &mut w, &[g]);
        w[0]
    };
    for g in [1e-3, 1.0, 1e3] {
        assert!((first(g) / -3e-4 - 1.0).abs() < 1e-4);
    }
    let (m, v) = (0.1 * 1.0, 0.001_f64 * 1.0);
    assert!((m / v.sqrt() - 3.16).abs() < 0.01);
}

#[test]
fn twelve_logistic_layers_learn_nothing_at_the_bottom() {
    // The example of 0.2: gradients below 10⁻¹⁰ in layers 1 to 8 of 12. At initial weights of size ½ a factor is at
    // most ½·¼ = ⅛; the first layer gets at most 8⁻¹² = 1.5e-11.
    use calculus::{activation::sigmoid, depth};
    let logistic = depth::gradients(&depth::factors(12, |_, x| sigmoid(0.5 * x), 1.0));
    assert!(logistic[0] < 1.5e-11);
    // The same with ReLU and Kaiming initialisation, with one path of two active: factors of 1.
    let rectified = depth::gradients(&depth::factors(12, |_, x| relu(1.0 * x), 1.0));
    assert_eq!(rectified[0], 1.0);
    // And with residual connections around logistic layers.
    let residual = depth::factors(12, |_, x| x + sigmoid(0.5 * x), 1.0);
    assert!((1.0..2.0).contains(&depth::gradients(&residual)[0]));
}

#[test]
fn powers_of_exp_of_a_2_are_finite_where_they_should_be() {
    // exp overflows at 709.78; the sigmoid does not.
    assert_eq!(709.7828_f64.exp(), f64::INFINITY);
    for x in [-800.0, 800.0] {
        let y = calculus::activation::sigmoid(calculus::Dual::variable(x));
        assert_eq!((y.value, y.derivative), (f64::from(u8::from(x > 0.0)), 0.0));
    }
    assert_eq!(Real::exp(-800.0_f64), 0.0);
}
