//! Signatures: from the delimiter `-- `, or the block of contact lines after the sign-off.

use std::sync::LazyLock;

use regex::Regex;
use rejoinder_domain::SegmentKind;

use super::line::Line;
use super::set;

/// Most lines with text after a delimiter that is not the standard's, and of a contact block.
const MAX_BLOCK_LINES: usize = 20;

/// The closing phrase of a letter, alone on its line.
static CLOSING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?ix) ^ (?:many\s+)? (?:
          (?:(?:with\s+)?(?:best|kind|kindest|warm|warmest|friendly|many)\s+)?(?:regards|wishes|greetings) (?:\s+from\s+\p{L}+)?
        | best | all\s+the\s+best | (?:many\s+|best\s+)?thanks(?:\s+(?:again|a\s+lot|so\s+much|very\s+much|in\s+advance|and\s+(?:best|kind)?\s*regards|for\s+[^.!?]{1,40}))? | thx | tia
        | thank\s+you(?:\s+(?:again|very\s+much|so\s+much|in\s+advance|and\s+(?:best|kind)?\s*regards|for\s+[^.!?]{1,40}))? | cheers | sincerely(?:\s+yours)? | yours(?:\s+(?:sincerely|truly|faithfully))? | respectfully | cordially | take\s+care | br | rgds | kr | vr | ciao | hth | 73
        | mit\s+(?:freundlichen|besten|vielen|herzlichen|lieben|sonnigen)\s+(?:grüßen|grüssen|gruessen|grüsse|empfehlungen) | mit\s+freundlichem\s+gru(?:ß|ss)
        | (?:viele|beste|liebe|herzliche|freundliche|schöne|sonnige)\s+(?:grüße|grüsse|gruesse)(?:\s+(?:aus|von|nach)\s+.{2,30})? | (?:schönen|besten|vielen|herzlichen|lieben)\s+(?:gruß|gruss|dank) | gruß | gruss | grüße | danke(?:\s+(?:und\s+(?:viele\s+)?grüße|im\s+voraus|schön))? | mfg | vg | lg | hochachtungsvoll
        | (?:bien\s+)?cordialement | (?:très\s+)?cordialement | (?:sincères|meilleures|cordiales)\s+salutations | bien\s+à\s+(?:vous|toi) | merci(?:\s+(?:d'avance|beaucoup))? | salutations(?:\s+distinguées)? | amicalement | bonne\s+(?:journée|soirée|réception)
        | (?:un\s+)?(?:cordial\s+|atento\s+)?salud(?:o|os)(?:\s+cordial(?:es)?)? | atentamente | atte | (?:muchas\s+)?gracias(?:\s+(?:de\s+antemano|por\s+.{2,30}))? | un\s+abrazo | abrazos
        | (?:cordiali|distinti|cari|migliori)\s+saluti | (?:un\s+)?cordiale?\s+saluto | saluti | grazie(?:\s+(?:mille|anticipatamente))? | buona\s+giornata
        | (?:met\s+)?(?:vriendelijke|hartelijke)\s+groet(?:en)? | groet(?:en|jes)? | mvg | m\.?v\.?g\.? | alvast\s+bedankt | bedankt
        | atenciosamente | att | (?:com\s+os\s+)?(?:melhores\s+)?cumprimentos | abra[çc]os? | obrigad[oa] | cordiais\s+saudações
        | (?:med\s+)?(?:vänliga?|bästa|varma)\s+hälsning(?:ar)? | hälsningar | mvh | tack(?:\s+på\s+förhand)?
        | (?:med\s+)?(?:venlig|vennlig|bedste|beste|kærlig)\s+hilsen(?:er)? | (?:de\s+)?(?:bedste|beste)\s+hilsner | hilsen | dbh | på\s+forhånd\s+tak | tak | takk
        | (?:z\s+poważaniem|pozdrawiam(?:\s+serdecznie)?|serdecznie\s+pozdrawiam|z\s+wyrazami\s+szacunku|dziękuję)
        | с\s+уважением | (?:с\s+)?наилучшими\s+пожеланиями | спасибо(?:\s+(?:заранее|большое))? | 敬具 | よろしくお願いします | 此致 | 谢谢
        ) [\s,.!;:\-–—]* (?::-?\)|☺)? $",
    )
    .ok()
});

