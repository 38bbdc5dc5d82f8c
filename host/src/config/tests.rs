//! Every key of the configuration: its effect, or its refusal with file and line.

use std::time::Duration;

use maitred_confine::Mode;
use maitred_policy::{Budget, OnError, Share, Trial};
use maitred_route::TlsPolicy;

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("/etc/maitred/maitred.toml"), text, None, None)
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn bad(text: &str, line: usize, key: &str, problem: &str) {
    let error = parse(text).expect_err(text);
    assert!(
        error.line == Some(line) && error.key == key && error.problem.contains(problem),
        "{text}\n{error}\nwanted line {line}, {key}: {problem}"
    );
    assert!(error.to_string().starts_with(&format!("/etc/maitred/maitred.toml:{line}: ")), "{error}");
}

#[test]
fn nothing_configured_serves_everything_on_loopback() {
    let config = Config::new(None);
    let served: Vec<(&str, u16)> = config
        .listeners
        .iter()
        .map(|listener| {
            assert!(listener.bind.iter().all(|address| address.ip().is_loopback()));
            (listener.protocol.name(), listener.bind[0].port())
        })
        .collect();
    let contract = [
        ("smtp", 2525),
        ("submission", 2587),
        ("submissions", 2465),
        ("lmtp", 2424),
        ("imap", 2143),
        ("imaps", 2993),
        ("pop3", 2110),
        ("pop3s", 2995),
        ("http", 2080),
    ];
    assert_eq!(served, contract);
    assert_eq!(format!("{:?}", Config { file: None, ..good("data_dir = '/d'") }.limits_shown()), {
        format!("{:?}", Config::new(Some(Path::new("/d"))).limits_shown())
    });
}

