//! Messages, their recipients and their attachments as nodes ([MS-PST] 2.4.5 and 2.4.6).

use std::borrow::Cow;

use crate::context::{Properties, Row, Subnodes, write_table};
use crate::error::{Result, WriteError};
use crate::file::{BlockId, NodeFile};
use crate::names::NameMap;
use crate::node::{SubnodeEntry, write_data, write_subnodes};
use crate::property::{FileTime, OBJECT, PropertyId, PropertyValue, StoredValue, TextEncoder};
use crate::rtf::{compress_rtf, wrap_rtf};
use crate::spec::{AttachmentContent, AttachmentSpec, MessageSpec, Person, RecipientKind, RtfBody};
use crate::tables::{TableKind, columns, row_of};

/// The subnodes of a message that hold its recipients and its attachments.
const RECIPIENT_TABLE: u32 = 0x692;
const ATTACHMENT_TABLE: u32 = 0x671;
/// The types of subnodes ([MS-PST] 2.2.2.1).
const ATTACHMENT: u32 = 5;
const MESSAGE: u32 = 4;
/// The index that a message's first attachment gets.
const FIRST_ATTACHMENT: u32 = 0x401;
/// The subnode that holds the bytes of an OLE storage.
const OLE_DATA: u32 = 0x1_0000 << 5 | 0x1F;

/// `PidTagMessageFlags`
const FLAG_READ: i32 = 0x01;
const FLAG_HAS_ATTACHMENTS: i32 = 0x10;

/// What writing an item needs: the file, its names, and how its strings are stored.
pub(crate) struct ItemWriter<'a> {
    pub(crate) file: &'a mut NodeFile,
    pub(crate) names: &'a mut NameMap,
    pub(crate) code_page: u16,
    /// The index of the next message. Embedded messages share the counter, since some readers look for their node
    /// among those of the file first.
    pub(crate) next_message: &'a mut u32,
}

/// A written item: its blocks, and what its folder's table says of it.
pub(crate) struct WrittenItem {
    pub(crate) data: BlockId,
    pub(crate) subnodes: BlockId,
    pub(crate) row: Row,
    /// Bytes of its properties and attachments.
    pub(crate) size: u64,
}

/// A written subobject and its size in bytes.
struct WrittenPart {
    entry: SubnodeEntry,
    size: u64,
    row: Row,
}

