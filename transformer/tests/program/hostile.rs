//! What comes from outside has bounds: memory that is not there, files without an end, output that cannot be written,
//! text that acts on a terminal.

use super::place::{Place, output, refusal, says, scripted, stderr};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

fn shell(place: &Place, script: &str, arguments: &[&str]) -> Output {
    output(scripted(script).current_dir(place.0.path()).args(arguments))
}

/// Every verb, in few seconds.
const VERBS: [&[&str]; 10] = [
    &[
        "train",
        "--data",
        "text.txt",
        "--out",
        "again",
        "--overwrite",
        "--layers",
        "1",
        "--width",
        "16",
        "--heads",
        "2",
        "--context",
        "16",
        "--batch",
        "2",
        "--steps",
        "2",
    ],
    &["train", "--resume", "run"],
    &["generate", "run", "--tokens", "20"],
    &["evaluate", "run"],
    &["check", "run"],
    &["diagnose", "run", "--steps", "2"],
    &["compress", "run", "text.txt", "--out", "text.gbc"],
    &["decompress", "run", "small.gbc", "--out", "again.txt"],
    &["explain", "run", "--list"],
    &["convert", "run", "--out", "converted", "--overwrite"],
];

fn trained() -> Place {
    let place = Place::new();
    place.train(&[]);
    place.fine(&["compress", "run", "text.txt", "--out", "small.gbc", "--threads", "1"]);
    place
}

/// Whatever its address space is held to, a verb does its work or says which limit it meets.
#[cfg(target_os = "linux")]
#[test]
fn a_limited_address_space_is_met_in_words() {
    let place = trained();
    let (mut done, mut met) = (0, 0);
    for kibibytes in [60_000, 100_000, 150_000, 300_000, 1_000_000] {
        for verb in VERBS {
            let script = format!("ulimit -v {kibibytes}; exec \"$0\" \"$@\"");
            let output = shell(&place, &script, verb);
            if output.status.success() {
                done += 1;
                continue;
            }
            let said = stderr(&output);
            assert!(!said.contains("panicked"), "{kibibytes} {verb:?}: {said}");
            // 1 of these is a fault that they found.
            let refused = if ["check", "diagnose"].contains(&verb[0]) { 2 } else { 1 };
            let status = output.status;
            assert_eq!(status.code(), Some(refused), "{kibibytes} {verb:?}: {status:?} {said}");
            says(&said, &["error:", "memory", "ulimit -v"]);
            met += 1;
        }
    }
    assert!(done >= 9 && met >= 9, "{done} done, {met} met the limit");
    // A model that the limit does not hold: before its memory is taken.
    let script = "ulimit -v 1000000; exec \"$0\" \"$@\"";
    let large = shell(
        &place,
        script,
        &place.training(&["--overwrite", "--width", "2048", "--layers", "12"]),
    );
    says(
        &refusal(&["ulimit"], &large),
        &["of memory", "ulimit -v", "smaller batch, context or model"],
    );
    let many = shell(&place, script, &["generate", "run", "--threads", "1000"]);
    says(&refusal(&["ulimit"], &many), &["cannot start 1000 threads", "ulimit -v", "--threads"]);
}

