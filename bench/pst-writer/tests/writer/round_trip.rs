//! What this crate writes, our own reader reads back: everything that a specification can hold, in every format and
//! encoding.

use std::path::Path;

use crate::samples::{BIG_ATTACHMENT, ENCODINGS, FORMATS, noise};
use anyhow::{Context, Result, ensure};
use rejoinder_pst::{
    AttachmentInfo, AttachmentMethod, Folder, Item, OpenOptions, PropertyName, PropertyValue as Read, PstFile,
    RecipientKind as ReadKind,
};
use rejoinder_pst_writer::{
    AttachmentContent, AttachmentSpec, Encoding, FileTime, Format, HtmlBody, MessageSpec, PS_PUBLIC_STRINGS,
    PSETID_COMMON, Person, PropertyId, PropertyValue, PstWriter, Recipient, RecipientKind, RtfBody, WriterOptions,
};

type File = PstFile<std::fs::File>;

/// Writes the same messages into a folder of a file of each kind and hands every file to `check`, with the items of the
/// folder as they were read.
fn read_back(messages: &[MessageSpec], check: impl Fn(Format, &mut File, &[Item]) -> Result<()>) -> Result<()> {
    for format in FORMATS {
        for encoding in ENCODINGS {
            let directory = tempfile::tempdir()?;
            let path = directory.path().join("file.pst");
            let mut writer = PstWriter::create(&path, WriterOptions { format, encoding, ..WriterOptions::default() })?;
            let folder = writer.folder(writer.top(), "Folder")?;
            for message in messages {
                writer.message(folder, message)?;
            }
            writer.finish()?;
            let mut file = PstFile::open(&path)?;
            let items = items_of(&mut file, "Folder")?;
            check(format, &mut file, &items).with_context(|| format!("{format:?} {encoding:?}"))?;
            ensure!(file.problems().is_empty(), "{format:?} {encoding:?}: {:?}", file.problems());
        }
    }
    Ok(())
}

fn folder_of(file: &mut File, name: &str) -> Result<Folder> {
    file.folders().into_iter().find(|folder| folder.name == name).with_context(|| format!("no folder {name}"))
}

fn items_of(file: &mut File, folder: &str) -> Result<Vec<Item>> {
    let folder = folder_of(file, folder)?;
    let mut items = Vec::new();
    for listed in file.items(&folder) {
        let listed = listed.map_err(|problem| anyhow::anyhow!("{problem:?}"))?;
        let item = file.read_item(listed.node_id)?;
        ensure!(item.problems.is_empty(), "{:?}", item.problems);
        items.push(item);
    }
    Ok(items)
}

fn bytes_of(file: &mut File, item: &Item, attachment: &AttachmentInfo) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let copied = file.copy_attachment(item, attachment, &mut bytes)?;
    ensure!(copied.problems.is_empty(), "{:?}", copied.problems);
    Ok(bytes)
}

/// Microseconds since 1970, in which the reader gives times.
fn micros(seconds: i64) -> i64 {
    seconds * 1_000_000
}

#[test]
fn a_letter_comes_back_whole() -> Result<()> {
    let mut letter = crate::samples::letter();
    letter.recipients.push(Recipient::new(RecipientKind::Bcc, Person::smtp("Bcc", "bcc@firm.example")));
    letter.representing = Some(Person::smtp("The Boss", "boss@gross.example"));
    letter.transport_headers = Some("Received: from somewhere\r\nSubject: x\r\n\r\n".into());
    letter.is_read = false;
    read_back(&[letter.clone()], |_, _, items| {
        let [item] = items else { anyhow::bail!("{} items", items.len()) };
        assert_eq!(item.message_class, "IPM.Note");
        assert_eq!(item.subject, "RE: Überweisung für Mai");
        assert_eq!(item.subject_prefix.as_deref(), Some("RE: "));
        assert_eq!(item.sender.name, "Jürgen Groß");
        assert_eq!(item.sender.email.as_deref(), Some("juergen@gross.example"));
        assert_eq!(item.sent_representing.email.as_deref(), Some("boss@gross.example"));
        let recipients: Vec<_> = item.recipients.iter().map(|recipient| recipient.party.email.as_deref()).collect();
        assert_eq!(recipients, [Some("accounts@firm.example"), Some("anna@firm.example"), Some("bcc@firm.example")]);
        let kinds: Vec<_> = item.recipients.iter().map(|recipient| recipient.kind).collect();
        assert_eq!(kinds, [ReadKind::To, ReadKind::Cc, ReadKind::Bcc]);
        assert_eq!(item.recipients[1].party.raw_address.as_deref(), Some("/o=firm/cn=anna"));
        assert_eq!(item.message_id, letter.message_id);
        assert_eq!(item.in_reply_to, letter.in_reply_to);
        assert_eq!(item.references, letter.references);
        assert_eq!(item.internet_headers, letter.transport_headers);
        assert_eq!(item.conversation_index, letter.conversation_index);
        assert_eq!(item.conversation_topic, letter.conversation_topic);
        assert_eq!(item.client_submit_time, Some(micros(1_700_000_000)));
        assert_eq!(item.delivery_time, Some(micros(1_700_000_060)));
        assert_eq!(item.flags, 0);
        assert_eq!(item.display_to.as_deref(), Some("Accounts"));
        assert_eq!(item.bodies.text, letter.text);
        assert_eq!(item.bodies.html.as_deref(), Some("<html><body><p>Die Überweisung</p></body></html>"));
        Ok(())
    })
}

