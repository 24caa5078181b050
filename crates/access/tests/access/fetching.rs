//! When an issuer's keys are fetched, and what happens when they cannot be.

use std::sync::Arc;

use rejoinder_access::{AuthError, IssuerConfig};
use serde_json::json;
use tokio::sync::Notify;

use crate::provider::{Answer, ISSUER, Provider, SigningKey, World, claims, key_set};

const DOWN: AuthError = AuthError::Unavailable("keys of the issuer");
const UNKNOWN: AuthError = AuthError::Invalid("no such signing key");

fn old_keys() -> Answer {
    Answer::Keys(key_set(&[("old", SigningKey::rsa(0))]))
}

fn old_token() -> String {
    SigningKey::rsa(0).token("old", &claims())
}

/// `max_age_seconds` is below the ten minutes that the tokens are good for.
fn config(provider: &Provider) -> IssuerConfig {
    IssuerConfig { max_age_seconds: 100, min_refresh_seconds: 10, max_stale_seconds: 300, ..provider.config() }
}

#[tokio::test]
async fn a_rotation_is_noticed_by_the_first_token_of_the_new_key() {
    let provider = Provider::start(old_keys()).await;
    let world = World::new(vec![config(&provider)]);
    let new = SigningKey::rsa(1).token("new", &claims());
    assert!(world.ask(&old_token()).await.is_ok());
    assert_eq!(world.ask(&new).await, Err(UNKNOWN), "asked a moment ago, so it is not asked again");
    assert_eq!(provider.asked(), 1);

    provider.answer(Answer::Keys(key_set(&[("old", SigningKey::rsa(0)), ("new", SigningKey::rsa(1))])));
    world.clock.advance(10.0);
    assert!(world.ask(&new).await.is_ok() && world.ask(&old_token()).await.is_ok());
    assert_eq!(provider.asked(), 2);

    provider.answer(Answer::Keys(key_set(&[("new", SigningKey::rsa(1))])));
    world.clock.advance(100.0);
    assert_eq!(world.ask(&old_token()).await, Err(UNKNOWN), "a withdrawn key is not used beyond the greatest age");
    assert!(world.ask(&new).await.is_ok());
    assert_eq!(provider.asked(), 3);
}

#[tokio::test]
async fn keys_without_ids_rotate_too() {
    let public = |number| json!({"keys": [SigningKey::rsa(number).public()]});
    let token = |number| SigningKey::rsa(number).token_with(&json!({"alg": "RS256"}), &claims());
    let provider = Provider::start(Answer::Keys(public(0))).await;
    let world = World::new(vec![config(&provider)]);
    assert!(world.ask(&token(0)).await.is_ok());
    provider.answer(Answer::Keys(public(1)));
    world.clock.advance(10.0);
    assert!(world.ask(&token(1)).await.is_ok());
    assert_eq!(world.ask(&token(0)).await, Err(AuthError::Invalid("signature")));

    // Two keys to choose from and none named: it is not tried which one fits.
    let both = json!({"keys": [SigningKey::rsa(0).public(), SigningKey::rsa(1).public()]});
    provider.answer(Answer::Keys(both));
    world.clock.advance(100.0);
    assert_eq!(world.ask(&token(1)).await, Err(AuthError::Invalid("signature")));
}

