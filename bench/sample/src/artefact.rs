//! Small files to attach: a PDF of a few lines and the firm's logo.

use std::fmt::Write as _;

/// A one-page PDF (1.4) that shows `lines`, which are ASCII.
pub(crate) fn pdf(lines: &[String]) -> Vec<u8> {
    let mut content = String::from("BT /F1 12 Tf 72 770 Td 18 TL\n");
    for line in lines {
        let escaped = line.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)");
        let _ = writeln!(content, "({escaped}) Tj T*");
    }
    content.push_str("ET\n");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{content}endstream", content.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut file = String::from("%PDF-1.4\n");
    let mut table = String::from("0000000000 65535 f \n");
    for (index, object) in objects.iter().enumerate() {
        let _ = writeln!(table, "{:010} 00000 n ", file.len());
        let _ = write!(file, "{} 0 obj\n{object}\nendobj\n", index + 1);
    }
    let count = objects.len() + 1;
    let start = file.len();
    let _ =
        write!(file, "xref\n0 {count}\n{table}trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n");
    file.into_bytes()
}

/// The logo: a PNG of 48 x 24 pixels with one bit each, two pillars and a bridge.
pub(crate) fn logo() -> Vec<u8> {
    const WIDTH: u32 = 48;
    const HEIGHT: u32 = 24;
    let mut rows = Vec::new();
    for y in 0..HEIGHT {
        // Each row begins with its filter, 0 for none.
        rows.push(0);
        for byte in 0..WIDTH / 8 {
            let bit = |place: u32| u8::from(!is_ink(byte * 8 + place, y)) << (7 - place);
            rows.push((0..8).map(bit).fold(0, |value, bit| value | bit));
        }
    }
    let mut header = Vec::new();
    header.extend(WIDTH.to_be_bytes());
    header.extend(HEIGHT.to_be_bytes());
    // One bit per pixel, greyscale, deflate, no filter method but the default, not interlaced.
    header.extend([1, 0, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    put_chunk(&mut png, *b"IHDR", &header);
    put_chunk(&mut png, *b"IDAT", &stored_zlib(&rows));
    put_chunk(&mut png, *b"IEND", &[]);
    png
}

fn is_ink(x: u32, y: u32) -> bool {
    let pillar = (6..12).contains(&x) || (36..42).contains(&x);
    let bridge = (10..14).contains(&y) && (6..42).contains(&x);
    (3..21).contains(&y) && (pillar || bridge)
}

/// zlib data (RFC 1950) of one block that is not compressed; `data` is below 64 KiB.
fn stored_zlib(data: &[u8]) -> Vec<u8> {
    let length = data.len() as u16;
    let mut stream = vec![0x78, 0x01, 0x01];
    stream.extend(length.to_le_bytes());
    stream.extend((!length).to_le_bytes());
    stream.extend_from_slice(data);
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in data {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    stream.extend((high << 16 | low).to_be_bytes());
    stream
}

fn put_chunk(png: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    png.extend((data.len() as u32).to_be_bytes());
    let start = png.len();
    png.extend(kind);
    png.extend_from_slice(data);
    let checksum = crc32fast::hash(png.get(start..).unwrap_or_default());
    png.extend(checksum.to_be_bytes());
}