#[test]
fn attachments_of_every_kind_come_back() -> Result<()> {
    read_back(&[crate::samples::with_attachments()], |_, file, items| {
        let [item] = items else { anyhow::bail!("{} items", items.len()) };
        assert_eq!(item.bodies.text.as_deref(), Some("long body ".repeat(2000).as_str()));
        let methods: Vec<_> = item.attachments.iter().map(|attachment| attachment.method).collect();
        assert_eq!(
            methods,
            [
                AttachmentMethod::ByValue,
                AttachmentMethod::ByValue,
                AttachmentMethod::EmbeddedMessage,
                AttachmentMethod::Ole,
                AttachmentMethod::ByReference,
            ]
        );
        let [small, big, embedded, ole, reference] = item.attachments.as_slice() else {
            anyhow::bail!("{} attachments", item.attachments.len())
        };
        assert_eq!(small.filename.as_deref(), Some("small.txt"));
        assert_eq!(small.mime_type.as_deref(), Some("text/plain"));
        assert_eq!(bytes_of(file, item, small)?, b"a few bytes");
        assert_eq!(big.short_filename.as_deref(), Some("ARATHE~1.BIN"));
        assert_eq!(bytes_of(file, item, big)?, noise(BIG_ATTACHMENT));
        assert_eq!(bytes_of(file, item, ole)?, noise(5000));
        assert_eq!(reference.pathname.as_deref(), Some("\\\\server\\share\\file.doc"));
        let inner = file.read_embedded(item, embedded)?;
        assert_eq!(inner.subject, "RE: The inner message");
        assert_eq!(inner.bodies.text.as_deref(), Some("inner body"));
        assert_eq!(inner.recipients.len(), 2);
        assert_eq!(bytes_of(file, &inner, &inner.attachments[0])?, noise(20_000));
        Ok(())
    })
}

#[test]
fn rtf_comes_back_compressed_or_not() -> Result<()> {
    let rtf = b"{\\rtf1\\ansi\\ansicpg1252\\deff0{\\fonttbl{\\f0 Arial;}}\\f0 Guten Tag\\par Guten Tag\\par}".to_vec();
    let with = |rtf| MessageSpec { rtf: Some(rtf), ..MessageSpec::default() };
    let messages = [with(RtfBody::Compressed(rtf.clone())), with(RtfBody::Plain(rtf.clone()))];
    read_back(&messages, |_, _, items| {
        assert_eq!(items.len(), 2);
        for item in items {
            assert_eq!(item.bodies.rtf.as_ref(), Some(&rtf));
            assert_eq!(item.bodies.text.as_deref().map(str::trim_end), Some("Guten Tag\nGuten Tag"));
        }
        Ok(())
    })
}

#[test]
fn eight_bit_text_and_html_follow_their_code_pages() -> Result<()> {
    let russian = "Счёт на оплату";
    let bytes = rejoinder_pst_writer::encode_in_code_page(russian, 1251)?;
    let message = MessageSpec {
        subject: russian.into(),
        text: Some(russian.into()),
        html: Some(HtmlBody { bytes: [b"<p>".as_slice(), &bytes, b"</p>"].concat(), code_page: 1251 }),
        code_page: Some(1251),
        // Replaces the topic in Unicode files too, where 8-bit text is rare but allowed.
        properties: vec![(PropertyId::Tag(0x0070), PropertyValue::Text8(bytes))],
        ..MessageSpec::default()
    };
    read_back(&[message], |_, _, items| {
        assert_eq!(items[0].subject, russian);
        assert_eq!(items[0].bodies.text.as_deref(), Some(russian));
        assert_eq!(items[0].bodies.html.as_deref(), Some(format!("<p>{russian}</p>").as_str()));
        assert_eq!(items[0].conversation_topic.as_deref(), Some(russian));
        Ok(())
    })
}

