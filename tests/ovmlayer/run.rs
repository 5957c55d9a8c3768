//! What a command sees and gives (contract 2.5).

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};

use testkit::{await_no_process_about, processes_about};

use crate::{Stage, scenarios};

scenarios!(
    exit_codes_are_those_of_the_command,
    stdout_is_exactly_the_commands,
    everything_after_the_first_word_belongs_to_the_command,
    the_environment_is_small_and_known,
    variables_come_from_flags_over_files,
    it_starts_in_the_root_or_where_it_is_told,
    binds_show_files_and_folders_of_the_machine,
    binds_can_be_read_only,
    places_made_for_binds_go_afterwards,
    a_place_that_another_run_uses_stays,
    places_go_also_when_the_merge_point_went_first,
    a_run_goes_on_when_its_merge_point_goes,
    places_of_a_killed_run_go_with_the_merge_point,
    places_hide_again_what_the_layer_hid,
    a_terminal_stays_a_terminal,
    the_machine_can_be_reached_by_name,
    devices,
    what_is_written_stays_in_the_top_layer,
    tmp_and_root_are_those_of_the_layers,
    errors_of_the_program_itself,
    runs_side_by_side,
    its_processes_are_its_own,
    a_seccomp_profile_forbids,
);

fn merged(stage: &Stage<'_>) {
    stage.does("create l");
    stage.does("merge -l l -m m");
}

fn exit_codes_are_those_of_the_command(stage: &Stage<'_>) {
    merged(stage);
    let table: [(&str, &[&str], i32); 7] = [
        ("success", &["true"], 0),
        ("failure", &["false"], 1),
        ("its own", &["sh", "-c", "exit 42"], 42),
        ("255", &["bash", "-c", "exit 255"], 255),
        ("killed by SIGKILL", &["sh", "-c", "kill -9 $$"], 137),
        ("not found", &["no-such-command"], 127),
        ("not executable", &["/etc/os-release"], 126),
    ];
    for (summary, command, code) in table {
        let result = stage.try_run(["run", "--merged-point=m"].iter().chain(command));
        assert_eq!(
            result.status.code(),
            Some(code),
            "{summary}: {}",
            String::from_utf8_lossy(&result.stderr)
        );
        assert!(result.stdout.is_empty(), "{summary}");
    }
}

fn stdout_is_exactly_the_commands(stage: &Stage<'_>) {
    merged(stage);
    let script = "echo out; echo err >&2; printf 'no newline'";
    for shell in [&["sh", "-c"][..], &["zsh", "-i", "-c"], &["bash", "-c"]] {
        let result = stage
            .try_run(["run", "--all-devices", "--merged-point", "m"].iter().chain(shell).chain([&script]));
        assert_eq!(String::from_utf8_lossy(&result.stdout), "out\nno newline", "{shell:?}");
        assert_eq!(String::from_utf8_lossy(&result.stderr), "err\n", "{shell:?}");
    }
    // A reader that goes away ends the command, as on the machine.
    assert_eq!(stage.sh("m", "(while echo y; do :; done; echo never >&2) | head -n 1"), "y\n");
}

fn everything_after_the_first_word_belongs_to_the_command(stage: &Stage<'_>) {
    merged(stage);
    let expected = "--merged-point=x --env A=1 -- -i\n";
    for leading in [&[][..], &["--"]] {
        let words = ["echo", "--merged-point=x", "--env", "A=1", "--", "-i"];
        let arguments = ["run", "--merged-point=m"].iter().chain(leading).chain(&words);
        assert_eq!(stage.ok(arguments), expected);
    }
}

fn the_environment_is_small_and_known(stage: &Stage<'_>) {
    merged(stage);
    let variables = [
        ("SHELL", "/bin/fish"),
        ("HOME", "/nowhere"),
        ("TERM", "xterm"),
        ("LD_PRELOAD", "/nowhere.so"),
        ("http_proxy", "http://127.0.0.1:1"),
        ("LANG", "xx_XX.UTF-8"),
        ("SECRET", "secret"),
    ];
    let mut command = stage.program.command(["run", "--merged-point=m", "env"]);
    // The program finds its configuration by HOME, so that stays what it is.
    let arguments: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
    let program = arguments.iter().position(|word| word == "run").expect("the verb") - 1;
    let mut changed = Command::new(command.get_program());
    changed.args(&arguments[..program]);
    changed.args(
        variables.iter().filter(|(name, _)| *name != "HOME").map(|(name, value)| format!("{name}={value}")),
    );
    changed.args(&arguments[program..]).current_dir(stage.program.folder());
    command = changed;
    let mut lines: Vec<_> = String::from_utf8(testkit::run(&mut command))
        .expect("text")
        .lines()
        .filter(|line| !line.to_ascii_lowercase().contains("_proxy") || line.starts_with("http_proxy"))
        .map(str::to_owned)
        .collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "HOME=/root",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM=xterm",
            "http_proxy=http://127.0.0.1:1"
        ]
    );
}

