//! Reading typed properties while noting, not spreading, what fails: one bad property costs that property.

use std::io::{Read, Seek};

use crate::ltp::{PropertyContext, PropertyValue};
use crate::ndb::Database;

/// A property context together with the file it lies in.
pub(crate) struct Reader<'a, R> {
    pub(crate) database: &'a mut Database<R>,
    pub(crate) context: &'a PropertyContext,
}

impl<R: Read + Seek> Reader<'_, R> {
    /// A value; a failure is noted and read as absent.
    pub(crate) fn value(&mut self, id: u16) -> Option<PropertyValue> {
        match self.context.get(self.database, id) {
            Ok(value) => value,
            Err(error) => {
                self.database.note(error.into());
                None
            }
        }
    }

    /// Text that is not empty.
    pub(crate) fn text(&mut self, id: u16) -> Option<String> {
        match self.value(id)? {
            PropertyValue::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    pub(crate) fn integer(&mut self, id: u16) -> Option<i64> {
        self.value(id)?.as_integer()
    }

    pub(crate) fn boolean(&mut self, id: u16) -> bool {
        self.integer(id).is_some_and(|value| value != 0)
    }

    pub(crate) fn bytes(&mut self, id: u16) -> Option<Vec<u8>> {
        match self.value(id)? {
            PropertyValue::Binary(data) => Some(data),
            _ => None,
        }
    }

    /// Microseconds since 1970-01-01 UTC.
    pub(crate) fn time(&mut self, id: u16) -> Option<i64> {
        self.value(id)?.as_unix_micros()
    }
}
