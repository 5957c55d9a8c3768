//! Certificates: which of their keys may sign, and until when.

use jiff::{SignedDuration, Timestamp};
use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::types::{Fingerprint, KeyDetails, KeyId, Tag};

use super::policy::{Key, KeyProblem, acceptable, in_time, instant, later, strong};

/// A key of a certificate: the primary one, or a subkey.
pub(super) struct Component<'a> {
    certificate: &'a SignedPublicKey,
    subkey: Option<&'a SignedPublicSubKey>,
}

/// All keys of a certificate.
pub(super) fn components(certificate: &SignedPublicKey) -> impl Iterator<Item = Component<'_>> {
    let subkeys = certificate.public_subkeys.iter().map(Some);
    std::iter::once(None).chain(subkeys).map(move |subkey| Component { certificate, subkey })
}

impl Component<'_> {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.subkey.map_or_else(|| self.certificate.primary_key.fingerprint(), |sub| sub.key.fingerprint())
    }

    pub(super) fn key_id(&self) -> KeyId {
        self.subkey
            .map_or_else(|| self.certificate.primary_key.legacy_key_id(), |sub| sub.key.legacy_key_id())
    }

    pub(super) fn created(&self) -> Timestamp {
        self.subkey.map_or_else(|| created(&self.certificate.primary_key), |sub| created(&sub.key))
    }

    pub(super) fn verify(&self, signature: &Signature, signed: &[u8]) -> pgp::errors::Result<()> {
        match self.subkey {
            None => signature.verify(&self.certificate.primary_key, signed),
            Some(sub) => signature.verify(&sub.key, signed),
        }
    }

    /// Whether this key may sign at `moment`.
    pub(super) fn check(&self, moment: Timestamp) -> Result<(), KeyProblem> {
        let primary = check_primary(self.certificate, moment)?;
        match self.subkey {
            Some(subkey) => check_subkey(&self.certificate.primary_key, subkey, moment),
            None => for_signing(&primary, true),
        }
    }
}

/// The self-signature that says what the primary key is for, if it counts at `moment`.
fn check_primary(certificate: &SignedPublicKey, moment: Timestamp) -> Result<Signature, KeyProblem> {
    let key = &certificate.primary_key;
    strong(key)?;
    let details = &certificate.details;
    // A key that was taken back stays so, whatever the date of the revocation: whoever has it can set any date.
    if details.revocation_signatures.iter().any(|revocation| revocation.verify_key(key).is_ok()) {
        return Err(KeyProblem::Revoked);
    }
    let direct = details.direct_signatures.iter().filter(|made| {
        made.typ() == Some(SignatureType::Key) && counts(made, key, moment) && made.verify_key(key).is_ok()
    });
    let by_name = details.users.iter().flat_map(|user| {
        let own = move |made: &&Signature| made.verify_certification(key, Tag::UserId, &user.id).is_ok();
        let revoked = user
            .signatures
            .iter()
            .filter(|made| made.typ() == Some(SignatureType::CertRevocation))
            .any(|made| own(&made));
        user.signatures
            .iter()
            .filter(move |made| !revoked && made.is_certification() && counts(made, key, moment))
            .filter(own)
    });
    let newest = direct.chain(by_name).max_by_key(|made| made.created().map(pgp::types::Timestamp::as_secs));
    let newest = newest.ok_or(KeyProblem::Unbound)?;
    not_expired(newest, created(key), moment)?;
    Ok(newest.clone())
}

fn check_subkey(
    primary: &impl Key,
    subkey: &SignedPublicSubKey,
    moment: Timestamp,
) -> Result<(), KeyProblem> {
    strong(&subkey.key)?;
    let verified = |kind| {
        subkey.signatures.iter().filter(move |made| {
            made.typ() == Some(kind) && made.verify_subkey_binding(primary, &subkey.key).is_ok()
        })
    };
    if verified(SignatureType::SubkeyRevocation).next().is_some() {
        return Err(KeyProblem::Revoked);
    }
    let newest = verified(SignatureType::SubkeyBinding)
        .filter(|made| counts(made, primary, moment))
        .max_by_key(|made| made.created().map(pgp::types::Timestamp::as_secs))
        .ok_or(KeyProblem::Unbound)?;
    for_signing(newest, false)?;
    // Without the subkey's own consent, anybody could claim the signatures of a stranger's key.
    let consent = newest.embedded_signature().ok_or(KeyProblem::Unbound)?;
    acceptable(consent)?;
    consent.verify_primary_key_binding(&subkey.key, primary).map_err(|_| KeyProblem::Unbound)?;
    not_expired(newest, created(&subkey.key), moment)
}

/// Whether a binding is made of parts that count, at this moment.
fn counts(made: &Signature, key: &impl KeyDetails, moment: Timestamp) -> bool {
    acceptable(made).is_ok() && in_time(made, created(key), moment).is_ok()
}

fn not_expired(binding: &Signature, created: Timestamp, moment: Timestamp) -> Result<(), KeyProblem> {
    let lifetime = binding.key_expiration_time().map_or(0, pgp::types::Duration::as_secs);
    let end = later(created, SignedDuration::from_secs(lifetime.into()));
    if lifetime != 0 && end <= moment { Err(KeyProblem::KeyExpired(end)) } else { Ok(()) }
}

/// Whether the key flags include signing; `otherwise` when there are none (old keys may do everything).
fn for_signing(binding: &Signature, otherwise: bool) -> Result<(), KeyProblem> {
    let flags = binding.config().and_then(|config| {
        config.hashed_subpackets().find_map(|part| match &part.data {
            SubpacketData::KeyFlags(flags) => Some(flags.sign()),
            _ => None,
        })
    });
    if flags.unwrap_or(otherwise) { Ok(()) } else { Err(KeyProblem::NotForSigning) }
}

fn created(key: &impl KeyDetails) -> Timestamp {
    instant(key.created_at().as_secs())
}
