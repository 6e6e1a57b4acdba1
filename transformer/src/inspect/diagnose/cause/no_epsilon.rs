//! **Mathematics.** An optimizer with an ε divides by the size of gradients plus ε, as Adam by √v̂ + ε. A parameter that
//! never had a gradient (the embedding of a token that did not occur) has a size of 0: with ε = 0 this is 0/0.
//!
//! **Signature.** Loss and gradients finite; origin *update*, operands gradient 0 and 0 of all that is remembered.
//!
//! **Cure.** ε = 10⁻⁸.
//!
//! **Example.** `update_epsilon_0`

use super::{Cure, Cures, Detect, Findings, Sign, Subject};
use crate::inspect::diagnose::origin::Direction;

pub(super) struct NoEpsilon;

impl Detect for NoEpsilon {
    const TITLE: &str = "update with epsilon 0";

    fn detect<S: Subject>(f: &Findings<'_, S>) -> Sign {
        let rule = f.recipe.optimizer;
        let none = rule.kind.takes().contains(&"epsilon") && rule.epsilon <= 0.0;
        Ok(f.origin_where(|o| none && o.direction == Direction::Update))
    }

    fn cures<S: Subject>(_: &Findings<'_, S>) -> Cures {
        Ok(vec![Cure::Epsilon(1e-8)])
    }
}
