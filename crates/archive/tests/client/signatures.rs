//! Which signatures count: messages made by GnuPG, judged by us and, where it has the same rules, by gpgv.

use jiff::Timestamp;
use ovmlayer_archive::keyring::{KeyProblem, Keyring, KeyringError, SignatureProblem, Verifier};

use crate::keys::Gpg;

const TEXT: &str = "Suite: stable\n- dashes\n-----BEGIN something\nlast, with blanks  \n";
/// What of it is signed.
const SIGNED: &str = "Suite: stable\n- dashes\n-----BEGIN something\nlast, with blanks\n";
const CREATED: &str = "20240101T000000!";

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn now() -> Timestamp {
    at("2024-06-01T00:00:00Z")
}

fn verdict(problem: SignatureProblem) -> KeyProblem {
    match problem {
        SignatureProblem::Untrusted { verdicts, .. } => verdicts.into_iter().next().unwrap().problem,
        other => panic!("{other}"),
    }
}

#[test]
fn good_signatures_of_every_kind_of_key() {
    for kind in ["rsa2048", "rsa3072", "ed25519", "nistp256", "nistp384"] {
        let gpg = Gpg::new();
        gpg.make_key("k", kind, &["--faked-system-time", CREATED]);
        let message = gpg.sign("k", TEXT, &["--faked-system-time", "20240301T000000!"]);
        let ring = Keyring::from_bytes("k", &gpg.export("k")).unwrap();
        let signed = ring.verify(&message, now()).unwrap_or_else(|problem| panic!("{kind}: {problem}"));
        assert_eq!(signed.text, SIGNED, "{kind}");
        assert_eq!(signed.signer, gpg.fingerprint("k"), "{kind}");
        // Armoured keyrings, also several in one file, are as good.
        let armoured = gpg.run(&["--armor", "--export", "k"], b"");
        let twice = [armoured.clone(), armoured].concat();
        let ring = Keyring::from_bytes("k", &twice).unwrap();
        assert_eq!(ring.fingerprints().len(), 2);
        assert!(ring.verify(&message, now()).is_ok(), "{kind}, armoured");
        // A mirror that sends CR LF changes nothing that is signed.
        let dos = String::from_utf8(message).unwrap().replace('\n', "\r\n");
        assert_eq!(ring.verify(dos.as_bytes(), now()).unwrap().text, SIGNED, "{kind}, CR LF");
    }
}

#[test]
fn what_was_altered_or_added_is_refused() {
    let gpg = Gpg::new();
    gpg.make_key("k", "ed25519", &["--faked-system-time", CREATED]);
    let message =
        String::from_utf8(gpg.sign("k", TEXT, &["--faked-system-time", "20240301T000000!"])).unwrap();
    let ring = Keyring::from_bytes("k", &gpg.export("k")).unwrap();
    assert!(ring.verify(message.as_bytes(), now()).is_ok());

    let altered = message.replace("stable", "stab1e");
    assert_eq!(verdict(ring.verify(altered.as_bytes(), now()).unwrap_err()), KeyProblem::Bad);
    let longer = message.replace("Suite: stable", "Suite: stable\nmore");
    assert_eq!(verdict(ring.verify(longer.as_bytes(), now()).unwrap_err()), KeyProblem::Bad);

    let hidden = message.replacen("\n\n", "\n \nSuite: evil\n\n", 1);
    assert_eq!(verdict(ring.verify(hidden.as_bytes(), now()).unwrap_err()), KeyProblem::Bad);

    let half = message.len() - 40;
    for (summary, broken) in [
        ("text before", format!("Suite: evil\n{message}")),
        ("text after", format!("{message}Suite: evil\n")),
        ("a second message", format!("{message}{message}")),
        ("a header that hides text", message.replacen("Hash:", "Suite: evil\nHash:", 1)),
        ("a lone carriage return", message.replace("Suite: stable\n", "Suite: stable\r")),
        ("a dash that is not escaped", message.replace("- -----BEGIN", "-----BEGIN")),
        ("cut off", message[..half].to_owned()),
        ("no signature", message.split("-----BEGIN PGP SIGNATURE").next().unwrap().to_owned()),
        ("not signed at all", TEXT.to_owned()),
        ("nothing", String::new()),
    ] {
        let problem = ring.verify(broken.as_bytes(), now()).err();
        let expected =
            matches!(problem, Some(SignatureProblem::Malformed { .. } | SignatureProblem::NotSigned));
        assert!(expected, "{summary}: {problem:?}");
    }
    assert!(ring.verify(&[0xff; 100], now()).is_err());
}