fn variables_come_from_flags_over_files(stage: &Stage<'_>) {
    merged(stage);
    let file = stage.write("variables", "# a comment\nA=file\nB = from file \n\nURL=http://x/?a=b\n", 0o644);
    let file = format!("--env-file={}", file.display());
    let script = "echo \"$A|$B|$URL|$C|$DEBIAN_FRONTEND|$HOME\"";
    let out = stage.ok([
        "run",
        "--all-devices",
        "--env",
        "DEBIAN_FRONTEND=noninteractive",
        "--env",
        "A=a b=c",
        "-env=C=",
        &file,
        "--merged-point=m",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(out, "a b=c|from file|http://x/?a=b||noninteractive|/root\n");
    let errors = stage.try_run(["run", "--env-file=/none", "--merged-point=m", "true"]);
    assert_eq!(errors.status.code(), Some(125));
}

fn it_starts_in_the_root_or_where_it_is_told(stage: &Stage<'_>) {
    merged(stage);
    let pwd = |flags: &[&str]| {
        stage.ok(["run", "--merged-point=m"].iter().chain(flags).chain(&["sh", "-c", "pwd"]))
    };
    assert_eq!(pwd(&[]), "/\n");
    assert_eq!(pwd(&["--workdir=/root"]), "/root\n");
    stage.sh("m", "mkdir '/with space'");
    assert_eq!(pwd(&["--workdir=/with space"]), "/with space\n");
    let result = stage.try_run(["run", "--merged-point=m", "--workdir=/none", "true"]);
    assert_eq!(result.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&result.stderr).contains("/none"));
}

fn binds_show_files_and_folders_of_the_machine(stage: &Stage<'_>) {
    merged(stage);
    stage.write("example dir/file", "of the machine\n", 0o644);
    let folder = stage.arg("example dir");
    let file = stage.write("script.sh", "#!/bin/sh\necho ran $1\n", 0o755);
    let mounts = [
        format!("--mount=type=bind,src={folder},dst={folder},rw,nonrecursive"),
        format!("--mount=type=bind,source={},dst=/root/layer-deps/script.sh,nonrecursive", file.display()),
        format!("--mount=type=bind,src={folder},dst=/made/for/it,ro,recursive"),
    ];
    let script = format!(
        "cat '{folder}/file'; echo written > '{folder}/new'; /root/layer-deps/script.sh it; cat /made/for/it/new; \
         touch /made/for/it/x 2>/dev/null || echo refused"
    );
    let words = ["run".to_owned()].into_iter().chain(mounts);
    let out = stage.ok(words.chain(["--merged-point=m", "sh", "-c", &script].map(str::to_owned)));
    assert_eq!(out, "of the machine\nran it\nwritten\nrefused\n");
    assert_eq!(fs::read_to_string(stage.path("example dir/new")).expect("a file"), "written\n");
    // A relative source starts at the working directory.
    let out = stage.ok(["run", "--mount", "src=script.sh,dst=/s", "--merged-point=m", "/s", "relative"]);
    assert_eq!(out, "ran relative\n");
    // The later one lies over the earlier one.
    let (first, second) = (format!("src={folder},dst=/d"), format!("src={},dst=/d/file", file.display()));
    let out = stage.ok([
        "run",
        "--mount",
        &first,
        "--mount",
        &second,
        "--merged-point=m",
        "sh",
        "-c",
        "head -n 1 /d/file",
    ]);
    assert_eq!(out, "#!/bin/sh\n");
    let result = stage.try_run(["run", "--mount", "src=/none,dst=/d", "--merged-point=m", "true"]);
    assert_eq!(result.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&result.stderr).contains("cannot bind `/none`"));
}

