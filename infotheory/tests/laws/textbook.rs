//! The textbook's numbers in information theory (A.4, A.6 and dependent ones), recomputed with NumPy. Other printed
//! numbers are listed in the errata of this crate.

use infotheory::cross_entropy::{cross_entropy, of_logits};
use infotheory::divergence::{kl, reverse_kl};
use infotheory::entropy::{binary_entropy, entropy, self_information};
use infotheory::joint::{self, conditional_entropy, mutual_information};
use infotheory::objective::alignment;
use infotheory::units::{bits_per_byte, bits_per_character};
use infotheory::{InfoError, Nats};
use linalg::matrix;
use probability::Joint;

/// Returns whether a number equals the printed one to this many digits after the point.
fn near(found: f64, printed: f64, digits: i32) -> bool {
    (found - printed).abs() <= 0.5 * 10.0_f64.powi(-digits) * (1.0 + 1e-9)
}

#[test]
fn surprise_of_a_coin_a_die_and_a_certain_event() -> Result<(), InfoError> {
    assert_eq!(self_information(0.5)?.to_bits().0, 1.0);
    assert!(near(self_information(1.0 / 6.0_f64)?.to_bits().0, 2.585, 3));
    assert_eq!(self_information(1.0_f64)?.0.to_bits(), 0);
    // A.6: the surprisal of a word with model probability 0.9, and with 0.01.
    assert!(near(self_information(0.9_f64)?.to_bits().0, 0.152, 3));
    assert!(near(self_information(0.01_f64)?.to_bits().0, 6.644, 3));
    // 0.1, the "logarithmic magnifying glass", in nats: from .9 to .01 the loss grows 43.71-fold (in
    // print: 44).
    for (p, nats) in [(0.9, 0.105), (0.5, 0.693), (0.1, 2.303), (0.01, 4.605)] {
        assert!(near(self_information(p)?.0, nats, 3), "{p}");
    }
    let ratio: f64 = self_information(0.01)?.0 / self_information(0.9)?.0;
    assert!(near(ratio, 43.71, 2));
    Ok(())
}

#[test]
fn entropies_of_a_4_and_a_6() -> Result<(), InfoError> {
    let cat = entropy(&[0.9, 0.05, 0.03, 0.02])?;
    assert!(near(cat.to_bits().0, 0.617543, 6) && near(cat.0, 0.428048, 6)); // in print: 0.567 bits
    assert!(near(cat.perplexity(), 1.534260, 6));
    let four = entropy(&[0.25; 4])?;
    assert_eq!((four.to_bits().0, four.perplexity()), (2.0, 4.0));
    assert_eq!(entropy(&[0.5, 0.5])?.to_bits().0, 1.0);
    assert!(near(binary_entropy(0.9_f64)?.to_bits().0, 0.4690, 4));
    assert_eq!(binary_entropy(0.5_f64)?.to_bits().0, 1.0);
    assert_eq!([binary_entropy(0.0)?.0, binary_entropy(1.0)?.0].map(f64::to_bits), [0, 0]);
    assert_eq!(entropy(&[1.0_f64, 0.0])?.0.to_bits(), 0); // +0, where −Σ gives −0
    Ok(())
}

#[test]
fn cross_entropy_is_entropy_and_divergence() -> Result<(), InfoError> {
    let (p, q) = ([0.7, 0.2, 0.1], [0.5, 0.3, 0.2]);
    let (h, ce, d) = (entropy(&p)?, cross_entropy(&p, &q)?, kl(&p, &q)?);
    assert!(near(h.to_bits().0, 1.156780, 6));
    assert!(near(ce.to_bits().0, 1.279586, 6)); // in print: 1.2365, and 1.2401 as the sum
    assert!(near(d.to_bits().0, 0.122806, 6)); // in print: 0.0834
    assert!(near(reverse_kl(&p, &q)?.to_bits().0, 0.132775, 6));
    assert!(near((h + d).to_bits().0, 1.279586, 6));
    // A good prediction and a bad one, and their perplexities.
    for (q, bits, perplexity) in [(0.9, 0.1520, 1.11), (0.4, 1.3219, 2.50)] {
        let loss = cross_entropy(&[1.0, 0.0], &[q, 1.0 - q])?;
        assert!(near(loss.to_bits().0, bits, 4) && near(loss.perplexity(), perplexity, 2));
        assert!(near(loss.to_bits().perplexity(), perplexity, 2)); // in any unit
    }
    Ok(())
}

#[test]
fn divergences_of_a_4() -> Result<(), InfoError> {
    let (p, uniform) = ([0.4, 0.3, 0.2, 0.1], [0.25; 4]);
    assert!(near(kl(&p, &uniform)?.0, 0.106440, 6)); // in print: 0.0849
    assert!(near(kl(&p, &uniform)?.to_bits().0, 0.153561, 6));
    assert!(near(reverse_kl(&p, &uniform)?.0, 0.121777, 6));
    // The drift of an aligned model: the book prints one summand.
    assert!(near(0.7 * (self_information(0.0001)? - self_information(0.7)?).0, 6.197566, 6));
    let (policy, reference) = ([0.7, 0.3], [0.0001, 0.9999]);
    assert!(near(kl(&policy, &reference)?.0, 5.836404, 6));
    // A reward of one half is worth that drift at β = 0.01, and not at 0.1.
    let rewards = [0.5, 0.0];
    for (beta, worth) in [(0.01, true), (0.1, false)] {
        let stay = alignment::objective(&reference, &reference, &rewards, beta)?;
        let drift = alignment::objective(&policy, &reference, &rewards, beta)?;
        assert_eq!(drift < stay, worth, "β = {beta}");
    }
    Ok(())
}

#[test]
fn a_probe_s_table() -> Result<(), InfoError> {
    let table = Joint::from_probabilities(&matrix(2, 2, &[0.4, 0.1, 0.1, 0.4])).unwrap();
    assert!(near(joint::entropy(&table).to_bits().0, 1.721928, 6));
    assert!(near(conditional_entropy(&table.transposed()).to_bits().0, 0.721928, 6));
    assert!(near(mutual_information(&table).to_bits().0, 0.278072, 6));
    let (x, y) = (entropy(table.x().probabilities())?, entropy(table.y().probabilities())?);
    let sum = x + y - joint::entropy(&table);
    assert!(near(sum.to_bits().0, 0.278072, 6));
    Ok(())
}

#[test]
fn the_loss_of_the_five_tokens_of_a_2() -> Result<(), InfoError> {
    let z = [2.0, 1.0, 0.5, -1.0, 0.1];
    assert!(near(of_logits(&z, 0)?.0, 0.582419671, 9));
    let h = entropy(&probability::softmax::softmax(&z))?;
    assert!(near(h.0, 1.216992, 6) && near(h.to_bits().0, 1.755748, 6));
    // An untrained model of 65 letters is uniform (4.2).
    assert!(near(of_logits(&[0.0; 65], 7)?.0, 4.174387, 6));
    Ok(())
}

#[test]
fn shannon_s_guesses_are_of_letters() -> Result<(), InfoError> {
    // English has 1 to 1.5 bits per letter: 100 letters of 1.3 bits, in a text of plain ASCII.
    let (text, total) = ("e".repeat(100), Nats(130.0 * std::f64::consts::LN_2));
    assert!(near(bits_per_character(total, &text)?.0, 1.3, 12));
    assert!(near(bits_per_byte(total, &text)?.0, 1.3, 12));
    Ok(())
}
