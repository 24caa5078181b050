//! `expected.json`: what a reader of the sample must find, and which of our answers each fresh ticket should find.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::archive::{OTHER_ITEMS, held_by};
use crate::error::{Result, SampleError};
use crate::letter::{Attachment, Direction, Letter};
use crate::source::{Kind, Language, Output, Source, TicketTruth};

/// The account of the sample.
#[derive(Serialize)]
struct Account {
    note: &'static str,
    totals: Totals,
    files: BTreeMap<&'static str, FileCounts>,
    conversations: Vec<Conversation>,
    tickets: Vec<Ticket>,
}

/// Over all files, each message counted once.
#[derive(Serialize)]
struct Totals {
    messages: usize,
    copies: usize,
    conversations: usize,
    header_threads: usize,
    attachments: usize,
    embedded_messages: usize,
    languages: BTreeMap<Language, usize>,
    directions: BTreeMap<&'static str, usize>,
}

/// One file or folder of the sample.
#[derive(Serialize)]
struct FileCounts {
    messages: usize,
    attachments: usize,
    embedded_messages: usize,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    other_items: BTreeMap<&'static str, u32>,
}

/// One conversation.
#[derive(Serialize)]
struct Conversation {
    id: String,
    topic: String,
    language: Language,
    messages: Vec<String>,
}

/// One fresh ticket.
#[derive(Serialize)]
struct Ticket {
    file: String,
    language: Language,
    injection: bool,
    exemplar: Option<Exemplar>,
    also_good: Vec<String>,
}

/// The best question and answer for a ticket.
#[derive(Serialize)]
struct Exemplar {
    conversation: String,
    question: String,
    reply: String,
}

/// The account as JSON text.
pub(crate) fn account(source: &Source, letters: &[Letter]) -> Result<String> {
    let mut conversations: Vec<Conversation> = Vec::new();
    for letter in letters {
        let known = conversations.iter_mut().find(|conversation| conversation.id == letter.conversation);
        match known {
            Some(conversation) => conversation.messages.push(letter.message_id.clone()),
            None => conversations.push(Conversation {
                id: letter.conversation.clone(),
                topic: letter.topic.clone(),
                language: letter.language,
                messages: vec![letter.message_id.clone()],
            }),
        }
    }
    let files = [(Output::Mbox, "support.mbox"), (Output::Eml, "eml"), (Output::Pst, "haldenmarsh.pst")];
    let files = files.map(|(output, name)| (name, file_counts(&held_by(letters, output), output)));
    let all: Vec<&Letter> = letters.iter().collect();
    let (attachments, embedded_messages) = count_attachments(&all);
    let copies = letters.iter().map(|letter| letter.outputs.len().saturating_sub(1)).sum();
    let account = Account {
        note: "Written by rejoinder-sample from source/; identifiers are Message-IDs without angle brackets. `copies` \
               are messages that a second file holds once more. `conversations` are what answers form; two of these \
               answers carry no References, so `header_threads` are more. `attachments` include inline images, embedded \
               messages and the status part of a delivery report.",
        totals: Totals {
            messages: letters.len(),
            copies,
            conversations: conversations.len(),
            header_threads: letters.iter().filter(|letter| letter.in_reply_to.is_none()).count(),
            attachments,
            embedded_messages,
            languages: count_by(letters, |letter| letter.language),
            directions: count_by(letters, |letter| match letter.direction {
                Direction::Inbound => "inbound",
                Direction::Outbound => "outbound",
                Direction::Internal => "internal",
            }),
        },
        files: files.into(),
        conversations,
        tickets: source.tickets.iter().map(|truth| ticket(truth, letters)).collect::<Result<_>>()?,
    };
    Ok(serde_json::to_string_pretty(&account)? + "\n")
}

fn ticket(truth: &TicketTruth, letters: &[Letter]) -> Result<Ticket> {
    let exemplar = match &truth.exemplar {
        None => None,
        Some(key) => {
            let ours = |letter: &&Letter| letter.direction == Direction::Outbound && letter.kind != Kind::Autoreply;
            let reply = letters.iter().filter(ours).find(|letter| &letter.thread == key);
            let reply = reply.ok_or_else(|| SampleError::at(&truth.file, format!("{key} has no answer of ours")))?;
            let question = letters.iter().find(|letter| &letter.thread == key);
            let question = question.ok_or_else(|| SampleError::at(&truth.file, format!("{key} is empty")))?;
            Some(Exemplar {
                conversation: key.clone(),
                question: question.message_id.clone(),
                reply: reply.message_id.clone(),
            })
        }
    };
    Ok(Ticket {
        file: truth.file.clone(),
        language: truth.language,
        injection: truth.injection,
        exemplar,
        also_good: truth.also.clone(),
    })
}

fn file_counts(letters: &[&Letter], output: Output) -> FileCounts {
    let (attachments, embedded_messages) = count_attachments(letters);
    let other_items = if output == Output::Pst { OTHER_ITEMS.into() } else { BTreeMap::new() };
    FileCounts { messages: letters.len(), attachments, embedded_messages, other_items }
}

/// Attachments of all sorts, and how many of these are messages.
fn count_attachments(letters: &[&Letter]) -> (usize, usize) {
    let logos = letters.iter().filter(|letter| letter.logo).count();
    let reports = letters.iter().filter(|letter| letter.kind == Kind::Bounce).count();
    let all = letters.iter().flat_map(|letter| &letter.attachments);
    let embedded = all.clone().filter(|attachment| matches!(attachment, Attachment::Message(_))).count();
    (all.count() + logos + reports, embedded)
}

fn count_by<K: Ord>(letters: &[Letter], key: impl Fn(&Letter) -> K) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for letter in letters {
        *counts.entry(key(letter)).or_insert(0) += 1;
    }
    counts
}
