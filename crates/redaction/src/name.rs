//! The names of known people: how they are written, and where they stand in a text.

use rejoinder_domain::Address;

use crate::lexicon::{self, ByHash};
use crate::token::{Shape, Token, WordHash, fold, tokens};

/// Which form of a person's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// Given name and family name, in whatever order, also with initials; or the only name there is.
    Full,
    /// A given name alone.
    First,
    /// A family name alone.
    Last,
}

/// A name in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameFound {
    /// First byte.
    pub(crate) start: usize,
    /// One past the last byte.
    pub(crate) end: usize,
    /// Whose, as an index into the book.
    pub(crate) person: usize,
    /// Which form.
    pub(crate) form: Form,
}

/// Parts of a name that are looked at, at most; the rest of a longer one is ignored.
const PARTS: usize = 8;

/// A part alone is a name from this many letters on.
const ALONE: u16 = 3;

/// Words that are names too.
const ORDINARY: lexicon::Tags = lexicon::COMMON | lexicon::COMMON_CAPITAL | lexicon::SMALL;

#[derive(Debug)]
struct Part {
    initial: Option<char>,
    form: Form,
}

#[derive(Debug)]
struct Person {
    parts: Vec<Part>,
    /// Single letters between the parts, as the name is given: `Ken N. Fukuda`.
    middle: Vec<char>,
    /// Hashes of titles and particles before the parts, as the name is given: `van Dijk`.
    small: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    person: usize,
    /// `None` for a name written in one word: `annaweber`.
    part: Option<usize>,
}

/// The people of one request.
#[derive(Debug, Default)]
pub(crate) struct NameBook {
    people: Vec<Person>,
    index: ByHash<Vec<Entry>>,
    /// Names and addresses as the caller gives them, each with its person.
    written: Vec<(String, usize)>,
    emails: Vec<String>,
}

impl NameBook {
    /// Reads the people's names; where there is none, the address gives it (`anna.weber@`).
    pub(crate) fn new(people: &[Address]) -> Self {
        let mut book = Self::default();
        let mut known: Vec<(String, usize)> = Vec::new();
        for address in people {
            if address.email.len() > 5 && address.email.contains('@') {
                book.emails.push(address.email.clone());
            }
            let named = if address.name.contains('@') { "" } else { address.name.trim() };
            let parts = if named.is_empty() { from_local_part(&address.email) } else { from_display_name(named) };
            if parts.is_empty() {
                continue;
            }
            let mut identity: Vec<String> = parts.iter().map(|(word, _)| fold(word)).collect();
            identity.sort();
            let identity = identity.join(" ");
            let same = known.iter().find(|(other, _)| *other == identity).map(|(_, person)| *person);
            let person = same.unwrap_or(book.people.len());
            if same.is_none() {
                known.push((identity, person));
                book.add(&parts, middle_initials(named), small_words(named));
            }
            // One plain word is found as a word, and not wherever its letters stand.
            if named.contains(' ') || !named.is_ascii() {
                book.written.push((named.to_owned(), person));
            }
        }
        book
    }

    /// The names as the caller wrote them: also those in scripts that write without spaces are found by them.
    pub(crate) fn written(&self) -> &[(String, usize)] {
        &self.written
    }

    /// The people's addresses.
    pub(crate) fn emails(&self) -> &[String] {
        &self.emails
    }

    fn add(&mut self, parts: &[(String, Form)], middle: Vec<char>, small: Vec<u64>) {
        let person = self.people.len();
        for (place, (word, _)) in parts.iter().enumerate() {
            for folded in spellings(word) {
                self.enter(&folded, Entry { person, part: Some(place) });
            }
        }
        let of = |form: Form| -> String {
            parts.iter().filter(|(_, of)| *of == form).map(|(word, _)| word.to_lowercase()).collect()
        };
        let (first, last) = (of(Form::First), of(Form::Last));
        if let (Some(initial), true) = (first.chars().next(), last.len() > 2) {
            for glued in [format!("{first}{last}"), format!("{last}{first}"), format!("{initial}{last}")] {
                for folded in spellings(&glued) {
                    self.enter(&folded, Entry { person, part: None });
                }
            }
        }
        let part = |(word, form): &(String, Form)| Part { initial: fold(word).chars().next(), form: *form };
        self.people.push(Person { parts: parts.iter().map(part).collect(), middle, small });
    }

