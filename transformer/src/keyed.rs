//! Choices that files and flags name.

/// An enum of choices; of each its name in files and flags, and what it is.
macro_rules! keyed {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$mark:meta])* $variant:ident: $key:literal, $meaning:literal;)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $(
                #[doc = $meaning]
                #[serde(rename = $key)]
                $(#[$mark])*
                $variant,
            )+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// Its name in files and flags.
            pub fn key(self) -> &'static str {
                match self {
                    $($name::$variant => $key,)+
                }
            }

            /// What it is.
            pub fn meaning(self) -> &'static str {
                match self {
                    $($name::$variant => $meaning,)+
                }
            }
        }
    };
}

pub(crate) use keyed;
