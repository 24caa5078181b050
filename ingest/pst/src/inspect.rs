//! Everything that is in a file, counted: what `rejoinder inspect` prints.

use std::io::{self, Read, Seek};
use std::path::Path;

use crate::attachment::AttachmentMethod;
use crate::body::Bodies;
use crate::error::{Problem, ProblemKind};
use crate::file::PstFile;
use crate::header::Format;
use crate::item::{Item, ItemKind};
use crate::options::OpenOptions;

/// How reading went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// All that is there was read.
    Read,
    /// Something is lost or doubtful; the problems say what.
    Salvaged,
    /// The file was not opened; the one problem says why.
    Refused,
}

impl Status {
    /// A stable lower-case name for machine-readable reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Salvaged => "salvaged",
            Self::Refused => "refused",
        }
    }
}

/// What one folder claims and what was found in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderReport {
    /// Names from the top down.
    pub path: Vec<String>,
    /// How many items its own count claims.
    pub claimed: u64,
    /// How many items were read.
    pub read: u64,
    /// How many associated items (views, rules) it has; they are not read.
    pub associated: u64,
}

/// How many items of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindCounts([u64; ItemKind::ALL.len()]);

impl KindCounts {
    /// Items of one kind.
    pub fn of(&self, kind: ItemKind) -> u64 {
        ItemKind::ALL.iter().zip(self.0).find(|(candidate, _)| **candidate == kind).map_or(0, |(_, count)| count)
    }

    /// Items of all kinds.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    fn add(&mut self, kind: ItemKind) {
        for (candidate, count) in ItemKind::ALL.iter().zip(&mut self.0) {
            *count += u64::from(*candidate == kind);
        }
    }
}

/// The account of a whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Width of identifiers; `None` where the file was refused.
    pub format: Option<Format>,
    /// Whether it is an OST.
    pub is_ost: bool,
    /// How reading went.
    pub status: Status,
    /// Every folder but the nameless root, if that is empty.
    pub folders: Vec<FolderReport>,
    /// Items in folders, by kind. Embedded messages and associated items are not among them.
    pub items: KindCounts,
    /// Attachments of items and of embedded messages, embedded messages included.
    pub attachments: u64,
    /// Attachments that are messages and were read.
    pub embedded: u64,
    /// Bytes of attachments that were read.
    pub attachment_bytes: u64,
    /// Items that the folders' own counts claim.
    pub claimed_items: u64,
    /// Associated items (views, rules, forms), which are not read.
    pub associated: u64,
    /// Everything that was lost or doubtful.
    pub problems: Vec<Problem>,
}

/// Problems kept in an inspection; more are counted in one last line.
const MAX_PROBLEMS: usize = 10_000;

/// Reads all of the file at `path` and counts it. Never fails: a file that cannot be opened is a refused one.
pub fn inspect(path: &Path, options: OpenOptions) -> Inspection {
    match PstFile::open_with(path, options) {
        Ok(mut file) => inspect_file(&mut file),
        Err(error) => Inspection {
            format: None,
            is_ost: false,
            status: Status::Refused,
            folders: Vec::new(),
            items: KindCounts::default(),
            attachments: 0,
            embedded: 0,
            attachment_bytes: 0,
            claimed_items: 0,
            associated: 0,
            problems: vec![error.into()],
        },
    }
}

/// Reads all of an open file and counts it.
pub fn inspect_file<R: Read + Seek + Send>(file: &mut PstFile<R>) -> Inspection {
    let budget = file.options().max_read_amplification.saturating_mul(file.file_bytes()).saturating_add(64 << 20);
    let inspection = Inspection {
        format: Some(file.format()),
        is_ost: file.is_ost(),
        status: Status::Read,
        folders: Vec::new(),
        items: KindCounts::default(),
        attachments: 0,
        embedded: 0,
        attachment_bytes: 0,
        claimed_items: 0,
        associated: 0,
        problems: Vec::new(),
    };
    let mut inspector = Inspector { end_of_work: file.work_bytes().saturating_add(budget), inspection, unkept: 0 };
    inspector.run(file);
    inspector.finish(file)
}

