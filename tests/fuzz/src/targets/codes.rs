//! Codes of whole bits, and of fractions of them.

use super::{Numbers, accepted, refused};
use infotheory::arithmetic::{ArithmeticDecoder, ArithmeticEncoder, Code, Frequencies, TOTAL};
use infotheory::prefix_code::{PrefixCode, huffman, kraft};

/// A first byte counts lengths; they follow, small or any, and then bits. All of it is weights, too.
pub fn prefix_code(data: &[u8]) {
    let mut rest = Numbers(data);
    let count = rest.byte().unwrap_or(0);
    let length = |rest: &mut Numbers<'_>| match rest.byte()? {
        short @ 0..240 => Some(u32::from(short % 40)),
        _ => rest.next().map(|x| x.abs() as u32),
    };
    let lengths: Vec<u32> = (0..count).map_while(|_| length(&mut rest)).collect();
    let bits: Vec<bool> =
        rest.0.iter().flat_map(|b| (0..8).map(move |i| b >> i & 1 == 1)).collect();
    match PrefixCode::new(&lengths) {
        Err(error) => refused(error),
        Ok(code) => {
            accepted("lengths");
            assert!(kraft(&lengths) <= 1.0);
            let right =
                |(symbol, length): (usize, &u32)| code.word(symbol).len() == *length as usize;
            assert!(lengths.iter().enumerate().all(right));
            match code.decode(&bits) {
                Ok(text) => assert_eq!(code.encode(&text), Ok(bits)),
                Err(error) => refused(error),
            }
            let used: Vec<usize> = (0..lengths.len()).filter(|i| lengths[*i] > 0).collect();
            let encoded = code.encode(&used).expect("they have words");
            assert_eq!(code.decode(&encoded), Ok(used));
        }
    }
    let weights = Numbers(data).all();
    match huffman(&weights) {
        Err(error) => refused(error),
        Ok(lengths) => {
            accepted("weights");
            assert_eq!(lengths.len(), weights.len());
            PrefixCode::new(&lengths).expect("Huffman's lengths have words");
        }
    }
}

/// A full code, one with a symbol that has no word, weights that differ much.
pub fn prefix_code_seeds() -> Vec<Vec<u8>> {
    vec![
        vec![4, 1, 2, 3, 3, 0b1010_1100, 7],
        vec![3, 2, 0, 2, 0x55],
        vec![8, 16, 24, 205, 209, 211],
    ]
}

/// A first byte counts weights; they follow, and then a code.
pub fn arithmetic(data: &[u8]) {
    let mut rest = Numbers(data);
    let count = rest.byte().unwrap_or(0);
    let weights: Vec<f64> = (0..count).map_while(|_| rest.next()).collect();
    if let Err(error) = Frequencies::of(&weights) {
        refused(error);
    }
    let frequencies = match Frequencies::of_weights(&weights) {
        Ok(frequencies) => frequencies,
        Err(error) => return refused(error),
    };
    accepted("weights");
    let n = frequencies.outcomes();
    let sizes: Vec<u32> = (0..n).map(|i| frequencies.range(i).len() as u32).collect();
    assert!(
        sizes.iter().all(|f| *f > 0) && sizes.iter().sum::<u32>() == TOTAL,
        "{weights:?}: {sizes:?}"
    );
    assert!((0..n).all(|i| frequencies.cost(i).0 >= 0.0));
    // Any bytes are the code of some text, …
    let mut decoder = ArithmeticDecoder::new(rest.0);
    let text: Vec<usize> = (0..100).map(|_| decoder.decode(&frequencies)).collect();
    assert!(text.iter().all(|symbol| *symbol < n));
    // … and that text, written, is read again.
    let mut code = Code::new();
    let mut encoder = ArithmeticEncoder::new(&mut code);
    text.iter().for_each(|symbol| encoder.encode(&frequencies, *symbol));
    encoder.finish();
    let code = code.into_bytes();
    let mut decoder = ArithmeticDecoder::new(&code);
    assert!(
        text.iter().all(|symbol| decoder.decode(&frequencies) == *symbol),
        "{weights:?}: {text:?}"
    );
}

/// A coin, and weights that differ as much as floats can.
pub fn arithmetic_seeds() -> Vec<Vec<u8>> {
    vec![
        vec![2, 8, 8, 0xaa, 0x55, 0xff],
        vec![3, 204, 211, 0, 1, 2, 3, 4, 5],
        vec![5, 1, 2, 3, 4, 5, 0xff, 0xff],
    ]
}