    fn enter(&mut self, folded: &str, entry: Entry) {
        let entries = self.index.entry(WordHash::of(folded)).or_default();
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }

    fn part_of(&self, token: &Token, person: usize) -> Option<(usize, bool)> {
        let look = |hash: u64| {
            let entries = self.index.get(&hash)?;
            entries.iter().find(|entry| entry.person == person).and_then(|entry| entry.part)
        };
        look(token.hash).map(|part| (part, false)).or_else(|| Some((token.stem.and_then(look)?, true)))
    }

    /// Every name of a known person, in order, without overlap.
    pub(crate) fn find(&self, tokens: &[Token]) -> Vec<NameFound> {
        let mut found: Vec<NameFound> = Vec::new();
        if self.people.is_empty() {
            return found;
        }
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let entries = match token.shape {
                Shape::Word | Shape::Mixed => {
                    let whole = self.index.get(&token.hash);
                    whole.or_else(|| self.index.get(&token.stem?))
                }
                _ => None,
            };
            let runs = entries.into_iter().flatten().map(|entry| self.run(tokens, at, *entry));
            // The longest run; of equal ones the first.
            let best = runs.reduce(|best, run| if run.weight() > best.weight() { run } else { best });
            at += 1;
            if let Some(run) = best
                && let Some(name) = self.judge(tokens, &run)
                && found.last().is_none_or(|last| last.end <= name.start)
            {
                at = run.to;
                found.push(name);
            }
        }
        found
    }

    /// How far the name goes that begins with the token `at`, and whether an initial stands before it.
    fn run(&self, tokens: &[Token], at: usize, entry: Entry) -> Run {
        let mut run = Run { entry, from: at, to: at + 1, parts: 1, initials: 0, inflected: false };
        let Some(first) = entry.part else { return run };
        let Some(person) = self.people.get(entry.person) else { return run };
        let mut used: u32 = 1 << first;
        run.inflected = tokens.get(at).is_some_and(|token| !self.index.contains_key(&token.hash));
        let mut next = at + 1;
        let mut at_part = first;
        while !run.inflected
            && let Some((place, token)) = after_separator(tokens, next)
        {
            let comma = (next..place).any(|between| tokens.get(between).is_some_and(|token| token.sign(',')));
            if comma && !person.comma_fits(at_part, self.part_of(token, entry.person).map(|(part, _)| part)) {
                break;
            }
            next = place + 1;
            if let Some((part, inflected)) = self.part_of(token, entry.person)
                && used & (1 << part) == 0
            {
                used |= 1 << part;
                at_part = part;
                run.parts += 1;
                run.inflected = inflected;
                run.to = next;
            } else if let Some(part) = person.initial(token, used).filter(|_| is_abbreviated(tokens, place)) {
                used |= 1 << part;
                run.initials += 1;
                run.to = next;
            } else if token.initial.is_some_and(|letter| person.middle.contains(&letter)) {
                // It counts if the name goes on.
            } else if !token.is(lexicon::PARTICLE) {
                break;
            }
        }
        let mut before = at;
        while let Some((place, token)) = before_separator(tokens, before)
            && let Some(part) = person.initial(token, used)
        {
            used |= 1 << part;
            run.initials += 1;
            run.from = place;
            before = place;
        }
        while let Some((place, token)) = before_separator(tokens, before)
            && person.small.contains(&token.hash)
        {
            run.from = place;
            before = place;
        }
        run
    }

    /// Whether a run is a name.
    fn judge(&self, tokens: &[Token], run: &Run) -> Option<NameFound> {
        let (first, last) = (tokens.get(run.from)?, tokens.get(run.to - 1)?);
        let person = self.people.get(run.entry.person)?;
        let end = if run.inflected { last.end - 1 } else { last.end };
        let name = |start: usize, form: Form| Some(NameFound { start, end, person: run.entry.person, form });
        let Some(part) = run.entry.part.and_then(|part| person.parts.get(part)) else {
            return name(first.start, Form::Full);
        };
        if run.parts > 1 || (run.initials > 0 && (first.capital || last.capital)) {
            return name(first.start, Form::Full);
        }
        let sole = person.parts.len() == 1;
        let token = tokens.get(run.to - 1)?;
        let form = if sole { Form::Full } else { part.form };
        let title =
            before_separator(tokens, run.from).filter(|(_, before)| before.is(lexicon::TITLE) && before.letters > 1);
        let foreign = token.capital && token.letters == 2 && !token.is(ORDINARY | lexicon::PARTICLE);
        if token.letters < ALONE && !foreign && token.start + 1 < token.end {
            // A very short name is too common as a part of words: it counts together with its title.
            let (_, title) = title.filter(|_| token.capital)?;
            return name(title.start, form);
        }
        let accepted = title.is_some()
            || (token.letters >= ALONE && !token.is(ORDINARY))
            || foreign
            || (token.capital && (sole || stands_out(tokens, run.from, token)));
        if accepted { name(first.start, form) } else { None }
    }
}

