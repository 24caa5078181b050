//! Tokens of an identity provider at the built server. The keys and signatures are OpenSSL's, not of a library of ours.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::product::Product;
use crate::tenants::{call, message};

/// A provider as firms have one: it publishes its keys (RFC 7517) and signs tokens (RFC 7519) with one of them.
struct IdentityProvider {
    folder: tempfile::TempDir,
    url: String,
    published: Arc<Mutex<Vec<Value>>>,
}

/// Runs OpenSSL with this on its standard input; what it says.
fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("this test needs the program openssl");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}

fn base64url(bytes: &[u8]) -> String {
    let text = String::from_utf8(openssl(&["base64", "-A"], bytes)).unwrap();
    text.trim().trim_end_matches('=').replace('+', "-").replace('/', "_")
}

impl IdentityProvider {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let published: Arc<Mutex<Vec<Value>>> = Arc::default();
        let keys = Arc::clone(&published);
        // The thread ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let lines = BufReader::new(client.try_clone().unwrap()).lines();
                // The head of the request ends with an empty line.
                lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
                let body = json!({"keys": *keys.lock().unwrap()}).to_string();
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
                // A client that went away needs no answer.
                let _ = write!(client, "{head}\r\nconnection: close\r\n\r\n{body}");
            }
        });
        Self { folder: tempfile::tempdir().unwrap(), url, published }
    }

    /// Makes a key and publishes it.
    fn publish(&self, id: &str) {
        let key = self.private(id);
        openssl(&["genrsa", "-out", key.to_str().unwrap(), "2048"], b"");
        let said = openssl(&["rsa", "-in", key.to_str().unwrap(), "-noout", "-modulus"], b"");
        let hex = String::from_utf8(said).unwrap().trim().trim_start_matches("Modulus=").to_owned();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let modulus: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        // 65537 is the exponent of every key that OpenSSL makes.
        let jwk = json!({"kty": "RSA", "use": "sig", "kid": id, "n": base64url(&modulus), "e": base64url(&[1, 0, 1])});
        self.published.lock().unwrap().push(jwk);
    }

    fn private(&self, id: &str) -> PathBuf {
        self.folder.path().join(format!("{id}.pem"))
    }

    /// A token signed with the key of this id.
    fn token(&self, id: &str, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": id});
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        let message = format!("{}.{}", part(&header), part(claims));
        let key = self.private(id);
        let signature = openssl(&["dgst", "-sha256", "-sign", key.to_str().unwrap()], message.as_bytes());
        format!("{message}.{}", base64url(&signature))
    }

    fn configuration(&self, to: &Path) {
        let text = format!(
            "tenant = \"operator\"\n[models]\nembedder = \"none\"\n[[server.auth.issuers]]\n\
             issuer = \"https://id.example/\"\naudience = [\"rejoinder\"]\njwks_url = \"{}\"\ntenant_claim = \"ext.firm\"\n\
             roles_claim = \"ext.groups\"\nrole_map = {{ crm-admin = \"admin\", crm-agent = \"agent\" }}\n\
             min_refresh_seconds = 1\nclock_skew_seconds = 5\n",
            self.url
        );
        std::fs::write(to, text).unwrap();
    }
}

fn claims(firm: &str, group: &str, good_for: i64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    json!({"iss": "https://id.example/", "aud": ["crm", "rejoinder"], "sub": "someone", "iat": now, "exp": now + good_for,
        "ext": {"firm": firm, "groups": [group, "another"]}})
}

#[test]
fn tokens_of_an_identity_provider_say_who_calls_for_which_tenant() {
    let provider = IdentityProvider::start();
    provider.publish("first");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("rejoinder.toml");
    provider.configuration(&config);
    let product = Product::with_config(&config);
    let server = product.serve();
    assert_eq!(server.get("/v1/usage").status, 401, "an issuer is configured: a credential is needed");

    let admin = provider.token("first", &claims("acme", "crm-admin", 600));
    let agent = provider.token("first", &claims("acme", "crm-agent", 600));
    let other = provider.token("first", &claims("other", "crm-admin", 600));
    let stored = call(&server, &admin, "POST", "/v1/messages", Some(&message("zanzibar")));
    assert_eq!(stored.status, 201, "{}", stored.body);
    assert_eq!(call(&server, &agent, "POST", "/v1/messages", Some(&message("kilimanjaro"))).status, 403);
    let search = json!({"query": "zanzibar"});
    let hits = |token: &str| {
        let found = call(&server, token, "POST", "/v1/search", Some(&search));
        assert_eq!(found.status, 200, "{}", found.body);
        found.json()["data"].as_array().unwrap().len()
    };
    assert_eq!((hits(&admin), hits(&agent), hits(&other)), (1, 1, 0));

    let mut elsewhere = claims("acme", "crm-admin", 600);
    elsewhere["aud"] = json!("another-service");
    let mut nobodys = claims("acme", "crm-admin", 600);
    nobodys["iss"] = json!("https://id.example");
    let (head, signature) = admin.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let of_other = other.split('.').nth(1).unwrap();
    let unsigned = base64url(br#"{"alg":"none","typ":"JWT"}"#);
    let refused = [
        ("expired", provider.token("first", &claims("acme", "crm-admin", -60))),
        ("for another service", provider.token("first", &elsewhere)),
        ("of another issuer", provider.token("first", &nobodys)),
        ("with another's claims", format!("{header}.{of_other}.{signature}")),
        ("unsigned", format!("{unsigned}.{of_other}.")),
        ("without a tenant", provider.token("first", &claims("", "crm-admin", 600))),
    ];
    for (what, token) in refused {
        let answer = call(&server, &token, "POST", "/v1/search", Some(&search));
        assert!([401, 403].contains(&answer.status), "a token {what}: {} {}", answer.status, answer.body);
    }
    let roleless = provider.token("first", &claims("acme", "cleaners", 600));
    assert_eq!(call(&server, &roleless, "POST", "/v1/search", Some(&search)).status, 403);

    // A new key is taken as soon as it signs, and one that was never published never.
    provider.publish("second");
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(hits(&provider.token("second", &claims("acme", "crm-agent", 600))), 1);
    provider.publish("third");
    provider.published.lock().unwrap().pop();
    let forged = provider.token("third", &claims("acme", "crm-admin", 600));
    assert_eq!(call(&server, &forged, "POST", "/v1/search", Some(&search)).status, 401);

    // API keys and tokens are good side by side.
    let key = crate::tenants::key(&product, "acme", "reader");
    assert_eq!(hits(&key), 1);
}
