//! `docs/course.md`: every link leads to a file, and every command is one of the program.

use super::place::Place;
use std::path::Path;

#[test]
fn links_and_commands_of_the_course_exist() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = std::fs::read_to_string(docs.join("course.md")).expect("the page");
    let links: Vec<&str> =
        page.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() > 30, "{links:?}");
    for link in links {
        assert!(docs.join(link).is_file(), "{link} is no file");
    }
    let place = Place::new();
    let (papers, values) = (place.fine(&["reproduce"]), place.fine(&["explain", "--list"]));
    let commands: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("glassbox ")).collect();
    assert_eq!(commands.len(), 3 * page.matches("\n## ").count(), "three questions a section");
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        let known =
            |list: &str, name: &str| list.lines().any(|line| line.trim_start().starts_with(name));
        match words[..] {
            ["explain", "--at", value, ref flags @ ..] => {
                let name = value.split('[').next().unwrap_or_default();
                assert!(known(&values, &format!("{name} ")), "{command}: no value {name}");
                let help = place.fine(&["explain", "--help"]);
                assert!(flags.iter().all(|flag| help.contains(flag)), "{command}");
            }
            ["reproduce", name] => assert!(known(&papers, &format!("{name} ")), "{command}"),
            [verb, ..] => drop(place.fine(&[verb, "--help"])),
            [] => panic!("no command"),
        }
    }
}
