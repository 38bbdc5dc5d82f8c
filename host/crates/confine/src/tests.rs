//! The walls as the kernel keeps them. What is given up is given up for ever, so each of these runs in a process of its own:
//! the test binary, started again for one test.

use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use crate::{Config, Error, Mode, Reach, User, Wall, is_root, system};

/// Says that this is the process of its own.
const ALONE: &str = "MAITRED_CONFINE_TEST";

/// Runs the body of the test of this name in a process of its own; what it skipped is said here too.
#[track_caller]
fn in_a_process_of_its_own(name: &str, body: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    // What it leaves behind it cannot remove any more.
    let rest = tempfile::tempdir().unwrap();
    fs::set_permissions(rest.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let mut again = Command::new(std::env::current_exe().unwrap());
    again
        .args([&format!("tests::{name}"), "--exact", "--nocapture"])
        .env(ALONE, "1")
        .env("TMPDIR", rest.path());
    let output = again.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{}\n{told}\n{error}", output.status);
    for line in told.lines().filter_map(|line| line.find("SKIPPED:").and_then(|at| line.get(at..))) {
        println!("{line}");
    }
}

/// Shuts files off; false, and said, where the kernel cannot.
fn shut_off(reach: &Reach) -> bool {
    match system::restrict_files(reach, true) {
        Ok(()) => true,
        Err(error) => {
            println!("SKIPPED: files are not shut off, {error}");
            false
        }
    }
}

/// Refuses system calls; false, and said, where the kernel cannot.
fn refuse() -> bool {
    let config = Config { syscalls: Mode::Require, ..Config::default() };
    match config.restrict_syscalls() {
        Ok(wall) => wall == Wall::Up,
        Err(error) => {
            println!("SKIPPED: system calls are not refused, {error}");
            false
        }
    }
}

#[track_caller]
fn assert_denied<T>(done: io::Result<T>) {
    let error = done.err().expect("it was let through");
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
}

/// A folder with `mine`, `given` and `theirs` in it, each with a file.
fn folders() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["mine", "given", "theirs"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("file"), name).unwrap();
    }
    folder
}

/// `mine` may be written, `given` read.
fn reach(folder: &Path) -> Reach {
    let mut reach = Reach::default();
    reach.add_write(&folder.join("mine"));
    reach.add_read(&folder.join("given"));
    reach
}

#[test]
fn a_file_outside_cannot_be_opened_and_one_inside_can() {
    in_a_process_of_its_own("a_file_outside_cannot_be_opened_and_one_inside_can", || {
        let folder = folders();
        let path = |name: &str| folder.path().join(name);
        if !shut_off(&reach(folder.path())) {
            return;
        }
        assert_denied(fs::read(path("theirs/file")));
        assert_denied(fs::read_dir(path("theirs")));
        assert_denied(fs::read("/etc/passwd"));
        assert_denied(fs::write(path("theirs/new"), ""));
        assert_denied(fs::remove_file(path("theirs/file")));
        assert_denied(fs::rename(path("theirs/file"), path("mine/stolen")));
        assert_denied(std::os::unix::fs::symlink("/etc", path("mine/link")));
        // To be read is not to be written.
        assert_eq!(fs::read(path("given/file")).unwrap(), b"given");
        assert_denied(fs::write(path("given/file"), ""));
        assert_denied(File::options().write(true).truncate(true).open(path("given/file")));
        // Ours is ours.
        fs::create_dir_all(path("mine/a/b")).unwrap();
        fs::write(path("mine/a/b/file"), "new").unwrap();
        fs::rename(path("mine/a/b/file"), path("mine/file")).unwrap();
        assert_eq!(fs::read(path("mine/file")).unwrap(), b"new");
        drop(UnixListener::bind(path("mine/socket")).unwrap());
        fs::remove_file(path("mine/socket")).unwrap();
        fs::remove_dir_all(path("mine/a")).unwrap();
    });
}

#[test]
fn what_has_another_name_inside_is_still_outside() {
    in_a_process_of_its_own("what_has_another_name_inside_is_still_outside", || {
        let folder = folders();
        let path = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink(path("theirs"), path("mine/link")).unwrap();
        if !shut_off(&reach(folder.path())) {
            return;
        }
        assert_denied(fs::read(path("mine/link/file")));
        assert_denied(fs::read(path("mine/../theirs/file")));
        assert_denied(File::open("/proc/self/environ"));
    });
}

#[test]
fn a_thread_that_is_started_later_is_shut_in_too() {
    in_a_process_of_its_own("a_thread_that_is_started_later_is_shut_in_too", || {
        let folder = folders();
        if !shut_off(&reach(folder.path())) {
            return;
        }
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_denied(fs::read(folder.path().join("theirs/file")));
                assert!(fs::read(folder.path().join("mine/file")).is_ok());
            });
        });
    });
}

#[test]
fn files_are_not_shut_off_for_a_part_of_the_threads() {
    // This test is one thread, and who runs it another.
    let folder = folders();
    for filesystem in [Mode::Auto, Mode::Require] {
        let config = Config { filesystem, ..Config::default() };
        let refused = config.restrict_files(&reach(folder.path()));
        assert!(matches!(refused, Err(Error::Threads { others }) if others > 0), "{refused:?}");
    }
    assert!(fs::read(folder.path().join("theirs/file")).is_ok());
}

