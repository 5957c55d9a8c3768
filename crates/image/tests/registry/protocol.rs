//! What other registries do than Debian's: against servers that say what the specification lets them say, and more.

use std::io::Read as _;
use std::sync::{Arc, Mutex};

use cache::Digest;
use ovmlayer_image::registry::{Access, Options};
use ovmlayer_image::{Blobs as _, Descriptor, Target as _, media};
use testkit::{Asked, Reply, Script};

use crate::stage::{noise, open, open_with, single};

const CHUNK: usize = 10_000;

/// A registry that keeps an upload across breaks, byte by byte, as the specification has it.
#[derive(Default)]
struct Keeper {
    held: Mutex<Vec<u8>>,
    stored: Mutex<Option<Vec<u8>>>,
    /// How many bytes of the next chunk are kept before the connection ends.
    cuts: Mutex<Vec<usize>>,
    asked: Mutex<Vec<String>>,
}

impl Keeper {
    fn answer(&self, asked: &Asked) -> Reply {
        let range = asked.request.header("content-range").unwrap_or_default().to_owned();
        let target = asked.request.target.split('?').next().unwrap();
        self.asked.lock().unwrap().push(format!("{} {range}", asked.request.method));
        let mut held = self.held.lock().unwrap();
        let go_on = |status: u16, length: usize| {
            let reply = Reply::new(status, "").with("Location", "/v2/app/blobs/uploads/session?state=x");
            if length == 0 { reply } else { reply.with("Range", format!("0-{}", length - 1)) }
        };
        match (asked.request.method.as_str(), target) {
            ("GET", "/v2/") => Reply::new(200, "{}"),
            ("HEAD", _) => Reply::new(if self.stored.lock().unwrap().is_some() { 200 } else { 404 }, ""),
            ("POST", _) => go_on(202, 0),
            ("GET", "/v2/app/blobs/uploads/session") => go_on(204, held.len()),
            ("PATCH", _) => {
                let start = range.split('-').next().unwrap();
                if start != held.len().to_string() {
                    return go_on(416, held.len());
                }
                if let Some(cut) = self.cuts.lock().unwrap().pop() {
                    held.extend(&asked.body[..cut.min(asked.body.len())]);
                    return Reply::hang_up();
                }
                held.extend(&asked.body);
                go_on(202, held.len())
            }
            ("PUT", _) => {
                held.extend(&asked.body);
                *self.stored.lock().unwrap() = Some(std::mem::take(&mut held));
                Reply::new(201, "")
            }
            _ => Reply::new(404, ""),
        }
    }

    fn start(cuts: &[usize]) -> (Arc<Self>, Script) {
        let keeper = Arc::new(Self { cuts: Mutex::new(cuts.to_vec()), ..Default::default() });
        let shared = Arc::clone(&keeper);
        (keeper, Script::start(move |asked| shared.answer(asked)))
    }
}

#[test]
fn an_upload_goes_on_within_a_chunk() {
    let bytes = noise(1, 25_000);
    let blob = Descriptor::of(media::LAYER, &bytes);
    for (summary, cuts, patches) in [
        ("nothing breaks", vec![], vec!["0-9999", "10000-19999", "20000-24999"]),
        ("in the midst of a chunk", vec![4000], vec!["0-9999", "4000-9999", "10000-19999", "20000-24999"]),
        ("before it", vec![0], vec!["0-9999", "0-9999", "10000-19999", "20000-24999"]),
        ("after it", vec![10_000], vec!["0-9999", "10000-19999", "20000-24999"]),
        (
            "three times",
            vec![100, 100, 100],
            vec!["0-9999", "100-9999", "200-9999", "300-9999", "10000-19999", "20000-24999"],
        ),
    ] {
        let (keeper, server) = Keeper::start(&cuts);
        let target =
            open_with(server.address(), "app", Access::Push, |options| Options { chunk: CHUNK, ..options });
        target.repository.put(&blob, &mut &bytes[..]).unwrap();
        assert_eq!(keeper.stored.lock().unwrap().as_deref(), Some(&bytes[..]), "{summary}");
        let asked = keeper.asked.lock().unwrap();
        let sent: Vec<_> = asked.iter().filter_map(|line| line.strip_prefix("PATCH ")).collect();
        assert_eq!(sent, patches, "{summary}");
    }
}

