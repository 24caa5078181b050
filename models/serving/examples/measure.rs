//! What prefix reuse and prompt lookup bring on one model.
//!
//!     cargo run -p rejoinder-serving --example measure -- MODEL.gguf
//!
//! One caller, greedy: a reply that must repeat an earlier one, a form, and a free text, each with lookup on and off; the
//! time to the first token when the prompt is new, and when its beginning was computed before.

use std::time::{Duration, Instant};

use rejoinder_domain::{
    ChatMessage, ChatRole, GenerateEvent, GenerateRequest, Generated, LanguageModel, OutputFormat, TenantId,
};
use rejoinder_serving::{LocalModel, ServingOptions};
use serde_json::json;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const REPLY: &str = "Dear Ms Klein, thank you for your message. We are sorry that your order 4711-22 has not arrived. We have \
    asked the carrier to look for the parcel. If it is not found by Friday, we will send the goods again without any cost \
    for you, or refund the price of 129.90 EUR, as you prefer. Kind regards, the service team";

fn main() -> Result<(), Failure> {
    let path = std::env::args().nth(1).ok_or("usage: measure MODEL.gguf")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for lookup in [false, true] {
        let options =
            ServingOptions { lookup, reuse_bytes: 1 << 28, cache_bytes: 1 << 30, ..ServingOptions::default() };
        let model = LocalModel::open(&path, "measured", &options)?;
        println!("lookup {}", if lookup { "on" } else { "off" });
        for (name, request) in requests()? {
            let mut before = model.metrics();
            for turn in ["new", "again"] {
                let (first, whole, generated) = runtime.block_on(answer(&model, request.clone()))?;
                let after = model.metrics();
                let speed = generated.usage.output as f64 / whole.saturating_sub(first).as_secs_f64();
                println!(
                    "  {name:<22} {turn:<5} prompt {:>4} (reused {:>4}), first text after {:>6.0} ms; {:>3} tokens, {speed:>6.1}/s, \
                     {} steps, proposed {}, right {}, forced {}",
                    generated.usage.input,
                    generated.usage.cached_input,
                    first.as_secs_f64() * 1000.0,
                    generated.usage.output,
                    after.steps - before.steps,
                    after.proposed_tokens - before.proposed_tokens,
                    after.accepted_tokens - before.accepted_tokens,
                    after.forced_tokens - before.forced_tokens,
                );
                before = after;
            }
        }
    }
    Ok(())
}

fn requests() -> Result<Vec<(&'static str, GenerateRequest)>, Failure> {
    let tenant = TenantId::new("measured")?;
    let ask = |system: &str, user: String| {
        let messages = vec![ChatMessage::new(ChatRole::System, system), ChatMessage::new(ChatRole::User, user)];
        GenerateRequest::new(tenant.clone(), messages, 120)
    };
    let repeat = ask("You repeat texts exactly.", format!("Repeat this text word by word:\n\n{REPLY}"));
    let draft = ask(
        "You answer customers of a shop, politely and briefly.",
        format!(
            "An earlier reply:\n{REPLY}\n\nTicket:\nMy order 8812-03 has not arrived. Where is it?\n\nWrite the reply."
        ),
    );
    let schema = json!({
        "type": "object",
        "properties": {
            "customer_name": {"type": "string", "maxLength": 40},
            "order_number": {"type": "string", "maxLength": 12},
            "price_in_euro": {"type": "number", "minimum": 0, "maximum": 10000},
            "has_arrived": {"type": "boolean"}
        },
        "required": ["customer_name", "order_number", "price_in_euro", "has_arrived"],
        "additionalProperties": false
    });
    let form = ask("You fill the form from the letter.", REPLY.to_owned());
    let free = ask("You tell stories.", "Tell me a story of a lighthouse.".to_owned());
    Ok(vec![
        ("repeats a text", GenerateRequest { lookup: vec![REPLY.to_owned()], ..repeat }),
        ("drafts after a reply", GenerateRequest { lookup: vec![REPLY.to_owned()], ..draft }),
        ("fills a form", GenerateRequest { output: OutputFormat::Json(schema), ..form }),
        ("writes freely", free),
    ])
}

/// The time to the first text, to the end, and what it cost.
async fn answer(model: &LocalModel, request: GenerateRequest) -> Result<(Duration, Duration, Generated), Failure> {
    let begin = Instant::now();
    let mut stream = model.generate(request).await?;
    let mut first = None;
    while let Some(event) = std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await {
        match event? {
            GenerateEvent::Text(_) => {
                first.get_or_insert_with(|| begin.elapsed());
            }
            GenerateEvent::Done(generated) => return Ok((first.unwrap_or_default(), begin.elapsed(), generated)),
            GenerateEvent::ToolCall(_) | GenerateEvent::Restart | GenerateEvent::Attempt(_) => {}
        }
    }
    Err("the answer broke off".into())
}
