//! Machines that refuse: what the user is told.

use std::fs;

use crate::support::{Root, Who, in_surroundings, user_id};

const NOTHING: &[&str] = &[];

#[test]
fn namespaces_refused_are_explained() {
    let off = "echo 0 >/proc/sys/user/max_user_namespaces; ";
    // Root does without a user namespace.
    let root = Root::new(Who::Root);
    let path = root.path();
    let ids = in_surroundings(&format!("{off} exec \"$0\" --ids"), NOTHING).ok();
    assert!(ids.contains("own: false"), "{ids}");
    let uname = in_surroundings(
        &format!("{off} exec \"$0\" \"$@\""),
        &[path.as_os_str(), "/bin/echo".as_ref(), "x".as_ref()],
    );
    assert_eq!(uname.ok(), "x\n");
    // Others cannot.
    let id = user_id();
    let become_user = format!("exec setpriv --reuid {id} --regid {id} --clear-groups -- \"$0\" --ids");
    let outcome = in_surroundings(&format!("{off} {become_user}"), NOTHING);
    assert_eq!(outcome.code, Some(125));
    assert!(outcome.err.contains("run `sudo sysctl -w user.max_user_namespaces=15000`"), "{}", outcome.err);
}

#[test]
fn missing_subordinate_ids_are_explained() {
    // The user exists, but the file grants nothing.
    let id = user_id();
    let script = format!(
        "mount --bind /dev/null /etc/subuid; exec setpriv --reuid {id} --regid {id} --clear-groups -- \"$0\" --ids"
    );
    let outcome = in_surroundings(&script, NOTHING);
    assert_eq!(
        outcome.err,
        "sandbox: user `ovmlayer-test` has 0 subordinate ids in /etc/subuid, but 65535 are needed; run \
         `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ovmlayer-test`\n"
    );
}

#[test]
fn checks_are_all_fine_here() {
    for who in Who::EVERYONE {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let report = Root::new(who).run(&["--checks"]).ok();
        for name in ["kernel", "user namespace", "sandbox", "overlayfs", "foreign programs", "AppArmor"] {
            assert!(report.contains(&format!("Ok {name}: ")), "{who:?}: {name} in\n{report}");
        }
        assert_eq!(report.contains("Ok subordinate ids: "), who == Who::User, "{report}");
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), mounts);
    }
}
