//! Memory that starts at a cache line and is kept from call to call.

/// Bytes of a cache line, and of the widest register.
const LINE: usize = 64;

/// A growable row of floats that starts at a cache line: a register that straddles two lines costs two reads.
#[derive(Debug, Default)]
pub(super) struct AlignedBuffer {
    memory: Vec<f32>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// `len` zeros.
    pub(super) fn zeroed(len: usize) -> Self {
        let memory = vec![0.0_f32; len + LINE / 4];
        let start = memory.as_ptr().align_offset(LINE).min(LINE / 4);
        Self { memory, start, len }
    }

    /// All values.
    pub(super) fn as_slice(&self) -> &[f32] {
        self.memory.get(self.start..self.start + self.len).unwrap_or_default()
    }

    /// All values.
    pub(super) fn as_mut_slice(&mut self) -> &mut [f32] {
        self.memory.get_mut(self.start..self.start + self.len).unwrap_or_default()
    }

    /// The first `len` values, whatever they hold; the buffer grows to them if it must.
    pub(super) fn at_least(&mut self, len: usize) -> &mut [f32] {
        if self.len < len {
            *self = Self::zeroed(len);
        }
        self.memory.get_mut(self.start..self.start + len).unwrap_or_default()
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.memory.len() * 4
    }
}
