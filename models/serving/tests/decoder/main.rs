//! The local model on the real decoder, with generated weights.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod tiny;

use std::path::Path;

use rejoinder_decoder::{CacheOptions, Decoder, DecoderOptions, Gguf, Logits, Step};
use rejoinder_domain::language::collect;
use rejoinder_domain::{
    ChatMessage, ChatRole, ErrorKind, FinishReason, GenerateRequest, LanguageModel, OutputFormat, Priority, TenantId,
};
use rejoinder_serving::{LocalModel, ServingOptions, Shutdown};
use rejoinder_vocabulary::{ChatTemplate, Vocabulary};
use serde_json::json;

fn options() -> ServingOptions {
    ServingOptions {
        threads: 2,
        context_tokens: 4096,
        max_sequences: 3,
        queue_length: 100,
        cache_bytes: 16 << 20,
        reuse_bytes: 8 << 20,
        prefill_chunk: 48,
        prefill_chunk_shared: 24,
        ..ServingOptions::default()
    }
}

fn request(text: &str, max_tokens: usize) -> GenerateRequest {
    let messages = vec![
        ChatMessage::new(ChatRole::System, "You answer customers of a shop, in short sentences."),
        ChatMessage::new(ChatRole::User, text),
    ];
    GenerateRequest::new(TenantId::new("acme").unwrap(), messages, max_tokens)
}

/// Greedy answers by the decoder alone: for each token a pass over the whole sequence in an empty cache.
struct Plain {
    decoder: Decoder,
    vocabulary: Vocabulary,
    template: ChatTemplate,
}

impl Plain {
    fn open(path: &Path) -> Self {
        let gguf = Gguf::open(path).unwrap();
        let cache = CacheOptions { max_bytes: 64 << 20, ..DecoderOptions::default().cache };
        let decoder = Decoder::load(&gguf, &DecoderOptions { cache, ..DecoderOptions::default() }).unwrap();
        let vocabulary = Vocabulary::from_metadata(gguf.metadata()).unwrap();
        let template = ChatTemplate::from_metadata(gguf.metadata(), &vocabulary).unwrap();
        Self { decoder, vocabulary, template }
    }

    fn prompt(&self, request: &GenerateRequest) -> Vec<u32> {
        let messages: Vec<_> = request.messages.iter().map(|m| (m.role.as_str(), m.content.as_str())).collect();
        self.template.prompt_tokens(&self.vocabulary, &messages).unwrap().tokens
    }

    fn answer(&mut self, request: &GenerateRequest) -> (String, FinishReason) {
        let mut tokens = self.prompt(request);
        let prompt = tokens.len();
        while tokens.len() < prompt + request.max_tokens {
            let mut cache = self.decoder.pool().cache();
            let step = Step { cache: &mut cache, tokens: &tokens, logits: Logits::Last };
            let row = self.decoder.forward(&mut [step]).unwrap().remove(0);
            let best = (0..row.len()).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u32;
            if self.vocabulary.end_tokens().contains(&best) {
                return (self.vocabulary.decode(&tokens[prompt..]), FinishReason::Stop);
            }
            tokens.push(best);
        }
        (self.vocabulary.decode(&tokens[prompt..]), FinishReason::Length)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_together_equal_plain_passes_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = tiny::write(folder.path());
    let mut plain = Plain::open(&path);
    let requests: Vec<GenerateRequest> = (0..18)
        .map(|index| GenerateRequest {
            tenant: TenantId::new(["acme", "other"][index % 2]).unwrap(),
            priority: [Priority::Interactive, Priority::Batch][index / 2 % 2],
            lookup: vec!["Your refund was sent on Monday.".to_owned()],
            ..request(&"Where is my refund? ".repeat(1 + index % 5), 10 + 3 * index)
        })
        .collect();
    let expected: Vec<_> = requests.iter().map(|request| plain.answer(request)).collect();
    // Room for everything; room for hardly two.
    for cache_bytes in [16 << 20, 128 << 10] {
        let small = ServingOptions { cache_bytes, reuse_bytes: cache_bytes / 2, ..options() };
        let model = LocalModel::open(&path, "tiny", &small).unwrap();
        let mut streams = Vec::new();
        for request in &requests {
            streams.push(model.generate(request.clone()).await.unwrap());
        }
        // A few go away.
        streams.push(model.generate(request("gone", 300)).await.unwrap());
        drop(streams.pop());
        let mut cached = 0;
        for (stream, expected) in streams.into_iter().zip(&expected) {
            let (text, generated) = collect(stream).await.unwrap();
            assert_eq!((&text, generated.finish), (&expected.0, expected.1));
            cached += generated.usage.cached_input;
        }
        assert!(cached > 200, "{cached} tokens were reused");
        let metrics = model.metrics();
        assert!(metrics.accepted_tokens > 0 && metrics.cache_bytes <= cache_bytes, "{metrics:?}");
        model.shutdown(Shutdown::Drain);
    }
}

#[tokio::test]
async fn forms_hold_whatever_the_weights_say() {
    let folder = tempfile::tempdir().unwrap();
    let model = LocalModel::open(tiny::write(folder.path()), "tiny", &options()).unwrap();
    let schema = json!({
        "type": "object",
        "properties": {"order": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"}, "open": {"type": "boolean"}},
        "required": ["order", "open"],
        "additionalProperties": false
    });
    let asked = GenerateRequest { output: OutputFormat::Json(schema), ..request("Is order AB-1234 open?", 100) };
    let (text, generated) = collect(model.generate(asked).await.unwrap()).await.unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["order"].as_str().unwrap().len(), 7);
    assert!(value["open"].is_boolean());
    assert_eq!(generated.finish, FinishReason::Stop);
    assert!(model.metrics().forced_tokens > 15);
}

#[tokio::test]
async fn the_context_ends_where_model_or_memory_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = tiny::write(folder.path());
    let model = LocalModel::open(&path, "tiny", &options()).unwrap();
    assert_eq!(model.context_tokens(), tiny::CONTEXT);
    let asked = request("x", 5);
    let prompt = Plain::open(&path).prompt(&asked).len();
    let full = GenerateRequest { max_tokens: tiny::CONTEXT - prompt, ..asked.clone() };
    assert!(collect(model.generate(full).await.unwrap()).await.is_ok());
    let beyond = GenerateRequest { max_tokens: tiny::CONTEXT - prompt + 1, ..asked };
    assert_eq!(model.generate(beyond).await.err().unwrap().kind, ErrorKind::ContextTooLong);

    let small = ServingOptions { cache_bytes: 128 << 10, reuse_bytes: 0, ..options() };
    let model = LocalModel::open(&path, "tiny", &small).unwrap();
    let held = model.context_tokens();
    assert!((100..tiny::CONTEXT).contains(&held), "{held}");
    let full = GenerateRequest { max_tokens: held - prompt, ..request("x", 5) };
    assert!(collect(model.generate(full).await.unwrap()).await.is_ok());
}

#[test]
fn what_is_no_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = LocalModel::open(folder.path().join("none.gguf"), "none", &options()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Unavailable);
    let wrong = ServingOptions { max_sequences: 0, ..options() };
    assert_eq!(LocalModel::open("none.gguf", "none", &wrong).unwrap_err().kind(), ErrorKind::Invalid);
}
