//! Keys and URLs: what is refused, and what is never shown.

use rejoinder_domain::ErrorKind;
use rejoinder_providers::{Anthropic, OpenAiCompatible, RemoteOptions};

use crate::{ALL, KEY};

fn options(base_url: &str) -> RemoteOptions {
    let mut options = RemoteOptions::new("elsewhere", base_url, "m");
    options.api_key = Some(KEY.to_owned().into());
    options
}

#[test]
fn urls() {
    for good in [
        "https://api.openai.com/v1",
        "https://api.anthropic.com/",
        "http://127.0.0.1:8000/v1",
        "http://localhost:11434/v1",
        "http://[::1]:8080",
    ] {
        assert_eq!(options(good).validate(), Ok(()), "{good}");
    }
    for bad in [
        "http://vllm.internal:8000/v1",
        "https://user:hunter2@api.example.com",
        "https://hunter2@api.example.com",
        "https://api.example.com/v1?key=hunter2",
        "https://api.example.com/#hunter2",
        "ftp://example.com",
        "api.openai.com/v1",
        "",
    ] {
        let options = options(bad);
        let sentence = options.validate().unwrap_err();
        assert!(
            sentence.ends_with('.') && sentence.contains("elsewhere") && !sentence.contains("hunter2"),
            "{sentence}"
        );
        assert!(!format!("{options:?}").contains("hunter2"));
        assert_eq!(OpenAiCompatible::new(options.clone()).err().unwrap().kind, ErrorKind::Invalid);
        assert_eq!(Anthropic::new(options).err().unwrap().kind, ErrorKind::Invalid);
    }
    let mut allowed = options("http://vllm.internal:8000/v1");
    allowed.allow_plain_http = true;
    assert_eq!(allowed.validate(), Ok(()));
}

#[test]
fn other_options() {
    let broken: [fn(&mut RemoteOptions); 9] = [
        |options| options.name = "local".into(),
        |options| options.model.clear(),
        |options| options.api_key = Some("two\nlines".to_owned().into()),
        |options| options.api_key = Some(String::new().into()),
        |options| options.headers = vec![("content-length".into(), "3".to_owned().into())],
        |options| options.headers = vec![("not a name".into(), "3".to_owned().into())],
        |options| options.connect_timeout = std::time::Duration::ZERO,
        |options| options.max_answer_bytes = 1,
        |options| options.proxy = Some("no proxy".into()),
    ];
    for change in broken {
        let mut options = options("https://api.example.com");
        change(&mut options);
        assert!(options.validate().unwrap_err().ends_with('.'));
    }
}

#[test]
fn nothing_shows_the_key() {
    let mut options = options("https://api.example.com");
    options.headers = vec![("x-token".into(), "hunter2".to_owned().into())];
    let shown = format!("{options:?} {options:#?}");
    assert!(!shown.contains(KEY) && !shown.contains("hunter2") && shown.contains("x-token"), "{shown}");
}

/// Everything that any library says while answers fail, at the most talkative level.
#[tokio::test]
async fn no_log_holds_text_or_keys() {
    use rejoinder_scripted_provider::{Answer, Behaviour, Failure, Garbage, Script};
    let log = crate::secrets::log::install();
    tracing::error!("this is kept");
    for asked in ALL {
        for failure in [
            Failure::Garbage(Garbage::NotJson),
            Failure::Garbage(Garbage::OtherShape),
            Failure::Garbage(Garbage::HalfLine),
            Failure::Status(500, None),
            Failure::Unauthorised(401),
            Failure::BadRequest(400),
            Failure::Cut { after: 1 },
            Failure::Slow(std::time::Duration::ZERO),
        ] {
            let script = Script::always(Behaviour::Fail(failure, Answer::text("the answer's text")));
            crate::ask_scripted(asked, script, crate::request("the prompt's text")).await;
        }
    }
    let lines = log.lock().unwrap().clone();
    for secret in
        [KEY, "the prompt's text", "answer's", "surely not", "sk-wrong", "Unsupported value", "had an error while"]
    {
        let found: Vec<&String> = lines.iter().filter(|line| line.contains(secret)).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

mod log {
    //! A subscriber that keeps every event and span.

    use std::fmt::Write;
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    struct Log(Arc<Mutex<Vec<String>>>);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }

    impl Subscriber for Log {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, attributes: &Attributes<'_>) -> Id {
            let mut line = Line(attributes.metadata().target().to_owned());
            attributes.record(&mut line);
            self.0.lock().unwrap().push(line.0);
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, values: &Record<'_>) {
            let mut line = Line(String::new());
            values.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut line = Line(event.metadata().target().to_owned());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// For the whole process: libraries log on threads of their own.
    pub(super) fn install() -> Arc<Mutex<Vec<String>>> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        tracing::subscriber::set_global_default(Log(Arc::clone(&lines))).unwrap();
        lines
    }
}
