#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn ask(method: Method, url: &str, host: &str) -> Result<PageRequest, StatusCode> {
    let request = Request::builder().method(method).uri(url).header(HOST, host).body(()).unwrap();
    asked(&request, (Ipv4Addr::LOCALHOST, 4000).into())
}

fn get(url: &str) -> Result<PageRequest, StatusCode> {
    ask(Method::GET, url, "127.0.0.1:4000")
}

#[test]
fn the_page_and_the_explanation_are_asked_for_as_a_widget_asks() {
    let light = json!({ "widgetContext": { "theme": "light" }, "plainLinks": true });
    assert_eq!(get("/").unwrap(), PageRequest { dark: false, payload: light });
    assert_eq!(get("/?theme=dark").unwrap().payload["widgetContext"]["theme"], "dark");
    let explain = get("/explain?serviceAccount=svc%2Bmodels%40eu&theme=dark").unwrap();
    assert_eq!(explain.payload["serviceAccount"], "svc+models@eu");
    assert_eq!(explain.payload["action"], "explain");
    assert!(explain.dark);
}

#[test]
fn nothing_else_is_answered() {
    assert_eq!(get("/favicon.ico"), Err(StatusCode::NOT_FOUND));
    assert_eq!(get("/explain"), Err(StatusCode::BAD_REQUEST));
    let here = "127.0.0.1:4000";
    assert_eq!(ask(Method::POST, "/", here), Err(StatusCode::METHOD_NOT_ALLOWED));
    let elsewhere = ask(Method::GET, "/", "somebody.example:4000");
    assert_eq!(elsewhere, Err(StatusCode::MISDIRECTED_REQUEST));
    assert!(ask(Method::GET, "/", "localhost:4000").is_ok());
}
