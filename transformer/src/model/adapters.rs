//! The adapter of a linear map, as it is recorded: see [`crate::model::adaptation`].

use crate::model::adaptation::{SCOPE, Target};
use crate::model::architecture::{Architecture, vector};
use crate::model::layers::{Context, WeightMarks, recorded_token};
use calculus::{Parameter, RecordError, Recorder, Var};
use linalg::{
    Real, Shape, adapted::Adapted, adapted_norms::AdaptedNorms, affine::Affine, product::Product,
    rescaled::Rescaled, rows::Rows, stacked::Stacked,
};
use probability::dropout::{Dropout, Order};
use std::collections::HashMap;
use std::ops::Range;

/// An adapter, W + s·B·A.
#[derive(Clone, Debug)]
pub struct AdapterMarks {
    /// The linear map that has it.
    pub target: Target,
    /// The matrix W (m × n).
    pub matrix: Var,
    /// The rows of the matrix that it changes.
    pub rows: Range<usize>,
    /// A (r × n).
    pub a: Var,
    /// B (as many as `rows` × r).
    pub b: Var,
    /// The lengths m of the rows (as many as `rows` × 1), if they are learned.
    pub magnitudes: Option<Var>,
    /// The factor s.
    pub factor: f64,
}

impl AdapterMarks {
    /// Whether it is a learned parameter of this adapter.
    pub(crate) fn has(&self, var: Var) -> bool {
        [Some(self.a), Some(self.b), self.magnitudes].contains(&Some(var))
    }
}

/// The place of an adapter in the parameters of a recording that learns nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterPlace {
    /// The linear map that has it.
    pub target: Target,
    /// The matrix that it changes, among the parameters of the model itself.
    pub whole: Parameter,
    /// The rows of the matrix that it changes.
    pub rows: Range<usize>,
    /// A.
    pub a: Parameter,
    /// B.
    pub b: Parameter,
    /// The lengths of the rows, if they are learned.
    pub magnitudes: Option<Parameter>,
}

impl AdapterPlace {
    /// Returns the number of learned parameters up to its last.
    pub(crate) fn end(&self) -> usize {
        self.magnitudes.as_ref().unwrap_or(&self.b).range.end
    }

    /// Returns its parameters, in recording order.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        [&self.a, &self.b].into_iter().chain(&self.magnitudes)
    }
}

/// A linear map of a layer, and the adapters that it can have.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinearMap<'a> {
    pub(super) layer: usize,
    pub(super) name: &'a str,
    pub(super) bias: bool,
    /// All of it, and its parts, with their rows.
    pub(super) adapters: &'a [(Target, Rows)],
}

/// The recorded parts of an adapter.
struct Low<'a> {
    rows: Rows,
    a: Var,
    b: Var,
    magnitudes: Option<Var>,
    /// What A is applied to: x, or x of which a share is dropped.
    x: Var,
    name: &'a str,
}

