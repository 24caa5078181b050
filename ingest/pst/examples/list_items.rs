//! Lists every item of a mailbox file with its parts, without its text:
//! `cargo run -p rejoinder-pst --example list_items -- FILE`. With a node as second argument: that node's raw properties.

use std::path::Path;

use rejoinder_pst::{PstError, PstFile};

fn main() -> Result<(), PstError> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_default();
    let mut file = PstFile::open(Path::new(&path))?;
    if let Some(node) = arguments.next() {
        let node = u32::from_str_radix(node.trim_start_matches("0x"), 16).unwrap_or(0);
        for property in file.properties(node)? {
            println!("{:#06x} {:#06x} {:?} {:?}", property.id, property.kind, property.name, property.value);
        }
        return Ok(());
    }
    for folder in file.folders() {
        println!("{:?} ({:#x})", folder.path, folder.node_id);
        for listed in file.items(&folder) {
            match listed.map(|listed| file.read_item(listed.node_id)) {
                Ok(Ok(item)) => {
                    let characters = |text: &Option<String>| text.as_ref().map_or(0, |text| text.chars().count());
                    println!(
                        "  {} {:?} {}: text {} html {} rtf {} cp {} recipients {} sender {}",
                        item.address,
                        item.message_class,
                        item.kind.as_str(),
                        characters(&item.bodies.text),
                        characters(&item.bodies.html),
                        item.bodies.rtf.as_ref().map_or(0, Vec::len),
                        item.bodies.code_page,
                        item.recipients.len(),
                        item.sender.email.is_some(),
                    );
                    for attachment in &item.attachments {
                        println!("    {:#x} {:?} {} bytes", attachment.node_id, attachment.method, attachment.bytes);
                    }
                    for problem in &item.problems {
                        println!("    problem: {problem}");
                    }
                }
                Ok(Err(error)) => println!("  lost: {error}"),
                Err(problem) => println!("  problem: {problem}"),
            }
        }
    }
    Ok(())
}
