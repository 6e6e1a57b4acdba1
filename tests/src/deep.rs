//! A deep model of which one gradient can be made wrong by a little.

use calculus::activation::Activation;
use calculus::{RecordError, Recorder, Var};
use infotheory::cross_entropy::CrossEntropy;
use linalg::formula::{I, J, operand, upstream};
use linalg::{Formula, Gradient, Primitive, Real, Shape, ShapeError, View, ViewMut, Work};
use linalg::{add::Add, affine::Affine, gather::Gather, product::Product, rows::Rows};
use probability::layer_norm::LayerNorm;
use transformer::{CausalAttention, Given, ModelError, Recording, Subject};

/// Features, tokens of a sequence, sequences, words.
const WIDTH: usize = 12;
const LENGTH: usize = 6;
const SEQUENCES: usize = 2;
const VOCABULARY: usize = 9;

/// A transformer of so many blocks.
#[derive(Clone, Copy, Debug)]
pub struct Deep {
    /// Its blocks.
    pub layers: usize,
    /// The parameter whose gradient is wrong, by its number in the order of recording, and its factor.
    pub slip: Option<(usize, f64)>,
}

/// y = x, with a gradient that is `factor` times what it should be.
#[derive(Clone, Copy, Debug)]
pub struct Skewed {
    /// 1 is right.
    pub factor: f64,
}

impl Primitive<1> for Skewed {
    fn formula<T: Real>(&self, _: [View<'_, T>; 1]) -> Formula {
        Formula::new("y", ["x"], "A value as it is, with a gradient that is not.", "none")
            .value(operand(0).at(I, J))
            .gradient(self.factor * upstream().at(I, J))
    }
    fn name(&self) -> &'static str {
        "identity"
    }
    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, ShapeError> {
        Ok(x)
    }
    fn flops(&self, _: [Shape; 1]) -> u64 {
        0
    }
    fn forward<T: Real>(&self, [x]: [View<'_, T>; 1], mut y: ViewMut<'_, T>, _: Work<'_, T>) {
        y.copy_from(&x);
    }
    fn vjp<T: Real>(
        &self,
        _: [View<'_, T>; 1],
        _: View<'_, T>,
        dy: View<'_, T>,
        [dx]: [Gradient<'_, T>; 1],
        _: Work<'_, T>,
    ) {
        let factor = T::from_f64(self.factor);
        dx.add_each([dy], |[dy]| factor * dy);
    }
}

/// Counts parameters, and spoils one.
struct Parameters {
    slip: Option<(usize, f64)>,
    count: usize,
}

impl Parameters {
    fn next<T: Real>(
        &mut self,
        r: &mut Recorder<T>,
        name: &str,
        shape: (usize, usize),
    ) -> Result<Var, RecordError> {
        let var = r.parameter(name, Shape::new(shape.0, shape.1))?;
        self.count += 1;
        match self.slip {
            Some((which, factor)) if which + 1 == self.count => {
                r.push(&format!("{name}.skewed"), Skewed { factor }, [var])
            }
            _ => Ok(var),
        }
    }

    fn linear<T: Real>(
        &mut self,
        r: &mut Recorder<T>,
        name: &str,
        out: usize,
        x: Var,
    ) -> Result<Var, RecordError> {
        let inputs = r.shape(x).rows;
        let w = self.next(r, &format!("{name}.weight"), (out, inputs))?;
        let b = self.next(r, &format!("{name}.bias"), (out, 1))?;
        r.push(name, Affine, [w, x, b])
    }

    fn norm<T: Real>(
        &mut self,
        r: &mut Recorder<T>,
        name: &str,
        x: Var,
    ) -> Result<Var, RecordError> {
        let gain = self.next(r, &format!("{name}.gain"), (WIDTH, 1))?;
        r.push(name, LayerNorm { epsilon: 1e-5 }, [x, gain])
    }
}

impl Subject for Deep {
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        let mut recorder = Recorder::new();
        let r = &mut recorder;
        let mut p = Parameters { slip: self.slip, count: 0 };
        let row = Shape::new(1, LENGTH * SEQUENCES);
        let (tokens, targets) = (r.input("tokens", row)?, r.input("targets", row)?);
        let table = p.next(r, "table", (WIDTH, VOCABULARY))?;
        let mut x = r.push("embedded", Gather, [table, tokens])?;
        for i in 0..self.layers {
            x = r.scope(&format!("block.{i}"), |r| {
                let h = p.norm(r, "norm_1", x)?;
                let h = p.linear(r, "qkv", 3 * WIDTH, h)?;
                let part = |i: usize| Rows { start: i * WIDTH, count: WIDTH };
                let query = r.push("query", part(0), [h])?;
                let key = r.push("key", part(1), [h])?;
                let value = r.push("value", part(2), [h])?;
                let (heads, key_value_heads, length) = (2, 2, LENGTH);
                let attention =
                    CausalAttention { heads, key_value_heads, length, ..Default::default() };
                let h = r.push("mixed", attention, [query, key, value])?;
                let h = p.linear(r, "projection", WIDTH, h)?;
                let x = r.push("attended", Add, [x, h])?;
                let h = p.norm(r, "norm_2", x)?;
                let h = p.linear(r, "expanded", 2 * WIDTH, h)?;
                let h = r.push("activated", Activation::Gelu, [h])?;
                let h = p.linear(r, "contracted", WIDTH, h)?;
                r.push("output", Add, [x, h])
            })?;
        }
        let x = p.norm(r, "norm", x)?;
        let head = p.next(r, "head", (VOCABULARY, WIDTH))?;
        let logits = r.push("logits", Product::plain(), [head, x])?;
        let loss = r.push("loss", CrossEntropy, [logits, targets])?;
        Ok(crate::models::recording(recorder.finish(), loss))
    }

    fn batch(&self, _: u64) -> Vec<Given> {
        let any = |seed| {
            let drawn = crate::draw::below(seed, LENGTH * SEQUENCES, VOCABULARY);
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

impl Deep {
    /// Weights as in training: gains near 1, the rest of deviation 0.3/√(inputs) or so.
    ///
    /// # Panics
    /// Never: the sizes are valid.
    pub fn parameters(&self) -> Vec<f64> {
        let tape = self.record::<f64>().expect("valid").tape;
        let mut all = vec![];
        for (k, p) in tape.parameter_list().into_iter().enumerate() {
            let n = p.shape.len();
            let drawn = crate::draw::normal(40 + k as u64, n, 1);
            let (middle, deviation) = match p.shape.columns {
                1 if p.name.ends_with("gain") => (1.0, 0.1),
                1 => (0.0, 0.1),
                columns => (0.0, 1.0 / (columns as f64).sqrt()),
            };
            all.extend(drawn.iter().map(|x| middle + deviation * x));
        }
        all
    }
}
