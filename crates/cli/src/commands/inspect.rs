//! `rejoinder inspect`.

use std::path::Path;

use rejoinder::Inspection;

use super::Outcome;

pub(crate) fn run(file: &Path, as_json: bool) -> anyhow::Result<Outcome> {
    let inspections = rejoinder::inspect(file)?;
    for inspection in &inspections {
        if as_json {
            println!("{}", serde_json::to_string(inspection)?);
        } else {
            print(inspection);
        }
    }
    if inspections.iter().all(|inspection| inspection.status == "refused") {
        anyhow::bail!("{} holds no mailbox that can be read", file.display());
    }
    let clean = inspections.iter().all(|inspection| inspection.status == "read");
    Ok(if clean { Outcome::Complete } else { Outcome::WithSkips })
}

fn print(inspection: &Inspection) {
    println!(
        "{}: {}, {}",
        inspection.file,
        inspection.format.as_deref().unwrap_or("not a mailbox"),
        match inspection.status {
            "read" => "read whole",
            "salvaged" => "read with losses",
            status => status,
        }
    );
    for folder in &inspection.folder_list {
        let claim = match folder.claimed {
            Some(claimed) if claimed != folder.read => format!("  (claims {claimed})"),
            _ => String::new(),
        };
        let name = if folder.path.is_empty() { "/" } else { &folder.path };
        let associated =
            if folder.associated > 0 { format!("  and {} associated", folder.associated) } else { String::new() };
        println!("  {:>7}  {name}{claim}{associated}", folder.read);
    }
    let kinds: Vec<String> = inspection.items.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    println!(
        "  {}; {} attachments, {} of them messages",
        if kinds.is_empty() { "no items".to_owned() } else { kinds.join(", ") },
        inspection.attachments,
        inspection.embedded
    );
    for problem in &inspection.problems {
        println!("  {} at {}: {}", problem.kind, problem.place, problem.detail);
    }
}
