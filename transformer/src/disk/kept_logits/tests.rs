//! Tests of the module.

use super::*;
use proptest::prelude::*;

fn about(vocabulary: usize, length: usize, top: usize) -> KeptFor {
    let [teacher, data] = ["1f", "2e"].map(str::to_owned);
    KeptFor { vocabulary, length, top, teacher, data }
}

/// The logits of a window, of which so many of each token count.
fn logits(about: &KeptFor, seed: u64) -> Vec<f32> {
    let of = |token: usize| {
        (0..about.vocabulary).map(move |word| {
            let place = (word + token + seed as usize) % about.vocabulary;
            if place < about.top { place as f32 - 1.5 } else { f32::NEG_INFINITY }
        })
    };
    (0..about.length).flat_map(of).collect()
}

fn read(kept: &KeptLogits, numbers: &[u64]) -> Result<Vec<f32>, ModelError> {
    let KeptFor { vocabulary, length, .. } = kept.about;
    let tokens = vec![0; numbers.len() * length];
    let mut found = vec![f32::NAN; vocabulary * tokens.len()];
    let windows = Windows { numbers: Some(numbers), length, tokens: &tokens, targets: &tokens };
    kept.logits(windows, &mut found).map(|()| found)
}

proptest! {
    /// What is kept comes back bit for bit, in any order, also after the file was closed.
    #[test]
    fn windows_come_back(vocabulary in 1usize..9, length in 1usize..5, top in 1usize..9, count in 1u64..6) {
        let (directory, about) = (tempfile::tempdir().unwrap(), about(vocabulary, length, top.min(vocabulary)));
        let path = directory.path().join("teacher.bin");
        let mut kept = KeptLogits::open(&path, about.clone()).unwrap();
        for number in 0..count {
            if number == 2 {
                drop(kept);
                kept = KeptLogits::open(&path, about.clone()).unwrap();
            }
            prop_assert!(!kept.has(7 * number));
            kept.push(7 * number, &logits(&about, number)).unwrap();
        }
        kept.sync().unwrap();
        let numbers: Vec<u64> = (0..count).rev().map(|n| 7 * n).collect();
        let expected: Vec<f32> = (0..count).rev().flat_map(|n| logits(&about, n)).collect();
        prop_assert_eq!(read(&kept, &numbers).unwrap(), expected);
        prop_assert_eq!(read(&kept, &[1]), Err(ModelError::NoTeacher));
    }

    /// After a stop at any byte, the whole windows stay, and the others can be added again.
    #[test]
    fn a_file_that_is_cut_off_goes_on(cut in 0.0..1.0) {
        let (directory, about) = (tempfile::tempdir().unwrap(), about(5, 3, 2));
        let path = directory.path().join("teacher.bin");
        let mut kept = KeptLogits::open(&path, about.clone()).unwrap();
        let begun = path.metadata().unwrap().len();
        (0..4).for_each(|n| kept.push(n, &logits(&about, n)).unwrap());
        let whole = path.metadata().unwrap().len();
        prop_assert_eq!(u128::from(whole - begun), KeptLogits::bytes(&about, 4));
        let length = begun + (cut * (whole - begun) as f64) as u64;
        File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
        let mut kept = KeptLogits::open(&path, about.clone()).unwrap();
        for n in 0..4 {
            prop_assert_eq!(kept.has(n), begun + (n + 1) * (whole - begun) / 4 <= length);
            if !kept.has(n) {
                kept.push(n, &logits(&about, n)).unwrap();
            }
        }
        let expected: Vec<f32> = (0..4).flat_map(|n| logits(&about, n)).collect();
        prop_assert_eq!(read(&kept, &[0, 1, 2, 3]).unwrap(), expected);
        prop_assert_eq!(path.metadata().unwrap().len(), whole);
    }

    /// One changed byte of a window's record is found.
    #[test]
    fn damage_is_found(at in 0.0..1.0, bit in 0u8..8) {
        let (directory, about) = (tempfile::tempdir().unwrap(), about(5, 3, 2));
        let path = directory.path().join("teacher.bin");
        let mut kept = KeptLogits::open(&path, about.clone()).unwrap();
        kept.push(3, &logits(&about, 1)).unwrap();
        let start = kept.start;
        drop(kept);
        let mut bytes = std::fs::read(&path).unwrap();
        let record = bytes.len() as u64 - start;
        bytes[(start + (at * record as f64) as u64) as usize] ^= 1 << bit;
        std::fs::write(&path, bytes).unwrap();
        let kept = KeptLogits::open(&path, about).unwrap();
        match read(&kept, &[3]) {
            // Its number is another's.
            Err(ModelError::NoTeacher) => prop_assert!(!kept.has(3)),
            Err(e) => prop_assert!(e.to_string().contains("is damaged at its window 1"), "{e}"),
            Ok(_) => prop_assert!(false, "damage that is not found"),
        }
    }
}

#[test]
fn tokens_without_a_target_have_no_logits() {
    let (directory, about) = (tempfile::tempdir().unwrap(), about(4, 2, 2));
    let mut kept = KeptLogits::open(&directory.path().join("t"), about.clone()).unwrap();
    let mut window = logits(&about, 0);
    window[4..].fill(0.0);
    kept.push(0, &window).unwrap();
    assert_eq!(read(&kept, &[0]).unwrap(), window);
}

/// A file of another kind, of another run, or with a header that cannot be: named, with what to do.
#[test]
fn other_files_are_refused() {
    let (directory, about) = (tempfile::tempdir().unwrap(), about(5, 3, 2));
    let path = directory.path().join("teacher.bin");
    let said = |about: &KeptFor| KeptLogits::open(&path, about.clone()).unwrap_err().to_string();
    for other in [&b"no"[..], b"safetensors of 200 bytes", b"GBTEACH1\xff\xff\xff\xff{}"] {
        std::fs::write(&path, other).unwrap();
        let said = said(&about);
        assert!(said.contains("teacher.bin") && said.contains("delete it"), "{said}");
    }
    std::fs::write(&path, b"GBTEACH1\x02\0\0\0{}").unwrap();
    assert!(said(&about).contains("its header is damaged"));
    std::fs::remove_file(&path).unwrap();
    drop(KeptLogits::open(&path, about.clone()).unwrap());
    assert!(said(&KeptFor { top: 3, ..about.clone() }).contains("it is for"));
    assert!(said(&KeptFor { top: usize::MAX, ..about }).contains("no file holds so many"));
    assert!(KeptLogits::open(directory.path(), self::about(5, 3, 2)).is_err());
}
