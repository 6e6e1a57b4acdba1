//! Information theory against SciPy, PyTorch, NumPy and mpmath: `authority/infotheory.py` made the table.

use infotheory::objective::{alignment, distillation, label_smoothing, z_loss};
use infotheory::shannon;
use infotheory::units::Nats;
use infotheory::{channel, fano, renyi};
use infotheory::{cross_entropy, divergence, entropy, gaussian, joint, markov::MarkovChain};
use linalg::{Matrix, cholesky::Cholesky, matrix};
use probability::gaussian::Gaussian;
use probability::{Categorical, Joint, MultivariateGaussian};
use tests::authority::{Entry, relative_error, table};

/// Of the largest of the values expected, for a list; of each, for one.
const RELATIVE: f64 = 1e-12;

fn found(row: &Entry) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let input = |i: usize| &row.inputs[i][..];
    let number = |i: usize| row.inputs[i][0];
    let shaped = |i: usize| -> Matrix<f64> {
        matrix(row.inputs[i][0] as usize, row.inputs[i][1] as usize, &row.inputs[i + 1])
    };
    let counts = || input(0).iter().map(|&c| c as u64).collect::<Vec<u64>>();
    let nats = |nats: Nats| vec![nats.0];
    Ok(match &row.function[..] {
        "entropy" => nats(entropy::entropy(input(0))?),
        "entropy_bits" => vec![entropy::entropy(input(0))?.to_bits().0],
        "perplexity" => {
            let h = entropy::entropy(input(0))?;
            assert!(relative_error(h.to_bits().perplexity(), h.perplexity()) <= RELATIVE);
            vec![h.perplexity()]
        }
        "self_information" => nats(entropy::self_information(number(0))?),
        "binary_entropy" => nats(entropy::binary_entropy(number(0))?),
        "kl" => {
            let forward = divergence::kl(input(0), input(1))?;
            assert_eq!(divergence::reverse_kl(input(1), input(0))?, forward);
            nats(forward)
        }
        "cross_entropy" => nats(cross_entropy::cross_entropy(input(0), input(1))?),
        "jensen_shannon" => nats(divergence::jensen_shannon(input(0), input(1))?),
        "total_variation" => vec![divergence::total_variation(input(0), input(1))?],
        "joint" => {
            let p = Joint::from_probabilities(&shaped(0))?;
            let given = |p| joint::conditional_entropy(p).0;
            vec![joint::entropy(&p).0, given(&p.transposed()), given(&p)]
        }
        "mutual_information" => {
            nats(joint::mutual_information(&Joint::from_probabilities(&shaped(0))?))
        }
        "of_logits" => nats(cross_entropy::of_logits(input(0), number(1) as usize)?),
        "label_smoothing" => {
            nats(label_smoothing::of_logits(input(0), number(1) as usize, number(2))?)
        }
        "z_loss" => vec![z_loss::of_logits(input(0), number(1))?],
        "mean_of_logits" => {
            let target = |&y: &f64| (y >= 0.0).then_some(y as usize);
            let targets: Vec<_> = input(2).iter().map(target).collect();
            nats(cross_entropy::mean_of_logits(shaped(0).as_view(), &targets)?)
        }
        "distillation" => nats(distillation::loss(input(0), input(1), number(2))?),
        "kl_estimate" => nats(alignment::kl_estimate(number(0), number(1))?),
        "alignment" => vec![alignment::objective(input(0), input(1), input(2), number(3))?],
        "best_value" => vec![alignment::best_value(input(0), input(1), number(2))?],
        "gaussian_entropy" => nats(gaussian::entropy(&Gaussian::new(0.0, number(0))?)),
        "gaussian_kl" => {
            let [p, q] = [0, 1].map(|i| Gaussian::new(row.inputs[i][0], row.inputs[i][1]));
            nats(gaussian::kl(&p?, &q?))
        }
        "covariance_entropy" => {
            let mean = vec![0.0; number(0) as usize];
            let of_factor = gaussian::entropy_of_covariance(&Cholesky::of(&shaped(0))?);
            let nats =
                gaussian::multivariate_entropy(&MultivariateGaussian::new(&mean, &shaped(0))?);
            assert!((nats - of_factor).0.abs() <= RELATIVE);
            vec![nats.0]
        }
        "gaussian_mutual" => nats(gaussian::mutual_information(number(0))?),
        "stationary" => MarkovChain::new(shaped(0))?.stationary()?,
        "entropy_rate" => nats(MarkovChain::new(shaped(0))?.entropy_rate()?),
        "plug_in" => nats(shannon::plug_in(&counts())?),
        "miller_madow" => nats(shannon::miller_madow(&counts())?),
        "chao_shen" => nats(shannon::chao_shen(&counts())?),
        "renyi_entropy" => nats(renyi::entropy(input(0), number(1))?),
        "renyi_divergence" => nats(renyi::divergence(input(0), input(1), number(2))?),
        "conditional_mutual" => {
            let [x, y, z] = [0, 1, 2].map(|i| input(0)[i] as usize);
            let tables: Vec<Matrix<f64>> =
                input(1).chunks(x * y).map(|p| matrix(x, y, p)).collect();
            assert_eq!(tables.len(), z);
            let of_z: Vec<f64> = tables.iter().map(Matrix::sum).collect();
            let given = tables.iter().map(Joint::from_weights).collect::<Result<Vec<_>, _>>()?;
            nats(joint::conditional_mutual_information(&Categorical::from_weights(&of_z)?, &given)?)
        }
        "multivariate_kl" => {
            let n = input(0).len();
            let factor = |i: usize| Cholesky::of(&matrix(n, n, input(i)));
            nats(gaussian::multivariate_kl((input(0), &factor(1)?), (input(2), &factor(3)?))?)
        }
        "fano" => nats(fano::most_entropy(number(0), number(1) as usize)?),
        "least_error" => vec![fano::least_error(Nats(number(0)), number(1) as usize)?],
        "capacity" => {
            let [a, b] = [0, 1].map(|i| Categorical::from_probabilities(input(i)));
            let found = channel::capacity(&[a?, b?], 1e-14)?;
            // Information is flat around its maximum: half of the digits of the input are there.
            let off = (found.input.probability(1) - row.expected[1]).abs();
            assert!(off < 1e-6 && (found.upper - found.lower).0 <= 1e-14, "{off:e}");
            vec![found.lower.0, row.expected[1]]
        }
        "rate_distortion" => {
            let coin = Categorical::from_probabilities(&[number(0), 1.0 - number(0)])?;
            let mistaken = matrix(2, 2, &[0.0, 1.0, 1.0, 0.0]);
            let found = channel::rate_distortion(&coin, &mistaken, number(1), 1e-14)?;
            vec![found.distortion, found.upper.0]
        }
        other => panic!("{other} is not tested"),
    })
}

#[test]
fn values_agree_with_the_authorities() {
    let rows = table("infotheory");
    let mut values = 0;
    for row in &rows {
        let found = found(row).unwrap_or_else(|e| panic!("{}: {e}", row.function));
        assert_eq!(found.len(), row.expected.len(), "{}", row.function);
        let size = row.expected.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        for (found, expected) in found.iter().zip(&row.expected) {
            let error = relative_error(*found, *expected);
            // A conditional entropy, or a part of a distribution, is as good as what it is a part of.
            let part = row.expected.len() > 1 && (found - expected).abs() <= RELATIVE * size;
            assert!(
                error <= RELATIVE || part,
                "{} of {:?}: {found} where {} has {expected}, off by {error:e}",
                row.function,
                row.inputs,
                row.source
            );
            values += 1;
        }
    }
    assert!(values >= 150, "{values} values");
}
