//! Reading a node's data piece by piece, whatever its size.

use std::io::{self, Read, Seek};

use super::block::place;
use super::{DataTree, Database};
use crate::error::{Problem, ProblemKind};

/// Streams the blocks of a data tree. A block that cannot be read ends the stream with an error of kind
/// [`io::ErrorKind::InvalidData`]; a checksum that differs is noted and reading goes on.
pub(crate) struct DataStream<'a, R> {
    database: &'a mut Database<R>,
    tree: DataTree,
    next_block: usize,
    buffer: Vec<u8>,
    position: usize,
}

impl<'a, R: Read + Seek> DataStream<'a, R> {
    pub(crate) fn new(database: &'a mut Database<R>, tree: DataTree) -> Self {
        Self { database, tree, next_block: 0, buffer: Vec::new(), position: 0 }
    }
}

impl<R: Read + Seek> Read for DataStream<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.position >= self.buffer.len() {
            let Some(id) = self.tree.block_id(self.next_block) else { return Ok(0) };
            self.next_block += 1;
            self.position = 0;
            match self.database.read_block(id, &mut self.buffer) {
                Ok(true) => {}
                Ok(false) => {
                    let problem =
                        Problem::new(place(id), ProblemKind::Checksum, "checksum differs; the bytes were used");
                    self.database.note(problem);
                }
                Err(error) => {
                    self.buffer.clear();
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
        }
        let rest = self.buffer.get(self.position..).unwrap_or_default();
        let count = rest.len().min(out.len());
        if let (Some(target), Some(bytes)) = (out.get_mut(..count), rest.get(..count)) {
            target.copy_from_slice(bytes);
        }
        self.position += count;
        Ok(count)
    }
}
