//! Mail from any of its formats to one [`Message`](rejoinder_domain::Message) type, its text divided, its threads found.
//!
//! ```
//! use rejoinder_domain::SegmentKind;
//! use rejoinder_mail::{Limits, parse_rfc5322, reply_text};
//!
//! let raw = b"From: Anna Weber <anna@weber.example>\r\nSubject: Re: Invoice 12\r\n\r\n\
//!             It was paid today.\r\n\r\nOn Fri, Mar 1, 2024 at 9:00 AM Tom <tom@firm.example> wrote:\r\n> When will you pay?\r\n";
//! let (message, losses) = parse_rfc5322(raw, &Limits::default()).map_err(|skipped| skipped.reason)?;
//! assert!(losses.is_empty());
//! assert_eq!(reply_text(&message), "It was paid today.");
//! assert!(message.body.text_of(SegmentKind::Quoted).contains("When will you pay?"));
//! # Ok::<(), String>(())
//! ```
//!
//! Whole mailboxes: [`discover()`] says which are under a path, [`open`] reads one item by item.
//!
//! Invariants: every item of a mailbox comes out, as a message or as a [`Skipped`](rejoinder_domain::Skipped) with its place
//! and reason; the segments of a body follow each other without gap or overlap and cover it; hostile input costs time and
//! memory in proportion to its size, up to [`Limits`]; nothing here panics. This crate knows nothing of stores, models or
//! tenants, and sets a message's direction only when it is told whose addresses are ours ([`direction`]).
//!
//! Modules in reading order: [`limits`], [`source`], [`discover`](mod@discover), `mbox`, `files` (Maildir, EML), `pst`;
//! [`rfc5322`] with `mime`, `header`, `date`, `transfer`, `charset`, `body`, [`html`], `calendar`, `flowed`, `inline_files`,
//! `structured` (a message in fields);
//! [`clean`], [`language`], [`direction`], [`subject`], [`thread`].

pub mod clean;
pub mod direction;
pub mod discover;
pub mod html;
pub mod language;
pub mod limits;
pub mod rfc5322;
pub mod source;
pub mod subject;
pub mod thread;

mod body;
mod calendar;
mod charset;
mod date;
mod files;
mod flowed;
mod header;
mod inline_files;
mod mbox;
mod mime;
mod pst;
mod structured;
mod transfer;

pub use clean::reply_text;
pub use discover::{Discovery, Found, discover};
pub use limits::Limits;
pub use rfc5322::parse_rfc5322;
pub use source::{Format, MailSource, MailboxInfo, SourceError, SourceItem, is_sent_folder, open};
pub use structured::{MessageFields, from_fields};
