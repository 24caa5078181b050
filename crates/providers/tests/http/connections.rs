//! Connections: made, used again, and closed at once when nobody waits any more.

use std::time::Duration;

use futures::StreamExt;
use rejoinder_domain::{ErrorKind, GenerateEvent};
use rejoinder_scripted_provider::{Answer, Behaviour, Failure, Script, ScriptedProvider, unresponsive_address};

use crate::{ALL, ask, request};

#[tokio::test]
async fn a_finished_answer_leaves_its_connection_to_the_next() {
    for asked in ALL {
        let script = Script::sequence([
            Behaviour::from(Answer::echo()),
            Failure::RateLimited(None).into(),
            Answer::echo().into(),
            Answer::echo().into(),
        ]);
        let provider = ScriptedProvider::start(script).await.unwrap();
        let model = asked.model(asked.options(&provider.base_url()));
        for _ in 0..4 {
            ask(model.as_ref(), request("hello")).await;
        }
        assert_eq!((provider.requests(), provider.connections()), (4, 1), "{asked:?}");
    }
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    for asked in ALL.into_iter().filter(|asked| asked.streams) {
        for failure in [Failure::Stall { after: 2 }, Failure::Endless] {
            let provider = ScriptedProvider::start(Script::always(failure)).await.unwrap();
            let model = asked.model(asked.options(&provider.base_url()));
            let mut stream = model.generate(request("a text of some length")).await.unwrap();
            assert!(matches!(stream.next().await, Some(Ok(GenerateEvent::Text(_)))));
            assert_eq!(provider.open(), 1);
            drop(stream);
            provider.idle().await;
            assert_eq!(provider.billed()["disconnected"].requests, 1, "{asked:?}");
        }
    }
}

#[tokio::test]
async fn dropping_the_call_closes_the_connection() {
    for asked in ALL {
        let provider = ScriptedProvider::start(Script::always(Failure::Hang)).await.unwrap();
        let model = asked.model(asked.options(&provider.base_url()));
        let call = tokio::spawn(async move { model.generate(request("hi")).await.map(|_| ()) });
        provider.wait_for_open(1).await;
        call.abort();
        provider.idle().await;
        assert_eq!(provider.billed()["disconnected"].requests, 1, "{asked:?}");
    }
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_given_up() {
    let nobody = unresponsive_address().await.unwrap();
    for asked in ALL {
        let mut options = asked.options(&nobody.base_url());
        options.connect_timeout = Duration::from_millis(50);
        let came = ask(asked.model(options).as_ref(), request("hi")).await;
        assert_eq!(came.kind(), Some(ErrorKind::Transient));
        assert_eq!(came.error.unwrap().to_string(), "elsewhere: no connection in time");
    }
}

#[tokio::test]
async fn an_address_that_refuses_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for asked in ALL {
        let came = ask(asked.model(asked.options(&format!("http://{address}"))).as_ref(), request("hi")).await;
        assert_eq!(came.error.unwrap().to_string(), "elsewhere: no connection");
    }
}

#[tokio::test]
async fn many_at_once() {
    for asked in ALL.into_iter().filter(|asked| asked.streams) {
        let provider = ScriptedProvider::start(Script::always(Answer::echo().in_chunks_of(2))).await.unwrap();
        let model = asked.model(asked.options(&provider.base_url()));
        let answers = (0..64).map(|number| {
            let model = model.as_ref();
            async move { (number, ask(model, request(&format!("question number {number}"))).await.text) }
        });
        for (number, text) in futures::future::join_all(answers).await {
            assert_eq!(text, format!("question number {number}"));
        }
    }
}

#[tokio::test]
async fn a_proxy_is_used_where_it_was_configured() {
    for asked in ALL {
        let proxy = ScriptedProvider::start(Script::always(Answer::echo())).await.unwrap();
        let mut options = asked.options("http://provider.invalid");
        options.allow_plain_http = true;
        options.proxy = Some(proxy.base_url());
        let came = ask(asked.model(options).as_ref(), request("through the proxy")).await;
        assert_eq!(came.text, "through the proxy");
        assert_eq!(proxy.received()[0].header("host"), Some("provider.invalid"));
    }
}

/// The environment belongs to the process, so another one runs one of the tests above.
#[test]
fn a_proxy_of_the_environment_is_not_used() {
    let nobody = "http://127.0.0.1:9";
    let mut tests = std::process::Command::new(std::env::current_exe().unwrap());
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        tests.env(name, nobody);
    }
    for name in ["NO_PROXY", "no_proxy"] {
        tests.env_remove(name);
    }
    let output = tests.args(["--exact", "answers::text_usage_and_end"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn https_is_never_anything_less() {
    for asked in ALL {
        let plain = ScriptedProvider::start(Script::always(Answer::echo())).await.unwrap();
        let mut options = asked.options(&plain.base_url());
        options.base_url = options.base_url.replace("http://", "https://");
        let came = ask(asked.model(options).as_ref(), request("hi")).await;
        assert_eq!((came.kind(), plain.requests()), (Some(ErrorKind::Transient), 0), "{asked:?}");
    }
}
