//! Attachments: listed with an item, streamed on demand.

use std::io::{Read, Seek};

use crate::error::{Problem, ProblemKind};
use crate::ltp::{PropertyContext, Table};
use crate::ndb::{Database, Node};
use crate::node_index::node_type;
use crate::properties::Reader;
use crate::property_id as id;

const ATTACHMENT_TABLE: u32 = 0x671;

/// How an attachment is attached (`PidTagAttachMethod`, [MS-OXCMSG] 2.2.2.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttachmentMethod {
    /// Just created, without content.
    None,
    /// Its bytes are in the file.
    ByValue,
    /// It names a file or address elsewhere; no bytes are here.
    ByReference,
    /// It is a message; read it with [`PstFile::read_embedded`](crate::PstFile::read_embedded).
    EmbeddedMessage,
    /// It is an OLE object; its bytes are those of its storage.
    Ole,
    /// A number that no specification names.
    Other(i64),
}

impl AttachmentMethod {
    fn of_number(number: i64) -> Self {
        match number {
            0 => Self::None,
            1 => Self::ByValue,
            2..=4 | 7 => Self::ByReference,
            5 => Self::EmbeddedMessage,
            6 => Self::Ole,
            other => Self::Other(other),
        }
    }
}

/// One attachment.
#[derive(Clone, Debug, PartialEq)]
pub struct AttachmentInfo {
    /// Its subnode inside the item.
    pub node_id: u32,
    /// How it is attached.
    pub method: AttachmentMethod,
    /// Its name, the long one where there is one.
    pub filename: Option<String>,
    /// Its name in the form 8.3.
    pub short_filename: Option<String>,
    /// Path or address of an attachment by reference.
    pub pathname: Option<String>,
    /// Name as shown (an embedded message's subject).
    pub display_name: Option<String>,
    /// Media type, where the sender said one.
    pub mime_type: Option<String>,
    /// Content identifier by which the HTML body refers to it.
    pub content_id: Option<String>,
    /// Address by which the HTML body refers to it.
    pub content_location: Option<String>,
    /// Size in bytes: of the content where that is here, else as the attachment claims.
    pub bytes: u64,
    /// Whether it is not shown to the reader (a picture inside the body, mostly).
    pub hidden: bool,
    /// Whether its properties could be read; an attachment that could not is listed with what the table says.
    pub is_readable: bool,
    pub(crate) node: Node,
}

/// The attachments in the item's table, and then those that only the subnodes show. What fails is noted.
pub(crate) fn list<R: Read + Seek>(database: &mut Database<R>, item: Node, code_page: u32) -> Vec<AttachmentInfo> {
    let mut nodes = Vec::new();
    if item.subnodes == 0 {
        return Vec::new();
    }
    match database.subnode(item.subnodes, ATTACHMENT_TABLE) {
        Ok(node) => match Table::open(database, node) {
            Ok(table) => nodes.extend(table.index().iter().map(|(node_id, _)| *node_id)),
            Err(error) => database.note(Problem::from(error).within("attachment table")),
        },
        Err(error) if error.kind() == crate::ErrorKind::NotFound => {}
        Err(error) => database.note(Problem::from(error).within("attachment table")),
    }
    let mut listed: std::collections::HashSet<u32> = nodes.iter().copied().collect();
    let in_subnodes = database.subnodes(item.subnodes);
    let unlisted = in_subnodes.iter().map(|node| node.id).filter(|id| node_type::of(*id) == node_type::ATTACHMENT);
    nodes.extend(unlisted.filter(|id| listed.insert(*id)));
    if nodes.len() > database.options.max_attachments {
        nodes.truncate(database.options.max_attachments);
        let detail = "more attachments than the limit; the rest is left out";
        database.note(Problem::new("attachment table", ProblemKind::Limit, detail));
    }
    nodes.into_iter().map(|node_id| describe(database, item, node_id, code_page)).collect()
}

/// Reads one attachment's properties.
fn describe<R: Read + Seek>(database: &mut Database<R>, item: Node, node_id: u32, code_page: u32) -> AttachmentInfo {
    let mut info = AttachmentInfo {
        node_id,
        method: AttachmentMethod::Other(-1),
        filename: None,
        short_filename: None,
        pathname: None,
        display_name: None,
        mime_type: None,
        content_id: None,
        content_location: None,
        bytes: 0,
        hidden: false,
        is_readable: false,
        node: Node { id: node_id, data: 0, subnodes: 0, parent: item.id },
    };
    let opened = database
        .subnode(item.subnodes, node_id)
        .and_then(|node| PropertyContext::open(database, node).map(|context| (node, context)));
    let (node, mut context) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            database.note(error.within(format!("attachment {node_id:#x}")).into());
            return info;
        }
    };
    context.code_page = code_page;
    let bytes = content_bytes(database, &context);
    let reader = &mut Reader { database, context: &context };
    info.node = node;
    info.is_readable = true;
    info.method = reader.integer(id::ATTACHMENT_METHOD).map_or(AttachmentMethod::ByValue, AttachmentMethod::of_number);
    info.short_filename = reader.text(id::ATTACHMENT_FILENAME);
    info.filename = reader.text(id::ATTACHMENT_LONG_FILENAME).or_else(|| info.short_filename.clone());
    info.pathname = reader.text(id::ATTACHMENT_LONG_PATHNAME).or_else(|| reader.text(id::ATTACHMENT_PATHNAME));
    info.display_name = reader.text(id::DISPLAY_NAME);
    info.mime_type = reader.text(id::ATTACHMENT_MIME);
    info.content_id = reader.text(id::ATTACHMENT_CONTENT_ID);
    info.content_location = reader.text(id::ATTACHMENT_CONTENT_LOCATION);
    info.hidden = reader.boolean(id::ATTACHMENT_HIDDEN);
    let claimed = reader.integer(id::ATTACHMENT_SIZE).and_then(|size| u64::try_from(size).ok());
    let here = bytes.filter(|_| info.method != AttachmentMethod::EmbeddedMessage);
    info.bytes = here.or(claimed).unwrap_or(0);
    info
}

/// Size of the content (a byte string or an OLE object's storage), without reading it; `None` where it is not here.
fn content_bytes<R: Read + Seek>(database: &mut Database<R>, context: &PropertyContext) -> Option<u64> {
    match context.subnode(database, id::ATTACHMENT_DATA) {
        Ok(Some(node)) => database.data_bytes(node.data).ok(),
        Ok(None) => context.bytes(database, id::ATTACHMENT_DATA).ok().flatten().map(|data| data.len() as u64),
        Err(_) => None,
    }
}
