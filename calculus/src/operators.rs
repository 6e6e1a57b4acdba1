//! Operators shared by all scalars that carry derivatives: what can be typed with `f64` can be typed with them.

use linalg::Real;

/// Arithmetic with a constant on the right (`x − 2`) or on the left (`2 − x`), where it can be less work than with a
/// number that carries derivatives.
pub(crate) trait Constants: Real {
    #[inline(always)]
    fn add_constant(self, c: f64) -> Self {
        self + Self::from_f64(c)
    }
    #[inline(always)]
    fn sub_constant(self, c: f64) -> Self {
        self - Self::from_f64(c)
    }
    #[inline(always)]
    fn mul_constant(self, c: f64) -> Self {
        self * Self::from_f64(c)
    }
    #[inline(always)]
    fn div_constant(self, c: f64) -> Self {
        self / Self::from_f64(c)
    }
    #[inline(always)]
    fn constant_add(self, c: f64) -> Self {
        Self::from_f64(c) + self
    }
    #[inline(always)]
    fn constant_sub(self, c: f64) -> Self {
        Self::from_f64(c) - self
    }
    #[inline(always)]
    fn constant_mul(self, c: f64) -> Self {
        Self::from_f64(c) * self
    }
    #[inline(always)]
    fn constant_div(self, c: f64) -> Self {
        Self::from_f64(c) / self
    }
}

/// Implements `a ∘= b`, all of `∘` with references and with a constant on either side, `sum()`, `product()` and
/// `From<f64>`, for [`Constants`] that already have `+ − · /`.
macro_rules! operators {
    ([$($generics:tt)*] $scalar:ty) => {
        crate::operators::operators! { @one [$($generics)*] $scalar, Add add AddAssign add_assign add_constant constant_add }
        crate::operators::operators! { @one [$($generics)*] $scalar, Sub sub SubAssign sub_assign sub_constant constant_sub }
        crate::operators::operators! { @one [$($generics)*] $scalar, Mul mul MulAssign mul_assign mul_constant constant_mul }
        crate::operators::operators! { @one [$($generics)*] $scalar, Div div DivAssign div_assign div_constant constant_div }
        crate::operators::operators! { @fold [$($generics)*] $scalar, Sum sum zero + }
        crate::operators::operators! { @fold [$($generics)*] $scalar, Product product one * }

        impl<$($generics)*> From<f64> for $scalar {
            /// A constant.
            #[inline(always)]
            fn from(x: f64) -> Self {
                <Self as linalg::Real>::from_f64(x)
            }
        }

        impl<$($generics)*> std::ops::Neg for &$scalar {
            type Output = $scalar;
            #[inline(always)]
            fn neg(self) -> $scalar {
                -*self
            }
        }
    };
    (@one [$($generics:tt)*] $scalar:ty, $op:ident $method:ident $assign:ident $assigned:ident
        $right:ident $left:ident) => {
        impl<$($generics)*> std::ops::$assign for $scalar {
            #[inline(always)]
            fn $assigned(&mut self, other: Self) {
                *self = std::ops::$op::$method(*self, other);
            }
        }

        impl<$($generics)*> std::ops::$assign<f64> for $scalar {
            #[inline(always)]
            fn $assigned(&mut self, other: f64) {
                *self = std::ops::$op::$method(*self, other);
            }
        }

        impl<$($generics)*> std::ops::$op<f64> for $scalar {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: f64) -> Self {
                crate::operators::Constants::$right(self, other)
            }
        }

        impl<$($generics)*> std::ops::$op<$scalar> for f64 {
            type Output = $scalar;
            #[inline(always)]
            fn $method(self, other: $scalar) -> $scalar {
                crate::operators::Constants::$left(other, self)
            }
        }

        crate::operators::operators! { @reference [$($generics)*] $scalar, $op $method, &$scalar, $scalar }
        crate::operators::operators! { @reference [$($generics)*] $scalar, $op $method, &$scalar, &$scalar }
        crate::operators::operators! { @reference [$($generics)*] $scalar, $op $method, $scalar, &$scalar }
        crate::operators::operators! { @reference [$($generics)*] $scalar, $op $method, &$scalar, f64 }
        crate::operators::operators! { @reference [$($generics)*] $scalar, $op $method, f64, &$scalar }
    };
    // Numbers are copied: a reference on either side is the number itself.
    (@reference [$($generics:tt)*] $scalar:ty, $op:ident $method:ident, $left:ty, $right:ty) => {
        impl<$($generics)*> std::ops::$op<$right> for $left {
            type Output = $scalar;
            #[inline(always)]
            fn $method(self, other: $right) -> $scalar {
                std::ops::$op::$method(self.to_owned(), other.to_owned())
            }
        }
    };
    (@fold [$($generics:tt)*] $scalar:ty, $fold:ident $method:ident $start:ident $op:tt) => {
        impl<$($generics)*> std::iter::$fold for $scalar {
            fn $method<I: Iterator<Item = Self>>(numbers: I) -> Self {
                // Without the neutral element, which would be one more operation of a list.
                numbers.reduce(|a, b| a $op b).unwrap_or_else(num_traits::$start::<Self>)
            }
        }

        impl<'a, $($generics)*> std::iter::$fold<&'a Self> for $scalar {
            fn $method<I: Iterator<Item = &'a Self>>(numbers: I) -> Self {
                numbers.copied().$method()
            }
        }
    };
}

pub(crate) use operators;
