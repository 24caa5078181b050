//! Blocks that introduce an earlier message without quote marks: Outlook's header block, "-----Original Message-----",
//! forward markers.

use super::line::Line;

/// Longest block of header lines, continuation lines included.
const MAX_LINES: usize = 40;

/// Most lines that one header line is continued over.
const MAX_CONTINUATION: usize = 8;

/// The field that a header line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    From,
    Date,
    To,
    Subject,
    Other,
}

const FROM: [&str; 16] = [
    "from",
    "von",
    "de",
    "da",
    "van",
    "od",
    "från",
    "fra",
    "lähettäjä",
    "от",
    "від",
    "kimden",
    "发件人",
    "差出人",
    "寄件者",
    "expéditeur",
];
const DATE: [&str; 35] = [
    "sent",
    "date",
    "message du",
    "gesendet",
    "gesendet am",
    "datum",
    "envoyé",
    "envoyé le",
    "enviado",
    "enviado el",
    "enviado em",
    "enviada",
    "enviada em",
    "fecha",
    "data",
    "inviato",
    "inviata",
    "verzonden",
    "wysłano",
    "wysłane",
    "skickat",
    "sendt",
    "dato",
    "отправлено",
    "дата",
    "lähetetty",
    "gönderildi",
    "发送时间",
    "日期",
    "送信日時",
    "date d'envoi",
    "sent on",
    "verstuurd",
    "date sent",
    "odesláno",
];
const TO: [&str; 18] = [
    "to",
    "an",
    "à",
    "a",
    "para",
    "aan",
    "do",
    "till",
    "til",
    "кому",
    "vastaanottaja",
    "kime",
    "收件人",
    "宛先",
    "pour",
    "komu",
    "per",
    "naar",
];
const SUBJECT: [&str; 18] = [
    "subject",
    "betreff",
    "objet",
    "asunto",
    "oggetto",
    "onderwerp",
    "assunto",
    "temat",
    "ämne",
    "emne",
    "тема",
    "aihe",
    "konu",
    "主题",
    "件名",
    "主旨",
    "předmět",
    "sujet",
];
const OTHER: [&str; 26] = [
    "cc",
    "bcc",
    "kopie",
    "copie",
    "copia",
    "kopia",
    "kopi",
    "копия",
    "dw",
    "抄送",
    "attachments",
    "anlagen",
    "anhänge",
    "pièces jointes",
    "adjuntos",
    "allegati",
    "bijlagen",
    "importance",
    "wichtigkeit",
    "reply-to",
    "reply to",
    "antwort an",
    "priority",
    "organization",
    "copie à",
    "categories",
];

/// "Original message" in the languages of the mail programs, without the hyphens around it.
const ORIGINAL: [&str; 24] = [
    "original message",
    "original appointment",
    "originalmessage",
    "ursprüngliche nachricht",
    "originalnachricht",
    "original-nachricht",
    "ursprungliche nachricht",
    "message d'origine",
    "message d’origine",
    "message original",
    "mensaje original",
    "messaggio originale",
    "oorspronkelijk bericht",
    "mensagem original",
    "ursprungligt meddelande",
    "originalmeddelande",
    "opprinnelig melding",
    "oprindelig meddelelse",
    "original meddelelse",
    "oryginalna wiadomość",
    "wiadomość oryginalna",
    "исходное сообщение",
    "alkuperäinen viesti",
    "reply message",
];

/// "Forwarded message" likewise.
const FORWARDED: [&str; 38] = [
    "forwarded message",
    "begin forwarded message",
    "forwarded email",
    "weitergeleitete nachricht",
    "weitergeleitete mail",
    "anfang der weitergeleiteten nachricht",
    "anfang der weitergeleiteten e-mail",
    "message transféré",
    "début du message transféré",
    "début du message réexpédié",
    "message réexpédié",
    "mensaje reenviado",
    "inicio del mensaje reenviado",
    "messaggio inoltrato",
    "inizio messaggio inoltrato",
    "inizio del messaggio inoltrato",
    "doorgestuurd bericht",
    "begin doorgestuurd bericht",
    "mensagem encaminhada",
    "mensagem reencaminhada",
    "início da mensagem reencaminhada",
    "início da mensagem encaminhada",
    "vidarebefordrat meddelande",
    "vidarebefordrat brev",
    "videresendt meddelelse",
    "videresendt besked",
    "videresendt melding",
    "videresendt e-post",
    "start på videresendt besked",
    "wiadomość przekazana",
    "przekazana wiadomość",
    "treść przekazanej wiadomości",
    "początek przekazywanej wiadomości",
    "пересылаемое сообщение",
    "пересланное сообщение",
    "начало переадресованного сообщения",
    "välitetty viesti",
    "přeposlaná zpráva",
];

