//! A root of a suite whose apt answers what it would install.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use ovmlayer_archive::deb822::stanzas;
use ovmlayer_archive::universe::{Origin, Universe};

use super::Packages;

/// Tests of one suite share its root, so only one at a time may make it.
static MAKING: Mutex<()> = Mutex::new(());

/// Their answers lie in the same place, so only one at a time may ask.
static ASKING: Mutex<()> = Mutex::new(());

/// How many apt processes run side by side.
const SIDE_BY_SIDE: usize = 2;

#[derive(Clone, Copy)]
pub(crate) struct Suite {
    pub(crate) name: &'static str,
}

impl Suite {
    pub(crate) const TRIXIE: Self = Self { name: "trixie" };
    pub(crate) const BOOKWORM: Self = Self { name: "bookworm" };

    /// The parts of the suite in the order of apt's sources: suite, and whether it is on the security mirror.
    fn parts(self) -> [(String, bool); 3] {
        let name = self.name;
        [(name.to_owned(), false), (format!("{name}-updates"), false), (format!("{name}-security"), true)]
    }
}

pub(crate) struct Oracle {
    root: PathBuf,
    /// The folder of this architecture's configuration and state, as seen from inside the root.
    inside: String,
    architecture: String,
    suite: Suite,
}

impl Oracle {
    /// Makes the root, unless it is there, and fetches the indices of an architecture, unless they are there.
    pub(crate) fn prepare(suite: Suite, architecture: &str) -> Self {
        let _making = MAKING.lock().unwrap();
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("apt-oracle-{}", suite.name));
        if !root.join("oracle").exists() {
            make_root(suite, &root);
        }
        let inside = format!("/oracle/{architecture}");
        let oracle = Self { root, inside, architecture: architecture.to_owned(), suite };
        if !oracle.path("complete").exists() {
            oracle.fetch_indices();
        }
        oracle
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(&self.inside[1..]).join(name)
    }

    fn fetch_indices(&self) {
        let Self { inside, architecture, suite, .. } = self;
        for folder in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(self.path(folder)).unwrap();
        }
        fs::write(self.path("status"), "").unwrap();
        let lines = suite.parts().map(|(part, security)| format!("deb {} {part} main\n", mirror(security)));
        fs::write(self.path("sources.list"), lines.concat()).unwrap();
        let configuration = format!(
            "Dir::State \"{inside}/state\";\nDir::State::status \"{inside}/status\";\nDir::Cache \"{inside}/cache\";\n\
             Dir::Etc::sourcelist \"{inside}/sources.list\";\nDir::Etc::sourceparts \"/nothing\";\n\
             APT::Architecture \"{architecture}\";\nAPT::Architectures {{ \"{architecture}\"; }};\n\
             APT::Install-Recommends \"false\";\nAPT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n"
        );
        fs::write(self.path("apt.conf"), configuration).unwrap();
        run(self.chroot("apt-get -qq update && apt-cache gencaches"));
        fs::write(self.path("complete"), "").unwrap();
    }

    /// All packages, from the very files that apt reads, in the order of its sources.
    pub(crate) fn universe(&self) -> Universe {
        let mut universe = Universe::new(&self.architecture);
        let files: Vec<_> =
            fs::read_dir(self.path("state/lists")).unwrap().map(|entry| entry.unwrap().path()).collect();
        for (part, _) in self.suite.parts() {
            let end = format!("_dists_{part}_main_binary-{}_Packages", self.architecture);
            let file = files.iter().find(|file| file.to_string_lossy().ends_with(&end));
            let file = file.unwrap_or_else(|| panic!("apt has fetched no index of {part}"));
            universe.add_index(Origin::new(&part), fs::read(file).unwrap()).unwrap();
        }
        universe
    }

    /// What apt would install for each set beside `?essential`; `None` where it refuses.
    pub(crate) fn ask(&self, sets: &[Vec<String>]) -> Vec<Option<Packages>> {
        self.ask_each(sets, "apt-get -qq -s install '?essential' $set")
    }

    /// The same for sets that each have an archive of their own, given as the text of its index.
    ///
    /// apt does not simulate the installation here: circles of `Pre-Depends` would make it fail after all.
    pub(crate) fn ask_made_up(&self, made: &[(String, Vec<String>)]) -> Vec<Option<Packages>> {
        let _ = fs::remove_dir_all(self.path("made"));
        for (number, (index, _)) in made.iter().enumerate() {
            let folder = self.path(&format!("made/{number}"));
            fs::create_dir_all(folder.join("lists/partial")).unwrap();
            fs::write(folder.join("Packages"), index).unwrap();
            let line = format!("deb [trusted=yes] file:{}/made/{number} ./\n", self.inside);
            fs::write(folder.join("sources.list"), line).unwrap();
        }
        let sets: Vec<_> = made.iter().map(|(_, set)| set.clone()).collect();
        let folder = format!("{}/made/$number", self.inside);
        let apt = format!(
            "apt-get -qq -o Dir::State::lists={folder}/lists -o Dir::Etc::sourcelist={folder}/sources.list \
             -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache="
        );
        self.ask_each(&sets, &format!("{{ {apt} update && {apt} --print-uris install '?essential' $set; }}"))
    }

    /// Runs a command for each `$set` and `$number` in the root.
    fn ask_each(&self, sets: &[Vec<String>], command: &str) -> Vec<Option<Packages>> {
        let _asking = ASKING.lock().unwrap();
        let _ = fs::remove_dir_all(self.path("answers"));
        fs::create_dir_all(self.path("answers")).unwrap();
        let script = format!(
            "while read -r number set; do {command} > {0}/answers/$number 2>&1; echo $? > {0}/answers/$number.status; done",
            self.inside
        );
        let workers: Vec<_> =
            (0..SIDE_BY_SIDE).map(|worker| self.start_worker(&script, sets, worker)).collect();
        for mut worker in workers {
            assert!(worker.wait().unwrap().success(), "the shell that runs apt in the root failed");
        }
        (0..sets.len()).map(|number| self.answer(number)).collect()
    }

    fn start_worker(&self, script: &str, sets: &[Vec<String>], worker: usize) -> std::process::Child {
        let mut child = self.chroot(script).stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        for (number, set) in sets.iter().enumerate().skip(worker).step_by(SIDE_BY_SIDE) {
            writeln!(input, "{number} {}", set.join(" ")).unwrap();
        }
        child
    }

    fn answer(&self, number: usize) -> Option<Packages> {
        let output = fs::read_to_string(self.path(&format!("answers/{number}"))).unwrap();
        let status = fs::read_to_string(self.path(&format!("answers/{number}.status"))).unwrap();
        let refusals =
            ["unmet dependencies", "generated breaks", "no installation candidate", "held broken packages"];
        match status.trim() {
            "0" => Some(output.lines().filter_map(installed).collect()),
            "100" if refusals.iter().any(|refusal| output.contains(refusal)) => None,
            other => panic!("apt ended with status {other}:\n{output}"),
        }
    }

    fn chroot(&self, script: &str) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.root).args(["sh", "-c", script]);
        command.env("APT_CONFIG", format!("{}/apt.conf", self.inside)).env("LC_ALL", "C.UTF-8");
        command
    }
}

