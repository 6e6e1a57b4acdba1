//! Sizes from outside are checked before memory is allocated, and a decoder without an end reports when it is past it.

use infotheory::arithmetic::{ArithmeticDecoder, ArithmeticEncoder, Code, Frequencies};
use infotheory::ngram::{NGram, Smoothing};
use infotheory::shannon;
use proptest::prelude::*;

proptest! {
    /// A decoder has not ended before the end of the text, for any costs of symbols; it has ended soon after: within 64
    /// bits, the 39 that may be missing, the encoder's last number and the padding of its byte.
    #[test]
    fn a_decoder_knows_the_end_of_a_code(
        weights in prop::collection::vec(0.1f64..10.0, 3..40), text in prop::collection::vec(0usize..1000, 0..300),
    ) {
        let n = weights.len();
        let expected = Frequencies::of_weights(&weights).unwrap();
        let mut code = Code::new();
        let mut encoder = ArithmeticEncoder::new(&mut code);
        text.iter().for_each(|t| encoder.encode(&expected, t % n));
        encoder.finish();
        let file = code.into_bytes();
        let mut decoder = ArithmeticDecoder::new(&file);
        for t in &text {
            prop_assert!(!decoder.has_ended());
            prop_assert_eq!(decoder.decode(&expected), t % n);
        }
        prop_assert!(!decoder.has_ended());
        // Each symbol read from the zeros costs at least as much as the most probable symbol.
        let cost = (0..n).map(|i| expected.cost(i).0).fold(f64::INFINITY, f64::min);
        let most = (64.0 / cost).ceil() as usize + 2;
        let more = (0..most).take_while(|_| { decoder.decode(&expected); !decoder.has_ended() }).count();
        prop_assert!(more < most, "{more} symbols after the end");
    }
}

#[test]
#[should_panic(expected = "outcome 2: there are 2, from 0")]
fn an_outcome_that_there_is_not_is_named() {
    let coin = Frequencies::of(&[0.5, 0.5]).unwrap();
    let mut code = Code::new();
    ArithmeticEncoder::new(&mut code).encode(&coin, 2);
}

/// The cost and the result for an order beyond the length of the text are those of the text's own length.
#[test]
fn orders_beyond_the_text_are_those_of_the_text() {
    let text = [0, 1, 2, 0, 1, 0];
    for smoothing in [Smoothing::WittenBell, Smoothing::KneserNey, Smoothing::Additive(0.5)] {
        let [all, more, most] =
            [text.len() + 1, 1000, usize::MAX].map(|order| NGram::count(order, 3, &text));
        for history in [&text[..], &text[..3], &[2, 2, 2, 2, 2, 2, 2, 2], &[]] {
            for token in 0..3 {
                let p = all.probability(smoothing, history, token);
                assert!((0.0..=1.0).contains(&p));
                assert_eq!(more.probability(smoothing, history, token), p);
                assert_eq!(most.probability(smoothing, history, token), p);
            }
        }
        assert_eq!(most.cross_entropy(smoothing, &text), more.cross_entropy(smoothing, &text));
    }
    assert_eq!(
        NGram::count(usize::MAX, 3, &[]).probability(Smoothing::KneserNey, &[1], 0),
        1.0 / 3.0
    );
    assert_eq!(shannon::series("abcab".chars(), usize::MAX).unwrap().len(), 6);
}
