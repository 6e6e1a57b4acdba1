//! Every backward rule of the workspace with a mistake in it, every rule that silently sends one of its operands nothing, and
//! every formula that states something else than what is computed: `check` catches all.
//!
//! Which mistakes can be seen at all is asked of the forward code alone: an operand counts if moving it moves the
//! output. Every mistake on such an operand must be caught.

use linalg::Primitive;
use std::collections::{BTreeMap, BTreeSet};
use tests::alone::{Alone, Shared, Slip, Slipped};
use tests::law::Case;
use tests::registry::{self, Visitor};

/// Mistakes made and caught, by rule.
#[derive(Default)]
struct Table {
    rows: BTreeMap<String, [(usize, usize); 5]>,
    /// Every rule that was visited, tried or not.
    names: BTreeSet<String>,
    survivors: Vec<String>,
}

/// The columns of the table.
const COLUMNS: [&str; 5] = ["sign", "twice", "overwrites", "sends nothing", "misstates"];

impl Visitor for Table {
    fn visit<P: Primitive<N>, const N: usize>(&mut self, case: Case<P, N>) {
        let name = format!("{} of {N}", case.primitive.name());
        self.names.insert(name.clone());
        let elements: usize = case.inputs.iter().map(|x| x.len()).sum();
        if elements > 400 {
            return; // a mistake is a mistake in small
        }
        let shared = Shared::new(case.primitive);
        let (inputs, smooth) = (case.inputs, case.smooth);
        let healthy = Alone { primitive: shared.clone(), inputs: inputs.clone(), smooth };
        let found = healthy.failing();
        assert!(found.is_empty(), "{name} itself fails {found:?}");
        let cuts = (0..N).filter(|&k| smooth[k]).map(Slip::Cut);
        let moves: [bool; N] = std::array::from_fn(|k| smooth[k] && healthy.moves(k));
        let states = (0..N).filter(|&k| smooth[k]).map(Slip::MisstatesGradient);
        let all = [Slip::Sign, Slip::Twice, Slip::Overwrites, Slip::MisstatesValue].into_iter();
        let is_there = healthy.output().iter().any(|&y| y != 0.0 && y.is_finite());
        for slip in all.chain(cuts).chain(states) {
            let mutant = Alone {
                primitive: Slipped { original: shared.clone(), slip },
                inputs: inputs.clone(),
                smooth,
            };
            let failing = mutant.failing();
            let column = match slip {
                Slip::Sign => 0,
                Slip::Twice => 1,
                Slip::Overwrites => 2,
                Slip::Cut(_) => 3,
                Slip::MisstatesValue | Slip::MisstatesGradient(_) => 4,
            };
            let caught = match slip {
                Slip::Cut(_) => failing.contains(&"no path is cut"),
                Slip::MisstatesValue | Slip::MisstatesGradient(_) => {
                    failing == ["every operation computes what its formula states"]
                }
                _ => !failing.is_empty(),
            };
            let shows = match slip {
                Slip::Cut(k) | Slip::MisstatesGradient(k) => moves[k],
                Slip::MisstatesValue => is_there,
                Slip::Overwrites => true,
                _ => moves.contains(&true),
            };
            if shows {
                let entry = &mut self.rows.entry(name.clone()).or_default()[column];
                entry.0 += 1;
                entry.1 += usize::from(caught);
                if !caught {
                    self.survivors.push(format!("{name}: {slip:?}"));
                }
            }
        }
    }
}

#[test]
fn check_catches_every_mutant_of_every_rule() {
    let mut table = Table::default();
    registry::every(&mut table);
    println!("{:<44} {}", "caught of made", COLUMNS.map(|c| format!("{c:>14}")).concat());
    for (name, row) in &table.rows {
        let numbers = row.map(|(made, caught)| format!("{:>14}", format!("{caught}/{made}")));
        println!("{name:<44} {}", numbers.concat());
    }
    assert!(table.survivors.is_empty(), "not caught:\n{}", table.survivors.join("\n"));
    // No rule is left out for the size of its operands.
    let rows: BTreeSet<String> = table.rows.keys().cloned().collect();
    assert_eq!(rows, table.names, "rules without a mutant");
    // At least two mistakes, and an operand that gets nothing, for every rule with a gradient.
    for (name, [sign, twice, over, cut, states]) in &table.rows {
        if ["sinusoidal positions", "norms of adapted rows"].iter().any(|own| name.starts_with(own))
        {
            assert!(cut.0 == 0 && states.0 >= 1, "{name} has no gradient, and one formula");
            continue;
        }
        assert!(sign.0 + twice.0 + over.0 >= 2 && cut.0 >= 1, "{name}: too few mutants");
        assert!(states.0 >= 2, "{name}: too few formulas");
    }
}
