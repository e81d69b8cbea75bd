#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use clap::CommandFactory;

use super::*;

fn read(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(std::iter::once("local").chain(line.split_whitespace()))
}

fn command(line: &str) -> Command {
    read(line).unwrap().command.unwrap()
}

#[test]
fn the_definition_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn no_argument_means_the_samples() {
    assert_eq!(read("").unwrap(), Arguments { command: None, logs: false });
    assert_eq!(read("--logs").unwrap(), Arguments { command: None, logs: true });
}

#[test]
fn commands_are_read_with_their_options_in_any_place() {
    assert_eq!(command("serve"), Command::Serve { port: None });
    assert_eq!(command("serve --port 4566 --logs"), Command::Serve { port: Some(4566) });
    assert_eq!(
        command("invoke association --endpoint http://127.0.0.1:1 a.json"),
        Command::Invoke {
            function: "association".to_owned(),
            file: PathBuf::from("a.json"),
            endpoint: Some("http://127.0.0.1:1".to_owned()),
        }
    );
    assert!(matches!(command("invoke admin -"), Command::Invoke { .. }));
}

#[test]
fn errors_name_the_argument_and_what_can_be_given() {
    let cases = [
        ("server", "'server'"),
        ("--log", "'--logs'"),
        ("serve --port x", "'x' for '--port <N>'"),
        ("serve now", "'now'"),
        ("invoke", "<FUNCTION>"),
        ("invoke association", "<FILE>"),
        ("invoke association a b", "'b'"),
        ("invoke nothing a", "[possible values: association, reconcile, workloads, admin]"),
        ("invoke association a --endpoint here", "not an http:// URL"),
        ("serve --endpoint http://x", "'--endpoint'"),
    ];
    for (line, message) in cases {
        let error = read(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(message), "{line}: {error}");
    }
}
