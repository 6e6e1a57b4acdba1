use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// Every text with its probability, by enumeration.
fn enumerate(grammar: &Grammar) -> Vec<(String, f64)> {
    fn texts(
        g: &Grammar,
        part: &Part,
        so_far: Vec<(String, f64, Vec<usize>)>,
    ) -> Vec<(String, f64, Vec<usize>)> {
        let each = so_far.into_iter();
        match part {
            Part::Text(t) => each.map(|(s, p, d)| (s + t, p, d)).collect(),
            Part::Use(v, f) => each.map(|(s, p, d)| (s + g.field(*v, d[*v], *f), p, d)).collect(),
            Part::Sequence(parts) => {
                parts.iter().fold(each.collect(), |so_far, part| texts(g, part, so_far))
            }
            Part::Choice(of) => each
                .flat_map(|(s, p, d)| {
                    let branch = move |(q, a): &(f64, Part)| {
                        texts(g, a, vec![(s.clone(), p * q, d.clone())])
                    };
                    of.iter().flat_map(branch).collect::<Vec<_>>()
                })
                .collect(),
            Part::Scope(v, inside) => each
                .flat_map(|(s, p, d)| {
                    let records = g.variables[*v].records.iter().enumerate();
                    let branch = move |(i, (q, _)): (usize, &(f64, Vec<String>))| {
                        let mut d = d.clone();
                        d[*v] = i;
                        texts(g, inside, vec![(s.clone(), p * q, d)])
                    };
                    records.flat_map(branch).collect::<Vec<_>>()
                })
                .collect(),
        }
    }
    let start = vec![(String::new(), 1.0, vec![0; grammar.variables.len()])];
    texts(grammar, &grammar.root, start).into_iter().map(|(s, p, _)| (s, p)).collect()
}

fn people() -> Variable {
    Variable {
        name: "who".into(),
        fields: vec!["name".into(), "she".into()],
        records: [(1.0, "Ann", "she"), (2.0, "Bob", "he"), (1.0, "Cleo", "she")]
            .map(|(w, n, p)| (w, vec![n.into(), p.into()]))
            .to_vec(),
    }
}