impl Config {
    /// What does not depend on where the file is.
    fn limits_shown(&self) -> impl fmt::Debug + use<> {
        let all = self.clone();
        (
            all.smtp,
            all.imap,
            all.pop3,
            all.gate,
            all.flow,
            all.queue,
            all.route,
            all.dns,
            all.store,
            all.plugins,
        )
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, an entry a key")]
fn each_key_does_what_it_says() {
    type Effect = fn(&Config) -> bool;
    let effects: [(&str, Effect); 61] = [
        ("hostname = 'mx.example.test'", |c| {
            c.hostname == "mx.example.test" && c.flow.hostname == "mx.example.test"
        }),
        ("data_dir = 'd'", |c| {
            c.data_dir == Path::new("/etc/maitred/d")
                && c.store.directory == Path::new("/etc/maitred/d/store")
                && c.plugins.directory.as_deref() == Some(Path::new("/etc/maitred/d/plugins"))
        }),
        ("postmaster = 'p@a.test'", |c| {
            c.flow.postmaster.as_ref().is_some_and(|p| p.to_string() == "p@a.test")
        }),
        ("[log]\nfilter = 'warn,maitred_smtp=debug'", |c| c.log.filter == "warn,maitred_smtp=debug"),
        ("[log]\nformat = 'json'", |c| c.log.format == LogFormat::Json),
        ("[[listener]]\nprotocol = 'lmtp'\nbind = ['127.0.0.1:0', '[::1]:24']", |c| {
            c.listeners.len() == 1
                && c.listeners[0].protocol == Protocol::Lmtp
                && c.listeners[0].bind.len() == 2
        }),
        (
            "[[listener]]\nprotocol = 'imaps'\nbind = ['127.0.0.1:993']\nproxy_protocol = ['10.0.0.0/8']",
            |c| c.listeners[0].proxy_protocol[0].contains([10, 1, 1, 1].into()),
        ),
        (
            "[[listener]]\nprotocol = 'smtp'\nbind = ['127.0.0.1:25']\nxclient = []\nrelay_from = ['192.0.2.1']",
            |c| c.listeners[0].relay_from[0].contains([192, 0, 2, 1].into()),
        ),
        ("[store]\nbackend = 'sled'\nsync = 'never'", |c| !c.store.should_sync),
        ("[store]\ncache = '1MiB'", |c| c.store.cache_octets == 1 << 20),
        ("[store]\nsegment = '8MiB'", |c| c.store.segment_octets == 8 << 20),
        ("[store]\ninline_body = '64KiB'", |c| c.store.inline_octets_max == 64 << 10),
        ("[store]\nflags_within = '50ms'", |c| c.store.soon == Duration::from_millis(50)),
        ("[store]\nreserve = '1GB'", |c| c.store.reserve_octets == 1_000_000_000),
        ("[store]\nsnapshots = 9", |c| c.store.snapshots_max == 9),
        ("[limits]\nmessage_size = '10MB'", |c| {
            c.smtp.message_octets_max == 10_000_000 && c.imap.grammar.message_octets_max == 10_000_000
        }),
        ("[limits]\nmessage_size = 1000", |c| c.smtp.message_octets_max == 1000),
        ("[limits]\nrecipients = 7", |c| c.smtp.recipients_max == 7),
        ("[limits]\nconnections = 8", |c| c.gate.connections == 8),
        ("[limits]\nconnections_per_ip = 3", |c| c.gate.connections_per_ip == 3),
        ("[limits]\nerrors = 4", |c| {
            c.smtp.errors_max == 4 && c.imap.errors_max == 4 && c.pop3.errors_max == 4
        }),
        ("[limits]\ncommand_timeout = '2s'", |c| {
            let two = Duration::from_secs(2);
            [c.smtp.command_timeout, c.smtp.data_timeout, c.imap.command_timeout] == [two; 3]
        }),
        ("[limits]\nrefusals = 4", |c| c.smtp.refusals_max == 4),
        ("[limits]\ntransactions = 5", |c| c.smtp.transactions_max == 5),
        ("[limits]\nauth_failures = 0", |c| c.flow.limits.auth_failures == 0),
        ("[limits]\nheader_size = '64KiB'", |c| c.flow.limits.header_octets_max == 64 << 10),
        ("[limits]\nreceived_fields = 30", |c| c.flow.limits.received_max == 30),
        ("[limits]\nplugin_delay = '0s'", |c| c.flow.limits.delay_max.is_zero()),
        ("[limits]\nerrors = 4\n[limits.imap]\nerrors_max = 6", |c| {
            c.imap.errors_max == 6 && c.pop3.errors_max == 4
        }),
        ("[limits.smtp]\nidle_commands_max = 5", |c| c.smtp.idle_commands_max == 5),
        ("[limits.smtp]\ndata_octets_min = '1KiB'", |c| c.smtp.data_octets_min == 1024),
        ("[limits.imap]\nautologout = '45m'", |c| c.imap.autologout == Duration::from_mins(45)),
        ("[limits.imap]\nset_elements_max = 10", |c| c.imap.grammar.set_elements_max == 10),
        ("[limits.pop3]\nmessages_max = 10", |c| c.pop3.messages_max == 10),
        ("[dns]\nservers = ['127.0.0.1:5353', '::1']\ndnssec = false", |c| {
            c.dns.servers.iter().map(|s| s.port()).eq([5353, 53])
        }),
        ("[dns]\ntimeout = '1s'", |c| c.dns.timeout == Duration::from_secs(1)),
        ("[dns]\nattempts = 4", |c| c.dns.attempts == 4),
        ("[dns]\ncache_entries = 0", |c| c.dns.cache_entries == 0),
        ("[outbound]\nport = 2526", |c| c.route.port == 2526),
        ("[outbound]\nsource_addresses = ['192.0.2.9', '2001:db8::9']", |c| {
            c.route.source_addresses.len() == 2
        }),
        ("[outbound]\nallow_loopback_mx = true", |c| c.route.allow_loopback_mx),
        ("[outbound]\nretry = ['1s', '2m']", |c| {
            c.queue.retry == [Duration::from_secs(1), Duration::from_mins(2)]
        }),
        ("[outbound]\nexpire = '1d'", |c| c.queue.expire == Duration::from_hours(24)),
        ("[outbound]\ndelay_warning = '1h'", |c| c.queue.delay_warning == Duration::from_hours(1)),
        ("[outbound]\nmax_connections_per_domain = 2", |c| c.queue.max_connections_per_domain == 2),
        ("[outbound]\nsettle_retry = '1s'", |c| c.queue.settle_retry == Duration::from_secs(1)),
        ("[outbound]\ntls = 'require'", |c| c.route.tls == TlsPolicy::Require),
        ("[outbound]\nhops_max = 2\naddresses_max = 3", |c| {
            c.route.hops_max == 2 && c.route.addresses_max == 3
        }),
        ("[[outbound.route]]\ndomain = 'example.net'\nrelay = 'smtp.example.net:587'\ntls = 'none'", |c| {
            let route = &c.route.routes[0];
            route.domain.as_str() == "example.net"
                && route.relay.port == 587
                && route.tls == Some(TlsPolicy::None)
        }),
        ("[auth]\nallow_plaintext = true", |c| c.allow_plaintext),
        ("[dkim]", |c| c.hostname == "localhost"),
        ("[confine]\nrun_as = 'maitred'", |c| c.confine.run_as.as_deref() == Some("maitred")),
        ("[confine]\nfilesystem = 'off'", |c| c.confine.filesystem == Mode::Off),
        ("[confine]\nsyscalls = 'require'", |c| c.confine.syscalls == Mode::Require),
        ("[plugins]\ndirectory = 'p'", |c| {
            c.plugins.directory.as_deref() == Some(Path::new("/etc/maitred/p"))
        }),
        (
            "[[plugin]]\nname = 'rules'\nmode = 'enforce'\norder = -5\non_error = 'tempfail'\ngrants = []",
            |c| {
                let plugin = &c.plugins.plugins[0];
                plugin.name == "rules" && plugin.order == -5 && plugin.on_error == Some(OnError::Tempfail)
            },
        ),
        (
            "[[plugin]]\nname = 'x'\nmode = 'shadow'\ngrants = ['store', 'http:https://a.test']\ntick = '9s'",
            |c| {
                let plugin = &c.plugins.plugins[0];
                plugin.trial == Some(Trial::Shadow)
                    && plugin.grants.words().len() == 2
                    && plugin.tick.as_secs() == 9
            },
        ),
        (
            "[[plugin]]\nname = 'x'\nmode = { canary = { percent = 5, domains = ['A.test'], calls = 7 } }",
            |c| {
                let share = Share { percent: 5, domains: vec!["a.test".to_owned()], accounts: Vec::new() };
                let budget = Budget { calls: 7, ..Budget::default() };
                c.plugins.plugins[0].trial == Some(Trial::Canary(share, budget))
            },
        ),
        ("[[plugin]]\nname = 'x'\npath = 'x.wasm'", |c| {
            c.plugins.plugins[0].path.as_deref() == Some(Path::new("/etc/maitred/x.wasm"))
        }),
        (
            "[[plugin]]\nname = 'x'\nlimits = { memory = '1MiB', time = '9ms', concurrency = 2, host_calls = 3, octets = 4 }",
            |c| {
                let l = c.plugins.plugins[0].limits;
                (l.memory, l.time, l.concurrency, l.host_calls, l.octets)
                    == (1 << 20, Duration::from_millis(9), 2, 3, 4)
            },
        ),
        ("[[plugin]]\nname = 'x'\nconfig = { delay = '5m', list = [1, 2.5, true], at = 2026-01-02 }", |c| {
            c.plugins.plugins[0].config
                == serde_json::json!({"delay": "5m", "list": [1, 2.5, true], "at": "2026-01-02"})
        }),
    ];
    for (text, effect) in effects {
        assert!(effect(&good(text)), "{text}");
        // Nothing is shown by what is so anyway. (Tables of lists have no entry by default.)
        assert!(text.contains("[[") || text == "[dkim]" || !effect(&good("")), "{text} is the default");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    bad("\nhostnam = 'a.test'", 2, "hostnam", "unknown key; expected one of hostname, data_dir");
    bad("[limits]\nrecipients = 1\nfoo = 2", 3, "limits.foo", "unknown key");
    bad("[limits.smtp]\nerrors = 2", 2, "limits.smtp.errors", "unknown key");
    bad("[nothing]\na = 1", 1, "nothing", "unknown key");
    bad("hostname = 'a b'", 1, "hostname", "expected a host name");
    bad("hostname = '[192.0.2.1]'", 1, "hostname", "expected a host name");
    bad(
        "[limits]\n\nrecipients = 'many'",
        3,
        "limits.recipients",
        "expected a whole number, at least 1; found \"many\"",
    );
    bad("[limits]\nrecipients = 0", 2, "limits.recipients", "at least 1; found 0");
    bad("[limits]\nrecipients = -1", 2, "limits.recipients", "found -1");
    bad("[limits]\nerrors = 5000000000", 2, "limits.errors", "expected a whole number");
    bad("[limits]\nmessage_size = '50 megs'", 2, "limits.message_size", "expected a size such as");
    bad("[limits]\ncommand_timeout = 300", 2, "limits.command_timeout", "expected a time such as");
    bad("[limits]\ncommand_timeout = '0s'", 2, "limits.command_timeout", "expected a time such as");
    bad("limits = 3", 1, "limits", "expected a table: [limits]; found 3");
    bad("[listener]\nprotocol = 'smtp'", 1, "listener", "expected a list of tables: [[listener]]");
    bad("[[listener]]\nbind = ['127.0.0.1:1']", 1, "listener.protocol", "is missing");
    bad("\n[[listener]]\nprotocol = 'smtp'", 2, "listener.bind", "is missing");
    bad("[[listener]]\nprotocol = 'smtp'\nbind = '127.0.0.1:1'", 3, "listener.bind", "expected a list");
    bad(
        "[[listener]]\nprotocol = 'smtp'\nbind = [\n'127.0.0.1:1',\n'localhost:2']",
        5,
        "listener.bind",
        "with a port",
    );
    bad("[[listener]]\nprotocol = 'nntp'\nbind = []", 2, "listener.protocol", "\"smtp\" or \"submission\"");
    bad(
        "[[listener]]\nprotocol = 'imap'\nbind = ['127.0.0.1:1']\nrelay_from = ['::/0']",
        4,
        "listener.relay_from",
        "\"smtp\" only",
    );
    let proxied = "[[listener]]\nprotocol = 'http'\nbind = ['127.0.0.1:1']\nproxy_protocol = ['::1']";
    bad(proxied, 4, "listener.proxy_protocol", "makes no sense");
    let twice = "[[listener]]\nprotocol = 'imap'\nbind = ['127.0.0.1:1']\n";
    bad(&twice.repeat(2), 6, "listener.bind", "two listeners have the address 127.0.0.1:1");
    bad("[tls]\ncertificate = 'c.pem'", 1, "tls", "`certificate` is set without `key`");
    bad("\n[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'", 2, "tls", "/etc/maitred/c.pem: ");
    bad("[store]\nbackend = 'rocksdb'", 2, "store.backend", "expected \"sled\"");
    bad("[store]\nsync = 'sometimes'", 2, "store.sync", "\"always\" or \"never\"");
    bad("[log]\nfilter = 'maitred=loud'", 2, "log.filter", "expected a filter");
    bad("[dns]\nservers = ['resolver.test']", 2, "dns.servers", "expected an address");
    bad("[dns]\n\nattempts = 11", 3, "dns.attempts", "at most 10");
    bad("[dns]\ntimeout = '1h'", 2, "dns.timeout", "between 10ms and 1m");
    bad("[confine]\nfilesystem = 'on'", 2, "confine.filesystem", "\"auto\" or \"off\" or \"require\"");
    bad("[confine]\nrun_as = 99", 2, "confine.run_as", "expected a text");
    bad("[outbound]\nport = 0", 2, "outbound.port", "at least 1");
    bad("[outbound]\nport = 65536", 2, "outbound.port", "whole number");
    bad("[outbound]\n\nretry = []", 3, "outbound.retry", "at least one time");
    bad("[outbound]\nretry = ['1ms']", 2, "outbound.retry", "at least one second");
    bad("[outbound]\ntls = 'dane'", 2, "outbound.tls", "\"opportunistic\" or \"require\"");
    bad("[[outbound.route]]\nrelay = 'r.test'", 1, "outbound.route.domain", "is missing; expected a domain");
    bad(
        "[[outbound.route]]\ndomain = 'a.test'\nrelay = 'r.test:x'",
        3,
        "outbound.route.relay",
        "expected a host",
    );
}

#[test]
fn what_is_wrong_with_plugins_and_syntax_is_told_with_its_line() {
    bad("[[plugin]]\norder = 1", 1, "plugin.name", "is missing");
    bad("[[plugin]]\nname = 'a'\n[[plugin]]\nname = 'a'", 4, "plugin.name", "two plugins are called a");
    bad("[[plugin]]\nname = 'a'\nconfig = 'x'", 3, "plugin.config", "expected a table");
    bad(
        "[[plugin]]\nname = 'a'\nlimits = { memory = '1MiB', cpu = 3 }",
        3,
        "plugin.limits.cpu",
        "unknown key",
    );
    bad("a = 1\nb = [", 2, "", "");
    bad("hostname = 'a.test'\nhostname = 'b.test'", 2, "", "duplicate key");
}

#[test]
fn what_is_not_built_is_refused() {
    let not = "not in this version of maitred";
    bad("[tls]\nacme = { contact = 'mailto:a@b.test', directory = '' }", 2, "tls.acme", not);
    bad("[dkim.'example.test']\nselector = 's'", 1, "dkim", not);
    bad("[store]\nbackend = 'postgres'\nurl = 'postgres://h/d'", 2, "store.backend", not);
    bad("[dns]\ndnssec = true", 2, "dns.dnssec", not);
    bad("[[plugin]]\nname = 'a'\nmode = 'off'", 3, "plugin.mode", "expected \"enforce\"");
    bad("[[plugin]]\nname = 'a'\nmode = { canary = 101 }", 3, "plugin.mode", "{ canary = 10 }");
    bad("[[plugin]]\nname = 'a'\nmode = { canary = { part = 1 } }", 3, "plugin.mode", "percent");
    bad("[[plugin]]\nname = 'a'\ngrants = ['files']", 3, "plugin.grants", "\"store\"");
    bad("[[plugin]]\nname = 'a'\ngrants = ['http:https://x/y']", 3, "plugin.grants", "http:https://HOST");
    let listener = "[[listener]]\nbind = ['127.0.0.1:1']\n";
    bad(&format!("{listener}protocol = 'managesieve'"), 3, "listener.protocol", not);
    bad(&format!("{listener}protocol = 'smtp'\nxclient = ['127.0.0.1']"), 4, "listener.xclient", not);
}

#[test]
fn what_is_printed_reads_as_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maitred.toml");
    fs::write(folder.path().join("secret"), "geheim\n").unwrap();
    let text = r#"
        hostname = "mx.a.test"
        postmaster = "p@a.test"
        [[listener]]
        protocol = "smtp"
        bind = ["127.0.0.1:2525"]
        relay_from = ["10.0.0.0/8"]
        [[listener]]
        protocol = "pop3s"
        bind = ["[::1]:995"]
        [limits]
        errors = 3
        [limits.imap]
        errors_max = 9
        [outbound]
        retry = ["90s"]
        tls = "require"
        [[outbound.route]]
        domain = "b.test"
        relay = "r.b.test:587"
        username = "u"
        password_file = "secret"
        [[outbound.route]]
        domain = "c.test"
        relay = "[2001:db8::1]"
        [[plugin]]
        name = "rules"
        config = { "a b" = [1, { c = "d\"\n" }] }
        [[plugin]]
        name = "x"
        path = "x.wasm"
    "#;
    for text in [text, ""] {
        let config = Config::parse(&path, text, None, None).unwrap();
        let printed = config.effective();
        let again =
            Config::parse(&path, &printed, None, None).unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(format!("{config:?}"), format!("{again:?}"), "{printed}");
        assert!(!printed.contains("geheim"));
    }
    let config = Config::parse(&path, text, None, None).unwrap();
    let credentials = config.route.routes[0].credentials.as_ref().unwrap();
    assert_eq!((credentials.username.as_str(), credentials.password.as_str()), ("u", "geheim"));
}

#[test]
fn a_password_file_that_is_no_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maitred.toml");
    let route = "[[outbound.route]]\ndomain = 'b.test'\nrelay = 'r.test'\nusername = 'u'\n";
    let parse = |more: &str| Config::parse(&path, &format!("{route}{more}"), None, None).unwrap_err();
    assert!(parse("").problem.contains("go together"));
    let missing = parse("tls = 'require'\npassword_file = 'none'");
    assert_eq!((missing.line, missing.key.as_str()), (Some(6), "outbound.route.password_file"));
    fs::write(folder.path().join("secret"), "x").unwrap();
    let exposed = parse("password_file = 'secret'");
    assert!(exposed.problem.contains("needs tls = \"require\""), "{exposed}");
}

#[test]
fn commands_over_http_need_loopback_and_a_secret_of_ones_own() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maitred.toml");
    let parse = |protocol: &str, bind: &str| {
        let listener =
            format!("[[listener]]\nprotocol = '{protocol}'\nbind = ['{bind}']\ntoken_file = 'secret'\n");
        Config::parse(&path, &listener, None, None)
    };
    let refused = |protocol: &str, bind: &str, told: &str| {
        let error = parse(protocol, bind).unwrap_err();
        assert_eq!((error.line, error.key.as_str()), (Some(4), "listener.token_file"), "{error}");
        assert!(error.problem.contains(told) && !error.problem.contains("0123"), "{error}");
    };
    let secret = folder.path().join("secret");
    let write = |text: &str, mode| {
        fs::write(&secret, text).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
    };
    refused("http", "127.0.0.1:0", "secret: No such file");
    write("0123456789abcdef", 0o600);
    refused("http", "127.0.0.1:0", "holds no token");
    write("0123456789abcdef0123456789abcdef\n", 0o640);
    refused("http", "127.0.0.1:0", "others may read it (mode 640)");
    write("0123456789abcdef0123456789abcdef\n", 0o600);
    refused("http", "192.0.2.1:80", "loopback");
    refused("http", "[::]:80", "loopback");
    refused("imap", "127.0.0.1:0", "\"http\" only");
    let config = parse("http", "[::1]:0").unwrap();
    assert!(config.listeners[0].token.as_ref().unwrap().is(b"0123456789abcdef0123456789abcdef"));
    assert!(!format!("{:?}", config.listeners).contains("0123"), "a secret is printed");
}

