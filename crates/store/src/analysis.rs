//! From text to the terms that the full-text index holds.
//!
//! The same function reads records and queries, so whatever it does to one it does to the other:
//!
//! 1. compatibility normalisation (NFKC) and lower case;
//! 2. words by Unicode's rules (UAX #29), further divided at `.`, `_` and apostrophes;
//! 3. stop words of the language go;
//! 4. a word is stemmed by Snowball in its language, then loses its diacritics (`rechnungen` and `rechnung` meet, and
//!    so do `grüße`, `gruesse` and `grusse`);
//! 5. what identifies something is kept whole besides its parts: `INV-2024-0042` gives `inv20240042`, `inv`, `2024`
//!    and `0042`; an address gives itself and its words; `1.250,00` and `1,250.00` both give `1250`.
//!
//! ```
//! use rejoinder_store::analysis::{Language, terms};
//!
//! assert_eq!(terms("Die offenen Rechnungen", Language::German), terms("offene Rechnung", Language::German));
//! assert!(terms("Re: INV-2024-0042!", Language::English).contains(&"inv20240042".to_owned()));
//! ```

mod stop_words;

use std::collections::HashSet;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

/// Longest term in bytes; what is longer (base64, tracking links) is of no use in an index and is left out.
const LONGEST_TERM: usize = 64;
/// Most terms of one text. A chunk has a few hundred.
const MOST_TERMS: usize = 20_000;
/// How many characters of a text the language detection reads.
const DETECTION_CHARS: usize = 2_000;

/// The languages that have a stemmer and a list of stop words here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// `en`, and whatever has no stemmer here.
    English,
    /// `de`
    German,
    /// `fr`
    French,
    /// `es`
    Spanish,
    /// `it`
    Italian,
    /// `nl`
    Dutch,
    /// `pt`
    Portuguese,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 7] =
        [Self::English, Self::German, Self::French, Self::Spanish, Self::Italian, Self::Dutch, Self::Portuguese];

    /// The language of an ISO 639-1 code (`de`, also `de-AT`, in any case); `None` where it has no stemmer here.
    pub fn from_code(code: &str) -> Option<Self> {
        match code.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "en" => Some(Self::English),
            "de" => Some(Self::German),
            "fr" => Some(Self::French),
            "es" => Some(Self::Spanish),
            "it" => Some(Self::Italian),
            "nl" => Some(Self::Dutch),
            "pt" => Some(Self::Portuguese),
            _ => None,
        }
    }

    /// The language a record is stemmed in: by its code, else by what its text looks like, else English.
    pub fn of_record(code: Option<&str>, text: &str) -> Self {
        match code {
            Some(code) => Self::from_code(code).unwrap_or(Self::English),
            None => Self::detect(text).unwrap_or(Self::English),
        }
    }

    /// The language that `text` is in, where it is long enough to tell.
    fn detect(text: &str) -> Option<Self> {
        let start: String = text.chars().take(DETECTION_CHARS).collect();
        let info = whatlang::detect(&start).filter(whatlang::Info::is_reliable)?;
        match info.lang() {
            whatlang::Lang::Eng => Some(Self::English),
            whatlang::Lang::Deu => Some(Self::German),
            whatlang::Lang::Fra => Some(Self::French),
            whatlang::Lang::Spa => Some(Self::Spanish),
            whatlang::Lang::Ita => Some(Self::Italian),
            whatlang::Lang::Nld => Some(Self::Dutch),
            whatlang::Lang::Por => Some(Self::Portuguese),
            _ => None,
        }
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Self::English => Algorithm::English,
            Self::German => Algorithm::German,
            Self::French => Algorithm::French,
            Self::Spanish => Algorithm::Spanish,
            Self::Italian => Algorithm::Italian,
            Self::Dutch => Algorithm::Dutch,
            Self::Portuguese => Algorithm::Portuguese,
        }
    }
}

/// The terms of `text`, in order and with repeats. No term holds white space.
pub fn terms(text: &str, language: Language) -> Vec<String> {
    Analyser::new(language).terms(text)
}

/// The distinct terms to look for, in order of appearance.
///
/// With a known language: its terms and the English ones, since mail in any language repeats English words and a record
/// whose language could not be told was read as English. Without one: the terms of every language; a stem made by the
/// rules of a foreign language is seldom a stem of the record's own, so this adds little noise.
pub fn query_terms(text: &str, code: Option<&str>) -> Vec<String> {
    let languages: Vec<Language> = match code {
        None => Language::ALL.to_vec(),
        Some(code) => match Language::from_code(code) {
            None | Some(Language::English) => vec![Language::English],
            Some(language) => vec![language, Language::English],
        },
    };
    // A stop word of one language must not come back as a term of another.
    let stop_words: Vec<&str> = languages.iter().flat_map(|&language| stop_words::of(language)).copied().collect();
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for language in languages {
        let mut analyser = Analyser::new(language);
        analyser.stop_words.extend(&stop_words);
        found.extend(analyser.terms(text).into_iter().filter(|term| seen.insert(term.clone())));
    }
    found
}

