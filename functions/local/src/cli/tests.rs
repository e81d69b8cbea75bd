#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn read(line: &str) -> Result<Arguments, UsageError> {
    parse(line.split_whitespace().map(str::to_owned))
}

fn command(line: &str) -> Command {
    read(line).unwrap().command
}

#[test]
fn no_argument_means_the_demo() {
    assert_eq!(read("").unwrap(), Arguments { command: Command::Demo, logs: false });
    assert_eq!(read("--logs").unwrap(), Arguments { command: Command::Demo, logs: true });
}

#[test]
fn commands_are_read_with_their_options_in_any_place() {
    assert_eq!(command("serve"), Command::Serve { port: None });
    assert_eq!(command("--port 4566 serve"), Command::Serve { port: Some(4566) });
    assert_eq!(
        command("invoke association --endpoint http://127.0.0.1:1 a.json"),
        Command::Invoke {
            function: "association".to_owned(),
            file: PathBuf::from("a.json"),
            endpoint: Some("http://127.0.0.1:1".to_owned()),
        }
    );
    assert!(matches!(command("invoke admin -"), Command::Invoke { .. }));
    assert_eq!(command("invoke --help"), Command::Help);
}

#[test]
fn errors_name_the_argument() {
    let cases = [
        ("server", "unknown command `server`"),
        ("--log", "unknown option `--log`"),
        ("serve --port x", "`--port x` is not a port"),
        ("serve --port", "`--port ` is not a port"),
        ("serve now", "`now` is one argument too many"),
        ("invoke", "`invoke` needs a function and a FILE"),
        ("invoke association", "`invoke association` needs a FILE"),
        ("invoke reconcile", "`invoke reconcile` needs a FILE"),
        ("invoke association a b", "`b` is one argument too many"),
        ("invoke nothing a", "there is no function `nothing` here"),
        ("--endpoint here invoke association a", "`--endpoint here` is not an http:// URL"),
        ("--port 1", "`--port` belongs to `serve`"),
        ("serve --endpoint http://x", "`--endpoint` belongs to `invoke`"),
    ];
    for (line, message) in cases {
        let error = read(line).unwrap_err().to_string();
        assert!(error.starts_with(message), "{line}: {error}");
    }
}
