#![allow(clippy::unwrap_used)]

use super::*;

fn duplicate(text: &str) -> Option<String> {
    Json::parse(text).unwrap().duplicate.map(|key| key.0)
}

#[test]
fn the_first_duplicate_key_is_named_with_its_path() {
    for (text, path) in [
        (r#"{"a":1,"a":1}"#, "a"),
        (r#"{"a":1,"b":{"a":1,"c":[0,{"d":1,"d":2}]}}"#, "b.c[1].d"),
        (r#"[[{"a":1,"a":2}]]"#, "[0][0].a"),
        (r#"{"b":[{"x":1,"x":2}],"a":{"y":1,"y":2}}"#, "b[0].x"),
        (r#"{"a":{"x":1,"x":2},"a":3}"#, "a.x"),
        (r#"{"a":1,"\u0061":2}"#, "a"),
        (r#"{"a\nb":1,"a\nb":2}"#, "a\\nb"),
        (r#"{"":1,"":2}"#, ""),
    ] {
        assert_eq!(duplicate(text).as_deref(), Some(path), "{text}");
        let error = parse_unique(text).unwrap_err().to_string();
        assert_eq!(error, format!("key `{path}` occurs twice in one JSON object"));
    }
}

#[test]
fn the_text_of_a_document_has_both_members() {
    let text = r#"{"a":[1,{"b\"":null,"b\"":[]},[]],"a":{},"c":-1.5}"#;
    assert_eq!(Json::parse(text).unwrap().text(), text);
    let spaced = text.replace(',', " , ").replace(':', "\n:");
    assert_eq!(Json::parse(&spaced).unwrap().text(), text);
    let plain = Json::parse(r#" {"a" : [1, 2]} "#).unwrap();
    assert_eq!(plain.text(), r#"{"a":[1,2]}"#);
}

#[test]
fn keys_of_different_objects_may_be_equal() {
    for text in [r#"{"a":{"a":{"a":1}}}"#, r#"[{"a":1},{"a":1}]"#, r#"{"a":1,"A":2}"#] {
        assert_eq!(duplicate(text), None, "{text}");
    }
}

#[test]
fn the_value_is_what_serde_reads() {
    for text in [
        r#"{"n":null,"t":true,"i":-1,"u":18446744073709551615,"f":1.5e300,"s":"a\u00e9","l":[1,[]]}"#,
        r#"{"a":1,"a":[2]}"#,
        "1e15",
        "[]",
        "\"\\\"\"",
    ] {
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(Json::parse(text).unwrap().value, expected, "{text}");
    }
    for text in ["", "{", "{\"a\":1,}", "{} {}", "nul"] {
        assert!(matches!(parse_unique(text), Err(JsonError::Syntax(_))), "{text}");
    }
}
