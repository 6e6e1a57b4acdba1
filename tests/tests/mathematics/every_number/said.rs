//! What functions say, as lists of numbers.

use linalg::{Matrix, Real};
use std::fmt::Display;
use tests::exact::Exact;

/// What a function said: numbers, or why not.
pub(super) type Said<T> = Result<Vec<T>, Refused>;

/// An error, as its message.
#[derive(Clone, Debug)]
pub(super) struct Refused(pub(super) String);

impl<E: Display> From<E> for Refused {
    fn from(error: E) -> Self {
        Refused(error.to_string())
    }
}

/// What functions give, as a list of numbers.
pub(super) trait Numbers<T> {
    fn give(self, all: &mut Vec<T>);
}

macro_rules! scalars {
    ($($scalar:ty)*) => {$(
        impl Numbers<$scalar> for $scalar {
            fn give(self, all: &mut Vec<$scalar>) {
                all.push(self);
            }
        }
        impl Numbers<$scalar> for infotheory::Nats<$scalar> {
            fn give(self, all: &mut Vec<$scalar>) {
                all.push(self.0);
            }
        }
        impl Numbers<$scalar> for infotheory::Bits<$scalar> {
            fn give(self, all: &mut Vec<$scalar>) {
                all.push(self.0);
            }
        }
    )*};
}
scalars!(f32 f64 Exact);

impl<T, A: Numbers<T>> Numbers<T> for Vec<A> {
    fn give(self, all: &mut Vec<T>) {
        self.into_iter().for_each(|x| x.give(all));
    }
}

impl<T: Clone, const N: usize> Numbers<T> for [T; N] {
    fn give(self, all: &mut Vec<T>) {
        all.extend_from_slice(&self);
    }
}

impl<T: Clone> Numbers<T> for &[T] {
    fn give(self, all: &mut Vec<T>) {
        all.extend_from_slice(self);
    }
}

impl<T: Real> Numbers<T> for Matrix<T> {
    fn give(self, all: &mut Vec<T>) {
        all.extend_from_slice(self.as_slice());
    }
}

impl<T, A: Numbers<T>, B: Numbers<T>> Numbers<T> for (A, B) {
    fn give(self, all: &mut Vec<T>) {
        self.0.give(all);
        self.1.give(all);
    }
}

impl<T: Real> Numbers<T> for usize {
    fn give(self, all: &mut Vec<T>) {
        all.push(T::from_f64(self as f64));
    }
}

pub(super) fn said<T>(found: Result<impl Numbers<T>, Refused>) -> Said<T> {
    found.map(|found| {
        let mut all = Vec::new();
        found.give(&mut all);
        all
    })
}
