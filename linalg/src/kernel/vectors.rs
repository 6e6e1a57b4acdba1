//! The vector instructions that the kernels use.

use std::fmt;
use std::sync::OnceLock;

/// The vector instructions that the kernels support, in increasing width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vectors {
    /// No explicit vectors: portable loops.
    Portable,
    /// AVX2 and FMA: eight `f32` at once.
    Avx2,
    /// AVX-512F: sixteen `f32` at once.
    Avx512,
}

impl Vectors {
    /// The environment variable that restricts the kernels to narrower vectors than the processor has.
    pub const VARIABLE: &str = "GLASSBOX_VECTORS";

    /// Returns the widest that this processor has.
    pub fn detected() -> Vectors {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 && is_x86_feature_detected!("avx512f") {
                return Vectors::Avx512;
            }
            if avx2 {
                return Vectors::Avx2;
            }
        }
        Vectors::Portable
    }

    /// Returns the setting of [`Vectors::VARIABLE`] (`portable`, `avx2` or `avx512`), but no wider than the processor
    /// has.
    ///
    /// # Errors
    /// Any other value of the variable, which is returned.
    pub fn asked() -> Result<Vectors, String> {
        let Some(value) = std::env::var_os(Self::VARIABLE) else { return Ok(Vectors::detected()) };
        let value = value.to_string_lossy();
        let known = [Vectors::Portable, Vectors::Avx2, Vectors::Avx512];
        match known.into_iter().find(|vectors| vectors.to_string() == value) {
            Some(vectors) => Ok(vectors.min(Vectors::detected())),
            None => Err(value.into_owned()),
        }
    }

    /// Returns the vectors that the kernels of this process use: [`Vectors::asked`] at the first call, or the
    /// processor's widest if that is an error.
    ///
    /// ```
    /// use linalg::Vectors;
    /// assert!(Vectors::in_use() <= Vectors::detected());
    /// ```
    pub fn in_use() -> Vectors {
        static IN_USE: OnceLock<Vectors> = OnceLock::new();
        *IN_USE.get_or_init(|| Vectors::asked().unwrap_or_else(|_| Vectors::detected()))
    }
}

impl fmt::Display for Vectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Vectors::Portable => "portable",
            Vectors::Avx2 => "avx2",
            Vectors::Avx512 => "avx512",
        })
    }
}

/// Returns [`Vectors::in_use`], for loops that the compiler vectorises.
pub(super) fn arch() -> pulp::Arch {
    static ARCH: OnceLock<pulp::Arch> = OnceLock::new();
    *ARCH.get_or_init(|| match Vectors::in_use() {
        // By name, so that nothing compiles without pulp's feature for AVX-512.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx512 => pulp::x86::V4::try_new().map_or_else(pulp::Arch::new, pulp::Arch::V4),
        vectors if vectors == Vectors::detected() => pulp::Arch::new(),
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx2 => pulp::x86::V3::try_new().map_or(pulp::Arch::Scalar, pulp::Arch::V3),
        _ => pulp::Arch::Scalar,
    })
}
