//! Text that no person wrote for this message: list footers, confidentiality notices, banners, "sent from my phone".

use std::sync::LazyLock;

use regex::Regex;
use rejoinder_domain::SegmentKind;

use super::line::Line;
use super::set;

/// Most lines of one list footer.
const MAX_FOOTER_LINES: usize = 12;

static LIST: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?ix) mailing\s+list | mailman/listinfo | listinfo/ | -leave@ | -unsubscribe@ | to\s+unsubscribe | unsubscribe\s+from\s+this
        | you\s+received\s+this\s+message\s+because\s+you\s+are\s+subscribed | you\s+are\s+(?:currently\s+)?subscribed
        | google\s+groups | list-manage\.com | posting\s+guide | mailingliste | verteilerliste | liste\s+de\s+diffusion | lista\s+de\s+correo
        | vom\s+newsletter\s+ab | newsletter\s+abbestellen | se\s+désabonner | darse\s+de\s+baja",
    )
    .ok()
});

static NOTICE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?ix)
          ^\W*(?:confidentiality|disclaimer|legal\s+notice|privacy\s+notice|vertraulichkeitshinweis|rechtlicher\s+hinweis|hinweis\s+zur\s+vertraulichkeit
             |aviso\s+(?:legal|de\s+confidencialidad|de\s+confidencialidade)|avis\s+de\s+confidentialité|clause\s+de\s+confidentialité
             |avviso\s+di\s+riservatezza|nota\s+di\s+riservatezza|informativa\s+(?:sulla\s+)?privacy|important\s+notice)\b
        | this\s+(?:e-?mail|message|communication|transmission|mail)\b[^.]{0,120}\b(?:confidential|privileged|intended\s+(?:only|solely|for))
        | (?:confidential|privileged)\b[^.]{0,120}\b(?:intended|addressee|recipient|disclos)
        | intended\s+(?:only\s+|solely\s+)?for\s+the\s+(?:use|addressee|named|individual|person|recipient|exclusive)
        | (?:if\s+you\s+(?:are\s+not\s+the|have\s+received\s+this)|not\s+the\s+intended)\s+(?:intended|named|e-?mail|message|addressee|recipient|communication)
        | virus[-\s]free\.?\s+www\. | checked\s+by\s+avg | scanned\s+(?:for\s+viruses\s+)?by | avast\.com | mcafee | messagelabs
        | (?:consider|think\s+about)\s+the\s+environment\s+before | please\s+don'?t\s+print\s+this
        | diese\s+(?:e-?mail|nachricht)\b[^.]{0,120}\bvertraulich | (?:enthält|enthaelt)\s+vertrauliche | nicht\s+der\s+(?:richtige|beabsichtigte|vorgesehene)\s+(?:adressat|empfänger)
        | irrtümlich\s+erhalten | bitte\s+denken\s+sie\s+an\s+die\s+umwelt | bevor\s+sie\s+diese\s+(?:e-?mail|mail|nachricht)\s+(?:aus)?drucken
        | ce\s+(?:message|courriel|mail)\b[^.]{0,140}\b(?:confidentiel|destin) | pièces\s+jointes\b[^.]{0,80}\bconfidentiel | si\s+vous\s+avez\s+reçu\s+ce\s+(?:message|courriel)
        | este\s+(?:mensaje|correo|e-?mail)\b[^.]{0,140}\b(?:confidencial|destinatario) | esta\s+mensagem\b[^.]{0,140}\b(?:confidencia|destinat)
        | (?:questo\s+messaggio|la\s+presente|le\s+informazioni\s+contenute)\b[^.]{0,140}\b(?:riservat|confidenzial|destinatari)
        | (?:dit\s+bericht|deze\s+e-?mail)\b[^.]{0,140}\b(?:vertrouwelijk|bestemd) | detta\s+(?:meddelande|e-?post)\b[^.]{0,120}\bkonfidenti
        | denne\s+(?:e-?mail|meddelelse|e-?post)\b[^.]{0,120}\b(?:fortrolig|konfidensi) | (?:wiadomość|treść)\b[^.]{0,120}\bpoufn
        | (?:сообщение|письмо)\b[^.]{0,140}\bконфиденциальн",
    )
    .ok()
});

