//! An operation and a model of your own, certified: y = x³ with its right rule, and with a rule that is wrong.
//!
//! `cargo run --release -p glassbox-transformer --example 04_certify_your_own`

use calculus::Recorder;
use infotheory::cross_entropy::CrossEntropy;
use linalg::affine::Affine;
use linalg::formula::{I, J, operand, upstream};
use linalg::{
    Formula, Gradient, Primitive, Real, Shape, ShapeError, View, ViewMut, Work, parallel,
};
use std::error::Error;
use transformer::inspect::check::{self, Verdict};
use transformer::{Given, ModelError, Recording, Subject};

/// y = x³, and factor·x²·dy for its gradient: right for a factor of 3.
#[derive(Clone, Copy)]
struct Cube {
    factor: f64,
}

impl Primitive<1> for Cube {
    fn name(&self) -> &'static str {
        "cube"
    }

    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, ShapeError> {
        Ok(x)
    }

    fn flops(&self, [x]: [Shape; 1]) -> u64 {
        2 * x.len() as u64
    }

    fn forward<T: Real>(&self, [x]: [View<'_, T>; 1], y: ViewMut<'_, T>, _: Work<'_, T>) {
        parallel::each(y, [x], |[x]| x * x * x);
    }

    fn vjp<T: Real>(
        &self,
        [x]: [View<'_, T>; 1],
        _: View<'_, T>,
        dy: View<'_, T>,
        [dx]: [Gradient<'_, T>; 1],
        _: Work<'_, T>,
    ) {
        let factor = T::from_f64(self.factor);
        dx.add_each([x, dy], |[x, dy]| factor * x * x * dy);
    }

    fn formula<T: Real>(&self, _: [View<'_, T>; 1]) -> Formula {
        let (x, dy) = (operand(0), upstream());
        Formula::new("y", ["x"], "The cube of every element.", "calculus")
            .value(x.at(I, J) * x.at(I, J) * x.at(I, J))
            .gradient(self.factor * x.at(I, J) * x.at(I, J) * dy.at(I, J))
    }
}

/// Four points of three features, classified: logits (W·x)³.
struct Classifier(Cube);

impl Subject for Classifier {
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        let mut r = Recorder::new();
        let x = r.input("x", Shape::new(3, 4))?;
        let targets = r.input("targets", Shape::new(1, 4))?;
        let weight = r.parameter("weight", Shape::new(5, 3))?;
        let bias = r.parameter("bias", Shape::new(5, 1))?;
        let z = r.push("z", Affine, [weight, x, bias])?;
        let logits = r.push("logits", self.0, [z])?;
        let loss = r.push("loss", CrossEntropy, [logits, targets])?;
        Ok(Recording::new(r.finish(), loss))
    }

    fn batch(&self, _: u64) -> Vec<Given> {
        let x = (0..12).map(|i| f64::from(i) / 7.0 - 0.8).collect();
        let targets = vec![0.0, 4.0, 2.0, 1.0];
        vec![Given { name: "x", elements: x }, Given { name: "targets", elements: targets }]
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let parameters: Vec<f64> = (0..20).map(|i| f64::from(i * 7 % 20) / 10.0 - 0.9).collect();
    for factor in [3.0, 2.0] {
        println!("dx = {factor}·x²·dy");
        for c in check::gradients(&Classifier(Cube { factor }), &parameters, 1)? {
            let (verdict, (_, most)) =
                (if c.verdict == Verdict::Fail { "FAIL" } else { "ok" }, c.limits);
            println!(
                "  {verdict:4} {}: {:.1e} (at most {most:.1e}); {}",
                c.name, c.measured, c.detail
            );
        }
    }
    Ok(())
}