#[test]
fn keys_and_signatures_that_do_not_count() {
    let gpg = Gpg::new();
    let created = ["--faked-system-time", CREATED];
    let signed = ["--faked-system-time", "20240301T000000!"];
    gpg.make_key("good", "ed25519", &created);
    gpg.make_key("other", "ed25519", &created);
    gpg.make_key("weak", "rsa1024", &created);
    gpg.make_key("dsa", "dsa2048", &created);
    let mut short = created.to_vec();
    short.extend(["--quick-generate-key", "short", "ed25519", "sign", "90d"]);
    gpg.run(&short, b"");
    let sha1_bound = [&created[..], &["--cert-digest-algo", "SHA1"]].concat();
    gpg.make_key("bound", "rsa2048", &sha1_bound);

    let with = |name: &str, more: &[&str]| gpg.sign(name, TEXT, &[&signed[..], more].concat());
    for (summary, key, message, moment, expected) in [
        ("an unknown key", "other", with("good", &[]), now(), "Unknown"),
        ("SHA-1", "good", with("good", &["--digest-algo", "SHA1"]), now(), "WeakHash(\"SHA1\")"),
        ("SHA-224", "bound", with("bound", &["--digest-algo", "SHA224"]), now(), "WeakHash(\"SHA224\")"),
        ("RSA with 1024 bits", "weak", with("weak", &[]), now(), "WeakKey"),
        ("DSA", "dsa", with("dsa", &[]), now(), "WeakKey"),
        ("a key bound by SHA-1", "bound", with("bound", &[]), now(), "Unbound"),
        ("a key that expired", "short", with("short", &[]), now(), "KeyExpired"),
        ("an expired signature", "good", with("good", &["--default-sig-expire", "7d"]), now(), "Expired"),
        ("from the future", "good", with("good", &[]), at("2024-02-01T00:00:00Z"), "Misdated"),
    ] {
        let ring = Keyring::from_bytes(key, &gpg.export(key)).unwrap();
        let problem = ring.verify(&message, moment).expect_err(summary);
        let found = format!("{:?}", verdict(problem));
        assert!(found.starts_with(expected), "{summary}: {found}");
    }
    // The same short-lived key while it lived.
    let ring = Keyring::from_bytes("short", &gpg.export("short")).unwrap();
    assert!(ring.verify(&with("short", &[]), at("2024-03-02T00:00:00Z")).is_ok());
}

#[test]
fn a_revoked_key_signs_nothing_not_even_before() {
    let gpg = Gpg::new();
    gpg.make_key("k", "ed25519", &["--faked-system-time", CREATED]);
    let message = gpg.sign("k", TEXT, &["--faked-system-time", "20240301T000000!"]);
    let print = gpg.fingerprint("k");
    let file = gpg.home().join(format!("openpgp-revocs.d/{print}.rev"));
    // gpg puts a colon before the armour, so that nobody imports it by accident.
    let revocation = std::fs::read_to_string(file).unwrap().replace(":-----BEGIN", "-----BEGIN");
    gpg.run(&["--import"], revocation.as_bytes());
    let ring = Keyring::from_bytes("k", &gpg.export("k")).unwrap();
    assert_eq!(verdict(ring.verify(&message, now()).unwrap_err()), KeyProblem::Revoked);
}

