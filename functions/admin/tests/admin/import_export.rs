//! Export and import of bindings.

use serde_json::{Value, json};

use crate::office::{Office, cluster, role, text};

/// Three bindings that use every column.
fn filled() -> Office {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    office.applied(json!({
        "action": "bind", "serviceAccount": "svc-lake", "roleArn": role("train"),
        "targetRoleArn": "arn:aws:iam::444455556666:role/lake", "clusters": ["blue", "green"],
        "kubernetes": { "serviceAccount": "elsewhere" },
    }));
    office.applied(json!({
        "action": "bind", "serviceAccount": "svc-narrow", "roleArn": role("report"),
        "clusters": ["blue"], "disableSessionTags": true,
        "sessionPolicy": "{ \"Version\": \"2012-10-17\",\r\n  \"Statement\": [] }",
    }));
    office
}

fn known(office: &Office, name: &str) -> Value {
    office.done(json!({ "action": "history", "serviceAccount": name }))["known"].clone()
}

fn assert_unchanged(office: &Office, payload: Value) {
    let planned = office.planned(payload.clone());
    assert_eq!(planned["counts"]["unchanged"], 3, "{}", text(&planned));
    let before = office.ports.world().count("TransactWriteItems");
    let applied = office.applied(payload);
    assert_eq!(applied["counts"]["unchanged"], 3, "{}", text(&applied));
    assert_eq!(office.ports.world().count("TransactWriteItems"), before);
    for name in ["svc-etl", "svc-lake", "svc-narrow"] {
        assert_eq!(known(office, name), 1, "no new version of {name}");
    }
}

#[test]
fn a_round_trip_changes_nothing() {
    let office = filled();
    let csv = office.planned(json!({ "action": "export", "format": "csv" }));
    assert_unchanged(&office, json!({ "action": "import", "csv": csv["csv"] }));
    let exported = office.planned(json!({ "action": "export" }));
    assert_unchanged(&office, json!({ "action": "import", "rows": exported["rows"] }));
    let as_text = exported["rows"].to_string();
    assert_unchanged(&office, json!({ "action": "import", "json": as_text }));
    assert_unchanged(&office, json!({ "action": "import", "json": exported }));
}

#[test]
fn a_file_fills_an_empty_ledger_as_it_filled_the_first() {
    let first = filled();
    let csv = first.done(json!({ "action": "export", "format": "csv" }))["csv"].clone();
    let second = Office::registered();
    let done = second.applied(json!({ "action": "import", "csv": csv }));
    assert_eq!(done["counts"]["new"], 3, "{}", text(&done));
    let again = second.done(json!({ "action": "export", "format": "csv" }));
    assert_eq!(again["csv"], csv);
    second.reconcile("blue");
    assert_eq!(second.there("blue", "elsewhere").unwrap().role_arn, role("train").to_string());
}

#[test]
fn an_export_goes_on_where_the_last_answer_ended() {
    let office = filled();
    let first = office.done(json!({ "action": "export", "limit": 2 }));
    assert_eq!((&first["bindings"], &first["next"]), (&json!(2), &json!("svc-lake")));
    let rest = office.done(json!({ "action": "export", "limit": 2, "after": "svc-lake" }));
    assert_eq!((&rest["bindings"], &rest["next"]), (&json!(1), &Value::Null));
}

fn with_bad_rows() -> String {
    let (etl, admin) = (role("etl"), "arn:aws:iam::111122223333:role/admin");
    format!(
        "\u{feff}serviceAccount,roleArn,clusters,disableSessionTags\r\n\
         svc-good,{etl},blue green,\r\n\
         svc-bad,{admin},all,false\r\n\
         svc-twice,{etl},,\r\n\
         svc-odd,{etl},all,perhaps\r\n\
         svc-short,{etl}\r\n\
         svc-twice,{etl},all,\r\n"
    )
}

