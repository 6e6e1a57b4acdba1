//! Operators shared by all scalars that carry derivatives.

/// Implements `a ∘= b`, and `a ∘ 2.0` and `2.0 ∘ a` with a constant, for a [`linalg::Real`] that already has `+ − · /`.
macro_rules! operators {
    ([$($generics:tt)*] $scalar:ty) => {
        crate::operators::operators! { @one [$($generics)*] $scalar, Add add AddAssign add_assign }
        crate::operators::operators! { @one [$($generics)*] $scalar, Sub sub SubAssign sub_assign }
        crate::operators::operators! { @one [$($generics)*] $scalar, Mul mul MulAssign mul_assign }
        crate::operators::operators! { @one [$($generics)*] $scalar, Div div DivAssign div_assign }
    };
    (@one [$($generics:tt)*] $scalar:ty, $op:ident $method:ident $assign:ident $assigned:ident) => {
        impl<$($generics)*> std::ops::$assign for $scalar {
            #[inline(always)]
            fn $assigned(&mut self, other: Self) {
                *self = std::ops::$op::$method(*self, other);
            }
        }

        impl<$($generics)*> std::ops::$op<f64> for $scalar {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: f64) -> Self {
                std::ops::$op::$method(self, <Self as linalg::Real>::from_f64(other))
            }
        }

        impl<$($generics)*> std::ops::$op<$scalar> for f64 {
            type Output = $scalar;
            #[inline(always)]
            fn $method(self, other: $scalar) -> $scalar {
                std::ops::$op::$method(<$scalar as linalg::Real>::from_f64(self), other)
            }
        }
    };
}

pub(crate) use operators;
