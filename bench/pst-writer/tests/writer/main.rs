//! Three judges of what this crate writes: other people's tools, our own reader, and the file's own bookkeeping.

mod layout;
mod readpst;
mod round_trip;
mod samples;
