//! Both providers against a scripted server, over HTTP on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod answers;
mod connections;
mod failures;
mod requests;
mod secrets;
mod tools;

use futures::StreamExt;
use rejoinder_domain::{
    ChatMessage, ChatRole, ErrorKind, GenerateEvent, GenerateRequest, Generated, LanguageModel, SeamError, TenantId,
    ToolCall,
};
use rejoinder_providers::{Anthropic, ApiKeyHeader, OpenAiCompatible, RemoteOptions};
use rejoinder_scripted_provider::{Script, ScriptedProvider};

/// Who is asked, and whether the answer is streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    api: Api,
    streams: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    OpenAi,
    Anthropic,
}

const ALL: [Asked; 4] = [
    Asked { api: Api::OpenAi, streams: true },
    Asked { api: Api::OpenAi, streams: false },
    Asked { api: Api::Anthropic, streams: true },
    Asked { api: Api::Anthropic, streams: false },
];

impl Asked {
    fn options(self, base_url: &str) -> RemoteOptions {
        let mut options = RemoteOptions::new("elsewhere", base_url, "scripted-1");
        options.api_key = Some(KEY.to_owned().into());
        options.can_stream = self.streams;
        if self.api == Api::Anthropic {
            options.api_key_header = ApiKeyHeader::XApiKey;
        } else {
            options.base_url.push_str("/v1");
        }
        options
    }

    fn model(self, options: RemoteOptions) -> Box<dyn LanguageModel> {
        match self.api {
            Api::OpenAi => Box::new(OpenAiCompatible::new(options).unwrap()),
            Api::Anthropic => Box::new(Anthropic::new(options).unwrap()),
        }
    }
}

const KEY: &str = "sk-nobody-may-see-this";

fn request(text: &str) -> GenerateRequest {
    let messages = vec![ChatMessage::new(ChatRole::System, "Be brief."), ChatMessage::new(ChatRole::User, text)];
    GenerateRequest::new(TenantId::new("acme").unwrap(), messages, 300)
}

/// What came of a question.
#[derive(Debug, Default)]
struct Came {
    text: String,
    texts: usize,
    calls: Vec<ToolCall>,
    done: Option<Generated>,
    error: Option<SeamError>,
}

impl Came {
    fn kind(&self) -> Option<ErrorKind> {
        self.error.as_ref().map(|error| error.kind.clone())
    }
}

async fn ask(model: &dyn LanguageModel, request: GenerateRequest) -> Came {
    let mut came = Came::default();
    let mut stream = match model.generate(request).await {
        Ok(stream) => stream,
        Err(error) => {
            came.error = Some(error);
            return came;
        }
    };
    while let Some(event) = stream.next().await {
        assert!(came.done.is_none() && came.error.is_none(), "nothing follows the end");
        match event {
            Ok(GenerateEvent::Text(part)) => {
                assert!(!part.is_empty());
                came.texts += 1;
                came.text.push_str(&part);
            }
            Ok(GenerateEvent::ToolCall(part)) => {
                if came.calls.len() == part.index {
                    let call = ToolCall { id: part.id.unwrap(), name: part.name.unwrap(), arguments: String::new() };
                    came.calls.push(call);
                }
                came.calls[part.index].arguments.push_str(&part.arguments);
            }
            Ok(GenerateEvent::Done(generated)) => came.done = Some(generated),
            Ok(other) => panic!("only a router says {other:?}"),
            Err(error) => came.error = Some(error),
        }
    }
    assert!(came.done.is_some() != came.error.is_some(), "every stream ends, once: {came:?}");
    came
}

async fn ask_scripted(asked: Asked, script: Script, question: GenerateRequest) -> (Came, ScriptedProvider) {
    let provider = ScriptedProvider::start(script).await.unwrap();
    let model = asked.model(asked.options(&provider.base_url()));
    (ask(model.as_ref(), question).await, provider)
}