impl ItemWriter<'_> {
    /// Writes a message with all that belongs to it. `row_id` is its node id, `table` the table that will list it.
    pub(crate) fn message(&mut self, spec: &MessageSpec, row_id: u32, table: TableKind) -> Result<WrittenItem> {
        let text = TextEncoder { format: self.file.format, code_page: spec.code_page.unwrap_or(self.code_page) };
        let mut subnodes = Subnodes::default();
        let mut size = 0;
        let mut attachment_rows = Vec::with_capacity(spec.attachments.len());
        for (number, attachment) in spec.attachments.iter().enumerate() {
            let part = self.attachment(attachment, number as u32, text)?;
            size += part.size;
            subnodes.entries.push(part.entry);
            attachment_rows.push(part.row);
        }
        if !attachment_rows.is_empty() {
            let entry = self.table(ATTACHMENT_TABLE, TableKind::Attachments, &attachment_rows)?;
            subnodes.entries.push(entry);
        }
        let recipient_rows = self.recipient_rows(spec, text)?;
        subnodes.entries.push(self.table(RECIPIENT_TABLE, TableKind::Recipients, &recipient_rows)?);

        let html = spec.html.as_ref().map(|html| PropertyValue::Binary(html.bytes.clone()));
        let mut values = message_values(spec, text)?;
        values.extend(html.map(|html| (0x1013, html)));
        let mut properties = self.properties(&values, &spec.properties, text)?;
        size += properties.size() as u64;
        let size_value = i32::try_from(size).unwrap_or(i32::MAX);
        set(&mut properties, 0x0E08, &PropertyValue::Integer32(size_value), text)?;
        let row = row_of(&properties, &columns(self.file.format, table), row_id);
        let data = properties.write(self.file, &mut subnodes)?;
        let subnodes = write_subnodes(self.file, &mut subnodes.entries)?;
        Ok(WrittenItem { data, subnodes, row, size })
    }

    /// Joins what is made from a specification's fields and what the caller adds, names mapped to ids.
    fn properties<'v>(
        &mut self,
        made: &'v [(u16, PropertyValue)],
        added: &'v [(PropertyId, PropertyValue)],
        text: TextEncoder,
    ) -> Result<Properties<'v>> {
        let mut properties = Properties::default();
        for (id, value) in made {
            properties.set(*id, value.stored(text)?);
        }
        for (id, value) in added {
            properties.set(self.names.id(id)?, value.stored(text)?);
        }
        Ok(properties)
    }

    fn table(&mut self, node: u32, kind: TableKind, rows: &[Row]) -> Result<SubnodeEntry> {
        let mut subnodes = Subnodes::default();
        let data = write_table(self.file, &mut subnodes, &columns(self.file.format, kind), rows)?;
        Ok(SubnodeEntry { node, data, subnodes: write_subnodes(self.file, &mut subnodes.entries)? })
    }

    fn recipient_rows(&mut self, spec: &MessageSpec, text: TextEncoder) -> Result<Vec<Row>> {
        let columns = columns(self.file.format, TableKind::Recipients);
        let mut rows = Vec::with_capacity(spec.recipients.len());
        for (number, recipient) in spec.recipients.iter().enumerate() {
            let person = &recipient.person;
            let mut values = vec![
                (0x0C15, PropertyValue::Integer32(recipient.kind as i32)),
                (0x0E0F, PropertyValue::Boolean(true)),
                (0x0FFE, PropertyValue::Integer32(6)),
                (0x3001, PropertyValue::Text(person.name.clone())),
                (0x3002, PropertyValue::Text(person.address_type.clone())),
                (0x3003, PropertyValue::Text(person.address.clone())),
                (0x300B, PropertyValue::Binary(search_key(person))),
                (0x3900, PropertyValue::Integer32(0)),
                (0x39FF, PropertyValue::Text(person.name.clone())),
                (0x3A40, PropertyValue::Boolean(false)),
            ];
            values.extend(smtp_of(person).map(|address| (0x39FE, PropertyValue::Text(address.into()))));
            let properties = self.properties(&values, &[], text)?;
            rows.push(row_of(&properties, &columns, number as u32));
        }
        Ok(rows)
    }

    fn attachment(&mut self, spec: &AttachmentSpec, number: u32, text: TextEncoder) -> Result<WrittenPart> {
        let node = (FIRST_ATTACHMENT + number) << 5 | ATTACHMENT;
        let mut subnodes = Subnodes::default();
        let mut values = attachment_values(spec, number);
        let mut size = 0;
        let mut object = None;
        let mut data = None;
        let method = match &spec.content {
            AttachmentContent::Empty => 0,
            AttachmentContent::ByValue(bytes) => {
                size = bytes.len() as u64;
                data = Some(StoredValue { kind: 0x0102, bytes: Cow::Borrowed(bytes.as_slice()) });
                1
            }
            AttachmentContent::ByReference(path) => {
                values.push((0x370D, PropertyValue::Text(path.clone())));
                4
            }
            AttachmentContent::Embedded(message) => {
                let node = *self.next_message << 5 | MESSAGE;
                *self.next_message += 1;
                let item = self.message(message, node, TableKind::Contents)?;
                size = item.size;
                subnodes.entries.push(SubnodeEntry { node, data: item.data, subnodes: item.subnodes });
                object = Some(node);
                5
            }
            AttachmentContent::Ole(bytes) => {
                size = bytes.len() as u64;
                let data = write_data(self.file, bytes)?;
                subnodes.entries.push(SubnodeEntry { node: OLE_DATA, data, subnodes: BlockId::default() });
                object = Some(OLE_DATA);
                6
            }
        };
        values.push((0x3705, PropertyValue::Integer32(method)));
        let mut properties = self.properties(&values, &spec.properties, text)?;
        if let Some(node) = object {
            // A `PtypObject` is the subnode's id and the object's size.
            let mut bytes = node.to_le_bytes().to_vec();
            bytes.extend_from_slice(&(size as u32).to_le_bytes());
            data = Some(StoredValue { kind: OBJECT, bytes: Cow::Owned(bytes) });
        }
        size += properties.size() as u64;
        if let Some(data) = data {
            properties.set(0x3701, data);
        }
        let size_value = PropertyValue::Integer32(i32::try_from(size).unwrap_or(i32::MAX));
        set(&mut properties, 0x0E20, &size_value, text)?;
        let row = row_of(&properties, &columns(self.file.format, TableKind::Attachments), node);
        let data = properties.write(self.file, &mut subnodes)?;
        let subnodes = write_subnodes(self.file, &mut subnodes.entries)?;
        Ok(WrittenPart { entry: SubnodeEntry { node, data, subnodes }, size, row })
    }
}

