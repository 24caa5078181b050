//! Outlook stores: the items of a PST or OST file, read by `rejoinder-pst`, as messages.

mod item;

use std::fs::File;

use rejoinder_domain::{Address, Provenance, Skipped};
use rejoinder_pst::{ErrorKind, Folder, Items, ProblemKind, PstError, PstFile};

use crate::discover::{Found, mailbox_info};
use crate::limits::Limits;
use crate::source::{Format, MailSource, MailboxInfo, SourceError, SourceItem, is_sent_folder};

/// The items of a PST or OST file, folder by folder in the store's order.
pub(crate) struct PstSource {
    info: MailboxInfo,
    limits: Limits,
    file: PstFile<File>,
    folders: Vec<Folder>,
    /// The folder whose items come next.
    folder: usize,
    /// The rest of the folder's items, once it was opened.
    items: Option<Items>,
    position: u64,
}

impl PstSource {
    pub(crate) fn open(found: &Found, limits: &Limits) -> Result<Self, SourceError> {
        let mut info = mailbox_info(found)?;
        let mut file = PstFile::open(&found.path).map_err(|error| source_error(found, &error))?;
        info.format = match (file.is_ost(), file.format()) {
            (true, _) => Format::Ost,
            (false, rejoinder_pst::Format::Unicode) => Format::PstUnicode,
            (false, rejoinder_pst::Format::Ansi) => Format::PstAnsi,
        };
        let store = file.store();
        let owner = Address {
            name: store.owner_name.clone().unwrap_or_default(),
            email: store.owner_address.clone().unwrap_or_default().trim().to_lowercase(),
        };
        info.owner = Some(owner).filter(|owner| !owner.name.is_empty() || !owner.email.is_empty());
        let folders = file.folders();
        Ok(Self { info, limits: limits.clone(), file, folders, folder: 0, items: None, position: 0 })
    }

    fn current(&self) -> Option<&Folder> {
        self.folders.get(self.folder)
    }

    /// Opens the current folder if that was not done yet; whether there is one.
    fn open_folder(&mut self) -> bool {
        let Some(folder) = self.folders.get(self.folder) else { return false };
        if self.items.is_none() {
            self.items = Some(self.file.items(folder));
        }
        true
    }

    fn item(&mut self, node_id: u32) -> SourceItem {
        let folder = self.current().cloned().unwrap_or_default();
        let place = format!("{node_id:#x}");
        let where_it_is = format!("{} item {place}", folder.path.join("/"));
        let read = self.file.read_item(node_id);
        let (outcome, losses) = match read {
            Ok(item) => {
                let (message, mut losses) = item::message(&mut self.file, &item, &self.limits);
                losses.sort();
                losses.dedup();
                let losses = losses.into_iter().map(|(place, reason)| Skipped { place, reason }).collect();
                (Ok(message), losses)
            }
            Err(error) => (Err(Skipped { place: where_it_is, reason: error.detail().to_owned() }), Vec::new()),
        };
        self.source_item(&folder, place, outcome, losses)
    }

    fn source_item(
        &mut self,
        folder: &Folder,
        place: String,
        outcome: Result<rejoinder_domain::Message, Skipped>,
        losses: Vec<Skipped>,
    ) -> SourceItem {
        let path = folder.path.join("/");
        let position = self.position;
        self.position += 1;
        SourceItem {
            in_sent_folder: folder.is_sent_hint || is_sent_folder(&path),
            provenance: Provenance { mailbox: self.info.id.clone(), folder: path, place },
            position,
            outcome,
            losses,
        }
    }
}

fn source_error(found: &Found, error: &PstError) -> SourceError {
    let path = found.path.clone();
    let reason = error.detail().to_owned();
    match error.kind() {
        ErrorKind::Unsupported | ErrorKind::Encrypted => SourceError::Unsupported { path, reason },
        _ => SourceError::Refused { path, reason },
    }
}

impl Iterator for PstSource {
    type Item = SourceItem;

    fn next(&mut self) -> Option<SourceItem> {
        while self.open_folder() {
            match self.items.as_mut().and_then(Iterator::next) {
                Some(Ok(listed)) => return Some(self.item(listed.node_id)),
                // A row whose item is not in the file: counted as seen and skipped. Other doubts about a folder's list
                // cost no item; `inspect` shows them.
                Some(Err(problem)) if problem.kind == ProblemKind::Missing => {
                    let folder = self.current().cloned().unwrap_or_default();
                    let skipped = Skipped { place: problem.place.clone(), reason: problem.detail };
                    return Some(self.source_item(&folder, problem.place, Err(skipped), Vec::new()));
                }
                Some(Err(_)) => {}
                None => {
                    self.items = None;
                    self.folder += 1;
                }
            }
        }
        None
    }
}

impl MailSource for PstSource {
    fn mailbox(&self) -> &MailboxInfo {
        &self.info
    }

    fn skip_to(&mut self, position: u64) -> Result<(), SourceError> {
        if position < self.position {
            return Err(SourceError::Backwards { wanted: position, reached: self.position });
        }
        while self.position < position && self.open_folder() {
            // Listing moves on without reading any item.
            match self.items.as_mut().and_then(Iterator::next) {
                Some(Ok(_)) => self.position += 1,
                Some(Err(problem)) => self.position += u64::from(problem.kind == ProblemKind::Missing),
                None => {
                    self.items = None;
                    self.folder += 1;
                }
            }
        }
        Ok(())
    }

    fn size_hint_bytes(&self) -> (u64, u64) {
        let total = self.file.file_bytes();
        (self.file.work_bytes().min(total), total)
    }
}
