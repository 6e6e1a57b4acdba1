//! Text from a model, token by token: greedy, and drawn at two temperatures.
//!
//! `cargo run --release -p glassbox-transformer --example 02_generate -- DIRECTORY PROMPT` reads a model and its
//! tokenizer, as `01_train` and `glassbox train` write them; without arguments a small model is trained first.

mod small;

use probability::sample::Sampler;
use std::error::Error;
use std::path::Path;
use transformer::Writer;
use transformer::disk::files;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (model, parameters, tokenizer) = match arguments.next() {
        Some(directory) => {
            let directory = Path::new(&directory);
            let (model, parameters) = files::read::<f32>(directory)?;
            (model, parameters, files::read_tokenizer(directory)?)
        }
        None => {
            let (trainer, tokenizer, _) = small::trained()?;
            let step = trainer.model();
            (step.config().clone(), step.tape().parameters().to_vec(), tokenizer)
        }
    };
    let prompt = arguments.next().unwrap_or("she ".to_owned());
    let mut writer = Writer::new(&model, &parameters, None)?;
    for temperature in [0.0, 0.8, 2.0] {
        let sampler = Sampler { temperature, ..Sampler::default() };
        writer.clear();
        let written = writer.write(&tokenizer.encode(&prompt)?, sampler, 1)?;
        let tokens = written.take(80).collect::<Result<Vec<_>, _>>()?;
        println!("temperature {temperature}: {prompt}{}", tokenizer.decode(&tokens));
    }
    Ok(())
}