fn binds_can_be_read_only(stage: &Stage<'_>) {
    merged(stage);
    let file = stage.write("only", "read\n", 0o666);
    for word in ["ro", "readonly"] {
        let mount = format!("type=bind,src={},dst=/only,{word}", file.display());
        let out = stage.ok([
            "run",
            "--mount",
            &mount,
            "--merged-point=m",
            "sh",
            "-c",
            "cat /only; echo x 2>/dev/null > /only || echo no",
        ]);
        assert_eq!(out, "read\nno\n", "{word}");
    }
}

fn places_made_for_binds_go_afterwards(stage: &Stage<'_>) {
    merged(stage);
    let file = stage.write("package.json", "{}", 0o644);
    let mounts =
        [format!("src={},dst=/root/package.json", file.display()), format!("src={},dst=/a/b", stage.arg(""))];
    stage.ok([
        "run",
        "--mount",
        &mounts[0],
        "--mount",
        &mounts[1],
        "--merged-point=m",
        "sh",
        "-c",
        "touch /a/mine",
    ]);
    assert_eq!(stage.sh("m", "ls -A /root /a"), "/a:\nmine\n\n/root:\n");
    let changed = stage.does("diff l");
    assert!(!changed.contains("package.json") && !changed.contains("resolv.conf"), "{changed}");
}

/// A run that shows a folder of the machine in a place of its own, and waits.
struct Waiting {
    child: Child,
    out: BufReader<ChildStdout>,
    /// Processes that were there before.
    before: BTreeMap<u32, String>,
}

impl Waiting {
    fn start(stage: &Stage<'_>) -> Self {
        let mount = format!("--mount=type=bind,src={},dst=/made/folder", stage.arg(""));
        Self::start_with(stage, &mount, "echo ready; read line; cat /made/folder/marker")
    }

