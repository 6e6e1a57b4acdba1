//! Tests of the tests: deliberate mistakes in backward rules, each caught by a law.
//!
//! A mutant has the forward of a primitive and a vjp with one mistake, of the kind that people make: a
//! term dropped, a sign, a factor, a transposition, an index off by one. On the same operands the
//! original obeys every law and the mutant breaks one, by far.

mod attention;
mod distributions;
mod elementwise;
mod linear;
mod whole;

use linalg::{Matrix, Primitive};
use tests::alone::{Alone, Shared};
use tests::draw;
use tests::law::Case;
use tests::readme::stated;
use tests::tolerance::MISTAKE;

/// A primitive with the forward of another and the vjp that stands here; with a second type, the
/// mistake is a value of it.
macro_rules! mutant {
    ($name:ident of $original:ty $(, $slip:ty)?; $n:literal:
     |$this:pat_param, $x:pat_param, $y:pat_param, $dy:pat_param, $dx:pat_param, $work:pat_param| $body:expr) => {
        #[derive(Clone, Copy)]
        struct $name($original $(, $slip)?);

        impl linalg::Primitive<$n> for $name {
            fn name(&self) -> &'static str {
                linalg::Primitive::<$n>::name(&self.0)
            }
            fn shape(
                &self,
                inputs: [linalg::Shape; $n],
            ) -> Result<linalg::Shape, linalg::ShapeError> {
                self.0.shape(inputs)
            }
            fn flops(&self, inputs: [linalg::Shape; $n]) -> u64 {
                self.0.flops(inputs)
            }
            fn memory(&self, inputs: [linalg::Shape; $n]) -> linalg::Memory {
                self.0.memory(inputs)
            }
            fn formula<T: linalg::Real>(&self, x: [linalg::View<'_, T>; $n]) -> linalg::Formula {
                self.0.formula(x)
            }
            fn forward<T: linalg::Real>(
                &self,
                x: [linalg::View<'_, T>; $n],
                y: linalg::ViewMut<'_, T>,
                work: linalg::Work<'_, T>,
            ) {
                self.0.forward(x, y, work);
            }
            fn vjp<T: linalg::Real>(
                &self,
                inputs: [linalg::View<'_, T>; $n],
                $y: linalg::View<'_, T>,
                $dy: linalg::View<'_, T>,
                gradients: [linalg::Gradient<'_, T>; $n],
                $work: linalg::Work<'_, T>,
            ) {
                // What nobody wants is added to memory that nobody reads.
                let mut spare = inputs.map(|x| linalg::Matrix::<T>::zeros(x.nrows(), x.ncols()));
                let mut each = spare.iter_mut();
                let sums = gradients.map(|gradient| match (gradient.zeroed(), each.next()) {
                    (Some(sum), _) => sum,
                    (None, own) => own.expect("as many as operands").as_view_mut(),
                });
                let ($this, $x, $dx) = (*self, inputs, sums);
                $body
            }
        }
    };
}
pub(crate) use mutant;

/// What became of the mutants.
#[derive(Default)]
struct Table {
    caught: usize,
    survivors: Vec<String>,
    /// Those that `transformer::inspect::check` lets pass.
    certified: Vec<String>,
}

impl Table {
    /// Tries a mutant on operands that its original obeys on.
    fn mutant<P: Primitive<N>, M: Primitive<N>, const N: usize>(
        &mut self,
        mistake: &str,
        (original, mutant): (P, M),
        inputs: [Matrix<f64>; N],
        smooth: [bool; N],
    ) {
        let original = Case { primitive: original, inputs: inputs.clone(), smooth };
        let name = original.describe();
        let obeyed = original.verdict(1);
        assert!(obeyed.broken().is_empty(), "{name} itself: {obeyed}");
        let mutant = Shared::new(mutant);
        let case = Case { primitive: mutant.clone(), inputs: inputs.clone(), smooth };
        self.note(&name, mistake, &case.verdict(1).broken());
        // A step that holds the mutant does not pass its certificates.
        if (Alone { primitive: mutant, inputs, smooth }).failing().is_empty() {
            self.certified.push(format!("{name}: {mistake}"));
        }
    }

    /// A vjp written for mutants, without its mistake, obeys: what is caught is the mistake.
    fn control<M: Primitive<N>, const N: usize>(
        &mut self,
        primitive: M,
        inputs: [Matrix<f64>; N],
        smooth: [bool; N],
    ) {
        let case = Case { primitive, inputs, smooth };
        let verdict = case.verdict(1);
        assert!(verdict.broken().is_empty(), "{}: {verdict}", case.describe());
    }

    /// Notes by which laws, and with which errors, a mistake was caught.
    fn note(&mut self, name: &str, mistake: &str, broken: &[(&str, f64)]) {
        // A law of yes or no has no error: NaN.
        let by_far: Vec<_> = broken
            .iter()
            .filter(|(_, error)| error.is_nan() || *error >= MISTAKE)
            .map(|(law, e)| if e.is_nan() { (*law).into() } else { format!("{law} {e:.0e}") })
            .collect();
        println!("{name:<44} {mistake:<48} {}", by_far.join(", "));
        self.caught += usize::from(!by_far.is_empty());
        if by_far.is_empty() {
            self.survivors.push(format!("{name}: {mistake}"));
        }
    }
}

#[test]
fn every_mistake_is_caught() {
    let mut table = Table::default();
    linear::mutants(&mut table);
    elementwise::mutants(&mut table);
    distributions::mutants(&mut table);
    attention::mutants(&mut table);
    whole::mutants(&mut table);
    assert!(table.caught > stated("backward rules that the laws catch | all of more than "));
    println!("{} mistakes caught, {} not", table.caught, table.survivors.len());
    assert!(table.survivors.is_empty(), "not caught:\n{}", table.survivors.join("\n"));
    assert!(table.certified.is_empty(), "certified:\n{}", table.certified.join("\n"));
}