#[test]
fn subkeys_sign_if_they_are_for_signing_and_live() {
    let gpg = Gpg::new();
    let created = ["--faked-system-time", CREATED];
    gpg.run(&[&created[..], &["--quick-generate-key", "k", "ed25519", "cert", "never"]].concat(), b"");
    let print = gpg.fingerprint("k");
    gpg.run(&[&created[..], &["--quick-add-key", &print, "ed25519", "sign", "120d"]].concat(), b"");
    let message = gpg.sign("k", TEXT, &["--faked-system-time", "20240301T000000!"]);
    let ring = Keyring::from_bytes("k", &gpg.export("k")).unwrap();
    let signed = ring.verify(&message, at("2024-04-01T00:00:00Z")).unwrap();
    assert_eq!(signed.signer, print, "the primary key is the one that is trusted");
    let problem = verdict(ring.verify(&message, now()).unwrap_err());
    assert!(matches!(problem, KeyProblem::KeyExpired(_)), "{problem}");

    // The subkey's binding is taken away: a bare subkey is nobody's.
    let whole = gpg.export("k");
    let bare = drop_last_packet(&whole);
    let ring = Keyring::from_bytes("k", &bare).unwrap();
    assert_eq!(verdict(ring.verify(&message, at("2024-04-01T00:00:00Z")).unwrap_err()), KeyProblem::Unknown);

    // The binding is altered: it no longer binds.
    let mut altered = whole;
    let last = altered.len() - 5;
    altered[last] ^= 1;
    let ring = Keyring::from_bytes("k", &altered).unwrap();
    assert_eq!(verdict(ring.verify(&message, at("2024-04-01T00:00:00Z")).unwrap_err()), KeyProblem::Unbound);

    // Revoked, by the primary key.
    let revoke = gpg.try_run(
        "gpg",
        &["--command-fd", "0", "--no-batch", "--edit-key", &print],
        b"key 1\nrevkey\ny\n0\n\ny\nsave\n",
    );
    let listing = String::from_utf8(gpg.run(&["--with-colons", "--list-keys", "k"], b"")).unwrap();
    assert!(listing.contains("\nsub:r:"), "{listing}{}", String::from_utf8_lossy(&revoke.stderr));
    let ring = Keyring::from_bytes("k", &gpg.export("k")).unwrap();
    assert_eq!(verdict(ring.verify(&message, at("2024-04-01T00:00:00Z")).unwrap_err()), KeyProblem::Revoked);
}

/// Several signatures: one good one is enough, and it is the one that is named.
#[test]
fn one_good_signature_among_several_is_enough() {
    let gpg = Gpg::new();
    gpg.make_key("one", "ed25519", &["--faked-system-time", CREATED]);
    gpg.make_key("two", "rsa2048", &["--faked-system-time", CREATED]);
    let message = gpg.sign("one", TEXT, &["--local-user", "two", "--faked-system-time", "20240301T000000!"]);
    for name in ["one", "two"] {
        let ring = Keyring::from_bytes(name, &gpg.export(name)).unwrap();
        assert_eq!(ring.verify(&message, now()).unwrap().signer, gpg.fingerprint(name));
    }
}

