//! Every way to fail, and the kind that it is.

use std::time::Duration;

use rejoinder_domain::ErrorKind;
use rejoinder_scripted_provider::{
    Answer, Behaviour, Failure, Garbage, Mixture, RetryAfter, Script, ScriptedProvider, Wording,
};

use crate::{ALL, Api, Asked, ask, ask_scripted, request};

const TEXT: &str = "a text that the provider does not get to the end of";

async fn kind_of(asked: Asked, failure: Failure) -> ErrorKind {
    let behaviour = Behaviour::Fail(failure.clone(), Answer::text(TEXT).in_chunks_of(4));
    let (came, _provider) = ask_scripted(asked, Script::always(behaviour), request("the prompt")).await;
    let error = came.error.unwrap_or_else(|| panic!("{asked:?} {failure:?} gave {}", came.text));
    let mut said = format!("{error} {error:?}");
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    while let Some(inner) = cause {
        said = format!("{said} {inner} {inner:?}");
        cause = inner.source();
    }
    for secret in [TEXT, "the prompt", crate::KEY, "sk-wrong", "Welcome", "Unsupported", "unexpected"] {
        assert!(!said.contains(secret), "{said}");
    }
    assert!(said.starts_with("elsewhere: "), "{said}");
    error.kind
}

#[tokio::test]
async fn failures_that_pass() {
    let transient = [
        Failure::Status(500, None),
        Failure::Status(502, None),
        Failure::Status(503, None),
        Failure::Status(408, None),
        Failure::Status(409, None),
        Failure::Status(425, None),
        Failure::Cut { after: 0 },
        Failure::Cut { after: 3 },
        Failure::Close,
        Failure::NoEnd { after: 0 },
        Failure::NoEnd { after: 3 },
        Failure::Garbage(Garbage::NotJson),
        Failure::Garbage(Garbage::Html),
        Failure::Garbage(Garbage::NotUtf8),
        Failure::Garbage(Garbage::HalfLine),
        Failure::Garbage(Garbage::OtherShape),
        Failure::Garbage(Garbage::Empty),
        Failure::ErrorEvent { after: 2, overloaded: false },
    ];
    for asked in ALL {
        for failure in &transient {
            assert_eq!(kind_of(asked, failure.clone()).await, ErrorKind::Transient, "{asked:?} {failure:?}");
        }
    }
}

#[tokio::test]
async fn overload_and_how_long_to_wait() {
    let limited = |seconds: Option<u64>| ErrorKind::RateLimited { retry_after: seconds.map(Duration::from_secs) };
    for asked in ALL {
        assert_eq!(kind_of(asked, Failure::RateLimited(None)).await, limited(None));
        assert_eq!(kind_of(asked, Failure::RateLimited(Some(RetryAfter::Seconds(7)))).await, limited(Some(7)));
        assert_eq!(kind_of(asked, Failure::RateLimited(Some(RetryAfter::Millis(2000)))).await, limited(Some(2)));
        assert_eq!(kind_of(asked, Failure::Status(529, None)).await, limited(None));
        assert_eq!(kind_of(asked, Failure::Status(503, Some(RetryAfter::Seconds(9)))).await, limited(Some(9)));
        let ErrorKind::RateLimited { retry_after: Some(wait) } =
            kind_of(asked, Failure::RateLimited(Some(RetryAfter::Date(3600)))).await
        else {
            panic!("no wait")
        };
        // The test may be paused for as long as the machine likes, but not for an hour.
        assert!(wait <= Duration::from_hours(1) && !wait.is_zero(), "{wait:?}");
        assert_eq!(kind_of(asked, Failure::ErrorEvent { after: 2, overloaded: true }).await, limited(None));
    }
}

#[tokio::test]
async fn failures_that_do_not_pass() {
    for asked in ALL {
        for wording in [Wording::Own, Wording::LlamaCpp, Wording::Vllm, Wording::VllmNested, Wording::PromptAndAnswer] {
            assert_eq!(
                kind_of(asked, Failure::ContextTooLong(wording)).await,
                ErrorKind::ContextTooLong,
                "{wording:?}"
            );
        }
        assert_eq!(kind_of(asked, Failure::Status(413, None)).await, ErrorKind::ContextTooLong);
        for status in [401, 403] {
            assert_eq!(kind_of(asked, Failure::Unauthorised(status)).await, ErrorKind::Auth);
        }
        assert_eq!(kind_of(asked, Failure::QuotaExhausted).await, ErrorKind::Auth);
        assert_eq!(kind_of(asked, Failure::UnknownModel).await, ErrorKind::NotFound);
        for status in [400, 422] {
            assert_eq!(kind_of(asked, Failure::BadRequest(status)).await, ErrorKind::Invalid);
        }
        assert_eq!(kind_of(asked, Failure::ContentFilter { after: 2 }).await, ErrorKind::Refused);
        assert_eq!(kind_of(asked, Failure::Refusal).await, ErrorKind::Refused, "{asked:?}");
    }
}

