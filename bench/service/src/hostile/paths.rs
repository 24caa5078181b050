//! Addresses and file names that lead elsewhere, and credentials that are none.

use std::os::unix::fs::symlink;

use anyhow::ensure;
use serde_json::{Value, json};

use super::{CANARY, Target};
use crate::call::Call;
use crate::sidecar::Sidecar;
use crate::tenants::Tenant;

/// A mail that must not be read.
fn canary() -> String {
    format!(
        "From: a@customers.example\r\nTo: b@firm.example\r\nSubject: {CANARY}\r\nMessage-ID: <{CANARY}@x>\r\n\r\nThe word is {CANARY}.\r\n"
    )
}

/// Puts the mail outside of the inbox, into another tenant's inbox, and links to it into the tenant's own.
pub(super) fn plant(sidecar: &Sidecar, tenant: &str) -> anyhow::Result<()> {
    let mine = sidecar.path("inbox").join(tenant);
    let theirs = sidecar.path("inbox").join(Tenant::marker(2));
    for folder in [sidecar.path("outside"), mine.join("good"), theirs.clone()] {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(sidecar.path("outside/canary.eml"), canary())?;
    std::fs::write(theirs.join("canary.eml"), canary())?;
    std::fs::write(mine.join("good/fine.eml"), canary().replace(CANARY, "mk01vornfine"))?;
    symlink(sidecar.path("outside"), mine.join("linked"))?;
    symlink(sidecar.path("outside/canary.eml"), mine.join("linked.eml"))?;
    symlink(sidecar.path("outside/canary.eml"), mine.join("good/linked.eml"))?;
    Ok(())
}

pub(super) fn attack(target: &mut Target) -> anyhow::Result<()> {
    inbox(target)?;
    settle(target)?;
    addresses(target);
    credentials(target);
    Ok(())
}

fn inbox(target: &mut Target) -> anyhow::Result<()> {
    let other = Tenant::marker(2);
    let outside = target.sidecar.path("outside/canary.eml").display().to_string();
    let paths = [
        "..".to_owned(),
        "../..".to_owned(),
        format!("../{other}"),
        format!("../{other}/canary.eml"),
        "../../outside/canary.eml".to_owned(),
        "good/../../../outside/canary.eml".to_owned(),
        outside,
        "/etc/passwd".to_owned(),
        "linked".to_owned(),
        "linked/canary.eml".to_owned(),
        "linked.eml".to_owned(),
        "..%2f..%2foutside".to_owned(),
        "....//....//outside".to_owned(),
        "..\\..\\outside".to_owned(),
        "good\u{0}/../..".to_owned(),
        "~/".to_owned(),
        "$HOME".to_owned(),
        "a/".repeat(5000),
        "x".repeat(100_000),
        "file:///etc/passwd".to_owned(),
        "//etc/passwd".to_owned(),
        "./../../outside".to_owned(),
        String::new(),
    ];
    for path in paths {
        let shown: String = path.chars().take(40).collect();
        let statuses: &[u16] = if path.is_empty() { &[202, 400, 404, 422] } else { &[400, 404, 413, 422] };
        target.refuse(
            &format!("inbox path {shown:?}"),
            Call::json("/v1/ingest/jobs", &json!({"path": path})),
            statuses,
        );
    }
    // A folder that may be read, with a link in it that leads out.
    let answer = target.ask(Call::json("/v1/ingest/jobs", &json!({"path": "good"})))?;
    let result = until_ended(target, answer.status, answer.string("/id"));
    target.note("a folder with a link in it", result);
    // The folder may be refused for the link; where it is taken, the file beside the link is read.
    let good = target.finds("mk01vornfine").and_then(|found| {
        ensure!(found || answer.status != 202, "the good file of the folder was not read");
        Ok(())
    });
    target.note("the good file beside it", good);
    let names = [
        "../../../evil.mbox",
        "/tmp/rejoinder-evil.mbox",
        "..\\..\\evil.mbox",
        "a\\u0000.mbox",
        ".",
        "..",
        "~/.bashrc",
        "",
        "con.mbox",
    ];
    for name in names {
        let mail = b"From a Mon Jun 22 08:41:00 2026\nFrom: a@customers.example\nSubject: x\n\nx\n";
        target.refuse(
            &format!("uploaded as {name:?}"),
            Call::upload("/v1/ingest/jobs", name, mail),
            &[202, 400, 415, 422],
        );
    }
    let escaped = ["evil.mbox", "../evil.mbox"].iter().any(|name| target.sidecar.path(name).exists());
    let escaped = escaped || std::path::Path::new("/tmp/rejoinder-evil.mbox").exists();
    let result = if escaped { Err(anyhow::anyhow!("a file was written outside")) } else { Ok(()) };
    target.note("nothing is written outside", result);
    Ok(())
}

/// Waits for a job that was accepted; how it ends is its own business.
pub(super) fn until_ended(target: &Target, status: u16, id: Option<String>) -> anyhow::Result<()> {
    let Some(id) = id.filter(|_| status == 202) else {
        ensure!((400..500).contains(&status), "neither a job nor a refusal: {status}");
        return Ok(());
    };
    for _ in 0..1200 {
        let answer = target.ask(Call::get(format!("/v1/ingest/jobs/{id}")))?;
        let state = answer.string("/state").unwrap_or_default();
        if !["queued", "running"].contains(&state.as_str()) {
            ensure!(state == "completed" || state == "failed", "the job is {state:?}");
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    anyhow::bail!("the job did not end within two minutes")
}

/// Waits until nothing is ingested any more: what comes next is not to be refused because of that.
fn settle(target: &Target) -> anyhow::Result<()> {
    for _ in 0..600 {
        let jobs = target.ask(Call::get("/v1/ingest/jobs"))?.data();
        let works = |job: &Value| ["queued", "running"].iter().any(|state| job.get("state") == Some(&json!(state)));
        if !jobs.iter().any(works) {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    anyhow::bail!("jobs do not end within a minute")
}

fn addresses(target: &mut Target) {
    let gets = [
        "/v1/suggestions/..%2f..%2fetc%2fpasswd",
        "/v1/suggestions/%00",
        "/v1/suggestions/%ff%fe",
        "/v1/suggestions/%",
        "/v1/ingest/jobs/..%2f",
        "/v1/ingest/jobs/%00/items",
        "/v1/ingest/jobs/job_x/events",
        "/v1/schemas/..%2f..%2frejoinder.toml",
        "/v1/schemas/close_out@0",
        "/v1/schemas/close_out@99999999999999999999",
        "/v1/schemas/%2e%2e",
        "/v1/schemas/mk02vorn%2fx",
        "/v1/../../etc/passwd",
        "//etc/passwd",
        "/v1/suggest-reply/x/events",
        "/v1/subjects/nobody",
        "/v1/audit?limit=-1",
        "/v1/audit?limit=99999999999999999999",
        "/v1/audit?cursor=%00",
        "/v1/audit?since=x",
        "/v1/usage?step=%27",
        "/v1/ingest/jobs?limit=0",
        "/v1/ingest/jobs?cursor=' OR 1=1 --",
        "/v1/suggestions?cursor=AAAA",
        "/v1/stats?since=0000",
        "/v1/suggestions?unknown=1",
        "/docs/../../etc/passwd",
        "/openapi.json/..",
    ];
    for path in gets {
        let path = path.replace(' ', "%20").replace('\'', "%27");
        target.refuse(&format!("GET {path}"), Call::get(path.clone()), &[400, 401, 404, 405, 422]);
    }
    for path in
        ["/v1/messages/..%2f..", "/v1/messages/%00", "/v1/mailboxes/nothing", "/v1/subjects/%40", "/v1/subjects/a"]
    {
        target.refuse(&format!("DELETE {path}"), Call::delete(path), &[200, 400, 404, 422]);
    }
    let long = format!("/v1/suggestions?ticket_id={}", "a".repeat(30_000));
    target.refuse("a long address", Call::get(long), &[200, 400, 414, 422, 431]);
}

fn credentials(target: &mut Target) {
    let good = target.key.clone();
    let search = || Call::json("/v1/search", &json!({"query": "a"}));
    let swapped = good.to_uppercase();
    let cut: String = good.chars().take(20).collect();
    let longer = format!("{good}x");
    let headers = [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer null",
        "Bearer rj_",
        &swapped,
        "Bearer ../../keys",
        "Bearer \u{e9}",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.",
        "Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA",
        "Digest x",
        "Bearer a b c",
    ];
    for header in headers {
        let call = search().with("authorization", header);
        target.refuse_as_is(&format!("authorization {header:?}"), &call, &[400, 401]);
    }
    for key in [cut, longer, "x".repeat(20_000), format!("{good},{good}")] {
        let shown = key.len();
        target.refuse_as_is(&format!("a key of {shown} characters"), &search().by(&key), &[400, 401, 431]);
    }
    let twice = search().by(&good).with("authorization", "Bearer rj_other");
    target.refuse_as_is("two credentials", &twice, &[400, 401]);
}