static BANNER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?ix) ^\W*(?:\[?\s*(?:external|extern|externe|externo|esterno)\s*(?:e-?mail|sender|message|mail)?\s*\]?\W*$
          | \[\s*(?:external|extern|ext)\s*[^\]]{0,30}\]
          | (?:caution|warning|attention|achtung|vorsicht|prudence|precaución|attenzione|external\s+(?:e-?mail|sender)|notice|be\s+careful)\b\W.{0,200}
              (?:external|outside|extern|unknown\s+sender|außerhalb|extérieur|click\s+(?:on\s+)?(?:any\s+)?links|open(?:ing)?\s+attachments)
          | this\s+(?:e-?mail|message)\s+(?:originated|came|was\s+sent|is)\s+from\s+(?:an?\s+)?(?:outside|external)
          | (?:you\s+don'?t\s+often\s+get\s+email\s+from) | (?:sie\s+erhalten\s+nicht\s+(?:oft|häufig)\s+e-?mails?\s+von)
          | (?:vous\s+n'obtenez\s+pas\s+souvent\s+d'e-mail) | diese\s+e-?mail\s+(?:kommt|stammt)\s+von\s+(?:extern|außerhalb|einem\s+externen) )",
    )
    .ok()
});

static SENT_FROM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?ix) ^\W{0,3}(?:
          (?:sent|posted)\s+(?:from|via|using|with|by)\s+(?:my\s+|the\s+|a\s+)?[\p{L}\d\s'’().:/<>®™+_-]{2,70}
        | get\s+outlook\s+for\s.{2,60} | sent\s+from\s+mail\s+for\s+windows.{0,20} | outlook\s+(?:für|for|pour|para|per|voor)\s+(?:ios|android).{0,60}
        | (?:von\s+meinem\s+.{2,50}\s+gesendet|gesendet\s+(?:von|mit|aus|über)\s.{2,60}|diese\s+nachricht\s+wurde\s+von\s+meinem\s.{2,60}gesendet)\W*
        | (?:envoyé|expédié)\s+(?:de|depuis|à\s+partir)\s.{2,60} | téléchargez\s+outlook\s.{2,60} | provenance\s*:\s*.{2,40}
        | enviad[oa]\s+(?:desde|do|de|a\s+partir|através)\s.{2,60} | obtener\s+outlook\s.{2,60} | obter\s+o\s+outlook\s.{2,60}
        | inviato\s+(?:da|dal|tramite)\s.{2,60} | (?:verstuurd|verzonden)\s+(?:vanaf|vanuit|met|via)\s.{2,60}
        | skickat\s+från\s.{2,60} | (?:sendt|hentet)\s+fra\s.{2,60} | wysłan[eoy]\s+z(?:a\s+pomocą)?\s.{2,60}
        | отправлено\s+(?:с|из|от)\s.{2,60} | iphone\s*から送信 | 发自我的.{1,30} | 從我的.{1,30}傳送 | lähetetty\s.{2,60} )$",
    )
    .ok()
});

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// Marks the footers that mailing lists put at the end, one or several, and returns where the rest ends.
pub(super) fn list_footers(lines: &[Line<'_>], kinds: &mut [SegmentKind]) -> usize {
    let mut end = lines.len();
    // Lists that forward to lists stack their footers.
    for _ in 0..8 {
        let Some(start) = list_footer(lines.get(..end).unwrap_or_default()) else { break };
        set(kinds, start, end, SegmentKind::Legal);
        end = start;
    }
    end
}

/// Where the footer at the end of `lines` starts: a rule, or the paragraph, with a list's words in it.
fn list_footer(lines: &[Line<'_>]) -> Option<usize> {
    let mut with_text = 0;
    let mut says_list = false;
    let mut paragraph = None;
    for (at, line) in lines.iter().enumerate().rev() {
        if line.is_blank() {
            if says_list && paragraph.is_none() {
                paragraph = Some(at + 1);
            }
            continue;
        }
        let is_rule = is_rule(line.text);
        if line.depth > 0 || with_text > MAX_FOOTER_LINES {
            break;
        }
        if is_rule {
            return if says_list { Some(at) } else { None };
        }
        with_text += 1;
        says_list |= line.text.len() < 400 && matches(&LIST, line.text);
        if paragraph.is_some() && !says_list {
            break;
        }
        if with_text > 4 && !says_list {
            return None;
        }
    }
    let start = if says_list {
        paragraph.or(if with_text <= MAX_FOOTER_LINES { first_text(lines) } else { None })
    } else {
        None
    };
    // A whole message that talks about a list is no footer.
    start.filter(|&start| lines.iter().take(start).any(|line| !line.is_blank())).filter(|&start| {
        let footer = lines.get(start..).unwrap_or_default();
        footer
            .iter()
            .filter(|line| !line.is_blank())
            .all(|line| matches(&LIST, line.text) || line.text.contains("://") || line.words() <= 9)
    })
}

fn first_text(lines: &[Line<'_>]) -> Option<usize> {
    lines.iter().position(|line| !line.is_blank())
}

fn is_rule(text: &str) -> bool {
    let marks = text.chars().filter(|c| matches!(c, '_' | '-' | '=' | '~' | '*')).count();
    text == "--" || (marks >= 5 && marks == text.chars().count())
}

/// Marks what a mail gateway put at the start.
pub(super) fn banners(lines: &[Line<'_>], kinds: &mut [SegmentKind]) {
    let texts = lines.iter().enumerate().filter(|(_, line)| !line.is_blank()).take(4);
    let found: Vec<usize> = texts
        .filter(|(at, line)| {
            kinds.get(*at) == Some(&SegmentKind::New) && line.text.len() < 600 && matches(&BANNER, line.text)
        })
        .map(|(at, _)| at)
        .collect();
    for at in found {
        // The rest of its paragraph belongs to it if it is a sentence of the same kind.
        let end = paragraph_end(lines, at);
        let text = join(lines, at, end);
        let whole = end - at <= 6
            && (end == at + 1
                || matches(&BANNER, &text)
                    && lines.get(at + 1).is_some_and(|next| {
                        next.text.starts_with(|c: char| c.is_lowercase())
                            || matches(&BANNER, next.text)
                            || next.text.to_lowercase().contains("click")
                            || next.text.to_lowercase().contains("attachment")
                    }));
        set(kinds, at, if whole { end } else { at + 1 }, SegmentKind::Legal);
    }
}

/// Marks confidentiality notices and phone banners in the new lines `from..to`. `last` says that no new text follows.
pub(super) fn notices(lines: &[Line<'_>], kinds: &mut [SegmentKind], from: usize, to: usize, last: bool) {
    let mut at = from;
    let mut has_text = false;
    while at < to {
        let Some(line) = lines.get(at) else { return };
        if line.is_blank() || kinds.get(at) != Some(&SegmentKind::New) {
            at += 1;
            continue;
        }
        let end = paragraph_end(lines.get(..to).unwrap_or_default(), at);
        let text = join(lines, at, end);
        if text.len() < 6000 && matches(&NOTICE, &text) {
            // A notice runs to the end of its region, unless it stands before the text.
            let stop = if has_text && last { to } else { end };
            set(kinds, notice_start(lines, at, end), stop, SegmentKind::Legal);
            at = stop;
            continue;
        }
        sent_from(lines, kinds, at, end, to);
        has_text = true;
        at = end;
    }
}

/// Where in its paragraph a notice starts: the whole paragraph, or from the line that starts it where a signature is above.
fn notice_start(lines: &[Line<'_>], from: usize, to: usize) -> usize {
    let long = |line: &Line<'_>| line.words() >= 7 || matches(&NOTICE, line.text);
    (from..to).find(|&at| lines.get(at).is_some_and(long)).unwrap_or(from)
}

/// Marks "Sent from my phone" as the last line of a paragraph, or as its first where a paragraph of one line.
fn sent_from(lines: &[Line<'_>], kinds: &mut [SegmentKind], from: usize, to: usize, region_end: usize) {
    for at in [from, to - 1] {
        let Some(line) = lines.get(at).filter(|line| is_sent_from(line.text)) else { continue };
        // In the middle of a text it is a sentence.
        let after = lines.get(at + 1..region_end).unwrap_or_default().iter().filter(|line| !line.is_blank()).count();
        let starts = line.raw.len() == line.text.len() || after == 0;
        if after <= 8 && starts {
            set(kinds, at, at + 1, SegmentKind::Legal);
        }
    }
}

fn is_sent_from(text: &str) -> bool {
    text.len() <= 160
        && matches(&SENT_FROM, text)
        && !text.trim_end_matches('.').contains([',', '!', '?', ';'])
        && !text.contains(". ")
}

/// One past the last line of the paragraph that `at` is in.
fn paragraph_end(lines: &[Line<'_>], at: usize) -> usize {
    lines.iter().skip(at).position(Line::is_blank).map_or(lines.len(), |count| at + count)
}

fn join(lines: &[Line<'_>], from: usize, to: usize) -> String {
    let mut text = String::new();
    for line in lines.get(from..to).unwrap_or_default() {
        if text.len() > 6000 {
            break;
        }
        text.push_str(line.text);
        text.push(' ');
    }
    text
}
