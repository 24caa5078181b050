//! From what was written to letters: addresses, subject, signature, history, identifiers.

use std::fmt::Write as _;

use jiff::Zoned;
use jiff::civil::DateTime;

use crate::artefact;
use crate::client::{self, Attribution};
use crate::error::{Result, SampleError};
use crate::identity;
use crate::letter::{Attachment, Direction, Letter, Mailbox};
use crate::source::{Kind, Language, Output, Person, Quote, Signing, Source, Style, Thread, TransferEncoding, Written};
use crate::text;

/// The shared address.
pub(crate) const SUPPORT: &str = "support@haldenmarsh.example";
/// Content-ID of the logo.
pub(crate) const LOGO_ID: &str = "logo@haldenmarsh.example";

/// Composes every letter, threads in the order of the source.
pub fn compose(source: &Source) -> Result<Vec<Letter>> {
    let mut letters: Vec<Letter> = Vec::new();
    for thread in &source.threads {
        let first = letters.len();
        for (index, written) in thread.messages.iter().enumerate() {
            let (earlier_threads, thread_so_far) = letters.split_at(first);
            let desk = Desk { source, thread, index, written, author: source.person(&written.from)?, thread_so_far };
            let letter = desk.compose(earlier_threads)?;
            letters.push(letter);
        }
    }
    Ok(letters)
}

/// One message on its way from written text to letter.
struct Desk<'a> {
    source: &'a Source,
    thread: &'a Thread,
    index: usize,
    written: &'a Written,
    author: &'a Person,
    thread_so_far: &'a [Letter],
}

