//! Units of information: nats and bits, as types that do not mix.
//!
//! Information is a logarithm, and a logarithm has a base: e gives nats, 2 gives bits, and 1 bit = ln 2 nats. Most
//! wrong perplexities are a correct number in the wrong unit: 2^(nats), or e^(bits). [`Nats`] and [`Bits`] are
//! different types; conversion is explicit, and mixing them does not compile:
//!
//! ```compile_fail
//! use infotheory::units::{Bits, Nats};
//! let _ = Nats(1.0) + Bits(1.0); // no such sum
//! ```
//! ```compile_fail
//! use infotheory::units::{Bits, Nats};
//! let _ = Nats(1.0) < Bits(1.0); // no such comparison
//! ```
//! ```compile_fail
//! use infotheory::units::{Bits, Nats};
//! let _: Bits = Nats(1.0); // no silent conversion
//! ```
//!
//! Explicit conversion compiles:
//!
//! ```
//! use infotheory::units::{Bits, Nats};
//! let sum = Nats(1.0).to_bits() + Bits(1.0);
//! assert!((sum.0 - 2.442695040888963_f64).abs() < 1e-15);
//! ```
//! Source: Shannon 1948, section 1 (bits); Hartley 1928; the textbook's A.4, which uses both.

use crate::InfoError;
use linalg::Real;
use linalg::accurate::{self, Sum};
use std::fmt;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// Information in logarithms to base e: the unit of computation and training.
///
/// ```
/// use infotheory::Nats;
/// let loss = Nats(4.174387_f64); // of a uniform guess among 65 characters
/// assert!((loss.perplexity() - 65.0).abs() < 1e-4 && (loss.to_bits().0 - 6.0224).abs() < 1e-4);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Nats<T = f64>(pub T);

/// Information in logarithms to base 2: the unit of file sizes.
///
/// ```
/// use infotheory::Bits;
/// let coins = Bits(1.0_f64) + Bits(1.0);
/// assert_eq!(coins.0, 2.0);
/// assert!((coins.perplexity() - 4.0).abs() < 1e-14); // four outcomes
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Bits<T = f64>(pub T);

impl<T: Real> Nats<T> {
    /// Converts to bits: x/ln 2. ±∞, NaN and the sign of 0 are kept; ∞ from 0.69 of the largest float on.
    ///
    /// ```
    /// use infotheory::units::Nats;
    /// assert_eq!(Nats(std::f64::consts::LN_2).to_bits().0, 1.0);
    /// ```
    pub fn to_bits(self) -> Bits<T> {
        Bits(self.0 / T::from_f64(std::f64::consts::LN_2))
    }

    /// Returns the perplexity <var>e^H</var>: the number of equally likely choices with this entropy. 1 for 0, ∞ for ∞
    /// and above 709.8 nats, 0 for −∞; NaN for NaN.
    ///
    /// ```
    /// use infotheory::units::Nats;
    /// assert!((Nats(20.0_f64.ln()).perplexity() - 20.0).abs() < 1e-13);
    /// ```
    #[doc(alias = "ppl")]
    pub fn perplexity(self) -> T {
        self.0.exp()
    }
}

impl<T: Real> Bits<T> {
    /// Converts to nats: <var>x·ln 2</var>. ±∞, NaN and the sign of 0 are kept; nothing overflows.
    ///
    /// ```
    /// use infotheory::units::Bits;
    /// assert_eq!(Bits(1.0).to_nats().0, std::f64::consts::LN_2);
    /// ```
    pub fn to_nats(self) -> Nats<T> {
        Nats(self.0 * T::from_f64(std::f64::consts::LN_2))
    }

    /// Returns the perplexity <var>2^H</var>, which is the same as for the same information in nats. 1 for 0, ∞ for ∞
    /// and above 1024 bits, 0 for −∞; NaN for NaN.
    ///
    /// ```
    /// use infotheory::units::Bits;
    /// assert!((Bits(2.0).perplexity() - 4.0_f64).abs() < 1e-14); // four equally probable outcomes
    /// ```
    #[doc(alias = "ppl")]
    pub fn perplexity(self) -> T {
        self.to_nats().perplexity()
    }
}

