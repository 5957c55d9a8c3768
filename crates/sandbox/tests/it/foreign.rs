//! Programs of another architecture, by qemu registered in a namespace of our own.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Outcome, Root, Who, in_surroundings};

/// A program that prints its first argument (its own name) and exits with 7: ELF header, one segment, code.
struct Program {
    architecture: &'static str,
    qemu: &'static str,
    machine: u8,
    code: &'static [u8],
}

const ARM64: Program = Program {
    architecture: "arm64",
    qemu: "qemu-aarch64",
    machine: 0xb7,
    #[rustfmt::skip]
    code: &[
        0xe1, 0x07, 0x40, 0xf9, // ldr x1, [sp, #8]
        0x02, 0x00, 0x80, 0xd2, // mov x2, #0
        0x23, 0x68, 0x62, 0x38, // again: ldrb w3, [x1, x2]
        0x63, 0x00, 0x00, 0x34, // cbz w3, print
        0x42, 0x04, 0x00, 0x91, // add x2, x2, #1
        0xfd, 0xff, 0xff, 0x17, // b again
        0x20, 0x00, 0x80, 0xd2, // print: mov x0, #1
        0x08, 0x08, 0x80, 0xd2, // mov x8, #64 (write)
        0x01, 0x00, 0x00, 0xd4, // svc #0
        0xe0, 0x00, 0x80, 0xd2, // mov x0, #7
        0xa8, 0x0b, 0x80, 0xd2, // mov x8, #93 (exit)
        0x01, 0x00, 0x00, 0xd4, // svc #0
    ],
};

const AMD64: Program = Program {
    architecture: "amd64",
    qemu: "qemu-x86_64",
    machine: 0x3e,
    #[rustfmt::skip]
    code: &[
        0x48, 0x8b, 0x74, 0x24, 0x08, // mov rsi, [rsp + 8]
        0x31, 0xd2, // xor edx, edx
        0x80, 0x3c, 0x16, 0x00, // again: cmp byte [rsi + rdx], 0
        0x74, 0x05, // je print
        0x48, 0xff, 0xc2, // inc rdx
        0xeb, 0xf5, // jmp again
        0xbf, 0x01, 0x00, 0x00, 0x00, // print: mov edi, 1
        0xb8, 0x01, 0x00, 0x00, 0x00, // mov eax, 1 (write)
        0x0f, 0x05, // syscall
        0xbf, 0x07, 0x00, 0x00, 0x00, // mov edi, 7
        0xb8, 0x3c, 0x00, 0x00, 0x00, // mov eax, 60 (exit)
        0x0f, 0x05, // syscall
    ],
};

/// The program that is foreign here, and the one that is not.
fn programs() -> (Program, Program) {
    if cfg!(target_arch = "x86_64") { (ARM64, AMD64) } else { (AMD64, ARM64) }
}

impl Program {
    fn elf(&self) -> Vec<u8> {
        const BASE: u64 = 0x40_0000;
        const HEADERS: u64 = 64 + 56;
        let length = HEADERS + self.code.len() as u64;
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
        elf.extend([self.machine, 0, 1, 0, 0, 0]);
        for word in [BASE + HEADERS, 64, 0] {
            elf.extend(u64::to_le_bytes(word));
        }
        elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
        for word in [0, BASE, BASE, length, length, 0x1_0000] {
            elf.extend(u64::to_le_bytes(word));
        }
        elf.extend(self.code);
        elf
    }

    fn install(&self, root: &Root) {
        self.write(&root.path().join("bin/program"));
    }