#[test]
fn what_fits_into_one_chunk_is_sent_in_one_piece() {
    for length in [0, 1, CHUNK] {
        let bytes = noise(2, length);
        let (keeper, server) = Keeper::start(&[]);
        let target =
            open_with(server.address(), "app", Access::Push, |options| Options { chunk: CHUNK, ..options });
        target.repository.put(&Descriptor::of(media::LAYER, &bytes), &mut &bytes[..]).unwrap();
        assert_eq!(keeper.stored.lock().unwrap().as_deref(), Some(&bytes[..]));
        assert_eq!(*keeper.asked.lock().unwrap(), ["GET ", "POST ", "PUT "], "{length} bytes");
    }
}

#[test]
fn a_registry_that_loses_an_upload_is_told_from_the_beginning() {
    let bytes = noise(3, 25_000);
    let blob = Descriptor::of(media::LAYER, &bytes);
    let (keeper, server) = Keeper::start(&[100]);
    let shared = Arc::clone(&keeper);
    // As if it had been started anew while the connection was down.
    let forgetful = Script::start(move |asked| {
        if asked.request.method == "GET" && asked.request.target != "/v2/" {
            shared.held.lock().unwrap().clear();
            return Reply::new(404, "");
        }
        shared.answer(asked)
    });
    drop(server);
    let target =
        open_with(forgetful.address(), "app", Access::Push, |options| Options { chunk: CHUNK, ..options });
    let error = target.repository.put(&blob, &mut &bytes[..]).unwrap_err();
    assert!(
        error.to_string().contains("the registry lost the upload (it answers 404); run again"),
        "{error}"
    );
    target.repository.put(&blob, &mut &bytes[..]).unwrap();
    assert_eq!(keeper.stored.lock().unwrap().as_deref(), Some(&bytes[..]));
}

#[test]
fn chunks_are_as_large_as_the_registry_wants_them() {
    let bytes = noise(4, 25_000);
    let blob = Descriptor::of(media::LAYER, &bytes);
    for (least, patches, words) in
        [("12000", 3, None), ("999999999999", 0, Some("chunks of at least 999999999999 bytes"))]
    {
        let count = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&count);
        let registry = Script::start(move |asked| match asked.request.method.as_str() {
            "POST" => Reply::new(202, "").with("Location", "/v2/app/u").with("OCI-Chunk-Min-Length", least),
            "PATCH" => {
                *counted.lock().unwrap() += 1;
                Reply::new(202, "").with("Location", "/v2/app/u")
            }
            _ => Reply::new(201, ""),
        });
        let target =
            open_with(registry.address(), "app", Access::Push, |options| Options { chunk: 1000, ..options });
        let result = target.repository.put(&blob, &mut &bytes[..]);
        assert_eq!(*count.lock().unwrap(), patches);
        match words {
            None => result.unwrap(),
            Some(words) => assert!(result.unwrap_err().to_string().contains(words)),
        }
    }
}

#[test]
fn an_upload_may_go_on_elsewhere_without_our_credentials() {
    let storage = Script::start(|_| Reply::new(201, ""));
    let place = format!("{}/upload", storage.url());
    let registry = Script::start(move |asked| match asked.request.header("authorization") {
        None => Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"x\""),
        Some(_) => Reply::new(202, "").with("Location", place.clone()),
    });
    let target = open_with(registry.address(), "app", Access::Push, |options| {
        let find = |name: &str| (!name.ends_with("HOST")).then(|| "word".to_owned());
        let credentials = ovmlayer_image::registry::Credentials::of_environment(Vec::new(), find).unwrap();
        Options { credentials, ..options }
    });
    target.repository.put(&Descriptor::of(media::LAYER, b"x"), &mut &b"x"[..]).unwrap();
    let asked = storage.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), None);
}

