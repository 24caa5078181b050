//! However the network cuts a response, the answer is the same.

use std::collections::VecDeque;
use std::pin::Pin;

use bytes::Bytes;
use futures::StreamExt;
use futures_core::Stream;
use proptest::prelude::*;
use reqwest::{Body, Response};

use rejoinder_domain::{GenerateEvent, OutputFormat, SeamError};

use crate::answer::{Answering, Expected, Reader, Writer};
use crate::anthropic::event::MessageReader;
use crate::events::Events;
use crate::openai::chunk::{ChunkReader, Framed};
use crate::openai::guard::GuardedFrames;
use crate::sse::EventReader;

const OPENAI: &str = concat!(
    ": a comment\r\n\r\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"<think>hm 🙂</think>\\n\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Grüße 🙂\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\ndata: \"function\":{\"name\":\"f\",\"arguments\":\"{\\\"ä\\\"\"}}]}}]}\r\r",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9}}\n\n",
    "data: [DONE]\n\n",
);

const ANTHROPIC: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":4,\"output_tokens\":1}}}\n\n",
    "event: ping\r\ndata: {\"type\":\"ping\"}\r\n\r\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"Grüße 🙂\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

/// A response whose body comes in these parts.
fn response(parts: Vec<Vec<u8>>) -> Response {
    let parts = parts.into_iter().map(|part| Ok::<_, std::convert::Infallible>(Bytes::from(part)));
    let body = Body::wrap_stream(futures::stream::iter(parts));
    http::Response::builder().header("content-type", "text/event-stream").body(body).unwrap().into()
}

fn writer() -> Writer {
    Writer::new(Expected {
        name: "it".into(),
        output: OutputFormat::Text,
        answer_tool: false,
        stops: Vec::new(),
        messages: Vec::new(),
        tools: Vec::new(),
    })
}

async fn answer<S, R>(source: Pin<Box<S>>, reader: R) -> Vec<Result<GenerateEvent, String>>
where
    S: Stream<Item = R::Item>,
    R: Reader,
{
    Answering::new(source, reader, writer()).map(|event| event.map_err(|error| error.to_string())).collect().await
}

async fn openai(parts: Vec<Vec<u8>>) -> Vec<Result<GenerateEvent, String>> {
    let frames = GuardedFrames::new(Events::new(response(parts), 1 << 20));
    // What `async-openai` does with frames: each is one event, and JSON of the type that is asked for.
    let read = frames.map(|frame| {
        let mut events = VecDeque::new();
        EventReader::new(1 << 20).push(&frame.unwrap(), &mut events).unwrap();
        let only = events.pop_front().unwrap();
        assert!(events.is_empty());
        Ok::<Framed, SeamError>(serde_json::from_str(&only.data).unwrap())
    });
    answer(Box::pin(read), ChunkReader::default()).await
}

async fn anthropic(parts: Vec<Vec<u8>>) -> Vec<Result<GenerateEvent, String>> {
    answer(Box::pin(Events::new(response(parts), 1 << 20)), MessageReader::default()).await
}

fn parts(stream: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| stream[cut[0]..cut[1]].to_vec()).collect()
}

fn run(stream: &[u8], cuts: &[usize], is_openai: bool) -> Vec<Result<GenerateEvent, String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let parts = parts(stream, cuts);
    runtime.block_on(async { if is_openai { openai(parts).await } else { anthropic(parts).await } })
}

#[test]
fn whole_streams() {
    let openai = run(OPENAI.as_bytes(), &[], true);
    assert_eq!(openai.len(), 4, "{openai:?}");
    assert_eq!(openai[0], Ok(GenerateEvent::Text("Grüße 🙂".into())));
    let anthropic = run(ANTHROPIC.as_bytes(), &[], false);
    assert_eq!(anthropic.len(), 2, "{anthropic:?}");
    let Ok(GenerateEvent::Done(done)) = &anthropic[1] else { panic!("{anthropic:?}") };
    assert_eq!((done.usage.input, done.usage.cached_input, done.usage.output), (7, 4, 9));
}

#[test]
fn calls_are_told_apart_however_they_are_numbered() {
    let call = |call: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{call}]}}}}]}}\n\n");
    let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let begin = |index: &str, id: &str| {
        call(&format!("{{{index}\"id\":\"{id}\",\"function\":{{\"name\":\"f\",\"arguments\":\"\"}}}}"))
    };
    let more = |index: &str, text: &str| call(&format!("{{{index}\"function\":{{\"arguments\":\"{text}\"}}}}"));
    for (first, second) in
        [("\"index\":0,", "\"index\":1,"), ("\"index\":3,", "\"index\":7,"), ("\"index\":0,", "\"index\":0,"), ("", "")]
    {
        let stream =
            [begin(first, "a"), more(first, "1"), begin(second, "b"), more(second, "2"), end.to_owned()].concat();
        let mut calls = [(String::new(), String::new()), (String::new(), String::new())];
        for event in run(stream.as_bytes(), &[], true) {
            match event.unwrap() {
                GenerateEvent::ToolCall(part) => {
                    calls[part.index].0.push_str(&part.id.unwrap_or_default());
                    calls[part.index].1.push_str(&part.arguments);
                }
                GenerateEvent::Done(done) => assert_eq!(done.finish, rejoinder_domain::FinishReason::ToolCalls),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(calls, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())], "{first} {second}");
    }
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_answer(cuts in prop::collection::vec(0_usize..2000, 0..40), is_openai: bool) {
        let stream = if is_openai { OPENAI } else { ANTHROPIC }.as_bytes();
        prop_assert_eq!(run(stream, &cuts, is_openai), run(stream, &[], is_openai));
    }

    #[test]
    fn whatever_comes_ends(
        stream in prop::collection::vec(any::<u8>(), 0..200),
        from in 0_usize..2000,
        cuts in prop::collection::vec(0_usize..2000, 0..9),
        is_openai: bool,
    ) {
        // Noise within a real stream.
        let real = if is_openai { OPENAI } else { ANTHROPIC }.as_bytes();
        let (before, after) = real.split_at(from % real.len());
        let noisy = [before, &stream, after].concat();
        let events = run(&noisy, &cuts, is_openai);
        let ends = events.iter().filter(|event| matches!(event, Err(_) | Ok(GenerateEvent::Done(_)))).count();
        prop_assert_eq!(ends, 1);
        prop_assert!(matches!(events.last(), Some(Err(_) | Ok(GenerateEvent::Done(_)))));
    }

    #[test]
    fn a_stream_that_is_cut_short_is_no_answer(at in 0_usize..2000, is_openai: bool) {
        let real = if is_openai { OPENAI } else { ANTHROPIC };
        let end = if is_openai { "\"finish_reason\"" } else { "\"stop_reason\"" };
        let at = at % real.find(end).unwrap();
        let events = run(&real.as_bytes()[..at], &[], is_openai);
        prop_assert!(matches!(events.last(), Some(Err(_))), "{:?}", events);
    }
}
