//! Subjects without what replying and forwarding put before them.

/// What is before the subject proper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Nothing.
    None,
    /// `Re:`, `AW:`, `SV:` and their like; also together with forwards.
    Reply,
    /// Only `Fwd:`, `WG:`, `TR:` and their like.
    Forward,
}

/// `Re:` in the languages of the mail programs.
const REPLY: [&str; 24] = [
    "re", "aw", "antw", "antwort", "sv", "vs", "rif", "r", "res", "resp", "réf", "ref", "odp", "ynt", "vá", "bls",
    "atb", "απ", "ατ", "回复", "回覆", "返信", "答复", "отв",
];

/// `Fwd:` likewise.
const FORWARD: [&str; 18] = [
    "fwd",
    "fw",
    "wg",
    "tr",
    "rv",
    "i",
    "enc",
    "doorst",
    "vl",
    "vb",
    "vd",
    "pd",
    "továbbítás",
    "πρθ",
    "转发",
    "轉寄",
    "転送",
    "пересл",
];

/// The subject without prefixes and list tags (`[list]`), and what the prefixes were. Only the outer shape is changed: case
/// and blanks inside stay.
pub fn base(subject: &str) -> (&str, Prefix) {
    let mut rest = subject.trim();
    let mut prefix = Prefix::None;
    // Each round takes something away; hostile subjects have many prefixes, so their number has a cap.
    for _ in 0..64 {
        if let Some(after) = without_tag(rest) {
            rest = after;
            continue;
        }
        let Some((kind, after)) = without_prefix(rest) else { break };
        if kind == Prefix::Reply || prefix == Prefix::None {
            prefix = kind;
        }
        rest = after;
    }
    (rest, prefix)
}

/// `[name] rest`, where a rest is left.
fn without_tag(text: &str) -> Option<&str> {
    let (tag, after) = text.strip_prefix('[')?.split_once(']')?;
    let after = after.trim_start();
    (tag.chars().count() <= 40 && !tag.contains('[') && !after.is_empty()).then_some(after)
}

/// `Re: rest`, `Re[2]: rest`, `AW : rest`, `回复：rest`.
fn without_prefix(text: &str) -> Option<(Prefix, &str)> {
    let (word, after) = text.split_once([':', '：'])?;
    let word = word.trim_end();
    let word = match word.find(['[', '(', '^']) {
        Some(at)
            if word
                .get(at + 1..)
                .is_some_and(|count| count.chars().all(|c| c.is_ascii_digit() || matches!(c, ']' | ')'))) =>
        {
            word.get(..at).unwrap_or(word).trim_end()
        }
        _ => word,
    };
    if word.chars().count() > 12 {
        return None;
    }
    let word = word.to_lowercase();
    if REPLY.contains(&word.as_str()) {
        Some((Prefix::Reply, after.trim_start()))
    } else if FORWARD.contains(&word.as_str()) {
        Some((Prefix::Forward, after.trim_start()))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Prefix, base};

    #[test]
    fn prefixes_and_tags() {
        for (subject, expected) in [
            ("Invoice 12", ("Invoice 12", Prefix::None)),
            ("Re: AW: Invoice 12", ("Invoice 12", Prefix::Reply)),
            ("[users] Re[2]: [dev] Invoice", ("Invoice", Prefix::Reply)),
            ("WG: Rechnung", ("Rechnung", Prefix::Forward)),
            ("Fwd: Re: Invoice", ("Invoice", Prefix::Reply)),
            ("回复：发票", ("发票", Prefix::Reply)),
            ("Request: invoice", ("Request: invoice", Prefix::None)),
            ("[only a tag]", ("[only a tag]", Prefix::None)),
            ("Re:", ("", Prefix::Reply)),
        ] {
            assert_eq!(base(subject), expected, "{subject}");
        }
    }
}
