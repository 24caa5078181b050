//! The nodes that every file has, whatever is in it ([MS-PST] 2.7.1).

use crate::btree::NodeEntry;
use crate::context::{Properties, Subnodes, write_table};
use crate::error::Result;
use crate::file::{BlockId, NodeFile};
use crate::format::checksum;
use crate::node::write_subnodes;
use crate::property::{PropertyValue, TextEncoder};
use crate::tables::{TableKind, columns};
use crate::writer::{FolderId, WriterOptions};

/// The message store.
const MESSAGE_STORE: u32 = 0x21;
/// The map from names to property ids.
pub(crate) const NAME_MAP: u32 = 0x61;
/// The folder that all others are in.
pub(crate) const ROOT_FOLDER: u32 = 0x122;
/// The folder that a person sees as the top.
pub(crate) const IPM_SUBTREE: u32 = 0x8022;
/// The folder that search folders are in.
pub(crate) const SEARCH_ROOT: u32 = 0x8042;
/// The waste basket.
pub(crate) const DELETED_ITEMS: u32 = 0x8062;
/// The index of the next folder.
pub(crate) const FIRST_FOLDER_INDEX: u32 = 0x404;

/// The properties that a new folder or search folder starts from.
const FOLDER_TEMPLATES: [u32; 2] = [0xA1, 0xC1];
/// Queues and lists of the search machinery; empty in a file that nobody has searched.
const EMPTY_NODES: [u32; 8] = [0x1E1, 0x201, 0x241, 0x261, 0x281, 0x2E1, 0x301, 0x321];
/// The empty tables that new folders and messages start from.
pub(crate) const TABLE_TEMPLATES: [(u32, TableKind); 6] = [
    (0x60D, TableKind::Hierarchy),
    (0x60E, TableKind::Contents),
    (0x60F, TableKind::Associated),
    (0x610, TableKind::SearchContents),
    (0x671, TableKind::Attachments),
    (0x692, TableKind::Recipients),
];

/// What identifies this store in entry ids. It is fixed, so that the same calls write the same file.
const RECORD_KEY: [u8; 16] = *b"RejoinderPstFile";

/// Writes the message store, the templates and the empty nodes.
pub(crate) fn write_fixed_nodes(
    file: &mut NodeFile,
    options: &WriterOptions,
    sent_items: Option<FolderId>,
) -> Result<Vec<NodeEntry>> {
    let text = TextEncoder { format: file.format, code_page: options.code_page };
    let mut nodes = vec![write_object(file, MESSAGE_STORE, 0, &store_values(options, sent_items), text)?];
    for node in FOLDER_TEMPLATES {
        nodes.push(write_object(file, node, 0, &[(0x3001, PropertyValue::Text(String::new()))], text)?);
    }
    for (node, kind) in TABLE_TEMPLATES {
        let mut subnodes = Subnodes::default();
        let data = write_table(file, &mut subnodes, &columns(file.format, kind), &[])?;
        nodes.push(NodeEntry { node, data, subnodes: BlockId::default(), parent: 0 });
    }
    let empty = |node| NodeEntry { node, data: BlockId::default(), subnodes: BlockId::default(), parent: 0 };
    nodes.extend(EMPTY_NODES.map(empty));
    Ok(nodes)
}

/// Writes an object that is a property context and nothing else.
pub(crate) fn write_object(
    file: &mut NodeFile,
    node: u32,
    parent: u32,
    values: &[(u16, PropertyValue)],
    text: TextEncoder,
) -> Result<NodeEntry> {
    let mut properties = Properties::default();
    for (id, value) in values {
        properties.set(*id, value.stored(text)?);
    }
    let mut subnodes = Subnodes::default();
    let data = properties.write(file, &mut subnodes)?;
    let subnodes = write_subnodes(file, &mut subnodes.entries)?;
    Ok(NodeEntry { node, data, subnodes, parent })
}

fn store_values(options: &WriterOptions, sent_items: Option<FolderId>) -> Vec<(u16, PropertyValue)> {
    let entry = |node| PropertyValue::Binary(entry_id(node));
    // Which folders exist: 1 subtree, 8 waste basket, 0x80 search root, 0x10 sent items.
    let folders = 0x89 | if sent_items.is_some() { 0x10 } else { 0 };
    let password = options.password.as_deref().map_or(0, |password| checksum(password.as_bytes()));
    let mut values = vec![
        (0x0E34, PropertyValue::Binary(vec![0; 24])),
        (0x0FF9, PropertyValue::Binary(RECORD_KEY.to_vec())),
        (0x3001, PropertyValue::Text(options.display_name.clone())),
        (0x35DF, PropertyValue::Integer32(folders)),
        (0x35E0, entry(IPM_SUBTREE)),
        (0x35E3, entry(DELETED_ITEMS)),
        (0x35E7, entry(SEARCH_ROOT)),
        (0x67FF, PropertyValue::Integer32(password as i32)),
    ];
    values.extend(sent_items.map(|folder| (0x35E4, entry(folder.node()))));
    if let Some(owner) = &options.owner {
        values.extend([
            (0x661C, PropertyValue::Text(owner.name.clone())),
            (0x661B, PropertyValue::Binary(one_off_entry_id(&owner.name, &owner.address_type, &owner.address))),
        ]);
    }
    values
}

/// The id of a folder or message as other properties name it ([MS-PST] 2.4.3.2).
fn entry_id(node: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&RECORD_KEY);
    bytes.extend_from_slice(&node.to_le_bytes());
    bytes
}

/// The id of someone who is in no address book ([MS-OXCDATA] 2.2.5.1), in UTF-16.
fn one_off_entry_id(name: &str, address_type: &str, address: &str) -> Vec<u8> {
    const PROVIDER: [u8; 16] =
        [0x81, 0x2B, 0x1F, 0xA4, 0xBE, 0xA3, 0x10, 0x19, 0x9D, 0x6E, 0x00, 0xDD, 0x01, 0x0F, 0x54, 0x02];
    const UNICODE_NO_RICH_TEXT: u16 = 0x9001;
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&PROVIDER);
    bytes.extend_from_slice(&0_u16.to_le_bytes());
    bytes.extend_from_slice(&UNICODE_NO_RICH_TEXT.to_le_bytes());
    for part in [name, address_type, address] {
        bytes.extend(part.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    }
    bytes
}
