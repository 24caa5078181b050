//! What a token says, read as the issuer's configuration tells. Nothing here is believed before the signature was checked.

use jiff::Timestamp;
use rejoinder_domain::TenantId;
use serde_json::{Map, Value};

use crate::{AuthError, IssuerConfig, Role, Roles};

/// Characters of a subject at most (`OpenID` Connect Core 1.0, section 2).
const LONGEST_SUBJECT: usize = 255;

/// The claims set (RFC 7519, section 4).
pub(crate) type Claims = Map<String, Value>;

/// The `iss` claim, to find who must have signed.
pub(crate) fn issuer(claims: &Claims) -> Result<&str, AuthError> {
    claims.get("iss").and_then(Value::as_str).ok_or(AuthError::Invalid("no issuer"))
}

/// The `sub` claim.
pub(crate) fn subject(claims: &Claims) -> Result<&str, AuthError> {
    let subject = claims.get("sub").and_then(Value::as_str);
    subject
        .filter(|subject| !subject.is_empty() && subject.chars().count() <= LONGEST_SUBJECT)
        .ok_or(AuthError::Invalid("no subject"))
}

/// Whether the token is meant for this server (RFC 7519, section 4.1.3): `aud` is one text or an array of them.
pub(crate) fn check_audience(claims: &Claims, config: &IssuerConfig) -> Result<(), AuthError> {
    let is_ours = |value: &Value| value.as_str().is_some_and(|name| config.audience.iter().any(|ours| ours == name));
    let meant = match claims.get("aud") {
        Some(Value::Array(names)) => names.iter().any(is_ours),
        Some(name) => is_ours(name),
        None => false,
    };
    if meant { Ok(()) } else { Err(AuthError::Invalid("audience")) }
}

/// Whether it is valid now: from `nbf`, if it is there, to before `exp`, which must be, each by the clock skew wider.
pub(crate) fn check_time(claims: &Claims, skew_seconds: u32, now: Timestamp) -> Result<(), AuthError> {
    let now = now.as_microsecond() as f64 / 1e6;
    let skew = f64::from(skew_seconds);
    let expires = date(claims, "exp")?.ok_or(AuthError::Invalid("no expiry"))?;
    if now >= expires + skew {
        return Err(AuthError::Expired);
    }
    match date(claims, "nbf")? {
        Some(begins) if now + skew < begins => Err(AuthError::Invalid("not valid yet")),
        _ => Ok(()),
    }
}

/// A `NumericDate` in seconds since 1970 (RFC 7519, section 2): whole or not. Doubles are exact to a microsecond for some
/// centuries.
fn date(claims: &Claims, name: &str) -> Result<Option<f64>, AuthError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().filter(|seconds| seconds.is_finite()).map(Some).ok_or(AuthError::Invalid("date")),
    }
}

/// The tenant that the token speaks for.
pub(crate) fn tenant(claims: &Claims, config: &IssuerConfig) -> Result<TenantId, AuthError> {
    if let Some(tenant) = &config.tenant {
        return Ok(tenant.clone());
    }
    let value = match find(claims, &config.tenant_claim) {
        Some(Value::String(value)) => value,
        // With two tenants it would be us who choose.
        Some(Value::Array(values)) => match values.as_slice() {
            [Value::String(value)] => value,
            _ => return Err(AuthError::NoTenant),
        },
        _ => return Err(AuthError::NoTenant),
    };
    if config.tenant_map.is_empty() {
        TenantId::new(value.as_str()).map_err(|_| AuthError::NoTenant)
    } else {
        config.tenant_map.get(value).cloned().ok_or(AuthError::NoTenant)
    }
}

/// The roles that the token gives. Names that are no role here are passed over: providers put all kinds of things there.
pub(crate) fn roles(claims: &Claims, config: &IssuerConfig) -> Result<Roles, AuthError> {
    let role = |name: &str| {
        if config.role_map.is_empty() { name.parse::<Role>().ok() } else { config.role_map.get(name).copied() }
    };
    let roles: Roles = match find(claims, &config.roles_claim) {
        Some(Value::String(names)) => names.split(|c: char| c == ',' || c.is_whitespace()).filter_map(role).collect(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).filter_map(role).collect(),
        _ => Roles::NONE,
    };
    if roles.is_empty() { Err(AuthError::NoRole) } else { Ok(roles) }
}

