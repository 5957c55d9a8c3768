//! Which asset of a release is the one for an architecture.

use crate::{Asset, Component, Error, Release, Result};

/// What stands beside assets and is about them.
const ABOUT: [&str; 11] = [
    ".sha256",
    ".sha256sum",
    ".sha512",
    ".md5",
    ".sig",
    ".asc",
    ".minisig",
    ".sbom",
    ".json",
    ".txt",
    ".lock",
];

/// The asset of `component` in `release`. The first pattern that any asset fits decides.
pub(crate) fn choose<'a>(
    component: &Component,
    architecture: &str,
    repository: &str,
    release: &'a Release,
) -> Result<&'a Asset> {
    let is_about = |name: &str| ABOUT.iter().any(|ending| name.to_ascii_lowercase().ends_with(ending));
    for pattern in component.patterns(architecture) {
        let fits = |asset: &&Asset| !is_about(&asset.name) && fits(&pattern, &asset.name);
        let found: Vec<&Asset> = release.assets.iter().filter(fits).collect();
        match found.as_slice() {
            [] => {}
            [one] => return Ok(one),
            several => {
                return Err(Error::SeveralAssets {
                    component: component.name,
                    architecture: architecture.to_owned(),
                    tag: release.tag.clone(),
                    found: names(several.iter().copied()),
                });
            }
        }
    }
    Err(Error::NoAsset {
        component: component.name,
        architecture: architecture.to_owned(),
        repository: repository.to_owned(),
        tag: release.tag.clone(),
        found: names(release.assets.iter()),
    })
}

fn names<'a>(assets: impl Iterator<Item = &'a Asset>) -> String {
    let names: Vec<&str> = assets.map(|asset| asset.name.as_str()).collect();
    if names.is_empty() { "no files at all".to_owned() } else { names.join(", ") }
}

/// Whether `pattern`, in which `*` stands for any text, describes the whole of `name`.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| fits(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::COMPONENTS;

    fn release(names: &[&str]) -> Release {
        let asset =
            |name: &&str| Asset { name: (*name).to_owned(), url: String::new(), size: 1, digest: None };
        Release {
            tag: "v1".to_owned(),
            draft: false,
            prerelease: false,
            assets: names.iter().map(asset).collect(),
        }
    }

    #[test]
    fn the_right_file_for_each_architecture() {
        let [oocana, ovmlayer, rootfs] = COMPONENTS;
        let cases: [(Component, &[&str], &str, &str); 8] = [
            (
                oocana,
                &[
                    "oocana-cli-aarch64-unknown-linux-gnu.tar.gz",
                    "oocana-cli-x86_64-unknown-linux-gnu.tar.gz",
                ],
                "amd64",
                "oocana-cli-x86_64-unknown-linux-gnu.tar.gz",
            ),
            (oocana, &["oocana-x86_64-apple-darwin.tar.gz"], "amd64", "has no file of oocana for amd64"),
            (
                ovmlayer,
                &["ovmlayer-arm64.tar.zst", "ovmlayer-amd64.tar.zst", "SHA256SUMS"],
                "arm64",
                "ovmlayer-arm64.tar.zst",
            ),
            (ovmlayer, &["a-amd64.tar.zst", "b-amd64.tar.zst"], "amd64", "several files"),
            (ovmlayer, &["a-amd64.tar.zst", "a-amd64.tar.zst.sha256"], "amd64", "a-amd64.tar.zst"),
            (
                rootfs,
                &["amd64-server-base.tar", "arm64-server-base.tar", "amd64-server-base.spdx.json"],
                "amd64",
                "amd64-server-base.tar",
            ),
            (rootfs, &["amd64-rootfs.tar"], "arm64", "it has amd64-rootfs.tar"),
            (rootfs, &[], "arm64", "no files at all"),
        ];
        for (component, files, architecture, expected) in cases {
            let release = release(files);
            match choose(&component, architecture, "a/b", &release) {
                Ok(asset) => assert_eq!(asset.name, expected),
                Err(error) => assert!(error.to_string().contains(expected), "{expected}: {error}"),
            }
        }
    }
}
