//! A step explained: addresses of its numbers, its page.

use super::{Numbers, accepted, refused};
use transformer::inspect::explain::{Descent, Explanation, Place, Quantity, Subject};
use transformer::{Architecture, Form, IGNORED, RecordedStep};

/// A step of three tokens, of which the tokens' names and some of the weights are given.
fn step(title: &str, weights: &[f64]) -> Explanation<f32> {
    let config = Architecture {
        vocabulary: 5,
        context: 4,
        width: 4,
        heads: 2,
        hidden: 8,
        ..Default::default()
    };
    let mut model =
        RecordedStep::<f32>::record(&config, 1, 3, Form::Fused, 0).expect("a small model");
    model.initialise(1);
    let mut parameters = model.tape().parameters().to_vec();
    parameters.iter_mut().zip(weights).for_each(|(own, given)| *own = *given as f32);
    let names = title.chars().map(String::from).take(5).collect();
    Explanation::of(Subject {
        title: title.to_owned(),
        config,
        parameters,
        tokens: vec![0, 2, 1],
        targets: vec![2, 1, IGNORED],
        names,
        descent: Descent { clip: 1.0, ..Descent::plain(0.1) },
        unigram: None,
        teacher: vec![],
        remarks: vec![title.to_owned()],
        seed: 0,
    })
    .expect("a small step")
}

thread_local! {
    static STEP: Explanation<f32> = step("plain", &[]);
}

const QUANTITIES: [Quantity; 5] = [
    Quantity::Value,
    Quantity::Gradient,
    Quantity::Clipped,
    Quantity::Remembered(0),
    Quantity::Updated,
];

/// What stands after `explain --at`.
pub fn address(data: &[u8]) {
    let address = String::from_utf8_lossy(data);
    STEP.with(|step| {
        let place = match step.place(&address) {
            Ok(place) => place,
            Err(error) => return refused(error),
        };
        accepted("address");
        assert_eq!(step.place(&step.describe(&place)).as_ref(), Ok(&place), "{address:?}");
        for quantity in QUANTITIES {
            match step.as_quantity(place.clone(), quantity) {
                Ok(place) => holds(step, &place),
                Err(error) => refused(error),
            }
        }
    });
}

fn holds(step: &Explanation<f32>, place: &Place) {
    let derived = step.derive(place);
    assert!(derived.holds(), "{}", derived.name);
    let text = step.text(&derived);
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}

/// Every name of the step, with its last element.
pub fn address_seeds() -> Vec<Vec<u8>> {
    STEP.with(|step| {
        let all =
            step.quantities().into_iter().filter(|(_, quantity, _)| *quantity == Quantity::Value);
        let last =
            all.map(|(name, quantity, count)| step.element_place(&name, quantity, count - 1));
        last.map(|place| step.describe(&place).into_bytes()).collect()
    })
}

/// A byte counts weights; they follow, and then the title, which is also the tokens' names: no text becomes a part of
/// the page's program, and no number keeps it from being written.
pub fn page(data: &[u8]) {
    let mut rest = Numbers(data);
    let count = rest.byte().unwrap_or(0);
    let weights: Vec<f64> = (0..count).map_while(|_| rest.next()).collect();
    let title = String::from_utf8_lossy(rest.0);
    let tags = |step: &Explanation<f32>| {
        let html = step.page(1 << 20).expect("a page").html.to_lowercase();
        ["<script", "</script", "<!--", "<img", "</title"].map(|tag| html.matches(tag).count())
    };
    let step = step(&title, &weights);
    assert_eq!(tags(&step), STEP.with(tags), "{title:?}");
    accepted("page");
    for (name, quantity, count) in step.quantities() {
        let place = step.element_place(&name, quantity, count - 1);
        // Numbers that are none hold nothing; the text is there.
        let derived = step.derive(&place);
        assert!(!step.text(&derived).is_empty());
    }
}

/// Harmless; HTML; weights that are none.
pub fn page_seeds() -> Vec<Vec<u8>> {
    let seeds: [&[u8]; 3] = [
        b"\0abcde",
        b"\0</script><script>alert(1)</script><!-- </title>",
        b"\x03\xc8\xc9\xd3ab\"\\c",
    ];
    seeds.map(<[u8]>::to_vec).into()
}