impl Desk<'_> {
    fn compose(&self, earlier_threads: &[Letter]) -> Result<Letter> {
        let answered = self.answered()?;
        let sent = self.sent()?;
        let direction = self.direction();
        let (subject_prefix, subject) = self.subject(answered);
        let (plain, html) = self.bodies(answered)?;
        let named = answered.filter(|_| self.written.kind != Kind::Loose);
        let mut references = named.map(|letter| letter.references.clone()).unwrap_or_default();
        references.extend(named.map(|letter| letter.message_id.clone()));
        let from = self.sender(direction);
        let conversation_index = identity::conversation_index(named, &sent, &self.thread.id);
        Ok(Letter {
            thread: self.thread.id.clone(),
            conversation: self.conversation(answered),
            index: self.index,
            topic: self.thread.topic.clone(),
            language: self.thread.lang,
            kind: self.written.kind,
            direction,
            message_id: identity::message_id(self.author, &self.thread.id, self.index, self.written.kind),
            in_reply_to: named.map(|letter| letter.message_id.clone()),
            references,
            to: self.recipients(direction)?,
            cc: self.mailboxes(&self.written.cc, direction)?,
            headers: self.headers(&from, &sent, direction),
            from,
            subject_prefix,
            subject,
            style: self.author.style,
            charset: self.author.charset,
            encoding: self.encoding(),
            plain,
            html,
            logo: self.written.logo,
            attachments: self.attachments(earlier_threads)?,
            conversation_index,
            outputs: std::iter::once(self.thread.out).chain(self.thread.also.iter().copied()).collect(),
            folder: self.folder(direction),
            sent,
        })
    }

    /// A message that answers none begins a conversation of its own, whatever people would say.
    fn conversation(&self, answered: Option<&Letter>) -> String {
        match answered {
            Some(letter) => letter.conversation.clone(),
            None if self.index == 0 => self.thread.id.clone(),
            None => format!("{}-{}", self.thread.id, self.index + 1),
        }
    }

    fn place(&self) -> String {
        format!("{}[{}]", self.thread.id, self.index)
    }

    /// The letter that this one answers or passes on.
    fn answered(&self) -> Result<Option<&Letter>> {
        if matches!(self.written.kind, Kind::New | Kind::Webform | Kind::Bulk | Kind::Bounce) {
            return Ok(None);
        }
        let index = match self.written.reply_to {
            Some(index) => index,
            None if self.index == 0 => return Ok(None),
            None => self.index - 1,
        };
        let letter = self.thread_so_far.get(index);
        letter.map(Some).ok_or_else(|| SampleError::at(self.place(), "answers a message that is not before it"))
    }

    fn sent(&self) -> Result<Zoned> {
        let wrong = |error: jiff::Error| SampleError::at(self.place(), error.to_string());
        let local: DateTime = self.written.at.replace(' ', "T").parse().map_err(wrong)?;
        local.to_zoned(client::time_zone(self.author.zone)?).map_err(wrong)
    }

    fn direction(&self) -> Direction {
        match (self.author.agent, self.written.internal) {
            (true, true) => Direction::Internal,
            (true, false) => Direction::Outbound,
            (false, _) => Direction::Inbound,
        }
    }

    fn sender(&self, direction: Direction) -> Mailbox {
        let shared = direction == Direction::Outbound;
        Mailbox {
            name: self.author.name.clone(),
            email: if shared { SUPPORT.to_owned() } else { self.author.email.clone() },
        }
    }

    fn recipients(&self, direction: Direction) -> Result<Vec<Mailbox>> {
        if !self.written.to.is_empty() {
            return self.mailboxes(&self.written.to, direction);
        }
        if direction == Direction::Inbound {
            return self.mailboxes(&["support".to_owned()], direction);
        }
        let customer = self.thread_so_far.iter().rev().find(|letter| letter.direction == Direction::Inbound);
        let customer = customer.ok_or_else(|| SampleError::at(self.place(), "nobody to answer: say `to`"))?;
        Ok(vec![customer.from.clone()])
    }

    fn mailboxes(&self, keys: &[String], direction: Direction) -> Result<Vec<Mailbox>> {
        keys.iter()
            .map(|key| {
                let person = self.source.person(key)?;
                let shared = person.agent && direction != Direction::Internal;
                let email = if shared { SUPPORT.to_owned() } else { person.email.clone() };
                Ok(Mailbox { name: person.name.clone(), email })
            })
            .collect()
    }

    fn subject(&self, answered: Option<&Letter>) -> (&'static str, String) {
        if let Some(subject) = &self.written.subject {
            return ("", subject.clone());
        }
        let subject = answered.map_or_else(|| self.thread.subject.clone(), |letter| letter.subject.clone());
        let prefix = match (answered, self.written.quote) {
            (None, _) => "",
            (Some(_), Quote::Forward) => client::forward_prefix(self.author.style, self.author.lang),
            (Some(_), _) => client::reply_prefix(self.author.style, self.author.lang),
        };
        (prefix, subject)
    }

    fn encoding(&self) -> TransferEncoding {
        if self.written.kind == Kind::Webform {
            return TransferEncoding::Base64;
        }
        self.author.encoding.unwrap_or(match self.author.style {
            Style::Iphone => TransferEncoding::Base64,
            Style::Thunderbird => TransferEncoding::EightBit,
            _ => TransferEncoding::QuotedPrintable,
        })
    }

    fn headers(&self, from: &Mailbox, sent: &Zoned, direction: Direction) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        let domain = from.email.rsplit_once('@').map_or("", |(_, domain)| domain);
        if direction == Direction::Inbound {
            let mark = identity::mark(&[&self.thread.id, &self.index.to_string(), "received"], 12);
            let at = identity::date(sent);
            let host = format!("from mail.{domain} (mail.{domain} [192.0.2.25])");
            headers.push(("Received", format!("{host} by mx.haldenmarsh.example with ESMTPS id {mark}; {at}")));
        }
        match self.written.kind {
            Kind::Autoreply => {
                headers.push(("Auto-Submitted", "auto-replied".into()));
                headers.push(("X-Auto-Response-Suppress", "All".into()));
            }
            Kind::Bulk => {
                headers.push(("Precedence", "bulk".into()));
                headers.push(("List-Id", format!("Ledgerline Weekly <weekly.{domain}>")));
                headers.push(("List-Unsubscribe", format!("<https://{domain}/u/5521>")));
            }
            Kind::Bounce => headers.push(("Auto-Submitted", "auto-replied".into())),
            Kind::Webform => headers.push(("X-Mailer", "Halden & Marsh contact form".into())),
            Kind::Letter | Kind::New | Kind::Loose => {
                let client = match self.author.style {
                    Style::Apple => Some(("X-Mailer", "Apple Mail")),
                    Style::Iphone => Some(("X-Mailer", "iPhone Mail")),
                    Style::Thunderbird => Some(("User-Agent", "Mozilla Thunderbird")),
                    _ => None,
                };
                headers.extend(client.map(|(name, value)| (name, value.to_owned())));
            }
        }
        headers
    }

    fn folder(&self, direction: Direction) -> Option<String> {
        let in_pst = self.thread.out == Output::Pst || self.thread.also.contains(&Output::Pst);
        if !in_pst {
            return None;
        }
        Some(match (direction, &self.thread.folder) {
            (Direction::Outbound, _) => "Sent Items".to_owned(),
            (_, Some(folder)) => format!("Inbox/{folder}"),
            (_, None) => "Inbox".to_owned(),
        })
    }

    fn attachments(&self, earlier_threads: &[Letter]) -> Result<Vec<Attachment>> {
        let mut attachments: Vec<Attachment> = Vec::new();
        for file in &self.written.attach {
            let (name, media_type) = (file.name.clone(), file.media_type.clone());
            attachments.push(Attachment::File { name, media_type, bytes: file.text.clone().into_bytes() });
        }
        if let Some(pdf) = &self.written.pdf {
            attachments.push(Attachment::File {
                name: pdf.name.clone(),
                media_type: "application/pdf".into(),
                bytes: artefact::pdf(&pdf.lines),
            });
        }
        if let Some((thread, index)) = &self.written.attach_message {
            let letter = earlier_threads.iter().find(|letter| &letter.thread == thread && letter.index == *index);
            let letter = letter.ok_or_else(|| SampleError::at(self.place(), "attaches a message not before it"))?;
            attachments.push(Attachment::Message(Box::new(letter.clone())));
        }
        if self.written.kind == Kind::Bounce {
            let returned = self.thread_so_far.last();
            let returned = returned.ok_or_else(|| SampleError::at(self.place(), "reports on no message"))?;
            attachments.push(Attachment::Message(Box::new(returned.clone())));
        }
        Ok(attachments)
    }

    /// Plain text and HTML: new text, signature, footer, history.
    fn bodies(&self, answered: Option<&Letter>) -> Result<(String, String)> {
        let style = self.author.style;
        if self.written.kind == Kind::Webform {
            let plain = self.web_form()?;
            return Ok((plain.clone(), text::to_html(&plain, style)));
        }
        let (signature_plain, signature_html) = self.signature()?;
        let new_plain = text::to_plain(&self.written.body, self.author.wrap) + &signature_plain;
        let mut new_html = text::to_html(&self.written.body, style) + &signature_html;
        if self.written.logo {
            let _ = writeln!(new_html, "<p><img src=\"cid:{LOGO_ID}\" alt=\"Halden &amp; Marsh\"></p>");
        }
        let Some(earlier) = answered.filter(|_| self.quotes()) else {
            return Ok((new_plain, new_html));
        };
        let clock = client::time_zone(self.author.zone)?;
        let language = self.author.lang;
        let line = if self.written.quote == Quote::Forward {
            client::forward_block(style, language, earlier, &clock)
        } else {
            client::attribution(style, language, earlier, &clock)
        };
        Ok(match self.written.quote {
            Quote::Inline => {
                (format!("{}\n{new_plain}", ended(&line.plain)), format!("<p>{}</p>\n{new_html}", line.html))
            }
            Quote::Bottom => {
                let history = text::quoted(&earlier.plain);
                let plain = format!("{}{history}\n{new_plain}", ended(&line.plain));
                (plain, format!("{}{new_html}", html_history(style, &line, earlier)))
            }
            Quote::Forward => {
                let plain = format!("{new_plain}\n{}\n{}", ended(&line.plain), earlier.plain);
                (plain, format!("{new_html}{}", html_history(style, &line, earlier)))
            }
            Quote::Top | Quote::None => {
                let history = match style {
                    Style::Outlook | Style::OutlookHtml => format!("\n{}", earlier.plain),
                    Style::Gmail | Style::Iphone => format!("\n{}", text::quoted(&earlier.plain)),
                    Style::Apple | Style::Thunderbird | Style::Plain => text::quoted(&earlier.plain),
                };
                let plain = format!("{new_plain}\n{}{history}", ended(&line.plain));
                (plain, format!("{new_html}{}", html_history(style, &line, earlier)))
            }
        })
    }

    fn quotes(&self) -> bool {
        self.written.quote != Quote::None && self.written.kind != Kind::Autoreply && self.author.style != Style::Plain
    }

    fn signature(&self) -> Result<(String, String)> {
        let style = self.author.style;
        let signing = if self.author.signature.is_empty() { Signing::None } else { self.written.sig };
        let formula = self.closing_formula();
        let mut closing: Vec<&str> = Vec::new();
        let mut block: Vec<&str> = Vec::new();
        match signing {
            Signing::Full => {
                closing.extend(Some(formula).filter(|formula| !formula.is_empty()));
                if self.author.delimiter {
                    closing.push(&self.author.name);
                }
                block.extend(self.author.signature.iter().map(String::as_str));
            }
            Signing::Short => closing.push(match self.author.lang {
                Language::En => self.author.name.split(' ').next().unwrap_or_default(),
                Language::De | Language::Fr => &self.author.name,
            }),
            Signing::None => {}
        }
        let mut plain = String::new();
        let mut html = String::new();
        for lines in [&closing, &block].into_iter().filter(|lines| !lines.is_empty()) {
            plain.push('\n');
            if self.author.delimiter && std::ptr::eq(lines, &raw const block) {
                plain.push_str("-- \n");
            }
            plain.push_str(&lines.join("\n"));
            plain.push('\n');
            html.push_str(text::blank(style));
            html.push_str(&text::paragraph(lines, style));
        }
        let footer = self.source.company(self.author)?.footer.get(&self.thread.lang);
        let footer = footer.filter(|_| signing == Signing::Full && !self.written.internal && !self.author.delimiter);
        if let Some(footer) = footer {
            let _ = writeln!(plain, "\n{footer}");
            let _ = writeln!(html, "<p style=\"font-size:8pt;color:#808080\">{}</p>", text::escape(footer));
        }
        if style == Style::Iphone {
            let device = match self.author.lang {
                Language::En => "Sent from my iPhone",
                Language::De => "Von meinem iPhone gesendet",
                Language::Fr => "Envoyé de mon iPhone",
            };
            let _ = writeln!(plain, "\n{device}");
            let _ = writeln!(html, "<div><br></div>\n<div dir=\"ltr\">{device}</div>");
        }
        Ok((plain, html))
    }

    fn closing_formula(&self) -> &str {
        match (&self.author.signoff, self.thread.lang) {
            (Some(formula), _) => formula,
            (None, Language::En) => "Kind regards,",
            (None, Language::De) => "Mit freundlichen Grüßen",
            (None, Language::Fr) => "Cordialement,",
        }
    }

    fn web_form(&self) -> Result<String> {
        let [title, name, company, email, phone, message] = match self.thread.lang {
            Language::En => ["Message from the contact form", "Name", "Company", "E-mail", "Telephone", "Message"],
            Language::De => ["Nachricht aus dem Kontaktformular", "Name", "Firma", "E-Mail", "Telefon", "Nachricht"],
            Language::Fr => ["Message du formulaire de contact", "Nom", "Société", "E-mail", "Téléphone", "Message"],
        };
        let author = self.author;
        let firm = &self.source.company(author)?.name;
        let number = self.written.phone.as_deref().unwrap_or("-");
        let body = text::to_plain(&self.written.body, None);
        Ok(format!(
            "{title}\n\n{name}: {}\n{company}: {firm}\n{email}: {}\n{phone}: {number}\n\n{message}:\n{body}",
            author.name, author.email
        ))
    }
}

/// The history in the manner of `style`.
fn html_history(style: Style, line: &Attribution, earlier: &Letter) -> String {
    match style {
        Style::Outlook | Style::OutlookHtml => format!("{}{}", line.html, earlier.html),
        Style::Gmail => format!(
            "<br>\n<div class=\"gmail_quote\"><div dir=\"ltr\" class=\"gmail_attr\">{}<br></div>\n<blockquote \
             class=\"gmail_quote\" style=\"margin:0px 0px 0px 0.8ex;border-left:1px solid rgb(204,204,204);padding-left:1ex\">\n\
             {}</blockquote></div>\n",
            line.html, earlier.html
        ),
        Style::Iphone | Style::Apple | Style::Thunderbird | Style::Plain => format!(
            "<div dir=\"ltr\"><br><blockquote type=\"cite\">{}<br><br></blockquote></div>\n<blockquote \
             type=\"cite\"><div dir=\"ltr\">\n{}</div></blockquote>\n",
            line.html, earlier.html
        ),
    }
}

/// `text` with a line end.
fn ended(text: &str) -> String {
    format!("{}\n", text.trim_end())
}
