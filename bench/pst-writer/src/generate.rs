//! Large mailboxes for benchmarks: not to be read, but shaped like real ones.

use std::path::Path;

use crate::error::Result;
use crate::format::{Encoding, Format};
use crate::property::{FileTime, PropertyId, PropertyValue};
use crate::spec::{AttachmentSpec, HtmlBody, MessageSpec, Person, Recipient, RecipientKind};
use crate::writer::{FolderId, PstWriter, WriterOptions, Written};
use crate::{PS_PUBLIC_STRINGS, PSETID_COMMON};

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub struct GenerateOptions {
    /// The file's length in bytes, which is reached and exceeded by little.
    pub bytes: u64,
    /// What chooses the words. The same options make the same file.
    pub seed: u64,
    /// The format.
    pub format: Format,
    /// How data blocks are obscured.
    pub encoding: Encoding,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self { bytes: 1 << 30, seed: 1, format: Format::default(), encoding: Encoding::default() }
    }
}

/// Writes a mailbox of word salad: threads over a dozen folders, plain and HTML bodies of 2 to 20 KB for the most part,
/// and with every seventh message an attachment of 20 to 500 KB.
pub fn mailbox(path: impl AsRef<Path>, options: GenerateOptions) -> Result<Written> {
    let mut writer = PstWriter::create(
        path,
        WriterOptions {
            format: options.format,
            encoding: options.encoding,
            display_name: "Generated mailbox".into(),
            owner: Some(Person::smtp("Accounts", OWNER)),
            ..WriterOptions::default()
        },
    )?;
    let folders = make_folders(&mut writer)?;
    let mut salad = Salad::new(options.seed);
    let mut number = 0;
    while writer.position() < options.bytes {
        let (message, is_ours) = salad.message(number);
        // Every fourth message went out and lies with what was sent; the rest is filed anywhere else.
        let folder = if is_ours { 0 } else { 1 + salad.random.below(folders.len() as u64 - 1) as usize };
        if let Some(folder) = folders.get(folder) {
            writer.message(*folder, &message)?;
        }
        number += 1;
    }
    writer.finish()
}

const OWNER: &str = "accounts@firm.example";
/// How many threads are open at a time.
const OPEN_THREADS: usize = 64;
const WORDS: &str = "account agreed amount annual approve attached balance bank before billing board branch budget \
    calendar call cancel card carrier change charge clause client close colleague company confirm contract copy correct \
    credit customer date deadline debit delay deliver department deposit detail discount document draft due early east \
    email enclosed end estimate evening every exchange expect extend fee figure file final finance first fiscal follow \
    forward freight friday further general goods grant group half head hold hour income increase inform instalment \
    interest invoice issue item january journey keep kind late leave ledger legal letter limit line list loan local \
    manager margin market matter meeting member message missing monday month morning name need net next note number \
    offer office once open option order other outstanding overdue page paid parcel part payment pending people percent \
    period person phone plan please policy position post price print proceed process product profit project proposal \
    purchase quarter query question quote rate reach receipt receive record reference refund regard region reminder \
    rent reply report request reserve response return review revised sale sample schedule second send service settle \
    share shipment short sign since site small soon source spring staff standard statement status stock storage street \
    subject summary supplier supply table tax team term thank thursday today tomorrow total trade transfer tuesday \
    unit until update urgent usual valid value vendor visit volume warehouse wednesday week weight west winter within \
    work write year";

fn make_folders(writer: &mut PstWriter) -> Result<Vec<FolderId>> {
    let top = writer.top();
    let sent = writer.folder(top, "Sent Items")?;
    writer.set_sent_items(sent)?;
    let inbox = writer.folder(top, "Inbox")?;
    let mut folders = vec![sent, inbox];
    for name in ["Customers", "Suppliers", "Bank", "Tax"] {
        folders.push(writer.folder(inbox, name)?);
    }
    let archive = writer.folder(top, "Archive")?;
    for year in 2019..2025 {
        folders.push(writer.folder(archive, &year.to_string())?);
    }
    Ok(folders)
}

