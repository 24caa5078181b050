//! Encryption at rest: the text that ledger and store keep on the disk, sealed with envelope keys.
//!
//! Whoever gets hold of the disk, of a backup or of the folder of data reads no mail, as long as the master key is not with
//! it. A master key comes from the environment or a file ([`Keyring`]) and never touches the data. It wraps data keys, one
//! or more of every tenant, which are kept beside the data ([`KeyTable`]) and seal the texts ([`Vault`]). So the master key
//! changes without a text being written again, and when a tenant's data keys are deleted, what is left of its texts anywhere
//! is unreadable: in old versions of a store's files, in freed blocks of the disk, in copies that lack the keys. A backup that
//! was made with the keys still holds them.
//!
//! ```
//! use std::sync::Arc;
//!
//! use rejoinder_domain::TenantId;
//! use rejoinder_vault::{Keyring, MemoryKeys, Plain, Sealer, Vault};
//!
//! let keyring = Keyring::parse(&Keyring::generate("2026-11")?)?;
//! let vault: Arc<dyn Sealer> = Arc::new(Vault::new(keyring, Arc::new(MemoryKeys::default())));
//! let tenant = TenantId::new("acme-finance")?;
//!
//! let stored = vault.seal_text(&tenant, "note/17", "The pump leaks.")?.into_owned();
//! assert!(!stored.contains("pump"));
//! assert!(vault.open_text(&tenant, "note/18", stored.clone()).is_err(), "it belongs to another row");
//! assert!(Plain.open_text(&tenant, "note/17", stored.clone()).is_err(), "there is no key");
//! assert_eq!(vault.open_text(&tenant, "note/17", stored)?, "The pump leaks.");
//! assert_eq!(vault.open_text(&tenant, "note/17", "from before".into())?, "from before");
//!
//! let blinder = vault.blinder(&tenant)?;
//! assert_eq!(blinder.blind("pump"), blinder.blind("pump"));
//! assert_ne!(blinder.blind("pump"), "pump");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How a text is sealed
//!
//! By XAES-256-GCM with a random nonce of 192 bits: AES-256-GCM, whose key is derived for every text from the data key and the
//! first half of the nonce. AES-256-GCM alone takes 96 bits, and a data key that seals more than 2^32 texts would have to be
//! counted and replaced before two of them share a nonce. With 192 bits that bound is 2^80 texts, so nothing is counted. A
//! text is bound to its tenant and to the place it belongs to, so that whoever can write to the disk cannot exchange two of
//! them. He can put an unsealed text in its place, and can put back an older one of the same place: this protects what is
//! read, not what is run, against the disk.
//!
//! # What blind terms tell
//!
//! A full-text index over blind terms ([`Blinder`]) ranks as over the words. It also tells what any such index tells: how long
//! a text is, in how many texts and how often each term occurs, and which texts share terms. Somebody who knows a similar
//! body of mail can guess frequent words from that, and who can have a text of his own taken in learns the blind terms of its
//! words. The key that blinds is of one tenant alone; two tenants' terms do not compare.
//!
//! # What stays in clear
//!
//! Vectors of a store: a vector tells roughly what a passage is about, and models exist that write out much of a short
//! passage from its vector alone. Ids (hashes of content: somebody who has a message can tell whether it is held), times,
//! directions, counts, the shape of conversations, names of tenants. Where that is too much, put the folder of data on an
//! encrypted disk (LUKS, or the encrypted volumes of the cloud) as well: that covers every byte, and protects a disk that is
//! lost or given back, but not a backup of files and nothing from a process that can read the mounted disk. And nothing here
//! protects against somebody who can read the memory or the environment of the running process.
//!
//! # What it costs
//!
//! 52 bytes per text, or a third and 75 characters where it is kept as text, and some microseconds: `examples/cost.rs` measures
//! sealing, opening and blinding, the ledger's `examples/sealing_cost.rs` what becomes of that in a ledger.
//!
//! # Rotation
//!
//! * Master key: write the new one as a second line, then let every process read the ring again (restart, or
//!   [`Vault::use_keyring`]); move it to the first line and do that again; [`Vault::rewrap`]; when [`Vault::status`] shows that
//!   the old one wraps nothing, take it out. Backups from before need the old one.
//! * Data key: [`Vault::rotate`] gives a tenant a new one for new texts. Texts that were sealed before keep theirs.
//! * The key that blinds terms stays, or the index would have to be built again: erase the tenant and take its mail in anew.
//!
//! Invariants: a data key is durable before a text is sealed with it; keys are overwritten in memory when they are dropped;
//! no error, and no `Debug`, holds a key or a text; nothing is read or written but a file of master keys.
//!
//! Modules in reading order: `sealer` (the seam), `config` and `keyring` (master keys), `table` (where data keys are kept), `vault`, `blind`,
//! `envelope` (how a sealed text lies in a column), `cipher`, `error`.

mod blind;
mod cipher;
mod config;
mod envelope;
mod error;
mod keyring;
mod sealer;
mod table;
mod vault;

pub use blind::Blinder;
pub use config::VaultConfig;
pub use error::VaultError;
pub use keyring::Keyring;
pub use sealer::{Plain, Sealer};
pub use table::{KeyId, KeyPurpose, KeyTable, MemoryKeys, WrappedKey};
pub use vault::{Rewrapped, TenantStatus, Vault, VaultStatus};
