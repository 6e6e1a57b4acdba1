//! Serialization of a list of paths, in which a single path stands alone: `data = "a.txt"`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a path in quotation marks, or a list of them")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Writes a path, or a list of any other number.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(
    paths: &Option<Vec<String>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let paths = paths.as_ref().map(|paths| match &paths[..] {
        [one] => OneOrMany::One(one.clone()),
        many => OneOrMany::Many(many.to_vec()),
    });
    paths.serialize(serializer)
}

/// Reads a path or a list of paths.
///
/// # Errors
/// A value of another type.
pub fn deserialize<'a, D: Deserializer<'a>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    let paths = Option::<OneOrMany>::deserialize(deserializer)?;
    Ok(paths.map(|paths| match paths {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    }))
}