#[test]
fn tags_come_page_by_page() {
    let page = |tags: &str, link: Option<&str>| {
        let reply = Reply::new(200, format!(r#"{{"name":"app","tags":{tags}}}"#));
        match link {
            Some(link) => reply.with("Link", format!("<{link}>; rel=\"next\"")),
            None => reply,
        }
    };
    let registry = Script::start(move |asked| match asked.request.target.as_str() {
        "/v2/app/tags/list?n=1000" => page(r#"["a","b"]"#, Some("/v2/app/tags/list?n=1000&last=b")),
        "/v2/app/tags/list?n=1000&last=b" => page(r#"["c"]"#, Some("list?n=1000&last=c")),
        "/v2/app/tags/list?n=1000&last=c" => page("null", None),
        "/v2/loop/tags/list?n=1000" => page(r#"["a"]"#, Some("/v2/loop/tags/list?n=1000")),
        "/v2/away/tags/list?n=1000" => page("[]", Some("http://127.0.0.1:1/x")),
        "/v2/bad/tags/list?n=1000" => Reply::new(200, "<html>"),
        "/v2/" => Reply::new(200, "{}"),
        _ => Reply::new(404, ""),
    });
    let tags = |name: &str| open(registry.address(), name, Access::Pull).repository.tags();
    assert_eq!(tags("app").unwrap(), ["a", "b", "c"]);
    for (name, words) in [
        ("loop", "more than 1000 pages"),
        ("away", "at another server"),
        ("bad", "makes no sense"),
        ("none", "there is no repository `none`"),
    ] {
        let text = tags(name).unwrap_err().to_string();
        assert!(text.contains(words), "{name}: {text}");
    }
}

#[test]
fn manifests_that_are_not_what_they_are_said_to_be() {
    let made = single(5, &[]);
    let good = ovmlayer_image::read_small(&made.layout, &made.root).unwrap();
    let other = Digest::of(b"other");
    for (summary, body, headers, words) in [
        ("the right one", good.clone(), vec![], None),
        ("no digest in the header", good.clone(), vec![("Content-Type", media::MANIFEST.to_owned())], None),
        (
            "another digest in the header",
            good.clone(),
            vec![("Docker-Content-Digest", format!("sha256:{other}"))],
            Some("is promised: it was altered"),
        ),
        ("a page for people", b"<html>".to_vec(), vec![], Some("neither a manifest nor an index")),
        (
            "the old schema",
            br#"{"schemaVersion":1}"#.to_vec(),
            vec![("Content-Type", format!("{}+prettyjws", media::DOCKER_SCHEMA1))],
            Some("Docker's schema 1, which is no longer read"),
        ),
        ("too long a one", vec![b' '; 9 << 20], vec![], Some("sends more than the")),
    ] {
        let registry = Script::start(move |asked| {
            let head = asked.request.method == "HEAD";
            let reply = Reply::new(200, if head { Vec::new() } else { body.clone() });
            headers.iter().filter(|_| !head).fold(reply, |reply, (name, value)| reply.with(name, value))
        });
        let result = open(registry.address(), "app", Access::Pull).repository.resolve_tag("v1");
        match words {
            None => assert_eq!(result.unwrap().digest, made.root.digest, "{summary}"),
            Some(words) => {
                let text = result.unwrap_err().to_string();
                assert!(text.contains(words), "{summary}: {text}");
            }
        }
    }
}

/// Ranges, answers of the wrong length, and a registry that has other bytes when it is asked a second time.
#[test]
fn contents_that_change_while_they_are_read() {
    let bytes = noise(6, 50_000);
    let blob = Descriptor::of(media::LAYER, &bytes);
    let turn = Mutex::new(0);
    let right = bytes.clone();
    let registry = Script::start(move |asked| {
        if asked.request.target == "/v2/" {
            return Reply::new(200, "{}");
        }
        let mut turn = turn.lock().unwrap();
        *turn += 1;
        match *turn {
            // Another content of the same length, which only its digest tells.
            1 => Reply::new(200, noise(7, 50_000)),
            _ => Reply::new(200, right.clone()),
        }
    });
    let source = open(registry.address(), "app", Access::Pull);
    let mut found = Vec::new();
    source.repository.open(&blob).unwrap().read_to_end(&mut found).unwrap();
    assert_eq!(found, bytes);
}