/// Random templates: choices and sequences of letters, uses of one variable.
fn template() -> impl Strategy<Value = String> {
    let leaf =
        prop_oneof!["[a-d]{1,2}", Just("{who.name}".to_owned()), Just("{who.she}".to_owned()),];
    leaf.prop_recursive(3, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec((1u32..5, inner), 1..4).prop_map(|alternatives| {
                let shown = alternatives.into_iter().map(|(w, a)| format!("{w}:{a}"));
                format!("[{}]", shown.collect::<Vec<_>>().join("|"))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_computed_is_what_enumeration_finds(body in template()) {
        let made = Grammar::new(&[people()], &format!("<who:{body}>."));
        let Ok(grammar) = made else {
            // Ambiguous, according to the proof.
            let refused = matches!(made, Err(GrammarError::Ambiguous { .. }));
            prop_assert!(refused);
            return Ok(());
        };
        let all = enumerate(&grammar);
        let sum = |f: &dyn Fn(&(String, f64)) -> f64| all.iter().map(f).sum::<f64>();
        prop_assert!((sum(&|t| t.1) - 1.0).abs() < 1e-12);
        // One derivation each: no text occurs twice.
        let different: HashMap<&str, f64> = all.iter().map(|(s, p)| (&s[..], *p)).collect();
        prop_assert_eq!(different.len(), all.len());
        prop_assert!((sum(&|t| -t.1 * t.1.ln()) - grammar.entropy().0).abs() < 1e-12);
        let length = |s: &str| s.chars().count();
        prop_assert!((sum(&|t| t.1 * length(&t.0) as f64) - grammar.expected_length()).abs() < 1e-9);
        prop_assert_eq!(all.iter().map(|t| length(&t.0)).max(), Some(grammar.longest()));
        for (text, p) in all.iter().take(20) {
            let found = grammar.derivations(text);
            prop_assert_eq!(found.len(), 1);
            prop_assert!((found[0].0 + p.ln()).abs() < 1e-12);
        }
        let drawn = grammar.sample(&Random::new(1, 2, 3));
        prop_assert!(different.contains_key(&drawn[..]));
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused_with_a_witness() {
    let refused = |template: &str| match Grammar::new(&[people()], template) {
        Err(GrammarError::Ambiguous { witness, .. }) => witness,
        other => panic!("{template}: {other:?}"),
    };
    assert_eq!(refused("[a|ab]c"), "a");
    assert_eq!(refused("x[a|a]"), "a");
    assert_eq!(refused("[[ab|c]d|abd]"), "abd");
    assert_eq!(refused("[|a]"), "");
    assert_eq!(refused("[x[|]a|xb]"), ""); // two ways from x on, to the same place
    // The record never appears, or appears only in a field that two records share.
    assert_eq!(refused("<who:x>"), "x");
    assert_eq!(refused("<who:{who.she}>"), "she");
    assert!(Grammar::new(&[people()], "[a|bc]<who:[x|y] {who.she} {who.name}>").is_ok());
}

#[test]
fn samples_have_their_probabilities() {
    let grammar = Grammar::new(&[people()], "<who:{who.name}[3:x|y]>").unwrap();
    let n = 20_000;
    let mut counts: HashMap<String, f64> = HashMap::new();
    for i in 0..n {
        *counts.entry(grammar.sample(&Random::new(7, 0, i))).or_default() += 1.0;
    }
    for (text, p) in enumerate(&grammar) {
        let deviation = (f64::from(n) * p * (1.0 - p)).sqrt();
        assert!((counts[&text] - f64::from(n) * p).abs() < 5.0 * deviation, "{text}");
    }
}

#[test]
fn wrong_templates_are_refused_where_they_are_wrong() {
    let message = |template: &str| Grammar::new(&[people()], template).unwrap_err().to_string();
    assert_eq!(message("ab]"), "character 3 of the template: ']' closes nothing");
    assert!(message("[a|b").contains("the template ends where ']' is expected"));
    assert!(message("{who.name}").contains("outside of its scope"));
    assert!(message("<who:{who.age}>").contains("no field \"age\", but name, she"));
    assert!(message("<you:a>").contains("no variable \"you\""));
    assert!(message("<who:<who:{who.name}>>").contains("already"));
    assert!(message("[0:a|b]").contains("weights must be positive"));
    let mut broken = people();
    broken.records[1].1.pop();
    assert!(
        Grammar::new(&[broken], "a").unwrap_err().to_string().contains("record 2 has 1 fields")
    );
}

/// A grammar of one text of any weights, or of any two.
fn of_weights(weights: &[f64]) -> Result<Grammar, GrammarError> {
    let letters = ["a", "b", "c"];
    let mut coin = Variable::new("coin", ["side"], &letters.map(|l| [l])[..weights.len()]);
    coin.records.iter_mut().zip(weights).for_each(|(r, w)| r.0 = *w);
    Grammar::new(&[coin], "<coin:{coin.side}>")
}

#[test]
fn hard_floats() {
    // Invalid weights, weights that underflow beside another, and no records.
    for bad in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324, 1e-309] {
        let refused = of_weights(&[1.0, bad]).unwrap_err();
        assert_eq!(refused, GrammarError::Weights { what: "coin".into() }, "{bad:e}");
    }
    assert!(of_weights(&[f64::MAX, f64::MIN_POSITIVE]).is_err() && of_weights(&[]).is_err());
    let digits = "9".repeat(400);
    assert!(Grammar::new(&[], &format!("[{digits}:a|b]")).is_err()); // ∞ in f64
    assert!(Grammar::new(&[], "[0:a|0:b]").is_err());
    // Only ratios matter: the smallest and the largest numbers are allowed.
    for x in [5e-324, 1e-310, 1.0, 1e300, f64::MAX] {
        let coin = of_weights(&[x, x]).unwrap();
        assert_eq!(coin.entropy().to_bits().0, 1.0, "{x:e}");
        assert_eq!(coin.surprisal("b").unwrap().to_bits().0, 1.0);
    }
    // The rarest alternative: 708 nats, and almost no entropy.
    let seldom = of_weights(&[1.0, f64::MIN_POSITIVE]).unwrap();
    let nats = seldom.surprisal("b").unwrap().0;
    assert!((nats + f64::MIN_POSITIVE.ln()).abs() < 1e-12);
    assert!((seldom.entropy().0 / (f64::MIN_POSITIVE * nats) - 1.0).abs() < 1e-12);
    // One text: +0 nats. The empty text has no characters to divide by.
    for certain in ["ab", "[ab]", "<coin:{coin.side}>", ""] {
        let coin = Variable::new("coin", ["side"], &[["ab"]]);
        let grammar = Grammar::new(&[coin], certain).unwrap();
        let length = if certain.is_empty() { 0 } else { 2 };
        assert_eq!(grammar.entropy().0.to_bits(), 0, "{certain}");
        assert_eq!(grammar.expected_length().to_bits(), f64::from(length).to_bits());
        assert_eq!(grammar.longest(), length as usize);
        let text = grammar.sample(&Random::new(0, 0, 0));
        assert_eq!(grammar.surprisal(&text).unwrap().0.to_bits(), 0);
        assert_eq!(grammar.surprisal("x"), None);
        match grammar.entropy_rate() {
            Ok(rate) => assert!(length == 2 && rate.0.to_bits() == 0),
            Err(why) => assert!(length == 0 && why == InfoError::NoMean { what: "characters" }),
        }
    }
}

#[test]
fn a_scope_inside_of_an_alternative() {
    // A record is drawn only if its alternative is taken: H(½) + ½·ln 3.
    let letters = || Variable::new("x", ["y"], &[["a"], ["b"], ["c"]]);
    let grammar = Grammar::new(&[letters()], "[<x:({x.y}{x.y})>|-]").unwrap();
    let expected = 2.0_f64.ln() + 3.0_f64.ln() / 2.0;
    assert!((grammar.entropy().0 - expected).abs() < 1e-15);
    assert!((grammar.entropy_rate().unwrap().0 - expected / 2.5).abs() < 1e-15);
    // A message names a scope by its start, including the fields that it may start with.
    let refused = Grammar::new(&[letters()], "[<x:{x.y}!>|a!]").unwrap_err().to_string();
    assert!(refused.starts_with("\"{x.y}\" and \"a!\" cannot be told apart"), "{refused}");
    let refused = Grammar::new(&[letters()], "<x{x.y}>").unwrap_err().to_string();
    assert!(refused.contains("'{' where ':' is expected"), "{refused}");
}

/// Brackets of every kind are counted before any recursion, closed or not.
#[test]
fn depth_is_bounded() {
    let scopes: Vec<Variable> =
        (0..20_000).map(|i| Variable::new(&format!("v{i}"), ["f"], &[["a"]])).collect();
    for n in [257, 20_000, 1_000_000] {
        let refused = Grammar::new(&[], &"[".repeat(n)).unwrap_err().to_string();
        assert_eq!(refused, "character 258 of the template: more than 256 brackets are open here");
        let closed = format!("{}a{}", "[".repeat(n), "]".repeat(n));
        assert!(matches!(
            Grammar::new(&[], &closed),
            Err(GrammarError::Template { place: 258, .. })
        ));
    }
    let nested: String = (0..20_000).map(|i| format!("<v{i}:")).collect();
    assert!(matches!(Grammar::new(&scopes, &nested), Err(GrammarError::Template { .. })));
    // The maximum depth.
    let deep = format!("{}a{}", "[".repeat(256), "|b]".repeat(256));
    assert!(matches!(Grammar::new(&[], &deep), Err(GrammarError::Ambiguous { .. })));
    let deep: String = format!("{}a{}", "[".repeat(256), "]".repeat(256));
    let grammar = Grammar::new(&[], &deep).unwrap();
    assert_eq!((grammar.longest(), grammar.surprisal("a")), (1, Some(Nats(0.0))));
}

/// Long templates are walked without recursion: a hundred thousand choices and uses in a row.
#[test]
fn length_is_no_depth() {
    let n = 50_000;
    let who = || Variable::new("who", ["name"], &[["Ann"], ["Bob"]]);
    let grammar =
        Grammar::new(&[who()], &format!("<who:{}>", "{who.name}[a|b][]".repeat(n))).unwrap();
    assert_eq!(grammar.longest(), 4 * n);
    let text = "Anna".repeat(n);
    let found = grammar.derivations(&text);
    assert_eq!(found.len(), 1);
    let bits = found[0].to_bits().0;
    assert!((bits - (n + 1) as f64).abs() <= 1e-9 * n as f64, "{bits}");
    assert_eq!(grammar.surprisal(&format!("{text}!")), None);
    // A short template that is long with its records is refused before it is built.
    let names: Vec<[String; 1]> = (0..10_000).map(|i| [format!("{i:05}")]).collect();
    let names: Vec<[&str; 1]> = names.iter().map(|[n]| [n.as_str()]).collect();
    let many = Variable::new("many", ["name"], &names);
    let refused = Grammar::new(&[many], &format!("<many:{}>", "{many.name}".repeat(n)));
    assert!(matches!(refused, Err(GrammarError::TooLong { .. })));
}

/// Fifty records of five variables in nested scopes: the longest text and the reading of one take 250 steps, not 50⁵.
#[test]
fn nested_scopes_are_not_multiplied() {
    let variables: Vec<Variable> = (0..5)
        .map(|v| Variable {
            name: format!("v{v}"),
            fields: vec!["first".into(), "second".into()],
            records: (0..50)
                .map(|r| {
                    (
                        1.0,
                        vec![
                            "x".repeat(r % 7),
                            format!("{r:02}{}", "y".repeat((r * (v + 3)) % 11)),
                        ],
                    )
                })
                .collect(),
        })
        .collect();
    let uses: String = (0..5).map(|v| format!("{{v{v}.second}}.{{v{v}.first}};")).collect();
    let scopes: String = (0..5).map(|v| format!("<v{v}:")).collect();
    let grammar = Grammar::new(&variables, &format!("{scopes}{uses}{}", ">".repeat(5))).unwrap();
    let longest: usize = variables
        .iter()
        .map(|v| v.records.iter().map(|(_, f)| f[0].len() + f[1].len() + 2).max().unwrap())
        .sum();
    assert_eq!(grammar.longest(), longest);
    for seed in 0..20 {
        let text = grammar.sample(&Random::new(seed, 0, 0));
        let found = grammar.derivations(&text);
        assert_eq!(found.len(), 1);
        assert!((found[0] - grammar.entropy()).0.abs() < 1e-12); // all texts are equally probable
        assert!(text.chars().count() <= longest);
    }
}

proptest! {
    /// The longest of all texts by enumeration, including variables that meet in choices.
    #[test]
    fn the_longest_text_is_the_longest_of_all(
        lengths in prop::collection::vec((0usize..4, 0usize..4), 6), shape in 0usize..4,
    ) {
        let variables: Vec<Variable> = (0..2)
            .map(|v| Variable {
                name: ["a", "b"][v].into(),
                fields: vec!["x".into(), "y".into()],
                records: (0..3)
                    .map(|r| {
                        let (x, y) = lengths[3 * v + r];
                        (1.0, vec![format!("{r}{}", "-".repeat(x)), "+".repeat(y)])
                    })
                    .collect(),
            })
            .collect();
        let body = [
            "<a:<b:{a.x}.{b.x}.{a.y}{b.y}>>",
            "<a:<b:{a.x}.{b.x}.[1{a.y}{a.y}.|2{b.y}{b.y}.|3{a.y}{b.y}..]>>",
            "<a:{a.x}.<b:{b.x}.[1{a.y}|2{b.y}{b.y}|3]>!{a.y}>",
            "[1<a:{a.x}.{a.y}{a.y}>|2<b:{b.x}.<a:{a.x}.[p{a.y}{b.y}|q]>>]",
        ][shape];
        let grammar = Grammar::new(&variables, body).unwrap();
        let longest = enumerate(&grammar).iter().map(|(s, _)| s.chars().count()).max().unwrap();
        prop_assert_eq!(grammar.longest(), longest);
    }
}