/// A line that only an address block has: numbers, addresses, the forms of companies.
static CONTACT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?ix)
          ^\W*(?:tel|telefon|telephone|téléphone|tél|phone|ph|mobile?|mob|cell|handy|fax|office|direct|direkt|durchwahl|t|m|p|f|e|w|e-?mail|mail|web|website|www|skype|linkedin|twitter|address|adresse)\b\s*[.:)/|+]
        | (?:\+|\b00|\()\s?\d[\d\s().\-/]{6,} | \b\d{3}[-.\s]\d{3}[-.\s]\d{4}\b
        | ^\W*(?:https?://|www\.)\S+\W*$ | ^\W*<?[\w.+-]+@[\w-]+\.[\w.-]+>?\W*$ | ^\W*<?mailto:\S+\W*$
        | \b(?:gmbh|ag|kg|ohg|e\.?\s?k|ltd|llc|inc|corp|plc|s\.?a\.?r?\.?l|s\.?p\.?a|s\.?r\.?l|b\.?v|n\.?v|a/s|oy|ab|sp\.\s?z\s?o\.?o|pty)\b\.?
        | \b(?:hrb|handelsregister|amtsgericht|ust-?id|vat|geschäftsführ\w+|registergericht|siret|rcs|p\.?\s?iva)\b
        | \b(?:university|universität|université|universidad|institute|institut|department|dept|laboratory|faculty)\b
        | \b\d{4,5}\s+\p{Lu}\p{L}+ | \b\p{L}+(?:straße|strasse|str\.|weg|platz|allee)\s+\d+ | \b\d+\s+[\p{L}\s]{2,30}\b(?:street|st|road|rd|avenue|ave|drive|dr|lane|blvd|suite|floor)\b
        | \[(?:cid|image):?[^\]]*\]",
    )
    .ok()
});

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| text.len() < 400 && pattern.is_match(text))
}

/// Marks the signature in the new lines `from..to`. `last` says that no new text follows; only there a block without a
/// delimiter is looked for.
pub(super) fn mark(lines: &[Line<'_>], kinds: &mut [SegmentKind], from: usize, to: usize, last: bool) {
    let new: Vec<usize> = (from..to)
        .filter(|&at| kinds.get(at) == Some(&SegmentKind::New) && lines.get(at).is_some_and(|line| !line.is_blank()))
        .collect();
    let closing = if last { after_closing(lines, &new) } else { None };
    let earliest = delimiter(lines, &new, last).into_iter().chain(closing).min();
    let start = earliest.or_else(|| if last { contact_block(lines, &new) } else { None });
    let Some(start) = start else { return };
    for &at in new.iter().filter(|&&at| at >= start) {
        set(kinds, at, at + 1, SegmentKind::Signature);
    }
}

fn line_at<'a, 'b>(lines: &'b [Line<'a>], at: usize) -> Option<&'b Line<'a>> {
    lines.get(at)
}

