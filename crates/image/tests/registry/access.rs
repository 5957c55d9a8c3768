//! Who may do what, and how a registry is told who we are.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use http::Roots;
use ovmlayer_image::registry::{Access, Credentials, Given, Options, Secret};
use testkit::{Certificate, Registry, RegistrySetup, Reply, Script, TokenServer};

use crate::stage::{Opened, open, open_with, read_all, send, single};

const USER: &str = "alice";
const PASSWORD: &str = "s3cret-w0rd";
/// `alice:s3cret-w0rd`.
const ENCODED: &str = "YWxpY2U6czNjcmV0LXcwcmQ=";

fn given(user: &str, password: &str) -> Credentials {
    let password = Secret::new(password.to_owned());
    Credentials::of_environment(vec![Given { registry: None, user: user.to_owned(), password }], |_| None)
        .unwrap()
}

fn with(registry: &str, name: &str, access: Access, credentials: Credentials) -> Opened {
    open_with(registry, name, access, |options| Options { credentials, ..options })
}

/// Credentials as the environment gives them.
fn environment(variables: &[(&str, &str)]) -> Credentials {
    let find =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Credentials::of_environment(Vec::new(), find).unwrap()
}

#[test]
fn names_and_passwords() {
    let registry = Registry::start(&RegistrySetup { account: Some((USER, PASSWORD)), ..Default::default() });
    let (host, made) = (registry.name(), single(1, &[3000]));
    let target = with(&host, "app", Access::Push, given(USER, PASSWORD));
    send(&made.layout, &made.root, &target.repository, "v1").unwrap();
    read_all(&with(&host, "app", Access::Pull, given(USER, PASSWORD)).repository, &made.root).unwrap();

    let wrong = with(&host, "app", Access::Pull, given(USER, "wr0ng-w0rd"));
    let message = wrong.repository.resolve_tag("v1").unwrap_err().to_string();
    assert!(message.contains("answered 401 (unauthorized) to the user `alice`"), "{message}");
    assert!(message.contains("check the user name and the password"), "{message}");
    assert!(!message.contains("wr0ng-w0rd"), "{message}");

    let nobody = open(&host, "app", Access::Pull);
    let message = nobody.repository.resolve_tag("v1").unwrap_err().to_string();
    assert!(message.contains("to somebody without credentials"), "{message}");
    assert!(message.contains(&format!("skopeo login {host}")), "{message}");
    let shown = format!("{:?} {:?}", target.repository, given(USER, PASSWORD));
    assert!(!shown.contains(PASSWORD) && !shown.contains(ENCODED), "{shown}");
}

