use super::*;
use crate::disk::data::{Content, Data};

fn documents(directory: &Path, texts: &[String]) -> Documents {
    std::fs::create_dir(directory).unwrap();
    let path = |i: usize| directory.join(format!("{i:05}.txt"));
    texts.iter().enumerate().for_each(|(i, text)| std::fs::write(path(i), text).unwrap());
    let Content::Documents(documents) =
        Data::read(&[directory.display().to_string()], "text").unwrap().content
    else {
        panic!("these are texts");
    };
    documents
}

fn all(documents: &Documents) -> Split<'_> {
    let mut train = documents.extents();
    let held_back = train.split_off(train.len() / 2);
    Split { documents, train, held_back }
}

fn prose(length: usize) -> String {
    let words = ["low", "lower", "lowest", "owl's", "new", "naïve", "wide\n"];
    let mut text = String::new();
    let random = probability::random::Random::new(3, 0, 0);
    for i in 0.. {
        if text.len() > length {
            return text;
        }
        text += words[random.below(i, words.len() as u64) as usize];
        text += " ";
    }
    unreachable!()
}

fn tokenizers() -> [Tokenizer; 3] {
    let text = prose(3000);
    let trained = Tokenizer::trained_bpe(&text, 300).unwrap();
    [Tokenizer::bytes(), Tokenizer::characters_of(&text), trained]
}

/// Tokens made in parts and in a file are those of the whole text.
#[test]
fn tokens_do_not_depend_on_how_they_are_made() {
    let directory = tempfile::tempdir().unwrap();
    // One document of several pieces, and short ones.
    let texts = [prose(GROUP.1 as usize + 100_000), prose(10), prose(30_000), prose(1)];
    let documents = documents(&directory.path().join("texts"), &texts);
    for tokenizer in tokenizers() {
        let split = all(&documents);
        let end = tokenizer.end().or_else(|| tokenizer.token("\n")).unwrap();
        let whole = |texts: &[String]| -> Vec<u32> {
            let ended = |text: &String| [tokenizer.encode(text).unwrap(), vec![end]].concat();
            texts.iter().flat_map(ended).collect()
        };
        let key = split.key("data", &tokenizer);
        let mut bytes = 0;
        let (mut progress, mut waiting) = (|n| bytes += n, |_: &Path| panic!("nobody else writes"));
        let watch = Watch { progress: &mut progress, waiting: &mut waiting };
        let file = split.in_file(directory.path(), &key, &tokenizer, watch).unwrap();
        let memory = split.in_memory(&tokenizer, &mut |_| ()).unwrap();
        for encoded in [&file, &memory] {
            assert!(encoded.train.to_vec() == whole(&texts[..2]));
            assert!(encoded.held_back.to_vec() == whole(&texts[2..]));
            let characters: usize = texts[2..].iter().map(|t| t.chars().count()).sum();
            assert_eq!(encoded.characters, characters as u64);
        }
        assert_eq!(bytes, documents.bytes());
        // It is data, too.
        let path = split.file(directory.path(), &key).display().to_string();
        let Content::Tokens(tokens) = Data::read(&[path], "text").unwrap().content else {
            panic!("these are tokens");
        };
        assert!(
            tokens.to_vec()
                == whole(&texts[..2]).into_iter().chain(whole(&texts[2..])).collect::<Vec<_>>()
        );
    }
}

/// A file is found again, and made anew if any byte of it differs, if it is cut off or longer, or for another key.
#[test]
fn only_the_whole_file_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let documents = documents(&directory.path().join("texts"), &[prose(50), prose(70)]);
    let (split, tokenizer) = (all(&documents), Tokenizer::bytes());
    let key = split.key("data", &tokenizer);
    let made = |key: &[u8; 32]| {
        let mut bytes = 0;
        let (mut progress, mut waiting) = (|n| bytes += n, |_: &Path| ());
        let watch = Watch { progress: &mut progress, waiting: &mut waiting };
        let found = split.in_file(directory.path(), key, &tokenizer, watch).unwrap();
        (found.train.to_vec(), bytes > 0)
    };
    let (tokens, written) = made(&key);
    assert!(written && made(&key) == (tokens.clone(), false));
    let path = split.file(directory.path(), &key);
    let whole = std::fs::read(&path).unwrap();
    let changed = |i: usize| {
        let mut bytes = whole.clone();
        bytes[i] ^= 1;
        bytes
    };
    let places = [0, 4, 16, 30, 60, 90, 98, HEADER, whole.len() - 1];
    let longer = [&whole[..], &[0, 0]].concat();
    let broken =
        places.map(changed).into_iter().chain([whole[..whole.len() - 2].to_vec(), longer, vec![]]);
    for bytes in broken {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(made(&key), (tokens.clone(), true));
        assert!(std::fs::read(&path).unwrap() == whole);
    }
    // What a killed process left does not matter.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(path.with_extension("part"), &whole[..1100]).unwrap();
    assert_eq!(made(&key), (tokens, true));
    assert!(!path.with_extension("part").exists());
    let other = Tokenizer::characters_of(&prose(50));
    assert!(split.key("data", &other) != key && split.key("other", &tokenizer) != key);
    let less =
        Split { train: split.train[1..].to_vec(), held_back: split.held_back.clone(), ..split };
    assert!(less.key("data", &tokenizer) != key);
}

/// The place of what cannot be encoded is that in the document.
#[test]
fn what_cannot_be_encoded_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let text = prose(GROUP.1 as usize + 1000);
    let place = text.chars().count();
    let documents = documents(&directory.path().join("texts"), &[text + "€"]);
    let tokenizer = Tokenizer::characters_of(&prose(3000));
    let error = encode(&documents, &documents.extents(), &tokenizer, |_| Ok(()), &mut |_| ());
    let error = error.unwrap_err().to_string();
    let expected = format!("character '€' (U+20AC), number {} of the text", place + 1);
    assert!(error.contains("00000.txt") && error.contains(&expected), "{error}");
}

/// Another process, here another handle, that writes the same file is waited for.
#[test]
fn two_processes_write_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let documents = documents(&directory.path().join("texts"), &[prose(50), prose(70)]);
    let (split, tokenizer) = (all(&documents), Tokenizer::bytes());
    let key = split.key("data", &tokenizer);
    let part = split.file(directory.path(), &key).with_extension("part");
    let other = File::create(&part).unwrap();
    other.lock().unwrap();
    let mut other = Some(other);
    let mut waited = 0;
    let mut waiting = |_: &Path| {
        waited += 1;
        other.take();
    };
    let watch = Watch { progress: &mut |_| (), waiting: &mut waiting };
    split.in_file(directory.path(), &key, &tokenizer, watch).unwrap();
    assert_eq!(waited, 1);
}