/// One language's way of making terms.
struct Analyser {
    language: Language,
    stemmer: Stemmer,
    stop_words: HashSet<&'static str>,
}

impl Analyser {
    fn new(language: Language) -> Self {
        Self {
            language,
            stemmer: Stemmer::create(language.algorithm()),
            stop_words: stop_words::of(language).iter().copied().collect(),
        }
    }

    fn terms(&self, text: &str) -> Vec<String> {
        // Compatibility normalisation also makes no-break spaces plain ones. Lower-casing can decompose (`İ`), which the
        // folding at the end takes care of.
        let text: String = text.nfkc().flat_map(char::to_lowercase).map(plain_apostrophe).collect();
        let mut found = Vec::new();
        for piece in text.split(|c: char| c.is_whitespace() || c.is_control()) {
            self.piece(piece, &mut found);
            if found.len() >= MOST_TERMS {
                found.truncate(MOST_TERMS);
                break;
            }
        }
        found
    }

    /// The terms of one piece between white space: the whole of an identifier, then its words.
    fn piece(&self, piece: &str, found: &mut Vec<String>) {
        let core = piece.trim_matches(|c: char| !c.is_alphanumeric());
        if core.is_empty() {
            return;
        }
        let before = found.len();
        if let Some(amount) = canonical_number(core) {
            push(found, amount);
            return;
        }
        if let Some(whole) = whole_identifier(core) {
            push(found, whole);
        }
        for word in core.unicode_words() {
            if let Some(amount) = canonical_number(word) {
                push(found, amount);
                continue;
            }
            for part in word.split(['.', '_', '\'', ':', '\u{b7}']) {
                if let Some(term) = self.word(part) {
                    push(found, term);
                }
            }
        }
        // A piece that is one plain word has its whole and its only part alike.
        if let [.., whole, only] = found.as_slice()
            && found.len() == before + 2
            && whole == only
        {
            found.pop();
        }
    }

    /// The term of one word; `None` for a stop word.
    fn word(&self, word: &str) -> Option<String> {
        if word.is_empty() || self.stop_words.contains(word) {
            return None;
        }
        // One letter alone is what elision and initials leave (`l'exercice`, `J. Smith`); one digit counts.
        if word.len() == 1 && !word.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        if word.contains(|c: char| c.is_numeric()) {
            return Some(fold(word));
        }
        let stem = match self.language {
            Language::German => self.stemmer.stem(&german_umlauts(word)).into_owned(),
            _ => self.stemmer.stem(word).into_owned(),
        };
        Some(fold(&stem))
    }
}

fn push(found: &mut Vec<String>, term: String) {
    if !term.is_empty() && term.len() <= LONGEST_TERM {
        found.push(term);
    }
}

/// Typographic apostrophes as the plain one, which is where words divide.
fn plain_apostrophe(c: char) -> char {
    if matches!(c, '\u{2019}' | '\u{2018}' | '\u{2bc}' | '\u{60}' | '\u{b4}') { '\'' } else { c }
}

/// Without diacritics; the letters that do not decompose are spelt out.
fn fold(word: &str) -> String {
    if word.is_ascii() {
        return word.to_owned();
    }
    let mut folded = String::with_capacity(word.len());
    for c in word.nfd().filter(|&c| !is_combining_mark(c)) {
        match c {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' => folded.push('d'),
            other => folded.push(other),
        }
    }
    folded
}

/// `ae`, `oe` and `ue` as umlauts, so that both spellings of a German word have one stem. Not after a vowel or `q`
/// (`neue`, `Quelle`), where the letters are no umlaut.
fn german_umlauts(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut letters = word.chars().peekable();
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        let umlaut = match letter {
            'a' => Some('ä'),
            'o' => Some('ö'),
            'u' => Some('ü'),
            _ => None,
        };
        match umlaut {
            Some(umlaut) if letters.peek() == Some(&'e') && !"aeiouqäöü".contains(before) => {
                letters.next();
                out.push(umlaut);
                before = 'e';
            }
            _ => {
                out.push(letter);
                before = letter;
            }
        }
    }
    out
}

/// An e-mail address as it is; anything else with a digit, or a hyphenated word of two parts, without its punctuation.
fn whole_identifier(core: &str) -> Option<String> {
    if core.len() > 2 * LONGEST_TERM || core.chars().all(char::is_alphanumeric) {
        return None;
    }
    if core.matches('@').count() == 1 {
        return Some(core.to_owned());
    }
    let joins =
        |c: char| c.is_alphanumeric() || matches!(c, '-' | '/' | '.' | '_' | '#' | ':' | '\u{2010}' | '\u{2011}');
    if !core.chars().all(joins) {
        return None;
    }
    let has_digit = core.contains(|c: char| c.is_numeric());
    let hyphens = core.matches(['-', '\u{2010}', '\u{2011}']).count();
    let plain_compound =
        hyphens == 1 && core.chars().all(|c| c.is_alphabetic() || matches!(c, '-' | '\u{2010}' | '\u{2011}'));
    (has_digit || plain_compound).then(|| fold(&core.chars().filter(|c| c.is_alphanumeric()).collect::<String>()))
}