macro_rules! unit {
    ($unit:ident, $name:literal, $one:expr) => {
        impl<T: Real> $unit<T> {
            /// Returns the total divided by a count, a rate per token, character or byte. ±∞ and NaN are kept; the
            /// result may underflow to 0.
            ///
            /// # Errors
            /// If the count is 0.
            ///
            /// ```
            #[doc = concat!("use infotheory::units::", stringify!($unit), ";")]
            #[doc = concat!("assert_eq!(", stringify!($unit), "(6.0).per(4)?.0, 1.5);")]
            #[doc = concat!("assert!(", stringify!($unit), "(6.0).per(0).is_err());")]
            /// # Ok::<(), infotheory::InfoError>(())
            /// ```
            pub fn per(self, count: usize) -> Result<Self, InfoError> {
                if count == 0 {
                    return Err(InfoError::NoMean { what: $one });
                }
                Ok($unit(self.0 / T::from_f64(count as f64)))
            }

            /// Returns the mean: the sum, in order, divided by the count. NaN if one is NaN or ∞ and −∞ meet; ±∞ if one
            /// is infinite or the sum overflows.
            ///
            /// # Errors
            /// If there are none.
            ///
            /// ```
            #[doc = concat!("use infotheory::units::", stringify!($unit), ";")]
            #[doc = concat!("let mean = ", stringify!($unit), "::mean([1.0, 2.0, 6.0].map(", stringify!($unit), "))?;")]
            /// assert_eq!(mean.0, 3.0);
            /// # Ok::<(), infotheory::InfoError>(())
            /// ```
            pub fn mean(all: impl IntoIterator<Item = Self>) -> Result<Self, InfoError> {
                let (mut sum, mut count) = (Sum::new(), 0);
                for one in all {
                    sum.add(one.0);
                    count += 1;
                }
                $unit(sum.value()).per(count)
            }
        }

        impl<T: Real> Add for $unit<T> {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                $unit(self.0 + other.0)
            }
        }

        impl<T: Real> AddAssign for $unit<T> {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl<T: Real> Sub for $unit<T> {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                $unit(self.0 - other.0)
            }
        }

        impl<T: Real> Neg for $unit<T> {
            type Output = Self;
            fn neg(self) -> Self {
                $unit(-self.0)
            }
        }

        impl<T: Real> Mul<T> for $unit<T> {
            type Output = Self;
            fn mul(self, factor: T) -> Self {
                $unit(self.0 * factor)
            }
        }

        impl<T: Real> Div<T> for $unit<T> {
            type Output = Self;
            fn div(self, divisor: T) -> Self {
                $unit(self.0 / divisor)
            }
        }

        impl<T: Real> std::iter::Sum for $unit<T> {
            /// The rounding errors of all additions are added at the end ([`linalg::accurate`]).
            fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
                $unit(accurate::sum(all.map(|one| one.0)))
            }
        }

        impl<T: Real> fmt::Display for $unit<T> {
            /// Formats the number with its unit; the format's precision applies to the number.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.to_f64(), f)?;
                f.write_str($name)
            }
        }
    };
}

unit!(Nats, " nats", "outcomes");
unit!(Bits, " bits", "outcomes");

/// Returns the bits per Unicode character of a text with the total loss `total`: comparable between tokenizers.
///
/// # Errors
/// If the text is empty.
///
/// ```
/// use infotheory::units::{Nats, bits_per_byte, bits_per_character};
/// let total = Nats(8.0 * std::f64::consts::LN_2); // one byte
/// assert_eq!(bits_per_character(total, "æø")?.0, 4.0);
/// assert_eq!(bits_per_byte(total, "æø")?.0, 2.0); // each of these takes two bytes
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias = "bpc")]
pub fn bits_per_character<T: Real>(total: Nats<T>, text: &str) -> Result<Bits<T>, InfoError> {
    match text.chars().count() {
        0 => Err(InfoError::NoMean { what: "characters" }),
        count => total.to_bits().per(count),
    }
}

