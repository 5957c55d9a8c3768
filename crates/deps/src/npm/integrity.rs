//! Subresource integrity, as npm's locks have it.

use std::fmt;
use std::io::{self, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// How contents are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-1, which only old packages have.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// Its name in locks.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn hash(self, contents: &mut dyn Read) -> io::Result<Vec<u8>> {
        match self {
            Self::Sha1 => hash::<Sha1Of>(contents),
            Self::Sha256 => hash::<Of<Sha256>>(contents),
            Self::Sha384 => hash::<Of<Sha384>>(contents),
            Self::Sha512 => hash::<Of<Sha512>>(contents),
        }
    }
}

/// The hash that contents must have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Integrity {
    /// How it is made.
    pub algorithm: Algorithm,
    /// Its bytes.
    pub hash: Vec<u8>,
}

impl Integrity {
    /// The strongest of the hashes in `text`, which are separated by spaces; none when there is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let known = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512];
        let hashes = text.split_ascii_whitespace().filter_map(|word| {
            let (name, rest) = word.split_once('-')?;
            let algorithm = known.into_iter().find(|algorithm| algorithm.name() == name)?;
            // Options may follow, which nobody uses.
            let hash = STANDARD.decode(rest.split('?').next()?).ok()?;
            (hash.len() == algorithm.size()).then_some(Self { algorithm, hash })
        });
        hashes.max_by_key(|integrity| integrity.algorithm)
    }

    /// The hash in hexadecimal.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(&self.hash)
    }

    /// Whether contents have this hash.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn is_of(&self, contents: &mut dyn Read) -> io::Result<bool> {
        Ok(self.algorithm.hash(contents)? == self.hash)
    }
}

impl TryFrom<String> for Integrity {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is no hash such as sha512-…"))
    }
}

impl From<Integrity> for String {
    fn from(integrity: Integrity) -> Self {
        integrity.to_string()
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.algorithm.name(), STANDARD.encode(&self.hash))
    }
}

/// What all hashers have in common; those of SHA-1 are of another generation of the same project.
trait Hashes: Default {
    fn add(&mut self, bytes: &[u8]);
    fn end(self) -> Vec<u8>;
}

#[derive(Default)]
struct Of<D>(D);

impl<D: Digest + Default> Hashes for Of<D> {
    fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn end(self) -> Vec<u8> {
        self.0.finalize().as_slice().to_vec()
    }
}

#[derive(Default)]
struct Sha1Of(Sha1);

impl Hashes for Sha1Of {
    fn add(&mut self, bytes: &[u8]) {
        sha1::Digest::update(&mut self.0, bytes);
    }

    fn end(self) -> Vec<u8> {
        sha1::Digest::finalize(self.0).to_vec()
    }
}

fn hash<H: Hashes>(contents: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut hasher = H::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match contents.read(&mut buffer) {
            Ok(0) => return Ok(hasher.end()),
            Ok(count) => hasher.add(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_hash_counts() {
        let sha1 = "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=";
        let sha512 =
            "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";
        let both = Integrity::parse(&format!("{sha1} {sha512}")).expect("hashes");
        assert_eq!((both.algorithm, both.to_string().as_str()), (Algorithm::Sha512, sha512));
        assert!(both.is_of(&mut &b""[..]).expect("bytes"));
        assert!(!both.is_of(&mut &b"a"[..]).expect("bytes"));
        let old = Integrity::parse(sha1).expect("a hash");
        assert!(old.is_of(&mut &b""[..]).expect("bytes"));
        for bad in ["", "md5-abc", "sha512-abc", "sha512-"] {
            assert_eq!(Integrity::parse(bad), None, "{bad}");
        }
    }
}
