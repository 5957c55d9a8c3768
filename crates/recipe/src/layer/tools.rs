//! The field's own tools for resolving and fetching: uv, pip and npm. They run in a root of the machine's own architecture
//! that is made of verified packages; uv is pinned by the digest of its wheel. What they fetch is verified by us again.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};

use cache::Digest;
use deps::Files;
use deps::python::{Requested, Scheme, WheelName};
use sandbox::{Network, Sandbox, Stdio};
use tree::{Links, Root};

use super::settings::{Settings, for_uv};
use crate::Error;
use crate::build::Session;
use crate::distro::machine_architecture;

/// The version of uv, and its wheels for machines that this program runs on.
const UV: &str = "0.13.9";
const UV_WHEELS: &[(&str, &str, &str)] = &[
    (
        "amd64",
        "uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ),
    (
        "arm64",
        "uv-0.13.9-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    ),
];

/// Where uv is put in the root.
const UV_PROGRAM: &str = "/opt/uv/bin/uv";

/// The folder that the sandbox and this program exchange files in, as the sandbox sees it.
pub(super) const EXCHANGE: &str = "/exchange";

/// How much of a tool's output an error shows, in lines.
const TAIL_LINES: usize = 40;

/// A root with the tools in it.
pub(super) struct Tools<'a> {
    session: &'a Session,
    root: &'a Path,
    settings: Settings,
    exchange: &'a Path,
    offline: bool,
}

impl<'a> Tools<'a> {
    /// The tools in the root at `root`, which they may change; `exchange` is a folder for what they read and write.
    pub(super) fn new(session: &'a Session, root: &'a Path, exchange: &'a Path, offline: bool) -> Self {
        Self { session, root, settings: Settings::of_user(), exchange, offline }
    }

    /// The run of the program that they work for.
    pub(super) fn session(&self) -> &Session {
        self.session
    }

    /// The root, as this program sees it.
    pub(super) fn root(&self) -> &Path {
        self.root
    }

    /// Where this program finds what is `name` in [`EXCHANGE`].
    pub(super) fn outside(&self, name: &str) -> PathBuf {
        self.exchange.join(name)
    }

    /// Puts a file where the tools find it as `name` in [`EXCHANGE`].
    pub(super) fn give(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<String, Error> {
        let path = self.outside(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        std::fs::write(&path, contents).map_err(Error::io("write", &path))?;
        Ok(format!("{EXCHANGE}/{name}"))
    }

    /// Runs a tool and returns what it printed.
    pub(super) fn run(
        &self,
        what: &'static str,
        argv: &[&str],
        env: &[(&str, &str)],
    ) -> Result<String, Error> {
        let mut sandbox = Sandbox::new(self.root)
            .network(if self.offline { Network::None } else { Network::Host })
            .resolver(true)
            .create_targets(true)
            .deferred_fsync(true)
            .cancel(self.session.interrupt.cancel())
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .bind(self.exchange, EXCHANGE)
            .work_in(EXCHANGE);
        sandbox = self.settings.show(sandbox);
        for (name, value) in env {
            sandbox = sandbox.env(name, value);
        }
        let (mut printed, mut tail) = (String::new(), VecDeque::new());
        let mut on_line = |line: &[u8]| {
            let line = String::from_utf8_lossy(line);
            printed.push_str(&line);
            printed.push('\n');
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(without_secrets(&line));
        };
        let status = sandbox.run(argv, Stdio::lines(&mut on_line))?;
        if self.session.interrupt.is_set() {
            return Err(Error::Interrupted);
        }
        if status.success() {
            return Ok(printed);
        }
        let output = tail.into_iter().collect::<Vec<_>>().join("\n");
        Err(Error::Tool { what, status: status.to_string(), output })
    }

    /// Runs uv with what pip is told about indexes.
    pub(super) fn uv(&self, what: &'static str, arguments: &[&str]) -> Result<String, Error> {
        self.install_uv()?;
        let configuration = self.run("ask pip for its configuration", &["pip", "config", "list"], &[])?;
        let told = for_uv(&configuration);
        let mut env: Vec<(&str, &str)> = told.iter().map(|(name, value)| (*name, value.as_str())).collect();
        env.extend([("UV_CACHE_DIR", "/exchange/uv-cache"), ("UV_PYTHON_DOWNLOADS", "never")]);
        self.run(what, &[&[UV_PROGRAM], arguments].concat(), &env)
    }

    /// Has npm fetch packages, such as `a@1.0.0`, into its cache in [`EXCHANGE`], by the configuration in `folder`.
    pub(super) fn npm_cache_add(&self, folder: &str, packages: &[&str]) -> Result<(), Error> {
        let mut argv = vec!["npm", "--prefix", folder, "--no-audit", "--no-fund", "--no-update-notifier"];
        argv.extend(["--cache", "/exchange/npm-cache", "cache", "add"]);
        argv.extend(packages);
        self.run("fetch npm packages with npm", &argv, &[]).map(drop)
    }

    fn install_uv(&self) -> Result<(), Error> {
        if self.root.join(UV_PROGRAM.trim_start_matches('/')).exists() {
            return Ok(());
        }
        let machine = machine_architecture();
        let wheel = UV_WHEELS.iter().find(|(architecture, ..)| *architecture == machine);
        let (_, file, sha256) = wheel.ok_or_else(|| Error::CannotRun {
            architecture: machine.to_owned(),
            reason: "there is no uv for it".to_owned(),
        })?;
        let sha256: Digest =
            sha256.parse().map_err(|_| Error::LockWrite { message: (*sha256).to_owned() })?;
        let wheel = WantedWheel { name: "uv", version: UV, file, sha256 };
        self.fetch_wheels(&[wheel], (3, 13))?;
        let Some(contents) = self.session.cache.file(&sha256)? else {
            return Err(Error::NotFetched { what: (*file).to_owned() });
        };
        let scheme = Scheme {
            library: "opt/uv/lib".into(),
            scripts: "opt/uv/bin".into(),
            data: "opt/uv".into(),
            headers: "opt/uv/include".into(),
            python: "/usr/bin/python3".into(),
        };
        let root = Root::open(self.root, Links::Refuse)?;
        Ok(deps::python::install(file, contents, &scheme, Requested::ByName, &mut Files::new(&root, 0))?)
    }

    /// Has pip fetch the wheels and sources that the cache does not have.
    pub(super) fn fetch_wheels(&self, wheels: &[WantedWheel<'_>], python: (u32, u32)) -> Result<(), Error> {
        let cache = &self.session.cache;
        let (mut missing, mut sources) = (Vec::new(), Vec::new());
        for wheel in wheels {
            if !cache.contains(&wheel.sha256)? {
                if WheelName::parse(wheel.file).is_some() { &mut missing } else { &mut sources }.push(wheel);
            }
        }
        for source in sources {
            // pip asks the package what it needs, and runs its code for that.
            self.download(&[source], &["--no-binary", source.name])?;
        }
        if missing.is_empty() {
            return Ok(());
        }
        let names = || missing.iter().filter_map(|wheel| WheelName::parse(wheel.file));
        let platforms: Vec<String> = names().flat_map(|name| name.platforms).collect();
        let abis: Vec<String> = names().flat_map(|name| name.abis).collect();
        let version = format!("{}.{}", python.0, python.1);
        let mut options =
            vec!["--only-binary", ":all:", "--implementation", "cp", "--python-version", &version];
        for platform in &platforms {
            options.extend(["--platform", platform]);
        }
        for abi in &abis {
            options.extend(["--abi", abi]);
        }
        self.download(&missing, &options)
    }

    /// Has pip fetch `files`, by their hashes.
    fn download(&self, files: &[&WantedWheel<'_>], options: &[&str]) -> Result<(), Error> {
        let line = |wheel: &&WantedWheel<'_>| {
            format!("{}=={} --hash=sha256:{}\n", wheel.name, wheel.version, wheel.sha256)
        };
        let list = self.give("wheels.txt", files.iter().map(line).collect::<String>())?;
        let fixed = [
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--no-cache-dir",
            "--disable-pip-version-check",
            "--dest",
            "/exchange/wheels",
            "--requirement",
            &list,
        ];
        self.run("fetch Python packages with pip", &[&fixed, options].concat(), &[])?;
        for file in files {
            keep(self.session, &self.outside("wheels").join(file.file), file.file, Some(file.sha256))?;
        }
        Ok(())
    }
}

/// A wheel that is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct WantedWheel<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) file: &'a str,
    pub(super) sha256: Digest,
}

/// Puts the file at `path` into the cache, if it is what is expected. The answer is its digest.
pub(super) fn keep(
    session: &Session,
    path: &Path,
    what: &str,
    expected: Option<Digest>,
) -> Result<Digest, Error> {
    let mut file = File::open(path).map_err(|_| Error::NotFetched { what: what.to_owned() })?;
    let mut writer = session.cache.insert()?;
    std::io::copy(&mut file, &mut writer).map_err(Error::io("read", path))?;
    Ok(writer.commit(expected)?)
}

/// A line with what stands for names and passwords in addresses left out.
fn without_secrets(line: &str) -> String {
    let mut safe = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        let end = after.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(after.len());
        let host = after[..end].rsplit_once('@').map_or(&after[..end], |(_, host)| host);
        safe.push_str(before);
        safe.push_str("://");
        safe.push_str(host);
        rest = &after[end..];
    }
    safe.push_str(rest);
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_addresses_are_not_shown() {
        let line = "no https://me:secret@example.org/a?b and http://x@y z";
        assert_eq!(without_secrets(line), "no https://example.org/a?b and http://y z");
        assert_eq!(without_secrets("plain @ line"), "plain @ line");
    }
}
