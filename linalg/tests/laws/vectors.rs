//! The same code with narrower vectors: the setting is respected, and no bit changes.
//!
//! A process chooses its vectors once, so each choice needs another process: this program is started again with
//! [`Vectors::VARIABLE`] set, and runs only [`report`].

use linalg::{Matrix, Products, Real, Vectors, limits, product_into, simd, vector};
use std::process::Command;
use std::time::Duration;

/// Returns a hash of the results' bits of loops on vectors.
fn bits() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |x: f64| {
        hash = (hash ^ x.to_bits()).wrapping_mul(0x0100_0000_01b3);
    };
    let numbers: Vec<f64> = (0..4099).map(|i| f64::from(i) * 0.043 - 88.0).collect();
    let narrow: Vec<f32> = numbers.iter().map(|&x| x as f32).collect();
    fn loops<T: Real>(x: &[T]) -> Vec<T> {
        let mut y = x.to_vec();
        simd(
            #[inline(always)]
            || {
                for y in &mut y {
                    *y = (y.exp() + T::one()).ln() - y.tanh() * y.sqrt().larger(T::one());
                }
            },
        );
        y.extend([vector::sum(x), vector::dot(x, x), vector::maximum(x)]);
        vector::axpy(&mut y[..x.len()], T::from_f64(1.7), x);
        y
    }
    loops(&numbers).into_iter().for_each(&mut add);
    loops(&narrow).into_iter().for_each(|x| add(f64::from(x)));
    // Products add in one order; those of several blocks of terms, too.
    let [m, n] = [67, 29];
    let mut c = Matrix::zeros(m, n);
    for k in [131, 1500] {
        let number = |i: usize, j: usize| ((i * 31 + j * 17) % 101) as f32 / 37.0 - 1.3;
        let (a, b) = (Matrix::from_fn(m, k, number), Matrix::from_fn(k, n, number));
        for products in [Products::Full, Products::Bf16] {
            products.to(c.as_view_mut(), a.as_view(), b.as_view(), true);
            c.iter().for_each(|&x| add(f64::from(x)));
        }
        let y = b.column(0).clone_owned();
        let mut v = Matrix::zeros(m, 1);
        product_into(v.as_view_mut(), 0.3, a.as_view(), y.as_view());
        v.iter().for_each(|&x| add(f64::from(x)));
    }
    hash
}

/// Prints the vectors and the hash of this process, in one line.
#[test]
fn report() {
    let (in_use, asked) = (Vectors::in_use(), Vectors::asked());
    assert!(in_use <= Vectors::detected());
    let limits = limits::measure(Duration::ZERO);
    assert!(limits.flops_one > 1e6 && limits.flops > 1e6 && limits.bytes > 1e6, "{limits:?}");
    assert!(limits::packing_bytes() > 0);
    println!("\nvectors: {in_use} {asked:?} {:x}", bits());
}

/// Returns the line of a process with this setting.
fn asked_for(vectors: &str) -> String {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .args(["vectors::report", "--exact", "--nocapture"])
        .env(Vectors::VARIABLE, vectors)
        .output()
        .expect("this program runs again");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{vectors}: {text}");
    let line = text.lines().find_map(|line| line.strip_prefix("vectors: "));
    line.unwrap_or_else(|| panic!("{vectors}: {text}")).to_owned()
}

#[test]
fn what_is_asked_for_is_used_and_gives_the_same_bits() {
    let most = Vectors::detected();
    for vectors in [Vectors::Portable, Vectors::Avx2, Vectors::Avx512] {
        let used = vectors.min(most);
        let expected = format!("{used} Ok({used:?}) {:x}", bits());
        assert_eq!(asked_for(&vectors.to_string()), expected, "asked for {vectors}");
    }
}

#[test]
fn what_is_unknown_is_an_error_as_found() {
    for unknown in ["sse9", "AVX2", ""] {
        let expected = format!("{} Err({unknown:?}) {:x}", Vectors::detected(), bits());
        assert_eq!(asked_for(unknown), expected);
    }
}
