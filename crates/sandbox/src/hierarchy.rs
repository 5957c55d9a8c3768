//! Where control groups are, and where in them we are.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;

/// One mounted hierarchy of control groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) version_2: bool,
    /// Where it is mounted.
    mount: PathBuf,
    /// Our own group, below the mount.
    own: PathBuf,
    controllers: Vec<String>,
}

impl Hierarchy {
    /// The hierarchy that has a controller: the kernel gives each to one only.
    pub(crate) fn of<'a>(all: &'a [Self], controller: &str) -> Option<&'a Self> {
        all.iter().find(|hierarchy| hierarchy.controllers.iter().any(|name| name == controller))
    }

    pub(crate) fn own(&self) -> PathBuf {
        self.mount.join(&self.own)
    }

    /// Below which groups our own may be made, best first.
    ///
    /// Version 2 does not allow a group to have both processes and children with limits, so there it is mostly the
    /// group around ours.
    pub(crate) fn parents(&self) -> Vec<PathBuf> {
        let around = self.own.parent().filter(|_| self.version_2);
        [Some(self.own()), around.map(|around| self.mount.join(around))].into_iter().flatten().collect()
    }
}

/// All hierarchies that this process sees.
pub(crate) fn hierarchies() -> Result<Vec<Hierarchy>, Error> {
    let read = |path: &str| fs::read_to_string(path).map_err(Error::system(format!("read {path}")));
    let mut all = parse(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?);
    for hierarchy in all.iter_mut().filter(|hierarchy| hierarchy.version_2) {
        // Of a version 2 without controllers, beside a version 1 that has them, the file is empty.
        let text = fs::read_to_string(hierarchy.own().join("cgroup.controllers")).unwrap_or_default();
        hierarchy.controllers = text.split_whitespace().map(str::to_owned).collect();
    }
    Ok(all)
}

/// Joins `/proc/PID/cgroup` (lines `ID:CONTROLLERS:PATH`, see cgroups(7)) and `/proc/PID/mountinfo` (see proc(5)).
fn parse(groups: &str, mounts: &str) -> Vec<Hierarchy> {
    let mut all = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let version_2 = id == "0";
        let controllers: Vec<_> = controllers.split(',').filter(|name| !name.is_empty()).collect();
        let found = mounts.lines().filter_map(mounted).find(|(kind, options, ..)| match version_2 {
            true => *kind == "cgroup2",
            false => {
                *kind == "cgroup" && controllers.iter().all(|name| options.split(',').any(|o| o == *name))
            }
        });
        if let Some((_, _, root, mount)) = found {
            // What is mounted may be a part that does not have our group: then its top is the best we know.
            let own = Path::new(path).strip_prefix(root).unwrap_or(Path::new("")).to_owned();
            let own = if own.starts_with("..") || own.is_absolute() { PathBuf::new() } else { own };
            let controllers = controllers.into_iter().map(str::to_owned).collect();
            all.push(Hierarchy { version_2, mount: mount.into(), own, controllers });
        }
    }
    all
}

/// Type, options of the file system, root and place of a mount.
fn mounted(line: &str) -> Option<(&str, &str, &str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, mount) = (before.next()?, before.next()?);
    let mut after = after.split(' ');
    let kind = after.next()?;
    Some((kind, after.nth(1)?, root, mount))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 24 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw,nsdelegate
32 30 0:28 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,xattr,name=systemd
33 30 0:30 / /sys/fs/cgroup/memory rw shared:12 - cgroup cgroup rw,memory
34 30 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:13 - cgroup cgroup rw,cpu,cpuacct
";
    const DOCKER_1: &str = "\
40 39 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
41 39 0:31 /docker/abc /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids
";
    const UNIFIED: &str = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn our_groups_are_found() {
        let scope = "/user.slice/user-1000.slice/session-1.scope";
        let hybrid = format!("9:memory:/user.slice\n3:cpu,cpuacct:/\n1:name=systemd:{scope}\n0::{scope}\n");
        let tests: [(&str, &str, &str, &str, &[&str]); 6] = [
            ("hybrid", &hybrid, HYBRID, "memory", &["/sys/fs/cgroup/memory/user.slice"]),
            ("several at one place", &hybrid, HYBRID, "cpu", &["/sys/fs/cgroup/cpu,cpuacct/"]),
            ("not mounted", &hybrid, HYBRID, "pids", &[]),
            ("a part is mounted", "9:memory:/docker/abc\n", DOCKER_1, "memory", &["/sys/fs/cgroup/memory/"]),
            ("another part is mounted", "9:pids:/\n", DOCKER_1, "pids", &["/sys/fs/cgroup/pids/"]),
            ("none", "", "", "memory", &[]),
        ];
        for (summary, groups, mounts, controller, expected) in tests {
            let all = parse(groups, mounts);
            let parents = Hierarchy::of(&all, controller).map(Hierarchy::parents).unwrap_or_default();
            assert_eq!(parents, expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{summary}");
        }
        let unified = parse(&format!("0::{scope}\n"), UNIFIED);
        let [scope, slice] = ["/session-1.scope", ""]
            .map(|end| PathBuf::from(format!("/sys/fs/cgroup/user.slice/user-1000.slice{end}")));
        assert_eq!(unified[0].parents(), [scope, slice]);
        let outside = parse("0::/../elsewhere\n", UNIFIED);
        assert_eq!(outside[0].own(), Path::new("/sys/fs/cgroup/"));
        assert_eq!(parse("0::/\n", UNIFIED)[0].parents(), [PathBuf::from("/sys/fs/cgroup/")]);
    }
}