/// A number in one spelling: no grouping, `.` before a fraction, no fraction of zeros. `None` for what is no number with
/// separators.
fn canonical_number(word: &str) -> Option<String> {
    let separator = |c: char| matches!(c, '.' | ',' | '\'');
    if !word.contains(separator) || !word.chars().all(|c| c.is_ascii_digit() || separator(c)) {
        return None;
    }
    let groups: Vec<&str> = word.split(separator).collect();
    let (last, groups_before) = groups.split_last()?;
    let (first, middle) = groups_before.split_first()?;
    // Dates (`31.12.2024`) and addresses (`10.0.0.1`) have inner groups of another length than three.
    if first.is_empty() || first.len() > 3 && !middle.is_empty() || middle.iter().any(|group| group.len() != 3) {
        return None;
    }
    let whole: String = groups_before.concat();
    match last.len() {
        3 if first.len() <= 3 => Some(whole + last),
        1 | 2 => {
            let fraction = last.trim_end_matches('0');
            Some(if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Language, canonical_number, query_terms, terms};

    #[test]
    fn every_language_meets_its_plural() {
        for (language, one, many) in [
            (Language::English, "invoice", "Invoices"),
            (Language::German, "Rechnung", "Rechnungen"),
            (Language::German, "Grüße", "Gruesse"),
            (Language::German, "Müller", "MUELLER"),
            (Language::French, "facture", "factures"),
            (Language::French, "exercice", "l\u{2019}exercice"),
            (Language::Spanish, "factura", "facturas"),
            (Language::Italian, "fattura", "fatture"),
            (Language::Italian, "importo", "l'importo"),
            (Language::Dutch, "rekening", "rekeningen"),
            (Language::Portuguese, "fatura", "faturas"),
        ] {
            assert_eq!(terms(one, language), terms(many, language), "{one} and {many}");
            assert_eq!(terms(one, language).len(), 1, "{one}");
        }
    }

    #[test]
    fn identifiers_are_kept_whole_and_in_parts() {
        let found = terms("Re: (INV-2024-0042), please", Language::English);
        for term in ["inv20240042", "inv", "2024", "0042"] {
            assert!(found.iter().any(|have| have == term), "{term} is missing in {found:?}");
        }
        assert!(terms("inv20240042", Language::English).contains(&"inv20240042".to_owned()));
        let address = terms("<A.Weber@Example.com>", Language::English);
        for term in ["a.weber@example.com", "weber"] {
            assert!(address.iter().any(|have| have == term), "{term} is missing in {address:?}");
        }
        assert_eq!(terms("E-Mail", Language::German).first(), Some(&"email".to_owned()));
    }

    #[test]
    fn amounts_have_one_spelling() {
        for (word, number) in [
            ("1.250,00", Some("1250")),
            ("1,250.00", Some("1250")),
            ("1'250.50", Some("1250.5")),
            ("12,5", Some("12.5")),
            ("1.250", Some("1250")),
            ("31.12.2024", None),
            ("10.0.0.1", None),
            ("1250", None),
            (",5", None),
            ("1..2", None),
        ] {
            assert_eq!(canonical_number(word).as_deref(), number, "{word}");
        }
        assert_eq!(terms("EUR 1.250,00", Language::German), terms("EUR 1250", Language::German));
        assert_eq!(terms("\u{20ac}1,250.00.", Language::English), ["1250"]);
    }

    #[test]
    fn stop_words_go_in_the_languages_that_are_searched() {
        assert!(terms("the of and", Language::English).is_empty());
        assert!(query_terms("der die das the", None).is_empty());
        assert!(query_terms("die Rechnungen", Some("de")).contains(&"rechnung".to_owned()));
        assert!(query_terms("Rechnungen", None).contains(&"rechnung".to_owned()));
        assert!(query_terms("invoices", Some("de-AT")).contains(&"invoic".to_owned()));
    }

    #[test]
    fn hostile_text_makes_bounded_terms_without_white_space() {
        for text in
            ["\0\u{1}", "\u{202e}\u{feff}", &"a".repeat(100_000), &"a-".repeat(50_000), "\u{130}\u{fb03}", "@@@", "'''"]
        {
            for term in terms(text, Language::German) {
                assert!(term.len() <= 64 && !term.is_empty() && !term.contains(char::is_whitespace));
            }
        }
        assert_eq!(terms(&"x1 ".repeat(30_000), Language::English).len(), 20_000);
    }
}
