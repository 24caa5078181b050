//! What is checked about a draft, and which review reason a failed check gives.

use super::align::Aligned;
use super::answer::Check;
use super::fit::count_placeholders;
use super::prompt::LeftOut;
use super::support::{Unsupported, UnsupportedKind};

/// What the checks look at.
pub(crate) struct Checked<'a> {
    /// The draft.
    pub(crate) draft: &'a str,
    /// Its unsupported expressions, with their words.
    pub(crate) unsupported: &'a [(Unsupported, String)],
    /// Citations that were verified, and claims that could not be.
    pub(crate) citations: (usize, usize),
    /// Language wanted, and the draft's.
    pub(crate) languages: (Option<&'a str>, Option<&'a str>),
    /// Where text addresses a model, with the kinds of signs.
    pub(crate) addresses_model: &'a [String],
    /// Similarity of the questions, and the bound.
    pub(crate) similarity: (f32, f32),
    /// How far above the bound, 0 to 1.
    pub(crate) closeness: f32,
    /// Whether only words were compared.
    pub(crate) by_words_only: bool,
    /// Whether the request asks for what the draft's writer cannot do.
    pub(crate) unfollowed_instructions: bool,
    /// What only a draft of a language model has.
    pub(crate) written: Option<Written<'a>>,
}

/// What is checked about a draft of a language model besides.
pub(crate) struct Written<'a> {
    /// What its sentences rest on.
    pub(crate) aligned: &'a Aligned,
    /// Its promises that nobody of ours made.
    pub(crate) promises: &'a [String],
    /// What the model did not see.
    pub(crate) left_out: LeftOut,
}

/// Kind of unsupported expression, the check's name, what the expressions are called.
const SUPPORTED: [(UnsupportedKind, &str, &str); 5] = [
    (UnsupportedKind::Figure, "figures_supported", "figures"),
    (UnsupportedKind::Date, "dates_supported", "dates"),
    (UnsupportedKind::Name, "names_supported", "names"),
    (UnsupportedKind::Identifier, "identifiers_supported", "identifiers"),
    (UnsupportedKind::Contact, "contacts_supported", "links, addresses or telephone numbers"),
];

/// The review reason of each check that failed.
const REVIEW_REASONS: [(&str, &str); 16] = [
    ("citations_verified", "citation_unverified"),
    ("figures_supported", "unsupported_figure"),
    ("dates_supported", "unsupported_date"),
    ("names_supported", "unsupported_name"),
    ("identifiers_supported", "unsupported_identifier"),
    ("contacts_supported", "unsupported_contact"),
    ("language_matches", "language_mismatch"),
    ("addresses_model", "addresses_model"),
    ("placeholder_open", "open_placeholder"),
    ("similarity", "low_similarity"),
    ("compared_by_meaning", "compared_by_words_only"),
    ("instructions_followed", "instructions_not_followed"),
    ("citations_support", "unsupported_citation"),
    ("statements_supported", "unsupported_statement"),
    ("commitments_supported", "unsupported_commitment"),
    ("ticket_read_whole", "ticket_shortened"),
];

/// Below this share of the way from the bound to identity, an exemplar is a long shot.
const SURE_CLOSENESS: f32 = 0.2;

/// Runs every check.
pub(crate) fn run(checked: &Checked<'_>) -> Vec<Check> {
    let check = |name, passed, detail: String| Check { name, passed, detail };
    let (verified, dropped) = checked.citations;
    let mut checks = vec![check(
        "citations_verified",
        dropped == 0 && verified > 0,
        match (verified, dropped) {
            (0, _) => "no source of the draft could be verified".to_owned(),
            (_, 0) => format!("{verified} quotations are where they claim to be"),
            _ => format!(
                "{dropped} of {} quotations are not where they claimed to be and were dropped",
                verified + dropped
            ),
        },
    )];
    for (kind, name, what) in SUPPORTED {
        let words: Vec<&str> =
            checked.unsupported.iter().filter(|(item, _)| item.kind == kind).map(|(_, words)| words.as_str()).collect();
        let place = if checked.written.is_some() { "in the ticket or in what is quoted" } else { "in the ticket" };
        let detail = if words.is_empty() {
            format!("every one of the draft's {what} is {place}")
        } else {
            format!("not {place}: {}", words.join("; "))
        };
        checks.push(check(name, words.is_empty(), detail));
    }
    checks.push(language_check(checked.languages));
    let addressed = checked.addresses_model;
    let detail = if addressed.is_empty() { "no text addresses a model".to_owned() } else { addressed.join("; ") };
    checks.push(check("addresses_model", addressed.is_empty(), detail));
    let open = count_placeholders(checked.draft);
    checks.push(check("placeholder_open", open == 0, format!("{open} marked places are open")));
    let (similarity, bound) = checked.similarity;
    let detail = format!("{similarity:.2}, from {bound:.2} a draft is offered");
    checks.push(check("similarity", checked.closeness >= SURE_CLOSENESS, detail));
    if checked.by_words_only {
        let detail = "no embedding model was at hand: the questions were compared by their words".to_owned();
        checks.push(check("compared_by_meaning", false, detail));
    }
    if checked.unfollowed_instructions {
        let detail = "an earlier reply cannot follow instructions or take on a tone".to_owned();
        checks.push(check("instructions_followed", false, detail));
    }
    checks.extend(checked.written.iter().flat_map(written_checks));
    checks
}

/// The checks that only a draft of a language model has.
fn written_checks(written: &Written<'_>) -> [Check; 4] {
    let listed = |name, found: &[String], good: &str, bad: &str| {
        let detail = if found.is_empty() { good.to_owned() } else { format!("{bad}: {}", found.join(" | ")) };
        Check { name, passed: found.is_empty(), detail }
    };
    let LeftOut { messages, sources, notes } = written.left_out;
    let detail = format!(
        "for want of room the model did not see {messages} of the ticket's oldest messages and {sources} of the sources; \
         {notes} internal notes are never shown"
    );
    [
        listed(
            "citations_support",
            &written.aligned.miscited,
            "every sentence that names a source is borne out by it",
            "the source that is named does not say so",
        ),
        listed(
            "statements_supported",
            &written.aligned.unsupported,
            "every statement is borne out by a source or the ticket",
            "neither a source nor the ticket says so",
        ),
        listed(
            "commitments_supported",
            written.promises,
            "every promise was made by our side before",
            "nobody of ours has promised that",
        ),
        Check { name: "ticket_read_whole", passed: messages == 0, detail },
    ]
}

/// Passes where both languages are known to be the same, or one is not known.
fn language_check((wanted, written): (Option<&str>, Option<&str>)) -> Check {
    let (passed, detail) = match (wanted, written) {
        (Some(wanted), Some(written)) => (wanted == written, format!("wanted {wanted}, written in {written}")),
        _ => (true, "too little text to tell the language".to_owned()),
    };
    Check { name: "language_matches", passed, detail }
}

/// The review reasons of the checks that failed, in their order.
pub(crate) fn review_reasons(checks: &[Check]) -> Vec<&'static str> {
    let reason = |check: &Check| REVIEW_REASONS.iter().find(|(name, _)| *name == check.name).map(|(_, reason)| *reason);
    // A check without a reason of its own still forces a review.
    checks.iter().filter(|check| !check.passed).map(|check| reason(check).unwrap_or("check_failed")).collect()
}