/// A device and a pipe in the place of every file that is read.
#[cfg(unix)]
#[test]
fn files_without_an_end_are_refused() {
    let place = trained();
    let resume: &[&str] = &["train", "--resume", "run", "--steps", "9"];
    let generate: &[&str] = &["generate", "run", "--tokens", "2"];
    let began = Instant::now();
    for (file, verb) in [
        ("run/state.safetensors", resume),
        ("run/state.safetensors", &["check", "run"]),
        ("run/state.safetensors", &["diagnose", "run"]),
        ("run/state.safetensors", &["explain", "run", "--list"]),
        ("run/metrics.jsonl", resume),
        ("run/run.lock", resume),
        ("run/run.toml", resume),
        ("run/model/model.safetensors", generate),
        ("run/model/config.json", generate),
        ("run/model/tokenizer.json", generate),
    ] {
        let (path, kept) = (place.path(file), place.path("kept"));
        fs::rename(&path, &kept).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        place.refused(verb);
        fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        if made.is_ok_and(|status| status.success()) {
            place.refused(verb);
            fs::remove_file(&path).unwrap();
        }
        fs::rename(&kept, &path).unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
    // A text that does not end, where there is little memory: the limit is met, not the end.
    let endless = ["evaluate", "run", "--data", "/dev/zero"];
    let said = refusal(&endless, &shell(&place, "ulimit -v 1000000; exec \"$0\" \"$@\"", &endless));
    says(&said, &["cannot read /dev/zero", "memory"]);
}

/// A file of some bytes that claims 9·10⁸ tokens.
#[test]
fn a_small_file_does_not_cost_hours() {
    let place = trained();
    let mut file = fs::read(place.path("small.gbc")).unwrap();
    // After magic, version, checksum, model and text: the number of tokens, seven bits to a byte.
    let end = 24 + file[24..].iter().position(|b| *b < 0x80).unwrap() + 1;
    let mut claimed = vec![];
    let mut left = 900_000_000u64;
    while left >= 0x80 {
        claimed.push(left as u8 | 0x80);
        left >>= 7;
    }
    claimed.push(left as u8);
    file.splice(24..end, claimed);
    file.extend([0x55; 2000]);
    let checksum = Sha256::digest(&file[8..]);
    file[4..8].copy_from_slice(&checksum[..4]);
    fs::write(place.path("bomb.gbc"), file).unwrap();
    let began = Instant::now();
    let said = place.refused(&["decompress", "run", "bomb.gbc", "--out", "x"]);
    says(&said, &["900000000 tokens", "--most 900000000"]);
    assert!(began.elapsed() < Duration::from_secs(20));
    says(
        &place.refused(&["decompress", "run", "small.gbc", "--out", "x", "--most", "5"]),
        &["--most"],
    );
    place.fine(&["decompress", "run", "small.gbc", "--out", "x", "--most", "100000"]);
}

/// Every verb, in both of its forms, and what the parser of arguments answers.
#[cfg(unix)]
#[test]
fn output_that_cannot_be_written_is_an_error_of_every_verb() {
    if !Path::new("/dev/full").exists() {
        return println!("skipped: no /dev/full here");
    }
    let place = trained();
    let bench: &[&str] = &[
        "bench",
        "--layers",
        "1",
        "--width",
        "16",
        "--heads",
        "2",
        "--context",
        "16",
        "--batch",
        "2",
        "--steps",
        "1",
        "--no-generation",
    ];
    let svg: &[&str] = &["explain", "run", "--at", "loss[0,0]"];
    let page: &[&str] = &["explain", "run", "--out", "page.html"];
    let verbs = VERBS.into_iter().chain([bench, svg, page]);
    let forms = verbs.flat_map(|verb| [verb.to_vec(), [verb, &["--json"]].concat()]);
    for arguments in
        forms.chain([vec!["--help"], vec!["help"], vec!["train", "--help"], vec!["--version"]])
    {
        let full = shell(&place, "exec \"$0\" \"$@\" > /dev/full", &arguments);
        says(&refusal(&arguments, &full), &["No space left"]);
        let closed = shell(&place, "(\"$0\" \"$@\"; echo $? >&2) | true", &arguments);
        let said = stderr(&closed);
        assert!(!said.contains("error:") && !said.contains("panicked"), "{arguments:?}: {said}");
        let code = said.lines().last().unwrap();
        assert!(matches!(code, "0" | "1"), "{arguments:?}: {said}");
    }
}

/// Escape sequences and marks of direction, from files and names: none comes through, in errors or results.
#[test]
fn nothing_from_a_file_acts_on_the_terminal() {
    let place = Place::new();
    let acts = "\u{1b}[31m\u{202e}\u{7}";
    let clean = |output: &Output| {
        let said = format!("{}{}", stderr(output), String::from_utf8_lossy(&output.stdout));
        for c in ['\u{1b}', '\u{202e}', '\u{7}', '\r'] {
            assert!(!said.contains(c), "{said:?}");
        }
        said
    };
    // Names of files and directories, and what a file of settings says.
    let name = format!("a{acts}b.txt");
    fs::copy(place.path("text.txt"), place.path(&name)).unwrap();
    let out = format!("run{acts}");
    let said = clean(&place.run(&place.training(&["--data", &name, "--out", &out, "--json"])));
    says(&said, &["\\u{1b}[31m\\u{202e}\\u{7}"]);
    clean(&place.run(&place.training(&["--data", &format!("none{acts}")])));
    clean(&place.run(&["generate", &format!("none{acts}")]));
    clean(&place.run(&["train", "--steps", acts]));
    fs::write(place.path("own.toml"), format!("layers = \"{acts}\"\n")).unwrap();
    clean(&place.run(&["train", "--config", "own.toml"]));
    fs::write(place.path("own.toml"), format!("\"{acts}\" = 2\n")).unwrap();
    clean(&place.run(&["train", "--config", "own.toml"]));
    // Tensor names.
    place.train(&[]);
    let path = place.path("run/model/model.safetensors");
    let file = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let tensor = header.as_object_mut().unwrap().remove("transformer.wte.weight").unwrap();
    header[format!("wte{acts}")] = tensor;
    let header = header.to_string();
    let other =
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &file[8 + length..]].concat();
    fs::write(&path, other).unwrap();
    clean(&place.run(&["generate", "run"]));
    // JSON keeps the values.
    fs::write(&path, file).unwrap();
    fs::write(place.path("text.txt"), "a\u{202e}b\u{9b}c ".repeat(100)).unwrap();
    place.train(&["--overwrite"]);
    let output =
        place.run(&["generate", "run", "--prompt", "a\u{202e}b", "--tokens", "1", "--json"]);
    clean(&output);
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(object["text"].as_str().unwrap().starts_with("a\u{202e}b"));
}

