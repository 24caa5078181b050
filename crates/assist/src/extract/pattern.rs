//! A JSON Schema `pattern` (ECMA 262) as a linear-time regular expression, or the reason why it cannot be one.

use regex::{Regex, RegexBuilder};

/// The longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 1_000;
/// The most memory that one compiled pattern may take, in bytes: `a{1000}{1000}` must not take it all.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// A pattern, to look for in a text and to check a value with.
#[derive(Clone, Debug)]
pub(crate) struct TextPattern {
    /// As the schema means it: anywhere in the value unless anchored.
    check: Regex,
    /// Without the anchors that tie it to the whole value, to find values in a text.
    find: Regex,
}

impl TextPattern {
    /// Compiles `pattern`, or says in words why not.
    pub(crate) fn compile(pattern: &str) -> Result<Self, String> {
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(format!("a pattern has at most {MAX_PATTERN_BYTES} bytes"));
        }
        let translated = translate(pattern)?;
        let build = |pattern: &str| {
            RegexBuilder::new(pattern)
                .size_limit(MAX_COMPILED_BYTES)
                .dfa_size_limit(MAX_COMPILED_BYTES)
                .build()
                .map_err(
                    // The error repeats the pattern over several lines; its last line says what is wrong.
                    |error| {
                        error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
                    },
                )
        };
        let check = build(&translated)?;
        let start = translated.strip_prefix('^');
        let open = start.unwrap_or(&translated);
        let end = open.strip_suffix('$').filter(|inner| !ends_with_escape(inner));
        let inner = end.unwrap_or(open);
        // Anchors inside alternatives (`^a|b$`) stay: taking the outer ones off would change what they bind to.
        let find = if has_top_level_bar(inner) { check.clone() } else { build(&format!("(?:{inner})"))? };
        if find.is_match("") {
            return Err("the pattern matches the empty text, so that nothing can be found by it".to_owned());
        }
        Ok(Self { check, find })
    }

    /// Whether the value satisfies the pattern.
    pub(crate) fn allows(&self, value: &str) -> bool {
        self.check.is_match(value)
    }

    /// Every place of `text` whose words satisfy the pattern and do not go on as the same word, as byte ranges in order.
    pub(crate) fn find<'t>(&'t self, text: &'t str) -> impl Iterator<Item = (usize, usize)> + 't {
        self.find.find_iter(text).map(|found| (found.start(), found.end())).filter(move |(start, end)| {
            let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let quote = text.get(*start..*end).unwrap_or_default();
            let before = text.get(..*start).and_then(|before| before.chars().next_back());
            let after = text.get(*end..).and_then(|after| after.chars().next());
            let cuts = (word(before) && word(quote.chars().next())) || (word(after) && word(quote.chars().next_back()));
            self.allows(quote) && !cuts
        })
    }
}

/// ECMA's classes are ASCII, and some of its escapes are not Rust's.
fn translate(pattern: &str) -> Result<String, String> {
    let mut translated = String::with_capacity(pattern.len() + 16);
    let mut in_class = false;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let Some(escaped) = chars.next() else { return Err("the pattern ends with a backslash".to_owned()) };
                match escaped {
                    'd' => translated.push_str(if in_class { "0-9" } else { "[0-9]" }),
                    'w' => translated.push_str(if in_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
                    'D' => translated.push_str("[^0-9]"),
                    'W' => translated.push_str("[^0-9A-Za-z_]"),
                    '1'..='9' => return Err(format!("the back reference \\{escaped} is not supported")),
                    'k' => return Err("named back references are not supported".to_owned()),
                    'c' => return Err("control escapes are not supported".to_owned()),
                    '0' => translated.push_str(r"\x00"),
                    'b' if in_class => translated.push_str(r"\x08"),
                    // A letter that escapes nothing stands for itself in ECMA, but may mean something else to us.
                    'A' | 'z' | 'Z' | 'G' | 'h' | 'H' | 'R' | 'X' | 'Q' | 'E' => {
                        return Err(format!("the escape \\{escaped} is not one of ECMA 262"));
                    }
                    '/' | '-' | '"' | '\'' | '@' | '#' | ' ' | '_' | ',' | ':' | ';' | '=' | '!' | '%' | '&' | '<'
                    | '>' | '~' | '`' => {
                        if escaped == '-' || escaped == '&' || escaped == '~' || escaped == '#' {
                            translated.push('\\');
                        }
                        translated.push(escaped);
                    }
                    _ => translated.extend(['\\', escaped]),
                }
            }
            '[' if in_class => translated.push_str(r"\["),
            '[' => {
                in_class = true;
                translated.push('[');
            }
            ']' => {
                in_class = false;
                translated.push(']');
            }
            // Set operations of Rust that are plain characters in ECMA.
            '&' | '~' if in_class => translated.extend(['\\', c]),
            '(' if !in_class && chars.peek() == Some(&'?') => {
                let rest: String = chars.clone().skip(1).take(2).collect();
                if rest.starts_with(['=', '!']) || rest.starts_with("<=") || rest.starts_with("<!") {
                    return Err("look-ahead and look-behind are not supported".to_owned());
                }
                if !rest.starts_with([':', '<']) {
                    return Err("inline flags are not supported".to_owned());
                }
                translated.push('(');
            }
            _ => translated.push(c),
        }
    }
    Ok(translated)
}

fn ends_with_escape(pattern: &str) -> bool {
    pattern.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn has_top_level_bar(pattern: &str) -> bool {
    let (mut depth, mut in_class, mut escaped) = (0_i32, false, false);
    for c in pattern.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => depth += 1,
            ')' if !in_class => depth -= 1,
            '|' if !in_class && depth == 0 => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::TextPattern;

    fn found(pattern: &str, text: &'static str) -> Vec<&'static str> {
        let pattern = TextPattern::compile(pattern).unwrap_or_else(|reason| panic!("{pattern}: {reason}"));
        pattern.find(text).map(|(start, end)| &text[start..end]).collect::<Vec<_>>()
    }

    #[test]
    fn patterns_find_whole_words() {
        assert_eq!(found("^INV-\\d{4}$", "INV-2024, INV-20245, xINV-1111 (INV-3333)"), ["INV-2024", "INV-3333"]);
        assert_eq!(found("[A-Z]{2}\\d{6}", "Nr. AB123456 und AB1234567"), ["AB123456"]);
        assert_eq!(found("^(?:RE|GU)\\/[0-9]+$", "RE/12 GU/7 XX/9"), ["RE/12", "GU/7"]);
        assert_eq!(found("^[\\w-]+@acme$", "über a-b@acme"), ["a-b@acme"]);
        assert_eq!(found("^\\d{5}$", "٣٣٣٣٣ 12345"), ["12345"]);
        assert_eq!(found("^a\\$$", "a$ b"), ["a$"]);
        assert_eq!(found("^A1$|^B2$", "B2"), ["B2"]);
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_reason() {
        for (pattern, reason) in [
            ("(?=a)b", "look-ahead"),
            ("(?<!a)b", "look-behind"),
            ("(a)\\1", "back reference"),
            ("(", "unclosed"),
            ("a*", "empty text"),
            ("(?i)a", "inline flags"),
            ("\\cA", "control"),
            ("((a{1,1000}){1,1000}){1,1000}", "size limit"),
            ("a\\", "backslash"),
        ] {
            let error = TextPattern::compile(pattern).unwrap_err();
            assert!(error.contains(reason), "{pattern}: {error}");
        }
        assert!(TextPattern::compile(&"a".repeat(1001)).is_err());
    }
}
