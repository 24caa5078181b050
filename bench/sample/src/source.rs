//! The written source: people, firms and threads in TOML, only what each of them newly wrote.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Result, SampleError};

/// Everything that was written for the sample.
#[derive(Debug)]
pub struct Source {
    /// People by their key.
    pub people: BTreeMap<String, Person>,
    /// Firms by their key.
    pub companies: BTreeMap<String, Company>,
    /// Conversations in the order of the files.
    pub threads: Vec<Thread>,
    /// Which answer of ours each fresh ticket should find.
    pub tickets: Vec<TicketTruth>,
}

/// A language of the sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English
    En,
    /// German
    De,
    /// French
    Fr,
}

/// A mail client: it decides MIME structure, attribution line, quoting and reply prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// Outlook, plain text and HTML, history below a header block.
    Outlook,
    /// Outlook that sends HTML only.
    OutlookHtml,
    /// Gmail in a browser.
    Gmail,
    /// Mail on an iPhone.
    Iphone,
    /// Mail on a Mac, plain text.
    Apple,
    /// Thunderbird, plain text.
    Thunderbird,
    /// A machine: plain text, no history.
    Plain,
}

/// Where a person's clock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Zone {
    /// Greenwich and British Summer Time.
    London,
    /// Central European (Summer) Time.
    Berlin,
    /// Central European (Summer) Time.
    Paris,
    /// Eastern Standard and Daylight Time.
    Newyork,
}

/// A character set that a client declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Charset {
    /// UTF-8
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// ISO-8859-1
    #[serde(rename = "iso-8859-1")]
    Latin1,
    /// windows-1252
    #[serde(rename = "windows-1252")]
    Windows1252,
}

/// A Content-Transfer-Encoding (RFC 2045 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferEncoding {
    /// The octets as they are.
    #[serde(rename = "8bit")]
    EightBit,
    /// quoted-printable
    QuotedPrintable,
    /// base64
    Base64,
}

/// Someone who writes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Whether they are on our side.
    #[serde(default)]
    pub agent: bool,
    /// Display name.
    pub name: String,
    /// Address; agents write to customers from the shared one.
    pub email: String,
    /// Key of the firm.
    pub company: String,
    /// Mail client.
    pub style: Style,
    /// Clock.
    pub zone: Zone,
    /// Language of the client.
    pub lang: Language,
    /// Preferred charset; UTF-8 is taken where it cannot hold a text.
    #[serde(default)]
    pub charset: Charset,
    /// Transfer encoding of bodies; the client's habit where none is given.
    pub encoding: Option<TransferEncoding>,
    /// Whether the client puts "-- " above the signature.
    #[serde(default)]
    pub delimiter: bool,
    /// Column at which the client breaks lines, if it does.
    pub wrap: Option<usize>,
    /// Closing formula; agents use that of the thread's language.
    pub signoff: Option<String>,
    /// Lines of the signature.
    pub signature: Vec<String>,
}

/// A firm.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Company {
    /// Its name.
    pub name: String,
    /// What it appends to letters, by language.
    #[serde(default)]
    pub footer: BTreeMap<Language, String>,
}

/// A file that holds messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// `support.mbox`
    Mbox,
    /// `eml/`
    Eml,
    /// `haldenmarsh.pst`
    Pst,
}

/// A conversation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thread {
    /// Its key.
    pub id: String,
    /// What it is about; the same word for the same question in any language.
    pub topic: String,
    /// The language it is written in.
    pub lang: Language,
    /// The file that holds it.
    pub out: Output,
    /// Files that hold a second copy.
    #[serde(default)]
    pub also: Vec<Output>,
    /// The subfolder of the PST's inbox for what came in.
    pub folder: Option<String>,
    /// Subject without prefix.
    pub subject: String,
    /// Its messages, oldest first.
    #[serde(rename = "m")]
    pub messages: Vec<Written>,
}

/// What sort of message it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A letter; a reply unless it is the thread's first.
    #[default]
    Letter,
    /// A letter that does not refer to the one before.
    New,
    /// An answer whose client sets neither In-Reply-To nor References: subject and quoted text alone tell.
    Loose,
    /// Sent by the form on our web site: no References, no history.
    Webform,
    /// An out-of-office notice.
    Autoreply,
    /// A newsletter.
    Bulk,
    /// A delivery report.
    Bounce,
}

/// Where the history goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quote {
    /// Below the new text.
    #[default]
    Top,
    /// Above the new text.
    Bottom,
    /// The written body holds the quoted lines itself.
    Inline,
    /// Passed on to somebody else.
    Forward,
    /// Left out.
    None,
}