    /// Starts a script that says `ready` and waits for a line.
    fn start_with(stage: &Stage<'_>, mount: &str, script: &str) -> Self {
        let before = processes_about(stage.program.folder());
        let mut command = stage.program.command(["run", mount, "--merged-point=m", "sh", "-c", script]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Self { child, out, before }
    }

    /// Lets it go on, to its end.
    fn go_on(mut self) {
        writeln!(self.child.stdin.take().expect("its input"), "go on").expect("a line");
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("the rest");
        assert!(self.child.wait().expect("an end").success());
        assert_eq!(rest, "a file of the machine\n");
    }

    /// Ends it as nobody can prepare for, and waits for the end of the command too.
    fn kill(mut self, stage: &Stage<'_>) {
        self.child.kill().expect("a signal");
        self.child.wait().expect("an end");
        let folder = stage.program.folder();
        await_no_process_about(folder, "a killed run", |pid| self.before.contains_key(&pid));
    }
}

fn a_place_that_another_run_uses_stays(stage: &Stage<'_>) {
    merged(stage);
    let waiting = Waiting::start(stage);
    let mount = format!("--mount=type=bind,src={},dst=/made/folder", stage.arg(""));
    assert_eq!(
        stage.ok(["run", &mount, "--merged-point=m", "cat", "/made/folder/marker"]),
        "a file of the machine\n"
    );
    assert_eq!(stage.sh("m", "ls /made"), "folder\n", "the other one still uses it");
    waiting.go_on();
    assert_eq!(stage.sh("m", "test -e /made || echo gone"), "gone\n");
}

/// Nothing is left of the place that a run made in the layer, nor of the list that has it.
fn no_place_is_left(stage: &Stage<'_>) {
    assert!(!stage.path("runtime/layer_dir/l/made").exists(), "the place is left in the layer");
    assert_eq!(fs::read_dir(stage.path("runtime/run")).expect("a folder").count(), 0, "lists");
}

fn places_go_also_when_the_merge_point_went_first(stage: &Stage<'_>) {
    merged(stage);
    let waiting = Waiting::start(stage);
    stage.does("unmerge m");
    // Of the same name, over another layer, which has the same folder with another meaning.
    stage.does("create other");
    stage.does("merge -l other -m m");
    stage.sh("m", "mkdir -p /made/folder");
    waiting.go_on();
    no_place_is_left(stage);
    assert_eq!(stage.sh("m", "ls /made"), "folder\n", "that of the other one stays");
}

fn a_run_goes_on_when_its_merge_point_goes(stage: &Stage<'_>) {
    merged(stage);
    let mount = format!("--mount=type=bind,src={},dst=/made/folder", stage.arg(""));
    // For a change of a file of the root filesystem the kernel needs its work folder.
    let script = "echo ready; read line; echo more >> /etc/os-release && cat /made/folder/marker";
    let waiting = Waiting::start_with(stage, &mount, script);
    stage.does("unmerge m");
    waiting.go_on();
    assert_eq!(stage.does("cp --mode layer2host l:/etc/os-release ."), "");
    assert_eq!(fs::read_to_string(stage.path("os-release")).expect("the file"), "ID=test\nmore\n");
    stage.does("gc");
    stage.does("fsck");
}

fn places_of_a_killed_run_go_with_the_merge_point(stage: &Stage<'_>) {
    merged(stage);
    Waiting::start(stage).kill(stage);
    stage.does("unmerge m");
    no_place_is_left(stage);
    // Killed after the merge point has gone: whoever tidies or merges next removes it.
    for next in ["gc", "fsck --repair", "merge -l l -m m"] {
        stage.does("unmerge m");
        stage.does("merge -l l -m m");
        let waiting = Waiting::start(stage);
        stage.does("unmerge m");
        waiting.kill(stage);
        assert!(stage.path("runtime/layer_dir/l/made").exists(), "{next}: a test of something");
        // A namespace that a test beside this one sets up has a copy of all mounts for a moment, and keeps it in use.
        let tidied = (0..100).any(|_| {
            stage.does(next);
            !stage.path("runtime/layer_dir/l/made").exists()
        });
        assert!(tidied, "{next}");
        no_place_is_left(stage);
    }
}

fn places_hide_again_what_the_layer_hid(stage: &Stage<'_>) {
    merged(stage);
    stage.sh("m", "rm /etc/os-release");
    let mount = format!("--mount=type=bind,src={},dst=/etc/os-release", stage.arg("marker"));
    let waiting = Waiting::start_with(stage, &mount, "echo ready; read line");
    stage.does("unmerge m");
    waiting.kill(stage);
    stage.does("merge -l l -m m");
    assert_eq!(stage.sh("m", "test -e /etc/os-release || echo hidden"), "hidden\n");
}

fn a_terminal_stays_a_terminal(stage: &Stage<'_>) {
    merged(stage);
    let script = "test -t 0 && test -t 1 && tty >/dev/null && echo on a terminal";
    let command = stage.program.command(["run", "--merged-point=m", "sh", "-c", script]);
    // `script` takes a command line for the shell.
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> =
        words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))).collect();
    let mut terminal = Command::new(testkit::tool("script"));
    terminal.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]);
    terminal.current_dir(stage.program.folder()).stdin(Stdio::null());
    let shown = testkit::run(&mut terminal);
    assert_eq!(String::from_utf8_lossy(&shown), "on a terminal\r\n");
}

fn the_machine_can_be_reached_by_name(stage: &Stage<'_>) {
    merged(stage);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its number").port();
    // Whoever connects is hung up on.
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let out = stage
        .sh("m", &format!("cat /etc/resolv.conf /etc/hosts; nc 127.0.0.1 {port} </dev/null && echo reached"));
    let files = ["/etc/resolv.conf", "/etc/hosts"].map(|path| fs::read_to_string(path).unwrap_or_default());
    assert_eq!(out, format!("{}{}reached\n", files[0], files[1]));
    let out = stage.ok([
        "run",
        "--no-network",
        "--merged-point=m",
        "sh",
        "-c",
        &format!("nc 127.0.0.1 {port} </dev/null 2>&1 || echo no"),
    ]);
    assert!(out.ends_with("no\n"), "{out}");
}

fn devices(stage: &Stage<'_>) {
    merged(stage);
    let few = stage.sh("m", "ls /dev; echo x > /dev/null; test -c /dev/urandom && test -d /dev/shm && test -c /dev/pts/ptmx && echo all");
    assert!(few.ends_with("all\n") && !few.contains("kmsg") && few.contains("tty"), "{few}");
    let all = stage.ok(["run", "--all-devices", "--merged-point=m", "ls", "/dev"]);
    let names: Vec<_> =
        fs::read_dir("/dev").expect("devices").flatten().map(|entry| entry.file_name()).collect();
    for name in
        ["null", "kmsg", "loop-control"].iter().filter(|name| names.iter().any(|known| known == *name))
    {
        assert!(all.lines().any(|line| line == *name), "{name}: {all}");
    }
    assert_eq!(stage.sh("m", "test -d /proc/self && test -d /sys/class && echo there"), "there\n");
}

