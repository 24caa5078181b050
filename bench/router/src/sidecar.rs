//! `rejoinder serve` over HTTP, beside reverse proxies.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::children::{Server, on_the_path};
use crate::http::HttpWay;
use crate::load::Way;
use crate::{Plan, memory, report};

/// Measures and prints.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<()> {
    let program = match &plan.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("rejoinder"),
    };
    if !program.is_file() {
        println!("\nThe sidecar is not measured: there is no {}; `cargo build` makes it.", program.display());
        return Ok(());
    }
    let folder = tempfile::tempdir_in(report::folder()?)?;
    let provider = Server::own(&["provider"])?;
    let proxy = Server::own(&["proxy", &provider.url])?;
    let nginx = nginx(folder.path(), &provider.url).await?;
    let open = sidecar(&program, &folder.path().join("plain"), &provider.url, "remote_allowed")?;
    let redacting = sidecar(&program, &folder.path().join("redacting"), &provider.url, "redact_then_remote")?;
    let mut ways = vec![
        way("straight to the provider", &provider)?,
        way("through a bare reverse proxy", &proxy)?,
        way("through the sidecar", &open)?,
        way("through the sidecar, redacting", &redacting)?,
    ];
    match &nginx {
        Some(nginx) => ways.insert(2, way("through nginx", nginx)?),
        None => println!("\nThere is no nginx on the path; the bare reverse proxy stands for one."),
    }
    report::measure("The sidecar over HTTP (budgets, audit on disk, metrics, cache)", &ways, plan).await?;
    memory::watch(&way("through the sidecar, redacting", &redacting)?, redacting.process(), plan.memory_requests).await
}

fn way(name: &str, server: &Server) -> anyhow::Result<Arc<dyn Way>> {
    Ok(Arc::new(HttpWay::new(name, &server.url, server.process())?))
}

/// Everything on; what bounds calls is so high that it never says no.
fn sidecar(program: &Path, folder: &Path, provider: &str, egress: &str) -> anyhow::Result<Server> {
    std::fs::create_dir_all(folder)?;
    let config = format!(
        r#"
tenant = "bench"

[models]
embedder = "none"

[models.language]
model = "none"

[server]
max_concurrent_requests = 4096

[[targets]]
name = "loopback"
api = "openai"
base_url = "{provider}/v1"
model = "scripted"
concurrency = 0
price = {{ input = 0.15, output = 0.6 }}

[router]
egress = "{egress}"
# Small, so that it is full soon when memory is looked at.
cache = {{ max_bytes = 1048576, ttl_seconds = 3600 }}
budgets = [
    {{ per = "minute", tokens = 1000000000000, cost = 1000000.0 }},
    {{ per = "day", tokens = 1000000000000, cost = 1000000.0 }},
    {{ per = "month", tokens = 1000000000000, cost = 1000000.0 }},
]
"#
    );
    let path = folder.join("rejoinder.toml");
    std::fs::write(&path, config)?;
    let mut command = Command::new(program);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    command.env("REJOINDER_CONFIG", &path).env("REJOINDER_DATA_DIR", folder.join("data"));
    command.env_remove("REJOINDER_TENANT").env_remove("REJOINDER_LANGUAGE_MODEL").env_remove("RUST_LOG");
    command.stderr(Stdio::from(std::fs::File::create(folder.join("log"))?));
    Server::start(command).with_context(|| {
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        format!("the sidecar failed: {log}")
    })
}

/// nginx as a reverse proxy that keeps connections open and passes bodies on as they come.
async fn nginx(folder: &Path, provider: &str) -> anyhow::Result<Option<Server>> {
    let Some(program) = on_the_path("nginx") else { return Ok(None) };
    // Free now, and nobody else here looks for one.
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let upstream = provider.trim_start_matches("http://");
    let folder: PathBuf = folder.join("nginx");
    std::fs::create_dir_all(&folder)?;
    let place = folder.display();
    let config = format!(
        "daemon off; worker_processes 2; pid {place}/pid; error_log {place}/error.log;
         events {{ worker_connections 4096; }}
         http {{
             access_log off;
             client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/f;
             uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
             keepalive_requests 1000000; client_body_buffer_size 64k;
             upstream provider {{ server {upstream}; keepalive 512; keepalive_requests 1000000; }}
             server {{
                 listen 127.0.0.1:{port};
                 location / {{
                     proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection \"\";
                     proxy_buffering off; proxy_request_buffering off;
                 }}
             }}
         }}"
    );
    std::fs::write(folder.join("nginx.conf"), config)?;
    let mut command = Command::new(program);
    command.arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf")).stderr(Stdio::null());
    let server = Server::start_at(command, format!("http://127.0.0.1:{port}"))?;
    for _ in 0..100 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Ok(Some(server));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("nginx does not listen")
}