/// Commands that are proposed can be typed: words are quoted as a shell reads them.
#[test]
fn proposed_commands_are_quoted() {
    let place = Place::new();
    let output = place.run(&place.training(&["--out", "my run"]));
    let printed = String::from_utf8(output.stdout).unwrap();
    says(&printed, &["generate 'my run'"]);
    says(&place.refused(&place.training(&["--out", "my run"])), &["--resume 'my run'"]);
    fs::remove_file(place.path("my run/state.safetensors")).unwrap();
    let said = place.refused(&["train", "--resume", "my run"]);
    says(&said, &["--config 'my run/run.toml' --out 'my run' --overwrite"]);
}

#[test]
fn messages_are_in_words_of_the_interface() {
    let place = Place::new();
    place.train(&[]);
    let refused = |more: &[&str]| place.refused(&place.training(more));
    says(&refused(&["--seed", "18446744073709551615"]), &["--seed is 18446744073709551615"]);
    says(&refused(&["--layers", "9223372036854775807"]), &["layers is 9223372036854775807;"]);
    says(&refused(&["--accumulate", "99999999999"]), &["accumulate is 99999999999;"]);
    for setting in [
        "--clip=-1e308",
        "--learning-rate=1e308",
        "--weight-decay=1e308",
        "--dropout=1e308",
        "--beta1=1e308",
    ] {
        says(&refused(&[setting]), &["1e308;"]);
    }
    says(&place.refused(&["generate", "run", "--temperature=-1e308"]), &["1e308"]);
    fs::write(place.path("one.txt"), "t").unwrap();
    let said = place.refused(&["evaluate", "run", "--data", "one.txt"]);
    says(&said, &["1 token;"]);
    says(&refused(&["--data", "one.txt"]), &["0 tokens"]);
    says(&place.refused(&["generate", "openai-community/gpt2"]), &["no such directory", "hub"]);
    says(&place.refused(&["generate", "run/model/model.safetensors"]), &["is a file", "run/model"]);
}

