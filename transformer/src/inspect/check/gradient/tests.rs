//! Tests of the module.

use super::*;

#[test]
fn slopes_to_rounding() {
    // Smooth: to ten digits and more. With a bend at 10⁻³: the step becomes smaller than that.
    let noise = 8.0 * f64::EPSILON;
    let told = |f: fn(f64) -> f64, exact: f64| {
        let found = slope(f, 0.5, noise);
        let error = (found.slope - exact).abs();
        let limit = 10.0 * found.error + 2.0 * noise / found.step;
        assert!(error <= limit && limit < 1e-9, "{error:e}, {limit:e}");
    };
    told(|x| (3.0 * x).exp(), 3.0);
    told(|x| (x + 1.0).sin() / (1.0 + x * x), 1.0_f64.cos());
    told(|x| 2.0 * x + if x > 1e-3 { x - 1e-3 } else { 0.0 }, 2.0);
}

/// A small bend at 2000 places between 10⁻⁷ and ½: some deceive the estimate of the error, none the certificate, and none
/// hides a slope that is wrong by a thousandth.
#[test]
fn a_bend_does_not_accuse_a_slope() {
    let noise = 8.0 * f64::EPSILON;
    let exact = 1.0_f64.cos();
    let mut deceived = 0;
    for k in 0..2000 {
        let bend = 1e-7 * 5e6_f64.powf(f64::from(k) / 2000.0);
        let f = |x: f64| (x + 1.0).sin() / (1.0 + x * x) + 1e-2 * (x - bend).max(0.0);
        let found = slope(f, 0.5, noise);
        let limit = 10.0 * found.error + 2.0 * noise / found.step;
        deceived += usize::from((found.slope - exact).abs() > limit);
        let (error, limit) = compared(f, 0.5, noise, exact);
        assert!(error <= 1.0, "a bend at {bend}: {error} limits of {limit:e}");
        let (error, limit) = compared(f, 0.5, noise, 1.001 * exact);
        assert!(error > 1.0, "a bend at {bend}: {error} limits of {limit:e}");
    }
    println!("{deceived} of 2000 deceive");
    assert!(deceived > 0);
}

use crate::inspect::check::Verdict;
use crate::model::recording::Given;
use linalg::formula::{I, J, operand, upstream};
use linalg::{Formula, Gradient, Primitive, Shape, ShapeError, View, ViewMut, Work};
use linalg::{hadamard::Hadamard, product::Product};

/// ½x² elementwise, with a backward that treats x as a constant; or with a step of 0.01 at every multiple of 10⁻⁴;
/// or as a difference of numbers a million times larger.
#[derive(Clone, Copy, PartialEq)]
enum Half {
    Detached,
    Rough,
    Coarse,
}

