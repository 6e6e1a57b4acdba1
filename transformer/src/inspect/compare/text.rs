//! The report in words. A model, a setting or a change is called better only if its test says so.

use super::divergence::{Divergence, Outcome};
use super::report::{Report, Searched, label};
use super::verdict::{Pair, Settings, Test};
use crate::inspect::compare::losses::Unit;
use crate::printable::printable;
use crate::words;
use infotheory::bits;
use std::fmt::{self, Display, Formatter};

/// The greatest width of a column of settings, in characters.
const WIDEST: usize = 28;
/// Tokens listed for each pair where there are several pairs.
const FEW: usize = 3;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.models(f)?;
        self.differences(f)?;
        self.curves(f)?;
        self.losses(f)?;
        self.pairs(f)?;
        self.over_seeds(f)?;
        self.tokens(f)?;
        self.divergences(f)?;
        for remark in &self.remarks {
            writeln!(f, "\nnote     {}", printable(remark))?;
        }
        Ok(())
    }
}

/// Formats a loss or a difference of losses: four digits, more for a small one.
fn number(x: f64) -> String {
    let size = x.abs();
    match size {
        _ if size == 0.0 || size >= 1e-3 => format!("{x:.4}"),
        _ => format!("{x:.1e}"),
    }
}

/// Formats a number of single precision with the digits that it has.
fn shortest(x: f64) -> String {
    let single = x as f32;
    if f64::from(single) == x { single.to_string() } else { x.to_string() }
}

fn signed(x: f64) -> String {
    format!("{}{}", if x > 0.0 { "+" } else { "" }, number(x))
}

fn p_value(p: f64) -> String {
    match p {
        _ if p < 1e-4 => "p < 0.0001".to_owned(),
        _ if p < 0.1 => format!("p = {p:.4}"),
        _ => format!("p = {p:.2}"),
    }
}

