//! Finds dates, amounts, accounts, addresses and numbers in text.
//!
//! Assistance uses it to find what a draft must not keep from an earlier case and to fill attributes; redaction to find
//! what must not leave the machine. Rules and checksums do it, no model: they are fast enough to run on every text, say
//! the same every time, and can be read.
//!
//! ```
//! use rejoinder_recognise::{FactKind, find_facts};
//!
//! let text = "Invoice INV-7 of 12.03.2024 over EUR 1,250.00";
//! let facts = find_facts(text, None);
//! let quotes: Vec<&str> = facts.iter().filter_map(|fact| fact.span.of(text)).collect();
//! assert_eq!(quotes, ["INV-7", "12.03.2024", "EUR 1,250.00"]);
//! assert_eq!(facts[0].kind, FactKind::Identifier);
//! ```
//!
//! Invariants: every recogniser takes time linear in the text; every span is exact (`span.of(text)` is the expression);
//! a card's number is found and never kept. The crate knows nothing of mail, tickets, schemas or redaction, and logs no
//! text.
//!
//! Modules in reading order: [`number`], [`amount`], [`date`], `digits`, [`bank`], [`identity`], [`contact`], `facts`
//! (what mail is asked for, all at once), `pattern`.

pub mod amount;
pub mod bank;
pub mod contact;
pub mod date;
mod digits;
mod facts;
pub mod identity;
pub mod number;
mod pattern;

pub use facts::{Fact, FactKind, find_facts, find_identifiers};
pub use pattern::constant_pattern;
