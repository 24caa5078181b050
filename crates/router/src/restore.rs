//! Putting values back into an answer while it is written.

use std::collections::BTreeMap;

use rejoinder_domain::ToolCallPart;
use rejoinder_redaction::{Form, Restorer, Session};

/// Restores the text and each tool call of one answer; passes everything through where nothing was replaced.
pub(crate) struct Restoring<'session> {
    session: Option<&'session Session>,
    text: Option<Restorer>,
    calls: BTreeMap<usize, Restorer>,
}

impl<'session> Restoring<'session> {
    /// For an answer to a prompt of `session` whose text has this form.
    pub(crate) fn new(session: Option<&'session Session>, form: Form) -> Self {
        Self { session, text: session.map(|session| session.restorer(form)), calls: BTreeMap::new() }
    }

    /// The next part of the text; what may be the beginning of a placeholder waits for its end.
    pub(crate) fn text(&mut self, part: &str) -> String {
        match &mut self.text {
            Some(restorer) => restorer.push(part),
            None => part.to_owned(),
        }
    }

    /// The next part of a tool call.
    pub(crate) fn tool_call(&mut self, mut part: ToolCallPart) -> ToolCallPart {
        if let Some(session) = self.session {
            let restorer = self.calls.entry(part.index).or_insert_with(|| session.restorer(Form::Json));
            part.arguments = restorer.push(&part.arguments);
        }
        part
    }

    /// What was held back to the end: of the text, and of each call.
    pub(crate) fn finish(&mut self) -> (String, Vec<ToolCallPart>) {
        let rest = self.text.as_mut().map(Restorer::finish).unwrap_or_default();
        let calls = self.calls.iter_mut().filter_map(|(index, restorer)| {
            let arguments = restorer.finish();
            let part = ToolCallPart { index: *index, id: None, name: None, arguments };
            (!part.arguments.is_empty()).then_some(part)
        });
        (rest, calls.collect())
    }

    /// Placeholders that stand for nothing.
    pub(crate) fn flagged(&self) -> u32 {
        self.text.iter().chain(self.calls.values()).map(Restorer::flagged).sum()
    }
}
