//! Choices that files and flags name.

/// An enum of choices. Each has a name for files and flags, and a description.
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
            /// All choices.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// Returns the name in files and flags.
            pub fn key(self) -> &'static str {
                match self {
                    $($name::$variant => $key,)+
                }
            }

            /// Returns the description.
            pub fn meaning(self) -> &'static str {
                match self {
                    $($name::$variant => $meaning,)+
                }
            }
        }
    };
}

pub(crate) use keyed;
