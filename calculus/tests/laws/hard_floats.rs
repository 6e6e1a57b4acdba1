//! Edge cases: 0, −0, denormals, ±∞, NaN, huge and tiny scales.
//!
//! This file tests the scalars and the functions of closures; every module's own tests check its documentation
//! (clipping, optimizers, schedules, spectra, depth, line search, differences).

use calculus::activation::{Activation, gelu, gelu_tanh, leaky_relu, relu, sigmoid, silu};
use calculus::chain::Chain;
use calculus::landscape::{Bowl, Field, Himmelblau, MonkeySaddle, Rosenbrock};
use calculus::taylor::{self, Series};
use calculus::{
    Dual, Traced, check, derivative, directional_derivative, gradient, hessian,
    hessian_vector_product, jacobian, jacobian_by_rows, jvp, trace, value_and_gradient, vjp,
};
use linalg::{Matrix, Real, apply, hadamard::Hadamard, pullback};
use num_traits::{One, Zero};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;
/// Denormal, smallest normal, and largest numbers of both signs.
const HARD: [f64; 15] = [
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    f64::MIN_POSITIVE,
    -1e-300,
    1e-160,
    1.0,
    -1.0,
    1e160,
    -1e300,
    f64::MAX,
    INF,
    -INF,
    NAN,
];