/// Runs it on a terminal of `script`, if that is here: all that the terminal gets.
#[cfg(target_os = "linux")]
fn on_a_terminal(place: &Place, variables: &[(&str, &str)], arguments: &[&str]) -> Option<String> {
    let words: Vec<String> = arguments.iter().map(|a| format!("'{a}'")).collect();
    let inside = format!("{} {}", env!("CARGO_BIN_EXE_glassbox"), words.join(" "));
    let mut command =
        scripted("command -v script >/dev/null || exit 77; exec script -qec \"$1\" /dev/null");
    command.current_dir(place.0.path()).arg(inside).env_remove("NO_COLOR").env("TERM", "xterm");
    let output = output(command.envs(variables.iter().copied()));
    if output.status.code() == Some(77) {
        println!("skipped: no script(1) here");
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(target_os = "linux")]
#[test]
fn colours_and_bars_are_for_terminals_that_want_them() {
    let place = Place::new();
    let colour = "\u{1b}[1;31m";
    let wrong = ["generate", "none"];
    let Some(said) = on_a_terminal(&place, &[], &wrong) else { return };
    says(&said, &[&format!("{colour}error:")]);
    for variables in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let said = on_a_terminal(&place, &[variables], &wrong).unwrap();
        assert!(said.contains("error:") && !said.contains('\u{1b}'), "{variables:?}: {said:?}");
        let help = on_a_terminal(&place, &[variables], &["--help"]).unwrap();
        assert!(help.contains("Usage") && !help.contains('\u{1b}'), "{variables:?}: {help:?}");
    }
    says(&on_a_terminal(&place, &[("NO_COLOR", "")], &wrong).unwrap(), &[colour]);
    // A line that is drawn again and again, only where it can be.
    let training = place.training(&[]);
    assert!(on_a_terminal(&place, &[], &training).unwrap().contains('\u{1b}'));
    let dumb =
        on_a_terminal(&place, &[("TERM", "dumb")], &[&training[..], &["--overwrite"]].concat());
    let dumb = dumb.unwrap();
    assert!(dumb.contains("validation loss") && !dumb.contains('\u{1b}'), "{dumb:?}");
    // What a model writes of the terminal's language is written out there, and only there.
    fs::write(place.path("text.txt"), "a\u{1b}[31m\u{202e}b ".repeat(100)).unwrap();
    place.train(&["--overwrite"]);
    let generate = ["generate", "run", "--prompt", "a\u{1b}[31m\u{202e}b", "--tokens", "9"];
    let shown = on_a_terminal(&place, &[], &generate).unwrap();
    assert!(
        shown.contains("a\\u{1b}[31m\\u{202e}b") && !shown.contains(['\u{1b}', '\u{202e}']),
        "{shown:?}"
    );
    assert!(place.fine(&generate).starts_with("a\u{1b}[31m\u{202e}b"));
}

/// Refused with a message that is one error, of bounded length, with every line of the program's own.
fn short(place: &Place, arguments: &[&str]) -> String {
    let said = place.refused(arguments);
    let line = said.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    assert!(line <= 2100 && said.len() < 20_000, "a line of {line} characters");
    assert!(!said.lines().any(|line| line.starts_with("forged")), "{said}");
    said
}

