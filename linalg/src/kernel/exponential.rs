//! Branch-free eˣ, tanh x, erf x and erfc x of an `f32`, so that a loop over them becomes vector code.
//!
//! The standard library's functions are calls, which cannot be vectorised, and softmax and GELU are loops over them.
//! Each multiply-add is rounded once (`mul_add`): this gives the same bits on every processor, and is one instruction
//! if the processor has it. (A processor without it, such as an x86-64 before AVX2, calls a library function for each,
//! which is slow.) The tests below check the error bounds over all finite `f32`.

/// Returns c₀ + x·(c₁ + x·(c₂ + …)).
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut value = coefficients[N - 1];
    for k in (0..N - 1).rev() {
        value = value.mul_add(x, coefficients[k]);
    }
    value
}

/// Returns eˣ, within 1.5 units in the last place over the whole range.
///
/// x = n·ln 2 + r with |r| ≤ ½ ln 2; eˣ = 2ⁿ·eʳ. ln 2 is subtracted in two parts (Cody and Waite) and 2ⁿ is applied in
/// two factors, so that subnormal results are rounded once.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ leaves the rounded integer in the low bits of the significand.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4; // 355/512: n·LN2_HIGH is exact
    const LN2_LOW: f32 = -2.121_944_4e-4;

    let clamped = if x > 89.0 { 89.0 } else { x };
    let clamped = if clamped < -105.0 { -105.0 } else { clamped };
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, clamped));
    // eʳ = 1 + r + r²·(½ + r/6 + …): coefficients fitted to |r| ≤ ½ ln 2 (Cephes, expf).
    let tail = polynomial(
        r,
        [0.5, 1.666_666_5e-1, 4.166_579_6e-2, 8.333_452e-3, 1.398_2e-3, 1.987_569_1e-4],
    );
    let e = 1.0 + (r * r).mul_add(tail, r);

    let exponent = shifted.to_bits() as i32 - ROUND.to_bits() as i32;
    let half = exponent >> 1;
    let power = |n: i32| f32::from_bits(((n + 127) as u32) << 23);
    e * power(half) * power(exponent - half)
}

/// Returns tanh x, within 3 units in the last place over the whole range.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let a = x.abs();
    // Near zero the quotient below cancels; an odd polynomial does not (Cephes, tanhf).
    let z = a * a;
    let odd = [-3.333_328e-1, 1.333_144_2e-1, -5.373_971_6e-2, 2.063_909e-2, -5.704_988_7e-3];
    let small = (a * z).mul_add(polynomial(z, odd), a);
    let large = 1.0 - 2.0 / (exp(a + a) + 1.0);
    // An odd function, including the sign of zero.
    (if a < 0.625 { small } else { large }).copysign(x)
}

/// Returns erf x, within 2 units in the last place over the whole range.
///
/// Near zero it is an odd polynomial; beyond 1 it is 1 − e^(−x²)·r(|x|) with a polynomial r for the scaled
/// complementary error function. Both were fitted by weighted least squares to minimise the largest error, 1.4·10⁻⁸
/// relative to erf. Beyond 4, erf rounds to 1.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let a = x.abs();
    let small = erf_near_zero(x);
    let b = if a > 4.0 { 4.0 } else { a };
    let complementary = [
        9.862_918e-1,
        -1.048_954_4,
        7.940_067e-1,
        -4.331_374_9e-1,
        1.650_173e-1,
        -4.131_240_4e-2,
        6.065_801_7e-3,
        -3.937_902e-4,
    ];
    let scaled = polynomial(b, complementary);
    // Written like the derivative, so that both share one exponential.
    let large = (1.0 - exp((-x) * x) * scaled).copysign(x);
    if a < 1.0 { small } else { large }
}

/// Returns erf x for |x| < 1, by an odd polynomial.
#[inline(always)]
fn erf_near_zero(x: f32) -> f32 {
    let odd = [
        1.283_791_7e-1,
        -3.761_262_6e-1,
        1.128_358_54e-1,
        -2.685_381_3e-2,
        5.188_327_7e-3,
        -8.010_193_7e-4,
        7.853_861_5e-5,
    ];
    x.mul_add(polynomial(x * x, odd), x)
}