#[tokio::test]
async fn what_came_before_a_failure_is_delivered_before_it() {
    for asked in ALL.into_iter().filter(|asked| asked.streams) {
        let after = 3;
        for failure in
            [Failure::Cut { after }, Failure::NoEnd { after }, Failure::ErrorEvent { after, overloaded: true }]
        {
            let behaviour = Behaviour::Fail(failure.clone(), Answer::text(TEXT).in_chunks_of(4));
            let (came, _provider) = ask_scripted(asked, Script::always(behaviour), request("the prompt")).await;
            assert_eq!(came.text, TEXT[..12], "{asked:?} {failure:?}");
            assert!(came.error.is_some());
        }
    }
}

#[tokio::test]
async fn no_answer_is_cut_silently() {
    for asked in ALL {
        let mut mixture = Mixture::new(4, 0.7, Answer::text(TEXT).in_chunks_of(4));
        // Whoever waits for those needs a time-out, which is a router's.
        mixture.kinds.retain(|kind| !matches!(kind, Failure::Stall { .. } | Failure::Hang));
        for kind in &mut mixture.kinds {
            if let Failure::Slow(wait) = kind {
                *wait = Duration::from_millis(1);
            }
        }
        let provider = ScriptedProvider::start(Script::mixture(mixture)).await.unwrap();
        let model = asked.model(asked.options(&provider.base_url()));
        let mut whole = 0;
        for _ in 0..200 {
            let came = ask(model.as_ref(), request("the prompt")).await;
            if came.done.is_some() {
                assert_eq!(came.text, TEXT, "{asked:?}");
                whole += 1;
            }
        }
        provider.idle().await;
        let billed = provider.billed();
        assert_eq!(whole, billed["answered"].requests + billed["slow"].requests, "{asked:?} {billed:?}");
        assert_eq!(billed.values().map(|billed| billed.requests).sum::<usize>(), 200);
    }
}

#[tokio::test]
async fn nothing_is_tried_twice() {
    for asked in ALL {
        for failure in [
            Failure::Status(500, None),
            Failure::RateLimited(Some(RetryAfter::Seconds(0))),
            Failure::Close,
            Failure::Cut { after: 1 },
        ] {
            let (_, provider) = ask_scripted(asked, Script::always(failure), request("the prompt")).await;
            assert_eq!(provider.requests(), 1, "{asked:?}");
        }
    }
}

#[tokio::test]
async fn the_prompt_follows_no_redirect() {
    for asked in ALL {
        let elsewhere = ScriptedProvider::start(Script::always(Answer::echo())).await.unwrap();
        let to = format!("{}/v1/chat/completions", elsewhere.base_url());
        assert_eq!(kind_of(asked, Failure::Redirect(to)).await, ErrorKind::Invalid);
        assert_eq!(elsewhere.requests(), 0);
    }
}

#[tokio::test]
async fn an_answer_without_end_ends() {
    for asked in ALL {
        for failure in [Failure::Endless, Failure::EndlessLine] {
            let provider = ScriptedProvider::start(Script::always(failure.clone())).await.unwrap();
            let mut options = asked.options(&provider.base_url());
            options.max_answer_bytes = 200_000;
            let came = ask(asked.model(options).as_ref(), request("hi")).await;
            assert_eq!(came.kind(), Some(ErrorKind::Transient), "{asked:?} {failure:?}");
            assert!(came.text.len() < 200_000);
            provider.idle().await;
            assert_eq!(provider.billed()["disconnected"].requests, 1);
        }
    }
}

#[tokio::test]
async fn an_answer_that_says_that_it_is_complete_is() {
    // The connection breaks after the reason of the end, before the usage and the last event.
    let end = Asked { api: Api::OpenAi, streams: true };
    let body = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"all\"},\"finish_reason\":\"stop\"}]}\n\n";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n";
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    });
    let came = ask(end.model(end.options(&format!("http://{address}"))).as_ref(), request("hi")).await;
    assert_eq!(came.text, "all");
    assert!(came.done.unwrap().usage.output >= 1);
}
