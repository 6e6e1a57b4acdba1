//! The numbers in README.md and beside it: each is counted here, stands in a file that a script measured, is asserted by
//! a test or by `.ci/run` that the row names, or says that it was measured by hand, and when.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tests::readme::{flat, number, root, stated, stated_in, text};

fn json(name: &str) -> Value {
    serde_json::from_str(&text(name)).expect("JSON")
}

fn sources(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in directory.read_dir().into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => sources(&path, into),
            path if path.extension().is_some_and(|e| e == "rs") => into.push(path),
            _ => {}
        }
    }
}

fn all_sources(directories: &[&str]) -> Vec<String> {
    let mut paths = Vec::new();
    directories.iter().for_each(|directory| sources(&root().join(directory), &mut paths));
    paths.iter().map(|path| fs::read_to_string(path).expect("a source")).collect()
}

/// Tests inside `proptest! { … }`.
fn property_tests(source: &str) -> usize {
    let blocks = source.match_indices("proptest! {").map(|(at, _)| {
        let mut depth = 0;
        let end = source[at..].char_indices().find_map(|(i, c)| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            (c == '}' && depth == 0).then_some(at + i)
        });
        source[at..end.unwrap_or(source.len())].matches("#[test]").count()
    });
    blocks.sum()
}

/// "More than 60 property tests of 256 random cases each": there are more, but not half as many again.
#[test]
fn property_tests_are_counted() {
    let cases = text(".cargo/config.toml");
    for name in ["linalg", "probability", "calculus", "infotheory"] {
        let readme = format!("{name}/README.md");
        let (lowest, each) =
            (stated_in(&readme, "ore than "), stated_in(&readme, "property tests of "));
        let directories = [format!("{name}/src"), format!("{name}/tests")];
        let all = all_sources(&directories.each_ref().map(String::as_str));
        let found = all.iter().map(|source| property_tests(source)).sum::<usize>() as f64;
        assert!(
            (lowest..1.5 * lowest).contains(&found) && found > lowest,
            "{readme}: {found} property tests"
        );
        assert!(cases.contains(&format!("PROPTEST_CASES = \"{each}\"")), "{readme}: {each} cases");
    }
}

#[test]
fn numbers_of_outside_authorities_are_counted() {
    fn count(value: &Value) -> usize {
        value.as_array().map_or(1, |all| all.iter().map(count).sum())
    }
    let table = json("tests/authority/calculus.json");
    let rows = table.as_array().expect("rows").iter();
    let expected: usize = rows.map(|row| count(&row["expected"])).sum();
    assert_eq!(stated_in("calculus/README.md", "of the workspace holds "), expected as f64);
}

/// What `.ci/coverage` printed stands in CONTRIBUTING.md with its date, and the crates say the same.
#[test]
fn coverage_is_the_same_everywhere() {
    let contributing = text("CONTRIBUTING.md");
    let mut lines =
        contributing.lines().skip_while(|line| !line.starts_with("| linalg | probability"));
    let names: Vec<&str> = lines.next().expect("a table").split('|').map(str::trim).collect();
    let figures: Vec<&str> = lines.nth(1).expect("a row").split('|').map(str::trim).collect();
    for (name, figure) in names.iter().zip(&figures).filter(|(name, _)| !name.is_empty()) {
        let share = figure.split_once('%').expect("a share").0.trim();
        let readme = flat(&text(&format!("{name}/README.md")));
        assert!(readme.contains(&format!("Tests run {share} % of its lines")), "{name}: {share} %");
    }
    assert!(by_hand(&flat(&contributing)).is_some(), "the table has no date");
}

/// The date after "by hand, ".
fn by_hand(text: &str) -> Option<&str> {
    let date = text.split_once("by hand, ")?.1.get(..10)?;
    let digit =
        |(i, c): (usize, char)| if matches!(i, 4 | 7) { c == '-' } else { c.is_ascii_digit() };
    date.chars().enumerate().all(digit).then_some(date)
}

/// The rows of README's first table of measurements: (what, result, how).
fn rows() -> Vec<(String, String, String)> {
    let readme = text("README.md");
    let part = readme.split_once("\n## Measured\n").expect("a part \"Measured\"").1;
    let table = part
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        line.trim_matches('|').split(" | ").map(|c| c.trim().to_owned()).collect::<Vec<_>>()
    };
    let three = |line: &str| match &cells(line)[..] {
        [what, result, how] => (what.clone(), result.clone(), how.clone()),
        other => panic!("{} cells: {line}", other.len()),
    };
    table.skip(2).map(three).collect()
}

