//! How fast and in how much memory a large PST is read, beside `readpst` on the same file in the same run.
//!
//! Our reader runs in a child process of its own, so that what it takes is measured alone. It reads everything that
//! ingesting would: every folder, item, body, recipient and the bytes of every attachment. `readpst` converts to mbox
//! files, which is what it is for; it is timed with and without parallel jobs, and its better time counts.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rejoinder_pst::{AttachmentMethod, Item, PstFile};
use rejoinder_pst_writer::generate::{GenerateOptions, mailbox};
use serde::{Deserialize, Serialize};

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The file's length in bytes; it is generated where it is not there yet.
    pub bytes: u64,
    /// Where the file is kept for the next run, and where `readpst` writes.
    pub work_dir: PathBuf,
    /// Whether to print one JSON object instead of a table.
    pub json: bool,
}

/// One reader's result.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Measured {
    /// Wall time of the better run, in seconds.
    pub seconds: f64,
    /// Millions of bytes of the file per second.
    pub megabytes_per_second: f64,
    /// The greatest resident memory, in bytes.
    pub peak_rss_bytes: u64,
}

/// Both results on one file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The file's length.
    pub file_bytes: u64,
    /// What our reader found.
    pub found: Found,
    /// Our reader.
    pub rejoinder: Measured,
    /// `readpst`; none where it is not installed.
    pub readpst: Option<Measured>,
    /// How many times as fast as `readpst` our reader is.
    pub ratio: Option<f64>,
}

/// What reading a file found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    /// Folders.
    pub folders: u64,
    /// Items, without embedded ones.
    pub items: u64,
    /// Embedded messages.
    pub embedded: u64,
    /// Attachments, embedded messages included.
    pub attachments: u64,
    /// Bytes of attachments.
    pub attachment_bytes: u64,
    /// Bytes of bodies, in the form in which the reader gives them.
    pub body_bytes: u64,
    /// What could not be read.
    pub problems: u64,
    /// A sum over all attachment bytes, so that they are touched and two runs can be compared.
    pub attachment_sum: u64,
}

/// The argument that makes the benchmark's executable be the child that reads.
const CHILD_ARGUMENT: &str = "--read-pst-and-report";
/// How often each reader runs; the better time counts.
const RUNS: usize = 2;
/// The bound that the product promises, in bytes.
const PROMISED_RSS: u64 = 64 << 20;

/// Does the child's work if this process was started as the child. `main` calls this before it looks at its arguments, and
/// ends when it gives `Some`.
pub(crate) fn run_as_child() -> Option<Result<()>> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != OsStr::new(CHILD_ARGUMENT) {
        return None;
    }
    let path = PathBuf::from(arguments.next()?);
    Some(read_and_report(&path))
}

/// Generates the file if need be, lets both readers read it and prints the result.
pub(crate) fn run(options: &Options) -> Result<()> {
    let report = measure(options)?;
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    println!(
        "PST reading, {:.0} MB, {} items, {} attachments",
        megabytes(report.file_bytes),
        report.found.items,
        report.found.attachments
    );
    print_line("rejoinder-pst", &report.rejoinder);
    match (&report.readpst, report.ratio) {
        (Some(readpst), Some(ratio)) => {
            print_line("readpst", readpst);
            println!("  rejoinder-pst is {ratio:.2} times as fast as readpst");
        }
        _ => println!("  readpst is not installed (package pst-utils), so there is nothing to compare with"),
    }
    let verdict = if report.rejoinder.peak_rss_bytes <= PROMISED_RSS { "within" } else { "OVER" };
    println!("  peak memory {verdict} the promised {:.0} MiB", mebibytes(PROMISED_RSS));
    Ok(())
}

