//! What can go wrong with either direction, and what is said about it.

use ovmlayer_image::registry::{Access, RegistryError};
use ovmlayer_image::{Error, Target as _};
use testkit::{Registry, RegistrySetup, Relay, Trouble};

use crate::stage::{open, send, single};

fn message(error: &Error) -> String {
    error.to_string()
}

#[test]
fn what_is_not_there() {
    let registry = Registry::start(&RegistrySetup::default());
    let made = single(1, &[100]);
    let target = open(registry.name(), "app", Access::Push);
    for tag in ["v1", "v2"] {
        send(&made.layout, &made.root, &target.repository, tag).unwrap();
    }
    let source = open(registry.name(), "app", Access::Pull);
    let text = message(&source.repository.resolve_tag("v3").unwrap_err());
    assert!(text.ends_with("/app has no image `v3`; among its tags are v1, v2"), "{text}");
    let digest = cache::Digest::of(b"none");
    let text = message(&source.repository.resolve_digest(&digest).unwrap_err());
    assert!(text.contains("has no image `sha256:"), "{text}");
    let source = open(registry.name(), "ap", Access::Pull);
    let text = message(&source.repository.resolve_tag("v1").unwrap_err());
    assert!(
        text.contains("there is no repository `ap` in 127.0.0.1:") && text.contains("check the name"),
        "{text}"
    );
    assert!(text.contains("log in if it is not public"), "{text}");
    let text = message(&source.repository.tags().unwrap_err());
    assert!(text.contains("there is no repository `ap`"), "{text}");
    assert!(!source.repository.has(&made.root).unwrap());
}

#[test]
fn nobody_answers() {
    let source = open("127.0.0.1:1", "app", Access::Pull);
    let text = message(&source.repository.resolve_tag("v1").unwrap_err());
    assert!(text.contains("cannot connect") && text.contains("check the name of the registry"), "{text}");
}

/// Each of these passes when it happens twice, and is an error when it does not stop.
#[test]
fn what_may_pass() {
    let registry = Registry::start(&RegistrySetup::default());
    let made = single(2, &[100]);
    send(&made.layout, &made.root, &open(registry.name(), "app", Access::Push).repository, "v1").unwrap();
    for (trouble, words) in [
        (Trouble::Status(429), "the server answered 429"),
        (Trouble::Busy(429, "0".to_owned()), "the server answered 429"),
        (Trouble::Busy(503, "1".to_owned()), "the server answered 503"),
        (Trouble::Status(500), "the server answered 500"),
        (Trouble::Status(502), "the server answered 502"),
        (Trouble::Status(503), "the server answered 503"),
        (Trouble::Status(504), "the server answered 504"),
        (Trouble::Drop, "the connection broke"),
        (Trouble::Swallow, "the connection broke"),
    ] {
        let relay = Relay::start(registry.address());
        relay.trouble("* /v2/app/*", trouble.clone(), Some(2));
        let source = open(relay.address(), "app", Access::Pull);
        assert_eq!(source.repository.resolve_tag("v1").unwrap().digest, made.root.digest, "{trouble:?}");
        // Waiting as long as asked is tested once.
        if !matches!(trouble, Trouble::Busy(503, _)) {
            relay.trouble("* /v2/app/*", trouble.clone(), None);
            let text = message(&source.repository.resolve_tag("v1").unwrap_err());
            assert!(text.contains(words) && text.contains("run again later"), "{trouble:?}: {text}");
        }
    }
}

#[test]
fn a_registry_that_wants_too_much_patience_is_given_up_at_once() {
    let registry = Registry::start(&RegistrySetup::default());
    let relay = Relay::start(registry.address());
    relay.trouble("* /v2/app/*", Trouble::Busy(429, "3600".to_owned()), None);
    let source = open(relay.address(), "app", Access::Pull);
    let text = message(&source.repository.resolve_tag("v1").unwrap_err());
    assert!(text.contains("asks to come back in 3600 s") && text.contains("run again then"), "{text}");
    assert_eq!(relay.count("HEAD", "*"), 1);
}

#[test]
fn redirects_that_are_not_followed() {
    let registry = Registry::start(&RegistrySetup::default());
    for (summary, trouble, words) in [
        ("a circle", Trouble::RedirectLoop, "sends us in a circle"),
        ("a file", Trouble::Redirect("file:///etc/passwd".to_owned()), "redirects to `file:///etc/passwd`"),
        ("nothing", Trouble::Redirect("http://".to_owned()), "redirects to"),
    ] {
        let relay = Relay::start(registry.address());
        relay.trouble("* /v2/app/*", trouble, None);
        let source = open(relay.address(), "app", Access::Pull);
        let text = message(&source.repository.resolve_tag("v1").unwrap_err());
        assert!(text.contains(words) && text.contains("the registry's fault"), "{summary}: {text}");
    }
}

/// What changes something is not done anywhere else.
#[test]
fn a_push_is_not_redirected_to_another_server() {
    let registry = Registry::start(&RegistrySetup::default());
    let other = Relay::start(registry.address());
    let relay = Relay::start(registry.address());
    let made = single(3, &[100]);
    relay.trouble(
        "POST *",
        Trouble::Redirect(format!("http://{}/v2/app/blobs/uploads/", other.address())),
        None,
    );
    let target = open(relay.address(), "app", Access::Push);
    let error = send(&made.layout, &made.root, &target.repository, "v1").unwrap_err();
    assert!(message(&error).contains("which is not followed"), "{error}");
    assert!(other.requests().is_empty());
}

#[test]
fn errors_can_be_told_apart() {
    let registry = Registry::start(&RegistrySetup::default());
    let source = open(registry.name(), "app", Access::Pull);
    let error = source.repository.resolve_tag("v1").unwrap_err();
    let Error::Registry(error) = error else { panic!("{error}") };
    assert!(matches!(*error, RegistryError::NoRepository { .. }));
}