/// The subject as it is stored: before a prefix stand the character 1 and a character that is one more than the prefix is
/// long ([MS-PST] 2.5.3.1.1.1).
fn stored_subject(prefix: &str, subject: &str, text: TextEncoder) -> Result<String> {
    if prefix.is_empty() {
        return Ok(subject.to_owned());
    }
    let width = if text.format.is_unicode() { 2 } else { 1 };
    let length = text.encode(prefix)?.len() / width + 1;
    let mark = u8::try_from(length).ok().filter(u8::is_ascii).map(char::from);
    let mark = mark.ok_or(WriteError::TooLarge { what: "a subject's prefix", limit: 126 })?;
    Ok(format!("\u{1}{mark}{prefix}{subject}"))
}

/// Sets a property whose value this function's caller only lends for a moment.
fn set(properties: &mut Properties<'_>, id: u16, value: &PropertyValue, text: TextEncoder) -> Result<()> {
    let stored = value.stored(text)?;
    properties.set(id, StoredValue { kind: stored.kind, bytes: Cow::Owned(stored.bytes.into_owned()) });
    Ok(())
}

/// What the fields of a message make, apart from its HTML body.
fn message_values(spec: &MessageSpec, text: TextEncoder) -> Result<Vec<(u16, PropertyValue)>> {
    let mut values = Vec::with_capacity(40);
    if !spec.message_class.is_empty() {
        values.push((0x001A, PropertyValue::Text(spec.message_class.clone())));
    }
    let subject = stored_subject(&spec.subject_prefix, &spec.subject, text)?;
    let has_attachments = !spec.attachments.is_empty();
    let mut flags = if spec.is_read { FLAG_READ } else { 0 };
    flags |= if has_attachments { FLAG_HAS_ATTACHMENTS } else { 0 };
    let modified = spec.delivery_time.or(spec.submit_time).unwrap_or(FileTime::from_unix_seconds(0));
    values.extend([
        (0x0017, PropertyValue::Integer32(1)),
        (0x0036, PropertyValue::Integer32(0)),
        (0x0037, PropertyValue::Text(subject)),
        (0x0E07, PropertyValue::Integer32(flags)),
        (0x0E17, PropertyValue::Integer32(0)),
        (0x0E1B, PropertyValue::Boolean(has_attachments)),
        (0x3007, PropertyValue::Time(modified)),
        (0x3008, PropertyValue::Time(modified)),
    ]);
    for (id, kind) in [(0x0E04, RecipientKind::To), (0x0E03, RecipientKind::Cc), (0x0E02, RecipientKind::Bcc)] {
        let shown = spec.recipients.iter().filter(|recipient| recipient.kind == kind);
        let names: Vec<&str> = shown.map(|recipient| display_name(&recipient.person)).collect();
        values.push((id, PropertyValue::Text(names.join("; "))));
    }
    let times = [(0x0039, spec.submit_time), (0x0E06, spec.delivery_time)];
    values.extend(times.into_iter().filter_map(|(id, time)| Some((id, PropertyValue::Time(time?)))));
    let code_page = spec.code_page.or((!text.format.is_unicode()).then_some(text.code_page));
    let code_pages = [(0x3FFD, code_page), (0x3FDE, spec.html.as_ref().map(|html| html.code_page))];
    let code_pages = code_pages.into_iter().filter_map(|(id, page)| Some((id, PropertyValue::Integer32(page?.into()))));
    values.extend(code_pages);
    sender_values(spec, &mut values);
    let texts = [
        (0x0070, &spec.conversation_topic),
        (0x007D, &spec.transport_headers),
        (0x1000, &spec.text),
        (0x1035, &spec.message_id),
        (0x1039, &spec.references),
        (0x1042, &spec.in_reply_to),
    ];
    let texts = texts.into_iter().filter_map(|(id, value)| Some((id, PropertyValue::Text(value.clone()?))));
    values.extend(texts);
    values.extend(spec.conversation_index.clone().map(|index| (0x0071, PropertyValue::Binary(index))));
    if let Some(rtf) = &spec.rtf {
        let bytes = match rtf {
            RtfBody::Compressed(rtf) => compress_rtf(rtf),
            RtfBody::Plain(rtf) => wrap_rtf(rtf),
            RtfBody::Raw(bytes) => bytes.clone(),
        };
        values.extend([(0x1009, PropertyValue::Binary(bytes)), (0x0E1F, PropertyValue::Boolean(true))]);
    }
    Ok(values)
}

