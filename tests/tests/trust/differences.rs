//! Central differences see a thousandth of any one tensor's gradient, in models as deep as they are trained.

use tests::deep::Deep;
use transformer::Subject;
use transformer::check::{Verdict, differences};

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
    // Each of the ten kinds, in different depths, and the three outside the blocks; a seventh is coprime to ten.
    let tried: Vec<usize> = (0..names.len()).step_by(7).chain([121, 122]).collect();
    let mut survivors = vec![];
    for which in tried {
        for factor in [1.001, 0.999] {
            let slip = Some((which, factor));
            let c = differences(&Deep { slip, ..deep }, &parameters, 1).expect("valid");
            let seen = c.verdict == Verdict::Fail && c.detail.ends_with(&names[which]);
            if !seen {
                survivors.push(format!("{} × {factor}: {c:?}", names[which]));
            } else if factor > 1.0 {
                println!("{:<32} × {factor}: {:.1e} limits", names[which], c.measured);
            }
        }
    }
    assert!(survivors.is_empty(), "not seen:\n{}", survivors.join("\n"));
}