/// Whatever a file or an argument is quoted as, it begins no line of its own and does not fill the screen.
#[test]
fn what_is_quoted_stays_within_its_message() {
    let place = trained();
    let long = "x".repeat(200_000);
    let forged = "x\nforged: all is well";
    let generate = ["generate", "run", "--tokens", "2", "--threads", "1"];
    // Tensor names, a checksum, a type of numbers.
    let path = place.path("run/model/model.safetensors");
    let file = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let table = "transformer.wte.weight";
    for text in [forged, &long] {
        let mut named = header.clone();
        let tensor = named.as_object_mut().unwrap().remove(table).unwrap();
        named[text] = tensor;
        let (mut summed, mut typed) = (header.clone(), header.clone());
        summed["__metadata__"]["sha256"] = text.into();
        typed[table]["dtype"] = text.into();
        for header in [named, summed, typed] {
            let header = header.to_string();
            let length = (header.len() as u64).to_le_bytes();
            let other = [&length, header.as_bytes(), &file[file.len() - 3984 * 4..]].concat();
            fs::write(&path, other).unwrap();
            says(&short(&place, &generate), &["model.safetensors"]);
        }
    }
    fs::write(&path, file).unwrap();
    // Tokens.
    let path = place.path("run/model/tokenizer.json");
    let tokenizer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for text in [forged, &long] {
        let mut other = tokenizer.clone();
        other["model"]["vocab"][text] = 5.into();
        fs::write(&path, other.to_string()).unwrap();
        says(&short(&place, &generate), &["both have the number 5"]);
    }
    fs::write(&path, tokenizer.to_string()).unwrap();
    // The path of a text, in run.toml; a file of settings that is none.
    for text in ["x\\nforged: all is well", &long] {
        fs::write(place.path("own.toml"), format!("data = \"{text}\"\n")).unwrap();
        says(
            &short(&place, &["train", "--config", "own.toml", "--out", "new"]),
            &["cannot read x"],
        );
    }
    fs::write(place.path("own.toml"), vec![0; 1 << 19]).unwrap();
    short(&place, &["train", "--config", "own.toml"]);
    fs::write(place.path("own.toml"), vec![b'#'; (1 << 20) + 1]).unwrap();
    says(&short(&place, &["train", "--config", "own.toml"]), &["not a settings file"]);
    // Arguments.
    let address = format!("{}[0,0]", &long[..100_000]);
    short(&place, &["explain", "run", "--at", &address]);
    short(&place, &["generate", "run", "--tokens", &"1".repeat(100_000)]);
    // A file that is no JSON is not taken for a tokenizer of another kind.
    fs::write(&path, "{\"model\": ").unwrap();
    let said = short(&place, &generate);
    assert!(said.contains("not JSON") && !said.contains("bytes or characters"), "{said}");
}

/// Numbers at the ends are printed as people write them.
#[test]
fn no_number_has_hundreds_of_digits() {
    let place = trained();
    for arguments in [
        &["explain", "run", "--out", "page.html", "--room", "5e-324"][..],
        &["explain", "run", "--out", "page.html", "--learning-rate", "1e19"],
        &["diagnose", "run", "--steps", "2", "--clip", "1e308"],
        &["diagnose", "run", "--steps", "2", "--clip", "5e-324"],
    ] {
        let output = place.run(arguments);
        let said = format!("{}{}", stderr(&output), String::from_utf8_lossy(&output.stdout));
        let digits = said.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap();
        assert!(digits < 30 && !said.contains("panicked"), "{arguments:?}: {said}");
    }
}

/// Returns every file below a directory, with its bytes.
fn files_below(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.metadata() {
            Ok(found) if found.is_dir() => all.extend(files_below(&path)),
            Ok(found) if found.is_file() => {
                all.insert(path.clone(), fs::read(&path).unwrap());
            }
            _ => {}
        }
    }
    all
}

