//! The recording used by the examples of [`Tape`].

use crate::{Recorder, Tape, Var};
use linalg::{Shape, hadamard::Hadamard};

/// Records y = w·x with the parameter w = 3 and the input x = 2, ready for replay.
pub fn product() -> (Tape<f64>, [Var; 3]) {
    let number = Shape::new(1, 1);
    let mut r = Recorder::new();
    let mut record = || {
        let (w, x) = (r.parameter("w", number)?, r.input("x", number)?);
        let y = r.push("y", Hadamard, [w, x])?;
        Ok::<_, crate::RecordError>([w, x, y])
    };
    let [w, x, y] = record().expect("three numbers of three names");
    let mut tape = r.finish();
    tape.set(w, &[3.0]);
    tape.set(x, &[2.0]);
    (tape, [w, x, y])
}