fn percent(significance: f64) -> String {
    let text = format!("{:.2}", 100.0 * (1.0 - significance));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Formats 12500 as "12,500".
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Writes rows with a column for each model, as wide as needed.
fn table(f: &mut Formatter<'_>, rows: &[(String, Vec<String>)]) -> fmt::Result {
    let cut = |text: &String| match text.chars().count() > WIDEST {
        true => text.chars().take(WIDEST - 1).collect::<String>() + "…",
        false => text.clone(),
    };
    let rows: Vec<(&String, Vec<String>)> =
        rows.iter().map(|(name, cells)| (name, cells.iter().map(cut).collect())).collect();
    let first = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let columns = rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
    let width = |k: usize| {
        let cells = rows.iter().filter_map(|(_, cells)| cells.get(k));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for (name, cells) in &rows {
        write!(f, "  {name:<first$}")?;
        for (cell, width) in cells.iter().zip(&widths) {
            write!(f, "  {cell:>width$}")?;
        }
        writeln!(f)?;
    }
    Ok(())
}

/// Writes where two runs part, and why.
fn parting(f: &mut Formatter<'_>, other: &str, found: &Divergence) -> fmt::Result {
    let at = found.element.map_or(String::new(), |[i, j]| format!("[{i}, {j}]"));
    let part = found.part.words();
    let (step, name) = (found.step, printable(&found.name));
    let name = if part == name { String::new() } else { format!(" {name}{at}") };
    writeln!(f, "\nsteps    A and {other} part in step {step}: {part}{name}")?;
    for (side, label) in ["A", other].into_iter().enumerate() {
        let value = found.values[side].map_or("does not have it".to_owned(), shortest);
        let by = found.operations[side].map_or(String::new(), |name| format!(" ({name})"));
        writeln!(f, "         {label}: {value}{by}")?;
    }
    if found.bound > 0.0 {
        writeln!(f, "         rounding explains a difference of {:.1e}", found.bound)?;
    }
    for cause in &found.causes {
        let [own, theirs] = &cause.values;
        let tried = match cause.alone {
            true => format!("with A's value {other} takes the same step there"),
            false => format!("with all of A's values listed {other} takes the same step there"),
        };
        writeln!(f, "cause    {} is {own} in A and {theirs} in {other}: {tried}", cause.setting)?;
    }
    if found.causes.is_empty() {
        writeln!(f, "cause    unknown: no setting that differs explains it")?;
    }
    Ok(())
}

impl Report {
    fn unit(&self) -> &'static str {
        self.text.unit.name()
    }

    fn names(&self, runs: &[usize]) -> String {
        runs.iter().map(|&i| label(i)).collect::<Vec<_>>().join(", ")
    }

    fn models(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for model in &self.models {
            let seed = model.seed.map_or(String::new(), |seed| format!(", seed {seed}"));
            let kind = if model.run { "run" } else { "model" };
            let size = grouped(model.parameters as u64);
            let path = printable(&model.path);
            writeln!(f, "{:<8} {path}: {kind}, {size} parameters{seed}", model.label)?;
        }
        Ok(())
    }

    fn differences(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let runs = self.models.iter().filter(|model| model.run).count();
        if !self.settings.is_empty() {
            writeln!(f, "\nsettings that differ")?;
            let head = self.models.iter().map(|model| model.label.clone()).collect();
            let mut rows = vec![(String::new(), head)];
            for setting in &self.settings {
                let cell = |value: &Option<String>| value.clone().unwrap_or("-".to_owned());
                rows.push((setting.key.clone(), setting.values.iter().map(cell).collect()));
            }
            table(f, &rows)?;
        } else if runs == self.models.len() {
            writeln!(f, "\nsettings that differ: none")?;
        }
        for parts in &self.parts {
            if parts.differences.is_empty() {
                writeln!(f, "\nA and {} have the same architecture", label(parts.model))?;
                continue;
            }
            writeln!(f, "\nparts that differ from A to {}", label(parts.model))?;
            for d in &parts.differences {
                let [own, other] = [&d.own, &d.other].map(|text| printable(text));
                writeln!(f, "  {}: {own} → {other}", d.part)?;
            }
        }
        Ok(())
    }

    fn curves(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let curves = || self.models.iter().map(|model| model.curve.as_ref());
        if curves().all(|curve| curve.is_none()) {
            return Ok(());
        }
        writeln!(f, "\ntraining")?;
        let none = || "-".to_owned();
        let row = |name: &str, cell: &dyn Fn(&super::curve::Summary) -> Option<String>| {
            let cells = curves().map(|curve| curve.and_then(cell).unwrap_or_else(none));
            (name.to_owned(), cells.collect::<Vec<_>>())
        };
        let loss = |place: super::curve::Place| format!("{:.4}", place.loss);
        let head = self.models.iter().map(|model| model.label.clone()).collect();
        table(
            f,
            &[
                (String::new(), head),
                row("steps", &|c| Some(grouped(c.steps))),
                row("tokens", &|c| Some(grouped(c.tokens))),
                row("seconds", &|c| Some(format!("{:.1}", c.seconds))),
                row("last held-back loss", &|c| c.last.map(loss)),
                row("best held-back loss", &|c| c.best.map(loss)),
                row("at step", &|c| c.best.map(|place| grouped(place.step))),
            ],
        )
    }

    fn losses(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        let pieces = match text.unit {
            Unit::Token => "window",
            Unit::Byte => "piece",
        };
        writeln!(
            f,
            "\nmeasured on {}: {} {}s in {} of up to {}",
            printable(&text.name),
            grouped(text.units),
            self.unit(),
            words::of(text.pieces, pieces),
            grouped(text.longest)
        )?;
        let mut rows = vec![(
            String::new(),
            vec![format!("nats per {}", self.unit()), "bits per byte".to_owned()],
        )];
        for model in &self.models {
            let per_byte = text.bytes_per_unit.map(|bytes| bits(model.loss) / bytes);
            let per_byte = per_byte.map_or("-".to_owned(), |x| format!("{x:.4}"));
            rows.push((model.label.clone(), vec![format!("{:.4}", model.loss), per_byte]));
        }
        table(f, &rows)
    }

    /// Formats the interval and the p-value of a test.
    fn tested(&self, test: &Test, significance: f64, over: &str) -> String {
        format!(
            "{} nats per {}; {} % interval {} to {}; {} over {over}",
            signed(test.difference),
            self.unit(),
            percent(significance),
            signed(test.low),
            signed(test.high),
            p_value(test.p_value)
        )
    }

    fn pairs(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verdict = &self.verdict;
        let pieces = if self.text.unit == Unit::Token { "window" } else { "piece" };
        for Pair { first, second, test, better } in &verdict.pairs {
            let names = [label(*first), label(*second)];
            let over = words::of(self.text.pieces, pieces);
            writeln!(
                f,
                "\n{} − {}    {}",
                names[0],
                names[1],
                self.tested(test, verdict.pairs_significance, &over)
            )?;
            match better {
                Some(better) => {
                    let other = if better == first { &names[1] } else { &names[0] };
                    writeln!(
                        f,
                        "weights  those of {} predict this text better than those of {other}",
                        label(*better)
                    )?;
                }
                None if test.difference == 0.0 && test.standard_error == 0.0 => {
                    writeln!(f, "weights  both predict this text equally well in every {pieces}")?;
                }
                None => writeln!(
                    f,
                    "weights  no difference is shown between {} and {}",
                    names[0], names[1]
                )?,
            }
        }
        Ok(())
    }

    fn over_seeds(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verdict = &self.verdict;
        if !verdict.groups.is_empty() {
            writeln!(f)?;
        }
        if let [group] = verdict.groups.as_slice()
            && group.runs.len() > 1
        {
            writeln!(
                f,
                "settings {} differ in the seed alone: there is nothing to decide between settings",
                self.names(&group.runs)
            )?;
        }
        if let Some(deviation) = verdict.deviation {
            let several = verdict.groups.iter().filter(|group| group.runs.len() > 1);
            let runs: Vec<usize> = several.flat_map(|group| group.runs.clone()).collect();
            writeln!(
                f,
                "seeds    a deviation of {} nats per {} between seeds, from {}",
                number(deviation),
                self.unit(),
                self.names(&runs)
            )?;
        }
        for group in &verdict.groups {
            for &i in &group.repeated {
                let same = group.runs.iter().find(|&&r| self.models[r].seed == self.models[i].seed);
                writeln!(
                    f,
                    "seeds    {} has the settings and the seed of {}: it is no further evidence",
                    label(i),
                    same.map_or(String::new(), |&r| label(r))
                )?;
            }
        }
        for settings in &verdict.settings {
            self.settings(f, settings)?;
        }
        Ok(())
    }

    fn settings(&self, f: &mut Formatter<'_>, settings: &Settings) -> fmt::Result {
        let verdict = &self.verdict;
        let groups = [settings.first, settings.second].map(|g| &verdict.groups[g]);
        let names = groups.map(|group| self.names(&group.runs));
        let needed = settings.seeds_needed.map(|n| {
            let each = if n == 1 { "seed" } else { "seeds" };
            format!("{} {each} of each", grouped(n))
        });
        let [own, other] = &names;
        let Some(test) = &settings.test else {
            let seeds = match needed {
                Some(needed) => format!("{needed} would find this difference in 4 of 5 cases"),
                None if settings.difference == 0.0 => "the losses are equal".to_owned(),
                None => {
                    "how many is unknown until one setting is trained with several seeds (--seed)"
                        .to_owned()
                }
            };
            return writeln!(
                f,
                "settings whether those of {own} and {other} differ is not decided: another seed gives other weights, and \
                 one has a single seed; {seeds}"
            );
        };
        let count = groups.map(|group| group.runs.len());
        let over = format!("{} and {} seeds", count[0], count[1]);
        writeln!(
            f,
            "settings {own} − {other}: {}",
            self.tested(test, verdict.settings_significance, &over)
        )?;
        match settings.better {
            Some(better) => {
                let [best, rest] =
                    if better == settings.first { [own, other] } else { [other, own] };
                writeln!(f, "         those of {best} are better than those of {rest}")
            }
            None => writeln!(
                f,
                "         no difference is shown{}",
                needed.map_or(String::new(), |needed| format!(
                    "; {needed} would find one of this size in 4 of 5 cases"
                ))
            ),
        }
    }

    fn divergences(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for Searched { model, outcome } in &self.divergences {
            let other = label(*model);
            match outcome {
                Outcome::StartsDiffer { reason } => writeln!(
                    f,
                    "\nsteps    A and {other} do not start equal: {}",
                    printable(reason)
                )?,
                Outcome::Same { steps, bits } => {
                    let how = if *bits { "bit by bit" } else { "but for rounding" };
                    let steps = words::count(*steps, "step");
                    writeln!(
                        f,
                        "\nsteps    the first {steps} of A and {other} are the same, {how}"
                    )?;
                }
                Outcome::Diverge(found) => parting(f, &other, found)?,
            }
        }
        Ok(())
    }

    fn tokens(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let most = if self.tokens.len() > 1 { FEW } else { usize::MAX };
        let what = if self.text.unit == Unit::Token { "tokens" } else { "words" };
        for pair in self.tokens.iter().filter(|pair| !pair.tokens.is_empty()) {
            let other = label(pair.model);
            writeln!(f, "\n{what} on which A and {other} differ most")?;
            writeln!(f, "  {:>8} {:>8}", "A nats", format!("{other} nats"))?;
            for token in pair.tokens.iter().take(most) {
                writeln!(
                    f,
                    "  {:>8.3} {:>8.3}  {}[{}]",
                    token.first, token.second, token.before, token.text
                )?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 1.23456, -0.0023456, 0.00001234].map(number),
            ["0.0000", "1.2346", "-0.0023", "1.2e-5"]
        );
        assert_eq!([signed(0.5), signed(-0.5)], ["+0.5000", "-0.5000"]);
        assert_eq!([0.0, 0.0123, 0.5].map(p_value), ["p < 0.0001", "p = 0.0123", "p = 0.50"]);
        assert_eq!([percent(0.05), percent(0.025)], ["95", "97.5"]);
        assert_eq!([grouped(999), grouped(1_234_567)], ["999", "1,234,567"]);
    }
}