impl Person {
    /// `Weber, Anna` is one name, `Anna, Weber` are two.
    fn comma_fits(&self, before: usize, after: Option<usize>) -> bool {
        let is_last = |part: usize| self.parts.get(part).is_some_and(|part| part.form == Form::Last);
        is_last(before) && !after.is_some_and(is_last)
    }

    /// Which unused part a single letter stands for.
    fn initial(&self, token: &Token, used: u32) -> Option<usize> {
        if token.shape != Shape::Word || token.letters != 1 || !token.capital {
            return None;
        }
        let letter = token.initial?;
        let of = |(place, part): &(usize, &Part)| used & (1 << place) == 0 && part.initial == Some(letter);
        self.parts.iter().enumerate().find(of).map(|(place, _)| place)
    }
}

/// What could be a name.
struct Run {
    entry: Entry,
    from: usize,
    to: usize,
    parts: usize,
    initials: usize,
    inflected: bool,
}

impl Run {
    fn weight(&self) -> usize {
        self.parts * 4 + self.initials
    }
}

/// Whether a capitalised word that is also an ordinary word is meant as a name.
fn stands_out(tokens: &[Token], at: usize, token: &Token) -> bool {
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    let after = tokens.get(at + 1);
    let opens =
        before.is_none_or(|before| matches!(before.shape, Shape::Break(_) | Shape::Sign('.' | '!' | '?' | ':')));
    let goes_on = after.is_some_and(|after| after.shape == Shape::Word && !after.capital);
    if token.is(lexicon::COMMON_CAPITAL) {
        let closes = after.is_none_or(|after| matches!(after.shape, Shape::Break(_) | Shape::Sign(',' | '!')));
        return before.is_none_or(|before| matches!(before.shape, Shape::Break(_))) && closes;
    }
    !(opens && goes_on)
}

/// Whether a letter behind a name is short for something and not the first word of what follows.
fn is_abbreviated(tokens: &[Token], at: usize) -> bool {
    tokens.get(at + 1).is_none_or(|next| matches!(next.shape, Shape::Sign('.' | ')' | '>') | Shape::Break(_)))
}

/// The next word of a name: after nothing, spaces, signs that join names or a line break.
fn after_separator(tokens: &[Token], at: usize) -> Option<(usize, &Token)> {
    (at..at + 3)
        .find_map(|place| tokens.get(place).filter(|token| token.is_text()).map(|token| (place, token)))
        .filter(|(place, _)| (at..*place).all(|between| tokens.get(between).is_some_and(joins)))
}