/// Every row is asserted, by a test that there is or by the gate, or has the date on which it was measured by hand.
#[test]
fn every_row_says_how_it_is_known() {
    let tests = all_sources(&["tests/tests"]).concat();
    let gate = text(".ci/run");
    let rows = rows();
    assert!(rows.len() >= 15, "{} rows", rows.len());
    for (what, _, how) in rows {
        let commands: Vec<&str> = how.split('`').skip(1).step_by(2).collect();
        assert!(!commands.is_empty(), "{what}: no command");
        let named = commands.iter().filter_map(|c| c.strip_prefix("cargo test -p tests --test "));
        let mut asserted = how.contains("the gate") || by_hand(&how).is_some();
        for command in named {
            asserted = true;
            let (binary, rest) = command.split_once(' ').unwrap_or((command, ""));
            let filter = rest.split(" -- ").next().unwrap_or("").trim_end_matches("::");
            let path = filter.replace("::", "/");
            let module = root().join(format!("tests/tests/{binary}/{path}.rs")).is_file()
                || root().join(format!("tests/tests/{binary}/{path}")).is_dir();
            let function = tests.contains(&format!("fn {filter}"));
            assert!(filter.is_empty() || module || function, "{what}: no test for `{command}`");
        }
        if commands[0].starts_with("tests/huggingface") && gate.contains(commands[0]) {
            asserted = true;
        }
        assert!(asserted, "{what}: neither a test, nor the gate, nor a date");
    }
}

/// The other numbers of that part are those of the tables that the scripts of `tests/peers` wrote, with their dates.
#[test]
fn speeds_are_those_of_the_tables() {
    let readme = flat(&text("README.md"));
    let compare = json("docs/compare.json");
    let results = compare["results"].as_array().expect("results");
    let of = |size: &str, peer: &str, avx2: bool| {
        let same =
            |r: &&Value| r["size"] == size && r["peer"] == peer && (r["avx2"] == true) == avx2;
        results.iter().find(same).unwrap_or_else(|| panic!("no {peer} at {size}"))
    };
    let f = |value: &Value| value.as_f64().expect("a number");
    let seconds = |x: f64| if x < 0.1 { format!("{:.1} ms", 1e3 * x) } else { format!("{x:.2} s") };
    let megabytes = |x: f64| {
        let whole = (x / 1e6).round() as u64;
        if whole < 1000 {
            format!("{whole} MB")
        } else {
            format!("{},{:03} MB", whole / 1000, whole % 1000)
        }
    };
    for size in ["shakespeare-cpu", "baby", "gpt2", "gpt2-long"] {
        let row = of(size, "pytorch", false);
        let (ours, theirs, ratio) = (&row["ours"], &row["theirs"], &row["ratio"]);
        let cells = format!(
            "| {} | {} | {:.2} ({:.2}–{:.2}) | {} | {} | {:.0} % |",
            seconds(f(&ours["step_seconds_median"])),
            seconds(f(&theirs["step_seconds_median"])),
            f(&ratio["median"]),
            f(&ratio["lowest"]),
            f(&ratio["highest"]),
            megabytes(f(&ours["resident_bytes"])),
            megabytes(f(&theirs["resident_bytes"])),
            100.0 * f(&ours["model_flops_share"]),
        );
        assert!(readme.contains(&cells), "{size}: docs/compare.json says {cells}");
        let (own, other) = (of(size, "f32", false), of(size, "pytorch-bf16", false));
        let spread = |ratio: &Value| {
            let [median, low, high] = ["median", "lowest", "highest"].map(|key| f(&ratio[key]));
            format!("{median:.2} ({low:.2}–{high:.2})")
        };
        let cells = format!(
            "| {} | {} | {} | {} |",
            seconds(f(&other["ours"]["step_seconds_median"])),
            spread(&own["ratio"]),
            seconds(f(&other["theirs"]["step_seconds_median"])),
            spread(&other["ratio"]),
        );
        assert!(readme.contains(&cells), "{size} in bf16: docs/compare.json says {cells}");
    }
    let median = |size, peer, avx2| f(&of(size, peer, avx2)["ratio"]["median"]);
    let range = |peer: &str| {
        let all = results.iter().filter(|r| r["peer"] == peer).map(|r| f(&r["ratio"]["median"]));
        all.fold((f64::INFINITY, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)))
    };
    let ((c0, c1), (b0, b1)) = (range("candle"), range("burn"));
    let held =
        ["shakespeare-cpu", "baby", "gpt2", "gpt2-long"].map(|size| median(size, "pytorch", true));
    let threads = text("docs/scaling.md");
    let twice = number(threads.split_once("on two: **").expect("threads").1).expect("a number");
    let generate = json("docs/generate.json");
    let generates = |size: &str| {
        let all = generate["results"].as_array().expect("results");
        let own = all.iter().find(|r| r["size"] == size);
        own.unwrap_or_else(|| panic!("no generation at {size}"))
    };
    let (gpt2, smollm2) = (generates("gpt2"), generates("smollm2"));
    for sentence in [
        format!(
            "candle takes {c0:.1} to {c1:.1} times as long as this project, burn {b0:.1} to {b1:.1} times"
        ),
        format!(
            "PyTorch takes {:.2} times as long at `shakespeare-cpu`, {:.2} times at `baby`, {:.2} and {:.2} times at GPT-2's two",
            held[0], held[1], held[2], held[3]
        ),
        format!("two threads are {twice:.2} times as fast as one at `baby`"),
        format!(
            "GPT-2 124M writes {:.0} tokens a second, {:.1} times as many",
            f(&gpt2["ours"]["tokens_per_second"]),
            f(&gpt2["ratios"]["from empty"]["median"])
        ),
        format!("read at {:.0} % of the bandwidth", 100.0 * f(&gpt2["ours"]["bandwidth_share"])),
        format!(
            "SmolLM2 135M reads a prompt of 1024 tokens at {:.0} tokens a second, {:.1} times as fast, and writes {:.0} a second after it, {:.1} times as fast",
            f(&smollm2["ours"]["prompt_tokens_per_second"]),
            f(&smollm2["ratios"]["prompt"]["median"]),
            f(&smollm2["ours"]["tokens_per_second_after_prompt"]),
            f(&smollm2["ratios"]["after the prompt"]["median"])
        ),
    ] {
        assert!(readme.contains(&sentence), "the tables say: {sentence}");
    }
    for table in ["docs/compare.md", "docs/scaling.md", "docs/generate.md"] {
        assert!(
            text(table).contains("Measured 20") && text(table).contains("by `tests/peers/"),
            "{table}: no date"
        );
    }
}

