//! Caches: what is reused, what is not, what happens when memory is short.

use rejoinder_domain::{ChatMessage, ChatRole, ErrorKind, GenerateRequest, Priority};

use super::harness::{Harness, options, request, tenant};
use super::toy::PAGE;
use crate::options::ServingOptions;
use crate::queue::lock;
use crate::scheduler::Order;

const INSTRUCTIONS: &str = "You answer customers of a shop, in their language, in short and polite sentences.";

fn conversation(messages: &[&str]) -> GenerateRequest {
    let roles = [ChatRole::System, ChatRole::User, ChatRole::Assistant];
    let role = |index: usize| if index == 0 { roles[0] } else { roles[2 - index % 2] };
    let messages =
        messages.iter().enumerate().map(|(index, text)| ChatMessage::new(role(index), text.trim())).collect();
    GenerateRequest { messages, ..request("", 30) }
}

#[test]
fn instructions_are_computed_once_for_each_tenant() {
    let mut harness = Harness::new(&options());
    let system = harness.prompt(&conversation(&[INSTRUCTIONS])).len();
    let mut cached = |name: &str, text: &str| {
        let asked = GenerateRequest { tenant: tenant(name), ..conversation(&[INSTRUCTIONS, text]) };
        let expected = harness.expected(&asked).unwrap();
        let mut answer = harness.answer(asked);
        assert_eq!(answer.whole(), expected);
        answer.generated().usage.cached_input
    };
    assert_eq!(cached("acme", "Where is my refund?"), 0);
    let reused = cached("acme", "Is the shop open on Sunday?");
    assert!(reused + 20 > system && reused > 60, "{reused} of {system}");
    assert_eq!(cached("other", "Where is my refund?"), 0, "never across tenants");
    assert!(cached("other", "Is the shop open?") > 60);
}

#[test]
fn a_conversation_that_grows_is_reused_with_its_answers() {
    let mut harness = Harness::new(&options());
    let first = conversation(&[INSTRUCTIONS, "Where is my refund?"]);
    let mut answer = harness.answer(first.clone());
    let text = answer.read().text.clone();
    let second = conversation(&[INSTRUCTIONS, "Where is my refund?", &text, "Thank you. And my invoice?"]);
    let expected = harness.expected(&second).unwrap();
    let mut answer = harness.answer(second);
    assert_eq!(answer.whole(), expected);
    assert!(answer.generated().usage.cached_input >= harness.prompt(&first).len(), "{:?}", answer.generated());
    // The two are one entry beside the instructions.
    assert_eq!(harness.scheduler.metrics.reuse_entries, 2);
}

#[test]
fn the_same_question_is_computed_in_its_last_token_only() {
    let mut harness = Harness::new(&ServingOptions { lookup: false, ..options() });
    let asked = conversation(&[INSTRUCTIONS, "Where is my refund?"]);
    let first = harness.answer(asked.clone()).whole();
    let calls = harness.calls();
    let mut second = harness.answer(asked.clone());
    assert_eq!(second.whole(), first);
    let prompt = harness.prompt(&asked).len();
    assert_eq!(second.generated().usage.cached_input, prompt - 1);
    assert_eq!(lock(&harness.controls.calls)[calls][0].new, 1);
}

#[test]
fn a_tenant_can_be_forgotten() {
    let mut harness = Harness::new(&options());
    let asked = |name: &str| GenerateRequest { tenant: tenant(name), ..conversation(&[INSTRUCTIONS, "Hello?"]) };
    harness.answer(asked("acme"));
    harness.answer(asked("other"));
    harness.orders.push(Priority::Interactive, Order::Forget(tenant("acme"))).unwrap();
    assert_eq!(harness.answer(asked("acme")).generated().usage.cached_input, 0);
    assert!(harness.answer(asked("other")).generated().usage.cached_input > 0);
}

#[test]
fn nothing_is_kept_where_nothing_may_be() {
    let mut harness = Harness::new(&ServingOptions { reuse_bytes: 0, ..options() });
    let asked = conversation(&[INSTRUCTIONS, "Where is my refund?"]);
    harness.answer(asked.clone());
    assert_eq!(harness.controls.pages(), 0);
    assert_eq!(harness.answer(asked).generated().usage.cached_input, 0);
}

#[test]
fn beginnings_give_way_to_live_requests() {
    // Room for one request of some 270 tokens and its answer, not for two.
    let bytes = 25 * PAGE;
    let mut harness = Harness::new(&ServingOptions { cache_bytes: bytes, reuse_bytes: bytes, ..options() });
    for index in 0..6 {
        let text = format!("{index}{}", " refund".repeat(45));
        let asked = GenerateRequest { tenant: tenant(&format!("tenant-{index}")), ..request(&text, 40) };
        assert!(harness.prompt(&asked).len() > 250);
        let expected = harness.expected(&asked);
        assert_eq!(Some(harness.answer(asked).whole()), expected);
    }
    assert_eq!(harness.scheduler.metrics.preempted, 0);
    assert_eq!(harness.scheduler.metrics.finished, 6);
}

#[test]
fn requests_take_turns_when_memory_is_short() {
    // Four requests of some 200 tokens each in room for two; the prompts differ from the first token on.
    let bytes = 30 * PAGE;
    for reuse_bytes in [0, bytes] {
        let mut harness = Harness::new(&ServingOptions { cache_bytes: bytes, reuse_bytes, ..options() });
        let asked: Vec<_> = (0..6)
            .map(|index| {
                let text = format!("{index}{}", [" refund", " invoice"][index % 2].repeat(18));
                let priority = if index % 3 == 0 { Priority::Batch } else { Priority::Interactive };
                GenerateRequest { tenant: tenant(&format!("tenant-{index}")), priority, ..request(&text, 70) }
            })
            .collect();
        let mut callers: Vec<_> = asked.iter().map(|asked| harness.ask(asked.clone())).collect();
        harness.settle();
        for (caller, asked) in callers.iter_mut().zip(&asked) {
            assert_eq!(Some(caller.read().whole()), harness.expected(asked));
        }
        assert!(harness.scheduler.metrics.preempted > 0, "memory was not short");
    }
}

#[test]
fn a_request_that_does_not_fit_even_alone_fails_typed_and_alone() {
    let bytes = 10 * PAGE;
    let mut harness = Harness::new(&ServingOptions { cache_bytes: bytes, reuse_bytes: bytes, ..options() });
    let mut large = harness.ask(request(&"refund ".repeat(40), 10));
    let mut small = harness.ask(request("refund", 10));
    harness.settle();
    assert_eq!(large.error().kind, ErrorKind::ContextTooLong);
    assert!(large.error().message.contains("cache_bytes"));
    assert_eq!(Some(small.read().whole()), harness.expected(&request("refund", 10)));
}

#[test]
fn no_page_is_lost() {
    let mut harness = Harness::new(&options());
    for index in 0..10 {
        let caller = harness.ask(conversation(&[INSTRUCTIONS, &format!("question {index}")]));
        for _ in 0..index {
            harness.scheduler.turn();
        }
        // Every other caller goes away in between.
        if index % 2 == 0 {
            drop(caller);
        }
    }
    harness.settle();
    assert!(harness.controls.pages() > 0);
    while harness.scheduler.kept.evict() {}
    assert_eq!(harness.controls.pages(), 0);
}
