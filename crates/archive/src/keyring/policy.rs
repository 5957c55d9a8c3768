//! Which signatures count.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use pgp::composed::SignedPublicKey;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{EcdsaPublicParams, Fingerprint, KeyDetails, PublicParams, VerifyingKey};

use super::certificate::{Component, components};

/// The clocks of signer and reader may differ by this much.
pub(super) const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_hours(24);

const RSA_BITS: u16 = 2048;

/// Why a message cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureProblem {
    /// It is something else, such as the page of a portal.
    #[error("it is not a clear-signed OpenPGP message")]
    NotSigned,
    /// It begins like one, but is damaged, or holds more than what was signed.
    #[error("its OpenPGP framing is wrong: {detail}")]
    Malformed {
        /// What is wrong.
        detail: String,
    },
    /// No signature is a good one by a trusted key.
    #[error("no signature of a key in `{keyring}` is good: {}", list(verdicts))]
    Untrusted {
        /// The keyring.
        keyring: String,
        /// One for each signature.
        verdicts: Vec<Verdict>,
    },
}

/// What is wrong with one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Who is said to have signed: fingerprint or key ID, upper-case hexadecimal.
    pub signer: String,
    /// Why it does not count.
    pub problem: KeyProblem,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {}", self.signer, self.problem)
    }
}

fn list(verdicts: &[Verdict]) -> String {
    verdicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Why a signature, or the key that made it, does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// The key is not in the keyring.
    #[error("not in the keyring")]
    Unknown,
    /// The signature is not of this text by this key.
    #[error("the signature does not fit the text: it was altered, or damaged on the way")]
    Bad,
    /// Made with a hash that can be forged.
    #[error("the signature is made with {0}, which can be forged")]
    WeakHash(String),
    /// Made with a key that can be forged, or of an unknown kind.
    #[error("the key is too weak, or of an unknown kind ({0})")]
    WeakKey(String),
    /// The key says when it ends, and that has passed.
    #[error("the key expired on {0}")]
    KeyExpired(Timestamp),
    /// The signature says when it ends, and that has passed.
    #[error("the signature expired on {0}")]
    Expired(Timestamp),
    /// Made after now, or before its key.
    #[error("the signature is dated {0}, before its key or in the future; is this machine's clock right?")]
    Misdated(Timestamp),
    /// Its owner took the key back.
    #[error("the key is revoked")]
    Revoked,
    /// Nothing that counts binds the key to its owner, or a subkey to its key.
    #[error("the key has no self-signature that counts (SHA-256 or better is needed)")]
    Unbound,
    /// The key is for something else.
    #[error("the key is not meant for signing")]
    NotForSigning,
    /// The signature has a part that must be understood, and is not.
    #[error("the signature is of a kind that is not understood")]
    NotUnderstood,
}

/// The fingerprint of the primary key behind `signature`, if it is a good one over `signed` as of `moment`.
pub(super) fn judge(
    signature: &Signature,
    signed: &[u8],
    certificates: &[SignedPublicKey],
    moment: Timestamp,
) -> Result<String, Verdict> {
    let mut problem = KeyProblem::Unknown;
    for certificate in certificates {
        for component in components(certificate).filter(|component| issued(signature, component)) {
            match judge_one(signature, signed, &component, moment) {
                Ok(()) => return Ok(hex(&certificate.primary_key.fingerprint())),
                Err(found) => problem = found,
            }
        }
    }
    Err(Verdict { signer: signer(signature), problem })
}

/// Whether checking takes long arithmetic.
pub(super) fn is_costly(signature: &Signature) -> bool {
    signature.config().is_none_or(|config| config.pub_alg == PublicKeyAlgorithm::RSA)
}

fn judge_one(
    signature: &Signature,
    signed: &[u8],
    component: &Component<'_>,
    moment: Timestamp,
) -> Result<(), KeyProblem> {
    if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
        return Err(KeyProblem::NotUnderstood);
    }
    acceptable(signature)?;
    component.check(moment)?;
    in_time(signature, component.created(), moment)?;
    component.verify(signature, signed).map_err(|_| KeyProblem::Bad)
}

