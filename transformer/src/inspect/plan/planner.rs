//! The steps of a plan: speeds, pilots, the law, the price of repetition, the choice.

use super::candidate::{Candidate, settled};
use super::law::{Fit, FitError, Known, Point, ScalingLaw};
use super::outcome::{Alternative, Pilot, Plan, PlanError, Progress, Purpose, choice};
use super::repetition::{Price, Repetition};
use super::request::Request;
use super::speed::Speed;
use super::{Trained, Trials};
use crate::training::config::TrainingConfig;
use probability::interval::Interval;

/// The share of the time that pilots take at most, and the shares of one of the law's pilots and of one miniature.
const PILOTS: f64 = 0.1;
const LAW: f64 = 0.018;
const MINIATURE: f64 = 0.005;
/// The share of the time that measuring a speed takes at most.
const SPEED: f64 = 0.002;
/// Contexts, and the tokens of training from which each is taken. A longer context predicts better once it is learned, and
/// takes longer to learn: on tinyshakespeare's characters 128 was 1 % worse than 64 after a million tokens, and 1 % better
/// after five million; nanoGPT has 256 for 80 million. Short runs scatter by more than that, so that pilots cannot tell.
const CONTEXTS: [(usize, f64); 4] = [(64, 0.0), (128, 2e6), (256, 2e7), (512, 2e8)];
const SHORTEST: usize = 64;
/// The tokens of training for a parameter about which sizes are tried; Hoffmann et al. 2022 have 20.
const PER_PARAMETER: f64 = 20.0;
/// Steps of a pilot at least.
const LEAST_STEPS: f64 = 60.0;
/// Passes over the text from which repetition is measured. A miniature overstates its price, for it has less text: four
/// passes over 34,000 characters of tinyshakespeare cost 8.6 % of the loss, those over all of it hardly anything.
const REPEATED: f64 = 10.0;
/// Shares of activations that are dropped in miniature, and the decay that is tried.
const DROPOUT: [f64; 2] = [0.1, 0.2];
const DECAY: f64 = 5.0;
/// A setting is changed if it lowers the loss by this share.
const WORTH: f64 = 0.01;
const RESAMPLES: u64 = 100;
const CONFIDENCE: f64 = 0.9;
/// The 95 % quantile of the standard normal distribution, the half-width of a 90 % interval in standard deviations.
const HALF_WIDTH: f64 = 1.6449;
/// The time of a pilot in which it is measured, as a share of that of the largest pilot, and the tokens at least and at most.
const MEASURED: f64 = 0.2;
const MEASURED_TOKENS: (f64, f64) = (8192.0, 131_072.0);

impl Plan {
    /// The longest context that a plan chooses.
    pub const LONGEST: usize = CONTEXTS[CONTEXTS.len() - 1].0;

    /// Makes a plan. Calls `watch` before every measurement.
    ///
    /// # Errors
    /// A time or a memory that no model fits, settings that contradict each other, a pilot that failed.
    pub fn make<T: Trials>(
        request: &Request,
        trials: &mut T,
        watch: &mut dyn FnMut(Progress),
    ) -> Result<Plan, PlanError<T::Error>> {
        let (speed, pilots) = (Speed::default(), vec![]);
        let mut planner =
            Planner { request, trials, watch, speed, pilots, measured: 0, spent: 0.0 };
        planner.plan()
    }
}

struct Planner<'a, T> {
    request: &'a Request,
    trials: &'a mut T,
    watch: &'a mut dyn FnMut(Progress),
    speed: Speed,
    pilots: Vec<Pilot>,
    /// The tokens on which every pilot is measured.
    measured: usize,
    spent: f64,
}

