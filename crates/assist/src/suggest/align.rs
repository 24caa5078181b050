//! Which words of a source bear out which sentence of a draft.
//!
//! A model's citation numbers are a hint and no more: each is checked against the words of the source, and a sentence
//! without a number is looked for in every source.

use std::collections::HashSet;

use rejoinder_domain::{MessageId, Span};
use rejoinder_recognise::constant_pattern;

use super::citation::Claim;
use super::marks::{Mark, sentence_of};
use super::retrieve::content_words;
use super::salutation;
use crate::extract::stem;
use crate::sentence::sentences;

/// A source that the model was shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ShownSource {
    /// The message that is cited: for a question with its reply, the reply.
    pub(crate) message_id: MessageId,
    /// The words that may be cited, verbatim.
    pub(crate) text: String,
    /// The question that the words answered; empty for a passage. Its facts are another customer's.
    pub(crate) question: String,
    /// Whether the words are ours: only then do our promises stand in them.
    pub(crate) is_ours: bool,
    /// Similarity to the ticket's question, 0 to 1.
    pub(crate) score: f32,
}

/// What a draft rests on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Aligned {
    /// Index of the source and the words there, in the order of the draft's sentences, each once.
    pub(crate) quoted: Vec<(usize, Span)>,
    /// Sentences whose number names no source, or one that does not say so.
    pub(crate) miscited: Vec<String>,
    /// Statements that no source and not the ticket bears out.
    pub(crate) unsupported: Vec<String>,
}

impl Aligned {
    /// What is quoted, to be verified.
    pub(crate) fn claims<'a>(&self, sources: &'a [ShownSource]) -> Vec<Claim<'a>> {
        let claim = |(index, span): &(usize, Span)| {
            let source = sources.get(*index)?;
            let text = span.of(&source.text)?;
            Some(Claim { message_id: &source.message_id, text, span: None, score: source.score })
        };
        self.quoted.iter().filter_map(claim).collect()
    }
}

/// The share of a sentence's words that a source that was named has to have.
const BORNE_OUT: f32 = 0.5;
/// The same where the model named no source: the words alone have to tell.
const RECOGNISED: f32 = 0.65;
/// The share of a sentence's words that the ticket has to have for the sentence to restate it.
const RESTATED: f32 = 0.6;
/// A sentence with fewer telling words states nothing.
const STATEMENT_WORDS: usize = 3;

/// Aligns the draft's sentences with the sources. `known` is what the ticket and the agent say.
pub(crate) fn align(draft: &str, marks: &[Mark], sources: &[ShownSource], known: &str) -> Aligned {
    let spans = sentences(draft);
    let known = telling_words(known);
    let windows: Vec<Vec<Window>> = sources.iter().map(|source| windows_of(&source.text)).collect();
    let body = body_of(draft);
    let mut aligned = Aligned::default();
    for (index, span) in spans.iter().enumerate() {
        let sentence = span.of(draft).unwrap_or_default();
        let words = telling_words(within(body, *span, draft));
        // A mark before the first sentence can only mean that sentence. Greetings and thanks rest on nothing.
        let own = marks.iter().filter(|mark| sentence_of(mark, &spans).unwrap_or(0) == index);
        let own = own.filter(|_| !words.is_empty() && !is_civil(sentence));
        let numbers: Vec<usize> = own.flat_map(|mark| mark.numbers.iter().copied()).collect();
        let mut is_borne_out = false;
        for number in &numbers {
            let source = number.checked_sub(1);
            let best = source.and_then(|source| Some((source, best_window(&words, windows.get(source)?, BORNE_OUT)?)));
            match best {
                Some(quote) => {
                    is_borne_out = true;
                    aligned.quote(quote);
                }
                None => aligned.miscited.push(sentence.to_owned()),
            }
        }
        if is_borne_out || words.len() < STATEMENT_WORDS || is_civil(sentence) {
            continue;
        }
        let every = windows.iter().enumerate();
        let found = every.filter_map(|(source, windows)| Some((source, best_window(&words, windows, RECOGNISED)?)));
        match found.max_by(|one, other| one.1.1.total_cmp(&other.1.1)) {
            Some(quote) => aligned.quote(quote),
            None if share(&words, &known) < RESTATED => aligned.unsupported.push(sentence.to_owned()),
            None => {}
        }
    }
    aligned.miscited.dedup();
    aligned
}

impl Aligned {
    fn quote(&mut self, (source, (span, _)): (usize, (Span, f32))) {
        if !self.quoted.contains(&(source, span)) {
            self.quoted.push((source, span));
        }
    }
}

/// One or two sentences of a source.
struct Window {
    span: Span,
    words: HashSet<String>,
}

fn windows_of(text: &str) -> Vec<Window> {
    let spans = sentences(text);
    let window = |span: Span| Window { span, words: telling_words(span.of(text).unwrap_or_default()) };
    let singles = spans.iter().map(|span| window(*span));
    let pairs = spans.windows(2).filter_map(|pair| match pair {
        [first, second] => Span::new(first.start(), second.end()).map(window),
        _ => None,
    });
    // One sentence is preferred to two that say no more.
    singles.chain(pairs).collect()
}

/// The window that has most of the words, if it has enough of them, and their share.
fn best_window(words: &HashSet<String>, windows: &[Window], enough: f32) -> Option<(Span, f32)> {
    let mut best: Option<(Span, f32)> = None;
    for window in windows {
        let share = share(words, &window.words);
        if share >= enough && best.is_none_or(|(_, most)| share > most + 0.1) {
            best = Some((window.span, share));
        }
    }
    best
}

/// The share of `words` that are in `others`; 0 of none.
fn share(words: &HashSet<String>, others: &HashSet<String>) -> f32 {
    if words.is_empty() { 0.0 } else { words.intersection(others).count() as f32 / words.len() as f32 }
}

