//! Messages to tokens, such that no content can become anything but text.

use crate::markers::Part;
use crate::{ChatTemplate, TemplateError, Vocabulary};

/// Opens and closes what stands for a content while the template renders: private characters, which no template names.
const OPEN: char = '\u{e0f8}';
const CLOSE: char = '\u{e0f9}';

/// The tokens of a conversation, up to where the answer begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// For each message, how many tokens at the beginning depend on nothing that comes after the message: up to the
    /// special token that ends it. Another conversation that begins with the same messages begins with these tokens.
    pub message_ends: Vec<usize>,
}

impl ChatTemplate {
    /// The prompt of messages (role and content).
    ///
    /// The template is rendered with a placeholder for every content. What it writes around them is read with special
    /// tokens recognised, the contents without, so content never produces a control token; text of the template and
    /// content that touch are tokenised as one, as the model saw them. Contents are trimmed first, because some
    /// templates trim and some do not.
    ///
    /// Errors: [`TemplateError::Content`] where the template drops, repeats or moves a content,
    /// [`TemplateError::Render`] where it refuses the messages, [`TemplateError::Role`].
    pub fn prompt_tokens(&self, vocabulary: &Vocabulary, messages: &[(&str, &str)]) -> Result<Prompt, TemplateError> {
        // A role is written by the template as it is and read as markup, so it must not be able to hold any.
        let plain = |role: &str| !role.is_empty() && role.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if let Some(index) = messages.iter().position(|(role, _)| !plain(role)) {
            return Err(TemplateError::Role { index });
        }
        let placeholders: Vec<String> = (0..messages.len()).map(placeholder).collect();
        let stand_ins: Vec<(&str, &str)> =
            messages.iter().zip(&placeholders).map(|((role, _), content)| (*role, content.as_str())).collect();
        let rendered = self.render(&stand_ins)?;
        let around = cut(&rendered, &placeholders)?;

        let mut assembly = Assembly::new(vocabulary);
        let mut around = around.into_iter();
        assembly.markup(around.next().unwrap_or_default());
        for ((_, content), after) in messages.iter().zip(around) {
            assembly.content(content.trim());
            assembly.markup(after);
        }
        Ok(assembly.finish())
    }
}

fn placeholder(index: usize) -> String {
    format!("{OPEN}{index}{CLOSE}")
}

/// What lies before, between and after the placeholders: one part more than there are placeholders.
fn cut<'t>(rendered: &'t str, placeholders: &[String]) -> Result<Vec<&'t str>, TemplateError> {
    let mut around = Vec::with_capacity(placeholders.len() + 1);
    let mut rest = rendered;
    for (index, placeholder) in placeholders.iter().enumerate() {
        let what = match rendered.matches(placeholder.as_str()).count() {
            0 => Some("drops"),
            1 => None,
            _ => Some("repeats"),
        };
        if let Some(what) = what {
            return Err(TemplateError::Content { index, what });
        }
        let (before, after) =
            rest.split_once(placeholder.as_str()).ok_or(TemplateError::Content { index, what: "moves" })?;
        around.push(before);
        rest = after;
    }
    around.push(rest);
    Ok(around)
}

/// A prompt while it is put together.
struct Assembly<'v> {
    vocabulary: &'v Vocabulary,
    /// Text since the last special token, of the template and of contents.
    text: String,
    prompt: Prompt,
    /// How many messages were begun.
    begun: usize,
}

impl<'v> Assembly<'v> {
    fn new(vocabulary: &'v Vocabulary) -> Self {
        let prompt = Prompt { tokens: Vec::new(), message_ends: Vec::new() };
        Self { vocabulary, text: String::new(), prompt, begun: 0 }
    }

    fn markup(&mut self, markup: &str) {
        let vocabulary = self.vocabulary;
        for part in vocabulary.markup(markup) {
            match part {
                Part::Text(text) => self.text.push_str(text),
                Part::Marker(token) => {
                    self.flush();
                    self.prompt.tokens.push(token);
                    self.end_messages();
                }
            }
        }
    }

    fn content(&mut self, content: &str) {
        // Only a special token is a border that no tokenizer reaches across; where none came after the last message,
        // its last text may yet grow together with this one, and what is sure ends before it.
        self.end_messages();
        self.begun += 1;
        self.text.push_str(content);
    }

    fn end_messages(&mut self) {
        self.prompt.message_ends.resize(self.begun, self.prompt.tokens.len());
    }

    fn flush(&mut self) {
        self.vocabulary.encode_into(&self.text, &mut self.prompt.tokens);
        self.text.clear();
    }

    fn finish(mut self) -> Prompt {
        self.end_messages();
        self.flush();
        if let Some(begin) = self.vocabulary.begin_token()
            && self.vocabulary.adds_begin()
            && self.prompt.tokens.first() != Some(&begin)
        {
            self.prompt.tokens.insert(0, begin);
            for end in &mut self.prompt.message_ends {
                *end += 1;
            }
        }
        self.prompt
    }
}
