//! What a primitive says of itself beside its rule: a name, a number of operations, a price.
//!
//! In a file of its own, because the operations of a whole process are counted.

use linalg::{Matrix, Primitive, Real, Shape, Work};
use std::collections::{BTreeMap, BTreeSet};
use tests::count::{self, Counted};
use tests::law::Case;
use tests::registry::{self, Visitor, type_name};

/// What is stated may be off by this factor on a large case: maxima are free here and functions cost ten,
/// an activation's derivative is computed with its value, and streaming attention scales what it summed
/// so far. A row taken for a matrix, or one factor too few, is off by far more.
const FACTOR: f64 = 3.0;

/// What is computed again instead of kept is this cheap: operations for each element that is touched.
const CHEAP: u64 = 20;

#[derive(Clone, Copy, Default)]
struct Cost {
    stated: u64,
    done: u64,
    /// Elements of operands and output.
    elements: u64,
}

#[derive(Default)]
struct Costs {
    /// Of every operation, the case with the most arithmetic.
    largest: BTreeMap<(&'static str, usize, &'static str), Cost>,
    dear: Vec<String>,
}

fn cost<P: Primitive<N>, const N: usize>(case: &Case<P, N>) -> Cost {
    let inputs = case.inputs.each_ref().map(|x| x.map(Counted::from_f64));
    let shapes = inputs.each_ref().map(|x| Shape::new(x.nrows(), x.ncols()));
    let shape = case.primitive.shape(shapes).expect("operands that fit");
    let memory = case.primitive.memory(shapes);
    let mut output = Matrix::repeat(shape.rows, shape.columns, Counted(0.0));
    let mut kept = vec![Counted(0.0); memory.kept];
    let mut scratch = vec![Counted(0.0); memory.scratch];
    let work = Work::new(&mut kept, &mut scratch);
    let inputs = inputs.each_ref().map(|x| x.as_view());
    let done = count::operations(|| case.primitive.forward(inputs, output.as_view_mut(), work));
    let elements = shape.len() + shapes.iter().map(|s| s.len()).sum::<usize>();
    Cost { stated: case.primitive.flops(shapes), done, elements: elements as u64 }
}

impl Visitor for Costs {
    fn visit<P: Primitive<N>, const N: usize>(&mut self, case: Case<P, N>) {
        // A vocabulary of 40,000 words is counted for seconds, and there are smaller ones.
        if case.inputs.iter().any(|x| x.len() > 50_000) {
            return;
        }
        let cost = cost(&case);
        if case.primitive.is_cheap() && cost.stated > CHEAP * cost.elements {
            self.dear.push(case.describe());
        }
        let name = (type_name::<P>(), N, case.primitive.name());
        let largest = self.largest.entry(name).or_default();
        if cost.done >= largest.done {
            *largest = cost;
        }
    }
}

#[test]
fn what_is_stated_is_done() {
    let mut costs = Costs::default();
    registry::every(&mut costs);
    for ((_, operands, name), Cost { stated, done, elements }) in costs.largest {
        println!("{name}<{operands}>: {stated} operations stated, {done} done");
        if done == 0 {
            // Copying, masking, comparing.
            assert!(stated <= elements, "{name}: {stated} operations on {elements} elements");
        } else {
            let ratio = stated as f64 / done as f64;
            assert!(
                (1.0 / FACTOR..=FACTOR).contains(&ratio),
                "{name}: {stated} operations are stated where {done} are done"
            );
        }
    }
    assert!(costs.dear.is_empty(), "not cheap: {:?}", costs.dear);
}

/// The types that go by each name.
#[derive(Default)]
struct Names(BTreeMap<&'static str, BTreeSet<&'static str>>);

impl Visitor for Names {
    fn visit<P: Primitive<N>, const N: usize>(&mut self, case: Case<P, N>) {
        self.0.entry(case.primitive.name()).or_default().insert(type_name::<P>());
    }
}

#[test]
fn a_name_means_one_operation() {
    let mut names = Names::default();
    registry::every(&mut names);
    for (name, types) in names.0 {
        assert!(!name.is_empty() && name.trim() == name, "{name:?}");
        assert!(types.len() == 1, "{name}: {types:?}");
    }
}