#[test]
fn a_kernel_that_cannot_shut_files_off_is_noticed() {
    in_a_process_of_its_own("a_kernel_that_cannot_shut_files_off_is_noticed", || {
        use nix::libc::{ENOSYS, SYS_landlock_create_ruleset};
        use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
        // A kernel from before it, as far as this process sees.
        let rules = [(SYS_landlock_create_ruleset, Vec::new())].into_iter().collect();
        let answer = SeccompAction::Errno(ENOSYS.unsigned_abs());
        let arch = std::env::consts::ARCH.try_into().unwrap();
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, arch).unwrap();
        let program: BpfProgram = filter.try_into().unwrap();
        if let Err(error) = seccompiler::apply_filter_all_threads(&program) {
            println!("SKIPPED: a kernel without Landlock, it cannot be played here: {error}");
            return;
        }
        let folder = folders();
        for is_required in [false, true] {
            let refused = system::restrict_files(&reach(folder.path()), is_required);
            assert!(refused.is_err_and(|error| error.to_string().contains("wants Linux")));
        }
        assert!(fs::read(folder.path().join("theirs/file")).is_ok());
    });
}

#[test]
fn no_other_program_is_run() {
    in_a_process_of_its_own("no_other_program_is_run", || {
        let run = || Command::new("/bin/true").status();
        assert!(run().unwrap().success());
        // One thread from before, which has to be covered as well, and one from after.
        let (go, wait) = mpsc::channel::<()>();
        let before = thread::spawn(move || wait.recv().map(|()| run()).unwrap());
        if !refuse() {
            return;
        }
        assert_denied(run());
        go.send(()).unwrap();
        assert_denied(before.join().unwrap());
        assert_denied(thread::spawn(run).join().unwrap());
    });
}

#[test]
fn calls_that_are_refused_say_so_and_the_server_goes_on() {
    in_a_process_of_its_own("calls_that_are_refused_say_so_and_the_server_goes_on", || {
        assert!(nix::sys::personality::get().is_ok());
        if !refuse() {
            return;
        }
        assert_eq!(nix::sys::personality::get(), Err(nix::errno::Errno::EPERM));
        // What a server does: sockets, files, threads, time.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.accept().unwrap();
        UdpSocket::bind("[::1]:0").or_else(|_| UdpSocket::bind("127.0.0.1:0")).unwrap();
        let folder = folders();
        UnixListener::bind(folder.path().join("socket")).unwrap();
        let file = File::create(folder.path().join("file")).unwrap();
        file.sync_all().unwrap();
        assert_eq!(thread::spawn(|| 1).join().unwrap(), 1);
    });
}

#[test]
fn nothing_that_is_run_gains_rights() {
    in_a_process_of_its_own("nothing_that_is_run_gains_rights", || {
        let has_none = || fs::read_to_string("/proc/self/status").unwrap().contains("NoNewPrivs:\t1");
        assert!(!has_none());
        if refuse() {
            assert!(has_none());
        }
    });
}

#[test]
fn users_are_found_by_name_and_number_and_never_root() {
    assert!(matches!(User::find("root"), Err(Error::IsRoot { .. })));
    assert!(matches!(User::find("0"), Err(Error::IsRoot { .. })));
    assert!(matches!(User::find("no-such-user-here"), Err(Error::NoSuchUser { .. })));
    assert!(matches!(User::find("4294967294"), Err(Error::NoSuchUser { .. })));
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let other = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let Some(other) = other.into_iter().find(|fields| fields.get(2).is_some_and(|uid| *uid != "0")) else {
        println!("SKIPPED: a user by number, root is the only one");
        return;
    };
    assert_eq!(User::find(other[0]).unwrap(), User::find(other[2]).unwrap());
}

#[test]
fn the_rights_of_root_are_given_up_in_every_thread() {
    in_a_process_of_its_own("the_rights_of_root_are_given_up_in_every_thread", || {
        let (Ok(nobody), true) = (User::find("nobody"), is_root()) else {
            println!("SKIPPED: giving up root, the tests do not run as root or there is no user nobody");
            return;
        };
        let folder = folders();
        let secret = folder.path().join("theirs/file");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let given = folder.path().join("mine");
        nobody.own(&given).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let ids = || {
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            let of =
                |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
            [of("Uid:"), of("Gid:"), of("Groups:"), of("CapPrm:")]
        };
        let before = thread::spawn(move || wait.recv().map(|()| ids()).unwrap());
        nobody.drop_privileges().unwrap();
        let mine = ids();
        go.send(()).unwrap();
        assert_eq!(before.join().unwrap(), mine);
        assert!(!is_root() && !mine[0].contains("\t0") && !mine[0].starts_with("0\t"), "{mine:?}");
        assert_eq!((mine[2].as_str(), mine[3].as_str()), ("", "0000000000000000"));
        assert_denied(fs::read(&secret));
        fs::write(given.join("new"), "").unwrap();
        // Who is it already has nothing to do; who is not root becomes nobody else.
        nobody.drop_privileges().unwrap();
        if let Ok(daemon) = User::find("daemon") {
            assert!(matches!(daemon.drop_privileges(), Err(Error::NotRoot { .. })));
        }
    });
}
