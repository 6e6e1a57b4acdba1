//! The papers, one file each. `glassbox reproduce` and the example `papers` read this list.

pub(crate) mod batch_gain;
pub(crate) mod bigram;
pub(crate) mod chinchilla;
pub(crate) mod collapse;
pub(crate) mod double_descent;
pub(crate) mod edge;
pub(crate) mod entropy_collapse;
pub(crate) mod grokking;
pub(crate) mod induction;
pub(crate) mod linear_attention;
pub(crate) mod markov;
pub(crate) mod microgpt;
pub(crate) mod mlp;
pub(crate) mod mup;
pub(crate) mod nanogpt;
pub(crate) mod noise_scale;
pub(crate) mod page;
pub(crate) mod placement;
pub(crate) mod python;
pub(crate) mod shannon;
pub(crate) mod superposition;

use page::{Lab, Page, Result};

/// A paper that can be reproduced.
pub(crate) struct Paper {
    pub(crate) name: &'static str,
    /// The file of this directory that does it.
    pub(crate) file: &'static str,
    /// Seconds on two cores, roughly.
    pub(crate) seconds: u32,
    pub(crate) page: fn(&Lab<'_>) -> Result<Page>,
}

pub(crate) const PAPERS: [Paper; 19] = [
    Paper { name: "microgpt", file: "microgpt.rs", seconds: 2, page: microgpt::page },
    Paper { name: "bigram", file: "bigram.rs", seconds: 1, page: bigram::page },
    Paper { name: "chinchilla", file: "chinchilla.rs", seconds: 5, page: chinchilla::page },
    Paper {
        name: "superposition",
        file: "superposition.rs",
        seconds: 9,
        page: superposition::page,
    },
    Paper { name: "collapse", file: "collapse.rs", seconds: 1, page: collapse::page },
    Paper {
        name: "linear_attention",
        file: "linear_attention.rs",
        seconds: 9,
        page: linear_attention::page,
    },
    Paper {
        name: "double_descent",
        file: "double_descent.rs",
        seconds: 10,
        page: double_descent::page,
    },
    Paper { name: "shannon", file: "shannon.rs", seconds: 60, page: shannon::page },
    Paper { name: "edge", file: "edge.rs", seconds: 15, page: edge::page },
    Paper { name: "markov", file: "markov.rs", seconds: 120, page: markov::page },
    Paper { name: "induction", file: "induction.rs", seconds: 120, page: induction::page },
    Paper { name: "noise_scale", file: "noise_scale.rs", seconds: 10, page: noise_scale::page },
    Paper {
        name: "entropy_collapse",
        file: "entropy_collapse.rs",
        seconds: 15,
        page: entropy_collapse::page,
    },
    Paper { name: "batch_gain", file: "batch_gain.rs", seconds: 60, page: batch_gain::page },
    Paper { name: "mlp", file: "mlp.rs", seconds: 30, page: mlp::page },
    Paper { name: "grokking", file: "grokking.rs", seconds: 120, page: grokking::page },
    Paper { name: "mup", file: "mup.rs", seconds: 300, page: mup::page },
    Paper { name: "nanogpt", file: "nanogpt.rs", seconds: 240, page: nanogpt::page },
    Paper { name: "placement", file: "placement.rs", seconds: 120, page: placement::page },
];
