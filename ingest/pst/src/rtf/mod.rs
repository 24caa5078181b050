//! Rich text bodies: decompression ([MS-OXRTFCP]), HTML out of its encapsulation ([MS-OXRTFEX]), plain text.

mod convert;
mod decompress;
mod fonts;
mod tokens;

pub(crate) use convert::{Converted, convert};
pub(crate) use decompress::decompress;
