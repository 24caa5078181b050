//! The bytes of an attachment, streamed.

use std::io::{self, Read, Seek, Take};

use crate::attachment::AttachmentInfo;
use crate::error::{PstError, Result};
use crate::ltp::PropertyContext;
use crate::ndb::{BlockData, DataStream, Database};
use crate::property_id as id;

/// Reads an attachment's bytes, at most [`OpenOptions::max_attachment_bytes`](crate::OpenOptions::max_attachment_bytes) of
/// them. A block that is lost ends it with an error of kind [`io::ErrorKind::InvalidData`].
pub struct AttachmentContent<'a, R>(Take<Content<'a, R>>);

enum Content<'a, R> {
    Small { data: BlockData, position: usize },
    Large(DataStream<'a, R>),
}

impl<'a, R: Read + Seek> AttachmentContent<'a, R> {
    pub(crate) fn open(database: &'a mut Database<R>, attachment: &AttachmentInfo) -> Result<Self> {
        let limit = database.options.max_attachment_bytes;
        let content = open(database, attachment)?;
        Ok(Self(content.take(limit)))
    }
}

fn open<'a, R: Read + Seek>(database: &'a mut Database<R>, attachment: &AttachmentInfo) -> Result<Content<'a, R>> {
    let place = || format!("attachment {:#x}", attachment.node_id);
    if !attachment.is_readable {
        return Err(PstError::damaged(place(), "its properties could not be read"));
    }
    let context = PropertyContext::open(database, attachment.node).map_err(|error| error.within(place()))?;
    if !context.has(id::ATTACHMENT_DATA) {
        return Err(PstError::not_found(place(), "has no content in this file"));
    }
    if let Some(node) = context.subnode(database, id::ATTACHMENT_DATA).map_err(|error| error.within(place()))? {
        let tree = database.data_tree(node.data).map_err(|error| error.within(place()))?;
        return Ok(Content::Large(DataStream::new(database, tree)));
    }
    let data = context.bytes(database, id::ATTACHMENT_DATA).map_err(|error| error.within(place()))?;
    let data = data.ok_or_else(|| PstError::not_found(place(), "has no content in this file"))?;
    Ok(Content::Small { data, position: 0 })
}

impl<R: Read + Seek> Read for Content<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Large(stream) => stream.read(out),
            Self::Small { data, position } => {
                let count = data.get(*position..).unwrap_or_default().read(out)?;
                *position += count;
                Ok(count)
            }
        }
    }
}

impl<R: Read + Seek> Read for AttachmentContent<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}