struct Inspector {
    end_of_work: u64,
    inspection: Inspection,
    /// Problems beyond `MAX_PROBLEMS`.
    unkept: u64,
}

impl Inspector {
    fn run<R: Read + Seek + Send>(&mut self, file: &mut PstFile<R>) {
        for folder in file.folders() {
            let claimed = u64::from(folder.claimed_items.unwrap_or(0));
            let items = file.items(&folder);
            let mut report = FolderReport {
                path: folder.path.clone(),
                claimed,
                read: 0,
                associated: u64::from(folder.associated_count),
            };
            for listed in items {
                if self.is_over_budget(file) {
                    break;
                }
                match listed.and_then(|item| file.read_item(item.node_id).map_err(Problem::from)) {
                    Ok(item) => {
                        report.read += 1;
                        self.inspection.items.add(item.kind);
                        self.content(file, item);
                    }
                    Err(problem) => self.note(problem),
                }
            }
            if report.read < claimed {
                let detail = format!("the folder claims {claimed} items, {} were read", report.read);
                self.note(Problem::new(format!("folder {:#x}", folder.node_id), ProblemKind::CountMismatch, detail));
            }
            self.inspection.claimed_items += claimed;
            self.inspection.associated += report.associated;
            if !(report.path.is_empty() && report.read == 0) {
                self.inspection.folders.push(report);
            }
            if self.is_over_budget(file) {
                let detail = "reading costs far more than the file's size; the rest is left out";
                self.note(Problem::new("file", ProblemKind::Limit, detail));
                break;
            }
        }
    }

    fn is_over_budget<R: Read + Seek + Send>(&self, file: &PstFile<R>) -> bool {
        file.work_bytes() > self.end_of_work
    }

    fn note(&mut self, problem: Problem) {
        if self.inspection.problems.len() < MAX_PROBLEMS {
            self.inspection.problems.push(problem);
        } else {
            self.unkept += 1;
        }
    }

    /// Reads an item's attachments and what is embedded in it; `read_embedded` limits the depth.
    fn content<R: Read + Seek + Send>(&mut self, file: &mut PstFile<R>, item: Item) {
        let mut path = vec![self.open_item(item)];
        while let Some((item, next)) = path.last_mut() {
            let Some(attachment) = item.attachments.get(*next) else {
                path.pop();
                continue;
            };
            *next += 1;
            if self.is_over_budget(file) {
                return;
            }
            self.inspection.attachments += 1;
            match attachment.method {
                AttachmentMethod::EmbeddedMessage => match file.read_embedded(item, attachment) {
                    Ok(embedded) => {
                        self.inspection.embedded += 1;
                        path.push(self.open_item(embedded));
                    }
                    Err(error) => self.note(error.into()),
                },
                AttachmentMethod::ByReference | AttachmentMethod::None => {}
                _ if attachment.is_readable => match file.copy_attachment(item, attachment, &mut io::sink()) {
                    Ok(copied) => {
                        self.inspection.attachment_bytes += copied.bytes;
                        copied.problems.into_iter().for_each(|problem| self.note(problem));
                    }
                    Err(error) => self.note(error.into()),
                },
                _ => {}
            }
        }
    }

    /// Keeps an item's problems, lets its text go, and starts with its first attachment.
    fn open_item(&mut self, mut item: Item) -> (Item, usize) {
        for problem in std::mem::take(&mut item.problems) {
            self.note(problem);
        }
        item.bodies = Bodies::default();
        (item, 0)
    }

    fn finish<R: Read + Seek + Send>(mut self, file: &PstFile<R>) -> Inspection {
        for problem in file.problems() {
            self.note(problem.clone());
        }
        if self.unkept > 0 {
            let detail = format!("{} more problems", self.unkept);
            self.inspection.problems.push(Problem::new("file", ProblemKind::Limit, detail));
        }
        if !self.inspection.problems.is_empty() {
            self.inspection.status = Status::Salvaged;
        }
        self.inspection
    }
}