#[test]
fn properties_of_every_type_come_back() -> Result<()> {
    let texts = vec!["eins".to_owned(), String::new(), "drei".to_owned()];
    let long = "ein langer Text ".repeat(700);
    let cases: Vec<(PropertyValue, Read)> = vec![
        (PropertyValue::Integer16(-2), Read::Integer16(-2)),
        (PropertyValue::Integer32(-3), Read::Integer32(-3)),
        (PropertyValue::Integer64(-4 << 40), Read::Integer64(-4 << 40)),
        (PropertyValue::Floating32(1.5), Read::Floating32(1.5)),
        (PropertyValue::Floating64(-2.25), Read::Floating64(-2.25)),
        (PropertyValue::Currency(12_500_000), Read::Currency(12_500_000)),
        (PropertyValue::FloatingTime(45_000.5), Read::FloatingTime(45_000.5)),
        (PropertyValue::ErrorCode(0x8004_010F), Read::Error(0x8004_010F)),
        (PropertyValue::Boolean(true), Read::Boolean(true)),
        (PropertyValue::Time(FileTime(7)), Read::Time(7)),
        (PropertyValue::Guid(PSETID_COMMON), Read::Guid(PSETID_COMMON)),
        (PropertyValue::Text(long.clone()), Read::Text(long)),
        (PropertyValue::Binary(noise(100)), Read::Binary(noise(100))),
        (PropertyValue::Binary(noise(50_000)), Read::Binary(noise(50_000))),
        (PropertyValue::Integers16(vec![1, -1]), Read::Multiple(vec![Read::Integer16(1), Read::Integer16(-1)])),
        (PropertyValue::Integers32(vec![2, -2]), Read::Multiple(vec![Read::Integer32(2), Read::Integer32(-2)])),
        (PropertyValue::Integers64(vec![3]), Read::Multiple(vec![Read::Integer64(3)])),
        (PropertyValue::Floatings64(vec![0.5]), Read::Multiple(vec![Read::Floating64(0.5)])),
        (PropertyValue::Times(vec![FileTime(9)]), Read::Multiple(vec![Read::Time(9)])),
        (PropertyValue::Guids(vec![[7; 16]]), Read::Multiple(vec![Read::Guid([7; 16])])),
        (PropertyValue::Texts(texts.clone()), Read::Multiple(texts.into_iter().map(Read::Text).collect())),
        (
            PropertyValue::Binaries(vec![noise(10), noise(5000)]),
            Read::Multiple(vec![Read::Binary(noise(10)), Read::Binary(noise(5000))]),
        ),
    ];
    let numbered = |number: usize| PropertyId::Numbered { set: [9; 16], number: 0x8100 + number as u32 };
    let named = |number: usize| PropertyId::Named { set: PS_PUBLIC_STRINGS, name: format!("name {number}") };
    let mut properties = Vec::new();
    for (number, (value, _)) in cases.iter().enumerate() {
        properties.push((numbered(number), value.clone()));
        properties.push((named(number), value.clone()));
    }
    read_back(&[MessageSpec { properties, ..MessageSpec::default() }], |_, file, items| {
        let read = file.item_properties(&items[0])?;
        for (number, (_, expected)) in cases.iter().enumerate() {
            for name in [
                ([9; 16], PropertyName::Number(0x8100 + number as u32)),
                (PS_PUBLIC_STRINGS, PropertyName::Text(format!("name {number}"))),
            ] {
                let found = read.iter().find(|property| property.name.as_ref() == Some(&name));
                let found = found.with_context(|| format!("no property {name:?}"))?;
                assert_eq!(found.value.as_ref().ok(), Some(expected), "{name:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn many_attachments_and_recipients_need_an_index_of_subnodes() -> Result<()> {
    let file = |number: usize| AttachmentSpec::file(&format!("{number}.txt"), "text/plain", vec![number as u8; 40]);
    let to = |number: usize| {
        Recipient::new(RecipientKind::To, Person::smtp(&format!("Person {number}"), &format!("p{number}@firm.example")))
    };
    let message = MessageSpec {
        attachments: (0..800).map(file).collect(),
        recipients: (0..900).map(to).collect(),
        ..MessageSpec::default()
    };
    read_back(&[message], |_, file, items| {
        assert_eq!(items[0].attachments.len(), 800);
        let last = &items[0].attachments[799];
        assert_eq!(last.filename.as_deref(), Some("799.txt"));
        assert_eq!(bytes_of(file, &items[0], last)?, vec![31; 40]);
        assert_eq!(items[0].recipients.len(), 900);
        assert_eq!(items[0].recipients[899].party.email.as_deref(), Some("p899@firm.example"));
        Ok(())
    })
}

#[test]
fn messages_in_messages_in_messages_come_back() -> Result<()> {
    const DEPTH: usize = 12;
    let mut message = MessageSpec { subject: "0".into(), ..MessageSpec::default() };
    for depth in 1..=DEPTH {
        let attachments = vec![AttachmentSpec::message(message)];
        message = MessageSpec { subject: depth.to_string(), attachments, ..MessageSpec::default() };
    }
    read_back(&[message], |_, file, items| {
        let mut item = items[0].clone();
        for depth in (0..DEPTH).rev() {
            item = file.read_embedded(&item, &item.attachments[0])?;
            assert_eq!(item.subject, depth.to_string());
        }
        Ok(())
    })
}

#[test]
fn an_attachment_of_two_levels_of_block_lists_comes_back_in_ansi_files() -> Result<()> {
    // A list holds 2,043 blocks of 8,180 bytes.
    let bytes = noise(17_000_000);
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("file.pst");
    let options = WriterOptions { format: Format::Ansi, encoding: Encoding::Cyclic, ..WriterOptions::default() };
    let mut writer = PstWriter::create(&path, options)?;
    let folder = writer.folder(writer.top(), "Folder")?;
    let attachments = vec![AttachmentSpec::new(AttachmentContent::ByValue(bytes.clone()))];
    writer.message(folder, &MessageSpec { attachments, ..MessageSpec::default() })?;
    writer.finish()?;
    let mut file = PstFile::open(&path)?;
    let items = items_of(&mut file, "Folder")?;
    assert!(bytes_of(&mut file, &items[0], &items[0].attachments[0])? == bytes);
    Ok(())
}

#[test]
fn folders_of_many_messages_keep_their_order() -> Result<()> {
    let messages: Vec<MessageSpec> =
        (0..3000).map(|number| MessageSpec { subject: number.to_string(), ..MessageSpec::default() }).collect();
    read_back(&messages, |_, _, items| {
        assert_eq!(items.len(), 3000);
        for (number, item) in items.iter().enumerate() {
            assert_eq!(item.subject, number.to_string());
        }
        Ok(())
    })
}

/// A file with the kinds of damage and oddity that this crate makes on demand.
fn write_oddities(path: &Path) -> Result<()> {
    let options = WriterOptions {
        display_name: "Odd".into(),
        owner: Some(Person::smtp("Owner", "owner@firm.example")),
        password: Some("secret".into()),
        ..WriterOptions::default()
    };
    let mut writer = PstWriter::create(path, options)?;
    let folder = writer.folder(writer.top(), "Folder")?;
    let subject = |subject: &str| MessageSpec { subject: subject.into(), ..MessageSpec::default() };
    writer.message(folder, &subject("listed"))?;
    writer.unlisted_message(folder, &subject("unlisted"))?;
    writer.associated_message(folder, &subject("associated"))?;
    writer.claim_count(folder, 77)?;
    writer.set_sent_items(folder)?;
    writer.finish()?;
    Ok(())
}

#[test]
fn oddities_are_as_ordered() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("odd.pst");
    write_oddities(&path)?;
    let mut file = PstFile::open(&path)?;
    let store = file.store().clone();
    assert_eq!(store.display_name, "Odd");
    assert_eq!(store.owner_name.as_deref(), Some("Owner"));
    assert!(store.has_password);
    let folder = folder_of(&mut file, "Folder")?;
    assert_eq!(folder.claimed_items, Some(77));
    assert_eq!(folder.associated_count, 1);
    assert!(folder.is_sent_hint);
    let (listed, problems): (Vec<_>, Vec<_>) = file.items(&folder).partition(Result::is_ok);
    assert_eq!(problems.len(), 1, "{problems:?}");
    let mut subjects = Vec::new();
    for item in listed.into_iter().flatten() {
        subjects.push(file.read_item(item.node_id)?.subject);
    }
    assert_eq!(subjects, ["listed", "unlisted"]);
    Ok(())
}

#[test]
fn a_damaged_block_is_where_place_of_says() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("damaged.pst");
    let mut writer = PstWriter::create(&path, WriterOptions::default())?;
    let folder = writer.folder(writer.top(), "Folder")?;
    let message = MessageSpec { subject: "to be damaged".into(), ..MessageSpec::default() };
    let node = writer.message(folder, &message)?;
    let place = writer.place_of(node).context("no place")?;
    writer.finish()?;
    let mut bytes = std::fs::read(&path)?;
    bytes[place.offset as usize + usize::from(place.size) / 2] ^= 0xFF;
    std::fs::write(&path, bytes)?;
    let mut file = PstFile::open_with(&path, OpenOptions::default())?;
    let is_reported = match file.read_item(node.0) {
        Ok(item) => !item.problems.is_empty(),
        Err(_) => true,
    };
    assert!(is_reported);
    Ok(())
}

#[test]
fn the_same_calls_write_the_same_bytes() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let write = |name: &str| -> Result<Vec<u8>> {
        let path = directory.path().join(name);
        crate::samples::write(&path, Format::Unicode, Encoding::Permute, 50)?;
        Ok(std::fs::read(path)?)
    };
    assert!(write("one.pst")? == write("two.pst")?);
    Ok(())
}
