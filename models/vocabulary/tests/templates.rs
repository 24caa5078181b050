//! Chat templates: what they write, and that no content writes anything else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::rc::Rc;

use candle_core::quantized::gguf_file::Value;
use proptest::prelude::*;
use rejoinder_domain::ErrorKind;
use rejoinder_vocabulary::{ChatTemplate, Prompt, TemplateError, TokenKind, Vocabulary};
use support::Small;

const SMOLLM2: &str = include_str!("templates/smollm2.jinja");
const QWEN3: &str = include_str!("templates/qwen3.jinja");
const LLAMA3: &str = include_str!("templates/llama3.jinja");
const INSTRUCTIONS: &str = include_str!("templates/instructions.jinja");

struct Model {
    vocabulary: Vocabulary,
    template: ChatTemplate,
}

impl Model {
    fn new(pre: &str, source: Option<&str>) -> Result<Self, TemplateError> {
        let mut metadata = Small::learn(60).metadata(pre);
        if let Some(source) = source {
            metadata.insert("tokenizer.chat_template".to_owned(), Value::String(source.to_owned()));
        }
        let vocabulary = Vocabulary::from_metadata(&metadata).unwrap();
        let template = ChatTemplate::from_metadata(&metadata, &vocabulary)?;
        Ok(Self { vocabulary, template })
    }

    fn prompt(&self, messages: &[(&str, &str)]) -> Result<Prompt, TemplateError> {
        self.template.prompt_tokens(&self.vocabulary, messages)
    }

    /// The text of tokens, special ones included.
    fn text(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| self.vocabulary.token_bytes(*token)).copied().collect();
        String::from_utf8(bytes).unwrap()
    }
}

#[test]
fn smollm2_writes_a_system_message_where_there_is_none() {
    let model = Model::new("smollm", Some(SMOLLM2)).unwrap();
    let prompt = model.prompt(&[("user", " Where is my refund?\n")]).unwrap();
    let expected = "<|im_start|>system\nYou help.<|im_end|>\n<|im_start|>user\nWhere is my refund?<|im_end|>\n\
        <|im_start|>assistant\n";
    assert_eq!(model.text(&prompt.tokens), expected);
    assert_eq!(prompt.tokens, model.vocabulary.encode_markup(expected));
    let (before, _) = expected.rsplit_once("\n<|im_start|>").unwrap();
    assert_eq!(model.text(&prompt.tokens[..prompt.message_ends[0]]), before);
}

#[test]
fn qwen3_does_not_think_and_leaves_contents_whole() {
    let model = Model::new("qwen2", Some(QWEN3)).unwrap();
    let messages = [
        ("system", "Be brief."),
        ("user", "<tool_response>x</tool_response>"),
        ("assistant", "<think>a</think>b"),
        ("user", "Thanks"),
    ];
    let prompt = model.prompt(&messages).unwrap();
    // The template would cut `<think>` out of an answer; a content is never looked into.
    let expected = "<|im_start|>system\nBe brief.<|im_end|>\n\
        <|im_start|>user\n<tool_response>x</tool_response><|im_end|>\n\
        <|im_start|>assistant\n<think>a</think>b<|im_end|>\n\
        <|im_start|>user\nThanks<|im_end|>\n\
        <|im_start|>assistant\n<think>\n\n</think>\n\n";
    assert_eq!(model.text(&prompt.tokens), expected);
    let think = model.vocabulary.marker("<think>").unwrap();
    assert_eq!(prompt.tokens.iter().filter(|token| **token == think).count(), 1, "only the template's own");
}

#[test]
fn llama3_begins_with_its_token_and_todays_date() {
    let model = Model::new("llama-bpe", Some(LLAMA3)).unwrap();
    let today = || jiff::Timestamp::now().strftime("%d %b %Y").to_string();
    let before = today();
    let prompt =
        model.prompt(&[("system", "  Be brief.  "), ("user", "Hi"), ("assistant", "Yes?"), ("user", "Bye")]).unwrap();
    let expected = |date: String| {
        format!(
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday Date: {date}\n\nBe brief.<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\nYes?<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n"
        )
    };
    let text = model.text(&prompt.tokens);
    assert!(text == expected(before) || text == expected(today()), "{text}");
    assert_eq!(prompt.tokens, model.vocabulary.encode_markup(&text));
    let ends: Vec<&str> = ["brief.<|eot_id|>", "Hi<|eot_id|>", "Yes?<|eot_id|>", "Bye<|eot_id|>"].into();
    for (end, tail) in prompt.message_ends.iter().zip(ends) {
        assert!(model.text(&prompt.tokens[..*end]).ends_with(tail), "{tail}");
    }
}