/// Whether a signature, of whatever type, is made of parts that count.
pub(super) fn acceptable(signature: &Signature) -> Result<(), KeyProblem> {
    match signature.hash_alg() {
        Some(
            HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512,
        ) => {}
        Some(other) => return Err(KeyProblem::WeakHash(other.to_string())),
        None => return Err(KeyProblem::NotUnderstood),
    }
    let config = signature.config().ok_or(KeyProblem::NotUnderstood)?;
    let foreign = config.hashed_subpackets().any(|part| {
        let unknown = matches!(
            part.data,
            SubpacketData::Other(..) | SubpacketData::Experimental(..) | SubpacketData::Notation(_)
        );
        part.is_critical && unknown
    });
    if foreign { Err(KeyProblem::NotUnderstood) } else { Ok(()) }
}

/// Whether `moment` lies in the life of a signature by a key made at `created`.
pub(super) fn in_time(
    signature: &Signature,
    created: Timestamp,
    moment: Timestamp,
) -> Result<(), KeyProblem> {
    let made = signature.created().ok_or(KeyProblem::NotUnderstood)?;
    let made = instant(made.as_secs());
    if made < created || made > later(moment, CLOCK_TOLERANCE) {
        return Err(KeyProblem::Misdated(made));
    }
    let lifetime = signature.signature_expiration_time().map_or(0, pgp::types::Duration::as_secs);
    let end = later(made, SignedDuration::from_secs(lifetime.into()));
    if lifetime != 0 && end <= moment {
        return Err(KeyProblem::Expired(end));
    }
    Ok(())
}

/// Whether a public key can be relied on.
pub(super) fn strong(key: &impl KeyDetails) -> Result<(), KeyProblem> {
    match key.public_params() {
        PublicParams::RSA(parameters) => {
            // RFC 9580, section 5.5.5.1: the modulus first, as a multiprecision integer: its length in bits, then itself.
            let mut bytes = Vec::new();
            let written = parameters.to_writer(&mut bytes).is_ok();
            match bytes.first_chunk() {
                Some(bits) if written && u16::from_be_bytes(*bits) >= RSA_BITS => Ok(()),
                Some(bits) => {
                    Err(KeyProblem::WeakKey(format!("RSA with {} bits", u16::from_be_bytes(*bits))))
                }
                None => Err(KeyProblem::NotUnderstood),
            }
        }
        PublicParams::EdDSALegacy(_) | PublicParams::Ed25519(_) | PublicParams::Ed448(_) => Ok(()),
        PublicParams::ECDSA(
            EcdsaPublicParams::P256 { .. } | EcdsaPublicParams::P384 { .. } | EcdsaPublicParams::P521 { .. },
        ) => Ok(()),
        _ => Err(KeyProblem::WeakKey(format!("{:?}", key.algorithm()))),
    }
}

/// Whether `signature` claims to be by this key. One that names nobody is by nobody.
fn issued(signature: &Signature, component: &Component<'_>) -> bool {
    signature.issuer_fingerprint().into_iter().any(|print| *print == component.fingerprint())
        || signature.issuer_key_id().into_iter().any(|id| *id == component.key_id())
}

fn signer(signature: &Signature) -> String {
    let print = signature.issuer_fingerprint().into_iter().next().map(hex);
    let id = || signature.issuer_key_id().into_iter().next().map(|id| hex_bytes(id.as_ref()));
    print.or_else(id).unwrap_or_else(|| "without a name".to_owned())
}

/// A fingerprint as GnuPG prints it, without blanks.
pub(super) fn hex(fingerprint: &Fingerprint) -> String {
    hex_bytes(fingerprint.as_bytes())
}

fn hex_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// OpenPGP times are unsigned seconds since 1970; every one of them is a [`Timestamp`].
pub(super) fn instant(seconds: u32) -> Timestamp {
    Timestamp::from_second(seconds.into()).unwrap_or(Timestamp::MAX)
}

/// The moment `span` after `moment`, or the end of time.
pub(super) fn later(moment: Timestamp, span: SignedDuration) -> Timestamp {
    moment.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// What verifying takes: a key that can be hashed and used.
pub(super) trait Key: VerifyingKey + pgp::ser::Serialize {}
impl<K: VerifyingKey + pgp::ser::Serialize> Key for K {}