/// Returns the bits per byte of a text with the total loss `total`: without a model a byte takes 8.
///
/// # Errors
/// If the text is empty.
///
/// ```
/// use infotheory::{Nats, units::{bits_per_byte, bits_per_character}};
/// let text = "naïve"; // five characters, six bytes
/// let total = Nats(10.0 * std::f64::consts::LN_2);
/// assert!((bits_per_character(total, text)?.0 - 2.0).abs() < 1e-15);
/// assert!((bits_per_byte(total, text)?.0 - 10.0 / 6.0).abs() < 1e-15);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias = "bpb")]
pub fn bits_per_byte<T: Real>(total: Nats<T>, text: &str) -> Result<Bits<T>, InfoError> {
    match text.len() {
        0 => Err(InfoError::NoMean { what: "bytes" }),
        count => total.to_bits().per(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_unit_and_back(x in -1e300f64..1e300) {
            let back = Nats(x).to_bits().to_nats().0;
            prop_assert!((back - x).abs() <= 2.0 * f64::EPSILON * x.abs());
        }

        #[test]
        fn perplexity_does_not_depend_on_the_unit(x in 0.0f64..20.0) {
            let (nats, bits) = (Nats(x).perplexity(), Nats(x).to_bits().perplexity());
            // An exponent of size x with an error of 2ε gives the power an error of 2ε·x.
            prop_assert!((nats / bits - 1.0).abs() <= (2.0 * x + 2.0) * f64::EPSILON);
        }

        #[test]
        fn arithmetic_is_that_of_the_numbers(a in -9f64..9.0, b in -9f64..9.0) {
            prop_assert_eq!((Bits(a) + Bits(b)).0, a + b);
            prop_assert_eq!((Bits(a) - Bits(b)).0, a - b);
            prop_assert_eq!((-(Bits(a) * b)).0, -(a * b));
            prop_assert_eq!([Nats(a), Nats(b)].into_iter().sum::<Nats>().0, a + b);
            prop_assert_eq!(Nats::mean([Nats(a), Nats(b)]).unwrap().0, (a + b) / 2.0);
            prop_assert_eq!((Nats(a) < Nats(b), Nats(a) / 2.0), (a < b, Nats(a / 2.0)));
        }
    }

    #[test]
    fn hard_floats() {
        assert_eq!(Nats(f64::INFINITY).to_bits().0, f64::INFINITY);
        assert_eq!(Nats(f64::INFINITY).perplexity(), f64::INFINITY);
        assert_eq!(Nats(f64::NEG_INFINITY).perplexity(), 0.0);
        assert!(Nats(f64::NAN).perplexity().is_nan() && Bits(f64::NAN).to_nats().0.is_nan());
        assert_eq!((Nats(0.0).perplexity(), Nats(-0.0).perplexity()), (1.0, 1.0));
        assert_eq!(Bits(5e-324).to_nats().0, 5e-324);
        assert_eq!(Nats(1e308).to_bits().0, 1e308 / std::f64::consts::LN_2);
        assert_eq!(Nats(710.0).perplexity(), f64::INFINITY);
        assert!(
            Nats(709.78).perplexity() < f64::INFINITY && Bits(1023.0).perplexity() < f64::INFINITY
        );
        assert_eq!((Bits(1024.5).perplexity(), Bits(-2000.0).perplexity()), (f64::INFINITY, 0.0));
        assert_eq!(Bits(f64::NEG_INFINITY).perplexity(), 0.0);
        assert!(Bits(f64::NAN).perplexity().is_nan() && Nats(f64::NAN).to_bits().0.is_nan());
        assert_eq!(Nats(-0.0_f64).to_bits().0.to_bits(), (-0.0_f64).to_bits());
        assert_eq!(Bits(-0.0_f64).to_nats().0.to_bits(), (-0.0_f64).to_bits());
        assert_eq!(Nats(0.7 * f64::MAX).to_bits().0, f64::INFINITY);
        assert!(Nats(0.69 * f64::MAX).to_bits().0.is_finite());
        assert_eq!(Bits(f64::MAX).to_nats().0, f64::MAX * std::f64::consts::LN_2);
        let (high, low) = (Nats(f64::INFINITY), Nats(f64::NEG_INFINITY));
        assert!(Nats::mean([high, low]).unwrap().0.is_nan());
        assert_eq!(Nats::mean([low, Nats(1.0)]).unwrap(), low);
        assert!(Bits::mean([Bits(1.0), Bits(f64::NAN)]).unwrap().0.is_nan());
        assert_eq!(Bits::<f64>::mean([]), Err(InfoError::NoMean { what: "outcomes" }));
        assert_eq!(Nats(f64::MAX).per(0), Err(InfoError::NoMean { what: "outcomes" }));
        assert_eq!(Nats(5e-324).per(usize::MAX).unwrap().0, 0.0);
        assert_eq!(Nats(f64::INFINITY).per(usize::MAX).unwrap().0, f64::INFINITY);
        assert!(Nats(f64::NAN).per(1).unwrap().0.is_nan());
        assert_eq!(Nats::mean([Nats(f64::MAX); 2]).unwrap().0, f64::INFINITY); // like their sum
        assert_eq!(Nats::<f64>::mean([Nats(-0.0)]).unwrap().0.to_bits(), 0); // a sum starts with +0
        assert_eq!(bits_per_byte(Nats(1.0), ""), Err(InfoError::NoMean { what: "bytes" }));
        assert_eq!(
            bits_per_character(Nats(1.0), ""),
            Err(InfoError::NoMean { what: "characters" })
        );
    }

    #[test]
    fn a_unit_is_printed() {
        assert_eq!(format!("{:.3} and {}", Bits(0.6175431), Nats(2.0)), "0.618 bits and 2 nats");
    }
}