impl Context<'_> {
    /// Records y = W·x + b with parameters `name.weight` (out × in) and, with `bias`, `name.bias`, and with the adapters that
    /// the model has there, y = W·x + s·B·(A·x) + b. Returns y and W.
    pub(super) fn linear<T: Real>(
        &self,
        r: &mut Recorder<T>,
        map: LinearMap<'_>,
        out: usize,
        x: Var,
        weights: &mut WeightMarks,
    ) -> Result<(Var, Var), RecordError> {
        let (name, inputs) = (map.name, r.shape(x).rows);
        let w = r.parameter(&format!("{name}.weight"), Shape::new(out, inputs))?;
        let bias = match map.bias {
            true => Some(r.parameter(&format!("{name}.bias"), vector(out))?),
            false => None,
        };
        let adapter = self.config.adaptation.adapter.as_ref();
        let has = |&&(target, _): &&(Target, Rows)| {
            adapter.is_some_and(|adapter| adapter.targets.contains(&target))
        };
        let own = map.adapters.iter().filter(has);
        let parts: Vec<Low<'_>> =
            own.map(|&part| self.low(r, map, (w, x), part, weights)).collect::<Result<_, _>>()?;
        let low = self.thin(r, name, &parts)?;
        let factor = adapter.map_or(1.0, |adapter| adapter.factor());
        // One operation, by the number of adapters.
        macro_rules! adapted {
            ($($t:literal)*) => {{
                let map = Adapted { factor, rows: [$(parts[$t].rows),*] };
                match bias {
                    None => r.push(name, map, [w, x, $(parts[$t].b, low[$t]),*]),
                    Some(bias) => r.push(name, map, [w, x, $(parts[$t].b, low[$t],)* bias]),
                }
            }};
        }
        let y = match (parts.len(), bias) {
            (0, None) => r.push(name, Product::plain(), [w, x]),
            (0, Some(bias)) => r.push(name, Affine, [w, x, bias]),
            (1, _) => adapted!(0),
            (2, _) => adapted!(0 1),
            (3, _) => adapted!(0 1 2),
            _ => adapted!(0 1 2 3),
        };
        let mut y = y?;
        for part in &parts {
            let Some(magnitudes) = part.magnitudes else { continue };
            let own = |what: &str| format!("{}.{SCOPE}.{what}", part.name);
            let (norms, map) =
                (AdaptedNorms { factor, rows: part.rows }, Rescaled { rows: part.rows });
            let norms = r.push(&own("norms"), norms, [w, part.b, part.a])?; // rows×1
            y = match bias {
                None => r.push(&own("rescaled"), map, [y, magnitudes, norms])?,
                Some(bias) => r.push(&own("rescaled"), map, [y, magnitudes, norms, bias])?,
            };
        }
        Ok((y, w))
    }

    /// Records the parameters of an adapter of rows of W, and what it is applied to.
    fn low<'a, T: Real>(
        &self,
        r: &mut Recorder<T>,
        map: LinearMap<'a>,
        (matrix, x): (Var, Var),
        (target, rows): (Target, Rows),
        weights: &mut WeightMarks,
    ) -> Result<Low<'a>, RecordError> {
        let adapter = self.config.adaptation.adapter.as_ref();
        let (rank, factor, dropout) =
            adapter.map_or((0, 0.0, 0.0), |own| (own.rank, own.factor(), own.dropout));
        // An adapter of a whole map is named like the map.
        let whole = rows.count == r.shape(matrix).rows;
        let name = if whole { map.name } else { target.key() };
        let low = r.scope(&format!("{name}.{SCOPE}"), |r| {
            let a = r.parameter("a.weight", Shape::new(rank, r.shape(x).rows))?;
            let b = r.parameter("b.weight", Shape::new(rows.count, rank))?;
            let magnitudes = match adapter.is_some_and(|own| own.magnitudes) {
                true => Some(r.parameter("magnitudes", vector(rows.count))?),
                false => None,
            };
            let mut x = x;
            if let Some((step, seed)) = self.dropout.filter(|_| dropout > 0.0) {
                // Numbered after all dropouts of the network.
                let first = 3 * self.config.layers + 1 + Target::ALL.len() * map.layer;
                let stream = crate::streams::DROPOUT + (first + target as usize) as u32;
                let order = Order::Columns;
                x = r.push("dropped", Dropout { rate: dropout, seed, stream, order }, [x, step])?; // n×tokens
            }
            Ok(Low { rows, a, b, magnitudes, x, name })
        })?;
        let Low { a, b, magnitudes, .. } = low;
        let rows = rows.start..rows.start + rows.count;
        weights.adapters.push(AdapterMarks { target, matrix, rows, a, b, magnitudes, factor });
        Ok(low)
    }

    /// Records A·x of every adapter of a map (r×tokens each), in one product if they have one x.
    fn thin<T: Real>(
        &self,
        r: &mut Recorder<T>,
        name: &str,
        parts: &[Low<'_>],
    ) -> Result<Vec<Var>, RecordError> {
        let rank = parts.first().map_or(0, |part| r.shape(part.a).rows);
        let one = parts.windows(2).all(|pair| pair[0].x == pair[1].x);
        let a: Vec<Var> = parts.iter().map(|part| part.a).collect();
        let own = |part: &Low<'_>| format!("{}.{SCOPE}.low", part.name);
        if parts.len() < 2 || !one {
            let each = |part: &Low<'_>| r.push(&own(part), Product::plain(), [part.a, part.x]);
            return parts.iter().map(each).collect();
        }
        let (stacked, x) = (format!("{name}.{SCOPE}.stacked"), parts[0].x);
        let low = match a[..] {
            [a, b] => r.push(&stacked, Stacked, [a, x, b])?,
            [a, b, c] => r.push(&stacked, Stacked, [a, x, b, c])?,
            _ => r.push(&stacked, Stacked, [a[0], x, a[1], a[2], a[3]])?,
        };
        let rows = |(t, part): (usize, &Low<'_>)| {
            r.push(&own(part), Rows { start: t * rank, count: rank }, [low])
        };
        parts.iter().enumerate().map(rows).collect()
    }

    /// Records the parts of a packed linear map: blocks of its rows.
    pub(super) fn parts<T: Real, const N: usize>(
        &self,
        r: &mut Recorder<T>,
        packed: Var,
        parts: [(Target, Rows); N],
    ) -> Result<[Var; N], RecordError> {
        let mut vars = [packed; N];
        for (var, (target, rows)) in vars.iter_mut().zip(parts) {
            *var = r.push(target.key(), rows, [packed])?;
        }
        Ok(vars)
    }
}

/// Returns the adapters of a model, in the order in which their parameters are recorded.
pub(crate) fn adapters(config: &Architecture) -> Result<Vec<AdapterPlace>, RecordError> {
    let (recorder, marks) = recorded_token(config)?;
    let of_model = recorded_token(&config.base())?.0.parameter_list();
    let by_name: HashMap<&str, &Parameter> = of_model.iter().map(|p| (&p.name[..], p)).collect();
    let whole = |name: &str| by_name[name].clone();
    // Nothing else is learned beside adapters.
    let learned = recorder.parameter_list();
    let learned: HashMap<&str, &Parameter> = learned.iter().map(|p| (&p.name[..], p)).collect();
    let parameter = |var| learned[recorder.name(var)].clone();
    let place = |own: AdapterMarks| AdapterPlace {
        target: own.target,
        whole: whole(recorder.name(own.matrix)),
        rows: own.rows,
        a: parameter(own.a),
        b: parameter(own.b),
        magnitudes: own.magnitudes.map(parameter),
    };
    Ok(marks.weights.adapters.into_iter().map(place).collect())
}
