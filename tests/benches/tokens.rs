//! Tokenising a text as training does, against the crate `tokenizers` alone, which gets the same text in memory, cut into
//! documents of 64 kB, on the same threads. Both in alternation; medians in MB/s and the median of ratios.
//!
//! `cargo bench --bench tokens -- TOKENIZER.json TEXT`

use std::time::Instant;
use transformer::disk::data::{Content, Data};
use transformer::disk::tokens::Split;
use transformer::text::tokenizer::Tokenizer;

/// The length of a document for the crate alone.
const DOCUMENT: usize = 1 << 16;
const PAIRS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [tokenizer, text] = &given[..] else {
        return Err("give the paths of a tokenizer.json and of a text".into());
    };
    let json = std::fs::read_to_string(tokenizer)?;
    let ours = Tokenizer::from_json(&json)?;
    let alone = tokenizers::Tokenizer::from_bytes(&json).map_err(|e| e.to_string())?;
    let (mut times, mut tokens) = ([vec![], vec![]], [0, 0]);
    let mut bytes = 0;
    for _ in 0..PAIRS {
        let began = Instant::now();
        let Content::Documents(documents) = Data::read(std::slice::from_ref(text), "text")?.content
        else {
            return Err("tokens are no text".into());
        };
        let (train, held_back) = (documents.extents(), vec![]);
        let split = Split { documents: &documents, train, held_back };
        tokens[0] = split.in_memory(&ours, &mut |_| ())?.train.len();
        times[0].push(began.elapsed().as_secs_f64());

        let text = std::fs::read_to_string(text)?;
        bytes = text.len();
        let began = Instant::now();
        let mut pieces = vec![];
        let mut rest = &text[..];
        while !rest.is_empty() {
            let mut at = DOCUMENT.min(rest.len());
            while !rest.is_char_boundary(at) {
                at -= 1;
            }
            let (piece, after) = rest.split_at(at);
            pieces.push(piece);
            rest = after;
        }
        let encoded = alone.encode_batch_fast(pieces, false).map_err(|e| e.to_string())?;
        tokens[1] = encoded.iter().map(|e| e.get_ids().len()).sum();
        times[1].push(began.elapsed().as_secs_f64());
    }
    let median = |mut x: Vec<f64>| {
        x.sort_by(f64::total_cmp);
        x[x.len() / 2]
    };
    let ratios = times[0].iter().zip(&times[1]).map(|(ours, alone)| alone / ours).collect();
    let [ours, alone] = times.map(|t| bytes as f64 / 1e6 / median(t));
    println!(
        "{ours:.1} MB/s as training does, {alone:.1} MB/s by the crate alone: {:.2}",
        median(ratios)
    );
    println!("{} and {} tokens", tokens[0], tokens[1]);
    Ok(())
}
