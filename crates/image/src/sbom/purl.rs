//! Package URLs: `pkg:deb/debian/zsh@5.9-8?arch=amd64&distro=debian-13` (ECMA-427).

use crate::inventory::{Ecosystem, OsRelease, Package};

/// The package URL of a package in a tree of this distribution.
#[must_use]
pub fn purl(package: &Package, release: &OsRelease) -> String {
    match package.ecosystem {
        Ecosystem::Debian => {
            let vendor = if release.id.is_empty() { "debian" } else { &release.id };
            let architecture = package.architecture.as_deref().map(|name| ("arch", name.to_owned()));
            let distro = release.distro().map(|name| ("distro", name));
            let more: Vec<_> = architecture.into_iter().chain(distro).collect();
            deb(vendor, &package.name, &package.version, &more)
        }
        Ecosystem::Python => pypi_purl(&package.name, &package.version),
        Ecosystem::Npm => npm_purl(&package.name, &package.version),
    }
}

/// The package URL of a Python package.
#[must_use]
pub fn pypi_purl(name: &str, version: &str) -> String {
    let name = name.to_lowercase().replace('_', "-");
    format!("pkg:pypi/{}@{}", encoded(&name), encoded(version))
}

/// The package URL of a package of npm.
#[must_use]
pub fn npm_purl(name: &str, version: &str) -> String {
    let (name, version) = (name.to_lowercase(), encoded(version));
    match name.split_once('/') {
        Some((scope, name)) => format!("pkg:npm/{}/{}@{version}", encoded(scope), encoded(name)),
        None => format!("pkg:npm/{}@{version}", encoded(&name)),
    }
}

/// The package URL of a package of Debian or another distribution that `vendor` names, for an architecture.
#[must_use]
pub fn deb_purl(vendor: &str, name: &str, version: &str, architecture: &str) -> String {
    deb(vendor, name, version, &[("arch", architecture.to_owned())])
}

fn deb(vendor: &str, name: &str, version: &str, more: &[(&str, String)]) -> String {
    let [vendor, name] = [vendor, name].map(|text| encoded(&text.to_ascii_lowercase()));
    let mut text = format!("pkg:deb/{vendor}/{name}@{}", encoded(version));
    for (number, (key, value)) in more.iter().enumerate() {
        let mark = if number == 0 { '?' } else { '&' };
        text.push_str(&format!("{mark}{key}={}", encoded(value)));
    }
    text
}

/// Percent-encoded, but for letters, digits, `.-_~` and the colon (section 5.4).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls() {
        let debian = OsRelease { id: "debian".into(), version_id: "13".into(), ..OsRelease::default() };
        let package = |ecosystem, name: &str, version: &str| Package {
            architecture: (ecosystem == Ecosystem::Debian).then(|| "amd64".to_owned()),
            ..Package::new(ecosystem, name.into(), version.into(), "x".parse().unwrap())
        };
        for (ecosystem, name, version, expected) in [
            (
                Ecosystem::Debian,
                "libstdc++6",
                "1:14.2.0-19+b1~x",
                "pkg:deb/debian/libstdc%2B%2B6@1:14.2.0-19%2Bb1~x?arch=amd64&distro=debian-13",
            ),
            (Ecosystem::Python, "Foo_Bar.baz", "1.0+local", "pkg:pypi/foo-bar.baz@1.0%2Blocal"),
            (Ecosystem::Npm, "@angular/animation", "12.3.1", "pkg:npm/%40angular/animation@12.3.1"),
            (Ecosystem::Npm, "semver", "7.0.0-rc.1", "pkg:npm/semver@7.0.0-rc.1"),
            (Ecosystem::Npm, "a\"b ü", "1", "pkg:npm/a%22b%20%C3%BC@1"),
        ] {
            assert_eq!(purl(&package(ecosystem, name, version), &debian), expected);
        }
        let unknown = purl(&package(Ecosystem::Debian, "a", "1"), &OsRelease::default());
        assert_eq!(unknown, "pkg:deb/debian/a@1?arch=amd64");
    }
}