/// Reads `Inst name (version origin [architecture])` or `'address' name_version_architecture.deb size digest`.
fn installed(line: &str) -> Option<(String, String)> {
    if let Some(rest) = line.strip_prefix('\'') {
        let mut parts = rest.split(' ').nth(1)?.split('_');
        return Some((parts.next()?.to_owned(), parts.next()?.to_owned()));
    }
    let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
    let version = rest.strip_prefix('(')?.split(' ').next()?;
    let name = name.split(':').next()?;
    Some((name.to_owned(), version.to_owned()))
}

fn make_root(suite: Suite, root: &Path) {
    let lines = suite.parts().map(|(part, security)| format!("deb {} {part} main", mirror(security)));
    let _ = fs::remove_dir_all(root);
    let mut command = Command::new("mmdebstrap");
    command.args(["--variant=apt", "--format=directory", suite.name]).arg(root).args(lines);
    run(command);
    fs::create_dir(root.join("oracle")).unwrap();
}

fn run(mut command: Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "cannot run {:?}: {error}; these tests need root and the Debian package `mmdebstrap`",
            command.get_program()
        )
    });
    assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The mirror that this machine uses, for the main or the security archive.
fn mirror(security: bool) -> String {
    const SOURCES: &str = "/etc/apt/sources.list.d/debian.sources";
    let text =
        fs::read_to_string(SOURCES).unwrap_or_else(|error| panic!("no Debian mirror in {SOURCES}: {error}"));
    let mut all = stanzas(&text);
    let stanza = all
        .find(|stanza| stanza.get("Suites").is_some_and(|suites| suites.contains("-security") == security));
    let uris = stanza.and_then(|stanza| stanza.get("URIs")).and_then(|uris| uris.split_whitespace().next());
    uris.unwrap_or_else(|| {
        panic!("no mirror of the {} archive in {SOURCES}", if security { "security" } else { "main" })
    })
    .to_owned()
}
