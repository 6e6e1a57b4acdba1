//! Training progress: a bar on a terminal, plain lines elsewhere.

use crate::plot::thousands;
use crate::{remark, terminal};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::time::{Duration, Instant};
use transformer::inspect::diagnose::Stage;
use transformer::{Evaluation, Step};

/// Shows steps as they complete.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    steps: u64,
    tokens_per_step: usize,
    began: Instant,
    /// The number of steps since then, and their time.
    taken: u64,
    in_steps: Duration,
    /// The loss, averaged over about the last twenty steps.
    smooth: Option<f64>,
    last_line: Instant,
}

/// Seconds between two plain lines.
const PAUSE: Duration = Duration::from_secs(5);

impl Progress {
    /// Shows progress from step `first` to `steps`.
    pub(crate) fn new(first: u64, steps: u64, tokens_per_step: usize) -> Self {
        let bar = terminal::draws(&std::io::stderr()).then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(10);
            let bar = ProgressBar::with_draw_target(Some(steps), target).with_position(first);
            let style = "{bar:28.cyan/238} {pos:>5}/{len} steps  {wide_msg}";
            bar.set_style(
                ProgressStyle::with_template(style).expect("a template").progress_chars("━━╌"),
            );
            bar
        });
        let now = Instant::now();
        Progress {
            bar,
            steps,
            tokens_per_step,
            began: now,
            taken: 0,
            in_steps: Duration::ZERO,
            smooth: None,
            last_line: now,
        }
    }

    /// Changes the number of steps of the run.
    pub(crate) fn expect(&mut self, steps: u64) {
        self.steps = steps;
        if let Some(bar) = &self.bar {
            bar.set_length(steps);
        }
    }

    /// Returns the number of steps since the beginning.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns the tokens per second of steps, without measuring and saving.
    pub(crate) fn tokens_per_second(&self) -> f64 {
        let tokens = self.taken as f64 * self.tokens_per_step as f64;
        tokens / self.in_steps.as_secs_f64().max(1e-9)
    }

    /// Returns the seconds since the beginning.
    pub(crate) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Reports a completed step.
    pub(crate) fn step(&mut self, step: &Step, took: Duration) {
        self.taken += 1;
        self.in_steps += took;
        let smooth = self.smooth.map_or(step.loss, |s| s + (step.loss - s) / 20.0);
        self.smooth = Some(smooth);
        let left = (self.steps - step.number) as f64 * self.seconds() / self.taken as f64;
        let speed = thousands(self.tokens_per_second());
        let message = format!("loss {smooth:.3}  {speed} tokens/s  {} left", duration(left));
        match &self.bar {
            Some(bar) => {
                bar.set_message(message);
                bar.set_position(step.number);
            }
            None if self.last_line.elapsed() >= PAUSE => {
                self.last_line = Instant::now();
                remark(format!("step {:>5}/{}  {message}", step.number, self.steps));
            }
            None => {}
        }
    }

    /// Reports completed parts of the current step, or windows of an evaluation, if they take long.
    pub(crate) fn within(&mut self, what: &str, done: usize, all: usize) {
        if self.last_line.elapsed() < if self.bar.is_some() { PAUSE / 5 } else { PAUSE } {
            return;
        }
        self.last_line = Instant::now();
        let percent = 100 * done / all.max(1);
        match &self.bar {
            Some(bar) => bar.set_message(format!("{what}: {percent} %")),
            None => remark(format!("{what}: {percent} %")),
        }
    }

    pub(crate) fn evaluated(&mut self, step: u64, measured: &Evaluation) {
        let loss = measured.loss;
        self.line(&format!("step {step:>5}/{}  validation loss {loss:.4}", self.steps));
    }

    /// Prints a line, above the bar if there is one.
    pub(crate) fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => remark(line),
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Returns a progress bar on a terminal, and a hidden one elsewhere.
pub(crate) fn bar(what: &str) -> ProgressBar {
    if !terminal::draws(&std::io::stderr()) {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    let style = format!("{{bar:28.cyan/238}} {{pos:>5}}/{{len}} {what}  {{elapsed}}");
    bar.set_style(ProgressStyle::with_template(&style).expect("a template").progress_chars("━━╌"));
    bar
}

/// The number of completed tokens: a bar on a terminal, plain lines elsewhere.
pub(crate) struct Bar {
    bar: Option<ProgressBar>,
    all: u64,
    done: u64,
    unit: &'static str,
    last_line: Instant,
}

impl Bar {
    /// Shows progress in `all` tokens, or what `unit` says; 0 if the number is not known.
    pub(crate) fn new(all: u64, unit: &'static str) -> Self {
        let bar = terminal::draws(&std::io::stderr()).then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(10);
            let (length, style) = match all {
                0 => (None, format!("{{spinner}} {{human_pos}} {unit}  {{per_sec}}  {{elapsed}}")),
                n => (
                    Some(n),
                    format!("{{bar:28.cyan/238}} {{human_pos}}/{{human_len}} {unit}  {{per_sec}}  {{eta}} left"),
                ),
            };
            let style = ProgressStyle::with_template(&style).expect("a template");
            ProgressBar::with_draw_target(length, target).with_style(style.progress_chars("━━╌"))
        });
        Bar { bar, all, done: 0, unit, last_line: Instant::now() }
    }

    /// Shows that `more` are done.
    pub(crate) fn advance(&mut self, more: u64) {
        self.done += more;
        self.set(self.done);
    }

    pub(crate) fn set(&mut self, done: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None if self.last_line.elapsed() >= PAUSE => {
                self.last_line = Instant::now();
                let of = if self.all > 0 {
                    format!(" of {}", thousands(self.all as f64))
                } else {
                    String::new()
                };
                remark(format!("{}{of} {}", thousands(done as f64), self.unit));
            }
            None => {}
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The work of a diagnosis or a plan: a spinner on a terminal, plain lines elsewhere.
pub(crate) struct Stages {
    bar: ProgressBar,
    last_line: Cell<Instant>,
}

impl Stages {
    /// Shows the elapsed time on a terminal.
    pub(crate) fn new() -> Self {
        let bar = match terminal::draws(&std::io::stderr()) {
            true => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10)),
            false => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("{spinner} {elapsed}  {wide_msg}");
        bar.set_style(style.expect("a template"));
        bar.enable_steady_tick(Duration::from_millis(100));
        Stages { bar, last_line: Cell::new(Instant::now()) }
    }

    /// Shows a stage.
    pub(crate) fn show(&self, stage: Stage<'_>) {
        let message = match stage {
            Stage::Watched { done, of, loss } => {
                format!("watched {done}/{of} steps, loss {loss:.3}")
            }
            Stage::Tried { cure, done, of } => format!("trying {cure}: {done}/{of} steps"),
            Stage::Measuring(what) => format!("measuring {what}"),
            Stage::Remark(line) => return self.bar.suspend(|| remark(line)),
            _ => return,
        };
        self.say(&message);
    }

    /// Shows a line.
    pub(crate) fn say(&self, message: &str) {
        if self.bar.is_hidden() && self.last_line.get().elapsed() >= PAUSE {
            self.last_line.set(Instant::now());
            remark(message);
        }
        self.bar.set_message(message.to_owned());
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Formats seconds: 75 as "1m15s".
pub(crate) fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(7.4), "7s");
        assert_eq!(duration(75.0), "1m15s");
        assert_eq!(duration(3.0 * 3600.0 + 240.0), "3h04m");
    }
}
