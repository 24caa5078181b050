//! A GGUF file by memory map: settings and tensors, read by candle, never copied as a whole.
//!
//! Format: the GGUF specification of the ggml project, versions 1 to 3.

use std::collections::HashMap;
use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, Value};
use memmap2::{Mmap, UncheckedAdvice};

use crate::DecoderError;

/// A mapped model file.
pub struct Gguf {
    path: PathBuf,
    map: Mmap,
    content: Content,
}

/// One tensor as it lies in the file.
pub(crate) struct TensorView<'a> {
    pub(crate) kind: GgmlDType,
    /// Rows (outputs) and values per row (inputs); one row for a vector.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) bytes: &'a [u8],
}

impl Gguf {
    /// Maps `path` and reads its header.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DecoderError> {
        let path = path.as_ref().to_owned();
        let io = |source| DecoderError::Io { path: path.clone(), source };
        let file = File::open(&path).map_err(io)?;
        // SAFETY: the map is only read, as bytes. A file that another process cuts short while it is mapped would end
        // this one with SIGBUS; model files are written under another name and renamed, never changed in place.
        #[expect(unsafe_code, reason = "a memory map")]
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        let content = Content::read(&mut Cursor::new(&map[..])).map_err(|error| match error.to_string() {
            // candle has no kind for it: a sound file with tensors of a type that it does not know.
            reason if reason.contains("unknown dtype") => DecoderError::Unsupported { what: reason },
            reason => DecoderError::Format { path: path.clone(), reason },
        })?;
        Ok(Self { path, map, content })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> usize {
        self.map.len()
    }

    /// The settings.
    pub fn metadata(&self) -> &HashMap<String, Value> {
        &self.content.metadata
    }

    /// Names of all tensors.
    pub(crate) fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.content.tensor_infos.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    /// A tensor of one or two dimensions.
    pub(crate) fn tensor(&self, name: &str) -> Result<TensorView<'_>, DecoderError> {
        let damaged = |reason: String| DecoderError::Format { path: self.path.clone(), reason };
        let info = self
            .content
            .tensor_infos
            .get(name)
            .ok_or_else(|| DecoderError::Inconsistent(format!("there is no tensor {name}")))?;
        let (rows, columns) = match *info.shape.dims() {
            [columns] => (1, columns),
            [rows, columns] => (rows, columns),
            ref dims => return Err(DecoderError::Inconsistent(format!("{name} has {} dimensions", dims.len()))),
        };
        let block = info.ggml_dtype.block_size();
        if rows == 0 || columns == 0 || !columns.is_multiple_of(block) {
            return Err(damaged(format!("{name} has rows of {columns} values, which blocks of {block} do not fill")));
        }
        let size = rows.checked_mul(columns / block).and_then(|blocks| blocks.checked_mul(info.ggml_dtype.type_size()));
        let start = usize::try_from(self.content.tensor_data_offset.saturating_add(info.offset)).ok();
        let range = start.zip(size).and_then(|(start, size)| Some(start..start.checked_add(size)?));
        let bytes = range
            .and_then(|range| self.map.get(range))
            .ok_or_else(|| damaged(format!("{name} reaches beyond the end of the file")))?;
        Ok(TensorView { kind: info.ggml_dtype, rows, columns, bytes })
    }

    /// Lets the pages of the whole file go: what was read has been packed elsewhere and would count twice.
    pub(crate) fn release(&self) {
        // SAFETY: the map is of a file and never written, so that dropped pages are read from the file again.
        #[expect(unsafe_code, reason = "madvise(MADV_DONTNEED) is unsound on private memory only")]
        if let Err(error) = unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) } {
            tracing::debug!(%error, "the model file's pages stay in memory");
        }
    }
}
