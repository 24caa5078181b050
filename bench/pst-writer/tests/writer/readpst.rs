//! Other people's tools read what this crate writes: `readpst` of libpst and `pffexport` of libyal. Where one of them is
//! not installed its test says so and checks nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::samples::{BIG_ATTACHMENT, ENCODINGS, FORMATS, noise, write};
use anyhow::Context;
use rejoinder_pst_writer::generate::{GenerateOptions, mailbox};
use rejoinder_pst_writer::{Encoding, Format};

/// Whether a tool is there; says so loudly when it is not.
fn is_installed(tool: &str) -> bool {
    let found = Command::new(tool).arg("-V").output().is_ok();
    if !found {
        eprintln!("SKIPPED: {tool} is not installed, so nothing was checked with it");
    }
    found
}

/// Runs a tool that must succeed and returns all that it said.
fn said_by(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?}: {said}");
    Ok(said)
}

fn text_of(path: impl AsRef<Path>) -> anyhow::Result<String> {
    let bytes = std::fs::read(&path).with_context(|| path.as_ref().display().to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes one file per format and encoding, with `many` messages in the folder of that name, and hands each to `check`
/// with an empty folder to work in.
fn for_every_kind_of_file(many: usize, check: impl Fn(&Path, &Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    for format in FORMATS {
        for encoding in ENCODINGS {
            let directory = tempfile::tempdir()?;
            let path = directory.path().join("all.pst");
            write(&path, format, encoding, many)?;
            check(&path, directory.path()).with_context(|| format!("{format:?} {encoding:?}"))?;
        }
    }
    Ok(())
}

/// So many messages that their rows fit neither into a heap nor into one block, and their index not into one level.
const MANY: usize = 500;
/// Enough messages for a folder where their number does not matter.
const FEW: usize = 5;

#[test]
fn readpst_finds_every_message_and_body() -> anyhow::Result<()> {
    if !is_installed("readpst") {
        return Ok(());
    }
    for_every_kind_of_file(MANY, |path, directory| {
        let said = said_by(Command::new("readpst").args(["-D", "-r", "-j", "0", "-o"]).arg(directory).arg(path))?;
        // What is skipped is the associated message, which holds settings.
        for line in [
            format!("\"Many\" - {MANY} items done, 0 items skipped"),
            "\"Inbox\" - 3 items done, 1 items skipped".into(),
            "\"Calendar\" - 1 items done, 0 items skipped".into(),
        ] {
            assert!(said.contains(&line), "no {line:?} in {said}");
        }
        let top = directory.join("Mailbox");
        let inbox = text_of(top.join("Inbox/mbox"))?;
        for expected in [
            "Subject: Four attachments",
            "The inner message",
            "inner body",
            "filename=\"small.txt\"",
            "filename=\"a rather long name.bin\"",
            "filename=\"inner.bin\"",
            "Message-Id: <one@gross.example>",
            "juergen@gross.example",
        ] {
            assert!(inbox.contains(expected), "no {expected}");
        }
        let many = text_of(top.join("Inbox/Many/mbox"))?;
        for number in 0..MANY {
            assert!(many.contains(&format!("Number {number:04}\n")), "no subject {number}");
            assert!(many.contains(&format!("Body of Number {number:04}")), "no body {number}");
        }
        let calendar = text_of(top.join("Calendar/calendar"))?;
        assert!(calendar.contains("SUMMARY:Year-end meeting") && calendar.contains("LOCATION:Room 4"), "{calendar}");
        Ok(())
    })
}

#[test]
fn readpst_finds_the_bytes_of_attachments() -> anyhow::Result<()> {
    if !is_installed("readpst") {
        return Ok(());
    }
    for_every_kind_of_file(FEW, |path, directory| {
        said_by(Command::new("readpst").args(["-D", "-S", "-j", "0", "-o"]).arg(directory).arg(path))?;
        let inbox = directory.join("Mailbox/Inbox");
        let files: Vec<PathBuf> = std::fs::read_dir(&inbox)?.flatten().map(|entry| entry.path()).collect();
        let holds = |bytes: &[u8]| files.iter().any(|path| std::fs::read(path).is_ok_and(|found| found == bytes));
        assert!(holds(b"a few bytes"), "{files:?}");
        assert!(holds(&noise(BIG_ATTACHMENT)), "{files:?}");
        Ok(())
    })
}

#[test]
fn pffexport_finds_recipients_attachments_and_the_embedded_message() -> anyhow::Result<()> {
    if !is_installed("pffexport") {
        return Ok(());
    }
    for_every_kind_of_file(FEW, |path, directory| {
        said_by(Command::new("pffexport").args(["-q", "-t"]).arg(directory.join("all")).arg(path))?;
        let inbox = directory.join("all.export/Top of Personal Folders/Inbox");
        assert_eq!(std::fs::read_dir(inbox.join("Many"))?.count(), FEW);
        let recipients = text_of(inbox.join("Message00001/Recipients.txt"))?;
        for expected in ["Accounts", "accounts@firm.example", "Anna Weber", "/o=firm/cn=anna"] {
            assert!(recipients.contains(expected), "{recipients}");
        }
        let attachments = inbox.join("Message00002/Attachments");
        assert_eq!(std::fs::read(attachments.join("1_small.txt"))?, b"a few bytes");
        assert_eq!(std::fs::read(attachments.join("2_a rather long name.bin"))?, noise(BIG_ATTACHMENT));
        let inner = attachments.join("Attachment00003/Message00001");
        assert!(text_of(inner.join("OutlookHeaders.txt"))?.contains("RE: The inner message"));
        assert_eq!(std::fs::read(inner.join("Attachments/1_inner.bin"))?, noise(20_000));
        Ok(())
    })
}

#[test]
fn readpst_reads_a_generated_mailbox() -> anyhow::Result<()> {
    if !is_installed("readpst") {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("generated.pst");
    for (format, encoding) in [(Format::Unicode, Encoding::Permute), (Format::Ansi, Encoding::Cyclic)] {
        let options = GenerateOptions { bytes: 20 << 20, format, encoding, ..GenerateOptions::default() };
        let written = mailbox(&path, options)?;
        assert_eq!(written.bytes, std::fs::metadata(&path)?.len());
        let said = said_by(Command::new("readpst").args(["-D", "-r", "-o"]).arg(directory.path()).arg(&path))?;
        let mut found = 0;
        for line in said.lines().filter(|line| line.contains("items done")) {
            let number = line.split(" - ").nth(1).and_then(|rest| rest.split(' ').next());
            found += number.context("no number")?.parse::<u64>()?;
            assert!(line.contains(" 0 items skipped"), "{line}");
        }
        // Folders count as items of the folder that they are in.
        assert_eq!(found, written.messages + written.folders - 3, "{said}");
    }
    Ok(())
}