/// The last message of a thread, which the next one answers.
#[derive(Clone)]
struct Thread {
    topic: String,
    partner: Person,
    index: Vec<u8>,
    last_id: String,
    references: String,
    length: u32,
}

/// Makes messages out of random words.
struct Salad {
    random: Random,
    words: Vec<&'static str>,
    threads: Vec<Thread>,
    seed: u64,
}

impl Salad {
    fn new(seed: u64) -> Self {
        Self { random: Random(seed), words: WORDS.split_whitespace().collect(), threads: Vec::new(), seed }
    }

    /// The next message, and whether the mailbox's owner wrote it.
    fn message(&mut self, number: u64) -> (MessageSpec, bool) {
        let mut thread = self.take_thread(number);
        let is_ours = self.random.below(4) == 0;
        let message_id = format!("<{number}.{}@mail.{}.example>", self.seed, if is_ours { "firm" } else { "partner" });
        let is_reply = thread.length > 0;
        let owner = Person::smtp("Accounts", OWNER);
        let (from, to) = if is_ours { (owner, thread.partner.clone()) } else { (thread.partner.clone(), owner) };
        let sent_at = FileTime::from_unix_seconds(1_546_300_800 + number as i64 * 601);
        let text = self.body();
        let mut message = MessageSpec {
            subject_prefix: if is_reply { "RE: ".into() } else { String::new() },
            subject: thread.topic.clone(),
            sender: Some(from),
            recipients: vec![Recipient::new(RecipientKind::To, to)],
            submit_time: Some(sent_at),
            delivery_time: Some(FileTime(sent_at.0 + 50_000_000)),
            in_reply_to: is_reply.then(|| thread.last_id.clone()),
            references: is_reply.then(|| thread.references.clone()),
            conversation_index: Some(thread.index.clone()),
            conversation_topic: Some(thread.topic.clone()),
            html: Some(HtmlBody { bytes: as_html(&text), code_page: 65001 }),
            text: Some(text),
            is_read: self.random.below(10) > 0,
            properties: vec![
                (PropertyId::Numbered { set: PSETID_COMMON, number: 0x8554 }, PropertyValue::Text("16.0".into())),
                (
                    PropertyId::Named { set: PS_PUBLIC_STRINGS, name: "X-Mailer".into() },
                    PropertyValue::Text("word salad".into()),
                ),
            ],
            ..MessageSpec::default()
        };
        for _ in 0..self.random.below(4) {
            let person = self.person();
            message.recipients.push(Recipient::new(RecipientKind::Cc, person));
        }
        if self.random.below(100) < 15 {
            message.attachments.push(self.attachment());
        }
        message.transport_headers = Some(headers(&message, &message_id));
        message.message_id = Some(message_id.clone());
        thread.references = match thread.references.as_str() {
            "" => message_id.clone(),
            earlier => format!("{earlier} {message_id}"),
        };
        thread.last_id = message_id;
        thread.length += 1;
        // Each reply adds five bytes ([MS-OXOMSG] 2.2.1.3).
        thread.index.extend_from_slice(&(self.random.next() as u32).to_be_bytes());
        thread.index.push(thread.length as u8);
        if thread.length < 12 {
            self.threads.push(thread);
        }
        (message, is_ours)
    }

    /// An open thread, or a new one.
    fn take_thread(&mut self, number: u64) -> Thread {
        let choice = self.random.below(OPEN_THREADS as u64) as usize;
        if choice < self.threads.len() && (self.threads.len() >= OPEN_THREADS || self.random.below(5) > 1) {
            return self.threads.swap_remove(choice);
        }
        let mut topic = String::new();
        let length = 3 + self.random.below(6);
        self.words_into(&mut topic, length);
        let mut index = vec![1];
        index.extend_from_slice(&(number as u32).to_be_bytes());
        index.resize_with(22, || self.random.next() as u8);
        let partner = self.person();
        Thread { topic, partner, index, last_id: String::new(), references: String::new(), length: 0 }
    }