/// How many lines introduce a forwarded message at `at`: the marker, and the header block after it if there is one.
pub(super) fn forward_marker(lines: &[Line<'_>], at: usize) -> Option<usize> {
    let line = lines.get(at)?;
    let words = marker_words(line.text)?;
    let lotus =
        line.text.starts_with("--") && (words.starts_with("forwarded by ") || words.starts_with("weitergeleitet von "));
    if !lotus && !FORWARDED.contains(&words.as_str()) {
        return None;
    }
    let framed = line.text.starts_with(['-', '_', '=', '*']) || line.text.ends_with(':');
    let block = block_after(lines, at + 1);
    if !framed && block.is_none() {
        return None;
    }
    Some(1 + block.unwrap_or(0))
}

/// Whether a quoted line starts a forwarded message, as Apple Mail writes it.
pub(super) fn is_quoted_forward(text: &str) -> bool {
    marker_words(text).is_some_and(|words| FORWARDED.contains(&words.as_str()))
}

/// How many lines introduce an earlier message at `at`: "Original Message", or a header block, each with the rule before it.
pub(super) fn original_message(lines: &[Line<'_>], at: usize) -> Option<usize> {
    let line = lines.get(at)?;
    if line.is_blank() {
        return None;
    }
    if is_rule(line.text) {
        let block = block_after(lines, at + 1)?;
        return Some(1 + block);
    }
    if let Some(words) = marker_words(line.text)
        && ORIGINAL.contains(&words.as_str())
    {
        let block = block_after(lines, at + 1);
        let framed = line.text.starts_with("--") || line.text.starts_with("__") || line.text.starts_with("==");
        return (framed || block.is_some()).then(|| 1 + block.unwrap_or(0));
    }
    header_block(lines, at)
}

/// A header block after blank lines only; counts them.
fn block_after(lines: &[Line<'_>], from: usize) -> Option<usize> {
    let blanks = lines.iter().skip(from).take(4).take_while(|line| line.is_blank()).count();
    header_block(lines, from + blanks).map(|count| blanks + count)
}

/// A line of nothing but underscores or hyphens, as Outlook puts between messages.
fn is_rule(text: &str) -> bool {
    text.len() >= 5 && text.chars().all(|c| matches!(c, '_' | '-' | '—' | '=' | '*'))
}

/// The words of a marker line, lower-cased, without what frames them; `None` for a long line.
fn marker_words(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > 160 {
        return None;
    }
    let inner = text
        .trim_matches(|c: char| matches!(c, '-' | '_' | '=' | '*' | ':' | '>' | '<' | '—' | '–') || c.is_whitespace());
    Some(inner.to_lowercase())
}

/// How many lines the header block at `at` has: lines `From:`, `Sent:`, `To:`, `Subject:` in any of the languages, at least
/// three of the four fields with the sender among them, or sender and date or subject if there are two.
fn header_block(lines: &[Line<'_>], at: usize) -> Option<usize> {
    let first = lines.get(at)?;
    if first.depth > 0 {
        return None;
    }
    if let Some(count) = one_line_block(first.text) {
        return Some(count);
    }
    field_of(first.text)?;
    let mut seen: Vec<Field> = Vec::new();
    let mut end = at;
    let mut continuation = 0;
    let mut blanks = 0;
    for (index, line) in lines.iter().enumerate().skip(at).take(MAX_LINES) {
        if line.depth > 0 {
            break;
        }
        if line.is_blank() {
            blanks += 1;
            if blanks > 1 {
                break;
            }
            continue;
        }
        match field_of(line.text) {
            // A second sender starts another block.
            Some(Field::From) if seen.contains(&Field::From) => break,
            Some(field) => {
                seen.push(field);
                end = index + 1;
                continuation = 0;
            }
            None => {
                continuation += 1;
                if continuation > MAX_CONTINUATION || blanks > 0 {
                    break;
                }
            }
        }
        blanks = 0;
    }
    let has = |field: Field| seen.contains(&field);
    let main = [Field::From, Field::Date, Field::To, Field::Subject].into_iter().filter(|&field| has(field)).count();
    let starts_with_sender = seen.first() == Some(&Field::From);
    let enough =
        has(Field::From) && (main >= 3 || (starts_with_sender && main == 2 && has_address_or_date(lines, at, end)));
    enough.then_some(end - at)
}

/// "From: A Sent: Monday To: B Subject: C" on one line, as some clients flatten it.
fn one_line_block(text: &str) -> Option<usize> {
    if text.len() > 1000 || !text.contains(": ") {
        return None;
    }
    let lower = text.to_lowercase();
    let is_english = lower.starts_with("from: ") && lower.contains(" sent: ") && lower.contains(" subject: ");
    let is_german = lower.starts_with("von: ") && lower.contains(" gesendet: ") && lower.contains(" betreff: ");
    (is_english || is_german).then_some(1)
}

fn has_address_or_date(lines: &[Line<'_>], from: usize, to: usize) -> bool {
    let block = lines.get(from..to).unwrap_or_default();
    block.iter().any(|line| line.text.contains('@'))
        || block.iter().any(|line| line.text.chars().filter(char::is_ascii_digit).count() >= 6)
}

/// The field that a line starts with; bold marks around the name do not count.
fn field_of(text: &str) -> Option<Field> {
    let at = text.find([':', '：']).filter(|&at| at <= 40)?;
    let name = text.get(..at)?.trim_matches(|c: char| matches!(c, '*' | '_' | '|') || c.is_whitespace());
    if name.is_empty() || name.chars().count() > 20 {
        return None;
    }
    let name = name.to_lowercase();
    let name = name.as_str();
    if FROM.contains(&name) {
        Some(Field::From)
    } else if DATE.contains(&name) {
        Some(Field::Date)
    } else if TO.contains(&name) {
        Some(Field::To)
    } else if SUBJECT.contains(&name) {
        Some(Field::Subject)
    } else if OTHER.contains(&name) {
        Some(Field::Other)
    } else {
        None
    }
}
