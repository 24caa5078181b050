//! The message store ([MS-PST] 2.4.3): what the file says of itself.

use std::io::{Read, Seek};

use crate::bytes::u32_at;
use crate::error::Result;
use crate::ltp::{PropertyContext, PropertyValue};
use crate::ndb::Database;
use crate::property_id as id;

const STORE_NODE: u32 = 0x21;

/// The store's properties that a reader of mail needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    /// Name shown in Outlook's folder list; in an OST usually the owner's address.
    pub display_name: String,
    /// Identifier of the store: the same in every copy of the file. Empty where there is none.
    pub record_key: Vec<u8>,
    /// The mailbox owner's name, where the file says.
    pub owner_name: Option<String>,
    /// The mailbox owner's address, where the file says (an OST's display name often is it).
    pub owner_address: Option<String>,
    /// Whether a password was set. It protects nothing: the content is not encrypted with it and opens without.
    pub has_password: bool,
    /// Node of the folder above the user's own folders.
    pub ipm_subtree: Option<u32>,
    /// Node of the folder that sent mail is put in.
    pub sent_mail_folder: Option<u32>,
    /// Node of the folder that deleted items are put in.
    pub deleted_items_folder: Option<u32>,
}

impl Store {
    pub(crate) fn load<R: Read + Seek>(database: &mut Database<R>) -> Result<Self> {
        // An OST has no password; its property holds -1.
        let is_ost = database.header.is_ost;
        let node = database.node(STORE_NODE)?;
        let context = PropertyContext::open(database, node)?;
        let mut value = |property| match context.get(database, property) {
            Ok(value) => value,
            Err(error) => {
                database.note_file_problem(crate::Problem::from(error).within("message store"));
                None
            }
        };
        let text = |value: Option<PropertyValue>| value.and_then(|value| value.as_text().map(str::to_owned));
        let folder = |value: Option<PropertyValue>| value.and_then(|value| entry_node(value.as_bytes()?));
        let display_name = text(value(id::DISPLAY_NAME)).unwrap_or_default();
        let owner_name = text(value(id::OWNER_NAME)).filter(|name| !name.is_empty());
        let looks_like_address = |name: &&str| name.contains('@') && !name.contains(char::is_whitespace);
        let owner_address =
            [Some(display_name.as_str()), owner_name.as_deref()].into_iter().flatten().find(looks_like_address);
        Ok(Self {
            owner_address: owner_address.map(str::to_owned),
            record_key: value(id::RECORD_KEY)
                .and_then(|value| value.as_bytes().map(<[u8]>::to_vec))
                .unwrap_or_default(),
            has_password: !is_ost
                && value(id::PASSWORD_CHECKSUM).and_then(|value| value.as_integer()).is_some_and(|sum| sum != 0),
            ipm_subtree: folder(value(id::IPM_SUBTREE)),
            sent_mail_folder: folder(value(id::IPM_SENT_MAIL)),
            deleted_items_folder: folder(value(id::IPM_DELETED_ITEMS)),
            display_name,
            owner_name,
        })
    }
}

/// The node in an entry identifier ([MS-PST] 2.4.3.2): four bytes of flags, the store's identifier, the node.
fn entry_node(entry: &[u8]) -> Option<u32> {
    u32_at(entry, 20).filter(|_| entry.len() == 24)
}
