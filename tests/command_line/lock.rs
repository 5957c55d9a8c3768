//! `lock`, `lock --update` and `build --update`.

use std::fs;

use crate::{locked, native};

/// The lock with another version of `base-files`, as if it were old.
fn age(lock: &str) -> String {
    let start = lock.find("name = \"base-files\"").expect("base-files");
    let version = start + lock[start..].find("version = \"").expect("a version") + "version = \"".len();
    let end = version + lock[version..].find('"').expect("its end");
    format!("{}0.1{}", &lock[..version], &lock[end..])
}

#[test]
fn a_lock_is_made_kept_and_refreshed() {
    let program = locked();
    let path = program.folder().join("small.lock");
    let errors = program.fail(["lock", "small.toml"]);
    assert_eq!(errors, "error: small.lock is there already: add `--update` to refresh it\n");
    fs::remove_file(&path).expect("the lock");
    let made = program.succeed(["lock", "small.toml"]);
    assert!(made.starts_with("small.lock  ") && made.ends_with(" packages\n"), "{made}");
    let fresh = fs::read_to_string(&path).expect("a lock");
    assert_eq!(program.succeed(["lock", "small.toml", "--update"]), "nothing changed\n");
    program.write("small.lock", age(&fresh));
    let changes = program.succeed(["lock", "small.toml", "--update"]);
    assert!(changes.starts_with(&format!("{}: base-files 0.1 -> ", native())), "{changes}");
    assert_eq!(changes.lines().count(), 1, "{changes}");
    assert_eq!(fs::read_to_string(&path).expect("a lock"), fresh);
}

#[test]
fn a_build_refreshes_the_lock_and_says_what_changed() {
    let program = locked();
    let path = program.folder().join("small.lock");
    let fresh = fs::read_to_string(&path).expect("a lock");
    program.write("small.lock", age(&fresh));
    let result = program.run(["build", "small.toml", "--update", "--offline"]);
    let errors = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{errors}");
    assert!(errors.contains(&format!("lock: {}: base-files 0.1 -> ", native())), "{errors}");
    assert_eq!(fs::read_to_string(&path).expect("a lock"), fresh);
    assert_eq!(fs::read_to_string(program.dist().join("small.lock")).expect("a lock"), fresh);
}

#[test]
fn a_lock_of_other_packages_is_refused() {
    let program = locked();
    let recipe = fs::read_to_string(program.folder().join("small.toml")).expect("a recipe");
    program.write("small.toml", recipe + "\n[[steps]]\npackages = [\"zsh\"]\n");
    let errors = program.fail(["build", "small.toml", "--locked"]);
    assert!(errors.contains("error: the lock small.lock was made for something else"), "{errors}");
    assert!(errors.contains("--update"), "{errors}");
}
