//! What causal attention computes, for one element.

use super::CausalAttention;
use linalg::formula::{
    COLUMN, Condition, Expression, HEAD, I, Index, J, K, Letter, Matter, QUERY, R, START, TOKEN,
    at_most, called, exp, largest, ln, operand, output, sum, sum_where, upstream,
};
use linalg::{Formula, Matrix, Real, View};
use probability::dropout::weight_index;

const MEANING: &str =
    "Every token asks itself and the tokens before it, and takes a mixture of their values.";
const SOURCE: &str =
    "Vaswani et al., Attention Is All You Need, 2017; Dao et al., FlashAttention, 2022";

impl CausalAttention {
    /// The formula, to (width × tokens) queries; with the first key that each query sees, if sequences hold several; with
    /// a step number, of attention whose weights are dropped.
    pub(super) fn stated<T: Real>(
        &self,
        (width, tokens): (usize, usize),
        apart: bool,
        step: &[View<'_, T>],
    ) -> Formula {
        let new = |names| Formula::new("y", names, MEANING, SOURCE);
        let mut f = match (apart, step.is_empty()) {
            (false, true) => Formula::new("y", ["query", "key", "value"], MEANING, SOURCE),
            (false, false) => new(["query", "key", "value", "step"]),
            (true, true) => new(["query", "key", "value", "first"]),
            (true, false) => {
                Formula::new("y", ["query", "key", "value", "first", "step"], MEANING, SOURCE)
            }
        };
        let own_mask = step.first().map(|step| {
            let mask = self.mask(&[*step]);
            let factor = |k: usize, c: usize| match &mask {
                Some(mask) => mask.factor::<f64>(weight_index(self.length, c, k)),
                None => 1.0,
            };
            f.table("mask", Matrix::from_fn(self.length, tokens * self.heads, factor))
        });
        let f = self.with(f, width, apart, own_mask);
        let constants = usize::from(apart) + step.len();
        (0..constants).fold(f, |f, _| f.no_gradient())
    }

    /// Completes a formula. Its own quantities run over the columns of scores: with h and q the query head and
    /// the query of column j, S\[k, j\] is the score of key k.
    fn with(&self, mut f: Formula, width: usize, apart: bool, mask: Option<Matter>) -> Formula {
        let (length, heads, groups) = (self.length, self.heads, self.groups());
        let d = width / heads;
        let (query, key, value, dy) = (operand(0), operand(1), operand(2), upstream());
        let first = || called(START, (J / (length * heads)) * length);
        let head = || called(HEAD, (J / length) % heads);
        let (own, read) = (|| head() * d + R, || groups.index_read_by(head()) * d + R);
        let seen = |k: Letter, query: Index| at_most(k, query);
        let q = || called(QUERY, J % length);
        let asked = || first() + q();
        let scale: f64 = self.scores.factor(d);
        let dots = sum(R, d, key.at(read(), first() + I) * query.at(own(), asked()));
        let score = f.define("S", [I, J], self.scores.capped(scale * dots));
        let s = if self.scores.window.is_some() || apart {
            let seen = self.scores.windowed(I.into(), q(), score.at2(I, J));
            // A query sees the keys of its own sequence, and itself.
            let seen = match apart {
                true => self.scores.own_sequence(operand(3).index(0, asked()), I.into(), q(), seen),
                false => seen,
            };
            f.define("S̃", [I, J], seen)
        } else {
            score
        };
        let most = largest(K, length, Some(seen(K, q())), s.at2(K, J));
        let m = f.define("m", [J], most);
        let part = |k: Letter| exp(s.at2(k, J) - m.at(J));
        let z = f.define("Z", [J], sum_where(K, length, seen(K, q()), part(K)));
        let e = f.define("e", [I, J], part(I));
        // Backward computes the weights again from ln Σ e^S.
        let l = f.define("l", [J], m.at(J) + ln(z.at(J)));
        let p = f.define("P", [I, J], exp(s.at2(I, J) - l.at(J)));
        // Where weights are dropped, a weight and its gradient pass the mask.
        let kept = |e: Expression, k: Index, c: Index| match mask {
            Some(mask) => e * mask.at(k, c),
            None => e,
        };
        let received = sum(R, d, value.at(read(), first() + I) * dy.at(own(), asked()));
        let dp = f.define("dP", [I, J], kept(received, I.into(), J.into()));
        // Σ P ⊙ dP is what the query's own output receives.
        let own_output = output().at(own(), asked()) * dy.at(own(), asked());
        let mean = f.define("d̄", [J], sum(R, d, own_output));
        let ds = p.at2(I, J) * (dp.at2(I, J) - mean.at(J));
        let ds = f.define("dS", [I, J], self.scores.slope(score.at2(I, J), ds));

        // Element \[i, j\] of the output or of an operand: its token, and the column of a head and a query.
        let token = || called(TOKEN, J % length);
        let start = || called(START, (J / length) * length);
        let column = |head: Index, query: Index| {
            called(COLUMN, ((J / length) * heads + head) * length) + query
        };
        let to_query = || column(I / d, token());
        let weight = kept(e.at2(K, to_query()), K.into(), to_query());
        let mixed = value.at(groups.row_read(d), start() + K) * weight;
        let mixed = sum_where(K, length, seen(K, token()), mixed) / z.at(to_query());
        let answered = key.at(groups.row_read(d), start() + K) * ds.at2(K, to_query());
        let d_query = scale * sum_where(K, length, seen(K, token()), answered);
        // Keys and values collect from all later queries of all heads that read them.
        let later = || Condition { left: token(), ..at_most(0, QUERY) };
        let (head, row) = groups.reader(d);
        let from = || column(head.clone(), QUERY.into());
        let asked = query.at(row.clone(), start() + QUERY) * ds.at2(token(), from());
        let d_key = scale * groups.sum(sum_where(QUERY, length, later(), asked));
        let weight = kept(p.at2(token(), from()), token(), from());
        let back = dy.at(row, start() + QUERY) * weight;
        let d_value = groups.sum(sum_where(QUERY, length, later(), back));
        f.value(mixed).gradient(d_query).gradient(d_key).gradient(d_value)
    }
}
