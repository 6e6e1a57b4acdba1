//! The differences of two architectures: as fields, and in words, each with its sources.

use super::{Architecture, Positions, QueryKeyNorm, Rotary, Scaling, layer_list};
use crate::printable::decimal;
use crate::words;
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// A publication that introduced a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Paper {
    /// The authors.
    pub authors: &'static str,
    /// The year of its first version.
    pub year: u16,
    /// The title.
    pub title: &'static str,
}

impl fmt::Display for Paper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.authors, self.title, self.year)
    }
}

/// A part in which two architectures differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The field of [`Architecture`].
    pub field: &'static str,
    /// The part's name in words.
    pub part: &'static str,
    /// Its value in one architecture, in words.
    pub own: String,
    /// Its value in the other one, in words.
    pub other: String,
    /// The publications of the other one's value.
    pub papers: Vec<Paper>,
}

/// A part in words: its field, its name, its value, and the publications of that value.
type Said = (&'static str, &'static str, String, Vec<Paper>);

impl Architecture {
    /// Returns the parts in which this architecture differs from another: their names, and their values here and there.
    ///
    /// ```
    /// use transformer::{Architecture, Norm};
    /// let gpt2 = Architecture::default();
    /// let other = Architecture { norm: Norm::Rms, ..gpt2.clone() };
    /// assert_eq!(gpt2.differences(&other), [("norm".into(), "layer".into(), "rms".into())]);
    /// ```
    pub fn differences(&self, other: &Architecture) -> Vec<(String, String, String)> {
        let mut all = Vec::new();
        differing(String::new(), &plain(self), &plain(other), &mut all);
        all
    }

    /// Returns the parts in which this architecture differs from another, in words, with the publications of the other
    /// one's values.
    ///
    /// ```
    /// use transformer::{Architecture, Norm};
    /// let gpt2 = Architecture::default();
    /// let other = Architecture { norm: Norm::Rms, ..gpt2.clone() };
    /// let [norm] = &gpt2.differences_in_words(&other)[..] else { panic!() };
    /// assert_eq!((norm.part, &norm.other[..]), ("normalisation", "RMS: root mean square 1, gain"));
    /// assert_eq!(norm.papers[0].year, 2019);
    /// ```
    pub fn differences_in_words(&self, other: &Architecture) -> Vec<Difference> {
        let fields = self.differences(other);
        let differs = |field: &str| {
            let below =
                |name: &str| name.strip_prefix(field).is_some_and(|rest| rest.starts_with('.'));
            fields.iter().any(|(name, ..)| name == field || below(name))
        };
        let pairs = said(self).into_iter().zip(said(other));
        let both = pairs.filter(|((field, ..), _)| differs(field));
        both.map(|((field, part, own, _), (_, _, other, papers))| Difference {
            field,
            part,
            own,
            other,
            papers,
        })
        .collect()
    }
}

const fn paper(authors: &'static str, year: u16, title: &'static str) -> Paper {
    Paper { authors, year, title }
}

const TRANSFORMER: Paper = paper("Vaswani et al.", 2017, "Attention Is All You Need");
const LONGFORMER: Paper =
    paper("Beltagy et al.", 2020, "Longformer: The Long-Document Transformer");
const MISTRAL: Paper = paper("Jiang et al.", 2023, "Mistral 7B");
const PALM: Paper =
    paper("Chowdhery et al.", 2022, "PaLM: Scaling Language Modeling with Pathways");
const CAP: Paper =
    paper("Bello et al.", 2016, "Neural Combinatorial Optimization with Reinforcement Learning");
const GEMMA_2: Paper =
    paper("Gemma Team", 2024, "Gemma 2: Improving Open Language Models at a Practical Size");
const GEMMA_3: Paper = paper("Gemma Team", 2025, "Gemma 3 Technical Report");
const NEOX: Paper =
    paper("Black et al.", 2022, "GPT-NeoX-20B: An Open-Source Autoregressive Language Model");