/// How a letter is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signing {
    /// Closing formula, signature, footer.
    #[default]
    Full,
    /// The name alone.
    Short,
    /// Not at all.
    None,
}

/// One message as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Key of the author.
    pub from: String,
    /// Keys of the recipients; the shared address or the last customer where empty.
    #[serde(default)]
    pub to: Vec<String>,
    /// Keys of the copied.
    #[serde(default)]
    pub cc: Vec<String>,
    /// Among agents.
    #[serde(default)]
    pub internal: bool,
    /// Local time of the author, `2025-02-11 09:42`.
    pub at: String,
    /// What sort of message.
    #[serde(default)]
    pub kind: Kind,
    /// Subject, where it is not the thread's.
    pub subject: Option<String>,
    /// Which message of the thread it answers, where it is not the one before.
    pub reply_to: Option<usize>,
    /// Where the history goes.
    #[serde(default)]
    pub quote: Quote,
    /// How it is signed.
    #[serde(default)]
    pub sig: Signing,
    /// Telephone number in the web form.
    pub phone: Option<String>,
    /// The new text.
    pub body: String,
    /// Text files attached.
    #[serde(default)]
    pub attach: Vec<TextFile>,
    /// A PDF attached.
    pub pdf: Option<PdfFile>,
    /// Whether the firm's logo stands in the HTML body.
    #[serde(default)]
    pub logo: bool,
    /// A message of another thread attached: thread key and position.
    pub attach_message: Option<(String, usize)>,
}

/// A text file attached.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextFile {
    /// File name.
    pub name: String,
    /// Media type.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Content.
    pub text: String,
}

/// A PDF file attached, to be made of a few lines.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PdfFile {
    /// File name.
    pub name: String,
    /// Its lines, ASCII.
    pub lines: Vec<String>,
}

/// What a fresh ticket should find.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TicketTruth {
    /// File in `tickets/`.
    pub file: String,
    /// Language of the ticket, and so of the reply.
    pub language: Language,
    /// The thread whose reply is the best exemplar; none where the mailbox knows nothing of the matter.
    pub exemplar: Option<String>,
    /// Other threads whose reply would do.
    #[serde(default)]
    pub also: Vec<String>,
    /// Whether the ticket holds text that addresses a machine.
    #[serde(default)]
    pub injection: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeopleFile {
    company: BTreeMap<String, Company>,
    person: BTreeMap<String, Person>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThreadsFile {
    thread: Vec<Thread>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketsFile {
    ticket: Vec<TicketTruth>,
}

impl Source {
    /// Reads `people.toml`, every `threads-*.toml` in the order of their names, and `tickets.toml`.
    pub fn load(folder: &Path) -> Result<Self> {
        let people: PeopleFile = parse(&folder.join("people.toml"))?;
        let tickets: TicketsFile = parse(&folder.join("tickets.toml"))?;
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(SampleError::io(folder))? {
            let path = entry.map_err(SampleError::io(folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("threads-") {
                names.push(path);
            }
        }
        names.sort();
        let mut threads = Vec::new();
        for path in names {
            threads.extend(parse::<ThreadsFile>(&path)?.thread);
        }
        let source = Self { people: people.person, companies: people.company, threads, tickets: tickets.ticket };
        source.check()?;
        Ok(source)
    }

    /// The person of that key.
    pub fn person(&self, key: &str) -> Result<&Person> {
        self.people.get(key).ok_or_else(|| SampleError::at(key, "no such person in people.toml"))
    }

    /// The firm of `person`.
    pub fn company(&self, person: &Person) -> Result<&Company> {
        self.companies.get(&person.company).ok_or_else(|| SampleError::at(&person.company, "no such company"))
    }

    fn check(&self) -> Result<()> {
        for (index, thread) in self.threads.iter().enumerate() {
            if self.threads.iter().take(index).any(|other| other.id == thread.id) {
                return Err(SampleError::at(&thread.id, "a second thread of this key"));
            }
        }
        for ticket in &self.tickets {
            for key in ticket.exemplar.iter().chain(&ticket.also) {
                if !self.threads.iter().any(|thread| &thread.id == key) {
                    return Err(SampleError::at(&ticket.file, format!("names the thread {key}, which is not there")));
                }
            }
        }
        Ok(())
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).map_err(SampleError::io(path))?;
    toml::from_str(&text).map_err(|source| SampleError::Parse { path: path.to_owned(), source: Box::new(source) })
}