impl Primitive<1> for Half {
    fn formula<T: Real>(&self, _: [View<'_, T>; 1]) -> Formula {
        let (x, dy) = (operand(0).at(I, J), upstream().at(I, J));
        Formula::new("y", ["x"], "Half a square.", "none")
            .value(0.5 * (x.clone() * x.clone()))
            .gradient(x * dy)
    }
    fn name(&self) -> &'static str {
        "half a square"
    }
    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, ShapeError> {
        Ok(x)
    }
    fn flops(&self, [x]: [Shape; 1]) -> u64 {
        2 * x.len() as u64
    }
    fn forward<T: Real>(&self, [x]: [View<'_, T>; 1], mut y: ViewMut<'_, T>, _: Work<'_, T>) {
        let (half, large) = (T::from_f64(0.5), T::from_f64(512.0));
        for (y, &x) in y.iter_mut().zip(x.iter()) {
            *y = match self {
                // (x + 512)² − 512² − 2·512·x: accurate in f64; in f32 only one digit is left.
                Half::Coarse => {
                    half * ((x + large) * (x + large) - large * large - (large + large) * x)
                }
                Half::Rough => {
                    half * x * x + T::from_f64(1e-2 * (x.to_f64() * 1e4).floor().rem_euclid(2.0))
                }
                Half::Detached => half * x * x,
            };
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
        dx.add_each([x, dy], |[x, dy]| match self {
            Half::Detached => T::from_f64(x.to_f64()) * dy,
            _ => x * dy,
        });
    }
}

/// Σ aᵢ·f(xᵢ), with f = x or half a square.
struct Sum(Option<Half>);

const N: usize = 9;

impl Subject for Sum {
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        let mut r = calculus::Recorder::new();
        let x = r.parameter("x", Shape::new(N, 1))?;
        let a = r.input("a", Shape::new(N, 1))?;
        let ones = r.input("ones", Shape::new(1, N))?;
        let y = match self.0 {
            None => x,
            Some(half) => r.push("y", half, [x])?,
        };
        let weighed = r.push("weighed", Hadamard, [y, a])?;
        let loss = r.push("loss", Product::plain(), [ones, weighed])?;
        Ok(Recording::new(r.finish(), loss))
    }

    fn batch(&self, _: u64) -> Vec<Given> {
        let a = (0..N).map(|i| 1.0 + 0.3 * (i as f64).cos()).collect();
        vec![Given { name: "a", elements: a }, Given { name: "ones", elements: vec![1.0; N] }]
    }
}

fn of(half: Option<Half>, name: &str) -> Certificate {
    let x: Vec<f64> = (0..N).map(|i| 0.5 + 0.4 * (7.0 * i as f64).sin()).collect();
    let all = gradients(&Sum(half), &x, 3).unwrap();
    all.into_iter().find(|c| c.name == name).unwrap()
}

/// A Hessian of 0 is symmetric and shows nothing: either the loss is linear, or its curvature is hidden.
#[test]
fn a_symmetry_of_nothing_is_no_certificate() {
    let linear = of(None, SYMMETRIC.1);
    assert_eq!(linear.verdict, Verdict::NotApplicable, "{linear:?}");
    let hidden = of(Some(Half::Detached), SYMMETRIC.1);
    assert_eq!(hidden.verdict, Verdict::Fail, "{hidden:?}");
    assert!(hidden.detail.contains("exactly 0"), "{hidden:?}");
    assert_eq!(of(Some(Half::Rough), SYMMETRIC.1).verdict, Verdict::Pass);
}

/// A loss with steps has no slope that differences could find: the certificate reports it and does not pass.
#[test]
fn differences_that_tell_nothing_do_not_pass() {
    let rough = of(Some(Half::Rough), DIFFERENCES.1);
    assert_ne!(rough.verdict, Verdict::Pass, "{rough:?}");
    assert_eq!(of(Some(Half::Detached), DIFFERENCES.1).verdict, Verdict::Pass);
    assert_eq!(of(None, DIFFERENCES.1).verdict, Verdict::Pass);
}

/// Accurate in `f64`, but cancels in `f32`: (x + 512)² − 512² − 1024·x leaves one digit of x².
#[test]
fn cancellation_in_f32_is_seen() {
    let name = NARROW.1;
    assert_eq!(of(None, name).verdict, Verdict::Pass, "{:?}", of(None, name));
    assert_eq!(of(Some(Half::Detached), name).verdict, Verdict::Pass);
    let coarse = of(Some(Half::Coarse), name);
    assert_eq!(coarse.verdict, Verdict::Fail, "{coarse:?}");
    assert!(coarse.detail.contains("worst: the loss"), "{coarse:?}");
    // In f64 it passes.
    assert_eq!(of(Some(Half::Coarse), DIFFERENCES.1).verdict, Verdict::Pass);
}

#[test]
fn directions_point_along_the_gradient_and_elsewhere() {
    for n in [1, 2, 1000] {
        let g: Vec<f64> = (0..n).map(|i| 1e-3 * (i as f64 + 1.0).sin()).collect();
        let u = half_random(&g, 3, 1);
        assert!((norm(&u) - 1.0).abs() < 1e-12);
        assert!(inner(&u, &g).0 >= norm(&g) * 0.7, "{n}");
    }
    assert!((norm(&half_random(&[0.0; 9], 3, 1)) - 1.0).abs() < 1e-12);
}