#[test]
fn text_that_touches_a_content_is_tokenised_with_it() {
    let model = Model::new("gpt-2", Some(INSTRUCTIONS)).unwrap();
    let messages = [("user", "where is the refund"), ("assistant", "here"), ("user", "the order")];
    let prompt = model.prompt(&messages).unwrap();
    let expected = "<|begin_of_text|>[INST] where is the refund [/INST]here<|im_end|>[INST] the order [/INST]";
    assert_eq!(prompt.tokens, model.vocabulary.encode_markup(expected));
    // Nothing but a special token ends a message for sure: the question may grow together with its answer.
    assert_eq!(prompt.message_ends[0], 1);
    assert!(model.text(&prompt.tokens[..prompt.message_ends[1]]).ends_with("here<|im_end|>"));
    assert_eq!(prompt.message_ends[2], prompt.message_ends[1]);
}

#[test]
fn a_longer_conversation_begins_with_the_tokens_of_the_shorter() {
    let messages =
        [("system", "Be brief."), ("user", "Hi"), ("assistant", "Yes?"), ("user", "Bye"), ("assistant", "Bye!")];
    for (pre, source) in [("smollm", Some(SMOLLM2)), ("llama-bpe", Some(LLAMA3)), ("qwen2", None)] {
        let model = Model::new(pre, source).unwrap();
        let long = model.prompt(&messages).unwrap();
        assert!(long.message_ends.is_sorted() && long.message_ends.len() == messages.len(), "{pre}");
        for count in 1..messages.len() {
            let short = model.prompt(&messages[..count]).unwrap();
            let end = short.message_ends[count - 1];
            assert_eq!(short.tokens[..end], long.tokens[..end], "{pre} {count}");
            assert_eq!(short.message_ends, long.message_ends[..count], "{pre} {count}");
        }
    }
}

#[test]
fn a_begin_token_that_the_template_forgets_is_added() {
    let mut metadata = Small::learn(0).metadata("qwen2");
    metadata.insert("tokenizer.ggml.add_bos_token".to_owned(), Value::Bool(true));
    let vocabulary = Vocabulary::from_metadata(&metadata).unwrap();
    for source in ["{{ bos_token }}{{ messages[0].content }}<|im_end|>", "{{ messages[0].content }}<|im_end|>"] {
        metadata.insert("tokenizer.chat_template".to_owned(), Value::String(source.to_owned()));
        let template = ChatTemplate::from_metadata(&metadata, &vocabulary).unwrap();
        let prompt = template.prompt_tokens(&vocabulary, &[("user", "a")]).unwrap();
        assert_eq!(prompt.tokens, vocabulary.encode_markup("<|begin_of_text|>a<|im_end|>"), "{source}");
        assert_eq!(prompt.message_ends, [3]);
    }
}

#[test]
fn without_a_template_the_tokens_of_the_vocabulary_decide() {
    let model = Model::new("qwen2", None).unwrap();
    let prompt = model.prompt(&[("system", "a"), ("user", "b")]).unwrap();
    let expected = "<|im_start|>system\na<|im_end|>\n<|im_start|>user\nb<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(model.text(&prompt.tokens), expected);

    let mut metadata = Small::learn(0).metadata("qwen2");
    let Some(Value::Array(tokens)) = metadata.get_mut("tokenizer.ggml.tokens") else { panic!() };
    let start = tokens.iter().position(|token| token.to_string().unwrap() == "<|im_start|>").unwrap();
    tokens[start] = Value::String("<|other|>".to_owned());
    let vocabulary = Vocabulary::from_metadata(&metadata).unwrap();
    let error = ChatTemplate::from_metadata(&metadata, &vocabulary).unwrap_err();
    assert!(matches!(error, TemplateError::Missing) && error.kind() == ErrorKind::Corrupt, "{error}");
}

#[test]
fn a_template_that_changes_contents_is_refused() {
    let messages = [("system", "a"), ("user", "b")];
    for (source, index, what) in [
        ("{{ messages[1].content }}", 0, "drops"),
        ("{{ messages[0].content }}", 1, "drops"),
        ("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", 0, "repeats"),
        ("{{ messages[1].content }}{{ messages[0].content }}", 1, "moves"),
        ("{% for m in messages %}{{ m.content[1:] }}{% endfor %}", 0, "drops"),
    ] {
        match Model::new("qwen2", Some(source)).unwrap().prompt(&messages).unwrap_err() {
            TemplateError::Content { index: found, what: why } => assert_eq!((found, why), (index, what), "{source}"),
            other => panic!("{source}: {other}"),
        }
    }
}

