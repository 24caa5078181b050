//! Mail that is made to hurt who reads it: bombs, nesting without end, lies about sizes, addresses of others.

use std::io::Write as _;

use anyhow::ensure;
use zip::write::SimpleFileOptions;

use super::Target;
use super::paths::until_ended;
use crate::call::Call;

/// Taken, known already, or refused.
const ANY: [u16; 6] = [200, 201, 400, 413, 415, 422];

pub(super) fn attack(target: &mut Target) -> anyhow::Result<()> {
    let bait = format!("http://{}/pixel.png", target.bait.local_addr()?);
    let bomb = bomb()?;
    let mut mails = vec![
        ("a zip bomb", with_attachment("bomb.zip", "application/zip", &bomb)),
        ("a zip bomb as a document", with_attachment("bomb.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", &bomb)),
        ("10,000 nested parts", nested(10_000)),
        ("5,000 nested messages", forwarded(5_000)),
        ("100,000 headers", format!("From: a@x.example\r\n{}\r\nx\r\n", "X-A: b\r\n".repeat(100_000)).into_bytes()),
        ("a header of 2 MB", format!("From: a@x.example\r\nSubject: {}\r\n\r\nx\r\n", "a".repeat(2 << 20)).into_bytes()),
        ("a line of 3 MB", format!("From: a@x.example\r\n\r\n{}\r\n", "a".repeat(3 << 20)).into_bytes()),
        ("deep quotes", format!("From: a@x.example\r\n\r\n{} x\r\n", ">".repeat(500_000)).into_bytes()),
        ("deep HTML", html(&format!("{}x", "<div>".repeat(300_000)))),
        ("HTML that fetches", html(&format!("<img src='{bait}'><link rel=stylesheet href='{bait}'><iframe src='{bait}'></iframe><script src='{bait}'></script>"))),
        ("HTML with entities", html(&"&lt;&#x10FFFF;&#0;&bogus;".repeat(50_000))),
        ("a body elsewhere", format!("From: a@x.example\r\nContent-Type: message/external-body; access-type=URL; URL=\"{bait}\"\r\n\r\nContent-Type: text/plain\r\n\r\n").into_bytes()),
        ("a file as a body", b"From: a@x.example\r\nContent-Type: message/external-body; access-type=local-file; name=\"/etc/passwd\"\r\n\r\nContent-Type: text/plain\r\n\r\n".to_vec()),
        ("no mail at all", vec![0xff; 100_000]),
        ("nothing but NUL", vec![0; 100_000]),
        ("recipients without end", format!("From: a@x.example\r\nTo: {}\r\n\r\nx\r\n", "a@b.example, ".repeat(50_000)).into_bytes()),
        ("references without end", format!("From: a@x.example\r\nReferences: {}\r\n\r\nx\r\n", "<a@b.example> ".repeat(50_000)).into_bytes()),
        ("an unknown charset", b"From: a@x.example\r\nContent-Type: text/plain; charset=../../etc/passwd\r\n\r\nx\r\n".to_vec()),
        ("a reply to itself", b"From: a@x.example\r\nMessage-ID: <loop@x>\r\nIn-Reply-To: <loop@x>\r\nReferences: <loop@x>\r\n\r\nx\r\n".to_vec()),
        ("a date in the year 400,000", b"From: a@x.example\r\nDate: Mon, 22 Jun 400000 08:41:00 +9999\r\n\r\nx\r\n".to_vec()),
    ];
    mails.push(("nothing", Vec::new()));
    for (name, mail) in &mails {
        target.refuse(name, Call::raw("/v1/messages?mailbox=crm", "message/rfc822", mail.clone()), &ANY);
    }
    for (name, mail) in mails {
        // The same by the other way in.
        upload(target, &format!("{name}, uploaded"), "hostile.eml", &mail)?;
    }
    uploads(target, &bomb)
}