/// Whether both have the same bits, or both are NaN.
fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// A function with its name.
type Unary<T> = (&'static str, fn(T) -> T);
/// An operation with its name.
type Binary<T> = (&'static str, fn(T, T) -> T);

fn unary<T: Real>() -> [Unary<T>; 16] {
    [
        ("negative", |x| -x),
        ("exp", T::exp),
        ("ln", T::ln),
        ("ln_1p", T::ln_1p),
        ("sqrt", T::sqrt),
        ("tanh", T::tanh),
        ("erf", T::erf),
        ("sin", T::sin),
        ("cos", T::cos),
        ("abs", T::abs),
        ("relu", relu),
        ("leaky_relu", |x| leaky_relu(x, 0.01)),
        ("sigmoid", sigmoid),
        ("silu", silu),
        ("gelu", gelu),
        ("gelu_tanh", gelu_tanh),
    ]
}

fn binary<T: Real>() -> [Binary<T>; 5] {
    [
        ("+", |a, b| a + b),
        ("−", |a, b| a - b),
        ("·", |a, b| a * b),
        ("/", |a, b| a / b),
        ("larger", T::larger),
    ]
}

#[test]
fn values_are_those_of_plain_arithmetic() {
    let traced = |f: fn(Traced<f64>) -> Traced<f64>, x| trace(|x| f(x[0]), &[x]).values()[0];
    for (i, (name, f)) in unary::<f64>().into_iter().enumerate() {
        for x in HARD {
            let plain = f(x);
            assert!(same(unary()[i].1(Dual::variable(x)).value, plain), "dual {name} {x:e}");
            assert!(same(traced(unary()[i].1, x), plain), "traced {name} {x:e}");
            let series = unary()[i].1(Series::<f64, 3>::variable(x)).value();
            // A convolution starts at +0: the sign of a zero may be lost.
            assert!(series == plain || same(series, plain), "series {name} {x:e}: {series:e}");
        }
    }
    for (i, (name, f)) in binary::<f64>().into_iter().enumerate() {
        for a in HARD {
            for b in HARD {
                let plain = f(a, b);
                let dual = binary()[i].1(Dual::variable(a), Dual::constant(b)).value;
                assert!(same(dual, plain), "dual {a:e} {name} {b:e}");
                let traced = trace(|x| binary()[i].1(x[0], x[1]), &[a, b]).values()[0];
                assert!(same(traced, plain), "traced {a:e} {name} {b:e}");
            }
        }
    }
}

#[test]
fn slopes_of_one_variable_are_the_same_forward_and_reverse() {
    for (i, (name, forward)) in unary::<Dual<f64>>().into_iter().enumerate() {
        for x in HARD {
            let dual = derivative(forward, x);
            let reverse = gradient(|x| unary()[i].1(x[0]), &[x])[0];
            // A product of the same two numbers, in another order; 0 and −0 count as equal. (At ±∞ a constant's 0·∞ may
            // matter: see below.)
            let at_infinity = x.is_infinite() && dual.is_nan();
            let close =
                at_infinity || dual == reverse || (dual - reverse).abs() <= 1e-14 * dual.abs();
            assert!(
                close || (dual.is_nan() && reverse.is_nan()),
                "{name} {x:e}: {dual:e} {reverse:e}"
            );
        }
    }
}

#[test]
fn a_constant_beside_infinity_is_still() {
    // A plain number has no slope that ∞ could meet, nor has it a line in the list.
    assert_eq!(derivative(|x| x / 2.0, INF), 0.5);
    assert_eq!(gradient(|x| x[0] / 2.0, &[INF]), [0.5]);
    // A dual number has a slope: 0·∞.
    assert!(derivative(|x| x / Dual::constant(2.0), INF).is_nan());
}

#[test]
fn activations_where_numbers_end() {
    // Values and slopes at −∞, 0, ∞ and NaN.
    type Row = (fn(Dual<f64>) -> Dual<f64>, [f64; 3], [f64; 3]);
    let table: [Row; 7] = [
        (relu, [0.0, 0.0, INF], [0.0, 0.0, 1.0]),
        (|x| leaky_relu(x, 0.01), [-INF, 0.0, INF], [NAN, 0.01, 1.0]),
        (sigmoid, [0.0, 0.5, 1.0], [0.0, 0.25, 0.0]),
        (|x| x.tanh(), [-1.0, 0.0, 1.0], [0.0, 1.0, 0.0]),
        (gelu, [NAN, 0.0, INF], [NAN, 0.5, NAN]),
        (gelu_tanh, [NAN, 0.0, INF], [NAN, 0.5, NAN]),
        (silu, [NAN, 0.0, INF], [NAN, 0.5, NAN]),
    ];
    for (i, (f, values, slopes)) in table.into_iter().enumerate() {
        for ((x, value), slope) in [-INF, 0.0, INF].into_iter().zip(values).zip(slopes) {
            let y = f(Dual::variable(x));
            let fine = |found: f64, expected: f64| found == expected || same(found, expected);
            assert!(fine(y.value, value) && fine(y.derivative, slope), "{i} at {x}: {y:?}");
        }
        assert!(f(Dual::variable(NAN)).value.is_nan());
        // Denormals and zeros of either sign: finite, and nearly linear.
        for x in [-0.0, 5e-324, -5e-324, 1e-310] {
            let y = f(Dual::variable(x));
            assert!(y.value.is_finite() && y.derivative.is_finite());
        }
        // Huge: no overflow before the end.
        for x in [1e100, -1e100] {
            let y = f(Dual::variable(x));
            assert!(y.value.is_finite() && y.derivative.is_finite(), "{i} at {x:e}: {y:?}");
        }
    }
    assert!(relu(-0.0_f64).is_sign_positive() && leaky_relu(-0.0_f64, 0.1).is_sign_negative());
    assert!(leaky_relu(-INF, 0.0).is_nan());
    // Denormal results, exact to the last bit.
    assert_eq!(sigmoid(-745.0), f64::exp(-745.0));
    assert_eq!(silu(-745.0), -745.0 * f64::exp(-745.0));
}

#[test]
fn singular_slopes() {
    assert_eq!(derivative(|x| x.sqrt(), 0.0), INF);
    assert_eq!(derivative(|x| x.ln(), 0.0), INF);
    assert_eq!(gradient(|x| x[0].sqrt(), &[0.0]), [INF]);
    // The chain rule with a slope of ∞ times a slope of 0: √(x²) at 0.
    assert!(derivative(|x| (x * x).sqrt(), 0.0_f64).is_nan());
    assert!(gradient(|x| (x[0] * x[0]).sqrt(), &[0.0_f64])[0].is_nan());
    // A branch that is not taken has no effect: |x| by cases is correct.
    let cases = |x: Traced<f64>| if x > Traced::zero() { (x * x).sqrt() } else { -x };
    assert_eq!(gradient(|x| cases(x[0]), &[0.0]), [-1.0]);
    assert_eq!(derivative(|x| x.abs(), -0.0), 0.0);
    let series = Series::<f64, 3>::variable(0.0);
    assert_eq!(series.sqrt().coefficients()[1], INF);
    assert!(series.sqrt().coefficients()[2].is_nan() || series.sqrt().coefficients()[2] == -INF);
    assert_eq!(series.ln().coefficients()[..2], [-INF, INF]);
}

#[test]
fn closures_at_hard_places() {
    for x in HARD {
        assert_eq!(gradient(|x| x[0], &[x]), [1.0]);
        assert_eq!(derivative(|x| x, x), 1.0);
        assert_eq!(directional_derivative(|x| x[0], &[1.0], &[x]).to_bits(), x.to_bits());
        let (value, slope) = value_and_gradient(|x| x[0] + x[0], &[x]);
        assert!(same(value, x + x) && slope == [2.0]);
        assert_eq!(jacobian(|x| vec![x[0]], &[x])[0], 1.0);
        assert_eq!(hessian(|x| x[0], &[x])[0], 0.0);
        assert!(same(jvp(|x| vec![x[0]], &[0.0], &[x])[0], x));
        assert!(same(vjp(|x| vec![x[0]], &[0.0], &[x])[0], x));
        // The curvature of a square is 2 wherever it is finite.
        let h = hessian(|v| v[0] * v[0], &[x])[0];
        assert!(h == 2.0 || !x.is_finite(), "{x:e}: {h}");
        let p = taylor::expand::<f64, 3>(|v| v * v, x);
        assert!(p.derivative(2) == 2.0 || !x.is_finite());
        assert!(same(Series::<f64, 1>::variable(x).at(7.0), x));
    }
    assert!(Series::<f64, 2>::constant(1.0).at(INF).is_nan()); // 1 + 0·∞
    let p = Series::<f64, 3>::variable(1.0);
    assert_eq!(p.remainder_bound(0.0, 5.0), 0.0);
    assert_eq!(p.remainder_bound(1e200, 1.0), INF);
    assert_eq!(p.remainder_bound(1e-200, 1.0), 0.0); // underflows
    assert!(p.remainder_bound(NAN, 1.0).is_nan() && p.remainder_bound(1.0, NAN).is_nan());
    assert_eq!((p.remainder_bound(-INF, 1.0), p.remainder_bound(1.0, INF)), (INF, INF));
    assert!(p.remainder_bound(0.0, INF).is_nan() && p.remainder_bound(INF, 0.0).is_nan());
    assert_eq!(p.remainder_bound(-0.0, 5.0), 0.0);
    let square = taylor::expand::<f64, 3>(|x| x * x, 3.0); // 9 + 6h + h²
    assert_eq!([0.0, -0.0, 5e-324, -1e-300].map(|h| square.at(h)), [9.0; 4]);
    assert_eq!([1e160, -1e160, INF, -INF].map(|h| square.at(h)), [INF; 4]);
    assert!(square.at(NAN).is_nan() && Series::<f64, 3>::variable(1.0).at(INF).is_nan());
}

#[test]
fn compositions_of_nothing_and_of_one() {
    let chain = Chain::of(&[&|x: &[Dual<f64>]| x.to_vec()], &[]);
    assert_eq!(chain.product().shape(), (0, 0));
    let chain = Chain::of(&[&|x: &[Dual<f64>]| vec![x[0] * x[0]]], &[INF]);
    assert_eq!((chain.values()[1][0], chain.product()[0]), (INF, INF));
    let chain = Chain::of(&[&|x: &[Dual<f64>]| vec![x[0].ln()]], &[-1.0]);
    assert!(chain.values()[1][0].is_nan());
}

#[test]
fn landscapes_at_hard_places() {
    // Polynomials in one growing variable: the largest power determines the result, and no intermediate value
    // overflows.
    let values = |x: f64| {
        [
            Bowl(&[1.0]).at(&[x]),      // x²/2
            Rosenbrock.at(&[x, 1.0]),   // 100·(1 − x²)² + (1 − x)²
            Himmelblau.at(&[x, 1.0]),   // (x² − 10)² + (x − 6)²
            MonkeySaddle.at(&[x, 0.0]), // x³ − 0
        ]
    };
    for zero in [0.0, -0.0, 5e-324, -5e-324, f64::MIN_POSITIVE, -1e-300, 1e-200] {
        let expected = [0.0, 101.0, 136.0, 0.0];
        assert_eq!(values(zero), expected, "{zero:e}");
    }
    for one in [1.0, -1.0] {
        assert_eq!(values(one), [0.5, (1.0 - one) * (1.0 - one), 81.0 + (one - 6.0).powi(2), one]);
    }
    assert_eq!(values(1e-160)[3], 0.0); // x³ underflows, x² does not quite
    assert!(values(1e-160)[0] > 0.0 && values(1e-163)[0] == 0.0);
    // Squares are finite up to 1e154, cubes up to 5e102, fourth powers up to 1e77.
    assert!(values(1e70).iter().all(|value| value.is_finite()));
    assert_eq!(values(1e100).map(f64::is_finite), [true, false, false, true]);
    assert_eq!(values(1e160), [INF; 4]);
    for (huge, sign) in [(1e160, 1.0), (-1e300, -1.0), (f64::MAX, 1.0), (INF, 1.0), (-INF, -1.0)] {
        let [bowl, rosenbrock, himmelblau, monkey] = values(huge);
        assert_eq!((bowl, himmelblau), (INF, INF), "{huge:e}");
        assert_eq!(rosenbrock, INF, "{huge:e}");
        // 3·x·y² is ∞·0 if 3·x is ∞: NaN by IEEE.
        assert!(if (3.0 * huge).is_finite() { monkey == sign * INF } else { monkey.is_nan() });
    }
    assert!(values(NAN).iter().all(|value| value.is_nan()));
    assert_eq!(Rosenbrock.at::<f64>(&[]), 0.0);
    assert_eq!(Rosenbrock.at(&[7.0]), 0.0); // no pair of variables
    assert_eq!(Bowl(&[]).at::<f64>(&[]), 0.0);
    assert!(Bowl(&[1.0]).at(&[NAN]).is_nan());
}

#[test]
fn units_of_every_scalar() {
    assert!(Dual::<f64>::zero().is_zero() && !Dual::<f64>::one().is_zero());
    assert!(Traced::<f64>::zero().is_zero() && !Traced::<f64>::one().is_zero());
    assert_eq!(Traced::<f64>::from_f64(NAN).to_f64().to_bits(), NAN.to_bits());
    assert_eq!(Dual::<f32>::from_f64(1e300).value, f32::INFINITY);
}

#[test]
fn recorded_activations_are_the_functions_and_their_slopes() {
    for f in Activation::ALL {
        let x = Matrix::from_column_slice(HARD.len(), 1, &HARD);
        let y = apply(f, [&x]).expect("one operand");
        let [dx] = pullback(f, [&x], &Matrix::repeat(HARD.len(), 1, 3.0)).expect("one");
        for (i, &x) in HARD.iter().enumerate() {
            let dual = f.at(Dual::variable(x));
            assert!(same(y[i], f.at(x)) && same(y[i], dual.value), "{f}({x:e}) = {:e}", y[i]);
            // The gradient starts at +0; adding −0 does not change it.
            assert!(same(dx[i], 0.0 + 3.0 * dual.derivative), "{f}′({x:e}): {:e}", dx[i]);
        }
        let nothing = Matrix::<f64>::zeros(0, 3);
        assert_eq!(apply(f, [&nothing]).expect("one operand"), nothing);
    }
}

#[test]
fn second_derivatives_and_rows_at_hard_places() {
    for x in HARD {
        // H of a linear function is 0 for any x; of a square, 2·v if x is finite.
        assert_eq!(hessian_vector_product(|w| w[0], &[x], &[1.0]), [0.0]);
        let curved = hessian_vector_product(|w| w[0] * w[0], &[1.0], &[x])[0];
        assert!(same(curved, 2.0 * x) || (x == 0.0 && curved == 0.0), "{x:e}: {curved:e}");
        assert_eq!(jacobian_by_rows(|w| vec![w[0], w[0] + w[0]], &[x]).as_slice(), &[1.0, 2.0]);
    }
    assert!(
        hessian_vector_product(
            |_: &[Traced<Dual<f64>>]| Traced::constant(Dual::constant(1.0)),
            &[],
            &[]
        )
        .is_empty()
    );
    let none = jacobian_by_rows(|_: &[Traced<f64>]| vec![Traced::constant(2.0)], &[]);
    assert_eq!(none.shape(), (1, 0));
    assert_eq!(jacobian_by_rows(|_: &[Traced<f64>]| vec![], &[1.0]).shape(), (0, 1));
    // A constant has derivative 0 in every direction.
    for x in HARD {
        assert_eq!(
            taylor::expand_along::<f64, 2>(|_| Series::constant(1.0), &[x], &[1.0]).derivative(1),
            0.0
        );
        let line = taylor::expand_along::<f64, 2>(|w| w[0], &[1.0], &[x]);
        assert!(same(line.derivative(1), x));
    }
}

#[test]
fn gradients_of_a_composition_with_hard_numbers() {
    let double = |x: &[Dual<f64>]| vec![x[0] + x[0]]; // not 2·x: 0·∞
    for x in HARD {
        let chain = Chain::of(&[&double, &double], &[x]);
        assert_eq!(chain.product()[0], 4.0, "a linear map has the same slope everywhere");
        let gradients = chain.gradients(&[x]);
        // Products that are zero: −0 becomes +0.
        let expected = [4.0 * x, 2.0 * x, x].map(|g| if g == 0.0 { 0.0 } else { g });
        for (found, expected) in gradients.iter().zip(expected) {
            assert!(same(found[0] + 0.0, expected), "{x:e}: {gradients:?}");
        }
        assert_eq!((chain.forward_cost(), chain.reverse_cost()), (2, 2));
    }
    let nothing = Chain::<f64>::of(&[], &[]);
    assert_eq!((nothing.gradients(&[]).len(), nothing.forward_cost()), (1, 0));
}

#[test]
fn the_adjoint_law_says_when_it_cannot_hold() {
    let x = |v: f64| Matrix::from_element(1, 1, v);
    // Both sides of ⟨ȳ, J·ẋ⟩ = ⟨Jᵀ·ȳ, ẋ⟩ for y = x², whose slope is 2x.
    let square = |at: f64, along: f64, upstream: f64| {
        check::adjoint(&Hadamard, &[x(at), x(at)], &[x(along), x(along)], &x(upstream))
    };
    for at in [0.0, -0.0, 5e-324, 1.0, 1e150] {
        let law = square(at, 1.0, 1.0);
        assert_eq!(law.error(), 0.0, "{at:e}");
    }
    for bad in [INF, NAN] {
        let error = square(bad, 1.0, 1.0).error();
        assert!(error.is_nan(), "{error}"); // never a number that looks right by chance
    }
}
