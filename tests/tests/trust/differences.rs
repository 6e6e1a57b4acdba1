//! Central differences see a thousandth of any one tensor's gradient, in models as deep as they are trained.

use std::collections::BTreeSet;
use tests::deep::Deep;
use transformer::Subject;
use transformer::inspect::check::{Verdict, differences};

#[test]
fn a_thousandth_of_one_tensors_gradient_is_seen_in_twelve_layers() {
    let deep = Deep { layers: 12, slip: None };
    let parameters = deep.parameters();
    let right = differences(&deep, &parameters, 1).expect("valid");
    println!("{}: {:.3} of {}: {}", right.name, right.measured, right.limits.1, right.detail);
    assert_eq!(right.verdict, Verdict::Pass, "{right:?}");
    let names: Vec<String> = {
        let tape = deep.record::<f64>().expect("valid").tape;
        tape.parameter_list().into_iter().map(|p| p.name).collect()
    };
    assert_eq!(names.len(), 3 + 10 * 12);
    // The three outside the blocks, and each of a block's ten: nine in steps of 13, and the tenth.
    let tried: Vec<usize> = (0..names.len()).step_by(13).chain([10, 121, 122]).collect();
    let kind = |name: &String| name.splitn(3, '.').last().map(str::to_owned);
    let kinds: BTreeSet<_> = tried.iter().map(|&i| kind(&names[i])).collect();
    assert_eq!(kinds.len(), 10 + 3);
    let mut survivors = vec![];
    for which in tried {
        let factor = if which % 2 == 0 { 1.001 } else { 0.999 };
        let slip = Some((which, factor));
        let c = differences(&Deep { slip, ..deep }, &parameters, 1).expect("valid");
        println!("{:<32} × {factor}: {:.1e} limits", names[which], c.measured);
        if c.verdict != Verdict::Fail || !c.detail.ends_with(&names[which]) {
            survivors.push(format!("{} × {factor}: {c:?}", names[which]));
        }
    }
    assert!(survivors.is_empty(), "not seen:\n{}", survivors.join("\n"));
}
