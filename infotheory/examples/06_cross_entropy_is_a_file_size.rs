//! Writes a text with as many bits as its surprisal, and reads it back.
//!
//! `cargo run --release -p glassbox-infotheory --example 06_cross_entropy_is_a_file_size -- FILE`; without FILE, this
//! crate's README. The model is adaptive: after every byte, encoder and decoder update the same counts. The file
//! contains no table.

mod text;

use infotheory::Bits;
use infotheory::arithmetic::{ArithmeticDecoder, ArithmeticEncoder, Code, Frequencies};

/// Predicts a byte from the one before it: its counts, and a small fraction of the counts of all.
struct Model {
    after: Vec<[f64; 256]>,
    all: [f64; 256],
    last: usize,
}

impl Model {
    fn new() -> Self {
        Model { after: vec![[0.0; 256]; 256], all: [0.02; 256], last: 0 }
    }

    fn expected(&self) -> Frequencies {
        let (after, seen) = (&self.after[self.last], self.all.iter().sum::<f64>());
        let kinds = after.iter().filter(|c| **c > 0.0).count() as f64 + 1.0;
        let weights: Vec<f64> =
            after.iter().zip(&self.all).map(|(c, all)| c + kinds * all / seen).collect();
        Frequencies::of_weights(&weights).expect("counts are weights")
    }

    fn learn(&mut self, byte: usize) {
        self.after[self.last][byte] += 1.0;
        self.all[byte] += 1.0;
        self.last = byte;
    }
}

fn main() -> std::process::ExitCode {
    text::main(run)
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let text = match std::env::args().nth(1) {
        Some(file) => std::fs::read(&file).map_err(|e| format!("{file}: {e}"))?,
        None => include_bytes!("../README.md").to_vec(),
    };
    let (mut model, mut code, mut ideal) = (Model::new(), Code::new(), Bits(0.0));
    let mut encoder = ArithmeticEncoder::new(&mut code);
    for &byte in &text {
        let (expected, byte) = (model.expected(), usize::from(byte));
        ideal += expected.cost(byte);
        encoder.encode(&expected, byte);
        model.learn(byte);
    }
    encoder.finish();
    let file = code.into_bytes();

    let (mut model, mut decoder) = (Model::new(), ArithmeticDecoder::new(&file));
    let back: Vec<u8> = (0..text.len())
        .map(|_| {
            let byte = decoder.decode(&model.expected());
            model.learn(byte);
            byte as u8
        })
        .collect();
    assert_eq!(back, text, "what is read is what was written");
    println!("the text           {:>9} bytes", text.len());
    println!(
        "its cross-entropy  {:>11.1} bytes under a model of pairs that learns as it reads",
        ideal.0 / 8.0
    );
    println!("the file           {:>9} bytes, and it was read back", file.len());
    Ok(())
}