/// Words that say what a text is about, without their endings.
fn telling_words(text: &str) -> HashSet<String> {
    content_words(text).iter().map(|word| stem(word)).collect()
}

/// The draft between salutation and sign-off.
fn body_of(draft: &str) -> Span {
    let start = salutation::find_salutation(draft).map_or(0, |found| found.span.end());
    let end = salutation::find_sign_off(draft).map_or(draft.len(), |found| found.start);
    Span::new(start, end).unwrap_or(Span::whole(draft))
}

/// The part of the sentence that is in the body: `Hi Anna, it works.` is salutation and statement in one.
fn within(body: Span, sentence: Span, draft: &str) -> &str {
    let (start, end) = (sentence.start().max(body.start()), sentence.end().min(body.end()));
    Span::new(start, end).and_then(|part| part.of(draft)).unwrap_or_default()
}

/// Whether a sentence states something that a source has to bear out.
#[cfg(test)]
pub(crate) fn states(sentence: &str) -> bool {
    telling_words(sentence).len() >= STATEMENT_WORDS && !is_civil(sentence)
}

/// Thanks, apologies, offers of help, questions, and that somebody will look into it: what needs no source. A sentence
/// with a figure in it states something all the same.
fn is_civil(sentence: &str) -> bool {
    static CIVIL: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| {
        constant_pattern(concat!(
            r"(?i)\b(?:thank|thanks|sorry|apolog\w+|regret|appreciate|understand (?:your|that|how)|let (?:us|me) know|do(?: not|n't) hesitate|feel free|",
            r"look(?:ing)? into|get back to you|reach out|happy to (?:help|assist)|hope (?:this|that|you)|wish you|",
            r"dank\w*|bedauer\w+|leid|entschuldig\w+|verständnis|zögern sie nicht|melden sie sich|kümmer\w+|prüfen (?:das|dies|ihr)|freundlich\w*|zur verfügung|",
            r"merci|désolé\w*|excus\w+|regrett\w+|n'hésitez pas|restons à votre disposition|revenir vers vous|",
            r"gracias|agradec\w+|disculp\w+|lament\w+|sentimos|no dude\w*|quedamos a su disposición|",
            r"obrigad[oa]|desculp\w+|não hesite|à (?:sua )?disposição)\b",
        ))
    });
    let has_figure = sentence.contains(|c: char| c.is_ascii_digit());
    sentence.trim_end().ends_with('?') || (!has_figure && CIVIL.is_match(sentence))
}

#[cfg(test)]
mod tests {
    use rejoinder_domain::MessageId;

    use super::super::marks::MarkFilter;
    use super::{Aligned, ShownSource, align};

    const REPLY: &str = "Guten Tag,\nSie können die Ware innerhalb von 30 Tagen zurücksenden. Das Rücksendeetikett liegt dem Paket bei. Die Gutschrift dauert eine Woche.\nViele Grüße";

    fn sources() -> Vec<ShownSource> {
        let source = |id: &str, text: &str| ShownSource {
            message_id: MessageId::from_stored(id),
            text: text.to_owned(),
            question: String::new(),
            is_ours: true,
            score: 0.8,
        };
        vec![source("msg_1", REPLY), source("msg_2", "The router resets when you hold the button for ten seconds.")]
    }

    fn run(draft: &str, known: &str) -> (Aligned, Vec<String>) {
        let mut filter = MarkFilter::default();
        filter.push(draft);
        filter.finish();
        let sources = sources();
        let aligned = align(filter.text(), filter.marks(), &sources, known);
        let quotes =
            aligned.quoted.iter().map(|(index, span)| span.of(&sources[*index].text).unwrap().to_owned()).collect();
        (aligned, quotes)
    }

    #[test]
    fn a_cited_sentence_is_aligned_with_the_words_that_say_so() {
        let (aligned, quotes) =
            run("Sie können die Ware innerhalb von 30 Tagen an uns zurücksenden [1]. Vielen Dank!", "");
        assert_eq!(quotes, ["Sie können die Ware innerhalb von 30 Tagen zurücksenden."]);
        assert_eq!((aligned.miscited.len(), aligned.unsupported.len()), (0, 0));
        let claims = aligned.claims(&sources()).len();
        assert_eq!(claims, 1);
    }

    #[test]
    fn two_sentences_of_a_source_may_bear_out_one() {
        let (_, quotes) =
            run("Das Rücksendeetikett liegt dem Paket bei, und die Gutschrift dauert etwa eine Woche [1].", "");
        assert_eq!(quotes, ["Das Rücksendeetikett liegt dem Paket bei. Die Gutschrift dauert eine Woche."]);
    }

    #[test]
    fn a_number_that_names_the_wrong_source_or_none_is_told() {
        let (aligned, quotes) = run("Please hold the button for ten seconds until the router resets [1].", "");
        assert_eq!(aligned.miscited.len(), 1);
        assert_eq!(quotes.len(), 1, "the words are in the other source, which is cited instead: {quotes:?}");
        let (aligned, _) = run("The warehouse opens daily at dawn [7].", "");
        assert_eq!((aligned.miscited.len(), aligned.unsupported.len()), (1, 1));
    }

    #[test]
    fn statements_without_a_source_are_told_and_civilities_are_not() {
        let (aligned, _) = run(
            "Dear Paul Klein,\n\nthank you for your message. The warehouse opens daily at dawn. Your printer shows error fifteen. Could you send a photograph of the device?\n\nBest regards,\nSupport Department Headquarters",
            "my printer always shows error fifteen",
        );
        assert_eq!(aligned.unsupported, ["The warehouse opens daily at dawn."]);
        assert!(aligned.quoted.is_empty());
    }
}
