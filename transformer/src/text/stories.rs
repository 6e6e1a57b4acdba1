//! The embedded source: tiny stories from a probabilistic grammar.
//!
//! A beginner's loss should fall to a *known* floor. Every choice here has a known probability and every story one
//! derivation, so [`infotheory::grammar`] computes the exact entropy of a story, and per character. The beginning of a
//! story determines most of the rest: the protagonist keeps a name and a pronoun, the thing its colour, and the place
//! and the animal return. A model that remembers pays for them once; an n-gram model forgets them and pays again and
//! again.
//!
//! ```
//! use transformer::text::stories;
//! let grammar = stories::grammar();
//! assert!(stories::story(&grammar, 0, 0).ends_with(".\n"));
//! assert!((grammar.entropy().0 - 21.9897).abs() < 1e-4); // nats a story
//! assert!((grammar.entropy_rate()?.0 - 0.1104).abs() < 1e-4); // nats a character
//! # Ok::<(), infotheory::InfoError>(())
//! ```

use crate::streams;
use infotheory::grammar::{Grammar, Variable};
use probability::random::Random;

/// Protagonists: names and pronouns.
const HEROES: [[&str; 4]; 24] = [
    ["Mia", "She", "she", "her"],
    ["Lily", "She", "she", "her"],
    ["Anna", "She", "she", "her"],
    ["Rosa", "She", "she", "her"],
    ["Emma", "She", "she", "her"],
    ["Zoe", "She", "she", "her"],
    ["Nora", "She", "she", "her"],
    ["Ivy", "She", "she", "her"],
    ["Clara", "She", "she", "her"],
    ["Ruth", "She", "she", "her"],
    ["Julia", "She", "she", "her"],
    ["Ella", "She", "she", "her"],
    ["Tom", "He", "he", "his"],
    ["Ben", "He", "he", "his"],
    ["Leo", "He", "he", "his"],
    ["Max", "He", "he", "his"],
    ["Sam", "He", "he", "his"],
    ["Jack", "He", "he", "his"],
    ["Paul", "He", "he", "his"],
    ["Finn", "He", "he", "his"],
    ["Hugo", "He", "he", "his"],
    ["Oscar", "He", "he", "his"],
    ["Dan", "He", "he", "his"],
    ["Will", "He", "he", "his"],
];

/// Things and their uses.
const THINGS: [[&str; 2]; 24] = [
    ["ball", "throw it"],
    ["kite", "fly it"],
    ["boat", "sail it"],
    ["book", "read it"],
    ["drum", "play it"],
    ["hat", "wear it"],
    ["cake", "eat it"],
    ["bike", "ride it"],
    ["doll", "dress it"],
    ["box", "open it"],
    ["car", "push it"],
    ["flag", "wave it"],
    ["lamp", "light it"],
    ["map", "study it"],
    ["shell", "keep it"],
    ["rope", "jump over it"],
    ["top", "spin it"],
    ["wagon", "pull it"],
    ["bell", "ring it"],
    ["tent", "sleep in it"],
    ["swing", "climb on it"],
    ["crown", "show it"],
    ["piano", "practise on it"],
    ["ladder", "lean on it"],
];

const COLOURS: [[&str; 1]; 8] =
    [["red"], ["blue"], ["green"], ["yellow"], ["white"], ["black"], ["brown"], ["pink"]];

const PLACES: [[&str; 1]; 20] = [
    ["in the park"],
    ["in the garden"],
    ["in the forest"],
    ["in the barn"],
    ["in the kitchen"],
    ["in the meadow"],
    ["at the beach"],
    ["at the farm"],
    ["at the market"],
    ["at school"],
    ["by the river"],
    ["by the lake"],
    ["by the old well"],
    ["near the castle"],
    ["on the hill"],
    ["on the bridge"],
    ["on the island"],
    ["near the village"],
    ["near the station"],
    ["behind the house"],
];

const ANIMALS: [[&str; 1]; 18] = [
    ["dog"],
    ["cat"],
    ["duck"],
    ["fox"],
    ["frog"],
    ["goat"],
    ["mouse"],
    ["bear"],
    ["rabbit"],
    ["horse"],
    ["sheep"],
    ["turtle"],
    ["wolf"],
    ["pony"],
    ["lion"],
    ["goose"],
    ["squirrel"],
    ["parrot"],
];

/// Three plots: something is lost and returned; something is found, taken and shared; something is made, breaks and is
/// mended. The ending depends on the plot.
const TEMPLATE: &str = "[3:One day|2:One morning|Once|Last week|Yesterday|After lunch|On a sunny day|\
    In the summer|Before dinner|Long ago], <hero:{hero.name} [\
    lost {hero.her} <colour:{colour.is} <thing:{thing.noun} <place:{place.at}. \
    {hero.She} looked [under a bench|behind a tree|inside a basket|everywhere|below a bush], \
    but could not find the {thing.noun}. \
    Then a [kind|small|tall|shy|clever] <animal:{animal.noun} came and gave {hero.name} \
    the {colour.is} {thing.noun}. \
    {hero.name} [thanked|hugged|kissed] the {animal.noun} and was [happy|glad|calm] again.\
    >>>>|\
    found a <colour:{colour.is} <thing:{thing.noun} <place:{place.at}. \
    {hero.She} wanted to {thing.use}, but a [big|loud|rude|hungry|bad] <animal:{animal.noun} \
    [took|stole|grabbed|hid] the {colour.is} {thing.noun}. \
    {hero.name} [cried|shouted|waited], and the {animal.noun} said sorry. \
    Now {hero.name} and the {animal.noun} share the {thing.noun} {place.at}.\
    >>>>|\
    made a <colour:{colour.is} <thing:{thing.noun} for a <animal:{animal.noun} \
    that lived <place:{place.at}. \
    But the {colour.is} {thing.noun} [broke|got wet|fell down|tore], \
    and {hero.name} was [sad|angry|upset]. \
    The {animal.noun} helped to [fix|paint|clean] the {thing.noun}, \
    and soon {hero.she} could {thing.use} with the {animal.noun}.\
    >>>>]>\n";