#[test]
fn names_and_passwords_from_wherever_they_are() {
    let registry = Registry::start(&RegistrySetup { account: Some((USER, PASSWORD)), ..Default::default() });
    let (host, made) = (registry.name(), single(2, &[3000]));
    let target = with(&host, "app", Access::Push, given(USER, PASSWORD));
    send(&made.layout, &made.root, &target.repository, "v1").unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let auths = format!(r#"{{"auths": {{"{host}": {{"auth": "{ENCODED}"}}}}}}"#);
    write("file.json", &auths);
    write("run/containers/auth.json", &auths);
    write("docker/config.json", &auths);
    write("home/.docker/config.json", &auths);
    write("home2/.config/containers/auth.json", &auths);
    write("other.json", r#"{"auths": {"elsewhere.org": {"auth": "YTpi"}}}"#);
    for (summary, variables, fine) in [
        (
            "user and password",
            vec![("OVMLAYER_REGISTRY_USER", USER), ("OVMLAYER_REGISTRY_PASSWORD", PASSWORD)],
            true,
        ),
        ("a named file", vec![("REGISTRY_AUTH_FILE", &*path("file.json"))], true),
        (
            "a named file counts alone",
            vec![("REGISTRY_AUTH_FILE", &*path("other.json")), ("HOME", &*path("home"))],
            false,
        ),
        ("the run-time folder", vec![("XDG_RUNTIME_DIR", &*path("run"))], true),
        ("Docker's folder", vec![("DOCKER_CONFIG", &*path("docker"))], true),
        ("Docker's folder at home", vec![("HOME", &*path("home"))], true),
        ("the configuration at home", vec![("HOME", &*path("home2"))], true),
        ("nothing", vec![], false),
        (
            "those of another registry",
            vec![
                ("OVMLAYER_REGISTRY_USER", USER),
                ("OVMLAYER_REGISTRY_PASSWORD", PASSWORD),
                ("OVMLAYER_REGISTRY_HOST", "elsewhere.org"),
            ],
            false,
        ),
    ] {
        let source = with(&host, "app", Access::Pull, environment(&variables));
        let found = source.repository.resolve_tag("v1");
        assert_eq!(found.is_ok(), fine, "{summary}: {found:?}");
    }
    let missing = with(&host, "app", Access::Pull, environment(&[("REGISTRY_AUTH_FILE", &path("none"))]));
    let message = missing.repository.resolve_tag("v1").unwrap_err().to_string();
    assert!(message.contains("cannot use the credentials in") && message.contains("none"), "{message}");
    let half = Credentials::of_environment(Vec::new(), |name| {
        (name == "OVMLAYER_REGISTRY_USER").then(|| USER.to_owned())
    });
    assert!(half.unwrap_err().to_string().contains("OVMLAYER_REGISTRY_PASSWORD is not set"));
}

/// Where the test of helpers, started again by itself, finds the folder that stands first in its `PATH`.
const HELPERS: &str = "OVMLAYER_TEST_HELPERS";

/// Helpers are found in `PATH`, which no test may change for those beside it: so this one runs in a process of its own.
#[test]
fn helpers() {
    let Some(folder) = std::env::var_os(HELPERS) else {
        let folder = tempfile::tempdir().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "access::helpers", "--nocapture"]).env(HELPERS, folder.path());
        again.env("PATH", format!("{}:{path}", folder.path().display()));
        testkit::run(&mut again);
        return;
    };
    let folder = Path::new(&folder);
    let registry = Registry::start(&RegistrySetup { account: Some((USER, PASSWORD)), ..Default::default() });
    let (host, made) = (registry.name(), single(3, &[3000]));
    let target = with(&host, "app", Access::Push, given(USER, PASSWORD));
    send(&made.layout, &made.root, &target.repository, "v1").unwrap();

    let helper = |name: &str, text: &str| {
        let path = folder.join(format!("docker-credential-ovmlayer-{name}"));
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    };
    helper(
        "good",
        &format!(
            r#"read -r asked; [ "$1" = get ] && [ "$asked" = "{host}" ] && echo '{{"ServerURL":"x","Username":"{USER}","Secret":"{PASSWORD}"}}'"#
        ),
    );
    helper("empty", "echo credentials not found in native keychain; exit 1");
    helper("broken", "echo the keychain is locked; exit 1");
    helper("garbage", "echo s3cret-w0rd");
    helper("flood", "exec yes");
    let config = |text: String| {
        let path = folder.join("config.json");
        std::fs::write(&path, text).unwrap();
        let source =
            with(&host, "app", Access::Pull, environment(&[("REGISTRY_AUTH_FILE", path.to_str().unwrap())]));
        source.repository.resolve_tag("v1").map_err(|error| error.to_string())
    };
    let store = |name: &str| format!(r#"{{"credsStore":"{name}"}}"#);
    config(store("ovmlayer-good")).unwrap();
    let special = format!(r#""credHelpers":{{"{host}":"ovmlayer-good"}}"#);
    config(format!(r#"{{{special},"credsStore":"ovmlayer-broken"}}"#)).unwrap();
    let auths = format!(r#""auths":{{"{host}":{{"auth":"{ENCODED}"}}}}"#);
    config(format!(r#"{{"credsStore":"ovmlayer-empty",{auths}}}"#)).unwrap();
    for (name, words) in [
        ("ovmlayer-empty", "somebody without credentials"),
        ("ovmlayer-broken", "the keychain is locked"),
        ("ovmlayer-garbage", "its answer is not JSON"),
        ("ovmlayer-flood", "no answer of a sensible length"),
        ("ovmlayer-missing", "cannot be started"),
        ("../../bin/sh", "not the name of a program"),
    ] {
        let message = config(store(name)).unwrap_err();
        assert!(message.contains(words) && !message.contains(PASSWORD), "{name}: {message}");
    }
}

#[test]
fn certificates() {
    let certificate = Certificate::generate();
    let setup = RegistrySetup {
        certificate: Some(&certificate),
        account: Some((USER, PASSWORD)),
        ..Default::default()
    };
    let registry = Registry::start(&setup);
    let (host, made) = (registry.name(), single(4, &[3000]));
    let trusting = |access| {
        open_with(&host, "app", access, |mut options| {
            options.http.extra_roots = Roots::read(&certificate.path()).unwrap();
            Options { credentials: given(USER, PASSWORD), ..options }
        })
    };
    send(&made.layout, &made.root, &trusting(Access::Push).repository, "v1").unwrap();
    assert_eq!(read_all(&trusting(Access::Pull).repository, &made.root).unwrap(), 2);

    let doubting = with(&host, "app", Access::Pull, given(USER, PASSWORD));
    let message = doubting.repository.resolve_tag("v1").unwrap_err().to_string();
    assert!(message.contains("TLS") && message.contains("--ca FILE"), "{message}");
    for (summary, contents) in [("no file", None), ("no certificate", Some("nothing"))] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        contents.into_iter().for_each(|text| std::fs::write(&path, text).unwrap());
        let message = Roots::read(&path).unwrap_err().to_string();
        assert!(message.contains("ca.pem") && message.contains("PEM"), "{summary}: {message}");
    }
}

#[test]
fn tokens() {
    let certificate = Arc::new(Certificate::generate());
    let server = TokenServer::start(Arc::clone(&certificate), (USER, PASSWORD));
    let realm = server.realm();
    let registry =
        Registry::start(&RegistrySetup { tokens: Some((&realm, &certificate)), ..Default::default() });
    let (host, made) = (registry.name(), single(5, &[3000, 4000, 5000]));
    let target = with(&host, "app", Access::Push, given(USER, PASSWORD));
    send(&made.layout, &made.root, &target.repository, "v1").unwrap();
    let asked = server.requests();
    assert_eq!(asked.len(), 1, "one token is enough: {asked:?}");
    assert!(asked[0].target.contains("scope=repository%3Aapp%3Apull%2Cpush"), "{asked:?}");
    assert!(asked[0].target.contains("service=registry"), "{asked:?}");

    // Everybody may read, and a token is got for that as well.
    let nobody = open(&host, "app", Access::Pull);
    assert_eq!(read_all(&nobody.repository, &made.root).unwrap(), 4);
    let intruder = open(&host, "app", Access::Push);
    let other = single(6, &[1000]);
    let message = send(&other.layout, &other.root, &intruder.repository, "v2").unwrap_err().to_string();
    assert!(message.contains("to somebody without credentials") && message.contains("--creds"), "{message}");
    let wrong = with(&host, "app", Access::Push, given(USER, "wr0ng-w0rd"));
    let message = send(&other.layout, &other.root, &wrong.repository, "v2").unwrap_err().to_string();
    assert!(message.contains("the token server") && message.contains("check the user name"), "{message}");
    assert!(!message.contains("wr0ng-w0rd"), "{message}");

    // An identity token is worth tokens.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.json");
    std::fs::write(&path, format!(r#"{{"auths":{{"{host}":{{"identitytoken":"{PASSWORD}-identity"}}}}}}"#))
        .unwrap();
    let holder =
        with(&host, "app", Access::Push, environment(&[("REGISTRY_AUTH_FILE", path.to_str().unwrap())]));
    send(&other.layout, &other.root, &holder.repository, "v2").unwrap();
    assert_eq!(server.requests().last().unwrap().method, "POST");

    // What may be written there may be mounted from there.
    let mut second = with(&host, "second", Access::Push, given(USER, PASSWORD));
    second.repository.mount_from(&target.repository);
    let copied = send(&made.layout, &made.root, &second.repository, "v1").unwrap();
    assert_eq!((copied.mounted.blobs, copied.sent.blobs), (4, 0));
}

/// A token that is refused is replaced once, and what is refused again is an error.
#[test]
fn a_token_that_has_run_out_is_replaced() {
    let tokens = Script::start({
        let count = std::sync::atomic::AtomicUsize::new(0);
        move |_| {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Reply::new(200, format!(r#"{{"access_token":"t{number}","expires_in":3600}}"#))
        }
    });
    let realm = format!("{}/token", tokens.url());
    let made = single(7, &[]);
    let bytes = ovmlayer_image::read_small(&made.layout, &made.root).unwrap();
    let (digest, kind) = (made.root.digest_text(), made.root.media_type.clone());
    let registry = Script::start(move |asked| {
        let good = match asked.request.target.as_str() {
            "/v2/app/manifests/one" => "Bearer t0",
            "/v2/app/manifests/two" => "Bearer t1",
            "/v2/" => return Reply::new(401, ""),
            _ => "Bearer none",
        };
        if asked.request.header("authorization") != Some(good) {
            let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
            return Reply::new(401, "").with("WWW-Authenticate", challenge);
        }
        Reply::new(200, bytes.clone()).with("Docker-Content-Digest", &*digest).with("Content-Type", &*kind)
    });
    let source = open(registry.address(), "app", Access::Pull);
    assert_eq!(source.repository.resolve_tag("one").unwrap().digest, made.root.digest);
    assert_eq!(source.repository.resolve_tag("two").unwrap().digest, made.root.digest);
    assert_eq!(tokens.requests().len(), 2);
    let message = source.repository.resolve_tag("three").unwrap_err().to_string();
    assert!(message.contains("401"), "{message}");
    assert_eq!(tokens.requests().len(), 3, "once, not for ever");
}

#[test]
fn challenges_that_make_no_sense() {
    for (summary, challenge, words) in [
        ("none", None, "neither of the ways Basic and Bearer"),
        ("another way", Some("Negotiate"), "neither of the ways Basic and Bearer"),
        ("no realm", Some("Bearer service=\"x\""), "which is no https address"),
        ("a realm that is a file", Some("Bearer realm=\"file:///etc/passwd\""), "which is no https address"),
        ("a realm that nobody answers", Some("Bearer realm=\"http://127.0.0.1:1/\""), "cannot get a token"),
    ] {
        let registry = Script::start(move |_| {
            let reply = Reply::new(401, "");
            match challenge {
                Some(challenge) => reply.with("WWW-Authenticate", challenge),
                None => reply,
            }
        });
        let source = open_with(registry.address(), "app", Access::Pull, |mut options| {
            options.http.retries = 0;
            Options { credentials: given(USER, PASSWORD), ..options }
        });
        let message = source.repository.resolve_tag("v1").unwrap_err().to_string();
        assert!(message.contains(words) && !message.contains(PASSWORD), "{summary}: {message}");
    }
}