#[test]
fn a_bad_row_is_told_with_its_line_and_stops_no_other() {
    let office = Office::registered();
    let payload = json!({ "action": "import", "csv": with_bad_rows() });
    let planned = office.planned(payload.clone());
    let words = text(&planned);
    assert_eq!(planned["counts"]["refused"], 5, "{words}");
    assert!(words.contains("+ association domino-compute/svc-good-sa"), "{words}");
    let line = |line: u64| {
        let rows = planned["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["line"] == line).unwrap();
        row["reason"].as_str().unwrap_or_default().to_owned()
    };
    assert!(line(3).contains("ROLES"), "{words}");
    assert!(line(4).contains("lines 4, 7") && line(7).contains("lines 4, 7"), "{words}");
    assert!(line(5).contains("is `true` or `false`") && line(6).contains("2 fields"), "{words}");
    let applied = office.applied(payload);
    assert_eq!((&applied["counts"]["new"], &applied["counts"]["refused"]), (&json!(1), &json!(5)));
    assert_eq!(known(&office, "svc-good"), 1);
    assert_eq!(known(&office, "svc-twice"), 0);
}

#[test]
fn a_service_account_in_many_rows_is_told_with_the_first_lines_and_their_number() {
    let office = Office::registered();
    let row = json!({ "serviceAccount": "svc-etl", "roleArn": role("etl") });
    let planned = office.planned(json!({ "action": "import", "rows": vec![row; 9_000] }));
    let words = text(&planned);
    assert_eq!(planned["counts"]["refused"], 9_000, "{words}");
    let reason = "svc-etl is in lines 1, 2, 3 and 8997 more: one row a service account";
    assert_eq!(planned["rows"][8_999]["reason"], reason);
    assert!(words.contains("and 8800 more, see the data"), "{words}");
}

#[test]
fn columns_without_a_name_and_without_a_field_are_none() {
    let office = Office::registered();
    let etl = role("etl");
    let csv = format!(
        "serviceAccount,,roleArn,,\r\n\
         svc-etl,,{etl},,\r\n\
         svc-report, ,{etl}\r\n\
         svc-short,\r\n\
         svc-long,,{etl},,,\r\n"
    );
    let planned = office.planned(json!({ "action": "import", "csv": csv }));
    let words = text(&planned);
    assert_eq!((&planned["counts"]["new"], &planned["counts"]["refused"]), (&json!(2), &json!(2)));
    let why = |at: usize| planned["rows"][at]["reason"].as_str().unwrap_or_default();
    assert_eq!(why(2), "it has 2 fields, and the header has 5", "{words}");
    assert_eq!(why(3), "it has 6 fields, and the header has 5", "{words}");
}

#[test]
fn an_import_of_more_changes_than_one_takes_is_refused_as_a_whole() {
    let office = Office::registered();
    let row = |at| json!({ "serviceAccount": format!("svc-{at}"), "roleArn": role("etl") });
    let rows: Vec<Value> = (0..5_001).map(row).collect();
    let why = office.refused(json!({ "action": "import", "rows": rows, "mode": "apply" }));
    assert!(why.contains("5001 rows") && why.contains("at most 5000"), "{why}");
    assert_eq!(known(&office, "svc-0"), 0);
}

#[test]
fn with_stop_on_error_one_bad_row_stops_all() {
    let office = Office::registered();
    let mut payload = json!({ "action": "import", "csv": with_bad_rows(), "stopOnError": true });
    let planned = office.planned(payload.clone());
    assert!(text(&planned).contains("nothing would be done"), "{}", text(&planned));
    payload["mode"] = json!("apply");
    let why = office.refused(payload);
    assert!(why.contains("5 rows are bad") && why.contains("ROLES"), "{why}");
    assert_eq!(known(&office, "svc-good"), 0);
}

#[test]
fn a_file_that_is_none_is_refused_as_a_whole() {
    let office = Office::registered();
    for (payload, rule) in [
        (json!({ "csv": "name,roleArn\n" }), "unknown: 1, missing: [serviceAccount]"),
        (json!({ "csv": "serviceAccount,roleArn,roleArn\n" }), "roleArn is there twice"),
        (json!({ "csv": "name,\n" }), "unknown: 1, missing: [serviceAccount, roleArn]"),
        (
            json!({ "csv": "serviceAccount,roleArn,\r\n\"svc-etl\",r,\r\nsvc-train,r,x\r\n" }),
            "csv: column 3 has no name in the first line, and a field in line 3",
        ),
        (json!({ "json": "{" }), "json: no JSON at line 1"),
        (
            json!({ "json": "[{\"serviceAccount\":\"a\",\"serviceAccount\":\"b\",\"roleArn\":\"r\"}]" }),
            "json: a key occurs twice",
        ),
        (json!({ "json": 7 }), "a list of rows"),
        (json!({}), "exactly one of"),
        (json!({ "rows": [], "csv": "" }), "exactly one of"),
        (json!({ "csv": "", "json": "[]" }), "exactly one of"),
    ] {
        let mut payload = payload;
        payload["action"] = json!("import");
        let why = office.refused(payload);
        assert!(why.contains(rule), "{rule}: {why}");
    }
}

#[test]
fn a_changed_row_is_a_new_version_and_clusters_are_given_by_name() {
    let office = filled();
    let row = json!({ "serviceAccount": "svc-etl", "roleArn": role("train"), "clusters": "blue" });
    let done = office.applied(json!({ "action": "import", "rows": [row] }));
    assert_eq!(done["counts"]["changed"], 1, "{}", text(&done));
    assert_eq!(known(&office, "svc-etl"), 2);
    let rows = office.done(json!({ "action": "export", "limit": 1 }))["rows"].clone();
    assert_eq!(rows[0]["clusters"], json!(cluster("blue")));
}

#[test]
fn what_is_wrong_with_an_import_is_told_without_its_contents() {
    let office = Office::registered();
    let secret = "AKIAVERYSECRET";
    for payload in [
        json!({ "csv": format!("aws_access_key_id = {secret}\nmore\n") }),
        json!({ "csv": format!("serviceAccount,roleArn,disableSessionTags\nsvc-a,r,{secret}\n") }),
        json!({ "csv": format!("serviceAccount,roleArn\n{secret}\n") }),
        json!({ "json": format!("{{\"{secret}\": 1, \"{secret}\": 2}}") }),
        json!({ "json": format!("{secret}") }),
        json!({ "json": secret }),
        json!({ "rows": [{ (secret): 1 }, secret, { "serviceAccount": [secret], "roleArn": "r" }] }),
        json!({ "rows": [{ "serviceAccount": "svc-a", "roleArn": "r", "clusters": { "a": 1 }, "sessionPolicy": [secret] }] }),
    ] {
        let mut asked = payload;
        asked["action"] = json!("import");
        let answer = office.ask(asked).to_string();
        assert!(!answer.contains(secret), "{answer}");
    }
}