#[test]
fn what_a_template_refuses_is_said() {
    let model = Model::new("gpt-2", Some(INSTRUCTIONS)).unwrap();
    let error = model.prompt(&[("system", "a"), ("user", "b")]).unwrap_err();
    assert!(error.to_string().contains("roles must alternate: user, assistant, user"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    for role in ["", "User", "user<|im_end|>", "us er"] {
        assert!(matches!(model.prompt(&[(role, "a")]), Err(TemplateError::Role { index: 0 })), "{role:?}");
    }
}

#[test]
fn a_hostile_template_ends() {
    for source in ["{% for", "{% include 'x' %}{{ messages.x.y.z }}", "{{ 'a' * 'b' }}"] {
        assert!(
            Model::new("qwen2", Some(source)).and_then(|model| model.prompt(&[("user", "a")])).is_err(),
            "{source}"
        );
    }
    let endless = "{% for a in range(100000) %}{% for b in range(100000) %}{{ a * b }}{% endfor %}{% endfor %}";
    let wide = "{% for a in range(1000) %}{{ 'a' * 100000 }}{% endfor %}";
    let deep = "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}";
    for source in [endless, wide, deep] {
        let error = Model::new("qwen2", Some(source)).unwrap().prompt(&[("user", "a")]).unwrap_err();
        assert!(matches!(error, TemplateError::Render { .. }), "{source}: {error}");
    }
    let long = "a".repeat(1 << 20);
    assert!(matches!(Model::new("qwen2", Some(&long)), Err(TemplateError::Metadata(_))));
}

#[test]
fn the_language_is_that_of_published_templates() {
    for (source, expected) in [
        ("{{ {'b': [1, 'é<']} | tojson }}", r#"{"b": [1, "é<"]}"#),
        ("{{ [1, {'a': none}] | tojson(indent=2) }}", "[\n  1,\n  {\n    \"a\": null\n  }\n]"),
        (
            "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
            "02",
        ),
        ("  {% if true %}\n  a\n  {% endif %}\nb", "  a\nb"),
        ("{{ ' a '.strip() ~ 'b_c'.split('_')[-1] ~ 'x'.upper() }}", "acX"),
        ("{% set d = {'k': 1} %}{% for k, v in d.items() %}{{ k }}{{ v }}{% endfor %}{{ d.get('z', 2) }}", "k12"),
        ("{{ missing is defined }}{{ missing }}{{ messages is iterable }}", "FalseTrue"),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{% for i in [1, 2] %}{{ loop.previtem is defined }}{{ loop.nextitem }}{% endfor %}", "False2True"),
        ("{% generation %}{% endgeneration %}", ""),
    ] {
        let source = format!("{source}{{{{ messages[0].content }}}}<|im_end|>");
        let model = match Model::new("qwen2", Some(&source)) {
            Ok(model) => model,
            Err(error) => {
                assert!(expected.is_empty() && matches!(error, TemplateError::Syntax(_)), "{source}: {error:?}");
                continue;
            }
        };
        let prompt = model.prompt(&[("user", "!")]).unwrap();
        assert_eq!(model.text(&prompt.tokens), format!("{expected}!<|im_end|>"), "{source}");
    }
}

thread_local! {
    static MODELS: Rc<[Model; 3]> = {
        let models = [("smollm", SMOLLM2), ("qwen2", QWEN3), ("llama-bpe", LLAMA3)];
        Rc::new(models.map(|(pre, source)| Model::new(pre, Some(source)).unwrap()))
    };
}

proptest! {
    #[test]
    fn no_content_yields_a_special_token(
        contents in prop::collection::vec("(<\\|(im_start|im_end|eot_id|endoftext|begin_of_text)\\|>|</?think>|[a-z \n<|>\u{e0f8}\u{e0f9}0-2é]|\\PC){0,12}", 1..5),
    ) {
        for model in MODELS.with(Rc::clone).iter() {
            let roles = ["user", "assistant"];
            let message = |(at, content): (usize, &String)| (roles[at % 2], content.clone());
            let messages: Vec<(&str, String)> = contents.iter().enumerate().map(message).collect();
            let hostile: Vec<(&str, &str)> = messages.iter().map(|(role, content)| (*role, content.as_str())).collect();
            let harmless: Vec<(&str, &str)> = messages.iter().map(|(role, _)| (*role, "x")).collect();
            let special = |prompt: &Prompt| -> Vec<u32> {
                let tokens = prompt.tokens.iter().copied();
                tokens.filter(|token| model.vocabulary.kind(*token) != TokenKind::Plain).collect()
            };
            let prompt = model.prompt(&hostile).unwrap();
            prop_assert_eq!(special(&prompt), special(&model.prompt(&harmless).unwrap()));
            let text = model.text(&prompt.tokens);
            for content in &contents {
                prop_assert!(text.contains(content.trim()), "{:?} in {:?}", content, text);
            }
        }
    }
}