const ROFORMER: Paper =
    paper("Su et al.", 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding");
const LLAMA_3: Paper = paper("Grattafiori et al.", 2024, "The Llama 3 Herd of Models");
const INTERPOLATION: Paper = paper(
    "Chen et al.",
    2023,
    "Extending Context Window of Large Language Models via Positional Interpolation",
);
const WIDTH: Paper = paper(
    "Yang et al.",
    2022,
    "Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer",
);
const DEPTH: Paper = paper(
    "Yang et al.",
    2023,
    "Tensor Programs VI: Feature Learning in Infinite-Depth Neural Networks",
);
const GRANITE: Paper = paper("Granite Team, IBM", 2024, "Granite 3.0 Language Models");
const BLOOM: Paper = paper(
    "Le Scao et al.",
    2022,
    "BLOOM: A 176B-Parameter Open-Access Multilingual Language Model",
);
const UNROTATED: [Paper; 2] = [
    paper(
        "Kazemnejad et al.",
        2023,
        "The Impact of Positional Encoding on Length Generalization in Transformers",
    ),
    paper("Yang et al.", 2025, "RoPE to NoPE and Back Again: A New Hybrid Attention Strategy"),
];
const QUERY_KEY: [Paper; 2] = [
    paper("Henry et al.", 2020, "Query-Key Normalization for Transformers"),
    paper("Dehghani et al.", 2023, "Scaling Vision Transformers to 22 Billion Parameters"),
];
const MULTI_QUERY: Paper =
    paper("Shazeer", 2019, "Fast Transformer Decoding: One Write-Head is All You Need");
const GROUPED: Paper = paper(
    "Ainslie et al.",
    2023,
    "GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints",
);
const BY_LAYER: Paper = paper(
    "Karamcheti et al.",
    2021,
    "Mistral: A Journey towards Reproducible Language Model Training",
);
const GATED: Paper = paper("Shazeer", 2020, "GLU Variants Improve Transformer");
const TIED: Paper =
    paper("Press & Wolf", 2017, "Using the Output Embedding to Improve Language Models");
const DROPOUT: Paper = paper(
    "Srivastava et al.",
    2014,
    "Dropout: A Simple Way to Prevent Neural Networks from Overfitting",
);

/// The publications of values that have a key of their own: field, key, publication.
const OF_KEYS: [(&str, &str, Paper); 11] = [
    ("norm", "layer", paper("Ba et al.", 2016, "Layer Normalization")),
    ("norm", "rms", paper("Zhang & Sennrich", 2019, "Root Mean Square Layer Normalization")),
    (
        "placement",
        "pre",
        paper("Xiong et al.", 2020, "On Layer Normalization in the Transformer Architecture"),
    ),
    ("placement", "post", TRANSFORMER),
    ("placement", "after", paper("Team OLMo", 2024, "2 OLMo 2 Furious")),
    (
        "placement",
        "sandwich",
        paper("Ding et al.", 2021, "CogView: Mastering Text-to-Image Generation via Transformers"),
    ),
    (
        "placement",
        "parallel",
        paper(
            "Wang & Komatsuzaki",
            2021,
            "GPT-J-6B: A 6 Billion Parameter Autoregressive Language Model",
        ),
    ),
    ("activation", "gelu", GELU),
    ("activation", "gelu_tanh", GELU),
    (
        "activation",
        "silu",
        paper(
            "Elfwing et al.",
            2017,
            "Sigmoid-Weighted Linear Units for Neural Network Function Approximation in Reinforcement Learning",
        ),
    ),
    (
        "activation",
        "squared_relu",
        paper(
            "So et al.",
            2021,
            "Primer: Searching for Efficient Transformers for Language Modeling",
        ),
    ),
];
const GELU: Paper = paper("Hendrycks & Gimpel", 2016, "Gaussian Error Linear Units (GELUs)");

/// Returns every part of an architecture in words, in the order of the network.
fn said(a: &Architecture) -> Vec<Said> {
    let size = |field, part, n: usize, what: &str| (field, part, words::of(n, what), vec![]);
    let of_key = |field, part, key: &str, meaning: String| {
        let own = OF_KEYS.iter().filter(|(f, k, _)| *f == field && *k == key);
        (field, part, meaning, own.map(|(.., paper)| *paper).collect())
    };
    let number = |x: Option<f64>, absent: &str| x.map_or(absent.to_owned(), decimal);
    let when = |has: bool, papers: &[Paper]| if has { papers.to_vec() } else { vec![] };
    let bias = |field, part, has: bool| {
        (field, part, if has { "yes" } else { "no" }.to_owned(), when(!has, &[PALM]))
    };
    let (shared, heads) = (a.key_value_heads(), a.heads);
    let root = (a.width as f64).sqrt();
    let scaled = a.embedding_scale != 1.0;
    let capped = |field, part, cap: Option<f64>, formula: &str| {
        let value = cap.map_or("no cap".to_owned(), |cap| format!("{formula} with c = {cap}"));
        (field, part, value, when(cap.is_some(), &[CAP, GEMMA_2]))
    };
    vec![
        size("vocabulary", "vocabulary", a.vocabulary, "token"),
        size("context", "context", a.context, "position"),
        size("width", "width", a.width, "feature"),
        size("layers", "depth", a.layers, "block"),
        positions(a),
        (
            "rotary_layers",
            "layers that rotate queries and keys",
            format!(
                "rotary positions {}",
                in_layers(a, |i| layer_list::contains(&a.rotary_layers, i))
            ),
            when(a.rotary_layers != [true], &UNROTATED),
        ),
        (
            "embedding_scale",
            "factor of a token's vector",
            match scaled {
                true if a.embedding_scale == root => format!("√width = {root:.2}"),
                _ => decimal(a.embedding_scale),
            },
            when(scaled, &[TRANSFORMER]),
        ),
        (
            "embedding_norm",
            "normalisation before the first block",
            if a.embedding_norm { "of the embedding" } else { "none" }.to_owned(),
            when(a.embedding_norm, &[BLOOM]),
        ),
        (
            "residual_scale",
            "factor of a part's output in the residual sum",
            decimal(a.residual_scale),
            when(a.residual_scale != 1.0, &[DEPTH, GRANITE]),
        ),
        of_key("norm", "normalisation", a.norm.key(), {
            let name = if a.norm.key() == "rms" { "RMS" } else { "layer" };
            format!("{name}: {}", lower(a.norm.meaning()))
        }),
        of_key("gain", "gain of the normalisation", a.gain.key(), lower(a.gain.meaning())),
        of_key(
            "placement",
            "places of the normalisation",
            a.placement.key(),
            lower(a.placement.meaning()),
        ),
        (
            "final_norm",
            "normalisation before the head",
            if a.final_norm { "yes, except after norms of each sum" } else { "no" }.to_owned(),
            vec![],
        ),
        ("epsilon", "ε of the normalisation", decimal(a.epsilon), vec![]),
        size("heads", "query heads", heads, "head"),
        (
            "key_value_heads",
            "key-value heads",
            format!(
                "{} for {}",
                words::of(shared, "key-value head"),
                words::of(heads, "query head")
            ),
            match shared {
                1 if heads > 1 => vec![MULTI_QUERY, GROUPED],
                _ => when(shared < heads, &[GROUPED]),
            },
        ),
        size("head_width", "width of a head", a.head_width(), "feature"),
        (
            "query_key_norm",
            "normalisation of queries and keys",
            lower(a.query_key_norm.meaning()),
            when(a.query_key_norm != QueryKeyNorm::None, &QUERY_KEY),
        ),
        (
            "score_scale",
            "factor of attention scores",
            number(a.score_scale, "1/√(features of a head)"),
            when(a.score_scale == Some(1.0 / a.head_width() as f64), &[WIDTH]),
        ),
        (
            "score_scale_by_layer",
            "factor of attention scores by layer",
            if a.score_scale_by_layer {
                "divided by the layer's number"
            } else {
                "the same in all layers"
            }
            .to_owned(),
            when(a.score_scale_by_layer, &[BY_LAYER]),
        ),
        capped("score_cap", "cap of attention scores", a.score_cap, "c·tanh(s/c)"),
        (
            "window",
            "window of attention",
            match &a.window {
                None => "all earlier tokens in all layers".to_owned(),
                Some(window) => {
                    let which = in_layers(a, |i| a.window(i).is_some());
                    format!("the last {} {which}", words::of(window.size, "token"))
                }
            },
            when(a.window.is_some(), &[LONGFORMER, MISTRAL]),
        ),
        size("hidden", "width inside the feed-forward part", a.hidden, "feature"),
        of_key(
            "activation",
            "activation function",
            a.activation.key(),
            a.activation.key().to_owned(),
        ),
        (
            "gated",
            "gate of the feed-forward part",
            if a.gated { "W₂·(f(W₁·x) ⊙ W₃·x)" } else { "none: W₂·f(W₁·x)" }.to_owned(),
            when(a.gated, &[GATED]),
        ),
        bias(
            "biases.query_key_value",
            "biases of the map to queries, keys and values",
            a.biases.query_key_value,
        ),
        bias("biases.projection", "biases of attention's projection", a.biases.projection),
        bias("biases.feed_forward", "biases of the feed-forward part", a.biases.feed_forward),
        bias("biases.norm", "shifts of layer normalisation", a.biases.norm),
        (
            "tied",
            "table of the head",
            if a.tied { "the embedding's" } else { "its own" }.to_owned(),
            when(a.tied, &[TIED]),
        ),
        (
            "logit_divisor",
            "divisor of logits",
            decimal(a.logit_divisor),
            when(a.logit_divisor != 1.0, &[WIDTH, GRANITE]),
        ),
        capped("logit_cap", "cap of logits", a.logit_cap, "c·tanh(z/c)"),
        ("dropout", "dropout in training", decimal(a.dropout), when(a.dropout > 0.0, &[DROPOUT])),
    ]
}

/// Returns the number of layers that have something, in words.
fn in_layers(a: &Architecture, has: impl Fn(usize) -> bool) -> String {
    match (0..a.layers).filter(|&i| has(i)).count() {
        all if all == a.layers => "in all layers".to_owned(),
        some => format!("in {some} of {} layers", a.layers),
    }
}

/// Returns the positions in words.
fn positions(a: &Architecture) -> Said {
    let (value, papers) = match a.positions {
        Positions::Learned => {
            let gehring =
                paper("Gehring et al.", 2017, "Convolutional Sequence to Sequence Learning");
            ("a learned vector per position, added to the token's".to_owned(), vec![gehring])
        }
        Positions::Sinusoidal => (
            "sines and cosines of the position, added to the token's vector".to_owned(),
            vec![TRANSFORMER],
        ),
        Positions::Rotary(Rotary { base, share, scaling, local_base }) => {
            let mut papers = vec![ROFORMER];
            let mut value = format!("queries and keys turn with the position, base {base}");
            if let Some(local) = local_base {
                value += &format!(", {local} in layers with a window");
                papers.push(GEMMA_3);
            }
            if share != 1.0 {
                value += &format!(", {share} of a head's coordinates");
                papers.push(NEOX);
            }
            match scaling {
                Scaling::Linear { factor } => {
                    value += &format!(", frequencies divided by {factor}");
                    papers.push(INTERPOLATION);
                }
                Scaling::Llama3 { factor, original, .. } => {
                    value += &format!(
                        ", low frequencies divided by {factor} for contexts above {original}"
                    );
                    papers.push(LLAMA_3);
                }
                _ => {}
            }
            (value, papers)
        }
    };
    ("positions", "positions", value, papers)
}

/// Returns a meaning without its capital, as part of a sentence.
fn lower(meaning: &str) -> String {
    let mut letters = meaning.chars();
    let first = letters.next().into_iter().flat_map(char::to_lowercase);
    first.chain(letters).collect()
}

/// Returns an architecture as JSON, in which every number has its shortest form.
fn plain(a: &Architecture) -> Value {
    serde_json::to_value(a).expect("a tree of plain values")
}

/// Adds the differences of two values under a dotted name; of two objects, those of their fields.
fn differing(name: String, a: &Value, b: &Value, all: &mut Vec<(String, String, String)>) {
    if let (Value::Object(a), Value::Object(b)) = (a, b)
        && a.keys().eq(b.keys())
    {
        for ((key, a), b) in a.iter().zip(b.values()) {
            let dot = if name.is_empty() { "" } else { "." };
            differing(format!("{name}{dot}{key}"), a, b, all);
        }
    } else if a != b {
        let shown = |value: &Value| value.to_string().replace('"', "");
        all.push((name, shown(a), shown(b)));
    }
}