#[tokio::test]
async fn made_up_key_ids_cause_no_storm_of_fetches() {
    let provider = Provider::start(old_keys()).await;
    let world = Arc::new(World::new(vec![config(&provider)]));
    assert!(world.ask(&old_token()).await.is_ok());
    world.clock.advance(10.0);
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..300 {
        let world = Arc::clone(&world);
        asking.spawn(async move {
            let token = SigningKey::rsa(1).token(&format!("made-up-{number}"), &claims());
            assert_eq!(world.ask(&token).await, Err(UNKNOWN));
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
    assert!(world.ask(&old_token()).await.is_ok());
    assert_eq!(provider.asked(), 2, "one for all of them");
}

#[tokio::test]
async fn many_at_once_fetch_once() {
    let gate = Arc::new(Notify::new());
    let keys = key_set(&[("old", SigningKey::rsa(0))]);
    let provider = Provider::start(Answer::Gate(Arc::clone(&gate), keys)).await;
    let world = Arc::new(World::new(vec![config(&provider)]));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let world = Arc::clone(&world);
        asking.spawn(async move { world.ask(&old_token()).await.map(|_| ()) });
    }
    while provider.asked() == 0 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    let mut good = 0;
    while let Some(asked) = asking.join_next().await {
        good += usize::from(asked.unwrap().is_ok());
    }
    assert_eq!((good, provider.asked()), (50, 1));
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_take_the_fetch_along() {
    let gate = Arc::new(Notify::new());
    let keys = key_set(&[("old", SigningKey::rsa(0))]);
    let provider = Provider::start(Answer::Gate(Arc::clone(&gate), keys)).await;
    let world = Arc::new(World::new(vec![config(&provider)]));
    let asking = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.ask(&old_token()).await }
    });
    while provider.asked() == 0 {
        tokio::task::yield_now().await;
    }
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    gate.notify_one();
    assert!(world.ask(&old_token()).await.is_ok());
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn an_outage_is_bridged_for_a_bounded_time() {
    let provider = Provider::start(old_keys()).await;
    let world = World::new(vec![config(&provider)]);
    assert!(world.ask(&old_token()).await.is_ok());
    provider.answer(Answer::Status(503));
    world.clock.advance(150.0);
    assert!(world.ask(&old_token()).await.is_ok(), "older than the greatest age, and not to be had anew");
    assert_eq!(provider.asked(), 2);
    let health = world.authenticator.health();
    assert!(health[0].failing && health[0].keys == 1 && health[0].issuer == ISSUER);
    assert_eq!(
        world.ask(&SigningKey::rsa(1).token("new", &claims())).await,
        Err(DOWN),
        "whether there is such a key cannot be told now"
    );
    world.clock.advance(149.0);
    assert!(world.ask(&old_token()).await.is_ok());
    world.clock.advance(1.0);
    assert_eq!(world.ask(&old_token()).await, Err(DOWN), "300 s after they were fetched");
    assert_eq!(world.authenticator.health()[0].keys, 0);

    provider.answer(old_keys());
    world.clock.advance(2.0);
    assert!(world.ask(&old_token()).await.is_ok(), "back again");
    assert!(!world.authenticator.health()[0].failing);
}

/// A fetch beside the requests fails, then nobody comes for a while, and meanwhile the provider is up again without the key.
#[tokio::test]
async fn an_old_failure_is_no_reason_to_use_old_keys() {
    let provider = Provider::start(old_keys()).await;
    let world = World::new(vec![config(&provider)]);
    assert!(world.ask(&old_token()).await.is_ok());
    provider.answer(Answer::Status(503));
    world.clock.advance(80.0);
    assert!(world.ask(&old_token()).await.is_ok(), "not too old yet, and fetched again beside the request");
    while !world.authenticator.health()[0].failing {
        tokio::task::yield_now().await;
    }
    assert_eq!(provider.asked(), 2);
    provider.answer(Answer::Keys(key_set(&[("new", SigningKey::rsa(1))])));
    world.clock.advance(200.0);
    assert_eq!(world.ask(&old_token()).await, Err(UNKNOWN));
    assert_eq!(provider.asked(), 3);
}

#[tokio::test]
async fn a_provider_that_comes_up_after_us_is_found() {
    let provider = Provider::start(Answer::Status(502)).await;
    let world = World::new(vec![config(&provider)]);
    let health = world.authenticator.warm_up().await;
    assert!(health[0].failing && health[0].keys == 0 && health[0].age.is_none());
    for _ in 0..20 {
        assert_eq!(world.ask(&old_token()).await, Err(DOWN));
    }
    assert_eq!(provider.asked(), 1, "not with every request");
    provider.answer(old_keys());
    world.clock.advance(2.0);
    assert!(world.ask(&old_token()).await.is_ok());
}

#[tokio::test]
async fn answers_that_are_no_keys_are_not_used() {
    let key = SigningKey::rsa(0).public().to_string();
    let answers = [
        Answer::Redirect("/elsewhere"),
        Answer::Text("<html>sign in</html>".into()),
        Answer::Text(json!({"keys": []}).to_string()),
        Answer::Text(format!(r#"{{"keys": [{key}], "more": "{}"}}"#, "x".repeat(2 << 20))),
        Answer::Status(404),
        Answer::Status(204),
    ];
    let provider = Provider::start(old_keys()).await;
    for answer in answers {
        let world = World::new(vec![config(&provider)]);
        provider.answer(answer.clone());
        assert_eq!(world.ask(&old_token()).await, Err(DOWN));
        // The same where there were keys before: they stay.
        provider.answer(old_keys());
        world.clock.advance(2.0);
        assert!(world.ask(&old_token()).await.is_ok());
        provider.answer(answer);
        world.clock.advance(100.0);
        assert!(world.ask(&old_token()).await.is_ok());
    }
    assert_eq!(provider.asked_elsewhere(), 0, "a redirect is not followed");
}

#[tokio::test]
async fn a_provider_that_never_answers_is_given_up() {
    let never = Answer::Gate(Arc::new(Notify::new()), json!(null));
    let provider = Provider::start(never).await;
    let world = World::new(vec![IssuerConfig { timeout_seconds: 1, ..config(&provider) }]);
    assert_eq!(world.ask(&old_token()).await, Err(DOWN));
    let nobody = IssuerConfig { jwks_url: Some("http://127.0.0.1:1/".into()), ..config(&provider) };
    assert_eq!(World::new(vec![nobody]).ask(&old_token()).await, Err(DOWN));
}

#[tokio::test]
async fn keys_come_from_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let provider = Provider::start(Answer::Status(500)).await;
    let config = IssuerConfig { jwks_url: None, jwks_file: Some(file.clone()), ..config(&provider) };
    let world = World::new(vec![config]);
    assert_eq!(world.ask(&old_token()).await, Err(DOWN), "there is no file yet");
    std::fs::write(&file, key_set(&[("old", SigningKey::rsa(0))]).to_string()).unwrap();
    world.clock.advance(2.0);
    assert!(world.ask(&old_token()).await.is_ok());
    std::fs::write(&file, key_set(&[("new", SigningKey::rsa(1))]).to_string()).unwrap();
    world.clock.advance(10.0);
    assert!(world.ask(&SigningKey::rsa(1).token("new", &claims())).await.is_ok());
    assert_eq!(world.ask(&old_token()).await, Err(UNKNOWN));
    assert_eq!(provider.asked(), 0);
}
