//! Shows how the text of messages divides: `cargo run -p rejoinder-mail --example divide -- MAILBOX [POSITION]`
//!
//! One letter before each line: N new, Q quoted, F forwarded, S signature, L legal.

use std::path::Path;

use rejoinder_domain::{Body, Message, SegmentKind};
use rejoinder_mail::{Limits, discover, open};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("name a mailbox, a text file or a page")?;
    let position: Option<u64> = arguments.next().map(|text| text.parse()).transpose()?;
    let discovery = discover(Path::new(&path))?;
    for found in &discovery.mailboxes {
        let mut source = open(found, &Limits::default())?;
        if let Some(position) = position {
            source.skip_to(position)?;
        }
        for item in source.take(if position.is_some() { 1 } else { usize::MAX }) {
            match item.outcome {
                Ok(message) => show(&message),
                Err(skipped) => println!("skipped {}: {}", skipped.place, skipped.reason),
            }
            for loss in item.losses {
                println!("lost {}: {}", loss.place, loss.reason);
            }
        }
    }
    if discovery.mailboxes.is_empty() {
        let mut text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
        if Path::new(&path).extension().is_some_and(|extension| extension == "html") {
            text = rejoinder_mail::html::to_text(&text);
        }
        print_lines(&text, &rejoinder_mail::clean::segments(&text));
    }
    Ok(())
}

fn show(message: &Message) {
    let Body { text, segments, source } = &message.body;
    println!(
        "=== {} | {:?} | {:?} | {source:?} | {:?}",
        message.subject, message.sent_at, message.direction, message.language
    );
    print_lines(text, segments);
    for attachment in &message.attachments {
        println!(
            "--- {} {} {} bytes {:?}",
            attachment.media_type, attachment.name, attachment.bytes, attachment.method
        );
    }
}

fn print_lines(text: &str, segments: &[rejoinder_domain::Segment]) {
    for segment in segments {
        let letter = match segment.kind {
            SegmentKind::New => 'N',
            SegmentKind::Quoted => 'Q',
            SegmentKind::Forwarded => 'F',
            SegmentKind::Signature => 'S',
            SegmentKind::Legal => 'L',
        };
        for line in segment.span.of(text).unwrap_or_default().lines() {
            println!("{letter} {line}");
        }
    }
}