/// The claim at `path`: the one that has all of it as its name, else the one that is reached over objects whose names end at
/// a dot of it. Names may hold dots themselves (`https://example.com/roles`), so every dot is tried.
fn find<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let (name, rest) = (path.get(..dot)?, path.get(dot + 1..)?);
        find(claims.get(name)?.as_object()?, rest)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Claims, check_audience, check_time, find, roles, subject, tenant};
    use crate::{AuthError, IssuerConfig, Role, Roles};

    fn claims(value: &serde_json::Value) -> Claims {
        value.as_object().unwrap().clone()
    }

    fn config(change: impl FnOnce(&mut IssuerConfig)) -> IssuerConfig {
        let mut config = IssuerConfig::new("https://id.example", "rejoinder", "https://id.example/keys");
        change(&mut config);
        config
    }

    #[test]
    fn a_claim_is_found_by_name_by_path_and_by_names_with_dots() {
        let set = claims(&json!({
            "tenant": 1, "ext": {"tenant": 2, "a.b": {"c": 3}}, "https://x.example/y": 4, "https://x.example": {"z": 5},
            "ext.literal": 6, "text": "no object"
        }));
        let table = [
            ("tenant", Some(1)),
            ("ext.tenant", Some(2)),
            ("ext.a.b.c", Some(3)),
            ("https://x.example/y", Some(4)),
            ("https://x.example.z", Some(5)),
            ("ext.literal", Some(6)),
            ("text.more", None),
            ("ext.", None),
            (".ext", None),
            ("ext..tenant", None),
        ];
        for (path, value) in table {
            assert_eq!(find(&set, path).and_then(serde_json::Value::as_i64), value, "{path}");
        }
    }

    #[test]
    fn the_tenant_is_one_or_none() {
        let of = |value: serde_json::Value, config: &IssuerConfig| {
            tenant(&claims(&json!({ "tenant": value })), config).map(|tenant| tenant.to_string())
        };
        let plain = config(|_| ());
        assert_eq!(of(json!("acme"), &plain), Ok("acme".into()));
        assert_eq!(of(json!(["acme"]), &plain), Ok("acme".into()));
        for bad in [
            json!(""),
            json!("Acme"),
            json!("../acme"),
            json!("a b"),
            json!(["a", "b"]),
            json!([]),
            json!(7),
            json!(null),
        ] {
            assert_eq!(of(bad.clone(), &plain), Err(AuthError::NoTenant), "{bad}");
        }
        let mapped = config(|c| {
            c.tenant_map.insert("Org_1".into(), rejoinder_domain::TenantId::new("acme").unwrap());
        });
        assert_eq!(of(json!("Org_1"), &mapped), Ok("acme".into()));
        assert_eq!(of(json!("acme"), &mapped), Err(AuthError::NoTenant), "only what is in the map");
        let fixed = config(|c| c.tenant = Some(rejoinder_domain::TenantId::new("firm").unwrap()));
        assert_eq!(of(json!("acme"), &fixed), Ok("firm".into()), "the token cannot choose");
    }

    #[test]
    fn roles_come_as_arrays_or_text_and_foreign_ones_give_nothing() {
        let of = |value: serde_json::Value, config: &IssuerConfig| roles(&claims(&json!({ "roles": value })), config);
        let plain = config(|_| ());
        let both: Roles = [Role::Reader, Role::Ingest].into_iter().collect();
        assert_eq!(of(json!(["reader", "openid", 3, "ingest"]), &plain), Ok(both));
        assert_eq!(of(json!("openid reader\tingest"), &plain), Ok(both));
        for none in [json!("Admin"), json!([]), json!({"admin": true}), json!(true), json!("administrator")] {
            assert_eq!(of(none.clone(), &plain), Err(AuthError::NoRole), "{none}");
        }
        let mapped = config(|c| {
            c.role_map.insert("crm:write".into(), Role::Agent);
        });
        assert_eq!(of(json!("crm:read crm:write"), &mapped), Ok(Roles::from(Role::Agent)));
        assert_eq!(of(json!("admin"), &mapped), Err(AuthError::NoRole), "with a map, our own names give nothing");
    }

    #[test]
    fn time_is_checked_to_the_second_of_the_skew() {
        let at = |seconds: i64| jiff::Timestamp::from_second(seconds).unwrap();
        let check = |set: serde_json::Value, now: i64| check_time(&claims(&set), 60, at(now));
        let exp = json!({"exp": 1000});
        assert_eq!(check(exp.clone(), 1059), Ok(()));
        assert_eq!(check(exp, 1060), Err(AuthError::Expired));
        let nbf = json!({"exp": 5000, "nbf": 1000});
        assert_eq!(check(nbf.clone(), 940), Ok(()));
        assert_eq!(check(nbf, 939), Err(AuthError::Invalid("not valid yet")));
        assert_eq!(check(json!({"exp": 1000.5}), 1060), Ok(()));
        assert_eq!(check(json!({"exp": 1000.5}), 1061), Err(AuthError::Expired));
        assert_eq!(check(json!({}), 0), Err(AuthError::Invalid("no expiry")));
        for bad in
            [json!({"exp": "5000"}), json!({"exp": null}), json!({"exp": [5000]}), json!({"exp": 5000, "nbf": "0"})]
        {
            assert_eq!(check(bad.clone(), 0), Err(AuthError::Invalid("date")), "{bad}");
        }
        assert_eq!(check(json!({"exp": u64::MAX}), 0), Ok(()));
        assert_eq!(check(json!({"exp": i64::MIN}), 0), Err(AuthError::Expired));
    }

    #[test]
    fn audience_and_subject_are_required() {
        let config = config(|c| c.audience.push("https://api.example".into()));
        let check = |set: serde_json::Value| check_audience(&claims(&set), &config);
        assert_eq!(check(json!({"aud": "rejoinder"})), Ok(()));
        assert_eq!(check(json!({"aud": ["other", "https://api.example"]})), Ok(()));
        for bad in [
            json!({}),
            json!({"aud": []}),
            json!({"aud": "Rejoinder"}),
            json!({"aud": 1}),
            json!({"aud": ["rejoinder/"]}),
        ] {
            assert_eq!(check(bad.clone()), Err(AuthError::Invalid("audience")), "{bad}");
        }
        assert_eq!(subject(&claims(&json!({"sub": "u1"}))), Ok("u1"));
        for bad in [json!({}), json!({"sub": ""}), json!({"sub": 5}), json!({"sub": "x".repeat(256)})] {
            assert!(subject(&claims(&bad)).is_err());
        }
    }
}
