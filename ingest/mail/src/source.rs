//! Mailboxes and the items in them, whatever the format.

use std::fmt;
use std::path::{Path, PathBuf};

use rejoinder_domain::{Address, MailboxId, Message, Provenance, Skipped};
use serde::{Deserialize, Serialize};

use crate::discover::Found;
use crate::files::FileSource;
use crate::limits::Limits;
use crate::mbox::MboxSource;
use crate::pst::PstSource;

/// What a mailbox is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Outlook's store with 64-bit offsets ([MS-PST], version 23 and up).
    PstUnicode,
    /// Outlook's store with 32-bit offsets ([MS-PST], versions 14 and 15).
    PstAnsi,
    /// Outlook's offline copy of a mailbox.
    Ost,
    /// Many messages in one file, each after a line `From ` (RFC 4155; mboxo, mboxrd).
    Mbox,
    /// A folder with `cur`, `new` and `tmp`, one file per message.
    Maildir,
    /// One RFC 5322 message per file; all such files of a folder are one mailbox.
    Eml,
    /// Outlook's single message ([MS-OXMSG]); recognised and reported, not read yet.
    Msg,
}

impl Format {
    /// The name that the API and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PstUnicode => "pst-unicode",
            Self::PstAnsi => "pst-ansi",
            Self::Ost => "ost",
            Self::Mbox => "mbox",
            Self::Maildir => "maildir",
            Self::Eml => "eml",
            Self::Msg => "msg",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one mailbox is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxInfo {
    /// Made from the canonical path: the same path is the same mailbox.
    pub id: MailboxId,
    /// File or folder name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What it is written in.
    pub format: Format,
    /// Size, modification time and a digest of head and tail (of a folder: of its list of files): an unchanged source keeps
    /// its fingerprint.
    pub fingerprint: String,
    /// Whose mailbox it is, where the source says so.
    pub owner: Option<Address>,
}

/// One item of a mailbox: read, or skipped with a reason.
#[derive(Clone, Debug)]
pub struct SourceItem {
    /// Where it is.
    pub provenance: Provenance,
    /// Its ordinal in the source, from 0; stable as long as the source does not change.
    pub position: u64,
    /// Whether it lies in the folder of sent mail.
    pub in_sent_folder: bool,
    /// The message, or why there is none.
    pub outcome: Result<Message, Skipped>,
    /// Parts that were lost inside an item that was still read: such an item counts as salvaged.
    pub losses: Vec<Skipped>,
}

/// The items of one mailbox in a stable order. A bad item is an item with a reason, never the end.
pub trait MailSource: Iterator<Item = SourceItem> + Send {
    /// The mailbox that is read.
    fn mailbox(&self) -> &MailboxInfo;

    /// Moves forward to the item of `position` without parsing what is before it, as far as the format allows. Past the
    /// last item the iterator is at its end. Moving backwards is refused.
    ///
    /// # Errors
    /// [`SourceError`] when the source cannot be read any more, or `position` was passed already.
    fn skip_to(&mut self, position: u64) -> Result<(), SourceError>;

    /// Bytes read and bytes in all, for progress; the unit is the source's own.
    fn size_hint_bytes(&self) -> (u64, u64);
}

/// Why a mailbox as a whole cannot be read. The kind decides, the sentence informs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file system refused.
    #[error("{path} cannot be read")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// The format is known and not supported.
    #[error("{path} is not supported: {reason}")]
    Unsupported {
        /// Which file.
        path: PathBuf,
        /// What it is.
        reason: String,
    },
    /// The file is damaged beyond its items, or is not what its name says.
    #[error("{path} cannot be opened: {reason}")]
    Refused {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// [`MailSource::skip_to`] to an item that was passed.
    #[error("item {wanted} was asked for after item {reached}")]
    Backwards {
        /// The position asked for.
        wanted: u64,
        /// The position reached.
        reached: u64,
    },
}

impl SourceError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

/// Opens a mailbox that [`crate::discover()`] found.
///
/// # Errors
/// [`SourceError`] when the file cannot be read, or its format is refused as a whole.
pub fn open(found: &Found, limits: &Limits) -> Result<Box<dyn MailSource>, SourceError> {
    match found.format {
        Format::PstUnicode | Format::PstAnsi | Format::Ost => Ok(Box::new(PstSource::open(found, limits)?)),
        Format::Mbox => Ok(Box::new(MboxSource::open(found, limits)?)),
        Format::Maildir | Format::Eml => Ok(Box::new(FileSource::open(found, limits)?)),
        Format::Msg => Err(SourceError::Unsupported {
            path: found.path.clone(),
            reason: "Outlook .msg files are not supported yet".to_owned(),
        }),
    }
}

/// Whether a folder's name is one that mail programs give the folder of sent mail, in any of the languages they speak.
/// `path` has `/` or `.` between names; the last name counts, or any above it.
pub fn is_sent_folder(path: &str) -> bool {
    const NAMES: [&str; 40] = [
        "sent",
        "sent items",
        "sent mail",
        "sent messages",
        "sent-mail",
        "outbox",
        "gesendet",
        "gesendete elemente",
        "gesendete objekte",
        "gesendete nachrichten",
        "postausgang",
        "éléments envoyés",
        "envoyés",
        "messages envoyés",
        "courrier envoyé",
        "boîte d'envoi",
        "elementos enviados",
        "enviados",
        "correo enviado",
        "mensajes enviados",
        "bandeja de salida",
        "posta inviata",
        "elementi inviati",
        "inviata",
        "inviati",
        "posta in uscita",
        "verzonden items",
        "verzonden",
        "verzonden berichten",
        "postvak uit",
        "itens enviados",
        "mensagens enviadas",
        "skickat",
        "skickade objekt",
        "sendt post",
        "sendte elementer",
        "elementy wysłane",
        "wysłane",
        "отправленные",
        "исходящие",
    ];
    path.split(['/', '.', '\\']).any(|name| NAMES.contains(&name.trim().to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::is_sent_folder;

    #[test]
    fn sent_folders_by_name() {
        for path in
            ["Top of Personal Folders/Sent Items", ".Sent", "Gesendete Elemente", "INBOX.Sent", "Éléments envoyés/2023"]
        {
            assert!(is_sent_folder(path), "{path}");
        }
        for path in ["", "Inbox", "Sentinel", "Presented"] {
            assert!(!is_sent_folder(path), "{path}");
        }
    }
}