    fn write(&self, path: &Path) {
        fs::write(path, self.elf()).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn qemu(&self) -> PathBuf {
        let candidates = [format!("/usr/bin/{}-static", self.qemu), format!("/usr/bin/{}", self.qemu)];
        let found = candidates.iter().map(PathBuf::from).find(|path| path.exists());
        found.expect("install the Debian package `qemu-user-static`")
    }
}

/// The machine's own table, mounted out of the way in a mount namespace that ends right after.
fn machine_table() -> String {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t binfmt_misc none \"$0\" && cd \"$0\" && \
                  for f in *; do [ \"$f\" = register ] || cat \"$f\"; done";
    let mut command = Command::new("unshare");
    Outcome::of(&command.args(["--mount", "sh", "-c", script]).arg(folder.path()).output().unwrap()).ok()
}

#[test]
fn foreign_programs_run_as_native_ones_do() {
    let (foreign, native) = programs();
    for who in Who::EVERYONE {
        let root = Root::new(who);
        let qemu = foreign.qemu();
        let options = ["--foreign", foreign.architecture, qemu.to_str().unwrap(), "--defer-fsync"];
        let command = ["--env", "PATH=/bin", "ROOT", "sh", "-c", "exec -a 'its name' /bin/program"];
        for program in [&native, &foreign] {
            program.install(&root);
            let outcome = root.run(&[&options[..], &command].concat());
            assert_eq!(outcome, printed("its name"), "{} {who:?}", program.architecture);
            let outcome = root.run(&[&options[..], &["ROOT", "/bin/program"]].concat());
            assert_eq!(outcome, printed("/bin/program"), "{} {who:?}", program.architecture);
        }
    }
}

#[test]
fn a_registration_of_ours_is_not_the_machines() {
    let (foreign, _) = programs();
    for who in Who::EVERYONE {
        let root = Root::new(who);
        foreign.install(&root);
        let qemu = foreign.qemu();
        let options = ["--foreign", foreign.architecture, qemu.to_str().unwrap(), "--input", "x\n"];
        // Runs until its standard output is closed.
        let command = ["--env", "PATH=/bin", "ROOT", "sh", "-c", "/bin/program; while echo; do :; done"];
        let mut child =
            root.command(&[&options[..], &command].concat()).stdout(Stdio::piped()).spawn().unwrap();
        let mut name = [0; 12];
        child.stdout.as_mut().unwrap().read_exact(&mut name).unwrap();
        let table = machine_table();
        drop(child.stdout.take());
        child.wait().unwrap();
        assert_eq!(&name, b"/bin/program");
        assert!(table.contains("enabled") && !table.contains("/proc/self/fd/"), "{table}");
    }
}

fn printed(name: &str) -> Outcome {
    Outcome { code: Some(7), out: name.into(), err: String::new() }
}

#[test]
fn a_registration_around_us_makes_no_difference() {
    let (foreign, native) = programs();
    let root = Root::new(Who::Root);
    foreign.install(&root);
    // An interpreter that only says its name is registered in the namespace around, as a machine might have one.
    let other = root.beside().join("interpreter");
    native.write(&other);
    let line = format!(":other:M:18:\\x{:02x}::{}:F", foreign.machine, other.display());
    let script = format!(
        "mount -t binfmt_misc none /mnt && printf '%s' '{line}' >/mnt/register && exec \"$0\" \"$@\""
    );
    let (path, qemu) = (root.path(), foreign.qemu());
    let command = [path.as_os_str(), "/bin/program".as_ref()];
    let without = in_surroundings(&script, &command);
    assert_eq!(without, printed(other.to_str().unwrap()), "the registration around is not in effect");
    let options = ["--foreign".as_ref(), foreign.architecture.as_ref(), qemu.as_os_str()];
    assert_eq!(in_surroundings(&script, &[&options[..], &command].concat()), printed("/bin/program"));
}

#[test]
fn an_interpreter_that_is_none_is_refused() {
    let (foreign, _) = programs();
    let root = Root::new(Who::User);
    let err = root.run(&["--foreign", foreign.architecture, "/etc/passwd", "ROOT", "/bin/true"]).err;
    let expected = format!("cannot run programs for {} here: the kernel refused", foreign.architecture);
    assert!(err.contains(&expected), "{err}");
}

/// Takes the right to make user namespaces away, so that there is only the machine's table.
const NO_NAMESPACE: &str = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";

#[test]
fn without_a_namespace_of_our_own_the_machine_must_help() {
    let (foreign, native) = programs();
    let root = Root::new(Who::Root);
    foreign.install(&root);
    let interpreter = root.beside().join("interpreter");
    native.write(&interpreter);
    let mount = "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && cd /proc/sys/fs/binfmt_misc";
    let magic = elf_magic(foreign.machine);
    let register =
        |flags: &str| format!("printf '%s' ':other:M::{magic}::{}:{flags}' >register", interpreter.display());
    let fixed = register("F");
    let tests = [
        ("none", "true", "the machine has no registration; install the package `qemu-user-static`"),
        (
            "not in the root",
            &register("P"),
            "has flags `P` but needs `F`; install the package `qemu-user-static`",
        ),
        ("switched off", &format!("{fixed} && echo 0 >other"), "the machine has no registration"),
    ];
    let path = root.path();
    let command = ["--foreign", foreign.architecture, "/none", path.to_str().unwrap(), "/bin/program"];
    for (summary, registered, expected) in tests {
        let outcome = in_surroundings(&format!("{mount} && {registered} && {NO_NAMESPACE}"), &command);
        assert_eq!(outcome.code, Some(125), "{summary}");
        assert!(outcome.err.contains(expected), "{summary}: {}", outcome.err);
    }
    let outcome = in_surroundings(&format!("{mount} && {fixed} && {NO_NAMESPACE}"), &command);
    assert_eq!(outcome, printed(interpreter.to_str().unwrap()));
}

/// The beginning of an ELF program for this machine, as a registration has it.
fn elf_magic(machine: u8) -> String {
    let start = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0";
    start.iter().chain([&machine, &0]).map(|byte| format!("\\x{byte:02x}")).collect()
}