/// A pipe or a directory under the name of a file that training writes is refused before the first step, and before
/// anything of the run is removed: nobody reads the pipe, and a signal could not end the wait.
#[cfg(unix)]
#[test]
fn a_pipe_or_a_directory_in_a_run_is_refused_and_nothing_is_lost() {
    let place = trained();
    place.run(&["diagnose", "run", "--steps", "4"]);
    let overwrite = place.training(&["--overwrite"]);
    let resume = ["train", "--resume", "run", "--steps", "9"];
    let diagnose = ["diagnose", "run", "--steps", "4"];
    let whole = files_below(&place.path("run"));
    let lock = place.path("run/run.lock");
    assert_eq!(whole.len(), 10, "{:?}", whole.keys());
    let pipe = |path: &Path| {
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.is_ok_and(|status| status.success()), "no mkfifo here");
    };
    let began = Instant::now();
    for path in whole.keys().filter(|path| **path != lock) {
        let name = path.file_name().unwrap().to_str().unwrap();
        for is_pipe in [true, false] {
            fs::remove_file(path).unwrap();
            if is_pipe {
                pipe(path)
            } else {
                fs::create_dir(path).unwrap()
            }
            let others = files_below(&place.path("run"));
            for verb in [&resume[..], &overwrite] {
                let said = refusal(verb, &place.run(verb));
                // Without its settings a directory is no run, and is said to hold something else.
                let kind = if is_pipe { "a pipe" } else { "a directory" };
                let words = if name == "run.toml" { ["run"; 2] } else { [name, kind] };
                says(&said, &words);
                assert_eq!(files_below(&place.path("run")), others, "{verb:?}: {name}");
            }
            if name == "growth.svg" {
                let said = stderr(&place.run(&diagnose));
                says(&said, &["no picture", "growth.svg is a d"]);
            }
            if is_pipe { fs::remove_file(path) } else { fs::remove_dir(path) }.unwrap();
            fs::write(path, &whole[path]).unwrap();
        }
        // A link to a file that is not there yet leads to it.
        if name != "state.safetensors" && name != "run.toml" && name != "config.json" {
            let elsewhere = place.path("elsewhere");
            fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink(&elsewhere, path).unwrap();
            let output = place.run(if name == "growth.svg" { &diagnose } else { &resume });
            let said = stderr(&output);
            // Some are read before.
            assert!(
                said.contains("cannot read") || elsewhere.is_file() && path.is_symlink(),
                "{name}: {said}"
            );
            for (path, bytes) in &whole {
                let _ = fs::remove_file(path);
                fs::write(path, bytes).unwrap();
            }
            let _ = fs::remove_file(&elsewhere);
        }
    }
    // Where pictures are written by name.
    fs::create_dir(place.path("pictures")).unwrap();
    pipe(&place.path("pictures/step.svg"));
    let explain = ["explain", "run", "--svg", "pictures", "--threads", "1"];
    says(&refusal(&explain, &place.run(&explain)), &["step.svg", "a pipe"]);
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
}

/// Every verb on a run with dropout, which is off wherever a loss is measured.
#[test]
fn every_verb_takes_a_run_with_dropout() {
    let place = Place::new();
    place.train(&["--dropout", "0.2"]);
    place.fine(&["compress", "run", "text.txt", "--out", "small.gbc", "--threads", "1"]);
    for verb in VERBS {
        let output = place.run(verb);
        let said = stderr(&output);
        let fine = output.status.success() || verb[0] == "diagnose";
        assert!(fine && !said.contains("panicked") && !said.contains("error:"), "{verb:?}: {said}");
    }
}

/// Exit status 1 of `check` is a certificate that failed, 2 is what could not be examined.
#[test]
fn what_cannot_be_examined_is_no_failed_certificate() {
    let place = trained();
    for verb in ["check", "diagnose"] {
        for arguments in [
            &[verb, "nowhere"][..],
            &[verb, "run", "--data", "none"],
            &[verb, "run", "--layers", "3"],
        ] {
            assert_eq!(place.run(arguments).status.code(), Some(2), "{arguments:?}");
        }
    }
    fs::write(place.path("run/state.safetensors"), "x").unwrap();
    assert_eq!(place.run(&["check", "run"]).status.code(), Some(2));
}

/// A name that is no text: the flag that gives it is named.
#[cfg(target_os = "linux")]
#[test]
fn a_directory_whose_name_is_no_text_is_refused_by_flag() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let training = place.training(&["--steps", "1"]);
    let at = training.iter().position(|a| *a == "--out").unwrap();
    let rest = [&training[..at], &training[at + 2..], &["--out"]].concat();
    let name = std::ffi::OsStr::from_bytes(b"n\xff");
    let said = refusal(&rest, &output(place.command(&rest).arg(name)));
    says(&said, &["--out is n", "not UTF-8"]);
}