fn before_separator(tokens: &[Token], at: usize) -> Option<(usize, &Token)> {
    let place = (at.saturating_sub(2)..at).rev().find(|place| tokens.get(*place).is_some_and(Token::is_text))?;
    let joined = (place + 1..at).all(|between| tokens.get(between).is_some_and(|token| token.sign('.')));
    joined.then(|| tokens.get(place).map(|token| (place, token))).flatten()
}

fn joins(token: &Token) -> bool {
    matches!(token.shape, Shape::Sign('.' | ',' | '-' | '_' | '\'' | '+') | Shape::Break(1))
}

/// The word itself and as it is written without its umlauts.
fn spellings(word: &str) -> Vec<String> {
    let plain = fold(word);
    let lower = word.to_lowercase();
    let spelt: String = lower.replace('ä', "ae").replace(['ö', 'ø'], "oe").replace('ü', "ue").replace('å', "aa");
    let spelt = fold(&spelt);
    if spelt == plain { vec![plain] } else { vec![plain, spelt] }
}

/// `Anna Weber`, `Weber, Anna`, `Dr. Anna von Weber (Sales)`; empty for what is no person.
fn from_display_name(name: &str) -> Vec<(String, Form)> {
    let mut name = name.trim_matches(['"', '\'', ' ']);
    for cut in ["(", "[", "<", "|", " - ", " – ", " via ", " at ", "/"] {
        name = name.split(cut).next().unwrap_or_default();
    }
    let (before, after) = name.split_once(',').unwrap_or((name, ""));
    let (before, after) = (words(before), words(after));
    let is_role = |words: &[(String, u32)]| words.iter().any(|(_, tags)| tags & lexicon::ROLE != 0);
    if is_role(&before) || is_role(&after) {
        return Vec::new();
    }
    if !after.is_empty() {
        let first = after.into_iter().map(|(word, _)| (word, Form::First));
        return before.into_iter().map(|(word, _)| (word, Form::Last)).chain(first).take(PARTS).collect();
    }
    let last = before.len().saturating_sub(1);
    let form = |place: usize| if place == last && place > 0 { Form::Last } else { Form::First };
    before.into_iter().enumerate().map(|(place, (word, _))| (word, form(place))).take(PARTS).collect()
}

/// The words of a name that tell who it is, with their meanings.
fn words(name: &str) -> Vec<(String, u32)> {
    let found = tokens(name).into_iter().filter(|token| token.shape == Shape::Word);
    let word = |token: Token| name.get(token.start..token.end).map(|word| (word.to_owned(), token.tags));
    let words: Vec<(String, u32)> = found.filter_map(word).collect();
    let telling = |(word, tags): &&(String, u32)| {
        let small = tags & (lexicon::PARTICLE | lexicon::TITLE) != 0;
        !small && word.chars().count() > 1
    };
    let telling: Vec<(String, u32)> = words.iter().filter(telling).cloned().collect();
    // A name may consist of nothing else: `Y Li`.
    if telling.is_empty() { words.into_iter().filter(|(word, _)| word.chars().count() > 1).collect() } else { telling }
}

fn small_words(name: &str) -> Vec<u64> {
    let small = |token: &Token| token.is(lexicon::PARTICLE | lexicon::TITLE);
    tokens(name).into_iter().filter(small).map(|token| token.hash).collect()
}

fn middle_initials(name: &str) -> Vec<char> {
    tokens(name).into_iter().filter(|token| token.shape == Shape::Word).filter_map(|token| token.initial).collect()
}

fn from_local_part(email: &str) -> Vec<(String, Form)> {
    let local = email.split(['@', '+']).next().unwrap_or_default();
    let pieces: Vec<&str> = local.split(['.', '_', '-']).collect();
    let is_name = pieces.len() == 2
        && pieces.iter().all(|piece| piece.chars().count() > 1 && piece.chars().all(char::is_alphabetic));
    if is_name { from_display_name(&pieces.join(" ")) } else { Vec::new() }
}

#[cfg(test)]
#[path = "name_tests.rs"]
mod tests;
