//! What tokens are let in, and as whom.

use std::sync::Arc;

use rejoinder_access::{AuthConfig, AuthError, CredentialKind, NewKey, Permission, Role, Roles};
use rejoinder_domain::{ErrorKind, TenantId};
use serde_json::json;

use crate::provider::{Answer, ISSUER, Provider, SigningKey, World, claims, key_set, with, without};

#[tokio::test]
async fn both_algorithms_are_let_in_with_tenant_and_roles_of_the_token() {
    let p256 = SigningKey::p256();
    let keys = [("r", SigningKey::rsa(0)), ("e", &p256)];
    let provider = Provider::start(Answer::Keys(key_set(&keys))).await;
    let world = World::new(vec![provider.config()]);
    for (id, key) in keys {
        let principal = world.ask(&key.token(id, &claims())).await.unwrap();
        assert_eq!(principal.tenant, TenantId::new("acme").unwrap());
        assert_eq!(principal.roles, Roles::from(Role::Agent));
        assert_eq!(principal.subject, format!("{ISSUER} user-7"));
        assert_eq!(principal.kind, CredentialKind::Jwt);
        assert!(principal.allows(Permission::Assist) && !principal.allows(Permission::Ingest));
    }
    assert_eq!(provider.asked(), 1, "the keys are fetched once");
}

