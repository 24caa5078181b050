//! The thirty real files of the corpus, against what two independent readers found in each. Runs where `REJOINDER_CORPUS`
//! names the corpus folder; `README.md` explains every difference.

#![expect(clippy::expect_used, reason = "a test may fail by panicking")]

use std::path::{Path, PathBuf};

use rejoinder_pst::{Folder, OpenOptions, PstFile, Status, inspect, inspect_file};

/// The file whose header is half-written: its checksum differs and the block B-tree is not where it says.
const BROKEN_HEADER: &str = "aspose-net__AddingBulkMessagesWithImprovedPerformance.pst";

struct Truth {
    file: String,
    readpst_items: u64,
    items: u64,
    attachments: u64,
    embedded: u64,
}

fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("REJOINDER_CORPUS").map(|folder| Path::new(&folder).join("pst"));
    if folder.is_none() {
        eprintln!("skipped: REJOINDER_CORPUS is not set");
    }
    folder
}

fn truths(folder: &Path) -> Vec<Truth> {
    let text = std::fs::read_to_string(folder.join("truth.json")).expect("truth.json");
    let list: Vec<serde_json::Value> = serde_json::from_str(&text).expect("a list of files");
    let number = |entry: &serde_json::Value, key: &str| entry[key].as_str().expect(key).parse::<u64>().expect(key);
    let truth = |entry: &serde_json::Value| Truth {
        file: entry["file"].as_str().expect("file").to_owned(),
        readpst_items: number(entry, "readpst_items"),
        items: number(entry, "pffexport_items"),
        attachments: number(entry, "pffexport_attachments"),
        embedded: number(entry, "pffexport_embedded"),
    };
    list.iter().map(truth).collect()
}

/// `readpst` counts every folder below the user's top one as an item of the folder around it ("items done"), so that its
/// counts can only be compared with those folders taken off.
fn folders_as_items(path: &Path) -> u64 {
    let Ok(mut file) = PstFile::open(path) else { return 0 };
    let top = file.store().ipm_subtree;
    let folders = file.folders();
    // An OST does not name the node; its mailbox (the second such folder: the first is for public folders) has this name.
    let is_top = |folder: &&Folder| top.map_or(folder.name == "IPM_SUBTREE", |top| folder.node_id == top);
    let Some(top) = folders.iter().rfind(is_top) else { return 0 };
    let inside = |folder: &&Folder| folder.path.len() > top.path.len() && folder.path.starts_with(&top.path);
    folders.iter().filter(inside).count() as u64
}

#[test]
fn finds_no_less_than_the_better_of_two_other_readers() {
    let Some(folder) = corpus() else { return };
    let truths = truths(&folder);
    assert_eq!(truths.len(), 30);
    let mut failures = Vec::new();
    println!("| file | items | readpst | pffexport | attachments | pffexport | embedded | pffexport |");
    for truth in truths {
        let path = folder.join("files").join(&truth.file);
        let found = inspect(&path, OpenOptions::default());
        let items = found.items.total();
        let readpst = truth.readpst_items.saturating_sub(folders_as_items(&path));
        println!(
            "| {} | {items} | {} ({readpst} without folders) | {} | {} | {} | {} | {} |",
            truth.file,
            truth.readpst_items,
            truth.items,
            found.attachments,
            truth.attachments,
            found.embedded,
            truth.embedded
        );
        let is_complete = items >= truth.items
            && items >= readpst
            && found.attachments >= truth.attachments
            && found.embedded >= truth.embedded;
        let is_refused = found.status == Status::Refused;
        if !is_complete || is_refused != (truth.file == BROKEN_HEADER) {
            failures.push(format!("{}: {found:?}", truth.file));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn the_broken_header_is_refused_with_a_clear_error() {
    let Some(folder) = corpus() else { return };
    let found = inspect(&folder.join("files").join(BROKEN_HEADER), OpenOptions::default());
    assert_eq!(found.status, Status::Refused);
    let problem = found.problems[0].to_string();
    assert!(problem.starts_with("header") && problem.contains("checksum differs"), "{problem}");
}

#[test]
fn no_real_file_costs_more_work_than_a_few_times_its_size() {
    let Some(folder) = corpus() else { return };
    for truth in truths(&folder).into_iter().filter(|truth| truth.file != BROKEN_HEADER) {
        let path = folder.join("files").join(&truth.file);
        let mut file = PstFile::open(&path).expect("opens");
        inspect_file(&mut file);
        let (work, size) = (file.work_bytes(), file.file_bytes());
        assert!(work <= 8 * size, "{}: {work} bytes of work for {size} bytes", truth.file);
    }
}

/// Real structure, damaged where no checksum is asked: what a writer made for tests would not have thought of.
#[test]
fn damaged_real_files_end_without_a_panic() {
    let Some(folder) = corpus() else { return };
    let options = || OpenOptions { verify_crc: false, max_property_bytes: 1 << 20, ..OpenOptions::default() };
    let mut state = 23_u64;
    let mut random = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for truth in truths(&folder) {
        let bytes = std::fs::read(folder.join("files").join(&truth.file)).expect("the file");
        if bytes.len() > 300_000 {
            continue;
        }
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes.get(*at).is_some_and(|byte| *byte != 0)).collect();
        for _ in 0..40 {
            let mut damaged = bytes.clone();
            for _ in 0..=random(40) {
                let at = used[random(used.len())];
                damaged[at] = random(256) as u8;
            }
            if let Ok(mut file) = PstFile::from_reader(std::io::Cursor::new(damaged.as_slice()), options()) {
                inspect_file(&mut file);
                assert!(file.work_bytes() <= 16 * bytes.len() as u64 + (256 << 20), "{}", truth.file);
            }
        }
    }
}