    /// Paragraphs of 500 to 10,000 bytes in all, short ones more often: with its HTML, and in UTF-16, some four times
    /// as much in the file.
    fn body(&mut self) -> String {
        let spread = self.random.below(100);
        let target = 500 + (spread * spread * spread / 105) as usize;
        let mut body = String::with_capacity(target + 800);
        body.push_str("Dear colleague,\r\n\r\n");
        while body.len() < target {
            let sentences = 2 + self.random.below(4);
            for _ in 0..sentences {
                let length = 6 + self.random.below(12);
                self.words_into(&mut body, length);
                body.push_str(". ");
            }
            body.push_str("\r\n\r\n");
        }
        body.push_str("Kind regards\r\n\r\n-- \r\nAccounts, Firm Ltd, 1 Example Street\r\n");
        body
    }

    fn words_into(&mut self, text: &mut String, count: u64) {
        for position in 0..count {
            if position > 0 {
                text.push(' ');
            }
            let choice = self.random.below(self.words.len() as u64) as usize;
            text.push_str(self.words.get(choice).copied().unwrap_or_default());
        }
    }

    fn person(&mut self) -> Person {
        let number = self.random.below(500);
        Person::smtp(&format!("Partner {number}"), &format!("partner{number}@company{}.example", number % 40))
    }

    fn attachment(&mut self) -> AttachmentSpec {
        // Sizes spread evenly over their logarithms: 20 KB times 1 to 25.
        let length = (20_000.0 * 25_f64.powf(self.random.below(1000) as f64 / 1000.0)) as usize;
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.random.next().to_le_bytes());
        }
        let number = self.random.below(100_000);
        AttachmentSpec::file(&format!("invoice-{number}.pdf"), "application/pdf", bytes)
    }
}

/// The text as HTML, with the styles around each paragraph that mail programs write.
fn as_html(text: &str) -> Vec<u8> {
    let mut html = String::with_capacity(text.len() * 2);
    html.push_str(
        "<html><head><meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\"><style>p.Text \
         {margin:0cm; font-size:11pt; font-family:\"Calibri\",sans-serif}</style></head><body lang=\"EN-GB\">\r\n",
    );
    for paragraph in text.split("\r\n").filter(|paragraph| !paragraph.is_empty()) {
        html.push_str("<p class=\"Text\"><span style=\"font-size:11.0pt; color:#1F497D\">");
        html.push_str(paragraph);
        html.push_str("</span></p>\r\n");
    }
    html.push_str("</body></html>\r\n");
    html.into_bytes()
}

fn headers(message: &MessageSpec, message_id: &str) -> String {
    let address = |person: &Person| format!("\"{}\" <{}>", person.name, person.address);
    let mut lines: Vec<String> = Vec::with_capacity(16);
    for hop in 0..3 {
        lines.push(format!(
            "Received: from relay{hop}.mail.example (relay{hop}.mail.example [192.0.2.{hop}])\r\n\tby mx.firm.example \
             (Postfix) with ESMTPS id {hop}; Tue, 1 Jan 2019 00:00:00 +0000"
        ));
    }
    lines.push(format!("Message-ID: {message_id}"));
    lines.push(format!("Subject: {}{}", message.subject_prefix, message.subject));
    lines.extend(message.sender.as_ref().map(|sender| format!("From: {}", address(sender))));
    for (field, kind) in [("To", RecipientKind::To), ("Cc", RecipientKind::Cc)] {
        let people = message.recipients.iter().filter(|recipient| recipient.kind == kind);
        let people: Vec<String> = people.map(|recipient| address(&recipient.person)).collect();
        if !people.is_empty() {
            lines.push(format!("{field}: {}", people.join(",\r\n\t")));
        }
    }
    for (field, value) in [("In-Reply-To", &message.in_reply_to), ("References", &message.references)] {
        lines.extend(value.as_ref().map(|value| format!("{field}: {value}")));
    }
    lines.push("MIME-Version: 1.0\r\nContent-Type: multipart/mixed\r\n\r\n".into());
    lines.join("\r\n")
}

/// `SplitMix64`: small, quick and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }

    /// A number below `limit`, which is small: the bias does not matter here.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}