/// Measures both readers.
pub(crate) fn measure(options: &Options) -> Result<Report> {
    std::fs::create_dir_all(&options.work_dir)?;
    let path = generated_file(options)?;
    let file_bytes = std::fs::metadata(&path)?.len();
    // Both readers find the file in the page cache, as far as it fits.
    io::copy(&mut std::fs::File::open(&path)?, &mut io::sink())?;
    let has_readpst = Command::new("readpst").arg("-V").output().is_ok();
    let mut ours: Option<(Measured, Found)> = None;
    let mut readpst: Option<Measured> = None;
    for run in 0..RUNS {
        let (measured, found) = run_ours(&path, file_bytes)?;
        if let Some((_, earlier)) = &ours {
            ensure!(*earlier == found, "two runs of the reader differ: {earlier:?} and {found:?}");
        }
        ours = Some((better(ours.map(|(earlier, _)| earlier), measured), found));
        if has_readpst {
            // Once with as many jobs as there are processors, once with none beside itself.
            let measured = run_readpst(&path, &options.work_dir, file_bytes, run % 2 == 0)?;
            readpst = Some(better(readpst, measured));
        }
    }
    let (rejoinder, found) = ours.context("no run")?;
    ensure!(found.problems == 0, "the reader reported {} problems in a sound file", found.problems);
    let ratio = readpst.map(|readpst| readpst.seconds / rejoinder.seconds);
    Ok(Report { file_bytes, found, rejoinder, readpst, ratio })
}

/// The generated file, from an earlier run where there is one.
fn generated_file(options: &Options) -> Result<PathBuf> {
    let generate = GenerateOptions { bytes: options.bytes, ..GenerateOptions::default() };
    let path = options.work_dir.join(format!("generated-{}-{}.pst", options.bytes, generate.seed));
    if !path.exists() {
        let partial = path.with_extension("partial");
        let start = Instant::now();
        let written = mailbox(&partial, generate)?;
        std::fs::rename(&partial, &path)?;
        let seconds = start.elapsed().as_secs_f64();
        let rate = megabytes(written.bytes) / seconds;
        eprintln!(
            "generated {} messages, {:.0} MB in {seconds:.1} s ({rate:.0} MB/s)",
            written.messages,
            megabytes(written.bytes)
        );
    }
    Ok(path)
}

/// What the child prints: what it found and how long it took from before it opened the file.
#[derive(Serialize, Deserialize)]
struct ChildReport {
    found: Found,
    seconds: f64,
    peak_rss_bytes: u64,
}

fn run_ours(path: &Path, file_bytes: u64) -> Result<(Measured, Found)> {
    let executable = std::env::current_exe()?;
    let output = Command::new(executable).arg(CHILD_ARGUMENT).arg(path).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the reading child failed: {}", output.status);
    let report: ChildReport = serde_json::from_slice(&output.stdout).context("the child's report")?;
    Ok((measured(report.seconds, report.peak_rss_bytes, file_bytes), report.found))
}

fn read_and_report(path: &Path) -> Result<()> {
    let start = Instant::now();
    let found = read_all(path)?;
    let seconds = start.elapsed().as_secs_f64();
    let peak_rss_bytes = status_bytes("self", "VmHWM:").context("no /proc/self/status")?;
    let report = ChildReport { found, seconds, peak_rss_bytes };
    serde_json::to_writer(io::stdout().lock(), &report)?;
    Ok(())
}

/// Reads every folder, item, body and attachment.
fn read_all(path: &Path) -> Result<Found> {
    let mut file = PstFile::open(path)?;
    let mut found = Found::default();
    for folder in file.folders() {
        found.folders += 1;
        for listed in file.items(&folder) {
            let Ok(listed) = listed else {
                found.problems += 1;
                continue;
            };
            let item = file.read_item(listed.node_id)?;
            found.items += 1;
            read_item(&mut file, &item, &mut found)?;
        }
    }
    found.problems += file.problems().len() as u64;
    Ok(found)
}

