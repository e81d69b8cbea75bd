use serde_json::json;

use super::*;

#[test]
fn typed_values_become_plain_json() {
    let typed = json!({
        "pk": {"S": "SA#svc-etl"}, "sk": {"S": "BINDING"}, "revision": {"S": "r1"},
        "body": {"M": {
            "text": {"S": ""}, "number": {"N": "12"}, "yes": {"BOOL": true}, "none": {"NULL": true},
            "list": {"L": [{"N": "1.5"}, {"M": {}}]},
        }},
    });
    let item = item(&typed);
    assert_eq!((item.key.partition.as_str(), item.key.sort.as_str()), ("SA#svc-etl", "BINDING"));
    assert_eq!(item.revision, "r1");
    let plain = json!({"text": "", "number": 12, "yes": true, "none": null, "list": [1.5, {}]});
    assert_eq!(item.body, plain);
}
