//! Whatever a server sends, the parsers answer; they never stop the program.

use std::sync::OnceLock;

use ovmlayer_archive::keyring::{Keyring, Verifier};
use ovmlayer_archive::release::Release;
use ovmlayer_archive::source::{parse_deb822, parse_one_line};
use proptest::prelude::*;

use crate::archive::{NOW, Shape};
use crate::keys::signer;

fn message() -> &'static Vec<u8> {
    static MESSAGE: OnceLock<Vec<u8>> = OnceLock::new();
    MESSAGE.get_or_init(|| Shape::default().files().remove("/dists/tester/InRelease").unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn release_files(text in "([A-Z][a-z]{0,3}|Date|SHA256|Suite)(: ?| )[ -~é\n]{0,80}") {
        let _ = Release::parse(&text);
        let listed = format!("Date: Sat, 15 Jun 2030 06:00:00 UTC\nSHA256:\n {text}");
        let _ = Release::parse(&listed);
    }

    #[test]
    fn sources(text in "(deb|deb-src|Types: deb|URIs:|#)[ \\[\\]=,:/.a-z\n]{0,120}") {
        let _ = parse_one_line("f", &text).count();
        let _ = parse_deb822("f", &text);
    }

    #[test]
    fn signed_messages(places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), cut in any::<prop::sample::Index>()) {
        let mut damaged = message().clone();
        for (place, byte) in places {
            let place = place.index(damaged.len());
            damaged[place] = byte;
        }
        let ring = Keyring::from_bytes("test keys", &signer().keyring).unwrap();
        let moment = NOW.parse().unwrap();
        if let Ok(signed) = ring.verify(&damaged, moment) {
            let truth = ring.verify(message(), moment).unwrap();
            prop_assert_eq!(signed.text, truth.text);
        }
        damaged.truncate(cut.index(damaged.len()));
        prop_assert!(ring.verify(&damaged, moment).is_err());
    }

    #[test]
    fn keyrings(places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), cut in any::<prop::sample::Index>()) {
        let mut damaged = signer().keyring.clone();
        for (place, byte) in places {
            let place = place.index(damaged.len());
            damaged[place] = byte;
        }
        let _ = Keyring::from_bytes("damaged", &damaged).map(|ring| ring.verify(message(), NOW.parse().unwrap()));
        damaged.truncate(cut.index(damaged.len()));
        let _ = Keyring::from_bytes("cut", &damaged);
    }
}
