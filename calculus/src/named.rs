//! Enums whose variants have names in settings and flags.

/// Implements the conversions between an enum with `ALL` and `key` and its names: `FromStr`, `Display` and those that
/// serde uses. `$is` tests whether a variant has a name.
macro_rules! named {
    ($kind:ty, $error:ident, $what:literal, |$choice:ident, $name:ident| $is:expr) => {
        #[doc = concat!("A name that no ", $what, " has.")]
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[error(
                    "no {} is called {found:?}; there are {}",
                    $what,
                    <$kind>::ALL.iter().map(|choice| choice.key()).collect::<Vec<_>>().join(", ")
                )]
        pub struct $error {
            /// The unknown name.
            pub found: String,
        }

        impl std::str::FromStr for $kind {
            type Err = $error;

            fn from_str($name: &str) -> Result<Self, $error> {
                let found = <$kind>::ALL.iter().find(|$choice| $is);
                found.copied().ok_or_else(|| $error { found: $name.to_owned() })
            }
        }

        impl TryFrom<String> for $kind {
            type Error = $error;

            fn try_from(name: String) -> Result<Self, $error> {
                name.parse()
            }
        }

        impl From<$kind> for String {
            fn from(choice: $kind) -> Self {
                choice.key().to_owned()
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.key())
            }
        }
    };
}

pub(crate) use named;
