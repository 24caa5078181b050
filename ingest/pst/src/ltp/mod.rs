//! The lists, tables and properties layer ([MS-PST] 2.3) over the node database.

mod bth;
mod heap;
mod property;
mod table;
mod value;

pub(crate) use property::PropertyContext;
pub(crate) use table::{Row, Table};
pub use value::PropertyValue;
