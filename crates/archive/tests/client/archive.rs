//! A small archive, laid out and signed like a real one, in memory.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cache::{Cache, Digest};
use ovmlayer_archive::Clock;
use ovmlayer_archive::client::{Client, Download, Options};
use ovmlayer_archive::keyring::Keyring;
use ovmlayer_archive::source::{SignedBy, Source};
use tree::codec::{Encoder, Format};

use crate::keys::signer;
use crate::server::{Answer, Asked};

/// The moment at which all tests take place.
pub(crate) const NOW: &str = "2030-06-15T12:00:00Z";

/// What the index says.
pub(crate) const PACKAGES: &str = "Package: one\nVersion: 1\nArchitecture: amd64\n\n";

/// The only package.
pub(crate) const PACKAGE: &[u8] = b"a package, for all that the client knows";

/// What the release file says, before its list of files.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) format: Format,
    /// What the list of files says the index unpacks to, if not the truth.
    pub(crate) promised: Option<String>,
}

impl Default for Shape {
    fn default() -> Self {
        let fields = [
            ("Origin", "Test"),
            ("Suite", "stable"),
            ("Codename", "tester"),
            ("Date", "Sat, 15 Jun 2030 06:00:00 UTC"),
            ("Valid-Until", "Sat, 22 Jun 2030 06:00:00 UTC"),
            ("Acquire-By-Hash", "yes"),
            ("Architectures", "amd64 arm64"),
            ("Components", "main"),
        ];
        let fields = fields.map(|(name, value)| (name, value.to_owned())).to_vec();
        Self { fields, format: Format::Xz, promised: None }
    }
}

impl Shape {
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields.retain(|(field, _)| *field != name);
        if !value.is_empty() {
            self.fields.push((name, value.to_owned()));
        }
        self
    }

    /// All files of the archive by path.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut encoder = Encoder::new(self.format, Vec::new(), 1).unwrap();
        encoder.write_all(PACKAGES.as_bytes()).unwrap();
        let packed = encoder.finish().unwrap();
        let suffix = match self.format {
            Format::Plain => String::new(),
            other => format!(".{other}"),
        };
        let mut files = BTreeMap::new();
        let mut list = String::new();
        for architecture in ["amd64", "arm64"] {
            let base = format!("main/binary-{architecture}/Packages");
            let plain = self.promised.as_deref().unwrap_or(PACKAGES);
            list += &format!(" {} {} {base}\n", Digest::of(plain.as_bytes()), plain.len());
            if self.format != Format::Plain {
                list += &format!(" {} {} {base}{suffix}\n", Digest::of(&packed), packed.len());
            }
            files.insert(format!("/dists/tester/{base}{suffix}"), packed.clone());
            let by_hash = format!("main/binary-{architecture}/by-hash/SHA256/{}", Digest::of(&packed));
            files.insert(format!("/dists/tester/{by_hash}"), packed.clone());
        }
        let fields: String = self.fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let release = format!("{fields}SHA256:\n{list}");
        files.insert("/dists/tester/InRelease".to_owned(), signer().sign(&release));
        files.insert("/pool/one_1_amd64.deb".to_owned(), PACKAGE.to_vec());
        files
    }
}

/// Answers from the files of an archive.
pub(crate) fn answer(files: &BTreeMap<String, Vec<u8>>, asked: &Asked) -> Answer {
    files.get(&asked.target).map_or_else(|| Answer::status(404), |body| Answer::ok(body))
}

pub(crate) fn source(uri: &str) -> Source {
    Source {
        uri: uri.to_owned(),
        suite: "tester".to_owned(),
        components: vec!["main".to_owned()],
        architectures: Vec::new(),
        signed_by: SignedBy::Distribution,
    }
}

pub(crate) fn package(uri: &str) -> Download {
    Download {
        name: "one 1 (amd64)".to_owned(),
        path: "pool/one_1_amd64.deb".to_owned(),
        archive: format!("the archive {uri} tester"),
        size: PACKAGE.len() as u64,
        sha256: Digest::of(PACKAGE),
        urls: vec![format!("{uri}/pool/one_1_amd64.deb")],
    }
}

/// Retries come at once; all else is as patient as usual, for a machine may be busy.
fn impatient() -> http::Options {
    http::Options { retries: 2, backoff: Duration::from_millis(1), ..http::Options::default() }
}

pub(crate) fn options(cache: &Path) -> Options {
    let keyring = Keyring::from_bytes("test keys", &signer().keyring).unwrap();
    Options {
        clock: Clock::Fixed(NOW.parse().unwrap()),
        http: impatient(),
        ..Options::new(Cache::open(cache).unwrap(), Arc::new(keyring))
    }
}

pub(crate) fn client(cache: &Path) -> Client {
    Client::new(options(cache)).unwrap()
}
