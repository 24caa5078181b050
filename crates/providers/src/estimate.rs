//! How many tokens a text has, without the tokenizer of the model that will read it.

use rejoinder_domain::{ChatMessage, Tool};

/// Tokens that a provider puts around a message: its role, its begin and its end.
const PER_MESSAGE: usize = 6;

/// An estimate that errs upwards, in one pass.
pub(crate) fn estimate_tokens(text: &str) -> usize {
    let mut tenths = 0;
    let mut run = Run::default();
    for one in text.chars() {
        let class = Class::of(one);
        if class == run.class {
            run.chars += 1;
        } else {
            tenths += run.tenths();
            run = Run { class, chars: 1 };
        }
    }
    (tenths + run.tenths()).div_ceil(10)
}

/// An estimate for a whole prompt.
pub(crate) fn prompt_tokens(messages: &[ChatMessage], tools: &[Tool]) -> usize {
    let messages: usize = messages
        .iter()
        .map(|message| {
            let calls: usize = message
                .tool_calls
                .iter()
                .map(|call| estimate_tokens(&call.name) + estimate_tokens(&call.arguments))
                .sum();
            PER_MESSAGE + estimate_tokens(&message.content) + calls
        })
        .sum();
    let tools: usize = tools
        .iter()
        .map(|tool| {
            let described = tool.description.as_deref().map_or(0, estimate_tokens);
            PER_MESSAGE + estimate_tokens(&tool.name) + described + estimate_tokens(&tool.parameters.to_string())
        })
        .sum();
    messages + tools
}

/// Characters that tokenizers treat alike.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Class {
    #[default]
    Space,
    Letter,
    Digit,
    Mark,
    Accented,
    Alphabetic,
    Syllable,
    Rare,
}

impl Class {
    fn of(one: char) -> Self {
        match one {
            'a'..='z' | 'A'..='Z' => Self::Letter,
            '0'..='9' => Self::Digit,
            _ if one.is_whitespace() => Self::Space,
            '!'..='~' => Self::Mark,
            '\u{a1}'..='\u{24f}' => Self::Accented,
            '\u{370}'..='\u{6ff}' => Self::Alphabetic,
            '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{ff00}'..='\u{ffef}' => Self::Syllable,
            _ => Self::Rare,
        }
    }
}

/// Characters of one class beside each other.
#[derive(Default)]
struct Run {
    class: Class,
    chars: usize,
}

impl Run {
    fn tenths(&self) -> usize {
        match self.class {
            Class::Space => self.chars.saturating_sub(1) * 5,
            Class::Letter => 10 + self.chars.saturating_sub(4) * 2,
            Class::Digit | Class::Syllable | Class::Accented => self.chars * 10,
            Class::Mark => self.chars * 8,
            Class::Alphabetic => self.chars * 6,
            Class::Rare => self.chars * 30,
        }
    }
}