impl<T: Trials> Planner<'_, T> {
    fn plan(&mut self) -> Result<Plan, PlanError<T::Error>> {
        let request = self.request;
        request.check().map_err(PlanError::Settings)?;
        // Speeds, and the size that they suggest, hardly depend on the context; the context depends on them.
        let sizes = Candidate::all(request, self.context(0.0)).map_err(PlanError::Settings)?;
        let smallest = &sizes[0];
        if !self.fits(smallest) {
            let needed = self.bytes(smallest);
            return Err(PlanError::Memory { needed, given: request.memory });
        }
        let guess = self.measure_speeds(&sizes)?;
        let context = self.context(self.tokens(&sizes[guess], request.stepping()));
        let sizes = Candidate::all(request, context).map_err(PlanError::Settings)?;
        let guess = guess.min(sizes.len() - 1);
        // Predicting a token takes a third of the time of training on it.
        let tokens = 3.0 * MEASURED * LAW * self.tokens(&sizes[guess], request.stepping());
        let (least, most) = MEASURED_TOKENS;
        self.measured = tokens.clamp(least, most) as usize;
        self.run_law_pilots(&sizes, guess)?;
        (self.watch)(Progress::Fit);
        let suits =
            (sizes[guess].parameters as f64, self.tokens(&sizes[guess], request.stepping()));
        let (law, free) = self.fit(suits)?;
        let (mut repetition, mut prices, mut base) =
            (Repetition::default(), vec![], request.config.clone());
        // The best size decides how often the text is read.
        let rough = self.alternatives(&sizes, &base, &law, repetition);
        let best = &rough[choice(&rough)];
        if best.epochs > REPEATED {
            if let Some((size, share)) = self.miniature(&sizes, best) {
                (prices, repetition) = self.price_repetition(size, share, best, &law.law)?;
            }
            if let Some(best) = cheapest(&prices) {
                (base.dropout, base.weight_decay) = (best.dropout, best.weight_decay);
            }
        }
        let alternatives = self.alternatives(&sizes, &base, &law, repetition);
        let chosen = choice(&alternatives);
        if !alternatives[chosen].fits {
            let needed = alternatives[chosen].bytes;
            return Err(PlanError::Memory { needed, given: request.memory });
        }
        Ok(Plan {
            chosen,
            alternatives,
            pilots: std::mem::take(&mut self.pilots),
            law,
            free,
            repetition,
            prices,
            spent: self.spent,
        })
    }

    /// Returns the given context, or that of a run of so many tokens, if both parts of the text have a few windows of it.
    fn context(&self, tokens: f64) -> usize {
        let request = self.request;
        if request.is_fixed("context") {
            return request.config.context;
        }
        let text = request.text.min(4 * request.held_back) as usize;
        let suits = |&(context, least): &(usize, f64)| tokens >= least && 16 * context < text;
        let long = CONTEXTS.iter().rev().find(|context| suits(context));
        long.map_or((text / 8).clamp(1, SHORTEST), |&(context, _)| context)
    }

    /// Returns the most bytes that a run takes: while it trains, or while it prepares that with its weights already there.
    fn bytes(&self, candidate: &Candidate) -> u64 {
        let [now, most] = self.request.resident;
        (now + candidate.bytes).max(most + 4 * candidate.parameters)
    }

    fn fits(&self, candidate: &Candidate) -> bool {
        self.bytes(candidate) <= self.request.memory
            && candidate.demanded <= u128::from(self.request.room)
    }

    /// Returns the tokens of training in the time.
    fn tokens(&self, candidate: &Candidate, seconds: f64) -> f64 {
        seconds / self.speed.seconds(candidate.flops)
    }

    /// Measures the speeds of three sizes: the smallest, the guessed best, and the second above it. Returns the guess.
    fn measure_speeds(&mut self, sizes: &[Candidate]) -> Result<usize, PlanError<T::Error>> {
        let seconds = self.request.stepping();
        let step = self.measure_speed(&sizes[0])?;
        if step * 8.0 * LEAST_STEPS > PILOTS * seconds {
            return Err(PlanError::Time { seconds: self.request.seconds, step });
        }
        let fitting = sizes.iter().filter(|size| self.fits(size)).count().max(1);
        let sizes = &sizes[..fitting];
        let guessed = |planner: &Self| {
            let far = |size: &Candidate| {
                (planner.tokens(size, seconds) / size.parameters as f64 / PER_PARAMETER).ln().abs()
            };
            let all = sizes.iter().enumerate();
            all.min_by(|a, b| far(a.1).total_cmp(&far(b.1))).map_or(0, |(i, _)| i)
        };
        for above in [0, 2] {
            let size = &sizes[(guessed(self) + above).min(sizes.len() - 1)];
            let expected = self.speed.seconds(size.flops) * size.step_tokens();
            // A size whose steps are too long to be timed is too long to be trained.
            if expected * 4.0 < SPEED * seconds {
                self.measure_speed(size)?;
            }
        }
        Ok(guessed(self))
    }

    fn measure_speed(&mut self, size: &Candidate) -> Result<f64, PlanError<T::Error>> {
        (self.watch)(Progress::Speed(size.parameters));
        let step = self.trials.step(&size.config).map_err(PlanError::Trial)?;
        self.speed.measured(size.flops, step / size.step_tokens());
        // At most seven steps: one that touches its memory first, and six that are timed.
        self.spent += 7.0 * step;
        Ok(step)
    }

    /// Trains three sizes for different times.
    fn run_law_pilots(
        &mut self,
        sizes: &[Candidate],
        guess: usize,
    ) -> Result<(), PlanError<T::Error>> {
        let [small, middle, large] = [guess.saturating_sub(4), guess.saturating_sub(2), guess];
        let whole = LAW * self.request.stepping();
        let runs =
            [(small, 0.1), (small, 0.3), (small, 1.0), (middle, 0.3), (middle, 1.0), (large, 1.0)];
        let mut done: Vec<(usize, f64)> = vec![];
        for (i, share) in runs {
            let expected = self.spent + 1.5 * share * whole;
            let affordable = done.len() < 3 || expected <= PILOTS * self.request.seconds;
            // With few sizes, two of the three are the same.
            if !done.contains(&(i, share)) && affordable {
                done.push((i, share));
                let length = Length::Seconds(share * whole);
                self.pilot(Purpose::Law, sizes[i].config.clone(), length, 1.0)?;
            }
        }
        Ok(())
    }

    /// Fits the law to its pilots.
    fn fit(&self, suits: (f64, f64)) -> Result<(Fit, Option<Fit>), FitError> {
        let points: Vec<Point> = self.pilots.iter().map(|pilot| self.new_text(pilot)).collect();
        let known = Known { e: self.request.entropy, balanced: Some(suits) };
        let law = ScalingLaw::fit(&points, known, RESAMPLES)?;
        let free = || ScalingLaw::fit(&points, Known { e: None, ..known }, RESAMPLES);
        Ok((law, known.e.map(|_| free()).transpose()?))
    }

    /// Returns a pilot's point, with the new text that its tokens are worth.
    fn new_text(&self, pilot: &Pilot) -> Point {
        let text = pilot.share * self.request.text as f64;
        Point { tokens: Repetition::default().worth(pilot.point.tokens, text), ..pilot.point }
    }

    /// Returns the size of a miniature of a run, and its share s of the run's tokens: trained on a share s of the text, it
    /// reads it as often, and with a share s of the parameters it has as many tokens for each. `None` if there is no time
    /// for so many, or no new text to compare with: with less text for a parameter, a miniature memorises more of it than
    /// the run does.
    fn miniature<'s>(
        &self,
        sizes: &'s [Candidate],
        run: &Alternative,
    ) -> Option<(&'s Candidate, f64)> {
        const ENOUGH: f64 = 0.8;
        let seconds = MINIATURE * self.request.stepping();
        if self.spent + 6.0 * seconds > PILOTS * self.request.seconds {
            return None;
        }
        let affordable =
            |size: &Candidate| (self.tokens(size, seconds) / run.tokens).min(1.0 / run.epochs);
        let alike = |size: &Candidate| size.parameters as f64 / run.parameters as f64;
        let size = sizes.iter().rev().find(|size| affordable(size) >= ENOUGH * alike(size))?;
        let share = affordable(size).min(alike(size));
        let long = share * run.tokens >= LEAST_STEPS * size.step_tokens() && share < 1.0;
        long.then_some((size, share))
    }

    /// Trains miniatures of a run. Returns the prices of settings, and what repeated text is worth with the best ones.
    fn price_repetition(
        &mut self,
        size: &Candidate,
        share: f64,
        run: &Alternative,
        law: &ScalingLaw,
    ) -> Result<(Vec<Price>, Repetition), PlanError<T::Error>> {
        let own = &self.request.config;
        let mut settings = vec![(own.dropout, own.weight_decay)];
        if !self.request.is_fixed("dropout") {
            let others = DROPOUT.into_iter().filter(|&dropout| dropout != own.dropout);
            settings.extend(others.map(|dropout| (dropout, own.weight_decay)));
        }
        let length = Length::Tokens(share * run.tokens);
        let new = self.pilot(Purpose::Repetition, size.config.clone(), length, 1.0)?;
        let mut prices: Vec<Price> = vec![];
        let price = |planner: &mut Self, (dropout, weight_decay)| {
            let config = TrainingConfig { dropout, weight_decay, ..size.config.clone() };
            let point = planner.pilot(Purpose::Repetition, config, length, share)?;
            Ok::<_, PlanError<T::Error>>(Price {
                dropout,
                weight_decay,
                ratio: point.loss / new.loss,
            })
        };
        for setting in settings {
            prices.push(price(self, setting)?);
        }
        let decay = own.optimizer.takes().contains(&"weight_decay") && own.weight_decay > 0.0;
        if let Some(best) =
            cheapest(&prices).filter(|_| decay && !self.request.is_fixed("weight_decay"))
        {
            prices.push(price(self, (best.dropout, DECAY * own.weight_decay))?);
        }
        let ratio = cheapest(&prices).map_or(1.0, |best| best.ratio);
        let text = share * self.request.text as f64;
        // A miniature overstates the price ([`REPEATED`]): the published value is the least.
        let measured = Repetition::measured(law, new.parameters, new.tokens, text, ratio).readings;
        let least = Repetition::default().readings;
        let readings = measured.map(|r| least.map_or(r, |least| r.max(least)));
        Ok((prices, Repetition { readings }))
    }

    /// Trains a model for this long; the settings that follow from the length are those of a run of its own.
    fn pilot(
        &mut self,
        purpose: Purpose,
        config: TrainingConfig,
        length: Length,
        share: f64,
    ) -> Result<Point, PlanError<T::Error>> {
        let config = settled(self.request, config, 1.0);
        let size = Candidate::of(config, self.request.vocabulary).map_err(PlanError::Settings)?;
        let tokens = match length {
            Length::Seconds(seconds) => {
                // A pilot that is too short tells nothing, but may not take the time of the others.
                let tokens = self.tokens(&size, seconds);
                tokens.max((LEAST_STEPS * size.step_tokens()).min(1.5 * tokens))
            }
            Length::Tokens(tokens) => tokens,
        };
        let config = TrainingConfig { eval_every: 0, ..settled(self.request, size.config, tokens) };
        let taken = config.step_tokens() as f64;
        (self.watch)(Progress::Pilot(
            purpose,
            size.parameters,
            self.speed.seconds(size.flops) * tokens,
        ));
        let Trained { loss, seconds, step } =
            self.trials.train(&config, share, self.measured).map_err(PlanError::Trial)?;
        self.spent += seconds;
        if !loss.is_finite() {
            return Err(PlanError::Diverged { width: config.width, rate: config.learning_rate });
        }
        self.speed.measured(size.flops, step / taken);
        let point =
            Point { parameters: size.parameters as f64, tokens: taken * config.steps as f64, loss };
        let TrainingConfig { context, layers, width, dropout, weight_decay, .. } = config;
        self.pilots.push(Pilot {
            purpose,
            point,
            context,
            layers,
            width,
            share,
            dropout,
            weight_decay,
            seconds,
        });
        Ok(point)
    }

    /// Returns what every size would reach with these settings.
    fn alternatives(
        &self,
        sizes: &[Candidate],
        base: &TrainingConfig,
        fit: &Fit,
        repetition: Repetition,
    ) -> Vec<Alternative> {
        let of = |size: &Candidate| {
            let tokens = self.tokens(size, self.request.stepping());
            let config = TrainingConfig {
                dropout: base.dropout,
                weight_decay: base.weight_decay,
                ..size.config.clone()
            };
            let config = settled(self.request, config, tokens);
            let taken = config.step_tokens() as f64;
            let (parameters, text) = (size.parameters as f64, self.request.text as f64);
            let worth = repetition.worth(tokens, text);
            let loss = fit.law.loss(parameters, worth);
            // The law's uncertainty, and the scatter of a run about it, are independent.
            let law = fit
                .interval(parameters, worth, CONFIDENCE)
                .unwrap_or(Interval { low: loss, high: loss });
            let scatter = HALF_WIDTH * fit.scatter * loss;
            // More parameters and more new text are not worse than what a pilot has reached, but for its scatter.
            let no_more = |point: &Point| point.parameters <= parameters && point.tokens <= worth;
            let fresh = self.pilots.iter().filter(|pilot| pilot.share >= 1.0);
            let reached = fresh.map(|pilot| self.new_text(pilot)).filter(no_more).map(|p| p.loss);
            let reached = reached.fold(f64::INFINITY, f64::min) * (1.0 + HALF_WIDTH * fit.scatter);
            let interval = Interval {
                low: loss - (loss - law.low).hypot(scatter),
                high: (loss + (law.high - loss).hypot(scatter)).min(reached.max(loss)),
            };
            let with_batch = Candidate::of(config.clone(), self.request.vocabulary);
            let size = with_batch.as_ref().unwrap_or(size);
            Alternative {
                parameters: size.parameters,
                step_seconds: self.speed.seconds(size.flops) * taken,
                tokens,
                epochs: tokens / text,
                bytes: self.bytes(size),
                fits: self.fits(size),
                loss,
                interval,
                config,
            }
        };
        let mut all: Vec<Alternative> = sizes.iter().map(of).collect();
        // A size that takes fewer than a pilot's steps is no alternative; one remains.
        let mut first = true;
        all.retain(|a| std::mem::take(&mut first) || a.config.steps as f64 >= LEAST_STEPS);
        all
    }
}

/// The length of a pilot.
#[derive(Clone, Copy)]
enum Length {
    Seconds(f64),
    Tokens(f64),
}

/// Returns the best setting; the first one, unless another is better by a share that is worth it.
fn cheapest(prices: &[Price]) -> Option<Price> {
    let first = prices.first()?;
    let best = prices.iter().min_by(|a, b| a.ratio.total_cmp(&b.ratio))?;
    Some(if best.ratio < first.ratio * (1.0 - WORTH) { *best } else { *first })
}

#[cfg(test)]
pub(super) mod tests;
