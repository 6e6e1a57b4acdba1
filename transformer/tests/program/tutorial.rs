//! Every command of `docs/fine-tuning.md` does what the page says, with few steps.

use super::place::{Place, says};
use std::path::Path;

#[allow(dead_code, reason = "an example is a program of its own")]
#[path = "../../examples/06_questions.rs"]
mod questions;

/// The commands of the page, in order.
fn commands(page: &str) -> Vec<String> {
    let blocks = page.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

#[test]
fn the_tutorial_runs() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/fine-tuning.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let place = Place::new();
    let (mut trained, mut made) = (0, false);
    for command in commands(&page) {
        let words: Vec<&str> = command.split(' ').collect();
        match words[..] {
            ["cargo", "run", .., "--example", "06_questions", "--", directory] => {
                questions::write(&place.path(directory), 60).expect("questions");
                made = true;
            }
            ["glassbox", ref arguments @ ..] => {
                let mut arguments: Vec<&str> = arguments.to_vec();
                if arguments[0] == "train" {
                    trained += 1;
                    let steps = arguments.iter().position(|word| *word == "--steps");
                    match steps {
                        Some(at) => arguments[at + 1] = "2",
                        None => arguments.extend(["--steps", "2"]),
                    }
                    arguments.extend(["--eval-every", "0"]);
                    if !arguments.contains(&"--from") && !arguments.contains(&"--width") {
                        arguments.extend(["--width", "16", "--layers", "1", "--heads", "2"]);
                    }
                    if arguments.contains(&"--lora") {
                        let at = arguments.iter().position(|word| *word == "--lora").expect("it");
                        arguments[at + 1] = "4";
                    }
                }
                let said = place.fine(&arguments);
                if arguments[0] == "evaluate" && arguments.contains(&"--answers") {
                    says(&said, &["% right"]);
                }
                if arguments[0] == "check" {
                    says(&said, &["pass  the counted tokens are the answers"]);
                }
            }
            _ => panic!("{command:?} is no command of the page"),
        }
    }
    assert!(made && trained >= 5, "{trained} runs");
}