/// The tokens of RFC 7515, appendices A.2 and A.3. They have no audience, so they are refused for that and not for their
/// signature, which is looked at before.
#[tokio::test]
async fn the_signatures_of_the_rfc_are_right() {
    let keys = json!({"keys": [
        {"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1\
          Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB\
          dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkML\
          s91kzk2PAcDTW9gb54h4FRWyuXpoQ"},
        {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
          "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    ]});
    let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let rs256 = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9\
                 CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO\
                 --xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_Io\
                 ypGlUPQGe77Rw";
    let es256 = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let provider = Provider::start(Answer::Keys(keys)).await;
    let mut config = provider.config();
    config.issuer = "joe".into();
    let world = World::new(vec![config]);
    for (header, signature) in [("eyJhbGciOiJSUzI1NiJ9", rs256), ("eyJhbGciOiJFUzI1NiJ9", es256)] {
        let token = format!("{header}.{payload}.{signature}");
        assert_eq!(world.ask(&token).await, Err(AuthError::Invalid("audience")));
        let changed = format!("{header}.{payload}.{}", signature.replacen('d', "e", 1));
        assert_eq!(world.ask(&changed).await, Err(AuthError::Invalid("signature")));
    }
}

#[tokio::test]
async fn claims_are_where_the_provider_puts_them() {
    let provider = Provider::start(Answer::Keys(key_set(&[("r", SigningKey::rsa(0))]))).await;
    // ORY Hydra: custom claims under `ext`, scopes in `scp`.
    let mut config = provider.config();
    config.tenant_claim = "ext.tenant".into();
    config.roles_claim = "scp".into();
    config.role_map.insert("crm.write".into(), Role::Agent);
    config.role_map.insert("crm.ingest".into(), Role::Ingest);
    let world = World::new(vec![config.clone()]);
    let token = |claims: &serde_json::Value| SigningKey::rsa(0).token("r", claims);
    let ory =
        with(with(claims(), "ext", json!({"tenant": "beta"})), "scp", json!(["openid", "crm.write", "crm.ingest"]));
    let principal = world.ask(&token(&ory)).await.unwrap();
    assert_eq!(principal.tenant.as_str(), "beta", "not the claim `tenant`, which is there too");
    assert_eq!(principal.roles.to_string(), "agent,ingest");
    assert_eq!(world.ask(&token(&with(ory.clone(), "ext", json!({})))).await, Err(AuthError::NoTenant));
    assert_eq!(world.ask(&token(&with(ory, "scp", json!("openid admin")))).await, Err(AuthError::NoRole));

    // Auth0: names that are URLs.
    config.tenant_claim = "https://crm.example/tenant".into();
    config.roles_claim = "https://crm.example/roles".into();
    config.role_map.clear();
    world.authenticator.reconfigure(&AuthConfig { issuers: vec![config] }).unwrap();
    let auth0 = with(claims(), "https://crm.example/tenant", json!("gamma"));
    let auth0 = with(auth0, "https://crm.example/roles", json!("reader ingest"));
    let principal = world.ask(&token(&auth0)).await.unwrap();
    assert_eq!((principal.tenant.as_str(), principal.roles.to_string().as_str()), ("gamma", "reader,ingest"));
}

#[tokio::test]
async fn the_clock_may_be_off_by_the_skew_and_no_more() {
    let provider = Provider::start(Answer::Keys(key_set(&[("r", SigningKey::rsa(0))]))).await;
    let world = World::new(vec![provider.config()]);
    let token = SigningKey::rsa(0).token("r", &claims());
    let later = SigningKey::rsa(0).token("r", &with(claims(), "nbf", json!(crate::hand_clock::START + 61)));
    assert_eq!(world.ask(&later).await, Err(AuthError::Invalid("not valid yet")));
    world.clock.advance(1.0);
    assert!(world.ask(&later).await.is_ok());
    world.clock.advance(658.9);
    assert!(world.ask(&token).await.is_ok(), "659.9 s after a start with 600 s of validity and 60 s of skew");
    world.clock.advance(0.1);
    assert_eq!(world.ask(&token).await, Err(AuthError::Expired));
}

#[tokio::test]
async fn what_must_be_in_a_token_must_be_in_it() {
    let provider = Provider::start(Answer::Keys(key_set(&[("r", SigningKey::rsa(0))]))).await;
    let world = World::new(vec![provider.config()]);
    let table = [
        (without(claims(), "exp"), AuthError::Invalid("no expiry")),
        (without(claims(), "aud"), AuthError::Invalid("audience")),
        (without(claims(), "sub"), AuthError::Invalid("no subject")),
        (without(claims(), "iss"), AuthError::Invalid("no issuer")),
        (without(claims(), "tenant"), AuthError::NoTenant),
        (without(claims(), "roles"), AuthError::NoRole),
        (with(claims(), "aud", json!(["other"])), AuthError::Invalid("audience")),
        (with(claims(), "iss", json!("https://id.example")), AuthError::Invalid("issuer")),
        (with(claims(), "tenant", json!("../other")), AuthError::NoTenant),
        (with(claims(), "exp", json!("never")), AuthError::Invalid("date")),
    ];
    for (claims, error) in table {
        assert_eq!(world.ask(&SigningKey::rsa(0).token("r", &claims)).await, Err(error), "{claims}");
    }
}

#[tokio::test]
async fn each_issuer_speaks_for_itself() {
    let ours = Provider::start(Answer::Keys(key_set(&[("k", SigningKey::rsa(0))]))).await;
    let theirs = Provider::start(Answer::Keys(key_set(&[("k", SigningKey::rsa(1))]))).await;
    let mut other = theirs.config();
    other.issuer = "https://other.example/".into();
    other.tenant = Some(TenantId::new("other").unwrap());
    let world = World::new(vec![ours.config(), other]);
    let foreign = with(claims(), "iss", json!("https://other.example/"));
    assert_eq!(world.ask(&SigningKey::rsa(0).token("k", &claims())).await.unwrap().tenant.as_str(), "acme");
    // The other provider may say what it wants: its tokens are of its tenant.
    assert_eq!(world.ask(&SigningKey::rsa(1).token("k", &foreign)).await.unwrap().tenant.as_str(), "other");
    assert_eq!(world.ask(&SigningKey::rsa(1).token("k", &claims())).await, Err(AuthError::Invalid("signature")));
    assert_eq!(world.ask(&SigningKey::rsa(0).token("k", &foreign)).await, Err(AuthError::Invalid("signature")));
}

#[tokio::test]
async fn the_type_of_token_can_be_asked_for() {
    let provider = Provider::start(Answer::Keys(key_set(&[("r", SigningKey::rsa(0))]))).await;
    let mut config = provider.config();
    config.token_types = vec!["at+jwt".into()];
    let world = World::new(vec![config]);
    let key = SigningKey::rsa(0);
    for (typ, taken) in [("at+jwt", true), ("application/AT+JWT", true), ("JWT", false)] {
        let token = key.token_with(&json!({"alg": "RS256", "kid": "r", "typ": typ}), &claims());
        assert_eq!(world.ask(&token).await.is_ok(), taken, "{typ}");
    }
    let token = key.token_with(&json!({"alg": "RS256", "kid": "r"}), &claims());
    assert_eq!(world.ask(&token).await, Err(AuthError::Invalid("type")));
}

#[tokio::test]
async fn configuration_is_swapped_under_way_and_what_is_wrong_leaves_the_old() {
    let provider = Provider::start(Answer::Keys(key_set(&[("r", SigningKey::rsa(0))]))).await;
    let world = World::new(vec![]);
    let token = SigningKey::rsa(0).token("r", &claims());
    assert_eq!(world.ask(&token).await, Err(AuthError::Invalid("issuer")));
    assert!(!world.authenticator.configured().unwrap(), "no key and no issuer");

    let config = AuthConfig { issuers: vec![provider.config()] };
    world.authenticator.reconfigure(&config).unwrap();
    assert!(world.authenticator.configured().unwrap());
    assert!(world.ask(&token).await.is_ok());
    world.authenticator.reconfigure(&config).unwrap();
    assert!(world.ask(&token).await.is_ok());
    assert_eq!(provider.asked(), 1, "an issuer that did not change keeps its keys");

    let mut wrong = provider.config();
    wrong.audience.clear();
    let error = world.authenticator.reconfigure(&AuthConfig { issuers: vec![wrong] }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(world.ask(&token).await.is_ok());

    world.authenticator.reconfigure(&AuthConfig::default()).unwrap();
    assert_eq!(world.ask(&token).await, Err(AuthError::Invalid("issuer")));
}

#[tokio::test]
async fn keys_and_tokens_come_through_the_same_door() {
    let provider = Provider::start(Answer::Keys(key_set(&[("r", SigningKey::rsa(0))]))).await;
    let world = World::new(vec![provider.config()]);
    let key = NewKey {
        tenant: TenantId::new("acme").unwrap(),
        name: "the CRM".into(),
        roles: Roles::from(Role::Reader),
        expires_at: None,
    };
    let keys = Arc::clone(world.authenticator.keys());
    let (record, secret) = keys.create(key).unwrap();
    let principal = world.ask(secret.expose()).await.unwrap();
    assert_eq!((principal.kind, principal.subject), (CredentialKind::Key, record.id));
    assert_eq!(world.authenticator.authenticate(None).await, Err(AuthError::Missing));
    for bad in
        ["", "Bearer", "Bearer x", "Basic cmo6cmo=", "Bearer rj_", "Bearer a.b", "Bearer a.b.c.d", "Bearer ..", "\u{0}"]
    {
        assert!(matches!(world.authenticator.authenticate(Some(bad)).await, Err(AuthError::Malformed(_))), "{bad:?}");
    }
    assert_eq!(provider.asked(), 0, "nothing of this needs the provider");
}