/// Returns the grammar of the stories.
///
/// # Panics
/// Never: a test checks that the template is valid.
pub fn grammar() -> Grammar {
    grammar_of(TEMPLATE)
}

fn grammar_of(template: &str) -> Grammar {
    let variables = [
        Variable::new("hero", ["name", "She", "she", "her"], &HEROES),
        Variable::new("thing", ["noun", "use"], &THINGS),
        Variable::new("colour", ["is"], &COLOURS),
        Variable::new("place", ["at"], &PLACES),
        Variable::new("animal", ["noun"], &ANIMALS),
    ];
    Grammar::new(&variables, template).expect("the embedded grammar is well-formed and unambiguous")
}

/// What a story tells, as the grammar drew it: the right answers to questions about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The protagonist's name.
    pub name: String,
    /// The colour of the thing.
    pub colour: String,
    /// The thing.
    pub thing: String,
    /// The place.
    pub place: String,
    /// The animal.
    pub animal: String,
}

/// Returns the grammar of stories, each followed by its facts.
fn grammar_with_facts() -> Grammar {
    let facts = "\t{hero.name}\t{colour.is}\t{thing.noun}\t{place.at}\t{animal.noun}>>>>";
    grammar_of(&TEMPLATE.replace(">>>>", facts))
}

/// Returns story number `index` of a series with its facts. The story is that of [`story`].
///
/// ```
/// use transformer::text::stories;
/// let (text, facts) = stories::story_with_facts(0, 3);
/// assert_eq!(text, stories::story(&stories::grammar(), 0, 3));
/// assert!(text.contains(&format!("{} {}", facts.colour, facts.thing)));
/// ```
pub fn story_with_facts(series: u64, index: u32) -> (String, Facts) {
    stories_with_facts(series, index..index + 1).remove(0)
}

/// Like [`story_with_facts`], for several stories.
pub fn stories_with_facts(series: u64, indices: std::ops::Range<u32>) -> Vec<(String, Facts)> {
    let grammar = grammar_with_facts();
    let told = |index| {
        let line = story(&grammar, series, index);
        let mut parts = line.trim_end().split('\t').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        let text = next() + "\n";
        let (name, colour, thing) = (next(), next(), next());
        (text, Facts { name, colour, thing, place: next(), animal: next() })
    };
    indices.map(told).collect()
}

/// Returns story number `index` of a series: one line, with its line end.
pub fn story(grammar: &Grammar, series: u64, index: u32) -> String {
    grammar.sample(&Random::new(series, streams::STORIES, index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tokenizer::Tokenizer;
    use infotheory::{Nats, ngram};
    use std::collections::HashSet;

    #[test]
    fn the_source_is_what_its_documentation_says() {
        let grammar = grammar();
        let rate = grammar.entropy_rate().unwrap();
        println!(
            "entropy {:.4} a story, {:.2} characters, {rate:.5} a character, longest {}",
            grammar.entropy(),
            grammar.expected_length(),
            grammar.longest()
        );
        (0..6).for_each(|i| print!("{}", story(&grammar, 0, i)));
        assert!(grammar.longest() <= 256);
    }

    /// Facts change no story, and every fact is told in it.
    #[test]
    fn facts_are_those_of_the_story() {
        let grammar = grammar();
        for (i, (text, facts)) in stories_with_facts(3, 0..200).into_iter().enumerate() {
            assert_eq!(text, story(&grammar, 3, i as u32));
            let Facts { name, colour, thing, place, animal } = &facts;
            for fact in [name, colour, thing, place, animal] {
                assert!(!fact.is_empty() && text.contains(&fact[..]), "{fact}: {text}");
            }
            assert!(text.contains(&format!("{colour} {thing}")), "{text}");
        }
    }

    #[test]
    fn stories_have_one_derivation_and_the_entropy_on_average() {
        let grammar = grammar();
        let n = 2000;
        let (mut words, mut nats) = (HashSet::new(), Vec::new());
        for i in 0..n {
            let story = story(&grammar, 5, i);
            assert!(story.is_ascii() && story.ends_with(".\n") && story.lines().count() == 1);
            let found = grammar.derivations(&story);
            assert_eq!(found.len(), 1, "{story}");
            nats.push(found[0].0);
            words.extend(story.split([' ', ',', '.', '\n']).map(str::to_owned));
        }
        println!("{} words", words.len());
        assert!(words.len() > 200);
        let mean = nats.iter().sum::<f64>() / f64::from(n);
        let variance = nats.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n - 1);
        assert!((mean - grammar.entropy().0).abs() < 4.0 * (variance / f64::from(n)).sqrt());
    }

    #[test]
    fn n_grams_stay_above_the_entropy() {
        let grammar = grammar();
        let text = |series, n| (0..n).map(|i| story(&grammar, series, i)).collect::<String>();
        let (train, held_back) = (text(0, 6000), text(1, 400));
        let tokenizer = Tokenizer::characters_of(&train);
        let (train, held_back) =
            (tokenizer.encode(&train).unwrap(), tokenizer.encode(&held_back).unwrap());
        for (n, nats) in ngram::baselines(&train, &held_back, tokenizer.vocabulary(), 6) {
            println!("{n}-gram: {nats:.4}");
            assert!(nats > grammar.entropy_rate().unwrap() + Nats(0.08), "{n}-gram: {nats}");
        }
    }
}