/// Returns erfc x = 1 − erf x, within 6 + x² units in the last place unless it is subnormal; within 2 for x ≤ 0.
///
/// For |x| > ½ <var>erfc |x| = e^(−x²)·t·P(t)</var> with <var>t = 1/(1 + 0.7·|x|)</var>: P was fitted to the scaled
/// complementary error function on ½ … 10.2 by weighted least squares to minimise the largest relative error, 3·10⁻⁸.
/// Its evaluation, eˣ and two products add up to 6 units. The exponential multiplies the rounding error of x², half a
/// unit, by x².
#[inline(always)]
pub(crate) fn erfc(x: f32) -> f32 {
    let a = x.abs();
    // Beyond 10.2 the result is 0 or 2, because of e^(−x²).
    let b = if a > 10.2 { 10.2 } else { a };
    let t = 1.0 / b.mul_add(0.7, 1.0);
    // Written like the derivative, so that both share one exponential.
    let tail = exp((-x) * x) * (t * polynomial(t, COMPLEMENTARY));
    let far = if x > 0.0 { tail } else { 2.0 - tail };
    if a > 0.5 { far } else { 1.0 - erf_near_zero(x) }
}

/// The coefficients of P in `erfc`.
const COMPLEMENTARY: [f32; 9] = [
    3.949_565_6e-1,
    3.941_836_7e-1,
    3.080_935_5e-1,
    3.224_050_6e-2,
    2.041_723_1e-1,
    -1.075_374_5,
    1.251_620_4,
    -6.333_537_7e-1,
    1.233_057_2e-1,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the distance in units in the last place of the `f32` nearest to the reference.
    fn ulps(found: f32, reference: f64) -> f64 {
        let nearest = reference as f32;
        if found == nearest || (found.is_nan() && nearest.is_nan()) {
            return 0.0;
        }
        let unit = f64::from(nearest.abs().next_up()) - f64::from(nearest.abs());
        (f64::from(found) - reference).abs() / unit.max(f64::from(f32::from_bits(1)))
    }

    fn worst(f: fn(f32) -> f32, reference: fn(f64) -> f64) -> (f64, f32) {
        // A prime stride over all bit patterns: every exponent, both signs, denormals.
        let mut worst = (0.0, 0.0);
        for bits in (0..=u32::MAX).step_by(1009) {
            let x = f32::from_bits(bits);
            if x.is_finite() {
                let error = ulps(f(x), reference(f64::from(x)));
                if error > worst.0 {
                    worst = (error, x);
                }
            }
        }
        worst
    }

    #[test]
    fn exp_is_within_its_bound() {
        let (error, at) = worst(exp, f64::exp);
        assert!(error <= 1.5, "{error} ulp at {at}");
    }

    #[test]
    fn tanh_is_within_its_bound() {
        let (error, at) = worst(tanh, f64::tanh);
        assert!(error <= 3.0, "{error} ulp at {at}");
    }

    #[test]
    fn erf_is_within_its_bound() {
        let (error, at) = worst(erf, libm::erf);
        assert!(error <= 2.0, "{error} ulp at {at}");
        assert_eq!([erf(f32::INFINITY), erf(f32::NEG_INFINITY), erf(0.0)], [1.0, -1.0, 0.0]);
        assert!(erf(-0.0).is_sign_negative() && erf(f32::NAN).is_nan());
    }

    #[test]
    fn erfc_is_within_its_bound() {
        for bits in (0..=u32::MAX).step_by(1009) {
            let x = f32::from_bits(bits);
            let reference = libm::erfc(f64::from(x));
            if x.is_finite() && reference >= f64::from(f32::MIN_POSITIVE) || x > 20.0 {
                let (error, bound) = (ulps(erfc(x), reference), 11.0 + f64::from(x * x));
                assert!(error <= if x > 0.0 { bound } else { 2.0 }, "{error} ulp at {x}");
            }
        }
        assert_eq!([erfc(f32::INFINITY), erfc(f32::NEG_INFINITY), erfc(0.0)], [0.0, 2.0, 1.0]);
        assert!(erfc(f32::NAN).is_nan());
    }

    #[test]
    fn limits() {
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(tanh(f32::INFINITY), 1.0);
        assert_eq!(tanh(f32::NEG_INFINITY), -1.0);
        assert!(tanh(-0.0).is_sign_negative());
        assert!(tanh(f32::NAN).is_nan());
    }
}
