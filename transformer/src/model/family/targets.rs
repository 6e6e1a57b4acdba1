//! The linear maps that can have adapters, by the names of a family's files.

use super::Family;
use crate::model::adaptation::Target;
use crate::model::architecture::{Architecture, ConfigError};
use std::ops::Range;

/// Returns every linear map of a block that one tensor of the family's files holds, with the tensor's name in the first
/// block, without `.weight`.
fn maps(family: &dyn Family, model: &Architecture) -> Result<Vec<(Target, String)>, ConfigError> {
    let list = model.parameter_list()?;
    let mut found: Vec<(Target, String)> = vec![];
    for &target in Target::ALL {
        let (matrix, rows, _) = model.place(target);
        let name = format!("block.0.{matrix}");
        let parameter = list.iter().find(|p| p.name == name);
        let Some(parameter) = parameter.filter(|p| rows.end <= p.shape.rows) else { continue };
        let tensors = family.tensors(model, parameter);
        let Some(tensor) = tensors.iter().find(|tensor| holds(&tensor.rows, &rows)) else {
            continue;
        };
        let module = tensor.name.strip_suffix(".weight").unwrap_or(&tensor.name);
        // Without a gate, the first map of the feed-forward part has the rows of one.
        if !found.iter().any(|(_, name)| name == module) {
            found.push((target, module.to_owned()));
        }
    }
    Ok(found)
}

/// Whether a tensor holds exactly these rows, in any order.
pub(crate) fn holds(tensor: &[Range<usize>], rows: &Range<usize>) -> bool {
    let within = tensor.iter().all(|own| rows.start <= own.start && own.end <= rows.end);
    within && tensor.iter().map(Range::len).sum::<usize>() == rows.len()
}

/// Returns the linear maps that `names` select: each is a tensor's name or its end after a dot, such as `q_proj` or
/// `mlp.c_proj`; `all-linear`, or no name, selects all. Source: `target_modules` of PEFT.
///
/// ```
/// use transformer::{Architecture, Target, model::family};
/// let (gpt2, model) = (family::named("gpt2").expect("a family"), Architecture::default());
/// let found = family::targets(gpt2, &model, &["c_attn".to_owned(), "mlp.c_proj".to_owned()])?;
/// assert_eq!(found, [Target::QueryKeyValue, Target::Contracted]);
/// # Ok::<(), transformer::ConfigError>(())
/// ```
///
/// # Errors
/// A name that selects nothing, with the names that would.
pub fn targets(
    family: &dyn Family,
    model: &Architecture,
    names: &[String],
) -> Result<Vec<Target>, ConfigError> {
    let maps = maps(family, model)?;
    let mut found = vec![];
    for name in names {
        let all = name == "all-linear";
        let selected = |(_, module): &&(Target, String)| all || ends_with(module, name);
        let own: Vec<Target> = maps.iter().filter(selected).map(|(target, _)| *target).collect();
        if own.is_empty() {
            let last = |module: &String| module.rsplit('.').next().unwrap_or(module).to_owned();
            let mut known: Vec<String> = maps.iter().map(|(_, module)| last(module)).collect();
            known.dedup();
            return Err(ConfigError::Adaptation {
                setting: "lora_targets",
                found: format!("\"{name}\", which is no linear map of this {}", family.name()),
                expected: format!("all-linear, or some of {}", known.join(", ")),
            });
        }
        found.extend(own);
    }
    if names.is_empty() {
        found.extend(maps.iter().map(|(target, _)| *target));
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Whether a module's path is this name, or ends with it after a dot.
fn ends_with(module: &str, name: &str) -> bool {
    let before = module.strip_suffix(name).filter(|_| !name.is_empty());
    before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// Returns the shortest names that select these linear maps and no others.
pub(crate) fn target_names(
    family: &dyn Family,
    model: &Architecture,
    targets: &[Target],
) -> Result<Vec<String>, ConfigError> {
    let maps = maps(family, model)?;
    let mut names = vec![];
    for (_, module) in maps.iter().filter(|(target, _)| targets.contains(target)) {
        let foreign = |name: &str| {
            maps.iter().any(|(other, path)| !targets.contains(other) && ends_with(path, name))
        };
        let ends = module.rmatch_indices('.').map(|(i, _)| &module[i + 1..]);
        let shortest = ends.chain([&module[..]]).find(|name| !foreign(name));
        let name = shortest.unwrap_or(module).to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::family;

    fn of(name: &str, names: &[&str]) -> Result<Vec<Target>, ConfigError> {
        let model = family::usual_at(name, &Architecture::default())?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        targets(family::named(name).unwrap(), &model, &names)
    }

    /// The maps that PEFT's `all-linear` selects in each family, by the matrices of its files.
    #[test]
    fn every_linear_map_of_a_family_has_one_name() {
        use Target::{
            Contracted, Expanded, Gate, Key, Projection, Query, QueryKeyValue, Up, Value,
        };
        let packed = [QueryKeyValue, Projection, Expanded, Contracted];
        let split = [Query, Key, Value, Projection, Gate, Up, Contracted];
        for (name, expected) in [
            ("gpt2", &packed[..]),
            ("gpt_neox", &packed),
            ("phi3", &packed),
            ("llama", &split),
            ("qwen3", &split),
            ("gemma3_text", &split),
            ("olmo2", &split),
        ] {
            assert_eq!(of(name, &["all-linear"]).unwrap(), expected, "{name}");
            assert_eq!(of(name, &[]).unwrap(), expected, "{name}");
        }
        assert_eq!(of("llama", &["q_proj", "v_proj", "v_proj"]).unwrap(), [Query, Value]);
        // As in PEFT, an end selects every map that has it.
        assert_eq!(of("gpt2", &["c_proj"]).unwrap(), [Projection, Contracted]);
        assert_eq!(of("gpt2", &["mlp.c_proj"]).unwrap(), [Contracted]);
        let said = of("llama", &["c_attn"]).unwrap_err().to_string();
        assert!(said.contains("\"c_attn\"") && said.contains("q_proj, k_proj, v_proj"), "{said}");
        assert!(of("llama", &["proj"]).is_err(), "a part of a name is none");
        assert!(of("llama", &[""]).is_err());
    }

    #[test]
    fn names_select_what_they_name() {
        for name in ["gpt2", "llama", "gpt_neox", "phi3", "glassbox"] {
            let model = family::usual_at(name, &Architecture::default()).unwrap();
            let family = family::named(name).unwrap();
            let all = targets(family, &model, &[]).unwrap();
            for set in 1..1_u32 << all.len() {
                let own: Vec<Target> =
                    (0..all.len()).filter(|i| set >> i & 1 == 1).map(|i| all[i]).collect();
                let names = target_names(family, &model, &own).unwrap();
                assert_eq!(targets(family, &model, &names).unwrap(), own, "{name}: {names:?}");
            }
        }
    }
}
