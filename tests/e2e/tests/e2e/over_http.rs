//! The life of a plugin by HTTP, as a pipeline would have it: with curl.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;
use tests_e2e::{Server, tool};

const SECRET: &str = "5b1cf0a2d2a54e0e9d0a8c4c7f6e3b21";

#[test]
fn curl_loads_tries_out_promotes_and_goes_back() {
    let Some(curl) = tool("curl") else { return };
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("admin.token");
    fs::write(&token, format!("{SECRET}\n")).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let [first, second] = maitred_bundled::DEMO else { panic!("two versions") };
    for (name, component) in [("first.wasm", first), ("second.wasm", second)] {
        fs::write(folder.path().join(name), component.octets).unwrap();
    }
    let config = folder.path().join("maitred.toml");
    let text = "hostname = 'mx.example.test'\ndata_dir = 'data'\n\
                [[listener]]\nprotocol = 'http'\nbind = ['127.0.0.1:0']\ntoken_file = 'admin.token'\n";
    fs::write(&config, text).unwrap();
    let server = Server::start(&config).unwrap();
    let base = format!("http://127.0.0.1:{}/api/plugins", server.port("http"));
    let ask = |path: &str, arguments: &[&str]| -> (String, Value) {
        let output = Command::new(&curl)
            .args(["-sS", "--max-time", "60", "-w", "\n%{http_code}"])
            .args(["-H", &format!("Authorization: Bearer {SECRET}")])
            .args(arguments)
            .arg(format!("{base}{path}"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{path}: {output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        let (content, status) = said.rsplit_once('\n').unwrap();
        (status.to_owned(), serde_json::from_str(content).unwrap_or(Value::Null))
    };
    let done = |path: &str, arguments: &[&str]| {
        let (status, answer) = ask(path, arguments);
        assert_eq!(status, "200", "{path}: {answer}\n{}", server.log());
        answer
    };
    let loaded = done("/filter", &["-T", "first.wasm"]);
    let before = loaded["digest"].as_str().unwrap().to_owned();
    let tried = done("/filter/shadow", &["-T", "second.wasm"]);
    assert_eq!((&tried["digest"], &tried["trial"]["trial"]), (&loaded["digest"], &Value::from("shadow")));
    assert_eq!(done("/filter/promote", &["-X", "POST"])["digest"], tried["trial"]["digest"]);
    assert_eq!(done("/filter/rollback", &["-X", "POST"])["digest"], before.as_str());
    assert_eq!(done("/filter", &[])["earlier"][0]["digest"], tried["trial"]["digest"]);
    done("/filter", &["-X", "DELETE"]);
    let (status, gone) = ask("/filter", &[]);
    assert_eq!((status.as_str(), &gone["problem"]["kind"]), ("404", &Value::from("not-found")));
    // What is no component is refused, and the secret is in no log.
    let (status, refused) = ask("/filter", &["-T", "maitred.toml"]);
    assert_eq!(status, "409", "{refused}");
    let log = server.log();
    assert!(log.contains("Promote") && !log.contains(SECRET), "{log}");
    let told = server.told(&["plugin", "list"]).unwrap();
    assert!(!told.contains("filter "), "{told}");
}