/// Counts an item and reads its attachments. The reader itself bounds how deep messages are embedded.
fn read_item<R: io::Read + io::Seek + Send>(file: &mut PstFile<R>, item: &Item, found: &mut Found) -> Result<()> {
    let bodies = &item.bodies;
    let texts = [bodies.text.as_deref(), bodies.html.as_deref()].into_iter().flatten();
    found.body_bytes += texts.map(|text| text.len() as u64).sum::<u64>();
    found.body_bytes += bodies.rtf.as_ref().map_or(0, |rtf| rtf.len() as u64);
    found.problems += item.problems.len() as u64;
    for attachment in &item.attachments {
        found.attachments += 1;
        match attachment.method {
            AttachmentMethod::EmbeddedMessage => {
                let embedded = file.read_embedded(item, attachment)?;
                found.embedded += 1;
                read_item(file, &embedded, found)?;
            }
            AttachmentMethod::ByValue | AttachmentMethod::Ole => {
                let mut sum = Summing(0);
                let copied = file.copy_attachment(item, attachment, &mut sum)?;
                found.attachment_bytes += copied.bytes;
                found.problems += copied.problems.len() as u64;
                found.attachment_sum = found.attachment_sum.wrapping_add(sum.0);
            }
            _ => {}
        }
    }
    Ok(())
}

/// A writer that keeps only the sum of what is written to it.
struct Summing(u64);

impl Write for Summing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
        self.0 = self.0.wrapping_add(sum);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `readpst`, watching its memory and that of its jobs.
fn run_readpst(path: &Path, work_dir: &Path, file_bytes: u64, in_parallel: bool) -> Result<Measured> {
    let out = work_dir.join("readpst-out");
    remove(&out)?;
    std::fs::create_dir_all(&out)?;
    let mut command = Command::new("readpst");
    command.args(["-q", "-D", "-r", "-o"]).arg(&out);
    if !in_parallel {
        command.args(["-j", "0"]);
    }
    let start = Instant::now();
    let mut child = command.arg(path).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let (peak, status) = watch(&mut child)?;
    let seconds = start.elapsed().as_secs_f64();
    remove(&out)?;
    if !status.success() {
        bail!("readpst failed: {status}");
    }
    Ok(measured(seconds, peak, file_bytes))
}

/// Waits for a process; returns the greatest sum of its own and its children's resident memory that was seen.
fn watch(child: &mut Child) -> Result<(u64, std::process::ExitStatus)> {
    let id = child.id().to_string();
    let mut peak = 0;
    loop {
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let processes = children.split_whitespace().chain([id.as_str()]);
        let resident: u64 = processes.filter_map(|process| status_bytes(process, "VmRSS:")).sum();
        peak = peak.max(resident);
        if let Some(status) = child.try_wait()? {
            return Ok((peak, status));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A field of a process's status that is given in kibibytes, in bytes.
fn status_bytes(process: &str, field: &str) -> Option<u64> {
    let status = std::fs::File::open(format!("/proc/{process}/status")).ok()?;
    let line =
        BufReader::new(status.take(1 << 16)).lines().map_while(io::Result::ok).find(|line| line.starts_with(field))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

fn remove(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn measured(seconds: f64, peak_rss_bytes: u64, file_bytes: u64) -> Measured {
    Measured { seconds, megabytes_per_second: megabytes(file_bytes) / seconds, peak_rss_bytes }
}

/// The faster of two runs, with the greater memory of both.
fn better(earlier: Option<Measured>, later: Measured) -> Measured {
    let Some(earlier) = earlier else { return later };
    let faster = if earlier.seconds <= later.seconds { earlier } else { later };
    Measured { peak_rss_bytes: earlier.peak_rss_bytes.max(later.peak_rss_bytes), ..faster }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn print_line(name: &str, measured: &Measured) {
    println!(
        "  {name:<14} {:>7.1} s {:>7.0} MB/s   peak memory {:>5.1} MiB",
        measured.seconds,
        measured.megabytes_per_second,
        mebibytes(measured.peak_rss_bytes),
    );
}
