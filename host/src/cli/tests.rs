//! What can be said on the command line, and what is asked for it.

use maitred_admin::{Command as Asked, Selection};
use maitred_mail::{Domain, MessageId};

use super::*;

/// The command that these words ask for, as JSON.
fn asked(words: &[&str]) -> serde_json::Value {
    let cli = Cli::try_parse_from([&["maitred"], words].concat()).unwrap_or_else(|error| panic!("{error}"));
    match cli.command {
        Some(Command::Administer(command)) => {
            let (command, _) = command.command().map_err(|_| words.join(" ")).unwrap();
            serde_json::to_value(command).unwrap()
        }
        other => panic!("{words:?}: {other:?}"),
    }
}

fn refused(words: &[&str]) -> String {
    match Cli::try_parse_from([&["maitred"], words].concat()) {
        Ok(cli) => panic!("{words:?}: {cli:?}"),
        Err(error) => one_line(&error),
    }
}

#[test]
fn words_become_commands() {
    let json = |command: Asked| serde_json::to_value(command).unwrap();
    let id = MessageId(7).to_string();
    let b_test = || Domain::parse("b.test").unwrap();
    assert_eq!(asked(&["domain", "add", "B.test"]), json(Asked::DomainAdd { domain: b_test() }));
    assert_eq!(asked(&["domain", "list"]), json(Asked::DomainList));
    assert_eq!(asked(&["account", "quota", "a@b.test", "1GiB"])["quota"], 1 << 30);
    assert_eq!(asked(&["account", "quota", "a@b.test", "--quota", "none"])["quota"], serde_json::Value::Null);
    assert_eq!(asked(&["account", "remove", "a@b.test"])["command"], "account-remove");
    let alias = asked(&["alias", "add", "@b.test", "a@b.test", "c@d.test"]);
    assert_eq!((&alias["alias"], alias["targets"].as_array().unwrap().len()), (&"@b.test".into(), 2));
    assert_eq!(asked(&["alias", "remove", "x@b.test"])["targets"], serde_json::json!([]));
    let all = Selection::All;
    assert_eq!(asked(&["queue", "list"]), json(Asked::QueueList { selection: all.clone() }));
    assert_eq!(asked(&["queue", "retry", "--all"]), json(Asked::QueueRetry { selection: all }));
    let of_domain = Selection::Domain(b_test());
    assert_eq!(
        asked(&["queue", "hold", "--domain", "b.test"]),
        json(Asked::QueueHold { selection: of_domain })
    );
    let one = Selection::Id(MessageId(7));
    assert_eq!(asked(&["queue", "cancel", &id]), json(Asked::QueueCancel { selection: one }));
    assert_eq!(asked(&["queue", "show", &id]), json(Asked::QueueShow { id: MessageId(7) }));
    assert_eq!(asked(&["plugin", "disable", "rules"])["plugin"]["disable"]["name"], "rules");
    let back = asked(&["plugin", "rollback", "rules", "00ab"]);
    assert_eq!(back["plugin"]["rollback"]["digest"], "00ab");
    assert_eq!(asked(&["plugin", "stats", "rules"])["plugin"], "stats");
    assert_eq!(
        asked(&["plugin", "record", "rules", "--off"])["plugin"]["record"]["octets_max"],
        serde_json::Value::Null
    );
    assert_eq!(asked(&["reload"]), json(Asked::Reload));
    assert_eq!(asked(&["status"]), json(Asked::Status));
    assert_eq!(asked(&["store", "check"]), json(Asked::StoreCheck));
}

#[test]
fn what_holds_for_all_commands_may_stand_anywhere() {
    for words in [
        ["maitred", "--config", "f", "--data", "d", "--json", "store", "stats"],
        ["maitred", "store", "stats", "--config", "f", "--data", "d", "--json"],
    ] {
        let cli = Cli::try_parse_from(words).unwrap();
        assert_eq!(
            (cli.config.as_deref(), cli.data.as_deref()),
            (Some(Path::new("f")), Some(Path::new("d")))
        );
        assert!(cli.json);
    }
    assert!(Cli::try_parse_from(["maitred"]).unwrap().command.is_none());
}

#[test]
fn bad_arguments_are_told_on_one_line() {
    for (words, told) in [
        (&["bogus"][..], "unrecognized subcommand 'bogus'"),
        (&["domain", "add"], "required arguments were not provided: <DOMAIN>"),
        (&["domain", "add", "a b"], "invalid value 'a b' for '<DOMAIN>'"),
        (&["account", "add", "nobody"], "invalid value 'nobody'"),
        (&["account", "quota", "a@b.test"], "required"),
        (&["account", "quota", "a@b.test", "much"], "no size"),
        (&["alias", "add", "x@b.test"], "<TARGETS>"),
        (&["queue", "retry"], "required"),
        (&["queue", "retry", "--all", "--domain", "b.test"], "cannot be used with"),
        (&["queue", "show", "7"], "number of a queue entry"),
    ] {
        let line = refused(words);
        assert!(line.contains(told) && !line.contains('\n'), "{words:?}: {line}");
    }
}

#[test]
fn a_file_of_accounts_is_read_and_its_mistakes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.json");
    std::fs::write(&file, r#"[{"address":"a@b.test","password":"x","aliases":["@b.test"]}]"#).unwrap();
    let words = ["maitred", "account", "apply", file.to_str().unwrap()];
    assert_eq!(asked(&words[1..])["accounts"][0]["aliases"][0], "@b.test");
    std::fs::write(&file, r#"[{"address":"a@b.test","pasword":"x"}]"#).unwrap();
    let Some(Command::Administer(command)) = Cli::try_parse_from(words).unwrap().command else { panic!() };
    match command.command() {
        Err(End::Config(error)) => assert!(error.to_string().contains("pasword"), "{error}"),
        _ => panic!("taken"),
    }
}
