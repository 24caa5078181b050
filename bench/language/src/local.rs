//! Our serving as a process that answers [`Question::Extract`].

use std::io::BufRead as _;
use std::path::Path;
use std::time::Instant;

use anyhow::bail;
use rejoinder_domain::language::{OutputFormat, collect};
use rejoinder_domain::{ChatMessage, ChatRole, ErrorKind, GenerateRequest, LanguageModel as _, TenantId};
use rejoinder_serving::{LocalModel, ServingOptions};

use crate::engine::{Size, say};
use crate::protocol::{Extracted, Hello, Question};

/// Answers until standard input ends.
pub(crate) fn serve(model: &Path, size: Size) -> anyhow::Result<()> {
    let begun = Instant::now();
    let options = ServingOptions { threads: size.threads, context_tokens: size.context, ..ServingOptions::default() };
    let model = LocalModel::open(model, "measured", &options)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    say(&Hello::Ready { engine: "rejoinder".to_owned(), load: begun.elapsed().as_secs_f64() })?;
    for line in std::io::stdin().lock().lines() {
        let Question::Extract { system, user, schema, tokens, .. } = serde_json::from_str(&line?)? else {
            bail!("only extraction is asked of the whole model");
        };
        let begun = Instant::now();
        let messages = vec![ChatMessage::new(ChatRole::System, system), ChatMessage::new(ChatRole::User, user.clone())];
        let request = GenerateRequest {
            output: OutputFormat::Json(schema),
            // What is extracted stands in the text.
            lookup: vec![user],
            ..GenerateRequest::new(TenantId::new("bench")?, messages, tokens)
        };
        let answer = runtime.block_on(async { collect(model.generate(request).await?).await });
        let (text, tokens) = match answer {
            Ok((text, generated)) => (text, generated.usage.output),
            Err(error) if error.kind == ErrorKind::OutputIncomplete => (String::new(), tokens),
            Err(error) => return Err(error.into()),
        };
        say(&Extracted { text, tokens, seconds: begun.elapsed().as_secs_f64() })?;
    }
    Ok(())
}
