//! The derivation of one number.

use super::{Explanation, Place, Quantity};
use calculus::Source;
use linalg::derivation::{Part, What};
use linalg::formula::Matter;
use linalg::{Derivation, Formula, Real};

/// A number with all its arithmetic.
#[derive(Clone, Debug)]
#[must_use]
pub struct Derived {
    /// The number.
    pub place: Place,
    /// Its address.
    pub name: String,
    /// The stored value.
    pub stored: f64,
    /// Its shortest decimal.
    pub decimal: String,
    /// One path for a value; one per reader for a gradient, whose sum it is; none for given numbers.
    pub paths: Vec<Path>,
    /// The reason why there is no path: "given", "learned".
    pub given: Option<&'static str>,
    /// The result of the arithmetic.
    pub value: f64,
    /// The bound on the difference between the scalar's arithmetic and it.
    pub bound: f64,
}

/// One path to a number: by an operation, or by one reader's part of the chain rule.
#[derive(Clone, Debug)]
pub struct Path {
    /// The value whose operation it is; for a gradient, the reader that it comes from.
    pub through: String,
    /// The operation.
    pub operation: &'static str,
    /// Its branch of mathematics.
    pub branch: &'static str,
    /// The meaning of the operation.
    pub meaning: &'static str,
    /// The source of the formula.
    pub source: &'static str,
    /// The formula.
    pub equation: String,
    /// The formula's definitions that it uses.
    pub definitions: Vec<String>,
    /// The meaning of its named indices.
    pub indices: Vec<String>,
    /// The arithmetic.
    pub derivation: Derivation,
    /// The nodes behind the formula's operands, its output and its own tables.
    pub(super) node: usize,
    pub(super) role: Role,
}

/// The role of an equation in its formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Value,
    Gradient,
    Clip,
    Update,
}

impl Derived {
    /// Checks whether the arithmetic gives the number, within the formula's rounding.
    #[must_use]
    pub fn holds(&self) -> bool {
        if self.given.is_some() {
            return true;
        }
        if !self.value.is_finite() {
            return self.value == self.stored || (self.value.is_nan() && self.stored.is_nan());
        }
        (self.value - self.stored).abs() <= self.bound
    }
}

impl<T: Real> Explanation<T> {
    /// Returns the derivation of a number.
    pub fn derive(&self, place: &Place) -> Derived {
        let Place { node, quantity, row, column } = *place;
        let (paths, given) = match quantity {
            Quantity::Value => match self.nodes[node].source {
                Source::Operation => (vec![self.path(node, None, (row, column))], None),
                Source::Parameter => (Vec::new(), Some("learned: the result of earlier updates")),
                Source::Frozen => (Vec::new(), Some("frozen: training does not change it")),
                Source::Input => (Vec::new(), Some("given: read from the text")),
            },
            Quantity::Gradient => {
                let readers = self.nodes[node].consumers.iter();
                let moving = |&&(reader, operand): &&(usize, usize)| {
                    let formula = self.nodes[reader].formula.as_ref();
                    formula.is_some_and(|f| f.gradients[operand].is_some())
                };
                let paths: Vec<Path> = readers
                    .filter(moving)
                    .map(|&(reader, operand)| self.path(reader, Some(operand), (row, column)))
                    .collect();
                let given = paths.is_empty().then(|| match self.is_loss(node) {
                    true => "1: the loss changes as much as itself",
                    false => "0: the loss does not depend on it",
                });
                (paths, given)
            }
            Quantity::Clipped => {
                let formula = calculus::clip::formula(self.norm, self.subject.descent.limit());
                (vec![self.told(node, Role::Clip, &formula, (row, column))], None)
            }
            Quantity::Updated => {
                let formula = self.nodes[node].formula.as_ref().expect("a parameter's update");
                (vec![self.told(node, Role::Update, formula, (row, column))], None)
            }
            Quantity::Remembered(_) => {
                (Vec::new(), Some("optimizer state: the result of earlier gradients"))
            }
        };
        let stored = self.element(node, quantity, row, column);
        let epsilon = if size_of::<T>() == 4 { f64::from(f32::EPSILON) } else { f64::EPSILON };
        let smallest =
            if size_of::<T>() == 4 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
        let parts = paths.iter().map(|p| &p.derivation.part);
        let size: f64 = parts.clone().map(|p| p.value.abs()).sum();
        let several = if paths.len() > 1 { paths.len() as f64 * size } else { 0.0 };
        let error = parts.clone().map(|p| p.error).sum::<f64>() + several;
        let value = if paths.is_empty() { stored } else { parts.map(|p| p.value).sum() };
        Derived {
            place: place.clone(),
            name: self.describe(place),
            stored,
            decimal: decimal::<T>(stored),
            paths,
            given,
            value,
            bound: error * epsilon + 1024.0 * smallest,
        }
    }

    /// Computes all elements of a quantity by the stated arithmetic, without recording it, like
    /// [`Explanation::derive`].
    pub(super) fn arithmetic(&self, node: usize, quantity: Quantity) -> Vec<Option<f64>> {
        let shape = self.nodes[node].shape;
        let places = || (0..shape.len()).map(|e| (e % shape.rows, e / shape.rows));
        match quantity {
            Quantity::Updated => {
                let Some(formula) = &self.nodes[node].formula else {
                    return vec![None; shape.len()];
                };
                let read = |of, i, j| self.read(node, Role::Update, of, i, j);
                let mut numbers = formula.numbers(&read, u64::MAX);
                places().map(|at| numbers.value(at).map(|part| part.value)).collect()
            }
            Quantity::Gradient => {
                let mut sums = vec![Some(0.0); shape.len()];
                for &(reader, operand) in &self.nodes[node].consumers {
                    let Some(formula) = &self.nodes[reader].formula else {
                        return vec![None; shape.len()];
                    };
                    let read = |of, i, j| self.read(reader, Role::Gradient, of, i, j);
                    let mut numbers = formula.numbers(&read, u64::MAX);
                    for (sum, at) in sums.iter_mut().zip(places()) {
                        let part = numbers.gradient(operand, at).map_or(0.0, |part| part.value);
                        *sum = sum.map(|sum| sum + part);
                    }
                }
                sums
            }
            _ => vec![None; shape.len()],
        }
    }

