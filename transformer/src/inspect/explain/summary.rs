//! A matrix in a few numbers: moments and a histogram.

use linalg::Real;
use serde::Serialize;

/// Moments of numbers; non-finite ones are counted and excluded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation: the root of the mean square deviation, divided by n.
    pub deviation: f64,
    /// The least finite number.
    pub minimum: f64,
    /// The largest finite number.
    pub maximum: f64,
    /// The root of the mean square.
    pub rms: f64,
    /// The number of elements that are −∞, like masked scores, or otherwise not finite.
    pub infinite: usize,
    /// The number of finite elements in each of several equal bins from the least to the largest.
    pub histogram: Vec<usize>,
}

/// Number of bins of a histogram.
const PIECES: usize = 32;

impl Summary {
    /// Computes the summary of these numbers.
    pub fn of<T: Real>(numbers: &[T]) -> Self {
        let finite = || numbers.iter().map(|x| x.to_f64()).filter(|x| x.is_finite());
        let count = finite().count();
        let n = count.max(1) as f64;
        let mean = finite().sum::<f64>() / n;
        let square = finite().map(|x| x * x).sum::<f64>() / n;
        let variance = finite().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
        let (minimum, maximum) =
            finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        let (minimum, maximum) = if count > 0 { (minimum, maximum) } else { (0.0, 0.0) };
        let mut histogram = vec![0; PIECES];
        let width = (maximum - minimum) / PIECES as f64;
        for x in finite() {
            let piece = if width > 0.0 { ((x - minimum) / width) as usize } else { 0 };
            histogram[piece.min(PIECES - 1)] += 1;
        }
        Summary {
            mean,
            deviation: variance.sqrt(),
            minimum,
            maximum,
            rms: square.sqrt(),
            infinite: numbers.len() - count,
            histogram,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_infinite_is_counted_and_left_out() {
        let s = Summary::of(&[1.0, 3.0, f64::NEG_INFINITY]);
        assert_eq!((s.mean, s.deviation, s.infinite), (2.0, 1.0, 1));
        assert_eq!(s.histogram.iter().sum::<usize>(), 2);
        assert_eq!(Summary::of::<f32>(&[]).mean, 0.0);
    }
}