#[test]
fn a_file_that_is_named_must_be_there_and_data_goes_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.toml");
    let error = Config::load(&path, None).unwrap_err();
    assert!(error.to_string().contains("m.toml: "), "{error}");
    fs::write(&path, "data_dir = 'here'").unwrap();
    let config = Config::load(&path, None).unwrap();
    assert_eq!(config.data_dir, folder.path().join("here"));
    let config = Config::load(&path, Some(Path::new("there"))).unwrap();
    assert_eq!(config.store.directory, Path::new("there/store"));
}

#[test]
fn the_handbook_says_every_key_and_its_default() {
    let text = include_str!("../../../docs/configuration.md");
    let blocks: Vec<&str> =
        text.split("```toml\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    let [keys, limits] = blocks.as_slice() else { panic!("{} blocks", blocks.len()) };
    good(keys);
    let limits = good(limits);
    assert_eq!(format!("{:?}", limits.limits_shown()), format!("{:?}", good("").limits_shown()));
    let config = Config { plugins: good(keys).plugins, listeners: good(keys).listeners, ..good("") };
    for line in config.effective().lines().filter(|line| line.contains(" = ")) {
        let key = line.split(" = ").next().unwrap();
        assert!(text.contains(&format!("\n{key} = ")) || text.contains(&format!("\n# {key} = ")), "{line}");
    }
    let differing = ["hostname", "data_dir", "bind", "proxy_protocol", "protocol", "directory", "config"];
    let shown: Vec<&str> = text.lines().map(|line| line.split("  #").next().unwrap().trim_end()).collect();
    for line in config.effective().lines().filter(|line| line.contains(" = ")) {
        let key = line.split(" = ").next().unwrap();
        assert!(
            differing.contains(&key) || shown.contains(&line),
            "the default {line} is not in the handbook"
        );
    }
}
