//! `[confine]`: how `maitred serve` shuts itself in, and which files it needs for that.

use std::path::Path;

use maitred_confine::{Mode, Reach, User};

use super::kind::TEXT;
use super::{Config, ConfigError, Keys, blame};

const MODE: [(&str, Mode); 3] = [("auto", Mode::Auto), ("off", Mode::Off), ("require", Mode::Require)];

/// Where the system says whom to ask for names.
const RESOLVERS: &str = "/etc/resolv.conf";

/// What libraries look at to learn how many processors and how much memory there are, and where randomness is read.
/// Nothing of it is secret, and all of it may be missing.
const SYSTEM: [&str; 6] = [
    "/dev/urandom",
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
];

pub(super) fn keys(keys: &mut Keys<'_>, confine: &mut maitred_confine::Config) -> Result<(), ConfigError> {
    keys.table("confine", |keys| {
        keys.maybe("run_as", &TEXT, &mut confine.run_as)?;
        keys.word("filesystem", &MODE, &mut confine.filesystem)?;
        keys.word("syscalls", &MODE, &mut confine.syscalls)?;
        Ok(())
    })
}

impl Config {
    /// Who `run_as` is. Not part of the check of a file: a running server that has shut itself in cannot look users up.
    ///
    /// # Errors
    /// When it is nobody, or root.
    pub(crate) fn user(&self) -> Result<Option<User>, ConfigError> {
        self.confine.user().map_err(|error| {
            let (key, problem) = blame(error);
            ConfigError { file: self.file.clone(), line: None, key, problem }
        })
    }

    /// Every file and folder that a server with this configuration opens once it runs. Folders that it makes must be
    /// there already.
    pub(crate) fn reach(&self) -> Reach {
        let mut reach = Reach::default();
        reach.add_write(&self.data_dir);
        if let Some(directory) = &self.plugins.directory {
            reach.add_write(directory);
        }
        let plugins = self.plugins.plugins.iter().map(|plugin| &plugin.path);
        let passwords = self.routes.iter().map(|route| &route.password_file);
        let tokens = self.listeners.iter().map(|listener| &listener.token_file);
        let named = [&self.file, &self.tls.certificate, &self.tls.key].into_iter().chain(plugins);
        let named = named.chain(passwords).chain(tokens);
        for file in named.flatten() {
            reach.add_replaceable(file);
        }
        for file in SYSTEM {
            reach.add_read(Path::new(file));
        }
        if self.dns.servers.is_empty() {
            add_resolvers(&mut reach, Path::new(RESOLVERS));
        }
        reach
    }
}

/// Read when the server starts, and never again once it names somebody. Until then it may be replaced by another file.
fn add_resolvers(reach: &mut Reach, file: &Path) {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    if text.lines().any(|line| line.trim_start().starts_with("nameserver")) {
        reach.add_read(file);
    } else {
        reach.add_replaceable(file);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_named_may_be_opened_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["etc", "tls", "data", "plugins", "other"] {
            fs::create_dir(path(name)).unwrap();
        }
        let mut config = Config::new(Some(&path("data")));
        config.file = Some(path("etc/maitred.toml"));
        config.plugins.directory = Some(path("plugins"));
        (config.tls.certificate, config.tls.key) = (Some(path("tls/cert.pem")), Some(path("tls/key.pem")));
        config.dns.servers = vec![([127, 0, 0, 1], 53).into()];
        let reach = config.reach();
        for (name, may) in [
            ("data/store/log/1.seg", (true, true)),
            ("plugins/new.wasm", (true, true)),
            ("etc/maitred.toml", (true, false)),
            ("tls/renewed.pem", (true, false)),
            ("other/file", (false, false)),
        ] {
            assert_eq!((reach.may_read(&path(name)), reach.may_write(&path(name))), may, "{name}");
        }
        assert!(!reach.may_read(Path::new("/etc/passwd")) && !reach.may_read(Path::new(RESOLVERS)));
    }

    #[test]
    fn a_running_server_refuses_what_it_can_reach_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["etc", "data", "elsewhere"] {
            fs::create_dir(path(name)).unwrap();
        }
        let file = path("etc/maitred.toml");
        let mut reach = Reach::default();
        reach.add_replaceable(&file);
        reach.add_write(&path("data"));
        let parse =
            |text: &str| Config::parse(&file, &format!("{text}\n"), Some(&path("data")), Some(&reach));
        for (text, key) in [
            ("[tls]\ncertificate = '../elsewhere/c.pem'\nkey = 'k.pem'", "tls.certificate"),
            ("[tls]\nkey = '/elsewhere/k.pem'\ncertificate = 'c.pem'", "tls.key"),
            ("[[plugin]]\nname = 'p'\npath = '../elsewhere/p.wasm'", "plugin.path"),
            // To be read only is not enough here.
            ("\n[plugins]\ndirectory = 'plugins'", "plugins.directory"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.key, key, "{error}");
            assert!(error.line.is_some() && error.problem.contains("it takes a restart"), "{error}");
        }
        let route = "[[outbound.route]]\ndomain = 'a.test'\nrelay = 'r.test'\nusername = 'u'";
        let error = parse(&format!("{route}\npassword_file = '../elsewhere/p'")).unwrap_err();
        assert_eq!((error.key.as_str(), error.line), ("outbound.route.password_file", Some(5)), "{error}");
        // What `--data` goes before does not matter; without it, it does.
        parse("data_dir = '/elsewhere'\n[plugins]\ndirectory = '../data/p'\n[[plugin]]\nname = 'p'\npath = 'p.wasm'")
            .unwrap();
        let error = Config::parse(&file, "data_dir = '/elsewhere'", None, Some(&reach)).unwrap_err();
        assert_eq!((error.key.as_str(), error.line), ("data_dir", Some(1)), "{error}");
    }

    #[test]
    fn nobody_and_root_are_no_users_to_run_as() {
        let mut config = Config::new(None);
        assert_eq!(config.user(), Ok(None));
        for (name, told) in [("no-such-user-here", "no user"), ("root", "is root")] {
            config.confine.run_as = Some(name.to_owned());
            let error = config.user().unwrap_err();
            assert!(error.key == "confine.run_as" && error.problem.contains(told), "{error}");
        }
    }

    #[test]
    fn resolvers_that_are_not_known_yet_may_come_in_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let [known, beside] = ["resolv.conf", "hosts"].map(|name| folder.path().join(name));
        for (text, is_folder) in [("search a.test\n", true), ("# x\nnameserver 192.0.2.53\n", false)] {
            fs::write(&known, text).unwrap();
            let mut reach = Reach::default();
            add_resolvers(&mut reach, &known);
            assert_eq!((reach.may_read(&known), reach.may_read(&beside)), (true, is_folder), "{text}");
        }
    }
}
