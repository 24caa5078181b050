//! What is in a mailbox, before anything is indexed.

use std::collections::BTreeMap;
use std::path::Path;

use rejoinder_domain::{AttachmentMethod, ItemKind, Message};
use rejoinder_mail::{Format, Found, Limits, MailSource, discover, is_sent_folder, open};
use rejoinder_pst::OpenOptions;
use serde::Serialize;

use crate::Error;

/// The account of one mailbox file: what `rejoinder inspect --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The file or folder.
    pub file: String,
    /// `pst-unicode`, `pst-ansi`, `ost`, `mbox`, `maildir`, `eml` or `msg`; `None` for a file that is no mailbox.
    pub format: Option<String>,
    /// `read`, `salvaged` (something was lost; the problems say what) or `refused`.
    pub status: &'static str,
    /// How many folders.
    pub folders: u64,
    /// How many items of each kind.
    pub items: BTreeMap<String, u64>,
    /// Attachments, embedded messages included.
    pub attachments: u64,
    /// Attachments that are messages.
    pub embedded: u64,
    /// Items that the file's own counts claim; `None` where the format has no counts.
    pub claimed_items: Option<u64>,
    /// Associated items (views, rules), which are not mail and not read.
    pub associated: u64,
    /// Every folder.
    pub folder_list: Vec<FolderInspection>,
    /// Everything that was lost or doubtful, with its place.
    pub problems: Vec<InspectionProblem>,
}

/// One folder of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FolderInspection {
    /// Names from the top, joined by `/`; empty for the top itself.
    pub path: String,
    /// Items that its own count claims; `None` where the format has no counts.
    pub claimed: Option<u64>,
    /// Items that were read.
    pub read: u64,
    /// Associated items.
    pub associated: u64,
    /// Whether it holds sent mail, by its name.
    pub sent: bool,
}

/// One loss or doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InspectionProblem {
    /// Where.
    pub place: String,
    /// A stable word for what it is.
    pub kind: String,
    /// What it is, in a sentence.
    pub detail: String,
}

/// Reads every mailbox at `path` and counts it; writes nothing. A file that cannot be opened is a refused one.
pub fn inspect(path: &Path) -> Result<Vec<Inspection>, Error> {
    let discovery = discover(path)?;
    let refused = discovery.skipped.into_iter().map(|skipped| {
        let problem =
            InspectionProblem { place: "file".to_owned(), kind: "refused".to_owned(), detail: skipped.reason };
        Inspection { status: "refused", problems: vec![problem], ..Inspection::empty(skipped.place, None) }
    });
    Ok(discovery.mailboxes.iter().map(inspect_mailbox).chain(refused).collect())
}

fn inspect_mailbox(found: &Found) -> Inspection {
    match found.format {
        Format::PstUnicode | Format::PstAnsi | Format::Ost => inspect_pst(found),
        _ => inspect_source(found),
    }
}

fn inspect_pst(found: &Found) -> Inspection {
    let report = rejoinder_pst::inspect(&found.path, OpenOptions::default());
    let kinds = rejoinder_pst::ItemKind::ALL;
    let items = kinds.iter().map(|kind| (kind.as_str().to_owned(), report.items.of(*kind)));
    let folders: Vec<FolderInspection> = report
        .folders
        .iter()
        .map(|folder| {
            let path = folder.path.join("/");
            let (claimed, sent) = (Some(folder.claimed), is_sent_folder(&path));
            FolderInspection { path, claimed, read: folder.read, associated: folder.associated, sent }
        })
        .collect();
    let problems = report.problems.into_iter().map(|problem| InspectionProblem {
        place: problem.place,
        kind: problem.kind.as_str().to_owned(),
        detail: problem.detail,
    });
    Inspection {
        status: report.status.as_str(),
        folders: folders.len() as u64,
        items: items.filter(|(_, count)| *count > 0).collect(),
        attachments: report.attachments,
        embedded: report.embedded,
        claimed_items: Some(report.claimed_items),
        associated: report.associated,
        folder_list: folders,
        problems: problems.collect(),
        ..Inspection::empty(found.path.display().to_string(), Some(found.format))
    }
}

fn inspect_source(found: &Found) -> Inspection {
    let mut inspection = Inspection::empty(found.path.display().to_string(), Some(found.format));
    match open(found, &Limits::default()) {
        Ok(mut source) => count(&mut inspection, source.as_mut()),
        Err(error) => {
            inspection.status = "refused";
            inspection.note("file", "refused", error.to_string());
        }
    }
    inspection
}

fn count(inspection: &mut Inspection, source: &mut dyn MailSource) {
    let mut folders: BTreeMap<String, (u64, bool)> = BTreeMap::new();
    for item in source {
        match item.outcome {
            Ok(message) => {
                let folder = folders.entry(item.provenance.folder).or_insert((0, item.in_sent_folder));
                folder.0 += 1;
                inspection.count_message(&message);
            }
            Err(skipped) => inspection.note(skipped.place, "skipped", skipped.reason),
        }
        for loss in item.losses {
            inspection.note(loss.place, "loss", loss.reason);
        }
    }
    if !inspection.problems.is_empty() {
        inspection.status = "salvaged";
    }
    inspection.folders = folders.len() as u64;
    inspection.folder_list = folders
        .into_iter()
        .map(|(path, (read, sent))| FolderInspection { path, claimed: None, read, associated: 0, sent })
        .collect();
}

impl Inspection {
    fn empty(file: String, format: Option<Format>) -> Self {
        Self {
            file,
            format: format.map(|format| format.as_str().to_owned()),
            status: "read",
            folders: 0,
            items: BTreeMap::new(),
            attachments: 0,
            embedded: 0,
            claimed_items: None,
            associated: 0,
            folder_list: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn count_message(&mut self, message: &Message) {
        *self.items.entry(kind_name(message.kind).to_owned()).or_default() += 1;
        self.attachments += message.attachments.len() as u64;
        let embedded = message.attachments.iter().filter(|a| a.method == AttachmentMethod::EmbeddedMessage);
        self.embedded += embedded.count() as u64;
    }

    fn note(&mut self, place: impl Into<String>, kind: &str, detail: impl Into<String>) {
        self.problems.push(InspectionProblem { place: place.into(), kind: kind.to_owned(), detail: detail.into() });
    }
}

fn kind_name(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Message => "message",
        ItemKind::Appointment => "appointment",
        ItemKind::Note => "note",
        ItemKind::Contact => "contact",
        ItemKind::Task => "task",
        ItemKind::Journal => "journal",
        ItemKind::Other => "other",
    }
}
