//! Every key's effect, and what is refused.

use std::time::Duration;

use super::*;

fn load(text: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maitred.toml");
    std::fs::write(folder.path().join("secret"), "word\n").unwrap();
    std::fs::write(&path, text).unwrap();
    Config::load(&path, None)
        .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

#[test]
fn without_a_file_everything_has_a_default() {
    let config = Config::defaults(None).unwrap();
    let ports: Vec<_> =
        config.listeners.iter().map(|listener| (listener.protocol.name(), listener.bind[0].port())).collect();
    let expected = [
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
    assert_eq!(ports, expected);
    assert!(config.listeners.iter().all(|listener| listener.bind[0].ip().is_loopback()));
    assert_eq!(
        (config.hostname.as_str(), config.data_dir.as_path()),
        ("localhost", Path::new("maitred-data"))
    );
    assert!(config.store.should_sync && !config.allow_plaintext && config.listeners[0].relay_from.is_empty());
}

#[test]
fn every_key_reaches_its_room() {
    let config = load(
        r#"
hostname = "mx.example.test"
data_dir = "data"
postmaster = "root@example.test"
[[listener]]
protocol = "smtp"
bind = ["127.0.0.1:2525", "[::1]:2525"]
proxy_protocol = ["10.0.0.0/8"]
relay_from = ["127.0.0.0/8"]
[store]
backend = "sled"
sync = "never"
cache = "8MiB"
reserve = "1MiB"
[limits]
message_size = "5MiB"
header_size = "64KiB"
recipients = 10
received_fields = 20
connections = 30
connections_per_ip = 4
errors = 5
refusals = 6
transactions = 7
command_timeout = "1m"
auth_failures = 0
plugin_delay = "2s"
[dns]
servers = ["127.0.0.1:5353"]
dnssec = false
timeout = "1s"
attempts = 1
[outbound]
port = 2626
source_addresses = ["127.0.0.2"]
allow_loopback_mx = true
retry = ["1m", "2m"]
expire = "4d"
delay_warning = "1h"
max_connections_per_domain = 3
tls = "require"
[[outbound.route]]
domain = "example.net"
relay = "smtp.example.net:587"
tls = "none"
username = "me"
password_file = "secret"
[auth]
allow_plaintext = true
[plugins]
directory = "plugins"
[[plugin]]
name = "rules"
mode = "enforce"
order = 7
on_error = "tempfail"
limits = { memory = "16MiB", time = "100ms", concurrency = 2, host_calls = 9, octets = "1MiB" }
grants = []
config = { header = "X-Test" }
[log]
filter = "debug"
"#,
    )
    .unwrap();
    assert_eq!(
        (config.hostname.as_str(), config.flow.hostname.as_str()),
        ("mx.example.test", "mx.example.test")
    );
    assert!(config.data_dir.ends_with("data") && config.store.directory.ends_with("data/store"));
    assert_eq!(config.flow.postmaster.unwrap().to_string(), "root@example.test");
    let [listener] = config.listeners.as_slice() else { panic!("one listener replaces the defaults") };
    assert_eq!((listener.bind.len(), listener.proxy_protocol.len(), listener.relay_from.len()), (2, 1, 1));
    assert_eq!(
        (config.store.should_sync, config.store.cache_octets, config.store.reserve_octets),
        (false, 8 << 20, 1 << 20)
    );
    assert_eq!((config.smtp.message_octets_max, config.imap.grammar.message_octets_max), (5 << 20, 5 << 20));
    assert!(config.smtp.drain_octets_max > 5 << 20);
    assert_eq!(
        (config.smtp.recipients_max, config.smtp.refusals_max, config.smtp.transactions_max),
        (10, 6, 7)
    );
    assert_eq!((config.smtp.errors_max, config.imap.errors_max, config.pop3.errors_max), (5, 5, 5));
    let minute = Duration::from_mins(1);
    assert_eq!(
        (config.smtp.command_timeout, config.smtp.data_timeout, config.imap.command_timeout),
        (minute, minute, minute)
    );
    assert_eq!((config.gate.connections, config.gate.connections_per_ip), (30, 4));
    let flow = &config.flow.limits;
    assert_eq!((flow.header_octets_max, flow.received_max, flow.auth_failures), (64 << 10, 20, 0));
    assert_eq!(flow.delay_max, Duration::from_secs(2));
    assert_eq!(
        (config.dns.servers.len(), config.dns.attempts, config.dns.timeout),
        (1, 1, Duration::from_secs(1))
    );
    assert_eq!(config.queue.retry, [Duration::from_mins(1), Duration::from_mins(2)]);
    assert_eq!(
        (config.queue.expire, config.queue.delay_warning),
        (Duration::from_hours(96), Duration::from_hours(1))
    );
    assert_eq!(config.queue.max_connections_per_domain, 3);
    assert_eq!((config.route.port, config.route.allow_loopback_mx), (2626, true));
    assert_eq!(config.route.tls, maitred_route::TlsPolicy::Require);
    assert_eq!(config.route.source_addresses.len(), 1);
    let route = &config.route.routes[0];
    assert_eq!((route.relay.port, route.tls), (587, Some(maitred_route::TlsPolicy::None)));
    assert_eq!(route.credentials.as_ref().map(|login| login.password.as_str()), Some("word"));
    assert!(config.allow_plaintext);
    assert!(config.plugins.directory.as_ref().unwrap().is_absolute());
    let plugin = &config.plugins.plugins[0];
    assert_eq!((plugin.order, plugin.on_error), (7, maitred_policy::OnError::Tempfail));
    assert_eq!((plugin.limits.memory, plugin.limits.time), (16 << 20, Duration::from_millis(100)));
    assert_eq!((plugin.limits.concurrency, plugin.limits.host_calls, plugin.limits.octets), (2, 9, 1 << 20));
    assert_eq!(plugin.config, serde_json::json!({ "header": "X-Test" }));
    assert_eq!(config.log.filter, "debug");
}

#[test]
fn what_is_printed_is_read_again_as_the_same() {
    let config = load("hostname = \"mx.example.test\"\n[limits]\nrecipients = 5\n").unwrap();
    let again = load(config.effective()).unwrap();
    assert_eq!(again.effective(), config.effective());
    assert_eq!(again.smtp.recipients_max, 5);
}

#[test]
fn mistakes_are_told_with_line_and_key() {
    for (text, told) in [
        ("hostname = 5\n", "maitred.toml:1: hostname: invalid type"),
        ("\n\n[limits]\nrecipient = 5\n", "maitred.toml:4: unknown field `recipient`"),
        ("nonsense = 1\n", "maitred.toml:1: unknown field `nonsense`"),
        ("[limits]\ncommand_timeout = \"5 bananas\"\n", "maitred.toml:2: command_timeout: expected a time"),
        ("[limits]\nmessage_size = \"big\"\n", "maitred.toml:2: message_size: expected a size"),
        (
            "[[listener]]\nprotocol = \"gopher\"\nbind = []\n",
            "maitred.toml:2: protocol: unknown variant `gopher`",
        ),
        ("[[listener]]\nprotocol = \"imap\"\nbind = []\n", "listener: imap: bind"),
        (
            "[[listener]]\nprotocol = \"imap\"\nbind = [\"127.0.0.1:0\"]\nrelay_from = [\"::1\"]\n",
            "relay_from",
        ),
        (
            "[[listener]]\nprotocol = \"smtp\"\nbind = [\"127.0.0.1:0\"]\nrelay_from = [\"x\"]\n",
            ":4: relay_from: expected an address",
        ),
        ("hostname = \"a b\"\n", "hostname: "),
        ("[outbound]\nretry = []\n", "outbound.retry: needs"),
        ("[[outbound.route]]\ndomain = \"a.test\"\nrelay = \"x:0\"\n", ":3: relay: expected a host"),
        ("[[outbound.route]]\ndomain = \"a.test\"\nrelay = \"x\"\nusername = \"u\"\n", "go together"),
        ("[tls]\ncertificate = \"absent.pem\"\nkey = \"absent.key\"\n", "absent.pem"),
        ("[tls]\ncertificate = \"absent.pem\"\n", "tls: "),
        ("[tls]\nacme = { contact = \"x\", directory = \"y\" }\n", "tls: "),
        ("[store]\nbackend = \"postgres\"\n", "store.backend"),
        ("[dns]\ndnssec = true\n", "dns.dnssec"),
        ("[dkim.'a.test']\nselector = \"x\"\n", "dkim: not available"),
        ("[[plugin]]\nname = \"rules\"\nmode = \"shadow\"\n", "plugin.mode"),
        ("[[plugin]]\nname = \"rules\"\nmode = { canary = 10 }\n", "plugin.mode"),
        (
            "[[listener]]\nprotocol = \"smtp\"\nbind = [\"127.0.0.1:0\"]\nxclient = [\"127.0.0.1\"]\n",
            "xclient",
        ),
        ("hostname = \n", "maitred.toml:1: "),
    ] {
        let error = load(text).map(|_| ()).unwrap_err();
        assert!(error.contains(told), "{text}: {error:?} lacks {told:?}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
