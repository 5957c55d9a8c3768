//! OpenPGP: whether a release file was signed by a key that its reader trusts.
//!
//! What enters: keyrings (binary or armoured) and a clear-signed message. What leaves: the text that was signed, and
//! by whom. Nothing outside the signed part is ever handed on.
//!
//! The rules are those of a careful `gpgv`: SHA-256 or better for every signature, also for those that bind keys; RSA
//! of at least 2048 bits, or an elliptic curve; keys and subkeys that are bound, meant for signing, not revoked, and
//! not expired at the moment the reader stands at. DSA, SHA-1 and MD5 count for nothing.

mod certificate;
mod cleartext;
mod policy;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use jiff::Timestamp;
use pgp::composed::{Deserializable, SignedPublicKey};
use pgp::packet::{Packet, PacketParser};
use pgp::types::KeyDetails;

use crate::mirror::Distribution;
pub use policy::{KeyProblem, SignatureProblem, Verdict};

/// A keyring is some keys; Debian's, with all its certifications, has 56 kB.
const SIZE_LIMIT: u64 = 16 << 20;

/// Text that was signed by a trusted key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The text, lines ending in `\n`, without trailing blanks (they are not signed) and without dash escapes.
    pub text: String,
    /// The fingerprint (upper-case hexadecimal) of the primary key behind the signature that was found to be good.
    pub signer: String,
}

/// Decides whether a clear-signed message can be believed. [`Keyring`] is the implementation; a test may have another.
pub trait Verifier: Send + Sync {
    /// Verifies `message` as of `moment`.
    ///
    /// # Errors
    /// Why no signature counts.
    fn verify(&self, message: &[u8], moment: Timestamp) -> Result<Signed, SignatureProblem>;
}

/// A keyring that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// It cannot be read.
    #[error("cannot read the keyring `{name}`")]
    Read {
        /// The file.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is larger than any keyring.
    #[error("the keyring `{name}` has more than {} MiB", SIZE_LIMIT >> 20)]
    TooLarge {
        /// The file.
        name: String,
    },
    /// It is in the format that only GnuPG itself reads.
    #[error(
        "`{name}` is a GnuPG key box: export it with `gpg --no-default-keyring --keyring {name} --export`"
    )]
    KeyBox {
        /// The file.
        name: String,
    },
    /// There is no public key in it.
    #[error("the keyring `{name}` holds no OpenPGP public key (binary or armoured): {detail}")]
    Empty {
        /// The file.
        name: String,
        /// What was found.
        detail: String,
    },
}

/// Keys that are trusted to sign.
#[derive(Debug, Clone)]
pub struct Keyring {
    name: String,
    certificates: Vec<SignedPublicKey>,
}

impl Keyring {
    /// The keys of a distribution's archives.
    ///
    /// # Errors
    /// None, unless the program was built from a damaged file.
    pub fn of(distribution: Distribution) -> Result<Self, KeyringError> {
        match distribution {
            Distribution::Debian => Self::debian(),
            Distribution::Ubuntu => Self::ubuntu(),
        }
    }

    /// The keys of Debian's archives, from Debian's package `debian-archive-keyring`; see `keyrings/README.md`.
    ///
    /// # Errors
    /// None, unless the program was built from a damaged file.
    pub fn debian() -> Result<Self, KeyringError> {
        let bytes = include_bytes!("../../../keyrings/debian-archive-keyring.pgp");
        Self::from_bytes("debian-archive-keyring (built in)", bytes)
    }

    /// The keys of Ubuntu's archives, from Debian's package `ubuntu-keyring`; see `keyrings/README.md`.
    ///
    /// # Errors
    /// None, unless the program was built from a damaged file.
    pub fn ubuntu() -> Result<Self, KeyringError> {
        let bytes = include_bytes!("../../../keyrings/ubuntu-archive-keyring.pgp");
        Self::from_bytes("ubuntu-archive-keyring (built in)", bytes)
    }

    /// Reads a keyring, binary or armoured.
    ///
    /// # Errors
    /// Any [`KeyringError`].
    pub fn from_file(path: &Path) -> Result<Self, KeyringError> {
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes))
            .map_err(|source| KeyringError::Read { name: name.clone(), source })?;
        Self::from_bytes(&name, &bytes)
    }

    /// Parses a keyring, binary or armoured; `name` is what messages call it.
    ///
    /// Keys of unknown kinds are passed over, as they cannot have signed anything that we would believe.
    ///
    /// # Errors
    /// Any [`KeyringError`] but [`KeyringError::Read`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, KeyringError> {
        let name = name.to_owned();
        if bytes.len() as u64 > SIZE_LIMIT {
            return Err(KeyringError::TooLarge { name });
        }
        // GnuPG's key box: the magic is at offset 8 of the first blob.
        if bytes.get(8..12) == Some(b"KBXf") {
            return Err(KeyringError::KeyBox { name });
        }
        let binary = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
            bytes.to_vec()
        } else {
            cleartext::dearmor_all(bytes)
                .map_err(|detail| KeyringError::Empty { name: name.clone(), detail })?
        };
        let certificates = parse_certificates(&binary);
        if certificates.is_empty() {
            return Err(KeyringError::Empty {
                name,
                detail: format!("{} bytes of something else", bytes.len()),
            });
        }
        Ok(Self { name, certificates })
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fingerprints of the primary keys, in upper-case hexadecimal, in the order of the file.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<String> {
        self.certificates.iter().map(|key| policy::hex(&key.primary_key.fingerprint())).collect()
    }

    /// The same keys and those of `other`.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.name = format!("{}, {}", self.name, other.name);
        self.certificates.extend(other.certificates);
        self
    }
}

impl Verifier for Keyring {
    fn verify(&self, message: &[u8], moment: Timestamp) -> Result<Signed, SignatureProblem> {
        let message = cleartext::parse(message)?;
        let mut verdicts = Vec::new();
        // One good signature is enough, and those by elliptic curves are checked in a fraction of the time.
        let mut signatures: Vec<_> = message.signatures.iter().collect();
        signatures.sort_by_key(|signature| policy::is_costly(signature));
        for signature in signatures {
            match policy::judge(signature, message.signed.as_bytes(), &self.certificates, moment) {
                Ok(signer) => return Ok(Signed { text: message.text, signer }),
                Err(verdict) => verdicts.push(verdict),
            }
        }
        Err(SignatureProblem::Untrusted { keyring: self.name.clone(), verdicts })
    }
}

fn parse_certificates(binary: &[u8]) -> Vec<SignedPublicKey> {
    // GnuPG leaves its own notes (trust packets) between a name and its signatures.
    let noise = |packet: &pgp::errors::Result<Packet>| {
        matches!(packet, Ok(Packet::Trust(_) | Packet::Marker(_) | Packet::Padding(_)))
    };
    let packets = PacketParser::new(binary).filter(|packet| !noise(packet)).peekable();
    SignedPublicKey::from_packets(packets).filter_map(Result::ok).collect()
}
