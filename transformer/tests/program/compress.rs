//! `glassbox compress` and `glassbox decompress`, from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use transformer::disk::files;
use transformer::text::tokenizer::Tokenizer;
use transformer::{Architecture, Form, RecordedStep};

fn glassbox(arguments: &[&str]) -> Output {
    super::place::output(super::place::glassbox().args(arguments))
}

/// A model that was not trained.
fn write_model(directory: &Path, tokenizer: &Tokenizer, seed: u64) {
    let config = Architecture {
        vocabulary: tokenizer.vocabulary(),
        context: 16,
        width: 16,
        heads: 2,
        layers: 1,
        hidden: 32,
        ..Default::default()
    };
    let mut model = RecordedStep::<f32>::record(&config, 1, 16, Form::Fused, 0).unwrap();
    model.initialise(seed);
    files::write(directory, &config, model.tape().parameters()).unwrap();
    files::write_tokenizer(directory, tokenizer).unwrap();
}

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    /// A directory with the model `model` and the text `text`.
    fn new(text: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tokenizer = Tokenizer::characters_of("abcdefghij \næ");
        write_model(&directory.path().join("model"), &tokenizer, 1);
        fs::write(directory.path().join("text"), text).unwrap();
        Place { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs with every argument that begins with `@` a file of this place.
    fn run(&self, arguments: &[&str]) -> Output {
        let own = |a: &&str| match a.strip_prefix('@') {
            Some(name) => self.path(name).display().to_string(),
            None => (*a).to_owned(),
        };
        let arguments: Vec<String> = arguments.iter().map(own).collect();
        glassbox(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn compress(&self) -> Output {
        let done = self.run(&["compress", "@model", "@text", "--out", "@file"]);
        assert!(done.status.success(), "{done:?}");
        done
    }

    /// The message of a run that must fail and must not write `out`.
    fn refused(&self, arguments: &[&str], out: &str) -> String {
        let before = fs::read(self.path(out)).ok();
        let done = self.run(arguments);
        let message = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{message}");
        assert!(message.starts_with("error: ") && done.stdout.is_empty(), "{message}");
        assert!(!message.contains("panicked"), "{message}");
        assert_eq!(fs::read(self.path(out)).ok(), before, "half a file");
        message
    }
}

fn text() -> Vec<u8> {
    let letter = |i: usize| b"abcdefghij \n"[(i * i + i / 5) % 12];
    (0..5000).map(letter).chain("æ".bytes()).collect()
}

#[test]
fn a_text_comes_back_on_another_number_of_threads() {
    let place = Place::new(&text());
    let report = String::from_utf8(place.compress().stdout).unwrap();
    for word in ["text ", "file ", "cross-entropy ", "model ", "header"] {
        assert!(report.contains(word), "{report}");
    }
    let one = fs::read(place.path("file")).unwrap();
    let three =
        place.run(&["compress", "@model", "@text", "--out", "@file", "--threads", "3", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&three.stdout).unwrap();
    assert_eq!(fs::read(place.path("file")).unwrap(), one);
    assert_eq!(json["file_bytes"], one.len());
    assert_eq!(json["text_bytes"], 5002);
    assert_eq!(json["tokens"], 5001);
    assert!(json["model_bytes"].as_u64().unwrap() > 1000);
    // The code is the cross-entropy and at most a thousandth more, and two bytes to end.
    let code = (one.len() as f64 - json["header_bytes"].as_f64().unwrap()) * 8.0;
    let ideal = json["cross_entropy_bits"].as_f64().unwrap();
    assert!(code <= 1.001 * ideal + 16.0 && code >= ideal - 1.0, "{code} {ideal}");

    let back =
        place.run(&["decompress", "@model", "@file", "--out", "@back", "--threads", "2", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&back.stdout).unwrap();
    assert_eq!(json["text_bytes"], 5002);
    assert_eq!(fs::read(place.path("back")).unwrap(), text());
}

#[test]
fn standard_input_is_read() {
    let place = Place::new(b"abc");
    let out = place.path("file");
    let mut child = super::place::Running::start(
        super::place::glassbox()
            .args(["compress", &place.path("model").display().to_string(), "-", "--out"])
            .arg(&out)
            .stdin(Stdio::piped()),
    );
    child.write(b"abc");
    assert!(child.finish().status.success());
    assert!(place.run(&["decompress", "@model", "@file", "--out", "@back"]).status.success());
    assert_eq!(fs::read(place.path("back")).unwrap(), b"abc");
}

#[test]
fn files_that_are_not_as_they_were_are_refused_by_name() {
    let place = Place::new(&text());
    place.compress();
    let whole = fs::read(place.path("file")).unwrap();
    let decompress = ["decompress", "@model", "@file", "--out", "@back"];
    let message = |bytes: &[u8]| {
        fs::write(place.path("file"), bytes).unwrap();
        place.refused(&decompress, "back")
    };
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 4;
    assert!(message(&altered).contains("altered or cut off"));
    assert!(message(&whole[..whole.len() - 1]).contains("altered or cut off"));
    assert!(message(&whole[..10]).contains("cut off"));
    assert!(message(b"").contains("cut off"));
    assert!(message(&text()).contains("not a text that glassbox compressed"));
    let mut later = whole.clone();
    later[3] = 3;
    assert!(message(&later).contains("version 3"));

    fs::write(place.path("file"), &whole).unwrap();
    write_model(&place.path("other"), &Tokenizer::characters_of("abcdefghij \næ"), 2);
    let other = place.refused(&["decompress", "@other", "@file", "--out", "@back"], "back");
    assert!(other.contains("compressed with the model"), "{other}");
}

#[test]
fn bad_arguments_are_refused_before_anything_is_written() {
    let place = Place::new(b"abcz");
    let compress = |arguments: &[&str]| place.refused(&[&["compress"], arguments].concat(), "file");
    assert!(compress(&["@model", "@text", "--out", "@file"]).contains("'z'"));
    assert!(compress(&["@model", "@none", "--out", "@file"]).contains("cannot read"));
    assert!(compress(&["@model", "@model", "--out", "@file"]).contains("is a directory"));
    assert!(compress(&["@none", "@text", "--out", "@file"]).contains("holds no model"));
    assert!(compress(&["@model", "@text", "--out", "@model"]).contains("is a directory"));
    assert!(compress(&["@model", "@text", "--out", "@none/file"]).contains("no such directory"));
    let zero = compress(&["@model", "@text", "--out", "@file", "--threads", "0"]);
    assert!(zero.contains("threads is 0"));
    fs::write(place.path("text"), b"abc").unwrap();
    let itself = place.refused(&["compress", "@model", "@text", "--out", "@text"], "text");
    assert!(itself.contains("is the file that is read"));
    fs::write(place.path("text"), b"abc\xff").unwrap();
    assert!(compress(&["@model", "@text", "--out", "@file"]).contains("byte 3 is 0xff"));
    // An empty text is a text.
    fs::write(place.path("text"), b"").unwrap();
    place.compress();
    assert!(place.run(&["decompress", "@model", "@file", "--out", "@back"]).status.success());
    assert_eq!(fs::read(place.path("back")).unwrap(), b"");
}

/// The measure: tinyshakespeare's last tenth with a model that was trained on the rest.
#[test]
#[ignore = "slow: trains a model for minutes; cargo test --release -p glassbox-transformer --test program compress -- --ignored"]
fn shakespeare_is_smaller_than_xz_makes_it() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let data = std::env::var_os("GLASSBOX_DATA").map_or_else(beside, PathBuf::from);
    let whole = data.join("text/tinyshakespeare.txt");
    if !whole.exists() {
        assert!(
            std::env::var_os("GLASSBOX_REQUIRE_DATA").is_none(),
            "{} not found",
            whole.display()
        );
        return println!("skipped: {} not found", whole.display());
    }
    let place = Place::new(b"");
    let bytes = fs::read(&whole).unwrap();
    let validation = &bytes[bytes.len() - 111_540..];
    fs::write(place.path("text"), validation).unwrap();
    let whole = whole.display().to_string();
    let train = ["train", "--preset", "shakespeare-cpu", "--data", &whole, "--out", "@run"];
    let trained = place.run(&[&train[..], &["--json"]].concat());
    assert!(trained.status.success());
    let trained: serde_json::Value = serde_json::from_slice(&trained.stdout).unwrap();
    let loss = trained["validation_loss"].as_f64().unwrap();
    let done =
        place.run(&["compress", "@run", "@text", "--out", "@file", "--threads", "1", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    println!("{json}");
    let file = fs::read(place.path("file")).unwrap();
    assert!(file.len() < 41_028, "{} bytes, no less than xz -9", file.len());
    // The whole file, header and all, is the cross-entropy and at most a thousandth more.
    let ideal = json["cross_entropy_bits"].as_f64().unwrap() / 8.0;
    assert!(file.len() as f64 <= 1.001 * ideal, "{} bytes, and {ideal} ideally", file.len());
    let back = place.run(&["decompress", "@run", "@file", "--out", "@back", "--threads", "2"]);
    assert!(back.status.success());
    assert_eq!(fs::read(place.path("back")).unwrap(), validation);
    // README's rows.
    let readme = include_str!("../../../README.md");
    let model = json["model_bytes"].as_u64().unwrap();
    assert!(
        readme.contains(&format!("has {} more", thousands(model))),
        "the model has {model} bytes"
    );
    println!("loss {loss}, {} bytes", file.len());
    assert!(readme.contains(&format!("and {loss:.3} nats, seeds 1, 2, 3 and 1337")), "{loss}");
    let size = thousands(file.len() as u64);
    assert!(readme.contains(&format!("| {size} bytes, ")), "{size} bytes");
}

/// 37729 as "37,729".
fn thousands(n: u64) -> String {
    match n {
        0..1000 => n.to_string(),
        _ => format!("{},{:03}", thousands(n / 1000), n % 1000),
    }
}