fn what_is_written_stays_in_the_top_layer(stage: &Stage<'_>) {
    merged(stage);
    stage.sh("m", "echo 'export PATH=/opt/tool/bin:$PATH' >> ~/.zshrc; mkdir -p /opt/tool/bin; printf '#!/bin/sh\\necho tool\\n' > /opt/tool/bin/tool; chmod 755 /opt/tool/bin/tool");
    assert_eq!(stage.ok(["run", "--merged-point=m", "zsh", "-i", "-c", "tool"]), "tool\n");
    stage.does("unmerge m");
    let written = stage.path("runtime/layer_dir/l/root/.zshrc");
    stage.does("create top");
    stage.does("merge -l l -l top -m n");
    assert_eq!(stage.ok(["run", "--merged-point=n", "zsh", "-c", "-i", "tool"]), "tool\n");
    stage.does("unmerge n");
    // In an ordinary user's home of mode 0700 it is there, but root of the namespace has it.
    assert!(written.symlink_metadata().is_ok_and(|status| status.size() > 0));
}

fn tmp_and_root_are_those_of_the_layers(stage: &Stage<'_>) {
    merged(stage);
    stage.sh("m", "touch /tmp/kept /root/kept /home/kept");
    assert_eq!(
        stage.sh("m", "ls /tmp /root /home; stat -c %a /tmp /root"),
        "/home:\nkept\n\n/root:\nkept\n\n/tmp:\nkept\n1777\n700\n"
    );
}

fn errors_of_the_program_itself(stage: &Stage<'_>) {
    let result = stage.try_run(["run", "--merged-point=none", "true"]);
    assert_eq!(result.status.code(), Some(125));
    let errors = String::from_utf8_lossy(&result.stderr);
    assert!(errors.contains("there is no merge point `none`"), "{errors}");
    let result = stage.try_run(["run", "--merged-point=none"]);
    assert_eq!(result.status.code(), Some(2), "wrong usage");
}

fn runs_side_by_side(stage: &Stage<'_>) {
    merged(stage);
    let children: Vec<_> = (0..8)
        .map(|number| {
            let script = format!("echo {number} > /out{number}; cat /b/marker");
            let mount = format!("src={},dst=/b", stage.arg(""));
            let mut command =
                stage.program.command(["run", "--mount", &mount, "--merged-point=m", "sh", "-c", &script]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
        })
        .collect();
    for child in children {
        let result = child.wait_with_output().expect("a result");
        assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
        assert_eq!(result.stdout, b"a file of the machine\n");
    }
    assert_eq!(stage.sh("m", "cat /out*; test -e /b || echo gone"), "0\n1\n2\n3\n4\n5\n6\n7\ngone\n");
}

fn its_processes_are_its_own(stage: &Stage<'_>) {
    merged(stage);
    let out = stage.sh("m", "id -u; ls -d /proc/[0-9]* | wc -l");
    let (user, count) = out.split_once('\n').expect("two lines");
    assert_eq!(user, "0");
    // Its first one, the shell, and two in the pipe.
    assert!(count.trim().parse::<u32>().expect("a number") <= 5, "{out}");
}

fn a_seccomp_profile_forbids(stage: &Stage<'_>) {
    merged(stage);
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}"#;
    stage.write("profile.json", profile, 0o644);
    let out = stage.ok([
        "run",
        "--seccomp",
        "profile.json",
        "--merged-point=m",
        "sh",
        "-c",
        "mkdir /x 2>/dev/null || echo forbidden",
    ]);
    assert_eq!(out, "forbidden\n");
    stage.write("profile.json", "{", 0o644);
    let result = stage.try_run(["run", "--seccomp=profile.json", "--merged-point=m", "true"]);
    assert_eq!(result.status.code(), Some(125));
}

/// Root can make control groups here; an ordinary user mostly cannot, and is told so.
#[test]
fn limits_hold() {
    let stage = Stage::ready();
    merged(&stage);
    let script = "for n in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; wait -n 2>/dev/null; echo";
    let result = stage.try_run(["run", "--pids=5", "--merged-point=m", "bash", "-c", script]);
    assert!(String::from_utf8_lossy(&result.stderr).contains("fork"), "{result:?}");
}