/// README's example of `check`, its row, and the catalogue of FAILURES.md name as many certificates.
#[test]
fn certificates_are_counted() {
    let all =
        stated("certificates of `check` that fail where a fault is brought in for them | all ");
    let readme = text("README.md");
    assert!(readme.contains(&format!("\n{all} of {all} certificates hold\n")), "README's example");
    assert_eq!(stated_in("docs/FAILURES.md", "or a checkpoint for each of the "), all as f64);
}

/// A file of tests that no `main.rs` names is not compiled, and nobody misses it.
#[test]
fn every_file_of_tests_is_compiled() {
    let tests = [
        "tests/tests/authority",
        "tests/tests/mathematics",
        "tests/tests/step",
        "tests/tests/trust",
    ];
    let crates = ["linalg", "probability", "calculus", "infotheory"]
        .map(|name| format!("{name}/tests/laws"));
    for directory in
        crates.iter().map(String::as_str).chain(tests).chain(["transformer/tests/program"])
    {
        let main = text(&format!("{directory}/main.rs"));
        let entries = root().join(directory).read_dir().expect("a directory").flatten();
        // A directory without Rust is data.
        let compiled = |path: &PathBuf| {
            path.is_file()
                || path.read_dir().is_ok_and(|mut all| {
                    all.any(|e| e.is_ok_and(|e| e.path().extension().is_some_and(|x| x == "rs")))
                })
        };
        let paths = entries.map(|entry| entry.path()).filter(compiled);
        for name in paths.filter_map(|path| path.file_stem()?.to_str().map(str::to_owned)) {
            let named = main.lines().any(|line| line.ends_with(&format!("mod {name};")));
            assert!(name == "main" || named, "{directory}/main.rs does not name {name}");
        }
    }
}