fn uploads(target: &mut Target, bomb: &[u8]) -> anyhow::Result<()> {
    upload(target, "a zip bomb as a mailbox", "archive.mbox", bomb)?;
    upload(target, "a zip bomb as it is", "archive.zip", bomb)?;
    let mut pst = b"!BDN".to_vec();
    pst.resize(1 << 20, 0xff);
    upload(target, "a PST that lies", "archive.pst", &pst)?;
    let mut msg = vec![0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
    msg.resize(1 << 20, 0xff);
    upload(target, "an MSG that lies", "note.msg", &msg)?;
    upload(target, "an empty file", "empty.mbox", b"")?;
    upload(target, "an unknown kind", "virus.exe", b"MZ\x90\x00")?;
    let raw = |boundary: &'static str, body: &[u8]| Call::raw("/v1/ingest/jobs", boundary, body.to_vec());
    let refused = [400, 413, 415, 422];
    target.refuse("no boundary", raw("multipart/form-data", b"x"), &refused);
    target.refuse("another boundary", raw("multipart/form-data; boundary=a", b"--b\r\n\r\nx\r\n--b--\r\n"), &refused);
    target.refuse(
        "cut off",
        raw(
            "multipart/form-data; boundary=a",
            b"--a\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.mbox\"\r\n\r\nFrom a",
        ),
        &refused,
    );
    target.refuse("no part", raw("multipart/form-data; boundary=a", b"--a--\r\n"), &refused);
    target.refuse(
        "a part of another name",
        raw(
            "multipart/form-data; boundary=a",
            b"--a\r\ncontent-disposition: form-data; name=\"other\"; filename=\"a.mbox\"\r\n\r\nx\r\n--a--\r\n",
        ),
        &refused,
    );
    let mut heads = b"--a\r\n".to_vec();
    for _ in 0..20_000 {
        heads.extend_from_slice(b"x-header: 0123456789012345678901234567890123456789\r\n");
    }
    target.refuse("a part of nothing but headers", raw("multipart/form-data; boundary=a", &heads), &refused);
    let mut parts = Vec::new();
    for number in 0..3000 {
        parts.extend_from_slice(
            format!("--a\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{number}.exe\"\r\n\r\nx\r\n")
                .as_bytes(),
        );
    }
    parts.extend_from_slice(b"--a--\r\n");
    target.refuse("3,000 parts", raw("multipart/form-data; boundary=a", &parts), &[202, 400, 413, 415, 422]);
    Ok(())
}

/// Uploads, and lets the job end in whatever way it does.
fn upload(target: &mut Target, name: &str, filename: &str, content: &[u8]) -> anyhow::Result<()> {
    let answer = target.ask(Call::upload("/v1/ingest/jobs", filename, content))?;
    let mut result = until_ended(target, answer.status, answer.string("/id"));
    if result.is_ok() && !target.sidecar.lives() {
        result = Err(anyhow::anyhow!("the server is gone"));
    }
    target.note(name, result);
    ensure!(target.sidecar.lives(), "the server is gone after {name}");
    Ok(())
}

/// A gigabyte of zeros in a megabyte.
fn bomb() -> anyhow::Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("word/document.xml", SimpleFileOptions::default())?;
    let zeros = vec![0_u8; 1 << 20];
    for _ in 0..1024 {
        archive.write_all(&zeros)?;
    }
    Ok(archive.finish()?.into_inner())
}

fn with_attachment(name: &str, kind: &str, content: &[u8]) -> Vec<u8> {
    let lines: Vec<String> =
        base64(content).as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!(
        "From: a@x.example\r\nSubject: {name}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=p\r\n\r\n--p\r\nContent-Type: text/plain\r\n\r\nSee attached.\r\n--p\r\n\
         Content-Type: {kind}\r\nContent-Disposition: attachment; filename=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--p--\r\n",
        lines.join("\r\n")
    )
    .into_bytes()
}

fn html(body: &str) -> Vec<u8> {
    format!("From: a@x.example\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>{body}</body></html>\r\n")
        .into_bytes()
}

fn nested(levels: usize) -> Vec<u8> {
    let level = |level| format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n");
    let levels = (0..levels).map(level).collect::<Vec<_>>().concat();
    format!("From: a@x.example\r\n{levels}Content-Type: text/plain\r\n\r\nx\r\n").into_bytes()
}

fn forwarded(levels: usize) -> Vec<u8> {
    format!(
        "{}From: a@x.example\r\n\r\nx\r\n",
        "From: a@x.example\r\nContent-Type: message/rfc822\r\n\r\n".repeat(levels)
    )
    .into_bytes()
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| (word << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (word >> (18 - 6 * place)) & 63;
            let letter = LETTERS.get(index as usize).copied().unwrap_or(b'=');
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in pairs {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
