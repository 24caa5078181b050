//! What an answer says and costs.

use rejoinder_domain::{FinishReason, OutputFormat, TokenUsage};
use rejoinder_providers::StructuredOutput;
use rejoinder_scripted_provider::{Answer, Failure, Script, Usage};
use serde_json::json;

use crate::{ALL, Api, ask, ask_scripted, request};

#[tokio::test]
async fn text_usage_and_end() {
    for asked in ALL {
        let answer = Answer::text("Schöne Grüße 🙂 — bis bald!")
            .in_chunks_of(3)
            .with_reasoning("nobody hears this")
            .with_usage(Usage::Fixed { input: 120, cached: 100, output: 9 });
        let (came, provider) = ask_scripted(asked, Script::always(answer), request("hello")).await;
        assert_eq!(came.text, "Schöne Grüße 🙂 — bis bald!", "{asked:?}");
        assert_eq!(came.texts, if asked.streams { 9 } else { 1 }, "{asked:?}");
        let generated = came.done.unwrap();
        assert_eq!(generated.finish, FinishReason::Stop);
        assert_eq!(generated.usage, TokenUsage { input: 120, cached_input: 100, output: 9 }, "{asked:?}");
        provider.idle().await;
        assert_eq!(provider.billed_in_all().output, 9);
    }
}

#[tokio::test]
async fn an_empty_answer_is_one() {
    for asked in ALL {
        let (came, _provider) = ask_scripted(asked, Script::always(Answer::text("")), request("hello")).await;
        assert_eq!((came.text.as_str(), came.done.unwrap().finish), ("", FinishReason::Stop), "{asked:?}");
    }
}

#[tokio::test]
async fn usage_is_estimated_where_it_is_not_told() {
    for asked in ALL {
        let answer = Answer::text("Thank you for your message.").with_usage(Usage::Untold);
        let (came, _provider) = ask_scripted(asked, Script::always(answer), request("Where is my refund?")).await;
        let usage = came.done.unwrap().usage;
        assert!((6..=14).contains(&usage.output) && (12..=40).contains(&usage.input), "{asked:?} {usage:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_says_so() {
    for asked in ALL {
        let mut question = request("hello");
        question.max_tokens = 3;
        let script = Script::always(Answer::text("one two three four five six"));
        let (came, _provider) = ask_scripted(asked, script, question).await;
        assert_eq!(
            (came.text.as_str(), came.done.unwrap().finish),
            ("one two thre", FinishReason::Length),
            "{asked:?}"
        );
    }
}

#[tokio::test]
async fn a_form_that_is_cut_is_an_error() {
    for asked in ALL {
        let mut question = request("hello");
        question.max_tokens = 2;
        question.output = OutputFormat::Json(json!({"type": "object", "properties": {"a": {"type": "string"}}}));
        let script = Script::always(Answer::text(r#"{"a": "a long te"#));
        let (came, _provider) = ask_scripted(asked, script, question).await;
        assert_eq!(came.kind(), Some(rejoinder_domain::ErrorKind::OutputIncomplete), "{asked:?}");
    }
}

#[tokio::test]
async fn json_comes_as_text_natively_and_by_a_tool() {
    let value = json!({"amount": 12, "items": ["ä", "b"]});
    for asked in ALL {
        for mode in [StructuredOutput::Native, StructuredOutput::Tool] {
            let provider =
                rejoinder_scripted_provider::ScriptedProvider::start(Script::always(Answer::json(value.clone())))
                    .await
                    .unwrap();
            let mut options = asked.options(&provider.base_url());
            options.structured_output = mode;
            let mut question = request("how much?");
            question.output =
                OutputFormat::Json(json!({"type": "object", "properties": {"amount": {"type": "integer"}}}));
            let came = ask(asked.model(options).as_ref(), question).await;
            let answer: serde_json::Value = serde_json::from_str(&came.text).unwrap();
            assert_eq!(answer, value, "{asked:?} {mode:?}");
            assert!(came.calls.is_empty());
            assert_eq!(came.done.unwrap().finish, FinishReason::Stop);
            let sent = &provider.received()[0].body;
            let by_tool = sent.get("tools").is_some();
            assert_eq!(by_tool, mode == StructuredOutput::Tool, "{sent}");
        }
    }
}

#[tokio::test]
async fn a_choice_is_one_of_the_texts() {
    for asked in ALL {
        let mut question = request("which?");
        question.output = OutputFormat::Choice(vec!["refund".into(), "exchange".into()]);
        let script = Script::always(Answer::json(json!({"answer": "exchange"})));
        let (came, _provider) = ask_scripted(asked, script, question.clone()).await;
        assert_eq!(came.text, "exchange", "{asked:?}");
        let script = Script::always(Answer::json(json!({"answer": "neither"})));
        let (came, _provider) = ask_scripted(asked, script, question.clone()).await;
        assert_eq!(came.kind(), Some(rejoinder_domain::ErrorKind::OutputInvalid), "{asked:?}");
        let (came, _provider) = ask_scripted(asked, Script::always(Failure::WrongSchema), question).await;
        assert_eq!(came.kind(), Some(rejoinder_domain::ErrorKind::OutputInvalid), "{asked:?}");
    }
}

#[tokio::test]
async fn what_no_provider_enforces_is_refused_before_it_is_sent() {
    for asked in ALL {
        let mut question = request("which?");
        question.output = OutputFormat::Regex("[a-z]+".into());
        let (came, provider) = ask_scripted(asked, Script::always(Answer::echo()), question).await;
        assert_eq!(came.kind(), Some(rejoinder_domain::ErrorKind::Invalid), "{asked:?}");
        assert_eq!(provider.requests(), 0);
    }
}

#[tokio::test]
async fn the_answer_ends_before_a_stop_text_that_the_provider_does_not_know() {
    for asked in ALL {
        let mut question = request("hello");
        // OpenAI takes four; Anthropic none of white space. The script looks for none at all.
        let stop = if asked.api == Api::OpenAi { ["1", "2", "3", "4", "END"] } else { ["\n\n"; 5] };
        question.stop = stop.map(str::to_owned).to_vec();
        let text = if asked.api == Api::OpenAi { "so far EN END and more" } else { "so far EN \n\n and more" };
        let script = Script::always(Answer::text(text).in_chunks_of(1));
        let (came, provider) = ask_scripted(asked, script, question).await;
        assert_eq!((came.text.as_str(), came.done.unwrap().finish), ("so far EN ", FinishReason::Stop), "{asked:?}");
        provider.idle().await;
    }
}