fn sender_values(spec: &MessageSpec, values: &mut Vec<(u16, PropertyValue)>) {
    let people = [
        (&spec.sender, [0x0C1A, 0x0C1E, 0x0C1F, 0x5D01, 0x0C1D]),
        (
            if spec.representing.is_some() { &spec.representing } else { &spec.sender },
            [0x0042, 0x0064, 0x0065, 0x5D02, 0x003B],
        ),
    ];
    for (person, [name, address_type, address, smtp, key]) in people {
        let Some(person) = person else { continue };
        values.extend([
            (name, PropertyValue::Text(person.name.clone())),
            (address_type, PropertyValue::Text(person.address_type.clone())),
            (address, PropertyValue::Text(person.address.clone())),
            (key, PropertyValue::Binary(search_key(person))),
        ]);
        values.extend(smtp_of(person).map(|address| (smtp, PropertyValue::Text(address.into()))));
    }
}

fn attachment_values(spec: &AttachmentSpec, number: u32) -> Vec<(u16, PropertyValue)> {
    let mut values = vec![
        (0x0E21, PropertyValue::Integer32(number as i32)),
        (0x370B, PropertyValue::Integer32(-1)),
        (0x7FFE, PropertyValue::Boolean(spec.is_hidden)),
    ];
    let name = &spec.file_name;
    if !name.is_empty() {
        values.extend([
            (0x3001, PropertyValue::Text(name.clone())),
            (0x3704, PropertyValue::Text(short_name(name))),
            (0x3707, PropertyValue::Text(name.clone())),
        ]);
        if let Some((_, extension)) = name.rsplit_once('.') {
            values.push((0x3703, PropertyValue::Text(format!(".{extension}"))));
        }
    }
    values.extend(spec.mime_type.clone().map(|kind| (0x370E, PropertyValue::Text(kind))));
    values.extend(spec.content_id.clone().map(|id| (0x3712, PropertyValue::Text(id))));
    values
}

/// The name in the form of eight characters, a dot and three.
fn short_name(name: &str) -> String {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let keep = |part: &str, length| -> String {
        part.chars().filter(char::is_ascii_alphanumeric).take(length).collect::<String>().to_ascii_uppercase()
    };
    let stem = if stem.len() <= 8 { keep(stem, 8) } else { keep(stem, 6) + "~1" };
    if extension.is_empty() { stem } else { format!("{stem}.{}", keep(extension, 3)) }
}

fn display_name(person: &Person) -> &str {
    if person.name.is_empty() { &person.address } else { &person.name }
}

/// The SMTP address as a property of its own, which only addresses of other types have.
fn smtp_of(person: &Person) -> Option<&str> {
    person.smtp_address.as_deref()
}

/// What Outlook compares people by: type and address in capitals, with a terminator.
fn search_key(person: &Person) -> Vec<u8> {
    format!("{}:{}\0", person.address_type, person.address).to_uppercase().into_bytes()
}