/// Messages damaged in one bit, everywhere: what we accept has the very text that was signed, and gpgv accepts it too
/// (unless the damage is within the armour, whose checksum RFC 9580, section 6.1, wants ignored).
#[test]
fn damaged_messages_are_judged_as_by_gpgv() {
    let gpg = Gpg::new();
    gpg.make_key("k", "ed25519", &["--faked-system-time", CREATED]);
    let message = gpg.sign("k", TEXT, &["--faked-system-time", "20240301T000000!"]);
    let keyring = gpg.home().join("ring.gpg");
    std::fs::write(&keyring, gpg.export("k")).unwrap();
    let ring = Keyring::from_file(&keyring).unwrap();
    let find = |what: &[u8]| message.windows(what.len()).position(|part| part == what).unwrap();
    // Not in the `Hash:` header, which gpgv believes and RFC 9580, section 7.1, wants ignored.
    let (text_begins, armour_begins) = (find(b"\n\n"), find(b"-----BEGIN PGP SIGNATURE"));
    let (mut accepted, mut refused) = (0, 0);
    for place in text_begins..message.len() {
        let mut damaged = message.clone();
        damaged[place] ^= 1 << (place % 7);
        let Ok(signed) = ring.verify(&damaged, now()) else {
            refused += 1;
            continue;
        };
        accepted += 1;
        assert_eq!(signed.text, SIGNED, "byte {place}");
        if place < armour_begins {
            let file = gpg.home().join("message");
            std::fs::write(&file, &damaged).unwrap();
            let paths = [keyring.to_str().unwrap(), file.to_str().unwrap()];
            let theirs = gpg.try_run("gpgv", &["--keyring", paths[0], paths[1]], b"");
            assert!(theirs.status.success(), "byte {place}: accepted here only");
        }
    }
    println!("{accepted} harmless, {refused} refused");
    assert!(refused > 9 * accepted, "most damage should be noticed: {refused} of {}", accepted + refused);
}

#[test]
fn keyrings_that_are_none() {
    let gpg = Gpg::new();
    gpg.make_key("k", "ed25519", &[]);
    let boxed = std::fs::read(gpg.home().join("pubring.kbx")).unwrap();
    let error = Keyring::from_bytes("pubring.kbx", &boxed).unwrap_err();
    assert!(
        matches!(error, KeyringError::KeyBox { .. }) && error.to_string().contains("--export"),
        "{error}"
    );
    for bytes in [&b""[..], b"hello", &[0x99; 50], b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxxxx"] {
        let error = Keyring::from_bytes("x", bytes).unwrap_err();
        assert!(matches!(error, KeyringError::Empty { .. }), "{error}");
    }
    let error = Keyring::from_file(std::path::Path::new("/nonexistent/ring.gpg")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/ring.gpg"), "{error}");
}

/// The keys that are built in; `keyrings/README.md` says where they are from.
#[test]
fn the_built_in_keys_are_these() {
    assert_eq!(
        Keyring::debian().unwrap().fingerprints(),
        [
            "1F89983E0081FDE018F3CC9673A4F27B8DD47936",
            "AC530D520F2F3269F5E98313A48449044AAD5C5D",
            "A4285295FC7B1A81600062A9605C66F00D6C9793",
            "4D64FEC119C2029067D6E791F8D2585B8783D481",
            "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8",
            "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0",
            "04B54C3CDCA79751B16BC6B5225629DF75B188BD",
            "5E04A1E3223A19A20706E20F9904613D4CCE68C6",
            "41587F7DB8C774BCCF131416762F67A0B2C39DE4",
        ]
    );
    assert_eq!(
        Keyring::ubuntu().unwrap().fingerprints(),
        [
            "790BC7277767219C42C86F933B4FE6ACC0B21F32",
            "843938DF228D22F7B3742BC0D94AA3F0EFE21092",
            "F6ECB3762474EDA9D21B7022871920D1991BC93C",
        ]
    );
}

/// Takes the last packet (a signature) off exported keys. gpg writes old-format headers: the tag in bits 2 to 5, the kind
/// of length in bits 0 and 1 (RFC 9580, section 4.2.2).
fn drop_last_packet(bytes: &[u8]) -> Vec<u8> {
    let (mut place, mut last) = (0, 0);
    while place < bytes.len() {
        last = place;
        let width = 1 << (bytes[place] & 3);
        let length =
            bytes[place + 1..=place + width].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        place += 1 + width + length;
    }
    bytes[..last].to_vec()
}
