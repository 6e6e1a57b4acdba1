//! Formats of models that this crate does not read.

use super::shards::{INDEX, SINGLE};
use std::path::Path;

/// A format of files: how their names begin and end, its name, and how transformers reads it.
struct Format {
    /// The usual beginnings; a file that is given by name may have any.
    begins: &'static [&'static str],
    ends: &'static [&'static str],
    name: &'static str,
    /// Python that writes safetensors; FILE is the file's name.
    conversion: &'static str,
}

const FORMATS: [Format; 5] = [
    Format {
        begins: &["pytorch_model"],
        ends: &[".bin", ".pt", ".pth"],
        name: "PyTorch's pickle format",
        conversion: "AutoModelForCausalLM.from_pretrained('DIR').save_pretrained('OUT', safe_serialization=True)",
    },
    Format {
        begins: &[""],
        ends: &[".gguf"],
        name: "GGUF, llama.cpp's format",
        conversion: "AutoModelForCausalLM.from_pretrained('DIR', gguf_file='FILE').save_pretrained('OUT'), or take \
                     the directory that the file was made from",
    },
    Format {
        begins: &["tf_model"],
        ends: &[".h5"],
        name: "TensorFlow's format",
        conversion: "AutoModelForCausalLM.from_pretrained('DIR', from_tf=True).save_pretrained('OUT') with \
                     transformers 4",
    },
    Format {
        begins: &["flax_model"],
        ends: &[".msgpack"],
        name: "Flax's format",
        conversion: "AutoModelForCausalLM.from_pretrained('DIR', from_flax=True).save_pretrained('OUT') with \
                     transformers 4",
    },
    Format {
        begins: &["adapter_model"],
        ends: &["adapter_model.safetensors"],
        name: "an adapter, a part of a model",
        conversion: "AutoPeftModelForCausalLM.from_pretrained('DIR').merge_and_unload().save_pretrained('OUT') of \
                     peft",
    },
];

impl Format {
    /// Describes a file of this format.
    fn describe(&self, name: &str) -> String {
        let conversion = self.conversion.replace("FILE", name);
        format!(
            "{name} is {}; model.safetensors is expected: convert it with {conversion}",
            self.name
        )
    }

    fn ends(&self, name: &str) -> bool {
        self.ends.iter().any(|end| name.to_lowercase().ends_with(end))
    }
}

/// Describes a file of a model in another format, and how to convert it; `None` if its name is not that of one.
///
/// ```
/// use transformer::disk::files::format_of;
/// let reason = format_of("small/model-q4.gguf".as_ref()).unwrap();
/// assert!(reason.contains("GGUF") && reason.contains("gguf_file='model-q4.gguf'"), "{reason}");
/// assert_eq!(format_of("model.safetensors".as_ref()), None);
/// ```
pub fn format_of(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    Some(FORMATS.iter().find(|format| format.ends(name))?.describe(name))
}

/// Describes the model in another format that a directory without `model.safetensors` holds.
pub fn format_in(directory: &Path) -> Option<String> {
    let entries = directory.read_dir().ok()?.flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    let of = |format: &Format| {
        let is = |name: &&String| {
            let begins = format.begins.iter().any(|begin| name.starts_with(begin));
            begins && format.ends(name.strip_suffix(".index.json").unwrap_or(name))
        };
        names.iter().find(is).map(|name| format.describe(name))
    };
    FORMATS.iter().find_map(of).or_else(|| {
        // The usual names are no other format; a directory with them lacks something else.
        let usual = |name: &String| [SINGLE, INDEX].contains(&&name[..]);
        let part = names.iter().find(|name| name.ends_with(".safetensors"))?;
        if names.iter().any(usual) {
            return None;
        }
        Some(format!(
            "{part} is there, but neither model.safetensors nor model.safetensors.index.json, which names the files of \
             a model in parts: rename the only file, or add the index"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_another_format_is_told_by_its_files() {
        for (files, expected) in [
            (&["pytorch_model.bin", "training_args.bin"][..], "from_pretrained('DIR')"),
            (&["a.json", "pytorch_model.bin.index.json"], "PyTorch's pickle format"),
            (&["pytorch_model-00001-of-00002.bin"], "safe_serialization=True"),
            (&["Small-Q4_K.GGUF"], "gguf_file='Small-Q4_K.GGUF'"),
            (&["tf_model.h5"], "from_tf=True"),
            (&["flax_model.msgpack"], "from_flax=True"),
            (&["adapter_model.safetensors"], "merge_and_unload"),
            (&["model-00001-of-00002.safetensors"], "neither model.safetensors nor"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            for file in files {
                std::fs::write(directory.path().join(file), "").unwrap();
            }
            let said = format_in(directory.path()).unwrap();
            assert!(said.contains(expected) && said.contains("model.safetensors"), "{said}");
        }
        let directory = tempfile::tempdir().unwrap();
        for file in ["training_args.bin", "optimizer.pt", SINGLE, "a.safetensors", "weights.h5"] {
            std::fs::write(directory.path().join(file), "").unwrap();
        }
        assert_eq!(format_in(directory.path()), None);
        assert_eq!(format_in(&directory.path().join("none")), None);
    }
}
