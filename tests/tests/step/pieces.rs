//! Work is cut into pieces by its size. Cases that are to be cut are: each constant that cuts has one here, with several
//! pieces and a last one that is short, so that no test loses its case when a constant grows.

use linalg::cases::Size;
use linalg::{
    Gradient, Matrix, Primitive, Shape, Work, affine::Affine, parallel, product::Product,
};
use probability::dropout::QUERIES;
use std::any::Any;
use std::num::NonZeroUsize;
use tests::law::Case;
use tests::{draw, registry};
use transformer::VocabularyLoss;

/// The operations that have a case which is cut.
#[derive(Default)]
struct Cut(Vec<&'static str>);

impl registry::Visitor for Cut {
    fn visit<P: Primitive<N>, const N: usize>(&mut self, case: Case<P, N>) {
        let inputs = &case.inputs;
        let operation = &case.primitive as &dyn Any;
        if let Some(loss) = operation.downcast_ref::<VocabularyLoss>() {
            let (words, tokens) = (inputs[0].ncols(), inputs[1].ncols());
            let chunk = loss.tokens_at_once(words, tokens);
            let by_size = loss.chunk.is_none();
            assert!(
                !by_size || chunk < tokens && tokens % chunk != 0,
                "{chunk} of {tokens} tokens"
            );
            self.0.extend(by_size.then_some(case.primitive.name()));
        }
        if !operation.is::<Product>() && !operation.is::<Affine>() {
            return;
        }
        let (n, k) = (inputs[1].ncols(), inputs[1].nrows());
        let m = inputs[0].len() / k;
        // The product, and the gradients of its factors.
        for (m, n, k) in [(m, n, k), (m, k, n), (k, n, m)] {
            assert!(linalg::parts(m, n, k) > 1, "{m}×{n} with {k} terms stays whole");
        }
        self.0.push(case.primitive.name());
    }
}

#[test]
fn cases_of_the_registry_are_cut() {
    let mut cut = Cut::default();
    registry::of_size(Size::Pieces, &mut cut);
    cut.0.sort_unstable();
    assert_eq!(
        cut.0,
        ["affine map", "cross-entropy over a vocabulary", "product", "product with a transpose"]
    );

    let block = |&(m, n): &(usize, usize)| m * n > parallel::BLOCK;
    let short = |&(m, n): &(usize, usize)| n % (parallel::BLOCK / m).max(1) != 0;
    assert!(registry::SHAPES.iter().any(|shape| block(shape) && short(shape)));

    let lengths = registry::HEADS.map(|(_, _, _, length, _)| length);
    assert!(lengths.iter().any(|&n| n > 2 * QUERIES && n % QUERIES != 0), "{lengths:?}");
    assert!(lengths.iter().any(|&n| n >= 2 * QUERIES && n % QUERIES == 0), "{lengths:?}");
}

/// Loss, gradients of table and tokens, and the nats that are kept.
fn of(loss: VocabularyLoss, inputs: &[Matrix<f64>; 3], both: bool) -> Vec<f64> {
    let shapes = inputs.each_ref().map(|x| Shape::new(x.nrows(), x.ncols()));
    let memory = loss.memory(shapes);
    let (mut kept, mut scratch) = (vec![0.0; memory.kept], vec![0.0; memory.scratch]);
    let mut output = Matrix::zeros(1, 1);
    let mut gradients = inputs.each_ref().map(|x| Matrix::repeat(x.nrows(), x.ncols(), 0.25));
    let upstream = Matrix::repeat(1, 1, 0.7);
    let views = || inputs.each_ref().map(|x| x.as_view());
    let into = gradients.each_mut().map(|g| Gradient::new(g.as_view_mut()));
    if both {
        loss.forward_and_vjp(
            views(),
            output.as_view_mut(),
            upstream.as_view(),
            into,
            Work::new(&mut kept, &mut scratch),
        );
    } else {
        loss.forward(views(), output.as_view_mut(), Work::new(&mut kept, &mut scratch));
        loss.vjp(
            views(),
            output.as_view(),
            upstream.as_view(),
            into,
            Work::new(&mut kept, &mut scratch),
        );
    }
    let all = gradients[..2].iter().flat_map(|g| g.iter().copied()).collect::<Vec<f64>>();
    [output.as_slice(), &all, &kept].concat()
}

/// The mean over tokens, and its gradient, do not depend on how the tokens are cut: to rounding, as sums have
/// another order.
#[test]
fn the_loss_does_not_depend_on_its_chunks() {
    let (words, features) = (13, 6);
    for tokens in [1, 2, 5, 12] {
        let inputs = [
            draw::normal(1, features, words),
            draw::normal(2, features, tokens),
            draw::targets(3, tokens, words),
        ];
        let whole = of(VocabularyLoss::default(), &inputs, false);
        let largest = whole.iter().fold(1.0_f64, |m, x| m.max(x.abs()));
        // Each number is a sum over tokens, words or features.
        let bound = 8.0 * f64::EPSILON * largest * (tokens + words + features) as f64;
        for chunk in 1..=tokens {
            let loss = VocabularyLoss { chunk: NonZeroUsize::new(chunk), ..Default::default() };
            assert_eq!(loss.tokens_at_once(words, tokens), chunk);
            for both in [false, true] {
                let cut = of(loss, &inputs, both);
                let off = whole.iter().zip(&cut).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()));
                assert!(off <= bound, "{tokens} tokens by {chunk}: off by {off:e}, of {bound:e}");
            }
        }
    }
}
