//! Files made to order, in every format and encoding, read back: each field, each kind of body, each kind of attachment.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::path::{Path, PathBuf};

use rejoinder_pst::{
    AttachmentMethod, BodySource, Encoding, ErrorKind, Folder, Format, Item, ItemKind, OpenOptions, ProblemKind,
    PropertyName, PropertyValue, PstFile, RecipientKind, Status, inspect, outlook_set,
};
use rejoinder_pst_writer as writer;
use rejoinder_pst_writer::{
    AttachmentContent, AttachmentSpec, FileTime, HtmlBody, MessageSpec, NodeId, Person, PropertyId, PstWriter,
    Recipient, RtfBody, WriterOptions,
};

const SENT: i64 = 1_700_000_000;

struct Sample {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

fn write(options: WriterOptions, fill: impl FnOnce(&mut PstWriter)) -> Sample {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sample.pst");
    let mut pst = PstWriter::create(&path, options).unwrap();
    fill(&mut pst);
    pst.finish().unwrap();
    Sample { _directory: directory, path }
}

fn full_message() -> MessageSpec {
    let inner = MessageSpec {
        subject: "Inner".into(),
        text: Some("inner text".into()),
        attachments: vec![AttachmentSpec::file("deep.txt", "text/plain", b"deep".to_vec())],
        ..MessageSpec::default()
    };
    let to = |kind, name: &str, address: &str| Recipient::new(kind, Person::smtp(name, address));
    MessageSpec {
        subject_prefix: "RE: ".into(),
        subject: "Rechnung 4711 für März".into(),
        sender: Some(Person::exchange("Anna Weber", "/o=FIRM/cn=WEBER", "anna@weber.example")),
        recipients: vec![
            to(writer::RecipientKind::To, "Accounts", "accounts@firm.example"),
            to(writer::RecipientKind::Cc, "Bernd", "bernd@firm.example"),
            to(writer::RecipientKind::Bcc, "Carla", "carla@firm.example"),
        ],
        submit_time: Some(FileTime::from_unix_seconds(SENT)),
        delivery_time: Some(FileTime::from_unix_seconds(SENT + 60)),
        transport_headers: Some("Subject: x\r\nX-Test: y\r\n".into()),
        message_id: Some("<a@b.example>".into()),
        in_reply_to: Some("<0@b.example>".into()),
        references: Some("<0@b.example> <1@b.example>".into()),
        conversation_index: Some(vec![1; 27]),
        conversation_topic: Some("Rechnung 4711 für März".into()),
        text: Some("Grüße\r\nAnna".into()),
        html: Some(HtmlBody { bytes: "<p>Grüße</p>".into(), code_page: 65001 }),
        attachments: vec![
            AttachmentSpec::file("klein.txt", "text/plain", b"small".to_vec()),
            // Larger than one block, and than one list of blocks (8176 / 8 blocks of 8176 bytes).
            AttachmentSpec::file("groß.bin", "application/octet-stream", large()),
            AttachmentSpec::message(inner),
            AttachmentSpec::new(AttachmentContent::Ole(b"storage".repeat(3000))),
            AttachmentSpec::new(AttachmentContent::ByReference("C:\\elsewhere.txt".into())),
            AttachmentSpec {
                content_id: Some("picture@x".into()),
                is_hidden: true,
                ..AttachmentSpec::file("bild.png", "image/png", vec![7; 9000])
            },
        ],
        ..MessageSpec::default()
    }
}

fn large() -> Vec<u8> {
    (0..9_000_000_u32).map(|value| (value.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn folder(file: &mut PstFile<std::fs::File>, name: &str) -> Folder {
    file.folders().into_iter().find(|folder| folder.name == name).unwrap()
}

fn items(file: &mut PstFile<std::fs::File>, name: &str) -> Vec<Item> {
    let folder = folder(file, name);
    file.items(&folder).map(|item| file.read_item(item.unwrap().node_id).unwrap()).collect()
}

fn only_item(path: &Path) -> (PstFile<std::fs::File>, Item) {
    let mut file = PstFile::open(path).unwrap();
    let mut items = items(&mut file, "Inbox");
    assert_eq!(items.len(), 1);
    (file, items.remove(0))
}

fn one(spec: &MessageSpec, options: WriterOptions) -> Sample {
    write(options, |pst| {
        let inbox = pst.folder(pst.top(), "Inbox").unwrap();
        pst.message(inbox, spec).unwrap();
    })
}

#[test]
fn every_format_and_encoding_gives_back_what_was_written() {
    for format in [writer::Format::Unicode, writer::Format::Ansi, writer::Format::Ansi14] {
        for encoding in [writer::Encoding::None, writer::Encoding::Permute, writer::Encoding::Cyclic] {
            let sample = one(&full_message(), WriterOptions { format, encoding, ..WriterOptions::default() });
            let (mut file, item) = only_item(&sample.path);
            let expected = if format == writer::Format::Unicode { Format::Unicode } else { Format::Ansi };
            assert_eq!(file.format(), expected);
            let expected = match encoding {
                writer::Encoding::None => Encoding::None,
                writer::Encoding::Permute => Encoding::Permute,
                writer::Encoding::Cyclic => Encoding::Cyclic,
            };
            assert_eq!(file.encoding(), expected);
            assert!(!file.is_ost());
            check_fields(&item);
            check_attachments(&mut file, &item);
            assert_eq!(file.problems(), []);
            let found = inspect(&sample.path, OpenOptions::default());
            assert_eq!((found.status, found.items.total(), found.attachments, found.embedded), (Status::Read, 1, 7, 1));
        }
    }
}

fn check_fields(item: &Item) {
    assert_eq!(item.kind, ItemKind::Message);
    assert_eq!(item.subject, "RE: Rechnung 4711 für März");
    assert_eq!(item.subject_prefix.as_deref(), Some("RE: "));
    assert_eq!(item.sender.name, "Anna Weber");
    assert_eq!(item.sender.email.as_deref(), Some("anna@weber.example"));
    assert_eq!(item.sender.raw_address.as_deref(), Some("/o=FIRM/cn=WEBER"));
    let recipients: Vec<_> =
        item.recipients.iter().map(|recipient| (recipient.kind, recipient.party.email.as_deref().unwrap())).collect();
    assert_eq!(
        recipients,
        [
            (RecipientKind::To, "accounts@firm.example"),
            (RecipientKind::Cc, "bernd@firm.example"),
            (RecipientKind::Bcc, "carla@firm.example")
        ]
    );
    assert_eq!(item.client_submit_time, Some(SENT * 1_000_000));
    assert_eq!(item.delivery_time, Some((SENT + 60) * 1_000_000));
    assert_eq!(item.internet_headers.as_deref(), Some("Subject: x\r\nX-Test: y\r\n"));
    assert_eq!(item.message_id.as_deref(), Some("<a@b.example>"));
    assert_eq!(item.in_reply_to.as_deref(), Some("<0@b.example>"));
    assert_eq!(item.references.as_deref(), Some("<0@b.example> <1@b.example>"));
    assert_eq!(item.conversation_index, Some(vec![1; 27]));
    assert_eq!(item.conversation_topic.as_deref(), Some("Rechnung 4711 für März"));
    assert_eq!(item.bodies.text.as_deref(), Some("Grüße\r\nAnna"));
    assert_eq!(item.bodies.html.as_deref(), Some("<p>Grüße</p>"));
    assert_eq!(item.problems, []);
}

fn check_attachments(file: &mut PstFile<std::fs::File>, item: &Item) {
    let methods: Vec<_> = item.attachments.iter().map(|attachment| attachment.method).collect();
    let (value, embedded) = (AttachmentMethod::ByValue, AttachmentMethod::EmbeddedMessage);
    assert_eq!(methods, [value, value, embedded, AttachmentMethod::Ole, AttachmentMethod::ByReference, value]);
    let names: Vec<_> = item.attachments.iter().map(|attachment| attachment.filename.as_deref()).collect();
    assert_eq!(names[..2], [Some("klein.txt"), Some("groß.bin")]);
    assert_eq!(item.attachments[0].mime_type.as_deref(), Some("text/plain"));
    assert_eq!(item.attachments[5].content_id.as_deref(), Some("picture@x"));
    assert!(item.attachments[5].hidden && !item.attachments[0].hidden);
    for (index, expected) in [(0, b"small".to_vec()), (1, large()), (3, b"storage".repeat(3000)), (5, vec![7; 9000])] {
        let attachment = &item.attachments[index];
        assert_eq!(attachment.bytes, expected.len() as u64);
        let mut bytes = Vec::new();
        let copied = file.copy_attachment(item, attachment, &mut bytes).unwrap();
        assert_eq!((copied.bytes, copied.problems), (expected.len() as u64, Vec::new()));
        assert!(bytes == expected, "attachment {index}");
    }
    let missing = file.copy_attachment(item, &item.attachments[4], &mut std::io::sink()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let inner = file.read_embedded(item, &item.attachments[2]).unwrap();
    assert_eq!((inner.subject.as_str(), inner.bodies.text.as_deref()), ("Inner", Some("inner text")));
    assert_eq!(inner.address.attachments, [item.attachments[2].node_id]);
    let mut bytes = Vec::new();
    file.copy_attachment(&inner, &inner.attachments[0], &mut bytes).unwrap();
    assert_eq!(bytes, b"deep");
}

#[test]
fn eight_bit_text_is_decoded_by_the_items_code_page() {
    let spec = MessageSpec {
        subject: "Привет".into(),
        text: Some("Счёт".into()),
        code_page: Some(1251),
        ..MessageSpec::default()
    };
    let sample = one(&spec, WriterOptions { format: writer::Format::Ansi, ..WriterOptions::default() });
    let (_, item) = only_item(&sample.path);
    assert_eq!((item.subject.as_str(), item.bodies.text.as_deref()), ("Привет", Some("Счёт")));
    assert_eq!(item.bodies.code_page, 1251);
}

#[test]
fn bodies_come_out_of_rtf_where_there_is_nothing_else() {
    let html = b"{\\rtf1\\ansi\\ansicpg1252\\fromhtml1 {\\*\\htmltag64 <p>}\\htmlrtf {\\htmlrtf0 Gr\\'fc\\'dfe{\\*\\htmltag72 </p>}}}";
    let text = b"{\\rtf1\\ansi\\ansicpg1252 Gr\\'fc\\'dfe\\par Anna}";
    for (rtf, expected) in [
        (RtfBody::Compressed(html.to_vec()), (None, Some("<p>Grüße</p>"))),
        (RtfBody::Plain(html.to_vec()), (None, Some("<p>Grüße</p>"))),
        (RtfBody::Compressed(text.to_vec()), (Some("Grüße\nAnna"), None)),
        (RtfBody::Plain(text.to_vec()), (Some("Grüße\nAnna"), None)),
    ] {
        let sample = one(&MessageSpec { rtf: Some(rtf), ..MessageSpec::default() }, WriterOptions::default());
        let (_, item) = only_item(&sample.path);
        assert_eq!((item.bodies.text.as_deref(), item.bodies.html.as_deref()), expected);
        let source = item.bodies.text_source.or(item.bodies.html_source);
        assert_eq!(source, Some(BodySource::Rtf));
        assert_eq!(item.problems, []);
    }
}

#[test]
fn damaged_rtf_costs_the_rtf_alone() {
    let rtf = RtfBody::Raw(b"\x10\0\0\0\x10\0\0\0ABCD\0\0\0\0".to_vec());
    let spec = MessageSpec { subject: "Kept".into(), rtf: Some(rtf), ..MessageSpec::default() };
    let sample = one(&spec, WriterOptions::default());
    let (_, item) = only_item(&sample.path);
    assert_eq!(item.subject, "Kept");
    assert_eq!(item.problems.len(), 1);
    assert!(item.problems[0].place.contains("property 0x1009"), "{}", item.problems[0]);
}

#[test]
fn other_kinds_of_items_say_what_is_theirs() {
    let numbered = |set, number| PropertyId::Numbered { set, number };
    let item =
        |class: &str, properties| MessageSpec { message_class: class.into(), properties, ..MessageSpec::default() };
    let time = |seconds| writer::PropertyValue::Time(FileTime::from_unix_seconds(seconds));
    let text = |text: &str| writer::PropertyValue::Text(text.into());
    let sample = write(WriterOptions::default(), |pst| {
        let folder = pst.folder(pst.top(), "Inbox").unwrap();
        let appointment = vec![
            (numbered(writer::PSETID_APPOINTMENT, 0x820d), time(SENT)),
            (numbered(writer::PSETID_APPOINTMENT, 0x820e), time(SENT + 3600)),
            (numbered(writer::PSETID_APPOINTMENT, 0x8208), text("Room 1")),
        ];
        let contact = vec![
            (PropertyId::Tag(0x3001), text("Anna Weber")),
            (numbered(writer::PSETID_ADDRESS, 0x8083), text("anna@weber.example")),
        ];
        let task = vec![(numbered(writer::PSETID_TASK, 0x811c), writer::PropertyValue::Boolean(true))];
        for spec in [
            item("IPM.Appointment", appointment),
            item("IPM.Contact", contact),
            item("IPM.Task", task),
            item("IPM.StickyNote", vec![]),
            item("IPM.Activity", vec![]),
            item("IPM.Unheard.Of", vec![]),
        ] {
            pst.message(folder, &spec).unwrap();
        }
        pst.associated_message(folder, &MessageSpec::default()).unwrap();
    });
    let mut file = PstFile::open(&sample.path).unwrap();
    assert_eq!(folder(&mut file, "Inbox").associated_count, 1);
    let items = items(&mut file, "Inbox");
    let appointment = items[0].appointment.clone().unwrap();
    assert_eq!(appointment.start, Some(SENT * 1_000_000));
    assert_eq!(appointment.end, Some((SENT + 3600) * 1_000_000));
    assert_eq!(appointment.location.as_deref(), Some("Room 1"));
    let contact = items[1].contact.clone().unwrap();
    assert_eq!(
        (contact.display_name.as_deref(), contact.emails),
        (Some("Anna Weber"), vec!["anna@weber.example".to_owned()])
    );
    assert!(items[2].task.clone().unwrap().complete);
    let found = inspect(&sample.path, OpenOptions::default());
    for kind in ItemKind::ALL {
        assert_eq!(found.items.of(kind), u64::from(kind != ItemKind::Message), "{}", kind.as_str());
    }
    assert_eq!(found.associated, 1);
}

#[test]
fn every_property_can_be_read_as_it_stands() {
    let set = outlook_set(0x0006_2008);
    let properties = vec![
        (PropertyId::Tag(0x6001), writer::PropertyValue::Integers32(vec![1, -2])),
        (PropertyId::Tag(0x6002), writer::PropertyValue::Texts(vec!["a".into(), "ß".into()])),
        (PropertyId::Tag(0x6003), writer::PropertyValue::Floating64(1.5)),
        (PropertyId::Tag(0x6004), writer::PropertyValue::Binaries(vec![vec![1], vec![], vec![2, 3]])),
        (PropertyId::Named { set, name: "Own".into() }, writer::PropertyValue::Text("named".into())),
    ];
    let sample = one(&MessageSpec { properties, ..MessageSpec::default() }, WriterOptions::default());
    let (mut file, item) = only_item(&sample.path);
    let all = file.properties(item.node_id()).unwrap();
    assert_eq!(all, file.item_properties(&item).unwrap());
    let value = |id| all.iter().find(|property| property.id == id).map(|property| property.value.clone().unwrap());
    let multiple = |values| Some(PropertyValue::Multiple(values));
    assert_eq!(value(0x6001), multiple(vec![PropertyValue::Integer32(1), PropertyValue::Integer32(-2)]));
    assert_eq!(value(0x6002), multiple(vec![PropertyValue::Text("a".into()), PropertyValue::Text("ß".into())]));
    assert_eq!(value(0x6003), Some(PropertyValue::Floating64(1.5)));
    let binaries = [vec![1], vec![], vec![2, 3]].into_iter().map(PropertyValue::Binary).collect();
    assert_eq!(value(0x6004), multiple(binaries));
    let name = PropertyName::Text("Own".into());
    let id = file.property_id(set, &name).unwrap();
    assert_eq!(value(id), Some(PropertyValue::Text("named".into())));
    assert_eq!(all.iter().find(|property| property.id == id).unwrap().name, Some((set, name)));
}

#[test]
fn the_store_and_its_folders_say_whose_they_are() {
    let options = WriterOptions {
        display_name: "anna@weber.example".into(),
        owner: Some(Person::smtp("Anna Weber", "anna@weber.example")),
        password: Some("secret".into()),
        ..WriterOptions::default()
    };
    let sample = write(options, |pst| {
        let outer = pst.folder(pst.top(), "Projekte").unwrap();
        let inner = pst.folder_of_class(outer, "Ausgang", "IPF.Note").unwrap();
        pst.set_sent_items(inner).unwrap();
        pst.message(inner, &MessageSpec::default()).unwrap();
        pst.claim_count(inner, 5).unwrap();
    });
    let mut file = PstFile::open(&sample.path).unwrap();
    let store = file.store().clone();
    assert!(store.has_password, "and it opened without it");
    assert_eq!(
        (store.display_name.as_str(), store.owner_address.as_deref()),
        ("anna@weber.example", Some("anna@weber.example"))
    );
    let inner = folder(&mut file, "Ausgang");
    assert!(inner.is_sent_hint);
    assert_eq!(inner.path[1..], ["Projekte", "Ausgang"]);
    assert_eq!((inner.claimed_items, inner.container_class.as_deref()), (Some(5), Some("IPF.Note")));
    let found = inspect(&sample.path, OpenOptions::default());
    assert_eq!(found.status, Status::Salvaged);
    assert!(found.problems.iter().any(|problem| problem.kind == ProblemKind::CountMismatch));
}

#[test]
fn listing_can_be_resumed_and_holds_what_the_table_forgot() {
    let sample = write(WriterOptions::default(), |pst| {
        let inbox = pst.folder(pst.top(), "Inbox").unwrap();
        for number in 0..3000 {
            let subject = format!("Message {number}");
            pst.message(inbox, &MessageSpec { subject, ..MessageSpec::default() }).unwrap();
        }
        pst.unlisted_message(inbox, &MessageSpec { subject: "Forgotten".into(), ..MessageSpec::default() }).unwrap();
    });
    let mut file = PstFile::open(&sample.path).unwrap();
    let inbox = folder(&mut file, "Inbox");
    let items = file.items(&inbox);
    assert_eq!(items.total(), 3001);
    assert_eq!(items.problems().len(), 1);
    assert_eq!(items.problems()[0].kind, ProblemKind::Unlisted);
    let listed: Vec<_> = items.clone().filter_map(Result::ok).collect();
    assert_eq!(listed[17].message_class.as_deref(), Some("IPM.Note"));
    assert_eq!(file.read_item(listed[2999].node_id).unwrap().subject, "Message 2999");
    assert_eq!(file.read_item(listed[3000].node_id).unwrap().subject, "Forgotten");
    let resumed: Vec<_> = items.clone().starting_after(listed[1500].node_id).filter_map(Result::ok).collect();
    assert_eq!(resumed, listed[1501..]);
    assert_eq!(items.clone().starting_at(usize::MAX).count(), 0);
    assert_eq!(items.starting_at(2990).filter_map(Result::ok).count(), 11);
}

#[test]
fn embedding_stops_at_the_limit() {
    let mut message = MessageSpec { subject: "innermost".into(), ..MessageSpec::default() };
    for _ in 0..6 {
        message = MessageSpec { attachments: vec![AttachmentSpec::message(message)], ..MessageSpec::default() };
    }
    let sample = one(&message, WriterOptions::default());
    assert_eq!(inspect(&sample.path, OpenOptions::default()).embedded, 6);
    let options = OpenOptions { max_embedding_depth: 3, ..OpenOptions::default() };
    let found = inspect(&sample.path, options);
    assert_eq!(found.embedded, 3);
    assert!(found.problems.iter().any(|problem| problem.kind == ProblemKind::Limit));
}

#[test]
fn one_bad_block_costs_that_item_and_is_reported_with_its_place() {
    let mut places = Vec::new();
    let sample = write(WriterOptions::default(), |pst| {
        let inbox = pst.folder(pst.top(), "Inbox").unwrap();
        for number in 0..20 {
            let subject = format!("Message {number}");
            let node: NodeId = pst.message(inbox, &MessageSpec { subject, ..MessageSpec::default() }).unwrap();
            places.push((node, pst.place_of(node).unwrap()));
        }
    });
    let mut bytes = std::fs::read(&sample.path).unwrap();
    let (node, place) = places[7];
    // All of the block and its trailer: nothing plausible remains.
    let start = place.offset as usize;
    bytes[start..start + usize::from(place.size) + 16].fill(0xa5);
    std::fs::write(&sample.path, bytes).unwrap();
    let found = inspect(&sample.path, OpenOptions::default());
    assert_eq!((found.items.total(), found.status), (19, Status::Salvaged));
    assert!(
        found.problems.iter().any(|problem| problem.place.starts_with(&format!("item {:#x}", node.0))),
        "{found:?}"
    );
}

#[test]
fn a_flipped_bit_in_text_is_reported_and_read_past() {
    let text = "x".repeat(3000);
    let mut place = None;
    let sample = write(WriterOptions { encoding: writer::Encoding::None, ..WriterOptions::default() }, |pst| {
        let inbox = pst.folder(pst.top(), "Inbox").unwrap();
        let node = pst.message(inbox, &MessageSpec { subject: text.clone(), ..MessageSpec::default() }).unwrap();
        place = pst.place_of(node);
    });
    let mut bytes = std::fs::read(&sample.path).unwrap();
    let needle: Vec<u8> = b"x\0".repeat(100);
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    bytes[at + 50] = b'y';
    std::fs::write(&sample.path, bytes).unwrap();
    let (_, item) = only_item(&sample.path);
    assert_eq!(item.subject.len(), 3000);
    assert!(item.subject.contains('y'));
    assert!(item.problems.iter().any(|problem| problem.kind == ProblemKind::Checksum), "{:?} {place:?}", item.problems);
}

#[test]
fn a_damaged_contents_table_loses_no_message() {
    let sample = write(WriterOptions { encoding: writer::Encoding::None, ..WriterOptions::default() }, |pst| {
        let inbox = pst.folder(pst.top(), "Inbox").unwrap();
        for number in 0..40 {
            let subject = format!("Message {number}");
            pst.message(inbox, &MessageSpec { subject, ..MessageSpec::default() }).unwrap();
        }
    });
    let mut bytes = std::fs::read(&sample.path).unwrap();
    // Tables' heaps begin with their signature; make every one of them something else.
    let mut damaged = 0;
    for start in (0..bytes.len() - 12).step_by(64) {
        if bytes[start + 2..start + 4] == [0xec, 0x7c] {
            bytes[start + 2] = 0;
            damaged += 1;
        }
    }
    assert!(damaged >= 2);
    std::fs::write(&sample.path, bytes).unwrap();
    let found = inspect(&sample.path, OpenOptions::default());
    assert_eq!((found.items.total(), found.status), (40, Status::Salvaged));
}

#[test]
fn a_file_that_was_cut_off_says_so_and_gives_what_is_left() {
    let sample = write(WriterOptions::default(), |pst| {
        let inbox = pst.folder(pst.top(), "Inbox").unwrap();
        for number in 0..600 {
            let subject = format!("Message {number}");
            pst.message(inbox, &MessageSpec { subject, text: Some("x".repeat(3000)), ..MessageSpec::default() })
                .unwrap();
        }
    });
    let mut bytes = std::fs::read(&sample.path).unwrap();
    // The last leaf of the block B-tree is gone, the way to the others too.
    bytes.truncate(pages(&bytes, 0x80, false).pop().unwrap());
    std::fs::write(&sample.path, bytes).unwrap();
    let found = inspect(&sample.path, OpenOptions::default());
    assert!(
        found.problems.iter().any(|problem| problem.detail.contains("shorter than its header")),
        "{:?}",
        found.problems
    );
    println!("{} of 600 items, {} problems", found.items.total(), found.problems.len());
}

/// Offsets of the B-tree pages of a Unicode file: type byte, level.
fn pages(bytes: &[u8], page_type: u8, is_inner: bool) -> Vec<usize> {
    let is_page = |at: &usize| {
        bytes[at + 496..at + 498] == [page_type; 2] && (bytes[at + 491] > 0) == is_inner && bytes[at + 488] > 0
    };
    (512..bytes.len() - 511).step_by(512).filter(is_page).collect()
}

#[test]
fn lost_pages_of_the_b_trees_are_made_up_for() {
    let sample = write(WriterOptions::default(), |pst| {
        let inbox = pst.folder(pst.top(), "Inbox").unwrap();
        for number in 0..600 {
            let subject = format!("Message {number}");
            pst.message(inbox, &MessageSpec { subject, ..MessageSpec::default() }).unwrap();
        }
    });
    let whole = std::fs::read(&sample.path).unwrap();
    for page_type in [0x80, 0x81] {
        let inner = pages(&whole, page_type, true);
        assert!(inner.len() >= 2, "the tree has a root and pages between it and its leaves");
        for lost in inner {
            let mut bytes = whole.clone();
            bytes[lost..lost + 512].fill(0);
            std::fs::write(&sample.path, bytes).unwrap();
            let found = inspect(&sample.path, OpenOptions::default());
            assert_eq!(
                (found.items.total(), found.status),
                (600, Status::Salvaged),
                "page {page_type:#x} at {lost:#x}"
            );
        }
        // A leaf has no copy in a file that was written once: what it held is lost, and no more than that.
        let lost = pages(&whole, page_type, false)[8];
        let mut bytes = whole.clone();
        bytes[lost..lost + 512].fill(0);
        std::fs::write(&sample.path, bytes).unwrap();
        let found = inspect(&sample.path, OpenOptions::default());
        assert!(found.items.total() >= 580, "{} items", found.items.total());
        assert_eq!(found.status, Status::Salvaged);
    }
}