/// The line that a delimiter stands on: `-- ` (RFC 3676 section 4.3), or what people use for it if little follows.
fn delimiter(lines: &[Line<'_>], new: &[usize], last: bool) -> Option<usize> {
    new.iter().enumerate().find_map(|(order, &at)| {
        let line = line_at(lines, at)?;
        let after = new.len() - order - 1;
        let standard = line.raw == "-- " || line.raw == "--\u{a0}";
        let common = matches!(line.text, "--" | "---" | "—" | "––" | "__" | "___" | "----")
            || (line.text.len() >= 5 && line.text.chars().all(|c| c == '_'));
        let short = after <= MAX_BLOCK_LINES
            && new.iter().skip(order + 1).all(|&at| line_at(lines, at).is_some_and(|line| line.words() <= 24));
        (standard || (common && last && after > 0 && short)).then_some(at)
    })
}

/// The first line after closing phrase and name, if what follows is a block of short lines or starts with a rule.
fn after_closing(lines: &[Line<'_>], new: &[usize]) -> Option<usize> {
    let is_closing = |line: &Line<'_>| line.chars() <= 60 && matches(&CLOSING, line.text);
    let closing = new.iter().rposition(|&at| line_at(lines, at).is_some_and(is_closing))?;
    let mut rest = new.iter().copied().skip(closing + 1).peekable();
    let is_rule = |at: usize| {
        line_at(lines, at)
            .is_some_and(|line| line.chars() >= 3 && line.text.chars().all(|c| matches!(c, '_' | '-' | '=')))
    };
    let named = rest.next_if(|&at| line_at(lines, at).is_some_and(is_name)).is_some();
    let block: Vec<usize> = rest.collect();
    let first = *block.first()?;
    let texts = || block.iter().filter_map(|&at| line_at(lines, at));
    if block.len() > MAX_BLOCK_LINES || texts().any(|line| is_postscript(line.text)) {
        return None;
    }
    if is_rule(first) {
        return Some(first);
    }
    let contact = texts().any(|line| matches(&CONTACT, line.text));
    let brief = block.len() <= 4 && texts().all(|line| line.words() <= 7 && !line.text.ends_with(['.', '!', '?', ':']));
    (named && (contact || brief) && !texts().any(is_prose)).then_some(first)
}

/// A block of contact lines at the end without a closing phrase before it.
fn contact_block(lines: &[Line<'_>], new: &[usize]) -> Option<usize> {
    let mut contacts = 0;
    let mut start = None;
    let mut previous: Option<usize> = None;
    for (taken, &at) in new.iter().rev().enumerate() {
        let line = line_at(lines, at)?;
        let gap = previous.map_or(0, |previous| previous - at - 1);
        let too_long = line.chars() > 90 && !(line.chars() <= 240 && matches(&CONTACT, line.text));
        if taken >= MAX_BLOCK_LINES
            || too_long
            || (is_prose(line) && !line.text.contains(['|', '•', '·']))
            || is_postscript(line.text)
            || gap > 1
        {
            break;
        }
        // Past a blank line only what is a contact line itself belongs to the block.
        let is_contact = matches(&CONTACT, line.text);
        if gap > 0 && contacts > 0 && !is_contact && !is_name(line) {
            break;
        }
        contacts += usize::from(is_contact);
        start = Some((at, contacts));
        previous = Some(at);
    }
    let (start, contacts) = start?;
    let size = new.iter().filter(|&&at| at >= start).count();
    let all_of_it = new.first() == Some(&start);
    (contacts >= 2 && contacts * 2 >= size && !all_of_it).then_some(start)
}

/// A person's name: a few words with capitals, no number or address.
fn is_name(line: &Line<'_>) -> bool {
    let text = line.text.trim_start_matches(['-', '~', '–', '—', ' ']);
    line.chars() <= 45
        && (1..=5).contains(&line.words())
        && !text.contains(['@', ':', '/', '|', '?'])
        && !text.chars().any(|c| c.is_ascii_digit())
        && text.starts_with(char::is_alphabetic)
        && !text.ends_with(['.', '!']) | (line.words() <= 2)
}

fn is_postscript(text: &str) -> bool {
    let start: String = text.chars().take(6).collect::<String>().to_lowercase();
    ["ps:", "p.s.", "pps", "p.p.s", "ps.", "ps ", "edit:"].iter().any(|mark| start.starts_with(mark))
}

/// A sentence: many words, ended as sentences are.
fn is_prose(line: &Line<'_>) -> bool {
    let words = line.words();
    (words >= 9 && line.text.ends_with(['.', '!', '?', ','])) || words >= 14
}
