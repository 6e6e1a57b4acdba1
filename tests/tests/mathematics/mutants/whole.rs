//! Mistakes that no single operation makes: gradients of a whole model that miss a path or count one
//! twice, against the derivative that dual numbers find.

use super::{Table, draw};
use calculus::Dual;
use tests::models::{self, loss_and_gradients};
use tests::tolerance;
use transformer::{Architecture, Form, RecordedStep};

/// A tied model whose loss moves along `direction`: the derivative.
fn derivative(config: &Architecture, parameters: &[f64], direction: &[f64]) -> f64 {
    let mut moving = models::model::<Dual<f64>>(config, (2, 5), Form::Fused, 1);
    let both = parameters.iter().zip(direction).map(|(&p, &t)| Dual::new(p, t));
    moving.copy_parameters(&both.collect::<Vec<_>>());
    models::loss(&mut moving).derivative
}

pub(crate) fn mutants(table: &mut Table) {
    let config = models::config();
    let mut tied = models::model::<f64>(&config, (2, 5), Form::Fused, 1);
    let (_, gradient) = loss_and_gradients(&mut tied);
    let direction = draw::normal(9, gradient.len(), 1);
    let expected = derivative(&config, tied.tape().parameters(), direction.as_slice());
    let error = |gradient: &[f64]| {
        let products = gradient.iter().zip(&direction).map(|(g, t)| g * t);
        let (found, scale) = products.fold((0.0, 0.0), |(s, a), x| (s + x, a + x.abs()));
        (found - expected).abs() / scale
    };
    assert!(error(&gradient) <= tolerance::sum(4096));

    // The same model untied, with a copy of the table as its head: two parameters, two gradients.
    let mut untied: RecordedStep<f64> =
        models::model(&Architecture { tied: false, ..config.clone() }, (2, 5), Form::Fused, 1);
    let list = untied.tape().parameter_list();
    let find =
        |name: &str| list.iter().find(|p| p.name == name).expect("a parameter").range.clone();
    let (embedding, head) = (find("embedding.token.weight"), find("head.weight"));
    assert_eq!(head.end, list.last().expect("parameters").range.end, "the head comes last");
    let mut values = tied.tape().parameters().to_vec();
    values.extend_from_within(embedding.clone());
    untied.copy_parameters(&values);
    let (_, both) = loss_and_gradients(&mut untied);
    let with_table = |table: Vec<f64>| {
        let mut all = both[..head.start].to_vec();
        all[embedding.clone()].copy_from_slice(&table);
        all
    };
    let (of_embedding, of_head) = (both[embedding.clone()].to_vec(), both[head.clone()].to_vec());
    let sum = of_embedding.iter().zip(&of_head).map(|(a, b)| a + b).collect();
    assert!(error(&with_table(sum)) <= tolerance::sum(4096), "a tied table has both gradients");

    let mut duals = |mistake: &str, gradient: &[f64]| {
        table.note("whole model", mistake, &[("duals", error(gradient))]);
    };
    duals("tied table: the head's use missing", &with_table(of_embedding));
    duals("tied table: the embedding's use missing", &with_table(of_head));

    let loss = tied.loss_var();
    tied.tape_mut().backward(loss);
    duals("gradients not zeroed before a step", tied.tape().gradients());
    tied.tape_mut().zero_gradients();
    tied.tape_mut().backward_scaled(loss, 0.5);
    duals("one of two micro-batches left out", tied.tape().gradients());
    let dropping = Architecture { dropout: 0.2, ..config };
    let mut model = models::model::<f64>(&dropping, (2, 5), Form::Fused, 1);
    let (_, now) = loss_and_gradients(&mut model);
    duals("gradient of a model with dropout, evaluated without", &now);
}
