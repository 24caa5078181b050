//! Thoughts that a server leaves in the text.
//!
//! vLLM, llama.cpp and Ollama put what a model thinks beside the answer where they were told how the model marks it, and
//! into the answer where not.

const BEGIN: &str = "<think>";
const END: &str = "</think>";

/// Drops a thought that the text begins with.
#[derive(Default)]
pub(crate) struct Thoughts {
    state: State,
    held: String,
}

#[derive(Default, PartialEq, Eq)]
enum State {
    /// Only white space and a part of the mark so far.
    #[default]
    Begin,
    Thinking,
    /// The white space between thought and answer.
    Between,
    Answer,
}

impl Thoughts {
    /// What of the text so far is answer and was not told before.
    pub(crate) fn push(&mut self, part: String) -> String {
        if self.state == State::Answer {
            return part;
        }
        self.held.push_str(&part);
        if self.state == State::Begin {
            let begun = self.held.trim_start();
            if begun.starts_with(BEGIN) {
                self.state = State::Thinking;
            } else if BEGIN.starts_with(begun) {
                return String::new();
            } else {
                self.state = State::Answer;
                return std::mem::take(&mut self.held);
            }
        }
        if self.state == State::Thinking {
            let Some(end) = self.held.find(END) else {
                self.forget_thought();
                return String::new();
            };
            self.held = self.held.split_off(end + END.len());
            self.state = State::Between;
        }
        let answer = self.held.trim_start().to_owned();
        self.held.clear();
        if !answer.is_empty() {
            self.state = State::Answer;
        }
        answer
    }

    /// What was held back in vain, at the end of the text.
    pub(crate) fn finish(&mut self) -> String {
        if std::mem::replace(&mut self.state, State::Answer) != State::Begin {
            self.held.clear();
        }
        std::mem::take(&mut self.held)
    }

    /// Keeps as much of a thought as may be the begin of its end.
    fn forget_thought(&mut self) {
        let mut at = self.held.len().saturating_sub(END.len());
        while !self.held.is_char_boundary(at) {
            at += 1;
        }
        self.held = self.held.split_off(at);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(text: &str, size: usize) -> String {
        let chars: Vec<char> = text.chars().collect();
        let mut thoughts = Thoughts::default();
        let mut answer: String = chars.chunks(size).map(|part| thoughts.push(part.iter().collect())).collect();
        answer.push_str(&thoughts.finish());
        answer
    }

    #[test]
    fn a_thought_at_the_beginning_is_dropped() {
        for size in 1..9 {
            assert_eq!(run("<think>\nwell </thin ß</think>\n\nThe answer <think>", size), "The answer <think>");
            assert_eq!(run(" \n<think></think>{}", size), "{}");
            assert_eq!(run("<think>never done", size), "");
            assert_eq!(run("  <thin", size), "  <thin");
            assert_eq!(run(" <b>not</b> a thought</think>", size), " <b>not</b> a thought</think>");
            assert_eq!(run("", size), "");
        }
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing(text in "( |<think>|</think>|a|ß|<){0,8}", size in 1_usize..8) {
            prop_assert_eq!(run(&text, size), run(&text, usize::MAX));
        }
    }
}