    fn is_loss(&self, node: usize) -> bool {
        self.nodes[node].var == self.model.loss_var()
    }

    /// Returns the path of a value, or of the gradient that reader `node` sends back to one of its operands.
    fn path(&self, node: usize, operand: Option<usize>, at: (usize, usize)) -> Path {
        let formula = self.nodes[node].formula.as_ref().expect("an operation has a formula");
        let derivation = match operand {
            None => formula.derive(at, |of, i, j| self.read(node, Role::Value, of, i, j)),
            Some(o) => formula
                .derive_gradient(o, at, |of, i, j| self.read(node, Role::Gradient, of, i, j))
                .expect("an operand that moves"),
        };
        let equation = match operand {
            None => &formula.value,
            Some(o) => formula.gradients[o].as_ref().expect("an operand that moves"),
        };
        let used = formula.used(&equation.right);
        Path {
            through: self.nodes[node].name.clone(),
            operation: self.nodes[node].operation.unwrap_or_default(),
            branch: self.nodes[node].branch.unwrap_or_default(),
            meaning: formula.meaning,
            source: formula.source,
            equation: equation.to_string(),
            definitions: used.iter().map(|&d| formula.defining(d).to_string()).collect(),
            indices: formula.indices(&equation.right),
            derivation,
            node,
            role: if operand.is_some() { Role::Gradient } else { Role::Value },
        }
    }

    /// Returns the path of clipping or of the update.
    fn told(&self, node: usize, role: Role, formula: &Formula, at: (usize, usize)) -> Path {
        let used = formula.used(&formula.value.right);
        Path {
            through: self.nodes[node].name.clone(),
            operation: if role == Role::Clip { "clipping" } else { "update" },
            branch: "calculus",
            meaning: formula.meaning,
            source: formula.source,
            equation: formula.value.to_string(),
            definitions: used.iter().map(|&d| formula.defining(d).to_string()).collect(),
            indices: Vec::new(),
            derivation: formula.derive(at, |of, i, j| self.read(node, role, of, i, j)),
            node,
            role,
        }
    }

    /// Returns the node and quantity of a formula's matrix.
    pub(super) fn found(&self, node: usize, role: Role, of: Matter) -> Option<(usize, Quantity)> {
        Some(match (role, of) {
            (_, Matter::Table(_)) => return None,
            (Role::Clip, _) => (node, Quantity::Gradient),
            (Role::Update, Matter::Operand(0)) => (node, Quantity::Value),
            (Role::Update, Matter::Operand(1)) => (node, Quantity::Clipped),
            (Role::Update, Matter::Operand(k)) => (node, Quantity::Remembered(k - 2)),
            (Role::Update, _) => (node, Quantity::Updated),
            (_, Matter::Operand(o)) => (self.nodes[node].operands[o], Quantity::Value),
            (_, Matter::Output) => (node, Quantity::Value),
            (_, Matter::Upstream) => (node, Quantity::Gradient),
        })
    }

    fn read(&self, node: usize, role: Role, of: Matter, row: usize, column: usize) -> f64 {
        match self.found(node, role, of) {
            Some((node, quantity)) => self.element(node, quantity, row, column),
            None => f64::NAN,
        }
    }

    /// Returns the element that a part names, if any.
    pub(super) fn place_of(&self, path: &Path, part: &Part) -> Option<Place> {
        let What::Element(of, row, column) = part.what else { return None };
        let (node, quantity) = self.found(path.node, path.role, of)?;
        Some(Place { node, quantity, row, column })
    }

    /// Returns every quantity that has a derivation: each element comes from arithmetic that can be printed. For tests
    /// and for `--list`: (name, quantity, number of elements).
    pub fn quantities(&self) -> Vec<(String, Quantity, usize)> {
        let mut all = Vec::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let mut kinds = vec![Quantity::Value, Quantity::Gradient];
            if node.parameter.is_some() {
                kinds.extend([Quantity::Clipped, Quantity::Updated]);
            }
            for kind in kinds.into_iter().filter(|&kind| self.has(i, kind)) {
                all.push((node.name.clone(), kind, node.shape.len()));
            }
        }
        all
    }

    /// Returns element number `index` of a quantity, in column-major order.
    ///
    /// # Panics
    /// If there is no such name or element.
    pub fn element_place(&self, name: &str, quantity: Quantity, index: usize) -> Place {
        let node = self.names[name];
        let rows = self.nodes[node].shape.rows;
        assert!(index < self.nodes[node].shape.len(), "element {index} of {name}");
        Place { node, quantity, row: index % rows, column: index / rows }
    }
}

/// Returns the shortest decimal that reads back as the scalar.
pub(super) fn decimal<T: Real>(x: f64) -> String {
    let text = |plain: String, power: String| {
        if plain.len() <= power.len() + 4 { plain } else { power }
    };
    let written = if size_of::<T>() == 4 {
        let x = x as f32;
        text(format!("{x}"), format!("{x:e}"))
    } else {
        text(format!("{x}"), format!("{x:e}"))
    };
    match written.as_str() {
        "-inf" => "−∞".to_owned(),
        "inf" => "∞".to_owned(),
        _ => written.replace('-', "−"),
    }
}
